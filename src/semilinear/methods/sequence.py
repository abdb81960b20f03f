"""From a method to the sequence of its steps on a grid, starting procedure included."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from semilinear.errors import InvalidArgument, UnknownName
from semilinear.methods.etdrk import ETD2RK, HOCHBRUCK_OSTERMANN4, LUAN_OSTERMANN5
from semilinear.methods.multistep import Multistep, slot
from semilinear.methods.rows import BASE, BEFORE, Step
from semilinear.methods.tableau import FIRST, Tableau
from semilinear.methods.tapered import Tapered
from semilinear.methods.variable_order import VariableOrder

GridMethod = Tableau | Multistep | Tapered
"""Methods that make the steps of a given grid."""

Method = GridMethod | VariableOrder

STARTS = ("ramp", "rk")


def sequence(
    method: Method,
    count: int,
    *,
    start: str = "ramp",
    most: int | None = None,
    known: int = 0,
    lower_end: bool = False,
    correct_end: bool = True,
) -> list[Step]:
    """Return the `count` steps of a run.

    Parameters
    ----------
    method
        A method.
    count
        Number of steps.
    start
        For a multistep method, how the first steps are made: ``"ramp"``, the degree grows with the
        number of known values (published, one evaluation a step, but the order falls to two, of a
        pair to three), or ``"rk"``, exponential Runge-Kutta steps that keep the order.
    most
        At most so many steps are starting steps, which evaluate at their end.
    known
        Past values of N that are there before the first step of a ramp.
    lower_end
        Whether the degree falls again towards the end: the last step looks at no past value, the
        one before it at one, and so on.
    correct_end
        Whether the last step of a predictor-corrector pair is corrected, by an evaluation at its
        end.

    Raises
    ------
    InvalidArgument
        If the method is of variable order: it has no steps on a fixed grid.
    UnknownName
        If `start` is not known.
    """
    UnknownName.check("start", start, STARTS)
    if isinstance(method, VariableOrder):
        raise InvalidArgument(
            f"method={method.name!r} chooses its order along with its steps and has none on a "
            f"fixed grid: take {method.name}2 to {method.name}{method.order}, or adaptive steps"
        )
    if isinstance(method, Tableau):
        return [method.step()] * count
    if isinstance(method, Tapered):
        return method.steps(count)
    steps: list[Step] = []
    if start == "rk":
        steps = [
            _starting_step(method, n)
            for n in range(min(method.history, count if most is None else most))
        ]
    first = len(steps)
    ramp = min(count, max(method.history - known, first + 1))
    for n in range(first, ramp):
        steps.append(method.step(known + n, evaluated=method.mode != "P" and n > first))
    if count > ramp:
        steady = method.step(method.history, evaluated=method.mode != "P")
        steps.extend([steady] * (count - ramp))
    touched = max(1, method.history) if lower_end else 1
    for n in range(max(first, count - touched), count):
        left = count - 1 - n
        degree = min(known + n, left) if lower_end else known + n
        steps[n] = method.step(
            degree,
            evaluated=method.mode != "P" and n > first,
            last=left == 0,
            corrected=correct_end or left > 0,
        )
    if steps and not steps[-1].evaluations:
        steps[-1] = showing_its_start(steps[-1])
    return steps


@cache
def showing_its_start(step: Step) -> Step:
    """Return a step that asks for nothing, with the state that it begins with to be read."""
    return replace(step, carry=(*step.carry, (BEFORE, BASE)), shown=(*step.shown, BEFORE))


def _starting_step(method: Multistep, known: int) -> Step:
    """Return a Runge-Kutta step that leaves N at its start as a past value."""
    past = [(slot(-q - 1), slot(-q)) for q in range(1, known + 1)]
    return starter(method.order).step(carry=((slot(-1), FIRST), *past))


def starter(order: int) -> Tableau:
    """Return the one-step method that starts a multistep method of the given order.

    Its order is at least ``order - 1``: a starting error of that size, made on finitely many
    steps, is of the size of the global error.
    """
    if order <= 2:
        return ETD2RK
    return HOCHBRUCK_OSTERMANN4 if order <= 4 else LUAN_OSTERMANN5
