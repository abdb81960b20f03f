"""The phi-functions of an array in plain array-API code: the definition of this kernel."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

# The series serves phi_k of a positive z up to z = SERIES_REACH k.
SERIES_REACH = 1.5


def phi_functions(z: Any, highest: int) -> tuple[Any, ...]:
    """Evaluate phi_0, ..., phi_highest at every element of z.

    phi_0(z) = e^z and, for k >= 1,

        phi_k(z) = integral over s in [0, 1] of e^{(1-s) z} s^(k-1) / (k-1)! ds
                 = sum over j >= 0 of z^j / (j+k)!.

    Parameters
    ----------
    z : array of float32, float64, complex64 or complex128, of any shape
        The arguments, from any library that follows the array-API standard.
    highest : int
        The highest index, 1 or more.

    Returns
    -------
    tuple of highest + 1 arrays
        (phi_0(z), ..., phi_highest(z)), each of z's shape and dtype.

    Notes
    -----
    An element takes phi_k from the recurrence phi_k = (phi_{k-1} - 1/(k-1)!) / z, k = 1, 2, ...,
    while k <= abs(z), and from its Taylor series, by Horner's rule, once k > abs(z). A step of
    the recurrence multiplies a relative error by about (k-1) / abs(z), and a step of Horner's
    rule, which is the recurrence read downwards, by about abs(z) / k, so neither enlarges one.
    All terms of the series are positive where z is, so it serves there up to abs(z) = 3k/2.

    Relative errors for k <= 6, in units of the dtype's machine epsilon: at most 4 for real z <= 3
    and 5 for real z <= 40; at most 5 for complex z with Re z <= 0, relative to abs(phi_k(z)).
    Right of the imaginary axis phi_2, phi_3, ... have zeros, and no such bound holds there.

    phi_k(-inf) = 0, also with a finite imaginary part, phi_k(inf) = inf for real z, and NaN stays
    NaN. A real value beyond the largest finite number becomes inf, a complex one infinite or NaN,
    without a warning.

    References
    ----------
    Hochbruck, Ostermann, Exponential integrators, Acta Numerica 19 (2010), section 2.1.
    """
    xp = array_namespace(z)
    inverse = reciprocal_factorials(highest)
    # With one axis at least: NumPy makes a scalar, not an array, of an exponential without axes.
    z = z[None, ...]
    with np.errstate(all="ignore"):
        size = xp.abs(z)
        if xp.isdtype(z.dtype, "real floating"):
            size = xp.where(z > 0.0, z / SERIES_REACH, size)
        series = _series(xp.where(size < highest, z, xp.zeros_like(z)), inverse, highest)
        # No 0/0 where the series is used, and no inf/inf at infinity.
        divisor = xp.where((size < 1.0) | (z == math.inf), xp.ones_like(z), z)
        phis = [xp.exp(z)]
        for k in range(1, highest + 1):
            rise = _expm1(z, phis[0]) if k == 1 else phis[-1] - inverse[k - 1]
            phis.append(xp.where(size < k, series[k - 1], rise / divisor))
    return tuple([phi[0, ...] for phi in phis])


@functools.cache
def reciprocal_factorials(count: int) -> tuple[float, ...]:
    """Return 1/m! for m = 0, ..., 20 + 4 count: the coefficients that `phi_functions` needs.

    The series cut off there is exact to a tenth of a machine epsilon (float64) wherever it is
    used: in phi_k(z), k <= count, for abs(z) < k, and for real z up to SERIES_REACH k.
    """
    # Of integers: from 171! on there is no float, and the quotient is 0 in the end.
    return tuple(1 / math.factorial(m) for m in range(21 + 4 * count))


def _series(z: Any, inverse: tuple[float, ...], count: int) -> list[Any]:
    """Return phi_1, ..., phi_count from phi_m = z phi_{m+1} + 1/m!, downwards from phi = 1/m!."""
    partial = array_namespace(z).full_like(z, inverse[-1])
    phis = []
    for m in range(len(inverse) - 2, 0, -1):
        partial = partial * z + inverse[m]
        if m <= count:
            phis.append(partial)
    return phis[::-1]


def _expm1(z: Any, exp_z: Any) -> Any:
    """Return e^z - 1 to a small error relative to its modulus, wherever abs(z) >= 1.

    A real z needs no care there. A complex one does near the zeros 2 pi i m:
    with z = x + iy, e^z - 1 = expm1(x) cos y - 2 sin^2(y/2) + i e^x sin y. That is written out
    because not every library's complex expm1 is accurate, and the standard allows that.
    """
    xp = array_namespace(z)
    if xp.isdtype(z.dtype, "real floating"):
        return exp_z - 1.0
    x, y = xp.real(z), xp.imag(z)
    real = xp.expm1(x) * xp.cos(y) - 2.0 * xp.sin(0.5 * y) ** 2
    return xp.astype(real, z.dtype) + 1j * xp.astype(xp.imag(exp_z), z.dtype)
