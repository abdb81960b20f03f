"""Exponential Adams methods on variable steps, and their predictor-corrector pairs."""

from __future__ import annotations

from fractions import Fraction

from semilinear.methods.multistep import Multistep

_ADAMS_BASHFORTH = "Norsett (1969); Cox and Matthews (2002), eq. 7; Hochbruck and Ostermann (2011)"
_PAIR = (
    "Norsett (1969) with an Adams-Moulton corrector; in x0 over lambda: Zhao et al. (2023), UniPC"
)


def etdab(past: int) -> Multistep:
    """Return the exponential Adams-Bashforth method with `past` values of N."""
    return Multistep(f"etdab{past}", past, "P", past, _ADAMS_BASHFORTH)


def etdpec(order: int, *, evaluate_again: bool = False) -> Multistep:
    """Return the predictor-corrector pair of the given order, at least 2.

    Predictor: etdab(order - 1); corrector: the Adams-Moulton method of order `order`.
    """
    mode = "PECE" if evaluate_again else "PEC"
    return Multistep(f"etd{mode.lower()}{order}", order - 1, mode, order, _PAIR)


def ipndm(past: int) -> Multistep:
    """Return the method of fixed weights: Adams-Bashforth weights of a uniform grid on any grid.

    On a grid that is smooth but not uniform it has order 2 from two values on.
    """
    weights = (
        (1,),
        (Fraction(3, 2), Fraction(-1, 2)),
        (Fraction(23, 12), Fraction(-16, 12), Fraction(5, 12)),
        (Fraction(55, 24), Fraction(-59, 24), Fraction(37, 24), Fraction(-9, 24)),
    )
    fixed = tuple(tuple(Fraction(w) for w in row) for row in weights[:past])
    return Multistep(
        f"ipndm{past}", past, "P", min(past, 2), "Zhang and Chen (2022), section 4", fixed
    )


ETDAB1, ETDAB2, ETDAB3, ETDAB4, ETDAB5, ETDAB6 = (etdab(k) for k in range(1, 7))
ETDPEC2, ETDPEC3, ETDPEC4, ETDPEC5, ETDPEC6 = (etdpec(k) for k in range(2, 7))
ETDPECE2, ETDPECE3, ETDPECE4, ETDPECE5, ETDPECE6 = (
    etdpec(k, evaluate_again=True) for k in range(2, 7)
)
