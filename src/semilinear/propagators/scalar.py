"""A linear part that multiplies the whole state by one number, constant or L(t)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from semilinear.errors import InvalidArgument, shown
from semilinear.immutable import Immutable
from semilinear.kernels.phi_reference import phi_functions
from semilinear.propagators.base import (
    Coefficient,
    Propagator,
    by_entry,
    newton_integrals,
    refuse_followed,
)
from semilinear.propagators.gauss import COMPARED, GAUSS, NODES, Rule

Number = float | complex
LARGEST = 4.0
"""Of h L over one panel."""

MAX_LEVEL = 12
"""Of panels: a step is divided into 2^12 of them at most."""

TOO_LONG = np.inf
"""Level of panels of a step over which L oscillates or grows too much for quadrature."""

PANELS_AT_ONCE = 2**MAX_LEVEL
"""Panels of all steps that are worked on together: memory stays within some MiB."""

ROUNDING = 64 * float(np.finfo(float).eps)
"""Of the sums over one panel; no closer agreement of two of them can be asked for."""


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
    Adaptive steps become shorter where they are not, until the sums agree with those of another
    rule (`resolved`); a jump costs some short steps. Fixed steps are taken as they are: there a
    jump inside of a step leaves an error of up to a twentieth of its height times h.
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
        return self._by_panels(a, h, lambda kernel, of_steps: [kernel.flow()])[0]

    def integrals(self, a: Any, b: Any, nodes: Sequence[Any], scale: Any) -> list[Coefficient]:
        h = np.asarray(b, dtype=float) - a
        if self.constant:
            phis = phi_functions(np.asarray(h * self.rate), len(nodes) + 1)
            return [self.weight * x for x in newton_integrals(phis, a, h, nodes, scale)]

        def moments(kernel: _Kernel, of_steps: Callable[[Any], np.ndarray]) -> list[np.ndarray]:
            integrand, unit = kernel.integrand(self.weight), of_steps(scale)
            answers = [integrand.sum(axis=(-2, -1))]
            for node in nodes:
                integrand = integrand * ((kernel.times - of_steps(node)) / unit)
                answers.append(integrand.sum(axis=(-2, -1)))
            return answers

        return self._by_panels(a, h, moments)

    def turn(self, a: float, b: float, *states: np.ndarray) -> float:
        rates = _sample(self.rate, a + (b - a) * NODES, "rate")
        return float(abs(b - a) * np.abs(np.imag(rates)).max())

    def resolved(self, a: float, h: float, tolerance: float, elapsed: float) -> float:
        if self.constant:
            return h
        while not self._is_resolved(a, h, tolerance, elapsed) and a + 0.5 * h != a:
            h *= 0.5
        return h

    def _is_resolved(self, a: float, h: float, tolerance: float, elapsed: float) -> bool:
        """Tell whether the sums over a step agree with those of another rule."""
        start, length = np.full((1, 1), a), np.full((1, 1), h)
        with np.errstate(over="ignore", invalid="ignore"):
            z = _sample(self.rate, start + length * NODES, "rate") * length
            level = float(_levels(z))
            if level == TOO_LONG:
                return False
            # Where a function of t changes is known to the spacing of times at most.
            unknown = 4 * np.spacing(max(abs(a), abs(a + h))) / abs(h)
            allowed = max(tolerance, ROUNDING * _count(level), unknown * np.abs(z - z[0, 0]).max())
            used = self._kernel(start, length, level, z)
            other = self._kernel(start, length, level, z, rule=COMPARED)
            flow = used.flow()
            if not abs(other.flow() - flow) <= allowed * max(allowed, abs(flow)):
                return False
            # A state has what came in since the beginning, or as long as L remembers.
            share = min(1.0, max(abs(h) / (elapsed + abs(h)), np.abs(z).max()))
            integrand = used.integrand(self.weight)
            error = abs(other.integrand(self.weight).sum() - integrand.sum())
            return bool(error <= max(allowed / share, unknown) * np.abs(integrand).sum())

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
        if h.size * _count(first) <= PANELS_AT_ONCE and (levels == first).all():
            return answer(self._kernel(start, length, first, z), _over_nodes)
        parts: list[np.ndarray] = []
        found: list[list[np.ndarray]] = []
        flat = z.reshape(-1, 1, len(NODES))
        for level in np.unique(levels).tolist():
            members = np.flatnonzero(levels == level)
            count = PANELS_AT_ONCE // _count(level)
            for begin in range(0, len(members), count):
                steps = members[begin : begin + count]

                def of_steps(x: Any, steps: np.ndarray = steps) -> np.ndarray:
                    return _over_nodes(np.broadcast_to(x, h.shape).reshape(-1)[steps])

                kernel = self._kernel(of_steps(a), of_steps(h), level, flat[steps])
                parts.append(steps)
                found.append(answer(kernel, of_steps))
        back = np.argsort(np.concatenate(parts))
        return [
            np.concatenate(column)[back].reshape(h.shape) for column in zip(*found, strict=True)
        ]

    def _kernel(
        self,
        start: np.ndarray,
        length: np.ndarray,
        level: float,
        z: np.ndarray,
        *,
        rule: Rule = GAUSS,
    ) -> _Kernel:
        """Return the kernel of steps with the same panels.

        Parameters
        ----------
        start, length
            Of the steps, shape (..., 1, 1).
        level, z
            As for `_levels`.
        rule
            Of each panel.
        """
        edges, widths = _panels(level)
        lengths = length * widths
        times = start + length * (edges + widths * rule.nodes)
        if rule is COMPARED:  # near the ends, where rounding may lead to them
            end = start + length
            inside = np.nextafter(start, end), np.nextafter(end, start)
            times = np.clip(times, np.minimum(*inside), np.maximum(*inside))
        if level == TOO_LONG:
            rates = np.full_like(z, np.nan)
        elif level == 0 and rule is GAUSS:
            rates = z
        else:
            rates = _sample(self.rate, times, "rate") * lengths
        return _Kernel(times, lengths, rates, rule)


class _Kernel(NamedTuple):
    """The kernel Psi(b, s) B(s) of some steps at the nodes of their panels.

    Parameters
    ----------
    times
        s; the last axes are (panel, node), those of steps before them.
    lengths
        Of the panels, shape (..., panel, 1).
    rates
        L(s) times the length of the panel.
    rule
        Of each panel.
    """

    times: np.ndarray
    lengths: np.ndarray
    rates: np.ndarray
    rule: Rule

    def flow(self) -> np.ndarray:
        """Return Psi(b, a) of each step."""
        found: np.ndarray = np.exp((self.rates * self.rule.weights).sum(axis=(-2, -1)))
        return found

    def integrand(self, weight: Any) -> np.ndarray:
        """Return Psi(b, s) B(s) ds."""
        whole = (self.rates * self.rule.weights).sum(axis=-1)
        later = np.flip(np.cumsum(np.flip(whole, axis=-1), axis=-1), axis=-1) - whole
        exponent = self.rates @ self.rule.tail.T + later[..., None]
        inputs = _sample(weight, self.times, "weight") * (self.lengths * self.rule.weights)
        found: np.ndarray = np.exp(exponent) * inputs
        return found


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


def _count(level: float) -> int:
    """Return the number of panels."""
    return 1 if level == TOO_LONG else max(1, int(1 - level if level < 0 else 2**level))


def _panels(level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the panels on [0, 1] begin, and their widths, shape (panels, 1).

    Widths are no differences of edges: next to 1 they may be less than the spacing of numbers.
    """
    if level < 0:
        widths = 0.5 ** np.append(np.arange(1.0, 1 - level), -level)
        edges = np.cumsum(widths) - widths
    else:
        count = _count(level)
        widths = np.full(count, 1.0 / count)
        edges = np.arange(count) / count
    return edges[:, None], widths[:, None]


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
        values = np.asarray(f(times.copy()))  # a function may write to what it is given
    except Exception:  # made for one number; if not, it fails there too, and its t is known
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
    refuse_followed(value, argument)
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
