"""``semilinear solve``: a problem, its solution, and how near that comes to what is known."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from semilinear import methods
from semilinear.cli.files import check_output, write
from semilinear.errors import InvalidArgument
from semilinear.output.solution import Solution
from semilinear.problems import Known, Problem
from semilinear.solve import solve

RTOL = 1e-6
FRAMES = 201
"""Times in a picture."""


def add_solve(commands: Any) -> None:
    """Add the command ``solve``."""
    command = commands.add_parser(
        "solve",
        help="solve a problem and compare with what is known of it",
        description="Solve a problem of semilinear.problems, with adaptive steps unless --steps "
        "is given, and compare with its exact solution or its known values.",
    )
    add = command.add_argument
    add("name", help="a name that `semilinear problems` lists")
    add("--method", help="a name that `semilinear methods` lists; chosen if not given")
    add("--rtol", type=float, help=f"relative tolerance ({RTOL:g})")
    add("--atol", type=float, help="absolute tolerance (rtol times the largest initial entry)")
    add("--steps", type=int, help="a fixed number of equal steps instead")
    add("--start", default="rk", choices=methods.STARTS, help="start of multistep methods (rk)")
    add("--t-end", type=float, help="another end of the time span")
    add("--compiled", action="store_true", help="use the N compiled by Numba")
    add("--plot", type=Path, help="draw the solution, to a picture file")
    add("--out", type=Path, help="write times, states and grid values to a .npz file")
    command.set_defaults(run=_solve)


def _solve(options: argparse.Namespace) -> int:
    from semilinear import problems

    check_output("--plot", options.plot)
    check_output("--out", options.out, ".npz")
    problem = problems.get(options.name)
    if options.t_end is not None:
        problem = problem.until(options.t_end)
    chosen = _steps(options, problem)
    nonlinear = _nonlinear(options, problem)
    known = _known_on_the_way(problem)
    drawn = options.plot is not None or options.out is not None
    solution = solve(
        problem.linear,
        nonlinear,
        problem.t_span,
        problem.y0,
        method=options.method,
        t_eval=_times(problem, known, FRAMES if drawn else 2),
        progress=True,
        **chosen,
    )
    print(_summary(problem, solution, chosen))
    print(_comparison(problem, solution, known))
    _write(options, problem, solution)
    if not solution.success:
        print(f"semilinear solve: {solution.message}", file=sys.stderr)
    return 0 if solution.success else 1


def _steps(options: argparse.Namespace, problem: Problem) -> dict[str, Any]:
    """Return how the steps are chosen, as arguments of `solve`."""
    if options.steps is not None:
        if options.rtol is not None or options.atol is not None:
            raise InvalidArgument("--steps fixes the steps; leave out --rtol and --atol")
        return {"steps": options.steps, "start": options.start}
    rtol = RTOL if options.rtol is None else options.rtol
    if rtol == 0 and not options.atol:
        raise InvalidArgument("--rtol 0 leaves the error to --atol; give one that is positive")
    largest = float(np.max(np.abs(problem.y0))) or 1.0
    return {"rtol": rtol, "atol": rtol * largest if options.atol is None else options.atol}


def _nonlinear(options: argparse.Namespace, problem: Problem) -> Callable[..., Any]:
    if not options.compiled:
        return problem.nonlinear
    if problem.compiled is None:
        raise InvalidArgument(f"--compiled: {problem.name} has no compiled N; leave it out")
    return problem.compiled()


def _known_on_the_way(problem: Problem) -> list[Known]:
    """Return what is known between t0 and t1."""
    t0, t1 = problem.t_span
    return [value for value in problem.known if min(t0, t1) <= value.t <= max(t0, t1)]


def _times(problem: Problem, known: list[Known], count: int) -> np.ndarray:
    """Return the times at which the solution is wanted, in the direction of integration."""
    t0, t1 = problem.t_span
    times = np.unique([*np.linspace(t0, t1, count), t0, t1, *(value.t for value in known)])
    return times if t0 < t1 else times[::-1]


def _summary(problem: Problem, solution: Solution, chosen: dict[str, Any]) -> str:
    """Return what was solved, and what it cost."""
    stats = solution.stats
    how = "fixed steps"
    refused = ""
    if "rtol" in chosen:
        how = f"rtol={chosen['rtol']:.0e}, atol={chosen['atol']:.0e}"
        refused = f" ({stats['rejected']} refused)"
    shape = " x ".join(map(str, problem.y0.shape))
    reached = f"t = {problem.t_span[0]:g} .. {problem.t_span[1]:g}"
    if not solution.success:
        reached += f", of which {solution.t[-1]:g} was reached" if len(solution.t) else ", failed"
    return (
        f"{problem.name}: {problem.reference}\n"
        f"state {shape} {problem.y0.dtype}, {reached}\n"
        f"{stats['method']} (order {stats['order']}), {how}: {stats['steps']} steps{refused}, "
        f"{solution.nfev} evaluations of N, {stats['seconds']:.3g} s"
    )


def _comparison(problem: Problem, solution: Solution, known: list[Known]) -> str:
    """Return values along the solution beside what is known of them, and the exact error."""
    lines = []
    t1 = problem.t_span[1]
    if problem.exact is not None and len(solution.t) and solution.t[-1] == t1:
        truth = problem.exact(t1)
        error = float(np.max(np.abs(solution.y[..., -1] - truth)))
        error /= float(np.max(np.abs(truth))) or 1.0
        lines.append(f"error against the exact solution at t = {t1:g}: {error:.1e} (relative)")
    rows = _rows(problem, solution, known)
    if rows:
        head = ("quantity", "t", "value", "known", "difference", "known to")
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        table = ["  ".join(map(str.rjust, row, widths)) for row in [head, *rows]]
        lines += ["", *table, "", "(differences are relative)"]
    return "\n".join(lines)


def _rows(problem: Problem, solution: Solution, known: list[Known]) -> list[tuple[str, ...]]:
    """Return the known values, and quantities at the end of which nothing is known."""
    rows: list[tuple[str, ...]] = []
    for item in known:
        at = np.flatnonzero(solution.t == item.t)
        if len(at):
            value = problem.quantities[item.quantity](solution.y[..., at[0]])
            difference = abs(value - item.value) / (abs(item.value) or 1.0)
            numbers = f"{value:.12g}", f"{item.value:.12g}", f"{difference:.1e}"
            rows.append((item.quantity, f"{item.t:g}", *numbers, f"{item.agreement:.0e}"))
    if len(solution.t):
        end = float(solution.t[-1])
        there = {item.quantity for item in known if item.t == end}
        for name, quantity in problem.quantities.items():
            if name not in there:
                value = quantity(solution.y[..., -1])
                rows.append((name, f"{end:g}", f"{value:.12g}", "-", "-", "-"))
    return rows


def _write(options: argparse.Namespace, problem: Problem, solution: Solution) -> None:
    def write_arrays(path: Path) -> None:
        arrays = {"t": solution.t, "y": solution.y}
        if problem.view is not None:
            arrays["view"] = problem.view(np.moveaxis(solution.y, -1, 0))
        np.savez(path, **arrays)

    def draw(path: Path) -> None:
        from semilinear.plot import solution_plot

        solution_plot(problem, solution, path)

    write(options.out, write_arrays)
    write(options.plot, draw)
