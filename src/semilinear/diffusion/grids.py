"""Time grids: where the steps of a sampler lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

import numpy as np

from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.schedules_vp import VPLinear
from semilinear.diffusion.warp import Warp
from semilinear.errors import InvalidArgument, UnknownName, shown

VP = VPLinear()

ROUNDING = 1e-6
"""By how much of its length a grid may miss its ends, from time to rho and back."""


class Grid(Protocol):
    """A rule that places n + 1 times from t_start to t_end."""

    def __call__(self, schedule: NoiseSchedule, t_start: float, t_end: float, n: int) -> np.ndarray:
        """Return n + 1 decreasing times, the first t_start and the last t_end.

        The two ends may be off by rounding; a plan puts them where they belong.
        """


@dataclass(frozen=True)
class PowerT:
    """Uniform in t^(1/power): 1 is uniform, 2 quadratic (Zhang and Chen 2022).

    Parameters
    ----------
    power
        Positive and finite; with another one making a grid raises `InvalidArgument`.
    """

    power: float = 1.0

    def __call__(self, schedule: NoiseSchedule, t_start: float, t_end: float, n: int) -> np.ndarray:
        return _power(t_start, t_end, n, self.power)


@dataclass(frozen=True)
class UniformLambda:
    """Uniform in lambda = ln(alpha / sigma), half the log-SNR (Lu et al. 2022a).

    It has no parameter. A grid with an end at alpha = 0 or sigma = 0, where lambda is infinite, is
    refused by `InvalidArgument`.
    """

    def __call__(self, schedule: NoiseSchedule, t_start: float, t_end: float, n: int) -> np.ndarray:
        lam = np.linspace(_finite_lam(schedule, t_start), _finite_lam(schedule, t_end), n + 1)
        return schedule.t_of_lam(lam)


@dataclass(frozen=True)
class PowerRho:
    """Uniform in rho^(1/power), rho = sigma / alpha: 7 is the grid of Karras et al. (2022).

    A grid that begins at alpha = 0, where rho is infinite, is refused by `InvalidArgument`.

    Parameters
    ----------
    power
        As in `PowerT`.
    """

    power: float = 7.0

    def __call__(self, schedule: NoiseSchedule, t_start: float, t_end: float, n: int) -> np.ndarray:
        _finite_lam(schedule, t_start)
        rho = _power(schedule.rho(t_start), schedule.rho(t_end), n, self.power)
        return schedule.t_of_rho(rho)


@dataclass(frozen=True)
class PowerVPTime:
    """`PowerT` in the time of the linear VP schedule at the same rho, whatever the schedule.

    Where there is more noise than that schedule has, its time is 1.

    Parameters
    ----------
    power
        As in `PowerT`.
    """

    power: float = 1.0

    def __call__(self, schedule: NoiseSchedule, t_start: float, t_end: float, n: int) -> np.ndarray:
        first, last = vp_time(schedule, t_start), vp_time(schedule, t_end)
        points: np.ndarray = schedule.t_of_rho(VP.rho(_power(first, last, n, self.power)))
        points[0] = t_start  # beyond the linear VP schedule where there is more noise than it has
        return points


@dataclass(frozen=True)
class Mixed:
    """Half uniform in t and half in lambda: no step is long in either.

    It may begin at alpha = 0 and end at sigma = 0: what lies beyond seven units of lambda hardly
    counts.
    """

    def __call__(self, schedule: NoiseSchedule, t_start: float, t_end: float, n: int) -> np.ndarray:
        points: np.ndarray = Warp(schedule, t_start, t_end).to_t(np.linspace(0.0, 1.0, n + 1))
        return points


@dataclass(frozen=True)
class WholeTimes:
    """The times of another rule, rounded: for networks that know whole times only.

    Evaluations within a step, of methods with stages, lie between such times still.
    """

    rule: str | Grid = "uniform"

    def __post_init__(self) -> None:
        _rule(self.rule)

    def __call__(self, schedule: NoiseSchedule, t_start: float, t_end: float, n: int) -> np.ndarray:
        points: np.ndarray = np.rint(_of_rule(_rule(self.rule), schedule, t_start, t_end, n))
        points[0], points[-1] = t_start, t_end
        if not (points[1:] < points[:-1]).all():
            raise InvalidArgument(
                f"grid={self!r}: rounded to whole numbers, {n} steps from t_start={t_start:.6g} to "
                f"t_end={t_end:.6g} coincide; take fewer steps or another rule, or a schedule "
                "whose times are timesteps, such as diffusion.Discrete (ddpm_linear)"
            )
        return points


def _named(argument: str, name: str) -> Grid:
    UnknownName.check(argument, name, GRIDS)
    return GRIDS[name]()


def _rule(rule: Any) -> Grid:
    """Return a rule that may be given by its name, or refuse what is none."""
    if isinstance(rule, str):
        return _named("rule", rule)
    if not callable(rule):
        raise InvalidArgument(f"rule={shown(rule)} must be a name of a grid or a rule")
    return rule  # type: ignore[no-any-return]


def vp_time(schedule: NoiseSchedule, t: float) -> float:
    """Return the time of the linear VP schedule at the rho of another; 1 for more than it has."""
    return float(VP.t_of_rho(min(float(schedule.rho(t)), float(VP.rho(1.0)))))


GRIDS: dict[str, Callable[[], Grid]] = {
    "uniform": PowerT,
    "quadratic": lambda: PowerT(2.0),
    "lambda": UniformLambda,
    "karras": PowerRho,
    "mixed": Mixed,
}
"""Grids by name."""


def times(
    grid: str | Grid | Sequence[float] | np.ndarray,
    schedule: NoiseSchedule,
    t_start: float,
    t_end: float,
    n: int,
) -> np.ndarray:
    """Return the n + 1 times of a grid given by name, by rule, or by its points.

    Parameters
    ----------
    grid
        A name of `GRIDS`, a rule like ``PowerT(1.5)``, or decreasing times.
    """
    if isinstance(grid, str):
        grid = _named("grid", grid)
    return _of_rule(grid, schedule, t_start, t_end, n) if callable(grid) else explicit(grid)


def _of_rule(
    rule: Grid, schedule: NoiseSchedule, t_start: float, t_end: float, n: int
) -> np.ndarray:
    """Return the times that a rule gives, its ends where they belong, or refuse them."""
    points = _real(rule(schedule, t_start, t_end, n))
    if points is None:
        raise InvalidArgument(f"grid={rule!r} gave no real numbers; it must give {n + 1} times")
    if points.shape != (n + 1,):
        raise InvalidArgument(
            f"grid={rule!r} gave times of shape {points.shape} for {n} steps; it must give "
            f"{n + 1} times"
        )
    if not np.isfinite(points).all():
        raise InvalidArgument(f"grid={rule!r} gave times that are not finite, {points}")
    # A rule that does not know its ends decreases too, until they are put where they belong.
    _check_falls(points, t_start, t_end)
    for name, asked, end in (("t_start", t_start, 0), ("t_end", t_end, -1)):
        if not abs(points[end] - asked) <= ROUNDING * (t_start - t_end):
            raise InvalidArgument(
                f"grid={rule!r} gave {points[end]:.6g} at the end where {name}={asked:.6g} was "
                "asked for; a rule places the times between the ends: pass "
                f"{name}={points[end]:.6g} if that is meant"
            )
    points[0], points[-1] = t_start, t_end
    _check_falls(points, t_start, t_end)
    return points


def _check_falls(points: np.ndarray, t_start: float, t_end: float) -> None:
    if not (t_start > t_end and (points[1:] < points[:-1]).all()):
        raise InvalidArgument(
            f"grid: {len(points) - 1} steps from t_start={t_start:.6g} to t_end={t_end:.6g} are "
            "not strictly decreasing; sampling goes from noise (large t) to data"
        )


def _real(times: Any) -> np.ndarray | None:
    """Return times as float64, or None if they are no real numbers."""
    try:
        found = np.asarray(times)
        # Taken as float64, complex numbers would only warn.
        return None if np.iscomplexobj(found) else np.array(found, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def is_rule(grid: Any) -> bool:
    """Tell whether a grid is a name, a rule or None, for any number of steps, and not times."""
    return grid is None or isinstance(grid, str) or callable(grid)


def explicit(grid: Any) -> np.ndarray:
    """Return explicit grid points as float64, or refuse them."""
    points = _real(grid)
    if points is None:
        raise InvalidArgument(
            f"grid={shown(grid)} must be a name, a rule or a sequence of times, which are real"
        )
    if points.ndim != 1 or len(points) < 2 or not np.isfinite(points).all():
        raise InvalidArgument(
            "grid must be finite, with two or more times: of shape (steps + 1,), or (steps + 1, "
            "samples) for times by sample"
        )
    if not (points[1:] < points[:-1]).all():
        raise InvalidArgument("grid must be strictly decreasing, from noise (large t) to data")
    return points


def _power(first: float, last: float, n: int, power: float) -> np.ndarray:
    if not _is_positive(power):
        raise InvalidArgument(f"power={power!r} of a grid must be positive and finite")
    points: np.ndarray = np.linspace(first ** (1 / power), last ** (1 / power), n + 1) ** power
    return points


def _is_positive(value: Any) -> bool:
    return isinstance(value, Real) and 0 < float(value) < np.inf


def _finite_lam(schedule: NoiseSchedule, t: float) -> float:
    lam = schedule.lam(t)
    if not np.isfinite(lam):
        raise InvalidArgument(
            f"grid: rho is {schedule.rho(t)} at t={t:.6g}, where this grid cannot begin or end; "
            "choose t_start or t_end inside, or a grid in t"
        )
    return lam
