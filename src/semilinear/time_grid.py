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
    t0, t1 = _span(t_span)
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


def _span(t_span: tuple[float, float]) -> tuple[float, float]:
    try:
        t0, t1 = (float(t) for t in t_span)
    except (TypeError, ValueError):
        raise InvalidArgument(f"t_span={t_span!r} must be two numbers (t0, t1)") from None
    if not (np.isfinite(t0) and np.isfinite(t1)) or t0 == t1:
        raise InvalidArgument(f"t_span={t_span!r} must be finite with t0 != t1")
    return t0, t1


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


def wanted_points(t_eval: Any, times: np.ndarray) -> set[int]:
    """Return the numbers of the grid points at which a solution is wanted."""
    if t_eval is None:
        return set(range(len(times)))
    asked = np.atleast_1d(_numbers(t_eval, "t_eval"))
    if asked.ndim != 1 or not len(asked):
        raise InvalidArgument("t_eval must be one-dimensional with at least one time")
    nearest = np.abs(times[:, None] - asked[None, :]).argmin(axis=0)
    tolerance = 1e-9 * np.abs(np.diff(times)).min()
    if not (np.abs(times[nearest] - asked) <= tolerance).all():
        raise InvalidArgument(
            "t_eval must consist of grid points, since a fixed grid is not interpolated; choose "
            "steps= or grid= so that they are"
        )
    return {int(i) for i in nearest}


def _numbers(values: Any, argument: str) -> np.ndarray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidArgument(f"{argument} must be a sequence of numbers") from None
