"""Coefficients of a step for a constant linear part: one product with its phi-functions."""

from __future__ import annotations

from functools import cache, lru_cache
from math import factorial
from typing import NamedTuple

import numpy as np

from semilinear.methods.rows import Combine, Step
from semilinear.phi import Phi
from semilinear.propagators import Propagator
from semilinear.propagators.base import Coefficient


@cache
def has_phis(kind: type[Propagator]) -> bool:
    """Tell whether a class answers by `phis` as it does by `integrals`.

    A subclass that gives other integrals, and inherits `phis`, does not.
    """

    def owner(name: str) -> type:
        return next(base for base in kind.__mro__ if name in vars(base))

    own = owner("phis")
    return own is not Propagator and issubclass(own, owner("integrals"))


class PhiTable(NamedTuple):
    """Coefficients of a step as combinations of phi-functions of a constant linear part.

    Coefficient c is ``sum_lk factors[c, l, k] phi_k(lengths[l] h L)``, times h B if `of_input[c]`.
    """

    lengths: np.ndarray
    factors: np.ndarray
    of_input: np.ndarray

    @property
    def numbers(self) -> list[float | None]:
        """The coefficients that are numbers, whatever L is: of intervals of length 0 alone."""
        own = [1 / factorial(k) for k in range(self.factors.shape[2])]
        vary = np.count_nonzero(self.factors[:, self.lengths != 0.0], axis=(1, 2))
        fixed = self.factors[:, self.lengths == 0.0].sum(axis=1) @ own  # phi_k(0)
        return [None if v else float(x) for v, x in zip(vary, fixed, strict=True)]


@lru_cache(maxsize=1024)
def phi_table(step: Step) -> PhiTable | None:
    """Return the weights of a step as a table; None if not all of them are phi-functions."""
    found: list[tuple[Phi, bool]] = []
    for row in step.instructions:
        if isinstance(row, Combine):
            found += [(weight, False) for _, weight in row.states]
            inputs = [(weight, True) for _, weight in row.inputs if isinstance(weight, Phi)]
            if len(inputs) < len(row.inputs):
                return None
            found += inputs
    plain = [weight.for_constant_linear_part() for weight, _ in found]
    lengths = sorted({length for weight in plain for (_, _, length), _ in weight})
    highest = max((k for weight in plain for (k, _, _), _ in weight), default=0)
    factors = np.zeros((len(plain), len(lengths), max(1, highest) + 1))
    for c, weight in enumerate(plain):
        for (k, _, length), factor in weight:
            factors[c, lengths.index(length), k] = float(factor)
    of_input = np.array([own for _, own in found], dtype=bool)
    return PhiTable(np.array([float(length) for length in lengths]), factors, of_input)


def combinations(table: PhiTable, propagator: Propagator, h: float) -> list[Coefficient]:
    """Return the coefficients of a step of length h."""
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at what came out
        phis = propagator.phis(h * table.lengths, table.factors.shape[2] - 1)
        flat = phis.reshape(len(table.lengths) * len(phis), -1)
        matrix = table.factors.transpose(0, 2, 1).reshape(len(table.factors), -1)
        rows = (matrix @ flat).reshape(len(matrix), *phis.shape[2:])
        if propagator.form == "matrix":  # a multiple of the identity is no work for a matrix
            rows = [row if x is None else x for row, x in zip(rows, table.numbers, strict=True)]
        scale = h * propagator.input_weight(0.0)
        return [scale * row if own else row for row, own in zip(rows, table.of_input, strict=True)]
