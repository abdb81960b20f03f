"""Tensors that others have a hand in: samples that are written into, answers written over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from semilinear.course import State
from semilinear.diffusion import DiffusionPlan
from semilinear.methods.rows import BASE, PREDICTED

if TYPE_CHECKING:
    import torch

UNKNOWN = -1
"""Stands for the version of a tensor that counts no changes."""


def handed_out(state: State, dtype: torch.dtype) -> tuple[torch.Tensor, int | None]:
    """Return the sample of a state for others; no version if it shares the memory of the state.

    Then what they write into it is the state without further ado.
    """
    x: torch.Tensor = state.x
    if dtype != x.dtype:
        x = x.to(dtype)
    elif state.code.slots[state.code.asked] == PREDICTED:
        x = x.clone()
    else:
        return x, None
    return x, version(x)


def is_untouched(sample: torch.Tensor, before: int | None) -> bool:
    """Tell whether a sample surely is as it was at a version; None stands for the state itself."""
    return before is None or before == version(sample) != UNKNOWN


def precise(sample: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return a sample in the precision of the state `x`, of which it was made.

    Where it still is what x rounds to, x is taken.
    """
    if sample.dtype == x.dtype:
        return sample
    return x.where(sample == x.to(sample.dtype), sample.to(x.dtype))


def like_state(answer: Any, x: torch.Tensor) -> Any:
    """Return a model's answer without gradients, in the dtype of the state `x`.

    As it is where that is no matter of precision: the plan refuses what is no tensor, whole
    numbers, and complex numbers for a real state.
    """
    import torch

    if not isinstance(answer, torch.Tensor):
        return answer
    is_number = answer.is_floating_point() or (answer.is_complex() and x.is_complex())
    return answer.detach().to(x.dtype) if is_number else answer


def moved(plan: DiffusionPlan, state: State, x: torch.Tensor) -> State:
    """Return the state with `x` in the place of what the network saw.

    The base of a step of which the network saw a prediction moves along, so that the prediction
    from it would have been `x`.
    """
    after = plan.moved(state, x)
    names = state.code.slots
    if names[state.code.asked] != PREDICTED:
        return after
    slots, base, backend = list(after.slots), names.index(BASE), after.run.backend
    shift = (x - state.x) / float(plan.transfer[state.step])
    slots[base] = backend.take(backend.give(slots[base]) + shift)
    return after._replace(slots=tuple(slots))


class Ring:
    """Memory for answers that a plan keeps by reference, since networks write into theirs again.

    Parameters
    ----------
    size
        For how many answers: none is needed any more when its place is taken.
    """

    def __init__(self, size: int) -> None:
        self.places: list[torch.Tensor | None] = [None] * size

    @classmethod
    def of(cls, plan: DiffusionPlan) -> Ring | None:
        """Return one for the answers of a plan; None if it needs none of them twice."""
        method = plan.sampler.method
        keeps = method.evaluations > 1 or method.carries
        if not keeps or plan.sampler.parameterisation.quantity != plan.prediction:
            return None
        most = max(plan.program.most_evaluations, method.evaluations)
        return cls((method.history + 2) * most)

    def place(self, answer: torch.Tensor, state: State) -> torch.Tensor:
        """Return memory for an answer at a state: the same as for one before that was refused."""
        turn = state.evaluation % len(self.places)
        place = self.places[turn]
        if place is None:
            import torch

            with torch.inference_mode(False):  # else it could not be written into outside
                place = torch.empty(answer.shape, dtype=state.x.dtype, device=answer.device)
            self.places[turn] = place
        return place


def version(x: torch.Tensor) -> int:
    """Return how often a tensor was written into, if it counts that."""
    return UNKNOWN if x.is_inference() else int(x._version)
