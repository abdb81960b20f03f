"""Exponential Adams methods on variable steps, and their predictor-corrector pairs."""

from __future__ import annotations

from fractions import Fraction

from semilinear.given import whole_number
from semilinear.methods.multistep import Multistep
from semilinear.methods.ratios import Ratio, distance

_ADAMS_BASHFORTH = "Norsett (1969); Cox and Matthews (2002), eq. 7; Hochbruck and Ostermann (2011)"
_IPNDM_V = "Zhou et al. (2024), iPNDM-v"
_PAIR = (
    "Norsett (1969) with an Adams-Moulton corrector; in x0 over lambda: Zhao et al. (2023), UniPC"
)


def etdab(values: int) -> Multistep:
    """Return the exponential Adams-Bashforth method with a number of values of N.

    Parameters
    ----------
    values
        Number of values of N, the newest included; it is the order.

    Raises
    ------
    InvalidArgument
        If `values` is no whole number of at least 1.
    """
    values = whole_number("values", values)
    return Multistep(f"etdab{values}", values, "P", values, _ADAMS_BASHFORTH)


def etdpec(order: int, *, evaluate_again: bool = False) -> Multistep:
    """Return the predictor-corrector pair of the given order, at least 2.

    Predictor: etdab(order - 1); corrector: the Adams-Moulton method of order `order`.

    Parameters
    ----------
    order
        Of the corrector.
    evaluate_again
        Whether N is asked at the corrected state as well (PECE), at a second evaluation a step.

    Raises
    ------
    InvalidArgument
        If `order` is no whole number of at least 2.
    """
    order = whole_number("order", order, least=2)
    mode = "PECE" if evaluate_again else "PEC"
    return Multistep(f"etd{mode.lower()}{order}", order - 1, mode, order, _PAIR)


def ipndm(values: int) -> Multistep:
    """Return the method of fixed weights: Adams-Bashforth weights of a uniform grid on any grid.

    On a grid that is smooth but not uniform it has order 2 from two values on.

    Parameters
    ----------
    values
        Number of values of N, the newest included, 1 to 4.

    Raises
    ------
    InvalidArgument
        If `values` is no whole number from 1 to 4.
    """
    values = whole_number("values", values, most=4)
    weights = (
        (1,),
        (Fraction(3, 2), Fraction(-1, 2)),
        (Fraction(23, 12), Fraction(-16, 12), Fraction(5, 12)),
        (Fraction(55, 24), Fraction(-59, 24), Fraction(37, 24), Fraction(-9, 24)),
    )
    fixed = tuple(tuple(Fraction(w) for w in row) for row in weights[:values])
    return Multistep(
        f"ipndm{values}", values, "P", min(values, 2), "Zhang and Chen (2022), section 4", fixed
    )


def ipndm_v(values: int) -> Multistep:
    """Return iPNDM with the published weights for variable steps.

    With one and two values they are those of Adams-Bashforth on any grid. The weight of the second
    difference with three values (``1/2 - 1 / (6 d_1 d_12)``, d in units of the step) is right
    where steps are equal: order 3 on a smooth grid, 2 on any other. That of the third with four is
    too large on equal steps as well (11/24 for 3/8), and the last weight has h_{n-1} / h_{n-2} in
    the place of h_{n-2} / h_{n-3}: their sum is 1 on a geometric grid only, where the order is 3;
    it is 2 on a smooth grid, and 0 where steps jump. `etdab` has the exact weights.

    Parameters
    ----------
    values
        Number of values of N, the newest included, 1 to 4.

    Raises
    ------
    InvalidArgument
        If `values` is no whole number from 1 to 4.

    References
    ----------
    Zhou et al. (2024), "Fast ODE-based sampling for diffusion models in around 5 steps", iPNDM-v of
    its code.
    """
    values = whole_number("values", values, most=4)
    one, two, three = distance(-1, 0), distance(-2, -1), distance(-3, -2)
    both, other, all_three = distance(-2, 0), distance(-3, -1), distance(-3, 0)
    # Weights of the differences of N of order one, two, three, each scaled to 1 at the newest N.
    first = Fraction(1, 2) / one
    second = Fraction(1, 2) - Fraction(1, 6) / (one * both)
    third = (Fraction(5, 12) + one + two / 3 + one * both / 2) / (one * both * all_three)
    rows: tuple[tuple[Fraction | Ratio, ...], ...] = (
        (Fraction(1),),
        (1 + first, -first),
        (1 + first + second, -first - both / two * second, one / two * second),
        (
            1 + first + second + third,
            -first - both / two * second - both * all_three / (two * other) * third,
            one / two * second + one * all_three / (two * three) * third,
            -(one * one * both) / (two * two * other) * third,
        ),
    )
    order = (1, 2, 3, 2)[values - 1]
    return Multistep(f"ipndm_v{values}", values, "P", order, _IPNDM_V, rows[:values])


ETDAB1, ETDAB2, ETDAB3, ETDAB4, ETDAB5, ETDAB6 = (etdab(k) for k in range(1, 7))
ETDPEC2, ETDPEC3, ETDPEC4, ETDPEC5, ETDPEC6 = (etdpec(k) for k in range(2, 7))
ETDPECE2, ETDPECE3, ETDPECE4, ETDPECE5, ETDPECE6 = (
    etdpec(k, evaluate_again=True) for k in range(2, 7)
)
