"""Adaptive steps and orders by exponential Adams predictor-corrector pairs."""

from __future__ import annotations

from collections.abc import Callable

from semilinear.adaptive.controllers import Controller
from semilinear.adaptive.course import AdaptiveCourse
from semilinear.adaptive.place import Carry, Kind, Place, Verdict
from semilinear.kernels import control
from semilinear.methods.multistep import slot
from semilinear.methods.rows import BASE, ERROR, NEW, Step
from semilinear.methods.variable_order import HIGHER, LOWER, VariableOrder
from semilinear.propagators import Propagator


class VariableOrderCourse(AdaptiveCourse):
    """Steps of variable length and order; the kind of an attempt is (order, past values of N).

    Parameters
    ----------
    method
        A `VariableOrder`.
    linear, t_span, controller
        As for `AdaptiveCourse`; of the controller's gains only the newest error counts.
    """

    newest = slot(0)
    first_kind: Kind = (1, 0)
    first_exponent = 0.5

    def __init__(
        self,
        method: VariableOrder,
        linear: Propagator,
        t_span: tuple[float, float],
        controller: Controller,
    ) -> None:
        super().__init__(linear, t_span, controller)
        self.method, self.name = method, method.name
        self.renews = method.mode == "PECE"

    def attempt(self, kind: Kind) -> Step:
        return self.method.attempt(*kind)

    def base(self, kind: Kind) -> tuple[str, ...]:
        return self.method.base(kind[1])

    def result(self, kind: Kind) -> tuple[str, ...]:
        return (NEW, slot(1), *self.method.estimates(*kind))

    def taken(self, kind: Kind) -> Carry:
        aged = tuple((slot(-q - 1), slot(-q)) for q in range(min(kind[1] + 1, self.method.most)))
        newest = () if self.renews else ((slot(0), slot(1)),)
        return ((BASE, NEW), *newest, *aged)

    def judge(self, place: Place, norm: Callable[[str], float]) -> Verdict:
        order, known = place.kind
        error = norm(ERROR)
        if not error <= 1.0:
            below = norm(LOWER) if order > 1 else error
            if below < error:
                order, error = order - 1, below
            factor = control.retry_factor(error, 1.0 / (order + 1))
            return Verdict(False, factor, error, (order, known))
        estimates = self.method.estimates(*place.kind)
        lower = norm(LOWER) if LOWER in estimates else -1.0
        higher = norm(HIGHER) if HIGHER in estimates else -1.0
        best, factor = control.next_order(error, lower, higher, order)
        return Verdict(True, factor, error, (best, min(known + 1, self.method.most)))
