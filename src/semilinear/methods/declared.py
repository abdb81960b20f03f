"""What a method says of itself, and the weights that it is given: checked where it is made."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

from semilinear.errors import InvalidArgument, shown
from semilinear.given import whole_number
from semilinear.phi import Phi


def check_name(name: Any) -> None:
    """Refuse a name that is no text, or is empty: tables and messages show it."""
    if not isinstance(name, str) or not name:
        raise InvalidArgument(f"name={shown(name)} of a method must be text that is not empty")


def hold_counts(method: Any, **least: int) -> None:
    """Hold the named fields of a frozen dataclass as whole numbers from `least`, or refuse them."""
    for argument, lowest in least.items():
        given = getattr(method, argument)
        count = whole_number(f"{method.name}: {argument}", given, least=lowest)
        object.__setattr__(method, argument, count)


def check_weight(place: str, weight: Any) -> None:
    """Refuse what is no combination of phi-functions, or looks beyond the step."""
    if not isinstance(weight, Phi):
        raise InvalidArgument(
            f"{place}={shown(weight)} must be a combination of phi-functions, such as phi(1) / 2"
        )
    if not all(0 <= end <= 1 for (_, *ends), _ in weight for end in ends):
        raise InvalidArgument(
            f"{place}={weight!r} looks beyond the step; intervals must lie in [0, 1]"
        )


def check_simplified(method: Any) -> None:
    """Refuse simplified moments that do not fit the nodes, or stand beside fixed weights."""
    given, place = method.simplified, f"{method.name}: simplified"
    if given and method.fixed:
        raise InvalidArgument(
            f"{place} replaces moments of Lagrange weights, and with fixed weights there are none; "
            "leave one of the two out"
        )
    for nodes, moments in _pairs(place, given, "(number of nodes, moments)"):
        count = whole_number(f"{place}: the number of nodes", nodes, least=2)
        for m, weight in _pairs(f"{place}: moments", moments, "(m, weight)"):
            whole_number(f"{place}: m with {count} nodes", m, least=1, most=count - 1)
            check_weight(f"{place}: moment {m} with {count} nodes", weight)


def _pairs(place: str, given: Any, form: str) -> Iterable[tuple[Any, Any]]:
    """Return a tuple of pairs as a mapping, or refuse what is none or says something twice."""
    pairs = given if isinstance(given, tuple) else (given,)
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise InvalidArgument(f"{place}={shown(given)} must be a tuple of pairs {form}")
    if any(one[0] == other[0] for one, other in combinations(pairs, 2)):
        raise InvalidArgument(f"{place}={shown(given)} has two pairs {form} for the same number")
    return pairs
