"""Adaptive steps: evaluations and errors of every pair, and what a change of step size costs.

Errors are largest differences of what `Problem.view` shows at the end (of the state where it shows
nothing), relative to the largest value, from the exact solution or from etd35 with rtol = 1e-12.
atol is rtol times the largest entry of y0. "accuracy" is the error divided by rtol.
A dash stands where `solve` refuses a method because N depends on t and its estimate does not see
that, and where N is in Python and a run was given up after 500 steps.

A change of step size makes all coefficients anew: `step_weights` in the compiled loop, the same
function by `step_coefficients` where N is in Python. A step is an attempt with its estimate.

    python benchmarks/adaptive.py --rounds 9
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numba
import numpy as np
from _timing import (
    Measure,
    header,
    interleaved,
    machine,
    parser,
    per_call,
    table,
    verdict,
    write_json,
)

import semilinear as sl
from semilinear import methods, problems
from semilinear.adaptive import make_controller
from semilinear.coefficients import step_coefficients
from semilinear.engines.compiled import AdaptiveLoop
from semilinear.engines.factory import make_course
from semilinear.kernels.march_passes import error_norm, run_rows
from semilinear.kernels.march_weights import step_weights
from semilinear.kernels.phi_reference import SERIES_REACH
from semilinear.problems import Problem

TOLERANCES = (1e-4, 1e-6, 1e-8)
ENDS = {"kuramoto_sivashinsky": 50.0, "nonlinear_schroedinger": 5.0, "allen_cahn_dirichlet": 5.0}
"""Earlier ends: errors grow exponentially with time, or nothing happens later."""
NAMES = (
    "hochbruck_ostermann_local", "prothero_robinson", "kuramoto_sivashinsky", "burgers", "kdv",
    "soliton", "nonlinear_schroedinger", "allen_cahn", "allen_cahn_dirichlet",
)  # fmt: skip

LONGEST = 500
"""Steps after which a run with N in Python is given up."""

POINTS = 1024
CHANGED = ("krogstad4", "zoto_bowman43", "etd35")
STEP, CHANGE = "step", "change"


def pairs() -> list[str]:
    """Return the methods that estimate their error."""
    return [name for name, info in methods.names().items() if info.embedded_order]


def shown(problem: Problem, y: np.ndarray) -> np.ndarray:
    """Return what errors are measured on."""
    return y if problem.view is None else problem.view(y)


class TooManySteps(Exception):
    """Raised in a run that is given up."""


def adaptive_run(problem: Problem, term: Any, method: str, rtol: float) -> sl.Solution:
    """Return the solution at the end."""
    made = 0

    def count(t: float, y: np.ndarray) -> None:
        nonlocal made
        made += 1
        if made > LONGEST:
            raise TooManySteps

    return sl.solve(
        problem.linear, term, problem.t_span, problem.y0, method=method, rtol=rtol,
        atol=rtol * np.abs(problem.y0).max(), t_eval=[problem.t_span[1]],
        callback=count if problem.compiled is None else None,
    )  # fmt: skip


def work(name: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of one problem."""
    problem = problems.get(name)
    problem = problem.until(ENDS[name]) if name in ENDS else problem
    term = problem.nonlinear if problem.compiled is None else problem.compiled()
    if problem.exact is not None:
        expected = shown(problem, problem.exact(problem.t_span[1]))
    else:
        expected = shown(problem, adaptive_run(problem, term, "etd35", 1e-12).y[..., -1])
    for method in pairs():
        for rtol in TOLERANCES:
            line: dict[str, Any] = {"problem": name, "method": method, "rtol": rtol}
            try:
                found = adaptive_run(problem, term, method, rtol)
            except (sl.InvalidArgument, TooManySteps):
                yield line | dict.fromkeys(("steps", "refused", "nfev", "error", "accuracy"))
                continue
            line |= {
                "steps": found.stats["steps"],
                "refused": found.stats["rejected"], "nfev": found.nfev,
            }  # fmt: skip
            off = np.abs(shown(problem, found.y[..., -1]) - expected).max()
            error = float(off / np.abs(expected).max()) if found.success else None
            yield line | {"error": error, "accuracy": None if error is None else error / rtol}


@numba.njit
def changing(count, rates, h, tables, reach, out):
    """Make coefficients for `count` lengths of a step."""
    for i in range(count):
        step_weights(rates, h * (1 + 1e-3 * i), tables, reach, out)


@numba.njit
def stepping(
    count, term, h, rows, sources, fractions, coefficients, weight, buffers, where, atol, rtol
):
    """Make `count` attempts from one state."""
    total = 0.0
    for _ in range(count):
        run_rows(
            term, 0.0, h, h, rows, sources, fractions, coefficients, False, weight, buffers, where
        )
        total += error_norm(buffers[where[4]], buffers[where[0]], buffers[where[2]], rtol, atol)
    return total


def timed(loop: Any, count: int, *arguments: Any) -> Measure:
    """Measure the mean time within a compiled loop."""

    def measure() -> float:
        begun = perf_counter()
        loop(count, *arguments)
        return (perf_counter() - begun) / count

    return measure


def compiled_tasks(problem: Problem, method: str) -> dict[str, Measure]:
    """Return a step and a change of its length, both within compiled loops."""
    h, term = _length(problem), problem.compiled()
    course = _course(problem, method)
    engine = AdaptiveLoop(course, term, (), problem.y0)
    engine.begin(problem.y0, engine.weighted(problem.nonlinear(0.0, problem.y0)))
    arrays = engine.arrays
    change = (engine.rates, h, arrays.tables, SERIES_REACH, arrays.coefficients)
    changing(1, *change)
    rest = (engine.weight, arrays.buffers, arrays.where, engine.atol, 1e-6)
    step = (term, h, *arrays.tables[:3], arrays.coefficients.copy())
    return {
        STEP: timed(stepping, 200, *step, *rest),
        CHANGE: timed(changing, 200, *change),
    }


def python_tasks(problem: Problem, method: str) -> dict[str, Measure]:
    """Return the same with N in Python: a step of a fixed grid, and its coefficients."""
    h, steps = _length(problem), 100
    attempt = _course(problem, method).attempt((0, 0))

    def run(number: int) -> float:
        begun = perf_counter()
        end = number * h
        sl.solve(
            problem.linear, problem.nonlinear, (0.0, end), problem.y0, method=method, steps=number,
            t_eval=[end],
        )  # fmt: skip
        return perf_counter() - begun

    return {
        STEP: lambda: (run(steps) - run(1)) / (steps - 1),
        CHANGE: per_call(
            lambda: step_coefficients(attempt, problem.linear, {0: 0.0, 1: h}), number=50
        ),
    }


def _length(problem: Problem) -> float:
    return 1e-3 * (problem.t_span[1] - problem.t_span[0])


def _course(problem: Problem, method: str) -> Any:
    control = make_controller(
        "PI", problem.y0, problem.t_span, rtol=1e-6, atol=1e-6, first_step=None, max_step=np.inf
    )
    return make_course(methods.get(method), problem.linear, problem.t_span, control)


def changes(rounds: int) -> list[dict[str, Any]]:
    """Return what changes of step size cost, in steps."""
    found = []
    real = problems.kuramoto_sivashinsky(points=POINTS)
    imaginary = problems.kdv(points=POINTS)
    for kind, make in (("compiled", compiled_tasks), ("N in Python", python_tasks)):
        for rates, problem in (("real", real), ("complex", imaginary)):
            for method in CHANGED:
                tasks = make(problem, method)
                measured = interleaved(tasks, rounds=rounds, label=f"{kind}, {method}")
                ratio = measured.ratio(CHANGE, STEP)
                judged = kind == "compiled" and rates == "real"
                found.append({
                    "kind": kind, "L": rates, "method": method,
                    "step_us": 1e6 * measured.median(STEP),
                    "change_us": 1e6 * measured.median(CHANGE), "ratio": ratio,
                    "target": verdict(ratio, at_most=0.5) if judged else "",
                })  # fmt: skip
    return found


def main() -> None:
    """Measure and report."""
    options = parser(__doc__.split("\n", 1)[0])
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--problems", nargs="*", default=NAMES)
    given = options.parse_args()
    where = machine("numba")
    print(header("Adaptive steps", where))
    lines: list[dict[str, Any]] = []
    for name in given.problems:
        lines += work(name)
    columns = ("problem", "method", "rtol", "steps", "refused", "nfev", "error", "accuracy")
    print(table(columns, [tuple(line.values()) for line in lines]), end="\n\n")
    cost = changes(given.rounds)
    columns = ("loop", "L", "method", "step us", "change us", "change / step", "target")
    print(f"A change of step size, N = {POINTS} points, float64\n")
    print(table(columns, [tuple(line.values()) for line in cost]))
    write_json(given.json, where, {"work": lines, "changes": cost})


if __name__ == "__main__":
    main()
