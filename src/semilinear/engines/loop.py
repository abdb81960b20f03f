"""What all compiled loops share: the arrays of a run, and the host's side of adaptive steps.

The host makes tables of a method and arrays of a run, calls a loop of `kernels`, and shows what it
has saved to the recorder. Steps, coefficients and errors are those of the other engines.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from semilinear.adaptive import AdaptiveCourse
from semilinear.answers import bad_output, overflowed
from semilinear.course import State
from semilinear.engines.base import Engine, check_sees_time
from semilinear.engines.calls import PythonCalls
from semilinear.errors import NonFiniteError
from semilinear.kernels import Backend, layout
from semilinear.kernels.phi_reference import SERIES_REACH
from semilinear.output import Interpolant, Recorder
from semilinear.propagators import Diagonal, Propagator, Scalar

CHUNK = 4 * 2**20
"""Bytes of grid points that the loop saves before the host looks at them."""

WIDTH = 256
"""Entries that coefficients have at least, where the state has as many; fewer are repeated."""


def is_compiled_function(nonlinear: Any, args: tuple[Any, ...] = ()) -> bool:
    """Tell whether a nonlinear term is compiled by Numba and has the form N(t, u, out, *args)."""
    if not type(nonlinear).__module__.startswith("numba."):
        return False
    return hasattr(nonlinear, "py_func") and nonlinear.py_func.__code__.co_argcount >= 3 + len(args)


def returning(nonlinear: Callable[..., None]) -> Callable[..., Any]:
    """Return ``N(t, y)`` with a result of its own, from ``N(t, u, out)``."""

    def evaluate(t: float, y: Any, *args: Any) -> Any:
        out = np.full_like(y, np.nan)
        nonlinear(t, y, out, *args)
        return out

    return evaluate


class LoopEngine(Engine):
    """The arrays of a run: states flat, coefficients as long as what they vary over.

    The loops multiply values of N by B once, so that coefficients stay real where rates are.
    """

    def __init__(
        self,
        linear: Propagator,
        nonlinear: Callable[..., None],
        args: tuple[Any, ...],
        y: np.ndarray,
    ) -> None:
        rates, weight, bare = _taken_apart(linear)
        compiled = is_compiled_function(nonlinear, args)
        super().__init__(bare, returning(nonlinear) if compiled else nonlinear, args)
        from semilinear.kernels import callback, march
        from semilinear.kernels import nonlinear as terms

        self.march, self.terms, self.answering = march, terms, callback.answering
        self.shape, self.dtype, self.size = y.shape, y.dtype, y.size
        self.python: PythonCalls | None = None
        if compiled:
            self.function = terms.as_function(nonlinear, y.shape, y.dtype, args)
        else:
            plain = (lambda t, u: nonlinear(t, u, *args)) if args else nonlinear
            self.python = PythonCalls(plain, y)
            self.function = terms.python_function(y.dtype)
        self.matrices = linear.form == "matrix"
        self.trailing = _trailing(y.shape, rates, weight)
        if self.matrices:
            self.trailing = y.shape[-1:] * 2
        elif rates is None and linear.form == "elementwise":  # over which axes is not known
            self.trailing = y.shape
        self.width = prod(self.trailing)
        self.rates = np.empty(0) if rates is None else self.spread(rates)
        self.weight = np.empty(0, self.dtype)
        if weight is not None:
            self.weight = self.spread(weight).astype(self.dtype)
        complex_rates = rates is None or np.iscomplexobj(rates)
        self.kind = self.dtype if complex_rates else np.empty(0, self.dtype).real.dtype
        self.counts = np.zeros(layout.COUNTS, dtype=np.int64)
        self.counts[layout.LOADED] = -1
        self.numbers = np.zeros(layout.NUMBERS)

    @abstractmethod
    def march_on(self, y: Any, recorder: Recorder) -> None:
        """Make the run; it may end early."""

    @abstractmethod
    def base(self) -> tuple[float, np.ndarray]:
        """Return the last grid point that was reached, the state a copy of its own."""

    def run(self, y: Any, recorder: Recorder) -> None:
        try:
            self.march_on(y, recorder)
        finally:
            if recorder.end is None:
                recorder.reached(*self.base())

    def slope(self, y: Any, t: float) -> Any:
        return self.weighted(self.evaluate(y, t))

    def weighted(self, values: np.ndarray) -> np.ndarray:
        """Multiply values of N by B in place: the loop keeps them so."""
        if self.weight.size:
            rows = values.reshape(-1, self.weight.size)
            rows *= self.weight
        return values

    def spread(self, values: Any) -> np.ndarray:
        """Return values flat, as long as coefficients are."""
        array = np.asarray(values)
        own = array.reshape(array.shape[max(0, array.ndim - len(self.trailing)) :])
        return np.ascontiguousarray(np.broadcast_to(own, self.trailing)).reshape(-1)

    def call(self, loop: Any, *arguments: Any) -> int:
        """Run a loop until it returns, and say why it did."""
        before = int(self.counts[layout.EVALUATIONS])
        all_arguments = (*arguments, self.counts, self.numbers)
        outcome: int
        with self.function() as function:
            if self.python is None:
                outcome = self.terms.call(loop, function, self.dtype, *all_arguments)
            else:
                with self.answering(self.python.respond):
                    outcome = self.terms.call(loop, function, self.dtype, *all_arguments)
        made = int(self.counts[layout.EVALUATIONS]) - before
        self.evaluations += made
        self.steps = int(self.counts[layout.STEP])
        self.rejected = int(self.counts[layout.REJECTED])
        if self.python is not None:
            self.python.settle(made)
        return outcome

    def show(self, *arrays: np.ndarray) -> None:
        """Make arrays known that hold states and values of N in their rows."""
        if self.python is not None:
            for array in arrays:
                self.python.show(array)

    def space(
        self, room: int, recorder: Recorder, *, keep: bool = True
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return room for grid points: states, N there, times."""
        saved = np.empty((room if keep else 0, self.size), self.dtype)
        slopes = np.empty((room if recorder.needs_slopes else 0, self.size), self.dtype)
        return saved, slopes, np.empty(room)

    def show_points(
        self, saved: np.ndarray, slopes: np.ndarray, times: np.ndarray, recorder: Recorder
    ) -> bool:
        """Show the grid points that the loop has saved, and say whether the run goes on."""
        for i in range(int(self.counts[layout.SAVED])):
            slope = slopes[i].reshape(self.shape) if len(slopes) else None
            if not recorder.point(float(times[i]), saved[i].reshape(self.shape), slope):
                return False
        return True

    def not_finite(self, where: str, output: np.ndarray, x: np.ndarray) -> ArithmeticError:
        """Return the error for values of N that are not finite at a state x."""
        bad = Backend(x.reshape(self.shape)).bad_entries(output)
        error = bad_output(where, bad, float(np.abs(x).max()), x.dtype, "N")
        return error if self.python is not None else unwritten(error)


class AdaptiveLoopEngine(LoopEngine):
    """Adaptive steps: a course makes the beginning, a loop the rest."""

    def __init__(
        self,
        course: AdaptiveCourse,
        nonlinear: Callable[..., None],
        args: tuple[Any, ...],
        y: np.ndarray,
    ) -> None:
        super().__init__(course.linear, nonlinear, args, y)
        self.course = course
        atol = np.asarray(course.controller.atol, dtype=float)
        self.atol = (np.broadcast_to(atol, y.shape) if atol.ndim else atol).reshape(-1)

    @property
    @abstractmethod
    def attempt_costs(self) -> int:
        """Evaluations of a step that is attempted."""

    @abstractmethod
    def begin(self, y: np.ndarray, slope: np.ndarray) -> None:
        """Take up the state and (weighted) N at t0, both flat."""

    @abstractmethod
    def advance(self, saved: np.ndarray, slopes: np.ndarray, times: np.ndarray) -> int:
        """Run the loop until it returns; without room in `saved` it keeps no grid points."""

    @abstractmethod
    def explain_attempt(self) -> ArithmeticError | None:
        """Return the error for values that are not finite in the last attempt, if any are."""

    def run(self, y: Any, recorder: Recorder) -> None:
        recorder.reached(self.course.t0, y)
        if recorder.misses is not None and self.rates.size and not recorder.events:
            recorder.misses = self.misses
        check_sees_time(self, self.course, y)
        if self._first_step(y, recorder):
            super().run(y, recorder)

    def march_on(self, y: Any, recorder: Recorder) -> None:
        room = 1 if recorder.callback or recorder.events else 64
        keep, outcome = recorder.sees_all, layout.FULL
        left = min(self.most - self.evaluations, 2**62)
        self.counts[layout.MOST] = self.counts[layout.EVALUATIONS] + left - self.attempt_costs
        while outcome != layout.DONE:
            space = self.space(room, recorder, keep=keep)
            outcome = self.advance(*space)
            if not self.show_points(*space, recorder):
                return
            made, most = self.counts[[layout.EVALUATIONS, layout.MOST]]
            if outcome == layout.FULL and made > most:
                self.failure = self.out_of_evaluations(float(self.numbers[layout.T]))
                break
            room = min(2 * room, max(64, CHUNK // max(1, y.nbytes))) if room > 1 else 1
            if outcome == layout.SHORT:
                bad = self.explain_attempt()
                t = float(self.numbers[layout.T])
                self.failure = self.course.controller.underflow(t) if bad is None else str(bad)
                break
            if outcome == layout.BAD:
                raise self.explain_attempt() or overflowed(f"t = {self.numbers[layout.T]:.9g}")
        if not keep:
            recorder.point(*self.base(), None)

    def misses(self, made: Interpolant) -> bool:
        """Answer as `EndCheck` does, in compiled code."""
        from semilinear.kernels.march_adams import end_error

        start, end, control = made.start, made.end, self.course.controller
        others = [node for node in made.nodes if node is not start]
        past = np.array([node.t - start.t for node in others])
        values = np.array([start.n, *(node.n for node in others)], self.dtype)
        inverse = self.march.phi_constants(np.array([len(values)]))
        error = end_error(
            self.rates, inverse, SERIES_REACH, end.t - start.t, past,
            values.reshape(-1, self.size), start.y.reshape(-1), end.y.reshape(-1),
            control.rtol, self.atol,
        )  # fmt: skip
        return not error <= 1.0

    def _first_step(self, y: Any, recorder: Recorder) -> bool:
        """Take N at t0 and the length of the first step from the course, if they may be asked."""
        state = self.course.start(y)
        try:
            while state.cursor.at != "stage":
                if state.evaluation and self.has_spent(self.course.t0):
                    self._record_start(y, state, recorder)
                    return False
                state = self.course.advance(state, self.evaluate(state.x, state.t))
        except NonFiniteError as error:
            if state.evaluation == 0:
                raise (unwritten(error) if self.python is None else error) from None
            self._record_start(y, state, recorder)
            raise
        self.numbers[[layout.T, layout.H]] = self.course.t0, state.cursor.h
        self.numbers[[layout.LAST, layout.BEFORE, layout.EARLIER]] = 1.0
        self.begin(y.reshape(-1), self._record_start(y, state, recorder))
        return True

    def _record_start(self, y: Any, state: State, recorder: Recorder) -> np.ndarray:
        """Show the state and N at t0; return N, flat and weighted."""
        slope = self.weighted(np.array(state.slot(self.course.newest)).reshape(-1))
        recorder.point(self.course.t0, y, slope.reshape(self.shape))
        return slope


def has_rates(linear: Propagator) -> bool:
    """Tell whether a linear part multiplies entries by constant numbers that are known as such."""
    return _taken_apart(linear)[0] is not None


def unwritten(error: NonFiniteError) -> NonFiniteError:
    """Return the error for values that an N(t, u, out) may have left out: they are NaN before."""
    return NonFiniteError(f"{error}, and that it writes every entry of out")


def _taken_apart(
    linear: Propagator,
) -> tuple[np.ndarray | None, np.ndarray | None, Propagator]:
    """Return constant rates, weight (None for 1), and the propagator without that weight.

    The loop multiplies values of N by B, so that coefficients stay real where rates are.
    """
    if type(linear) is Diagonal:  # a subclass may answer otherwise
        weight = linear.weight if linear.weighted else None
        return linear.eigenvalues, weight, Diagonal(linear.eigenvalues)
    if type(linear) is Scalar and linear.constant:
        weight = None if linear.weight == 1.0 else np.asarray(linear.weight)
        return np.asarray(linear.rate), weight, Scalar(linear.rate)
    return None, None, linear


def _trailing(shape: tuple[int, ...], *values: np.ndarray | None) -> tuple[int, ...]:
    """Return the shape of coefficients: as many trailing axes as values have, or WIDTH entries."""
    found = [v.shape for v in values if v is not None]
    axes = max(
        (len(s) - next((i for i, n in enumerate(s) if n > 1), len(s)) for s in found), default=0
    )
    while axes < len(shape) and prod(shape[len(shape) - axes :]) < WIDTH:
        axes += 1
    return shape[len(shape) - axes :]
