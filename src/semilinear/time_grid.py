"""Fixed time grids of `solve`: from its arguments to times, or to a message."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from semilinear.errors import InvalidArgument


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
    return np.linspace(t0, t1, whole_number("steps", steps) + 1)


def whole_number(argument: str, value: Any) -> int:
    """Return a count of at least 1, or refuse it."""
    flag = isinstance(value, bool)
    valid = not flag and isinstance(value, Real) and np.isfinite(float(value))
    if not valid or value != int(value) or value < 1:
        raise InvalidArgument(f"{argument}={value!r} must be a whole number of at least 1")
    return int(value)


def _steps_of(step_size: Any, length: float) -> int:
    valid = isinstance(step_size, Real) and 0 < float(step_size) < np.inf
    count = length / step_size if valid else 0.0
    steps = round(count)
    if steps < 1 or abs(count - steps) > 1e-9 * count:
        raise InvalidArgument(
            f"step_size={step_size!r} must be positive and divide the length {length} of t_span; "
            "or give steps="
        )
    return steps


def monotone(grid: Any, argument: str) -> np.ndarray:
    """Return strictly monotone times as float64, or refuse them."""
    times = _numbers(grid, argument)
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
    asked = np.atleast_1d(_numbers(t_eval, "t_eval"))
    if asked.ndim != 1 or not len(asked):
        raise InvalidArgument("t_eval must be one-dimensional with at least one time")
    t0, t1 = t_span
    low, high = min(t0, t1), max(t0, t1)
    inside = [low <= t <= high or same_time(t, low) or same_time(t, high) for t in asked.tolist()]
    if not all(inside):
        raise InvalidArgument(f"t_eval must lie in t_span, between {t0} and {t1}")
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


def _numbers(values: Any, argument: str) -> np.ndarray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidArgument(f"{argument} must be a sequence of numbers") from None
