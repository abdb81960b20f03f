"""Ask and tell: the state of a run, and the one way in which it advances.

A course (a plan, or adaptive steps) is immutable: any number of runs, in any number of threads, can
follow it. A state is frozen: it can be kept, and continued from again. The loop around them may be
anybody's::

    state = course.start(x)
    while not state.done:
        state = course.advance(state, model(state.x, state.t))
    result = state.x
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from semilinear.answers import bad_output, checked_array, described, overflowed, wrong_output
from semilinear.errors import InvalidArgument, ModelOutputError, NonFiniteError
from semilinear.kernels import Backend, backend_for
from semilinear.methods.rows import BASE, ERROR, ERROR_BEFORE, NEW
from semilinear.segments import Code, Segment

Noise = Callable[[int, int], Any]
"""From the number of evaluations made and the number of the draw after it to normal numbers."""

new = tuple.__new__


class State(NamedTuple):
    """Where a run stands; frozen.

    Attributes
    ----------
    x
        What the model sees next, or the result once `done`.
    t
        The time at which the model is asked, a float; where each sample has its own, an array of
        shape (samples,) of the state's library and device, in its real precision or single.
    done
        Whether the run is over.
    evaluation
        Number of evaluations told so far.
    step
        Number of steps completed so far.
    """

    x: Any
    t: Any
    done: bool
    evaluation: int
    step: int
    cursor: Any
    slots: tuple[Any, ...]
    code: Code
    run: Run

    @property
    def y(self) -> Any:
        """The state at the last grid point that the run has reached."""
        names = self.code.slots
        # A second evaluation at the end of a step leaves the new state only.
        name = BASE if BASE in names else NEW
        return self.run.backend.give(self.slots[names.index(name)])

    @property
    def estimate(self) -> Any:
        """The estimate of the error of the step that was completed last, like x.

        None where there is none: most plans are made without, and a first step of order one has
        nothing to compare with.
        """
        return self.slot(ERROR) if ERROR in self.code.slots else None

    @property
    def estimate_before(self) -> Any:
        """The estimate of the step before, where the last evaluation completed two steps.

        So does the last of a predictor-corrector pair: it corrects one step, and predicts the next.
        """
        return self.slot(ERROR_BEFORE) if ERROR_BEFORE in self.code.slots else None

    def slot(self, name: str) -> Any:
        """Return what the run keeps under a name, as an array like x."""
        return self.run.backend.give(self.slots[self.code.slots.index(name)])

    def __repr__(self) -> str:
        at = "t by sample" if getattr(self.t, "shape", ()) else f"t={self.t:.6g}"
        where = "done" if self.done else at
        backend = self.run.backend
        return (
            f"State({where}, evaluation={self.evaluation}, step={self.step}, "
            f"x: {backend.shape} {backend.dtype})"
        )


class Run(NamedTuple):
    """What does not change during a run."""

    backend: Backend
    check: bool
    noise: Noise | None
    identity: Any
    """Of the course that is followed."""


class Next(NamedTuple):
    """Where a run goes on: at which time the model is asked, or at once, or nowhere."""

    cursor: Any
    t: Any
    done: bool = False
    at_once: bool = False


class Course(ABC):
    """What decides which segment runs when; `start` and `advance` are the same for all.

    A fixed grid has a table of segments (`Plan`). Adaptive steps make the segments of a step from
    the state; an attempt that is rejected has lost nothing, since its base is still in its slots.
    """

    form: str
    nfe: int | None
    identity: Any
    """Equal for courses that make the same of a state; a state belongs to one of them."""
    asks = "N"
    """What is asked at every state, as messages name it."""

    @abstractmethod
    def first(self) -> tuple[Segment, Next]:
        """Return the segment that opens a run, and where it goes on."""

    @abstractmethod
    def segment(self, cursor: Any) -> Segment:
        """Return the segment at a place."""

    @abstractmethod
    def follow(self, cursor: Any, run: Run, code: Code, slots: tuple[Any, ...]) -> Next:
        """Return where the run goes on after a segment left `slots`."""

    @abstractmethod
    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        """Raise `InvalidArgument` if the linear part does not fit states of this shape and kind."""

    def found(self, x: Any, native: Any, backend: Backend) -> tuple[Any, ...]:
        """Return what a run from x, native in its backend, finds when it begins: x alone."""
        return (native,)

    def retry(self, cursor: Any) -> tuple[Any, Segment] | None:
        """Return where to go on, from the slots before, after values that are not finite.

        None, the default, gives the run up.
        """
        return None

    def start(
        self,
        x: Any,
        *,
        check_finite: bool = True,
        noise: Noise | None = None,
        argument: str = "x",
    ) -> State:
        """Return the state of a new run from `x`.

        Parameters
        ----------
        x
            Initial state: an array of any library, real or complex floating; kept as it is.
        check_finite
            Whether to refuse NaN and infinity. The check is part of the pass over memory on NumPy
            arrays and CPU tensors; elsewhere it costs one synchronisation per evaluation.
        noise
            For stochastic methods: ``noise(k, i)`` is the standard normal array, like x, that is
            drawn as number i = 0, 1, ... after k evaluations.
        argument
            What messages call x.
        """
        backend = backend_for(checked_array(x, argument))
        self.check_state(backend.shape, backend.is_complex, argument=argument)
        native = backend.take(x)
        if check_finite and not backend.is_finite(native):
            raise NonFiniteError(
                f"{argument} has NaN or infinite entries; start from finite numbers"
            )
        run = Run(backend, check_finite, noise, self.identity)
        segment, after = self.first()
        slots, _ = self._through(segment, run, self.found(x, native, backend), 0)
        code = segment.code
        x = backend.give(slots[code.asked])
        return State(x, after.t, after.done, 0, 0, after.cursor, slots, code, run)

    def advance(self, state: State, output: Any) -> State:
        """Return the state after the model's answer at ``state.x, state.t``.

        Parameters
        ----------
        output
            Like ``state.x`` in library, shape and dtype. It is kept by reference while later steps
            need it: do not overwrite it.

        Raises
        ------
        ModelOutputError
            If shape or dtype differ.
        NonFiniteError
            If the output or the new state has NaN or infinite entries; names evaluation and t. The
            state passed in stays as it was.
        """
        _, _, done, evaluation, step, cursor, slots, code, run = state
        if done:
            raise InvalidArgument("state is done: its run is over; begin another with start(x)")
        if run.identity is not self.identity and run.identity != self.identity:
            raise InvalidArgument(f"state belongs to another run than that of {self!r}")
        answer = run.backend.take(output)
        if answer is None:
            run, slots, answer = self._received(state, output)
        evaluation += 1
        env = (*slots, answer)
        segment = self.segment(cursor)
        # The pass checks what it reads; an answer that it only keeps is checked here.
        unread = len(slots) not in segment.code.sources
        finite = not (unread and run.check) or run.backend.is_finite(answer)
        while True:
            made = slots
            if finite:
                made, finite = self._through(segment, run, env, evaluation)
            if not finite:
                retry = self.retry(cursor)
                if retry is None:
                    self._explain(state, answer, run.backend)
                cursor, segment = retry
                env, finite = slots, True
                continue
            slots, code = made, segment.code
            step += code.completes
            cursor, t, done, at_once = self.follow(cursor, run, code, slots)
            if not at_once:
                x = run.backend.give(slots[code.asked])
                # What State(...) does, in half the time.
                return new(State, (x, t, done, evaluation, step, cursor, slots, code, run))
            env = slots
            segment = self.segment(cursor)

    def moved(self, state: State, x: Any) -> State:
        """Return a state in which the model sees `x` next, with the same past.

        For loops that change the state between evaluations. Where the model sees the state at a
        grid point, the step goes on from `x`; where it sees a stage or a predicted state, `x`
        counts through the model's answer alone.
        """
        if state.done:
            raise InvalidArgument("state is done: its run is over; nothing is asked any more")
        if state.run.identity != self.identity:
            raise InvalidArgument(f"state belongs to another run than that of {self!r}")
        backend, native = state.run.backend, state.run.backend.take(x)
        run, slots = state.run, state.slots
        plain = backend.plain()
        if native is None and plain is not None and (native := plain.take(x)) is not None:
            slots = tuple(backend.give(slot) for slot in slots)
            run = run._replace(backend=plain)
        if native is None:
            raise InvalidArgument(
                f"x is {described(x, backend)}; it must be an array like the state, "
                f"shape {backend.shape} and dtype {backend.dtype}"
            )
        if run.check and not run.backend.is_finite(native):
            raise NonFiniteError("x has NaN or infinite entries; go on from finite numbers")
        asked = state.code.asked
        slots = (*slots[:asked], native, *slots[asked + 1 :])
        return state._replace(x=run.backend.give(native), slots=slots, run=run)

    def _through(
        self, segment: Segment, run: Run, env: tuple[Any, ...], evaluation: int
    ) -> tuple[tuple[Any, ...], bool]:
        """Run a segment; return the new slots, and whether all new arrays are finite."""
        code, coefficients = segment
        if code.draws:
            env = (*env, *_drawn(run, evaluation, code.draws))
        if not code.recipe:
            return code.keep(env), True
        backend, check = run.backend, run.check
        sources = code.pick(env)
        if self.form != "scalar":
            coefficients = coefficients.prepared_for(backend)
        outputs, finite = backend.combine(self.form, coefficients, sources, check)
        return code.keep(env + outputs), finite

    def _received(self, state: State, output: Any) -> tuple[Run, tuple[Any, ...], Any]:
        """Take an output that the kernels of the run cannot take, or say what is wrong with it."""
        backend = state.run.backend
        plain = backend.plain()
        if plain is not None:
            answer = plain.take(output)
            if answer is not None:
                slots = tuple(backend.give(slot) for slot in state.slots)
                return state.run._replace(backend=plain), slots, answer
        raise wrong_output(f"{self.asks} at {self._where(state)}", output, backend)

    def _where(self, state: State) -> str:
        total = "" if self.nfe is None else f" of {self.nfe}"
        return f"evaluation {state.evaluation + 1}{total} ({self.when(state)})"

    def when(self, state: State) -> str:
        """Say for messages at which time the model is asked."""
        return f"t = {state.t:.9g}"

    def _explain(self, state: State, answer: Any, backend: Backend) -> NoReturn:
        where = self._where(state)
        if backend.is_finite(answer):
            raise overflowed(where)
        largest = backend.largest(backend.take(state.x))
        bad = backend.bad_entries(answer)
        raise bad_output(f"{self.asks} at {where}", bad, largest, backend.dtype, self.asks)


def _drawn(run: Run, evaluation: int, count: int) -> list[Any]:
    if run.noise is None:
        raise InvalidArgument("noise is missing: this method is stochastic; start(x, noise=...)")
    draws = [run.backend.take(run.noise(evaluation, i)) for i in range(count)]
    for i, z in enumerate(draws):
        if z is None:
            raise ModelOutputError(
                f"noise({evaluation}, {i}) must return an array like the state, "
                f"shape {run.backend.shape} and dtype {run.backend.dtype}"
            )
        if run.check and not run.backend.is_finite(z):
            raise NonFiniteError(f"noise({evaluation}, {i}) has NaN or infinite entries")
    return draws
