"""Gauss-Legendre quadrature on [0, 1]: the one rule of this package."""

from __future__ import annotations

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
NODES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2


def _integration_matrix() -> np.ndarray:
    """Return E with ``sum_r E_qr f_r = int_{x_q}^1 f`` for polynomials through the Gauss nodes."""
    legendre = np.polynomial.legendre
    count = len(NODES)
    x = 2 * NODES - 1
    values = legendre.legvander(x, count - 1)
    # Legendre coefficients of the interpolant, by the discrete orthogonality of Gauss quadrature.
    to_coefficients = values.T * (2 * WEIGHTS) * ((2 * np.arange(count) + 1) / 2)[:, None]
    tails = np.empty((count, count))
    for k in range(count):
        primitive = legendre.legint(np.eye(count)[k])
        tails[:, k] = (legendre.legval(1.0, primitive) - legendre.legval(x, primitive)) / 2
    return tails @ to_coefficients


TAIL = _integration_matrix()
"""The rest of an integral over [0, 1] from each node on."""

HEAD = WEIGHTS - TAIL
"""An integral over [0, 1] up to each node."""
