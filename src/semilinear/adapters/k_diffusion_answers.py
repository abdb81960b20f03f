"""What a plan is told of the denoised x that a model returned."""

from __future__ import annotations

from typing import Any

from semilinear.adapters.torch_samples import Ring, like_state
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
        if self.plan.prediction != "eps":
            return answer
        told = like_state(answer, self.like)
        if not self._fits(told):
            return answer
        schedule = self.plan.schedule
        away = state.x.sub(told, alpha=float(schedule.alpha(state.t)))
        return away.div_(float(schedule.sigma(state.t)))

    def kept(self, state: State, answer: Any) -> Any:
        """Return what is told, in memory of its own if the plan needs it for longer."""
        told = like_state(answer, self.like)
        if self.ring is None or not self._fits(told) or answer.dtype != told.dtype:
            return told  # another dtype was made anew
        return self.ring.place(told, state).copy_(told)

    def _fits(self, told: Any) -> bool:
        like = self.like
        is_alike = getattr(told, "dtype", None) == like.dtype and told.device == like.device
        return is_alike and bool(told.shape == like.shape)
