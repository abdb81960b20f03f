"""Time grids and samplers fitted to a model, on a few samples and a budget of evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from semilinear.diffusion import catalogue, grids
from semilinear.diffusion.catalogue import Sampler
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.diffusion.following import Model
from semilinear.diffusion.pilot import Pilot, Warp
from semilinear.diffusion.plan import plan
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.errors import InvalidArgument
from semilinear.progress import Progress
from semilinear.time_grid import whole_number

FAMILIES: dict[str, grids.Grid] = {
    "uniform": grids.PowerT(1.0),
    "t^1.5": grids.PowerT(1.5),
    "quadratic": grids.PowerT(2.0),
    "lambda": grids.UniformLambda(),
    "karras": grids.PowerRho(),
}
"""Grids that are tried."""

ENDS = (0.05, 0.1, 0.17, 0.25, 0.35, 0.5, 0.7)
"""Values of rho at which a grid may end before x_0 is read off, beside the schedule's own end."""

METHODS = ("tab3", "tab2", "logrhoab2", "unipc3", "unipc2", "res_3m", "dpmpp_2m")
"""Samplers that are tried."""

FIRST, SECOND = 4, 24
"""All candidates run on so many samples of the pilot; so many of the best then run on all."""


@dataclass(frozen=True)
class Fit:
    """A sampler on a grid, as it was found best.

    Attributes
    ----------
    sampler, final
        The sampler and the ending.
    times
        Grid times, read-only; for ``diffusion.plan(grid=...)``.
    family
        What the grid is: a name of `FAMILIES`, ``"fitted"``, and where it ends.
    error
        Mean distance from the flow on the pilot, root mean square over the entries of a sample.
    candidates
        All that was tried, the best first: (sampler, family, error).
    evaluations
        Of the model by each sample of the pilot, the reference included.
    schedule, prediction
        What it was made for.
    """

    sampler: Sampler
    final: str
    times: np.ndarray
    family: str
    error: float
    candidates: tuple[tuple[str, str, float], ...]
    evaluations: int
    schedule: NoiseSchedule
    prediction: str

    def plan(self) -> DiffusionPlan:
        """Return the plan."""
        return plan(
            self.schedule,
            method=self.sampler,
            grid=self.times,
            prediction=self.prediction,
            final=self.final,
        )

    @property
    def reason(self) -> str:
        """What was chosen, and why, in one sentence."""
        name, cell = self.sampler.name, self.sampler.parameterisation
        others = [c for c in self.candidates if c[0] != name]
        text = (
            f"{name} ({cell.quantity} over {cell.variable}, order {self.sampler.order}) on the "
            f"grid {self.family}, {self.plan().nfe} evaluations: mean error {self.error:.4g} "
            f"on the pilot, the least of {len(self.candidates)} tried"
        )
        if others:
            text += f"; next {others[0][0]} on {others[0][1]} with {others[0][2]:.4g}"
        return text

    def __str__(self) -> str:
        lines = [self.reason]
        lines += [f"  {error:<10.4g} {name:16} {family}" for name, family, error in self.candidates]
        return "\n".join(lines[:13])


def choose(
    model: Model,
    x: Any,
    schedule: NoiseSchedule,
    *,
    nfe: int = 10,
    samples: int = 16,
    methods: str | Sampler | Sequence[str | Sampler] = METHODS,
    prediction: str = "eps",
    t_start: float | None = None,
    seed: Any = 0,
    reference: int | None = None,
    progress: bool = False,
) -> Fit:
    """Choose parameterisation, variable, order, grid and ending for a model.

    All of `methods` run on all grids of `FAMILIES` with all `ENDS` for few samples of a pilot, the
    best of them for all; the one that brings the samples nearest to where the flow takes them is
    chosen.

    Parameters
    ----------
    model, schedule, prediction, t_start
        As in `diffusion.sample`.
    x
        An array like a batch of states, such as the noise to begin with; what is in it, and its
        length, do not matter.
    nfe
        Budget of evaluations of a run.
    samples
        Of the pilot. The model is asked for so many at once, and for four: it must take batches of
        any size, so bind no labels or masks of another batch to it.
    methods
        Samplers without noise.
    seed
        Of the noise of the pilot.
    reference
        Evaluations of the reference; 20 nfe by default, 100 to 400.
    progress
        Whether to draw a progress bar.
    """
    budget = whole_number("nfe", nfe)
    given: list[Any] = [methods] if isinstance(methods, str | Sampler) else list(methods)
    samplers = [_deterministic(method) for method in given]
    if not samplers:
        raise InvalidArgument("methods is empty; name at least one sampler")
    pilot = Pilot(
        model, schedule, x, samples=samples, prediction=prediction, t_start=t_start,
        seed=seed, nfe=_reference(nfe, reference), progress=progress,
    )  # fmt: skip
    return _chosen(pilot, samplers, budget, progress)


def _chosen(pilot: Pilot, samplers: Sequence[Sampler], nfe: int, progress: bool) -> Fit:
    all_of_them = [one for sampler in samplers for one in _candidates(pilot, sampler, nfe)]
    few = pilot.part(FIRST)
    found = _ranked(few, all_of_them, "choosing", progress)
    if few is not pilot:
        pilot.evaluations += few.evaluations * FIRST // pilot.x_T.shape[0]
        found = _ranked(pilot, [one for _, one in found[:SECOND]], "comparing", progress)
    return _best(pilot, found)


def fit_grid(
    model: Model,
    x: Any,
    schedule: NoiseSchedule,
    *,
    nfe: int = 10,
    samples: int = 16,
    method: str | Sampler = "tab3",
    prediction: str = "eps",
    t_start: float | None = None,
    seed: Any = 0,
    reference: int | None = None,
    sweeps: int = 2,
    progress: bool = False,
) -> Fit:
    """Fit a time grid to a model and a method for a number of evaluations.

    The best grid of `choose` is the first; then each of its points moves, one after the other, to
    where the error on the pilot is least. The result is measured on a second pilot of other noise,
    and is the first grid if the moved one is no better there: so a grid that only suits the samples
    it was fitted on is not returned.

    Parameters
    ----------
    model, x, schedule, nfe, samples, prediction, t_start, reference, progress
        As in `choose`.
    method
        A sampler without noise.
    seed
        Of the noise of the pilots: an integer; the second has the next one.
    sweeps
        How often every point moves. One sweep costs about six runs for each point.
    """
    budget, sampler = whole_number("nfe", nfe), _deterministic(method)
    count = whole_number("sweeps", sweeps)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise InvalidArgument(f"seed={seed!r} must be an integer from 0 to 2^63 - 1")
    pilot, other = (
        Pilot(
            model, schedule, x, samples=samples, prediction=prediction, t_start=t_start,
            seed=own, nfe=_reference(nfe, reference), progress=progress,
        )
        for own in (int(seed), int(seed) + 1)
    )  # fmt: skip
    begin = _chosen(pilot, [sampler], budget, progress)
    moved = _moved(pilot, begin, count, progress)
    tried = [
        (other.error(fit.plan()), fit)
        for fit in ([begin, moved] if moved is not begin else [begin])
    ]
    error, best = min(tried, key=lambda row: row[0])
    rows = sorted((own, fit.sampler.name, fit.family) for own, fit in tried)
    return replace(
        best, error=error, candidates=tuple((name, family, own) for own, name, family in rows),
        evaluations=pilot.evaluations + other.evaluations,
    )  # fmt: skip


def _reference(nfe: int, asked: int | None) -> int:
    return min(400, max(100, 20 * whole_number("nfe", nfe))) if asked is None else asked


def _deterministic(method: str | Sampler) -> Sampler:
    sampler = catalogue.get(method)
    if sampler.noise is not None:
        raise InvalidArgument(
            f"method={sampler.name!r} is stochastic; only samplers of the ODE can be compared by "
            "where they end"
        )
    return sampler


class Candidate(NamedTuple):
    """A sampler on a grid."""

    sampler: Sampler
    family: str
    final: str
    plan: DiffusionPlan


def _ranked(
    pilot: Pilot, candidates: Sequence[Candidate], label: str, progress: bool
) -> list[tuple[float, Candidate]]:
    """Return the candidates with their errors, the best first."""
    found = []
    with Progress(len(candidates), label=label, show=progress) as bar:
        for number, one in enumerate(candidates, start=1):
            error = pilot.error(one.plan)
            if np.isfinite(error):
                found.append((error, one))
            bar.update(number)
    return sorted(found, key=lambda row: row[0])


def _candidates(pilot: Pilot, sampler: Sampler, nfe: int) -> Iterator[Candidate]:
    """Yield all plans of a sampler on the grids of all families, where they exist."""
    for t_end, final in _endings(pilot, sampler):
        for name, rule in FAMILIES.items():
            try:
                made = plan(
                    pilot.schedule, method=sampler, nfe=nfe, grid=rule, final=final,
                    prediction=pilot.prediction, t_start=pilot.t_start, t_end=t_end,
                )  # fmt: skip
            except InvalidArgument:
                continue
            if final == "zero" and len(made.t) < 3:
                continue
            rho = pilot.schedule.rho(t_end)
            yield Candidate(sampler, f"{name} to rho={rho:.2g}, {final}", final, made)


def _endings(pilot: Pilot, sampler: Sampler) -> Iterator[tuple[float, str]]:
    schedule = pilot.schedule
    least, most = schedule.rho(pilot.t_end), schedule.rho(pilot.t_start)
    yield pilot.t_end, "denoise" if schedule.sigma(pilot.t_end) else "t_end"
    for rho in ENDS:
        if least < rho < most:
            # With x_0 as N both are the same, or the step is the wilder one.
            for final in ("denoise", "zero")[: 1 + (sampler.parameterisation.quantity == "eps")]:
                yield schedule.t_of_rho(rho), final


def _best(pilot: Pilot, found: list[tuple[float, Candidate]]) -> Fit:
    if not found:
        raise InvalidArgument(
            "no plan has a finite error on the pilot: is the model's prediction what prediction= "
            "says, and nfe enough for one step?"
        )
    error, (sampler, family, final, made) = found[0]
    times = made.t if final != "zero" else made.t[:-1]
    rows = tuple((one.sampler.name, one.family, e) for e, one in found)
    return Fit(
        sampler, final, times, family, error, rows, pilot.evaluations, pilot.schedule,
        pilot.prediction,
    )  # fmt: skip


def _moved(pilot: Pilot, fit: Fit, sweeps: int, progress: bool) -> Fit:
    """Return a fit whose points have moved to where the error on the pilot is least."""
    warp = pilot.warp
    s = np.asarray(warp.of_t(fit.times))
    inner = range(1, len(s) - (fit.final == "t_end"))
    best = fit
    with Progress(sweeps * len(inner), label="fitting", show=progress) as bar:
        for sweep in range(sweeps):
            for count, k in enumerate(inner, start=1):
                best, s = _move(pilot, warp, best, s, k)
                bar.update(sweep * len(inner) + count)
    return replace(best, family=f"fitted from {fit.family}") if best is not fit else fit


def _move(pilot: Pilot, warp: Warp, fit: Fit, s: np.ndarray, k: int) -> tuple[Fit, np.ndarray]:
    low, high = s[k - 1], s[k + 1] if k + 1 < len(s) else 1.0
    room = high - low

    def moved(value: float) -> tuple[Fit, np.ndarray]:
        points = s.copy()
        points[k] = value
        times = warp.to_t(points)
        times[0] = fit.times[0]
        return replace(fit, times=times), points

    def error(value: float) -> float:
        return pilot.error(moved(value)[0].plan())

    bounds = (
        max(low + 0.05 * room, s[k] - 0.25 * room),
        min(high - 0.05 * room, s[k] + 0.25 * room),
    )
    found = minimize_scalar(error, bounds=bounds, method="bounded", options={"maxiter": 5})
    if not found.fun < fit.error:
        return fit, s
    better, points = moved(found.x)
    return replace(better, error=float(found.fun)), points
