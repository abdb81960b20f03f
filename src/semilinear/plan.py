"""A plan: a method on a fixed grid for a linear part, ready to be run any number of times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from semilinear.course import Course, Next, Run
from semilinear.errors import InvalidArgument
from semilinear.immutable import Immutable
from semilinear.kernels import Backend
from semilinear.lazy_segments import LazySegments
from semilinear.methods.rows import BASE, NEW, PREDICTED, Combine, Evaluate, Step
from semilinear.plan_table import Table, table_of
from semilinear.program import Program, table_segments
from semilinear.propagators.base import refuse_real_state
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


class SlopePlace(NamedTuple):
    """An evaluation that gives N at a grid point."""

    number: int
    """Of the grid point; counted from the start of the step, where it is a step that is read."""
    exact: bool
    """Whether at the state of the grid point itself, and not at a prediction of it."""


def slopes_of(step: Step) -> Iterator[tuple[Evaluate, SlopePlace | None]]:
    """Yield the evaluations of a step, and at which end of it they give N, if at one."""
    asks = [row for row in step.instructions if isinstance(row, Evaluate)]
    again = any(ask.state == NEW for ask in asks)
    for ask in asks:
        if ask.state == BASE:
            yield ask, SlopePlace(0, exact=True)
        elif ask.state == NEW or (ask.state == PREDICTED and not again):
            yield ask, SlopePlace(1, exact=ask.state == NEW)
        else:
            yield ask, None


class Plan(Immutable, Course):
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
    program
        What the plan was made of.
    """

    nfe: int

    def __init__(
        self,
        program: Program,
        *,
        times: Sequence[float],
        end: float,
        name: str,
        steps: int | None = None,
    ) -> None:
        self.program = program
        self.name = name
        self.grid = program.grid
        self.grid.flags.writeable = False
        self.times = tuple(times)
        self.nfe = len(self.times)
        self.steps = len(program.steps) if steps is None else steps
        self.form = program.propagator.form
        self._segments: Sequence[Segment]
        if self.form == "scalar":
            self._segments, self._start = table_segments(program)
        else:
            lazy = LazySegments(program)
            self._segments, self._start = lazy, lazy.start
        # One more place than evaluations: the end, where the model is not asked.
        asked_at = (*self.times, end)
        self._places = [Next(k, t, done=k == self.nfe) for k, t in enumerate(asked_at)]
        # The last attribute that is set: from then on all is fixed.
        self.identity = (name, self.nfe, self.grid.tobytes(), self._numbers())

    def _is_fixed(self, name: str) -> bool:
        return "identity" in self.__dict__

    def _numbers(self) -> Any:
        """Return what distinguishes a plan from others of its method on its grid."""
        if self.form != "scalar":
            return self.program.propagator.identity, self.program.structure
        return b"".join(np.asarray(segment.coefficients).tobytes() for segment in self._segments)

    def __repr__(self) -> str:
        return f"Plan({self.name}, steps={self.steps}, nfe={self.nfe})"

    def first(self) -> tuple[Segment, Next]:
        return self._start, self._places[0]

    def found(self, x: Any, native: Any, backend: Backend) -> tuple[Any, ...]:
        if not self.program.reads_unit:
            return (native,)
        return native, backend.take(array_namespace(x).ones_like(x))

    def segment(self, cursor: int) -> Segment:
        return self._segments[cursor]

    def follow(self, cursor: int, run: Run, code: Code, slots: tuple[Any, ...]) -> Next:
        return self._places[cursor + 1]

    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        self.program.propagator.check_state(shape, complex_state, argument=argument)
        # L(t) given as a function shows only in its values whether it is complex.
        if self.form != "scalar" or complex_state:
            return
        if np.iscomplexobj(self._segments[-1].coefficients):
            raise refuse_real_state(argument)

    def slope_places(self) -> Iterator[SlopePlace | None]:
        """Yield, for every evaluation, at which grid point it gives N, if at one."""
        for n, step in enumerate(self.program.steps):
            for _, place in slopes_of(step):
                yield None if place is None else SlopePlace(n + place.number, place.exact)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The whole program as rows, for reading and for checks; coefficients on the host."""
        return tuple(_rows(self.program, self.times))

    def table(self) -> Table:
        """Return the plan as an array program: matrices of one size, padded with zeros.

        Returns
        -------
        Table
            Of NumPy arrays, for any compiler of arrays; its documentation says how it is run.

        Raises
        ------
        InvalidArgument
            If the coefficients are no numbers: those of a `Diagonal` or `Dense` linear part, or of
            times for each sample.

        Examples
        --------
        >>> from semilinear import diffusion
        >>> diffusion.plan(diffusion.VPLinear(), method="tab3", steps=6).table().matrices.shape
        (6, 4, 5)
        """
        if self.form == "samples":
            raise InvalidArgument(
                f"{self!r} has times for each sample, which a table does not hold; run it by "
                "diffusion.follow, or make a plan of one grid for all"
            )
        if self.form != "scalar":
            raise InvalidArgument(
                f"{self!r} has {self.form} coefficients; a table holds numbers, as those of "
                "Scalar linear parts and of diffusion samplers are"
            )
        segments = [self.segment(k) for k in range(self.nfe)]
        return table_of(self._start, segments, self.times)


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
            if not isinstance(instruction, Evaluate):
                continue
            ask = (times[evaluation], instruction.slot)
            tell = (next(told), next(told)) if tells else None
            evaluation += 1
            if rows and rows[-1].step == n and rows[-1].dst == instruction.state:
                rows[-1] = rows[-1]._replace(ask=ask, tell=tell)
            else:
                rows.append(Row(n, instruction.state, (instruction.state,), (1.0,), ask, tell))
    return rows
