"""Misprints that stand in papers and in code: the checks notice every one.

Most of them leave the row sums intact, since the first column of a tableau follows from the rest,
and some leave the classical order intact: only the conditions of stiff order tell.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from semilinear import methods
from semilinear.methods import Tableau, checks, etdrk, exponential_runge_kutta
from semilinear.methods.stiff import stiff_order
from semilinear.phi import Phi, phi
from tableaux import Place, with_weights

HALF = Fraction(1, 2)


def fifth_row(a52: Phi) -> dict[Place, Phi]:
    """Return the fifth row of Hochbruck and Ostermann, eq. 5.19, with this a_52."""
    return {(5, 2): a52, (5, 3): a52, (5, 4): Fraction(1, 4) * phi(2, 0, HALF) - a52}


HOCHBRUCK_OSTERMANN3 = exponential_runge_kutta(
    "hochbruck_ostermann3",
    (0, Fraction(1, 3), Fraction(2, 3)),
    {(3, 2): Fraction(4, 3) * phi(2, 0, Fraction(2, 3))},
    {3: Fraction(3, 2) * phi(2)},
    order=3,
    stiff_order=3,
    reference="Hochbruck and Ostermann (2005), eq. 5.9",
)
KROGSTAD4, HO4 = etdrk.KROGSTAD4, etdrk.HOCHBRUCK_OSTERMANN4
P2, P3, P2_HALF, P3_HALF = phi(2), phi(3), phi(2, 0, HALF), phi(3, 0, HALF)
MISPRINTS = {
    # Name: (tableau, weights by place, classical order, stiff order).
    "krogstad4 with a32 of Strehmel and Weiner": (KROGSTAD4, {(3, 2): HALF * P2_HALF}, 2, 2),
    "krogstad4 with phi_2(z/2) in a43": (KROGSTAD4, {(4, 3): 2 * P2_HALF}, 3, 2),
    "krogstad4 with phi_2(z) in a32": (KROGSTAD4, {(3, 2): P2}, 3, 2),
    "hochbruck_ostermann4 with phi_3(z) and phi_3(z/2) swapped": (
        HO4,
        fifth_row(HALF * P2_HALF - P3_HALF + Fraction(1, 4) * P2 - HALF * P3),
        4,
        3,
    ),
    "hochbruck_ostermann4 with phi_3(z/2) twice": (
        HO4,
        fifth_row(HALF * P2_HALF - P3_HALF + Fraction(1, 4) * P2 - HALF * P3_HALF),
        4,
        3,
    ),
    "hochbruck_ostermann4 with phi_2(z) for phi_3(z)": (
        HO4,
        fifth_row(HALF * P2_HALF - P2 + Fraction(1, 4) * P2 - HALF * P3_HALF),
        3,
        3,
    ),
    "hochbruck_ostermann3 with phi_2(z/3) in a32": (
        HOCHBRUCK_OSTERMANN3,
        {(3, 2): Fraction(4, 3) * phi(2, 0, Fraction(1, 3))},
        3,
        2,
    ),
    "hochbruck_ostermann3 with phi_2(z) in a32": (
        HOCHBRUCK_OSTERMANN3,
        {(3, 2): Fraction(4, 3) * P2},
        3,
        2,
    ),
    # Papers write phi_k(c z) or psi_k = c^k phi_k(c z).
    "strehmel_weiner4 with psi for phi": (
        etdrk.STREHMEL_WEINER4,
        {(3, 2): HALF * HALF**2 * P2_HALF},
        2,
        2,
    ),
    "etd4rk with phi_1(z) in a43": (etdrk.ETD4RK, {(4, 3): phi(1)}, 3, 2),
}


@pytest.mark.parametrize(
    ("tableau", "changed", "order", "stiff"), MISPRINTS.values(), ids=MISPRINTS
)
def test_misprints_are_noticed(
    tableau: Tableau, changed: dict[Place, Phi], order: int, stiff: int
) -> None:
    wrong = with_weights(tableau, changed)
    assert checks.has_row_sums(wrong), "the first column hides it from the row sums"
    assert (order, stiff) < (tableau.order, tableau.stiff_order)
    assert checks.classical_order(wrong, up_to=tableau.order) == order
    assert stiff_order(wrong, up_to=tableau.stiff_order) == stiff


def test_the_three_stage_method_of_the_misprints_has_order_three() -> None:
    assert checks.classical_order(HOCHBRUCK_OSTERMANN3, up_to=4) == 3
    assert stiff_order(HOCHBRUCK_OSTERMANN3, up_to=4) == 3


def test_lawson_weights_in_a_wrong_place_are_noticed() -> None:
    """``e^{c_i z}`` for ``e^{(c_i - c_j) z}``, as if every stage began at the start of the step."""
    right = methods.lawson(methods.CLASSICAL["rk4"])
    wrong = replace(right, b=tuple(w.series(1)[0] * phi(0) for w in right.b))
    assert checks.classical_order(wrong, up_to=4) == 1
