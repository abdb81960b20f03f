"""The solution between grid points: the linear part exactly, N by a polynomial through grid points.

What carries a step carries its inside: with the polynomial p through the values of N at the newest
grid points, ``y(t) = Psi(t, t_n) y_n + int Psi(t, s) B(s) p(s) ds``. Stiff linear parts are
followed exactly, and no method needs weights of its own for it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from semilinear.answers import copied
from semilinear.coefficients import weights_by_count
from semilinear.errors import InvalidArgument
from semilinear.kernels import Backend, backend_for
from semilinear.output.rows import PreparedRow, Rows, combined, prepared_row
from semilinear.propagators import Propagator
from semilinear.time_grid import numbers

Function = Callable[[Any, float], Any]

Norm = Callable[[Backend, Any, Any, Any], float]
"""``norm(backend, gap, y, other)`` in units of the tolerance at states y and other."""

MORE = 3
"""How many points more than its order needs an interpolant may get where N changes quickly."""

SPREAD = 2.5
"""Past nodes serve as far as they are at most so many times further apart than the newest two."""


class Node(NamedTuple):
    """A grid point: t, the state there, and N there."""

    t: float
    y: Any
    n: Any


class Interior(NamedTuple):
    """A point where N is known; its state is not kept."""

    t: float
    n: Any


@dataclass(frozen=True, eq=False)
class Interpolant:
    """The solution on one step: its nodes; what else is needed is made when it is first evaluated.

    Making that twice, in two threads, gives the same numbers: an interpolant can be shared.

    Parameters
    ----------
    linear
        The linear part.
    start, end
        The ends of the step.
    nodes
        Points of the polynomial, `start` and `end` among them.
    rows
        Where the coefficients of a run are kept, which equal steps share; None if they are not.
    """

    linear: Propagator
    start: Node
    end: Node
    nodes: tuple[Node | Interior, ...]
    rows: Rows | None = field(default=None, repr=False)

    def __call__(self, t: float) -> Any:
        """Return y(t), an array like the state, in memory of its own."""
        if t == self.start.t:
            return copied(self.start.y)
        if t == self.end.t:
            return copied(self.end.y)
        backend = self.backend
        # The method's own value at the end differs by its local error: y(t) stays continuous.
        share = (t - self.start.t) / (self.end.t - self.start.t)
        (joined,), _ = backend.combine_scalar(
            np.array([[1.0, share]]), (self._raw(t), self.gap), False
        )
        return backend.give(joined)

    @cached_property
    def backend(self) -> Backend:
        """The kernels for states."""
        return backend_for(self.start.y)

    @cached_property
    def gap(self) -> Any:
        """What the polynomial misses at the end of the step, natively; made once."""
        pair = self.backend.take(self.end.y), self._raw(self.end.t)
        (gap,), _ = self.backend.combine_scalar(np.array([[1.0, -1.0]]), pair, False)
        return gap

    def _raw(self, t: float) -> Any:
        """Return the exact solution of y' = L y + B p(t) from the start of the step, natively."""
        return combined(self.backend, self.linear.form, self._coefficients(t), self.sources())

    def _coefficients(self, t: float) -> Any:
        """Return the row of a place, natively."""

        def made() -> PreparedRow:
            return prepared_row(self.backend, self.linear.form, self.row(t))

        if self.rows is None or not self.linear.constant:
            return made().coefficients
        return self.rows.get((t - self.start.t, *self._distances), made)

    @cached_property
    def _distances(self) -> tuple[Any, ...]:
        """What else the rows of a constant linear part depend on, to the last bit."""
        a, times = self.start.t, [node.t for node in self.nodes]
        apart = (s - t for s, t in combinations(times, 2))
        # States of a run differ in their kernels at most.
        return type(self.backend), self.end.t - a, *(t - a for t in times), *apart

    def row(self, t: float) -> list[Any]:
        """Return the coefficients of the state at the start and of N at the nodes."""
        times = [node.t for node in self.nodes]
        a = self.start.t
        weights = weights_by_count(self.linear, a, t, times, unit=self.end.t - a)[-1]
        return [self.linear.flow(a, t), *weights]

    def sources(self) -> tuple[Any, ...]:
        """Return what these multiply, natively."""
        take = self.backend.take
        return take(self.start.y), *(take(node.n) for node in self.nodes)


Misses = Callable[[Interpolant], bool]


class EndCheck:
    """Tells whether an interpolant misses the end of its step by more than the tolerance.

    This is all that is computed of an interpolant before it is evaluated: the answer decides on
    further evaluations of N. The coefficients at the end are kept for the next step: equal steps
    with equally distant nodes share them.

    Parameters
    ----------
    norm
        Of adaptive steps.
    keep
        Whether interpolants are evaluated in any case: then their own gaps serve.
    """

    def __init__(self, norm: Norm, *, keep: bool = False) -> None:
        self.norm, self.keep = norm, keep
        self.lengths = np.empty(0)
        self.prepared: Any = None

    def __call__(self, made: Interpolant) -> bool:
        backend, form = made.backend, made.linear.form
        start, *values = made.sources()
        end = backend.take(made.end.y)
        if self.keep:
            gap = made.gap
        else:
            gap = combined(backend, form, self._prepared(made), (end, start, *values))
        return not self.norm(backend, gap, start, end) <= 1.0

    def _prepared(self, made: Interpolant) -> Any:
        """Return the coefficients of the gap."""
        a, b = made.start.t, made.end.t
        lengths = np.array([b - a, *(node.t - a for node in made.nodes)])
        # To the rounding of times, which differences of equal steps have.
        rounding = 4 * np.spacing(max(abs(a), abs(b)))
        known = made.linear.constant and len(lengths) == len(self.lengths)
        if not known or abs(lengths - self.lengths).max() > rounding:
            row = [1.0, *(-c for c in made.row(b))]
            self.prepared = prepared_row(made.backend, made.linear.form, row).coefficients
            self.lengths = lengths
        return self.prepared


def interpolant(
    linear: Propagator,
    nodes: Sequence[Node],
    count: int,
    nonlinear: Function,
    misses: Misses | None = None,
    rows: Rows | None = None,
) -> Interpolant:
    """Return the interpolant of the step between the last two nodes.

    Parameters
    ----------
    nodes
        Grid points, the newest last; as many as there are, up to `count`.
    count
        Points that the polynomial needs: the local error is O(h^(count + 1)).
    nonlinear
        ``N(y, t)``. Where there are not enough grid points near, N is evaluated inside of the step,
        each time with the interpolant of one order less (the bootstrap of Enright, Jackson,
        Norsett and Thomsen 1986).
    misses
        Of adaptive steps, an `EndCheck`. Where the polynomial misses the end of the step by more
        than the tolerance, N changes within the step, and the polynomial is built up inside of it,
        with up to MORE further points.
    rows
        Where the coefficients of the run are kept, or None.
    """
    start, end = nodes[-2], nodes[-1]
    if abs(end.t - start.t) < 1e4 * np.spacing(abs(end.t)):
        # No points fit inside, nor are they needed.
        return Interpolant(linear, start, end, (end, start), rows)
    near = _near(nodes[-count:], abs(end.t - start.t))
    made = _built_up(Interpolant(linear, start, end, near, rows), count, nonlinear)
    if misses is not None and misses(made):
        made = Interpolant(linear, start, end, (end, start), rows)
        for points in range(count, count + MORE + 1):
            made = _built_up(made, points, nonlinear)
            if not misses(made):
                break
    return made


def _built_up(made: Interpolant, count: int, nonlinear: Function) -> Interpolant:
    """Return an interpolant with points inside of the step, until there are `count` in all."""
    start, end = made.start, made.end
    outer = tuple(node for node in made.nodes if isinstance(node, Node))
    for more in range(len(made.nodes) - len(outer) + 1, count - len(outer) + 1):
        inside = []
        for i in range(1, more + 1):
            t = start.t + (end.t - start.t) * i / (more + 1)
            inside.append(Interior(t, nonlinear(made(t), t)))
        made = Interpolant(made.linear, start, end, (*outer, *inside), made.rows)
    return made


def _near(nodes: Sequence[Node], h: float) -> tuple[Node, ...]:
    """Return the last nodes, newest first, as far back as they are about h apart.

    Far nodes would spoil a short step: where steps shrink, N changes faster than it did there.
    """
    start = nodes[-2].t
    used = [nodes[-1], nodes[-2]]
    for j, node in enumerate(reversed(nodes[:-2]), start=1):
        if abs(start - node.t) > SPREAD * j * h:
            break
        used.append(node)
    return tuple(used)


class DenseOutput:
    """A continuous solution; ``sol(t)`` takes one time or an array of times.

    Parameters
    ----------
    pieces
        One interpolant for each step, in order.
    end
        Where the solution ends, if before the end of the last piece.

    Notes
    -----
    Its local error is of the order of the method: O(h^(p+1)). Times outside of the interval are
    refused.
    """

    def __init__(self, pieces: Sequence[Interpolant], *, end: float | None = None) -> None:
        self._pieces = tuple(pieces)
        last = pieces[-1].end.t if end is None else end
        self.t_min, self.t_max = sorted((pieces[0].start.t, last))
        self._sign = 1.0 if pieces[-1].end.t >= pieces[0].start.t else -1.0
        self._ends = [self._sign * piece.end.t for piece in self._pieces]

    def __repr__(self) -> str:
        return f"DenseOutput(t: {self.t_min:.6g} .. {self.t_max:.6g}, {len(self._pieces)} steps)"

    def __call__(self, t: Any) -> Any:
        """Return y(t) like the state, or for an array of times with time as the last axis."""
        times = numbers(t, "t")
        if times.ndim > 1:
            raise InvalidArgument(f"t has {times.ndim} dimensions; give a number or a 1-D array")
        if not ((times >= self.t_min) & (times <= self.t_max)).all():
            raise InvalidArgument(
                f"t must lie in [{self.t_min:g}, {self.t_max:g}], where the solution is known"
            )
        if times.ndim == 0:
            return self._at(float(times))
        values = [self._at(float(s)) for s in times]
        if not values:
            y = self._pieces[0].start.y
            return array_namespace(y).zeros((*y.shape, 0), dtype=y.dtype)
        return array_namespace(values[0]).stack(values, axis=-1)

    def _at(self, t: float) -> Any:
        return self._pieces[min(bisect_left(self._ends, self._sign * t), len(self._ends) - 1)](t)
