"""The passes of the compiled loop: coefficients of a step, rows, error norm.

Tables of a method, all integers but `factors`, `fractions` and `lengths`:

rows
    ``(COMBINE, dst, first source, number of sources)`` or ``(EVALUATE, state, slot, fraction)``.
sources
    ``(slot, coefficient)``.
fractions, carries
    Places of evaluations within the step; ``(slot, slot that it is taken from)`` at its end.
terms, factors
    ``(coefficient, row of phi, of an input)``, in the order of the coefficients: each is a sum of
    ``factor phi_k``, times h if it multiplies an input.
lengths, highest, halves
    Of the intervals, in units of the step; the highest k that is needed on each: the rows of phi
    are phi_0 .. phi_highest of one interval after the other; and the number of the interval of half
    the length, -1 without one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from semilinear.kernels._jit import compiled, contracted, reduced
from semilinear.kernels.phi_numba import complex_pass, real_pass

COMBINE, EVALUATE = 0, 1
"""Kinds of rows."""


def times(c: Any, x: Any) -> Any:
    """Return c x: in compiled code, for real c and complex x, two products and not four."""
    return c * x


@overload(times, strict=False)
def _times(c: Any, x: Any) -> Any:
    if isinstance(c, types.Float) and isinstance(x, types.Complex):
        return lambda c, x: complex(c * x.real, c * x.imag)
    return lambda c, x: c * x


def phi_pass(z: Any, inverse: Any, reach: float, out: Any) -> None:
    """Write phi_k(z) to out[k], in compiled code."""


@overload(phi_pass, strict=False)
def _phi_pass(z: Any, inverse: Any, reach: float, out: Any) -> Any:
    if isinstance(z.dtype, types.Complex):
        return lambda z, inverse, reach, out: complex_pass(z, inverse, out)
    return lambda z, inverse, reach, out: real_pass(z, inverse, reach, out)


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
) -> int:
    """Run the rows of a step from t to end = t + h; return the number of evaluations."""
    evaluations = 0
    width = coefficients.shape[1]
    for r in range(rows.shape[0]):
        out = buffers[where[rows[r, 1]]]
        if rows[r, 0] == EVALUATE:
            c = fractions[rows[r, 3]]
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
    return evaluations


def is_real(values: Any) -> bool:
    """Tell whether an array is real."""
    return values.dtype.kind == "f"


@overload(is_real, strict=False)
def _is_real(values: Any) -> Any:
    real = isinstance(values.dtype, types.Float)
    return lambda values: real


@contracted
def double_three(
    flow2: Any, one2: Any, two2: Any, three2: Any, flow: Any, one: Any, two: Any, three: Any
) -> None:
    """Write phi_0(2z) .. phi_3(2z)."""
    for i in range(flow.size):
        e, a, b, c = flow[i], one[i], two[i], three[i]
        flow2[i] = e * e
        one2[i] = 0.5 * (e * a + a)
        two2[i] = 0.25 * (e * b + a + b)
        three2[i] = 0.125 * (e * c + 0.5 * a + b + c)


@contracted
def doubled(out: Any, phis: Any) -> None:
    """Write phi_k(2z) from phi_k(z), k = 0, 1, ...

    ``phi_k(2z) = 2^-k (phi_0(z) phi_k(z) + sum_{j=1..k} phi_j(z) / (k-j)!)`` (Skaflestad and Wright
    2009, eq. 2.7): a sum of positive terms where z is real, so that nothing cancels.
    """
    flow = phis[0]
    if out.shape[0] == 4:  # of most methods: one pass
        double_three(out[0], out[1], out[2], out[3], flow, phis[1], phis[2], phis[3])
        return
    scale = 1.0
    for k in range(out.shape[0]):
        row, own = out[k], phis[k]
        for i in range(row.size):
            row[i] = scale * flow[i] * own[i]
        reciprocal = scale
        for j in range(k, 0, -1):
            term = phis[j]
            for i in range(row.size):
                row[i] += reciprocal * term[i]
            reciprocal /= k - j + 1
        scale *= 0.5


@compiled
def step_weights(
    eigenvalues: Any,
    h: float,
    terms: Any,
    factors: Any,
    lengths: Any,
    highest: Any,
    halves: Any,
    inverse: Any,
    reach: float,
    coefficients: Any,
) -> None:
    """Write the coefficients of a step of length h for constant eigenvalues.

    `inverse` and `reach` are the constants of the phi kernel.
    """
    firsts = np.zeros(lengths.size, np.int64)
    phis = np.empty((highest.sum() + highest.size, eigenvalues.size), eigenvalues.dtype)
    begin = 0
    for interval in range(lengths.size):
        own = phis[begin : begin + highest[interval] + 1]
        firsts[interval] = begin
        half = halves[interval]
        if half >= 0 and is_real(eigenvalues):
            doubled(own, phis[firsts[half] : firsts[half] + own.shape[0]])
        else:
            phi_pass((lengths[interval] * h) * eigenvalues, inverse, reach, own)
        begin += highest[interval] + 1
    first = 0
    while first < terms.shape[0]:
        own = first
        while own < terms.shape[0] and terms[own, 0] == terms[first, 0]:
            own += 1
        add_terms(coefficients[terms[first, 0]], terms[first:own], factors[first:own], h, phis)
        first = own


@contracted
def add_terms(out: Any, terms: Any, factors: Any, h: float, phis: Any) -> None:
    """Write ``sum factor phi``, at most four terms in each pass."""
    scale = h if terms[0, 2] else 1.0
    left = terms.shape[0]
    a, x = factors[0] * scale, phis[terms[0, 1]]
    if left == 1:
        for i in range(out.size):
            out[i] = times(a, x[i])
        return
    b, y = factors[1] * scale, phis[terms[1, 1]]
    if left == 2:
        for i in range(out.size):
            out[i] = times(a, x[i]) + times(b, y[i])
        return
    c, z = factors[2] * scale, phis[terms[2, 1]]
    if left == 3:
        for i in range(out.size):
            out[i] = times(a, x[i]) + times(b, y[i]) + times(c, z[i])
        return
    d, w = factors[3] * scale, phis[terms[3, 1]]
    for i in range(out.size):
        out[i] = (times(a, x[i]) + times(b, y[i])) + (times(c, z[i]) + times(d, w[i]))
    for r in range(4, left, 2):
        a, x = factors[r] * scale, phis[terms[r, 1]]
        # An odd one at the end: itself again, with factor 0.
        b = factors[r + 1] * scale if r + 1 < left else 0.0
        y = phis[terms[min(r + 1, left - 1), 1]]
        for i in range(out.size):
            out[i] += times(a, x[i]) + times(b, y[i])


@compiled
def is_finite(values: Any) -> bool:
    """Tell whether all entries are finite."""
    bad = False
    for i in range(values.size):
        bad |= not np.isfinite(values[i])
    return not bad


@compiled
def error_norm(error: Any, y: Any, new: Any, rtol: float, atol: Any) -> float:
    """Return the error in units of the tolerance, NaN where `new` is not finite."""
    total = 0.0
    bad = False
    each = atol.size > 1
    for i in range(error.size):
        scale = atol[i if each else 0] + rtol * max(abs(y[i]), abs(new[i]))
        size = abs(error[i])
        bad |= not np.isfinite(new[i])
        if size != 0.0:
            total += (size / scale) ** 2
    return np.nan if bad else np.sqrt(total / error.size)


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
