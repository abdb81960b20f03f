"""Fast Fourier transforms that functions compiled by Numba can call.

A nonlinear term of a spectral method that is jitted, so that the whole loop over the steps is
compiled, needs transforms within. Each function of this module makes a pair of jitted functions,
forward and inverse, for one size::

    rfft, irfft = real_fft(256)

    @numba.njit
    def nonlinear(t, u, out):
        v = np.empty(256)
        irfft(u, v)
        rfft(v * v, out)

The conventions are NumPy's: the forward transform has no factor, the inverse one has 1/n, and the
spectrum of n real numbers has the n // 2 + 1 of non-negative frequency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numba
import numpy as np
from numpy.typing import DTypeLike

from semilinear.kernels.fft_arrays import (
    complex_to_complex,
    half_to_real,
    half_to_real_2d,
    real_to_half,
    real_to_half_2d,
)
from semilinear.kernels.fft_plan import (
    checked_shape,
    checked_size,
    complex_plans,
    plane_plans,
    real_dtype,
    real_dtype_of_complex,
    real_plans,
)

Transform: TypeAlias = Callable[[np.ndarray, np.ndarray], None]
"""A jitted function ``transform(x, out)`` that writes the transform of x into `out`."""


def real_fft(n: int, *, dtype: DTypeLike = np.float64) -> tuple[Transform, Transform]:
    """Make the transforms of n real numbers along the last axis, as ``(rfft, irfft)``.

    ``rfft(x, out)`` writes ``out_k = sum_j x_j exp(-2 pi i j k / n)``, k = 0, ..., n/2, and
    ``irfft(u, out)`` the inverse of it, with the factor 1/n; the imaginary parts of u_0 and u_{n/2}
    do not count. Both are compiled at their first call, may be called from jitted functions and
    from several threads at once, and leave their input as it is.

    Parameters
    ----------
    n : int
        Number of points: even, with no prime factor above 5. Multiples of 128 are fastest.
    dtype : dtype
        Of the real numbers: float64, or float32 with complex64 spectra.

    Returns
    -------
    rfft : callable
        ``rfft(x, out)`` for x of shape (..., n) and out of shape (..., n/2 + 1).
    irfft : callable
        ``irfft(u, out)`` for u of shape (..., n/2 + 1) and out of shape (..., n).

    Raises
    ------
    InvalidArgument
        If there is no transform of this size or dtype. The functions that are made raise it for
        arrays of other shapes, and Numba a ``TypingError`` for arrays of other dtypes.

    Examples
    --------
    >>> rfft, irfft = real_fft(8)
    >>> spectrum = np.empty(5, complex)
    >>> rfft(np.ones(8), spectrum)
    >>> spectrum.real
    array([8., 0., 0., 0., 0.])
    """
    n = checked_size("n", n, 2)
    forward, inverse = real_plans(n, real_dtype(dtype))

    @numba.njit(nogil=True)
    def rfft(x, out):  # type: ignore[no-untyped-def]
        real_to_half(n, forward, x, out)

    @numba.njit(nogil=True)
    def irfft(u, out):  # type: ignore[no-untyped-def]
        half_to_real(n, inverse, u, out)

    return rfft, irfft


def complex_fft(n: int, *, dtype: DTypeLike = np.complex128) -> tuple[Transform, Transform]:
    """Make the transforms of n complex numbers along the last axis, as ``(fft, ifft)``.

    ``fft(x, out)`` writes ``out_k = sum_j x_j exp(-2 pi i j k / n)``, k = 0, ..., n - 1, and
    ``ifft(u, out)`` the inverse of it, with the factor 1/n. `out` may be the input itself. For the
    rest see `real_fft`.

    Parameters
    ----------
    n : int
        Number of points, with no prime factor above 5. Multiples of 64 are fastest.
    dtype : dtype
        complex128 or complex64.

    Raises
    ------
    InvalidArgument
        If there is no transform of this size or dtype.
    """
    n = checked_size("n", n, 1)
    forward, inverse = complex_plans(n, real_dtype_of_complex(dtype))

    @numba.njit(nogil=True)
    def fft(x, out):  # type: ignore[no-untyped-def]
        complex_to_complex(n, forward, x, out, 1.0)

    @numba.njit(nogil=True)
    def ifft(u, out):  # type: ignore[no-untyped-def]
        complex_to_complex(n, inverse, u, out, 1.0 / n)

    return fft, ifft


def real_fft2(
    shape: Sequence[int], *, dtype: DTypeLike = np.float64
) -> tuple[Transform, Transform]:
    """Make the transforms of m x n real numbers along the last two axes, as ``(rfft2, irfft2)``.

    ``rfft2(x, out)`` is the transform of `real_fft` along the last axis and that of `complex_fft`
    along the one before it, and ``irfft2(u, out)`` the inverse, with the factor 1/(m n).

    Parameters
    ----------
    shape : pair of int
        m and n, with no prime factor above 5; n is even.
    dtype : dtype
        Of the real numbers: float64, or float32 with complex64 spectra.

    Returns
    -------
    rfft2 : callable
        ``rfft2(x, out)`` for x of shape (..., m, n) and out of shape (..., m, n/2 + 1).
    irfft2 : callable
        ``irfft2(u, out)`` for u of shape (..., m, n/2 + 1) and out of shape (..., m, n).

    Raises
    ------
    InvalidArgument
        If there is no transform of this size or dtype.
    """
    m, n = checked_shape(shape)
    (row, row_inverse), (column, column_inverse), layout = plane_plans((m, n), real_dtype(dtype))

    @numba.njit(nogil=True)
    def rfft2(x, out):  # type: ignore[no-untyped-def]
        real_to_half_2d((m, n), layout, row, column, x, out)

    @numba.njit(nogil=True)
    def irfft2(u, out):  # type: ignore[no-untyped-def]
        half_to_real_2d((m, n), layout, row_inverse, column_inverse, u, out)

    return rfft2, irfft2
