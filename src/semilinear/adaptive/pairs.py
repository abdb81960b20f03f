"""Adaptive steps by embedded pairs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

from semilinear.adaptive.controllers import Controller
from semilinear.adaptive.course import AdaptiveCourse
from semilinear.adaptive.place import AT_END, Carry, Kind, Place, Verdict
from semilinear.kernels import control
from semilinear.methods.checks import blind_moments
from semilinear.methods.rows import BASE, ERROR, NEW, Combine, Evaluate, Step
from semilinear.methods.tableau import FIRST, Tableau, stage_value
from semilinear.propagators import Propagator

ONLY: Kind = (0, 0)


class PairCourse(AdaptiveCourse):
    """Steps of an embedded pair.

    Parameters
    ----------
    pair
        A tableau with embedded weights.
    linear, t_span, controller
        As for `AdaptiveCourse`.
    """

    newest = FIRST
    first_kind = ONLY

    def __init__(
        self,
        pair: Tableau,
        linear: Propagator,
        t_span: tuple[float, float],
        controller: Controller,
    ) -> None:
        super().__init__(linear, t_span, controller)
        self.pair, self.name = pair, pair.name
        self.is_blind_to_time = blind_moments(pair) > pair.order
        self.renews = not pair.estimate_reads_end
        self.first_exponent = self.exponent = 1.0 / (pair.embedded_order + 1)

    def attempt(self, kind: Kind = ONLY) -> Step:
        return _attempt(self.pair)

    def base(self, kind: Kind) -> tuple[str, ...]:
        return BASE, FIRST

    def result(self, kind: Kind) -> tuple[str, ...]:
        return (NEW, ERROR) if self.renews else (NEW, AT_END, ERROR)

    def taken(self, kind: Kind) -> Carry:
        return ((BASE, NEW),) if self.renews else ((BASE, NEW), (FIRST, AT_END))

    def judge(self, place: Place, norm: Callable[[str], float]) -> Verdict:
        error = norm(ERROR)
        if not error <= 1.0:
            return Verdict(False, control.retry_factor(error, self.exponent), error, ONLY)
        factor = self.controller.after((error, *place.errors[:2]), self.exponent)
        return Verdict(True, factor, error, ONLY)


@lru_cache(maxsize=64)
def _attempt(pair: Tableau) -> Step:
    """Return the rows of an attempt: stages, new state, perhaps N there, estimate."""
    stages = pair.step().instructions[1:]
    names = [stage_value(j) for j in range(1, len(pair.c) + 1)]
    at_end: tuple[Evaluate, ...] = ()
    if pair.estimate_reads_end:
        names.append(AT_END)
        at_end = (Evaluate(NEW, Fraction(1), AT_END),)
    inputs = tuple((n, w) for n, w in zip(names, pair.error, strict=True) if w)
    kept = (BASE, FIRST, NEW, *(AT_END for _ in at_end), ERROR)
    rows = (*stages, *at_end, Combine(ERROR, (), inputs))
    return Step(rows, carry=tuple((name, name) for name in kept))
