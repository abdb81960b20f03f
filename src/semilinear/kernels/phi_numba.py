"""The phi-functions of a NumPy array in one fused pass: same names as in `phi_reference`."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from semilinear.kernels._jit import compiled
from semilinear.kernels.exp_numba import BEYOND, FARTHEST, exp
from semilinear.kernels.phi_reference import SERIES_REACH, reciprocal_factorials

# Elements taken at a time. The passes over a block vectorise; its work space stays in the cache.
BLOCK = 128
LARGEST = float(np.finfo(np.float64).max)


def phi_functions(z: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
    """Evaluate phi_0, ..., phi_count at every element of z.

    The functions, the choice between series and recurrence and the special values are those of
    `semilinear.kernels.phi_reference.phi_functions`. Everything is computed in double precision
    and rounded once, so single precision results are accurate to one rounding.

    Parameters
    ----------
    z : numpy.ndarray of float32, float64, complex64 or complex128, of any shape and strides
        The arguments.
    count : int
        The highest index, 1 or more.

    Returns
    -------
    tuple of count + 1 numpy.ndarray
        (phi_0(z), ..., phi_count(z)), each of z's shape and dtype: views of one new array.
    """
    out = np.empty((count + 1, *z.shape), z.dtype)
    rows = out.reshape(count + 1, z.size)
    if z.dtype.kind == "c":
        complex_pass(z.ravel(), _coefficients(count), rows)
    else:
        real_pass(z.ravel(), _coefficients(count), SERIES_REACH, rows)
    return tuple([out[k, ...] for k in range(count + 1)])


@functools.cache
def _coefficients(count: int) -> np.ndarray:
    # An argument of the kernels, as is SERIES_REACH: a constant would be compiled in, and kept in
    # Numba's cache after a change in the file that defines it.
    return np.array(reciprocal_factorials(count))


@compiled
def real_pass(z: Any, inverse: Any, reach: float, out: Any) -> None:
    """Write phi_k(z[i]) to out[k, i] for real z."""
    count = out.shape[0] - 1
    # Rows of one array would defeat the compiler's alias check, and the loops not vectorise.
    size = np.empty(BLOCK)
    near = np.empty(BLOCK)
    reciprocal = np.empty(BLOCK)
    phi = np.empty(BLOCK)
    partial = np.empty(BLOCK)
    for start in range(0, z.size, BLOCK):
        x = z[start : start + BLOCK]
        row = out[0, start : start + BLOCK]
        any_near, any_far = False, False
        for i in range(x.size):
            a = np.float64(x[i])
            size[i] = a / reach if a > 0.0 else -a
            # A NaN is near: the series keeps it.
            is_near = not size[i] >= count
            any_near |= is_near
            near[i] = a if is_near else 0.0
            # Of no more than LARGEST, so that the recurrence gives inf at inf, not inf/inf.
            reciprocal[i] = 1.0 / min(a, LARGEST)
            any_far |= bool((abs(a) > FARTHEST) & (abs(a) < BEYOND))
            phi[i] = exp(a)
        if any_far:
            for i in range(x.size):
                a = np.float64(x[i])
                if FARTHEST < abs(a) < BEYOND:
                    phi[i] = math.exp(a)
        for i in range(x.size):
            row[i] = phi[i]
        if any_near:
            _series(near[: x.size], inverse, partial, out, start)
        for k in range(1, count + 1):
            c = inverse[k - 1]
            row = out[k, start : start + BLOCK]
            for i in range(row.size):
                phi[i] = (phi[i] - c) * reciprocal[i]
                if size[i] >= k:
                    row[i] = phi[i]


@compiled
def complex_pass(z: Any, inverse: Any, out: Any) -> None:
    """Write phi_k(z[i]) to out[k, i] for complex z."""
    count = out.shape[0] - 1
    size = np.empty(BLOCK)
    near = np.empty(BLOCK, np.complex128)
    reciprocal = np.empty(BLOCK, np.complex128)
    rise = np.empty(BLOCK, np.complex128)
    partial = np.empty(BLOCK, np.complex128)
    for start in range(0, z.size, BLOCK):
        w = z[start : start + BLOCK]
        row = out[0, start : start + BLOCK]
        any_near = False
        for i in range(w.size):
            a = np.complex128(w[i])
            size[i] = math.sqrt(a.real * a.real + a.imag * a.imag)
            is_near = not size[i] >= count
            any_near |= is_near
            near[i] = a if is_near else 0j
            # Only from abs(z) = 1 on is there a recurrence; complex division by 0 would raise.
            reciprocal[i] = 1.0 / (1.0 + 0j if size[i] < 1.0 else a)
            row[i], rise[i] = _exp_and_expm1(a)
        if any_near:
            _series(near[: w.size], inverse, partial, out, start)
        for k in range(1, count + 1):
            c = inverse[k]
            row = out[k, start : start + BLOCK]
            for i in range(row.size):
                phi = rise[i] * reciprocal[i]
                rise[i] = phi - c
                if size[i] >= k:
                    row[i] = phi


@compiled
def _series(z: Any, inverse: Any, partial: Any, out: Any, start: int) -> None:
    """Write phi_k(z[i]) to out[k, start + i], k >= 1, by Horner's rule; partial is work space."""
    count = out.shape[0] - 1
    partial[:] = inverse[-1]
    for m in range(inverse.size - 2, 0, -1):
        c = inverse[m]
        if m > count:
            for i in range(z.size):
                partial[i] = partial[i] * z[i] + c
        else:
            row = out[m, start : start + BLOCK]
            for i in range(row.size):
                phi = partial[i] * z[i] + c
                partial[i] = phi
                row[i] = phi


@compiled
def _exp_and_expm1(z: Any) -> Any:
    """Return e^z and e^z - 1, the latter to a small error relative to its modulus.

    With z = x + iy, e^z - 1 = expm1(x) cos y - (1 - cos y) + i e^x sin y, in which
    1 - cos y = sin^2 y / (1 + cos y) where cos y > 0: e^z - 1 itself cancels near 2 pi i m.
    """
    growth = math.exp(z.real)
    cosine = math.cos(z.imag)
    sine = math.sin(z.imag)
    excess = math.expm1(z.real) if abs(z.real) < 1.0 else growth - 1.0
    # Both forms of 1 - cos y, and no branch: the processor could not predict it.
    bulk = 1.0 + abs(cosine)
    quotient = sine * sine / bulk
    versine = quotient if cosine > 0.0 else bulk
    imag = growth * sine
    return complex(growth * cosine, imag), complex(excess * cosine - versine, imag)
