"""Samplers on the MNIST model of this package: error against the exact flow of the same noise.

Root mean square over pixels of x - x_ref, both from the same x_T, at t_end = 1e-3. x_ref is a run
of 1000 steps of tab3; its distance to rho_rk4 with as many evaluations says how exact it is.
Methods get equal budgets of evaluations (NFE) and make as many steps as fit.

    python benchmarks/mnist.py --images 64 --markdown mnist.md --plot mnist.png
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _timing import header, machine, parser, table, write_json

from semilinear import diffusion
from semilinear.adapters.onnx import OnnxModel, mnist_eps
from semilinear.progress import Progress

METHODS = (
    "ddim",
    "euler",
    "ei_score",
    "tab1",
    "tab2",
    "tab3",
    "rhoab3",
    "logrhoab2",
    "logrhoab3",
    "ipndm4",
    "rho_heun2",
    "rho_kutta3",
    "rho_rk4",
)
MAIN = ("ddim", "tab3", "rhoab3", "logrhoab2", "logrhoab3", "ipndm4", "rho_heun2")
"""Methods that are run on every grid."""

GRIDS = ("quadratic", "uniform", "lambda", "karras")
BUDGETS = (5, 10, 15, 20, 50)
REFERENCE, CHECK, REFERENCE_NFE = "tab3", "rho_rk4", 1000
T_END = 1e-3
IMAGE = (1, 28, 28)


class Case(NamedTuple):
    """One run: a sampler on a grid with a budget of evaluations."""

    method: str
    grid: str
    nfe: int


def cases() -> list[Case]:
    """Return the runs that are compared."""
    pairs = [(m, g) for g in GRIDS for m in (METHODS if g == GRIDS[0] else MAIN)]
    return [Case(m, g, n) for m, g in pairs for n in BUDGETS]


def made(case: Case) -> diffusion.DiffusionPlan:
    """Return the plan of a run."""
    return diffusion.plan(
        diffusion.VPLinear(), method=case.method, grid=case.grid, nfe=case.nfe, t_end=T_END
    )


def rms(difference: np.ndarray) -> float:
    """Return the root mean square over all pixels of all images."""
    return float(np.sqrt(np.mean(np.square(difference, dtype=np.float64))))


def run(model: OnnxModel, noise: np.ndarray, chosen: Sequence[Case]) -> list[dict[str, Any]]:
    """Run the reference and then all cases; return their errors."""
    truth_plan = made(Case(REFERENCE, "quadratic", REFERENCE_NFE))
    plans = [made(case) for case in chosen]
    rows = []
    with Progress(truth_plan.nfe + sum(p.nfe for p in plans), label="mnist") as bar:
        truth = diffusion.follow(
            truth_plan, model, noise, callback=lambda s: bar.update(s.evaluation)
        )
        done = truth_plan.nfe
        for case, plan in zip(chosen, plans, strict=True):
            x = diffusion.follow(plan, model, noise)
            done += plan.nfe
            bar.update(done)
            rows.append({**case._asdict(), "used": plan.nfe, "error": rms(x - truth)})
    return rows


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table: a line for each grid and method, a column for each budget."""
    errors = {(r["grid"], r["method"], r["nfe"]): r["error"] for r in rows}
    pairs = dict.fromkeys((r["grid"], r["method"]) for r in rows)
    lines = [(*pair, *(errors[(*pair, n)] for n in BUDGETS)) for pair in pairs]
    return table(("grid", "method", *(f"NFE {n}" for n in BUDGETS)), lines)


def main() -> None:
    """Measure and report."""
    options = parser(__doc__.split("\n", 1)[0])
    options.add_argument("--images", type=int, default=64)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--threads", type=int, help="of onnxruntime; all cores by default")
    options.add_argument("--markdown", type=Path, metavar="FILE", help="write the table here too")
    options.add_argument("--plot", type=Path, metavar="FILE", help="draw the quadratic grid as PNG")
    given = options.parse_args()
    where = machine("onnxruntime")
    title = f"MNIST, VPLinear, t_end {T_END:g}, {given.images} images, seed {given.seed}"
    print(header(title, where))
    schedule = diffusion.VPLinear()
    rng = np.random.default_rng(given.seed)
    noise = rng.standard_normal((given.images, *IMAGE), dtype=np.float32)
    noise *= np.float32(schedule.sigma(schedule.t_start))
    check = Case(CHECK, "quadratic", REFERENCE_NFE)
    found, *rows = run(mnist_eps(threads=given.threads), noise, [check, *cases()])
    text = report(rows)
    print(text)
    print(
        f"\nrms over pixels; reference: {REFERENCE} on the quadratic grid, {REFERENCE_NFE} steps;"
    )
    print(f"{CHECK} with as many evaluations differs from it by {found['error']:.2e}")
    write_json(given.json, where, {"rows": rows, "check": found})
    if given.markdown:
        given.markdown.write_text(header(title, where) + "\n" + text + "\n")
    if given.plot:
        from semilinear.plot import error_plot  # loads Matplotlib, which nothing else here needs

        shown = [(r["method"], r["used"], r["error"]) for r in rows if r["grid"] == GRIDS[0]]
        error_plot(shown, given.plot, title="MNIST, quadratic grid", ylabel="rms error of a pixel")


if __name__ == "__main__":
    main()
