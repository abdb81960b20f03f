"""Time to make a plan: the price of another number of steps, another grid or another method.

python benchmarks/plan_cost.py
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded

from functools import partial
from time import perf_counter

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

from semilinear import diffusion

METHODS = ("tab3", "rhoab3", "logrhoab3", "rho_kutta3", "ipndm4")
STEPS = (10, 1000)
TARGETS = {10: 0.5, 1000: 10.0}
"""Milliseconds that a plan of tab3 may take, by number of steps."""


def tasks(name: str) -> dict[tuple[str, int], Measure]:
    """Return a measure for each method and number of steps on one schedule."""
    # The path of flow matching starts at alpha = 0, where eps tells nothing of the data.
    prediction = "flow" if name == "flow" else "eps"
    make = partial(diffusion.plan, diffusion.SCHEDULES[name](), prediction=prediction)
    return {
        (method, steps): per_call(
            partial(make, method=method, steps=steps), number=max(1, 100 // steps)
        )
        for method in METHODS
        for steps in STEPS
    }


def main() -> None:
    """Measure and report."""
    options = parser(__doc__.split("\n", 1)[0])
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args()
    where = machine()
    print(header("Plan cost", where))
    begun = perf_counter()
    diffusion.plan(diffusion.VPLinear(), method="tab3", steps=10)
    print(f"first plan of the process: {1e3 * (perf_counter() - begun):.2f} ms\n")
    rows = []
    for name in diffusion.SCHEDULES:
        measured = interleaved(tasks(name), rounds=given.rounds, label=name)
        for task in measured.samples:
            method, steps = task
            ms = 1e3 * measured.median(task)
            target = verdict(ms, at_most=TARGETS[steps]) if method == "tab3" else ""
            rows.append((name, method, steps, ms, 1e3 * measured.minimum(task), target))
    columns = ("schedule", "method", "steps", "median ms", "minimum ms", "target")
    print(table(columns, rows))
    write_json(given.json, where, [dict(zip(columns, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
