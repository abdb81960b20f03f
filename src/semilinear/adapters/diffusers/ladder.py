"""Where the steps of a run lie: times of the path, and the timesteps that the network is told."""

from __future__ import annotations

from math import exp, inf
from typing import Any, NamedTuple

import numpy as np

from semilinear.adapters.diffusers.settings import Settings
from semilinear.errors import InvalidArgument
from semilinear.given import whole_number

PRINTED = 1e-4
"""Relative; noise levels that are printed with five digits may lie so far outside the path."""

ROUNDING = 1e-9
"""Of times."""

KARRAS_POWER = 7.0
BETA = 0.6
"""Both parameters of the beta distribution (Lee et al. 2024, "Beta sampling is all you need")."""


class Ladder(NamedTuple):
    """Times of a run.

    Parameters
    ----------
    times
        Where the steps begin, in the time of the path: timesteps, or sigma of a flow.
    end
        Where the last one ends; None for sigma = 0.
    told
        What the network is told at `times`, where that was given apart from them.
    """

    times: np.ndarray
    end: float | None
    told: np.ndarray | None = None


def ladder(
    settings: Settings,
    count: Any = None,
    *,
    timesteps: Any = None,
    sigmas: Any = None,
    mu: float | None = None,
) -> Ladder:
    """Return the ladder of `count` steps, or the one that `timesteps` or `sigmas` say.

    Parameters
    ----------
    settings
        What the configuration says.
    count, timesteps, sigmas, mu
        As in `SemilinearScheduler.set_timesteps`.
    """
    given = [x for x in (timesteps, sigmas) if x is not None]
    if count is None and not given:
        raise InvalidArgument("give num_inference_steps, timesteps or sigmas")
    if count is not None:
        count = whole_number("num_inference_steps", count)
    if given and settings.ladder is not None:
        raise InvalidArgument(
            f"{settings.ladder}=True makes its own ladder; leave out timesteps and sigmas, or set "
            "it to False"
        )
    told = None if timesteps is None else _numbers("timesteps", timesteps)
    levels = None if sigmas is None else _numbers("sigmas", sigmas)
    cut = []
    if levels is not None and len(levels) > 1 and levels[-1] == 0:
        if told is not None and len(told) == len(levels) and told[-1] == 0:
            told = told[:-1]  # the same end
            cut.append("timesteps")
        levels = levels[:-1]
        cut.append("sigmas")
    for name, values in (("timesteps", told), ("sigmas", levels)):
        if values is not None and count is not None and len(values) != count:
            apart = ", the zero at the end apart" if name in cut else ""
            raise InvalidArgument(
                f"{name} has {len(values)} entries{apart}, but num_inference_steps={count}; leave "
                "num_inference_steps out, or give as many"
            )
    if told is not None and levels is not None and len(told) != len(levels):
        apart = ", the zero at the end apart" if cut else ""
        raise InvalidArgument(
            f"timesteps has {len(told)} entries and sigmas {len(levels)}{apart}; give one of each "
            "for each step"
        )
    make = _of_flow if settings.is_flow else _of_noise
    return _checked(settings, make(settings, count, told, levels, mu))


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        array = np.array(values.tolist() if hasattr(values, "tolist") else values, dtype=float)
    except (TypeError, ValueError):
        raise InvalidArgument(f"{name} must be a sequence of numbers") from None
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise InvalidArgument(f"{name} must be one-dimensional, finite and not empty")
    return array


def _checked(settings: Settings, made: Ladder) -> Ladder:
    every = made.times if made.end is None else np.append(made.times, made.end)
    falling = np.diff(every) < 0
    if not falling.all():
        n = int(np.argmin(falling))
        if made.end is not None and every[n] == made.end:
            raise InvalidArgument(
                f"final_sigmas_type='sigma_min' ends at timestep {made.end:.9g}, where a step is "
                "to begin: leave that timestep out, choose final_sigmas_type='zero', or say "
                "steps_offset=1 beside timestep_spacing='leading' from zero"
            )
        raise InvalidArgument(
            f"step {n} of {len(made.times)} would go from time {every[n]:.9g} to {every[n + 1]:.9g}"
            " of the path, but noise must fall on every step; take fewer steps or other times"
        )
    if made.told is not None and not (np.diff(made.told) < 0).all():
        raise InvalidArgument("timesteps must be strictly decreasing")
    path = settings.path
    if made.times[0] > path.t_max or every[-1] < path.t_min:
        raise InvalidArgument(
            f"times from {made.times[0]:.9g} to {every[-1]:.9g} leave the path, which has "
            f"{path.t_min:g} to {path.t_max:g}; see steps_offset, timesteps and sigmas"
        )
    return made


def _of_noise(
    settings: Settings,
    count: int | None,
    told: np.ndarray | None,
    levels: np.ndarray | None,
    mu: float | None,
) -> Ladder:
    """Return the ladder of a network trained on VP noise; `levels` are sigma / alpha."""
    if mu is not None:
        raise InvalidArgument("mu shifts the noise levels of flows; this configuration is none")
    path = settings.path
    least = None if settings.ends_at_zero else path.t_min
    if levels is not None:
        return Ladder(_times(settings, levels), least, told)
    if told is not None:
        return Ladder(told, least)
    assert count is not None
    if settings.ladder is None:
        return Ladder(_spaced(settings, count), least)
    points = count if settings.ends_at_zero else count + 1
    times = _times(settings, _levels(settings, points))
    if settings.ends_at_zero:
        return Ladder(times, None)
    return Ladder(times[:-1], float(times[-1]))


def _times(settings: Settings, levels: np.ndarray) -> np.ndarray:
    """Return the times at which sigma / alpha has these values."""
    path = settings.path
    low, high = path.rho(path.t_min), path.rho(path.t_max)
    outside = (levels < low * (1 - PRINTED)) | (levels > high * (1 + PRINTED))
    if outside.any():
        raise InvalidArgument(
            f"sigmas[{int(np.argmax(outside))}]={levels[outside][0]:.9g} lies outside the noise "
            f"that the network was trained on, {low:.6g} to {high:.6g}"
        )
    times = np.asarray(path.t_of_rho(np.clip(levels, low, high)))
    # The way to sigma and back leaves 1e-16 in the place of 0.
    return np.where(np.abs(times - path.t_min) < ROUNDING, path.t_min, times)


def _spaced(settings: Settings, count: int) -> np.ndarray:
    """Return timesteps, whole ones where `count` of them exist."""
    n = settings.usable_steps
    times: np.ndarray
    if settings.spacing == "linspace":
        times = np.linspace(n - 1, 0, count + 1)[:-1]
    elif settings.spacing == "leading":
        times = _leading(settings, count)
    else:
        times = n - n / count * np.arange(count) - 1.0
    whole = times.round()
    if settings.spacing == "trailing":
        whole = (times + 1.0).round() - 1.0
    distinct = (np.diff(whole, append=-np.inf) < 0).all()
    return whole if distinct else times


def _leading(settings: Settings, count: int) -> np.ndarray:
    """Return multiples of a whole number, which end at 0 or before it."""
    n = settings.usable_steps
    first = 0 if settings.from_zero else 1
    gap = n // (count + first)
    if not gap:
        raise InvalidArgument(
            f"timestep_spacing='leading' has at most {n - first} steps, since whole timesteps lie "
            f"between {n} of the training, and num_inference_steps={count}; take fewer, or "
            "'linspace' or 'trailing'"
        )
    return np.arange(count - 1 + first, first - 1, -1.0) * gap + settings.offset


def _levels(settings: Settings, points: int) -> np.ndarray:
    """Return values of sigma / alpha, from the largest to the least of the training."""
    path = settings.path
    high, low = path.rho(path.t_max), path.rho(path.t_min)
    part = np.linspace(0, 1, points)
    levels: np.ndarray
    if settings.ladder == "use_karras_sigmas":
        ends = high ** (1 / KARRAS_POWER), low ** (1 / KARRAS_POWER)
        levels = (ends[0] + part * (ends[1] - ends[0])) ** KARRAS_POWER
    elif settings.ladder == "use_exponential_sigmas":
        levels = high * (low / high) ** part
    else:
        from scipy.special import betaincinv

        levels = low + betaincinv(BETA, BETA, 1 - part) * (high - low)
    return levels


def _of_flow(
    settings: Settings,
    count: int | None,
    told: np.ndarray | None,
    levels: np.ndarray | None,
    mu: float | None,
) -> Ladder:
    """Return the ladder of a flow; `levels` are sigma, which is shifted."""
    n = settings.training_steps
    shift = _shift(settings, mu)
    if levels is None and told is not None:
        return Ladder(told / n, None)
    if levels is None:
        assert count is not None
        levels = _unshifted(settings, count)
    levels = shifted(levels, shift)
    distance = 1.0 - levels
    if settings.shift_terminal and distance[-1] > 0:
        levels = 1.0 - distance * ((1.0 - settings.shift_terminal) / distance[-1])
    return Ladder(levels, None, told)


def _unshifted(settings: Settings, count: int) -> np.ndarray:
    n = settings.training_steps
    if not settings.matching:
        return np.linspace(1.0, 1.0 / n, count + 1)[:-1]
    # Flow-matching schedulers shift the least level of the training before it becomes the end.
    least = 1.0 / n if settings.shift is None else float(shifted(1.0 / n, settings.shift))
    return np.linspace(1.0, least, count)


def shifted(level: Any, shift: float) -> Any:
    """Return the noise level of a flow at a higher resolution, ``s l / (1 + (s - 1) l)``.

    References
    ----------
    Esser et al. (2024), "Scaling rectified flow transformers", section 5.3.2.
    """
    return shift * level / (1.0 + (shift - 1.0) * level)


def training(settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return the timesteps of the training, from noise to data, and their noise levels."""
    n = settings.training_steps
    if not settings.is_flow:
        told = np.arange(n - 1.0, -1.0, -1.0)
        return told, np.asarray(settings.path.rho(told))
    levels = np.arange(n, 0.0, -1.0) / n
    if settings.shift is not None:
        levels = shifted(levels, settings.shift)
    return levels * n, levels


def _shift(settings: Settings, mu: float | None) -> float:
    if settings.shift is not None:
        if mu is not None and not settings.matching:
            raise InvalidArgument("mu: the configuration says use_dynamic_shifting=False")
        return settings.shift
    if mu is None:
        raise InvalidArgument("mu is missing: the configuration says use_dynamic_shifting=True")
    shift = exp(mu) if settings.shift_type == "exponential" else float(mu)
    if not 0 < shift < inf:
        raise InvalidArgument(
            f"mu={mu!r} makes a shift of {shift!r}, which must be positive and finite"
        )
    return shift
