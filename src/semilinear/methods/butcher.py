"""Classical explicit Runge-Kutta tableaux: the input of `lawson` and of the rho-RK samplers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from semilinear.errors import InvalidArgument
from semilinear.methods.declared import check_name, hold_counts
from semilinear.phi import rational

Rational = Fraction | int


@dataclass(frozen=True)
class Butcher:
    """A classical explicit Runge-Kutta tableau with exact entries.

    Parameters
    ----------
    name
        The name under which it is known.
    a
        Strictly lower triangular rows, the first one empty.
    b
        Weights.
    order
        Classical order.
    reference
        Where it stands.
    embedded
        Weights of an embedded value for the error estimate, or none; one weight more than there are
        stages belongs to the derivative at the new value (first same as last).
    embedded_order
        Classical order of the embedded value; 0 without one.

    Notes
    -----
    The nodes are the row sums, ``c_i = sum_j a_ij``.
    """

    name: str
    a: tuple[tuple[Rational, ...], ...]
    b: tuple[Rational, ...]
    order: int
    reference: str
    embedded: tuple[Rational, ...] = ()
    embedded_order: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)
        hold_counts(self, order=1, embedded_order=0)
        if [len(row) for row in self.a] != list(range(len(self.b))):
            raise InvalidArgument(f"{self.name}: the rows of a must have 0, 1, 2, ... entries")
        for label, row in (
            *(("a", row) for row in self.a),
            ("b", self.b),
            ("embedded", self.embedded),
        ):
            for weight in row:
                rational(weight, f"{self.name}: {label}")
        for label, weights in (("b", self.b), ("embedded", self.embedded or (1,))):
            if sum(weights) != 1:
                raise InvalidArgument(
                    f"{self.name}: the weights {label} must add up to 1 exactly; write them as "
                    "Fractions"
                )
        check_embedded(self.name, len(self.b), self.order, len(self.embedded), self.embedded_order)
        if not all(0 <= c <= 1 for c in self.c):
            raise InvalidArgument(f"{self.name}: the nodes must lie in [0, 1]")

    @property
    def c(self) -> tuple[Fraction, ...]:
        """Nodes."""
        return tuple(Fraction(sum(row)) for row in self.a)


def check_embedded(name: str, stages: int, order: int, weights: int, embedded_order: int) -> None:
    """Raise where number of weights and order of an embedded value do not fit the method."""
    if weights not in (0, stages, stages + 1):
        raise InvalidArgument(
            f"{name}: {weights} embedded weights for {stages} stages; need one for each stage, and "
            "at most one more, for N at the new value"
        )
    if weights == 0 and embedded_order != 0:
        raise InvalidArgument(f"{name}: embedded_order={embedded_order} without embedded weights")
    if weights > 0 and not 0 < embedded_order < order:
        raise InvalidArgument(
            f"{name}: embedded_order={embedded_order} must be at least 1 and below order={order}"
        )


def _f(numerator: int, denominator: int) -> Fraction:
    return Fraction(numerator, denominator)


HALF = _f(1, 2)

EULER = Butcher("euler1", ((),), (1,), 1, "Euler (1768)")
MIDPOINT2 = Butcher("midpoint2", ((), (HALF,)), (0, 1), 2, "Runge (1895)")
HEUN2 = Butcher("heun2", ((), (1,)), (HALF, HALF), 2, "Heun (1900)")
RALSTON2 = Butcher("ralston2", ((), (_f(2, 3),)), (_f(1, 4), _f(3, 4)), 2, "Ralston (1962)")
KUTTA3 = Butcher(
    "kutta3", ((), (HALF,), (-1, 2)), (_f(1, 6), _f(2, 3), _f(1, 6)), 3, "Kutta (1901)"
)
HEUN3 = Butcher(
    "heun3", ((), (_f(1, 3),), (0, _f(2, 3))), (_f(1, 4), 0, _f(3, 4)), 3, "Heun (1900)"
)
RALSTON3 = Butcher(
    "ralston3",
    ((), (HALF,), (0, _f(3, 4))),
    (_f(2, 9), _f(1, 3), _f(4, 9)),
    3,
    "Ralston (1962); Bogacki and Shampine (1989)",
    embedded=(_f(7, 24), _f(1, 4), _f(1, 3), _f(1, 8)),
    embedded_order=2,
)
WRAY3 = Butcher(
    "wray3",
    ((), (_f(8, 15),), (_f(1, 4), _f(5, 12))),
    (_f(1, 4), 0, _f(3, 4)),
    3,
    "van der Houwen (1972); Wray (1988)",
)
SSP3 = Butcher(
    "ssp3",
    ((), (1,), (_f(1, 4), _f(1, 4))),
    (_f(1, 6), _f(1, 6), _f(2, 3)),
    3,
    "Shu and Osher (1988)",
)
RK4 = Butcher(
    "rk4",
    ((), (HALF,), (0, HALF), (0, 0, 1)),
    (_f(1, 6), _f(1, 3), _f(1, 3), _f(1, 6)),
    4,
    "Kutta (1901)",
)
THREE_EIGHTHS4 = Butcher(
    "three_eighths4",
    ((), (_f(1, 3),), (_f(-1, 3), 1), (1, -1, 1)),
    (_f(1, 8), _f(3, 8), _f(3, 8), _f(1, 8)),
    4,
    "Kutta (1901)",
)
DORMAND_PRINCE5 = Butcher(
    "dopri5",
    (
        (),
        (_f(1, 5),),
        (_f(3, 40), _f(9, 40)),
        (_f(44, 45), _f(-56, 15), _f(32, 9)),
        (_f(19372, 6561), _f(-25360, 2187), _f(64448, 6561), _f(-212, 729)),
        (_f(9017, 3168), _f(-355, 33), _f(46732, 5247), _f(49, 176), _f(-5103, 18656)),
    ),
    (_f(35, 384), 0, _f(500, 1113), _f(125, 192), _f(-2187, 6784), _f(11, 84)),
    5,
    "Dormand and Prince (1980), RK5(4)7M without its last (first-same-as-last) stage",
    embedded=(
        _f(5179, 57600),
        0,
        _f(7571, 16695),
        _f(393, 640),
        _f(-92097, 339200),
        _f(187, 2100),
        _f(1, 40),
    ),
    embedded_order=4,
)

CLASSICAL: dict[str, Butcher] = {
    tableau.name: tableau for tableau in tuple(globals().values()) if isinstance(tableau, Butcher)
}
"""Every classical tableau by name."""
