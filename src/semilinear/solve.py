"""`solve`: semilinear initial value problems on a fixed grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from semilinear import methods
from semilinear.course import State, checked_array
from semilinear.errors import InvalidArgument, NonFiniteError
from semilinear.kernels import Backend
from semilinear.methods import Method
from semilinear.plan import Plan
from semilinear.program import Program
from semilinear.propagators import Propagator
from semilinear.solution import Solution
from semilinear.stepping import run
from semilinear.time_grid import fixed_grid, monotone, wanted_points


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
    times = monotone(grid, "grid")
    chosen = methods.get(method)
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
    times = fixed_grid(t_span, steps=steps, step_size=step_size, grid=grid)
    wanted = wanted_points(t_eval, times)
    plan = make_plan(linear, times, method=method, start=start)
    y = _initial_state(y0, plan)
    if not isinstance(args, tuple):
        raise InvalidArgument(f"args={args!r} must be a tuple, such as ({args!r},)")
    saved = [y] if 0 in wanted else []

    def after_step(state: State) -> None:
        if state.step in wanted:
            saved.append(state.y)
        if callback is not None:
            callback(float(times[state.step]), _read_only(state.y))

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


def _read_only(y: Any) -> Any:
    """Return a view that cannot be written to, where the library has such a thing."""
    if isinstance(y, np.ndarray):
        y = y.view()
        y.flags.writeable = False
    return y


def _checked_linear(linear: Any) -> Propagator:
    if isinstance(linear, Propagator):
        return linear
    if hasattr(linear, "toarray"):
        raise InvalidArgument("linear is a sparse matrix; pass semilinear.Dense(linear.toarray())")
    if isinstance(linear, list | tuple) or getattr(linear, "ndim", 0) > 0:
        raise InvalidArgument(
            "linear is a bare array, which could mean one number per entry or a matrix: wrap it as "
            "semilinear.Diagonal(...) or semilinear.Dense(...)"
        )
    if callable(linear) or isinstance(linear, int | float | complex | np.generic | np.ndarray):
        raise InvalidArgument(
            f"linear={linear!r} must be a propagator: wrap it as semilinear.Scalar(...)"
        )
    raise InvalidArgument(f"linear={linear!r} must be a Scalar, Diagonal or Dense")


def _initial_state(y0: Any, plan: Plan) -> Any:
    """Return y0 as an array that the plan can start from."""
    y = y0
    if isinstance(y0, list | tuple | float | int | complex):
        try:
            y = np.asarray(y0)
        except ValueError:
            raise InvalidArgument("y0 is a ragged list; give an array") from None
    if isinstance(y, np.ndarray | np.generic) and y.dtype.kind in "biu":
        y = np.asarray(y, dtype=np.float64)
    y = checked_array(y, "y0")
    state = Backend(y)
    plan.check_state(state.shape, state.is_complex, argument="y0")
    if not state.is_finite(y):
        raise NonFiniteError("y0 has NaN or infinite entries; start from finite numbers")
    return y
