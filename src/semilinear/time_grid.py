"""What `solve` is told about time: from its arguments to numbers and times, or to a message."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from semilinear.errors import InvalidArgument, shown
from semilinear.given import number, whole_number

LEAST = float(np.finfo(np.float64).tiny)
"""Length of a span below which numbers lose digits."""


def checked_span(t_span: Any) -> tuple[float, float]:
    """Return (t0, t1) as floats, or refuse them."""
    try:
        t0, t1 = (number(t) for t in t_span)
    except (TypeError, ValueError):
        t0 = t1 = math.nan
    if not math.isfinite(t1 - t0) or t0 == t1:
        raise InvalidArgument(
            f"t_span={shown(t_span)} must be two numbers (t0, t1), different and a finite distance "
            "apart"
        )
    if abs(t1 - t0) < LEAST:
        raise InvalidArgument(
            f"t_span={shown(t_span)} is shorter than {LEAST:.2g}, and its parts are no numbers of "
            "full precision; measure time in a smaller unit"
        )
    return t0, t1


def step_limits(
    first_step: Any, max_step: Any, t_span: tuple[float, float]
) -> tuple[float | None, float]:
    """Return the length of the first adaptive step or None, and the greatest length.

    A greatest length of None or infinity means that of the whole span.
    """
    span = abs(t_span[1] - t_span[0])
    longest = math.inf if max_step is None else number(max_step)
    if not longest > 0:
        raise InvalidArgument(
            f"max_step={shown(max_step)} must be a positive number; leave it out for no limit"
        )
    _check_moves("max_step", longest, t_span[0])
    if first_step is None:
        return None, min(longest, span)
    first = number(first_step)
    if not 0 < first <= span:
        raise InvalidArgument(
            f"first_step={shown(first_step)} must be a positive number and not longer than t_span "
            f"({span:g}); leave it out to have it chosen"
        )
    _check_moves("first_step", first, t_span[0])
    return first, min(longest, span)


def _check_moves(argument: str, step: float, t0: float) -> None:
    """Refuse a step that does not lead to another number."""
    spacing = float(np.spacing(abs(t0)))
    if step < spacing:
        raise InvalidArgument(
            f"{argument}={step:g} is less than the spacing between numbers at t0 = {t0:g}, which "
            f"is {spacing:.2g}; give a longer step, or measure time from t0"
        )


def fixed_grid(
    t_span: tuple[float, float],
    *,
    steps: Any,
    step_size: Any,
    grid: Sequence[float] | np.ndarray | None,
) -> np.ndarray:
    """Return the times of a fixed grid over `t_span`; exactly one of the others is given."""
    t0, t1 = t_span
    found = {"steps": steps, "step_size": step_size, "grid": grid}
    given = [name for name, value in found.items() if value is not None]
    if len(given) != 1:
        raise InvalidArgument(
            f"give exactly one of steps, step_size and grid; got {given or 'none'}"
        )
    if grid is not None:
        times = monotone(grid, "grid")
        if times[0] != t0 or times[-1] != t1:
            raise InvalidArgument(
                f"grid runs from {times[0]} to {times[-1]}; it must run from {t0} to {t1} as t_span"
            )
        return times
    if step_size is not None:
        steps = _steps_of(step_size, abs(t1 - t0))
    times = np.linspace(t0, t1, whole_number("steps", steps) + 1)
    if not np.diff(times).all():
        raise InvalidArgument(
            f"{given[0]}={found[given[0]]!r} asks for more steps than there are numbers between "
            f"{t0} and {t1}; take fewer, or measure time from t0"
        )
    return times


def _steps_of(step_size: Any, length: float) -> int:
    size = number(step_size)
    count = length / size if 0 < size < math.inf else 0.0
    steps = round(count) if count < math.inf else 0
    if steps < 1 or abs(count - steps) > 1e-9 * count:
        raise InvalidArgument(
            f"step_size={shown(step_size)} must be positive and divide the length {length} of "
            "t_span, backwards in time too; or give steps="
        )
    return steps


def monotone(grid: Any, argument: str) -> np.ndarray:
    """Return strictly monotone times as float64, or refuse them."""
    times = numbers(grid, argument)
    if times.ndim != 1 or len(times) < 2:
        raise InvalidArgument(f"{argument} must be one-dimensional with at least two points")
    differences = np.diff(times)
    if not np.isfinite(times).all() or not ((differences > 0).all() or (differences < 0).all()):
        raise InvalidArgument(
            f"{argument} must be finite and strictly increasing or strictly decreasing"
        )
    return times


def wanted_times(t_eval: Any, t_span: tuple[float, float]) -> np.ndarray | None:
    """Return the times at which a solution is wanted, in the direction of `t_span`, or None."""
    if t_eval is None:
        return None
    asked = np.atleast_1d(numbers(t_eval, "t_eval"))
    if asked.ndim != 1 or not len(asked):
        raise InvalidArgument("t_eval must be one-dimensional with at least one time")
    t0, t1 = t_span
    low, high = min(t0, t1), max(t0, t1)
    for i, t in enumerate(asked.tolist()):
        if not (low <= t <= high or same_time(t, low) or same_time(t, high)):
            raise InvalidArgument(
                f"t_eval must lie in t_span, between {t0} and {t1}; t_eval[{i}] = {t} does not"
            )
    if not (np.diff(asked) * (t1 - t0) > 0).all():
        raise InvalidArgument(
            "t_eval must be strictly monotone in the direction of integration, from "
            f"t0 = {t0} to t1 = {t1}; sort it"
        )
    return asked


def same_time(s: float, t: float) -> bool:
    """Tell whether two times differ by the rounding of a grid at most."""
    return abs(s - t) <= 8.0 * float(np.spacing(max(abs(s), abs(t))))


def nearest(wanted: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return for each wanted time the number of the grid point next to it."""
    sign = 1.0 if times[-1] > times[0] else -1.0
    after = np.searchsorted(sign * times, sign * wanted).clip(1, len(times) - 1)
    closer = np.abs(times[after - 1] - wanted) <= np.abs(times[after] - wanted)
    return np.asarray(after - closer)


def lies_on(wanted: np.ndarray, times: np.ndarray) -> bool:
    """Tell whether all wanted times are grid points, to rounding."""
    found = times[nearest(wanted, times)]
    return all(same_time(s, t) for s, t in zip(wanted.tolist(), found.tolist(), strict=True))


def numbers(values: Any, argument: str) -> np.ndarray:
    """Return real numbers as a float64 array of their own, or refuse them."""
    try:
        found = np.asarray(values)
        if found.dtype.kind in "fiuO":  # objects may be fractions
            return np.array(found, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidArgument(f"{argument} must be a sequence of real numbers, such as a NumPy array")
