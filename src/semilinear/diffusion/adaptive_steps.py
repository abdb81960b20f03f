"""A run of adaptive steps with the order and the error estimate of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from semilinear import methods
from semilinear.adaptive import make_controller
from semilinear.answers import read_only
from semilinear.arguments import check_fit, initial_state
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.diffusion.following import sizes_of
from semilinear.engines.base import check_sees_time
from semilinear.engines.factory import make_course
from semilinear.engines.interpreted import CourseEngine
from semilinear.errors import NonFiniteError
from semilinear.methods import Method, VariableOrder
from semilinear.progress import Progress
from semilinear.propagators import Propagator
from semilinear.solve import check_takes_controller
from semilinear.time_grid import step_limits


class AdaptiveSteps:
    """Steps of `semilinear.solve`, of which every sample keeps the tolerances by itself.

    Parameters
    ----------
    linear, nonlinear, span, x, method, rtol, atol, first_step, controller
        As in `semilinear.solve`.
    time_of
        The time of a value of the variable, for messages.

    Attributes
    ----------
    x
        The last state.
    u
        Grid points.
    orders
        Of the value that a step returned.
    estimates
        Root mean square of the error estimate of a step, by sample.
    failure
        Why the run ended before its time; empty if it did not.
    """

    def __init__(
        self,
        linear: Propagator,
        nonlinear: Callable[..., Any],
        span: tuple[float, float],
        x: Any,
        *,
        method: str | Method,
        rtol: float,
        atol: Any,
        first_step: float | None,
        controller: str | tuple[float, float, float] | None,
        time_of: Callable[[float], float],
    ) -> None:
        self.x = initial_state(x)
        first, longest = step_limits(first_step, None, span)
        control = make_controller(
            controller, self.x, span, rtol=rtol, atol=atol, first_step=first, max_step=longest
        )
        self.method = methods.get(method)
        check_takes_controller(self.method, controller)
        check_fit(linear, self.x, span)
        self.course = make_course(self.method, linear, span, replace(control, by_sample=True))
        self.course.asks, self.course.time_of = DiffusionPlan.asks, time_of
        self.engine = CourseEngine(self.course, nonlinear, ())
        self.span, self.u = span, [span[0]]
        self.orders: list[int] = []
        self.estimates: list[np.ndarray] = []
        self.rejected, self.failure = 0, ""

    @property
    def nfe(self) -> int:
        """Evaluations so far."""
        return self.engine.evaluations

    def run(self, callback: Callable[[float, Any], None], *, progress: bool) -> None:
        """Make the steps; `callback(u, x)` is called after each.

        Raises
        ------
        NonFiniteError
            If not even the first step can be made of what N returns.
        """
        try:
            with Progress(1000, label=self.method.name, show=progress) as bar:
                self._run(callback, bar)
        except NonFiniteError as error:
            if not self.orders:
                raise
            self.failure = str(error)

    def _run(self, callback: Callable[[float, Any], None], bar: Progress) -> None:
        begin, end = self.span
        check_sees_time(self.engine, self.course, self.x)
        state = self.course.start(self.x)
        while not state.done:
            step = state.step
            state = self.course.advance(state, self.engine.evaluate(state.x, state.t))
            place = state.cursor
            self.rejected = place.rejected
            if state.step == step:
                continue
            self.x = state.y
            self.u.append(place.t)
            self.orders.append(self._order(place.last[0]))
            self.estimates.append(sizes_of(place.estimate, self.x))
            bar.update(int(1000 * (place.t - begin) / (end - begin)))
            callback(place.t, read_only(self.x))
        self.failure = state.cursor.failure

    def _order(self, predicted: int) -> int:
        """Return the order of what an attempt kept: of a corrected value one more."""
        return predicted + 1 if isinstance(self.method, VariableOrder) else self.method.order
