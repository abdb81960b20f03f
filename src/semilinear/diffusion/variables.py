"""The independent variable: t, rho or lambda, in which N is a polynomial and stages are placed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from semilinear.diffusion.schedules import NoiseSchedule


@dataclass(frozen=True)
class Variable:
    """The independent variable, in which N is a polynomial and stages are placed."""

    name: str
    of_t: Callable[[NoiseSchedule, Any], Any]
    to_t: Callable[[NoiseSchedule, Any], Any]
    of_lam: Callable[[NoiseSchedule, np.ndarray], np.ndarray]
    to_lam: Callable[[NoiseSchedule, Any], Any]
    drho: Callable[[NoiseSchedule, Any], Any]
    """drho/du."""
    at_data: float | None = None
    """Its value at sigma = 0; None of t, where it is up to the schedule."""

    def __reduce__(self) -> tuple[Any, ...]:
        return variable, (self.name,)  # functions without a name cannot be pickled

    @property
    def is_time(self) -> bool:
        """Whether it is t itself."""
        return self.at_data is None

    def alpha_sigma(self, schedule: NoiseSchedule, u: Any) -> tuple[Any, Any]:
        """Return alpha and sigma.

        Not through t, unless that is the variable: sigma = 0 may lie outside the domain of t, and
        near alpha = 0 the distance to it would lose its digits.
        """
        if self.is_time:
            return schedule.alpha(u), schedule.sigma(u)
        lam = self.to_lam(schedule, u)
        return schedule.alpha_of_lam(lam), schedule.sigma_of_lam(lam)


def _minus_log(rho: Any) -> Any:
    with np.errstate(divide="ignore"):
        return -np.log(rho)


def _drho_dt(schedule: NoiseSchedule, t: Any) -> Any:
    sigma = schedule.sigma(t)
    return schedule.rho(t) * schedule.diffusion_squared(t) / (2 * sigma**2)


VARIABLES = {
    "t": Variable(
        "t",
        of_t=lambda s, t: t,
        to_t=lambda s, t: t,
        of_lam=lambda s, lam: s.t_of_lam(lam),
        to_lam=lambda s, t: s.lam(t),
        drho=_drho_dt,
    ),
    "rho": Variable(
        "rho",
        of_t=lambda s, t: s.rho(t),
        to_t=lambda s, rho: s.t_of_rho(rho),
        of_lam=lambda s, lam: np.exp(-lam),
        to_lam=lambda s, rho: _minus_log(rho),
        drho=lambda s, rho: np.ones_like(np.asarray(rho, float)),
        at_data=0.0,
    ),
    "lambda": Variable(
        "lambda",
        of_t=lambda s, t: s.lam(t),
        to_t=lambda s, lam: s.t_of_lam(lam),
        of_lam=lambda s, lam: lam,
        to_lam=lambda s, lam: lam,
        drho=lambda s, lam: -np.exp(-np.asarray(lam, float)),
        at_data=np.inf,
    ),
}
"""Variables by name: t (tAB), rho (rhoAB, rhoRK), lambda (log-rho AB, exponential AB)."""


def variable(name: str) -> Variable:
    """Return a variable by name."""
    return VARIABLES[name]
