"""What combinators of models share: asking one model, and adding arrays up in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semilinear.answers import copied, wrong_output
from semilinear.diffusion.arrays import on_host
from semilinear.diffusion.models import Model
from semilinear.diffusion.predictions import readout
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.errors import InvalidArgument
from semilinear.kernels import Backend, backend_for


def on_schedule(t: Any, x: Any) -> Any:
    """Return the time of a call as schedules take it: a number, or one for each sample of x."""
    shape = tuple(getattr(t, "shape", ()))
    if not shape:
        return t
    if shape != tuple(x.shape[:1]):
        raise InvalidArgument(
            f"t has shape {shape}; expected a number, or one for each of the samples of x, which "
            f"has shape {tuple(x.shape)}"
        )
    return on_host(t)


def asked(model: Model, x: Any, t: float, argument: str) -> Any:
    """Return the answer of a model, an array like x; `argument` names the model in messages.

    The model gets copies of x and t, since it may write into what it is given. The answer stays in
    its memory: a caller that keeps it over the next call copies it first.
    """
    answer = model(copied(x), copied(t))
    shape, dtype = getattr(answer, "shape", None), getattr(answer, "dtype", None)
    if shape is None or tuple(shape) != tuple(x.shape) or dtype != x.dtype:
        raise wrong_output(f"{argument} at t = {t}", answer, Backend(x))
    return answer


def combined(coefficients: Sequence[Any], arrays: Sequence[Any]) -> Any:
    """Return ``sum_j c_j a_j`` of arrays of one kind, in one pass over memory where compiled.

    A coefficient is a number, or an array with one for each entry of the first axis.
    """
    backend = backend_for(arrays[0])
    taken = tuple(backend.take(array) for array in arrays)
    if any(array is None for array in taken):  # some record gradients, and the first does not
        backend, taken = Backend(arrays[0]), tuple(arrays)
    if any(np.ndim(c) for c in coefficients):
        samples = arrays[0].shape[:1]
        row = [np.broadcast_to(np.asarray(c, dtype=float), samples) for c in coefficients]
        (total,), _ = backend.combine_samples(backend.prepare([row], "samples"), taken, False)
        return backend.give(total)
    (total,), _ = backend.combine_scalar(np.array([coefficients], dtype=float), taken, False)
    return backend.give(total)


def data_readout(schedule: NoiseSchedule, prediction: str, t: Any) -> tuple[Any, Any] | None:
    """Return (p, q) with ``x_0 = p x + q answer``, or None where no answer leads to another x_0.

    That is at sigma = 0, where x_0 = x / alpha, and for some predictions at alpha = 0. At an array
    of times p and q are arrays.
    """
    read = readout(prediction, schedule.alpha(t), schedule.sigma(t))
    good = np.isfinite(read.p_x0) & np.isfinite(read.q_x0) & (read.q_x0 != 0.0)
    if not np.any(good):
        return None
    if not np.all(good):
        raise InvalidArgument(
            f"t: at {t[~good][0]:.9g}, the time of some samples and not of others, alpha or sigma "
            "is 0 and the answer leads to no other x_0; run those apart"
        )
    return (read.p_x0, read.q_x0) if np.ndim(t) else (float(read.p_x0), float(read.q_x0))
