"""A few samples followed closely: what grids and samplers are compared on."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from semilinear.answers import checked_samples
from semilinear.diffusion.arrays import rms_of_samples
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.diffusion.following import follow
from semilinear.diffusion.models import Model
from semilinear.diffusion.noise import SeededNoise
from semilinear.diffusion.noise_levels import Tau
from semilinear.diffusion.plan import checked_time, plan
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.schedules_base import checked_schedule
from semilinear.diffusion.warp import Warp
from semilinear.errors import InvalidArgument, NonFiniteError, shown
from semilinear.given import whole_number
from semilinear.progress import Progress

REFERENCE, CORRECTED = "unipc3", "res_2m"
BEFORE = 60
"""Evaluations on the way to a t_start inside of the path."""


def checked_like(x: Any, call: str) -> Any:
    """Return an array like a batch of states, or refuse it; `call` shows the order of arguments."""
    if isinstance(x, NoiseSchedule | DiffusionPlan):
        raise InvalidArgument(
            f"x={shown(x)} must be an array like a batch of states, such as x_T of sample: {call}"
        )
    return checked_samples(x, "x")


class Pilot:
    """A few samples, and where the flow takes them, computed with many evaluations.

    Parameters
    ----------
    model, schedule, prediction
        As in `diffusion.sample`.
    like
        An array like a batch of states, of any length.
    samples
        Of the pilot.
    seed
        Of the noise that they begin with.
    nfe
        Evaluations of the reference, at least 20.
    progress
        Whether to draw a progress bar.
    whole_times
        Whether the model knows whole times only.
    """

    def __init__(
        self,
        model: Model,
        schedule: NoiseSchedule,
        like: Any,
        *,
        samples: int = 16,
        prediction: str = "eps",
        seed: Any = 0,
        nfe: int = 200,
        t_start: float | None = None,
        progress: bool = False,
        whole_times: bool = False,
    ) -> None:
        self.model, self.schedule, self.prediction = model, schedule, prediction
        checked_schedule(schedule)
        self.t_start = schedule.t_start
        if t_start is not None:
            self.t_start = checked_time(schedule, "t_start", t_start)
        if self.t_start <= schedule.t_end:
            raise InvalidArgument(
                f"t_start={self.t_start:.6g} must be greater than t_end={schedule.t_end:.6g}"
            )
        self.t_end = schedule.t_end
        self.warp = Warp(schedule, self.t_start, self.t_end)
        if 0 in checked_samples(like, "x").shape[1:]:
            raise InvalidArgument(
                f"x has shape {tuple(like.shape)}; samples without entries cannot be compared"
            )
        count = whole_number("reference", nfe)
        if count < 20:
            raise InvalidArgument(f"reference={count} must be at least 20 evaluations")
        self.count, self.whole_times = count, whole_times
        self.noise = SeededNoise(seed, like, count=whole_number("samples", samples))
        self.evaluations = 0
        self.final = "denoise" if schedule.sigma(self.t_end) else "t_end"
        self._run(progress)

    def _run(self, progress: bool) -> None:
        """Follow the samples from their noise to where the flow ends."""
        self.x_T = self._begin(progress)
        self.target = self._to_the_end(REFERENCE, None, "reference", progress)

    def _begin(self, progress: bool) -> Any:
        """Return states at t_start: noise where the path begins, followed from there."""
        first = self.schedule.t_start
        x = self.noise.initial() * self.schedule.sigma(first)
        if self.t_start >= first:
            return x * (self.schedule.sigma(self.t_start) / self.schedule.sigma(first))
        warp = Warp(self.schedule, first, self.t_start)
        return self._followed(x, warp, BEFORE, REFERENCE, None, "t_end", "to t_start", progress)

    def more(self, *, progress: bool = False) -> Pilot:
        """Return a pilot of as many samples that come after these."""
        other = copy(self)
        other.noise, other.evaluations = self.noise.after(), 0
        other._run(progress)
        return other

    def corrected(self, *, progress: bool = False) -> Any:
        """Return where the reverse SDE takes the samples, with many evaluations as well."""
        return self._to_the_end(CORRECTED, Tau(1.0), "reverse SDE", progress)

    def _to_the_end(self, method: str, noise: Tau | None, label: str, progress: bool) -> Any:
        steps = self.count - (self.final == "denoise")
        return self._followed(
            self.x_T, self.warp, steps, method, noise, self.final, label, progress
        )

    def _followed(
        self,
        x: Any,
        warp: Warp,
        steps: int,
        method: str,
        noise: Tau | None,
        final: str,
        label: str,
        progress: bool,
    ) -> Any:
        """Return where a sampler takes states, on a grid that is uniform in a warp."""
        grid = warp.to_t(np.linspace(0.0, 1.0, steps + 1))
        if self.whole_times:
            grid = np.unique(np.rint(grid))[::-1]
        grid[0], grid[-1] = warp.t_start, warp.t_end
        made = plan(
            self.schedule, method=method, grid=grid, prediction=self.prediction, final=final,
            noise=noise,
        )  # fmt: skip
        self.evaluations += made.nfe
        with Progress(made.nfe, label=label, show=progress) as bar:
            return follow(
                made, self.model, x, seed=self.noise,
                callback=lambda state: bar.update(state.evaluation),
            )  # fmt: skip

    def part(self, count: int) -> Pilot:
        """Return the pilot with its first `count` samples only; itself if it has no more."""
        if self.x_T.shape[0] <= count:
            return self
        few = copy(self)
        few.x_T, few.target = self.x_T[:count, ...], self.target[:count, ...]
        few.evaluations = 0
        return few

    def count_part(self, part: Pilot) -> None:
        """Add what was evaluated for a part of the samples, once."""
        if part is not self:
            self.evaluations += part.evaluations * part.x_T.shape[0] // self.x_T.shape[0]

    def errors(self, made: DiffusionPlan) -> np.ndarray:
        """Run a plan; return each sample's root mean square distance from where the flow ends.

        Noise, if the plan draws any, makes no sense here.
        """
        self.evaluations += made.nfe
        try:
            difference = follow(made, self.model, self.x_T) - self.target
        except NonFiniteError:
            return np.full(self.x_T.shape[0], np.inf)
        return rms_of_samples(difference)

    def error(self, made: DiffusionPlan) -> float:
        """Return the mean of `errors`: of the samples, so that no single one decides."""
        return float(self.errors(made).mean())
