"""Exact algebra of phi-functions: the alphabet in which methods are written.

An atom ``phi(k, frm, to)`` stands for phi_k of the linear part over the sub-interval
[t + frm h, t + to h] of a step::

    phi_0 = Psi(to, frm)                                       (the flow)
    phi_k = int_0^1 Psi(to, s) B(s) theta^(k-1) / (k-1)! dtheta,   s = frm + theta (to - frm)

which for constant L and B = 1 is phi_k((to - frm) h L). Atoms are keyed by their interval and not
by its length: with a time-dependent L the two differ, and Lawson's fourth-order method keyed by
length falls to order two. All classical weights are *linear* in the atoms, so rational
coefficients suffice and every identity is decided with ``==``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import factorial
from typing import Any, NamedTuple

from semilinear.errors import InvalidArgument

EXACT = 1024
"""Denominators up to which a float is the fraction that is meant: 0.5, 0.375, but not 1/3."""


def rational(value: Any, argument: str) -> Fraction:
    """Return a whole number or a fraction, exactly; floats are taken where they are short.

    A float such as 1/3 is another number than the fraction that is meant, and what is computed from
    it satisfies no order condition.
    """
    try:
        found = Fraction(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidArgument(f"{argument}={value!r} must be a finite rational number") from None
    exact = hasattr(value, "numerator") or isinstance(value, str)
    if found.denominator > EXACT and not exact:
        near = found.limit_denominator(1000)
        raise InvalidArgument(
            f"{argument}={value!r} is a float that rounds a fraction, and coefficients are exact: "
            f"use fractions.Fraction({near.numerator}, {near.denominator})"
        )
    return found


class Atom(NamedTuple):
    """phi_k over the part [frm, to] of a step."""

    k: int
    frm: Fraction
    to: Fraction


class Phi:
    """An exact rational combination of phi atoms; immutable and hashable.

    Supports ``+``, ``-``, multiplication and division by rationals, and ``==``. Floats are refused
    that round a fraction, here and in `phi`.
    """

    __slots__ = ("_terms",)
    _terms: tuple[tuple[Atom, Fraction], ...]

    def __init__(self, terms: Mapping[Atom, Fraction]) -> None:
        kept = ((atom, Fraction(value)) for atom, value in terms.items() if value != 0)
        object.__setattr__(self, "_terms", tuple(sorted(kept)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Phi is immutable")

    def __reduce__(self) -> tuple[type[Phi], tuple[dict[Atom, Fraction]]]:
        return Phi, (dict(self._terms),)

    def __iter__(self) -> Iterator[tuple[Atom, Fraction]]:
        """Iterate over (atom, coefficient)."""
        return iter(self._terms)

    def __bool__(self) -> bool:
        return bool(self._terms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Phi) and self._terms == other._terms

    def __hash__(self) -> int:
        return hash(self._terms)

    def __add__(self, other: Phi) -> Phi:
        if not isinstance(other, Phi):
            return NotImplemented
        total = dict(self._terms)
        for atom, value in other:
            total[atom] = total.get(atom, Fraction(0)) + value
        return Phi(total)

    def __sub__(self, other: Phi) -> Phi:
        return self + (-1) * other

    def __neg__(self) -> Phi:
        return (-1) * self

    def __mul__(self, factor: Fraction | int) -> Phi:
        exact = rational(factor, "factor")
        return Phi({atom: value * exact for atom, value in self})

    __rmul__ = __mul__

    def __truediv__(self, divisor: Fraction | int) -> Phi:
        return self * (1 / rational(divisor, "divisor"))

    def __repr__(self) -> str:
        if not self:
            return "0"
        parts = []
        for (k, frm, to), value in self:
            name = f"phi{k}[{frm},{to}]"
            parts.append(name if value == 1 else f"{value}*{name}")
        return " + ".join(parts)

    def for_constant_linear_part(self) -> Phi:
        """Return the same function of z for constant L: each interval moved to start at 0."""
        total: dict[Atom, Fraction] = {}
        for (k, frm, to), value in self:
            if k == 0 and frm == to:
                frm = to = Fraction(0)
            atom = Atom(k, Fraction(0), to - frm)
            total[atom] = total.get(atom, Fraction(0)) + value
        return Phi(total)

    def series(self, count: int) -> tuple[Fraction, ...]:
        """Return the first `count` Taylor coefficients in z = h L for constant L.

        phi_k(c z) = sum_m c^m z^m / (m + k)!.
        """
        return tuple(
            sum(
                (value * (to - frm) ** m / factorial(m + k) for (k, frm, to), value in self),
                Fraction(0),
            )
            for m in range(count)
        )


def phi(k: int, frm: Fraction | int = 0, to: Fraction | int = 1) -> Phi:
    """Return the atom phi_k over [frm, to], a part of the unit step.

    Parameters
    ----------
    k
        Index; 0 is the flow of the linear part.
    frm, to
        Ends of the interval in units of the step. Only the flow (k = 0) may have ``frm == to`` (the
        identity) or ``frm > to`` (backwards).
    """
    given: Any = k
    frm, to = rational(frm, "frm"), rational(to, "to")
    if not isinstance(given, int) or k < 0 or (frm >= to and k > 0):
        raise InvalidArgument(
            f"phi({k}, {frm}, {to}) is not an atom: need a whole k >= 0 and frm < to"
        )
    return Phi({Atom(k, frm, to): Fraction(1)})


ZERO = Phi({})
