"""Method x propagator x grid as a straight-line program; the only place where they meet.

A program holds no array of a state. Its segments are made on the host: for scalar
operators all at once as one table, for elementwise and matrix operators when they are first needed,
once per distinct step length, in a bounded cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from semilinear.coefficients import step_coefficients
from semilinear.kernels import Backend
from semilinear.methods.rows import Step
from semilinear.propagators import Propagator
from semilinear.segments import Code, Lowered, Segment, between, lower, numbers, opening

CACHED_SEGMENTS = 64

Tell = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From times to (p, q) with N = p * state + q * answer."""


class Operators:
    """Coefficients that are arrays or matrices, and their casts for the backends that used them."""

    __slots__ = ("_casts", "form", "rows")

    def __init__(self, rows: Sequence[Sequence[Any]], form: str) -> None:
        self.rows = rows
        self.form = form
        self._casts: dict[Any, Any] = {}

    def prepared_for(self, backend: Backend) -> Any:
        """Return the coefficients in the library, dtype and device of a backend."""
        key = backend.key
        if key not in self._casts:
            self._casts[key] = backend.prepare(self.rows, self.form)
        return self._casts[key]


@dataclass(frozen=True)
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
    def lowered(self) -> dict[int, Lowered]:
        """Lowered steps by identity of the step."""
        return {id(s): lower(s, told=self.tell is not None) for s in dict.fromkeys(self.steps)}

    @cached_property
    def groups(self) -> dict[int, list[int]]:
        """Numbers of the steps that share a step object."""
        groups: dict[int, list[int]] = {}
        for n, step in enumerate(self.steps):
            groups.setdefault(id(step), []).append(n)
        return groups

    def of(self, n: int) -> Lowered:
        """Return step n, lowered."""
        return self.lowered[id(self.steps[n])]

    def evaluation_points(self) -> np.ndarray:
        """Return the independent variable at every evaluation, in order."""
        starts = np.cumsum([0] + [step.evaluations for step in self.steps])
        points = np.empty(starts[-1])
        for members in self.groups.values():
            asks = self.of(members[0]).asks
            for k, ask in enumerate(asks):
                points[starts[members] + k] = self._at(members, float(ask.at))
        return points

    def _at(self, members: Any, c: float) -> np.ndarray:
        index = np.asarray(members)
        if c in (0.0, 1.0):
            return self.grid[index + int(c)]
        return self.grid[index] + c * (self.grid[index + 1] - self.grid[index])

    def coefficients(self, members: list[int]) -> list[np.ndarray]:
        """Return the coefficients of steps of one shape, arrays over the steps (scalar operators)."""
        step = self.steps[members[0]]
        if members[0] in self.given:
            return [np.asarray(x) for x in zip(*(self.given[n] for n in members), strict=True)]
        index = np.asarray(members)
        points = {q: self.grid[index + q] for q in range(-step.history, 2)}
        return [*step_coefficients(step, self.propagator, points), *self._told(members)]

    def values(self, n: int) -> list[Any]:
        """Return the coefficients of step n alone."""
        if self.propagator.form == "scalar":
            return [np.broadcast_to(x, (1,))[0].item() for x in self.coefficients([n])]
        points = {q: float(self.grid[n + q]) for q in range(-self.steps[n].history, 2)}
        return step_coefficients(self.steps[n], self.propagator, points)

    def _told(self, members: list[int]) -> list[np.ndarray]:
        if self.tell is None or self.steps[members[0]].raw:
            return []
        pairs = (self.tell(self._at(members, float(ask.at))) for ask in self.of(members[0]).asks)
        return [x for pair in pairs for x in pair]


def table_segments(program: Program) -> tuple[list[Segment], Segment]:
    """Return all segments of a scalar program, and the one that opens it."""
    table: dict[int, np.ndarray] = {}
    place: dict[int, int] = {}
    for key, members in program.groups.items():
        columns = program.coefficients(members)
        width = len(members)
        table[key] = np.array([np.broadcast_to(x, (width,)) for x in columns])
        place.update((n, i) for i, n in enumerate(members))
    slots = _Structure(program)
    groups: dict[int, list[tuple[int, int]]] = {}
    codes: dict[int, Code] = {}
    segments: list[Segment | None] = []
    for n, _, code in slots.walk():
        codes[id(code)] = code
        groups.setdefault(id(code), []).append((len(segments), n))
        segments.append(None)
    keys = [id(step) for step in program.steps]
    last = len(program.steps) - 1
    for identity, members_at in groups.items():
        code = codes[identity]
        here = [n for _, n in members_at]
        this = table[keys[here[0]]][:, [place[n] for n in here]]
        after = [min(n + 1, last) for n in here]
        following = table[keys[after[0]]][:, [place[n] for n in after]]
        filled = _filled(code, this, following, len(here))
        for (position, _), matrix in zip(members_at, filled, strict=True):
            segments[position] = Segment(code, matrix)
    start = slots.start
    first = table[keys[0]][:, [place[0]]]
    return segments, Segment(start, _filled(start, first, first, 1)[0])  # type: ignore[return-value]


def _filled(code: Code, this: np.ndarray, following: np.ndarray, count: int) -> np.ndarray:
    """Return the matrices of a code for `count` steps at once, shape (count, outputs, sources)."""
    rows = numbers(code, this, following, matrix=False)
    complex_numbers = np.iscomplexobj(this) or np.iscomplexobj(following)
    filled = np.zeros(
        (count, len(rows), len(code.sources)), dtype=complex if complex_numbers else float
    )
    for o, row in enumerate(rows):
        for s, value in enumerate(row):
            filled[:, o, s] = value
    return filled


class _Structure:
    """Codes of the segments of a program, each made once per shape."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.start = opening(program.of(0))
        self._codes: dict[tuple[int, int, int, tuple[str, ...]], Code] = {}

    def walk(self) -> Iterator[tuple[int, int, Code]]:
        """Yield (step, number of the evaluation within it, code after that evaluation)."""
        slots = self.start.slots
        steps = self.program.steps
        lowered = self.program.lowered
        for n, step in enumerate(steps):
            current = lowered[id(step)]
            final = len(current.asks) - 1
            for k in range(final + 1):
                following = None
                if k == final and n + 1 < len(steps):
                    following = lowered[id(steps[n + 1])]
                key = (id(current), k, id(following), slots)
                code = self._codes.get(key)
                if code is None:
                    code = self._codes[key] = between(current, k, slots, following)
                yield n, k, code
                slots = code.slots


Signature = tuple[int, tuple[int, ...]]
"""Identity of a step, and the numbers of the lengths of the steps that its weights look at."""


class LazySegments(Sequence[Segment]):
    """Segments of an operator whose coefficients are arrays, made when first needed.

    Steps of equal length (to rounding of the grid) and equal history share their coefficients.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        structure = _Structure(program)
        self._places = list(structure.walk())
        self._lengths, self._classes = _length_classes(program.grid)
        self._signatures = [self._signature(n) for n in range(len(program.steps))]
        self._cached = lru_cache(maxsize=CACHED_SEGMENTS)(self._made)
        first = self._signatures[0]
        self.start = Segment(structure.start, self._made(structure.start, first, None))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, position: Any) -> Any:
        n, _, code = self._places[position]
        following = n + 1 if n + 1 < len(self._signatures) else None
        this = self._signatures[n]
        then = None if following is None else self._signatures[following]
        return Segment(code, self._cached(code, this, then))

    def _signature(self, n: int) -> Signature:
        step = self.program.steps[n]
        return id(step), tuple(self._classes[n - step.history : n + 1])

    def _made(self, code: Code, this: Signature, following: Signature | None) -> Operators:
        form = self.program.propagator.form
        here = self._coefficients(this)
        there = self._coefficients(following) if following is not None else here
        return Operators(numbers(code, here, there, matrix=form == "matrix"), form)

    def _coefficients(self, signature: Signature) -> list[Any]:
        key, classes = signature
        step = self.program.steps[self.program.groups[key][0]]
        lengths = [self._lengths[c] for c in classes]
        points = {1: lengths[-1], 0: 0.0}
        for q, length in enumerate(reversed(lengths[:-1]), start=1):
            points[-q] = points[1 - q] - length
        return step_coefficients(step, self.program.propagator, points)


def _length_classes(grid: np.ndarray) -> tuple[list[float], list[int]]:
    """Return the distinct step lengths, and for each step the number of its length.

    Lengths that differ by the rounding of the grid points only are one: ``linspace`` differs in the
    last bit, and every distinct length costs a set of phi-functions.
    """
    lengths = np.diff(grid)
    tolerance = 4 * np.spacing(np.max(np.abs(grid)))
    classes = np.empty(len(lengths), dtype=int)
    members: list[list[float]] = []
    for i in np.argsort(lengths, kind="stable"):
        if not members or lengths[i] - members[-1][0] > tolerance:
            members.append([])
        members[-1].append(float(lengths[i]))
        classes[i] = len(members) - 1
    return [float(np.mean(group)) for group in members], classes.tolist()
