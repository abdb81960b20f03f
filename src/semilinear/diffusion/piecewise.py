"""Functions that are linear between nodes, entry by entry, and quadrature that knows the nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from semilinear.errors import InvalidArgument
from semilinear.propagators.gauss import rule

NODES, WEIGHTS, _, HEAD = rule(6)
"""Tables have many nodes, and all entries of all intervals need the exponential at all of these."""
LONGEST = 0.25
"""Length in lambda of a panel of quadrature."""
TURN = 0.25
"""By how much an exponent may change in a panel: a few nodes then give full precision."""
MAX_PARTS = 4096
"""Into how many panels an interval of the table is cut, at most."""
AT_ONCE = 2**20
"""Values of an integrand that are held at a time."""


class Points(NamedTuple):
    """Quadrature points in some panels, from low to high lambda.

    Parameters
    ----------
    lam, weight
        Shape (panels, nodes).
    piece
        In which interval of the table each panel lies.
    """

    lam: np.ndarray
    weight: np.ndarray
    piece: np.ndarray

    @property
    def width(self) -> np.ndarray:
        """The length of each panel."""
        widths: np.ndarray = self.weight[:, 0] / WEIGHTS[0]
        return widths

    def over_panels(self, values: np.ndarray) -> np.ndarray:
        """Return the integral of an integrand (panels, nodes, entries) over each panel."""
        whole: np.ndarray = (self.weight[:, None] @ values)[:, 0]
        return whole

    def upto(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return integrals from the first panel's left end: to each point, and to the last end."""
        whole = self.over_panels(values)
        ends = np.cumsum(whole, axis=0)
        inside = (self.width[:, None, None] * HEAD) @ values
        inside += (ends - whole)[:, None]
        return inside, ends[-1]


def within(low: np.ndarray, width: np.ndarray, piece: np.ndarray) -> Points:
    """Return quadrature points in panels that begin somewhere, each in one interval."""
    wide = width[:, None]
    return Points(low[:, None] + wide * NODES, wide * WEIGHTS, piece)


class Pieces:
    """A function that is linear between nodes, entry by entry, and its integral.

    Parameters
    ----------
    nodes
        Shape (n,).
    values
        There, shape (n, entries).
    """

    def __init__(self, nodes: np.ndarray, values: np.ndarray) -> None:
        self.nodes = nodes
        lengths = np.diff(nodes)[:, None]
        areas = lengths * (values[1:] + values[:-1]) / 2
        total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(areas, axis=0)])
        # From the middle, so that what grows with it spans as few orders of magnitude as it can.
        total -= total[len(nodes) // 2]
        slopes = np.diff(values, axis=0) / lengths
        # Integral, value and slope at the left end of each interval.
        self._terms = np.stack([total[:-1], values[:-1], slopes], axis=1)

    def at(self, lam: np.ndarray, piece: np.ndarray) -> np.ndarray:
        """Return values, shape (n, m, entries), of lam (n, m) in n intervals."""
        past = lam - self.nodes[piece][:, None]
        found: np.ndarray = np.stack([np.ones_like(past), past], axis=-1) @ self._terms[piece, 1:]
        return found

    def integral(self, lam: np.ndarray, piece: np.ndarray) -> np.ndarray:
        """Return the integrals from the middle of the table, shaped likewise."""
        past = lam - self.nodes[piece][:, None]
        powers = np.stack([np.ones_like(past), past, past**2 / 2], axis=-1)
        found: np.ndarray = powers @ self._terms[piece]
        return found


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
        width = np.diff(part)
        yield within(part[:-1], width, pieces_of(part[:-1] + width / 2, nodes))


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
