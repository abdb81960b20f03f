"""Which coefficient of a plan is no finite number, in words."""

from __future__ import annotations

import numpy as np

from semilinear.diffusion.catalogue import Sampler
from semilinear.methods.rows import Combine, Increment, Spaced, Step
from semilinear.program import Program

READING, FLOW, RATIO, NOISE, WEIGHT = range(5)

INSIDE = "move t_start and t_end inside, or take smaller steps"

CAUSES = {
    READING: (
        "what reads {cell.quantity} as N out of prediction={prediction!r}",
        "look at read of the quantity, or move t_start and t_end inside",
    ),
    FLOW: (
        "the factor of the state",
        "look at scale and growth of quantity {cell.quantity}, " + INSIDE,
    ),
    RATIO: (
        "a weight by ratios of steps",
        "they have no limit where a step in {cell.variable} is infinitely long: choose "
        "final='t_end' or 'denoise', or a method with exact weights",
    ),
    NOISE: (
        "the noise that enters",
        "look at noise and scale of quantity {cell.quantity}, and at the noise level",
    ),
    WEIGHT: (
        "a weight of N",
        "look at weight and growth of quantity {cell.quantity}, " + INSIDE,
    ),
}
"""What is not finite, and what to do; what spoils others comes first."""


def kinds_of(step: Step) -> list[int]:
    """Return what each coefficient of the rows of a step is, in order."""
    kinds: list[int] = []
    for row in step.instructions:
        if isinstance(row, Combine):
            kinds.extend(FLOW for _ in row.states)
            kinds.extend(_kind(weight) for _, weight in row.inputs)
    return kinds


def _kind(weight: object) -> int:
    if isinstance(weight, Increment):
        return NOISE
    return RATIO if isinstance(weight, Spaced) else WEIGHT


def not_finite(program: Program, sampler: Sampler, times: np.ndarray, prediction: str) -> str:
    """Return a message for the first step with a coefficient that is no finite number.

    Parameters
    ----------
    times
        Where the steps of the program end, one more than steps; NaN inside of a step.
    """
    found: list[tuple[int, int]] = []
    for step, members in program.groups.items():
        columns = program.coefficients(step, members)
        kinds = [] if int(members[0]) in program.given else kinds_of(step)
        kinds += [READING] * (len(columns) - len(kinds))
        for kind, column in zip(kinds, columns, strict=True):
            wrong = ~np.isfinite(np.broadcast_to(column, members.shape))
            found.extend((n, kind) for n in members[wrong].tolist())
    n, kind = min(found)
    cell = sampler.parameterisation
    what, remedy = (text.format(cell=cell, prediction=prediction) for text in CAUSES[kind])
    start, end = ("inside" if np.isnan(t) else f"t={t:.6g}" for t in times[n : n + 2])
    return (
        f"step {n + 1} of {len(program.steps)} of {sampler.name}, from {start} to {end}: {what} "
        f"is no finite number; {remedy}"
    )
