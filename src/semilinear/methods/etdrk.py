"""Exponential Runge-Kutta (ETDRK) methods.

Weights are phi functions over intervals anchored inside the step. Where a paper's phi_k(z/2) acts
on the second half of a step it is ``phi(k, 1/2, 1)``: for constant L nothing changes, for L(t) the
order survives.
"""

from __future__ import annotations

from fractions import Fraction

from semilinear.methods.tableau import Tableau, exponential_runge_kutta, inner_node
from semilinear.phi import Phi, phi

HALF = Fraction(1, 2)
THIRD = Fraction(1, 3)

_B4 = -phi(2) + 4 * phi(3)
_CLASSICAL_B = {2: 2 * phi(2) - 4 * phi(3), 3: 2 * phi(2) - 4 * phi(3), 4: _B4}
_MIDPOINT_B = {3: 4 * phi(2) - 8 * phi(3), 4: _B4}
_CLASSICAL_C = (0, HALF, HALF, 1)


def etd2rk(c2: Fraction | int = 1) -> Tableau:
    """Return the one-parameter family of two-stage methods of order two.

    ``a_21 = c_2 phi_1(c_2 z)``, ``b_2 = phi_2 / c_2`` (Hochbruck and Ostermann 2010, eq. 2.39).

    Parameters
    ----------
    c2
        Node of the second stage, 0 < c2 <= 1.

    Raises
    ------
    InvalidArgument
        If c2 is no rational number in (0, 1].
    """
    c2 = inner_node("c2", c2)
    return exponential_runge_kutta(
        "etd2rk" if c2 == 1 else f"etd2rk(c2={c2})",
        (0, c2),
        {},
        {2: phi(2) / c2},
        order=2,
        stiff_order=2,
        reference="Cox and Matthews (2002), eq. 22; Hochbruck and Ostermann (2010), eq. 2.39",
    )


ETD1 = exponential_runge_kutta(
    "etd1",
    (0,),
    {},
    {},
    order=1,
    stiff_order=1,
    reference="Norsett-Euler; Cox and Matthews (2002), eq. 4",
)

ETD2RK = etd2rk()

ETD3RK = exponential_runge_kutta(
    "etd3rk",
    (0, HALF, 1),
    {(3, 2): 2 * phi(1)},
    {2: 4 * phi(2) - 8 * phi(3), 3: _B4},
    order=3,
    stiff_order=2,
    reference="Cox and Matthews (2002), eqs. 23-25",
)

ETD4RK = exponential_runge_kutta(
    "etd4rk",
    _CLASSICAL_C,
    {(3, 2): HALF * phi(1, 0, HALF), (4, 3): phi(1, HALF, 1)},
    _CLASSICAL_B,
    order=4,
    stiff_order=2,
    reference="Cox and Matthews (2002), eqs. 26-29",
)

KROGSTAD4 = exponential_runge_kutta(
    "krogstad4",
    _CLASSICAL_C,
    {(3, 2): phi(2, 0, HALF), (4, 3): 2 * phi(2)},
    _CLASSICAL_B,
    order=4,
    stiff_order=3,
    reference="Krogstad (2005), ETDRK4-B, eq. 51; ETD34: Whalen, Brio and Moloney (2015)",
    embedded={2: _CLASSICAL_B[2], 3: _CLASSICAL_B[3], 5: _B4},
    embedded_order=3,
)

STREHMEL_WEINER4 = exponential_runge_kutta(
    "strehmel_weiner4",
    _CLASSICAL_C,
    {(3, 2): HALF * phi(2, 0, HALF), (4, 2): -2 * phi(2), (4, 3): 4 * phi(2)},
    _MIDPOINT_B,
    order=4,
    stiff_order=3,
    reference="Strehmel and Weiner (1992), example 4.5.5",
)

FRIEDLI4 = exponential_runge_kutta(
    "friedli4",
    _CLASSICAL_C,
    {
        (3, 2): HALF * phi(2, 0, HALF),
        (4, 2): Fraction(-26, 25) * phi(1) + Fraction(2, 25) * phi(2),
        (4, 3): Fraction(26, 25) * phi(1) + Fraction(48, 25) * phi(2),
    },
    _MIDPOINT_B,
    order=4,
    stiff_order=3,
    reference="Friedli (1978); Hochbruck and Ostermann (2005), section 5",
)

_A52 = HALF * phi(2, 0, HALF) - phi(3) + Fraction(1, 4) * phi(2) - HALF * phi(3, 0, HALF)

HOCHBRUCK_OSTERMANN4 = exponential_runge_kutta(
    "hochbruck_ostermann4",
    (0, HALF, HALF, 1, HALF),
    {
        (3, 2): phi(2, 0, HALF),
        (4, 2): phi(2),
        (4, 3): phi(2),
        (5, 2): _A52,
        (5, 3): _A52,
        (5, 4): Fraction(1, 4) * phi(2, 0, HALF) - _A52,
    },
    {4: _B4, 5: 4 * phi(2) - 8 * phi(3)},
    order=4,
    stiff_order=4,
    reference="Hochbruck and Ostermann (2005), eq. 5.19",
)


_FIVE_SIXTHS = Fraction(5, 6)


def _third(c: Fraction) -> Phi:
    return -4 * c**2 * phi(2, 0, c) + 24 * c**3 * phi(3, 0, c)


def _fourth(c: Fraction) -> Phi:
    return 9 * c**2 * phi(2, 0, c) - 36 * c**3 * phi(3, 0, c)


LUAN4 = exponential_runge_kutta(
    "luan4",
    (0, HALF, HALF, THIRD, _FIVE_SIXTHS, THIRD),
    {
        (3, 2): HALF * phi(2, 0, HALF),
        (4, 2): Fraction(2, 9) * phi(2, 0, THIRD),
        (5, 3): _third(_FIVE_SIXTHS),
        (5, 4): _fourth(_FIVE_SIXTHS),
        (6, 3): _third(THIRD),
        (6, 4): _fourth(THIRD),
    },
    {
        5: Fraction(-4, 5) * phi(2) + Fraction(24, 5) * phi(3),
        6: 5 * phi(2) - 12 * phi(3),
    },
    order=4,
    stiff_order=4,
    reference="Luan (2021), expRK4s6: stages 3-4 and 5-6 are independent of one another",
)

_FIFTH = Fraction(1, 5)
_TWO_THIRDS = Fraction(2, 3)


def _psi(k: int, c: Fraction) -> Phi:
    """Return c^k phi_k(c z), the form in which Luan and Ostermann print their weights."""
    return c**k * phi(k, 0, c)


_A64 = 8 * _psi(2, _FIFTH) - 32 * _psi(3, _FIFTH)
_LAST_ROW = (
    Fraction(5, 32) * _A64
    - Fraction(25, 28) * _psi(2, _FIFTH)
    + Fraction(81, 175) * _psi(2, _TWO_THIRDS)
    - Fraction(162, 25) * _psi(3, _TWO_THIRDS)
    + Fraction(150, 7) * _psi(4, _FIFTH)
    + Fraction(972, 35) * _psi(4, _TWO_THIRDS)
    + 6 * phi(4)
)

LUAN_OSTERMANN5 = exponential_runge_kutta(
    "luan_ostermann5",
    (0, HALF, HALF, Fraction(1, 4), HALF, _FIFTH, _TWO_THIRDS, 1),
    {
        (3, 2): 2 * _psi(2, HALF),
        (4, 3): 2 * _psi(2, Fraction(1, 4)),
        (5, 3): -2 * _psi(2, HALF) + 16 * _psi(3, HALF),
        (5, 4): 8 * _psi(2, HALF) - 32 * _psi(3, HALF),
        (6, 4): _A64,
        (6, 5): -2 * _psi(2, _FIFTH) + 16 * _psi(3, _FIFTH),
        (7, 4): Fraction(-125, 162) * _A64,
        (7, 5): Fraction(125, 1944) * _A64
        - Fraction(4, 3) * _psi(2, _TWO_THIRDS)
        + Fraction(40, 3) * _psi(3, _TWO_THIRDS),
        (7, 6): Fraction(3125, 3888) * _A64
        + Fraction(25, 3) * _psi(2, _TWO_THIRDS)
        - Fraction(100, 3) * _psi(3, _TWO_THIRDS),
        (8, 5): Fraction(-16, 3) * phi(2) + Fraction(208, 3) * phi(3) - 40 * _LAST_ROW,
        (8, 6): Fraction(250, 21) * phi(2)
        - Fraction(250, 3) * phi(3)
        + Fraction(250, 7) * _LAST_ROW,
        (8, 7): Fraction(27, 14) * phi(2) - 27 * phi(3) + Fraction(135, 7) * _LAST_ROW,
    },
    {
        6: Fraction(125, 14) * phi(2) - Fraction(625, 14) * phi(3) + Fraction(1125, 14) * phi(4),
        7: Fraction(-27, 14) * phi(2) + Fraction(162, 7) * phi(3) - Fraction(405, 7) * phi(4),
        8: HALF * phi(2) - Fraction(13, 2) * phi(3) + Fraction(45, 2) * phi(4),
    },
    order=5,
    stiff_order=5,
    reference="Luan and Ostermann (2014), expRK5s8",
)
