"""What every noise schedule offers: evaluation, inverses, and one check of what comes in."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeAlias, cast, overload

import numpy as np
import numpy.typing as npt

from semilinear.answers import refuse_traced
from semilinear.diffusion.schedule_checks import check_schedule
from semilinear.errors import InvalidArgument, shown

FloatArray: TypeAlias = npt.NDArray[np.float64]
Scalar: TypeAlias = float | np.floating[Any] | np.integer[Any]
Array: TypeAlias = npt.NDArray[Any] | Sequence[Any]

# Rounding a caller may bring to the end of a domain, from exp(-lambda) or a running sum of steps.
_ROUNDINGS = 64
_NO_BREAKS: FloatArray = np.empty(0)
_NO_BREAKS.setflags(write=False)


def real_array(value: object, argument: str) -> FloatArray:
    """Return `value` as a float64 array.

    Raises
    ------
    InvalidArgument
        If it does not hold real numbers.
    """
    if type(value) is np.ndarray and value.dtype == np.float64:
        return value
    refuse_traced(value, argument)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidArgument(f"{argument} cannot be read as an array: {error}.") from error
    if array.dtype.kind not in "fiu" and array.size:
        raise InvalidArgument(f"{argument} must hold real numbers, not {array.dtype} values.")
    return array.astype(np.float64, copy=False)


class NoiseSchedule(ABC):
    r"""A Gaussian path :math:`x_t = \alpha(t)\, x_0 + \sigma(t)\, \varepsilon`.

    With the noise-to-signal ratio :math:`\rho = \sigma / \alpha` and half the log-SNR
    :math:`\lambda = -\ln \rho`, the forward process and its probability-flow ODE are

    .. math:: dx = f(t)\, x\, dt + g(t)\, dw, \qquad
              \frac{dx}{dt} = f(t)\, x + \frac{g^2(t)}{2 \sigma(t)}\, \varepsilon(x, t), \qquad
              f = \frac{d \ln \alpha}{dt}, \quad g^2 = 2 \sigma^2 \frac{d \ln \rho}{dt}.

    A schedule is immutable, hashable and can be pickled. Every method computes in float64: a
    Python or NumPy scalar gives a Python float, an array or a sequence a new float64 array of
    the same shape. Where :math:`\sigma = 0` or :math:`\alpha = 0`, infinities come out without
    warnings. Values more than a rounding error outside the domain raise `InvalidArgument`;
    those within a rounding error are moved onto its end.

    A new schedule is a frozen dataclass that defines `_log_alpha`, `_sigma`, `_lam`, `_t_of_lam`,
    `_drift` and `_diffusion_squared`. Each takes a checked float64 array or scalar; division by
    zero and overflow are silent inside. The others follow, and may be overridden where a form
    with less rounding exists. The time domain is [0, 1] by default. The first plan for a schedule
    of a class outside of this package asks at a few times whether its formulas agree.

    Notes
    -----
    Time is recovered from :math:`\rho` or :math:`\lambda` to a few rounding errors of that
    variable: :math:`|\delta t| \lesssim \epsilon\, (1 + |\lambda|)\, |dt / d\lambda|`. That is
    relative to `t` where :math:`\sigma(0) = 0`. Where it is not (`VE`, the unnormalised
    `VPCosine`, `Discrete`), a time near 0 is only known absolutely; and near :math:`\alpha = 0`
    it is `t`, not the distance `1 - t`, that is relatively accurate.
    """

    @property
    def t_min(self) -> float:
        """Lower end of the time domain: the data end."""
        return 0.0

    @property
    def t_max(self) -> float:
        """Upper end of the time domain: the noise end."""
        return 1.0

    @property
    def t_start(self) -> float:
        """Where sampling starts by default: the noisy end."""
        return self.t_max

    @property
    def t_end(self) -> float:
        """Where sampling ends by default."""
        return self.t_min

    @property
    def default_grid(self) -> str | Callable[..., FloatArray]:
        """The grid of `diffusion.plan` and `sample` where none is given: a name or a rule."""
        return "quadratic"

    @property
    def lam_breaks(self) -> FloatArray:
        """Interior values of lambda at which t(lambda) is not smooth, ascending, read-only."""
        return _NO_BREAKS

    @overload
    def alpha(self, t: Scalar) -> float: ...
    @overload
    def alpha(self, t: Array) -> FloatArray: ...
    def alpha(self, t: Scalar | Array) -> float | FloatArray:
        """Signal scale alpha(t)."""
        return self._at_time(self._alpha, t)

    @overload
    def log_alpha(self, t: Scalar) -> float: ...
    @overload
    def log_alpha(self, t: Array) -> FloatArray: ...
    def log_alpha(self, t: Scalar | Array) -> float | FloatArray:
        """Logarithm of the signal scale, ln alpha(t)."""
        return self._at_time(self._log_alpha, t)

    @overload
    def sigma(self, t: Scalar) -> float: ...
    @overload
    def sigma(self, t: Array) -> FloatArray: ...
    def sigma(self, t: Scalar | Array) -> float | FloatArray:
        """Noise scale sigma(t)."""
        return self._at_time(self._sigma, t)

    @overload
    def rho(self, t: Scalar) -> float: ...
    @overload
    def rho(self, t: Array) -> FloatArray: ...
    def rho(self, t: Scalar | Array) -> float | FloatArray:
        """Noise-to-signal ratio rho(t) = sigma(t) / alpha(t)."""
        return self._at_time(self._rho, t)

    @overload
    def lam(self, t: Scalar) -> float: ...
    @overload
    def lam(self, t: Array) -> FloatArray: ...
    def lam(self, t: Scalar | Array) -> float | FloatArray:
        """Half the log-SNR, lambda(t) = ln(alpha(t) / sigma(t)) = -ln rho(t)."""
        return self._at_time(self._lam, t)

    @overload
    def drift(self, t: Scalar) -> float: ...
    @overload
    def drift(self, t: Array) -> FloatArray: ...
    def drift(self, t: Scalar | Array) -> float | FloatArray:
        """Drift coefficient f(t) = d ln alpha / dt."""
        return self._at_time(self._drift, t)

    @overload
    def diffusion_squared(self, t: Scalar) -> float: ...
    @overload
    def diffusion_squared(self, t: Array) -> FloatArray: ...
    def diffusion_squared(self, t: Scalar | Array) -> float | FloatArray:
        """Squared diffusion coefficient g^2(t) = 2 sigma^2 d ln rho / dt."""
        return self._at_time(self._diffusion_squared, t)

    @overload
    def t_of_rho(self, rho: Scalar) -> float: ...
    @overload
    def t_of_rho(self, rho: Array) -> FloatArray: ...
    def t_of_rho(self, rho: Scalar | Array) -> float | FloatArray:
        """Time at which the noise-to-signal ratio is `rho`, for rho(t_min) <= rho <= rho(t_max)."""
        return self._evaluate(lambda r: self._clip(self._t_of_rho(r)), rho, "rho", *self._rho_range)

    @overload
    def t_of_lam(self, lam: Scalar) -> float: ...
    @overload
    def t_of_lam(self, lam: Array) -> FloatArray: ...
    def t_of_lam(self, lam: Scalar | Array) -> float | FloatArray:
        """Time at which half the log-SNR is `lam`, for lam(t_max) <= lam <= lam(t_min)."""
        return self._evaluate(lambda v: self._clip(self._t_of_lam(v)), lam, "lam", *self._lam_range)

    @overload
    def alpha_of_lam(self, lam: Scalar) -> float: ...
    @overload
    def alpha_of_lam(self, lam: Array) -> FloatArray: ...
    def alpha_of_lam(self, lam: Scalar | Array) -> float | FloatArray:
        """Signal scale at half log-SNR `lam`.

        The schedules of this package use a relation in which time does not occur, so they accept
        every `lam`, such as +inf for a last step to sigma = 0. Others go through `t_of_lam`.
        """
        return self._evaluate(self._alpha_of_lam, lam, "lam", -np.inf, np.inf)

    @overload
    def sigma_of_lam(self, lam: Scalar) -> float: ...
    @overload
    def sigma_of_lam(self, lam: Array) -> FloatArray: ...
    def sigma_of_lam(self, lam: Scalar | Array) -> float | FloatArray:
        """Noise scale at half log-SNR `lam`; it accepts what `alpha_of_lam` accepts."""
        return self._evaluate(self._sigma_of_lam, lam, "lam", -np.inf, np.inf)

    def __getstate__(self) -> dict[str, object]:
        # The parameters alone: cached arrays would come back writeable.
        parameters = dataclasses.fields(cast(Any, self))
        return {field.name: getattr(self, field.name) for field in parameters}

    @abstractmethod
    def _log_alpha(self, t: FloatArray) -> FloatArray:
        """log alpha(t)."""

    @abstractmethod
    def _sigma(self, t: FloatArray) -> FloatArray:
        """sigma(t)."""

    @abstractmethod
    def _lam(self, t: FloatArray) -> FloatArray:
        """lambda(t), falling in t."""

    @abstractmethod
    def _t_of_lam(self, lam: FloatArray) -> FloatArray:
        """t(lambda)."""

    @abstractmethod
    def _drift(self, t: FloatArray) -> FloatArray:
        """f(t)."""

    @abstractmethod
    def _diffusion_squared(self, t: FloatArray) -> FloatArray:
        """g^2(t)."""

    def _alpha(self, t: FloatArray) -> FloatArray:
        return np.exp(self._log_alpha(t))

    def _rho(self, t: FloatArray) -> FloatArray:
        return np.exp(-self._lam(t))

    def _t_of_rho(self, rho: FloatArray) -> FloatArray:
        return self._t_of_lam(-np.log(rho))

    def _alpha_of_lam(self, lam: FloatArray) -> FloatArray:
        return self._alpha(self._inner_time(lam))

    def _sigma_of_lam(self, lam: FloatArray) -> FloatArray:
        return self._sigma(self._inner_time(lam))

    def _inner_time(self, lam: FloatArray) -> FloatArray:
        """Return t(lambda), for schedules that know alpha and sigma as functions of time alone."""
        try:
            return np.asarray(self.t_of_lam(lam))
        except InvalidArgument:
            low, high = self._lam_range
            raise InvalidArgument(
                f"lam from {float(np.min(lam)):.6g} to {float(np.max(lam)):.6g} leads out of "
                f"[{low:.6g}, {high:.6g}], where {self!r} knows alpha and sigma; ancestral noise, "
                "churn and steps to sigma = 0 go there: let its class define _alpha_of_lam and "
                "_sigma_of_lam without t, or choose t_start and t_end further inside"
            ) from None

    @cached_property
    def _lam_range(self) -> tuple[float, float]:
        return self.lam(self.t_max), self.lam(self.t_min)

    @cached_property
    def _rho_range(self) -> tuple[float, float]:
        return self.rho(self.t_min), self.rho(self.t_max)

    @cached_property
    def _agrees(self) -> bool:
        """True, or an error where the formulas contradict each other; looked at once."""
        if not type(self).__module__.startswith("semilinear."):
            check_schedule(self)
        return True

    def _clip(self, t: FloatArray) -> FloatArray:
        return np.minimum(np.maximum(t, self.t_min), self.t_max)

    def _at_time(
        self, formula: Callable[[FloatArray], FloatArray], t: Scalar | Array
    ) -> float | FloatArray:
        return self._evaluate(formula, t, "t", self.t_min, self.t_max)

    def _evaluate(
        self,
        formula: Callable[[FloatArray], FloatArray],
        value: Scalar | Array,
        argument: str,
        low: float,
        high: float,
    ) -> float | FloatArray:
        """Check `value` against [low, high], then apply `formula`."""
        x: Any = value
        scalar = isinstance(value, float | int | np.floating | np.integer)
        if scalar and not isinstance(value, bool):
            x = np.float64(x)  # not a Python float: that cannot be divided by zero
            inside = bool(low <= x <= high)
        else:
            x = real_array(x, argument)
            inside = bool(((low <= x) & (x <= high)).all())
        if not inside:
            x = self._moved_inside(x, argument, low, high, _slop(value))
        with np.errstate(divide="ignore", over="ignore"):
            result = formula(x)
        return float(result) if scalar else np.asarray(result)

    def _moved_inside(
        self, x: FloatArray, argument: str, low: float, high: float, slop: float
    ) -> FloatArray:
        """Move values within a rounding error of [low, high] onto its ends, refuse the others."""
        # A ratio is only as uncertain as it is large; a time or a logarithm is a sum of terms.
        floor = 0.0 if argument == "rho" else 1.0
        slop_low, slop_high = (slop * max(abs(bound), floor) for bound in (low, high))
        good = np.asarray((low - slop_low <= x) & (x <= high + slop_high))
        if not good.all():
            bad = np.asarray(x)[~good].flat[0]
            where = f" (value {np.argmin(good)} of {good.size})" if good.ndim else ""
            raise InvalidArgument(
                f"{argument}={float(bad)!r}{where} lies outside the domain "
                f"[{low!r}, {high!r}] of {argument} for {self!r}; pass values inside it."
            )
        return np.minimum(np.maximum(x, low), high)


def _slop(value: object) -> float:
    """Return the relative rounding that a value may bring, by its precision."""
    single = str(getattr(value, "dtype", "")).rpartition(".")[2] == "float32"
    return _ROUNDINGS * float(np.finfo(np.float32 if single else np.float64).eps)


def checked_schedule(schedule: Any) -> NoiseSchedule:
    """Return a schedule, or refuse what is none, and formulas that contradict each other."""
    if not isinstance(schedule, NoiseSchedule):
        raise InvalidArgument(
            f"schedule={shown(schedule)} must be a NoiseSchedule such as diffusion.VPLinear()"
        )
    _ = schedule._agrees  # or an error
    return schedule
