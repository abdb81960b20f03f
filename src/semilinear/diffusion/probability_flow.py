"""The linear part of a sampler: the probability-flow ODE, or an SDE with the same marginals."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from semilinear.diffusion.noise_levels import FORWARD
from semilinear.diffusion.quadrature import panels
from semilinear.diffusion.quantities import EPS, X0, Quantity
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.variables import Variable
from semilinear.errors import InvalidArgument
from semilinear.propagators import Propagator
from semilinear.propagators.gauss import NODES, WEIGHTS

NO_BREAKS = np.empty(0)
SHORT = 0.05
"""Length in lambda below which a difference of two values of lambda has too few digits."""

NEAR_DATA = 30.0
"""In lambda: rho is 1e-13 there."""

LEAST = 1e-12
"""Of a variance: what rounding may leave, as a part of the numbers that it is a difference of."""

ODE = np.zeros(())
"""tau^2 of the probability-flow ODE."""


class Intervals(NamedTuple):
    """Intervals of integration, and what is integrated over them.

    Parameters
    ----------
    start, end
        In the variable.
    lam_start, lam_end
        In lambda.
    tau_squared
        Of each interval.
    nodes, scale
        Of the Newton basis.
    """

    start: np.ndarray
    end: np.ndarray
    lam_start: np.ndarray
    lam_end: np.ndarray
    tau_squared: np.ndarray
    scale: np.ndarray
    nodes: list[np.ndarray]

    def take(self, some: np.ndarray) -> Intervals:
        """Return some of the intervals."""
        return Intervals(
            self.start[some],
            self.end[some],
            self.lam_start[some],
            self.lam_end[some],
            self.tau_squared[some],
            self.scale[some],
            [x[some] for x in self.nodes],
        )


class AlongPath(Propagator):
    """A linear part in x = alpha y over a variable of a path; what all of these share."""

    schedule: NoiseSchedule
    variable: Variable

    def gauge(self, a: Any, b: Any) -> Any:
        return self._alpha(b) / self._alpha(a)

    @property
    def _breaks(self) -> np.ndarray:
        return self.schedule.lam_breaks if self.variable.is_time else NO_BREAKS

    def _lam(self, u: Any) -> Any:
        return self.variable.to_lam(self.schedule, u)

    def _alpha(self, u: Any) -> Any:
        return self.variable.alpha_sigma(self.schedule, u)[0]


class ProbabilityFlow(AlongPath):
    """The equation of a sampler in x, over a variable u, with one quantity as N.

    The probability-flow ODE of every scalar Gaussian path is dy/drho = eps, y = x / alpha. A noise
    level tau replaces it by ``dy = (1 + tau^2) eps drho + tau sqrt(2 rho |drho|) dw``, with the
    same marginals; tau is constant on each step.

    Parameters
    ----------
    schedule
        Noise schedule.
    variable
        Independent variable.
    quantity
        What is treated as N, and so what is left as linear part; see `quantities`.
    tau_squared
        tau^2: one number, or one for each step of a grid. -1 is the forward process, in which the
        model has no part: noise is added on the way to larger rho.
    noise_scale
        Factor of all noise; 1 keeps the marginals.
    sharpness
        w / G varies like e^(sharpness lambda) or slower.
    """

    form = "scalar"
    constant = False

    def __init__(
        self,
        schedule: NoiseSchedule,
        variable: Variable,
        quantity: Quantity,
        *,
        tau_squared: np.ndarray = ODE,
        noise_scale: float = 1.0,
        sharpness: float = 1.0,
    ) -> None:
        self.schedule = schedule
        self.variable = variable
        self.quantity = quantity
        self.tau_squared = tau_squared
        self.noise_scale = noise_scale
        self.sharpness = sharpness

    def of_steps(self, numbers: np.ndarray) -> ProbabilityFlow:
        if not self.tau_squared.ndim:
            return self
        return ProbabilityFlow(
            self.schedule,
            self.variable,
            self.quantity,
            tau_squared=self.tau_squared[numbers],
            noise_scale=self.noise_scale,
            sharpness=self.sharpness,
        )

    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        """Accept states of any shape."""

    def input_weight(self, t: Any) -> Any:
        drho = self.variable.drho(self.schedule, t)
        lam = np.asarray(self._lam(t))
        return (1.0 + self.tau_squared) * self._alpha(t) * self._weight(lam) * drho

    def flow(self, a: Any, b: Any) -> Any:
        alpha, sigma = self.variable.alpha_sigma(self.schedule, np.array([a, b]))
        before, after = self.quantity.scale(alpha, sigma)
        ratio = after / before
        if not self.tau_squared.any():
            return ratio
        ratio = ratio * self._growth(self._lam(a), self._lam(b), self.tau_squared)
        forward = self.tau_squared == FORWARD
        if not forward.any():
            return ratio
        with np.errstate(divide="ignore", invalid="ignore"):  # of others, from alpha = 0
            moved = alpha[1] / alpha[0]
        # By itself: G is 0 at sigma = 0, where the forward process may begin.
        return np.where(forward, moved, ratio)

    def spread(self, a: Any, b: Any) -> Any:
        start, end = np.atleast_1d(a).astype(float), np.atleast_1d(b).astype(float)
        lam_start, lam_end = self._lam(np.array([start, end]))
        tau_squared = self.tau_squared * np.ones_like(start)
        with np.errstate(invalid="ignore"):  # infinite at sigma = 0, where none is left
            variance = self.quantity.noise(tau_squared, lam_start, lam_end)
        variance = np.where(tau_squared == 0, 0.0, variance)
        alpha, sigma = self.variable.alpha_sigma(self.schedule, end)
        scale = self.quantity.scale(alpha, sigma)
        if (variance < 0).any():
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                natural = (alpha / scale) ** 2 * np.exp(-2.0 * np.minimum(lam_start, lam_end))
                self._check_variance(variance, tau_squared, natural, lam_start, lam_end)
            variance = np.maximum(variance, 0.0)
        return self.noise_scale * (scale * np.sqrt(variance)).reshape(np.shape(a))

    def _check_variance(
        self, variance: Any, tau_squared: Any, natural: Any, start: Any, end: Any
    ) -> None:
        """Refuse what is below zero by more than rounding, of differences of G or rho squared."""
        wrong = variance < -LEAST * np.abs(tau_squared) * np.maximum(natural, 1.0)
        if wrong.any():
            n = int(np.argmax(wrong))
            raise InvalidArgument(
                f"quantity {self.quantity.name}: noise({tau_squared[n]:.6g}, {start[n]:.6g}, "
                f"{end[n]:.6g}) gave the negative variance {variance[n]:.6g}; its arguments are "
                "tau^2 and lambda before and after the step, and tau^2 (lambda after - lambda "
                "before) is positive where noise enters"
            )

    def integrals(self, a: Any, b: Any, nodes: Sequence[Any], scale: Any) -> list[Any]:
        found = self._intervals(a, b, nodes, scale)
        direct = self._are_direct(found)
        at_data = (found.lam_end == np.inf) & (self.quantity.peak == np.inf)
        rules = (
            (direct, self._direct_integrals),
            (at_data, self._values_at_data),
            (~(direct | at_data), self._lam_integrals),
        )
        answers = [np.empty_like(found.start) for _ in range(len(nodes) + 1)]
        for some, rule in rules:
            if some.all():
                answers = rule(found)
            elif some.any():
                for answer, part in zip(answers, rule(found.take(some)), strict=True):
                    answer[some] = part
        factor = (1.0 + found.tau_squared) * self._alpha(found.end)
        return [(factor * x).reshape(np.shape(a)) for x in answers]

    def _intervals(self, a: Any, b: Any, nodes: Sequence[Any], scale: Any) -> Intervals:
        start, end = np.atleast_1d(a).astype(float), np.atleast_1d(b).astype(float)
        lam_start, lam_end = self._lam(np.array([start, end]))
        ones = np.ones_like(start)
        return Intervals(
            start,
            end,
            lam_start,
            lam_end,
            self.tau_squared * ones,
            np.asarray(scale, dtype=float) * ones,
            [np.atleast_1d(node) for node in nodes],
        )

    def _are_direct(self, found: Intervals) -> np.ndarray:
        """Tell which integrals are taken over the variable itself."""
        if self.variable.name == "rho" and self.quantity is EPS:  # of a polynomial
            return np.ones(len(found.start), dtype=bool)
        if self.variable.name == "lambda":
            return np.zeros(len(found.start), dtype=bool)
        return _are_short(found.lam_start, found.lam_end, self._breaks)

    def _direct_integrals(self, found: Intervals) -> list[np.ndarray]:
        """Integrate over the variable itself."""
        length = (found.end - found.start)[:, None]
        u = found.start[:, None] + length * NODES
        integrand = length * WEIGHTS * self.variable.drho(self.schedule, u)
        if self.quantity is not EPS:
            lam, end = np.asarray(self._lam(u)), found.lam_end[:, None]
            growth = self._growth(lam, end, 1.0 + found.tau_squared[:, None])
            integrand = integrand * self._weight(lam) * growth
        answers = [integrand.sum(axis=-1)]
        for node in found.nodes:
            integrand = integrand * ((u - node[:, None]) / found.scale[:, None])
            answers.append(integrand.sum(axis=-1))
        return answers

    def _lam_integrals(self, found: Intervals) -> list[np.ndarray]:
        """Integrate over lambda, between two of its values."""
        # Only t(lambda) has kinks.
        rate = (1.0 + found.tau_squared) * self.sharpness
        points = panels(found.lam_start, found.lam_end, self._breaks, self.quantity.peak, rate)
        integrand = -np.exp(-points.lam)  # drho = -rho dlambda
        if self.quantity is not EPS:
            end, tau_squared = (x[points.owner, None] for x in (found.lam_end, found.tau_squared))
            growth = self._growth(points.lam, end, 1.0 + tau_squared)
            integrand = integrand * self._weight(points.lam) * growth
        integrands = [integrand]
        if found.nodes:
            u = self.variable.of_lam(self.schedule, points.lam)
            scale = found.scale[points.owner, None]
        for node in found.nodes:
            integrand = integrand * ((u - node[points.owner, None]) / scale)
            integrands.append(integrand)
        answers = list(points.total(np.array(integrands)))
        if self.quantity is EPS:
            answers[0] = _rho_difference(found.lam_start, found.lam_end)
        return answers

    def _values_at_data(self, found: Intervals) -> list[np.ndarray]:
        """Take the limit at sigma = 0 of what tends to x_0 there: all weight lies at the end."""
        value = self._weight_at_data / (1.0 + found.tau_squared)
        answers = [value]
        for node in found.nodes:
            value = value * ((found.end - node) / found.scale)
            answers.append(value)
        return answers

    @cached_property
    def _weight_at_data(self) -> float:
        """The limit of w drho / d ln G at sigma = 0: of x_0 its own, of others by a step near."""
        if self.quantity is X0:
            return 1.0
        near = np.array([NEAR_DATA, NEAR_DATA + 1.0])
        fall = -np.diff(self.quantity.growth(near))
        return float(-(np.exp(-near) * self._weight(near))[0] / fall[0])

    def _growth(self, start: Any, end: Any, power: Any) -> Any:
        """Return (G(end) / G(start))^power."""
        growth = self.quantity.growth
        with np.errstate(invalid="ignore"):  # infinite at sigma = 0, to the power 0
            exponent = power * (growth(np.asarray(end)) - growth(np.asarray(start)))
        return np.exp(np.where(power == 0, 0.0, exponent))

    def _weight(self, lam: np.ndarray) -> Any:
        alpha, sigma = self.schedule.alpha_of_lam(lam), self.schedule.sigma_of_lam(lam)
        return self.quantity.weight(np.exp(-lam), alpha, sigma)


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
