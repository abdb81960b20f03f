"""The tableaux under test, and tableaux like them with other weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from semilinear import methods
from semilinear.methods import Tableau, checks, exponential_runge_kutta
from semilinear.methods.stiff import stiff_order
from semilinear.phi import Atom, Phi, phi

_REGISTERED = {name: methods.get(name) for name in methods.names()}
_TABLEAUX = {n: m for n, m in _REGISTERED.items() if isinstance(m, Tableau)}

REGISTERED_LAWSON = {n: m for n, m in _TABLEAUX.items() if n.startswith("lawson")}
REGISTERED_ETDRK = {n: m for n, m in _TABLEAUX.items() if n not in REGISTERED_LAWSON}
ETD2RK_FAMILY = {
    f"etd2rk({c})": methods.etd2rk(Fraction(c)) for c in ("1/4", "1/3", "1/2", "2/3", "3/4", "1")
}
LAWSON = {f"lawson({n})": methods.lawson(tableau) for n, tableau in methods.CLASSICAL.items()}
PAIRS = {n: m for n, m in _TABLEAUX.items() if m.is_pair}
EMBEDDED = {n: checks.embedded_value(pair) for n, pair in PAIRS.items()}

SLIP = Fraction(1, 97)

Place = tuple[int, int]
"""Row and column of a weight, numbered from 1; the last row is b."""


def weights(tableau: Tableau) -> dict[Place, Phi]:
    """Return all weights by their place."""
    rows = enumerate((*tableau.a, tableau.b), start=1)
    return {(i, j): w for i, row in rows for j, w in enumerate(row, start=1)}


def with_weight(tableau: Tableau, place: Place, weight: Phi) -> Tableau:
    """Return the tableau with one other weight."""
    rows = [list(row) for row in (*tableau.a, tableau.b)]
    rows[place[0] - 1][place[1] - 1] = weight
    *a, b = (tuple(row) for row in rows)
    return replace(tableau, a=tuple(a), b=b)


def with_weights(tableau: Tableau, changed: Mapping[Place, Phi]) -> Tableau:
    """Return the tableau with other weights off the first column, which follows from row sums."""
    last = len(tableau.a) + 1
    new = {place: w for place, w in (weights(tableau) | dict(changed)).items() if place[1] > 1}
    return exponential_runge_kutta(
        tableau.name,
        tableau.c,
        {place: w for place, w in new.items() if place[0] < last},
        {place[1]: w for place, w in new.items() if place[0] == last},
        order=tableau.order,
        stiff_order=tableau.stiff_order,
        reference=tableau.reference,
    )


def is_exact_along_the_flow(tableau: Tableau) -> bool:
    """Tell whether ``N(t) = Psi(t, 0) w``, w constant, is integrated exactly at every stage.

    The integral up to c_i is ``c_i Psi(c_i, 0) w``. A weight ``x Psi(c_i, c_j)`` contributes
    ``x Psi(c_i, 0) w`` for whatever L(t); no other weight contributes a multiple of that.
    """
    nodes = (*tableau.c, Fraction(1))
    sums = [Fraction(0) for _ in nodes]
    for (i, j), weight in weights(tableau).items():
        for atom, value in weight:
            if atom != (0, nodes[j - 1], nodes[i - 1]):
                return False
            sums[i - 1] += value
    return tuple(sums) == nodes


def mutants(weight: Phi, ends: set[Fraction]) -> Iterator[tuple[str, Phi]]:
    """Yield the weight with one coefficient, index or interval length changed, and what it was."""
    for atom, value in weight:
        one = Phi({atom: Fraction(1)})
        rest = weight - value * one
        yield f"{atom}: {value} + 1/97", weight + SLIP * one
        yield f"{atom}: sign", weight - 2 * value * one
        if atom.k:
            yield f"{atom}: index", rest + value * phi(atom.k + 1, atom.frm, atom.to)
        for end in ends - {atom.to}:
            if _is_atom(atom, end):
                yield f"{atom}: end {end}", rest + value * phi(atom.k, atom.frm, end)


def _is_atom(atom: Atom, end: Fraction) -> bool:
    return end >= atom.frm if atom.k == 0 else end > atom.frm


def is_noticed(wrong: Tableau, moments: int) -> bool:
    """Tell whether one of the checks contradicts what the tableau declares; cheap ones first."""
    return (
        checks.phi_moments(wrong) < moments
        or stiff_order(wrong, up_to=wrong.stiff_order) < wrong.stiff_order
        or checks.classical_order(wrong, up_to=wrong.order) < wrong.order
    )
