"""Variance-preserving schedules in continuous time, and sub-VP, which shares their rates."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from semilinear.diffusion.schedules_base import FloatArray, NoiseSchedule
from semilinear.errors import InvalidArgument
from semilinear.given import finite_number

# alpha = exp(-B/2): beyond this B, rho^2 = expm1(B) leaves float64.
LARGEST_B = 700.0

LEAST_B = 0.22
"""B(1) below which rho(1) is less than a half, in both schedules with linear rates."""


class VariancePreserving(NoiseSchedule):
    r"""A schedule with :math:`\alpha^2 + \sigma^2 = 1`, given by its integrated noise rate.

    With :math:`B(t) = \int_0^t \beta = -\ln \bar\alpha(t)`, the forward process is
    :math:`dx = -\tfrac12 \beta x\, dt + \sqrt{\beta}\, dw` and

    .. math:: \alpha = e^{-B/2}, \quad \sigma = \sqrt{-\mathrm{expm1}(-B)}, \quad
              \rho = \sqrt{\mathrm{expm1}(B)}, \quad B = \ln(1 + \rho^2),

    none of which cancels as :math:`B \to 0`. A subclass defines `_b`, `_beta` and `_t_of_b`.

    References
    ----------
    Song et al., Score-Based Generative Modeling through SDEs (2021), eq. 11 and appendix B.
    """

    @abstractmethod
    def _b(self, t: FloatArray) -> FloatArray:
        """B(t)."""

    @abstractmethod
    def _beta(self, t: FloatArray) -> FloatArray:
        """beta(t) = dB/dt."""

    @abstractmethod
    def _t_of_b(self, b: FloatArray) -> FloatArray:
        """t(B)."""

    def _log_alpha(self, t: FloatArray) -> FloatArray:
        return -0.5 * self._b(t)

    def _sigma(self, t: FloatArray) -> FloatArray:
        return np.sqrt(-np.expm1(-self._b(t)))

    def _rho(self, t: FloatArray) -> FloatArray:
        return np.sqrt(np.expm1(self._b(t)))

    def _lam(self, t: FloatArray) -> FloatArray:
        return -0.5 * np.log(np.expm1(self._b(t)))

    def _t_of_lam(self, lam: FloatArray) -> FloatArray:
        # ln(1 + exp(-2 lambda)), whatever the size and sign of lambda.
        return self._t_of_b(np.logaddexp(0.0, -2.0 * lam))

    def _t_of_rho(self, rho: FloatArray) -> FloatArray:
        return self._t_of_b(np.log1p(rho * rho))

    def _drift(self, t: FloatArray) -> FloatArray:
        return -0.5 * self._beta(t)

    def _diffusion_squared(self, t: FloatArray) -> FloatArray:
        return self._beta(t)

    def _alpha_of_lam(self, lam: FloatArray) -> FloatArray:
        return 1.0 / np.sqrt(1.0 + np.exp(-2.0 * lam))

    def _sigma_of_lam(self, lam: FloatArray) -> FloatArray:
        return 1.0 / np.sqrt(1.0 + np.exp(2.0 * lam))


@dataclass(frozen=True)
class LinearBeta:
    r"""A noise rate that grows linearly, :math:`\beta(t) = \beta_0 + (\beta_1 - \beta_0) t`.

    .. math:: B = \beta_0 t + \tfrac12 (\beta_1 - \beta_0) t^2, \qquad
              t = \frac{2 B}{\beta_0 + \sqrt{\beta_0^2 + 2 (\beta_1 - \beta_0) B}}.

    Parameters
    ----------
    beta_min, beta_max
        :math:`\beta_0` and :math:`\beta_1`, with 0 < beta_min <= beta_max and
        0.22 <= B(1) <= 700, B(1) being their mean.

    Raises
    ------
    InvalidArgument
        If they do not satisfy that.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        for name in ("beta_min", "beta_max"):
            object.__setattr__(self, name, finite_number(name, getattr(self, name)))
        if not 0.0 < self.beta_min <= self.beta_max:
            raise InvalidArgument(f"{self!r}: beta_min and beta_max need 0 < beta_min <= beta_max.")
        if 0.5 * (self.beta_min + self.beta_max) < LEAST_B:
            raise InvalidArgument(
                f"{self!r}: the path would end with little noise on the data. Betas of a list of N "
                "timesteps, such as 1e-4 and 0.02 of 1000, are N times as large in continuous "
                "time: give 0.1 and 20, or take Discrete.linear or Discrete.from_betas for "
                "integer timesteps"
            )
        if 0.5 * (self.beta_min + self.beta_max) > LARGEST_B:
            raise InvalidArgument(
                f"{self!r}: alpha(1) = exp(-(beta_min + beta_max) / 4) is too small for float64; "
                f"choose beta_min + beta_max <= {2.0 * LARGEST_B:g}."
            )

    @property
    def t_end(self) -> float:
        """1e-3, where ScoreSDE stops sampling; the data end t = 0 is in the domain too."""
        return 1e-3

    def _b(self, t: FloatArray) -> FloatArray:
        return t * (self.beta_min + 0.5 * (self.beta_max - self.beta_min) * t)

    def _beta(self, t: FloatArray) -> FloatArray:
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def _t_of_b(self, b: FloatArray) -> FloatArray:
        root = np.sqrt(self.beta_min**2 + 2.0 * (self.beta_max - self.beta_min) * b)
        return 2.0 * b / (self.beta_min + root)


@dataclass(frozen=True)
class VPLinear(LinearBeta, VariancePreserving):
    r"""Variance-preserving schedule with a linear noise rate, on t in [0, 1].

    :math:`\ln \bar\alpha = -\tfrac12 (\beta_1 - \beta_0) t^2 - \beta_0 t`; see `LinearBeta` for
    the parameters and `VariancePreserving` for alpha, sigma and rho.

    References
    ----------
    Song et al., Score-Based Generative Modeling through SDEs (2021), appendix C (VP SDE).
    """


@dataclass(frozen=True)
class SubVP(LinearBeta, NoiseSchedule):
    r"""Sub-VP schedule with a linear noise rate, on t in [0, 1].

    .. math:: \alpha = e^{-B/2}, \quad \sigma = 1 - e^{-B}, \quad \rho = 2 \sinh(B/2), \quad
              f = -\tfrac12 \beta, \quad g^2 = \beta\,(1 - e^{-2B}),

    with B as in `LinearBeta`.

    References
    ----------
    Song et al., Score-Based Generative Modeling through SDEs (2021), eq. 12 and appendix B.
    """

    def _log_alpha(self, t: FloatArray) -> FloatArray:
        return -0.5 * self._b(t)

    def _sigma(self, t: FloatArray) -> FloatArray:
        return -np.expm1(-self._b(t))

    def _rho(self, t: FloatArray) -> FloatArray:
        return 2.0 * np.sinh(0.5 * self._b(t))

    def _lam(self, t: FloatArray) -> FloatArray:
        return -np.log(self._rho(t))

    def _t_of_rho(self, rho: FloatArray) -> FloatArray:
        return self._t_of_b(2.0 * np.arcsinh(0.5 * rho))

    def _t_of_lam(self, lam: FloatArray) -> FloatArray:
        return self._t_of_rho(np.exp(-lam))

    def _drift(self, t: FloatArray) -> FloatArray:
        return -0.5 * self._beta(t)

    def _diffusion_squared(self, t: FloatArray) -> FloatArray:
        return self._beta(t) * -np.expm1(-2.0 * self._b(t))

    def _alpha_of_lam(self, lam: FloatArray) -> FloatArray:
        return np.exp(-np.arcsinh(0.5 * np.exp(-lam)))

    def _sigma_of_lam(self, lam: FloatArray) -> FloatArray:
        return -np.expm1(-2.0 * np.arcsinh(0.5 * np.exp(-lam)))


@dataclass(frozen=True)
class VPCosine(VariancePreserving):
    r"""Cosine schedule, on t in [0, final].

    With :math:`\omega = \pi / (2 (1 + s))`, :math:`\theta = \omega (t + s)` and
    :math:`\theta_0 = \omega s`:

    - normalised, :math:`\bar\alpha = \cos^2\theta / \cos^2\theta_0`, so that sigma(0) = 0; this
      is the form of improved DDPM and of DPM-Solver;
    - not normalised, :math:`\bar\alpha = \cos^2\theta` and :math:`\rho = \tan\theta`, so that
      sigma(0) = sin(theta_0), 0.0125 for the default `s`; this is the form of the DEIS code.

    Both are computed without cancellation: with c the angle at which alpha = 1 (theta_0 or 0),

    .. math:: \alpha = \frac{\sin \omega (1 - t)}{\cos c}, \qquad
              \sigma^2 = \frac{\sin(\theta - c) \sin(\theta + c)}{\cos^2 c}.

    Parameters
    ----------
    s
        Offset, 0 <= s < 1.
    final
        End of the time domain, 0 < final <= 1. At final = 1, alpha = 0 and rho is infinite.
    normalised
        Whether :math:`\bar\alpha(0) = 1`.

    Raises
    ------
    InvalidArgument
        If a parameter is outside these bounds.

    References
    ----------
    Nichol and Dhariwal, Improved Denoising Diffusion Probabilistic Models (2021), eq. 17.
    """

    s: float = 0.008
    final: float = 1.0
    normalised: bool = True

    def __post_init__(self) -> None:
        for name in ("s", "final"):
            object.__setattr__(self, name, finite_number(name, getattr(self, name)))
        if not 0.0 <= self.s < 1.0:
            raise InvalidArgument(f"{self!r}: s must satisfy 0 <= s < 1.")
        if not 0.0 < self.final <= 1.0:
            raise InvalidArgument(f"{self!r}: final must satisfy 0 < final <= 1.")
        if not isinstance(self.normalised, bool):
            raise InvalidArgument(f"{self!r}: normalised must be True or False.")

    @property
    def t_max(self) -> float:
        """`final`."""
        return self.final

    @property
    def t_start(self) -> float:
        """0.9946, as in the DPM-Solver code, or `final` if that is less.

        At t = 1 alpha is 0, where an eps-prediction says nothing about x_0 and rho is infinite.
        At 0.9946 rho is 119, about that of `VPLinear` at its noisy end (152).
        """
        return min(0.9946, self.final)

    @property
    def t_end(self) -> float:
        """1e-3, as for `VPLinear`; the data end t = 0 is in the domain too."""
        return min(1e-3, self.final)

    @cached_property
    def _omega(self) -> float:
        return 0.5 * np.pi / (1.0 + self.s)

    @cached_property
    def _shift(self) -> float:
        """Minus the time at which alpha would be 1."""
        return 0.0 if self.normalised else self.s

    @cached_property
    def _cos_sin_c(self) -> tuple[float, float]:
        c = self._omega * (self.s - self._shift)
        return float(np.cos(c)), float(np.sin(c))

    def _alpha(self, t: FloatArray) -> FloatArray:
        return np.sin(self._omega * (1.0 - t)) / self._cos_sin_c[0]

    def _sigma(self, t: FloatArray) -> FloatArray:
        minus: FloatArray = np.sin(self._omega * (t + self._shift))
        plus = np.sin(self._omega * (t + (2.0 * self.s - self._shift)))
        return np.sqrt(minus * plus) / self._cos_sin_c[0]

    def _rho(self, t: FloatArray) -> FloatArray:
        return self._sigma(t) / self._alpha(t)

    def _lam(self, t: FloatArray) -> FloatArray:
        return -np.log(self._rho(t))

    def _b(self, t: FloatArray) -> FloatArray:
        rho = self._rho(t)
        return np.log1p(rho * rho)

    def _beta(self, t: FloatArray) -> FloatArray:
        cotangent: FloatArray = np.sin(self._omega * (1.0 - t)) / np.sin(self._omega * (t + self.s))
        return 2.0 * self._omega / cotangent

    def _t_of_b(self, b: FloatArray) -> FloatArray:
        cos_c, sin_c = self._cos_sin_c
        alpha, variance = np.exp(-0.5 * b), -np.expm1(-b)
        sin_theta = np.sqrt(sin_c * sin_c + cos_c * cos_c * variance)
        # sin and cos of theta - c, up to a common factor: sums and products of positive terms.
        sine = cos_c * variance
        cosine = (sin_theta + alpha * sin_c) * (alpha * cos_c * cos_c + sin_theta * sin_c)
        return np.arctan2(sine, cosine) / self._omega - self._shift
