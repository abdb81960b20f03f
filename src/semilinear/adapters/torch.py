"""PyTorch modules as models: what a network wants and what a plan gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semilinear.errors import InvalidArgument, MissingDependency

EpsModel = Callable[[Any, Any], Any]


def eps_model(module: Callable[..., Any], *, time_scale: float = 1.0) -> EpsModel:
    """Return ``model(x, t)`` around a torch module that takes one time per sample.

    Parameters
    ----------
    module
        ``module(x, t)`` with x of shape (n, ...) and t of shape (n,), on x's device and in its real
        dtype, at least float32; returns the prediction, like x. A result with an attribute
        ``sample`` (as diffusers' networks return) is unwrapped.
    time_scale
        Factor from the schedule's time to the module's: 1000 for a continuous schedule on [0, 1]
        and a network that counts to 1000.

    Returns
    -------
    callable
        For `semilinear.diffusion.sample` and any loop around a plan: t a number, or an array with
        one for each sample. x may be a tensor on any
        device, or a NumPy array, which is passed to the module as a CPU tensor that shares its
        memory; the answer then is a NumPy array that shares the module's.

    Notes
    -----
    Gradients are left as they are: under ``torch.no_grad()`` the solver works on the tensors'
    memory, otherwise it uses differentiable operations.
    """
    if not callable(module):
        raise InvalidArgument(f"module={module!r} must be callable as module(x, t)")
    try:
        import torch
    except ImportError:
        raise MissingDependency.of("torch", "torch") from None

    def model(x: Any, t: Any) -> Any:
        given = x if isinstance(x, torch.Tensor) else shared_tensor(x, "x")
        real = given.real.dtype if given.is_complex() else given.dtype
        if real in (torch.float16, torch.bfloat16):  # in which 999 may be 1000
            real = torch.float32
        if getattr(t, "shape", ()):  # one for each sample already
            time = torch.as_tensor(t, dtype=real, device=given.device) * time_scale
        else:
            time = torch.full(given.shape[:1], t * time_scale, dtype=real, device=given.device)
        if given is x:
            return _tensor(module(given, time))
        with torch.no_grad():
            return _tensor(module(given, time)).numpy()

    return model


def _tensor(output: Any) -> Any:
    return getattr(output, "sample", output)


def shared_tensor(array: Any, argument: str) -> Any:
    """Return a NumPy array as a tensor, which shares its memory where torch knows such strides."""
    import torch

    try:
        if any(stride < 0 for stride in array.strides):
            array = array.copy()
        return torch.from_numpy(array)
    except (AttributeError, TypeError, ValueError):
        kind = getattr(array, "dtype", type(array).__name__)
        raise InvalidArgument(
            f"{argument}, of type {kind}, is no tensor and no NumPy array that torch can take; use "
            f"numpy.array({argument}, dtype='float64')"
        ) from None
