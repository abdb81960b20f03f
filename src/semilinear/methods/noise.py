"""Any method with noise: what every row gains when the equation is a stochastic one.

In ``dy = (L y + B N) dt + dW`` the linear part carries the noise exactly: an increment over part
of a step is normal, and rows at later positions see it through the flow. So each part of a step
between two positions of its rows draws once, and the stages, the predicted and the corrected state
share what they have in common.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from semilinear.methods.estimates import OWN
from semilinear.methods.rows import BASE, ERROR, NEW, Combine, Draw, Increment, Instruction, Step
from semilinear.phi import phi


@lru_cache(maxsize=1024)
def with_noise(step: Step) -> Step:
    """Return a step that draws noise: one increment for each part between positions of its rows.

    A state at position c gains ``sum_i Psi(c, c_i) S_i z_i`` over the parts that end at c_i <= c.
    Differences of states gain nothing.
    """
    made = [row for row in step.instructions if isinstance(row, Combine) and row.is_state]
    ends = sorted({row.position for row in made})
    drawn: set[str] = set()
    rows: list[Instruction] = []
    for row in step.instructions:
        if isinstance(row, Combine) and row.is_state:
            here = row.position
            parts = zip((Fraction(0), *ends), ends, strict=False)
            names = {f"z{i}": part for i, part in enumerate(parts, start=1) if part[1] <= here}
            rows.extend(Draw(name) for name in names if name not in drawn)
            drawn.update(names)
            noise = tuple((name, Increment(*part, here)) for name, part in names.items())
            row = replace(row, inputs=(*row.inputs, *noise))
        rows.append(row)
    return replace(step, instructions=tuple(rows))


_MOVED = Combine(NEW, states=((BASE, phi(0)),), inputs=())

TRANSITION = with_noise(Step((_MOVED,), carry=((BASE, NEW),), passive=True))
"""A step without evaluation: the linear part and its noise alone."""

TRANSITION_SHOWN = with_noise(
    Step(
        (_MOVED, Combine(OWN, states=((ERROR, phi(0)),), inputs=())),
        carry=((BASE, NEW), (ERROR, OWN)),
        passive=True,
        shown=(ERROR,),
    )
)
"""The same after a step that shows an estimate of its error, which it moves along."""
