"""N as a first-class function N(t, u, out) of flat states, as the loops call it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.errors import NumbaError

from semilinear.errors import InvalidArgument
from semilinear.kernels.callback import called_back


def function_signature(dtype: np.dtype) -> Any:
    """Return the signature of N(t, u, out) for flat states."""
    vector = types.Array(numba.from_dtype(np.dtype(dtype)), 1, "C")
    return types.void(types.float64, vector, vector)


def as_function(
    nonlinear: Any, shape: tuple[int, ...], dtype: np.dtype, args: tuple[Any, ...]
) -> Any:
    """Return N(t, u, out) for flat states from one for states of a shape, compiled."""
    if args or len(shape) != 1:
        try:
            nonlinear = _flat(nonlinear, shape, args)
        except TypeError:  # no hash
            nonlinear = _flat.__wrapped__(nonlinear, shape, args)
    arguments = function_signature(dtype).args
    if arguments not in nonlinear.overloads:
        try:
            nonlinear.compile(arguments)
        except (RuntimeError, NumbaError) as error:
            raise InvalidArgument(
                f"nonlinear does not compile as N(t, u, out) for arrays of shape {shape} and dtype "
                f"{dtype}: {str(error).strip().splitlines()[0]}; give numba.njit no signature, and "
                "further arguments by args="
            ) from error
    if nonlinear.overloads[arguments].signature.return_type != types.none:
        raise InvalidArgument("nonlinear must write N to out, its third argument, and return None")
    return nonlinear


def python_function(dtype: np.dtype) -> Any:
    """Return N(t, u, out) for flat states that calls Python back; see `callback`."""
    called_back.compile(function_signature(dtype).args)
    return called_back


@lru_cache(maxsize=64)
def _flat(nonlinear: Any, shape: tuple[int, ...], args: tuple[Any, ...]) -> Any:
    """Return a function of vectors that gives `nonlinear` its shape and its further arguments."""

    @numba.njit(nogil=True)
    def flat(t: float, u: Any, out: Any) -> None:
        nonlinear(t, u.reshape(shape), out.reshape(shape), *args)

    return flat
