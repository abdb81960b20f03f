"""Steps that show an estimate of their own error, which costs no evaluation.

It is the difference from the result of one order less: of a multistep method with one value of N
less, of a predictor-corrector pair the predicted state, of an embedded pair its embedded value.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from semilinear.methods.multistep import Multistep, slot
from semilinear.methods.rows import (
    BASE,
    BEFORE,
    ERROR,
    ERROR_BEFORE,
    NEW,
    PREDICTED,
    Combine,
    Instruction,
    Lagrange,
    Step,
)
from semilinear.methods.tableau import Tableau, stage_value
from semilinear.methods.tapered import Tapered
from semilinear.phi import phi

LOWER = "y-"
"""Name of the result of lower order."""

OWN = "own E"
"""Name of the estimate of a step that is run into, where that of the step before is "E"."""

ONE = phi(0, 0, 0)


@lru_cache(maxsize=1024)
def with_estimate(step: Step, method: Tableau | Multistep | Tapered) -> Step:
    """Return a step that shows its error estimate as ``"E"``, where it has one.

    A first step of order one, a one-step method without embedded value and fixed weights have none:
    they come back as they are. A step that is run into shows that of the step before as well.
    """
    if BEFORE in step.shown:
        shown = (*step.shown, ERROR_BEFORE)
        step = replace(step, carry=(*step.carry, (ERROR_BEFORE, ERROR)), shown=shown)
    name = OWN if BEFORE in step.shown else ERROR
    rows = _estimate(step, method, name)
    if not rows:
        return step
    place = step.instructions.index(_result(step)) + 1
    instructions = (*step.instructions[:place], *rows, *step.instructions[place:])
    carry = (*step.carry, (ERROR, name))
    return replace(step, instructions=instructions, carry=carry, shown=(*step.shown, ERROR))


def has_estimate(method: Tableau | Multistep | Tapered) -> bool:
    """Tell whether steps of a method, once started, have an estimate."""
    if isinstance(method, Tapered):
        return False
    if isinstance(method, Tableau):
        return method.is_pair and not method.estimate_reads_end
    return method.mode != "P" or (method.values > 1 and not method.fixed)


def _result(step: Step) -> Combine:
    return next(r for r in step.instructions if isinstance(r, Combine) and r.dst == NEW)


def _estimate(step: Step, method: Tableau | Multistep | Tapered, name: str) -> list[Instruction]:
    predicted = [r for r in step.instructions if isinstance(r, Combine) and r.dst == PREDICTED]
    if predicted:
        return [_difference(name, PREDICTED)]
    if isinstance(method, Tapered):
        return []
    if isinstance(method, Tableau):
        if not method.is_pair or method.estimate_reads_end:
            return []
        inputs = tuple((stage_value(j), w) for j, w in enumerate(method.embedded, start=1) if w)
        return [Combine(LOWER, ((BASE, phi(0)),), inputs), _difference(name, LOWER)]
    weights = [weight for _, weight in _result(step).inputs]
    nodes = weights[0].nodes if isinstance(weights[0], Lagrange) else ()
    if len(nodes) < 2:
        return []
    moments = dict(method.simplified).get(len(nodes) - 1, ())
    fewer = nodes[:-1]
    lower = tuple((slot(q), Lagrange(j, fewer, moments)) for j, q in enumerate(fewer))
    return [Combine(LOWER, ((BASE, phi(0)),), lower), _difference(name, LOWER)]


def _difference(name: str, other: str) -> Combine:
    return Combine(name, states=((NEW, ONE), (other, -ONE)), inputs=())
