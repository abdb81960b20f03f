"""Which quantity is treated as N, and what of the equation is then linear and solved exactly.

With rho = sigma / alpha, lambda = -ln rho and y = x / alpha, the equation of a sampler with noise
level tau is, for every quantity N,

    dy = (1 + tau^2) (d ln G + w N drho) + noise

with a growth G(lambda) and a weight w. tau = 0 is the probability-flow ODE, tau = 1 the reverse
SDE; all have the same marginals (Zhang and Chen 2022, appendix; Song et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import isnan
from typing import Any

import numpy as np

from semilinear.diffusion.predictions import Readout
from semilinear.errors import InvalidArgument, shown
from semilinear.given import number
from semilinear.propagators.gauss import NODES, WEIGHTS


@dataclass(frozen=True, repr=False)
class Quantity:
    """A quantity that is treated as N.

    The formulas follow from one another, ``eps drho = y d ln G + w N drho`` for any x_0 and eps. A
    plan compares those of one's own at a few values of lambda, and refuses what contradicts; it
    integrates them in panels so short that weights have all digits.

    Parameters
    ----------
    name
        Of those below the one under which `Parameterisation` knows it, and a prediction of the same
        name is N itself; of others for messages only.
    scale
        alpha G from (alpha, sigma), finite where either is 0.
    growth
        ln G from lambda.
    weight
        w from (rho, alpha, sigma).
    read
        ``(p, q)`` with ``N = p x + q answer``, from (readout, alpha, sigma).
    noise
        Variance of y that enters between two values of lambda, in units of G^2 at the second:
        ``2 tau^2 int rho^2 (G' / G)^(2 + 2 tau^2) dlambda / G'^2``, from (tau^2, the two).
    peak
        The lambda around which ``rho w / G`` is largest, perhaps infinite; elsewhere it decays like
        e^-|lambda| or faster. inf is for N that tends to a multiple of x_0 at sigma = 0, where all
        weight lies at the end of a step; `sample_adaptive` takes no such quantity. With another
        peak `scale` must not be 0 at sigma = 0 for a step that ends there.
    follows_noise
        Whether N changes with the noise of a state, and so from step to step where noise enters.
    regular_at_noise
        Whether the flow is finite from alpha = 0 on, which takes a `scale` other than 0 there. If
        not, a run from there begins with a step of order one.
    """

    name: str
    scale: Callable[[Any, Any], Any]
    growth: Callable[[Any], Any]
    weight: Callable[[Any, Any, Any], Any]
    read: Callable[[Readout, Any, Any], tuple[Any, Any]]
    noise: Callable[[Any, Any, Any], Any]
    peak: float
    follows_noise: bool = False
    regular_at_noise: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InvalidArgument(f"name={shown(self.name)} must be text")
        for field in ("scale", "growth", "weight", "read", "noise"):
            if not callable(getattr(self, field)):
                raise InvalidArgument(f"{field}={shown(getattr(self, field))} must be a function")
        if isnan(number(self.peak)):
            raise InvalidArgument(
                f"peak={shown(self.peak)} must be a number, or an infinity where rho w / G grows "
                "up to that end"
            )

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Quantity({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        if QUANTITIES.get(self.name) is self:  # functions without a name cannot be pickled
            return quantity, (self.name,)
        return Quantity, tuple(getattr(self, field.name) for field in fields(self))


def _rho_squared(tau_squared: Any, start: Any, end: Any) -> Any:
    """Return the noise where G = 1, the difference of two values of tau^2 rho^2."""
    larger = np.exp(-2.0 * np.minimum(start, end))
    return tau_squared * np.sign(end - start) * larger * -np.expm1(-2.0 * np.abs(end - start))


def _of_growth(growth: Callable[[Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Return the noise where dG^2 = drho^2."""
    return lambda tau_squared, start, end: (
        -np.expm1(-2.0 * tau_squared * (growth(start) - growth(end)))
    )


def _x0_growth(lam: Any) -> Any:
    return -lam


def _v_growth(lam: Any) -> Any:
    return np.logaddexp(0.0, -2.0 * lam) / 2


def _flow_growth(lam: Any) -> Any:
    return np.logaddexp(0.0, -lam)


def _flow_noise(tau_squared: Any, start: Any, end: Any) -> Any:
    """Return the noise where G = 1 + rho.

    With L = ln(G / G') and a = 2 tau^2 the variance is ``G' rho' (1 - e^(-a L)) + G' f(L)``, where
    ``f = a int_0^L e^(-a s) (1 - e^-s) ds`` has a closed form, whose terms cancel for small L.
    """
    a, length = 2.0 * tau_squared, _flow_growth(start) - _flow_growth(end)
    is_short = (1.0 + np.abs(a)) * np.abs(length) < 1.0
    short = np.where(is_short, length, 0.0)
    s = short[..., None] * NODES
    direct = a * short * ((np.exp(-a[..., None] * s) * -np.expm1(-s)) @ WEIGHTS)
    closed = -np.expm1(-a * length) + a / (1.0 + a) * np.expm1(-(1.0 + a) * length)
    rho = np.exp(-end)
    return (-np.expm1(-a * length) * rho + np.where(is_short, direct, closed)) / (1.0 + rho)


EPS = Quantity(
    "eps",
    scale=lambda alpha, sigma: alpha,
    growth=lambda lam: np.zeros_like(lam),
    weight=lambda rho, alpha, sigma: np.ones_like(rho),
    read=lambda read, alpha, sigma: (read.p_eps, read.q_eps),
    noise=_rho_squared,
    peak=-np.inf,
    follows_noise=True,
    regular_at_noise=False,
)

SCORE = Quantity(
    "score",
    scale=lambda alpha, sigma: alpha,
    growth=lambda lam: np.zeros_like(lam),
    weight=lambda rho, alpha, sigma: -sigma,
    read=lambda read, alpha, sigma: (-read.p_eps / sigma, -read.q_eps / sigma),
    noise=_rho_squared,
    peak=-np.inf,
    follows_noise=True,
    regular_at_noise=False,
)

X0 = Quantity(
    "x0",
    scale=lambda alpha, sigma: sigma,
    growth=_x0_growth,
    weight=lambda rho, alpha, sigma: -1.0 / rho,
    read=lambda read, alpha, sigma: (read.p_x0, read.q_x0),
    noise=_of_growth(_x0_growth),
    peak=np.inf,
)

FLOW = Quantity(
    "flow",
    scale=lambda alpha, sigma: alpha + sigma,
    growth=_flow_growth,
    weight=lambda rho, alpha, sigma: 1.0 / (1.0 + rho),
    read=lambda read, alpha, sigma: (read.p_eps - read.p_x0, read.q_eps - read.q_x0),
    noise=_flow_noise,
    peak=0.0,
)

V = Quantity(
    "v",
    scale=lambda alpha, sigma: np.hypot(alpha, sigma),
    growth=_v_growth,
    weight=lambda rho, alpha, sigma: 1.0 / (alpha * (1.0 + rho**2)),
    read=lambda read, alpha, sigma: (
        alpha * read.p_eps - sigma * read.p_x0,
        alpha * read.q_eps - sigma * read.q_x0,
    ),
    noise=_of_growth(_v_growth),
    peak=0.0,
)

QUANTITIES = {quantity.name: quantity for quantity in (EPS, X0, SCORE, V, FLOW)}
"""Quantities by name. The whole velocity dx/dt, which leaves nothing linear, is none of them."""


def quantity(name: str) -> Quantity:
    """Return a quantity by name."""
    return QUANTITIES[name]
