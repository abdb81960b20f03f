"""The numbers of a step: symbolic weights of its rows, asked of a propagator."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from math import factorial
from typing import Any, NamedTuple

import numpy as np

from semilinear.methods.rows import Combine, Lagrange, Step, Weight
from semilinear.phi import Phi
from semilinear.propagators import Propagator
from semilinear.propagators.base import Coefficient

Points = Mapping[int, Any]
"""Grid times by offset from the start of the step: floats, or arrays over steps."""


class Extrapolation(NamedTuple):
    """What Adams predictors of all degrees share, asked of the propagator once for many steps.

    The Newton integrals of the nodes t_n, t_{n-1}, ... of a lower degree are the first ones of a
    higher degree.
    """

    flow: Coefficient
    integrals: list[Coefficient]

    def of(self, index: Any) -> Extrapolation:
        """Return the answers of some of the steps."""
        return Extrapolation(self.flow[index], [x[index] for x in self.integrals])


def extrapolation(propagator: Propagator, points: Points, count: int) -> Extrapolation:
    """Ask for the flow of a step and for the Newton integrals of its last `count` grid points."""
    a, b = points[0], points[1]
    nodes = [points[-q] for q in range(count - 1)]
    scale = _scale(a, b, points[-1] if count > 1 else None)
    return Extrapolation(propagator.flow(a, b), propagator.integrals(a, b, nodes, scale))


@lru_cache(maxsize=1024)
def extrapolates(step: Step) -> int:
    """Return from how many past grid points a step extrapolates; 0 if it does not."""
    nodes = (
        weight.nodes
        for row in step.instructions
        if isinstance(row, Combine)
        for _, weight in row.inputs
        if isinstance(weight, Lagrange) and weight.nodes[0] == 0
    )
    return max(map(len, nodes), default=0)


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
    weights = _StepWeights(step, propagator, points, shared)
    numbers: list[Coefficient] = []
    for row in step.instructions:
        if isinstance(row, Combine):
            numbers.extend(weights.of_state(weight) for _, weight in row.states)
            numbers.extend(weights.of_input(weight) for _, weight in row.inputs)
    return numbers


@lru_cache(maxsize=1024)
def _highest_phis(step: Step) -> dict[tuple[Fraction, Fraction], int]:
    """Return the highest index of phi that inputs of a step ask for on each interval."""
    highest: dict[tuple[Fraction, Fraction], int] = {}
    for row in step.instructions:
        if isinstance(row, Combine):
            for _, weight in row.inputs:
                for (k, frm, to), _ in weight if isinstance(weight, Phi) else ():
                    highest[frm, to] = max(k, highest.get((frm, to), 0))
    return highest


class _StepWeights:
    """Answers of one propagator on one step (or on an array of steps), each asked for once."""

    def __init__(
        self, step: Step, propagator: Propagator, points: Points, shared: Extrapolation | None
    ) -> None:
        self.propagator = propagator
        self.points = points
        self.shared = shared
        self.highest = _highest_phis(step)
        self.flows: dict[tuple[Fraction, Fraction], Coefficient] = {}
        if shared is not None:
            self.flows[Fraction(0), Fraction(1)] = shared.flow
        self.phis: dict[tuple[Fraction, Fraction], list[Coefficient]] = {}
        self.lagrange: dict[tuple[int, ...], list[Coefficient]] = {}

    def time(self, c: Fraction) -> Any:
        if c == 1:
            return self.points[1]
        start = self.points[0]
        return start if c == 0 else start + float(c) * (self.points[1] - start)

    def flow(self, frm: Fraction, to: Fraction) -> Coefficient:
        if frm == to:
            return 1.0
        if (frm, to) not in self.flows:
            self.flows[frm, to] = self.propagator.flow(self.time(frm), self.time(to))
        return self.flows[frm, to]

    def of_state(self, weight: Phi) -> Coefficient:
        """Weight of a state: flows only."""
        return _sum([(float(x), self.flow(frm, to)) for (_, frm, to), x in weight])

    def of_input(self, weight: Weight) -> Coefficient:
        """Weight of a value of N, the step length included."""
        if isinstance(weight, Lagrange):
            return self.lagrange_weights(weight.nodes)[weight.j]
        return _sum([(float(x), self.scaled_phi(*atom)) for atom, x in weight])

    def scaled_phi(self, k: int, frm: Fraction, to: Fraction) -> Coefficient:
        """Return h phi_k over [frm, to]; phi_0 of an input carries B at the left end."""
        a, b = self.time(frm), self.time(to)
        if k == 0:
            length = self.points[1] - self.points[0]
            weight = self.propagator.input_weight(a)
            return length * (self.flow(frm, to) * weight)
        if (frm, to) not in self.phis:
            count = self.highest[frm, to] - 1
            self.phis[frm, to] = self.propagator.integrals(a, b, [a] * count, b - a)
        return self.phis[frm, to][k - 1] * (1 / (factorial(k - 1) * float(to - frm)))

    def lagrange_weights(self, nodes: tuple[int, ...]) -> list[Coefficient]:
        """Return the weights of all nodes, by divided differences of the Newton integrals."""
        if nodes not in self.lagrange:
            times = [self.points[q] for q in nodes]
            a, b = self.points[0], self.points[1]
            scale = _scale(a, b, times[1] if len(times) > 1 else None)
            if self.shared is not None and nodes[0] == 0:
                integrals = self.shared.integrals[: len(nodes)]
            else:
                integrals = self.propagator.integrals(a, b, times[:-1], scale)
            self.lagrange[nodes] = [
                _lagrange_weight(j, times, scale, integrals) for j in range(len(nodes))
            ]
        return self.lagrange[nodes]


def _scale(a: Any, b: Any, other: Any) -> Any:
    """Return the unit of length of nodes: b - a, or the step before it if b is infinite."""
    scale = b - a
    if np.ndim(scale) and not np.isfinite(scale).all():
        before = np.ones_like(scale) if other is None else np.where(other == a, 1.0, a - other)
        scale = np.where(np.isfinite(scale), scale, before)
    return scale


def _lagrange_weight(j: int, times: list[Any], scale: Any, integrals: list[Coefficient]) -> Any:
    """Return ``sum_{m>=j} I_m / prod_{l<=m, l!=j} (t_j - t_l) / scale``."""
    denominator: Any = 1.0
    total: Any = 0.0
    for m, integral in enumerate(integrals):
        if m != j:
            denominator = denominator * ((times[j] - times[m]) / scale)
        if m >= j:
            total = total + (1.0 / denominator) * integral
    return total


def _sum(terms: list[tuple[float, Coefficient]]) -> Coefficient:
    total: Coefficient = None
    for factor, value in terms:
        scaled = value if factor == 1.0 else factor * value
        total = scaled if total is None else total + scaled
    return 0.0 if total is None else total
