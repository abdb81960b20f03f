"""Sine and cosine as straight-line code, so that loops over them vectorise."""

from __future__ import annotations

from typing import Any

from semilinear.kernels._jit import inlined
from semilinear.kernels.exp_numba import ROUNDER, bits_of, float_of

WIDEST = 1e8
"""Up to this modulus `sincos` is exact to a rounding; between it and infinity, it is wrong."""

TWO_OVER_PI = 0.6366197723675814
HALF_PI = (
    float.fromhex("0x1.921fb54p+0"),
    float.fromhex("0x1.10b46p-30"),
    float.fromhex("0x1.1a6263p-54"),
    float.fromhex("0x1.8a2e03707344ap-81"),
)
"""pi / 2 in four parts, each of the first three of 27 bits: multiples up to WIDEST are exact."""


@inlined
def sincos(y: Any) -> Any:
    """Return sin y and cos y to one unit in the last place, and 1 - cos y to two or to 1e-32.

    With n the integer next to 2 y / pi and r = y - n pi / 2, sin r and 1 - cos r for
    abs(r) <= pi / 4 are Taylor polynomials: their remainders, r^19 / 19! and r^18 / 18!, are below
    3e-18. r comes in two parts: near multiples of pi / 2 little is left of y, and one rounding of
    y - n pi / 2 would be most of it. The last bits of n say which of the two is which.
    """
    t = y * TWO_OVER_PI + ROUNDER
    n = t - ROUNDER
    # Exact, both: what is left is a multiple of 2^-53 (of y's last place where n = 0) below 1.
    left = (y - n * HALF_PI[0]) - n * HALF_PI[1]
    r = left - n * HALF_PI[2]
    rest = ((left - r) - n * HALF_PI[2]) - n * HALF_PI[3]
    square = r * r
    half = 0.5 * square
    s = 1.0 / 355687428096000.0
    s = s * square - 1.0 / 1307674368000.0
    s = s * square + 1.0 / 6227020800.0
    s = s * square - 1.0 / 39916800.0
    s = s * square + 1.0 / 362880.0
    s = s * square - 1.0 / 5040.0
    s = s * square + 1.0 / 120.0
    s = s * square - 1.0 / 6.0
    sine = r + (r * square * s + rest * (1.0 - half))
    c = 1.0 / 20922789888000.0
    c = c * square - 1.0 / 87178291200.0
    c = c * square + 1.0 / 479001600.0
    c = c * square - 1.0 / 3628800.0
    c = c * square + 1.0 / 40320.0
    c = c * square - 1.0 / 720.0
    c = c * square + 1.0 / 24.0
    versine = half - (square * square * c - r * rest)
    cosine = 1.0 - versine
    quarter = bits_of(t)
    odd = (quarter & 1) != 0
    one, other = (cosine, sine) if odd else (sine, cosine)
    one = float_of(bits_of(one) ^ ((quarter & 2) << 62))
    other = float_of(bits_of(other) ^ (((quarter + 1) & 2) << 62))
    return one, other, (versine if (quarter & 3) == 0 else 1.0 - other)
