"""The compiled stepping loop: rows as integer tables, the nonlinear term as a first-class function.

One compilation serves every method and every nonlinear term of a kind of state: a method comes as
tables (`semilinear.engines.tables` makes them), N as a function pointer. The loop returns to the
host where something is left to it, and goes on from its arrays when it is called again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import register_jitable

from semilinear.kernels import control
from semilinear.kernels._jit import compiled
from semilinear.kernels.layout import (
    BAD,
    BASE,
    BEFORE,
    BEGUN,
    DONE,
    EARLIER,
    END,
    ERROR,
    EVALUATE,
    EVALUATIONS,
    FIRST,
    FULL,
    LAST,
    LOADED,
    LOADED_H,
    MOST,
    NEED,
    NEW,
    REFUSED,
    REJECTED,
    SAVED,
    SHORT,
    STEP,
    H,
    T,
)
from semilinear.kernels.march_passes import carry, error_norm, is_finite, run_rows, weighted
from semilinear.kernels.march_weights import step_weights
from semilinear.kernels.phi_reference import reciprocal_factorials

PATIENCE = 2**24
"""Entries of states after which the loop returns in any case: the host may be interrupted."""

for helper in (
    control.settled,
    control.promise,
    control.shortest,
    control.is_too_short,
    control.snapped,
    control.landing,
):
    register_jitable(helper)
step_factor = compiled(control.step_factor)
retry_factor = compiled(control.retry_factor)
next_length = compiled(control.next_length)
is_too_short = compiled(control.is_too_short)
landing = compiled(control.landing)
cannot_shrink = compiled(control.cannot_shrink)


@compiled
def refused(counts: Any, numbers: Any, h: float, end: float) -> bool:
    """Take up a shorter step after an attempt that is refused; tell whether it is too short."""
    counts[REJECTED] += 1
    counts[REFUSED] = 1
    if cannot_shrink(numbers[T], h, numbers[H], end):
        return True
    numbers[H] = h
    return False


@compiled
def accepted(
    counts: Any, numbers: Any, t: float, end: float, factor: float, longest: float
) -> bool:
    """Move on to t after an attempt that is taken; tell whether the next step is too short."""
    if counts[REFUSED]:
        factor = min(1.0, factor)
        counts[REFUSED] = 0
    numbers[T] = t
    counts[STEP] += 1
    if t == end:
        return False
    h = next_length(abs(end - t), factor * abs(numbers[H]), longest)
    numbers[H] = h if end > t else -h
    return is_too_short(t, h)


@compiled
def save(counts: Any, t: float, y: Any, slope: Any, saved: Any, slopes: Any, times: Any) -> None:
    """Keep a grid point."""
    saved[counts[SAVED]] = y
    if slopes.shape[0]:
        slopes[counts[SAVED]] = slope
    times[counts[SAVED]] = t
    counts[SAVED] += 1


@compiled
def must_return(counts: Any, room: int, patience: int) -> bool:
    """Tell whether an adaptive loop has to return to the host before the next attempt."""
    full = counts[SAVED] == room or counts[STEP] == patience
    return bool(full or counts[EVALUATIONS] > counts[MOST])


@compiled
def is_answered(function: Any, t: float, y: Any, out: Any, weight: Any, counts: Any) -> bool:
    """Write B N(t, y) to `out`, counted; tell whether it is finite."""
    function(t, y, out)
    weighted(out, weight)
    counts[EVALUATIONS] += 1
    return is_finite(out)


def fixed_loop(
    function: Any,
    tables: Any,
    reach: float,
    eigenvalues: Any,
    weight: Any,
    matrices: bool,
    coefficients: Any,
    buffers: Any,
    where: Any,
    grid: Any,
    kinds: Any,
    lengths: Any,
    programs: Any,
    wanted: Any,
    saved: Any,
    slopes: Any,
    times: Any,
    counts: Any,
    numbers: Any,
) -> int:
    """Make the steps of a fixed grid; return DONE, FULL, NEED or BAD.

    Parameters
    ----------
    function
        N(t, u, out).
    tables
        (rows, sources, fractions, carries, terms, factors, lengths, highest, halves, inverse), see
        `march_passes`; `inverse` and `reach` are the constants of the phi kernel.
    eigenvalues, weight
        lambda and B, flat, of a length that divides the state's; B empty for 1. lambda empty where
        the host makes the coefficients.
    matrices
        Whether coefficients are matrices that act on the last axis.
    coefficients
        Work space, (number, entries).
    buffers, where
        Arrays of the slots, (number, entries), and the buffer of each slot.
    grid
        Times, one more than steps.
    kinds, lengths
        Of each step, the number of its set of coefficients, and the length that they are for: one
        for all steps of a kind, while their grid points are rounded each in its own way.
    programs
        Of each step, (first row, end of rows, first carry, end of carries, whether it begins with
        N at its base state, slot of N at its end or -1).
    wanted
        Which grid points are kept; all with N there where `slopes` has room, each as soon as N is
        known.
    saved, slopes, times
        Room for them.
    counts, numbers
        Integers and numbers of the run.
    """
    rows, sources, fractions, carries = tables[0], tables[1], tables[2], tables[3]
    counts[SAVED] = 0
    patience = counts[STEP] + max(100, PATIENCE // buffers.shape[1])
    while counts[STEP] < kinds.size:
        n = counts[STEP]
        if counts[SAVED] == times.size or n == patience:
            return FULL
        t, h = grid[n], grid[n + 1] - grid[n]
        numbers[T] = t
        numbers[H] = h
        if counts[LOADED] != kinds[n]:
            if eigenvalues.size == 0:
                return NEED
            step_weights(eigenvalues, lengths[n], tables, reach, coefficients)
            counts[LOADED] = kinds[n]
        program = programs[n]
        first, last = program[0], program[1] - 1
        if slopes.shape[0] and program[4]:
            if not counts[BEGUN]:
                slope = buffers[where[rows[first, 2]]]
                if not is_answered(function, t, buffers[where[BASE]], slope, weight, counts):
                    return BAD
                counts[BEGUN] = 1
                save(counts, t, buffers[where[BASE]], slope, saved, slopes, times)
                if counts[SAVED] == times.size:
                    return FULL
            first += 1
        counts[BEGUN] = 0
        evaluations, asked = run_rows(
            function, t, h, grid[n + 1], rows[first : last + 1], sources, fractions,
            coefficients, matrices, weight, buffers, where,
        )  # fmt: skip
        counts[EVALUATIONS] += evaluations
        new = buffers[where[NEW]]
        # What a step evaluates last, none of its rows reads.
        unread = rows[last, 0] == EVALUATE and not is_finite(buffers[where[rows[last, 2]]])
        if unread or not asked or not is_finite(new):
            return BAD
        if slopes.shape[0] == 0:
            if wanted[n + 1]:
                save(counts, grid[n + 1], new, new, saved, slopes, times)
        elif program[5] >= 0:
            save(counts, grid[n + 1], new, buffers[where[program[5]]], saved, slopes, times)
        carry(where, carries[program[2] : program[3]])
        counts[STEP] += 1
    return DONE


def adaptive_loop(
    function: Any,
    tables: Any,
    reach: float,
    eigenvalues: Any,
    weight: Any,
    matrices: bool,
    coefficients: Any,
    buffers: Any,
    where: Any,
    end: float,
    reads_end: bool,
    settings: Any,
    atol: Any,
    keep: bool,
    saved: Any,
    slopes: Any,
    times: Any,
    counts: Any,
    numbers: Any,
) -> int:
    """Make adaptive steps by an embedded pair; return DONE, FULL, NEED, BAD or SHORT.

    Parameters
    ----------
    end
        Where the run ends.
    reads_end
        Whether the estimate needs N at the new state.
    settings
        (1 / order of the estimate, b1, b2, b3, longest step, rtol, whether the linear part is
        constant: 1 or 0).
    atol
        Absolute tolerances, one or as many as the state has entries.
    keep
        Whether grid points are kept, in `saved`, `slopes` (N there) and `times`.

    The others are those of `fixed_loop`. N1 and the first step are given.
    """
    rows, sources, fractions = tables[0], tables[1], tables[2]
    exponent, longest, rtol = settings[0], settings[4], settings[5]
    counts[SAVED] = 0
    patience = counts[STEP] + max(100, PATIENCE // buffers.shape[1])
    while numbers[T] != end:
        if must_return(counts, times.size, patience):
            return FULL
        t = numbers[T]
        after, h = landing(t, numbers[H], end)
        numbers[H] = h
        if counts[LOADED] < 0 or numbers[LOADED_H] != h:
            if eigenvalues.size == 0:
                return NEED
            step_weights(eigenvalues, h, tables, reach, coefficients)
            counts[LOADED] = 0
            numbers[LOADED_H] = h
        evaluations, asked = run_rows(
            function, t, h, after, rows, sources, fractions,
            coefficients, matrices, weight, buffers, where,
        )  # fmt: skip
        counts[EVALUATIONS] += evaluations
        y, new = buffers[where[BASE]], buffers[where[NEW]]
        error = np.nan
        if asked:
            error = error_norm(buffers[where[ERROR]], y, new, rtol, atol)
        if not error <= 1.0:
            if refused(counts, numbers, h * retry_factor(error, exponent), end):
                return SHORT
            continue
        if not reads_end:
            # Beside N at the base state, which a shorter step would need; the estimate is read.
            first = buffers[where[ERROR]]
            if not is_answered(function, after, new, first, weight, counts):
                if refused(counts, numbers, h * retry_factor(np.inf, exponent), end):
                    return SHORT
                continue
            where[FIRST], where[ERROR] = where[ERROR], where[FIRST]
        else:
            where[FIRST], where[END] = where[END], where[FIRST]
        where[BASE], where[NEW] = where[NEW], where[BASE]
        numbers[EARLIER], numbers[BEFORE], numbers[LAST] = numbers[BEFORE], numbers[LAST], error
        factor = step_factor(
            error, numbers[BEFORE], numbers[EARLIER], exponent,
            settings[1], settings[2], settings[3],
        )  # fmt: skip
        if settings[6] == 0.0:
            counts[LOADED] = -1
        short = accepted(counts, numbers, after, end, factor, longest)
        if keep:
            save(counts, after, new, buffers[where[FIRST]], saved, slopes, times)
        if short:
            return SHORT
    return DONE


def phi_constants(highest: Any) -> Any:
    """Return the constants of the phi kernel for the highest k of each interval."""
    return np.array(reciprocal_factorials(int(highest.max(initial=1))))
