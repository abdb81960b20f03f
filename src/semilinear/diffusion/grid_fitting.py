"""Time grids fitted to a model, on a few samples and a budget of evaluations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from semilinear.diffusion.catalogue import Sampler
from semilinear.diffusion.endings import FINALS
from semilinear.diffusion.fit import Fit
from semilinear.diffusion.fitting import chosen, deterministic, reference_evaluations
from semilinear.diffusion.models import Model
from semilinear.diffusion.noise import LARGEST, whole_seed
from semilinear.diffusion.pilot import Pilot
from semilinear.diffusion.plan import checked_time
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.warp import Warp
from semilinear.errors import InvalidArgument, UnknownName
from semilinear.given import whole_number
from semilinear.progress import Progress


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
    t_end: float | None = None,
    final: str | None = None,
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
    t_end, final
        Where the grid ends, and how the run does, as in `diffusion.plan`; what is not given is
        chosen. ``final="t_end"``, which leaves the noise of the end, only at the schedule's own
        t_end: elsewhere there is nothing to compare with.
    seed
        Of the noise of the pilots: an integer; the second has the next one.
    sweeps
        How often every point moves. One sweep costs about six runs for each point.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used, among others for a stochastic method or a `t_end` that leaves
        noise; if the method has no plan for so few evaluations, or none with a
        finite error on the pilot.
    UnknownName
        If `method`, `prediction` or `final` is a name that is not known.
    ModelOutputError
        If the model returns another shape or dtype than x's.
    NonFiniteError
        If the model returns NaN or infinity on the way of a reference, or a state overflows there.
    """
    budget, sampler = whole_number("nfe", nfe), deterministic(method)
    count = whole_number("sweeps", sweeps)
    first = whole_seed(seed, "from which the seeds of both pilots follow")
    _check_ending(schedule, t_end, final)
    pilot, other = (
        Pilot(
            model, schedule, x, samples=samples, prediction=prediction, t_start=t_start,
            seed=own, nfe=reference_evaluations(nfe, reference), progress=progress,
        )
        for own in (first, (first + 1) % LARGEST)
    )  # fmt: skip
    begin = chosen(pilot, [sampler], budget, progress, t_end=t_end, final=final)
    moved = _moved(pilot, begin, count, progress, end_moves=t_end is None)
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

    bounds = (
        max(low + 0.05 * room, s[k] - 0.25 * room),
        min(high - 0.05 * room, s[k] + 0.25 * room),
    )
    found = minimize_scalar(error, bounds=bounds, method="bounded", options={"maxiter": 5})
    if not found.fun < fit.error:
        return fit, s
    better, points = moved(found.x)
    return replace(better, error=float(found.fun)), points
