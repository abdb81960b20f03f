"""Starting from known data, as a whole or in part."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from semilinear.answers import checked_array
from semilinear.diffusion.model_calls import asked, combined, data_readout, on_schedule
from semilinear.diffusion.models import (
    MadeFor,
    Model,
    check_made_for,
    checked_model,
    made_for,
)
from semilinear.diffusion.noise import Seed, SeededNoise
from semilinear.diffusion.predictions import check_prediction
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.schedules_base import checked_schedule, real_array
from semilinear.errors import InvalidArgument


def add_noise(
    schedule: NoiseSchedule, x_0: Any, t: Any, *, seed: Seed = None, noise: Any = None
) -> Any:
    """Return ``x_t = alpha(t) x_0 + sigma(t) z``, z standard normal.

    To vary known data, sample from it with ``t_start=t``: the larger t, the more is changed.

    Parameters
    ----------
    schedule
        Noise schedule.
    x_0
        Data, samples along the first axis; real, any array library.
    t
        A number, or one for each sample.
    seed
        Of z, as in `SeededNoise`; by default one that nobody knows.
    noise
        z itself, like x_0, in place of a seed.

    Returns
    -------
    array
        x_t, like x_0 in library, shape and dtype.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used: x_0 is no array of floating numbers, `noise` not like it, or
        there is a seed as well; t lies outside the schedule's domain, or is not one for each
        sample.

    Examples
    --------
    >>> import numpy as np
    >>> from semilinear import diffusion
    >>> x = add_noise(diffusion.Flow(), np.ones((2, 3)), 0.25, noise=np.zeros((2, 3)))
    >>> print(x[0])
    [0.75 0.75 0.75]
    """
    checked_schedule(schedule)
    checked_array(x_0, "x_0")
    if noise is None:
        noise = SeededNoise(seed, x_0).initial()
    elif seed is not None:
        raise InvalidArgument("seed and noise: give one of them, not both")
    elif _kind(checked_array(noise, "noise")) != _kind(x_0):
        raise InvalidArgument(
            f"noise has {_described(noise)}; it must be like x_0, {_described(x_0)}"
        )
    times = real_array(t, "t")
    if times.shape not in ((), tuple(x_0.shape[:1])):
        raise InvalidArgument(
            f"t has shape {times.shape}; expected a number, or one for each of {x_0.shape[0]} "
            "samples"
        )
    # By sample in any case: half precision then rounds once, whatever t is.
    scales = (scale(times) for scale in (schedule.alpha, schedule.sigma))
    return combined([np.broadcast_to(s, tuple(x_0.shape[:1])) for s in scales], [x_0, noise])


def inpainted(
    model: Model,
    schedule: NoiseSchedule,
    known: Any,
    mask: Any,
    *,
    prediction: str = "eps",
    seed: Seed = None,
) -> Model:
    """Return the model for data of which a part is known.

    Where the mask is 1 the model sees ``alpha known + sigma z`` instead of x, and its x_0 is
    replaced by what is known; where it is 0 both stay as they are, exactly; between, they are
    mixed. Runs that end at sigma = 0 or with ``final="denoise"`` hold what is known up to rounding.

    Parameters
    ----------
    model, schedule, prediction
        As in `diffusion.sample`; the prediction stays what it is.
    known
        Data, of the shape and dtype of the states; copied. What stands where the mask is 0 does not
        matter, NaN included.
    mask
        From 0 to 1, of any shape that broadcasts to that of `known`; 1 where it is known.
    seed
        Of z, as in `SeededNoise`. z is the same at all times, so that the model remains a function
        of x and t, which methods with several values of it rely on.

    Returns
    -------
    Model
        ``model(x, t)`` with answers like those of the one given.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used, such as a mask that does not broadcast to `known` or leaves
        [0, 1], or `model` was made for another schedule or prediction. The model that is returned
        raises it for states of other shape or dtype.
    UnknownName
        If `prediction` is not known.
    ModelOutputError
        By the model that is returned, if `model` answers in another shape or dtype.

    References
    ----------
    Lugmayr et al. (2022), "RePaint: inpainting using denoising diffusion probabilistic models",
    equation 8, with fixed noise and without resampling.
    """
    checked_model(model, "model")
    checked_schedule(schedule)
    check_prediction(prediction)
    check_made_for(model, schedule, prediction, user="what is put around it now")
    checked_array(known, "known")
    weight, xp = _weight(mask, known), array_namespace(known)
    known = xp.where(weight > 0.0, known, xp.zeros_like(known))
    z = SeededNoise(seed, known).initial()

    def filled(x: Any, t: float) -> Any:
        if _kind(x) != _kind(known):
            raise InvalidArgument(
                f"known has {_described(known)}, the state {_described(x)}; they must agree"
            )
        at = on_schedule(t, x)
        noised = combined([schedule.alpha(at), schedule.sigma(at)], [known, z])
        seen = weight * noised + (1.0 - weight) * x
        answer = asked(model, seen, t, "model")
        read = data_readout(schedule, prediction, at)
        if read is None:
            return answer
        p, q = read
        # What the answer lacks so that x, not what was seen in its place, leads to the mixed x_0.
        arrays = [known, seen, answer, noised, x]
        lacking = combined([1.0 / q, -p / q, -1.0, p / q, -p / q], arrays)
        return answer + weight * lacking

    return made_for(filled, MadeFor(schedule, prediction))


def _weight(mask: Any, known: Any) -> Any:
    """Return the mask in the kind of what is known."""
    xp = array_namespace(known)
    if not hasattr(mask, "shape") or array_namespace(mask) is not xp:
        raise InvalidArgument(
            f"mask is {type(mask).__name__}; it must be an array of the library of known"
        )
    try:
        fits = np.broadcast_shapes(tuple(mask.shape), tuple(known.shape)) == tuple(known.shape)
    except ValueError:
        fits = False
    if not fits:
        raise InvalidArgument(
            f"mask has shape {tuple(mask.shape)}, which does not broadcast to that of known, "
            f"{tuple(known.shape)}"
        )
    weight = xp.astype(mask, known.dtype)
    if not bool(xp.all((weight >= 0.0) & (weight <= 1.0))):
        raise InvalidArgument("mask has entries outside [0, 1]; 1 marks what is known")
    return weight


def _kind(x: Any) -> tuple[Any, ...]:
    return tuple(x.shape), x.dtype


def _described(x: Any) -> str:
    return f"shape {tuple(x.shape)} and dtype {x.dtype}"
