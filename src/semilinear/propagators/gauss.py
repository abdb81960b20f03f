"""Gauss-Legendre quadrature on [0, 1]."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Rule(NamedTuple):
    """Quadrature with some nodes.

    Parameters
    ----------
    nodes, weights
        Shape (n,).
    tail, head
        The rest of an integral from each node on, and what comes before it: matrices that are exact
        for polynomials through the nodes.
    """

    nodes: np.ndarray
    weights: np.ndarray
    tail: np.ndarray
    head: np.ndarray


def rule(count: int) -> Rule:
    """Return the rule with `count` nodes."""
    x, weights = np.polynomial.legendre.leggauss(count)
    tail = _integration_matrix(x, weights)
    return Rule((x + 1) / 2, weights / 2, tail, weights / 2 - tail)


def _integration_matrix(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return E with ``sum_r E_qr f_r = int_{x_q}^1 f / 2`` on [-1, 1]."""
    legendre = np.polynomial.legendre
    count = len(x)
    values = legendre.legvander(x, count - 1)
    # Legendre coefficients of the interpolant, by the discrete orthogonality of Gauss quadrature.
    to_coefficients = values.T * weights * ((2 * np.arange(count) + 1) / 2)[:, None]
    tails = np.empty((count, count))
    for k in range(count):
        primitive = legendre.legint(np.eye(count)[k])
        tails[:, k] = (legendre.legval(1.0, primitive) - legendre.legval(x, primitive)) / 2
    matrix: np.ndarray = tails @ to_coefficients
    return matrix


NODES, WEIGHTS, TAIL, _ = rule(16)
"""The rule of most of this package."""
