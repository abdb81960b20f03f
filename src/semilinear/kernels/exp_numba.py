"""The exponential function as straight-line code, so that loops over it vectorise."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from semilinear.kernels._jit import inlined

LEAST = -700.0
"""Below it `exp` is 0. What it returns is thus a normal number, and so are most products with it:
an operation with a subnormal result takes a processor ten times as long and more."""

VANISHING = -746.0
"""From here on, e^x is 0 in double precision."""

LARGEST = 709.9
"""From here on, e^x is infinite in double precision."""

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
    """Return e^x to one unit in the last place, but 0 for x < LEAST."""
    p, q = _parts(x)
    power = (p + p + 2.0) * q
    power = 0.0 if x < LEAST else power
    return x if x != x else power


@inlined
def exp_and_expm1(x: Any) -> Any:
    """Return e^x as `exp` does, and e^x - 1 to two units in its last place."""
    p, q = _parts(x)
    power = (p + p + 2.0) * q
    # Up to 1 little cancels in the sum: where 2^n is not 1, more than 0.29 is left of terms up to
    # 1. Beyond, the difference is as good, and does not become inf - inf.
    rise = power - 1.0 if x > 1.0 else (p + p) * q + (q + q - 1.0)
    power = 0.0 if x < LEAST else power
    return x if x != x else power, x if x != x else rise


@inlined
def _parts(x: Any) -> Any:
    """Return p and q with e^x = 2 q (1 + p), where 2 q is a power of two; for LEAST if x is less.

    With n the integer next to x / ln 2 and r = x - n ln 2, q = 2^(n-1), and p = e^r - 1 for
    abs(r) <= ln 2 / 2 is a Taylor polynomial: its remainder r^14 / 14! is below 5e-18.
    """
    y = min(max(x, LEAST), LARGEST)
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
    return r * r * p + r, float_of((bits_of(t) + 1022) << 52)
