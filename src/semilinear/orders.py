"""Order studies: the error of methods on a ladder of step numbers, and the order that it shows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Protocol

import numpy as np
from array_api_compat import array_namespace, device

from semilinear.errors import InvalidArgument, NonFiniteError
from semilinear.methods import Method, get
from semilinear.propagators import Propagator
from semilinear.solve import solve

CEILING = 1e-2
"""Relative error above which a point is not in the asymptotic window."""

FLOOR_EPS = 1e3
"""Machine epsilons of relative error below which rounding spoils a point."""

REFERENCE_METHODS = ("luan_ostermann5", "etdab6")
"""The method of a computed reference, and the one that checks it."""

REFERENCE_REFINEMENT = 8
"""Steps of a computed reference for each step of the longest run."""

FLOOR_DISAGREEMENTS = 10.0
"""Disagreements of the two references below which a point is not trusted."""


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
        ``ln(e_i / e_{i+1}) / ln(n_{i+1} / n_i)`` between neighbours, in the window or not; NaN
        where an error is 0 or infinite.
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
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
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
    spacing: Callable[[np.ndarray], np.ndarray] | None = None,
) -> OrderStudy:
    """Measure the order of methods on a problem.

    The error is ``max |y_n - y(t1)| / max |y(t1)|`` over all entries of the state at t1 (not divided
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
        Increasing map of [0, 1] onto itself that sets the grid, ``t0 + (t1 - t0) spacing(i / n)``;
        equal steps by default.

    Returns
    -------
    OrderStudy

    Raises
    ------
    InvalidArgument
        If an argument is unusable, or if there is no exact solution and the reference cannot be
        trusted: luan_ostermann5 and etdab6, each with eight times the largest number of steps,
        differ by more than the square root of the machine epsilon, relative to the solution.

    Notes
    -----
    Where the reference is computed, only errors above ten times the difference of these two are in
    the window.

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
    t0, t1 = (float(t) for t in problem.t_span)
    runner = _Runner(problem, t0, t1, start, spacing)
    disagreement = None
    if reference is not None:
        source, end = "given reference", reference
    elif problem.exact is not None:
        source, end = "exact solution", problem.exact(t1)
    else:
        source, end, disagreement = _computed_reference(runner, ladder[-1])
    measured = [_measure(runner, method, ladder, end) for method in chosen]
    floor = FLOOR_EPS * runner.eps
    if disagreement is not None:
        floor = max(floor, FLOOR_DISAGREEMENTS * disagreement)
    return OrderStudy(
        problem=getattr(problem, "name", type(problem).__name__),
        t_span=(t0, t1),
        steps=ladder,
        start=start,
        reference=source,
        disagreement=disagreement,
        window=(floor, CEILING),
        results=tuple(
            MethodOrder(
                method=method.name,
                order=method.order,
                stiff_order=method.stiff_order,
                observed=observed_order(ladder, errors, window=(floor, CEILING)),
                errors=errors,
                slopes=slopes(ladder, errors),
                evaluations=evaluations,
            )
            for method, (errors, evaluations) in zip(chosen, measured, strict=True)
        ),
    )


def slopes(steps: Sequence[int], errors: Sequence[float]) -> tuple[float, ...]:
    """Return ``ln(e_i / e_{i+1}) / ln(n_{i+1} / n_i)``; NaN where an error is 0 or infinite."""
    usable = [0 < error < math.inf for error in errors]
    return tuple(
        math.log(errors[i] / errors[i + 1]) / math.log(steps[i + 1] / steps[i])
        if usable[i] and usable[i + 1]
        else math.nan
        for i in range(len(steps) - 1)
    )


def observed_order(
    steps: Sequence[int], errors: Sequence[float], *, window: tuple[float, float]
) -> float:
    """Return the median slope between neighbours whose errors both lie in the window, or NaN."""
    low, high = window
    inside = [low <= error <= high for error in errors]
    kept = [slope for i, slope in enumerate(slopes(steps, errors)) if inside[i] and inside[i + 1]]
    return median(kept) if kept else math.nan


class _Runner:
    """Runs of one problem on the grids of a study."""

    def __init__(
        self,
        problem: SemilinearProblem,
        t0: float,
        t1: float,
        start: str,
        spacing: Callable[[np.ndarray], np.ndarray] | None,
    ) -> None:
        self.problem = problem
        self.span = (t0, t1)
        self.start = start
        self.spacing = spacing
        self.eps = 0.0

    def run(self, method: str | Method, count: int, *, start: str | None = None) -> tuple[Any, int]:
        """Return y at t1 and the number of evaluations."""
        solution = solve(
            self.problem.linear,
            self.problem.nonlinear,
            self.span,
            self.problem.y0,
            method=method,
            grid=self.grid(count),
            t_eval=[self.span[1]],
            start=self.start if start is None else start,
        )
        y = solution.y[..., -1]
        self.eps = float(array_namespace(y).finfo(y.dtype).eps)
        return y, solution.nfev

    def grid(self, count: int) -> np.ndarray:
        t0, t1 = self.span
        places = np.linspace(0.0, 1.0, count + 1)
        if self.spacing is not None:
            places = np.asarray(self.spacing(places), dtype=float)
            if places.shape != (count + 1,) or not (np.diff(places) > 0).all():
                raise InvalidArgument("spacing must map increasing numbers to increasing numbers")
            if abs(places[0]) > 1e-12 or abs(places[-1] - 1) > 1e-12:
                raise InvalidArgument("spacing must map 0 to 0 and 1 to 1")
        grid = t0 + (t1 - t0) * places
        grid[0], grid[-1] = t0, t1
        return grid


def _measure(
    runner: _Runner, method: Method, ladder: tuple[int, ...], end: Any
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    errors, evaluations = [], []
    for count in ladder:
        try:
            y, nfev = runner.run(method, count)
            errors.append(_relative_error(y, end))
        except NonFiniteError:
            errors.append(math.inf)
            nfev = 0
        evaluations.append(nfev)
    return tuple(errors), tuple(evaluations)


def _relative_error(y: Any, end: Any) -> float:
    xp = array_namespace(y)
    truth = xp.asarray(end, dtype=y.dtype, device=device(y))
    if tuple(truth.shape) != tuple(y.shape):
        raise InvalidArgument(
            f"the reference has shape {tuple(truth.shape)}; it must have the state's, "
            f"{tuple(y.shape)}"
        )
    scale = float(xp.max(xp.abs(truth)))
    return float(xp.max(xp.abs(y - truth))) / (scale if scale > 0 else 1.0)


def _computed_reference(runner: _Runner, finest: int) -> tuple[str, Any, float]:
    """Return what the reference is, y at t1, and how far a second method is from it."""
    count = REFERENCE_REFINEMENT * finest
    first, second = REFERENCE_METHODS
    y, _ = runner.run(first, count)
    check, _ = runner.run(second, count, start="rk")
    disagreement = _relative_error(check, y)
    allowed = math.sqrt(runner.eps)
    if not disagreement <= allowed:
        raise InvalidArgument(
            f"no reference for this problem: {first} and {second} with {count} steps differ by "
            f"{disagreement:.1e}, more than {allowed:.1e}, relative to the solution; give more "
            "steps, a shorter t_span, or reference="
        )
    return f"{first} with {count} steps ({second} differs by {disagreement:.1e})", y, disagreement


def _ladder(steps: Sequence[int]) -> tuple[int, ...]:
    ladder = tuple(int(n) for n in steps)
    increasing = all(n < m for n, m in zip(ladder, ladder[1:], strict=False))
    if len(ladder) < 2 or ladder[0] < 1 or not increasing or ladder != tuple(steps):
        raise InvalidArgument(
            f"steps={steps!r} must be at least two increasing positive whole numbers"
        )
    return ladder


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
