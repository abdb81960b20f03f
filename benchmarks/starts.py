"""Starting procedures of multistep samplers at equal numbers of evaluations: "ramp" against "rk".

The model is exact: the data are a mixture of three correlated Gaussians in the plane, so eps(x, t)
is known. Errors are against SciPy's DOP853 at 1e-13: root mean square over states.

    python benchmarks/starts.py --grid quadratic
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded

from collections.abc import Sequence
from itertools import pairwise
from math import log2
from typing import Any

import _mixtures
import numpy as np
from _timing import header, machine, parser, table, write_json

from semilinear import diffusion
from semilinear.progress import Progress

METHODS = ("tab3", "rhoab3", "logrhoab3")
STARTS = ("ramp", "rk")
BUDGETS = (5, 10, 15, 20, 40, 80, 160, 320, 640)
T_ENDS = (1e-2, 1e-3)
SCHEDULE = diffusion.VPLinear()


def reference(data: _mixtures.Mixture, x: np.ndarray, t_end: float) -> np.ndarray:
    """Return where the flow takes x."""
    lams = np.array([SCHEDULE.lam(t) for t in (SCHEDULE.t_start, t_end)])
    y = _mixtures.flow(data, x / SCHEDULE.alpha(SCHEDULE.t_start), lams, SCHEDULE)
    return y[-1] * SCHEDULE.alpha(t_end)


def slopes(found: Sequence[tuple[int, float]]) -> list[float]:
    """Return the observed order between neighbouring numbers of evaluations."""
    return [-log2(after / before) / log2(m / n) for (n, before), (m, after) in pairwise(found)]


def study(
    data: _mixtures.Mixture, x: np.ndarray, truth: np.ndarray, options: dict[str, Any]
) -> list[tuple[int, float]]:
    """Return (evaluations, error) for every budget that the start fits into."""
    found = []
    for budget in BUDGETS:
        made = diffusion.plan(SCHEDULE, nfe=budget, **options)
        y = diffusion.follow(made, data.model(SCHEDULE), x)
        found.append((made.nfe, float(np.sqrt(np.mean((y - truth) ** 2)))))
    return found


def main() -> None:
    """Measure and report."""
    options = parser(__doc__.split("\n", 1)[0])
    options.add_argument("--states", type=int, default=32)
    options.add_argument("--grid", default="quadratic", choices=sorted(diffusion.grids.GRIDS))
    given = options.parse_args()
    where = machine("scipy")
    title = f"Starts, Gaussian mixture, VPLinear, {given.grid} grid, {given.states} states"
    print(header(title, where))
    data = _mixtures.plane()
    x = np.random.default_rng(0).standard_normal((given.states, 2))
    results = []
    cases = [(t, m, s) for t in T_ENDS for m in METHODS for s in STARTS]
    with Progress(len(cases), label="starts") as bar:
        truths = {t: reference(data, x, t) for t in T_ENDS}
        for number, (t_end, method, start) in enumerate(cases):
            chosen = {"method": method, "start": start, "t_end": t_end, "grid": given.grid}
            found = study(data, x, truths[t_end], chosen)
            results.append(chosen | {"found": found, "slopes": slopes(found)})
            bar.update(number + 1)
    report(results)
    write_json(given.json, where, results)


def report(results: Sequence[dict[str, Any]]) -> None:
    """Print errors and slopes."""
    for t_end in T_ENDS:
        here = [r for r in results if r["t_end"] == t_end]
        print(f"## t_end = {t_end:g}\n\nrms error by evaluations\n")
        columns = ("method", "start", *(str(n) for n in BUDGETS))
        rows = [(r["method"], r["start"], *(e for _, e in r["found"])) for r in here]
        print(table(columns, rows))
        print("\nslope up to each number of evaluations\n")
        rows = [(r["method"], r["start"], None, *(round(s, 2) for s in r["slopes"])) for r in here]
        print(table(columns, rows), end="\n\n")


if __name__ == "__main__":
    main()
