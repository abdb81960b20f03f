"""Samplers that split a step: a part by the ODE, a part of the forward process that adds noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, isfinite, log, log1p, sqrt

from semilinear.diffusion.noise_levels import (
    FORWARD,
    Leg,
    NoiseLevel,
    at_most_one,
    in_order,
    whole_step,
)
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.given import nonnegative

MOST_GAMMA = sqrt(2.0) - 1.0
"""gamma of `Churn` is at most this (Karras et al. 2022, algorithm 2)."""


@dataclass(frozen=True)
class Ancestral(NoiseLevel):
    """Each step goes beyond its end by the ODE, and comes back by fresh noise.

    ``rho_up = eta rho' sqrt(1 - (rho' / rho)^2)``, ``rho_down = sqrt(rho'^2 - rho_up^2)``, at most
    rho' (k-diffusion's ancestral samplers).

    Parameters
    ----------
    eta
        From 0, the ODE, to 1, as much noise as DDPM adds.
    scale
        Factor of the noise.
    low
        No step goes below this value of rho: the end of the path, in k-diffusion's DPM-Solver.
    """

    eta: float = 1.0
    scale: float = 1.0
    low: float = 0.0
    splits = True

    def __post_init__(self) -> None:
        at_most_one("eta", self.eta)
        nonnegative("scale", self.scale)
        nonnegative("low", self.low)

    @property
    def is_silent(self) -> bool:
        return self.eta == 0

    def legs(self, schedule: NoiseSchedule, t: float, t_next: float, steps: int) -> list[Leg]:
        end = schedule.lam(t_next)
        step = 2 * (schedule.lam(t) - end)  # ln (rho' / rho)^2
        # (rho_down / rho')^2 = 1 - eta^2 + eta^2 (rho' / rho)^2, exactly the last for eta = 1.
        kept = (1 - self.eta) * (1 + self.eta)
        down = end - (log(kept + self.eta**2 * exp(step)) if kept else step) / 2
        if self.low > 0:
            down = max(end, min(down, -log(self.low)))
        if down == end or not isfinite(down):
            return [whole_step(schedule, t_next, 0.0)]
        return [Leg(down, 0.0), Leg(end, FORWARD, t_next)]


@dataclass(frozen=True)
class Churn(NoiseLevel):
    """Each step begins with fresh noise, up to ``rho (1 + gamma)``.

    ``gamma = min(churn / steps, sqrt(2) - 1)`` where rho lies between `low` and `high`, else 0
    (Karras et al. 2022, algorithm 2).

    Parameters
    ----------
    churn, low, high
        S_churn, S_tmin and S_tmax of the paper; the last two are values of rho.
    scale
        S_noise.
    """

    churn: float = 0.0
    low: float = 0.0
    high: float = inf
    scale: float = 1.0
    splits = True

    def __post_init__(self) -> None:
        nonnegative("churn", self.churn)
        nonnegative("scale", self.scale)
        in_order(self.low, self.high)

    @property
    def is_silent(self) -> bool:
        return self.churn == 0

    def legs(self, schedule: NoiseSchedule, t: float, t_next: float, steps: int) -> list[Leg]:
        return self._before(whole_step(schedule, t_next, 0.0), schedule, t, steps)

    def last_legs(self, schedule: NoiseSchedule, t: float, t_next: float, steps: int) -> list[Leg]:
        # sigma = 0 may lie outside the time domain.
        return self._before(Leg(inf, 0.0, t_next), schedule, t, steps)

    def _before(self, end: Leg, schedule: NoiseSchedule, t: float, steps: int) -> list[Leg]:
        rho = schedule.rho(t)
        if self.churn == 0 or not self.low <= rho <= self.high or not isfinite(rho):
            return [end]
        gamma = min(self.churn / steps, MOST_GAMMA)
        return [Leg(schedule.lam(t) - log1p(gamma), FORWARD), end]
