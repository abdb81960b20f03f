"""Engines that ask N one evaluation at a time, for states of any array library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semilinear.adaptive import AdaptiveCourse
from semilinear.course import State
from semilinear.engines.base import Engine, check_sees_time
from semilinear.output import Recorder
from semilinear.plan import Plan
from semilinear.propagators import Propagator
from semilinear.stepping import run

Function = Callable[..., Any]


class PlanEngine(Engine):
    """A fixed grid."""

    def __init__(
        self, plan: Plan, linear: Propagator, nonlinear: Function, args: tuple[Any, ...]
    ) -> None:
        super().__init__(linear, nonlinear, args)
        self.plan = plan

    def run(self, y: Any, recorder: Recorder) -> None:
        recorder.reached(float(self.plan.grid[0]), y)
        if recorder.needs_slopes:
            self._with_slopes(y, recorder)
        else:
            self._plainly(y, recorder)

    def _plainly(self, y: Any, recorder: Recorder) -> None:
        times = self.plan.grid.tolist()

        def after_step(state: State) -> None:
            self.steps = state.step
            recorder.point(times[state.step], state.y, None)

        recorder.point(times[0], y, None)
        run(self.plan, self.evaluate, y, after_step=after_step)

    def _with_slopes(self, y: Any, recorder: Recorder) -> None:
        """Take N at grid points from the evaluations of the method; the last may need its own."""
        times = self.plan.grid.tolist()
        state, seen = self.plan.start(y), -1
        for place in self.plan.slope_places():
            output = self.evaluate(state.x, state.t)
            after = self.plan.advance(state, output)
            if place is not None:
                # A predicted state's N stands for that of the corrected one, known after it only.
                at, seen = state.x if place.exact else after.y, place.number
                self.steps = seen
                if not recorder.point(times[seen], at, output):
                    return
            if after.step > state.step:
                self.steps = after.step
                recorder.reached(times[after.step], after.y)
            state = after
        if seen < self.plan.steps:
            recorder.point(times[-1], state.x, self.evaluate(state.x, times[-1]))


class CourseEngine(Engine):
    """Adaptive steps."""

    def __init__(self, course: AdaptiveCourse, nonlinear: Function, args: tuple[Any, ...]) -> None:
        super().__init__(course.linear, nonlinear, args)
        self.course = course

    def run(self, y: Any, recorder: Recorder) -> None:
        recorder.reached(self.course.t0, y)
        check_sees_time(self, self.course, y)
        state, t = self.course.start(y), self.course.t0
        while not state.done:
            first, step = state.evaluation == 0, state.step
            if not first and self.has_spent(t):
                return
            state = self.course.advance(state, self.evaluate(state.x, state.t))
            self.steps, self.rejected = state.step, state.cursor.rejected
            if not first and state.step == step:
                continue
            slope = state.slot(self.course.newest) if recorder.needs_slopes else None
            t = state.cursor.t
            if not recorder.point(t, y if first else state.y, slope):
                return
        self.failure = state.cursor.failure
