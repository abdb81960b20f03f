"""Any method for an N of which a part is known: what every row gains that makes a state.

In ``y' = L y + B N`` let N = g + m with a known m(t). The method treats g as N, so that its
polynomial goes through g alone, and m is integrated as it is. The values that it keeps may still be
those of N: what a row then lacks, ``int Psi B m - sum_j weight_j m(t_j)``, depends on the grid
alone and multiplies an array of ones.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from semilinear.methods.multistep import slot
from semilinear.methods.rows import (
    UNIT,
    Combine,
    Evaluate,
    Instruction,
    Lagrange,
    Remainder,
    Spaced,
    Step,
)
from semilinear.phi import Phi


@lru_cache(maxsize=1024)
def with_known_part(step: Step) -> Step:
    """Return a step for an N of which the linear part knows a part; see `Propagator.remainder`.

    It finds an array of ones, named ``"1"``, beside the state, and hands it on. Raw steps, whose
    coefficients are given, and differences of states gain nothing.
    """
    if step.raw:
        return step
    places = {slot(q): Fraction(q) for q in range(-step.history, 1)}
    places |= {row.slot: row.at for row in step.instructions if isinstance(row, Evaluate)}
    rows: list[Instruction] = []
    for row in step.instructions:
        if isinstance(row, Combine) and row.is_state:
            taken = tuple(
                (places[name], weight)
                for name, weight in row.inputs
                if isinstance(weight, Phi | Lagrange | Spaced)
            )
            rest = (UNIT, Remainder(row.position, taken))
            row = replace(row, inputs=(*row.inputs, rest))
        rows.append(row)
    return replace(step, instructions=tuple(rows), carry=(*step.carry, (UNIT, UNIT)))


def reads_unit(step: Step) -> bool:
    """Tell whether a step finds an array of ones beside the state."""
    return any(name == UNIT for name, _ in step.carry)
