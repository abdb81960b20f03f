"""What a run leaves behind: states at wanted times, a continuous solution, events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from semilinear.answers import read_only
from semilinear.output.dense_output import (
    DenseOutput,
    EndCheck,
    Function,
    Interpolant,
    Misses,
    Node,
    Norm,
    interpolant,
)
from semilinear.output.events import Event, Watch
from semilinear.output.rows import Rows
from semilinear.propagators import Propagator
from semilinear.time_grid import nearest, same_time


class Recorder:
    """Sees every grid point of a run, in order, and tells when a terminal event ends it.

    Parameters
    ----------
    linear
        The linear part.
    nonlinear
        ``N(y, t)``, for the first interpolants.
    count
        Points of N that an interpolant needs; the order of the method.
    wanted
        Times at which the state is kept, in the direction of the run; None for all grid points.
    events
        Functions whose zeros are wanted.
    dense
        Whether the continuous solution is kept.
    callback
        ``callback(t, y)`` at every grid point after the first.
    needs_slopes
        Whether `point` is told N, which whatever lies between grid points needs.
    norm
        Of errors in units of the tolerance, of adaptive steps; see `dense_output.EndCheck`.

    Attributes
    ----------
    last
        The last grid point that the run has reached, or the terminal event: (t, y).
    misses
        Whether an interpolant misses the end of its step; an engine may know a faster way.
    """

    last: tuple[float, Any]

    def __init__(
        self,
        linear: Propagator,
        nonlinear: Function,
        *,
        count: int,
        wanted: np.ndarray | None,
        events: Sequence[Event] = (),
        dense: bool = False,
        callback: Callable[[float, Any], None] | None = None,
        needs_slopes: bool,
        norm: Norm | None = None,
    ) -> None:
        self.linear, self.nonlinear, self.count = linear, nonlinear, max(2, count)
        self.wanted = wanted
        self.events, self.dense, self.callback = tuple(events), dense, callback
        self.needs_slopes = needs_slopes
        self.misses: Misses | None = None
        if norm is not None:
            self.misses = EndCheck(norm, keep=bool(events))
        self.times: list[float] = []
        self.states: list[Any] = []
        self.pieces: list[Interpolant] = []
        self.end: float | None = None
        """Time of the terminal event that ended the run."""
        self.watch: Watch | None = None
        self.points = 0
        """Grid points seen so far."""
        self._next = 0
        self._nodes: deque[Node] = deque(maxlen=self.count)
        # Steps of a controller are hardly ever alike: to keep their rows costs more than it saves.
        self._rows = Rows() if norm is None else None

    @property
    def sees_all(self) -> bool:
        """Whether every grid point matters, and not only those that are wanted."""
        return self.wanted is None or self.needs_slopes or self.callback is not None

    def sees(self, grid: np.ndarray) -> np.ndarray:
        """Return which points of a grid matter; only these need be shown to `point`."""
        if self.wanted is None or self.sees_all:
            return np.ones(len(grid), dtype=bool)
        chosen = np.zeros(len(grid), dtype=bool)
        chosen[nearest(self.wanted, grid)] = True
        return chosen

    def reached(self, t: float, y: Any) -> None:
        """Note the last grid point, whether it matters otherwise or not."""
        self.last = t, y

    def point(self, t: float, y: Any, n: Any) -> bool:
        """Take up a grid point and say whether the run goes on.

        Parameters
        ----------
        n
            N(t, y); None unless `needs_slopes`.
        """
        self.points += 1
        self.last = t, y
        if not self._nodes:
            return self._first(Node(t, y, n))
        before = self._nodes[-1]
        self._nodes.append(Node(t, y, n))
        sol = _Once(self._interpolant)
        if self.dense:
            self.pieces.append(sol())
        if self.watch is not None:
            # States of other libraries may lie on a device.
            ends = [x for x in (before.y, y) if isinstance(x, np.ndarray)]
            turn = self.linear.turn(before.t, t, *ends)
            self.end = self.watch.step(before.t, t, y, sol, turn)
        if self.end is not None and self.end != t:
            self.last = self.end, sol()(self.end)
        self._keep(before.t, before.y, t, y, sol)
        if self.callback is not None:
            self.callback(self.last[0], read_only(self.last[1]))
        return self.end is None

    def _first(self, node: Node) -> bool:
        self._nodes.append(node)
        if self.events:
            self.watch = Watch(self.events, node.t, node.y)
        if self.wanted is None:
            self._save(node.t, node.y)
        elif same_time(first := float(self.wanted[0]), node.t):
            self._save(first, node.y)
            self._next += 1
        return True

    def _keep(self, begin: float, start: Any, t: float, y: Any, sol: _Once) -> None:
        """Keep the wanted states that were reached on the step from (begin, start) to (t, y)."""
        last = self.last[0]
        if self.wanted is None:
            self._save(*self.last)
            return
        sign = 1.0 if t >= begin else -1.0
        while self._next < len(self.wanted):
            wanted = float(self.wanted[self._next])
            here = last == t and same_time(wanted, t)
            if sign * wanted > sign * last and not here:
                return
            if here or self.needs_slopes:
                self._save(wanted, y if here else sol()(wanted))
            else:  # all that is wanted lies on grid points: this on the last, to rounding
                self._save(wanted, start)
            self._next += 1

    def _save(self, t: float, y: Any) -> None:
        self.times.append(t)
        self.states.append(y)

    def _interpolant(self) -> Interpolant:
        nodes = list(self._nodes)
        return interpolant(self.linear, nodes, self.count, self.nonlinear, self.misses, self._rows)

    def solution(self) -> DenseOutput | None:
        """Return the continuous solution, if it was kept and there is one."""
        return DenseOutput(self.pieces, end=self.end) if self.pieces else None


class _Once:
    """A function without arguments whose value is kept."""

    def __init__(self, make: Callable[[], Interpolant]) -> None:
        self.make = make
        self.value: Interpolant | None = None

    def __call__(self) -> Interpolant:
        if self.value is None:
            self.value = self.make()
        return self.value
