"""What a plan is told of the denoised x that a model returned."""

from __future__ import annotations

from typing import Any

from semilinear.adapters.torch_samples import Ring
from semilinear.course import State
from semilinear.diffusion import DiffusionPlan, NoiseSchedule, Sampler


def prediction_for(found: Sampler, schedule: NoiseSchedule, first: float) -> str:
    """Return what a plan is told: eps where k-diffusion makes it before the callback, else x0.

    Its samplers for the ODE do so, and then go on from what the callback made of x; the ancestral
    ones read eps out of that. At pure noise x_0 does not follow from eps.
    """
    in_eps = found.parameterisation.quantity in ("eps", "score")
    return "eps" if in_eps and found.noise is None and schedule.alpha(first) > 0 else "x0"


class Answers:
    """The answers of one run, as its plan wants them.

    Parameters
    ----------
    plan
        What is told.
    like
        The state: a tensor.
    """

    def __init__(self, plan: DiffusionPlan, like: Any) -> None:
        self.plan, self.like = plan, like
        self.ring = Ring.of(plan)

    def read(self, state: State, answer: Any) -> Any:
        """Return eps of the state and an answer, if that is what the plan is told."""
        if self.plan.prediction != "eps" or not self._fits(answer):
            return answer
        schedule = self.plan.schedule
        x_0 = answer.detach().to(self.like.dtype)
        away = state.x.sub(x_0, alpha=float(schedule.alpha(state.t)))
        return away.div_(float(schedule.sigma(state.t)))

    def kept(self, answer: Any) -> Any:
        """Return what is told, in memory of its own if the plan needs it for longer."""
        if not isinstance(answer, type(self.like)):
            return answer
        answer, dtype = answer.detach(), self.like.dtype
        if self.ring is None or answer.dtype != dtype or not self._fits(answer):
            return answer.to(dtype)
        return self.ring.place(answer, dtype).copy_(answer)

    def _fits(self, answer: Any) -> bool:
        like = self.like
        if not isinstance(answer, type(like)):
            return False
        return bool(answer.shape == like.shape and answer.device == like.device)
