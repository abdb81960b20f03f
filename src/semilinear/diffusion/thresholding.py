"""Models whose x_0 is kept in the range of the data."""

from __future__ import annotations

from collections.abc import Callable
from math import floor, prod
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from semilinear.answers import checked_array, checked_samples
from semilinear.diffusion.model_calls import asked, combined, data_readout, on_schedule
from semilinear.diffusion.models import (
    MadeFor,
    Model,
    check_made_for,
    checked_model,
    made_for,
)
from semilinear.diffusion.predictions import check_prediction
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.schedules_base import checked_schedule
from semilinear.errors import InvalidArgument
from semilinear.given import finite_number


def thresholded(
    model: Model,
    schedule: NoiseSchedule,
    *,
    prediction: str = "eps",
    quantile: float = 0.995,
    largest: float = 1.0,
) -> Model:
    """Return the model with dynamic thresholding of x_0.

    Of each sample, with s the greater of `largest` and the quantile of |x_0| over all axes but the
    first: ``x_0 <- clip(x_0, -s, s) largest / s``.

    Parameters
    ----------
    model, schedule, prediction
        As in `diffusion.sample`; the prediction stays what it is.
    quantile
        Between 0 and 1; 1 takes the largest entry. Between two entries it is interpolated linearly.
    largest
        Bound of the data.

    Returns
    -------
    Model
        ``model(x, t)`` with answers like those of the one given.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used, is outside these bounds, or `model` was made for another
        schedule or prediction. The model that is returned raises it for states that are complex or
        have no axis.
    UnknownName
        If `prediction` is not known.
    ModelOutputError
        By the model that is returned, if `model` answers in another shape or dtype.

    References
    ----------
    Saharia et al. (2022), "Photorealistic text-to-image diffusion models with deep language
    understanding", section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> from semilinear import diffusion
    >>> model = thresholded(
    ...     lambda x, t: x, diffusion.EDM(), prediction="x0", quantile=1.0
    ... )
    >>> print(model(np.array([[4.0, -1.0], [0.5, 0.2]]), 1.0).tolist())
    [[1.0, -0.25], [0.5, 0.2]]
    """
    if not 0.0 <= finite_number("quantile", quantile) <= 1.0:
        raise InvalidArgument(f"quantile={quantile!r} must lie between 0 and 1")
    if not finite_number("largest", largest) > 0.0:
        raise InvalidArgument(f"largest={largest!r} must be positive")

    def change(data: Any) -> Any:
        return in_own_range(checked_samples(data, "x"), quantile, largest)

    return _with_data(model, schedule, prediction, change)


def in_own_range(data: Any, quantile: float, largest: float, most: float | None = None) -> Any:
    """Return data clipped to their own range of moduli and scaled to `largest`, sample by sample.

    With s the quantile of the moduli of a sample, moved into [`largest`, `most`]: entries are
    clipped to [-s, s] and divided by s / `largest`.
    """
    if 0 in data.shape:
        return data
    xp, count = array_namespace(data), data.shape[0]
    moduli = xp.abs(xp.reshape(data, (count, prod(data.shape[1:]))))
    s = xp.clip(_quantile(xp, moduli, quantile), largest, most)
    s = xp.reshape(s, (count, *[1] * (len(data.shape) - 1)))
    return xp.minimum(xp.maximum(data, -s), s) / (s / largest)


def clipped(
    model: Model,
    schedule: NoiseSchedule,
    *,
    prediction: str = "eps",
    low: float = -1.0,
    high: float = 1.0,
) -> Model:
    """Return the model with x_0 clipped to an interval, entry by entry.

    Parameters
    ----------
    model, schedule, prediction
        As in `diffusion.sample`; the prediction stays what it is.
    low, high
        Bounds of the data.

    Returns
    -------
    Model
        ``model(x, t)`` with answers like those of the one given.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used, `low` is not less than `high`, or `model` was made for
        another schedule or prediction. The model that is returned raises it for states that are
        complex.
    UnknownName
        If `prediction` is not known.
    ModelOutputError
        By the model that is returned, if `model` answers in another shape or dtype.
    """
    if not finite_number("low", low) < finite_number("high", high):
        raise InvalidArgument(f"low={low!r} must be less than high={high!r}")

    def change(data: Any) -> Any:
        return array_namespace(data).clip(data, low, high)

    return _with_data(model, schedule, prediction, change)


def _with_data(
    model: Model, schedule: NoiseSchedule, prediction: str, change: Callable[[Any], Any]
) -> Model:
    """Return the model whose x_0 is changed; entries that keep their x_0 keep their answer."""
    checked_model(model, "model")
    checked_schedule(schedule)
    check_prediction(prediction)
    check_made_for(model, schedule, prediction, user="what is put around it now")

    def changed(x: Any, t: float) -> Any:
        if "complex" in str(checked_array(x, "x").dtype):
            raise InvalidArgument(f"x has dtype {x.dtype}; complex numbers have no order to clip")
        answer = asked(model, x, t, "model")
        read = data_readout(schedule, prediction, on_schedule(t, x))
        if read is None:
            return answer
        p, q = read
        data = combined([p, q], [x, answer])
        # In this order: what did not change cancels exactly, and the answer is added last.
        return combined([1.0 / q, -1.0 / q, 1.0], [change(data), data, answer])

    return made_for(changed, MadeFor(schedule, prediction))


def _quantile(xp: Any, rows: Any, quantile: float) -> Any:
    """Return the quantile of each row, interpolated linearly."""
    place = quantile * (rows.shape[1] - 1)
    low = floor(place)
    high = min(low + 1, rows.shape[1] - 1)
    if isinstance(rows, np.ndarray):
        ordered = np.partition(rows, (low, high), axis=1)
    else:
        ordered = xp.sort(rows, axis=1)
    below, above = ordered[:, low], ordered[:, high]
    return below + (place - low) * (above - below)
