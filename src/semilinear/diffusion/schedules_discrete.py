"""The schedule of models trained on a finite list of noise levels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from semilinear.diffusion.schedules_base import Array, FloatArray, real_array
from semilinear.diffusion.schedules_vp import LARGEST_B, VariancePreserving
from semilinear.errors import InvalidArgument
from semilinear.given import finite_number, whole_number

NO_BETA = 0.9
"""A sequence that falls from above is none of betas, which begin at little noise."""


@dataclass(frozen=True, repr=False)
class Discrete(VariancePreserving):
    r"""Discrete variance-preserving schedule of DDPM-like models, continued to real times.

    Time `t` is the training timestep as a real number in [0, N - 1]. Between timesteps k and
    k + 1, with :math:`\theta = t - k` and :math:`\alpha_k^2 = \bar\alpha_k`,

    .. math:: \ln \alpha(t) = (1 - \theta) \ln \alpha_k + \theta \ln \alpha_{k+1},

    so `drift` and `diffusion_squared` are piecewise constant (at a timestep: the value to its
    right). There is noise at timestep 0 already, sigma(0) = sqrt(1 - alphas_cumprod[0]).
    Two schedules are equal if their values are.

    Parameters
    ----------
    log_alphas
        :math:`\ln \alpha_k = \tfrac12 \ln \bar\alpha_k`, shape (N,) with N >= 2: negative,
        strictly decreasing, at least -350. `from_alphas_cumprod` and `from_betas` compute it.

    Raises
    ------
    InvalidArgument
        If `log_alphas` is not such a list.

    References
    ----------
    Ho et al., Denoising Diffusion Probabilistic Models (2020), section 2, for the timesteps.
    Piecewise-linear ln alpha is what the code of DPM-Solver (Lu et al., 2022a) uses.
    """

    log_alphas: tuple[float, ...]

    def __post_init__(self) -> None:
        values = _levels(self.log_alphas, "log_alphas")
        _refuse(values, values >= 0.0, "log_alphas", "must be negative")
        _refuse_rising(values, "log_alphas")
        _refuse(values, values < -0.5 * LARGEST_B, "log_alphas", "is too small for float64")
        object.__setattr__(self, "log_alphas", tuple(values.tolist()))

    @classmethod
    def from_alphas_cumprod(cls, alphas_cumprod: Array) -> Discrete:
        r"""Build the schedule from :math:`\bar\alpha_k = \alpha_k^2`.

        Parameters
        ----------
        alphas_cumprod
            Shape (N,) with N >= 2, in (0, 1), strictly decreasing.

        Raises
        ------
        InvalidArgument
            If `alphas_cumprod` is not such a list. A terminal 0 (zero terminal SNR) is refused,
            because ln alpha cannot be interpolated up to it.
        """
        name = "alphas_cumprod"
        values = _levels(alphas_cumprod, name)
        _refuse_terminal_zero(values[-1] == 0.0, f"{name}[-1] is 0")
        _refuse(values, (values <= 0.0) | (values >= 1.0), name, "must lie in (0, 1)")
        _refuse_rising(values, name)
        return cls(tuple((0.5 * np.log(values)).tolist()))

    @classmethod
    def from_betas(cls, betas: Array) -> Discrete:
        r"""Build the schedule from :math:`\ln \bar\alpha_k = \sum_{i \le k} \ln(1 - \beta_i)`.

        Parameters
        ----------
        betas
            Shape (N,) with N >= 2, in (0, 1).

        Raises
        ------
        InvalidArgument
            If `betas` is not such a list, or falls from above 0.9, as alphas_cumprod do. A last
            beta of 1 (zero terminal SNR) is refused, because ln alpha cannot be interpolated up to
            it.
        """
        values = _levels(betas, "betas")
        if values[0] > NO_BETA and not (np.diff(values) > 0.0).any():
            raise InvalidArgument(
                f"betas fall from {float(values[0])!r}, as alphas_cumprod do: pass those to "
                "Discrete.from_alphas_cumprod, or give 1 - alphas if they are alphas"
            )
        _refuse_terminal_zero(values[-1] == 1.0, "betas[-1] is 1")
        _refuse(values, (values <= 0.0) | (values >= 1.0), "betas", "must lie in (0, 1)")
        return cls(tuple((0.5 * np.cumsum(np.log1p(-values))).tolist()))

    @classmethod
    def linear(cls, n: int = 1000, *, beta_start: float = 1e-4, beta_end: float = 0.02) -> Discrete:
        r"""Build the DDPM schedule: `n` values of :math:`\beta_k`, linear between the ends.

        References
        ----------
        Ho et al., Denoising Diffusion Probabilistic Models (2020), section 4.
        """
        start, end = _rate("beta_start", beta_start), _rate("beta_end", beta_end)
        return cls.from_betas(np.linspace(start, end, whole_number("n", n, least=2)))

    @classmethod
    def scaled_linear(
        cls, n: int = 1000, *, beta_start: float = 0.00085, beta_end: float = 0.012
    ) -> Discrete:
        r"""Build the latent-diffusion schedule: :math:`\sqrt{\beta_k}` linear between the ends.

        References
        ----------
        Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models (2022); the
        rates are those of its Stable Diffusion configuration.
        """
        start, end = _rate("beta_start", beta_start), _rate("beta_end", beta_end)
        return cls.from_betas(
            np.linspace(np.sqrt(start), np.sqrt(end), whole_number("n", n, least=2)) ** 2
        )

    @classmethod
    def cosine(cls, n: int = 1000, *, s: float = 0.008, max_beta: float = 0.999) -> Discrete:
        r"""Build the discrete cosine schedule with capped rates ("squaredcos_cap_v2").

        .. math:: \beta_k = \min\Bigl(1 - \frac{\cos^2\theta_{k+1}}{\cos^2\theta_k},\
                  \beta_\mathrm{max}\Bigr), \qquad
                  \theta_k = \frac{\pi}{2}\, \frac{k/N + s}{1 + s}, \quad 0 \le s < 1.

        References
        ----------
        Nichol and Dhariwal, Improved Denoising Diffusion Probabilistic Models (2021), eq. 17.
        """
        s, cap, n = (
            finite_number("s", s),
            _rate("max_beta", max_beta),
            whole_number("n", n, least=2),
        )
        if not 0.0 <= s < 1.0:
            raise InvalidArgument(f"s={s!r} must satisfy 0 <= s < 1.")
        omega = 0.5 * np.pi / (1.0 + s)
        h = omega / n
        # 1 - cos(theta + h) / cos(theta), without the subtraction.
        q = 2.0 * np.sin(0.5 * h) ** 2 + np.tan(omega * (np.arange(n) / n + s)) * np.sin(h)
        return cls.from_betas(np.minimum(q * (2.0 - q), cap))

    def __repr__(self) -> str:
        first, last = np.exp(2.0 * np.array([self.log_alphas[0], self.log_alphas[-1]]))
        return f"Discrete(N={len(self.log_alphas)}, alphas_cumprod {first:.6g} to {last:.6g})"

    @property
    def t_max(self) -> float:
        """The last timestep, N - 1."""
        return len(self.log_alphas) - 1.0

    @cached_property
    def lam_breaks(self) -> FloatArray:
        """Lambda at the timesteps 1 to N - 2, ascending, read-only."""
        breaks = self.lam(np.arange(1, len(self.log_alphas) - 1))[::-1]
        breaks.setflags(write=False)
        return breaks

    @cached_property
    def _knots(self) -> tuple[FloatArray, FloatArray]:
        """The timesteps and B at them."""
        b = -2.0 * np.array(self.log_alphas)
        return np.arange(float(b.size)), b

    @cached_property
    def _slopes(self) -> FloatArray:
        return np.diff(self._knots[1])

    def _b(self, t: FloatArray) -> FloatArray:
        return np.interp(t, *self._knots)

    def _beta(self, t: FloatArray) -> FloatArray:
        index = np.minimum(np.floor(t), self._slopes.size - 1)
        return self._slopes[index.astype(np.intp)]

    def _t_of_b(self, b: FloatArray) -> FloatArray:
        timesteps, knots = self._knots
        return np.interp(b, knots, timesteps)


def _levels(values: object, argument: str) -> FloatArray:
    array = real_array(values, argument)
    if array.ndim != 1 or array.size < 2:
        raise InvalidArgument(
            f"{argument} has shape {array.shape}; it must be one-dimensional, one value for each "
            "of at least 2 timesteps."
        )
    return array


def _refuse(values: FloatArray, bad: npt.NDArray[np.bool_], argument: str, complaint: str) -> None:
    bad = bad | ~np.isfinite(values)
    if bad.any():
        k = int(np.argmax(bad))
        raise InvalidArgument(f"{argument}[{k}]={float(values[k])!r} {complaint}.")


def _refuse_rising(values: FloatArray, argument: str) -> None:
    rising = ~(np.diff(values) < 0.0)
    if rising.any():
        k = int(np.argmax(rising))
        raise InvalidArgument(
            f"{argument} must be strictly decreasing, but {argument}[{k + 1}]="
            f"{float(values[k + 1])!r} follows {float(values[k])!r}; give the values from the "
            "least to the most noise."
        )


def _refuse_terminal_zero(zero: bool, finding: str) -> None:
    if zero:
        raise InvalidArgument(
            f"{finding} (zero terminal SNR), where ln alpha is infinite and cannot be "
            "interpolated; drop that entry, or give alphas_cumprod a last value such as 2**-24."
        )


def _rate(name: str, value: object) -> float:
    number = finite_number(name, value)
    if not 0.0 < number < 1.0:
        raise InvalidArgument(f"{name}={value!r} must lie in (0, 1).")
    return number
