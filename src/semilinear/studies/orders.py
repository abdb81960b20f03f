"""Order studies: the error of methods on a ladder of step numbers, and the order that it shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from typing import Any

from semilinear.executors import checked_executor
from semilinear.methods import Method
from semilinear.studies import stiffness, text
from semilinear.studies.advice import STIFF, Facts, advise
from semilinear.studies.checks import checked_ladder, chosen_methods
from semilinear.studies.fit import Window, fit_order, slopes
from semilinear.studies.pool import gather
from semilinear.studies.subject import (
    Reference,
    Run,
    SemilinearProblem,
    Source,
    Spacing,
    final_state,
    machine_epsilon,
    name_of,
    reference_of,
    relative_error,
    resolved,
)

FLOOR_EPS, CEILING, DISAGREEMENTS = 1e3, 1e-2, 10.0
"""The asymptotic window: from so many machine epsilons to this relative error; how many times the
disagreement of a computed reference its lower end is at least."""


@dataclass(frozen=True)
class MethodOrder:
    """What one method did in an order study.

    Parameters
    ----------
    method
        Its name.
    order, stiff_order
        As declared.
    observed
        Least-squares order in the asymptotic window; NaN if it holds fewer than two points.
    interval
        95 per cent interval of `observed`; NaN with fewer than three points: no confidence is
        claimed.
    points
        Number of errors that these rest on.
    errors, evaluations
        Relative error at t1, infinite where the run overflowed, and evaluations of N, by number of
        steps.
    slopes
        Between neighbours, ``ln(e_i / e_{i+1}) / ln(n_{i+1} / n_i)``; in the window or not.
    """

    method: str
    order: int
    stiff_order: int
    observed: float
    interval: tuple[float, float]
    points: int
    errors: tuple[float, ...]
    slopes: tuple[float, ...]
    evaluations: tuple[int, ...]


@dataclass(frozen=True)
class OrderStudy:
    """Result of `order_study`.

    Parameters
    ----------
    problem
        Name of the problem, or of its type if it has none.
    t_span, steps, start
        As given.
    stiffness
        ``h |L|`` by number of steps, h the mean step and |L| the maximum norm. Where it is large,
        observed orders are stiff orders; where it is small, classical orders.
    reference, disagreement
        What errors are measured against; if it was computed, its relative difference from a check.
    window
        Smallest and largest relative error that count for the observed order.
    results
        One for each method, in the order given.
    advice
        A line for each method that fell short of its declared order or showed none: the cause, as
        far as the numbers tell it, and what to do.
    """

    problem: str
    t_span: tuple[float, float]
    steps: tuple[int, ...]
    start: str
    stiffness: tuple[float, ...]
    reference: str
    disagreement: float | None
    window: Window
    results: tuple[MethodOrder, ...]
    advice: tuple[str, ...]

    def table(self) -> str:
        """Return the study as aligned text.

        Columns: method, declared order and stiff order, observed order and half the width of its 95
        per cent interval (``-`` for NaN), the error at each number of steps, and the evaluations of
        N in the longest run. Advice follows.
        """
        rows = [
            ["method", "order", "stiff", "observed", "+-", *(f"n={n}" for n in self.steps), "nfev"]
        ]
        for r in self.results:
            observed = text.number(r.observed, ".2f")
            half = text.number((r.interval[1] - r.interval[0]) / 2, ".2f")
            errors = [f"{error:.1e}" for error in r.errors]
            declared = [str(r.order), str(r.stiff_order)]
            rows.append([r.method, *declared, observed, half, *errors, str(r.evaluations[-1])])
        t0, t1 = self.t_span
        title = f"{self.problem}, t = {t0:g} .. {t1:g}, start={self.start!r}; errors against "
        kind = "stiff, so that observed orders are stiff orders"
        if self.stiffness[-1] < STIFF:
            kind = "not stiff, so that observed orders are classical orders"
        stiffness = f"h |L| = {self.stiffness[0]:.2g} .. {self.stiffness[-1]:.2g}: {kind}"
        advice = ["", *self.advice] if self.advice else []
        return "\n".join([title + self.reference, stiffness, "", text.aligned(rows), *advice])

    def to_dict(self) -> dict[str, Any]:
        """Return the study as plain Python objects; None stands for NaN and infinity."""
        return text.plain(asdict(self))

    def to_json(self) -> str:
        """Return the study as a JSON document."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_csv(self) -> str:
        """Return the study as a CSV document, one row for each run.

        ``slope`` is that from the run before. NaN becomes an empty cell, infinity ``inf``.
        """
        head = ["problem", "method", "order", "stiff_order", "observed", "low", "high", "steps"]
        rows = [
            [self.problem, r.method, r.order, r.stiff_order, r.observed, *r.interval, *run]
            for r in self.results
            for run in zip(self.steps, r.errors, (None, *r.slopes), r.evaluations, strict=True)
        ]
        return text.csv_text([*head, "error", "slope", "evaluations"], rows)


def order_study(
    problem: Source,
    methods: str | Method | Sequence[str | Method],
    *,
    steps: Sequence[int] = (20, 40, 80, 160),
    start: str = "rk",
    reference: Any = None,
    spacing: Spacing | None = None,
    executor: Executor | None = None,
    progress: bool = False,
) -> OrderStudy:
    """Measure the order of methods on a problem.

    The error is ``max |y_n - y(t1)| / max |y(t1)|`` over all entries of the state at t1 (undivided
    where y(t1) = 0). The observed order is the least-squares slope of ln error over ln n in the
    asymptotic window, with a 95 per cent interval by Student's t: relative errors between 1e3
    machine epsilons of the state's dtype and 1e-2. A computed solution moves the lower end to ten
    times the difference from its check, if that is more.

    Parameters
    ----------
    problem
        Anything with `linear`, `nonlinear`, `t_span`, `y0` and `exact`, for arrays of any library;
        a name of `semilinear.problems`; or a function without arguments that makes a problem.
    methods
        Names or method objects.
    steps
        Numbers of steps, increasing, at least two. A confidence needs three.
    start
        For multistep methods, as in `semilinear.solve`: ``"rk"`` keeps the order of the method,
        ``"ramp"`` shows what becomes of it (two, of a predictor-corrector pair three).
    reference
        y(t1), if it is known from elsewhere; goes before ``problem.exact``.
    spacing
        Increasing map of [0, 1] onto itself, of arrays, that sets the grid:
        ``t0 + (t1 - t0) spacing(i / n)``. Equal steps by default.
    executor
        A `concurrent.futures.Executor` (threads, processes, a Dask client's, an MPI pool) for the
        runs; the study is the same to the last bit. Processes must be able to unpickle the problem:
        name it, or give a function of a module.
    progress
        Whether to draw a progress bar, on a terminal.

    Returns
    -------
    OrderStudy
        A result for each method, with tables, JSON, CSV and advice.

    Raises
    ------
    InvalidArgument
        If an argument is unusable or cannot be sent to the executor's processes, or there is no
        exact solution and neither etdab6 nor hochbruck_ostermann4 agrees with luan_ostermann5, with
        eight times the most steps, up to the square root of the machine epsilon.

    Examples
    --------
    >>> from semilinear import problems
    >>> study = order_study(problems.coupled(), ["etd2rk", "krogstad4"])
    >>> [round(result.observed) for result in study.results]
    [2, 4]
    """
    ladder = checked_ladder(steps)
    chosen = chosen_methods(methods)
    executor = checked_executor(executor)
    subject = resolved(problem)
    source = subject if executor is None else problem
    target = reference_of(
        subject,
        reference,
        source=source,
        steps=ladder[-1],
        spacing=spacing,
        executor=executor,
        progress=progress,
    )
    tasks = [Run(source, method, n, start, spacing) for method in chosen for n in ladder]
    runs = gather(
        _error_and_cost,
        [(task, target.end) for task in tasks],
        weights=[task.weight for task in tasks],
        executor=executor,
        progress=progress,
        label="order study",
    )
    by_method = [runs[i : i + len(ladder)] for i in range(0, len(runs), len(ladder))]
    return _study(subject, chosen, ladder, start, target, by_method)


def _error_and_cost(item: tuple[Run, Any]) -> tuple[float, int]:
    """Return the relative error of a run at t1, and its evaluations of N."""
    task, end = item
    y, nfev = final_state(task)
    return relative_error(y, end), nfev


def _study(
    problem: SemilinearProblem,
    chosen: Sequence[Method],
    ladder: tuple[int, ...],
    start: str,
    reference: Reference,
    runs: Sequence[Sequence[tuple[float, int]]],
) -> OrderStudy:
    """Return the study from the errors and evaluations of all runs."""
    disagreement = reference.disagreement
    floor = max(FLOOR_EPS * machine_epsilon(problem.y0), DISAGREEMENTS * (disagreement or 0.0))
    window = floor, CEILING
    results = tuple(
        _result(method, ladder, own, window) for method, own in zip(chosen, runs, strict=True)
    )
    rates = stiffness.step_rates(problem.linear, problem.t_span, ladder)
    facts = Facts(
        start=start,
        window=window,
        disagreement=disagreement,
        stiffness=rates[-1],
        matrix=problem.linear.form == "matrix",
        roughness=lambda: stiffness.roughness(problem, reference.end),
        without_linear=problem.linear.constant and rates[-1] == 0,
    )
    return OrderStudy(
        problem=name_of(problem),
        t_span=problem.t_span,
        steps=ladder,
        start=start,
        stiffness=rates,
        reference=reference.source,
        disagreement=disagreement,
        window=window,
        results=results,
        advice=advise(results, chosen, facts),
    )


def _result(
    method: Method, ladder: Sequence[int], runs: Sequence[tuple[float, int]], window: Window
) -> MethodOrder:
    errors = tuple(error for error, _ in runs)
    fit = fit_order(ladder, errors, window=window)
    return MethodOrder(
        method=method.name,
        order=method.order,
        stiff_order=method.stiff_order,
        observed=fit.order,
        interval=(fit.low, fit.high),
        points=fit.points,
        errors=errors,
        slopes=slopes(ladder, errors),
        evaluations=tuple(nfev for _, nfev in runs),
    )
