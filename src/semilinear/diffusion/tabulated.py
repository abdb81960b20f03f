"""A quantity made of arrays: the linear part, scale and drift of DPM-Solver-v3, tabulated."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np

from semilinear.diffusion.piecewise import Pieces, Points, panels, pieces_of, refined, within
from semilinear.diffusion.predictions import Readout
from semilinear.errors import InvalidArgument
from semilinear.immutable import Immutable
from semilinear.propagators.base import digest, finite_array

SLACK = 1e-6
"""Of the length of a table: so far it is continued, since its ends were rounded elsewhere."""


class _Parts(NamedTuple):
    """The functions of a table."""

    l: Pieces  # noqa: E741
    s: Pieces
    b: Pieces
    sum: Pieces
    """l + s."""


class Tabulated(Immutable):
    """The quantity of DPM-Solver-v3: a linear part of one's own, tabulated over lambda.

    With y = x / alpha and rho = sigma / alpha, the probability-flow ODE is dy/dlambda = -rho eps.
    Entry by entry,

        f = rho eps - l y,    S = int s,    B = int e^-S b,    g = e^-S f - B,
        dy/dlambda = -l y - e^S (g + B)

    and g is what a method takes for a polynomial. l = 1, s = 0, b = 0 is x_0 as N, l = 0, s = -1,
    b = 0 is eps. Where the integrals begin does not matter. Tables that fit a model ("empirical
    model statistics") make g vary as little as possible: l is the part of rho eps that is linear in
    y, s and b fit df/dlambda by s f + b along the flow.

    Parameters
    ----------
    lam
        Nodes, increasing, shape (n,), n >= 2.
    l, s, b
        Values at the nodes, linear in between: shape (n,) followed by one that broadcasts to that
        of a sample, (n,) alone, or one number.

    Raises
    ------
    InvalidArgument
        For nodes that do not increase, values that are not finite, shapes that do not fit.

    Notes
    -----
    Integrals are exact to rounding for l, s and b that are linear between the nodes, however long
    the steps are. The published code takes the trapezoid rule between nodes instead, which differs
    by the square of their distance, and moves the steps to the nearest nodes.

    References
    ----------
    Zheng et al. (2023), "DPM-Solver-v3: improved diffusion ODE solver with empirical model
    statistics".
    """

    def __init__(self, lam: Any, l: Any, s: Any, b: Any) -> None:  # noqa: E741
        self.lam = _nodes(lam)
        given = {name: _real(value, name) for name, value in (("l", l), ("s", s), ("b", b))}
        self.shape = _sample_shape(len(self.lam), given)
        full = (_filled(value, len(self.lam), self.shape) for value in given.values())
        self.l, self.s, self.b = (_read_only(array) for array in full)

    def __repr__(self) -> str:
        low, high = self.lam[0], self.lam[-1]
        shape = f", shape {self.shape}" if self.shape else ""
        return f"Tabulated({len(self.lam)} nodes, lambda {low:.4g} to {high:.4g}{shape})"

    def __str__(self) -> str:
        return "tabulated"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tabulated) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tabulated, (self.lam, self.l, self.s, self.b)  # without what was made of them

    @property
    def drifts(self) -> bool:
        """Whether b is not 0, so that a part of N is known."""
        return bool(self.b.any())

    @cached_property
    def digest(self) -> str:
        """A number that tells tables apart."""
        return digest(self.lam, self.l, self.s, self.b)

    def check_covers(self, one: float, other: float, *, argument: str) -> None:
        """Refuse a range of lambda that the table does not cover."""
        low, high = self.lam[[0, -1]]
        slack = SLACK * (high - low)
        if min(one, other) >= low - slack and max(one, other) <= high + slack:
            return
        raise InvalidArgument(
            f"{argument}: its table covers lambda from {low:.6g} to {high:.6g}, the plan runs from "
            f"{one:.6g} to {other:.6g}; move t_start and t_end inside (with final='t_end' or "
            "'denoise'), or tabulate further"
        )

    def check_state(self, shape: tuple[int, ...], *, argument: str) -> None:
        """Refuse states to which the entries do not broadcast."""
        try:
            fits = np.broadcast_shapes(shape, self.shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise InvalidArgument(
                f"{argument} has shape {shape}, to which the table's entries, of shape "
                f"{self.shape}, do not broadcast"
            )

    def read(self, read: Readout, alpha: Any, sigma: Any) -> tuple[Any, Any]:
        """Return p and q with ``e^-S f = g + B = p x + q answer``, at one pair of alpha, sigma."""
        lam = np.log(alpha) - np.log(sigma)
        scale = np.exp(-self.grown(lam))
        p, q = (scale * (sigma * read.p_eps - self.linear(lam)), scale * (sigma * read.q_eps))
        return p / alpha, q / alpha

    def linear(self, lam: Any) -> np.ndarray:
        """Return l at one lambda."""
        return self._one(self._parts.l.at, lam)

    def decayed(self, lam: Any) -> np.ndarray:
        """Return the integral of l at one lambda."""
        return self._one(self._parts.l.integral, lam)

    def grown(self, lam: Any) -> np.ndarray:
        """Return S at one lambda."""
        return self._one(self._parts.s.integral, lam)

    def drifted(self, lam: Any) -> np.ndarray:
        """Return B at one lambda."""
        where = np.reshape(lam, 1).astype(float)
        piece = self._pieces(where)
        before = self._parts.l.nodes[piece]
        rest = within(before, where - before, piece)
        total: np.ndarray = self._b_total[piece[0]] + rest.over_panels(self.drift(rest))[0]
        return total.reshape(self.shape)

    def kernel(self, points: Points) -> np.ndarray:
        """Return S + int l at quadrature points, shape (panels, nodes, entries)."""
        return self._parts.sum.integral(points.lam, points.piece)

    def drift(self, points: Points) -> np.ndarray:
        """Return e^-S b at quadrature points."""
        values = -self._parts.s.integral(points.lam, points.piece)
        np.exp(values, out=values)
        values *= self._parts.b.at(points.lam, points.piece)
        return values

    def points(self, low: float, high: float, breaks: np.ndarray) -> Iterator[Points]:
        """Yield quadrature points between two values of lambda, some panels at a time.

        Panels end at the nodes, and at `breaks`.
        """
        return panels(low, high, self._parts.l.nodes, breaks, prod(self.shape))

    def _one(self, function: Any, lam: Any) -> np.ndarray:
        where = np.reshape(lam, (1, 1)).astype(float)
        found: np.ndarray = function(where, self._pieces(where[0]))
        return found.reshape(self.shape)

    def _pieces(self, lam: np.ndarray) -> np.ndarray:
        return pieces_of(lam, self._parts.l.nodes)

    @cached_property
    def _parts(self) -> _Parts:
        """The functions, with nodes enough for quadrature, entries on one axis."""
        flat = [array.reshape(len(array), prod(self.shape)) for array in (self.l, self.s, self.b)]
        nodes, l, s, b = refined(self.lam, flat[:2], flat[2:])  # noqa: E741
        return _Parts(*(Pieces(nodes, values) for values in (l, s, b, l + s)))

    @cached_property
    def _b_total(self) -> np.ndarray:
        """B at the nodes."""
        nodes = self._parts.l.nodes
        all_points = self.points(nodes[0], nodes[-1], nodes[:0])
        parts = [points.over_panels(self.drift(points)) for points in all_points]
        return np.cumsum(np.concatenate([np.zeros_like(parts[0][:1]), *parts]), axis=0)


def _nodes(lam: Any) -> np.ndarray:
    nodes = _real(lam, "lam")
    if nodes.ndim != 1 or len(nodes) < 2:
        raise InvalidArgument(f"lam has shape {nodes.shape}; it must be (n,) with n >= 2")
    if not (np.diff(nodes) > 0).all():
        raise InvalidArgument(
            "lam must increase, from noise to data; turn lam, l, s and b around if it falls"
        )
    return nodes


def _real(value: Any, argument: str) -> np.ndarray:
    array = finite_array(value, argument)
    if array.dtype.kind == "c":
        raise InvalidArgument(f"{argument} is complex; it must be real")
    return array


def _sample_shape(count: int, given: dict[str, np.ndarray]) -> tuple[int, ...]:
    for name, array in given.items():
        if array.ndim and len(array) != count:
            raise InvalidArgument(
                f"{name} has shape {array.shape}; its first axis must have the length {count} of "
                "lam, or it must be one number"
            )
    shapes = [array.shape[1:] for array in given.values()]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        told = ", ".join(f"{name} {array.shape}" for name, array in given.items())
        raise InvalidArgument(
            f"l, s and b have shapes that do not broadcast against each other: {told}"
        ) from None


def _filled(array: np.ndarray, count: int, shape: tuple[int, ...]) -> np.ndarray:
    inner = array.shape[1:]
    first = len(array) if array.ndim else 1
    spread = array.reshape(first, *(1 for _ in shape[len(inner) :]), *inner)
    return np.array(np.broadcast_to(spread, (count, *shape)))


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
