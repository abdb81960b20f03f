"""Arguments of many functions: numbers and flags, or a message that names the argument."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from semilinear.errors import InvalidArgument, shown
from semilinear.time_grid import number


def checked_number(value: Any, argument: str) -> float:
    """Return a finite real number as a float, or refuse it."""
    found = number(value)
    if not isfinite(found):
        raise InvalidArgument(f"{argument}={shown(value)} must be a finite number")
    return found


def checked_flag(value: Any, argument: str, choice: str = "True or False") -> bool:
    """Return a flag, or refuse what is none; `choice` says what the argument may be."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidArgument(f"{argument}={shown(value)} must be {choice}")
    return bool(value)
