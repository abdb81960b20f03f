"""Functions that are linear between nodes, entry by entry, and quadrature that knows the nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from semilinear.errors import InvalidArgument
from semilinear.propagators.gauss import HEAD, NODES, WEIGHTS

LONGEST = 2.0
"""Length in lambda of a panel of quadrature."""
TURN = 4.0
"""By how much an exponent may change in a panel: 16 nodes then give full precision."""
MAX_PARTS = 1024
"""Into how many panels an interval of the table is cut, at most."""
AT_ONCE = 2**20
"""Values of an integrand that are held at a time."""


class Points(NamedTuple):
    """Quadrature points in some panels, from low to high lambda.

    Parameters
    ----------
    lam, weight
        Shape (panels, 16).
    piece
        In which interval of the table each panel lies.
    """

    lam: np.ndarray
    weight: np.ndarray
    piece: np.ndarray

    def upto(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return integrals from the first panel's left end: to each point, and to the last end.

        Parameters
        ----------
        values
            Of the integrand, shape (panels, 16, entries).
        """
        whole = np.einsum("pq,pqe->pe", self.weight, values)
        ends = np.cumsum(whole, axis=0)
        width = self.weight[:, :1, None] / WEIGHTS[0]
        return (ends - whole)[:, None] + width * (HEAD @ values), ends[-1]


class Pieces:
    """A function that is linear between nodes, entry by entry, and its integral."""

    def __init__(self, nodes: np.ndarray, values: np.ndarray) -> None:
        self.nodes, self.values = nodes, values
        lengths = np.diff(nodes)[:, None]
        self.slopes = np.diff(values, axis=0) / lengths
        areas = lengths * (values[1:] + values[:-1]) / 2
        total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(areas, axis=0)])
        # From the middle, so that what grows with it spans as few orders of magnitude as it can.
        self.total = total - total[len(nodes) // 2]

    def at(self, lam: np.ndarray, piece: np.ndarray) -> np.ndarray:
        """Return values, shape (n, m, entries), of lam (n, m) in n intervals."""
        found: np.ndarray = self.values[piece][:, None] + self._past(lam, piece) * self._slope(
            piece
        )
        return found

    def integral(self, lam: np.ndarray, piece: np.ndarray) -> np.ndarray:
        """Return the integrals from the middle of the table, shaped likewise."""
        past = self._past(lam, piece)
        mean = self.values[piece][:, None] + past / 2 * self._slope(piece)
        found: np.ndarray = self.total[piece][:, None] + past * mean
        return found

    def _past(self, lam: np.ndarray, piece: np.ndarray) -> np.ndarray:
        past: np.ndarray = lam - self.nodes[piece][:, None]
        return past[..., None]

    def _slope(self, piece: np.ndarray) -> np.ndarray:
        slope: np.ndarray = self.slopes[piece][:, None]
        return slope


def panels(
    low: float, high: float, nodes: np.ndarray, breaks: np.ndarray, entries: int
) -> Iterator[Points]:
    """Yield quadrature points between two numbers, some panels at a time.

    Parameters
    ----------
    nodes, breaks
        Where panels must end; intervals are those of the nodes.
    entries
        Of an integrand at a point.
    """
    inner = np.union1d(nodes, breaks)
    inner = inner[(inner > low) & (inner < high)]
    edges = np.concatenate([[low], inner, [high]])
    few = max(1, AT_ONCE // (len(NODES) * max(1, entries)))
    for first in range(0, len(edges) - 1, few):
        part = edges[first : first + few + 1]
        width = np.diff(part)[:, None]
        pieces = pieces_of(part[:-1] + np.diff(part) / 2, nodes)
        yield Points(part[:-1, None] + width * NODES, width * WEIGHTS, pieces)


def pieces_of(lam: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Return the intervals in which numbers lie, the outermost where they lie outside."""
    before = np.searchsorted(nodes, lam, side="right") - 1
    pieces: np.ndarray = np.clip(before, 0, len(nodes) - 2)
    return pieces


def refined(
    nodes: np.ndarray, rates: Sequence[np.ndarray], others: Sequence[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Return nodes and values with more of them where an interval is too long for one panel.

    Parameters
    ----------
    nodes
        Shape (n,).
    rates, others
        Values there, shape (n, entries); integrands vary like the exponential of the integrals of
        `rates`.
    """
    lengths = np.diff(nodes)
    sizes = [np.abs(array).max(axis=1, initial=0.0) for array in rates]
    fastest = np.sum([np.maximum(size[1:], size[:-1]) for size in sizes], axis=0)
    parts = np.ceil(lengths * np.maximum(1 / LONGEST, fastest / TURN))
    if parts.max() > MAX_PARTS:
        raise InvalidArgument(
            f"lam: between two nodes l or s changes a state by a factor of more than e^"
            f"{TURN * MAX_PARTS:.0f}; give more nodes, or smaller values"
        )
    counts = parts.astype(int)
    piece = np.repeat(np.arange(len(counts)), counts)
    rank = np.arange(len(piece)) - np.repeat(np.cumsum(counts) - counts, counts)
    theta = (rank / counts[piece])[:, None]

    def spread(array: np.ndarray) -> np.ndarray:
        inner = (1 - theta) * array[piece] + theta * array[piece + 1]
        return np.concatenate([inner, array[-1:]])

    return spread(nodes[:, None])[:, 0], *(spread(array) for array in (*rates, *others))
