"""A sampler chosen for a model, on a few samples and a budget of evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from semilinear.diffusion import catalogue, grids
from semilinear.diffusion.catalogue import Sampler
from semilinear.diffusion.correction import ENDURED, Bold, Correction, Judge
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.diffusion.fit import Fit
from semilinear.diffusion.models import Model
from semilinear.diffusion.pilot import Pilot, checked_like
from semilinear.diffusion.plan import plan
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.errors import InvalidArgument
from semilinear.given import flag, whole_number
from semilinear.progress import Progress

FAMILIES: dict[str, grids.Grid] = {
    "uniform": grids.PowerT(1.0),
    "t^1.5": grids.PowerT(1.5),
    "quadratic": grids.PowerT(2.0),
    "lambda": grids.UniformLambda(),
    "karras": grids.PowerRho(),
    "mixed": grids.Mixed(),
}
"""Grids that are tried."""

ENDS = (0.05, 0.1, 0.17, 0.25, 0.35, 0.5, 0.7)
"""Values of rho at which a grid may end before x_0 is read off, beside the schedule's own end."""

METHODS = ("tab3", "tab2", "logrhoab2", "unipc3", "unipc2", "res_3m", "dpmpp_2m")
"""Samplers of the flow that are tried."""

MANY = 64
"""Samples of a pilot that is to tell whether noise helps: with fewer it cannot be sure."""

ENOUGH = 16
"""Samples without which the question is not asked."""

OF_THE_ODE = "only samplers of the ODE can be compared by where they end"
"""Why samplers with noise are refused."""

FIRST, SECOND, LATER = 4, 24, 16
"""All candidates run on `FIRST` samples of the pilot; `SECOND` of the best then run on `LATER`."""


def choose(
    model: Model,
    x: Any,
    schedule: NoiseSchedule,
    *,
    nfe: int = 10,
    samples: int | None = None,
    methods: str | Sampler | Sequence[str | Sampler] | None = None,
    prediction: str = "eps",
    t_start: float | None = None,
    seed: Any = 0,
    reference: int | None = None,
    allow_noise: bool = True,
    whole_times: bool = False,
    fixed_batch: bool = False,
    progress: bool = False,
) -> Fit:
    """Choose parameterisation, variable, order, grid, ending and noise for a model.

    First, whether noise corrects the network: then its denoising loss is greater on samples that
    follow the flow, the probability-flow ODE, than on those of the reverse SDE (`Correction`). If
    so, the boldest of three samplers with noise is chosen that leaves samples with at most twice
    the loss of the reverse SDE's; if none does, that with the least loss, unless it is more than
    four times. Where the boldest has 1.2 times that loss or less, as with many evaluations,
    ``"dpm2_ancestral"``.
    Else all of `METHODS` run on all grids of `FAMILIES` with all `ENDS` for few samples, the best
    of them for more; the one that brings the samples nearest to where the flow takes them is
    chosen.

    Parameters
    ----------
    model, schedule, prediction, t_start
        As in `diffusion.sample`.
    x
        An array like a batch of states, such as the noise to begin with; what is in it, and its
        length (but for `fixed_batch`), do not matter.
    nfe
        Budget of evaluations of a run.
    samples
        Of the pilot; 64 by default, 16 where noise is not asked about, as it is not of fewer. The
        model is asked for so many at once, up to four times where it is open whether noise helps,
        and for 4 and 16.
    methods
        Samplers without noise that are to be compared, instead of `METHODS`; noise is then out of
        question.
    seed
        Of the noise of the pilot.
    reference
        Evaluations of the references; 20 nfe by default, 100 to 400.
    allow_noise
        Whether samplers with noise may be chosen; False for samples that follow the flow.
    whole_times
        Whether the model knows whole times only, as networks of a `Discrete` schedule do: all
        evaluations are at such times then.
    fixed_batch
        Whether the model must be asked for as many samples as x has, since it is bound to labels
        or a mask of this batch.
    progress
        Whether to draw a progress bar.

    Returns
    -------
    Fit
        `Fit.plan` makes the plan, `Fit.reason` says what was chosen and why.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used, among others for stochastic `methods`; if no sampler has a
        plan for so few evaluations, or none a finite error on the pilot.
    UnknownName
        If `prediction` or one of `methods` is a name that is not known.
    ModelOutputError
        If the model returns another shape or dtype than x's.
    NonFiniteError
        If the model returns NaN or infinity on the way of a reference, or a state overflows there.
    """
    checked_like(x, "choose(model, x, schedule)")
    budget = whole_number("nfe", nfe)
    samplers = _samplers(methods)
    choice = "True or False: whether samplers with noise may be chosen"
    asks = flag("allow_noise", allow_noise, choice) and methods is None
    count = MANY if asks else LATER
    if samples is not None:
        count = whole_number("samples", samples)
    if fixed_batch:
        if samples is not None:
            raise InvalidArgument("samples: fixed_batch=True takes as many as x has; leave it out")
        count = x.shape[0]
    asks = asks and count >= ENOUGH
    pilot = Pilot(
        model, schedule, x, samples=count, prediction=prediction, t_start=t_start, seed=seed,
        nfe=reference_evaluations(nfe, reference), progress=progress, whole_times=whole_times,
    )  # fmt: skip
    if not asks:
        return chosen(pilot, samplers, budget, progress, fixed_batch=fixed_batch)
    judge = Judge(pilot, progress=progress)
    if judge.correction.helps:
        bold = judge.tried(budget)
        if bold and bold[0].excess <= ENDURED:
            return _of_noise(pilot, bold, judge.correction)
    found = chosen(pilot, samplers, budget, progress, fixed_batch=fixed_batch)
    return replace(found, correction=judge.correction)


def chosen(
    pilot: Pilot,
    samplers: Sequence[Sampler],
    nfe: int,
    progress: bool,
    *,
    fixed_batch: bool = False,
    t_end: float | None = None,
    final: str | None = None,
    start: str = "ramp",
    lower_end: bool | str = False,
    own: Sequence[DiffusionPlan] = (),
) -> Fit:
    """Return the sampler without noise that comes nearest to the flow; with an end, if given.

    Parameters
    ----------
    own
        Plans of one of the samplers, start and lower_end, that are tried beside those made here.
    """
    all_of_them = [
        one
        for sampler in samplers
        for one in _candidates(pilot, sampler, nfe, t_end, final, start, lower_end)
    ]
    all_of_them += [
        Candidate(samplers[0], f"its own, {made.recipe.final}", made.recipe.final, made)
        for made in own
    ]
    if not all_of_them:
        times = " at whole times" if pilot.whole_times else ""
        raise InvalidArgument(
            f"nfe={nfe}: none of the samplers has a plan{times} for {pilot.schedule!r} with so few "
            "evaluations; give more, or other methods"
        )
    few, more = (pilot if fixed_batch else pilot.part(count) for count in (FIRST, LATER))
    found = _ranked(few, all_of_them, "choosing", progress)
    if few is not pilot:
        pilot.count_part(few)
        found = _ranked(more, [one for _, one in found[:SECOND]], "comparing", progress)
        pilot.count_part(more)
    return replace(_best(pilot, found), start=start, lower_end=lower_end)


def _samplers(methods: Any) -> list[Sampler]:
    if methods is None:
        methods = METHODS
    several = isinstance(methods, Iterable) and not isinstance(methods, str | Sampler)
    given: list[Any] = list(methods) if several else [methods]
    samplers = [deterministic(method) for method in given]
    if not samplers:
        raise InvalidArgument("methods is empty; name at least one sampler")
    return samplers


def _of_noise(pilot: Pilot, bold: Sequence[Bold], correction: Correction) -> Fit:
    made, family, noise, excess = bold[0]
    rows = tuple((one.plan.name, one.family, one.excess) for one in bold)
    return Fit(
        catalogue.get(made.name), "denoise", made.t, family, excess, rows, pilot.evaluations,
        pilot.schedule, pilot.prediction, noise=noise, correction=correction,
    )  # fmt: skip


def reference_evaluations(nfe: int, asked: int | None) -> int:
    """Return how many evaluations a reference has."""
    return min(400, max(100, 20 * whole_number("nfe", nfe))) if asked is None else asked


def deterministic(method: str | Sampler) -> Sampler:
    """Return a sampler, or refuse one with noise."""
    sampler = catalogue.get(method)
    if sampler.noise is not None and not sampler.noise.is_silent:
        raise InvalidArgument(f"method={sampler.name!r} is stochastic; {OF_THE_ODE}")
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


def _candidates(
    pilot: Pilot,
    sampler: Sampler,
    nfe: int,
    given_end: float | None,
    given_final: str | None,
    start: str,
    lower_end: bool | str,
) -> Iterator[Candidate]:
    """Yield all plans of a sampler on the grids of all families, where they exist."""
    for t_end, final in _endings(pilot, sampler, given_end, given_final):
        for name, family in FAMILIES.items():
            rule = grids.WholeTimes(family) if pilot.whole_times else family
            try:
                made = plan(
                    pilot.schedule, method=sampler, nfe=nfe, grid=rule, final=final,
                    prediction=pilot.prediction, t_start=pilot.t_start, t_end=t_end, start=start,
                    lower_end=lower_end,
                )  # fmt: skip
            except InvalidArgument:
                continue
            if final == "zero" and len(made.t) < 3:
                continue
            if pilot.whole_times and not all(t == round(t) for t in made.times):
                continue
            rho = pilot.schedule.rho(t_end)
            yield Candidate(sampler, f"{name} to rho={rho:.2g}, {final}", final, made)


def _endings(
    pilot: Pilot, sampler: Sampler, t_end: float | None, final: str | None
) -> list[tuple[float, str]]:
    """Return where grids end and how runs do that are tried; of what is given, only that."""
    schedule = pilot.schedule
    least, most = schedule.rho(pilot.t_end), schedule.rho(pilot.t_start)
    # With x_0 as N both are the same, or the step is the wilder one.
    finals = ("denoise", "zero")[: 1 + (sampler.parameterisation.quantity == "eps")]
    times = [schedule.t_of_rho(rho) for rho in ENDS if least < rho < most]
    if pilot.whole_times:
        times = [round(t) for t in times]
    found = [(pilot.t_end, "denoise" if schedule.sigma(pilot.t_end) else "t_end")]
    found += [(t, each) for t in times for each in finals]
    if t_end is not None:
        found = [(t_end, each) for each in finals]
    if final == "t_end":
        return [(pilot.t_end, final)]
    if final is not None:
        found = [(t, final) for t in dict.fromkeys(t for t, _ in found)]
    return found


def _best(pilot: Pilot, found: list[tuple[float, Candidate]]) -> Fit:
    if not found:
        raise InvalidArgument(
            "no plan has a finite error on the pilot: is the model's prediction what prediction= "
            "says?"
        )
    error, (sampler, family, final, made) = found[0]
    times = made.t if final != "zero" else made.t[:-1]
    rows = tuple((one.sampler.name, one.family, e) for e, one in found)
    return Fit(
        sampler, final, times, family, error, rows, pilot.evaluations, pilot.schedule,
        pilot.prediction,
    )  # fmt: skip
