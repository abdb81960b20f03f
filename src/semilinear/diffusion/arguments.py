"""Arguments of many functions: numbers, or a message that names the argument."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from semilinear.errors import InvalidArgument


def checked_number(value: Any, argument: str) -> float:
    """Return a finite real number as a float, or refuse it."""
    real = isinstance(value, int | float | np.integer | np.floating)
    if not real or isinstance(value, bool) or not isfinite(value):
        raise InvalidArgument(f"{argument}={value!r} must be a finite number")
    return float(value)
