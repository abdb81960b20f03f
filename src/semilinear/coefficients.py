"""The numbers of a step: symbolic weights of its rows, asked of a propagator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import factorial
from typing import Any, NamedTuple

import numpy as np

from semilinear.methods.rows import (
    Combine,
    Increment,
    Lagrange,
    Remainder,
    Spaced,
    Step,
    Weight,
)
from semilinear.phi import Phi
from semilinear.phi_tables import combinations, has_phis, phi_table
from semilinear.propagators import Propagator
from semilinear.propagators.base import Coefficient

Points = Mapping[int, Any]
"""Grid times by offset from the start of the step: floats, or arrays over steps."""


class Extrapolation(NamedTuple):
    """What Adams predictors of all degrees share, asked of the propagator once for many steps.

    ``weights[k - 1][j]`` is the weight of the grid point t_{n-j} among the last k.
    """

    flow: Coefficient
    weights: list[list[Coefficient]]
    index: Any = ...
    """Which of the steps are meant."""

    def of(self, index: Any) -> Extrapolation:
        """Return the answers of some of the steps."""
        return self._replace(flow=self.flow[index], index=index)

    def weights_of(self, count: int) -> list[Coefficient]:
        """Return the weights of the last `count` grid points."""
        return [weight[self.index] for weight in self.weights[count - 1]]


def extrapolation(propagator: Propagator, points: Points, count: int) -> Extrapolation:
    """Ask for the flow of a step and for the weights of its last `count` grid points."""
    times = [points[-q] for q in range(count)]
    with np.errstate(invalid="ignore"):  # of made-up points, or of more than a last step looks at
        weights = weights_by_count(propagator, points[0], points[1], times)
    return Extrapolation(propagator.flow(points[0], points[1]), weights)


@lru_cache(maxsize=1024)
def extrapolates(step: Step) -> int:
    """Return from how many past grid points a step extrapolates; 0 if it does not."""
    nodes = (
        weight.nodes
        for row in step.instructions
        if isinstance(row, Combine)
        for _, weight in row.inputs
        if isinstance(weight, Lagrange) and _are_last(weight.nodes) and not weight.moments
    )
    return max(map(len, nodes), default=0)


def _are_last(nodes: tuple[int, ...]) -> bool:
    """Tell whether nodes are the last grid points, newest first, without a gap."""
    return nodes == tuple(range(0, -len(nodes), -1))


def step_coefficients(
    step: Step, propagator: Propagator, points: Points, *, shared: Extrapolation | None = None
) -> list[Coefficient]:
    """Return the coefficients of all rows of a step, in order, states before inputs in each row.

    Parameters
    ----------
    points
        ``points[q]`` is the time t_{n+q} for every q that the step looks at; 0 and 1 always.
    shared
        Answers of the propagator that are known already.
    """
    table = phi_table(step) if propagator.constant and has_phis(type(propagator)) else None
    if table is not None:
        return combinations(table, propagator, points[1] - points[0])
    read = _read(step)
    weights = _StepWeights(read.highest, propagator, points, shared)
    # The caller looks at what came out.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return [weights.of(weight) for weight in read.weights]


class _Term(NamedTuple):
    """A rational multiple of an atom, in floats; `of_state` if it multiplies a state."""

    factor: float
    k: int
    frm: float
    to: float
    of_state: bool
    at: float
    """Where the row lies that reads it."""


class _Rest(NamedTuple):
    """A `Remainder`, read."""

    to: float
    at: tuple[float, ...]
    weights: tuple[_Readable, ...]


_Readable = Lagrange | Increment | Spaced | tuple[_Term, ...] | _Rest


class _Read(NamedTuple):
    """The weights of a step in the order of its coefficients, read once."""

    weights: tuple[_Readable, ...]
    highest: dict[tuple[float, float], int]
    """Highest index of phi that is asked for on each interval."""


@lru_cache(maxsize=1024)
def _read(step: Step) -> _Read:
    weights: list[_Readable] = []
    for row in step.instructions:
        if isinstance(row, Combine):
            at = float(row.position)
            weights.extend(_terms(weight, at, of_state=True) for _, weight in row.states)
            weights.extend(_readable(weight, at) for _, weight in row.inputs)
    highest: dict[tuple[float, float], int] = {}
    for weight in weights:
        for term in _phis(weight):
            key = (term.frm, term.to)
            highest[key] = max(term.k, highest.get(key, 0))
    return _Read(tuple(weights), highest)


def _readable(weight: Weight, at: float) -> _Readable:
    if isinstance(weight, Remainder):
        read = tuple(_readable(own, at) for _, own in weight.inputs)
        return _Rest(float(weight.to), tuple(float(place) for place, _ in weight.inputs), read)
    return _terms(weight, at, of_state=False) if isinstance(weight, Phi) else weight


def _phis(weight: _Readable) -> tuple[_Term, ...]:
    """Return the phi-functions that a weight is made of."""
    if isinstance(weight, Lagrange):
        return tuple(term for _, own in weight.moments for term in _terms(own, 1.0, of_state=False))
    if isinstance(weight, Spaced):
        return _terms(weight.weight, 1.0, of_state=False)
    if isinstance(weight, _Rest):
        return tuple(term for own in weight.weights for term in _phis(own))
    return () if isinstance(weight, Increment) else weight


def _terms(weight: Phi, at: float, *, of_state: bool) -> tuple[_Term, ...]:
    return tuple(
        _Term(float(factor), k, float(frm), float(to), of_state, at)
        for (k, frm, to), factor in weight
    )


class _StepWeights:
    """Answers of one propagator on one step (or on an array of steps), each asked for once."""

    def __init__(
        self,
        highest: dict[tuple[float, float], int],
        propagator: Propagator,
        points: Points,
        shared: Extrapolation | None,
    ) -> None:
        self.highest = highest
        self.propagator = propagator
        self.points = points
        self.shared = shared
        self.flows: dict[tuple[float, float], Coefficient] = {}
        if shared is not None:
            self.flows[0.0, 1.0] = shared.flow
        self.phis: dict[tuple[float, float], list[Coefficient]] = {}
        self.lagrange: dict[Any, list[Coefficient]] = {}

    def of(self, weight: _Readable) -> Coefficient:
        """Return a weight in numbers."""
        if isinstance(weight, _Rest):
            return self.remainder(weight)
        if isinstance(weight, Lagrange):
            if weight.moments:
                return self.simplified_weights(weight.nodes, weight.moments)[weight.j]
            return self.lagrange_weights(weight.nodes)[weight.j]
        if isinstance(weight, Spaced):
            own = self.combined(_terms(weight.weight, 1.0, of_state=False))
            return weight.ratio.value(self.points) * own
        return self.noise(weight) if isinstance(weight, Increment) else self.combined(weight)

    def time(self, c: float) -> Any:
        if c == int(c):
            return self.points[int(c)]
        start = self.points[0]
        return start + c * (self.points[1] - start)

    def flow(self, frm: float, to: float) -> Coefficient:
        if frm == to:
            return 1.0
        if (frm, to) not in self.flows:
            self.flows[frm, to] = self.propagator.flow(self.time(frm), self.time(to))
        return self.flows[frm, to]

    def combined(self, terms: tuple[_Term, ...]) -> Coefficient:
        """Return the weight of a state, or of a value of N with the step length included."""
        total: Coefficient = None
        for factor, k, frm, to, of_state, at in terms:
            value = self.flow(frm, to) if of_state else self.scaled_phi(k, frm, to)
            if to != at and not of_state:
                value = value * self.propagator.gauge(self.time(to), self.time(at))
            if factor != 1.0:
                value = factor * value
            total = value if total is None else total + value
        return 0.0 if total is None else total

    def scaled_phi(self, k: int, frm: float, to: float) -> Coefficient:
        """Return h phi_k over [frm, to]; phi_0 of an input carries B at the left end."""
        a, b = self.time(frm), self.time(to)
        if k == 0:
            length = self.points[1] - self.points[0]
            return length * (self.flow(frm, to) * self.propagator.input_weight(a))
        if (frm, to) not in self.phis:
            count = self.highest[frm, to] - 1
            self.phis[frm, to] = self.propagator.integrals(a, b, [a] * count, b - a)
        return self.phis[frm, to][k - 1] * (1 / (factorial(k - 1) * (to - frm)))

    def noise(self, weight: Increment) -> Coefficient:
        """Return the weight of noise."""
        a, b = self.time(float(weight.frm)), self.time(float(weight.to))
        return self.flow(float(weight.to), float(weight.at)) * self.propagator.spread(a, b)

    def remainder(self, rest: _Rest) -> Coefficient:
        """Return what the weights of a row leave of the known part of N."""
        times = [self.time(c) for c in rest.at]
        weights = [self.of(weight) for weight in rest.weights]
        return self.propagator.remainder(self.time(0.0), self.time(rest.to), times, weights)

    def simplified_weights(
        self, nodes: tuple[int, ...], simpler: tuple[tuple[int, Phi], ...]
    ) -> list[Coefficient]:
        """Return the weights of all nodes with some moments replaced."""
        if (nodes, simpler) not in self.lagrange:
            a, b = self.points[0], self.points[1]
            moments = self.propagator.integrals(a, b, [a] * (len(nodes) - 1), b - a)
            for m, weight in simpler:
                moments[m] = self.combined(_terms(weight, 1.0, of_state=False))
            offsets = [(self.points[q] - a) / (b - a) for q in nodes]
            self.lagrange[nodes, simpler] = weights_of_moments(offsets, moments)
        return self.lagrange[nodes, simpler]

    def lagrange_weights(self, nodes: tuple[int, ...]) -> list[Coefficient]:
        """Return the weights of all nodes."""
        if nodes in self.lagrange:
            return self.lagrange[nodes]
        if self.shared is not None and _are_last(nodes):
            self.lagrange[nodes] = self.shared.weights_of(len(nodes))
        else:
            times = [self.points[q] for q in nodes]
            a, b = self.points[0], self.points[1]
            self.lagrange[nodes] = weights_by_count(self.propagator, a, b, times)[-1]
        return self.lagrange[nodes]


def weights_by_count(
    propagator: Propagator, a: Any, b: Any, times: list[Any], *, unit: float | None = None
) -> list[list[Coefficient]]:
    """Return the Lagrange weights of the first 1, 2, ... of the nodes, by divided differences.

    With the Newton integrals I_m, ``W_j = sum_{m>=j} I_m / prod_{l<=m, l!=j} (t_j - t_l) / scale``,
    so that the weights of fewer nodes are partial sums. `unit` is the length in which distances of
    nodes are counted, b - a if not given.
    """
    scale = _scale(a, b, times[1] if len(times) > 1 else None) if unit is None else unit
    integrals = propagator.integrals(a, b, times[:-1], scale)
    denominators: list[Any] = []
    weights: list[Coefficient] = []
    by_count = []
    for m, integral in enumerate(integrals):
        own: Any = 1.0
        for j in range(m):
            difference = (times[j] - times[m]) / scale
            denominators[j] = denominators[j] * difference
            own = own * -difference
            weights[j] = weights[j] + (1.0 / denominators[j]) * integral
        denominators.append(own)
        weights.append((1.0 / own) * integral)
        by_count.append(list(weights))
    return by_count


def weights_of_moments(offsets: list[Any], moments: Sequence[Coefficient]) -> list[Coefficient]:
    """Return the weights W_j with ``sum_j W_j offsets_j^m = moments_m``, m below their number."""
    weights: list[Coefficient] = []
    for j, own in enumerate(offsets):
        polynomial: list[Any] = [1.0]  # coefficients of the Lagrange polynomial that is 1 there
        for other in (x for i, x in enumerate(offsets) if i != j):
            shifted = [0.0, *polynomial]
            scaled = [*(-other * x for x in polynomial), 0.0]
            polynomial = [(s + t) / (own - other) for s, t in zip(shifted, scaled, strict=True)]
        weights.append(sum(x * moment for x, moment in zip(polynomial, moments, strict=True)))
    return weights


def _scale(a: Any, b: Any, other: Any) -> Any:
    """Return the unit of length of nodes: b - a, or the step before it if b is infinite."""
    scale = b - a
    if np.ndim(scale) and not np.isfinite(scale).all():
        before = np.ones_like(scale) if other is None else a - other
        scale = np.where(np.isfinite(scale), scale, before)
    return scale
