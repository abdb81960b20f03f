"""The passes of the compiled loops: rows, weights of N, error norm.

Tables of a method, all integers but `factors`, `fractions` and `lengths`:

rows
    ``(COMBINE, dst, first source, number of sources)`` or ``(EVALUATE, state, slot, fraction)``.
sources
    ``(slot, coefficient)``.
fractions, carries
    Places of evaluations within the step; ``(slot, slot that it is taken from)`` at its end.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from semilinear.kernels._jit import compiled, contracted, reduced
from semilinear.kernels.layout import BASE, EVALUATE


def times(c: Any, x: Any) -> Any:
    """Return c x: in compiled code, for real c and complex x, two products and not four."""
    return c * x


@overload(times, strict=False)
def _times(c: Any, x: Any) -> Any:
    if isinstance(c, types.Float) and isinstance(x, types.Complex):
        return lambda c, x: complex(c * x.real, c * x.imag)
    return lambda c, x: c * x


@contracted
def put_one(out: Any, a: Any, x: Any) -> None:
    """Write ``out = a x``."""
    for i in range(out.size):
        out[i] = times(a[i], x[i])


@contracted
def put_two(out: Any, a: Any, x: Any, b: Any, y: Any) -> None:
    """Write ``out = a x + b y``."""
    for i in range(out.size):
        out[i] = times(a[i], x[i]) + times(b[i], y[i])


@contracted
def put_three(out: Any, a: Any, x: Any, b: Any, y: Any, c: Any, z: Any) -> None:
    """Write ``out = a x + b y + c z``."""
    for i in range(out.size):
        out[i] = times(a[i], x[i]) + times(b[i], y[i]) + times(c[i], z[i])


@contracted
def put_four(out: Any, a: Any, x: Any, b: Any, y: Any, c: Any, z: Any, d: Any, w: Any) -> None:
    """Write ``out = a x + b y + c z + d w``."""
    for i in range(out.size):
        out[i] = times(a[i], x[i]) + times(b[i], y[i]) + times(c[i], z[i]) + times(d[i], w[i])


@contracted
def add_one(out: Any, a: Any, x: Any) -> None:
    """Add ``a x``."""
    for i in range(out.size):
        out[i] += times(a[i], x[i])


@contracted
def add_two(out: Any, a: Any, x: Any, b: Any, y: Any) -> None:
    """Add ``a x + b y``."""
    for i in range(out.size):
        out[i] += times(a[i], x[i]) + times(b[i], y[i])


@compiled
def combine(dst: Any, own: Any, coefficients: Any, buffers: Any, where: Any, begin: int) -> None:
    """Write one linear combination of slots for a part of the state.

    Parameters
    ----------
    dst
        The part that is written, as long as a coefficient.
    own
        (slot, coefficient) of each source.
    begin
        Where the part begins.
    """
    end = begin + dst.size
    left = own.shape[0]
    a, x = coefficients[own[0, 1]], buffers[where[own[0, 0]], begin:end]
    if left == 1:
        put_one(dst, a, x)
        return
    b, y = coefficients[own[1, 1]], buffers[where[own[1, 0]], begin:end]
    if left == 2:
        put_two(dst, a, x, b, y)
        return
    c, z = coefficients[own[2, 1]], buffers[where[own[2, 0]], begin:end]
    if left == 3:
        put_three(dst, a, x, b, y, c, z)
        return
    d, w = coefficients[own[3, 1]], buffers[where[own[3, 0]], begin:end]
    put_four(dst, a, x, b, y, c, z, d, w)
    j = 4
    while j < left:
        a, x = coefficients[own[j, 1]], buffers[where[own[j, 0]], begin:end]
        if j + 1 < left:
            b, y = coefficients[own[j + 1, 1]], buffers[where[own[j + 1, 0]], begin:end]
            add_two(dst, a, x, b, y)
        else:
            add_one(dst, a, x)
        j += 2


@reduced
def row_times(row: Any, x: Any) -> Any:
    """Return ``sum_i row_i x_i``."""
    total = times(row[0], x[0])
    for i in range(1, x.size):
        total += times(row[i], x[i])
    return total


@compiled
def combine_matrices(dst: Any, own: Any, coefficients: Any, buffers: Any, where: Any) -> None:
    """Write one linear combination with matrices that act on the last axis."""
    count = int(np.sqrt(coefficients.shape[1]))
    for begin in range(0, dst.size, count):
        out = dst[begin : begin + count]
        out[:] = 0
        for j in range(own.shape[0]):
            matrix = coefficients[own[j, 1]]
            source = buffers[where[own[j, 0]], begin : begin + count]
            for i in range(count):
                out[i] += row_times(matrix[i * count : (i + 1) * count], source)


@compiled
def weighted(values: Any, weight: Any) -> None:
    """Multiply values of N by B, if there is one."""
    if weight.size:
        for begin in range(0, values.size, weight.size):
            part = values[begin : begin + weight.size]
            for i in range(part.size):
                part[i] *= weight[i]


@compiled
def is_finite(values: Any) -> bool:
    """Tell whether all entries are finite."""
    bad = False
    for i in range(values.size):
        bad |= not np.isfinite(values[i])
    return not bad


@compiled
def run_rows(
    function: Any,
    t: float,
    h: float,
    end: float,
    rows: Any,
    sources: Any,
    fractions: Any,
    coefficients: Any,
    matrices: bool,
    weight: Any,
    buffers: Any,
    where: Any,
) -> tuple[int, bool]:
    """Run the rows of a step from t to end = t + h.

    Returns
    -------
    evaluations : int
    asked : bool
        Whether N was asked at all states: it is not asked at one that is not finite, nor are the
        rows after that run.
    """
    evaluations = 0
    width = coefficients.shape[1]
    for r in range(rows.shape[0]):
        out = buffers[where[rows[r, 1]]]
        if rows[r, 0] == EVALUATE:
            c = fractions[rows[r, 3]]
            if rows[r, 1] != BASE and not is_finite(out):
                return evaluations, False
            values = buffers[where[rows[r, 2]]]
            function(end if c == 1.0 else t + c * h, out, values)
            weighted(values, weight)
            evaluations += 1
        else:
            own = sources[rows[r, 2] : rows[r, 2] + rows[r, 3]]
            if matrices:
                combine_matrices(out, own, coefficients, buffers, where)
            else:
                for begin in range(0, out.size, width):
                    combine(out[begin : begin + width], own, coefficients, buffers, where, begin)
    return evaluations, True


def squared(x: Any) -> Any:
    """Return the squared modulus in double precision, in compiled code."""
    return abs(x) ** 2


@overload(squared, strict=False)
def _squared(x: Any) -> Any:
    if isinstance(x, types.Complex):
        return lambda x: np.float64(x.real) * x.real + np.float64(x.imag) * x.imag
    return lambda x: np.float64(x) * x


LARGE, SMALL = 1e300, 1e-140
"""Squared moduli beyond may have overflowed, tolerances below have squares that underflow: such
entries are looked at without squares."""


@reduced
def squared_norm(error: Any, y: Any, new: Any, rtol: float, atol: Any) -> Any:
    """Return the sum of squared errors in units of the tolerance, and whether squares may be used.

    Of entries whose own square underflows, the share in the sum is 1e-40 at most.
    """
    total = 0.0
    largest = 0.0
    small = False
    each = atol.size > 1
    for i in range(error.size):
        most = max(squared(y[i]), squared(new[i]))
        scale = (atol[i] if each else atol[0]) + rtol * np.sqrt(most)
        own = squared(error[i])
        total += own / (scale * scale) if own > 0.0 else 0.0
        largest = max(largest, most)
        small |= scale < SMALL
    return total, largest < LARGE and total < LARGE and not small


@compiled
def error_norm(error: Any, y: Any, new: Any, rtol: float, atol: Any) -> float:
    """Return the error in units of the tolerance, NaN where `new` or `error` is not finite."""
    if not (is_finite(new) and is_finite(error)):
        return np.nan
    total, safe = squared_norm(error, y, new, rtol, atol)
    if safe:
        return math.sqrt(total / error.size)
    total = 0.0
    for i in range(error.size):
        scale = atol[i if atol.size > 1 else 0] + rtol * max(abs(y[i]), abs(new[i]))
        size = abs(error[i])
        if size > 0.0:
            total += (size / scale) ** 2
    return math.sqrt(total / error.size)


@compiled
def carry(where: Any, carries: Any) -> None:
    """Give slots the buffers of others, and these the ones that become free."""
    before = where.copy()
    taken = np.zeros(where.size, np.bool_)
    named = np.zeros(where.size, np.bool_)
    for r in range(carries.shape[0]):
        where[carries[r, 0]] = before[carries[r, 1]]
        named[carries[r, 0]] = True
        taken[before[carries[r, 1]]] = True
    free = 0
    for slot in range(where.size):
        if not named[slot]:
            while taken[free]:
                free += 1
            where[slot] = free
            free += 1
