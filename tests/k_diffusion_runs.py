"""Runs in the manner of k-diffusion: a ladder of sigmas, noise, a model, a noise sampler."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from semilinear.adapters import k_diffusion

SHAPE = (3, 4, 5)
STEPS = 8
EPS = float(np.finfo(np.float64).eps)
CHURN = {"s_churn": 5.0, "s_noise": 1.003}


def karras(last: bool = True, n: int = STEPS):
    grid = np.linspace(14.6 ** (1 / 7), 0.03 ** (1 / 7), n if last else n + 1) ** 7
    return torch.tensor(np.append(grid, 0.0) if last else grid)


def noise(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return 14.6 * torch.randn(SHAPE, generator=generator, dtype=torch.float64).to(dtype)


def model(x, sigma):
    """Denoise, with all that a network can depend on."""
    s = sigma.reshape(-1, *[1] * (x.ndim - 1))
    near = x / (1 + s * s)
    return near * torch.tanh(near + 0.3 * s) / (1 + s) + 0.5 * torch.sin(near) + 0.2


def function(name: str):
    return getattr(k_diffusion, f"sample_{name}")


class Image(torch.Tensor):
    """A tensor of a class of its own that operations lose, as those of torchvision do."""

    @classmethod
    def __torch_function__(cls, called, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunctionSubclass():
            found = called(*args, **(kwargs or {}))
        kept = called in (torch.Tensor.detach, torch.Tensor.to, torch.Tensor.clone)
        return found.as_subclass(cls) if kept else found


class Recorded:
    """A noise sampler with a memory."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(3)
        self.calls: list[tuple[float, float]] = []

    def __call__(self, sigma, sigma_next):
        self.calls.append((float(sigma), float(sigma_next)))
        return torch.randn(SHAPE, generator=self.generator, dtype=torch.float64)


def options(name: str):
    parameters = inspect.signature(function(name)).parameters
    return {"noise_sampler": Recorded()} if "noise_sampler" in parameters else {}


def their_sampling() -> ModuleType:
    """The module `sampling` of k-diffusion, without what its other modules need."""
    found = importlib.util.find_spec("k_diffusion")
    if found is None or not found.submodule_search_locations:
        pytest.skip("k-diffusion is not installed")
    for name in ("torchdiffeq", "torchsde", "tqdm"):
        pytest.importorskip(name)
    package, utils = ModuleType("k_diffusion_alone"), ModuleType("k_diffusion_alone.utils")
    package.__path__ = []
    package.utils = utils
    utils.append_dims = lambda x, n: x[(..., *[None] * (n - x.ndim))]
    path = f"{found.submodule_search_locations[0]}/sampling.py"
    spec = importlib.util.spec_from_file_location("k_diffusion_alone.sampling", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, package.__name__, package)
        patch.setitem(sys.modules, utils.__name__, utils)
        spec.loader.exec_module(module)
    return module
