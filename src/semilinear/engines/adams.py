"""The compiled loop of variable-order Adams pairs, for constant entrywise linear parts."""

from __future__ import annotations

import numpy as np

from semilinear.adaptive import VariableOrderCourse
from semilinear.answers import overflowed
from semilinear.engines.loop import AdaptiveLoopEngine
from semilinear.kernels import layout
from semilinear.kernels.phi_reference import SERIES_REACH


class AdamsLoop(AdaptiveLoopEngine):
    """Steps of variable length and order; see `kernels.march_adams`."""

    course: VariableOrderCourse

    @property
    def attempt_costs(self) -> int:
        return 1 + self.course.renews

    def begin(self, y: np.ndarray, slope: np.ndarray) -> None:
        from semilinear.kernels import march_adams

        self.adams = march_adams
        most = self.course.method.most
        self.states = np.zeros((3, self.size), self.dtype)
        self.states[0] = y
        self.differences = np.zeros((2, most + 2, self.size), self.dtype)
        # An N that leaves entries of its result unwritten is noticed as one that is not finite.
        self.differences[:, 0] = slope, np.full(self.size, np.nan)
        self.show(self.states, *self.differences)
        self.past = np.zeros(most)
        self.coefficients = np.empty((most + 3, self.width), self.kind)
        self.phis = np.empty((most + 2, self.width), self.rates.dtype)
        self.inverse = self.march.phi_constants(np.array([most + 1]))
        self.counts[layout.ORDER] = 1
        self.numbers[layout.UNIT] = abs(self.numbers[layout.H])

    def advance(self, saved: np.ndarray, slopes: np.ndarray, times: np.ndarray) -> int:
        course, control, keep = self.course, self.course.controller, len(saved) > 0
        return self.call(
            self.adams.adams_loop, self.inverse, SERIES_REACH, self.rates, self.weight,
            self.coefficients, self.phis, self.states, self.differences, self.past, course.t1,
            course.renews, course.method.most, np.array([control.max_step, control.rtol]),
            self.atol, keep, saved, slopes, times,
        )  # fmt: skip

    def base(self) -> tuple[float, np.ndarray]:
        return float(self.numbers[layout.T]), self.states[0].reshape(self.shape).copy()

    def explain_attempt(self) -> ArithmeticError | None:
        current = int(self.counts[layout.CURRENT])
        output, predicted = self.differences[1 - current, 0], self.states[1]
        if not np.isfinite(predicted).all():
            return overflowed(f"t = {float(self.numbers[layout.T]):.9g}")
        if np.isfinite(output).all():
            return None
        t = self.numbers[layout.T] + self.numbers[layout.H]
        return self.not_finite(f"N near t = {t:.9g}", output, predicted)
