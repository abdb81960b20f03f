"""FFTW's transforms as functions that jitted code can call, by the library that pyfftw brings."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import pyfftw

DESTROY_INPUT, PATIENT = 1, 32

# The symbols of libfftw3 are found through the extension module that is linked to it.
_LIBRARY = ctypes.CDLL(pyfftw.pyfftw.__file__)


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_LIBRARY, name)
    function.restype, function.argtypes = result, arguments
    return function


_POINTER = ctypes.c_size_t  # Numba takes addresses as integers
_plan_r2c = _function(
    "fftw_plan_dft_r2c_1d", _POINTER, ctypes.c_int, _POINTER, _POINTER, ctypes.c_uint
)
_plan_c2r = _function(
    "fftw_plan_dft_c2r_1d", _POINTER, ctypes.c_int, _POINTER, _POINTER, ctypes.c_uint
)
_execute = _function("fftw_execute", None, _POINTER)
_execute_r2c = _function("fftw_execute_dft_r2c", None, _POINTER, _POINTER, _POINTER)
_execute_c2r = _function("fftw_execute_dft_c2r", None, _POINTER, _POINTER, _POINTER)


class Plans(NamedTuple):
    """Plans of one size for the arrays that they were made with, which must live as long."""

    forward: int
    inverse: int
    arrays: tuple[np.ndarray, np.ndarray]


def plans(n: int) -> Plans:
    """Return plans of the real transforms of n points; the inverse one destroys its input."""
    x, u = pyfftw.zeros_aligned(n), pyfftw.zeros_aligned(n // 2 + 1, dtype=complex)
    forward = _plan_r2c(n, x.ctypes.data, u.ctypes.data, PATIENT)
    inverse = _plan_c2r(n, u.ctypes.data, x.ctypes.data, PATIENT | DESTROY_INPUT)
    x[:], u[:] = 0.0, 0.0
    return Plans(forward, inverse, (x, u))


def eight_transforms(made: Plans) -> Callable[[int], None]:
    """Return a jitted loop of four pairs of transforms and nothing else."""
    execute, forward, inverse = _execute, made.forward, made.inverse

    @numba.njit
    def loop(count: int) -> None:
        for _ in range(4 * count):
            execute(inverse)
            execute(forward)

    return loop  # type: ignore[no-any-return]


def square(made: Plans) -> Callable[..., None]:
    """Return the jitted term ``N = rfft(irfft(u)^2)``.

    Arrays may be anywhere at multiples of 16 bytes, which FFTW holds to be aligned.
    """
    execute_r2c, execute_c2r = _execute_r2c, _execute_c2r
    forward, inverse, n = made.forward, made.inverse, made.arrays[0].size
    factor = 1.0 / n**2

    @numba.njit(nogil=True)
    def term(t: float, u: Any, out: Any) -> None:
        v = np.empty(n)
        out[:] = u  # the inverse transform destroys its input, and u must stay
        execute_c2r(inverse, out.ctypes.data, v.ctypes.data)
        for i in range(n):
            v[i] *= v[i] * factor
        execute_r2c(forward, v.ctypes.data, out.ctypes.data)

    return term  # type: ignore[no-any-return]
