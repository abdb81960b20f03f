"""What a study is made on: a problem, where it comes from, and what its errors are measured by."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, NamedTuple, Protocol

import numpy as np
from array_api_compat import array_namespace, device

from semilinear.answers import copied
from semilinear.engines.interpreted import PlanEngine
from semilinear.errors import InvalidArgument, NonFiniteError
from semilinear.methods import Method, get
from semilinear.plan import Plan
from semilinear.propagators import Propagator
from semilinear.solve import make_plan
from semilinear.stepping import run
from semilinear.studies.checks import check_problem, checked_end, made_by, placed
from semilinear.studies.pool import gather

REFERENCE, CHECKS, REFINEMENT = "luan_ostermann5", ("etdab6", "hochbruck_ostermann4"), 8
"""Method of a computed reference; those of its check, the second for problems on which the first is
not stable; their steps per step of the longest run."""

Spacing = Callable[[np.ndarray], np.ndarray]


class SemilinearProblem(Protocol):
    """What a study needs of a problem; `semilinear.problems` has such."""

    @property
    def linear(self) -> Propagator:
        """L and B."""

    @property
    def nonlinear(self) -> Callable[[float, Any], Any]:
        """``N(t, y)``; as in `semilinear.solve`, it may reuse its result and write to y."""

    @property
    def t_span(self) -> tuple[float, float]:
        """(t0, t1)."""

    @property
    def y0(self) -> Any:
        """Initial state."""

    @property
    def exact(self) -> Callable[[float], Any] | None:
        """The solution ``y(t)``, or None."""


Source = SemilinearProblem | str | Callable[[], SemilinearProblem]
"""A problem, its name in `semilinear.problems`, or a function that makes it."""


class Reference(NamedTuple):
    """What errors are measured against.

    Parameters
    ----------
    source
        In words.
    end
        y(t1).
    disagreement
        If it was computed, its relative difference from a check; else None.
    """

    source: str
    end: Any
    disagreement: float | None = None


class Run(NamedTuple):
    """One run on a fixed grid, as it is sent to a worker.

    Parameters
    ----------
    source
        Where the worker gets the problem from.
    method, steps, start, spacing
        As in `semilinear.order_study`.
    """

    source: Source
    method: Method
    steps: int
    start: str
    spacing: Spacing | None = None

    @property
    def weight(self) -> int:
        """Roughly how many evaluations of N it takes."""
        return self.steps * self.method.evaluations


def resolved(source: Source) -> SemilinearProblem:
    """Return the problem that is given, named or made.

    Raises
    ------
    InvalidArgument
        If it is neither, or something of it is unusable.
    """
    if isinstance(source, str):
        from semilinear import problems

        return problems.get(source)
    # A problem may be callable, too.
    is_made = hasattr(source, "linear") or not callable(source)
    problem: Any = source if is_made else made_by(source)
    check_problem(problem, source)
    return problem  # type: ignore[no-any-return]


def name_of(problem: SemilinearProblem) -> str:
    """Return the name of a problem, or of its type if it has none."""
    return str(getattr(problem, "name", type(problem).__name__))


def plan_of(problem: SemilinearProblem, task: Run) -> Plan:
    """Return the plan of a run."""
    t0, t1 = problem.t_span
    places = placed(task.spacing, task.steps + 1)
    grid = np.concatenate([[t0], t0 + (t1 - t0) * places[1:-1], [t1]])
    return make_plan(problem.linear, grid, method=task.method, start=task.start)


def final_state(task: Run) -> tuple[Any, int]:
    """Return y at t1, None where the run overflowed, and the evaluations of N."""
    problem = resolved(task.source)
    plan = plan_of(problem, task)
    engine = PlanEngine(plan, problem.linear, problem.nonlinear, ())
    # An overflow is reported as an infinite error; a warning would say it twice.
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            return run(plan, engine.evaluate, copied(problem.y0)).x, plan.nfe
        except NonFiniteError:
            return None, plan.nfe


def relative_error(y: Any, end: Any) -> float:
    """Return ``max |y - end| / max |end|``, undivided where end = 0; infinite for y = None."""
    if y is None:
        return math.inf
    xp = array_namespace(y)
    truth = xp.asarray(end, dtype=y.dtype, device=device(y))
    scale = float(xp.max(xp.abs(truth)))
    return float(xp.max(xp.abs(y - truth))) / (scale or 1.0)


def reference_of(
    problem: SemilinearProblem,
    given: Any,
    *,
    source: Source,
    steps: int,
    spacing: Spacing | None,
    executor: Executor | None,
    progress: bool,
) -> Reference:
    """Return y(t1): as it was given, or from the exact solution, or computed by two methods.

    The reference is that of luan_ostermann5, the check that of etdab6, or of hochbruck_ostermann4
    where etdab6 does not agree.

    Parameters
    ----------
    problem, source
        The problem, and where workers get it from.
    given
        y(t1), or None.
    steps
        The most that a run of the study has; the reference takes eight times as many.
    spacing, executor, progress
        As in `semilinear.order_study`.

    Raises
    ------
    InvalidArgument
        If the given y(t1) has another shape than y0, or the methods differ by more than the square
        root of the machine epsilon, relative.
    """
    if given is not None:
        return Reference("a given value", checked_end(problem.y0, given, "reference"))
    if problem.exact is not None:
        known = problem.exact(problem.t_span[1])
        return Reference("the exact solution", checked_end(problem.y0, known, "problem: exact(t1)"))
    finest = REFINEMENT * steps

    def ends(*names: str) -> list[Any]:
        tasks = [Run(source, get(name), finest, "rk", spacing) for name in names]
        return gather(
            final_state,
            tasks,
            weights=[task.weight for task in tasks],
            executor=executor,
            progress=progress,
            label="reference",
        )

    (y, _), (check, _) = ends(REFERENCE, CHECKS[0])
    checked = {CHECKS[0]: _disagreement(y, check)}
    allowed = math.sqrt(machine_epsilon(problem.y0))
    if checked[CHECKS[0]] > allowed:
        ((check, _),) = ends(CHECKS[1])
        checked[CHECKS[1]] = _disagreement(y, check)
    name, disagreement = min(checked.items(), key=lambda item: item[1])
    if disagreement > allowed:
        found = " and ".join(f"{other} by {size:.1e}" for other, size in checked.items())
        raise InvalidArgument(
            f"problem has no exact solution, and from {REFERENCE} with {finest} steps differ "
            f"{found} (relative), more than {allowed:.1e}; give more steps or reference="
        )
    words = f"{REFERENCE} with {finest} steps ({name} differs by {disagreement:.1e})"
    return Reference(words, y, disagreement)


def _disagreement(y: Any, check: Any) -> float:
    """Return the relative difference of two states, infinite if either overflowed."""
    return math.inf if y is None else relative_error(check, y)


def machine_epsilon(y: Any) -> float:
    """Return the machine epsilon of an array's dtype."""
    return float(array_namespace(y).finfo(y.dtype).eps)
