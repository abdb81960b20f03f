"""Exact algebra of step ratios: weights that look at the grid, but at no linear part.

An atom ``distance(p, q)`` stands for ``|t_{n+q} - t_{n+p}| / h``, h being the length of the step
from t_n. Published weights for variable steps are sums of products of such distances and of their
inverses; with rational factors they are data, as phi-functions are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from semilinear.errors import InvalidArgument, shown
from semilinear.phi import rational

Powers = tuple[tuple[tuple[int, int], int], ...]
"""A product of distances: ``((p, q), exponent)``, sorted."""


class Ratio:
    """An exact rational combination of products of powers of distances; immutable and hashable.

    Supports ``+``, ``-``, ``*`` with ratios and rationals, ``/`` by rationals and by single
    products, and ``==`` of what is written: different products may be equal as numbers.
    """

    __slots__ = ("_terms",)
    _terms: tuple[tuple[Powers, Fraction], ...]

    def __init__(self, terms: Mapping[Powers, Fraction]) -> None:
        kept = ((powers, Fraction(factor)) for powers, factor in terms.items() if factor != 0)
        object.__setattr__(self, "_terms", tuple(sorted(kept)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Ratio is immutable")

    def __reduce__(self) -> tuple[type[Ratio], tuple[dict[Powers, Fraction]]]:
        return Ratio, (dict(self._terms),)

    def __iter__(self) -> Iterator[tuple[Powers, Fraction]]:
        """Iterate over (product, factor)."""
        return iter(self._terms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ratio) and self._terms == other._terms

    def __hash__(self) -> int:
        return hash(self._terms)

    def __add__(self, other: Ratio | Fraction | int) -> Ratio:
        total = dict(self._terms)
        for powers, factor in _ratio(other):
            total[powers] = total.get(powers, Fraction(0)) + factor
        return Ratio(total)

    __radd__ = __add__

    def __neg__(self) -> Ratio:
        return self * -1

    def __sub__(self, other: Ratio | Fraction | int) -> Ratio:
        return self + -_ratio(other)

    def __rsub__(self, other: Fraction | int) -> Ratio:
        return -self + other

    def __mul__(self, other: Ratio | Fraction | int) -> Ratio:
        total: dict[Powers, Fraction] = {}
        for powers, factor in self:
            for own, own_factor in _ratio(other):
                product = _product(powers, own)
                total[product] = total.get(product, Fraction(0)) + factor * own_factor
        return Ratio(total)

    __rmul__ = __mul__

    def __truediv__(self, other: Ratio | Fraction | int) -> Ratio:
        terms = list(_ratio(other))
        if len(terms) != 1:
            raise InvalidArgument(f"{other!r} must be one product of distances to divide by it")
        ((powers, factor),) = terms
        return self * Ratio({tuple((pair, -e) for pair, e in powers): 1 / factor})

    def __rtruediv__(self, other: Fraction | int) -> Ratio:
        return _ratio(other) / self

    def __repr__(self) -> str:
        def name(powers: Powers) -> str:
            return "".join(f"*d[{p},{q}]" + (f"^{e}" if e != 1 else "") for (p, q), e in powers)

        return " + ".join(f"{factor}{name(powers)}" for powers, factor in self) or "0"

    @property
    def offsets(self) -> set[int]:
        """The q of the times t_{n+q} that it looks at."""
        return {q for powers, _ in self for pair, _ in powers for q in pair}

    def value(self, points: Mapping[int, Any]) -> Any:
        """Return the number that it is on a grid; ``points[q]`` is the time t_{n+q}.

        Times are numbers or arrays over steps; with rational ones the answer is exact.
        """
        h = points[1] - points[0]
        exact = isinstance(h, Fraction)
        total: Any = Fraction(0) if exact else 0.0
        for powers, factor in self:
            product: Any = factor if exact else float(factor)
            for (p, q), exponent in powers:
                product = product * ((points[q] - points[p]) / h) ** exponent
            total = total + product
        return total


def distance(p: int, q: int) -> Ratio:
    """Return the distance of the grid points n + p and n + q, in units of the step from n.

    Raises
    ------
    InvalidArgument
        If the points are one, or `p` or `q` is no whole number.
    """
    if not all(hasattr(offset, "__index__") for offset in (p, q)):
        raise InvalidArgument(
            f"distance({shown(p)}, {shown(q)}): grid points are counted from the start of the "
            "step, by whole numbers"
        )
    if p == q:
        raise InvalidArgument(f"distance({p}, {q}) is 0: the points must differ")
    return Ratio({(((min(p, q), max(p, q)), 1),): Fraction(1)})


def _product(one: Powers, other: Powers) -> Powers:
    exponents = dict(one)
    for pair, exponent in other:
        exponents[pair] = exponents.get(pair, 0) + exponent
    return tuple(sorted((pair, e) for pair, e in exponents.items() if e))


def _ratio(value: Ratio | Fraction | int) -> Ratio:
    return value if isinstance(value, Ratio) else Ratio({(): rational(value, "factor")})
