"""Embedded pairs: exponential Runge-Kutta methods with a second value for the error estimate.

Krogstad's method (ETD34) and the Lawson methods of embedded classical pairs stand where the methods
themselves do.
"""

from __future__ import annotations

from fractions import Fraction

from semilinear.methods.tableau import Tableau, exponential_runge_kutta
from semilinear.phi import Phi, phi


def _f(numerator: int, denominator: int) -> Fraction:
    return Fraction(numerator, denominator)


SIXTH, QUARTER, HALF, THREE_QUARTERS = _f(1, 6), _f(1, 4), _f(1, 2), _f(3, 4)


def _zoto_bowman32() -> Tableau:
    p1, p2, p3 = (phi(k) for k in (1, 2, 3))
    h1, h2, h3 = (phi(k, 0, HALF) for k in (1, 2, 3))
    q1, q2 = (phi(k, 0, THREE_QUARTERS) for k in (1, 2))
    return exponential_runge_kutta(
        "zoto_bowman32",
        (0, HALF, THREE_QUARTERS),
        {(3, 2): _f(9, 8) * q2 + _f(3, 8) * h2},
        {2: _f(3, 4) * p2 - _f(1, 4) * p3, 3: _f(5, 6) * p2 + _f(1, 6) * p3},
        order=3,
        stiff_order=3,
        reference="Zoto and Bowman (2023), ERK32ZB",
        embedded={
            2: _f(-1, 9) * p1
            - _f(1, 6) * q1
            - _f(1, 2) * p2
            - _f(1, 7) * q2
            - _f(1, 3) * h2
            + _f(1, 6) * p3
            + _f(1, 6) * h3,
            3: _f(2, 3) * p1
            - _f(1, 2) * q1
            - _f(1, 7) * h1
            + _f(1, 3) * p2
            - _f(1, 7) * q2
            - _f(1, 5) * h3,
            4: _f(-7, 6) * p1
            - _f(1, 2) * q1
            - _f(1, 2) * h1
            - _f(7, 12) * p2
            + _f(1, 4) * h2
            + _f(2671, 140) * p3
            - _f(1, 3) * h3,
        },
        embedded_order=2,
    )


def _zoto_bowman43() -> Tableau:
    p1, p2, p3 = (phi(k) for k in (1, 2, 3))
    h1, h2, h3 = (phi(k, 0, HALF) for k in (1, 2, 3))
    s1, s2 = (phi(k, 0, SIXTH) for k in (1, 2))
    a42 = _f(19, 60) * p1 + HALF * h1 + HALF * s1 + 2 * h2 + _f(13, 6) * s2 + _f(3, 5) * h3
    a43 = _f(-19, 180) * p1 - SIXTH * (h1 + s1 + h2) + _f(1, 9) * s2 - _f(1, 5) * h3
    a54 = p2 + h2 - 6 * p3 - 3 * h3
    last: dict[int, Phi] = {
        2: 3 * p2 - _f(9, 2) * h2 - _f(5, 2) * s2 + 6 * a54 + a42,
        3: 6 * p3 + 3 * h3 - 2 * a54 + a43,
        4: a54,
    }
    return exponential_runge_kutta(
        "zoto_bowman43",
        (0, SIXTH, HALF, HALF, 1),
        {
            (3, 2): _f(3, 2) * h2 + HALF * s2,
            (4, 2): a42,
            (4, 3): a43,
            **{(5, j): weight for j, weight in last.items()},
        },
        {
            2: 8 * p2 - 24 * p3,
            3: _f(-11, 9) * p2 + _f(26, 3) * p3,
            4: _f(7, 9) * p2 - _f(10, 3) * p3,
            5: _f(-1, 9) * p2 + _f(4, 3) * p3,
        },
        order=4,
        stiff_order=4,
        reference="Zoto and Bowman (2023), ERK43ZB: the embedded value is the last stage",
        embedded=last,
        embedded_order=3,
    )


def _etd35() -> Tableau:
    """Return the method of Whalen, Brio and Moloney with weights of order 5 for systems.

    Their b and a_6j have order 5 where h L commutes with dN/dy, as for one equation, and 4
    otherwise: ``sum_ij b_i'(0) a_ij c_j^2 = 287/17280`` and ``sum_ij b_i a_ij'(0) c_j^2 =
    289/17280`` should both be 1/60, and so with ``sum_k a_jk c_k`` for c_j^2. A multiple of
    ``phi_1 - 2 phi_2``, which is 0 without L, is added to b along the fourth difference of the
    nodes and to a_6j with a_64 as it was: the moments up to c^3 and the stage order do not change.
    """
    p1, p2, p3 = (phi(k) for k in (1, 2, 3))
    b = {
        3: _f(5, 6) * p1 - _f(11, 15) * p2 - _f(2, 3) * p3,
        4: _f(-7, 15) * p1 + _f(18, 5) * p2 - _f(36, 5) * p3,
        5: _f(-19, 90) * p1 + _f(19, 15) * p2 - _f(2, 5) * p3,
        6: _f(11, 60) * p1 - _f(47, 30) * p2 + _f(61, 15) * p3,
    }
    fourth_difference = {3: -4, 4: 6, 5: -4, 6: 1}
    return exponential_runge_kutta(
        "etd35",
        (0, QUARTER, QUARTER, HALF, THREE_QUARTERS, 1),
        {
            (3, 2): QUARTER * phi(2, 0, QUARTER),
            (4, 3): phi(2, 0, HALF),
            (5, 2): _f(-3, 8) * phi(1, 0, THREE_QUARTERS),
            (5, 3): _f(3, 8) * phi(1, 0, THREE_QUARTERS),
            (5, 4): _f(9, 8) * phi(2, 0, THREE_QUARTERS),
            (6, 2): _f(9, 7) * p1 - _f(2, 7) * p2,
            (6, 3): _f(27, 7) * p1 - 6 * p2,
            (6, 4): _f(-12, 7) * p1,
            (6, 5): _f(-4, 7) * p1 + _f(24, 7) * p2,
        },
        b,
        order=5,
        stiff_order=3,
        reference="Whalen, Brio and Moloney (2015), ETD35, with a_6j and b corrected",
        embedded={j: b[j] + difference * b[5] for j, difference in fourth_difference.items()},
        embedded_order=3,
    )


ZOTO_BOWMAN32 = _zoto_bowman32()
ZOTO_BOWMAN43 = _zoto_bowman43()
ETD35 = _etd35()
