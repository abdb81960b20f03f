"""What a solve is given: the linear part, the interval, the initial state, looked at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from semilinear.course import checked_array
from semilinear.errors import InvalidArgument, NonFiniteError
from semilinear.kernels import Backend
from semilinear.propagators import Propagator
from semilinear.propagators.base import refuse_real_state


def checked_span(t_span: Any) -> tuple[float, float]:
    """Return (t0, t1) as floats, or refuse them."""
    try:
        t0, t1 = (float(t) for t in t_span)
    except (TypeError, ValueError):
        raise InvalidArgument(f"t_span={t_span!r} must be two numbers (t0, t1)") from None
    if not (np.isfinite(t0) and np.isfinite(t1)) or t0 == t1:
        raise InvalidArgument(f"t_span={t_span!r} must be finite with t0 != t1")
    return t0, t1


def checked_linear(linear: Any) -> Propagator:
    """Return a linear part, or say how what was given is wrapped as one."""
    if isinstance(linear, Propagator):
        return linear
    if hasattr(linear, "toarray"):
        raise InvalidArgument("linear is a sparse matrix; pass semilinear.Dense(linear.toarray())")
    if isinstance(linear, list | tuple) or getattr(linear, "ndim", 0) > 0:
        raise InvalidArgument(
            "linear is a bare array, which could mean one number per entry or a matrix: wrap it as "
            "semilinear.Diagonal(...) or semilinear.Dense(...)"
        )
    if callable(linear) or isinstance(linear, int | float | complex | np.generic | np.ndarray):
        raise InvalidArgument(
            f"linear={linear!r} must be a propagator: wrap it as semilinear.Scalar(...)"
        )
    raise InvalidArgument(f"linear={linear!r} must be a Scalar, Diagonal or Dense")


def initial_state(y0: Any) -> Any:
    """Return y0 as a floating array with finite entries; lists and integers become float64."""
    y = y0
    if isinstance(y0, list | tuple | float | int | complex):
        try:
            y = np.asarray(y0)
        except ValueError:
            raise InvalidArgument("y0 is a ragged list; give an array") from None
    if isinstance(y, np.ndarray | np.generic) and y.dtype.kind in "biu":
        y = np.asarray(y, dtype=np.float64)
    y = checked_array(y, "y0")
    if isinstance(y, np.ndarray):
        y = y.copy()  # N may write to what it is given
    if not Backend(y).is_finite(y):
        raise NonFiniteError("y0 has NaN or infinite entries; start from finite numbers")
    return y


def check_fit(linear: Propagator, y: Any, span: tuple[float, float]) -> None:
    """Raise `InvalidArgument` if the linear part does not fit states like y.

    Whether functions L(t) and B(t) are complex shows in their values only, here on a short piece of
    the interval.
    """
    complex_state = str(y.dtype).rpartition(".")[2].startswith("complex")
    linear.check_state(tuple(y.shape), complex_state, argument="y0")
    if linear.form == "scalar" and not complex_state:
        t0, t1 = span
        values = linear.flow(t0, t0 + 1e-3 * (t1 - t0)), linear.input_weight(t0)
        if any(np.iscomplexobj(value) for value in values):
            raise refuse_real_state("y0")
