"""``semilinear order`` and ``semilinear work-precision``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semilinear import methods, problems
from semilinear.cli.files import check_output, write
from semilinear.cli.help import DefaultsShown
from semilinear.errors import InvalidArgument
from semilinear.problems import Problem
from semilinear.studies import OrderStudy, WorkPrecision, order_study, work_precision
from semilinear.studies.work import MEASURES


def add_order(commands: Any) -> None:
    """Add the command ``order``."""
    command = commands.add_parser(
        "order",
        help="measure the order of methods on a problem",
        formatter_class=DefaultsShown,
    )
    add = command.add_argument
    add("method", nargs="+", help="names of methods")
    add("--problem", default="coupled", help="a name that `semilinear problems` lists")
    add("--t-end", type=float, help="another end of the time span")
    add("--steps", type=int, nargs="+", default=[20, 40, 80, 160], help="numbers of steps")
    add("--start", default="rk", choices=methods.STARTS, help="start of multistep methods")
    _add_outputs(command, "draw error against step size, to a picture file")
    command.set_defaults(run=_order)


def add_work_precision(commands: Any) -> None:
    """Add the command ``work-precision``."""
    command = commands.add_parser(
        "work-precision",
        help="measure the error of methods against the work that they take",
        description="Without --steps and --tolerances: 20 to 160 steps, and tolerances 1e-3 to "
        "1e-7 for methods whose error estimate suits every problem.",
        formatter_class=DefaultsShown,
    )
    add = command.add_argument
    add("method", nargs="+", help="names of methods")
    add("--problem", default="coupled", help="a name that `semilinear problems` lists")
    add("--t-end", type=float, help="another end of the time span")
    add("--steps", type=int, nargs="+", help="numbers of steps on fixed grids, increasing")
    add("--tolerances", type=float, nargs="+", help="relative tolerances, decreasing")
    add("--start", default="rk", choices=methods.STARTS, help="start of multistep methods")
    add("--repeats", type=int, default=3, help="timed runs, of which the median counts")
    add("--compiled", action="store_true", help="use the N compiled by Numba")
    add("--against", default="evaluations", choices=MEASURES, help="the axis of the picture")
    _add_outputs(command, "draw error against evaluations, seconds or steps, to a picture file")
    command.set_defaults(run=_work_precision)


def _add_outputs(command: argparse.ArgumentParser, plot: str) -> None:
    command.add_argument("--json", type=Path, help="write the study to a JSON file")
    command.add_argument("--csv", type=Path, help="write the study to a CSV file")
    command.add_argument("--plot", type=Path, help=plot)


def _check_outputs(options: argparse.Namespace) -> None:
    check_output("--json", options.json, ".json")
    check_output("--csv", options.csv, ".csv")
    check_output("--plot", options.plot)


def _write(
    options: argparse.Namespace,
    study: OrderStudy | WorkPrecision,
    draw: Callable[[Path], object],
) -> None:
    write(options.json, lambda path: path.write_text(study.to_json(), encoding="utf-8"))
    write(options.csv, lambda path: path.write_text(study.to_csv(), encoding="utf-8"))
    write(options.plot, draw)


def _problem(options: argparse.Namespace) -> Problem:
    problem = problems.get(options.problem)
    return problem if options.t_end is None else problem.until(options.t_end)


def _order(options: argparse.Namespace) -> int:
    _check_outputs(options)
    study = order_study(
        _problem(options),
        options.method,
        steps=tuple(options.steps),
        start=options.start,
        progress=True,
    )
    print(study.table())

    def draw(path: Path) -> None:
        from semilinear.plot import order_plot

        order_plot(study, path)

    _write(options, study, draw)
    return 0


def _work_precision(options: argparse.Namespace) -> int:
    _check_outputs(options)
    if options.plot is not None and options.against == "seconds" and options.repeats == 0:
        raise InvalidArgument(
            "--against seconds: with --repeats 0 none are measured; give --repeats 1 or more, or "
            "another axis"
        )
    study = work_precision(
        _problem(options),
        options.method,
        steps=options.steps,
        tolerances=options.tolerances,
        start=options.start,
        repeats=options.repeats,
        compiled=options.compiled,
        progress=True,
    )
    print(study.table())

    def draw(path: Path) -> None:
        from semilinear.plot import work_precision_plot

        work_precision_plot(study, path, measure=options.against)

    _write(options, study, draw)
    return 0
