"""Lawson (integrating factor) methods: any classical Runge-Kutta tableau behind the exact flow."""

from __future__ import annotations

from fractions import Fraction

from semilinear.errors import UnknownName
from semilinear.methods.butcher import (
    CLASSICAL,
    DORMAND_PRINCE5,
    EULER,
    HEUN2,
    RALSTON3,
    RK4,
    Butcher,
)
from semilinear.methods.tableau import Tableau
from semilinear.phi import Phi, phi


def lawson(tableau: Butcher | str, *, name: str | None = None) -> Tableau:
    """Return the Lawson method of a classical tableau.

    ``a_ij -> a_ij Psi(c_i, c_j)`` and ``b_j -> b_j Psi(1, c_j)``: the classical method applied to
    Psi(0, t) y. With L = 0 it is the classical method itself. The stiff order is one. An embedded
    value is carried over in the same way; the weight of N at the new value stays a number.

    Parameters
    ----------
    tableau
        A classical explicit tableau, or the name of one in `CLASSICAL`.
    name
        Name of the result; ``"lawson(<tableau's name>)"`` if not given.

    Raises
    ------
    UnknownName
        If `tableau` is neither a `Butcher` nor the name of one in `CLASSICAL`.

    Notes
    -----
    A tableau whose nodes decrease (ssp3) needs the flow backwards, which a stiff linear part does
    not have: its rows grow like e^{|z|}, and such a problem is lost with it.

    References
    ----------
    Lawson (1967), SIAM J. Numer. Anal. 4, eq. 4.
    """
    if not isinstance(tableau, Butcher):
        UnknownName.check("tableau", tableau, CLASSICAL)
        tableau = CLASSICAL[tableau]
    nodes = (*tableau.c, Fraction(1))

    def row(i: int, weights: tuple[Fraction | int, ...]) -> tuple[Phi, ...]:
        return tuple(
            Fraction(weight) * phi(0, nodes[j], nodes[i]) for j, weight in enumerate(weights)
        )

    new = len(tableau.c)

    return Tableau(
        name=name or f"lawson({tableau.name})",
        c=tableau.c,
        a=tuple(row(i, weights) for i, weights in enumerate(tableau.a)),
        b=row(new, tableau.b),
        order=tableau.order,
        stiff_order=1,
        reference=f"Lawson (1967) with {tableau.reference}",
        embedded=row(new, tableau.embedded),
        embedded_order=tableau.embedded_order,
    )


LAWSON1 = lawson(EULER, name="lawson1")
LAWSON2 = lawson(HEUN2, name="lawson2")
LAWSON4 = lawson(RK4, name="lawson4")
LAWSON32 = lawson(RALSTON3, name="lawson32")
LAWSON54 = lawson(DORMAND_PRINCE5, name="lawson54")
