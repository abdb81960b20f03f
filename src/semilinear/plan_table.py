"""A plan as an array program: matrices of one size, for compilers of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from semilinear.segments import Segment


class Table(NamedTuple):
    """A plan with scalar coefficients as an array program, zero-padded to a fixed size.

    A run keeps S slots like x, of which number 0 is what the model sees next, and at the end the
    result::

        slots = opening @ (x, z_0 ... z_{D-1})
        for k in range(nfe):
            slots = matrices[k] @ (slots, model(slots[0], times[k]), z_0 ... z_{D-1})

    with D standard normal arrays z drawn anew before each product.

    Parameters
    ----------
    opening
        Shape (S, 1 + D).
    matrices
        Shape (nfe, S, S + 1 + D), float64 or complex128.
    times
        The time of each evaluation, shape (nfe,).
    """

    opening: np.ndarray
    matrices: np.ndarray
    times: np.ndarray

    @property
    def slots(self) -> int:
        """S."""
        return int(self.opening.shape[0])

    @property
    def draws(self) -> int:
        """D: 0 without noise."""
        return int(self.opening.shape[1]) - 1


def table_of(opening: Segment, segments: Sequence[Segment], times: Sequence[float]) -> Table:
    """Return the table of a run.

    Parameters
    ----------
    opening
        What comes before the first evaluation, with scalar coefficients.
    segments
        What comes after each evaluation.
    times
        When they are.
    """
    every = [opening, *segments]
    slots = max(len(segment.code.slots) for segment in every)
    draws = max(segment.code.draws for segment in every)
    kind = np.result_type(float, *(segment.coefficients for segment in every))
    first, places = _padded(opening, [0], 1, slots, draws, kind)
    matrices = np.empty((len(segments), slots, slots + 1 + draws), kind)
    for k, segment in enumerate(segments):
        matrices[k], places = _padded(segment, [*places, slots], slots + 1, slots, draws, kind)
    made = Table(first, matrices, np.array(times))
    for array in made:
        array.flags.writeable = False
    return made


def _padded(
    segment: Segment, places: list[int], known: int, slots: int, draws: int, kind: Any
) -> tuple[np.ndarray, list[int]]:
    """Return the matrix of a segment, and the places of the slots that it leaves.

    Parameters
    ----------
    places
        Columns of what the segment finds, draws apart.
    known
        Number of columns before those of the draws.
    """
    code, coefficients = segment
    unit = np.eye(known + draws, dtype=kind)
    found = [unit[place] for place in (*places, *range(known, known + code.draws))]
    made = (
        coefficients @ np.array([found[source] for source in code.sources]) if code.recipe else ()
    )
    left = code.keep((*found, *made))
    # What the model sees next goes to place 0.
    order = [code.asked, *(i for i in range(len(left)) if i != code.asked)]
    matrix = np.zeros((slots, known + draws), kind)
    matrix[: len(left)] = [left[i] for i in order]
    return matrix, [order.index(i) for i in range(len(left))]
