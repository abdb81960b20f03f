"""log p at 72 evaluations on every schedule, against densities that are known.

The data are Gaussian mixtures in one, two and eight dimensions with the exact eps and its Jacobian,
the exact trace, and the exact density at t_start as the prior: what is left is the error of the
steps, in nats. For two round Gaussians in the plane the root mean square; for several mixtures of
each dimension together the median, and the share of samples within 0.02. Samples near a place where
paths part are much further off than others, with any method.

    python benchmarks/likelihood.py --write
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded

from collections.abc import Sequence
from typing import Any, NamedTuple

import _mixtures
import numpy as np
from _pages import RESULTS, written
from _timing import header, machine, parser, table, verdict, write_json

from semilinear import diffusion
from semilinear.diffusion.likelihood import log_likelihood
from semilinear.progress import Progress

SCHEDULES: dict[str, diffusion.NoiseSchedule] = {
    "vp_linear": diffusion.VPLinear(),
    "vp_cosine": diffusion.VPCosine(),
    "vp_cosine, unnormalised": diffusion.VPCosine(normalised=False),
    "ve": diffusion.VE(),
    "subvp": diffusion.SubVP(),
    "edm": diffusion.EDM(),
    "flow": diffusion.Flow(),
    "ddpm_linear": diffusion.Discrete.linear(),
    "ddpm_cosine": diffusion.Discrete.cosine(),
}
FLOW_ENDS = (0.999, 1e-3)
"""Times inside of the ends of flow matching, where alpha or sigma is 0."""
TWO = _mixtures.two()
DATA = (
    TWO,
    _mixtures.line(),
    *(_mixtures.random(1, 3, seed=seed) for seed in range(3)),
    _mixtures.plane(),
    *(_mixtures.random(2, 4, seed=seed) for seed in range(4)),
    *(_mixtures.random(8, 4, seed=seed) for seed in range(4)),
)
NFE, AIM = 72, 0.02
METHODS: dict[str, dict[str, Any]] = {
    "default": {},
    "rho_kutta3": {"method": "rho_kutta3", "grid": "lambda"},
    "logrhoab3": {"method": "logrhoab3", "grid": "lambda"},
    "tab3": {"method": "tab3", "grid": "lambda"},
}


class Found(NamedTuple):
    """Errors of all samples of a mixture."""

    schedule: str
    size: int
    errors: np.ndarray

    @property
    def rms(self) -> float:
        """Root mean square."""
        return float(np.sqrt((self.errors**2).mean()))


def measure(data: _mixtures.Mixture, name: str, count: int, options: dict[str, Any]) -> Found:
    """Return the errors of log p on a schedule."""
    schedule = SCHEDULES[name]
    flow = isinstance(schedule, diffusion.Flow)
    t_start, t_end = FLOW_ENDS if flow else (schedule.t_start, schedule.t_end)
    alpha, sigma = schedule.alpha(t_end), schedule.sigma(t_end)
    x = data.draw(count, alpha, sigma, seed=1)

    def prior(latent: np.ndarray) -> np.ndarray:
        return data.log_density(latent, schedule.alpha(t_start), schedule.sigma(t_start))

    found = log_likelihood(
        data.linearised(schedule), x, schedule, nfe=NFE, t_start=t_start, t_end=t_end,
        divergence="exact", prior=prior, **options,
    )  # fmt: skip
    return Found(name, data.size, found.log_p - data.log_density(x, alpha, sigma))


def summary(label: str, found: Sequence[Found]) -> list[tuple[Any, ...]]:
    """Return a line for each schedule: rms of the first mixture, then of all by dimension."""
    lines = []
    for name in SCHEDULES:
        here = [each for each in found if each.schedule == name]
        cells = []
        for size in (1, 2, 8):
            errors = np.concatenate([each.errors for each in here if each.size == size])
            within = (np.abs(errors) <= AIM).mean()
            cells.append(f"{np.median(np.abs(errors)):.4f}, {within:.1%}")
        lines.append((label, name, here[0].rms, *cells, verdict(here[0].rms, at_most=AIM)))
    return lines


def main() -> None:
    """Measure and report."""
    options = parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--samples", type=int, default=100)
    options.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    options.add_argument("--write", action="store_true", help="write the table into RESULTS.md")
    given = options.parse_args()
    where = machine()
    cases = [(m, s, d) for m in given.methods for s in SCHEDULES for d in DATA]
    found: dict[str, list[Found]] = {name: [] for name in given.methods}
    with Progress(len(cases), label="log p") as bar:
        for number, (method, schedule, data) in enumerate(cases, start=1):
            found[method].append(measure(data, schedule, given.samples, METHODS[method]))
            bar.update(number)
    lines = [line for name, of_it in found.items() for line in summary(name, of_it)]
    head = ("method", "schedule", "two Gaussians", "1-D", "2-D", "8-D", "target, two Gaussians")
    print(header(f"log p, {NFE} evaluations", where))
    print(text := table(head, lines))
    if given.write:
        RESULTS.write_text(written(RESULTS.read_text("utf-8"), "likelihood", text), "utf-8")
    write_json(given.json, where, lines)


if __name__ == "__main__":
    main()
