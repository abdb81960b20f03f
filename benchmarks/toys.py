"""Toy Gaussian mixtures: the order of every sampler, and its errors beside the peers'.

Orders: root mean square error over two mixtures with their exact eps, one in one dimension and one
in the plane, VP linear from t = 0.7 to 0.1, over up to 192 steps, 384 for order four, 768 for
higher ones; the slope of the last two doublings above rounding. Grids: even in lambda; of Karras et
al.; and steps in the ratio 1.7 : 0.6 : 1 for ever. Multistep samplers start accurately: ours with
start="rk", the peers' from the exact states at their first times.

Errors: the mixture in one dimension from t = 1 to 1e-3, even in lambda, with default starts, by
evaluations. The peers are given the same grid as noise levels in float64; "float32" are their
errors with the levels in float32, as they make them.

Samplers that add noise are left out: for tau = 0 they are the cells of the others.

    python benchmarks/toys.py --json toys.json --write --plot docs/_static/toys.png
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import _mixtures
import numpy as np
from _mixtures import Mixture
from _pages import RESULTS, written
from _timing import header, machine, parser, table, write_json

from semilinear import diffusion
from semilinear.diffusion import catalogue
from semilinear.progress import Progress

SCHEDULE = diffusion.VPLinear()
COUNTS = (24, 48, 96, 192)
FINER = {4: (384,), 5: (384, 768)}
"""More steps from order four and five on: low orders show sooner."""
BUDGETS = (10, 20, 40, 80, 640)
BELOW, ABOVE = 0.25, 0.4
"""How far an observed order may be from the declared one."""
ROUNDING = 1e-13
AGREEMENT = 1e-13
"""References of two integrators may differ by this, relative to 1."""
SHOWN = (
    "ddim", "tab3", "logrhoab3", "unipc3", "dpmpp_2m", "rho_rk4",
    "DEIS 3", "DPM-Solver++ 2M", "UniPC 3, bh2", "Heun", "LMS 4",
)  # fmt: skip
"""Lines of the picture."""


@dataclass(frozen=True)
class Problem:
    """A mixture, states to start from, and where the flow takes them."""

    data: Mixture
    times: tuple[float, float]
    states: int = 16

    @property
    def lams(self) -> tuple[float, float]:
        """Where it begins and ends."""
        return SCHEDULE.lam(self.times[0]), SCHEDULE.lam(self.times[1])

    @cached_property
    def start(self) -> np.ndarray:
        """Noise at the first time."""
        noise = np.random.default_rng(0).standard_normal((self.states, self.data.size))
        return noise * SCHEDULE.sigma(self.times[0])

    @cached_property
    def end(self) -> np.ndarray:
        """The reference at the last time: two integrators, and in one dimension quantiles."""
        y = self.start / SCHEDULE.alpha(self.times[0])
        found = _mixtures.flow_extended(self.data, y, self.lams, steps=100)
        others = [_mixtures.flow(self.data, y, np.array(self.lams), SCHEDULE)[-1]]
        if self.data.size == 1:
            others.append(_mixtures.flow_of_quantiles(self.data, y, SCHEDULE, self.times))
        for other in others:
            apart = np.abs(other - found).max()
            if apart > AGREEMENT:
                raise ArithmeticError(f"references differ by {apart:.1e}")
        return found * SCHEDULE.alpha(self.times[1])

    def first(self, t: np.ndarray, count: int) -> list[np.ndarray]:
        """The exact states at the first times of a grid."""
        if not count:
            return []
        lams = np.array([SCHEDULE.lam(float(each)) for each in t[:count]])
        y = _mixtures.flow(self.data, self.start / SCHEDULE.alpha(float(t[0])), lams, SCHEDULE)
        return [SCHEDULE.alpha(float(each)) * state for each, state in zip(t, y, strict=False)]

    def error(self, found: np.ndarray) -> float:
        """Root mean square over states and entries."""
        return float(np.sqrt(np.mean((found - self.end) ** 2)))


ORDERS = (
    Problem(_mixtures.line(), (0.7, 0.1)),
    Problem(_mixtures.plane(width=3.0), (0.7, 0.1)),
)
ERRORS = Problem(_mixtures.line(), (1.0, 1e-3))


def even(n: int, lams: tuple[float, float]) -> np.ndarray:
    """Lambda with equal steps."""
    return np.linspace(*lams, n + 1)


def karras(n: int, lams: tuple[float, float]) -> np.ndarray:
    """Steps equal in rho^(1/7)."""
    ends = np.exp(-np.array(lams) / 7)
    return -7 * np.log(np.linspace(*ends, n + 1))


def uneven(n: int, lams: tuple[float, float]) -> np.ndarray:
    """Steps that never become equal, however many."""
    steps = np.resize([1.7, 0.6, 1.0], n)
    return lams[0] + (lams[1] - lams[0]) * np.append(0.0, np.cumsum(steps)) / steps.sum()


GRIDS: dict[str, Callable[[int, tuple[float, float]], np.ndarray]] = {
    "even": even, "karras": karras, "uneven": uneven,
}  # fmt: skip


def times(problem: Problem, grid: str, n: int) -> np.ndarray:
    """Return a grid between the ends of a problem."""
    t = np.array(SCHEDULE.t_of_lam(GRIDS[grid](n, problem.lams)))
    t[0], t[-1] = problem.times
    return t


@dataclass(frozen=True)
class Own:
    """A sampler of this package, with the weights that were published or the exact ones."""

    label: str
    method: str
    order: int
    exact: bool
    evaluations: int
    package: str = "semilinear"

    def run(self, problem: Problem, t: np.ndarray, *, accurate: bool, single: bool) -> np.ndarray:
        """Return the state at the end of a grid."""
        start = "rk" if accurate else "ramp"
        plan = diffusion.plan(SCHEDULE, method=self.method, grid=t, start=start, exact=self.exact)
        return np.asarray(diffusion.follow(plan, problem.data.model(SCHEDULE), problem.start))


@dataclass(frozen=True)
class Other:
    """A sampler of another package."""

    peer: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.peer, name)

    def run(self, problem: Problem, t: np.ndarray, *, accurate: bool, single: bool) -> np.ndarray:
        """Return the state at the end of a grid."""
        known = problem.first(t, self.peer.history + 1 if accurate and self.peer.history else 0)
        model = problem.data.model(SCHEDULE)
        return np.asarray(
            self.peer.run(model, problem.start, SCHEDULE, t, known=known, single=single)
        )


def own() -> Iterator[Own]:
    """Every sampler without noise; a second time where exact weights are others."""
    for name in diffusion.names():
        found = catalogue.get(name)
        if found.noise is None:
            yield Own(name, name, found.order, False, found.method.evaluations)
            if found.exact is not None and found.exact != found.method:
                order, cost = found.exact.order, found.exact.evaluations
                yield Own(f"{name}, exact", name, order, True, cost)


def others() -> list[Other]:
    """The peers that are installed."""
    try:
        import _peers  # torch, which nothing else here needs
    except ModuleNotFoundError:
        return []
    return [Other(peer) for peer in _peers.peers() if _is_installed(peer.package)]


def _is_installed(package: str) -> bool:
    return machine(package)["versions"][package] is not None


@dataclass
class Row:
    """What was measured of a sampler."""

    package: str
    label: str
    order: int
    observed: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    single: float | None = None

    def misses(self) -> list[str]:
        """Grids on which the observed order is not the declared one."""
        return [
            grid
            for grid, found in self.observed.items()
            if not self.order - BELOW <= found <= self.order + ABOVE
        ]


def observed(sampler: Own | Other, grid: str) -> float:
    """Return the slope of the last two doublings whose errors are above rounding."""
    errors: list[float] = []
    for n in reversed((*COUNTS, *FINER.get(min(sampler.order, 5), ()))):
        of_each = [
            problem.error(
                sampler.run(problem, times(problem, grid, n), accurate=True, single=False)
            )
            for problem in ORDERS
        ]
        error = float(np.hypot(*of_each))
        if error > ROUNDING:
            errors.append(error)
        if len(errors) == 3:
            break
    return float(np.log2(errors[-1] / errors[0]) / (len(errors) - 1))


def measure(sampler: Own | Other) -> Row:
    """Measure orders and errors of one sampler."""
    row = Row(sampler.package, sampler.label, sampler.order)
    row.observed = {grid: observed(sampler, grid) for grid in GRIDS}
    for nfe in BUDGETS:
        t = times(ERRORS, "even", nfe // sampler.evaluations)
        row.errors[str(nfe)] = ERRORS.error(sampler.run(ERRORS, t, accurate=False, single=False))
    if sampler.package != "semilinear":
        row.single = ERRORS.error(sampler.run(ERRORS, t, accurate=False, single=True))
    return row


def report(rows: Sequence[Row]) -> str:
    """Return the table, and what does not show its order."""
    head = ("sampler", "order", *GRIDS, *(f"NFE {n}" for n in BUDGETS), "float32")
    lines: list[tuple[Any, ...]] = []
    for package in dict.fromkeys(row.package for row in rows):
        lines.append((f"**{package}**", *[""] * (len(head) - 1)))
        here = [row for row in rows if row.package == package]
        for row in (row for row in here if not _is_repeated(row, here)):
            missed = row.misses()
            slopes = [f"{v:.2f}{' !' if g in missed else ''}" for g, v in row.observed.items()]
            errors = [f"{v:.1e}" for v in row.errors.values()]
            single = "" if row.single is None else f"{row.single:.1e}"
            lines.append((row.label, str(row.order), *slopes, *errors, single))
    good = sum(not row.misses() for row in rows if row.package == "semilinear")
    total = sum(row.package == "semilinear" for row in rows)
    verdict = (
        f"Of {total} forms of our samplers {good} show their order within -{BELOW} and +{ABOVE} on "
        "all three grids; `!` marks where one does not."
    )
    return f"{table(head, lines)}\n\n{verdict}"


def _is_repeated(row: Row, rows: Sequence[Row]) -> bool:
    """Whether exact weights show the same orders as the published ones: they are left out."""
    name = row.label.removesuffix(", exact")
    published = next((each for each in rows if each.label == name), row)
    return published is not row and published.observed == row.observed


def picture(rows: Sequence[Row], path: Path) -> None:
    """Draw errors against evaluations, the peers' dashed."""
    from semilinear.plot.figures import Line, finished, log_log  # loads Matplotlib

    drawn = [
        Line(row.label, [int(n) for n in row.errors], list(row.errors.values()),
             dashed=row.package != "semilinear")
        for name in SHOWN for row in rows if row.label == name
    ]  # fmt: skip
    figure, axes = log_log(drawn)
    axes.set_xlabel("evaluations")
    axes.set_ylabel("rms error, mixture in one dimension")
    finished(figure, path)


def main() -> None:
    """Measure and report."""
    options = parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--read", type=Path, metavar="FILE", help="report what --json wrote")
    options.add_argument("--only", nargs="*", help="labels that contain one of these")
    options.add_argument("--write", action="store_true", help="write the table into RESULTS.md")
    options.add_argument("--plot", type=Path, metavar="FILE", help="draw errors as PNG")
    given = options.parse_args()
    if given.read:
        stored = json.loads(given.read.read_text())
        where, rows = stored["machine"], [Row(**row) for row in stored["results"]]
    else:
        where = machine("scipy", "torch", "diffusers", "k-diffusion")
        samplers = [
            each
            for each in (*own(), *others())
            if not given.only or any(part in each.label for part in given.only)
        ]
        rows = []
        with Progress(len(samplers), label="toys") as bar, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the peers: NumPy functions on tensors
            for number, sampler in enumerate(samplers, start=1):
                rows.append(measure(sampler))
                bar.update(number)
        write_json(given.json, where, [vars(row) for row in rows])
    print(header("Toy Gaussian mixtures", where))
    print(text := report(rows))
    for row in rows:
        if row.misses() and row.package == "semilinear":
            print(row.label, row.order, row.observed)
    if given.write:
        RESULTS.write_text(written(RESULTS.read_text("utf-8"), "toys", text), "utf-8")
    if given.plot:
        picture(rows, given.plot)


if __name__ == "__main__":
    main()
