"""The stiff order of an exponential Runge-Kutta method, proved exactly from its data.

Conditions of Hochbruck and Ostermann (2005) and of Luan and Ostermann (2013, 2014): one for each
rooted tree. With the defects of the stages,
``psi_{k,i} = sum_j a_ij c_j^{k-1} / (k-1)! - c_i^k phi_k(c_i z)``, they read, for arbitrary bounded
operators J, K, ... between the factors::

    order 1, 2, ..:  sum_i b_i c_i^{k-1} / (k-1)! = phi_k
    order 3:         sum_i b_i J psi_{2,i} = 0
    order 4:         sum_i b_i J psi_{3,i} = 0,   sum_i b_i J sum_j a_ij J psi_{2,j} = 0,
                     sum_i b_i c_i K psi_{2,i} = 0

and so on. Order p holds if all conditions up to p - 1 do, and those of order p with b_i(0). An
operator that does not commute with z stands between two factors, so a condition is an identity
of tensors: products of atoms, in order, with rational coefficients.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import factorial

from semilinear.methods.checks import has_row_sums
from semilinear.methods.tableau import Tableau
from semilinear.phi import ZERO, Atom, Phi, phi

Tensor = dict[tuple[Atom, ...], Fraction]
Stages = list[Tensor]
"""One tensor for each stage."""


def stiff_order(tableau: Tableau, *, up_to: int = 6) -> int:
    """Return the stiff order, at most `up_to`, by the conditions of all rooted trees."""
    for order in range(1, up_to + 1):
        if order > 1 and not has_row_sums(tableau):
            return order - 1
        if any(conditions(tableau, order, weak=True)):
            return order - 1
        if any(conditions(tableau, order, weak=False)):
            return order
    return up_to


def conditions(tableau: Tableau, order: int, *, weak: bool) -> Iterator[Tensor]:
    """Yield what must vanish for this order: empty where it does."""
    b = [_at_zero(w) if weak else _tensor(w) for w in tableau.b]
    moment = ZERO
    for weight, c in zip(tableau.b, tableau.c, strict=True):
        moment = moment + weight * (c ** (order - 1) / factorial(order - 1))
    yield (_at_zero if weak else _tensor)(moment - phi(order))
    for branches in _forests(tableau, order - 1):
        yield _contracted(b, branches)


def _forests(tableau: Tableau, order: int) -> Iterator[Stages]:
    """Yield c_i^m times products of defects, of this order together, at least one of them."""
    for parts in _partitions(order):
        power = order - sum(parts)
        products: list[Stages] = [[{(): c**power} for c in tableau.c]]
        for part in parts:
            products = [
                [_times(x, y) for x, y in zip(product, branch, strict=True)]
                for product in products
                for branch in _defects(tableau, part)
            ]
        yield from products


def _defects(tableau: Tableau, order: int) -> Iterator[Stages]:
    """Yield psi_{order,i}, and what the stages make of defects of lower order."""
    own: Stages = []
    for c, row in zip(tableau.c, tableau.a, strict=True):
        total = -(c**order) * phi(order, 0, c) if c else ZERO
        for weight, node in zip(row, tableau.c, strict=False):
            total = total + weight * (node ** (order - 1) / factorial(order - 1))
        own.append(_tensor(total))
    yield own
    rows = [[_tensor(weight) for weight in row] for row in tableau.a]
    for branches in _forests(tableau, order - 1):
        yield [_contracted(row, branches[: len(row)]) for row in rows]


def _partitions(total: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """Yield non-increasing parts of at least 2 whose sum is at most `total`, at least one part."""
    for part in range(total if largest is None else min(total, largest), 1, -1):
        yield (part,)
        for rest in _partitions(total - part, part):
            yield (part, *rest)


def _tensor(weight: Phi) -> Tensor:
    return {(atom,): value for atom, value in weight.for_constant_linear_part()}


def _at_zero(weight: Phi) -> Tensor:
    (value,) = weight.series(1)
    return {(): value} if value else {}


def _times(x: Tensor, y: Tensor) -> Tensor:
    return {u + v: s * t for u, s in x.items() for v, t in y.items() if s * t}


def _contracted(weights: Stages, values: Stages) -> Tensor:
    total: Tensor = {}
    for weight, value in zip(weights, values, strict=True):
        for word, coefficient in _times(weight, value).items():
            total[word] = total.get(word, Fraction(0)) + coefficient
    return {word: coefficient for word, coefficient in total.items() if coefficient}
