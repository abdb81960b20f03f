"""Data whose diffusion models are known exactly, for the tests of the samplers."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from semilinear import diffusion
from semilinear.diffusion import (
    EDM,
    VE,
    Discrete,
    Flow,
    NoiseSchedule,
    SubVP,
    VPCosine,
    VPLinear,
)

EPS = float(np.finfo(np.float64).eps)
PREDICTIONS = ("eps", "x0", "score", "v", "flow")
SCHEDULES: dict[str, NoiseSchedule] = {
    "vp_linear": VPLinear(),
    "vp_cosine": VPCosine(),
    "vp_cosine_unnormalised": VPCosine(normalised=False),
    "ve": VE(),
    "subvp": SubVP(),
    "edm": EDM(),
    "flow": Flow(),
    "ddpm_linear": Discrete.linear(),
    "ddpm_cosine": Discrete.cosine(),
}
REACH_DATA = ("vp_linear", "vp_cosine", "subvp", "edm", "flow")
"""Schedules with a time at which sigma = 0."""


def ends(schedule: NoiseSchedule) -> tuple[float, float]:
    """Times inside the path near its default ends, where neither alpha nor sigma is 0."""
    return (0.999, 1e-3) if isinstance(schedule, Flow) else (schedule.t_start, schedule.t_end)


def answer(prediction: str, alpha: float, sigma: float, x0: Any, eps: Any) -> Any:
    """What a model of the given kind returns."""
    match prediction:
        case "eps":
            return eps
        case "x0":
            return x0
        case "score":
            return -eps / sigma
        case "v":
            return alpha * eps - sigma * x0
        case "flow":
            return eps - x0
    raise ValueError(prediction)


class Data:
    """A law of x_0; with ``E[x_0 | x]`` everything about its diffusion is known."""

    def denoised(self, x: Any, alpha: float, sigma: float) -> Any:
        """``E[x_0 | x_t = x]``."""
        raise NotImplementedError

    def noise(self, x: Any, alpha: float, sigma: float) -> Any:
        """``E[eps | x_t = x]``, finite at sigma = 0."""
        raise NotImplementedError

    def model(
        self, schedule: NoiseSchedule, prediction: str = "eps", *, asked: list[float] | None = None
    ) -> Callable[[Any, float], Any]:
        """The exact model; the times at which it is asked are appended to `asked`."""

        def model(x: Any, t: float) -> Any:
            if asked is not None:
                asked.append(t)
            alpha, sigma = schedule.alpha(t), schedule.sigma(t)
            parts = self.denoised(x, alpha, sigma), self.noise(x, alpha, sigma)
            return answer(prediction, alpha, sigma, *parts)

        return model


@dataclass(frozen=True)
class Gaussian(Data):
    """x_0 ~ N(mean, variance), independent entries."""

    mean: tuple[float, ...] = (0.3, -0.5, 1.0)
    variance: tuple[float, ...] = (0.04, 0.5, 1.7)

    def _variance(self, alpha: float, sigma: float) -> Any:
        return alpha**2 * np.array(self.variance) + sigma**2

    def denoised(self, x: Any, alpha: float, sigma: float) -> Any:
        mean = np.array(self.mean)
        gain = alpha * np.array(self.variance) / self._variance(alpha, sigma)
        return mean + gain * (x - alpha * mean)

    def noise(self, x: Any, alpha: float, sigma: float) -> Any:
        return sigma * (x - alpha * np.array(self.mean)) / self._variance(alpha, sigma)

    def moved(self, x: Any, one: tuple[float, float], other: tuple[float, float]) -> Any:
        """The exact flow from (alpha, sigma) to another pair: x keeps its standard score."""
        mean = np.array(self.mean)
        ratio = np.sqrt(self._variance(*other) / self._variance(*one))
        return other[0] * mean + ratio * (x - one[0] * mean)

    def flow(self, schedule: NoiseSchedule, x: Any, t: float, s: float) -> Any:
        """The exact flow of the probability-flow ODE from time t to time s."""
        return self.moved(x, *((schedule.alpha(u), schedule.sigma(u)) for u in (t, s)))


@dataclass(frozen=True)
class Mixture(Data):
    """Two Gaussians in the plane, their means off the axes: the entries of eps are coupled."""

    means: tuple[tuple[float, float], ...] = ((1.0, 0.6), (-0.7, -0.9))
    masses: tuple[float, ...] = (0.35, 0.65)
    variance: float = 0.15

    def denoised(self, x: Any, alpha: float, sigma: float) -> Any:
        means = np.array(self.means)
        total = alpha**2 * self.variance + sigma**2
        away = x[..., None, :] - alpha * means
        exponent = np.log(self.masses) - (away**2).sum(-1) / (2 * total)
        share = np.exp(exponent - exponent.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        parts = means + alpha * self.variance / total * away
        return (share[..., None] * parts).sum(-2)

    def noise(self, x: Any, alpha: float, sigma: float) -> Any:
        return (x - alpha * self.denoised(x, alpha, sigma)) / sigma

    def flow(self, schedule: NoiseSchedule, x: Any, t: float, s: float) -> Any:
        """The flow from t to s: SciPy's DOP853 on dy/drho = eps, in ln rho."""

        def right(log_rho: float, y: np.ndarray) -> np.ndarray:
            alpha, sigma = schedule.alpha_of_lam(-log_rho), schedule.sigma_of_lam(-log_rho)
            eps = self.noise(alpha * y.reshape(x.shape), alpha, sigma)
            return np.exp(log_rho) * eps.ravel()

        span = (-schedule.lam(t), -schedule.lam(s))
        start = (x / schedule.alpha(t)).ravel()
        found = solve_ivp(right, span, start, method="DOP853", rtol=3e-14, atol=1e-14)
        return schedule.alpha(s) * found.y[:, -1].reshape(x.shape)


def noise_at(schedule: NoiseSchedule, t: float, shape: tuple[int, ...], *, seed: int = 0) -> Any:
    """Return a state to start from at time t."""
    return schedule.sigma(t) * np.random.default_rng(seed).standard_normal(shape)


def deterministic() -> list[str]:
    """Samplers of the probability-flow ODE; the others are these with noise."""
    return [name for name in diffusion.names() if diffusion.catalogue.get(name).noise is None]


def cancellation(plan: diffusion.DiffusionPlan) -> float:
    """How many times larger than their sum the weights of a step are, at worst: at least 1.

    Weights of steps over many intervals alternate; a constant N loses so many roundings.
    """
    weights = (np.array(row.coefficients[1:]) for row in plan.rows if row.dst == "y+")
    return max(float(np.abs(w).sum() / abs(w.sum())) for w in weights)


class Draws:
    """Normal numbers for a run, kept in the order in which they were drawn."""

    def __init__(self, shape: tuple[int, ...], *, seed: int = 7) -> None:
        self.shape, self.seed = shape, seed
        self.made: list[np.ndarray] = []
        self.asked: list[tuple[int, int]] = []
        self.taken = 0

    def __call__(self, evaluation: int, number: int) -> np.ndarray:
        """What a plan asks for."""
        generator = np.random.default_rng((self.seed, evaluation, number))
        self.made.append(generator.standard_normal(self.shape))
        self.asked.append((evaluation, number))
        return self.made[-1]

    def take(self) -> np.ndarray:
        """The next draw of a run that is over, for another to follow."""
        self.taken += 1
        return self.made[self.taken - 1]

    @property
    def are_used(self) -> bool:
        """Whether all have been taken."""
        return self.taken == len(self.made)


def slopes(errors: list[float]) -> list[float]:
    """Observed orders from errors on grids that are twice as fine each time."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:])).tolist()


def continued(packed: bytes) -> Any:
    """Go on with a run on `VPLinear` that another process began, pickled with its plan."""
    made, state = pickle.loads(packed)
    model = Gaussian().model(VPLinear())
    while not state.done:
        state = made.advance(state, model(state.x, state.t))
    return state.x
