"""Gauss-Legendre in lambda: the variable that keeps DEIS integrands smooth at both ends.

In t the integrand of a VP schedule behaves like t^(-1/2) at 0; in lambda = -ln rho it is smooth and
decays like e^(-lambda). Panels are at most `PANEL` long and end where a piecewise schedule has a
kink, so that 16 nodes each give full precision; for a quantity of one's own that changes faster
they are halved until they do (`quantity_checks.sharpness`). Far from the peak of the integrand an
interval is cut where the rest is below rounding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from semilinear.propagators.gauss import NODES, WEIGHTS

PANEL = 2.0
REACH = 60.0
"""s^6 e^-s / 6! = 6e-19 there: what lies beyond does not change a float64 sum."""


class Panels(NamedTuple):
    """Quadrature points of many intervals at once.

    Parameters
    ----------
    lam, weight
        Nodes and weights, shape (panels, 16).
    owner
        Number of the interval of each panel, increasing.
    first
        Number of the first panel of each interval.
    """

    lam: np.ndarray
    weight: np.ndarray
    owner: np.ndarray
    first: np.ndarray

    def total(self, values: np.ndarray) -> np.ndarray:
        """Return the sums over each interval, of values with any axes before those of `lam`."""
        return np.add.reduceat((self.weight * values).sum(axis=-1), self.first, axis=-1)


def panels(
    start: np.ndarray, end: np.ndarray, breaks: np.ndarray, peak: float, rate: Any = 1.0
) -> Panels:
    """Return panels for the integrals over lambda from `start` to `end`, in either direction.

    Parameters
    ----------
    start, end
        Ends, shape (n,); infinite only away from the peak.
    breaks
        Values of lambda at which panels must end, sorted.
    peak
        Where the integrand is largest: outside of it, the nearest end. It decays at least like
        e^-|lambda| on both sides.
    rate
        Of each interval: it varies like e^(rate lambda) or slower.
    """
    low, high = np.minimum(start, end), np.maximum(start, end)
    middle = np.minimum(np.maximum(peak, low), high)
    low, high = np.maximum(low, middle - REACH), np.minimum(high, middle + REACH)
    longest = np.minimum(PANEL, 8.0 / np.maximum(1.0, rate))
    counts = np.maximum(1.0, np.ceil((high - low) / longest)).astype(int)
    owner = np.repeat(np.arange(len(counts)), counts)
    ends = np.cumsum(counts)
    rank = np.arange(len(owner)) - (ends - counts)[owner]
    left = low[owner] + rank * ((high - low) / counts)[owner]
    if len(breaks):
        left, owner = _with_breaks(left, owner, low, high, breaks)
        ends = np.searchsorted(owner, np.arange(len(counts)), side="right")
    right = np.empty_like(left)
    right[:-1] = left[1:]
    right[ends - 1] = high
    width = (right - left)[:, None]
    sign = np.where(end >= start, 1.0, -1.0)[owner, None]
    first = np.zeros_like(ends)
    first[1:] = ends[:-1]
    return Panels(left[:, None] + width * NODES, sign * width * WEIGHTS, owner, first)


def _with_breaks(
    left: np.ndarray, owner: np.ndarray, low: np.ndarray, high: np.ndarray, breaks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    begin = np.searchsorted(breaks, low, side="right")
    counts = np.maximum(np.searchsorted(breaks, high, side="left") - begin, 0)
    inside = np.repeat(np.arange(len(counts)), counts)
    rank = np.arange(len(inside)) - np.repeat(np.cumsum(counts) - counts, counts)
    left = np.concatenate([left, breaks[begin[inside] + rank]])
    owner = np.concatenate([owner, inside])
    order = np.lexsort((left, owner))
    return left[order], owner[order]
