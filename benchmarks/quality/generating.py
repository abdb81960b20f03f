"""Images from a row: our plans, diffusers' schedulers, the same network and the same noise."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import SCHEDULE, Chosen, Own, Row, Theirs

from semilinear import diffusion
from semilinear.adapters.onnx import mnist_eps
from semilinear.adapters.torch import eps_model

sys.path.append(str(Path(__file__).resolve().parents[1] / "mnist_model"))
import mnist_unet

IMAGE = (1, 28, 28)
TRAINED = 1000
"""Timesteps of diffusers' schedulers; timestep i is the time (i + 1) / 1000."""

REMEMBERED = 4 << 30
"""Bytes of answers that are kept on a CPU: of a hundred evaluations of 10,000 images."""

AT_ONCE = 64
"""Images that onnxruntime is given: its arrays stay in the cache."""


class Generator:
    """The network, and the noise of a seed that all rows begin with.

    Parameters
    ----------
    weights
        The safetensors file of the network in benchmarks/mnist_model.
    device
        Of torch.
    samples, batch
        How many images, and how many at once.
    dtype
        In which convolutions and products are computed.
    onnx
        Whether onnxruntime evaluates the network, from the file in the package.
    """

    def __init__(
        self,
        weights: Path,
        *,
        device: str,
        samples: int,
        batch: int,
        dtype: torch.dtype,
        onnx: bool = False,
    ) -> None:
        self.device, self.samples, self.batch = device, samples, batch
        network = mnist_unet.load(weights).to(device, memory_format=torch.channels_last)
        self.plain = eps_model(network)
        self.model = (
            of_package() if onnx else eps_model(torch.compile(lowered(network, device, dtype)))
        )
        if device == "cpu":  # elsewhere an answer costs less than to look at the states
            self.model = Remembering(self.model)
        self.choices: dict[int, diffusion.Fit] = {}
        self.starts: dict[int, torch.Tensor] = {}

    def noise(self, seed: int) -> torch.Tensor:
        """Return the states at t = 1 of all samples of a seed."""
        if seed not in self.starts:
            like = torch.empty((self.samples, *IMAGE))
            start = diffusion.SeededNoise(seed, like).initial()
            self.starts[seed] = (start * SCHEDULE.sigma(SCHEDULE.t_start)).to(self.device)
        return self.starts[seed]

    def choose(self, nfe: int) -> diffusion.Fit:
        """Return what `diffusion.choose` chooses, on noise of seed 0, which no run begins with."""
        if nfe not in self.choices:
            like = torch.empty((1, *IMAGE), device=self.device)
            self.choices[nfe] = diffusion.choose(self.plain, like, SCHEDULE, nfe=nfe, seed=0)
        return self.choices[nfe]

    @torch.no_grad()
    def images(self, row: Row, nfe: int, seed: int) -> torch.Tensor:
        """Return the images, shape (samples, 1, 28, 28)."""
        parts = self.noise(seed).split(self.batch)
        if isinstance(row, Theirs):
            return torch.cat([self._theirs(row, nfe, x, (seed, i)) for i, x in enumerate(parts)])
        plan = self.plan(row, nfe)
        return torch.cat([self._own(plan, x, (seed, i)) for i, x in enumerate(parts)])

    def plan(self, row: Own | Chosen, nfe: int) -> diffusion.DiffusionPlan:
        """Return the plan of one of our rows."""
        return self.choose(nfe).plan() if isinstance(row, Chosen) else row.plan(nfe)

    def evaluations(self, row: Row, nfe: int) -> int:
        """Return how many of a budget are used."""
        return row.plan(nfe).nfe if isinstance(row, Own) else nfe

    def _own(self, plan: diffusion.DiffusionPlan, x: torch.Tensor, key: tuple[int, int]) -> Any:
        # On the device: SeededNoise draws sample by sample on the host, which would take most of
        # the time here.
        generator = self._random(key)

        def draw(k: int, i: int) -> torch.Tensor:
            return torch.randn(x.shape, generator=generator, device=self.device)

        return diffusion.follow(plan, self.model, x, seed=draw if plan.stochastic else None)

    def _theirs(self, row: Theirs, nfe: int, x: torch.Tensor, key: tuple[int, int]) -> Any:
        scheduler = scheduler_of(row)
        scheduler.set_timesteps(nfe)
        step: dict[str, Any] = {"return_dict": False}
        if row.scheduler == "SASolverScheduler":
            step["generator"] = self._random(key)
        for timestep in scheduler.timesteps:
            eps = self.model(x, (int(timestep) + 1) / TRAINED)
            x = scheduler.step(eps, timestep, x, **step)[0]
        return x

    def _random(self, key: tuple[int, int]) -> torch.Generator:
        seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
        return torch.Generator(self.device).manual_seed(seed)


class Remembering:
    """A model that is asked once for the same states at the same time.

    All samplers ask at the noise that they begin with, and those of one family go together until
    their orders part: of all names, half of the evaluations with six, a quarter with twelve.
    """

    def __init__(self, model: Callable[[torch.Tensor, Any], torch.Tensor]) -> None:
        self.model = model
        self.answers: OrderedDict[tuple[bytes, float], torch.Tensor] = OrderedDict()
        self.size = 0

    def __call__(self, x: torch.Tensor, t: Any) -> torch.Tensor:
        """Return a copy of the answer, which its owner may write to."""
        key = hashlib.blake2b(x.contiguous().numpy().data).digest(), float(t)
        if key in self.answers:
            self.answers.move_to_end(key)
            return self.answers[key].clone()
        answer = self.model(x, t)
        self.answers[key] = answer.clone()
        self.size += answer.nbytes
        while self.size > REMEMBERED:
            self.size -= self.answers.popitem(last=False)[1].nbytes
        return answer


def of_package() -> Callable[[torch.Tensor, Any], torch.Tensor]:
    """Return the network in the package, which has the same weights, for tensors on the CPU."""
    network = mnist_eps(threads=torch.get_num_threads())

    def answer(x: torch.Tensor, t: Any) -> torch.Tensor:
        parts = x.tensor_split(-(-len(x) // AT_ONCE))
        return torch.cat([torch.from_numpy(network(part.numpy(), float(t))) for part in parts])

    return answer


def lowered(
    network: torch.nn.Module, device: str, dtype: torch.dtype
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return the network with its convolutions and products in `dtype`."""

    def answer(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            eps: torch.Tensor = network(x, t)
        return eps.float()

    return answer


def betas() -> list[float]:
    """Return the betas of a discrete schedule with the noise levels of `SCHEDULE`, exactly.

    ``beta_i = 1 - alpha(t_i)^2 / alpha(t_(i-1))^2`` at t_i = (i + 1) / 1000, so that the network is
    asked at the noise that a scheduler believes in. The betas of DDPM, linear from 1e-4 to 0.02,
    would give other rho at these times: 4.6 % less at i = 0, 3.4 % more at i = 999.
    """
    squares = [SCHEDULE.alpha(i / TRAINED) ** 2 for i in range(TRAINED + 1)]
    return [1 - after / before for before, after in pairwise(squares)]


def scheduler_of(row: Theirs) -> Any:
    """Return a scheduler of diffusers on `betas`, otherwise with its defaults."""
    import diffusers  # seconds, and only needed here

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = getattr(diffusers, row.scheduler)
        return kind(trained_betas=betas(), **dict(row.settings))
