"""One run through a plan, with what a pipeline does to the sample on the way."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, TypeAlias

import torch
from diffusers.utils.torch_utils import randn_tensor

from semilinear.adapters.diffusers.answers import without_variance, x_0_of
from semilinear.adapters.diffusers.course import PipelineCourse
from semilinear.adapters.diffusers.forward import check_real
from semilinear.adapters.torch_samples import Ring, handed_out, is_untouched, moved, precise
from semilinear.course import State
from semilinear.diffusion import Churn
from semilinear.errors import InvalidArgument, shown
from semilinear.kernels import keeping_backend_for

Generator: TypeAlias = "torch.Generator | Sequence[torch.Generator] | None"

STATES = (torch.float32, torch.float64)
"""What states are kept in; those of other dtypes in float32."""


class PipelineRun:
    """A run that goes on from whatever sample the pipeline hands in.

    The sample takes the place of the state, and the history is kept; where a sample of lower
    precision still is what was handed out last, the state is.

    Parameters
    ----------
    course
        What is followed.
    evaluation
        Number of the evaluation of the course that comes first; the first one of a step.
    sample
        Where the run begins.
    """

    def __init__(self, course: PipelineCourse, evaluation: int, sample: torch.Tensor) -> None:
        self.course, self.begin = course, evaluation
        self.plan = course.plan_from(evaluation)
        # The base of a step with inner evaluations is needed again after the pipeline had it.
        self.has_stages = self.plan.program.most_evaluations > 1 or course.settings.corrects
        self.ring = Ring.of(self.plan)
        self.dtype = sample.dtype if sample.dtype in STATES else torch.float32
        x = sample.to(self.dtype)
        churns = isinstance(self.plan.sampler.noise, Churn)
        self.noise = Draws(x, in_every_step=not churns) if self.plan.stochastic else None
        # On other devices the check would wait for them.
        check = sample.device.type == "cpu"
        x = x.clone() if self.has_stages and x is sample else x
        state = self.plan.start(x, check_finite=check, noise=self.noise)
        self.keeping: Any = None if self.ring is None else keeping_backend_for(x)
        if self.keeping is not None:
            state = state._replace(run=state.run._replace(backend=self.keeping))
        self.state = state
        self.returned: torch.Tensor | None = sample
        self.version: int | None = None

    @property
    def index(self) -> int:
        """Number of the evaluation of the course whose turn it is."""
        return self.begin + self.state.evaluation

    @property
    def done(self) -> bool:
        """Whether the run is over."""
        return self.state.done

    def advance(
        self, output: torch.Tensor, sample: torch.Tensor, generator: Generator
    ) -> torch.Tensor:
        """Return the next sample after the network's answer at `sample`."""
        check_real(model_output=output, sample=sample)
        state = self.state
        if not self._is_own(sample):
            state = moved(self.plan, state, self._seen(sample))
        answer = self._answer(output, state)
        if self.noise is not None:
            self.noise.generator = generator
        self.state = state = self.plan.advance(state, answer)
        if self.noise is not None and (state.done or self.index in self.course.starts):
            self.noise.end_step()
        previous, self.version = handed_out(state, sample.dtype)
        self.returned = previous
        return previous

    def _is_own(self, sample: torch.Tensor) -> bool:
        return sample is self.returned and is_untouched(sample, self.version)

    def _seen(self, sample: torch.Tensor) -> torch.Tensor:
        """Return what the network saw, in the precision of the run where it was left alone."""
        x: torch.Tensor = self.state.x
        if sample.shape != x.shape:
            raise InvalidArgument(
                f"sample has shape {tuple(sample.shape)}, but that of the run is {tuple(x.shape)}; "
                "call set_timesteps before another run"
            )
        seen = precise(sample, x)
        return seen.clone() if self.has_stages and seen is sample else seen

    def _answer(self, output: torch.Tensor, state: State) -> torch.Tensor:
        settings = self.course.settings
        output = without_variance(settings, output, state.x)
        if settings.threshold is not None and output.shape == state.x.shape:
            return x_0_of(settings, self.course.readouts[self.index], output, state.x)
        fits = output.shape == state.x.shape and output.device == state.x.device
        if self.ring is None or not fits or output.requires_grad:
            return output.to(self.dtype)
        place = self.ring.place(output, state)
        # Gradients, recorded from some answer on, need other kernels.
        is_plain = self.keeping is None or state.run.backend is not self.keeping
        kept: torch.Tensor = (
            place.copy_(output) if is_plain else self.keeping.receive(output, place)
        )
        return kept

    def __getstate__(self) -> dict[str, Any]:
        # A sample that is copied beside its run shares no memory with the copied state.
        return {**self.__dict__, "returned": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> PipelineRun:
        made = PipelineRun.__new__(PipelineRun)
        immutable = ("course", "plan")
        for name, value in self.__getstate__().items():
            made.__dict__[name] = value if name in immutable else deepcopy(value, memo)
        return made


class Draws:
    """Normal numbers of a run from the generators of the pipeline.

    Parameters
    ----------
    like
        The state.
    in_every_step
        Whether steps without noise, such as those outside of SA-Solver's interval, drop numbers.
        The stock schedulers do so, but for churn, and equal seeds are to give the same samples.
    """

    def __init__(self, like: torch.Tensor, *, in_every_step: bool) -> None:
        self.in_every_step = in_every_step
        self.shape, self.dtype, self.device = like.shape, like.dtype, like.device
        self.generator: Generator = None
        self.has_drawn = False

    def end_step(self) -> None:
        """Drop the numbers of a step that used none."""
        if self.in_every_step and not self.has_drawn:
            self(0, 0)
        self.has_drawn = False

    def __call__(self, k: int, i: int) -> torch.Tensor:
        """Return the next numbers; with one generator for each sample, its own for each."""
        self.has_drawn = True
        given: Any = self.generator
        each = given if isinstance(given, Sequence) else [given] * (given is not None)
        if not all(isinstance(one, torch.Generator) for one in each):
            raise InvalidArgument(
                f"generator={shown(given)} must be a torch.Generator, or a list with one for each "
                "sample"
            )
        if isinstance(given, Sequence):
            given = list(given)
            if len(given) != self.shape[0]:
                raise InvalidArgument(
                    f"generator has {len(given)} entries for {self.shape[0]} samples; give one "
                    "for each, or one for all"
                )
        drawn: torch.Tensor = randn_tensor(
            self.shape, generator=given, device=self.device, dtype=self.dtype
        )
        return drawn

    def __deepcopy__(self, memo: dict[int, Any]) -> Draws:
        # Each step brings its generator.
        copied = Draws.__new__(Draws)
        copied.__dict__.update(self.__dict__, generator=None)
        return copied
