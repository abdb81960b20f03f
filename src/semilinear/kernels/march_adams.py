"""The compiled loop of variable-order exponential Adams pairs, in Newton's form.

With theta = (s - t_n) / h and the grid points theta_0 = 0 > theta_1 > ..., let
``w_k = prod_{l<k} (theta - theta_l)``, ``I_k = int_0^1 e^{(1-theta)z} w_k dtheta`` and d_k the
divided differences of N at theta_0 .. theta_k. The predictor of order q is
``e^z y + h sum_{k<q} I_k d_k``; with the value at the predicted state the differences become
d*_k, and ``h I_q d*_q`` is what the corrector adds, and the estimate of the error. The differences
d* are those of the next step: a step costs one pass for each of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from semilinear.kernels import control
from semilinear.kernels._jit import compiled, contracted
from semilinear.kernels.layout import (
    CURRENT,
    DONE,
    FULL,
    KNOWN,
    ORDER,
    SAVED,
    SHORT,
    STEP,
    UNIT,
    H,
    T,
)
from semilinear.kernels.march import (
    PATIENCE,
    accepted,
    is_answered,
    landing,
    must_return,
    refused,
    retry_factor,
    save,
)
from semilinear.kernels.march_passes import (
    add_one,
    error_norm,
    is_finite,
    times,
)
from semilinear.kernels.phi_numba import phi_pass

next_order = compiled(control.next_order)


@compiled
def newton_weights(
    phis: Any, h: float, unit: float, past: Any, base: float, count: int, coefficients: Any
) -> None:
    """Write e^z to row 0 and ``h (h/unit)^k I_k`` to row k + 1, k < count."""
    for i in range(phis.shape[1]):
        coefficients[0, i] = phis[0, i]
    polynomial = np.zeros(count + 1)
    polynomial[0] = 1.0
    scale = h
    for k in range(count):
        out = coefficients[k + 1]
        factorial = 1.0
        for m in range(k + 1):
            factorial *= max(m, 1)
            factor = scale * factorial * polynomial[m]
            phi = phis[m + 1]
            if m == 0:
                for i in range(out.size):
                    out[i] = factor * phi[i]
            else:
                for i in range(out.size):
                    out[i] += factor * phi[i]
        theta = 0.0 if k == 0 else (past[k - 1] - base) / h
        for m in range(k + 1, 0, -1):
            polynomial[m] = polynomial[m - 1] - theta * polynomial[m]
        polynomial[0] *= -theta
        scale *= h / unit


@contracted
def difference(out: Any, one: Any, other: Any, factor: float) -> None:
    """Write ``out = factor (one - other)``."""
    for i in range(out.size):
        out[i] = times(factor, one[i] - other[i])


@compiled
def spread_put(out: Any, coefficient: Any, x: Any) -> None:
    """Write ``out = coefficient x``, the coefficient repeated along the state."""
    for begin in range(0, out.size, coefficient.size):
        part, own = out[begin : begin + coefficient.size], x[begin : begin + coefficient.size]
        for i in range(part.size):
            part[i] = times(coefficient[i], own[i])


@compiled
def spread_add(out: Any, coefficient: Any, x: Any) -> None:
    """Add ``coefficient x``, the coefficient repeated along the state."""
    for begin in range(0, out.size, coefficient.size):
        end = begin + coefficient.size
        add_one(out[begin:end], coefficient, x[begin:end])


@compiled
def update_differences(
    table: Any, before: Any, new: float, base: float, past: Any, unit: float, count: int
) -> None:
    """Fill rows 1 .. count of a table whose row 0 holds N at time `new`."""
    for k in range(1, count + 1):
        since = base if k == 1 else past[k - 2]
        difference(table[k], table[k - 1], before[k - 1], unit / (new - since))


@compiled
def estimate(
    space: Any, coefficient: Any, values: Any, y: Any, new: Any, rtol: float, atol: Any
) -> float:
    """Return the norm of ``coefficient values`` in units of the tolerance."""
    spread_put(space, coefficient, values)
    return error_norm(space, y, new, rtol, atol)


@compiled
def end_error(
    eigenvalues: Any,
    inverse: Any,
    reach: float,
    h: float,
    past: Any,
    values: Any,
    y: Any,
    end: Any,
    rtol: float,
    atol: Any,
) -> float:
    """Return by how much a polynomial N misses the end of a step, in units of the tolerance.

    Parameters
    ----------
    past
        Times of the nodes other than the start of the step, counted from there.
    values
        N at the start and at these nodes, (number, entries); they are overwritten.
    y, end
        The states at the ends of the step.
    """
    count = values.shape[0]
    for k in range(1, count):
        for j in range(count - 1, k - 1, -1):
            since = past[j - k - 1] if j > k else 0.0
            difference(values[j], values[j], values[j - 1], h / (past[j - 1] - since))
    phis = np.empty((count + 1, eigenvalues.size), eigenvalues.dtype)
    coefficients = np.empty_like(phis)
    phi_pass(h * eigenvalues, inverse, reach, phis)
    newton_weights(phis, h, h, past, 0.0, count, coefficients)
    gap = np.empty_like(y)
    spread_put(gap, coefficients[0], y)
    for k in range(count):
        spread_add(gap, coefficients[k + 1], values[k])
    difference(gap, end, gap, 1.0)
    return error_norm(gap, y, end, rtol, atol)


@compiled
def has_changed(loaded: Any, h: float, t: float, past: Any, top: int) -> bool:
    """Tell whether a step needs other weights than those made last, and note that it has them.

    `loaded` holds h, the number of weights and the distances of the past points.
    """
    same = h == loaded[0] and top + 1 <= loaded[1]
    for q in range(top - 1):
        same = same and abs(t - past[q] - loaded[q + 2]) <= 1e-12 * abs(h)
    if not same:
        loaded[0], loaded[1] = h, top + 1
        for q in range(top - 1):
            loaded[q + 2] = t - past[q]
    return not same


@compiled
def shift(past: Any, t: float) -> None:
    """Make t the newest of the past times."""
    for q in range(past.size - 1, 0, -1):
        past[q] = past[q - 1]
    past[0] = t


def adams_loop(
    function: Any,
    inverse: Any,
    reach: float,
    eigenvalues: Any,
    weight: Any,
    coefficients: Any,
    phis: Any,
    states: Any,
    differences: Any,
    past: Any,
    end: float,
    again: bool,
    most: int,
    settings: Any,
    atol: Any,
    keep: bool,
    saved: Any,
    slopes: Any,
    grid: Any,
    counts: Any,
    numbers: Any,
) -> int:
    """Make adaptive steps of variable order; return DONE, FULL or SHORT.

    Parameters
    ----------
    function
        N(t, u, out).
    inverse, reach
        Constants of the phi kernel.
    eigenvalues, weight
        lambda and B, flat, of a length that divides the state's; B empty for 1.
    coefficients, phis
        Work space of (most + 3) and (most + 2) rows, as long as lambda.
    states
        (base state, its successor, work space); `differences`: two tables of (most + 2) rows.
    past
        Times of the past values of N, the newest first, room for `most`.
    end, again, most
        Where the run ends; whether the corrected state is evaluated again; highest order.
    settings
        (longest step, rtol).
    atol, keep, saved, slopes, grid, counts, numbers
        As for `march.adaptive_loop`; N at the base state is row 0 of the current table.
    """
    longest, rtol, unit = settings[0], settings[1], numbers[UNIT]
    loaded, counts[SAVED] = np.zeros(past.size + 2), 0
    patience = counts[STEP] + max(100, PATIENCE // states.shape[1])
    while numbers[T] != end:
        if must_return(counts, grid.size, patience):
            return FULL
        t, order, known = numbers[T], counts[ORDER], counts[KNOWN]
        after, h = landing(t, numbers[H], end)
        numbers[H] = h
        current, other = differences[counts[CURRENT]], differences[1 - counts[CURRENT]]
        y, new, space = states[0], states[1], states[2]
        top = min(order + 1, known + 1, most)
        if h != loaded[0]:
            phi_pass(h * eigenvalues, inverse, reach, phis)
        if has_changed(loaded, h, t, past, top):
            newton_weights(phis, h, unit, past, t, top + 1, coefficients)
        spread_put(new, coefficients[0], y)
        for k in range(order):
            spread_add(new, coefficients[k + 1], current[k])
        error = lower = np.inf
        # Where N cannot be used, the predicted state stays, to be shown.
        if is_finite(new) and is_answered(function, after, new, other[0], weight, counts):
            update_differences(other, current, after, t, past, unit, min(known + 1, most + 1))
            spread_add(new, coefficients[order + 1], other[order])
            error = estimate(space, coefficients[order + 1], other[order], y, new, rtol, atol)
            lower = -1.0
            if order > 1:
                lower = estimate(space, coefficients[order], other[order - 1], y, new, rtol, atol)
        if not error <= 1.0:
            if order > 1 and lower < error:
                counts[ORDER], error = order - 1, lower
            if refused(counts, numbers, h * retry_factor(error, 1.0 / (counts[ORDER] + 1)), end):
                return SHORT
            continue
        higher = -1.0
        if order < min(most, known + 1):
            higher = estimate(space, coefficients[order + 2], other[order + 1], y, new, rtol, atol)
        counts[ORDER], factor = next_order(error, lower, higher, order)
        if again:
            if not is_answered(function, after, new, other[0], weight, counts):
                counts[ORDER] = order
                if refused(counts, numbers, h * retry_factor(np.inf, 1.0), end):
                    return SHORT
                continue
            update_differences(other, current, after, t, past, unit, min(known + 1, most))
        shift(past, t)
        counts[KNOWN] = min(known + 1, most)
        counts[CURRENT] = 1 - counts[CURRENT]
        y[:] = new
        short = accepted(counts, numbers, after, end, factor, longest)
        if keep:
            save(counts, after, y, other[0], saved, slopes, grid)
        if short:
            return SHORT
    return DONE
