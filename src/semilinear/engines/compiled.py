"""Compiled loops of methods as tables: fixed grids, and embedded pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from semilinear.adaptive import PairCourse
from semilinear.answers import overflowed
from semilinear.coefficients import step_coefficients
from semilinear.engines.loop import CHUNK, AdaptiveLoopEngine, LoopEngine
from semilinear.engines.tables import Marching, make_tables
from semilinear.kernels import layout
from semilinear.kernels.control import is_too_short, landing
from semilinear.kernels.phi_reference import SERIES_REACH
from semilinear.lazy_segments import Recent, length_classes, points_of
from semilinear.methods.rows import BASE, ERROR, NEW
from semilinear.methods.tableau import FIRST
from semilinear.output import Recorder
from semilinear.program import Program, finite
from semilinear.propagators.base import refuse_complex


class TableArrays:
    """Slots and coefficients of a loop that reads a method as tables."""

    def __init__(self, engine: LoopEngine, marching: Marching, y: np.ndarray) -> None:
        self.marching = marching
        self.rates = engine.rates if marching.of_phi else np.empty(0)
        most = max(map(len, marching.chosen))
        self.coefficients = np.empty((most, engine.width), engine.kind)
        self.buffers = np.zeros((len(marching.slots), engine.size), engine.dtype)
        # An N that leaves entries of its result unwritten is noticed as one that is not finite.
        rows = marching.tables.rows
        self.buffers[rows[rows[:, 0] == layout.EVALUATE, 2]] = np.nan
        self.where = np.arange(len(marching.slots))
        engine.show(self.buffers)
        self.slot(BASE)[:] = y.reshape(-1)
        constants = engine.march.phi_constants(marching.tables.highest)
        self.tables = (*marching.tables, constants)

    def arguments(self, engine: LoopEngine) -> tuple[Any, ...]:
        """Return the arguments that both loops begin with."""
        return (
            self.tables, SERIES_REACH, self.rates, engine.weight, engine.matrices,
            self.coefficients, self.buffers, self.where,
        )  # fmt: skip

    def slot(self, name: str) -> np.ndarray:
        """Return the array of a slot."""
        return np.asarray(self.buffers[self.where[self.marching.slots.index(name)]])

    def load(
        self, engine: LoopEngine, values: Sequence[Any], number: int, *, place: int = 0
    ) -> None:
        """Put coefficients that the host has made where the loop finds them.

        Parameters
        ----------
        engine
            Whose arrays these are; it holds them, not they it.
        values
            From `step_coefficients`.
        number, place
            Of the set of coefficients, and of the step among the distinct ones.
        """
        chosen = [values[i] for i in self.marching.chosen[place]]
        if self.coefficients.dtype.kind != "c":  # L(t) may turn complex late in a run
            refuse_complex(chosen)
        for own, value in zip(self.coefficients, chosen, strict=False):
            plain = engine.matrices and np.ndim(value) < 2
            own[:] = engine.spread(np.eye(engine.shape[-1]) * value if plain else value)
        engine.counts[layout.LOADED] = number

    def explain(
        self, engine: LoopEngine, first: int, end: int, t: float, h: float
    ) -> ArithmeticError | None:
        """Return the error for values that are not finite in these rows, if there are such."""
        table = self.marching.tables
        for kind, state, slot, place in table.rows[first:end]:
            if kind != layout.EVALUATE:
                continue
            output, x = self.buffers[self.where[slot]], self.buffers[self.where[state]]
            if not np.isfinite(x).all():  # where the loop stopped
                return overflowed(f"t = {t:.9g}")
            if not np.isfinite(output).all():
                where = f"N at t = {t + table.fractions[place] * h:.9g}"
                return engine.not_finite(where, output, x)
        if np.isfinite(self.buffers).all():
            return None
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
        super().__init__(program.propagator, nonlinear, args, y)
        self.arrays = TableArrays(self, make_tables(tuple(program.groups)), y)
        self.program = program
        self.places = program.places
        self.kinds, self._first_of, self.lengths = _kinds(program, self.places)
        self._known: Recent[list[Any]] = Recent(16)

    def _values(self, kind: int) -> list[Any]:
        return self._known.get(kind, lambda: self._asked(kind))

    def _asked(self, kind: int) -> list[Any]:
        n = self._first_of[kind]
        if not self.linear.constant:
            return self.program.values(n)
        step = self.program.steps[n]
        points = points_of(self.lengths[n - step.history : n + 1].tolist())
        return step_coefficients(step, self.linear, points)

    def march_on(self, y: Any, recorder: Recorder) -> None:
        grid, programs = self.program.grid, self.arrays.marching.programs[self.places]
        wanted = recorder.sees(grid)
        if not recorder.needs_slopes:
            recorder.point(float(grid[0]), y, None)
        left, outcome = int(wanted.sum()), layout.FULL
        room = 1 if recorder.callback or recorder.events else max(1, CHUNK // max(1, y.nbytes))
        while outcome != layout.DONE:
            space = self.space(max(1, min(room, left)), recorder)
            outcome = self.call(
                self.march.fixed_loop, *self.arrays.arguments(self), grid, self.kinds, self.lengths,
                programs, wanted, *space,
            )  # fmt: skip
            left -= int(self.counts[layout.SAVED])
            if not self.show_points(*space, recorder):
                return
            if outcome == layout.NEED:
                kind = int(self.kinds[self.steps])
                place = int(self.places[self.steps])
                self.arrays.load(self, finite(self._values(kind)), kind, place=place)
            if outcome == layout.BAD:
                first, end, *_ = programs[self.steps].tolist()
                t, h = self.numbers[[layout.T, layout.H]].tolist()
                raise self.arrays.explain(self, first, end, t, h) or overflowed(f"t = {t:.9g}")
        if recorder.needs_slopes and recorder.points <= self.steps:
            t, y = self.base()
            recorder.point(t, y, self.slope(y, t))

    def base(self) -> tuple[float, np.ndarray]:
        state = self.arrays.slot(BASE).reshape(self.shape)
        return float(self.program.grid[self.steps]), state.copy()


class AdaptiveLoop(AdaptiveLoopEngine):
    """Steps of an embedded pair."""

    course: PairCourse

    @property
    def attempt_costs(self) -> int:
        return self.course.attempt().evaluations + self.course.renews

    def begin(self, y: np.ndarray, slope: np.ndarray) -> None:
        self.arrays = TableArrays(self, make_tables((self.course.attempt(),)), y)
        self.arrays.slot(FIRST)[:] = slope

    def advance(self, saved: np.ndarray, slopes: np.ndarray, times: np.ndarray) -> int:
        march, course = self.march, self.course
        control, keep = course.controller, len(saved) > 0
        constant = float(course.linear.constant)
        settings = np.array(
            [course.exponent, *control.gains, control.max_step, control.rtol, constant]
        )
        outcome = self.call(
            march.adaptive_loop, *self.arrays.arguments(self), course.t1,
            course.pair.estimate_reads_end, settings, self.atol, keep, saved, slopes, times,
        )  # fmt: skip
        if outcome == layout.NEED:
            t, h = self.numbers[[layout.T, layout.H]].tolist()
            h = course.resolved(t, h)
            if is_too_short(t, h):
                return layout.SHORT
            _, h = landing(t, h, course.t1)
            # For a constant linear part only differences count.
            begin = 0.0 if course.linear.constant else t
            values = step_coefficients(course.attempt(), self.linear, {0: begin, 1: begin + h})
            self.arrays.load(self, values, 0)
            self.numbers[[layout.H, layout.LOADED_H]] = h
        return outcome

    def base(self) -> tuple[float, np.ndarray]:
        return float(self.numbers[layout.T]), self.arrays.slot(BASE).reshape(self.shape).copy()

    def explain_attempt(self) -> ArithmeticError | None:
        t, h = self.numbers[[layout.T, layout.H]].tolist()
        output, new = self.arrays.slot(ERROR), self.arrays.slot(NEW)
        renews = not self.course.pair.estimate_reads_end  # N goes where the estimate was
        if renews and np.isfinite(new).all() and not np.isfinite(output).all():
            return self.not_finite(f"N at t = {t + h:.9g}", output, new)
        return self.arrays.explain(self, 0, len(self.arrays.marching.tables.rows), t, h)


def _kinds(program: Program, places: np.ndarray) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Return the number of each step's set of coefficients, the first step with each set, lengths.

    Steps that share a set have the mean of their lengths, so that together they are as long as the
    grid: of every single one the length is known to the rounding of its ends only.
    """
    keys: list[Any] = list(range(len(places)))
    lengths = np.diff(program.grid)
    if program.propagator.constant:
        means, classes = length_classes(program.grid)
        lengths = np.full(len(places), means[0])
        keys = places.tolist()
        if len(means) > 1:
            lengths = np.array(means)[classes]
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
    return kinds, first, lengths
