"""Exponential Adams methods whose order follows an estimate of their error."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from semilinear.errors import InvalidArgument
from semilinear.methods.declared import check_name, hold_counts
from semilinear.methods.multistep import slot
from semilinear.methods.rows import BASE, ERROR, NEW, PREDICTED, Combine, Evaluate, Lagrange, Step
from semilinear.phi import phi

SAME = phi(0, 0, 0)
LOWER, HIGHER = "E-", "E+"
"""Slots of the estimates for this order, the one below and the one above."""


@dataclass(frozen=True)
class VariableOrder:
    """Predictor-corrector pairs of orders 1 to `most`, on steps of any length.

    At order q the predictor extrapolates q values of N, and the corrector, of order q + 1, adds
    the value at the predicted state. Their difference estimates the error of the predictor, which
    is that of order q; the corrected value is the one that is kept (local extrapolation).

    Parameters
    ----------
    name
        The name under which `semilinear.methods` knows it.
    mode
        ``"PEC"``: one evaluation a step, the one at the predicted state. ``"PECE"``: the corrected
        state is evaluated again.
    most
        Highest order q of the predictor.
    reference
        Where the method stands.
    """

    name: str
    mode: str
    most: int
    reference: str

    def __post_init__(self) -> None:
        check_name(self.name)
        hold_counts(self, most=1)
        if self.mode not in ("PEC", "PECE"):
            raise InvalidArgument(f"{self.name}: mode={self.mode!r}; need PEC or PECE")

    @property
    def order(self) -> int:
        """Highest order of the corrected value."""
        return self.most + 1

    @property
    def stiff_order(self) -> int:
        """Highest order on stiff parabolic problems."""
        return self.order

    @property
    def embedded_order(self) -> int:
        """Order of the predictor, which the estimate is for."""
        return self.most

    @property
    def history(self) -> int:
        """Number of past values of N, besides the newest, that a step uses at most."""
        return self.most

    @property
    def evaluations(self) -> int:
        """Evaluations of N per step."""
        return len(self.mode) - 2

    def attempt(self, order: int, known: int) -> Step:
        """Return the rows of an attempt at order q with `known` past values of N."""
        return _attempt(order, known, self.most)

    def base(self, known: int) -> tuple[str, ...]:
        """Return what an attempt begins with."""
        return (BASE, *(slot(-q) for q in range(known + 1)))

    def estimates(self, order: int, known: int) -> tuple[str, ...]:
        """Return the slots of the estimates that an attempt makes."""
        below = (LOWER,) if order > 1 else ()
        above = (HIGHER,) if order < min(self.most, known + 1) else ()
        return (*below, *above, ERROR)


@cache
def _attempt(order: int, known: int, most: int) -> Step:
    past = tuple(range(0, -order, -1))
    rows: list[Combine | Evaluate] = [
        _adams(PREDICTED, past),
        Evaluate(PREDICTED, Fraction(1), slot(1)),
        _adams(NEW, (1, *past)),
    ]
    kept = [BASE, *(slot(-q) for q in range(known + 1)), NEW, slot(1)]
    if order > 1:
        less = past[:-1]
        rows += [_adams("P-", less), _adams("C-", (1, *less)), _difference(LOWER, "C-", "P-")]
        kept.append(LOWER)
    if order < min(most, known + 1):
        more = (*past, -order)
        rows += [_adams("P+", more), _adams("C+", (1, *more)), _difference(HIGHER, "C+", "P+")]
        kept.append(HIGHER)
    rows.append(_difference(ERROR, NEW, PREDICTED))
    kept.append(ERROR)
    history = order if HIGHER in kept else order - 1
    return Step(tuple(rows), tuple((name, name) for name in kept), history=history)


def _adams(dst: str, nodes: tuple[int, ...]) -> Combine:
    inputs = tuple((slot(q), Lagrange(j, nodes)) for j, q in enumerate(nodes))
    return Combine(dst, ((BASE, phi(0)),), inputs)


def _difference(dst: str, one: str, other: str) -> Combine:
    return Combine(dst, ((one, SAME), (other, -SAME)), ())


_REFERENCE = (
    "exponential form of Shampine and Gordon (1975): variable step, variable order; "
    "weights of Norsett (1969)"
)
ETDPEC = VariableOrder("etdpec", "PEC", 5, _REFERENCE)
ETDPECE = VariableOrder("etdpece", "PECE", 5, _REFERENCE)
