"""What a method says of itself, and the weights that it is given: checked where it is made."""

from __future__ import annotations

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
