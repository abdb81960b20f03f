"""Solves whose whole loop is compiled: NumPy states and a nonlinear term compiled by Numba.

The host makes tables of a method and arrays of a run, calls the loop of `kernels.march`, and shows
what it has saved to the recorder. Steps, coefficients and errors are those of the other engines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from semilinear.adaptive.course import UNDERFLOW
from semilinear.adaptive.pairs import PairCourse
from semilinear.coefficients import step_coefficients
from semilinear.course import bad_output, overflowed
from semilinear.engines.base import Engine, check_sees_time
from semilinear.engines.tables import EVALUATE, Marching, make_tables
from semilinear.lazy_segments import length_classes
from semilinear.methods.rows import BASE
from semilinear.output import Recorder
from semilinear.program import Program, finite
from semilinear.propagators import Diagonal, Propagator, Scalar

CHUNK = 4 * 2**20
"""Bytes of grid points that the loop saves before the host looks at them."""

WIDTH = 256
"""Entries that coefficients have at least, where the state has as many; fewer are repeated."""


def is_compiled_function(nonlinear: Any) -> bool:
    """Tell whether a nonlinear term is compiled by Numba and has the form N(t, u, out)."""
    if not type(nonlinear).__module__.startswith("numba."):
        return False
    return hasattr(nonlinear, "py_func") and nonlinear.py_func.__code__.co_argcount >= 3


def returning(nonlinear: Callable[..., None]) -> Callable[..., Any]:
    """Return ``N(t, y)`` with a result of its own, from ``N(t, u, out)``."""

    def evaluate(t: float, y: Any, *args: Any) -> Any:
        out = np.empty_like(y)
        nonlinear(t, y, out, *args)
        return out

    return evaluate


class LoopEngine(Engine):
    """What the loops of fixed and of adaptive steps share: the arrays of a run."""

    def __init__(
        self,
        linear: Propagator,
        nonlinear: Callable[..., None],
        args: tuple[Any, ...],
        y: np.ndarray,
        marching: Marching,
    ) -> None:
        rates, weight, bare = _taken_apart(linear)
        super().__init__(bare, returning(nonlinear), args)
        from semilinear.kernels import march

        self.march, self.marching = march, marching
        self.shape, self.dtype, self.size = y.shape, y.dtype, y.size
        self.function = march.as_function(nonlinear, y.shape, y.dtype, args)
        self.matrices = linear.form == "matrix"
        self.trailing = y.shape[-1:] * 2 if self.matrices else _trailing(y.shape, rates, weight)
        made_in_loop = marching.of_phi and rates is not None
        self.rates = self.spread(rates) if made_in_loop else np.empty(0)
        self.weight = np.empty(0, self.dtype)
        if weight is not None:
            self.weight = self.spread(weight).astype(self.dtype)
        complex_rates = rates is None or np.iscomplexobj(rates)
        kind = self.dtype if complex_rates else np.empty(0, self.dtype).real.dtype
        self.coefficients = np.empty((marching.coefficients, prod(self.trailing)), kind)
        self.buffers = np.zeros((len(marching.slots), self.size), self.dtype)
        self.where = np.arange(len(marching.slots))
        self.counts = np.array([0, 0, 0, -1, 0, 0])
        self.numbers = np.zeros(6)
        self.slot(BASE)[:] = y.reshape(-1)

    def slope(self, y: Any, t: float) -> Any:
        return self._weighted(self.evaluate(y, t))

    def _weighted(self, values: np.ndarray) -> np.ndarray:
        """Multiply values of N by B in place: the loop keeps them so."""
        if self.weight.size:
            rows = values.reshape(-1, self.weight.size)
            rows *= self.weight
        return values

    def spread(self, values: Any) -> np.ndarray:
        """Return values flat, as long as coefficients are."""
        array = np.asarray(values)
        own = array.reshape(array.shape[max(0, array.ndim - len(self.trailing)) :])
        return np.ascontiguousarray(np.broadcast_to(own, self.trailing)).reshape(-1)

    def slot(self, name: str) -> np.ndarray:
        """Return the array of a slot."""
        return np.asarray(self.buffers[self.where[self.marching.slots.index(name)]])

    def load(self, values: Sequence[Any], number: int) -> None:
        """Put coefficients that the host has made where the loop finds them."""
        for own, value in zip(self.coefficients, finite(list(values)), strict=False):
            plain = self.matrices and np.ndim(value) < 2
            own[:] = self.spread(np.eye(self.shape[-1]) * value if plain else value)
        self.counts[self.march.LOADED] = number

    def call(self, loop: Any, *arguments: Any) -> int:
        """Run a loop until it returns, and say why it did."""
        tables = (*self.marching.tables, self.march.phi_constants(self.marching.tables.highest))
        before = int(self.counts[self.march.EVALUATIONS])
        outcome: int = self.march.call(
            loop, self.function, self.dtype, tables, self.march.SERIES_REACH, self.rates,
            self.weight, self.matrices, self.coefficients, self.buffers, self.where, *arguments,
            self.counts, self.numbers,
        )  # fmt: skip
        self.evaluations += int(self.counts[self.march.EVALUATIONS]) - before
        self.steps = int(self.counts[self.march.STEP])
        self.rejected = int(self.counts[self.march.REJECTED])
        return outcome

    def shaped(self, saved: np.ndarray, number: int) -> np.ndarray:
        """Return a grid point that the loop has saved."""
        return np.asarray(saved[number].reshape(self.shape))

    def explain(self, first: int, end: int, t: float, h: float) -> ArithmeticError:
        """Return the error for values that are not finite in these rows of the last attempt."""
        table = self.marching.tables
        for kind, state, slot, place in table.rows[first:end]:
            if kind != EVALUATE:
                continue
            output, x = self.buffers[self.where[slot]], self.buffers[self.where[state]]
            if np.isfinite(x).all() and not np.isfinite(output).all():
                where = f"N at t = {t + table.fractions[place] * h:.9g}"
                bad = f"{np.count_nonzero(~np.isfinite(output))} of {self.size}"
                return bad_output(where, bad, float(np.abs(x).max()))
        return overflowed(f"t = {t:.9g}")


class FixedLoop(LoopEngine):
    """The steps of a fixed grid."""

    def __init__(
        self,
        program: Program,
        nonlinear: Callable[..., None],
        args: tuple[Any, ...],
        y: np.ndarray,
    ) -> None:
        distinct = list(dict.fromkeys(program.steps))
        super().__init__(program.propagator, nonlinear, args, y, make_tables(distinct))
        self.program = program
        numbers = {step: i for i, step in enumerate(distinct)}
        self.places = np.array([numbers[step] for step in program.steps])
        self.kinds, self._first_of = _kinds(program, self.places)
        self._values = lru_cache(maxsize=16)(self._asked)

    def _asked(self, kind: int) -> list[Any]:
        n = self._first_of[kind]
        step, grid = self.program.steps[n], self.program.grid
        points = {q: float(grid[n + q]) for q in range(-step.history, 2)}
        return step_coefficients(step, self.linear, points)

    def run(self, y: Any, recorder: Recorder) -> None:
        march, grid = self.march, self.program.grid
        wanted = recorder.sees(grid)
        chosen = np.flatnonzero(wanted[1:]) + 1
        recorder.point(float(grid[0]), y, None)
        room = 1 if recorder.callback else max(1, CHUNK // max(1, y.nbytes))
        outcome, seen = march.FULL, 0
        while outcome != march.DONE:
            saved = np.empty((max(1, min(room, len(chosen) - seen)), self.size), self.dtype)
            outcome = self.call(
                march.fixed_loop, grid, self.kinds, self.marching.programs[self.places], wanted,
                saved,
            )  # fmt: skip
            for i in range(int(self.counts[march.SAVED])):
                recorder.point(float(grid[chosen[seen]]), self.shaped(saved, i), None)
                seen += 1
            if outcome == march.NEED:
                kind = int(self.kinds[self.steps])
                self.load(self._values(kind), kind)
            if outcome == march.BAD:
                first, end, *_ = self.marching.programs[self.places[self.steps]].tolist()
                t, h = self.numbers[[march.T, march.H]].tolist()
                raise self.explain(first, end, t, h)


class AdaptiveLoop(LoopEngine):
    """Steps of an embedded pair; a course makes the beginning."""

    def __init__(
        self,
        course: PairCourse,
        nonlinear: Callable[..., None],
        args: tuple[Any, ...],
        y: np.ndarray,
    ) -> None:
        super().__init__(course.linear, nonlinear, args, y, make_tables([course.attempt()]))
        self.course = course

    def _begin(self, y: Any) -> None:
        """Take N1 and the length of the first step from the course."""
        state = self.course.start(y)
        while state.cursor.at != "stage":
            state = self.course.advance(state, self.evaluate(state.x, state.t))
        march = self.march
        self.slot("N1")[:] = np.asarray(state.slot("N1")).reshape(-1)
        self._weighted(self.slot("N1"))
        self.numbers[[march.T, march.H]] = self.course.t0, state.cursor.h
        self.numbers[[march.LAST, march.BEFORE, march.EARLIER]] = 1.0

    def run(self, y: Any, recorder: Recorder) -> None:
        march, course = self.march, self.course
        check_sees_time(self, course, y)
        self._begin(y)
        control = course.controller
        settings = np.array(
            [
                course.exponent,
                *control.gains,
                control.max_step,
                control.rtol,
                float(course.linear.constant),
            ]
        )
        atol = np.asarray(control.atol, dtype=float)
        if atol.ndim:
            atol = np.broadcast_to(atol, self.shape)
        go_on = recorder.point(course.t0, y, self.slot("N1").copy().reshape(self.shape))
        rows = len(self.marching.tables.rows)
        room = 1 if recorder.callback or recorder.events else 64
        keep = recorder.sees_all
        outcome = march.FULL
        while outcome != march.DONE and go_on:
            shape = (room if keep else 0, self.size)
            saved = np.empty(shape, self.dtype)
            slopes = np.empty(shape if recorder.needs_slopes else (0, self.size), self.dtype)
            times = np.empty(room)
            outcome = self.call(
                march.adaptive_loop, course.t1, course.pair.estimate_reads_end, settings,
                atol.reshape(-1), keep, saved, slopes, times,
            )  # fmt: skip
            for i in range(int(self.counts[march.SAVED])):
                slope = self.shaped(slopes, i) if len(slopes) else None
                go_on = go_on and recorder.point(float(times[i]), self.shaped(saved, i), slope)
            room = min(2 * room, max(64, CHUNK // max(1, y.nbytes))) if room > 1 else 1
            t, h = self.numbers[[march.T, march.H]].tolist()
            if outcome == march.NEED:
                self._load(t, h)
            elif outcome == march.SHORT:
                bad = self.explain(0, rows, t, h)
                self.failure = UNDERFLOW if np.isfinite(self.buffers).all() else str(bad)
                return
            elif outcome == march.BAD:
                raise self.explain(0, rows, t, h)
        if not keep:
            recorder.point(course.t1, self.slot(BASE).reshape(self.shape), None)

    def _load(self, t: float, h: float) -> None:
        self.load(step_coefficients(self.course.attempt(), self.linear, {0: t, 1: t + h}), 0)
        self.numbers[self.march.LOADED_H] = h


def _taken_apart(
    linear: Propagator,
) -> tuple[np.ndarray | None, np.ndarray | None, Propagator]:
    """Return constant rates, weight (None for 1), and the propagator without that weight.

    The loop multiplies values of N by B, so that coefficients stay real where rates are.
    """
    if isinstance(linear, Diagonal):
        weight = linear.weight if linear.weighted else None
        return linear.eigenvalues, weight, Diagonal(linear.eigenvalues)
    if isinstance(linear, Scalar) and linear.constant:
        weight = None if linear.weight == 1.0 else np.asarray(linear.weight)
        return np.asarray(linear.rate), weight, Scalar(linear.rate)
    return None, None, linear


def _trailing(shape: tuple[int, ...], *values: np.ndarray | None) -> tuple[int, ...]:
    """Return the shape of coefficients: as many trailing axes as values have, or WIDTH entries."""
    found = [v.shape for v in values if v is not None]
    axes = max(
        (len(s) - next((i for i, n in enumerate(s) if n > 1), len(s)) for s in found), default=0
    )
    while axes < len(shape) and prod(shape[len(shape) - axes :]) < WIDTH:
        axes += 1
    return shape[len(shape) - axes :]


def _kinds(program: Program, places: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return the number of each step's set of coefficients, and the first step with each set."""
    keys: list[Any] = list(range(len(places)))
    if program.propagator.constant:
        lengths, classes = length_classes(program.grid)
        keys = places.tolist()
        if len(lengths) > 1:
            keys = [
                (place, *classes[n - step.history : n + 1])
                for n, (place, step) in enumerate(zip(keys, program.steps, strict=True))
            ]
    numbers: dict[Any, int] = {}
    kinds = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
    first: list[int] = []
    for n, kind in enumerate(kinds.tolist()):
        if kind == len(first):
            first.append(n)
    return kinds, first
