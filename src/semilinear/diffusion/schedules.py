"""Noise schedules: alpha(t), sigma(t), lambda(t), their inverses, and a registry by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from semilinear.diffusion.schedules_base import FloatArray, NoiseSchedule
from semilinear.diffusion.schedules_discrete import Discrete
from semilinear.diffusion.schedules_vp import SubVP, VariancePreserving, VPCosine, VPLinear
from semilinear.errors import InvalidArgument
from semilinear.given import finite_number

__all__ = [
    "EDM",
    "SCHEDULES",
    "VE",
    "Discrete",
    "Flow",
    "NoiseSchedule",
    "SubVP",
    "VPCosine",
    "VPLinear",
    "VarianceExploding",
    "VariancePreserving",
]


class VarianceExploding(NoiseSchedule):
    r"""A schedule with :math:`\alpha = 1`, so :math:`\rho = \sigma` and :math:`f = 0`."""

    def _log_alpha(self, t: FloatArray) -> FloatArray:
        return np.zeros_like(t)

    def _alpha(self, t: FloatArray) -> FloatArray:
        return np.ones_like(t)

    def _sigma(self, t: FloatArray) -> FloatArray:
        return self._rho(t)

    def _drift(self, t: FloatArray) -> FloatArray:
        return np.zeros_like(t)

    def _alpha_of_lam(self, lam: FloatArray) -> FloatArray:
        return np.ones_like(lam)

    def _sigma_of_lam(self, lam: FloatArray) -> FloatArray:
        return np.exp(-lam)


@dataclass(frozen=True)
class VE(VarianceExploding):
    r"""Variance-exploding schedule with geometric noise, on t in [0, 1].

    .. math:: \alpha = 1, \qquad
              \sigma = \rho = \sigma_\mathrm{min} (\sigma_\mathrm{max} / \sigma_\mathrm{min})^t.

    Sampling ends at t = 0, where sigma = sigma_min.

    Parameters
    ----------
    sigma_min, sigma_max
        The least and the greatest noise, 0 < sigma_min < sigma_max.

    Raises
    ------
    InvalidArgument
        If they do not satisfy that.

    References
    ----------
    Song et al., Score-Based Generative Modeling through SDEs (2021), appendix C (VE SDE).
    """

    sigma_min: float = 0.02
    sigma_max: float = 100.0

    def __post_init__(self) -> None:
        _check_sigmas(self)
        if not np.isfinite(self.sigma_max / self.sigma_min):
            raise InvalidArgument(
                f"{self!r}: sigma_max / sigma_min is beyond the range of float64; give noise "
                "levels that are nearer to each other."
            )

    @cached_property
    def _log_min(self) -> float:
        return float(np.log(self.sigma_min))

    @cached_property
    def _log_ratio(self) -> float:
        return float(np.log1p((self.sigma_max - self.sigma_min) / self.sigma_min))

    def _rho(self, t: FloatArray) -> FloatArray:
        return self.sigma_min * np.exp(t * self._log_ratio)

    def _lam(self, t: FloatArray) -> FloatArray:
        return -self._log_min - t * self._log_ratio

    def _t_of_rho(self, rho: FloatArray) -> FloatArray:
        # log1p, because the difference of two close noise levels is exact and their ratio is not.
        return np.log1p((rho - self.sigma_min) / self.sigma_min) / self._log_ratio

    def _t_of_lam(self, lam: FloatArray) -> FloatArray:
        return (-self._log_min - lam) / self._log_ratio

    def _diffusion_squared(self, t: FloatArray) -> FloatArray:
        return 2.0 * self._log_ratio * self._rho(t) ** 2


@dataclass(frozen=True)
class EDM(VarianceExploding):
    r"""Schedule whose time is the noise: :math:`\alpha = 1`, :math:`\sigma = \rho = t`, t >= 0.

    Parameters
    ----------
    sigma_min, sigma_max
        Where sampling ends and starts by default, 0 < sigma_min < sigma_max. They do not bound
        the domain.

    Raises
    ------
    InvalidArgument
        If they do not satisfy that.

    References
    ----------
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models (2022),
    table 1.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        _check_sigmas(self)

    @property
    def t_max(self) -> float:
        """Infinity: any noise level is a time."""
        return np.inf

    @property
    def t_start(self) -> float:
        """`sigma_max`."""
        return self.sigma_max

    @property
    def t_end(self) -> float:
        """`sigma_min`."""
        return self.sigma_min

    @property
    def default_grid(self) -> str:
        """``"karras"``: even steps in t, or nearly, would leave all but the last ones in noise."""
        return "karras"

    def _rho(self, t: FloatArray) -> FloatArray:
        return +t

    def _lam(self, t: FloatArray) -> FloatArray:
        return -np.log(t)

    def _t_of_rho(self, rho: FloatArray) -> FloatArray:
        return +rho

    def _t_of_lam(self, lam: FloatArray) -> FloatArray:
        return np.exp(-lam)

    def _diffusion_squared(self, t: FloatArray) -> FloatArray:
        return 2.0 * t


@dataclass(frozen=True)
class Flow(NoiseSchedule):
    r"""Straight path of flow matching and rectified flow, on t in [0, 1].

    .. math:: \alpha = 1 - t, \quad \sigma = t, \quad \rho = \frac{t}{1 - t}, \quad
              f = -\frac{1}{1 - t}, \quad g^2 = \frac{2 t}{1 - t}.

    Time is the noise scale the model sees: 0 is data, 1 is noise. A resolution-dependent
    "shift" of the noise levels belongs to the grid, not to the path.

    References
    ----------
    Lipman et al., Flow Matching for Generative Modeling (2023); Liu et al., Flow Straight and
    Fast (2023). Both let time run from noise to data.
    """

    def _alpha(self, t: FloatArray) -> FloatArray:
        return 1.0 - t

    def _log_alpha(self, t: FloatArray) -> FloatArray:
        return np.log1p(-t)

    def _sigma(self, t: FloatArray) -> FloatArray:
        return +t

    def _rho(self, t: FloatArray) -> FloatArray:
        return t / (1.0 - t)

    def _lam(self, t: FloatArray) -> FloatArray:
        return np.log1p(-t) - np.log(t)

    def _t_of_rho(self, rho: FloatArray) -> FloatArray:
        return 1.0 / (1.0 + 1.0 / rho)

    def _t_of_lam(self, lam: FloatArray) -> FloatArray:
        return 1.0 / (1.0 + np.exp(lam))

    def _drift(self, t: FloatArray) -> FloatArray:
        return -1.0 / (1.0 - t)

    def _diffusion_squared(self, t: FloatArray) -> FloatArray:
        return 2.0 * t / (1.0 - t)

    def _alpha_of_lam(self, lam: FloatArray) -> FloatArray:
        return 1.0 / (1.0 + np.exp(-lam))

    def _sigma_of_lam(self, lam: FloatArray) -> FloatArray:
        return self._t_of_lam(lam)


def _check_sigmas(schedule: VE | EDM) -> None:
    for name in ("sigma_min", "sigma_max"):
        object.__setattr__(schedule, name, finite_number(name, getattr(schedule, name)))
    if not 0.0 < schedule.sigma_min < schedule.sigma_max:
        raise InvalidArgument(
            f"{schedule!r}: sigma_min and sigma_max need 0 < sigma_min < sigma_max."
        )


SCHEDULES: dict[str, Callable[..., NoiseSchedule]] = {
    "vp_linear": VPLinear,
    "vp_cosine": VPCosine,
    "ve": VE,
    "subvp": SubVP,
    "edm": EDM,
    "flow": Flow,
    "ddpm_linear": Discrete.linear,
    "ddpm_scaled_linear": Discrete.scaled_linear,
    "ddpm_cosine": Discrete.cosine,
}
