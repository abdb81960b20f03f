"""Measured orders of every method on the toy problems of this package.

Classical order: the median slope over 20, 40, 80 and 160 steps. Stiff order: the finest slope on
the Hochbruck-Ostermann problems (31 points), over 64 and 128 steps, or over 32 and 64 for methods
of order five and more, whose errors reach rounding. Multistep methods start by Runge-Kutta steps.

    python benchmarks/orders.py --json orders.json
"""

from __future__ import annotations

from _timing import header, machine, parser, table, write_json

import semilinear as sl
from semilinear.progress import Progress

CLASSICAL = (
    sl.problems.coupled(),
    sl.problems.complex_diagonal(),
    sl.problems.time_dependent(),
    sl.problems.dense(),
)
STIFF = tuple(
    sl.problems.hochbruck_ostermann(form=form, points=31) for form in ("local", "integral")
)


def slope(problem: sl.problems.Problem, method: str, steps: tuple[int, int]) -> float:
    """Return the slope between two numbers of steps."""
    study = sl.order_study(problem, [method], steps=steps, start="rk")
    return study.results[0].slopes[-1]


def measure(method: str) -> dict[str, float]:
    """Return the measured orders of one method by problem."""
    found = {}
    for problem in CLASSICAL:
        study = sl.order_study(problem, [method], start="rk")
        found[problem.name] = study.results[0].observed
    steps = (32, 64) if sl.methods.info(method).order >= 5 else (64, 128)
    for problem in STIFF:
        found[problem.name] = slope(problem, method, steps)
    return found


def main() -> None:
    """Measure all methods and print the table."""
    options = parser(__doc__).parse_args()
    names = list(sl.methods.names())
    rows = []
    with Progress(len(names), label="orders") as bar:
        for number, name in enumerate(names, start=1):
            m = sl.methods.info(name)
            measured = measure(name)
            rows.append({"method": name, "order": m.order, "stiff": m.stiff_order, **measured})
            bar.update(number)
    where = machine("scipy")
    print(header("Orders", where))
    head = list(rows[0])
    print(table(head, [[_text(row[key]) for key in head] for row in rows]))
    write_json(options.json, where, rows)


def _text(value: float | str | int) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
