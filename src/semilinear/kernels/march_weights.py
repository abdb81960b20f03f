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
from semilinear.kernels.phi_numba import block_length, phi_block, space


def is_real(values: Any) -> bool:
    """Tell whether an array is real."""
    return bool(values.dtype.kind == "f")


@overload(is_real, strict=False)
def _is_real(values: Any) -> Any:
    real = isinstance(values.dtype, types.Float)
    return lambda values: real


def as_real(values: Any) -> Any:
    """View a contiguous array as real numbers, in compiled code."""


@overload(as_real, strict=False)
def _as_real(values: Any) -> Any:
    if isinstance(values.dtype, types.Complex):
        dtype = np.dtype(f"f{values.dtype.bitwidth // 16}")
        return lambda values: values.view(dtype)
    return lambda values: values


@contracted
def double(phis: Any, old: int, new: int, highest: int, size: int) -> None:
    """Write phi_k(2z), k = 0 .. highest, to the rows from `new` on, from phi_k(z) at `old`.

    ``phi_k(2z) = 2^-k (phi_0(z) phi_k(z) + sum_{j=1..k} phi_j(z) / (k-j)!)`` (Skaflestad and Wright
    2009, eq. 2.7): a sum of positive terms where z is real, so that nothing cancels.
    """
    for k in range(min(highest, 3) + 1):  # one pass each
        for i in range(size):
            e, own = phis[old, i], phis[old + k, i]
            if k == 0:
                phis[new, i] = e * e
            elif k == 1:
                phis[new + 1, i] = 0.5 * (e * own + own)
            elif k == 2:
                phis[new + 2, i] = 0.25 * (e * own + (phis[old + 1, i] + own))
            else:
                lower = 0.5 * phis[old + 1, i] + phis[old + 2, i]
                phis[new + 3, i] = 0.125 * (e * own + (lower + own))
    scale = 0.0625
    for k in range(4, highest + 1):
        for i in range(size):
            phis[new + k, i] = scale * phis[old, i] * phis[old + k, i]
        reciprocal = scale
        for j in range(k, 0, -1):
            for i in range(size):
                phis[new + k, i] += reciprocal * phis[old + j, i]
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
    firsts = np.zeros(lengths.size + 1, np.int64)
    for n in range(lengths.size):
        firsts[n + 1] = firsts[n] + highest[n] + 1
    starts = np.zeros(coefficients.shape[0] + 1, np.int64)
    for n in range(terms.shape[0]):
        starts[terms[n, 0] + 1] += 1
    for n in range(coefficients.shape[0]):
        starts[n + 1] += starts[n]
    length = block_length(eigenvalues.size)
    phis, work = space(eigenvalues, firsts[-1], length)
    # A complex number is two real ones: the factors are real.
    out, sums = as_real(coefficients), as_real(phis)
    parts = 1 if is_real(eigenvalues) else 2
    for begin in range(0, eigenvalues.size, length):
        own = eigenvalues[begin : begin + length]
        for n in range(lengths.size):
            if halves[n] >= 0 and is_real(eigenvalues):
                double(phis, firsts[halves[n]], firsts[n], highest[n], own.size)
            else:
                rows = phis[firsts[n] : firsts[n + 1]]
                phi_block(own, lengths[n] * h, inverse, reach, work, rows)
        # Unsigned: an index that may be negative keeps a loop from vectorising.
        at, end = np.uintp(parts * begin), np.uintp(parts * own.size)
        add_terms(out, at, end, h, terms, factors, starts, sums)


@contracted
def add_terms(
    out: Any, at: Any, end: Any, h: float, terms: Any, factors: Any, starts: Any, phis: Any
) -> None:
    """Write every ``sum factor phi`` for one block, up to four terms in a pass.

    The loops are not functions of their own: a call would take longer than a pass.
    """
    for n in range(starts.size - 1):
        first, left = starts[n], starts[n + 1] - starts[n]
        if left == 0:  # all cancel for constant L
            for i in range(end):
                out[n, at + i] = 0.0
            continue
        scale = h if terms[first, 2] else 1.0
        w, a = terms[first, 1], scale * factors[first]
        if left == 1:
            for i in range(end):
                out[n, at + i] = a * phis[w, i]
            continue
        x, b = terms[first + 1, 1], scale * factors[first + 1]
        if left == 2:
            for i in range(end):
                out[n, at + i] = a * phis[w, i] + b * phis[x, i]
            continue
        y, c = terms[first + 2, 1], scale * factors[first + 2]
        if left == 3:
            for i in range(end):
                out[n, at + i] = a * phis[w, i] + b * phis[x, i] + c * phis[y, i]
            continue
        z, d = terms[first + 3, 1], scale * factors[first + 3]
        for i in range(end):
            out[n, at + i] = (a * phis[w, i] + b * phis[x, i]) + (c * phis[y, i] + d * phis[z, i])
        for r in range(first + 4, first + left, 2):
            # An odd one at the end: itself again, with factor 0.
            s = min(r + 1, first + left - 1)
            w, a = terms[r, 1], scale * factors[r]
            x, b = terms[s, 1], scale * factors[s] if s > r else 0.0
            for i in range(end):
                out[n, at + i] += a * phis[w, i] + b * phis[x, i]
