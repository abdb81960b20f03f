"""Steps as integer tables: what the compiled loop reads instead of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from semilinear.kernels.layout import COMBINE, EVALUATE, SLOTS
from semilinear.methods.rows import Combine, Evaluate, Step, Weight
from semilinear.phi import Phi
from semilinear.plan import slopes_of


class Tables(NamedTuple):
    """Steps as tables, which `kernels.march_passes` describes."""

    rows: np.ndarray
    sources: np.ndarray
    fractions: np.ndarray
    carries: np.ndarray
    terms: np.ndarray
    factors: np.ndarray
    lengths: np.ndarray
    highest: np.ndarray
    halves: np.ndarray


class Marching(NamedTuple):
    """Tables, and what the host needs to know of them."""

    tables: Tables
    programs: np.ndarray
    """Of each step: (first row, end of rows, first carry, end of carries, whether it begins with N
    at its base state, slot of N at its end or -1)."""
    slots: tuple[str, ...]
    chosen: tuple[tuple[int, ...], ...]
    """Of each step: which of its coefficients, as `step_coefficients` numbers them, are different;
    the tables number these."""
    of_phi: bool
    """Whether there is one step, and all its coefficients are combinations of phi-functions."""


@lru_cache(maxsize=256)
def make_tables(steps: tuple[Step, ...]) -> Marching:
    """Return the tables of distinct steps."""
    slots = list(SLOTS)
    fractions: list[Fraction] = []
    rows: list[tuple[int, int, int, int]] = []
    sources: list[tuple[int, int]] = []
    carries: list[tuple[int, int]] = []
    programs = []

    def slot(name: str) -> int:
        if name not in slots:
            slots.append(name)
        return slots.index(name)

    chosen = []
    for step in steps:
        first_row, first_carry = len(rows), len(carries)
        weights = list(_weights(step))
        different = list(dict.fromkeys(weights))
        numbers = iter([different.index(weight) for weight in weights])
        chosen.append(tuple(weights.index(weight) for weight in different))
        for row in step.instructions:
            if isinstance(row, Combine):
                rows.append((COMBINE, slot(row.dst), len(sources), len(row.sources)))
                sources.extend((slot(name), next(numbers)) for name in row.sources)
            elif isinstance(row, Evaluate):
                if row.at not in fractions:
                    fractions.append(row.at)
                place = fractions.index(row.at)
                rows.append((EVALUATE, slot(row.state), slot(row.slot), place))
        carries.extend((slot(new), slot(old)) for new, old in step.carry)
        slopes = {place.number: ask for ask, place in slopes_of(step) if place is not None}
        leads = slopes.get(0) is step.instructions[0]
        at_end = slot(slopes[1].slot) if 1 in slopes else -1
        programs.append((first_row, len(rows), first_carry, len(carries), leads, at_end))
    phis = _phi_terms(steps[0])
    of_phi = len(steps) == 1 and bool(len(phis[0]))
    table = Tables(
        _integers(rows, 4),
        _integers(sources, 2),
        np.array([float(c) for c in fractions]),
        _integers(carries, 2),
        *phis,
    )
    return Marching(table, _integers(programs, 6), tuple(slots), tuple(chosen), of_phi)


def _integers(rows: Sequence[tuple[int, ...]], width: int) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(-1, width)


def _phi_terms(
    step: Step,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (terms, factors, lengths, highest, halves) for a constant linear part.

    Empty with other weights.
    """
    found: list[tuple[int, Fraction, int, Fraction, int]] = []
    for number, (weight, of_input) in enumerate(dict.fromkeys(_weights(step))):
        if not isinstance(weight, Phi):
            return _phi_terms(Step((), carry=()))
        for (k, _, length), factor in weight.for_constant_linear_part():
            found.append((number, length, k, factor, of_input))
    lengths = sorted({length for _, length, _, _, _ in found})
    highest = {at: max(k for _, length, k, _, _ in found if length == at) for at in lengths}
    for length in reversed(lengths):  # the longest first: its half must know as many
        if length / 2 in highest and highest[length] > 0:
            highest[length / 2] = max(highest[length / 2], highest[length])
    halves = [lengths.index(x / 2) if x / 2 in highest and highest[x] else -1 for x in lengths]
    first = dict(zip(lengths, np.cumsum([0, *(highest[x] + 1 for x in lengths)]), strict=False))
    return (
        _integers([(n, int(first[length]) + k, own) for n, length, k, _, own in found], 3),
        np.array([float(factor) for _, _, _, factor, _ in found]),
        np.array([float(length) for length in lengths]),
        np.array([highest[x] for x in lengths], dtype=np.int64),
        np.array(halves, dtype=np.int64),
    )


def _weights(step: Step) -> Iterator[tuple[Weight, int]]:
    """Yield the weights of a step in the order of its coefficients, 1 with those of inputs."""
    for row in step.instructions:
        if isinstance(row, Combine):
            yield from ((weight, 0) for _, weight in row.states)
            yield from ((weight, 1) for _, weight in row.inputs)
