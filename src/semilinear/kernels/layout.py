"""What the arrays mean that the host and the compiled loops hand to each other.

Plain numbers, so that the host knows them without loading compiled code.
"""

from __future__ import annotations

DONE, FULL, NEED, BAD, SHORT = 0, 1, 2, 3, 4
"""Why a loop returns: end reached; no room for another grid point, or long enough; coefficients
wanted from the host; values that are not finite; step too short."""

COMBINE, EVALUATE = 0, 1
"""Kinds of rows."""

SLOTS = ("y", "N1", "y+", "N+", "E")
"""Slots that the loops of tables look at themselves, in the order of their numbers."""

BASE, FIRST, NEW, END, ERROR = range(len(SLOTS))
"""The numbers of these slots."""

STEP, REJECTED, EVALUATIONS, LOADED, SAVED, REFUSED = 0, 1, 2, 3, 4, 5
"""Places of the integers of a run: steps made; attempts refused; evaluations of N; which set of
coefficients is loaded (-1: none); grid points saved since the call; whether the attempt before was
refused."""

ORDER, KNOWN, CURRENT = 6, 7, 8
"""Further integers where the order varies: order; past values of N; which table of differences
belongs to the base state."""

BEGUN = 9
"""A further integer of a fixed grid: whether N at the base state is there, and the rest of the step
is not made."""

MOST = 10
"""A further integer of adaptive steps: the evaluations after which no other attempt may begin."""

COUNTS = 11
"""How many integers a run has."""

T, H, LAST, BEFORE, EARLIER, LOADED_H = 0, 1, 2, 3, 4, 5
"""Places of the numbers of a run: time; step; error norms, the newest first; the step that the
coefficients are for."""

UNIT = 6
"""A further number where the order varies: the length in which divided differences count times."""

NUMBERS = 7
"""How many numbers a run has."""
