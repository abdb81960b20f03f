"""How much noise a sampler adds on each step, next to what the model does.

Two ways are there. A noise level tau changes the equation that is solved, and keeps its marginals;
on each step it is one number (`Tau`, `TauWithin`, `Eta`, `RhoPower`). Or a step is split in two: a
part by the probability-flow ODE, and a part of the forward process, tau^2 = -1, which adds noise
without the model (`Ancestral`, `Churn`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import expm1, inf, isfinite, log, log1p
from typing import Any, NamedTuple

import numpy as np

from semilinear.diffusion.schedules import Discrete, NoiseSchedule
from semilinear.errors import InvalidArgument, shown
from semilinear.given import nonnegative

ROUNDING = 1e-9
"""Of parts of the time domain."""

STRONGEST = 1e4
"""tau^2 at most. Beyond, steps only wait at the equilibrium of where they end, and integrals over
them take time without end; samplers have tau around 1."""

FORWARD = -1.0
"""tau^2 of the forward process."""


class Leg(NamedTuple):
    """Part of a step."""

    lam: float
    """Where it ends, in lambda."""
    tau_squared: float
    """Constant on it: the square of a noise level, or -1 for the forward process."""
    t: float | None = None
    """Where it ends in time, at a grid point; None inside of a step."""


class NoiseLevel(ABC):
    """A rule that says which noise enters on each step of a grid."""

    scale: float = 1.0
    """Factor of all noise, at least 0; 1 keeps the marginals."""
    splits: bool = False
    """Whether steps may have parts of the forward process, and so several legs."""
    quantity: str | None = None
    """What must be treated as N for the rule to mean what it says; None if it does not matter."""

    @property
    @abstractmethod
    def is_silent(self) -> bool:
        """Whether no noise enters at all."""

    @abstractmethod
    def legs(self, schedule: NoiseSchedule, t: float, t_next: float, steps: int) -> list[Leg]:
        """Return the parts of the step from t to t_next; sigma(t_next) is not 0.

        One, or several if `splits` is set. The last ends at t_next. Squares of noise levels are at
        most `STRONGEST`. lambda falls on legs of the forward process and rises on all others, of
        which there is at least one.

        Parameters
        ----------
        steps
            Of the whole grid.
        """

    def last_legs(self, schedule: NoiseSchedule, t: float, t_next: float, steps: int) -> list[Leg]:
        """Return the parts of a step that ends at sigma = 0, where no noise may be left."""
        return [Leg(inf, 0.0, t_next)]


@dataclass(frozen=True)
class Tau(NoiseLevel):
    """Noise level tau, constant or a function of t.

    Parameters
    ----------
    tau
        0 is the probability-flow ODE, 1 the reverse SDE; at most 100. A function is asked at
        the start of each step (Xue et al. 2023, SA-Solver).
    scale
        Factor of the noise; 1 keeps the marginals.
    """

    tau: float | Callable[[float], float] = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not callable(self.tau):
            nonnegative("tau", self.tau)
        nonnegative("scale", self.scale)

    def legs(self, schedule: NoiseSchedule, t: float, t_next: float, steps: int) -> list[Leg]:
        tau = self.tau
        if callable(tau):
            tau = nonnegative(f"tau(t={t:.6g})", tau(t))
        return [whole_step(schedule, t_next, tau * tau)]

    @property
    def is_silent(self) -> bool:
        return not callable(self.tau) and self.tau == 0


@dataclass(frozen=True)
class TauWithin(NoiseLevel):
    """Noise level tau in the middle of the path, none at its ends: the default of SA-Solver.

    Parameters
    ----------
    tau
        Noise level.
    low, high
        Where it holds, as parts of the time domain, from 0 to 1: for ``t_min + low (t_max - t_min)
        <= t`` and so on, t being the start of a step. low is less than 1.
    scale
        Factor of the noise.

    References
    ----------
    Xue et al. (2023), "SA-Solver: stochastic Adams solver for fast sampling of diffusion models".
    """

    tau: float = 1.0
    low: float = 0.2
    high: float = 0.8
    scale: float = 1.0

    def __post_init__(self) -> None:
        nonnegative("tau", self.tau)
        nonnegative("scale", self.scale)
        in_order(self.low, self.high)
        if self.low >= 1:
            raise InvalidArgument(
                f"low={self.low!r} must be less than 1: low and high are parts of the time domain, "
                "from 0 to 1, such as 0.2 for timestep 200 of 1000"
            )

    @property
    def is_silent(self) -> bool:
        return self.tau == 0

    def legs(self, schedule: NoiseSchedule, t: float, t_next: float, steps: int) -> list[Leg]:
        length = schedule.t_max - schedule.t_min
        if not isfinite(length):
            raise InvalidArgument(
                f"noise={self!r} looks at parts of the time domain, which of {schedule!r} is "
                "infinite; say between which noise levels it enters, such as "
                "noise=diffusion.Tau(lambda t: float(0.05 < t < 1))"
            )
        # Timesteps 0 .. N - 1 are parts of N: 800 of 1000 is inside, as where it was published.
        part = (t - schedule.t_min) / (length + isinstance(schedule, Discrete))
        # Grids hit the ends but for rounding.
        inside = self.low - ROUNDING <= part <= self.high + ROUNDING
        return [whole_step(schedule, t_next, self.tau**2 if inside else 0.0)]


@dataclass(frozen=True)
class Eta(NoiseLevel):
    """The noise of DDIM: eta = 0 is the ODE, eta = 1 ancestral sampling of DDPM.

    With x_0 as N, one step is ``y' = x_0 + rho' sqrt(1 - eta^2 (1 - r^2)) eps + eta rho'
    sqrt(1 - r^2) z``, r = rho' / rho (Song, Meng and Ermon 2020, eq. 12), which is the noise level
    ``r^(2 tau^2) = 1 - eta^2 (1 - r^2)``.

    Parameters
    ----------
    eta
        From 0 to 1.
    scale
        Factor of the noise.
    """

    eta: float = 1.0
    scale: float = 1.0
    quantity = "x0"

    def __post_init__(self) -> None:
        at_most_one("eta", self.eta)
        nonnegative("scale", self.scale)

    @property
    def is_silent(self) -> bool:
        return self.eta == 0

    def legs(self, schedule: NoiseSchedule, t: float, t_next: float, steps: int) -> list[Leg]:
        h = schedule.lam(t_next) - schedule.lam(t)
        if self.eta == 1.0 or not isfinite(h):
            return [whole_step(schedule, t_next, 1.0 if isfinite(h) else 0.0)]
        return [whole_step(schedule, t_next, log1p(self.eta**2 * expm1(-2 * h)) / (-2 * h))]


@dataclass(frozen=True)
class RhoPower(NoiseLevel):
    """The noise of ER-SDE: a function phi(rho) by whose ratio the state shrinks towards x_0.

    ``y' = (phi(rho') / phi(rho)) y + ...``: phi = rho is the ODE, rho^2 the reverse SDE, and in
    general ``1 + tau^2 = ln(phi(rho) / phi(rho')) / ln(rho / rho')`` on a step.

    Parameters
    ----------
    phi
        Growing at least like rho; ``rho (exp(rho^0.3) + 10)`` by default, the fifth of the paper.
    scale
        Factor of the noise.

    References
    ----------
    Cui et al. (2023), "Elucidating the solution space of extended reverse-time SDE for diffusion
    models".
    """

    phi: Callable[[float], float] | None = None
    scale: float = 1.0
    quantity = "x0"

    def __post_init__(self) -> None:
        if self.phi is not None and not callable(self.phi):
            raise InvalidArgument(f"phi={self.phi!r} must be a function of rho")
        nonnegative("scale", self.scale)

    @property
    def is_silent(self) -> bool:
        return False

    def legs(self, schedule: NoiseSchedule, t: float, t_next: float, steps: int) -> list[Leg]:
        rho, rho_next = schedule.rho(t), schedule.rho(t_next)
        if not isfinite(rho):
            return [whole_step(schedule, t_next, 0.0)]
        before, after, length = self._log_phi(rho), self._log_phi(rho_next), log(rho / rho_next)
        ratio = (before - after) / length
        rounding = 2e-15 * max(1.0, abs(before), abs(log(rho))) / length
        if not ratio >= 1 - rounding:
            raise InvalidArgument(
                f"phi: phi(rho) / rho must not fall, but does between rho={rho_next:.6g} and "
                f"rho={rho:.6g}"
            )
        return [whole_step(schedule, t_next, ratio - 1.0 if ratio > 1 + rounding else 0.0)]

    def _log_phi(self, rho: float) -> float:
        if self.phi is None:
            return log(rho) + float(np.logaddexp(rho**0.3, log(10.0)))
        try:
            value = float(self.phi(rho))
        except OverflowError:
            value = inf
        if not 0 < value < inf:
            raise InvalidArgument(f"phi({rho:.6g}) = {value} must be positive and finite")
        return log(value)


def noise_level(value: Any) -> NoiseLevel:
    """Return a noise level given as such, as a number tau, or as a function tau(t)."""
    if isinstance(value, NoiseLevel):
        nonnegative(f"noise={value!r}: scale", value.scale)
        return value
    if callable(value):
        return Tau(value)
    try:
        return Tau(nonnegative("noise", value))
    except InvalidArgument:
        raise InvalidArgument(
            f"noise={shown(value)} must be a noise level such as diffusion.Tau(1.0), text such as "
            "'eta=0.5', a number tau >= 0 or a function tau(t)"
        ) from None


def at_most_one(name: str, value: Any) -> None:
    """Refuse a parameter that does not lie between 0 and 1."""
    if nonnegative(name, value) > 1:
        raise InvalidArgument(f"{name}={shown(value)} must lie between 0 and 1")


def in_order(low: Any, high: Any) -> None:
    """Refuse ends of a range that are no numbers, or in the wrong order."""
    nonnegative("low", low)
    if high != inf:
        nonnegative("high", high)
    if not low <= high:
        raise InvalidArgument(f"low={low!r} must not be greater than high={high!r}")


def whole_step(schedule: NoiseSchedule, t: float, tau_squared: float) -> Leg:
    """Return the one leg of a step that ends at t."""
    return Leg(schedule.lam(t), tau_squared, t)
