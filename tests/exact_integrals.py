"""Integrals of Newton bases against e^{L (b - s)}, to many digits and by another formula."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import mpmath


def constant_rate(
    rate: complex, a: float, b: float, nodes: Sequence[float], scale: float
) -> tuple[list[mpmath.mpc], list[float]]:
    """Return the integrals for m = 0 .. len(nodes), and the size of the terms that make them up.

    In u = (b - s) / (b - a) the basis is a polynomial, and
    ``int_0^1 e^{z u} u^m du = 1F1(m + 1; m + 2; z) / (m + 1)``.
    """
    with mpmath.workdps(60):
        h = mpmath.mpf(b) - mpmath.mpf(a)
        z = mpmath.mpmathify(rate) * h
        moments = [mpmath.hyp1f1(m + 1, m + 2, z) / (m + 1) for m in range(len(nodes) + 1)]
        size = abs(h) * max(abs(moment) for moment in moments)
        polynomial = [mpmath.mpf(1)]
        integrals, sizes = [h * moments[0]], [float(size)]
        for node in nodes:
            shift, slope = (b - mpmath.mpf(node)) / scale, -h / scale
            raised = [*(shift * x for x in polynomial), mpmath.mpf(0)]
            for power, x in enumerate(polynomial):
                raised[power + 1] += slope * x
            polynomial = raised
            terms = zip(polynomial, moments, strict=False)
            integrals.append(h * mpmath.fsum(x * moment for x, moment in terms))
            size *= (abs(mpmath.mpf(a) - node) + abs(h)) / abs(scale)
            sizes.append(float(size))
        return integrals, sizes


def by_quadrature(
    kernel: Callable[[mpmath.mpf], mpmath.mpc],
    panels: Sequence[float],
    nodes: Sequence[float],
    scale: float,
) -> list[mpmath.mpc]:
    """Return the integrals for a kernel ``s -> Psi(b, s) B(s)`` in closed form.

    Parameters
    ----------
    panels
        Ends of the interval, and where it is divided.
    """

    def basis(s: mpmath.mpf, m: int) -> mpmath.mpf:
        return mpmath.fprod((s - node) / scale for node in nodes[:m])

    remembered = functools.cache(kernel)
    with mpmath.workdps(25):
        return [
            mpmath.quad(
                lambda s, m=m: remembered(s) * basis(s, m), list(panels), method="gauss-legendre"
            )
            for m in range(len(nodes) + 1)
        ]
