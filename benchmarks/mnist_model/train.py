"""Train the network of mnist_unet.py on MNIST, on one core and for a given time.

    python train.py MNIST.npz OUT.safetensors [--cpu-seconds 1560] [--wall-seconds 2400]

The file OUT holds the exponential moving average of the weights, and as metadata what was done.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from mnist_unet import BETA_0, BETA_1, SD, MnistUNet, alpha_sigma
from safetensors.torch import save_file
from torch import Tensor

BATCH, LEARNING_RATE, WARM_UP = 64, 2e-3, 300
TEST_IMAGES, TEST_BATCH = 2000, 250
TEST_TIMES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


class Clock:
    """The part of a budget of CPU time and wall time that has been used."""

    def __init__(self, cpu: float, wall: float) -> None:
        self.budget = cpu, wall
        self.start = time.process_time(), time.time()

    def cpu(self) -> float:
        """Return the CPU seconds used."""
        return time.process_time() - self.start[0]

    def progress(self) -> float:
        """Return a number that grows from 0 to 1, or a little more."""
        return max(self.cpu() / self.budget[0], (time.time() - self.start[1]) / self.budget[1])


def noise_levels(n: int) -> Tensor:
    """Draw `n` values of s = sigma / alpha, stratified.

    Three quarters are log-normal (Karras et al. 2022, table 1, training, with mean -0.7), the rest
    come from times uniform over [1e-3, 1].
    """
    k = int(0.75 * n)
    u = (torch.arange(k) + torch.rand(k)) / k
    normal = torch.distributions.Normal(0.0, 1.0).icdf(u.clamp(1e-4, 1 - 1e-4))
    t = 1e-3 + (1 - 1e-3) * (torch.arange(n - k) + torch.rand(n - k)) / (n - k)
    alpha, sigma = alpha_sigma(t)
    return torch.cat([torch.exp(-0.7 + 1.2 * normal), sigma / alpha]).clamp(0.002, 160.0)


def batches(images: Tensor) -> Iterator[Tensor]:
    """Yield batches of the uint8 `images` on the scale [-1, 1], shuffled anew in every epoch."""
    while True:
        for index in torch.randperm(len(images))[: len(images) // BATCH * BATCH].split(BATCH):
            yield images[index].float() / 127.5 - 1


def loss_of(core: Callable[[Tensor, Tensor], Tensor], x: Tensor) -> Tensor:
    """Mean squared error of the preconditioned network on the images `x`.

    With v = s^2 + SD^2, the denoiser is D = (SD^2 / v) y + (s SD / sqrt(v)) core(y / sqrt(v), s);
    the target of core is what makes D = x.
    """
    levels = noise_levels(len(x))
    s = levels[:, None, None, None]
    y = x + s * torch.randn_like(x)
    v = s * s + SD * SD
    target = (x - SD * SD / v * y) * v.sqrt() / (s * SD)
    return (core(y / v.sqrt(), levels) - target).square().mean()


@torch.inference_mode()
def evaluate(net: MnistUNet, images: Tensor) -> dict[float, float]:
    """Mean squared error of the predicted noise on `images`, by time."""
    generator = torch.Generator().manual_seed(0)
    errors = {}
    for t in TEST_TIMES:
        noise = torch.randn(images.shape, generator=generator)
        alpha, sigma = alpha_sigma(torch.tensor([t]))
        x = (alpha * images + sigma * noise).split(TEST_BATCH)
        eps = torch.cat([net(part, torch.full((len(part),), t)) for part in x])
        errors[t] = round((eps - noise).square().mean().item(), 5)
    return errors


def train(train_images: Tensor, test_images: Tensor, out: Path, clock: Clock) -> None:
    """Train until the `clock` has run out, and write the averaged weights to `out`."""
    net = MnistUNet()
    average = copy.deepcopy(net).requires_grad_(False)
    print(f"{sum(p.numel() for p in net.parameters())} parameters", flush=True)
    optimiser = torch.optim.Adam(net.parameters(), LEARNING_RATE, betas=(0.9, 0.99), fused=True)
    core = torch.compile(net.core)
    stream = batches(train_images)
    step, smooth = 0, 0.0
    while (progress := clock.progress()) < 1:
        loss = loss_of(core, next(stream))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        warm = min(1.0, (step + 1) / WARM_UP)
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * warm * (0.5 + 0.5 * math.cos(math.pi * progress))
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        decay = min(0.9995, 1 - 1 / (1 + step * 0.03))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - decay)
        smooth = loss.item() if step == 1 else 0.99 * smooth + 0.01 * loss.item()
        if step % 500 == 0:
            speed = step * BATCH / clock.cpu()
            print(f"step {step} loss {smooth:.4f} {clock.cpu():.0f} s {speed:.0f} images/s")
        if step % 2000 == 0:
            save_file(average.state_dict(), out)
            print(evaluate(average, test_images), flush=True)
    metadata = describe(step, len(train_images), evaluate(average, test_images))
    save_file(average.state_dict(), out, metadata=metadata)
    print(metadata)


def describe(step: int, images: int, errors: dict[float, float]) -> dict[str, str]:
    """Return the metadata of the file of weights."""
    return {
        "data": f"MNIST train split, {images} images, [-1, 1]",
        "sde": f"VP-linear beta {BETA_0}..{BETA_1:g}",
        "prediction": "eps",
        "steps": str(step),
        "batch": str(BATCH),
        "images": str(step * BATCH),
        "eval_eps_mse_test": json.dumps(errors),
        "seed": "0",
        "torch": torch.__version__,
    }


def main() -> None:
    """Train with the data, the file and the budget of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="MNIST as an .npz with x_train and x_test, uint8")
    parser.add_argument("out", type=Path, help="safetensors file to write")
    parser.add_argument("--cpu-seconds", type=float, default=1560.0)
    parser.add_argument("--wall-seconds", type=float, default=2400.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with np.load(args.data) as data:
        train_images = torch.from_numpy(data["x_train"])[:, None]
        test_images = torch.from_numpy(data["x_test"])[:TEST_IMAGES, None].float() / 127.5 - 1
    train(train_images, test_images, args.out, Clock(args.cpu_seconds, args.wall_seconds))


if __name__ == "__main__":
    main()
