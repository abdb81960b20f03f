"""The linear part of a tabulated quantity: the probability-flow ODE, entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semilinear.diffusion.piecewise import Points
from semilinear.diffusion.probability_flow import AlongPath
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.tabulated import Tabulated
from semilinear.diffusion.variables import Variable
from semilinear.propagators.base import Coefficient


class TabulatedFlow(AlongPath):
    """The probability-flow ODE in x, over a variable u, with a tabulated quantity as N.

    N = g + B: B is its known part. In y = x / alpha the flow is ``exp(-int l)`` and the weight of N
    ``-e^S`` dlambda; see `Tabulated`.

    Parameters
    ----------
    schedule
        Noise schedule.
    variable
        Independent variable.
    table
        What is treated as N.
    """

    form = "elementwise"
    constant = False

    def __init__(self, schedule: NoiseSchedule, variable: Variable, table: Tabulated) -> None:
        self.schedule, self.variable, self.table = schedule, variable, table

    def __repr__(self) -> str:
        return f"TabulatedFlow({self.schedule!r}, {self.variable.name}, {self.table!r})"

    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        self.table.check_state(shape, argument=argument)

    def input_weight(self, t: Any) -> Coefficient:
        alpha, sigma = self.variable.alpha_sigma(self.schedule, t)
        rate = self.variable.drho(self.schedule, t) * (alpha / sigma)  # -dlambda/du
        return alpha * rate * np.exp(self.table.grown(self._lam(t)))

    def flow(self, a: Any, b: Any) -> Coefficient:
        before, after = self.table.decayed(self._lam(a)), self.table.decayed(self._lam(b))
        return self.gauge(a, b) * np.exp(before - after)

    def integrals(self, a: Any, b: Any, nodes: Sequence[Any], scale: Any) -> list[Coefficient]:
        low, high, sign = self._range(a, b)
        end = self.table.decayed(self._lam(b)).reshape(-1)
        totals = np.zeros((len(nodes) + 1, end.size))
        for points in self.table.points(low, high, self._breaks):
            kernel = self._kernel(points, end)
            basis = [points.weight]
            u = self.variable.of_lam(self.schedule, points.lam) if nodes else points.lam
            for node in nodes:
                basis.append(basis[-1] * ((u - node) / scale))
            totals += np.tensordot(np.stack(basis), kernel, axes=2)
        factor = -sign * self._alpha(b)
        return [factor * total.reshape(self.table.shape) for total in totals]

    def remainder(
        self, a: Any, b: Any, times: Sequence[Any], weights: Sequence[Coefficient]
    ) -> Coefficient:
        low, high, sign = self._range(a, b)
        # B begins at 0 where the step does, as published: what follows are differences.
        start = self.table.drifted(self._lam(a))
        end = self.table.decayed(self._lam(b)).reshape(-1)
        so_far = (self.table.drifted(low) - start).reshape(-1)
        total = np.zeros_like(end)
        for points in self.table.points(low, high, self._breaks):
            known, last = points.upto(self.table.drift(points))
            known += so_far
            known *= self._kernel(points, end)
            total += points.over_panels(known).sum(axis=0)
            so_far = so_far + last
        answer = -sign * self._alpha(b) * total.reshape(self.table.shape)
        for t, weight in zip(times, weights, strict=True):
            answer = answer - weight * (self.table.drifted(self._lam(t)) - start)
        return answer

    def _kernel(self, points: Points, end: np.ndarray) -> np.ndarray:
        """Return exp(S - int l from there to the end)."""
        kernel = self.table.kernel(points)
        kernel -= end
        np.exp(kernel, out=kernel)
        return kernel

    def _range(self, a: Any, b: Any) -> tuple[float, float, float]:
        """Return the ends in lambda, ordered, and the direction."""
        one, other = float(self._lam(a)), float(self._lam(b))
        return min(one, other), max(one, other), 1.0 if other >= one else -1.0
