"""Gaussian mixtures: data whose diffusion models, densities and flows are known.

With components N(mu_k, C_k) of masses w_k, x_t has the density sum_k w_k N(alpha mu_k, alpha^2 C_k
+ sigma^2 1), and eps(x, t) = -sigma grad ln p_t(x). What is computed from alpha and sigma follows
the dtype of x, so that it serves in extended precision as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.special import ndtr

from semilinear.diffusion import NoiseSchedule

Array = np.ndarray
RTOL, ATOL = 1e-13, 1e-14
"""Of SciPy's DOP853 for references."""


class Parts(NamedTuple):
    """A mixture at one time, seen from states of shape (n, d): k components, axes of each."""

    variances: Array
    offsets: Array
    logs: Array
    shares: Array


class Mixture:
    """A mixture of Gaussians in d dimensions.

    Parameters
    ----------
    masses
        w_k, shape (k,).
    means
        mu_k, shape (k, d).
    factors
        F_k with C_k = F_k F_k^T, shape (k, d, d).
    """

    def __init__(self, masses: Any, means: Any, factors: Any) -> None:
        self.masses, self.means = np.asarray(masses, float), np.asarray(means, float)
        self.factors = np.asarray(factors, float)

    @property
    def size(self) -> int:
        """Entries of a state."""
        return self.means.shape[1]

    @cached_property
    def eigen(self) -> tuple[Array, Array]:
        """Variances and axes of the components."""
        values, axes = np.linalg.eigh(self.factors @ self.factors.transpose(0, 2, 1))
        return np.maximum(values, 0.0), axes

    def parts(self, x: Array, alpha: Any, sigma: Any) -> Parts:
        """Return the components as they are seen from x."""
        values, axes = self.eigen
        variances = alpha**2 * values.astype(x.dtype) + sigma**2
        offsets = np.einsum("kab,nka->nkb", axes, x[:, None, :] - alpha * self.means)
        logs = np.log(self.masses) - 0.5 * (
            np.log(variances).sum(1) + (offsets**2 / variances).sum(2)
        )
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        return Parts(variances, offsets, logs, shares / shares.sum(axis=1, keepdims=True))

    def eps(self, x: Array, alpha: Any, sigma: Any) -> Array:
        """Return ``-sigma grad ln p`` at x, shape (n, d)."""
        seen = self.parts(x, alpha, sigma)
        slopes = seen.offsets / seen.variances
        return sigma * np.einsum("nk,kab,nkb->na", seen.shares, self.eigen[1], slopes)

    def jacobian(self, x: Array, alpha: Any, sigma: Any) -> Array:
        """Return ``d eps / dx``, symmetric, shape (n, d, d)."""
        seen, axes = self.parts(x, alpha, sigma), self.eigen[1]
        slopes = np.einsum("kab,nkb->nka", axes, seen.offsets / seen.variances)
        mean = np.einsum("nk,nka->na", seen.shares, slopes)
        away = slopes - mean[:, None, :]
        inverse = np.einsum("kab,kb,kcb->kac", axes, 1 / seen.variances, axes)
        spread = np.einsum("nk,nka,nkb->nab", seen.shares, away, away)
        return sigma * (np.einsum("nk,kab->nab", seen.shares, inverse) - spread)

    def log_density(self, x: Array, alpha: Any, sigma: Any) -> Array:
        """Return ln p at x, shape (n,)."""
        logs = self.parts(x, alpha, sigma).logs
        found: Array = np.logaddexp.reduce(logs, axis=1) - self.size * np.log(2 * np.pi) / 2
        return found

    def draw(self, count: int, alpha: float, sigma: float, *, seed: int) -> Array:
        """Return samples of x_t, shape (count, d)."""
        rng = np.random.default_rng(seed)
        which = rng.choice(len(self.masses), count, p=self.masses)
        spread = np.einsum(
            "nab,nb->na", self.factors[which], rng.standard_normal((count, self.size))
        )
        noise = rng.standard_normal((count, self.size))
        return alpha * (self.means[which] + spread) + sigma * noise

    def model(self, schedule: NoiseSchedule) -> Callable[[Array, float], Array]:
        """Return the exact eps-model of a schedule."""
        return lambda x, t: self.eps(x, schedule.alpha(t), schedule.sigma(t))

    def linearised(self, schedule: NoiseSchedule) -> Callable[[Array, float], tuple[Array, Any]]:
        """Return the exact eps-model with the product by its Jacobian."""

        def model(x: Array, t: float) -> tuple[Array, Any]:
            alpha, sigma = schedule.alpha(t), schedule.sigma(t)
            matrix = self.jacobian(x, alpha, sigma)
            return self.eps(x, alpha, sigma), lambda v: np.einsum("nab,nb->na", matrix, v)

        return model


def line() -> Mixture:
    """Two components in one dimension."""
    return Mixture((0.4, 0.6), ((-1.0,), (0.8,)), (((0.5,),), ((0.4,),)))


def two() -> Mixture:
    """Two round components in the plane."""
    factors = np.sqrt(0.15) * np.array([np.eye(2)] * 2)
    return Mixture((0.35, 0.65), ((1.0, 0.6), (-0.7, -0.9)), factors)


def plane(*, width: float = 1.0) -> Mixture:
    """Three components in the plane, correlated: the entries of eps are coupled."""
    factors = [[[0.5, 0.3], [0.0, 0.2]], [[0.3, -0.2], [0.1, 0.4]], [[0.6, 0.0], [0.4, 0.1]]]
    means = ((1.5, 0.5), (-1.0, 1.0), (0.0, -1.5))
    return Mixture((0.5, 0.3, 0.2), means, width * np.array(factors))


def random(size: int, components: int, *, seed: int) -> Mixture:
    """Means of deviation 1, widths from 0.15 to 0.6, in any number of dimensions."""
    rng = np.random.default_rng(seed)
    masses = rng.uniform(0.5, 1.5, components)
    widths = rng.uniform(0.15, 0.6, (components, 1, size))
    turns, _ = np.linalg.qr(rng.standard_normal((components, size, size)))
    means = rng.standard_normal((components, size))
    return Mixture(masses / masses.sum(), means, turns * widths)


def flow(data: Mixture, y: Array, lams: Array, schedule: NoiseSchedule) -> Array:
    """Return y = x / alpha at all `lams`, from y at the first, by DOP853 on dy/dln rho.

    Shape (len(lams), n, d).
    """

    def right(log_rho: float, flat: Array) -> Array:
        alpha, sigma = schedule.alpha_of_lam(-log_rho), schedule.sigma_of_lam(-log_rho)
        found: Array = np.exp(log_rho) * data.eps(alpha * flat.reshape(y.shape), alpha, sigma)
        return found.ravel()

    points = -np.asarray(lams)
    done = solve_ivp(
        right, (points[0], points[-1]), y.ravel(), "DOP853", points, rtol=RTOL, atol=ATOL
    )
    found: Array = done.y.T.reshape(-1, *y.shape)
    return found


def flow_extended(
    data: Mixture, y: Array, lams: tuple[float, float], *, steps: int = 400, levels: int = 7
) -> Array:
    """Return y at the second lambda, where alpha^2 + sigma^2 = 1, without SciPy.

    Gragg's midpoint rule with extrapolation in long double, of order 2 `levels`, with equal steps.
    """
    kind = np.longdouble
    start, end = (-kind(lam) for lam in lams)
    counts = [2 * (level + 1) for level in range(levels)]

    def right(log_rho: Any, state: Array) -> Array:
        rho = np.exp(log_rho)
        alpha = 1 / np.sqrt(1 + rho * rho)
        return rho * data.eps(alpha * state, alpha, rho * alpha)

    def midpoint(where: Any, state: Array, h: Any) -> Array:
        before, now = state, state + h * right(where, state)
        return before, now

    step = (end - start) / steps
    state = y.astype(kind)
    for number in range(steps):
        where = start + number * step
        rows: list[Array] = []
        for k, count in enumerate(counts):
            h = step / count
            before, now = midpoint(where, state, h)
            for i in range(1, count):
                before, now = now, before + 2 * h * right(where + i * h, now)
            row = [(now + before + h * right(where + step, now)) / 2]
            for j in range(1, k + 1):
                ratio = (kind(count) / counts[k - j]) ** 2 - 1
                row.append(row[-1] + (row[-1] - rows[-1][j - 1]) / ratio)
            rows.append(row)
        state = rows[-1][-1]
    return state.astype(np.float64)


def flow_of_quantiles(
    data: Mixture, y: Array, schedule: NoiseSchedule, times: tuple[float, float]
) -> Array:
    """Return y at the second time, in one dimension: the flow keeps quantiles."""

    def lower(value: float, t: float) -> float:
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        deviations = np.sqrt(alpha**2 * data.eigen[0][:, 0] + sigma**2)
        return float(data.masses @ ndtr((alpha * value - alpha * data.means[:, 0]) / deviations))

    def upper(value: float) -> float:
        share = lower(value, times[0])
        return float(brentq(lambda v: lower(v, times[1]) - share, -9, 9, xtol=1e-15))

    return np.array([[upper(value)] for value in y[:, 0]])
