"""Order studies: the error of methods on a ladder of step numbers, and the order that it shows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Protocol

import numpy as np
from array_api_compat import array_namespace, device

from semilinear.errors import InvalidArgument, NonFiniteError
from semilinear.methods import Method, get
from semilinear.plan import Plan
from semilinear.propagators import Propagator
from semilinear.solve import make_plan
from semilinear.stepping import run

FLOOR_EPS, CEILING = 1e3, 1e-2
"""The asymptotic window: from so many machine epsilons to this relative error."""

REFERENCE, CHECK, REFINEMENT = "luan_ostermann5", "etdab6", 8
"""Method of a computed reference, method that checks it, and their steps per step of a study."""

DISAGREEMENTS = 10.0
"""Differences of these two below which an error is not in the window either."""

Spacing = Callable[[np.ndarray], np.ndarray]


class SemilinearProblem(Protocol):
    """What `order_study` needs of a problem; `semilinear.problems` has such."""

    @property
    def linear(self) -> Propagator:
        """L and B."""

    @property
    def nonlinear(self) -> Callable[[float, Any], Any]:
        """``N(t, y)``."""

    @property
    def t_span(self) -> tuple[float, float]:
        """(t0, t1)."""

    @property
    def y0(self) -> Any:
        """Initial state."""

    @property
    def exact(self) -> Callable[[float], Any] | None:
        """The solution ``y(t)``, or None."""


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
        Median of the slopes in the asymptotic window; NaN if it holds fewer than two points.
    errors
        Relative error at t1 by number of steps; infinite where the run overflowed.
    slopes
        See `slopes`; in the window or not.
    evaluations
        Evaluations of N by number of steps.
    """

    method: str
    order: int
    stiff_order: int
    observed: float
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
    t_span
        (t0, t1).
    steps
        Numbers of steps.
    start
        How multistep methods were started.
    reference
        What errors are measured against.
    disagreement
        Relative difference of the two methods of a computed reference; None for any other.
    window
        Smallest and largest relative error that count for the observed order.
    results
        One entry for each method, in the order given.
    """

    problem: str
    t_span: tuple[float, float]
    steps: tuple[int, ...]
    start: str
    reference: str
    disagreement: float | None
    window: tuple[float, float]
    results: tuple[MethodOrder, ...]

    def table(self) -> str:
        """Return the study as aligned text.

        Columns: method, declared order and stiff order, observed order (``-`` for NaN), the error
        at each number of steps, and the evaluations of N in the longest run.
        """
        head = ["method", "order", "stiff", "observed", *(f"n={n}" for n in self.steps), "nfev"]
        body = [
            [
                result.method,
                str(result.order),
                str(result.stiff_order),
                "-" if math.isnan(result.observed) else f"{result.observed:.2f}",
                *(f"{error:.1e}" for error in result.errors),
                str(result.evaluations[-1]),
            ]
            for result in self.results
        ]
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in (head, *body)
        ]
        t0, t1 = self.t_span
        title = f"{self.problem}, t = {t0:g} .. {t1:g}, start {self.start!r}, {self.reference}"
        return "\n".join([title, "", *lines])

    def to_dict(self) -> dict[str, Any]:
        """Return the study as plain Python objects; None stands for NaN and infinity."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    def to_json(self) -> str:
        """Return the study as a JSON document."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)


def order_study(
    problem: SemilinearProblem,
    methods: str | Method | Sequence[str | Method],
    *,
    steps: Sequence[int] = (20, 40, 80, 160),
    start: str = "ramp",
    reference: Any = None,
    spacing: Spacing | None = None,
) -> OrderStudy:
    """Measure the order of methods on a problem.

    The error is ``max |y_n - y(t1)| / max |y(t1)|`` over all entries of the state at t1 (undivided
    where y(t1) = 0). The observed order is the median slope between neighbours in the asymptotic
    window: relative errors between 1e3 machine epsilons of the state's dtype and 1e-2.

    Parameters
    ----------
    problem
        Anything with `linear`, `nonlinear`, `t_span`, `y0` and `exact`, for arrays of any library.
    methods
        Names or method objects.
    steps
        Numbers of steps, increasing, at least two.
    start
        For multistep methods: ``"ramp"`` or ``"rk"``, as in `semilinear.solve`. Only ``"rk"`` keeps
        orders above two.
    reference
        y(t1), if it is known from elsewhere; goes before ``problem.exact``.
    spacing
        Increasing map of [0, 1] onto itself, of arrays, that sets the grid:
        ``t0 + (t1 - t0) spacing(i / n)``. Equal steps by default.

    Raises
    ------
    InvalidArgument
        If an argument is unusable, or if there is no exact solution and a computed one cannot be
        trusted: luan_ostermann5 and etdab6, with eight times the largest number of steps, differ
        by more than the square root of the machine epsilon, relative to the solution.

    Notes
    -----
    With a computed reference, the window begins at ten times the difference of these two if that is
    more than 1e3 machine epsilons.

    Examples
    --------
    >>> from semilinear import problems
    >>> study = order_study(problems.coupled(), ["etd2rk", "krogstad4"])
    >>> [round(result.observed) for result in study.results]
    [2, 4]
    """
    ladder = _ladder(steps)
    chosen = [get(m) for m in ([methods] if isinstance(methods, str | Method) else methods)]
    if not chosen:
        raise InvalidArgument("methods is empty; see semilinear.methods.names()")
    y0 = problem.y0 if hasattr(problem.y0, "dtype") else np.asarray(problem.y0, dtype=float)
    runs = _Runs(problem, y0, spacing)
    plans = [[runs.plan(method, count, start) for count in ladder] for method in chosen]
    t0, t1 = problem.t_span
    source, disagreement = "against the exact solution", None
    if reference is not None:
        source, end = "against the given reference", reference
    elif problem.exact is not None:
        end = problem.exact(t1)
    else:
        source, end, disagreement = _computed_reference(runs, REFINEMENT * ladder[-1])
    window = max(FLOOR_EPS * runs.eps, DISAGREEMENTS * (disagreement or 0.0)), CEILING
    return OrderStudy(
        problem=getattr(problem, "name", type(problem).__name__),
        t_span=(t0, t1),
        steps=ladder,
        start=start,
        reference=source,
        disagreement=disagreement,
        window=window,
        results=tuple(
            _measure(runs, of_method, method, end, window)
            for of_method, method in zip(plans, chosen, strict=True)
        ),
    )


def slopes(steps: Sequence[int], errors: Sequence[float]) -> tuple[float, ...]:
    """Return ``ln(e_i / e_{i+1}) / ln(n_{i+1} / n_i)``; NaN where an error is 0 or infinite."""
    return tuple(
        math.log(e / f) / math.log(m / n) if 0 < e < math.inf and 0 < f < math.inf else math.nan
        for (n, m), (e, f) in zip(pairwise(steps), pairwise(errors), strict=True)
    )


def observed_order(
    steps: Sequence[int], errors: Sequence[float], *, window: tuple[float, float]
) -> float:
    """Return the median slope between neighbours whose errors both lie in the window, or NaN."""
    low, high = window
    inside = [low <= error <= high for error in errors]
    both = [e and f for e, f in pairwise(inside)]
    kept = [slope for slope, counts in zip(slopes(steps, errors), both, strict=True) if counts]
    return median(kept) if kept else math.nan


@dataclass(frozen=True)
class _Runs:
    """Runs of one problem on grids of one spacing."""

    problem: SemilinearProblem
    y0: Any
    spacing: Spacing | None

    @property
    def eps(self) -> float:
        return float(array_namespace(self.y0).finfo(self.y0.dtype).eps)

    def plan(self, method: str | Method, count: int, start: str) -> Plan:
        t0, t1 = self.problem.t_span
        places = np.linspace(0.0, 1.0, count + 1)
        if self.spacing is not None:
            places = np.asarray(self.spacing(places), dtype=float)
            if places.shape != (count + 1,) or abs(places[0]) + abs(places[-1] - 1) > 1e-9:
                raise InvalidArgument("spacing must map arrays from 0 to 1 to arrays from 0 to 1")
        grid = np.concatenate([[t0], t0 + (t1 - t0) * places[1:-1], [t1]])
        return make_plan(self.problem.linear, grid, method=method, start=start)

    def end(self, plan: Plan) -> Any:
        """Return y at t1."""
        # An overflow is reported as an infinite error; a warning would say it twice.
        with np.errstate(over="ignore", invalid="ignore"):
            return run(plan, lambda y, t: self.problem.nonlinear(t, y), self.y0).x


def _measure(
    runs: _Runs, plans: list[Plan], method: Method, end: Any, window: tuple[float, float]
) -> MethodOrder:
    steps, errors = [plan.steps for plan in plans], []
    for plan in plans:
        try:
            errors.append(_relative_error(runs.end(plan), end))
        except NonFiniteError:
            errors.append(math.inf)
    return MethodOrder(
        method=method.name,
        order=method.order,
        stiff_order=method.stiff_order,
        observed=observed_order(steps, errors, window=window),
        errors=tuple(errors),
        slopes=slopes(steps, errors),
        evaluations=tuple(plan.nfe for plan in plans),
    )


def _relative_error(y: Any, end: Any) -> float:
    xp = array_namespace(y)
    truth = xp.asarray(end, dtype=y.dtype, device=device(y))
    if tuple(truth.shape) != tuple(y.shape):
        raise InvalidArgument(
            f"the solution to compare with has shape {tuple(truth.shape)}; it must have the shape "
            f"of y0, {tuple(y.shape)}"
        )
    scale = float(xp.max(xp.abs(truth)))
    return float(xp.max(xp.abs(y - truth))) / (scale or 1.0)


def _computed_reference(runs: _Runs, count: int) -> tuple[str, Any, float]:
    """Return what the reference is, y at t1, and how far a second method is from it."""
    y = runs.end(runs.plan(REFERENCE, count, "rk"))
    disagreement = _relative_error(runs.end(runs.plan(CHECK, count, "rk")), y)
    allowed = math.sqrt(runs.eps)
    if not disagreement <= allowed:
        raise InvalidArgument(
            f"problem has no exact solution, and none can be computed: {REFERENCE} and {CHECK} "
            f"with {count} steps differ by {disagreement:.1e}, more than {allowed:.1e}, relative to "
            "the solution; give more steps, a shorter t_span, or reference="
        )
    source = f"against {REFERENCE} with {count} steps ({CHECK} differs by {disagreement:.1e})"
    return source, y, disagreement


def _ladder(steps: Sequence[int]) -> tuple[int, ...]:
    ladder = tuple(steps)
    whole = all(isinstance(n, int) and n >= 1 for n in ladder)
    if not whole or len(ladder) < 2 or any(n >= m for n, m in pairwise(ladder)):
        raise InvalidArgument(
            f"steps={steps!r} must be at least two increasing positive whole numbers"
        )
    return ladder


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
