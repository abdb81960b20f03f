"""What a solve is given: the linear part and the initial state, looked at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from semilinear.answers import copied, refuse_sparse
from semilinear.errors import InvalidArgument, NonFiniteError, shown
from semilinear.kernels import KINDS, Backend
from semilinear.propagators import Propagator
from semilinear.propagators.base import refuse_complex


def checked_linear(linear: Any, nonlinear: Any = None) -> Propagator:
    """Return a linear part, or say how what was given is wrapped as one.

    `nonlinear` is looked at only to see whether the two were given in the other order.
    """
    if isinstance(linear, Propagator):
        return linear
    if isinstance(nonlinear, Propagator):
        raise InvalidArgument(
            f"linear={shown(linear)} and nonlinear={nonlinear!r} are in the other order: the "
            "linear part comes first, then N(t, y)"
        )
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


def check_args(args: Any) -> None:
    """Refuse further arguments of N that are no tuple."""
    if not isinstance(args, tuple):
        instead = "give tuple(args)" if isinstance(args, list) else f"such as ({args!r},)"
        raise InvalidArgument(f"args={shown(args)} must be a tuple; {instead}")


def initial_state(y0: Any) -> Any:
    """Return y0 as an array of a kind that is solved in, with finite entries, and a copy.

    Lists and integers become float64; foreign byte orders become the machine's.
    """
    refuse_sparse(y0, "y0")
    y = y0
    if isinstance(y0, list | tuple | float | int | complex):
        try:
            y = np.asarray(y0)
        except ValueError:
            raise InvalidArgument("y0 is a ragged list; give an array") from None
    if isinstance(y, np.ndarray | np.generic):
        y = _plain(y)
    elif not hasattr(y, "dtype") or not hasattr(y, "shape"):
        raise InvalidArgument(f"y0 must be an array, got {type(y).__name__}; use numpy.asarray(y0)")
    name = str(y.dtype).rpartition(".")[2]
    if name not in KINDS:
        raise InvalidArgument(f"y0 has dtype {y.dtype}; {_remedy(name)}")
    y = copied(y)  # the run keeps it, whatever becomes of the caller's
    try:
        backend = Backend(y)
    except TypeError:
        raise InvalidArgument(
            f"y0 is a {type(y).__name__}, an array of no library that solve works in; use "
            "numpy.asarray(y0)"
        ) from None
    if not backend.is_finite(y):
        raise NonFiniteError("y0 has NaN or infinite entries; start from finite numbers")
    return y


def _plain(y: Any) -> np.ndarray:
    """Return a NumPy array in the machine's byte order, integers as float64."""
    if isinstance(y, np.ma.MaskedArray):
        raise InvalidArgument(
            "y0 is a masked array, and a solve knows no masks: give y0.filled(value) or the "
            "entries that are wanted"
        )
    kind = np.dtype(np.float64) if y.dtype.kind in "iu" else y.dtype.newbyteorder("=")
    return np.asarray(y, dtype=kind)


def _remedy(name: str) -> str:
    """Return what to do with a state of a kind that is not solved in."""
    if name.startswith(("float", "complex", "bfloat")):
        wider = "complex128" if name.startswith("c") else "float64"
        return (
            f"solve works in {', '.join(KINDS)}: convert it to one of these, such as {wider}, "
            "which is the precision of the coefficients"
        )
    if name == "object":
        return "some entry is not a number of fixed size: make an array of float64 of it"
    return "it must hold numbers: convert it to float64 or complex128"


def check_fit(linear: Propagator, y: Any, span: tuple[float, float]) -> None:
    """Raise `InvalidArgument` if the linear part does not fit states like y.

    Whether functions L(t) and B(t) are complex shows in their values only, here on a short piece of
    the interval; the run looks at the rest.
    """
    complex_state = str(y.dtype).rpartition(".")[2].startswith("complex")
    linear.check_state(tuple(y.shape), complex_state, argument="y0")
    if linear.form == "scalar" and not complex_state:
        t0, t1 = span
        refuse_complex([linear.flow(t0, t0 + 1e-3 * (t1 - t0)), linear.input_weight(t0)])
