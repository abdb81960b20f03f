"""Adaptive steps and orders by exponential Adams predictor-corrector pairs."""

from __future__ import annotations

from collections.abc import Callable

from semilinear.adaptive.controllers import Controller
from semilinear.adaptive.course import AdaptiveCourse
from semilinear.adaptive.place import ERROR, Carry, Kind, Place, Verdict
from semilinear.kernels import control
from semilinear.methods.multistep import slot
from semilinear.methods.rows import BASE, NEW, Step
from semilinear.methods.variable_order import HIGHER, LOWER, VariableOrder
from semilinear.propagators import Propagator

BETTER = 1.1
"""Another order must promise a step so many times longer."""

GROWTH = 2.0
"""Limit of the growth of a step: Adams methods of high order do not bear more."""


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
            lower = order > 1 and norm(LOWER) < error
            exponent = 1.0 / (order + 1 - lower)
            kind = (order - lower, known)
            return Verdict(False, control.retry_factor(error, exponent), error, kind)
        promises = {order: _promise(error, order)}
        for name in self.method.estimates(*place.kind)[:-1]:
            other = order + {LOWER: -1, HIGHER: 1}[name]
            promises[other] = _promise(norm(name), other) / BETTER
        best = max(promises, key=lambda q: (promises[q], -q))
        most = GROWTH if order > 1 else control.MOST
        factor = control.settled(min(most, promises[best]))
        return Verdict(True, factor, error, (best, min(known + 1, self.method.most)))


def _promise(error: float, order: int) -> float:
    """Return by which factor a step of this order may grow."""
    promise: float = control.SAFETY * max(error, 1e-10) ** (-1.0 / (order + 1))
    return promise
