"""The Frechet distance of two normal distributions, and how sure it is from a sample.

``d^2 = |m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2))`` for means m and covariances C (Dowson
and Landau 1982). As usual for images the square is what is reported (Heusel et al. 2017).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Mean, shape (d,), and covariance, shape (d, d)."""

    mean: np.ndarray
    covariance: np.ndarray


def moments(values: np.ndarray) -> Moments:
    """Return mean and unbiased covariance of the rows of an array (n, d), in float64."""
    rows = np.asarray(values, dtype=np.float64)
    mean = rows.mean(0)
    # Centred before the product, so that a mean far from zero costs no digits.
    centred = rows - mean
    return Moments(mean, centred.T @ centred / (len(rows) - 1))


class Reference:
    """The distribution that others are compared with; R, the root of its covariance, is kept.

    ``tr (C_1 C_2)^(1/2)`` is the sum of the roots of the eigenvalues of ``R C_2 R`` with R^2 = C_1,
    which is symmetric: real, and stable where a covariance is singular.
    """

    def __init__(self, real: Moments) -> None:
        self.real = real
        values, axes = np.linalg.eigh(real.covariance)
        self.root: np.ndarray = (axes * np.sqrt(np.maximum(values, 0.0))) @ axes.T

    def distance(self, other: Moments) -> float:
        """Return d^2."""
        between = np.linalg.eigvalsh(self.root @ other.covariance @ self.root)
        shift = other.mean - self.real.mean
        spread = np.trace(self.real.covariance) + np.trace(other.covariance)
        return float(shift @ shift + spread - 2 * np.sqrt(np.maximum(between, 0.0)).sum())

    def influence(self, values: np.ndarray) -> np.ndarray:
        """Return how each row moves d^2, to first order; shape (n,), mean 0.

        ``I = 2 (m_2 - m_1) . c + c . (1 - T) c`` minus its mean, with ``c = f - m_2`` for a row f
        and ``T = R (R C_2 R)^(-1/2) R``: 1 - T is the derivative of d^2 by C_2.
        """
        own = moments(values)
        between, axes = np.linalg.eigh(self.root @ own.covariance @ self.root)
        kept = between > between[-1] * len(between) * np.finfo(float).eps
        half = (self.root @ axes[:, kept]) / between[kept] ** 0.25
        centred = np.asarray(values, dtype=np.float64) - own.mean
        raw = 2 * centred @ (own.mean - self.real.mean)
        raw += np.square(centred).sum(1) - np.square(centred @ half).sum(1)
        influence: np.ndarray = raw - raw.mean()
        return influence

    def bootstrap(self, values: np.ndarray, *, draws: int, seed: int) -> np.ndarray:
        """Return deviations of d^2 when rows are drawn with replacement, shape (draws,).

        Of first order (`influence`), and so without the bias that repeated rows bring. The same
        rows are drawn for all `values` of one length: two samplers that begin with the same noise
        may be compared draw by draw.
        """
        count = len(values)
        deviations: np.ndarray = _drawn(count, draws, seed) @ self.influence(values) / count
        return deviations


@lru_cache(maxsize=1)
def _drawn(count: int, draws: int, seed: int) -> np.ndarray:
    """Return how often each row is drawn, less once; shape (draws, count)."""
    shares = np.full(count, 1.0 / count)
    drawn: np.ndarray = np.random.default_rng(seed).multinomial(count, shares, size=draws)
    return (drawn - 1).astype(np.float64)


def distance(first: Moments, second: Moments) -> float:
    """Return d^2 between two normal distributions."""
    return Reference(first).distance(second)
