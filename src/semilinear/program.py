"""Method x propagator x grid as a straight-line program; the only place where they meet.

A program holds no array of a state. Its segments are made on the host: for scalar operators all at
once as one table (here), for elementwise and matrix operators when they are first needed
(`lazy_segments`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from semilinear.coefficients import (
    Extrapolation,
    extrapolates,
    extrapolation,
    step_coefficients,
)
from semilinear.errors import NonFiniteError
from semilinear.lowering import Lowered, lower
from semilinear.methods.known import reads_unit
from semilinear.methods.rows import BASE, UNIT, Step
from semilinear.propagators import Propagator
from semilinear.segments import Code, Segment, between, numbers, opening

Tell = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From times to (p, q) with N = p * state + q * answer."""


class GridPoints(dict[int, Any]):
    """``points[q]``: the grid points t_{n+q} of steps n, read when they are looked at."""

    def __init__(self, grid: np.ndarray, steps: np.ndarray) -> None:
        super().__init__()
        self.grid, self.steps = grid, steps

    def __missing__(self, q: int) -> np.ndarray:
        found: np.ndarray = self.grid[self.steps + q]
        self[q] = found
        return found


@dataclass(frozen=True, eq=False)
class Program:
    """What a plan is made of.

    Parameters
    ----------
    steps
        The steps in order; equal steps are the same object.
    propagator
        The linear part.
    grid
        Values of the independent variable, one more than steps.
    tell
        How an answer becomes N; None where N is the answer.
    given
        Coefficients, by step number, of rows that are not asked of the propagator.
    """

    steps: tuple[Step, ...]
    propagator: Propagator
    grid: np.ndarray
    tell: Tell | None = None
    given: dict[int, Sequence[float]] = field(default_factory=dict)

    @cached_property
    def most_evaluations(self) -> int:
        """Evaluations of the step that has the most: starting steps may have more than others."""
        return max(step.evaluations for step in self.steps)

    @cached_property
    def groups(self) -> dict[Step, np.ndarray]:
        """Numbers of the steps that share a step object."""
        groups: dict[Step, list[int]] = {}
        for n, step in enumerate(self.steps):
            groups.setdefault(step, []).append(n)
        return {step: np.array(members) for step, members in groups.items()}

    @cached_property
    def places(self) -> np.ndarray:
        """Where each step is found among the distinct ones, the keys of `groups`."""
        places = np.empty(len(self.steps), dtype=int)
        for i, members in enumerate(self.groups.values()):
            places[members] = i
        return places

    @property
    def structure(self) -> tuple[Any, ...]:
        """What the steps do, whatever their numbers are; equal for programs that do the same."""
        what = tuple((step.instructions, step.carry, step.raw) for step in self.groups)
        return what, self.places.tobytes()

    def lowered(self, step: Step) -> Lowered:
        """Return a step, lowered."""
        return lower(step, told=self.tell is not None)

    @cached_property
    def _each_lowered(self) -> list[Lowered]:
        return [self.lowered(step) for step in self.steps]

    def walk(self) -> Iterator[tuple[int, Code]]:
        """Yield the number of the step and the code that runs after each evaluation."""
        slots = self.opening.slots
        for n, current in enumerate(self._each_lowered):
            final = len(current.asks) - 1
            for k in range(final + 1):
                following = self._until_asking(n + 1) if k == final else ()
                code = between(current, k, slots, following)
                yield n, code
                slots = code.slots

    @cached_property
    def opening(self) -> Code:
        """The code that runs before the first evaluation."""
        first, *others = self._until_asking(0)
        slots = (BASE, UNIT) if self.reads_unit else (BASE,)
        carry = tuple((name, name) for name in slots)
        return opening(first, slots, carry, following=tuple(others))

    @cached_property
    def reads_unit(self) -> bool:
        """Whether a run needs an array of ones beside its state."""
        return any(map(reads_unit, self.groups))

    def _until_asking(self, first: int) -> tuple[Lowered, ...]:
        """Return the steps from number `first` on, up to the first that asks."""
        last = first
        while last + 1 < len(self.steps) and not self._each_lowered[last].asks:
            last += 1
        return tuple(self._each_lowered[first : last + 1])

    def evaluation_points(self) -> np.ndarray:
        """Return the independent variable at every evaluation, in order."""
        return self._at_evaluations(self._at)

    def at_grid_points(self, values: np.ndarray) -> np.ndarray:
        """Return, of `values` on the grid, those at every evaluation; NaN at stages in between."""
        return self._at_evaluations(
            lambda members, c: values[members + int(c)] if c in (0, 1) else np.nan
        )

    def _at_evaluations(self, value: Callable[[np.ndarray, float], Any]) -> np.ndarray:
        ends = np.cumsum([step.evaluations for step in self.steps])
        values = np.empty(ends[-1])
        for step, members in self.groups.items():
            asks = self.lowered(step).asks
            for k, ask in enumerate(asks):
                values[ends[members] + (k - len(asks))] = value(members, float(ask.at))
        return values

    def _at(self, members: np.ndarray | int, c: float) -> Any:
        if c in (0.0, 1.0):
            return self.grid[members + int(c)]
        return self.grid[members] + c * (self.grid[members + 1] - self.grid[members])

    def coefficients(self, step: Step, members: np.ndarray) -> list[Any]:
        """Return the coefficients of a step, arrays over its `members` (scalar form)."""
        if self.given and int(members[0]) in self.given:
            rows = (self.given[n] for n in members.tolist())
            return [np.asarray(x) for x in zip(*rows, strict=True)]
        shared = self._shared.of(self._place[members]) if extrapolates(step) else None
        propagator = self.propagator.of_steps(members)
        points = GridPoints(self.grid, members)
        numbers = step_coefficients(step, propagator, points, shared=shared)
        return [*numbers, *self._told(step, members)]

    @cached_property
    def _width(self) -> np.ndarray:
        """From how many past grid points each step extrapolates; 0 if it does not, or is given."""
        steps = enumerate(self.steps)
        return np.array([0 if n in self.given else extrapolates(step) for n, step in steps])

    @cached_property
    def _place(self) -> np.ndarray:
        """Where the steps that extrapolate are found among all that do."""
        return np.cumsum(self._width > 0) - 1

    @cached_property
    def _shared(self) -> Extrapolation:
        """Answers for all extrapolating steps at once.

        Points that a step does not look at are replaced by made-up ones, and never used: beyond
        the grid, since two of one value would be divided by their distance.
        """
        index = np.flatnonzero(self._width)
        width = self._width[index]
        points = {q: self.grid[index + q] for q in (0, 1)}
        known = self.grid[np.isfinite(self.grid)]
        beyond = points[0] + (known.max() - known.min())
        for q in range(1, int(width.max())):
            there = np.maximum(index - q, 0)
            points[-q] = np.where(width > q, self.grid[there], beyond + q)
        return extrapolation(self.propagator.of_steps(index), points, int(width.max()))

    def values(self, n: int) -> list[Any]:
        """Return the coefficients of step n alone."""
        step = self.steps[n]
        if self.propagator.form == "scalar":
            return [
                np.broadcast_to(x, (1,))[0].item() for x in self.coefficients(step, np.array([n]))
            ]
        if n in self.given:
            return list(self.given[n])
        points = {q: float(self.grid[n + q]) for q in range(-step.history, 2)}
        numbers = step_coefficients(step, self.propagator.of_steps(np.asarray(n)), points)
        return [*numbers, *self._told(step, n)]

    def _told(self, step: Step, members: np.ndarray | int) -> list[np.ndarray]:
        if self.tell is None or step.raw:
            return []
        pairs = (self.tell(self._at(members, float(ask.at))) for ask in self.lowered(step).asks)
        return [x for pair in pairs for x in pair]


def finite(coefficients: list[Any]) -> list[Any]:
    """Return the coefficients, or refuse a linear part whose flow is no number."""
    if not all(np.isfinite(c).all() for c in coefficients):
        raise NonFiniteError(
            "linear: its flow over one step overflows or cannot be computed, since it grows (or "
            "decays, and is followed backwards) or oscillates too fast for steps of this length; "
            "take smaller steps"
        )
    return coefficients


def table_segments(program: Program) -> tuple[list[Segment], Segment]:
    """Return all segments of a scalar program, and the one that opens it."""
    groups = program.groups.items()
    columns = [(members, program.coefficients(step, members)) for step, members in groups]
    table = np.zeros(
        (max(len(own) for _, own in columns), len(program.steps)),
        dtype=np.result_type(float, *(column for _, own in columns for column in own)),
    )
    for members, own in columns:
        for row, column in zip(table, own, strict=False):
            row[members] = column
    finite([table])
    positions: dict[Code, list[tuple[int, int]]] = {}
    total = 0
    for n, code in program.walk():
        positions.setdefault(code, []).append((total, n))
        total += 1
    segments: list[Any] = [None] * total

    for code, found in positions.items():
        here = np.array([n for _, n in found])
        read = [table[:, here + later] for later in range(code.reach)]
        for (position, _), matrix in zip(found, _filled(code, read, len(here)), strict=True):
            segments[position] = Segment(code, matrix)
    opening = program.opening
    # Its first step counts as the next one.
    read = [table[:, [max(0, later - 1)]] for later in range(opening.reach)]
    return segments, Segment(opening, _filled(opening, read, 1)[0])


def _filled(code: Code, steps: list[np.ndarray], count: int) -> np.ndarray:
    """Return the matrices of a code for `count` steps at once, shape (count, outputs, sources)."""
    if code.plain is not None:
        return np.ascontiguousarray(steps[0][code.plain, :].T)[:, None, :]
    dtype = np.result_type(float, *steps)
    filled = np.zeros((count, len(code.recipe), len(code.sources)), dtype=dtype)
    for o, row in enumerate(numbers(code, *steps, matrix=False)):
        for s, value in enumerate(row):
            filled[:, o, s] = value
    return filled
