"""Time grids fitted to a model, on a few samples and a budget of evaluations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from semilinear.diffusion.catalogue import Sampler
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.diffusion.endings import FINALS
from semilinear.diffusion.fit import Fit
from semilinear.diffusion.fitting import (
    OF_THE_ODE,
    chosen,
    deterministic,
    reference_evaluations,
)
from semilinear.diffusion.models import Model
from semilinear.diffusion.noise import LARGEST, whole_seed
from semilinear.diffusion.pilot import Pilot, checked_like
from semilinear.diffusion.plan import checked_time, plan
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.stacked import StackedPlan
from semilinear.diffusion.warp import Warp
from semilinear.errors import InvalidArgument, UnknownName
from semilinear.given import whole_number
from semilinear.progress import Progress


def fit_grid(
    model: Model,
    x: Any,
    schedule: NoiseSchedule | DiffusionPlan,
    *,
    nfe: int | None = None,
    samples: int = 16,
    method: str | Sampler | None = None,
    prediction: str | None = None,
    t_start: float | None = None,
    t_end: float | None = None,
    final: str | None = None,
    seed: Any = 0,
    reference: int | None = None,
    sweeps: int = 2,
    progress: bool = False,
) -> Fit:
    """Fit a time grid to a model and a method, or a plan, for a number of evaluations.

    The best grid of `choose`, or the plan's own if that is better, is the first; then each of its
    points moves, one after the other, to where the error on the pilot is least. The result is
    measured on a second pilot of other noise, and is the first grid if the moved one is no better
    there: so a grid that only suits the samples it was fitted on is not returned.

    Parameters
    ----------
    model, x, samples, t_start, reference, progress
        As in `choose`.
    schedule
        The noise schedule, as in `choose`. Or a plan that draws no noise, such as
        ``plan(schedule, method="sa_solver", noise=0, lower_end=True, steps=8)``: all but its grid
        stays as it is, so that `method`, `prediction`, `t_start`, `t_end` and `final` are left out.
    nfe
        Budget of evaluations of a run; those of the plan by default, or 10.
    method
        A sampler without noise; ``"tab3"`` by default.
    prediction
        As in `choose`; ``"eps"`` by default.
    t_end, final
        Where the grid ends, and how the run does, as in `diffusion.plan`; what is not given is
        chosen. ``final="t_end"``, which leaves the noise of the end, only at the schedule's own
        t_end: elsewhere there is nothing to compare with.
    seed
        Of the noise of the pilots: an integer; the second has the next one.
    sweeps
        How often every point moves. One sweep costs about six runs for each point.

    Returns
    -------
    Fit
        As of `choose`; its candidates are the first grid and the moved one on the second pilot.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used, among others for a stochastic method or plan, or a `t_end`
        that leaves noise; if the method has no plan for so few evaluations, or none with a
        finite error on the pilot.
    UnknownName
        If `method`, `prediction` or `final` is a name that is not known.
    ModelOutputError
        If the model returns another shape or dtype than x's.
    NonFiniteError
        If the model returns NaN or infinity on the way of a reference, or a state overflows there.
    """
    checked_like(x, "fit_grid(model, x, schedule) or fit_grid(model, x, plan)")
    if isinstance(schedule, DiffusionPlan):
        _refuse_beside_plan(
            method=method, prediction=prediction, t_start=t_start, t_end=t_end, final=final
        )
        what = _of_plan(schedule, nfe)
    else:
        what = _Fitted(
            whole_number("nfe", 10 if nfe is None else nfe),
            deterministic("tab3" if method is None else method), schedule,
            "eps" if prediction is None else prediction, t_start, t_end, final,
        )  # fmt: skip
    count = whole_number("sweeps", sweeps)
    first = whole_seed(seed, "from which the seeds of both pilots follow")
    evaluations = reference_evaluations(what.nfe, reference)
    _check_ending(what.schedule, what.t_end, what.final)
    pilot, other = (
        Pilot(
            model, what.schedule, x, samples=samples, prediction=what.prediction,
            t_start=what.t_start, seed=own, nfe=evaluations, progress=progress,
        )
        for own in (first, (first + 1) % LARGEST)
    )  # fmt: skip
    begin = chosen(
        pilot, [what.sampler], what.nfe, progress, t_end=what.t_end, final=what.final,
        start=what.start, lower_end=what.lower_end, own=what.own,
    )  # fmt: skip
    moved = _moved(pilot, begin, count, progress, end_moves=what.t_end is None)
    tried = [
        (other.error(fit.plan()), fit)
        for fit in ([begin, moved] if moved is not begin else [begin])
    ]
    error, best = min(tried, key=lambda row: row[0])
    rows = sorted((own, fit.sampler.name, fit.family) for own, fit in tried)
    return replace(
        best, error=error, candidates=tuple((name, family, own) for own, name, family in rows),
        evaluations=pilot.evaluations + other.evaluations, estimate=what.estimate,
    )  # fmt: skip


class _Fitted(NamedTuple):
    """What a grid is fitted for."""

    nfe: int
    sampler: Sampler
    schedule: NoiseSchedule
    prediction: str
    t_start: float | None
    t_end: float | None
    final: str | None
    start: str = "ramp"
    lower_end: bool | str = False
    estimate: bool = False
    own: tuple[DiffusionPlan, ...] = ()
    """A plan whose grid is tried as it is."""


def _of_plan(made: DiffusionPlan, nfe: int | None) -> _Fitted:
    """Return what a plan has beside its grid, or refuse it."""
    if isinstance(made, StackedPlan):
        raise InvalidArgument("schedule is a plan with times by sample; give one for all samples")
    t_start, t_end, final, start, lower_end, direction, estimate = made.recipe
    if made.stochastic or direction == "encode":
        why = OF_THE_ODE if made.stochastic else "it encodes; grids are fitted to sampling"
        raise InvalidArgument(f"schedule is a plan of {made.name}, but {why}")
    # It may have the name of a sampler with noise.
    sampler = made.sampler._replace(noise=None)
    budget = made.nfe if nfe is None else whole_number("nfe", nfe)
    grid = made.t[made.t >= t_end]
    own: tuple[DiffusionPlan, ...] = ()
    if made.nfe <= budget and len(grid) > 1:
        own = (
            plan(
                made.schedule, method=sampler, grid=grid, prediction=made.prediction, final=final,
                start=start, lower_end=lower_end,
            ),
        )  # fmt: skip
    return _Fitted(
        budget, sampler, made.schedule, made.prediction, t_start, t_end, final, start, lower_end,
        estimate, own,
    )  # fmt: skip


def _refuse_beside_plan(**arguments: Any) -> None:
    extra = [name for name, value in arguments.items() if value is not None]
    if extra:
        raise InvalidArgument(
            f"{', '.join(extra)}: schedule is a plan, which says so itself; leave it out"
        )


def _check_ending(schedule: NoiseSchedule, t_end: float | None, final: str | None) -> None:
    """Refuse an ending that cannot be compared with where the flow ends."""
    if final is not None:
        UnknownName.check("final", final, FINALS)
    if t_end is None:
        return
    if final == "t_end" and t_end != schedule.t_end:
        raise InvalidArgument(
            f'final="t_end" with t_end={t_end!r}: states that keep noise cannot be compared with '
            'where the flow ends; leave t_end out, or take final="denoise"'
        )
    checked_time(schedule, "t_end", t_end)


def _moved(pilot: Pilot, fit: Fit, sweeps: int, progress: bool, *, end_moves: bool) -> Fit:
    """Return a fit whose points have moved to where the error on the pilot is least."""
    warp = pilot.warp
    s = np.asarray(warp.of_t(fit.times))
    inner = range(1, len(s) - (fit.final == "t_end" or not end_moves))
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
        if k < len(s) - 1:
            times[-1] = fit.times[-1]
        return replace(fit, times=times), points

    def error(value: float) -> float:
        return pilot.error(moved(value)[0].plan())

    from scipy.optimize import minimize_scalar  # a second to load, and only needed here

    bounds = (
        max(low + 0.05 * room, s[k] - 0.25 * room),
        min(high - 0.05 * room, s[k] + 0.25 * room),
    )
    found = minimize_scalar(error, bounds=bounds, method="bounded", options={"maxiter": 5})
    if not found.fun < fit.error:
        return fit, s
    better, points = moved(found.x)
    return replace(better, error=float(found.fun)), points
