"""Arrays in, arrays out: kernels know nothing of differential equations.

`reference.Backend` is the definition, in plain array-API code for any library. `numba_` overrides
what is faster when compiled, for NumPy arrays; `torch_` shares the memory of CPU tensors with it.
Compiled code is loaded when it is first needed.
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from semilinear.errors import InvalidArgument, shown
from semilinear.kernels.reference import Backend

__all__ = [
    "COMPILED_FROM",
    "KINDS",
    "Backend",
    "backend_for",
    "keeping_backend_for",
    "phi_functions",
]

COMPILED_FROM = 256
"""Entries from which compiled kernels are used; smaller arrays do not pay for loading them."""

KINDS = ("float32", "float64", "complex64", "complex128")
"""Of states that are solved in, and of arguments of phi-functions."""


def backend_for(x: Any) -> Backend:
    """Return the kernels for states like the array `x`."""
    if isinstance(x, np.ndarray):
        if x.size < COMPILED_FROM or x.dtype.char not in "fdFD":
            return Backend(x)
        from semilinear.kernels.numba_ import NumPyBackend

        return NumPyBackend(x)
    if _is_served_as_numpy(x):
        from semilinear.kernels.torch_ import TorchBackend

        return TorchBackend(x)
    return Backend(x)


def keeping_backend_for(x: Any) -> Any:
    """Return kernels for tensors like `x` that copy answers on the way, None where there are none.

    See `kernels.keeping.KeepingBackend`.
    """
    if not _is_served_as_numpy(x):
        return None
    from semilinear.kernels.keeping import KeepingBackend

    return KeepingBackend(x)


def _is_served_as_numpy(x: Any) -> bool:
    """Tell whether `x` is a tensor of PyTorch for compiled kernels.

    Classes derived from it may have arithmetic of their own, which plain array-API code keeps.
    """
    if type(x).__module__.split(".")[0] != "torch" or x.numel() < COMPILED_FROM:
        return False
    from semilinear.kernels.torch_ import shares_memory

    return shares_memory(x)


def phi_functions(z: Any, highest: int) -> tuple[Any, ...]:
    """Return the phi-functions of exponential integrators at every entry of an array.

    phi_0(z) = e^z and, for k >= 1,

        phi_k(z) = integral over s in [0, 1] of e^{(1-s) z} s^(k-1) / (k-1)! ds
                 = sum over j >= 0 of z^j / (j+k)!.

    Parameters
    ----------
    z
        The arguments: an array of float32, float64, complex64 or complex128 in the machine's byte
        order, of any shape, from NumPy or another library that follows the array-API standard.
    highest
        The highest index, an integer of at least 1.

    Returns
    -------
    tuple of highest + 1 arrays
        (phi_0(z), ..., phi_highest(z)), each of z's library, shape and dtype.

    Raises
    ------
    InvalidArgument
        If z is no array of these dtypes, or highest no integer of at least 1.

    Notes
    -----
    Relative errors for highest <= 6, in units of the dtype's machine epsilon: at most 4 for real
    z <= 3 and 5 for real z <= 40; at most 5 for complex z with Re z <= 0, relative to
    abs(phi_k(z)). How, and what becomes of infinite and huge values: `kernels.phi_reference`.

    References
    ----------
    Hochbruck, Ostermann, Exponential integrators, Acta Numerica 19 (2010), section 2.1.
    """
    is_numpy = isinstance(z, np.ndarray)
    if is_numpy:
        takes = z.dtype.char in "fdFD" and z.dtype.isnative
    elif is_array_api_obj(z):
        takes = str(z.dtype).rpartition(".")[2] in KINDS
    else:
        raise InvalidArgument(f"z={shown(z)} must be an array; use numpy.asarray(z, dtype=float)")
    if not takes:
        raise InvalidArgument(
            f"z has dtype {z.dtype}; phi-functions take {', '.join(KINDS)} in the machine's byte "
            "order: convert z to one of these, such as float64 or complex128"
        )
    try:
        order = index(highest)
    except TypeError:
        order = 0
    if order < 1:
        raise InvalidArgument(
            f"highest={shown(highest)} must be an integer of at least 1, the highest k of phi_k"
        )
    if is_numpy and z.size >= COMPILED_FROM:
        from semilinear.kernels import phi_numba

        return phi_numba.phi_functions(z, order)
    from semilinear.kernels import phi_reference

    return phi_reference.phi_functions(z, order)
