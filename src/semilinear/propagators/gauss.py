"""Gauss-Legendre quadrature on [0, 1], and a rule that its sums are compared with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

INSET = 2.0**-20


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
    values = np.polynomial.legendre.legvander(x, count - 1)
    # Legendre coefficients of the interpolant, by the discrete orthogonality of Gauss quadrature.
    to_coefficients = values.T * weights * ((2 * np.arange(count) + 1) / 2)[:, None]
    tail = _integration_matrix(x, to_coefficients)
    return Rule((x + 1) / 2, weights / 2, tail, weights / 2 - tail)


def comparison(count: int) -> Rule:
    """Return a rule with one node more than `rule(count)`, as exact, whose nodes lie between those.

    Gauss-Lobatto, drawn in by INSET of the interval, so that functions are not asked at its ends.
    Of a jump, wherever it is, the two rules err by differences of the same size: with nodes at the
    ends and in the middle of the gaps there is no place that looks the same to both.
    """
    legendre = np.polynomial.legendre
    inner = legendre.Legendre.basis(count).deriv().roots().real
    x = np.concatenate([[-1.0], np.sort(inner), [1.0]]) * (1 - 2 * INSET)
    to_coefficients = np.linalg.inv(legendre.legvander(x, count))
    weights = to_coefficients[0]
    tail = _integration_matrix(x, to_coefficients)
    return Rule((x + 1) / 2, weights, tail, weights - tail)


def _integration_matrix(x: np.ndarray, to_coefficients: np.ndarray) -> np.ndarray:
    """Return E with ``sum_r E_qr f_r = int_{x_q}^1 f / 2`` on [-1, 1]."""
    legendre = np.polynomial.legendre
    count = len(x)
    tails = np.empty((count, count))
    for k in range(count):
        primitive = legendre.legint(np.eye(count)[k])
        tails[:, k] = (legendre.legval(1.0, primitive) - legendre.legval(x, primitive)) / 2
    matrix: np.ndarray = tails @ to_coefficients
    return matrix


GAUSS = rule(16)
"""The rule of most of this package."""

NODES, WEIGHTS, *_ = GAUSS

COMPARED = comparison(16)
"""What its sums are compared with."""
