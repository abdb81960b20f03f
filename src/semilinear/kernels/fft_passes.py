"""Passes of Stockham's FFT.

A transform of length h = r_1 ... r_k runs through the radices r_j. Before a pass of radix r, s is
the product of the radices before it and m = h / (s r); the pass takes x to y by (decimation in
frequency, w_n = exp(-2 pi i / n))

    y[q + s (r p + k)] = w_{rm}^{p k} sum_j x[q + s (p + m j)] w_r^{j k},   q < s, p < m,

and after the last one y is in order, with no bit reversal. The loop over q is contiguous, so that
packs of W numbers go through it where W divides s. In the first pass, s = 1, the radix is W itself
and packs run over p: a square of W x W numbers is transposed in registers before it is written.

Source: P. N. Swarztrauber, "FFT algorithms for vector computers", Parallel Computing 1 (1984), and
C. Van Loan, "Computational Frameworks for the Fast Fourier Transform", SIAM 1992, sections 1.7
(autosort) and 4.4 (real data).
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin, sqrt
from typing import Any, NamedTuple, TypeAlias

import numba
from numba.extending import overload

from semilinear.kernels.fft_numba import conjugate, flipped, mirrored, times_minus_i
from semilinear.kernels.fft_tuples import (
    exchanged,
    folded,
    gather,
    scaled,
    scatter,
    transposed,
    twiddled,
    without,
)

ONE = (0,)
COS_60, SIN_60, SQRT_HALF = 0.5, sqrt(0.75), sqrt(0.5)
COS_72, SIN_72 = cos(0.4 * pi), sin(0.4 * pi)
COS_144, SIN_144 = cos(0.8 * pi), sin(0.8 * pi)


def _of_1(a: Any) -> Any:
    return a


def _of_2(a: Any) -> Any:
    return (a[0] + a[1], a[0] - a[1])


def _of_3(a: Any) -> Any:
    rest = a[0] - (a[1] + a[2]) * COS_60
    turn = times_minus_i(a[1] - a[2]) * SIN_60
    return (a[0] + (a[1] + a[2]), rest + turn, rest - turn)


def _of_4(a: Any) -> Any:
    s, d = a[0] + a[2], a[0] - a[2]
    t, e = a[1] + a[3], times_minus_i(a[1] - a[3])
    return (s + t, d + e, s - t, d - e)


def _of_5(a: Any) -> Any:
    s, d = a[1] + a[4], a[1] - a[4]
    t, e = a[2] + a[3], a[2] - a[3]
    near, far = a[0] + s * COS_72 + t * COS_144, a[0] + s * COS_144 + t * COS_72
    turn, back = times_minus_i(d * SIN_72 + e * SIN_144), times_minus_i(d * SIN_144 - e * SIN_72)
    return (a[0] + (s + t), near + turn, far + back, far - back, near - turn)


def _of_8(a: Any) -> Any:
    s, d = a[0] + a[4], a[0] - a[4]
    t, e = a[2] + a[6], times_minus_i(a[2] - a[6])
    u, f = a[1] + a[5], a[1] - a[5]
    v, g = a[3] + a[7], a[3] - a[7]
    sum_even, difference_even = s + t, s - t
    sum_odd, difference_odd = u + v, times_minus_i(u - v)
    # With w = exp(-2 pi i / 8): f w + g w^3 and f w^3 + g w^9.
    across, down = f - g, times_minus_i(f + g)
    once, thrice = (across + down) * SQRT_HALF, (down - across) * SQRT_HALF
    return (
        sum_even + sum_odd,
        (d + e) + once,
        difference_even + difference_odd,
        (d - e) + thrice,
        sum_even - sum_odd,
        (d + e) - once,
        difference_even - difference_odd,
        (d - e) - thrice,
    )


BUTTERFLIES = {1: _of_1, 2: _of_2, 3: _of_3, 4: _of_4, 5: _of_5, 8: _of_8}


def butterfly(a: Any) -> Any:
    """Return the transform of a tuple of packs (within compiled functions only)."""
    raise NotImplementedError


@overload(butterfly, jit_options={"forceinline": True})
def _butterfly(a: Any) -> Callable[[Any], Any]:
    return BUTTERFLIES[a.count]


Function: TypeAlias = Callable[..., None]

# Passes. Each maker returns a function of pointers, sizes and a factor, which runs the pass
# from x to y. `radix` and `width` are tuples whose length matters.


def _first(radix: Any, width: Any, inverse: bool) -> Function:
    """Transform W numbers at a time by W packs over p, from the order of x into blocks."""
    w = len(width)

    def function(x, y, table, fold, m, s, pitch, factor):  # type: ignore[no-untyped-def]
        for p in range(0, m, w):
            a = gather(width, width, x, p, m)
            if inverse:
                a = exchanged(a)
            a = twiddled(butterfly(a), table, 2 * (w - 1) * p, width)
            scatter(y, w * p, w, transposed(a))

    return function


def _first_of_half(radix: Any, width: Any, inverse: bool) -> Function:
    """Fold half a spectrum of h + 1 numbers into h complex ones, and run the first pass.

    With n = 2 h, Z_k = (U_k + conj U_{h-k}) / 2 + i exp(2 pi i k / n) (U_k - conj U_{h-k}) / 2 is
    the transform of x_{2j} + i x_{2j+1}; real and imaginary parts are exchanged on the way.
    """
    w = len(width)

    def function(x, y, table, fold, m, s, pitch, factor):  # type: ignore[no-untyped-def]
        h = w * m
        u = numba.carray(x, h + 1)
        for p in range(0, m, w):
            a = folded(
                gather(width, width, x, p, m),
                gather(width, width, x, h - p - w + 1, -m),
                gather(width, width, fold, p, m),
            )
            if p == 0:
                # The imaginary parts of U_0 and U_h do not count: away with what they brought.
                start, end = 0.5 * u[0].imag, 0.5 * u[h].imag
                a = without(a, -(start + end), start - end)
            a = twiddled(butterfly(exchanged(a)), table, 2 * (w - 1) * p, width)
            scatter(y, w * p, w, transposed(a))

    return function


def _middle(radix: Any, width: Any, inverse: bool) -> Function:
    """Run a pass from x, where the index p of a number counts `pitch` (s in blocks), to blocks."""
    r, w = len(radix), len(width)

    def function(x, y, table, fold, m, s, pitch, factor):  # type: ignore[no-untyped-def]
        for p in range(m):
            for q in range(0, s, w):
                a = gather(radix, width, x, q + pitch * p, pitch * m)
                if inverse:
                    a = exchanged(a)
                a = twiddled(butterfly(a), table, 2 * (r - 1) * p, ONE)
                scatter(y, q + s * r * p, s, a)

    return function


def _last(radix: Any, width: Any, inverse: bool) -> Function:
    """Run the pass without twiddle factors into rows of s numbers that lie `pitch` apart in y.

    Row number b + m k is the output k of the rows number b + m j of x, which lie s apart.
    """
    w = len(width)

    def function(x, y, table, fold, m, s, pitch, factor):  # type: ignore[no-untyped-def]
        for b in range(m):
            for q in range(0, s, w):
                a = butterfly(gather(radix, width, x, q + s * b, s * m))
                if inverse:
                    a = scaled(exchanged(a), factor)
                scatter(y, q + pitch * b, pitch * m, a)

    return function


def _unfold(radix: Any, width: Any, inverse: bool) -> Function:
    """Make half the spectrum of x of the transform Z, in blocks, of x_{2j} + i x_{2j+1}, j < m = h.

    U_k = (Z_k + conj Z_{h-k}) / 2 - i exp(-2 pi i k / n) (Z_k - conj Z_{h-k}) / 2 with Z_h = Z_0,
    and U_{h-k} is the conjugate of the same with a minus between the two terms.
    """
    w = len(width)

    def function(x, y, table, fold, m, s, pitch, factor):  # type: ignore[no-untyped-def]
        z, u = numba.carray(x, 2 * m), numba.carray(y, m + 1)
        high = gather(ONE, width, x, 0, 0)[0]
        for k in range(0, (m + 1) // 2, w):
            low = gather(ONE, width, x, m - k - w, 0)[0]
            a, b = gather(ONE, width, x, k, 0)[0], conjugate(mirrored(low, high))
            high = low
            mean, turned = (a + b) * 0.5, (a - b) * gather(ONE, width, fold, k, 0)[0]
            scatter(y, k, 0, (mean + turned,))
            scatter(y, m - k - w + 1, 0, (flipped(conjugate(mean - turned)),))
        if m % 2 == 0:
            u[m // 2] = complex(z[m], -z[m + w])

    return function


class Kind(NamedTuple):
    """A kind of pass: its maker, whether x and y are complex (or blocks), and whether inverse."""

    make: Callable[..., Function]
    complex_in: bool
    complex_out: bool
    inverse: bool = False


KINDS = {
    "first": Kind(_first, True, False),
    "first of inverse": Kind(_first, True, False, True),
    "first of half": Kind(_first_of_half, True, False, True),
    "first in columns": Kind(_middle, True, False),
    "first in columns of inverse": Kind(_middle, True, False, True),
    "middle": Kind(_middle, False, False),
    "last": Kind(_last, False, True),
    "last of inverse": Kind(_last, False, True, True),
    "last before unfold": Kind(_last, False, False),
    "unfold": Kind(_unfold, False, True),
}
