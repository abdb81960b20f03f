"""The phi-functions of a NumPy array, block by block: same names as in `phi_reference`.

Compiled code calls `phi_pass`, or `phi_block` where it goes on with a block in the cache.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from semilinear.kernels._jit import compiled, contracted
from semilinear.kernels.exp_numba import LEAST, VANISHING, exp, exp_and_expm1
from semilinear.kernels.phi_reference import SERIES_REACH, reciprocal_factorials
from semilinear.kernels.sincos_numba import WIDEST, sincos

# Elements taken at a time. The passes over a block vectorise; its work space stays in the cache.
BLOCK = 192
LARGEST = float(np.finfo(np.float64).max)
# Squares of numbers up to HUGE are finite; beyond, SHRINK makes them so.
HUGE, SHRINK = 2.0**500, 2.0**-600

# Rows of work space. A pass that writes complex numbers does little else: it would not run
# vectorised.
SIZE, X, Y, U, V, PHI_X, PHI_Y, NEAR_X, NEAR_Y, P, Q = range(11)
# Of those that are free before 1 / z, the recurrence and the series: e^x, e^x - 1, sin y, ...
GROWTH, EXCESS, SINE, COSINE, VERSINE = U, V, NEAR_X, NEAR_Y, P
ROWS = 11


def phi_functions(z: np.ndarray, highest: int) -> tuple[np.ndarray, ...]:
    """Evaluate phi_0, ..., phi_highest at every element of z.

    The functions, the choice between series and recurrence and the special values are those of
    `semilinear.kernels.phi_reference.phi_functions`. Everything is computed in double precision
    and rounded once, so single precision results are accurate to one rounding.

    Parameters
    ----------
    z : numpy.ndarray of float32, float64, complex64 or complex128, of any shape and strides
        The arguments.
    highest : int
        The highest index, 1 or more.

    Returns
    -------
    tuple of highest + 1 numpy.ndarray
        (phi_0(z), ..., phi_highest(z)), each of z's shape and dtype: views of one new array.
    """
    out = np.empty((highest + 1, *z.shape), z.dtype)
    rows = out.reshape(highest + 1, z.size)
    phi_pass(z.ravel(), _coefficients(highest), SERIES_REACH, rows)
    keep_subnormal(z.ravel(), rows[0])
    return tuple([out[k, ...] for k in range(highest + 1)])


@functools.cache
def _coefficients(count: int) -> np.ndarray:
    # An argument of the kernels, as is SERIES_REACH: a constant would be compiled in, and kept in
    # Numba's cache after a change in the file that defines it.
    return np.array(reciprocal_factorials(count))


@compiled
def keep_subnormal(z: Any, out: Any) -> None:
    """Write e^z[i] to out[i] where `phi_pass` takes it for 0."""
    found = False
    for i in range(z.size):
        found |= bool((z[i].real < LEAST) & (z[i].real > VANISHING))
    if found:
        for i in range(z.size):
            if VANISHING < z[i].real < LEAST:
                out[i] = np.exp(z[i])


@compiled
def phi_pass(z: Any, inverse: Any, reach: float, out: Any) -> None:
    """Write phi_k(z[i]) to out[k, i], but 0 for phi_0 where Re z < LEAST."""
    length = block_length(z.size)
    phis, work = space(z, out.shape[0], length)
    for begin in range(0, z.size, length):
        own = z[begin : begin + length]
        phi_block(own, 1.0, inverse, reach, work, phis)
        for k in range(out.shape[0]):
            row = out[k, begin : begin + length]
            for i in range(row.size):
                row[i] = phis[k, i]


@compiled
def block_length(size: int) -> int:
    """Return a length of blocks, BLOCK or more, for which the last is not much shorter."""
    return max(1, -(-size // max(1, size // BLOCK)))


def space(values: Any, rows: int, length: int) -> Any:
    """Return rows for phi-functions of one block and the work space of `phi_block`."""


@overload(space, strict=False)
def _space(values: Any, rows: int, length: int) -> Any:
    dtype = np.complex128 if isinstance(values.dtype, types.Complex) else np.float64
    return lambda values, rows, length: (np.empty((rows, length), dtype), np.empty((ROWS, length)))


def phi_block(values: Any, scale: float, inverse: Any, reach: float, work: Any, phis: Any) -> None:
    """Write phi_k(scale values[i]) to phis[k, i], in compiled code."""


@overload(phi_block, strict=False)
def _phi_block(values: Any, scale: float, inverse: Any, reach: float, work: Any, phis: Any) -> Any:
    if isinstance(values.dtype, types.Complex):
        return lambda values, scale, inverse, reach, work, phis: complex_block(
            values, scale, inverse, work, phis
        )
    return lambda values, scale, inverse, reach, work, phis: real_block(
        values, scale, inverse, reach, work, phis
    )


@contracted
def real_block(values: Any, scale: float, inverse: Any, reach: float, work: Any, phis: Any) -> None:
    """Write phi_k(z[i]) to phis[k, i] for real z = scale values."""
    count = phis.shape[0] - 1
    all_vanish, any_near, shrink = True, False, 1.0 / reach
    for i in range(values.size):
        x = scale * values[i]
        size = x * shrink if x > 0.0 else -x
        work[X, i] = x
        work[SIZE, i] = size
        all_vanish &= x < LEAST
        # A NaN is near: the series keeps it.
        any_near |= not size >= count
    if all_vanish:  # as in most blocks of a stiff spectrum
        for i in range(values.size):
            phis[0, i] = 0.0
    else:
        for i in range(values.size):
            phis[0, i] = exp(work[X, i])
    if count == 0:
        return
    for i in range(values.size):
        # Of no more than LARGEST, so that the recurrence gives inf at inf, not inf/inf.
        work[U, i] = 1.0 / min(work[X, i], LARGEST)
    for k in range(1, count + 1):
        c = inverse[k - 1]
        for i in range(values.size):
            phis[k, i] = (phis[k - 1, i] - c) * work[U, i]
    if any_near:
        begin, end = bounds(values.size, count, work)
        real_series(begin, end, inverse, work, phis)


@compiled
def bounds(count: int, limit: float, work: Any) -> Any:
    """Return where sizes below a limit begin and end; there is one, or a NaN."""
    begin, end = 0, count
    while work[SIZE, begin] >= limit:
        begin += 1
    while work[SIZE, end - 1] >= limit:
        end -= 1
    # Unsigned: an index that may be negative keeps a loop from vectorising.
    return np.uintp(begin), np.uintp(end)


@contracted
def real_series(begin: int, end: int, inverse: Any, work: Any, phis: Any) -> None:
    """Write phi_k(z[i]) to phis[k, i], k > size[i], by Horner's rule."""
    count = phis.shape[0] - 1
    m = inverse.size - 1
    for i in range(begin, end):
        work[NEAR_X, i] = 0.0 if work[SIZE, i] >= count else work[X, i]
        work[P, i] = inverse[m]
    while m - 4 > count:
        a, b, c, d = inverse[m - 1], inverse[m - 2], inverse[m - 3], inverse[m - 4]
        for i in range(begin, end):
            x = work[NEAR_X, i]
            work[P, i] = (((work[P, i] * x + a) * x + b) * x + c) * x + d
        m -= 4
    for k in range(m - 1, 0, -1):
        c = inverse[k]
        for i in range(begin, end):
            work[P, i] = work[P, i] * work[NEAR_X, i] + c
        if k <= count:
            for i in range(begin, end):
                phis[k, i] = phis[k, i] if work[SIZE, i] >= k else work[P, i]


@contracted
def complex_block(values: Any, scale: float, inverse: Any, work: Any, phis: Any) -> None:
    """Write phi_k(z[i]) to phis[k, i] for complex z = scale values."""
    count = phis.shape[0] - 1
    any_near = False
    for i in range(values.size):
        x, y = scale * values[i].real, scale * values[i].imag
        size = x * x + y * y
        work[X, i], work[Y, i], work[SIZE, i] = x, y, size
        any_near |= not size >= count * count
    exp_and_rise(values.size, work, phis)
    if count == 0:
        return
    invert(values.size, work)
    for k in range(1, count + 1):
        c = inverse[k - 1] if k > 1 else 0.0
        for i in range(values.size):
            p, q, u, v = work[PHI_X, i] - c, work[PHI_Y, i], work[U, i], work[V, i]
            work[PHI_X, i], work[PHI_Y, i] = p * u - q * v, p * v + q * u
        for i in range(values.size):
            phis[k, i] = complex(work[PHI_X, i], work[PHI_Y, i])
    if any_near:
        begin, end = bounds(values.size, count * count, work)
        complex_series(begin, end, inverse, work, phis)


@contracted
def exp_and_rise(count: int, work: Any, phis: Any) -> None:
    """Write e^z to phis[0] and e^z - 1, to a small error relative to its modulus, to `work`.

    With z = x + iy, e^z - 1 = expm1(x) cos y - (1 - cos y) + i e^x sin y: e^z - 1 itself cancels
    near 2 pi i m.
    """
    all_imaginary, any_wide = True, False
    for i in range(count):
        all_imaginary &= work[X, i] == 0.0
        any_wide |= abs(work[Y, i]) > WIDEST
    if all_imaginary:
        for i in range(count):
            work[GROWTH, i], work[EXCESS, i] = 1.0, 0.0
    else:
        for i in range(count):
            work[GROWTH, i], work[EXCESS, i] = exp_and_expm1(work[X, i])
    for i in range(count):
        work[SINE, i], work[COSINE, i], work[VERSINE, i] = sincos(work[Y, i])
    if any_wide:
        for i in range(count):
            y = work[Y, i]
            if abs(y) > WIDEST:
                work[SINE, i], work[COSINE, i] = math.sin(y), math.cos(y)
                work[VERSINE, i] = 2.0 * math.sin(0.5 * y) ** 2
    for i in range(count):
        growth = work[GROWTH, i]
        phis[0, i] = complex(growth * work[COSINE, i], growth * work[SINE, i])
    for i in range(count):
        work[PHI_X, i] = work[EXCESS, i] * work[COSINE, i] - work[VERSINE, i]
        work[PHI_Y, i] = work[GROWTH, i] * work[SINE, i]


@contracted
def invert(count: int, work: Any) -> None:
    """Write 1 / z: 0 for infinite parts, anything for z = 0."""
    for i in range(count):
        x, y = work[X, i], work[Y, i]
        largest = max(abs(x), abs(y))
        unit = SHRINK if largest > HUGE else 1.0
        x, y = unit * x, unit * y
        factor = 1.0 / (x * x + y * y)
        work[U, i] = 0.0 if largest == math.inf else x * factor * unit
        work[V, i] = 0.0 if largest == math.inf else -y * factor * unit


@contracted
def complex_series(begin: int, end: int, inverse: Any, work: Any, phis: Any) -> None:
    """Write phi_k(z[i]) to phis[k, i], k > abs(z[i]), by Horner's rule."""
    count = phis.shape[0] - 1
    m = inverse.size - 1
    for i in range(begin, end):
        is_far = work[SIZE, i] >= count * count
        work[NEAR_X, i] = 0.0 if is_far else work[X, i]
        work[NEAR_Y, i] = 0.0 if is_far else work[Y, i]
        work[P, i], work[Q, i] = inverse[m], 0.0
    while m - 4 > count:
        a, b, c, d = inverse[m - 1], inverse[m - 2], inverse[m - 3], inverse[m - 4]
        for i in range(begin, end):
            x, y, p, q = work[NEAR_X, i], work[NEAR_Y, i], work[P, i], work[Q, i]
            p, q = x * p + (a - y * q), x * q + y * p
            p, q = x * p + (b - y * q), x * q + y * p
            p, q = x * p + (c - y * q), x * q + y * p
            work[P, i], work[Q, i] = x * p + (d - y * q), x * q + y * p
        m -= 4
    for k in range(m - 1, 0, -1):
        c = inverse[k]
        for i in range(begin, end):
            x, y, p, q = work[NEAR_X, i], work[NEAR_Y, i], work[P, i], work[Q, i]
            work[P, i], work[Q, i] = x * p + (c - y * q), x * q + y * p
        if k <= count:
            for i in range(begin, end):
                own = complex(work[P, i], work[Q, i])
                phis[k, i] = phis[k, i] if work[SIZE, i] >= k * k else own
