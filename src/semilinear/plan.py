"""A plan, and the state of a run through it: ask and tell, one call per evaluation.

A plan is immutable: any number of runs, in any number of threads, can go through it. A state is
frozen: it can be kept, copied, and continued from again. The loop around them may be anybody's::

    state = plan.start(x)
    while not state.done:
        state = plan.advance(state, model(state.x, state.t))
    result = state.x
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

from semilinear.errors import InvalidArgument, ModelOutputError, NonFiniteError
from semilinear.kernels import Backend, backend_for
from semilinear.methods.rows import BASE, Combine
from semilinear.program import LazySegments, Program, table_segments
from semilinear.segments import Code, Segment


class Row(NamedTuple):
    """One row of a plan: ``dst = sum coefficients * sources``; perhaps an evaluation at dst.

    ``ask`` is (t, slot) if the model is then evaluated at dst and t, its answer going to `slot`;
    ``tell`` is (p, q) if the slot holds p * dst + q * answer, None if it holds the answer itself.
    """

    step: int
    dst: str
    sources: tuple[str, ...]
    coefficients: tuple[Any, ...]
    ask: tuple[float, str] | None
    tell: tuple[float, float] | None


class State(NamedTuple):
    """Where a run through a plan stands; frozen.

    Parameters
    ----------
    x
        What the model sees next, or the result once `done`.
    t
        The time at which the model is asked, a float.
    done
        Whether the run is over.
    evaluation
        Number of evaluations told so far.
    step
        Number of steps completed so far.
    """

    x: Any
    t: float
    done: bool
    evaluation: int
    step: int
    slots: tuple[Any, ...]
    code: Code
    backend: Backend
    check: bool

    @property
    def y(self) -> Any:
        """The state at the last grid point that the run has reached."""
        return self.backend.give(self.slots[self.code.slots.index(BASE)])

    def __repr__(self) -> str:
        where = "done" if self.done else f"t={self.t:.6g}"
        return (
            f"State({where}, evaluation={self.evaluation}, step={self.step}, "
            f"x: {self.backend.shape} {self.backend.dtype})"
        )


class Plan:
    """A method on a grid for a linear part, as a straight-line program.

    Made by `semilinear.make_plan` or `semilinear.diffusion.plan`.

    Attributes
    ----------
    grid
        Grid points in the independent variable, read-only.
    times
        The time at which the model is asked, for each evaluation.
    nfe
        Number of evaluations of a run.
    steps
        Number of steps.
    """

    def __init__(self, program: Program, *, times: Sequence[float], name: str) -> None:
        self._program = program
        self.name = name
        self.grid = program.grid
        self.grid.flags.writeable = False
        self.times = tuple(times)
        self.nfe = len(self.times)
        self.steps = len(program.steps)
        self._form = program.propagator.form
        # One more time than evaluations: the state after the last one is asked nowhere.
        self._asked_at = (*self.times, float(self.grid[-1]))
        self._segments: Sequence[Segment]
        if self._form == "scalar":
            self._segments, self._start = table_segments(program)
        else:
            lazy = LazySegments(program)
            self._segments, self._start = lazy, lazy.start

    def __repr__(self) -> str:
        return f"Plan({self.name}, steps={self.steps}, nfe={self.nfe})"

    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        """Raise `InvalidArgument` if the linear part does not fit states of this shape and kind."""
        self._program.propagator.check_state(shape, complex_state, argument=argument)

    def start(self, x: Any, *, check_finite: bool = True) -> State:
        """Return the state of a new run from `x`.

        Parameters
        ----------
        x
            Initial state: an array of any library, real or complex floating; kept as it is.
        check_finite
            Whether to refuse NaN and infinity. The check is part of the pass over memory on NumPy
            arrays and CPU tensors; elsewhere it costs one synchronisation per evaluation.
        """
        backend = backend_for(_checked_array(x))
        self.check_state(backend.shape, backend.is_complex, argument="x")
        native = backend.take(x)
        if check_finite and not backend.is_finite(native):
            raise NonFiniteError("x has NaN or infinite entries; start from finite numbers")
        code = self._start.code
        slots, _ = self._run(self._start, backend, (native,), False)
        x = backend.give(slots[code.asked])
        return State(x, self._asked_at[0], False, 0, 0, slots, code, backend, check_finite)

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
        _, _, done, evaluation, step, slots, _, backend, check = state
        if done:
            raise InvalidArgument(
                "state is done: its run is over; begin another with plan.start(x)"
            )
        answer = backend.take(output)
        if answer is None:
            backend, slots, answer = self._received(state, output)
        segment = self._segments[evaluation]
        env = (*slots, answer)
        slots, finite = self._run(segment, backend, env, check)
        if not finite:
            self._explain(state, answer, backend)
        code = segment.code
        evaluation += 1
        return State(
            backend.give(slots[code.asked]),
            self._asked_at[evaluation],
            evaluation == self.nfe,
            evaluation,
            step + code.completes,
            slots,
            code,
            backend,
            check,
        )

    def _run(
        self, segment: Segment, backend: Backend, env: tuple[Any, ...], check: bool
    ) -> tuple[tuple[Any, ...], bool]:
        code, coefficients = segment
        if not code.recipe:
            return code.keep(env), True
        sources = code.pick(env)
        if self._form == "scalar":
            outputs, finite = backend.combine_scalar(coefficients, sources, check)
        elif self._form == "elementwise":
            prepared = coefficients.prepared_for(backend)
            outputs, finite = backend.combine_elementwise(prepared, sources, check)
        else:
            prepared = coefficients.prepared_for(backend)
            outputs, finite = backend.combine_matrix(prepared, sources, check)
        return code.keep(env + outputs), finite

    def _received(self, state: State, output: Any) -> tuple[Backend, tuple[Any, ...], Any]:
        """Take an output that the kernels of the run cannot take, or say what is wrong with it."""
        backend = state.backend
        plain = backend.plain()
        if plain is not None:
            answer = plain.take(output)
            if answer is not None:
                return plain, tuple(backend.give(slot) for slot in state.slots), answer
        shape = getattr(output, "shape", None)
        found = f"{type(output).__name__}"
        if shape is not None:
            found = f"shape {tuple(shape)} and dtype {getattr(output, 'dtype', None)}"
        raise ModelOutputError(
            f"{self._where(state)} returned {found}; it must return an array like the state, "
            f"shape {backend.shape} and dtype {backend.dtype}"
        )

    def _where(self, state: State) -> str:
        return f"evaluation {state.evaluation + 1} of {self.nfe} (t = {state.t:.9g})"

    def _explain(self, state: State, answer: Any, backend: Backend) -> None:
        where = self._where(state)
        if backend.is_finite(answer):
            raise NonFiniteError(
                f"the state overflowed in the step after {where}, whose output was finite; "
                "take smaller steps or a method of lower order"
            )
        raise NonFiniteError(
            f"{where} returned NaN or infinity in {backend.count_bad(answer)} entries, at a "
            "finite state; check the model there"
        )

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The whole program as rows, for reading and for checks; coefficients on the host."""
        return tuple(_rows(self._program, self.times))


def _checked_array(x: Any) -> Any:
    if not hasattr(x, "dtype") or not hasattr(x, "shape"):
        raise InvalidArgument(f"x must be an array, got {type(x).__name__}; use numpy.asarray(x)")
    name = str(x.dtype).rpartition(".")[2]
    if not name.startswith(("float", "complex", "bfloat")):
        raise InvalidArgument(
            f"x has dtype {x.dtype}; it must be real or complex floating, for example float32"
        )
    return x


def _rows(program: Program, times: Sequence[float]) -> list[Row]:
    rows: list[Row] = []
    evaluation = 0
    for n, step in enumerate(program.steps):
        values = program.values(n)
        tells = program.tell is not None and not step.raw
        told = iter(values[len(values) - 2 * step.evaluations :] if tells else ())
        position = 0
        for instruction in step.instructions:
            if isinstance(instruction, Combine):
                end = position + len(instruction.sources)
                numbers = tuple(values[position:end])
                rows.append(Row(n, instruction.dst, instruction.sources, numbers, None, None))
                position = end
                continue
            ask = (times[evaluation], instruction.slot)
            tell = (next(told), next(told)) if tells else None
            evaluation += 1
            if rows and rows[-1].step == n and rows[-1].dst == instruction.state:
                rows[-1] = rows[-1]._replace(ask=ask, tell=tell)
            else:
                rows.append(Row(n, instruction.state, (instruction.state,), (1.0,), ask, tell))
    return rows
