"""Work-precision studies: what error methods reach for how many steps, evaluations and seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from semilinear.errors import InvalidArgument, NonFiniteError
from semilinear.executors import checked_executor
from semilinear.given import whole_number
from semilinear.methods import Method, Tableau, VariableOrder, info
from semilinear.methods.checks import blind_moments
from semilinear.output.solution import Solution
from semilinear.solve import solve
from semilinear.studies.checks import checked_ladder, checked_tolerances, chosen_methods
from semilinear.studies.pool import gather
from semilinear.studies.subject import (
    SemilinearProblem,
    Source,
    machine_epsilon,
    name_of,
    reference_of,
    relative_error,
    resolved,
)
from semilinear.studies.work import Curve, Point, WorkPrecision

STEPS: tuple[int, ...] = (20, 40, 80, 160)
TOLERANCES: tuple[float, ...] = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)


class _Series(NamedTuple):
    """The runs of one curve, as they are sent to a worker; `levels` are steps or tolerances."""

    source: Source
    nonlinear: Callable[..., Any] | None
    method: Method
    adaptive: bool
    levels: tuple[Any, ...]
    start: str
    end: Any
    repeats: int
    compiled: bool


def work_precision(
    problem: Source,
    methods: str | Method | Sequence[str | Method],
    *,
    steps: Sequence[int] | None = None,
    tolerances: Sequence[float] | None = None,
    start: str = "rk",
    reference: Any = None,
    repeats: int = 3,
    compiled: bool = False,
    executor: Executor | None = None,
    progress: bool = False,
) -> WorkPrecision:
    """Measure the error of methods against the work that they take.

    Errors are those of `order_study`: ``max |y_n - y(t1)| / max |y(t1)|``. Every run is made once
    for its error, and to compile what is compiled, then `repeats` times for its seconds.

    Parameters
    ----------
    problem, methods, reference
        As in `order_study`.
    steps
        Numbers of steps, increasing: each method that has an order on fixed grids runs on these.
    tolerances
        Relative tolerances, decreasing: each method that estimates its error (embedded pairs,
        variable order) also runs with adaptive steps, with ``rtol`` as given and
        ``atol = rtol max |y0|``. With neither `steps` nor `tolerances`: 20 to 160 steps, and 1e-3
        to 1e-7 for methods whose estimate suits every N.
    start
        For multistep methods on fixed grids, as in `semilinear.solve`.
    repeats
        Timed runs, of which the median counts; 0 for none.
    compiled
        Whether N is ``problem.compiled()``, the one compiled by Numba that problems of
        `semilinear.problems` may have. Its compilation is not timed.
    executor
        As in `order_study`: errors, steps and evaluations are the same to the last bit. Seconds are
        measured in the workers, and marked as such.
    progress
        Whether to draw a progress bar, on a terminal.

    Returns
    -------
    WorkPrecision
        A curve for each method on fixed grids, and one with adaptive steps.

    Raises
    ------
    InvalidArgument
        If an argument is unusable, a method can use neither of the ladders, no method one of them,
        or there is no trustworthy reference, as in `order_study`.

    Examples
    --------
    >>> from semilinear import problems
    >>> study = work_precision(problems.coupled(), "krogstad4", steps=(20, 40), repeats=0)
    >>> [point.evaluations for point in study.curves[0].points]
    [80, 160]
    """
    chosen = chosen_methods(methods)
    executor = checked_executor(executor)
    timed = whole_number("repeats", repeats, least=0)
    subject = resolved(problem)
    grids, levels = _levels(chosen, steps, tolerances, machine_epsilon(subject.y0))
    asked = tolerances is not None
    source = subject if executor is None else problem
    target = reference_of(
        subject,
        reference,
        source=source,
        steps=(grids or STEPS)[-1],
        spacing=None,
        executor=executor,
        progress=progress,
    )
    # Compiled here once, where that can be handed on.
    nonlinear = _nonlinear(subject, compiled) if executor is None else None
    common = _Series(source, nonlinear, chosen[0], False, grids, start, target.end, timed, compiled)
    series = [common._replace(method=method) for method in chosen if grids and _takes_grids(method)]
    series += [
        common._replace(method=method, adaptive=True, levels=levels)
        for method in chosen
        if levels and _estimates(method) and (asked or _sees_time(method))
    ]
    series.sort(key=lambda one: chosen.index(one.method))
    curves = gather(
        _curve,
        series,
        weights=[1] * len(series),
        executor=executor,
        progress=progress,
        label="work-precision",
    )
    return WorkPrecision(
        problem=name_of(subject),
        t_span=subject.t_span,
        start=start,
        repeats=timed,
        timing="alone" if executor is None else "shared",
        reference=target.source,
        disagreement=target.disagreement,
        curves=tuple(curves),
    )


def _levels(
    chosen: Sequence[Method],
    steps: Sequence[int] | None,
    tolerances: Sequence[float] | None,
    eps: float,
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the ladder of steps and that of tolerances; one of them may be empty."""
    if steps is None and tolerances is None:
        return STEPS, TOLERANCES
    grids = () if steps is None else checked_ladder(steps, least=1)
    levels = () if tolerances is None else checked_tolerances(tolerances, eps)
    without = [method.name for method in chosen if not _estimates(method)]
    if without and not grids:
        raise InvalidArgument(
            f"{', '.join(without)}: no estimate of the error, which tolerances need; give steps="
        )
    without = [method.name for method in chosen if not _takes_grids(method)]
    if without and not levels:
        raise InvalidArgument(
            f"{', '.join(without)}: the order is chosen along with the steps; give tolerances="
        )
    if levels and not any(map(_estimates, chosen)):
        raise InvalidArgument(
            "tolerances: none of these methods estimates its error; leave it out, or add one that "
            "does, such as 'etd35'"
        )
    if grids and not any(map(_takes_grids, chosen)):
        raise InvalidArgument(
            "steps: all of these methods choose steps along with the order; leave it out"
        )
    if not (grids or levels):
        raise InvalidArgument("tolerances is empty, and no steps are given; give either")
    return grids, levels


def _estimates(method: Method) -> bool:
    return info(method).embedded_order is not None


def _sees_time(method: Method) -> bool:
    """Tell whether an estimate suits every N; `solve` refuses a blind one where N has a t in it."""
    return not isinstance(method, Tableau) or blind_moments(method) <= method.order


def _takes_grids(method: Method) -> bool:
    return not isinstance(method, VariableOrder)


def _nonlinear(problem: SemilinearProblem, compiled: bool) -> Callable[..., Any]:
    """Return N, or N compiled by Numba."""
    if not compiled:
        return problem.nonlinear
    make = getattr(problem, "compiled", None)
    if make is None:
        raise InvalidArgument(
            f"compiled=True: the problem {name_of(problem)} has no compiled N; leave it out"
        )
    return make()  # type: ignore[no-any-return]


def _curve(series: _Series) -> Curve:
    """Make the runs of one curve."""
    problem = resolved(series.source)
    nonlinear = series.nonlinear or _nonlinear(problem, series.compiled)
    points = tuple(_point(problem, nonlinear, series, level) for level in series.levels)
    return Curve(series.method.name, series.method.order, series.adaptive, points)


def _point(
    problem: SemilinearProblem, nonlinear: Callable[..., Any], series: _Series, level: Any
) -> Point:
    """Make one run, and time it."""
    y0 = problem.y0
    xp = array_namespace(y0)
    if series.adaptive:
        scale = float(xp.max(xp.abs(y0))) or 1.0
        chosen: dict[str, Any] = {"rtol": level, "atol": level * scale}
    else:
        chosen = {"steps": level, "start": series.start}

    def once() -> Solution:
        span = problem.t_span
        # An overflow is reported as an infinite error; a warning would say it twice.
        with np.errstate(over="ignore", invalid="ignore"):
            return solve(
                problem.linear,
                nonlinear,
                span,
                y0,
                method=series.method,
                t_eval=[span[1]],
                **chosen,
            )

    tolerance = level if series.adaptive else None
    try:
        solution = once()
    except NonFiniteError as error:
        solution = error.solution
    steps, rejected = (solution.stats[key] for key in ("steps", "rejected"))
    found = tolerance, steps, rejected, solution.nfev
    if not solution.success or not len(solution.t):
        return Point(*found, math.nan, math.inf)
    error_ = relative_error(solution.y[..., 0], series.end)
    return Point(*found, _seconds(once, series.repeats), error_)


def _seconds(once: Callable[[], Solution], repeats: int) -> float:
    """Return the median time of a solve, NaN without repeats."""
    times = []
    for _ in range(repeats):
        begun = perf_counter()
        y = once().y
        if not isinstance(y, np.ndarray):
            # Devices work on after a call returns, until a number is asked for.
            float(abs(array_namespace(y).reshape(y, (-1,))[0]))
        times.append(perf_counter() - begun)
    return median(times) if times else math.nan
