"""Orders and numbers of values, as those who call a family of methods give them."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any

from semilinear.errors import InvalidArgument, shown


def checked_count(argument: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """Return a whole number, of whatever type, from `least` to `most`; or refuse it."""
    item = getattr(value, "item", None)
    found = item() if callable(item) and getattr(value, "shape", None) == () else value
    is_number = isinstance(found, int | float | Fraction) and not isinstance(found, bool)
    highest = inf if most is None else most
    if not is_number or not least <= found <= highest or found == inf or found != int(found):
        place = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidArgument(f"{argument}={shown(value)} must be a whole number {place}")
    return int(found)
