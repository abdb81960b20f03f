"""Whether noise corrects a network, and how much of it the network bears.

Samples that follow the flow of an imperfect network drift away from the data, since its errors add
up; on the way of the reverse SDE noise takes them back. A network can tell, without any data: its
denoising loss is larger on samples that it does not take for data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import log
from typing import NamedTuple

import numpy as np

from semilinear.diffusion import catalogue, grids
from semilinear.diffusion.arrays import on_host
from semilinear.diffusion.denoising_loss import denoising_losses
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.diffusion.following import follow
from semilinear.diffusion.noise_levels import NoiseLevel, Tau
from semilinear.diffusion.pilot import Pilot
from semilinear.diffusion.plan import plan
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.errors import InvalidArgument, NonFiniteError

LEVELS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)
"""Noise levels rho of the loss, in standard deviations of the data."""

SURE = 2.5
"""Standard errors by which the loss at the ends of the flow must be greater."""

OPEN = 0.5
"""From how many standard errors on more samples are asked, where they are not enough."""

PILOTS = 4
"""How many times the samples of the pilot at most."""

BORNE = log(2.0)
"""Mean logarithm of the loss, against that at the ends of the reverse SDE, that is borne."""

ENDURED = log(4.0)
"""The same of what is taken for want of a better; beyond it noise is given up."""

MIDDLE = 0.2, 0.8
"""Where noise enters, in time of the linear VP schedule (Xue et al. 2023)."""

SAMPLERS = (("sa_solver_pece", 1.0, 0.17), ("sa_solver", 0.8, 0.17), ("sa_solver", 1.0, 0.3))
"""The boldest first: sampler, power of its grid in that time, rho where x_0 is read off."""

TAME = log(1.2)
"""Where the loss of the boldest is so small, all of them have steps that are short enough."""

LATE = "dpm2_ancestral"
"""What is taken then, on equal steps of that time, the last of which is left to the reading."""


@dataclass(frozen=True)
class Middle:
    """tau of t: 1 in the middle of the path, 0 at its ends."""

    schedule: NoiseSchedule

    def __call__(self, t: float) -> float:
        low, high = MIDDLE
        return float(low - 1e-9 <= grids.vp_time(self.schedule, t) <= high + 1e-9)

    def __repr__(self) -> str:
        return "1 in the middle of the path"


class Correction(NamedTuple):
    """How much a network's loss is greater at the ends of its flow than at those of the SDE.

    Parameters
    ----------
    excess
        Of the loss, relative.
    deviation
        The same in standard errors.
    """

    excess: float
    deviation: float

    @property
    def helps(self) -> bool:
        """Whether noise is a help, as far as the pilot can tell."""
        return self.deviation > SURE

    @property
    def is_open(self) -> bool:
        """Whether more samples might tell."""
        return OPEN < self.deviation <= SURE


class Bold(NamedTuple):
    """A sampler with noise, and the loss of its samples."""

    plan: DiffusionPlan
    family: str
    noise: NoiseLevel
    excess: float
    """Mean logarithm of the loss, against that at the ends of the reverse SDE."""


Run = tuple[str, NoiseLevel, DiffusionPlan]
"""What the grid and the noise are, in words; the noise; the plan."""


class Judge:
    """The losses of a network on the ends of its flow and of its reverse SDE.

    Of the samples of the pilot, and where those leave open which is greater, of more: an excess of
    15 % is 3.5 standard errors of 64 samples on the MNIST model, but 1.2 of some.
    """

    def __init__(self, pilot: Pilot, *, progress: bool = False) -> None:
        self.pilot = pilot
        flow = pilot.target
        spread = float(on_host(flow).astype(float).std())
        low, high = (float(pilot.schedule.rho(t)) for t in (pilot.t_end, pilot.t_start))
        rhos = [rho for part in LEVELS if low < (rho := part * spread) < high]
        times = [float(pilot.schedule.t_of_rho(rho)) for rho in rhos]
        if pilot.whole_times:
            times = list(dict.fromkeys(float(round(t)) for t in times))
        self.times = times
        self.losses, self.correction = np.ones((1, 1)), Correction(0.0, 0.0)
        if times:
            self._compare(progress)

    def _compare(self, progress: bool) -> None:
        """Compare the ends, of more samples as long as it is open."""
        asked, pilot = [], self.pilot
        while True:
            corrected = pilot.corrected(progress=progress)
            asked.append([self._losses(x, pilot) for x in (pilot.target, corrected)])
            of_flow, self.losses = (np.concatenate(parts) for parts in zip(*asked, strict=True))
            self.correction = self._compared(of_flow)
            if pilot is not self.pilot:
                self.pilot.evaluations += pilot.evaluations
            if not self.correction.is_open or len(asked) == PILOTS:
                return
            pilot = pilot.more(progress=progress)

    def _losses(self, x: object, pilot: Pilot) -> np.ndarray:
        pilot.evaluations += len(self.times)
        return denoising_losses(
            pilot.model, x, pilot.schedule, pilot.prediction, self.times, pilot.noise
        )

    def _compared(self, of_flow: np.ndarray) -> Correction:
        unit = self.losses.mean(axis=0)
        one, other = ((losses / unit).mean(axis=1) for losses in (of_flow, self.losses))
        excess = float(one.mean() - other.mean())
        error = float(np.sqrt((one.var() + other.var()) / len(one)))
        return Correction(excess, excess / error if error > 0 else 0.0)

    def tried(self, nfe: int) -> list[Bold]:
        """Return samplers with noise, the best first: the boldest that is borne.

        Or that of the least loss, where none is. The least loss is no aim in itself: with few
        evaluations smooth samples have it. Where the boldest of all is tame, the late one.
        """
        found: list[Bold] = []
        for one in self._judged(self._plans(nfe)):
            found.append(one)
            if one.excess <= BORNE:
                break
        if len(found) == 1 and found[0].excess <= TAME:
            late = [one for one in self._judged(self._late_plans(nfe)) if one.excess <= BORNE]
            return late + found
        return sorted(found, key=lambda one: one.excess)

    def _judged(self, plans: Iterable[Run]) -> Iterator[Bold]:
        """Run plans on the pilot, and leave out those that overflow."""
        pilot = self.pilot
        for family, noise, made in plans:
            pilot.evaluations += made.nfe
            try:
                end = follow(made, pilot.model, pilot.x_T, seed=pilot.noise)
            except NonFiniteError:
                continue
            ratio = self._losses(end, pilot).mean(axis=0) / self.losses.mean(axis=0)
            yield Bold(made, family, noise, float(np.log(ratio).mean()))

    def _plans(self, nfe: int) -> Iterator[Run]:
        noise = Tau(Middle(self.pilot.schedule))
        for method, power, rho in SAMPLERS:
            made = self._plan(nfe, method, power, rho, noise)
            if made is not None:
                yield f"VP time^{power:g} to rho={rho:g}, denoise, noise in the middle", noise, made

    def _late_plans(self, nfe: int) -> Iterator[Run]:
        noise = catalogue.get(LATE).noise
        assert noise is not None
        made = self._plan(nfe, LATE, 1.0, float(grids.VP.rho(1.0 / nfe)), noise)
        if made is not None:
            yield f"VP time to 1/{nfe}, denoise, noise in every step", noise, made

    def _plan(
        self, nfe: int, method: str, power: float, rho: float, noise: NoiseLevel
    ) -> DiffusionPlan | None:
        """Return the plan of a sampler, None if there is none with so few evaluations."""
        pilot, schedule = self.pilot, self.pilot.schedule
        rule: grids.Grid = grids.PowerVPTime(power)
        try:
            t_end = float(schedule.t_of_rho(rho))
            if pilot.whole_times:
                rule, t_end = grids.WholeTimes(rule), round(t_end)
            return plan(
                schedule, method=method, nfe=nfe, grid=rule, prediction=pilot.prediction,
                t_start=pilot.t_start, t_end=t_end, final="denoise", noise=noise,
            )  # fmt: skip
        except InvalidArgument:
            return None
