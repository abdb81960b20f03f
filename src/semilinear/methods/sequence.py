"""From a method to the sequence of its steps on a grid, starting procedure included."""

from __future__ import annotations

from semilinear.errors import InvalidArgument, UnknownName
from semilinear.methods.etdrk import ETD2RK, HOCHBRUCK_OSTERMANN4, LUAN_OSTERMANN5
from semilinear.methods.multistep import Multistep, slot
from semilinear.methods.rows import Step
from semilinear.methods.tableau import FIRST, Tableau
from semilinear.methods.variable_order import VariableOrder

GridMethod = Tableau | Multistep
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
    """
    if start not in STARTS:
        raise UnknownName.among("start", start, STARTS)
    if isinstance(method, VariableOrder):
        raise InvalidArgument(
            f"method={method.name!r} chooses its order along with its steps and has none on a "
            f"fixed grid: take {method.name}2 to {method.name}{method.order}, or adaptive steps"
        )
    if isinstance(method, Tableau):
        return [method.step()] * count
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
    if method.mode == "PECE" and count > first:
        steps[-1] = method.step(known + count - 1, evaluated=count - 1 > first, last=True)
    return steps


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
