"""A linear part that multiplies the whole state by one number, constant or L(t)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from semilinear.errors import InvalidArgument, shown
from semilinear.immutable import Immutable
from semilinear.kernels.phi_reference import phi_functions
from semilinear.propagators.base import Coefficient, Propagator, by_entry, newton_integrals
from semilinear.propagators.gauss import NODES, TAIL, WEIGHTS

Number = float | complex
LARGEST = 4.0
"""Of h L over one panel."""

MAX_LEVEL = 12
"""Of panels: a step is divided into 2^12 of them at most."""

TOO_LONG = np.inf
"""Level of panels of a step over which L oscillates or grows too much for quadrature."""

PANELS_AT_ONCE = 2**MAX_LEVEL
"""Panels of all steps that are worked on together: memory stays within some MiB."""


class Scalar(Immutable, Propagator):
    """y' = L(t) y + B(t) N(t, y) with numbers L and B that multiply the whole state.

    Parameters
    ----------
    rate
        L: a real or complex number, or a function of t.
    weight
        B: a number, or a function of t.

    Raises
    ------
    InvalidArgument
        If `rate` or `weight` is neither a finite number nor a function; plans and runs raise it
        where a function returns what is no finite number.

    Notes
    -----
    A constant L and B use phi-functions. Otherwise Psi(b, s) = exp(int_s^b L) and its integrals are
    Gauss-Legendre sums on panels in which ``|int L|`` stays moderate, refined towards the end of
    the step where L decays: exact to rounding for L and B that are smooth on the scale of a step.
    Where L oscillates or grows too much over a step for 2^12 panels, |L| h > 16384, the answers are
    NaN: adaptive steps become shorter, and plans refuse it. Functions of t may take arrays; one
    that does not is called point by point.
    """

    form = "scalar"
    _fixed = ("rate", "weight", "constant")

    def __init__(
        self,
        rate: Number | Callable[[Any], Any],
        *,
        weight: Number | Callable[[Any], Any] = 1.0,
    ) -> None:
        self.rate = rate if callable(rate) else _number(rate, "rate")
        self.weight = weight if callable(weight) else _number(weight, "weight")
        self.constant = not (callable(rate) or callable(weight))

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
        return self._by_panels(a, h, lambda kernel, of_steps: [np.exp(kernel.whole)])[0]

    def integrals(self, a: Any, b: Any, nodes: Sequence[Any], scale: Any) -> list[Coefficient]:
        h = np.asarray(b, dtype=float) - a
        if self.constant:
            phis = phi_functions(np.asarray(h * self.rate), len(nodes) + 1)
            return [self.weight * x for x in newton_integrals(phis, a, h, nodes, scale)]

        def moments(kernel: _Kernel, of_steps: Callable[[Any], np.ndarray]) -> list[np.ndarray]:
            integrand, unit = kernel.integrand, of_steps(scale)
            answers = [integrand.sum(axis=(-2, -1))]
            for node in nodes:
                integrand = integrand * ((kernel.times - of_steps(node)) / unit)
                answers.append(integrand.sum(axis=(-2, -1)))
            return answers

        return self._by_panels(a, h, moments)

    def _by_panels(
        self,
        a: Any,
        h: np.ndarray,
        answer: Callable[[_Kernel, Callable[[Any], np.ndarray]], list[np.ndarray]],
    ) -> list[Coefficient]:
        """Return what is asked of the kernel of each step, steps with equal panels together.

        `answer` is given a kernel, and what picks its steps of an array over all steps.
        """
        start, length = np.asarray(a, dtype=float)[..., None, None], h[..., None, None]
        with np.errstate(over="ignore"):
            z = _sample(self.rate, start + length * NODES, "rate") * length
        levels = _levels(z)
        first = levels.flat[0] if levels.size else 0.0
        if h.size * _panels(first) <= PANELS_AT_ONCE and (levels == first).all():
            return answer(self._kernel(start, length, first, z.dtype), _over_nodes)
        parts: list[np.ndarray] = []
        found: list[list[np.ndarray]] = []
        for level in np.unique(levels).tolist():
            members = np.flatnonzero(levels == level)
            count = PANELS_AT_ONCE // _panels(level)
            for begin in range(0, len(members), count):
                steps = members[begin : begin + count]

                def of_steps(x: Any, steps: np.ndarray = steps) -> np.ndarray:
                    return _over_nodes(np.broadcast_to(x, h.shape).reshape(-1)[steps])

                kernel = self._kernel(of_steps(a), of_steps(h), level, z.dtype)
                parts.append(steps)
                found.append(answer(kernel, of_steps))
        back = np.argsort(np.concatenate(parts))
        return [
            np.concatenate(column)[back].reshape(h.shape) for column in zip(*found, strict=True)
        ]

    def _kernel(self, start: np.ndarray, length: np.ndarray, level: float, kind: Any) -> _Kernel:
        """Return the kernel of steps with the same panels, from arrays of shape (..., 1, 1)."""
        if level == TOO_LONG:
            nothing = np.full_like(length, np.nan, dtype=kind)
            return _Kernel(length, nothing, nothing[..., 0, 0])
        edges = _edges(level)
        widths = np.diff(edges)[:, None]
        times = start + length * (edges[:-1, None] + widths * NODES)
        rates = _sample(self.rate, times, "rate") * length * widths
        whole = (rates * WEIGHTS).sum(axis=-1)
        later = np.flip(np.cumsum(np.flip(whole, axis=-1), axis=-1), axis=-1) - whole
        exponent = rates @ TAIL.T + later[..., None]
        integrand = (
            np.exp(exponent) * _sample(self.weight, times, "weight") * (length * widths * WEIGHTS)
        )
        return _Kernel(times, integrand, whole.sum(axis=-1))


class _Kernel(NamedTuple):
    """The kernel Psi(b, s) B(s) of some steps at the nodes of their panels.

    Parameters
    ----------
    times, integrand
        s, and Psi(b, s) B(s) ds there; the last axes are (panel, node), those of steps before them.
    whole
        int_a^b L of each step.
    """

    times: np.ndarray
    integrand: np.ndarray
    whole: np.ndarray


def _over_nodes(x: Any) -> np.ndarray:
    """Return values of steps with axes for panels and nodes."""
    return np.asarray(x, dtype=float)[..., None, None]


def _levels(z: np.ndarray) -> np.ndarray:
    """Return, for each step, how its panels divide [0, 1] for integrands that vary like exp(z s).

    Parameters
    ----------
    z
        h L at the nodes of each step as a single panel, shape (..., 1, nodes).

    Returns
    -------
    numpy.ndarray
        n for 2^n equal panels, -n for n halvings towards 1, `TOO_LONG` where neither will do.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = np.abs(z)
    if z.size and sizes.max() <= LARGEST:  # most steps of most grids
        return np.zeros(z.shape[:-2])
    size = sizes.max(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = np.maximum(np.ceil(np.log2(size / LARGEST)), 0.0)
    is_late = (z.real.max(axis=(-2, -1)) <= 1) & (np.abs(z.imag).max(axis=(-2, -1)) <= 1)
    can = np.isfinite(size) & (is_late | (levels <= MAX_LEVEL))
    return np.where(can, np.where(is_late, -levels, levels), TOO_LONG)


def _panels(level: float) -> int:
    """Return the number of panels."""
    return 1 if level == TOO_LONG else max(1, int(1 - level if level < 0 else 2**level))


def _edges(level: float) -> np.ndarray:
    """Return the edges of the panels on [0, 1]."""
    if level < 0:
        return np.concatenate([[0.0], 1 - 0.5 ** np.arange(1.0, 1 - level), [1.0]])
    return np.linspace(0.0, 1.0, _panels(level) + 1)


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
    except (AttributeError, TypeError, ValueError):  # made for one number
        return None
    return values if values.shape == times.shape and values.dtype.kind in "biufc" else None


def _value(f: Callable[[Any], Any], t: float, argument: str) -> Number:
    value = f(t)
    if np.ndim(value) != 0 or isinstance(value, str):
        raise InvalidArgument(
            f"{argument}({t:.9g}) is {shown(value)}; it must be one number for all entries; "
            f"{by_entry(argument)}"
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
