"""Plans of one structure, one for each sample of a batch, as one plan: times by sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from semilinear.course import Next, Noise, Run, State
from semilinear.diffusion.diffusion_plan import DiffusionPlan, Recipe
from semilinear.diffusion.endings import DENOISE, PURE_NOISE
from semilinear.errors import InvalidArgument, shown
from semilinear.lazy_segments import Operators
from semilinear.methods.rows import Draw, Step
from semilinear.plan import Row
from semilinear.segments import Code, Segment

Ends = float | Sequence[float] | np.ndarray
"""A time, or one for each sample of a batch."""


class StackedPlan(DiffusionPlan):
    """A sampler on a grid for each sample of a batch; made by `semilinear.diffusion.plan`.

    A sample gets what its own plan would give it; the model is asked with an array of times.

    Attributes
    ----------
    plans
        The plan of each sample.
    recipe
        As of one plan, its ends being arrays of shape (samples,).
    t, grid, path_times, t_formed, transfer, weights, times, rows
        As those of `DiffusionPlan`, the numbers being arrays whose last axis counts the samples: t
        has shape (steps + 1, samples), and times are arrays of shape (samples,).
    program
        That of the first sample; the steps are those of all.
    """

    def __init__(self, plans: Sequence[DiffusionPlan]) -> None:
        _check_alike(plans)
        first = plans[0]
        self.plans = tuple(plans)
        self.program, self.main = first.program, first.main
        self.schedule, self.sampler = first.schedule, first.sampler
        self.prediction, self.recipe = first.prediction, self._joined_recipe()
        self.name, self.nfe, self.steps = first.name, first.nfe, first.steps
        self.form = "samples"
        self.t = self._stacked("t")
        self.grid = self._stacked("grid")
        self.path_times = self._stacked("path_times")
        asked: Any = tuple(self._stacked("times"))
        self.times = asked
        ends = (*asked, self.t[-1])
        self._places = [Next(k, t, done=k == self.nfe) for k, t in enumerate(ends)]
        self._start = _joined([each.first()[0] for each in plans])
        self._segments = [_joined([each.segment(k) for each in plans]) for k in range(self.nfe)]
        self.identity = tuple(each.identity for each in plans)

    def __reduce__(self) -> tuple[Any, ...]:
        return StackedPlan, (self.plans,)

    def __repr__(self) -> str:
        samples = len(self.plans)
        return f"Plan({self.name}, steps={self.steps}, nfe={self.nfe}, samples={samples})"

    def start(
        self,
        x: Any,
        *,
        check_finite: bool = True,
        noise: Noise | None = None,
        argument: str = "x",
    ) -> State:
        state = super().start(x, check_finite=check_finite, noise=noise, argument=argument)
        return state._replace(t=state.run.backend.vector(state.t))

    def follow(self, cursor: int, run: Run, code: Code, slots: tuple[Any, ...]) -> Next:
        place = self._places[cursor + 1]
        # Made anew each time: a model may write to the times that it is given.
        return place._replace(t=run.backend.vector(place.t))

    def when(self, state: State) -> str:
        t = self._places[state.cursor].t
        return f"t = {t.max():.9g} to {t.min():.9g}, by sample"

    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        super().check_state(shape, complex_state, argument=argument)
        if shape[:1] != (len(self.plans),):
            raise InvalidArgument(
                f"{argument} has shape {shape}, but this plan has times for {len(self.plans)} "
                "samples, which the first axis must count; make a plan with as many times"
            )

    @cached_property
    def t_formed(self) -> np.ndarray:
        return self._stacked("t_formed")

    @cached_property
    def transfer(self) -> np.ndarray:
        return self._stacked("transfer")

    @cached_property
    def weights(self) -> np.ndarray:
        return self._stacked("weights")

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return tuple(_joined_row(each) for each in zip(*(p.rows for p in self.plans), strict=True))

    def _joined_recipe(self) -> Recipe:
        recipes = [each.recipe for each in self.plans]
        start, end = (np.array([getattr(r, n) for r in recipes]) for n in ("t_start", "t_end"))
        return recipes[0]._replace(t_start=start, t_end=end)

    def _stacked(self, name: str) -> np.ndarray:
        array = np.stack([getattr(each, name) for each in self.plans], axis=-1)
        array.flags.writeable = False
        return array


def of_samples(grid: Any, t_start: Any, t_end: Any) -> list[dict[str, Any]] | None:
    """Return the grid and the ends of each sample where they differ; None for one plan for all.

    Parameters
    ----------
    grid
        Of shape (steps + 1, samples), or anything that is the same for all.
    t_start, t_end
        Of shape (samples,), or a number or None.
    """
    arrays: dict[str, np.ndarray] = {}
    if not callable(grid) and _rank(grid) == 2:
        arrays["grid"] = _numbers("grid", grid).T
    for name, value in (("t_start", t_start), ("t_end", t_end)):
        if _rank(value) == 1:
            arrays[name] = _numbers(name, value)
        elif _rank(value) > 1:
            raise InvalidArgument(
                f"{name} has shape {np.shape(value)}; give one time, or one for each sample"
            )
    if not arrays:
        return None
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1 or not min(counts.values()):
        told = ", ".join(f"{name} for {count}" for name, count in counts.items())
        raise InvalidArgument(f"{told} samples: give times for as many, at least one")
    shared = {"grid": grid, "t_start": t_start, "t_end": t_end}
    each = [{name: array[i] for name, array in arrays.items()} for i in range(max(counts.values()))]
    return [{**shared, **own} for own in each]


def stacked(samples: list[dict[str, Any]], make: Callable[..., DiffusionPlan]) -> StackedPlan:
    """Return the plans of samples as one; samples with the same times share theirs."""
    made: dict[bytes, DiffusionPlan] = {}
    plans = []
    for i, own in enumerate(samples):
        arrays = (value for value in own.values() if isinstance(value, np.ndarray | np.generic))
        key = b"".join(value.tobytes() for value in arrays)
        if key not in made:
            try:
                made[key] = make(**own)
            except InvalidArgument as error:
                error.add_note(f"in the plan of sample {i}")
                raise
        plans.append(made[key])
    return StackedPlan(plans)


def _rank(value: Any) -> int:
    try:
        return np.ndim(value)
    except ValueError:  # ragged: refused where its numbers are read
        return 0


def _numbers(argument: str, value: Any) -> np.ndarray:
    try:
        return np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise InvalidArgument(
            f"{argument}={shown(value)} must hold times, which are numbers"
        ) from None


def _joined(segments: Sequence[Segment]) -> Segment:
    """Return a segment with an array over the samples in the place of each number."""
    numbers = np.stack([segment.coefficients for segment in segments], axis=-1)
    return Segment(segments[0].code, Operators([list(row) for row in numbers], "samples"))


def _joined_row(rows: Sequence[Row]) -> Row:
    first = rows[0]
    numbers = np.array([row.coefficients for row in rows]).T
    ask: Any = None if first.ask is None else (_over(row.ask for row in rows), first.ask[1])
    tell: Any = None if first.tell is None else tuple(np.array([row.tell for row in rows]).T)
    return first._replace(coefficients=tuple(numbers), ask=ask, tell=tell)


def _over(asks: Any) -> np.ndarray:
    return np.array([t for t, _ in asks])


def _check_alike(plans: Sequence[DiffusionPlan]) -> None:
    """Refuse samples whose steps are of different kinds: they evaluate or draw at other places."""
    if plans[0].form != "scalar":
        raise InvalidArgument(
            f"t_start, t_end, grid: {plans[0].name} has a tabulated quantity, whose weights are "
            "arrays already; give all samples the same times"
        )
    steps = plans[0].program.steps
    for i, each in enumerate(plans):
        if each.program.steps != steps:
            raise InvalidArgument(
                f"t_start, t_end, grid: sample {i} cannot run beside sample 0, since "
                f"{_difference(each, plans[0])}"
            )


def _difference(plan: DiffusionPlan, first: DiffusionPlan) -> str:
    if plan.steps != first.steps:
        return f"it takes {plan.steps} steps and that {first.steps}; give steps instead of nfe"
    one, other = plan.program.steps, first.program.steps
    if (one[0] is PURE_NOISE) != (other[0] is PURE_NOISE):
        return (
            "only one of them begins at alpha = 0, with a first step of its own kind; begin all "
            "there, or all later"
        )
    if (one[-1] is DENOISE) != (other[-1] is DENOISE) or _drawn(one) == _drawn(other):
        return (
            "only one of them ends at sigma = 0, with a last step of its own kind; end all there, "
            "or all before"
        )
    return "noise enters in other steps; give noise one level for all times"


def _drawn(steps: tuple[Step, ...]) -> list[bool]:
    return [any(isinstance(row, Draw) for row in step.instructions) for step in steps]
