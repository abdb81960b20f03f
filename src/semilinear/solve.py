"""`solve`: semilinear initial value problems on a fixed grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from semilinear import methods
from semilinear.course import State
from semilinear.errors import InvalidArgument
from semilinear.methods import STARTS, Method
from semilinear.plan import Plan
from semilinear.program import Program
from semilinear.propagators import Propagator
from semilinear.solution import Solution
from semilinear.stepping import run


def make_plan(
    linear: Propagator,
    grid: Sequence[float] | np.ndarray,
    *,
    method: str | Method = "hochbruck_ostermann4",
    start: str = "ramp",
) -> Plan:
    """Return the plan of a method on a grid, for many runs or for a loop of one's own.

    Parameters
    ----------
    linear
        The linear part: `Scalar`, `Diagonal` or `Dense`.
    grid
        Times, strictly increasing or strictly decreasing, at least two.
    method, start
        As in `solve`.
    """
    times = _monotone(grid, "grid")
    chosen = methods.get(method)
    if start not in STARTS:
        raise InvalidArgument(f"start={start!r} is not known; it must be one of {STARTS}")
    steps = tuple(methods.sequence(chosen, len(times) - 1, start=start))
    program = Program(steps, _checked_linear(linear), times)
    asked = program.evaluation_points().tolist()
    return Plan(program, times=asked, end=float(times[-1]), name=chosen.name)


def solve(
    linear: Propagator,
    nonlinear: Callable[..., Any],
    t_span: tuple[float, float],
    y0: Any,
    *,
    method: str | Method = "hochbruck_ostermann4",
    steps: int | None = None,
    step_size: float | None = None,
    grid: Sequence[float] | np.ndarray | None = None,
    t_eval: Sequence[float] | np.ndarray | None = None,
    start: str = "ramp",
    args: tuple[Any, ...] = (),
    callback: Callable[[float, Any], None] | None = None,
) -> Solution:
    """Solve y' = L(t) y + B(t) N(t, y), y(t0) = y0, by an exponential integrator on a fixed grid.

    Parameters
    ----------
    linear
        L and B: `Scalar`, `Diagonal` or `Dense`. A bare array is refused, since it could mean
        either of the last two.
    nonlinear
        ``N(t, y, *args)``: an array like y. Each call must return an array of its own and leave y
        as it is: values are kept by reference, so a buffer that is overwritten spoils them.
    t_span
        (t0, t1); t1 < t0 integrates backwards.
    y0
        Initial state: an array of any array library and shape, float32, float64 or their complex
        kinds, which the solution keeps. Lists and integers become float64.
    method
        A name of `semilinear.methods.names()`, or a method object. The default keeps order four
        on stiff problems.
    steps, step_size, grid
        Exactly one: the number of equal steps; their length, which must divide the span (to
        rounding); or all grid points from t0 to t1.
    t_eval
        Grid points at which the solution is wanted; all by default.
    start
        For multistep methods: ``"ramp"`` (growing order, one evaluation a step) or ``"rk"``
        (exponential Runge-Kutta steps, which keep the order).
    args
        Further arguments of N.
    callback
        ``callback(t, y)`` after every step.

    Returns
    -------
    Solution
        With times t and states y, time last.

    Raises
    ------
    InvalidArgument
        Names the argument, what was wrong and what to do.
    ModelOutputError, NonFiniteError
        N returned another shape or dtype, or NaN or infinity; names the evaluation and t.

    Examples
    --------
    >>> import numpy as np, semilinear as sl
    >>> L = sl.Diagonal([-1.0, -1000.0])
    >>> s = sl.solve(L, lambda t, y: np.cos(y[::-1]), (0, 1), [1.0, 1.0], steps=20)
    >>> s.y.shape
    (2, 21)
    """
    begun = perf_counter()
    t0, t1 = _span(t_span)
    times = _grid(t0, t1, steps=steps, step_size=step_size, grid=grid)
    plan = make_plan(linear, times, method=method, start=start)
    y = np.asarray(y0) if isinstance(y0, list | tuple | float | int | complex) else y0
    if isinstance(y, np.ndarray | np.generic) and y.dtype.kind in "biu":
        y = y.astype(np.float64)
    _checked_state(y, plan)
    wanted = _wanted(t_eval, times)
    saved = [y] if 0 in wanted else []

    def after_step(state: State) -> None:
        if state.step in wanted:
            saved.append(state.y)
        if callback is not None:
            callback(float(times[state.step]), state.y)

    run(plan, lambda x, t: nonlinear(t, x, *args), y, after_step=after_step)
    chosen = methods.get(method)
    return Solution(
        t=times[sorted(wanted)],
        y=array_namespace(y).stack(saved, axis=-1),
        nfev=plan.nfe,
        stats={
            "method": chosen.name,
            "order": chosen.order,
            "steps": plan.steps,
            "seconds": perf_counter() - begun,
        },
    )


def _checked_linear(linear: Any) -> Propagator:
    if isinstance(linear, Propagator):
        return linear
    if hasattr(linear, "shape") or isinstance(linear, list | tuple):
        raise InvalidArgument(
            "linear is a bare array, which could mean one number per entry or a matrix: wrap it as "
            "semilinear.Diagonal(...) or semilinear.Dense(...)"
        )
    if callable(linear) or isinstance(linear, int | float | complex):
        raise InvalidArgument(
            f"linear={linear!r} must be a propagator: wrap it as semilinear.Scalar(...)"
        )
    raise InvalidArgument(f"linear={linear!r} must be a Scalar, Diagonal or Dense")


def _checked_state(y: Any, plan: Plan) -> None:
    if not hasattr(y, "dtype"):
        raise InvalidArgument(f"y0 must be an array, got {type(y).__name__}")
    shape = tuple(y.shape)
    plan.check_state(shape, "complex" in str(y.dtype), argument="y0")


def _span(t_span: tuple[float, float]) -> tuple[float, float]:
    try:
        t0, t1 = (float(t) for t in t_span)
    except (TypeError, ValueError):
        raise InvalidArgument(f"t_span={t_span!r} must be two numbers (t0, t1)") from None
    if not (np.isfinite(t0) and np.isfinite(t1)) or t0 == t1:
        raise InvalidArgument(f"t_span={t_span!r} must be finite with t0 != t1")
    return t0, t1


def _grid(
    t0: float,
    t1: float,
    *,
    steps: int | None,
    step_size: float | None,
    grid: Sequence[float] | np.ndarray | None,
) -> np.ndarray:
    given = [
        name
        for name, v in [("steps", steps), ("step_size", step_size), ("grid", grid)]
        if v is not None
    ]
    if len(given) != 1:
        raise InvalidArgument(
            f"give exactly one of steps, step_size and grid; got {given or 'none'}"
        )
    if grid is not None:
        times = _monotone(grid, "grid")
        if times[0] != t0 or times[-1] != t1:
            raise InvalidArgument(
                f"grid runs from {times[0]} to {times[-1]}; it must run from {t0} to {t1} as t_span"
            )
        return times
    if step_size is not None:
        count = abs(t1 - t0) / step_size if step_size > 0 else 0.0
        steps = round(count)
        if steps < 1 or abs(count - steps) > 1e-9 * count:
            raise InvalidArgument(
                f"step_size={step_size} must be positive and divide the length {abs(t1 - t0)} of "
                "t_span; or give steps="
            )
    if isinstance(steps, bool) or steps != int(steps or 0) or int(steps) < 1:
        raise InvalidArgument(f"steps={steps!r} must be a whole number of at least 1")
    return np.linspace(t0, t1, int(steps) + 1)


def _monotone(grid: Any, argument: str) -> np.ndarray:
    try:
        times = np.array(grid, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidArgument(f"{argument} must be a sequence of numbers") from None
    if times.ndim != 1 or len(times) < 2:
        raise InvalidArgument(f"{argument} must be one-dimensional with at least two points")
    differences = np.diff(times)
    if not np.isfinite(times).all() or not ((differences > 0).all() or (differences < 0).all()):
        raise InvalidArgument(
            f"{argument} must be finite and strictly increasing or strictly decreasing"
        )
    return times


def _wanted(t_eval: Any, times: np.ndarray) -> set[int]:
    if t_eval is None:
        return set(range(len(times)))
    asked = np.atleast_1d(np.asarray(t_eval, dtype=np.float64))
    nearest = np.abs(times[:, None] - asked[None, :]).argmin(axis=0)
    tolerance = 1e-9 * np.abs(np.diff(times)).min()
    if (np.abs(times[nearest] - asked) > tolerance).any():
        raise InvalidArgument(
            "t_eval must consist of grid points, since a fixed grid is not interpolated; choose "
            "steps= or grid= so that they are"
        )
    return {int(i) for i in nearest}
