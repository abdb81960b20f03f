"""A linear part that multiplies the whole state by one number, constant or L(t)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, log2
from typing import Any

import numpy as np

from semilinear.errors import InvalidArgument
from semilinear.immutable import Immutable
from semilinear.kernels.phi_reference import phi_functions
from semilinear.propagators.base import Coefficient, Propagator, newton_integrals
from semilinear.propagators.gauss import NODES, TAIL, WEIGHTS

Number = float | complex
MAX_PANELS = 4096


class Scalar(Immutable, Propagator):
    """y' = L(t) y + B(t) N(t, y) with numbers L and B that multiply the whole state.

    Parameters
    ----------
    rate
        L: a real or complex number, or a function of t.
    weight
        B: a number, or a function of t.

    Notes
    -----
    A constant L and B use phi-functions. Otherwise Psi(b, s) = exp(int_s^b L) and its integrals are
    Gauss-Legendre sums on panels in which ``|int L|`` stays moderate, refined towards the end of
    the step where L decays: exact to rounding for L and B that are smooth on the scale of a step.
    Functions of t may take arrays; one that does not is called point by point.
    """

    form = "scalar"

    def __init__(
        self,
        rate: Number | Callable[[Any], Any],
        *,
        weight: Number | Callable[[Any], Any] = 1.0,
    ) -> None:
        self.rate = rate if callable(rate) else _number(rate, "rate")
        self.weight = weight if callable(weight) else _number(weight, "weight")
        self.constant = not (callable(rate) or callable(weight))

    def _is_fixed(self, name: str) -> bool:
        # Of a subclass the rest may change.
        return name in ("rate", "weight", "constant") and name in self.__dict__

    def __repr__(self) -> str:
        return f"Scalar({self.rate!r}, weight={self.weight!r})"

    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        """Accept states of any shape; whether L(t) is complex shows in the coefficients."""

    def input_weight(self, t: Any) -> Coefficient:
        return _sample(self.weight, t, "weight")

    def flow(self, a: Any, b: Any) -> Coefficient:
        h = np.asarray(b, dtype=float) - a
        if not callable(self.rate):
            return np.exp(h * self.rate)
        return np.exp(self._kernel(a, h)[2])

    def integrals(self, a: Any, b: Any, nodes: Sequence[Any], scale: Any) -> list[Coefficient]:
        h = np.asarray(b, dtype=float) - a
        if self.constant:
            phis = phi_functions(np.asarray(h * self.rate), len(nodes) + 1)
            return [self.weight * x for x in newton_integrals(phis, a, h, nodes, scale)]
        times, integrand, _ = self._kernel(a, h)
        scale = np.asarray(scale, dtype=float)[..., None, None]
        answers = [integrand.sum(axis=(-2, -1))]
        for node in nodes:
            integrand = integrand * ((times - np.asarray(node)[..., None, None]) / scale)
            answers.append(integrand.sum(axis=(-2, -1)))
        return answers

    def _kernel(self, a: Any, h: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return times, Psi(b, s) B(s) ds there, and int_a^b L; axes (step, panel, node)."""
        start = np.asarray(a, dtype=float)[..., None, None]
        length = h[..., None, None]
        rates = _sample(self.rate, start + length * NODES, "rate")
        edges = _panels(rates * length)
        widths = np.diff(edges)[:, None]
        times = start + length * (edges[:-1, None] + widths * NODES)
        rates = _sample(self.rate, times, "rate") * length * widths
        whole = (rates * WEIGHTS).sum(axis=-1)
        later = np.flip(np.cumsum(np.flip(whole, axis=-1), axis=-1), axis=-1) - whole
        exponent = rates @ TAIL.T + later[..., None]
        integrand = (
            np.exp(exponent) * _sample(self.weight, times, "weight") * (length * widths * WEIGHTS)
        )
        return times, integrand, whole.sum(axis=-1)


def _panels(z: np.ndarray) -> np.ndarray:
    """Return panel edges on [0, 1] for integrands that vary like exp(z s), z = h L sampled."""
    size = float(np.max(np.abs(z), initial=0.0))
    if size <= 4:
        return np.array([0.0, 1.0])
    if float(np.max(np.real(z), initial=0.0)) <= 1 and float(np.max(np.abs(np.imag(z)))) <= 1:
        levels = ceil(log2(size / 4))
        return np.concatenate([[0.0], 1 - 0.5 ** np.arange(1.0, levels + 1), [1.0]])
    count = ceil(size / 4)
    if count > MAX_PANELS:
        raise InvalidArgument(
            f"rate: |L| h = {size:.3g} oscillates or grows too much within one step for "
            "quadrature; take smaller steps"
        )
    return np.linspace(0.0, 1.0, count + 1)


def _sample(f: Any, t: Any, argument: str) -> Any:
    """Evaluate f at an array of times, point by point if it takes no arrays."""
    times = np.asarray(t, dtype=float)
    if not callable(f):
        return np.broadcast_to(f, times.shape)
    values = _at_once(f, times)
    if values is None:
        found = [_value(f, float(s), argument) for s in times.ravel()]
        values = np.array(found).reshape(times.shape)
    if not np.isfinite(values).all():
        first = times[~np.isfinite(values)].flat[0]
        raise InvalidArgument(f"{argument}(t) is NaN or infinite at t = {first:.9g}")
    return values


def _at_once(f: Callable[[Any], Any], times: np.ndarray) -> np.ndarray | None:
    """Return f of the whole array if it answers with an array like it."""
    try:
        values = np.asarray(f(times))
    except (TypeError, ValueError):
        return None
    return values if values.shape == times.shape and values.dtype.kind in "biufc" else None


def _value(f: Callable[[Any], Any], t: float, argument: str) -> Number:
    value = f(t)
    if np.ndim(value) != 0 or isinstance(value, str):
        raise InvalidArgument(
            f"{argument}({t:.9g}) is {value!r}; it must be one number: use Diagonal for one number "
            "per entry of the state and Dense for a matrix"
        )
    return _number(value, f"{argument}({t:.9g})", finite=False)


def _number(value: Any, argument: str, *, finite: bool = True) -> Number:
    try:
        if isinstance(value, str):
            raise TypeError
        number = complex(value)
    except (TypeError, ValueError):
        raise InvalidArgument(
            f"{argument}={value!r} must be one number or a function of t; use Diagonal for one "
            "number per entry of the state and Dense for a matrix"
        ) from None
    if finite and not np.isfinite(number):
        raise InvalidArgument(f"{argument}={value!r} must be finite")
    return number if isinstance(value, complex) or np.iscomplexobj(value) else number.real
