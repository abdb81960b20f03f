"""Nonlinear terms of the problems in `semilinear.problems`, compiled, with transforms within.

Each function returns a jitted ``N(t, u, out)`` that writes N into `out`; u and out are contiguous
arrays of the shape of the state, complex128 where nothing else is said. Terms of the same arguments
are made once. Sizes are refused as the transforms refuse them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np

from semilinear.kernels.fft import complex_fft, real_fft, real_fft2

Term = Callable[[float, np.ndarray, np.ndarray], None]

# Terms of one size share its transforms, which are what takes long to compile.
_real, _complex, _real_plane = cache(real_fft), cache(complex_fft), cache(real_fft2)


@cache
def square(points: int) -> Term:
    """Return ``N = rfft(u^2)`` of half spectra, shape (points / 2 + 1,)."""
    rfft, irfft = _real(points)

    @numba.njit(nogil=True)
    def term(t: float, u: Any, out: Any) -> None:
        v = np.empty(points)
        irfft(u, v)
        for i in range(points):
            v[i] *= v[i]
        rfft(v, out)

    return term  # type: ignore[no-any-return]


@cache
def bistable(points: int) -> Term:
    """Return ``N = y - rfft(u^3)`` of half spectra y, shape (points / 2 + 1,)."""
    rfft, irfft = _real(points)

    @numba.njit(nogil=True)
    def term(t: float, u: Any, out: Any) -> None:
        v = np.empty(points)
        irfft(u, v)
        for i in range(points):
            v[i] *= v[i] * v[i]
        rfft(v, out)
        for i in range(out.size):
            out[i] = u[i] - out[i]

    return term  # type: ignore[no-any-return]


def bistable_between_walls(x: np.ndarray) -> Term:
    """Return ``N = u - u^3``, ``u = y + x``, of float64 states y of the shape of x."""

    @numba.njit(nogil=True)
    def term(t: float, u: Any, out: Any) -> None:
        for i in range(u.size):
            v = u[i] + x[i]
            out[i] = v - v * v * v

    return term  # type: ignore[no-any-return]


@cache
def cubic(points: int) -> Term:
    """Return ``N = fft(|u|^2 u)`` of spectra, shape (points,)."""
    fft, ifft = _complex(points)

    @numba.njit(nogil=True)
    def term(t: float, u: Any, out: Any) -> None:
        v = np.empty(points, np.complex128)
        ifft(u, v)
        for i in range(points):
            v[i] *= v[i].real * v[i].real + v[i].imag * v[i].imag
        fft(v, out)

    return term  # type: ignore[no-any-return]


@cache
def cubic_reaction(points: int, factor: complex) -> Term:
    """Return ``N = y - factor * fft2(|u|^2 u)`` of spectra y, shape (points, points)."""
    fft, ifft = _complex(points)
    shape = (points, points)

    @numba.njit(nogil=True)
    def term(t: float, u: Any, out: Any) -> None:
        # Rows, then columns as the rows of the transpose; back in the opposite order.
        rows, columns = np.empty(shape, np.complex128), np.empty(shape, np.complex128)
        ifft(u, rows)
        columns[...] = rows.T
        ifft(columns, columns)
        v = columns.reshape(-1)
        for i in range(v.size):
            v[i] *= v[i].real * v[i].real + v[i].imag * v[i].imag
        fft(columns, columns)
        rows[...] = columns.T
        fft(rows, rows)
        for i in range(points):
            for j in range(points):
                out[i, j] = u[i, j] - factor * rows[i, j]

    return term  # type: ignore[no-any-return]


@cache
def autocatalysis(
    points: int,
    source: tuple[float, float],
    decay: tuple[float, float],
    gain: tuple[float, float],
    doubled: int,
) -> Term:
    """Return ``N_i = source_i - decay_i w_i + gain_i p``, ``p = w_d^2 w_o``, with d = `doubled`.

    Two concentrations w by half spectra, shape (2, points, points / 2 + 1).
    """
    rfft2, irfft2 = _real_plane((points, points))
    twice, once = doubled, 1 - doubled

    @numba.njit(nogil=True)
    def term(t: float, u: Any, out: Any) -> None:
        w = np.empty((2, points, points))
        irfft2(u, w)
        a, b = w[twice].reshape(-1), w[once].reshape(-1)
        for i in range(a.size):
            a[i] *= a[i] * b[i]
        product = np.empty((points, points // 2 + 1), np.complex128)
        rfft2(w[twice], product)
        for c in range(2):
            for i in range(points):
                for j in range(points // 2 + 1):
                    out[c, i, j] = gain[c] * product[i, j] - decay[c] * u[c, i, j]
            out[c, 0, 0] += source[c] * points * points

    return term  # type: ignore[no-any-return]
