"""Events: times at which a function of the solution passes through zero."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from semilinear.answers import read_only
from semilinear.errors import InvalidArgument
from semilinear.given import bare, number

Solution = Callable[[float], Any]
LOOKS, MOST_LOOKS = 4, 512
"""In how many places of a step a change of sign is looked for: at least, and at most."""

SPACINGS, ROUNDING = 8, 1e-12
"""How near to the beginning of a run a zero lies there: in spacings of times, and beside the first
piece."""

TURN = np.pi / 4
"""Angle through which the linear part may turn the state between two of them."""


class Event(NamedTuple):
    """A function g(t, y) whose zeros are wanted.

    `direction` is 0, or the sign of the slope that counts; `terminal` is the number of zeros after
    which a solve stops, 0 for never.
    """

    function: Callable[[float, Any], float]
    direction: float
    terminal: int


def parse_events(events: Any, args: tuple[Any, ...]) -> tuple[Event, ...]:
    """Return events from SciPy's form: functions with attributes `terminal` and `direction`."""
    if events is None:
        return ()
    if not callable(events) and not isinstance(events, list | tuple):
        raise InvalidArgument(f"events={events!r} must be a function g(t, y) or a list of such")
    functions: Sequence[Any] = (events,) if callable(events) else events
    return tuple(_event(f, i, args) for i, f in enumerate(functions))


def _event(function: Any, number: int, args: tuple[Any, ...]) -> Event:
    if not callable(function):
        raise InvalidArgument(f"events[{number}]={function!r} must be a function g(t, y)")
    terminal = getattr(function, "terminal", False)
    zeros = _number_of(terminal)
    if not 0 <= zeros < np.inf or zeros % 1 != 0:
        raise InvalidArgument(
            f"events[{number}].terminal={terminal!r} must be a bool, or the number of zeros after "
            "which to stop"
        )
    direction = getattr(function, "direction", 0.0)
    slope = _number_of(direction)
    if np.isnan(slope):
        raise InvalidArgument(
            f"events[{number}].direction={direction!r} must be positive (only rising zeros), "
            "negative (only falling ones) or 0 (all)"
        )

    def value(t: float, y: Any) -> float:
        return _value(function(t, read_only(y), *args), number, t)

    return Event(value, slope, int(zeros))


def _number_of(attribute: Any) -> float:
    """Return an attribute of an event as a number: 1 for True, 0 for None."""
    value = bare(attribute)
    return float(value or 0) if value is None or isinstance(value, bool) else number(value)


def _value(value: Any, number: int, t: float) -> float:
    """Return what an event returned as a float: a real number, or an array of one entry."""
    one = value
    if hasattr(value, "shape") and prod(value.shape) == 1:
        one = value[(0,) * len(value.shape)]
    try:
        # The dtype by its name: NumPy cannot look into an array that lies on a device.
        if isinstance(one, str | bytes) or "complex" in str(getattr(one, "dtype", "")):
            raise TypeError
        found = float(one)
    except (TypeError, ValueError):
        raise InvalidArgument(
            f"events[{number}] returned {value!r} at t = {t:.9g}; it must return one real number, "
            "or an array that holds one"
        ) from None
    if not np.isfinite(found):
        raise InvalidArgument(f"events[{number}] is {found} at t = {t:.9g}; it must be finite")
    return found


class Watch:
    """Events along a run: their last values, and the zeros found so far."""

    def __init__(self, events: Sequence[Event], t: float, y: Any) -> None:
        self.events, self.begin = tuple(events), t
        self.values = [event.function(t, y) for event in self.events]
        self.times: list[list[float]] = [[] for _ in self.events]
        self.states: list[list[Any]] = [[] for _ in self.events]

    def step(
        self, before: float, t: float, y: Any, sol: Callable[[], Solution], turn: float
    ) -> float | None:
        """Look for zeros on the step that ends at (t, y).

        Parameters
        ----------
        before
            Where the step begins.
        sol
            Returns the solution on the step.
        turn
            Angle through which the linear part turns the state on the step.

        Returns
        -------
        float or None
            The time at which a terminal event ends the run, if one does.

        Notes
        -----
        A step may be long beside the oscillations of the linear part, which it follows exactly: the
        functions are looked at in LOOKS places of it or more, its end included.
        """
        solution = sol()
        looks = int(min(MOST_LOOKS, max(LOOKS, np.ceil(turn / TURN))))
        a = before
        for look in range(1, looks + 1):
            b = t if look == looks else before + (t - before) * look / looks
            end = self._piece(a, b, y if look == looks else solution(b), solution)
            if end is not None:
                return end
            a = b
        return None

    def _piece(self, a: float, b: float, y: Any, solution: Solution) -> float | None:
        old, self.values = self.values, [event.function(b, y) for event in self.events]
        active = [
            i
            for i, (g, f) in enumerate(zip(old, self.values, strict=True))
            if _crosses(g, f, self.events[i].direction)
        ]
        roots = [(_root(self.events[i], solution, a, b), i) for i in active]
        if a == self.begin:
            # Where a run ended at a zero, the next begins within rounding of it, on either side.
            least = max(SPACINGS * float(np.spacing(abs(a))), ROUNDING * abs(b - a))
            roots = [(root, i) for root, i in roots if abs(root - a) > least]
        for root, i in sorted(roots, key=lambda pair: abs(pair[0] - a)):
            self.times[i].append(root)
            self.states[i].append(solution(root))
            if self.events[i].terminal and len(self.times[i]) >= self.events[i].terminal:
                return root
        return None


def _crosses(g: float, f: float, direction: float) -> bool:
    up, down = g <= 0 <= f, g >= 0 >= f
    if g == 0:  # it belongs to the piece before
        return False
    return (up and direction >= 0) or (down and direction <= 0)


def _root(event: Event, solution: Solution, a: float, b: float) -> float:
    from scipy.optimize import brentq

    # To the rounding of times, or of a piece near 0, whatever their unit; brentq asks for xtol > 0.
    eps, tiny = float(np.finfo(float).eps), float(np.finfo(float).tiny)
    xtol = max(4 * eps * abs(b - a), tiny)
    held = [solution]  # brentq's wrapper of its function waits for the cyclic collector
    try:
        found: float = brentq(
            lambda t: event.function(t, held[0](t)), a, b, xtol=xtol, rtol=4 * eps
        )
    finally:
        held.clear()
    return found
