"""Derivatives of PyTorch models, as the likelihood of a diffusion model needs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semilinear.adapters.torch import shared_tensor
from semilinear.answers import wrapped
from semilinear.diffusion.models import made_for, mark_of
from semilinear.errors import InvalidArgument, MissingDependency, ModelOutputError

Product = Callable[[Any], Any]


def linearised(model: Callable[[Any, float], Any]) -> Callable[[Any, float], tuple[Any, Product]]:
    """Return a model with its derivative: ``(x, t) -> (prediction, v -> J^T v)``.

    J is the Jacobian of the prediction by x at (x, t), products with it are by reverse-mode
    differentiation. For `semilinear.diffusion.log_likelihood`.

    Parameters
    ----------
    model
        ``model(x, t)`` on tensors, differentiable by torch, such as `adapters.torch.eps_model`
        makes of a network. Samples must not depend on each other: a network with batch
        normalisation must be in evaluation mode.

    Returns
    -------
    callable
        x may be a tensor on any device, or a NumPy array, for which the answers are NumPy arrays
        too. Gradients are recorded inside whatever the mode outside, and none leave: neither
        prediction nor products can be differentiated further. The evaluation's graph lives as long
        as the function ``v -> J^T v``, which may be called any number of times.

    Raises
    ------
    ModelOutputError
        When called, if the answer is a tensor inside of something else; then or by ``v -> J^T v``,
        if it does not depend on x by operations that torch differentiates.
    """
    if not callable(model):
        raise InvalidArgument(f"model={model!r} must be callable as model(x, t)")
    try:
        import torch
    except ImportError:
        raise MissingDependency.of("torch", "torch") from None

    def evaluated(x: Any, t: float) -> tuple[Any, Product]:
        is_tensor = isinstance(x, torch.Tensor)
        with torch.inference_mode(False), torch.enable_grad():
            given = x if is_tensor else shared_tensor(x, "x")
            # A copy: tensors of inference mode, which x may be, cannot be differentiated by.
            leaf = given.detach().clone().requires_grad_()
            answer = model(leaf, t)
        if hint := wrapped(answer):
            raise ModelOutputError(f"model at t={t:.9g} returned {type(answer).__name__}{hint}")
        if not isinstance(answer, torch.Tensor) or not answer.requires_grad:
            raise _independent(t)

        def product(v: Any) -> Any:
            probe = v if is_tensor else shared_tensor(v, "v")
            (found,) = torch.autograd.grad(
                answer, leaf, probe, retain_graph=True, allow_unused=True
            )
            if found is None:  # other tensors than x had gradients recorded
                raise _independent(t)
            return found if is_tensor else found.numpy()

        prediction = answer.detach()
        return (prediction if is_tensor else prediction.numpy()), product

    return made_for(evaluated, mark_of(model))


def _independent(t: float) -> ModelOutputError:
    return ModelOutputError(
        f"model at t={t:.9g} returned no tensor that depends on x by differentiable operations; "
        "leave out torch.no_grad() and detach() inside of it"
    )
