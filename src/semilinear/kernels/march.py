"""The compiled stepping loop: rows as integer tables, the nonlinear term as a first-class function.

One compilation serves every method and every nonlinear term of a kind of state: a method comes as
tables (`semilinear.engines.tables` makes them), N as a function pointer. The loop returns to the
host where something is left to it, and goes on from its arrays when it is called again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.errors import NumbaError
from numba.extending import register_jitable

from semilinear.errors import InvalidArgument
from semilinear.kernels import control
from semilinear.kernels._jit import compiled, compiled_for
from semilinear.kernels.callback import answering, called_back
from semilinear.kernels.march_passes import carry, error_norm, is_finite, run_rows, weighted
from semilinear.kernels.march_weights import step_weights
from semilinear.kernels.phi_reference import SERIES_REACH, reciprocal_factorials

DONE, FULL, NEED, BAD, SHORT = 0, 1, 2, 3, 4
"""Why the loop returns: end reached; no room for another grid point, or long enough; coefficients
wanted from the host; values that are not finite; step too short."""

PATIENCE = 2**24
"""Entries of states after which the loop returns in any case: the host may be interrupted."""

BASE, FIRST, NEW, END, ERROR = 0, 1, 2, 3, 4
"""Numbers of the slots that the loop itself looks at: y, N1, y+, N+, E."""

STEP, REJECTED, EVALUATIONS, LOADED, SAVED, REFUSED = 0, 1, 2, 3, 4, 5
"""Places of the integers of a run: steps made; attempts refused; evaluations of N; which set of
coefficients is loaded (-1: none); grid points saved since the call; whether the attempt before was
refused."""

T, H, LAST, BEFORE, EARLIER, LOADED_H = 0, 1, 2, 3, 4, 5
"""Places of the numbers of a run: time; step; error norms, the newest first; the step that the
coefficients are for."""

__all__ = ["SERIES_REACH", "answering"]

for helper in (control.settled, control.promise):
    register_jitable(helper)
step_factor = compiled(control.step_factor)
retry_factor = compiled(control.retry_factor)
next_length = compiled(control.next_length)
is_too_short = compiled(control.is_too_short)


@compiled
def snapped(t: float, end: float) -> float:
    """Return t, or the end of the run if t is that to rounding."""
    return end if abs(end - t) <= 8.0 * np.spacing(max(abs(end), abs(t))) else t


@compiled
def refused(counts: Any, numbers: Any, h: float) -> bool:
    """Take up a shorter step after an attempt that is refused; tell whether it is too short."""
    counts[REJECTED] += 1
    counts[REFUSED] = 1
    if is_too_short(numbers[T], h):
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
    programs: Any,
    wanted: Any,
    saved: Any,
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
    kinds
        Of each step, the number of its set of coefficients.
    programs
        Of each step, (first row, end of rows, first carry, end of carries).
    wanted, saved
        Which grid points are kept, and room for them.
    counts, numbers
        Integers and numbers of the run.
    """
    rows, sources, fractions, carries = tables[0], tables[1], tables[2], tables[3]
    counts[SAVED] = 0
    patience = counts[STEP] + max(100, PATIENCE // buffers.shape[1])
    while counts[STEP] < kinds.size:
        n = counts[STEP]
        if counts[SAVED] == saved.shape[0] or n == patience:
            return FULL
        t, h = grid[n], grid[n + 1] - grid[n]
        if counts[LOADED] != kinds[n]:
            if eigenvalues.size == 0:
                return NEED
            step_weights(eigenvalues, h, tables, reach, coefficients)
            counts[LOADED] = kinds[n]
        program = programs[n]
        counts[EVALUATIONS] += run_rows(
            function, t, h, grid[n + 1], rows[program[0] : program[1]], sources, fractions,
            coefficients, matrices, weight, buffers, where,
        )  # fmt: skip
        new = buffers[where[NEW]]
        numbers[T] = t
        numbers[H] = h
        if not is_finite(new):
            return BAD
        carry(where, carries[program[2] : program[3]])
        counts[STEP] += 1
        if wanted[n + 1]:
            saved[counts[SAVED]] = new
            counts[SAVED] += 1
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
        if counts[SAVED] == times.size or counts[STEP] == patience:
            return FULL
        t, h = numbers[T], numbers[H]
        if counts[LOADED] < 0 or numbers[LOADED_H] != h:
            if eigenvalues.size == 0:
                return NEED
            step_weights(eigenvalues, h, tables, reach, coefficients)
            counts[LOADED] = 0
            numbers[LOADED_H] = h
        after = snapped(t + h, end)
        counts[EVALUATIONS] += run_rows(
            function, t, h, after, rows, sources, fractions,
            coefficients, matrices, weight, buffers, where,
        )  # fmt: skip
        y, new = buffers[where[BASE]], buffers[where[NEW]]
        error = error_norm(buffers[where[ERROR]], y, new, rtol, atol)
        if not error <= 1.0:
            if refused(counts, numbers, h * retry_factor(error, exponent)):
                return SHORT
            continue
        if not reads_end:
            first = buffers[where[FIRST]]
            function(after, new, first)
            counts[EVALUATIONS] += 1
            weighted(first, weight)
            if not is_finite(first):
                numbers[T] = t
                return BAD
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


_LOOPS: dict[Any, Any] = {}
"""The compiled loops by the kinds of their arguments: a cache, and nothing else."""


def call(loop: Any, function: Any, dtype: np.dtype, *arguments: Any) -> int:
    """Run a loop with a nonlinear term, compiling the loop once for each kind of arguments.

    Parameters
    ----------
    loop
        `fixed_loop` or `adaptive_loop`.
    function
        N(t, u, out), from `as_function`.
    dtype
        Of the states.
    arguments
        The others, in order; contiguous arrays.
    """
    key = loop, np.dtype(dtype).char, *map(_kind, arguments)
    if key not in _LOOPS:
        kinds = tuple(numba.typeof(a) for a in arguments)
        signature = types.int64(types.FunctionType(function_signature(dtype)), *kinds)
        _LOOPS[key] = compiled_for(signature, loop)
    return int(_LOOPS[key](function, *arguments))


def _kind(argument: Any) -> Any:
    """Return what the type of an argument depends on, faster than Numba finds the type."""
    if isinstance(argument, np.ndarray):
        return argument.dtype.char, argument.ndim, argument.flags.writeable
    return tuple(map(_kind, argument)) if isinstance(argument, tuple) else type(argument)


def function_signature(dtype: np.dtype) -> Any:
    """Return the signature of N(t, u, out) for flat states."""
    vector = types.Array(numba.from_dtype(np.dtype(dtype)), 1, "C")
    return types.void(types.float64, vector, vector)


def as_function(
    nonlinear: Any, shape: tuple[int, ...], dtype: np.dtype, args: tuple[Any, ...]
) -> Any:
    """Return N(t, u, out) for flat states from one for states of a shape, compiled."""
    if args or len(shape) != 1:
        try:
            nonlinear = _flat(nonlinear, shape, args)
        except TypeError:  # no hash
            nonlinear = _flat.__wrapped__(nonlinear, shape, args)
    arguments = function_signature(dtype).args
    if arguments not in nonlinear.overloads:
        try:
            nonlinear.compile(arguments)
        except (RuntimeError, NumbaError) as error:
            raise InvalidArgument(
                f"nonlinear does not compile as N(t, u, out) for arrays of shape {shape} and dtype "
                f"{dtype}: {str(error).strip().splitlines()[0]}; give numba.njit no signature, and "
                "further arguments by args="
            ) from error
    if nonlinear.overloads[arguments].signature.return_type != types.none:
        raise InvalidArgument("nonlinear must write N to out, its third argument, and return None")
    return nonlinear


def python_function(dtype: np.dtype) -> Any:
    """Return N(t, u, out) for flat states that calls Python back; see `callback`."""
    called_back.compile(function_signature(dtype).args)
    return called_back


@lru_cache(maxsize=64)
def _flat(nonlinear: Any, shape: tuple[int, ...], args: tuple[Any, ...]) -> Any:
    """Return a function of vectors that gives `nonlinear` its shape and its further arguments."""

    @numba.njit(nogil=True)
    def flat(t: float, u: Any, out: Any) -> None:
        nonlinear(t, u.reshape(shape), out.reshape(shape), *args)

    return flat
