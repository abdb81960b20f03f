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

REFERENCE, CHECK, REFINEMENT, DISAGREEMENTS = "luan_ostermann5", "etdab6", 8, 10.0
"""Method of a computed reference, that of its check, their steps per step of the longest run, and
how many of their differences an error must have to be in the window."""

Spacing = Callable[[np.ndarray], np.ndarray]
Window = tuple[float, float]


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
    errors, evaluations
        Relative error at t1, infinite where the run overflowed, and evaluations of N, by number of
        steps.
    slopes
        See `slopes`; in the window or not.
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
    t_span, steps, start
        As given.
    reference, disagreement
        What errors are measured against; if it was computed, its relative difference from a check.
    window
        Smallest and largest relative error that count for the observed order.
    results
        One for each method, in the order given.
    """

    problem: str
    t_span: tuple[float, float]
    steps: tuple[int, ...]
    start: str
    reference: str
    disagreement: float | None
    window: Window
    results: tuple[MethodOrder, ...]

    def table(self) -> str:
        """Return the study as aligned text.

        Columns: method, declared order and stiff order, observed order (``-`` for NaN), the error
        at each number of steps, and the evaluations of N in the longest run.
        """
        head = ["method", "order", "stiff", "observed", *(f"n={n}" for n in self.steps), "nfev"]
        rows = [head]
        for r in self.results:
            observed = f"{r.observed:.2f}".replace("nan", "-")
            errors = [f"{error:.1e}" for error in r.errors]
            declared = [str(r.order), str(r.stiff_order)]
            rows.append([r.method, *declared, observed, *errors, str(r.evaluations[-1])])
        first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]) for row in rows]
        t0, t1 = self.t_span
        title = f"{self.problem}, t = {t0:g} .. {t1:g}, start={self.start!r}; errors against "
        return "\n".join([title + self.reference, "", *lines])

    def to_dict(self) -> dict[str, Any]:
        """Return the study as plain Python objects; None stands for NaN and infinity."""
        return dict(json.loads(json.dumps(asdict(self)), parse_constant=lambda constant: None))

    def to_json(self) -> str:
        """Return the study as a JSON document."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)


def order_study(
    problem: SemilinearProblem,
    methods: str | Method | Sequence[str | Method],
    *,
    steps: Sequence[int] = (20, 40, 80, 160),
    start: str = "rk",
    reference: Any = None,
    spacing: Spacing | None = None,
) -> OrderStudy:
    """Measure the order of methods on a problem.

    The error is ``max |y_n - y(t1)| / max |y(t1)|`` over all entries of the state at t1 (undivided
    where y(t1) = 0). The observed order is the median slope between neighbours in the asymptotic
    window: relative errors between 1e3 machine epsilons of the state's dtype and 1e-2. A computed
    solution moves the lower end to ten times the difference from its check, if that is more.

    Parameters
    ----------
    problem
        Anything with `linear`, `nonlinear`, `t_span`, `y0` and `exact`, for arrays of any library.
    methods
        Names or method objects.
    steps
        Numbers of steps, increasing, at least two.
    start
        For multistep methods, as in `semilinear.solve`: ``"rk"`` keeps the order of the method,
        ``"ramp"`` shows what becomes of it (two, of a predictor-corrector pair three).
    reference
        y(t1), if it is known from elsewhere; goes before ``problem.exact``.
    spacing
        Increasing map of [0, 1] onto itself, of arrays, that sets the grid:
        ``t0 + (t1 - t0) spacing(i / n)``. Equal steps by default.

    Raises
    ------
    InvalidArgument
        If an argument is unusable, or there is no exact solution and luan_ostermann5 and etdab6,
        with eight times the most steps, differ by more than the square root of the machine epsilon.

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
    plans = [[_plan(problem, spacing, method, n, start) for n in ladder] for method in chosen]
    source, end, disagreement = "a given value", reference, None
    if reference is None and problem.exact is not None:
        source, end = "the exact solution", problem.exact(problem.t_span[1])
    elif reference is None:
        source, end, disagreement = _computed_reference(problem, spacing, REFINEMENT * ladder[-1])
    window = max(FLOOR_EPS * _eps(problem.y0), DISAGREEMENTS * (disagreement or 0.0)), CEILING
    return OrderStudy(
        problem=getattr(problem, "name", type(problem).__name__),
        t_span=problem.t_span,
        steps=ladder,
        start=start,
        reference=source,
        disagreement=disagreement,
        window=window,
        results=tuple(
            _measure(problem, own, method, end, window)
            for own, method in zip(plans, chosen, strict=True)
        ),
    )


def slopes(steps: Sequence[int], errors: Sequence[float]) -> tuple[float, ...]:
    """Return ``ln(e_i / e_{i+1}) / ln(n_{i+1} / n_i)``; NaN where an error is 0 or infinite."""
    return tuple(
        math.log(e / f) / math.log(m / n) if 0 < e < math.inf and 0 < f < math.inf else math.nan
        for (n, m), (e, f) in zip(pairwise(steps), pairwise(errors), strict=True)
    )


def observed_order(steps: Sequence[int], errors: Sequence[float], *, window: Window) -> float:
    """Return the median slope between neighbours whose errors both lie in the window, or NaN."""
    low, high = window
    inside = [low <= error <= high for error in errors]
    both = [e and f for e, f in pairwise(inside)]
    kept = [slope for slope, counts in zip(slopes(steps, errors), both, strict=True) if counts]
    return median(kept) if kept else math.nan


def _plan(
    problem: SemilinearProblem, spacing: Spacing | None, method: str | Method, n: int, start: str
) -> Plan:
    """Return the plan of a run with n steps."""
    t0, t1 = problem.t_span
    places = np.linspace(0.0, 1.0, n + 1)
    if spacing is not None:
        places = np.asarray(spacing(places), dtype=float)
        if places.shape != (n + 1,) or abs(places[0]) + abs(places[-1] - 1) > 1e-9:
            raise InvalidArgument("spacing must map arrays from 0 to 1 to arrays from 0 to 1")
    grid = np.concatenate([[t0], t0 + (t1 - t0) * places[1:-1], [t1]])
    return make_plan(problem.linear, grid, method=method, start=start)


def _end(problem: SemilinearProblem, plan: Plan) -> Any:
    """Return y at t1."""
    # An overflow is reported as an infinite error; a warning would say it twice.
    with np.errstate(over="ignore", invalid="ignore"):
        return run(plan, lambda y, t: problem.nonlinear(t, y), problem.y0).x


def _measure(
    problem: SemilinearProblem, plans: list[Plan], method: Method, end: Any, window: Window
) -> MethodOrder:
    steps, errors = [plan.steps for plan in plans], []
    for plan in plans:
        try:
            errors.append(_relative_error(_end(problem, plan), end))
        except NonFiniteError:
            errors.append(math.inf)
    observed = observed_order(steps, errors, window=window)
    declared = method.name, method.order, method.stiff_order
    nfev = tuple(plan.nfe for plan in plans)
    return MethodOrder(*declared, observed, tuple(errors), slopes(steps, errors), nfev)


def _relative_error(y: Any, end: Any) -> float:
    xp = array_namespace(y)
    truth = xp.asarray(end, dtype=y.dtype, device=device(y))
    if tuple(truth.shape) != tuple(y.shape):
        raise InvalidArgument(
            f"reference has shape {tuple(truth.shape)}; it must have that of y0, {tuple(y.shape)}"
        )
    scale = float(xp.max(xp.abs(truth)))
    return float(xp.max(xp.abs(y - truth))) / (scale or 1.0)


def _computed_reference(
    problem: SemilinearProblem, spacing: Spacing | None, n: int
) -> tuple[str, Any, float]:
    """Return what the reference is, y at t1, and how far a second method is from it."""
    y, check = (_end(problem, _plan(problem, spacing, m, n, "rk")) for m in (REFERENCE, CHECK))
    disagreement, allowed = _relative_error(check, y), math.sqrt(_eps(y))
    if disagreement > allowed:
        raise InvalidArgument(
            f"problem has no exact solution, and {REFERENCE} and {CHECK} with {n} steps differ by "
            f"{disagreement:.1e} (relative), more than {allowed:.1e}; give more steps or reference="
        )
    return f"{REFERENCE} with {n} steps ({CHECK} differs by {disagreement:.1e})", y, disagreement


def _eps(y: Any) -> float:
    return float(array_namespace(y).finfo(y.dtype).eps)


def _ladder(steps: Sequence[int]) -> tuple[int, ...]:
    ladder = tuple(int(n) for n in steps)
    increasing = all(n < m for n, m in pairwise((0, *ladder)))
    if not increasing or len(ladder) < 2 or ladder != tuple(steps):
        raise InvalidArgument(f"steps={steps!r} must be two or more positive integers, increasing")
    return ladder
