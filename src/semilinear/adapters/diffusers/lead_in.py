"""The way from inside a step to the beginning of the next one."""

from __future__ import annotations

import torch

from semilinear.adapters.diffusers.answers import without_variance, x_0_of
from semilinear.adapters.diffusers.course import PipelineCourse
from semilinear.adapters.diffusers.forward import check_real
from semilinear.errors import ModelOutputError, NonFiniteError


class LeadIn:
    """Steps of order one, for pipelines that begin in the middle of a step.

    They leave out `order` timesteps for each step, but a first step from pure noise has one alone.
    What they begin with has the noise of the evaluation that they begin at; each evaluation takes
    it on to the next, until a run by the plan can begin.

    Parameters
    ----------
    course
        What is followed.
    evaluation
        Number of the evaluation of the course that comes first.
    """

    def __init__(self, course: PipelineCourse, evaluation: int) -> None:
        self.course, self.index = course, evaluation

    @property
    def done(self) -> bool:
        """Whether the course is over: after evaluations of its last step."""
        return self.index == len(self.course.told)

    @property
    def has_arrived(self) -> bool:
        """Whether a run by the plan can begin."""
        return self.index in self.course.starts

    def advance(
        self, output: torch.Tensor, sample: torch.Tensor, generator: object
    ) -> torch.Tensor:
        """Return the next sample after the network's answer at `sample`."""
        check_real(model_output=output, sample=sample)
        course, k = self.course, self.index
        x = sample.to(torch.promote_types(sample.dtype, torch.float32))
        output = without_variance(course.settings, output, x)
        if output.shape != x.shape:
            raise ModelOutputError(
                f"the model at evaluation {k + 1} of {len(course.told)} returned shape "
                f"{tuple(output.shape)}; it must return a tensor like sample, {tuple(x.shape)}"
            )
        x_0 = x_0_of(course.settings, course.readouts[k], output, x)
        (alpha, alpha_next), (sigma, sigma_next) = (s[k : k + 2].tolist() for s in course.scales)
        after = alpha_next * x_0 + (sigma_next / sigma) * (x - alpha * x_0)
        # On other devices the check would wait for them.
        if after.device.type == "cpu" and not bool(after.isfinite().all()):
            raise NonFiniteError(
                f"after evaluation {k + 1} of {len(course.told)} the sample has NaN or infinite "
                "entries; check the model and the sample there"
            )
        self.index = k + 1
        return after.to(sample.dtype)
