"""How a diffusion model becomes a semilinear problem: which quantity is N, in which variable.

For every scalar Gaussian path, with rho = sigma / alpha and y = x / alpha, the probability-flow ODE
is dy/drho = eps. In x it reads ``x' = (d ln alpha/du) x + B(u) eps`` in any variable u, with the
flow alpha(b) / alpha(a) and B = alpha drho/du: a `Propagator`, so that every method applies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semilinear.diffusion.predictions import readout
from semilinear.diffusion.quadrature import panels
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.errors import InvalidArgument, UnknownName
from semilinear.propagators import Propagator, Scalar
from semilinear.propagators.gauss import NODES, WEIGHTS

NO_BREAKS = np.empty(0)
SHORT = 0.05
"""Length in lambda below which a difference of two values of lambda has too few digits."""


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
    ),
    "lambda": Variable(
        "lambda",
        of_t=lambda s, t: s.lam(t),
        to_t=lambda s, lam: s.t_of_lam(lam),
        of_lam=lambda s, lam: lam,
        to_lam=lambda s, lam: lam,
        drho=lambda s, lam: -np.exp(-np.asarray(lam, float)),
    ),
}
"""Variables by name: t (tAB), rho (rhoAB, rhoRK), lambda (log-rho AB, exponential AB)."""


QUANTITIES = ("eps", "score", "velocity")
"""What can be treated as N."""


class ProbabilityFlow(Propagator):
    """The probability-flow ODE in x: exact linear part, N = eps or the score.

    Parameters
    ----------
    schedule
        Noise schedule.
    variable
        Independent variable.
    quantity
        ``"eps"``: B = alpha drho/du. ``"score"``: N = -eps / sigma, B = -sigma alpha drho/du.
    """

    form = "scalar"
    constant = False

    def __init__(self, schedule: NoiseSchedule, variable: Variable, quantity: str) -> None:
        self.schedule = schedule
        self.variable = variable
        self.quantity = quantity

    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        """Accept states of any shape."""

    def input_weight(self, t: Any) -> Any:
        weight = self._alpha(t) * self.variable.drho(self.schedule, t)
        if self.quantity == "eps":
            return weight
        return -self.schedule.sigma_of_lam(self.variable.to_lam(self.schedule, t)) * weight

    def flow(self, a: Any, b: Any) -> Any:
        return self._alpha(b) / self._alpha(a)

    def _alpha(self, u: Any) -> Any:
        if self.variable.name == "t":
            return self.schedule.alpha(u)
        # Not through t: sigma = 0 may lie outside the domain of t.
        return self.schedule.alpha_of_lam(self.variable.to_lam(self.schedule, u))

    def integrals(self, a: Any, b: Any, nodes: Sequence[Any], scale: Any) -> list[Any]:
        start, end = np.atleast_1d(a).astype(float), np.atleast_1d(b).astype(float)
        scale = np.asarray(scale, dtype=float) * np.ones_like(start)
        factors = [np.atleast_1d(node) for node in nodes]
        if self.variable.name == "rho" and self.quantity == "eps":
            answers = self._direct_integrals(start, end, factors, scale)  # of a polynomial
        else:
            answers = self._mixed_integrals(start, end, factors, scale)
        alpha = self._alpha(end)
        return [(alpha * x).reshape(np.shape(a)) for x in answers]

    def _mixed_integrals(
        self, a: np.ndarray, b: np.ndarray, nodes: list[np.ndarray], scale: np.ndarray
    ) -> list[np.ndarray]:
        """Integrate over lambda, or over t where a step is very short."""
        schedule = self.schedule
        start, end = (self.variable.to_lam(schedule, u) for u in (a, b))
        if self.variable.name != "t":
            return self._lam_integrals(start, end, nodes, scale)
        direct = _are_short(start, end, schedule.lam_breaks)
        if not direct.any():
            return self._lam_integrals(start, end, nodes, scale)
        answers = [np.empty_like(a) for _ in range(len(nodes) + 1)]
        pairs = ((direct, self._direct_integrals, a, b), (~direct, self._lam_integrals, start, end))
        for some, rule, first, last in pairs:
            if some.any():
                parts = rule(first[some], last[some], [x[some] for x in nodes], scale[some])
                for answer, part in zip(answers, parts, strict=True):
                    answer[some] = part
        return answers

    def _direct_integrals(
        self, a: np.ndarray, b: np.ndarray, nodes: list[np.ndarray], scale: np.ndarray
    ) -> list[np.ndarray]:
        """Integrate over the variable itself."""
        length = (b - a)[:, None]
        u = a[:, None] + length * NODES
        integrand = length * WEIGHTS * self.variable.drho(self.schedule, u)
        if self.quantity == "score":
            integrand = -self.schedule.sigma(u) * integrand
        answers = [integrand.sum(axis=-1)]
        for node in nodes:
            integrand = integrand * ((u - node[:, None]) / scale[:, None])
            answers.append(integrand.sum(axis=-1))
        return answers

    def _lam_integrals(
        self, start: np.ndarray, end: np.ndarray, nodes: list[np.ndarray], scale: np.ndarray
    ) -> list[np.ndarray]:
        """Integrate over lambda, between two of its values."""
        schedule = self.schedule
        # Only t(lambda) has kinks.
        breaks = schedule.lam_breaks if self.variable.name == "t" else NO_BREAKS
        points = panels(start, end, breaks)
        integrand = -np.exp(-points.lam)  # drho = -rho dlambda
        answers: list[np.ndarray] = []
        if self.quantity == "score":
            integrand = -schedule.sigma_of_lam(points.lam) * integrand
            answers.append(points.total(integrand))
        else:
            answers.append(_rho_difference(start, end))
        if nodes:
            u = self.variable.of_lam(schedule, points.lam)
        for node in nodes:
            integrand = integrand * ((u - node[points.owner, None]) / scale[points.owner, None])
            answers.append(points.total(integrand))
        return answers


def _are_short(start: np.ndarray, end: np.ndarray, breaks: np.ndarray) -> np.ndarray:
    """Tell which steps are short in lambda: there the integrand is smooth in t as well."""
    with np.errstate(invalid="ignore"):
        short: np.ndarray = np.abs(end - start) < SHORT
    if len(breaks) and short.any():
        low, high = np.minimum(start, end), np.maximum(start, end)
        first = np.searchsorted(breaks, low, side="right")
        short &= np.searchsorted(breaks, high, side="left") <= first
    return short


def _rho_difference(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return rho(end) - rho(start) for values of lambda, without cancellation."""
    with np.errstate(invalid="ignore"):
        shift = np.where(np.isinf(end), -np.inf, start - end)
        backwards = np.exp(-end) * -np.expm1(end - start)
    difference: np.ndarray = np.where(np.isinf(start), backwards, np.exp(-start) * np.expm1(shift))
    return difference


@dataclass(frozen=True)
class Parameterisation:
    """Which quantity is treated as N, in which variable.

    Parameters
    ----------
    quantity
        ``"eps"``, ``"score"``, or ``"velocity"`` (the whole right side, with no exact linear part).
    variable
        A name of `VARIABLES`.
    """

    quantity: str
    variable: str

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise UnknownName.among("quantity", self.quantity, QUANTITIES)
        if self.variable not in VARIABLES:
            raise UnknownName.among("variable", self.variable, VARIABLES)
        if self.quantity == "velocity" and self.variable != "t":
            raise InvalidArgument(
                f"variable={self.variable!r}: the velocity dx/dt is integrated over t only"
            )

    def propagator(self, schedule: NoiseSchedule) -> Propagator:
        """Return the linear part with its weight."""
        if self.quantity == "velocity":
            return Scalar(0.0)
        return ProbabilityFlow(schedule, VARIABLES[self.variable], self.quantity)

    def tell(
        self, schedule: NoiseSchedule, prediction: str
    ) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None:
        """Return how an answer becomes N = p x + q answer; None if it is N already."""
        if self.quantity == prediction:
            return None
        variable = VARIABLES[self.variable]

        def coefficients(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            t = variable.to_t(schedule, u)
            sigma = schedule.sigma(t)
            read = readout(prediction, schedule.alpha(t), sigma)
            if self.quantity == "eps":
                return read.p_eps, read.q_eps
            if self.quantity == "score":
                return -read.p_eps / sigma, -read.q_eps / sigma
            weight = schedule.diffusion_squared(t) / (2 * sigma)
            return schedule.drift(t) + weight * read.p_eps, weight * read.q_eps

        return coefficients
