"""Exact self-checks of methods, from the data alone: no ODE is solved, no number is rounded.

Each check returns what holds, so that a test compares it with what is declared. A classical order
is proved by the order conditions over bicoloured rooted trees (Berland, Owren and Skaflestad 2005):
nodes are N (any number of children) or L (one child or none); z = h L is expanded in powers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cache
from math import factorial
from typing import Any

from semilinear.errors import InvalidArgument, shown
from semilinear.given import whole_number
from semilinear.methods.multistep import Multistep, at_uniform_points, slot
from semilinear.methods.rows import Combine, Lagrange, Spaced, Weight
from semilinear.methods.tableau import Tableau
from semilinear.phi import ZERO, Phi, phi

Tree = tuple[str, tuple["Tree", ...]]

MOST_MOMENTS = 12
"""Up to which order moments are looked at: more than any method has."""


def has_row_sums(tableau: Tableau) -> bool:
    """Tell whether a constant N is integrated exactly at every stage.

    ``sum_j a_ij = c_i phi_1(c_i z)`` and ``sum_j b_j = phi_1(z)``.
    """
    rows = zip((*tableau.c, Fraction(1)), (*tableau.a, tableau.b), strict=True)
    return all(
        _total(row) == (c * phi(1, 0, c) if c else ZERO).for_constant_linear_part()
        for c, row in rows
    )


def phi_moments(tableau: Tableau) -> int:
    """Return up to which q the weights satisfy ``sum_j b_j c_j^(q-1) / (q-1)! = phi_q(z)``."""
    q = 0
    while q < MOST_MOMENTS:
        moment = _total(
            tuple(b * (c**q / factorial(q)) for b, c in zip(tableau.b, tableau.c, strict=True))
        )
        if moment != phi(q + 1):
            return q
        q += 1
    return q


def is_first_same_as_last(tableau: Tableau) -> bool:
    """Tell whether the last stage is the new value, so that its N serves the next step."""
    return tableau.c[-1] == 1 and tableau.a[-1] == tableau.b[:-1] and tableau.b[-1] == ZERO


def embedded_value(tableau: Tableau) -> Tableau:
    """Return the method whose new value is the embedded one, for any check of a tableau.

    N at the new value is one more stage, at node 1 with the weights b. The orders that it declares
    are `embedded_order` and, as stiff order, that or the pair's, whichever is lower.
    """
    if not tableau.is_pair:
        raise InvalidArgument(f"{tableau.name} has no embedded value")
    c, a = tableau.c, tableau.a
    if tableau.estimate_reads_end:
        c, a = (*c, Fraction(1)), (*a, tableau.b)
    return replace(
        tableau,
        name=f"{tableau.name} (embedded)",
        c=c,
        a=a,
        b=tableau.embedded,
        order=tableau.embedded_order,
        stiff_order=min(tableau.stiff_order, tableau.embedded_order),
        embedded=(),
        embedded_order=0,
    )


@cache
def blind_moments(tableau: Tableau) -> int:
    """Return how many powers of theta, 1 first, the estimate takes for nothing whatever z is.

    ``sum_j (b_j - bhat_j) c_j^m = 0`` for m below the result, at most 12. Up to `embedded_order` a
    pair is *robust* (Zoto and Bowman 2023); above, N that depends on t alone makes the estimate
    smaller than that order says, or 0 altogether.
    """
    nodes = (*tableau.c, Fraction(1))
    m = 0
    while m < MOST_MOMENTS:
        pairs = zip(tableau.error, nodes, strict=False)
        if _total(tuple(weight * c**m for weight, c in pairs)) != ZERO:
            return m
        m += 1
    return m


def adams_moments(method: Multistep, *, corrector: bool = False) -> int:
    """Return how many powers of theta the weights integrate exactly on a uniform grid.

    ``sum_j W_j theta_j^m = m! phi_{m+1}(z)`` for m below the result; of the predictor, or of the
    corrector. `InvalidArgument` for a method that has none.
    """
    return next((m for m, lack in _lacks(method, corrector) if lack), MOST_MOMENTS)


def adams_order(method: Multistep, *, linear: bool = True) -> int:
    """Return the order of a multistep method on a uniform grid for constant L and B, at most 12.

    What the weights lack of the moment m, ``sum_j W_j theta_j^m - m! phi_{m+1}(z) = O(z^k)``, costs
    ``h^(m+k+1)`` in a step: the order is the least m + k. Of a predictor-corrector pair it is that
    of the corrector, and one more than that of the predictor at most.

    Parameters
    ----------
    linear
        With False, the order for L = 0, where k is 0 or nothing is lacking. Weights behind phi_1
        alone may have more of it there.
    """
    order = _order(method, linear, corrector=False)
    return order if method.mode == "P" else min(order + 1, _order(method, linear, corrector=True))


def _order(method: Multistep, linear: bool, *, corrector: bool) -> int:
    order = MOST_MOMENTS
    for m, lack in _lacks(method, corrector):
        if m >= order:
            break
        series = lack.series(order - m if linear else 1)
        order = next((m + k for k, term in enumerate(series) if term), order)
    return order


def _lacks(method: Multistep, corrector: bool) -> Iterator[tuple[int, Phi]]:
    """Yield m and what the weights of a multistep method have too much of the moment m."""
    given: Any = method
    if not isinstance(given, Multistep):
        raise InvalidArgument(
            f"method={shown(given)} must be a Multistep; of a Tableau, classical_order(method) is "
            "the order"
        )
    step = method.step(method.history, evaluated=True)
    rows = [row for row in step.instructions if isinstance(row, Combine)]
    if corrector and len(rows) < 2:
        raise InvalidArgument(f"{method.name} has mode {method.mode}, without a corrector")
    offsets = {slot(q): q for q in range(-method.history, 2)}
    used = [(offsets[name], _on_uniform_grid(w)) for name, w in rows[corrector].inputs]
    for m in range(MOST_MOMENTS):
        moment = _total(tuple(weight * Fraction(q) ** m for q, weight in used))
        yield m, moment - factorial(m) * phi(m + 1)


def _on_uniform_grid(weight: Weight) -> Phi:
    """Return a weight of a multistep method for steps of equal length."""
    match weight:
        case Lagrange(j, nodes, moments):
            return uniform_weights(list(nodes), dict(moments))[j]
        case Spaced(ratio, factor):
            return factor * at_uniform_points(ratio)
    assert isinstance(weight, Phi)
    return weight


def uniform_weights(nodes: list[int], moments: Mapping[int, Phi] | None = None) -> list[Phi]:
    """Return the Lagrange weights of grid offsets on a uniform grid, exactly.

    theta^m in the Lagrange polynomial becomes m! phi_{m+1}, or what `moments` puts in its place.
    """
    weights = []
    for j, own in enumerate(nodes):
        polynomial = [Fraction(1)]
        for other in (q for i, q in enumerate(nodes) if i != j):
            shifted = [Fraction(0), *polynomial]
            scaled = [*(-other * x for x in polynomial), Fraction(0)]
            polynomial = [(s + t) / (own - other) for s, t in zip(shifted, scaled, strict=True)]
        replaced = moments or {}
        terms = (x * replaced.get(m, factorial(m) * phi(m + 1)) for m, x in enumerate(polynomial))
        weights.append(_sum(terms))
    return weights


def classical_order(tableau: Tableau, *, up_to: int = 6) -> int:
    """Return the classical order, at most `up_to`, by the tree conditions."""
    given: Any = tableau
    if not isinstance(given, Tableau):
        raise InvalidArgument(
            f"tableau={shown(given)} must be a Tableau; of a Multistep, adams_moments(method) is "
            "the order of its predictor, with corrector=True that of its corrector"
        )
    for order in range(1, whole_number("up_to", up_to, least=1) + 1):
        for tree in trees(order):
            if elementary_weight(tableau, tree) != Fraction(1, density(tree)):
                return order - 1
    return up_to


def elementary_weight(tableau: Tableau, tree: Tree) -> Fraction:
    """Return the weight of a tree in the new value; the exact solution has 1 / density."""
    count = order_of(tree) + 1
    a = [[weight.series(count) for weight in row] for row in tableau.a]
    b = [weight.series(count) for weight in tableau.b]

    @cache
    def of_stage(i: int, tau: Tree) -> Fraction:
        return combine(tableau.c[i], a[i], tau)

    def combine(c: Fraction, row: list[tuple[Fraction, ...]], tau: Tree) -> Fraction:
        powers, rest = _linear_chain(tau)
        if rest is None:
            return c**powers / factorial(powers)
        total = Fraction(0)
        for j, weight in enumerate(row):
            if weight[powers]:
                product = weight[powers]
                for child in rest[1]:
                    product *= of_stage(j, child)
                total += product
        return total

    return combine(Fraction(1), b, tree)


def trees(order: int) -> tuple[Tree, ...]:
    """Return all bicoloured trees with `order` nodes in which L has at most one child."""
    return _trees(order)


@cache
def _trees(order: int) -> tuple[Tree, ...]:
    if order == 1:
        return (("N", ()), ("L", ()))
    linear = tuple(("L", (child,)) for child in _trees(order - 1))
    nonlinear = tuple(("N", children) for children in _forests(order - 1, None))
    return (*linear, *nonlinear)


def _forests(total: int, largest: Tree | None) -> Iterator[tuple[Tree, ...]]:
    if total == 0:
        yield ()
        return
    for size in range(total, 0, -1):
        for tree in _trees(size):
            if largest is None or (order_of(tree), tree) <= (order_of(largest), largest):
                for rest in _forests(total - size, tree):
                    yield (tree, *rest)


@cache
def order_of(tree: Tree) -> int:
    """Return the number of nodes."""
    return 1 + sum(order_of(child) for child in tree[1])


def density(tree: Tree) -> int:
    """Return gamma: the number of nodes times the densities of the subtrees."""
    product = order_of(tree)
    for child in tree[1]:
        product *= density(child)
    return product


def _linear_chain(tree: Tree) -> tuple[int, Tree | None]:
    powers = 0
    rest: Tree | None = tree
    while rest is not None and rest[0] == "L":
        powers += 1
        rest = rest[1][0] if rest[1] else None
    return powers, rest


def _sum(terms: Iterator[Phi] | tuple[Phi, ...]) -> Phi:
    total = ZERO
    for term in terms:
        total = total + term
    return total


def _total(row: tuple[Phi, ...]) -> Phi:
    return _sum(row).for_constant_linear_part()
