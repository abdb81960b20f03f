"""Which quantity is treated as N, and what of the equation is then linear and solved exactly.

With rho = sigma / alpha, lambda = -ln rho and y = x / alpha, the equation of a sampler with noise
level tau is, for every quantity N,

    dy = (1 + tau^2) (d ln G + w N drho) + noise

with a growth G(lambda) and a weight w. tau = 0 is the probability-flow ODE, tau = 1 the reverse
SDE; all have the same marginals (Zhang and Chen 2022, appendix; Song et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from semilinear.diffusion.predictions import Readout


@dataclass(frozen=True)
class Quantity:
    """A quantity that is treated as N.

    Parameters
    ----------
    name
        The name under which `Parameterisation` knows it; a prediction of the same name is N itself.
    scale
        alpha G from (alpha, sigma), finite where either is 0.
    growth
        ln G from lambda.
    weight
        w from (rho, alpha, sigma).
    read
        ``(p, q)`` with ``N = p x + q answer``, from (readout, alpha, sigma).
    peak
        The lambda around which ``rho w / G`` is largest; elsewhere it decays like e^-|lambda| or
        faster.
    """

    name: str
    scale: Callable[[Any, Any], Any]
    growth: Callable[[Any], Any]
    weight: Callable[[Any, Any, Any], Any]
    read: Callable[[Readout, Any, Any], tuple[Any, Any]]
    peak: float

    def __reduce__(self) -> tuple[Any, ...]:
        return quantity, (self.name,)  # functions without a name cannot be pickled


EPS = Quantity(
    "eps",
    scale=lambda alpha, sigma: alpha,
    growth=lambda lam: np.zeros_like(lam),
    weight=lambda rho, alpha, sigma: np.ones_like(rho),
    read=lambda read, alpha, sigma: (read.p_eps, read.q_eps),
    peak=-np.inf,
)

SCORE = Quantity(
    "score",
    scale=lambda alpha, sigma: alpha,
    growth=lambda lam: np.zeros_like(lam),
    weight=lambda rho, alpha, sigma: -sigma,
    read=lambda read, alpha, sigma: (-read.p_eps / sigma, -read.q_eps / sigma),
    peak=-np.inf,
)

X0 = Quantity(
    "x0",
    scale=lambda alpha, sigma: sigma,
    growth=lambda lam: -lam,
    weight=lambda rho, alpha, sigma: -1.0 / rho,
    read=lambda read, alpha, sigma: (read.p_x0, read.q_x0),
    peak=np.inf,
)

FLOW = Quantity(
    "flow",
    scale=lambda alpha, sigma: alpha + sigma,
    growth=lambda lam: np.logaddexp(0.0, -lam),
    weight=lambda rho, alpha, sigma: 1.0 / (1.0 + rho),
    read=lambda read, alpha, sigma: (read.p_eps - read.p_x0, read.q_eps - read.q_x0),
    peak=0.0,
)

V = Quantity(
    "v",
    scale=lambda alpha, sigma: np.hypot(alpha, sigma),
    growth=lambda lam: np.logaddexp(0.0, -2.0 * lam) / 2,
    weight=lambda rho, alpha, sigma: 1.0 / (alpha * (1.0 + rho**2)),
    read=lambda read, alpha, sigma: (
        alpha * read.p_eps - sigma * read.p_x0,
        alpha * read.q_eps - sigma * read.q_x0,
    ),
    peak=0.0,
)

QUANTITIES = {quantity.name: quantity for quantity in (EPS, X0, SCORE, V, FLOW)}
"""Quantities by name. The whole velocity dx/dt, which leaves nothing linear, is none of them."""


def quantity(name: str) -> Quantity:
    """Return a quantity by name."""
    return QUANTITIES[name]
