"""The coefficients of a step in the compiled loop, from the phi-functions of its intervals.

Tables of a method:

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

from semilinear.kernels._jit import compiled, contracted
from semilinear.kernels.march_passes import times
from semilinear.kernels.phi_numba import complex_pass, real_pass


def phi_pass(z: Any, inverse: Any, reach: float, out: Any) -> None:
    """Write phi_k(z) to out[k], in compiled code."""


@overload(phi_pass, strict=False)
def _phi_pass(z: Any, inverse: Any, reach: float, out: Any) -> Any:
    if isinstance(z.dtype, types.Complex):
        return lambda z, inverse, reach, out: complex_pass(z, inverse, out)
    return lambda z, inverse, reach, out: real_pass(z, inverse, reach, out)


def is_real(values: Any) -> bool:
    """Tell whether an array is real."""
    return bool(values.dtype.kind == "f")


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
def step_weights(eigenvalues: Any, h: float, tables: Any, reach: float, coefficients: Any) -> None:
    """Write the coefficients of a step of length h for constant eigenvalues.

    Parameters
    ----------
    tables
        (terms, factors, lengths, highest, halves, inverse) behind the four that `march_passes`
        reads; `inverse` and `reach` are the constants of the phi kernel.
    """
    terms, factors, lengths, highest = tables[4], tables[5], tables[6], tables[7]
    halves, inverse = tables[8], tables[9]
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
        end = first
        while end < terms.shape[0] and terms[end, 0] == terms[first, 0]:
            end += 1
        add_terms(coefficients[terms[first, 0]], terms[first:end], factors[first:end], h, phis)
        first = end


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
