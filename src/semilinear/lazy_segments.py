"""Segments of operators whose coefficients are arrays or matrices, made when first needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from semilinear.coefficients import step_coefficients
from semilinear.kernels import Backend
from semilinear.methods.rows import Step
from semilinear.program import Program, finite
from semilinear.segments import Code, Segment, numbers

BUDGET = 256 * 2**20
"""Bytes of coefficients that a plan keeps."""

ROUNDINGS = 4
"""By how many distances of neighbouring numbers lengths that count as equal may differ."""

SAME = 1e-12
"""The same by parts of a length, where far points of the grid are rounded more than its ends."""


class Operators:
    """Coefficients that are arrays or matrices, and their casts for the backends that used them.

    Attributes
    ----------
    nbytes
        Memory of both, arrays that occur twice counted once.
    """

    __slots__ = ("_axes", "_casts", "form", "nbytes", "rows")

    def __init__(self, rows: Sequence[Sequence[Any]], form: str) -> None:
        self.rows = rows
        self.form = form
        self._casts: dict[Any, Any] = {}
        self.nbytes = sum(c.nbytes for c in self._arrays())
        # Casts depend on the axes of states that coefficients have: not on those of a batch.
        self._axes: int | None = 0
        if form == "samples":
            self._axes = None
        elif form == "elementwise":
            self._axes = max((np.ndim(c) for row in rows for c in row), default=0)

    def _arrays(self) -> list[np.ndarray]:
        arrays = {id(c): c for row in self.rows for c in row if isinstance(c, np.ndarray)}
        return list(arrays.values())

    def prepared_for(self, backend: Backend) -> Any:
        """Return the coefficients in the library, dtype and device of a backend."""
        key = backend.key if self._axes is None else backend.key_of(self._axes)
        if key not in self._casts:
            made = self._casts[key] = backend.prepare(self.rows, self.form)
            self.nbytes += _own_bytes(made, self._arrays())
        return self._casts[key]


def _own_bytes(cast: Sequence[Sequence[Any]], given: Sequence[np.ndarray]) -> int:
    """Return the memory of a cast that is not that of what was cast."""
    return sum(
        getattr(c, "nbytes", 0)
        for row in cast
        for c in row
        if not (isinstance(c, np.ndarray) and any(np.may_share_memory(c, own) for own in given))
    )


class Sized(Protocol):
    """What knows its memory."""

    @property
    def nbytes(self) -> int: ...


Kept = TypeVar("Kept", bound=Sized)
Value = TypeVar("Value")


class ByteCache(Generic[Kept]):
    """The coefficients used last, as many as fit into `budget` bytes, and `least` in any case."""

    def __init__(self, budget: int, *, least: int) -> None:
        self.budget, self.least = budget, least
        self._kept: OrderedDict[Hashable, tuple[Kept, int]] = OrderedDict()
        self._total = 0
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return the coefficients under a key, made now if they are not there."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                made, size = self._kept[key]
                if made.nbytes != size:  # casts have joined it
                    self._keep(key, made)
                return made
        made = make()
        with self._lock:
            self._keep(key, made)
        return made

    def _keep(self, key: Hashable, made: Kept) -> None:
        size = made.nbytes
        self._total += size - self._kept.pop(key, (made, 0))[1]
        self._kept[key] = made, size
        while self._total > self.budget and len(self._kept) > self.least:
            self._total -= self._kept.popitem(last=False)[1][1]


class Recent(Generic[Value]):
    """The last few answers of a method of the owner.

    In the place of ``functools.lru_cache`` about a bound method, which holds its owner: the owner's
    arrays would then stay until the cyclic collector runs, which counts objects and not their size.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the answer under a key, made now if it is not there."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
        return made


Signature = tuple[Step, tuple[int, ...]]
"""A step, and what its coefficients depend on.

For a constant operator the numbers of the lengths of the steps that its weights look at, else the
number of the step.
"""


class LazySegments(Sequence[Segment]):
    """Segments of an operator whose coefficients are arrays, made when first needed.

    Steps of equal length (to rounding of the grid) and equal history share their coefficients.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._places = list(program.walk())
        self._lengths, self._classes = length_classes(program.grid)
        self._signatures = [self._signature(n) for n in range(len(program.steps))]
        # At least what a step of a uniform grid needs, again and again.
        least = 2 * program.most_evaluations + 1
        self._cache: ByteCache[Operators] = ByteCache(BUDGET, least=least)
        # The segments of one step are made one after the other.
        self._coefficients: Recent[list[Any]] = Recent(2)
        opening = program.opening
        # Its first step counts as the next one.
        read = tuple(self._signatures[max(0, later - 1)] for later in range(opening.reach))
        self.start = Segment(opening, self._made(opening, read))

    def __reduce__(self) -> tuple[type[LazySegments], tuple[Program]]:
        return LazySegments, (self.program,)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, position: Any) -> Any:
        n, code = self._places[position]
        read = tuple(self._signatures[n : n + code.reach])
        return Segment(code, self._cache.get((code, read), lambda: self._made(code, read)))

    def _signature(self, n: int) -> Signature:
        step = self.program.steps[n]
        if not self.program.propagator.constant:
            return step, (n,)
        return step, tuple(self._classes[n - step.history : n + 1])

    def _made(self, code: Code, read: tuple[Signature, ...]) -> Operators:
        form = self.program.propagator.form
        steps = [self._values(signature) for signature in read]
        return Operators(numbers(code, *steps, matrix=form == "matrix"), form)

    def _values(self, signature: Signature) -> list[Any]:
        return self._coefficients.get(signature, lambda: self._asked(signature))

    def _asked(self, signature: Signature) -> list[Any]:
        step, classes = signature
        if not self.program.propagator.constant:
            return finite(self.program.values(classes[0]))
        points = points_of([self._lengths[c] for c in classes])
        return finite(step_coefficients(step, self.program.propagator, points))


def points_of(lengths: Sequence[float]) -> dict[int, float]:
    """Return the grid points about a step of a constant linear part, counted from its start.

    Parameters
    ----------
    lengths
        Of the steps before it that it looks at, in order, and of itself.
    """
    points = {1: lengths[-1], 0: 0.0}
    for q, length in enumerate(reversed(lengths[:-1]), start=1):
        points[-q] = points[1 - q] - length
    return points


def length_classes(grid: np.ndarray) -> tuple[list[float], list[int]]:
    """Return the distinct step lengths, and for each step the number of its length.

    Lengths that differ by the rounding of the grid points only are one: ``linspace`` differs in the
    last bit, and every distinct length costs a set of phi-functions.
    """
    lengths, sizes = np.diff(grid), np.abs(grid)
    most = ROUNDINGS * np.spacing(np.max(sizes))
    order = np.argsort(lengths, kind="stable")
    ascending = lengths[order]
    if ascending[-1] - ascending[0] <= most:  # equal steps: the one class of most grids
        return [float(np.mean(lengths))], [0] * len(lengths)
    # The rounding of a step's own ends. In linspace(1, 0) points near 0 have that of the far ones,
    # which passes only where it is little beside the step.
    own = ROUNDINGS * np.spacing(np.maximum(sizes[1:], sizes[:-1]))
    roundings = np.clip(SAME * np.abs(lengths), own, most)[order]
    classes = np.empty(len(lengths), dtype=int)
    members: list[list[float]] = []
    least = 0.0
    for i, length, rounding in zip(order, ascending.tolist(), roundings.tolist(), strict=True):
        least = min(least, rounding)
        if not members or length - members[-1][0] > least:
            members.append([])
            least = rounding
        members[-1].append(length)
        classes[i] = len(members) - 1
    return [float(np.mean(group)) for group in members], classes.tolist()
