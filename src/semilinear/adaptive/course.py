"""Adaptive steps as a course: `start` and `advance` are those of a plan.

A run is a chain of attempts. An attempt reads the base state and values of N, and leaves them as
they are beside its own result and its error estimate; only then is it decided which of the two the
next attempt begins with. So a refused attempt has lost nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from semilinear.adaptive.controllers import Controller
from semilinear.adaptive.place import CHANGE, OLD, Carry, Kind, Place, Verdict, asking, same, trial
from semilinear.coefficients import step_coefficients
from semilinear.course import Course, Next, Run, State
from semilinear.kernels import control
from semilinear.lazy_segments import ByteCache, Operators, Recent
from semilinear.lowering import lower
from semilinear.methods.rows import BASE, ERROR, NEW, Step
from semilinear.propagators import Propagator
from semilinear.propagators.base import refuse_complex
from semilinear.segments import Code, Segment, between, closing, numbers, opening, settling

BUDGET = 64 * 2**20
"""Bytes of coefficients that are kept for lengths of steps that come back."""

OF_LINEAR = 0.1
"""Part of rtol that the linear part may miss on a step, which no estimate sees."""

BEGINNING = 1e-6
"""Part of a run that counts as its beginning."""

SMALLEST = 1e-30
"""Part of a run below which no step is tried where N is not finite: at t = 0 all lengths count."""


class AdaptiveCourse(Course):
    """Steps whose lengths follow an estimate of their own error.

    Parameters
    ----------
    linear
        The linear part.
    t_span
        (t0, t1); the last step ends at t1 exactly.
    controller
        Tolerances and gains.

    Attributes
    ----------
    time_of
        The time that messages name in the place of t, for runs in another variable.
    """

    nfe = None
    name: str
    """Of the method."""
    is_blind_to_time = False
    """Whether the estimate is 0 where N depends on t alone."""
    newest: str
    """Slot of N at the base state."""
    renews: bool
    """Whether N at the new state is still to be asked for when an attempt is taken."""
    first_kind: Kind
    first_exponent: float
    """1 / k, k being the order of the first estimate."""

    def __init__(
        self, linear: Propagator, t_span: tuple[float, float], controller: Controller
    ) -> None:
        self.linear, self.controller = linear, controller
        self.t0, self.t1 = t_span
        self.sign = 1.0 if self.t1 > self.t0 else -1.0
        self.form = linear.form
        self.may_turn_complex = linear.form == "scalar" and not linear.constant
        self.identity = object()
        self.time_of: Callable[[float], float] = float
        self._cache: ByteCache[Operators] = ByteCache(BUDGET, least=64)
        # The segments of one attempt are made one after the other.
        self._coefficients: Recent[list[Any]] = Recent(2)
        self._codes: dict[tuple[Any, ...], Code] = {}

    @abstractmethod
    def attempt(self, kind: Kind) -> Step:
        """Return the rows of an attempt; they end with the error estimate."""

    @abstractmethod
    def base(self, kind: Kind) -> tuple[str, ...]:
        """Return what an attempt begins with: the state, N there, past values of N."""

    @abstractmethod
    def result(self, kind: Kind) -> tuple[str, ...]:
        """Return what an attempt adds to it for the decision."""

    @abstractmethod
    def taken(self, kind: Kind) -> Carry:
        """Return under which names what follows finds the result, without N if it `renews`."""

    @abstractmethod
    def judge(self, place: Place, norm: Callable[[str], float]) -> Verdict:
        """Decide on an attempt, by norms of its slots in units of the tolerance."""

    # --- segments ----------------------------------------------------------------------------

    def first(self) -> tuple[Segment, Next]:
        place = Place("begin", 0, self.t0, 0.0, self.t0, self.first_kind, self.first_kind)
        code = opening(lower(asking(self.newest, ()), told=False))
        return Segment(code, None), Next(place, self.t0)

    def segment(self, cursor: Place) -> Segment:
        key = cursor.at, cursor.stage, cursor.kind, cursor.last
        code = self._codes.get(key)
        if code is None:
            code = self._codes.setdefault(key, self._code(*key))
        if not code.recipe:
            return Segment(code, None)
        is_trial = cursor.at not in ("refuse", "recede") and cursor.stage < 0
        step = trial(self.newest) if is_trial else self.attempt(cursor.kind)
        # For a constant linear part only differences count.
        t = 0.0 if self.linear.constant else cursor.t
        past = tuple(s - cursor.t + t for s in cursor.past[: step.history])
        return Segment(code, self._made(code, step, t, cursor.h, past))

    def _code(self, at: str, stage: int, kind: Kind, last: Kind) -> Code:
        base = self.base(kind)
        attempt = lower(self.attempt(kind), told=False)
        match at:
            case "begin":
                begin = lower(asking(self.newest, ()), told=False)
                return closing(begin, (BASE,), (BASE, self.newest))
            case "trial" | "retrial":
                trial_step = lower(trial(self.newest), told=False)
                slots = opening(trial_step, base, same(base)).slots
                if at == "retrial":
                    return opening(trial_step, slots, same(base))
                return closing(trial_step, slots, (*base, CHANGE))
            case "open":
                step = lower(trial(self.newest), told=False) if stage < 0 else attempt
                return opening(step, base, same(base))
            case "launch":
                return opening(attempt, (*base, CHANGE), same(base))
            case "refuse":
                return opening(attempt, self._slots(stage, last), same(base))
            case "recede":
                slots = self._after("take", last, kind).slots
                return opening(attempt, slots, tuple((name, OLD + name) for name in base))
            case "stage" if stage + 1 < len(attempt.asks):
                return between(attempt, stage, self._slots(stage, kind))
            case "stage":
                return closing(attempt, self._slots(stage, kind), self._slots(-1, kind))
        return self._after(at, kind, last)

    def _after(self, at: str, kind: Kind, last: Kind) -> Code:
        """Return the code of what follows an attempt that is taken."""
        left, taken = self._slots(-1, last), self.taken(last)
        if not self.renews:
            if at == "end":
                return settling(left, taken)
            attempt = lower(self.attempt(kind), told=False)
            return opening(attempt, left, taken, completes=True)
        known = tuple(name for name in self.base(kind) if name != self.newest)
        old = tuple((OLD + name, name) for name in self.base(last))
        ask = lower(asking(self.newest, (*known, *dict(old))), told=False)
        code = opening(ask, left, (*taken, *old))
        return code if at == "take" else closing(ask, code.slots, self.base(kind), completes=True)

    def _slots(self, stage: int, kind: Kind) -> tuple[str, ...]:
        """Return what is there before evaluation `stage` of an attempt; -1: what it leaves."""
        base = self.base(kind)
        if stage < 0:
            return (*base, *self.result(kind))
        attempt = lower(self.attempt(kind), told=False)
        slots = opening(attempt, base, same(base)).slots
        for ask in range(stage):
            slots = between(attempt, ask, slots).slots
        return slots

    def _made(self, code: Code, step: Step, t: float, h: float, past: tuple[float, ...]) -> Any:
        def make() -> Any:
            values = self._coefficients.get(
                (step, t, h, past), lambda: self._asked(step, t, h, past)
            )
            rows = numbers(code, values, values, matrix=self.form == "matrix")
            if self.form == "scalar":
                return np.array([[np.ravel(c)[0] for c in row] for row in rows])
            return Operators(rows, self.form)

        if self.form == "scalar":
            return make()
        return self._cache.get((code, t, h, past), make)

    def _through(
        self, segment: Segment, run: Run, env: tuple[Any, ...], evaluation: int
    ) -> tuple[tuple[Any, ...], bool]:
        # L(t) and B(t) show in their values whether they are complex, perhaps late in the run.
        if self.may_turn_complex and not run.backend.is_complex and segment.code.recipe:
            refuse_complex([segment.coefficients])
        return super()._through(segment, run, env, evaluation)

    def _asked(self, step: Step, t: float, h: float, past: tuple[float, ...]) -> list[Any]:
        points = {0: t, 1: t + h, **{-1 - q: s for q, s in enumerate(past)}}
        # A flow that overflows is no error here: the values are not finite, the step is retried.
        return step_coefficients(step, self.linear, points)

    # --- what comes next ---------------------------------------------------------------------

    def follow(self, cursor: Place, run: Run, code: Code, slots: tuple[Any, ...]) -> Next:
        match cursor.at:
            case "begin":
                return self._after_begin(cursor, run, slots)
            case "trial":
                return self._after_trial(cursor, run, slots)
            case "open" | "retrial" if cursor.stage < 0:
                return Next(cursor._replace(at="trial"), cursor.t + cursor.h)
            case "take" if self.renews:
                return Next(cursor._replace(at="renew"), cursor.t)
            case "open" | "launch" | "take" | "refuse" | "recede":
                return self._asking(cursor._replace(at="stage"), 0)
            case "renew" if not self._is_over(cursor):
                at = cursor._replace(at="open", stage=0, before=None)
                return Next(at, cursor.t, at_once=True)
            case "renew" | "end":
                return Next(cursor, cursor.t, done=True)
            case "stage" if ERROR in code.slots:
                return self._decide(cursor, run, code, slots)
        return self._asking(cursor, cursor.stage + 1)

    def _asking(self, cursor: Place, stage: int) -> Next:
        asks = lower(self.attempt(cursor.kind), told=False).asks
        at = float(asks[stage].at)
        t = cursor.end if at == 1.0 else cursor.t + at * cursor.h
        return Next(cursor._replace(stage=stage), t)

    def _after_begin(self, cursor: Place, run: Run, slots: tuple[Any, ...]) -> Next:
        controller = self.controller
        if controller.first_step is not None:
            return self._opening(cursor._replace(at="open"), controller.first_step)
        y, n = slots
        size, slope = (controller.norm(run.backend, x, y, y) for x in (y, n))
        h = control.trial_length(size, slope, controller.max_step)
        at = cursor._replace(at="open", stage=-1, h=self.sign * h)
        return Next(at, cursor.t, at_once=True)

    def _after_trial(self, cursor: Place, run: Run, slots: tuple[Any, ...]) -> Next:
        y, n, change = slots
        trial, norm = abs(cursor.h), self.controller.norm
        slope = norm(run.backend, n, y, y)
        rise = norm(run.backend, change, y, y) / trial / trial
        longest = self.controller.max_step
        length = control.first_length(slope, rise, trial, self.first_exponent, longest)
        length = max(length, control.shortest(cursor.t))
        return self._opening(cursor._replace(at="launch"), length)

    def _opening(self, cursor: Place, length: float) -> Next:
        end, h = control.landing(cursor.t, self._length(cursor.t, length), self.t1)
        return Next(cursor._replace(stage=0, h=h, end=end), cursor.t, at_once=True)

    def _decide(self, cursor: Place, run: Run, code: Code, slots: tuple[Any, ...]) -> Next:
        y, new = slots[0], slots[code.slots.index(NEW)]

        def norm(name: str) -> float:
            error = slots[code.slots.index(name)]
            return self.controller.norm(run.backend, error, y, new)

        verdict = self.judge(cursor, norm)
        if not verdict.taken:
            return self._refused(cursor, verdict)
        factor = min(1.0, verdict.factor) if cursor.refused else verdict.factor
        t = cursor.end
        taken = cursor._replace(
            at="take", stage=0, t=t, kind=verdict.kind, last=cursor.kind,
            past=(cursor.t, *cursor.past)[: verdict.kind[1]],
            errors=(verdict.error, *cursor.errors[:2]), refused=False,
            before=cursor if self.renews else None,
        )  # fmt: skip
        if self.controller.by_sample:
            estimate = slots[code.slots.index(ERROR)]
            taken = taken._replace(estimate=run.backend.give(estimate))
        if not self._is_over(taken):
            h = self._length(t, factor * abs(cursor.h))
            if control.is_too_short(t, h):
                taken = taken._replace(failure=self.controller.underflow(t, self.time_of))
            end, h = control.landing(t, h, self.t1)
            taken = taken._replace(h=h, end=end)
        if self._is_over(taken) and not self.renews:
            taken = taken._replace(at="end")
        return Next(taken, t, at_once=True)

    def _refused(self, cursor: Place, verdict: Verdict) -> Next:
        """Return to the base of the attempt with a shorter step, or give up."""
        proposed = self.resolved(cursor.t, cursor.h * verdict.factor)
        end, h = control.landing(cursor.t, proposed, self.t1)
        again = cursor._replace(
            at="refuse", stage=-1, h=h, end=end, kind=verdict.kind, last=cursor.kind,
            refused=True, rejected=cursor.rejected + 1,
        )  # fmt: skip
        if control.cannot_shrink(cursor.t, proposed, cursor.h, self.t1):
            failure = self.controller.underflow(cursor.t, self.time_of)
            return Next(again._replace(failure=failure), cursor.t, done=True)
        return Next(again, cursor.t, at_once=True)

    def retry(self, cursor: Place) -> tuple[Place, Segment] | None:
        attempt = cursor.before if cursor.at == "renew" else cursor
        if cursor.at == "begin" or attempt is None:
            return None
        h = attempt.h * control.LEAST
        if control.is_too_short(attempt.t, h) or abs(h) < SMALLEST * abs(self.t1 - self.t0):
            return None
        end, h = control.landing(attempt.t, h, self.t1)
        again = attempt._replace(h=h, end=end)
        if cursor.at == "renew":
            again = again._replace(
                at="recede", stage=-1, last=cursor.kind, refused=True, rejected=cursor.rejected + 1
            )
        elif cursor.at == "trial":
            again = again._replace(at="retrial")
        elif cursor.at == "stage":
            again = again._replace(
                at="refuse", last=cursor.kind, refused=True, rejected=cursor.rejected + 1
            )
        return again, self.segment(again)

    def _length(self, t: float, proposed: float) -> float:
        remaining = abs(self.t1 - t)
        length = control.next_length(remaining, proposed, self.controller.max_step)
        return self.resolved(t, self.sign * length)

    def resolved(self, t: float, h: float) -> float:
        """Return the part of a step on which the linear part keeps the tolerance."""
        tolerance = OF_LINEAR * self.controller.rtol
        # What comes in at the very beginning counts little in the end: a B(t) such as sqrt(t) is
        # as badly sampled on the shortest first step as on a longer one.
        elapsed = max(abs(t - self.t0), BEGINNING * abs(self.t1 - self.t0))
        return self.linear.resolved(t, h, tolerance, elapsed)

    def _is_over(self, cursor: Place) -> bool:
        return cursor.t == self.t1 or bool(cursor.failure)

    def when(self, state: State) -> str:
        return f"t = {self.time_of(state.t):.9g}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, t={self.t0:g} .. {self.t1:g})"

    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        self.linear.check_state(shape, complex_state, argument=argument)
