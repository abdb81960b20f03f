"""The exponential function as straight-line code, so that loops over it vectorise."""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from semilinear.kernels._jit import inlined

FARTHEST = 708.0
"""Up to this modulus `exp` is exact to a rounding."""

BEYOND = 746.0
"""From this modulus on it is 0 or infinite, as it must; between the two, results that are not
normal numbers come out wrong."""

LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 in two parts, the first with so many zeros at its end that its multiples are exact."""

ROUNDER = 6755399441055744.0
"""1.5 2^52: adding it leaves the nearest integer in the last bits."""


@intrinsic
def bits_of(context: Any, x: Any) -> Any:
    """Return the bits of a float64 as an int64."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def float_of(context: Any, bits: Any) -> Any:
    """Return the float64 of some bits."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.DoubleType())

    return types.float64(types.int64), generate


@inlined
def exp(x: Any) -> Any:
    """Return e^x to one unit in the last place, but where FARTHEST < abs(x) < BEYOND.

    With n the integer next to x / ln 2 and r = x - n ln 2, e^x = 2^n e^r, and e^r for
    abs(r) <= ln 2 / 2 is a Taylor polynomial: its remainder r^14 / 14! is below 5e-18.
    """
    y = min(max(x, -FARTHEST), FARTHEST)
    t = y * LOG2_E + ROUNDER
    n = t - ROUNDER
    r = (y - n * LN2_HIGH) - n * LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    grown = (r * r * p + r) + 1.0
    power = grown * float_of((bits_of(t) + 1023) << 52)
    power = 0.0 if x < -FARTHEST else power
    power = math.inf if x > FARTHEST else power
    return x if x != x else power
