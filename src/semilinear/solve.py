"""`solve`: semilinear initial value problems, on a fixed grid or with adaptive steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from semilinear import methods
from semilinear.adaptive import make_controller
from semilinear.arguments import check_args, checked_linear, initial_state
from semilinear.choice import choose_method
from semilinear.engines import Engine, make_engine, plan_of
from semilinear.errors import InvalidArgument, NonFiniteError
from semilinear.given import number, whole_number
from semilinear.methods import Method, VariableOrder
from semilinear.output import Recorder, Solution, make_solution, parse_events
from semilinear.plan import Plan
from semilinear.progress import Progress
from semilinear.propagators import Propagator
from semilinear.time_grid import (
    checked_span,
    fixed_grid,
    lies_on,
    monotone,
    step_limits,
    wanted_times,
)


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

    Returns
    -------
    Plan
        Immutable; `Plan.start` begins a run.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used.
    UnknownName
        If `method` or `start` is no known name.
    NonFiniteError
        If the flow of a `Scalar` overflows over a step, or cannot be computed; with other linear
        parts the run raises it when it comes to such a step.
    """
    return plan_of(methods.get(method), checked_linear(linear), monotone(grid, "grid"), start)


def solve(
    linear: Propagator,
    nonlinear: Callable[..., Any],
    t_span: tuple[float, float],
    y0: Any,
    *,
    method: str | Method | None = None,
    rtol: float | None = None,
    atol: Any = None,
    steps: int | None = None,
    step_size: float | None = None,
    grid: Sequence[float] | np.ndarray | None = None,
    t_eval: Sequence[float] | np.ndarray | None = None,
    dense_output: bool = False,
    events: Any = None,
    first_step: float | None = None,
    max_step: float | None = None,
    max_nfe: int | None = None,
    controller: str | tuple[float, float, float] | None = None,
    start: str = "ramp",
    args: tuple[Any, ...] = (),
    callback: Callable[[float, Any], None] | None = None,
    progress: bool = False,
) -> Solution:
    """Solve y' = L(t) y + B(t) N(t, y), y(t0) = y0, by an exponential integrator.

    Steps are adaptive, unless one of `steps`, `step_size` and `grid` fixes them.

    Parameters
    ----------
    linear
        L and B: `Scalar`, `Diagonal` or `Dense`. A bare array is refused, since it could mean
        either of the last two.
    nonlinear
        ``N(t, y, *args)``: an array like y. With NumPy states N may reuse its result and write to
        y; with other libraries each call must return an array of its own and leave y as it is. Or a
        function ``N(t, u, out)`` compiled by Numba that writes to `out`: with a NumPy state the
        whole loop then runs compiled.
    t_span
        (t0, t1); t1 < t0 integrates backwards. The last step ends at t1 exactly.
    y0
        Initial state: an array of any array library and shape, float32, float64 or their complex
        kinds, which the solution keeps, in the machine's byte order. Lists and integers become
        float64.
    method
        A name of `semilinear.methods.names()`, or a method object; adaptive steps need one that
        estimates its error. By default `semilinear.choose_method` decides.
    rtol, atol
        Tolerances of adaptive steps, as SciPy's: the estimated local error of an entry y is kept
        below ``atol + rtol |y|`` in the root mean square. 1e-3 and 1e-6 by default; `atol` may be
        an array that broadcasts to the state.
    steps, step_size, grid
        At most one: the number of equal steps; their length, which must divide the span (to
        rounding); or all grid points from t0 to t1.
    t_eval
        Times at which the solution is wanted, in the direction of integration: exactly these are
        returned. They do not change the steps: between grid points the solution is interpolated, to
        the order of the method. All grid points by default.
    dense_output
        Whether the continuous solution is kept, as ``sol``.
    events
        A function ``g(t, y, *args)`` or several, whose zeros are wanted; with SciPy's attributes
        ``terminal`` (bool, or a number of zeros) and ``direction``. They must not write to y, which
        with NumPy states is read-only.
    first_step, max_step
        Of adaptive steps: length of the first, chosen by a trial step by default; greatest length,
        without limit by default.
    max_nfe
        Most evaluations of N that adaptive steps may cost, without limit by default; where they do
        not lead to t1, ``status`` is -1, and all that was reached is there.
    controller
        Of embedded pairs: ``"I"``, ``"PI"`` (by default) or ``"PID"``, how much of the past errors
        the next step looks at; or three gains (b1, b2, b3) of Soderlind (2003), eq. 40. Methods of
        variable order look at the newest and take none.
    start
        For multistep methods on a fixed grid: ``"ramp"`` (growing order, one evaluation a step) or
        ``"rk"`` (exponential Runge-Kutta steps, which keep the order).
    args
        Further arguments of N and of events.
    callback
        ``callback(t, y)`` after every step. It must not write to y, which with NumPy states is
        read-only.
    progress
        Whether to draw a progress bar, on a terminal.

    Returns
    -------
    Solution
        With SciPy's names, time last in ``y``. If adaptive steps cannot reach t1 (tolerances out of
        reach, N not finite), ``status`` is -1, ``message`` says why, and all that was reached is
        there.

    Raises
    ------
    InvalidArgument
        Names the argument, what was wrong and what to do.
    ModelOutputError
        N returned another shape or dtype; names the evaluation and t.
    NonFiniteError
        On a fixed grid, or at t0: N returned NaN or infinity; names t, the largest entry of the
        state and, outside of the compiled loop, the evaluation. Its attribute ``solution`` holds
        what was reached.

    Examples
    --------
    >>> import numpy as np, semilinear as sl
    >>> L = sl.Diagonal([-1.0, -1000.0])
    >>> s = sl.solve(L, lambda t, y: np.cos(y[::-1]), (0, 1), [1.0, 1.0], rtol=1e-6)
    >>> s.success, float(s.t[-1])
    (True, 1.0)
    """
    begun = perf_counter()
    span = checked_span(t_span)
    operator = checked_linear(linear, nonlinear)
    check_args(args)
    most = np.inf if max_nfe is None else whole_number("max_nfe", max_nfe)
    y = initial_state(y0)
    if callback is not None and not callable(callback):
        raise InvalidArgument(f"callback={callback!r} must be a function callback(t, y)")
    fixed = not (steps is None and step_size is None and grid is None)
    times = control = None
    if fixed:
        unlimited = number(max_step) == np.inf
        _refuse_adaptive(
            rtol=rtol, atol=atol, first_step=first_step, controller=controller,
            max_step=None if unlimited else max_step, max_nfe=max_nfe,
        )  # fmt: skip
        times = fixed_grid(span, steps=steps, step_size=step_size, grid=grid)
    else:
        if start != "ramp":
            raise InvalidArgument(f"start={start!r} is for multistep methods on a fixed grid")
        first, longest = step_limits(first_step, max_step, span)
        control = make_controller(
            controller, y, span, rtol=rtol, atol=atol, first_step=first, max_step=longest
        )
    if method is None:
        chosen = choose_method(operator, rtol=None if control is None else control.rtol)
    else:
        chosen = methods.get(method)
    check_takes_controller(chosen, controller)
    wanted = wanted_times(t_eval, span)
    watched = parse_events(events, args)
    on_grid = wanted is None or lies_on(wanted, np.asarray(span if times is None else times))
    between = dense_output or bool(watched) or not on_grid
    engine = make_engine(
        operator, nonlinear, span, y, args=args, method=chosen, times=times, controller=control,
        start=start,
    )  # fmt: skip
    engine.most = most
    bar = Progress(1000, label=chosen.name, show=progress)
    recorder = Recorder(
        engine.linear,
        engine.slope,
        count=chosen.order,
        wanted=wanted,
        events=watched,
        dense=dense_output,
        callback=_after_step(callback, bar, span) if callback or progress else None,
        needs_slopes=between,
        norm=None if control is None else control.norm,
    )
    with bar:
        return _run(engine, recorder, y, chosen, begun, fixed=fixed)


def _run(
    engine: Engine, recorder: Recorder, y: Any, method: Method, begun: float, *, fixed: bool
) -> Solution:
    """Make a run; one on a fixed grid, or that has no N at t0, raises what it fails of."""
    failed: NonFiniteError | None = None
    try:
        engine.run(y, recorder)
    except NonFiniteError as error:
        failed = error
    solution = _solution(recorder, engine, y, method, perf_counter() - begun, failed)
    if failed is not None and (fixed or not recorder.points):
        failed.solution = solution
        raise failed
    return solution


def _solution(
    recorder: Recorder,
    engine: Engine,
    y: Any,
    method: Method,
    seconds: float,
    failed: NonFiniteError | None,
) -> Solution:
    """Return what a run has left behind."""
    stats = {
        "method": method.name,
        "order": method.order,
        "steps": engine.steps,
        "rejected": engine.rejected,
        "seconds": seconds,
    }
    failure = engine.failure if failed is None else str(failed)
    return make_solution(recorder, y, evaluations=engine.evaluations, failure=failure, stats=stats)


def check_takes_controller(
    method: Method, controller: str | tuple[float, float, float] | None
) -> None:
    """Refuse a controller of embedded pairs for a method of variable order."""
    if controller is not None and isinstance(method, VariableOrder):
        raise InvalidArgument(
            f"controller={controller!r} is for embedded pairs; {method.name} chooses its order "
            "with the step, by the newest error: leave controller out, or name a pair, such as "
            "method='zoto_bowman43'"
        )


def _refuse_adaptive(**options: Any) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise InvalidArgument(
            f"{' and '.join(given)}: of adaptive steps only; leave it out, or leave out steps, "
            "step_size and grid"
        )


def _after_step(
    callback: Callable[[float, Any], None] | None, bar: Progress, span: tuple[float, float]
) -> Callable[[float, Any], None]:
    """Return what is called after every step: the user's callback, and the progress bar."""
    t0, t1 = span

    def after(t: float, y: Any) -> None:
        bar.update(int(1000 * ((t - t0) / (t1 - t0))))
        if callback is not None:
            callback(t, y)

    return after
