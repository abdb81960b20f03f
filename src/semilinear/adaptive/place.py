"""Where a run of adaptive steps stands, and the small steps that all kinds of methods share."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

from semilinear.methods.rows import BASE, NEW, Combine, Evaluate, Step
from semilinear.phi import phi

AT_END, CHANGE = "N+", "D"
"""Slots: N at the new state, the change of N over a trial step."""

OLD = "old "
"""Before names of slots: those of the base of an attempt, while N at its new state is awaited."""

Carry = tuple[tuple[str, str], ...]

Kind = tuple[int, int]
"""(order, number of past values of N) of an attempt; both 0 where neither varies."""


class Place(NamedTuple):
    """Where a run stands: between two evaluations of an attempt to make a step."""

    at: str
    """Which segment runs next.

    ``begin`` (N at t0 arrives), ``trial`` (N after the trial step arrives; ``retrial``: from a
    shorter one), ``open`` and ``launch`` (the first attempt, without and after a trial step),
    ``stage`` (an evaluation of an attempt arrives), ``take`` and ``refuse`` (the next attempt, from
    the result of the last or from its base), ``renew`` (N at the new state arrives, where the
    attempt did not ask for it), ``recede`` (it was not finite: from the base after all), ``end``.
    """

    stage: int
    """Number of the evaluation of the attempt; -1 in a trial step, or after the last one."""
    t: float
    """Time of the base state."""
    h: float
    end: float
    """Where the step leads: t + h, or the end of the run."""
    kind: Kind
    """Of the attempt."""
    last: Kind
    """Of the attempt that was taken, or refused, before."""
    past: tuple[float, ...] = ()
    """Times of the past values of N, the newest first."""
    errors: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Norms of the estimates of the last accepted steps, the newest first."""
    refused: bool = False
    """Whether the attempt before was refused: the step after it does not grow."""
    rejected: int = 0
    """Attempts refused so far."""
    estimate: Any = None
    """Of the error of the step that was taken last, like the state; None if not kept."""
    failure: str = ""
    """Why the run ended before its time; empty if it did not."""
    before: Place | None = None
    """The attempt that was taken, while N at its new state is awaited."""


class Verdict(NamedTuple):
    """What becomes of an attempt: taken or not, the factor of the next step, and its kind."""

    taken: bool
    factor: float
    error: float
    kind: Kind


def same(names: tuple[str, ...]) -> Carry:
    """Return the renaming that leaves names as they are."""
    return tuple((name, name) for name in names)


@cache
def asking(newest: str, known: tuple[str, ...]) -> Step:
    """Return the evaluation of N at the base state, beside what is known."""
    return Step((Evaluate(BASE, Fraction(0), newest),), carry=same(known))


@cache
def trial(newest: str) -> Step:
    """Return a trial step by the exponential Euler method: the change of N, times its length."""
    one = phi(0, 0, 0)
    predict = Combine(NEW, ((BASE, phi(0)),), ((newest, phi(1)),))
    change = Combine(CHANGE, (), ((AT_END, one), (newest, -one)))
    rows = (predict, Evaluate(NEW, Fraction(1), AT_END), change)
    return Step(rows, carry=same((BASE, newest, CHANGE)))
