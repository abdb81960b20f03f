"""Starting procedures of multistep samplers at equal numbers of evaluations: "ramp" against "rk".

The model is exact: the data are a mixture of three correlated Gaussians in the plane, so eps(x, t)
is known. Errors are against SciPy's DOP853 at 1e-12: root mean square over states.

    python benchmarks/starts.py --grid quadratic
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from math import log2
from typing import Any

import numpy as np
from _timing import header, machine, parser, table, write_json
from scipy.integrate import solve_ivp

from semilinear import diffusion
from semilinear.progress import Progress

METHODS = ("tab3", "rhoab3", "logrhoab3")
STARTS = ("ramp", "rk")
BUDGETS = (5, 10, 15, 20, 40, 80, 160, 320, 640)
T_ENDS = (1e-2, 1e-3)
TOLERANCE = 1e-12


class Mixture:
    """Data of a Gaussian mixture with full covariances, and their exact noise prediction."""

    shares = np.array([0.5, 0.3, 0.2])
    means = np.array([[1.5, 0.5], [-1.0, 1.0], [0.0, -1.5]])
    factors = np.array(
        [[[0.5, 0.3], [0.0, 0.2]], [[0.3, -0.2], [0.1, 0.4]], [[0.6, 0.0], [0.4, 0.1]]]
    )

    def __init__(self, schedule: diffusion.NoiseSchedule) -> None:
        self.schedule = schedule

    @cached_property
    def eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """Variances and axes of the components."""
        values, axes = np.linalg.eigh(self.factors @ self.factors.transpose(0, 2, 1))
        return values, axes

    def eps(self, x: np.ndarray, t: float) -> np.ndarray:
        """Return ``eps = -sigma grad ln p_t`` at x, shape (n, 2)."""
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        values, axes = self.eigen
        variances = alpha**2 * values + sigma**2
        offsets = np.einsum("kab,nka->nkb", axes, x[:, None, :] - alpha * self.means)
        scaled = offsets / variances
        logs = np.log(self.shares) - 0.5 * (np.log(variances).sum(1) + (offsets * scaled).sum(2))
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        eps: np.ndarray = sigma * np.einsum("nk,kab,nkb->na", weights, axes, scaled)
        return eps

    def reference(self, x: np.ndarray, t_start: float, t_end: float) -> np.ndarray:
        """Solve dx/dt = f x + g^2 / (2 sigma) eps."""

        def right(t: float, flat: np.ndarray) -> np.ndarray:
            y = flat.reshape(x.shape)
            weight = self.schedule.diffusion_squared(t) / (2 * self.schedule.sigma(t))
            return (self.schedule.drift(t) * y + weight * self.eps(y, t)).ravel()

        done = solve_ivp(
            right, (t_start, t_end), x.ravel(), "DOP853", (t_end,), rtol=TOLERANCE, atol=TOLERANCE
        )
        end: np.ndarray = done.y[:, -1]
        return end.reshape(x.shape)


def slopes(found: Sequence[tuple[int, float]]) -> list[float]:
    """Return the observed order between neighbouring numbers of evaluations."""
    return [-log2(after / before) / log2(m / n) for (n, before), (m, after) in pairwise(found)]


def study(
    model: Mixture, x: np.ndarray, truth: np.ndarray, options: dict[str, Any]
) -> list[tuple[int, float]]:
    """Return (evaluations, error) for every budget that the start fits into."""
    found = []
    for budget in BUDGETS:
        made = diffusion.plan(model.schedule, nfe=budget, **options)
        y = diffusion.follow(made, model.eps, x)
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
    schedule = diffusion.VPLinear()
    model = Mixture(schedule)
    x = np.random.default_rng(0).standard_normal((given.states, 2))
    results = []
    cases = [(t, m, s) for t in T_ENDS for m in METHODS for s in STARTS]
    with Progress(len(cases), label="starts") as bar:
        truths = {t: model.reference(x, schedule.t_start, t) for t in T_ENDS}
        for number, (t_end, method, start) in enumerate(cases):
            chosen = {"method": method, "start": start, "t_end": t_end, "grid": given.grid}
            found = study(model, x, truths[t_end], chosen)
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
