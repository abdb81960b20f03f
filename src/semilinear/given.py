"""Numbers as they are given: real ones, counts and flags, of any type that stands for them."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from semilinear.errors import InvalidArgument, is_traced, shown


def number(value: Any) -> float:
    """Return a real number as a float; NaN for text, flags, lists and what is too large."""
    value = bare(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def bare(value: Any) -> Any:
    """Return what an array without axes, of any library, holds; all else as it is.

    So is an array that JAX traces, which holds nothing yet.
    """
    if is_traced(value):
        return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def is_recorded(value: Any) -> bool:
    """Tell whether PyTorch records gradients of a value, or JAX traces it."""
    return is_traced(value) or getattr(value, "requires_grad", False) is True


def finite_number(argument: str, value: Any) -> float:
    """Return a finite real number as a float, or refuse it."""
    found = number(value)
    if not math.isfinite(found):
        raise InvalidArgument(f"{argument}={shown(value)} must be a finite number")
    return found


def nonnegative(argument: str, value: Any) -> float:
    """Return a finite number of at least 0 as a float, or refuse it."""
    found = number(value)
    if not 0 <= found < math.inf:
        raise InvalidArgument(f"{argument}={shown(value)} must be a number, at least 0 and finite")
    return found


def whole_number(argument: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """Return a count from `least` to `most`, or refuse it."""
    exact = bare(value)
    # Not by way of a float, which has no more than 53 bits.
    found = int(exact) if math.isfinite(number(exact)) else least - 1
    highest = math.inf if most is None else most
    if not least <= found <= highest or found != exact:
        place = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidArgument(f"{argument}={shown(value)} must be a whole number {place}")
    return found


def flag(argument: str, value: Any, choice: str = "True or False") -> bool:
    """Return a flag, or refuse what is none; `choice` says what the argument may be."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidArgument(f"{argument}={shown(value)} must be {choice}")
    return bool(value)
