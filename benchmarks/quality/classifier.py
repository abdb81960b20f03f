"""The classifier in whose features samples are compared, and its training.

    python classifier.py --data mnist.npz

trains it and writes `classifier.npz`, the weights with what is known of them, and `statistics.npz`,
the moments of the features of real images. A network like LeNet-5: two 5 x 5 convolutions, each
with a maximum over 2 x 2, and two linear maps with a rectifier between them. The features are what
comes out of the first of these, before the rectifier, so that none is constant; they are scaled so
that their mean variance over the test images is 1, which the second map takes back.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from frechet import Moments, distance, moments
from torch import Tensor

HERE = Path(__file__).resolve().parent
WEIGHTS, STATISTICS = HERE / "classifier.npz", HERE / "statistics.npz"

SHAPES = {
    "conv1.weight": (16, 1, 5, 5),
    "conv1.bias": (16,),
    "conv2.weight": (32, 16, 5, 5),
    "conv2.bias": (32,),
    "hidden.weight": (64, 800),
    "hidden.bias": (64,),
    "digit.weight": (10, 64),
    "digit.bias": (10,),
}
EPOCHS, BATCH, LEARNING_RATE, DROPOUT, SEED = 5, 128, 2e-3, 0.5, 0
SHIFT = 2
"""Pixels by which training images are moved at most."""

REAL = 10_000
"""Test images, and training images, of which moments are stored."""

Weights = dict[str, Tensor]


def features(weights: Weights, x: Tensor) -> Tensor:
    """Return the features, shape (n, 64), of images of shape (n, 1, 28, 28) from -1 to 1."""
    h = F.conv2d(x, weights["conv1.weight"], weights["conv1.bias"], padding=2)
    h = F.max_pool2d(F.relu(h), 2)
    h = F.conv2d(h, weights["conv2.weight"], weights["conv2.bias"])
    h = F.max_pool2d(F.relu(h), 2)
    return F.linear(h.flatten(1), weights["hidden.weight"], weights["hidden.bias"])


def scores(weights: Weights, x: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Return ten numbers for each image, the largest at its digit."""
    h = F.dropout(F.relu(features(weights, x)), dropout)
    return F.linear(h, weights["digit.weight"], weights["digit.bias"])


def load(*, device: str = "cpu") -> Weights:
    """Return the stored weights, float32."""
    with np.load(WEIGHTS) as file:
        return {name: torch.from_numpy(file[name]).float().to(device) for name in SHAPES}


def images(data: Path, kind: str) -> tuple[Tensor, Tensor]:
    """Return images from -1 to 1, and digits, of "train" or "test"."""
    with np.load(data) as file:
        x, y = file[f"x_{kind}"], file[f"y_{kind}"]
    return torch.from_numpy(x)[:, None].float() / 127.5 - 1, torch.from_numpy(y).long()


def initial() -> Weights:
    """Return random weights: uniform, of variance 1 / (3 inputs)."""
    weights = {}
    for name, shape in SHAPES.items():
        inputs = np.prod(SHAPES[name.replace("bias", "weight")][1:])
        weights[name] = (torch.rand(shape) * 2 - 1) / float(inputs) ** 0.5
    return weights


def train(x: Tensor, y: Tensor) -> Weights:
    """Train by Adam with a learning rate that rises and falls once."""
    torch.manual_seed(SEED)
    weights = {name: value.requires_grad_() for name, value in initial().items()}
    optimiser = torch.optim.Adam(weights.values(), LEARNING_RATE)
    steps = EPOCHS * (len(x) // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        total = 0.0
        for index in torch.randperm(len(x))[: len(x) // BATCH * BATCH].split(BATCH):
            loss = F.cross_entropy(scores(weights, moved(x[index]), dropout=DROPOUT), y[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
            total += loss.item()
        print(f"epoch {epoch + 1} of {EPOCHS}: loss {total / (len(x) // BATCH):.4f}", flush=True)
    return {name: value.detach() for name, value in weights.items()}


def moved(x: Tensor) -> Tensor:
    """Return images moved by a few pixels, all of a batch alike."""
    down, right = torch.randint(-SHIFT, SHIFT + 1, (2,)).tolist()
    return torch.roll(x, (down, right), (2, 3))


def as_saved(x: Tensor) -> Tensor:
    """Return images as they come back from a file: cut off at -1 and 1, with 256 levels."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def scaled(weights: Weights, x: Tensor) -> Weights:
    """Return the same classifier with features of mean variance 1 over images."""
    factor = float(all_features(weights, x).var(axis=0, ddof=1).mean()) ** -0.5
    return weights | {
        "hidden.weight": weights["hidden.weight"] * factor,
        "hidden.bias": weights["hidden.bias"] * factor,
        "digit.weight": weights["digit.weight"] / factor,
    }


@torch.inference_mode()
def accuracy(weights: Weights, x: Tensor, y: Tensor) -> float:
    """Return the share of digits that are told right."""
    right = sum(
        int((scores(weights, a).argmax(1) == b).sum())
        for a, b in zip(x.split(500), y.split(500), strict=True)
    )
    return right / len(x)


@torch.inference_mode()
def all_features(weights: Weights, x: Tensor) -> np.ndarray:
    """Return the features of any number of images, float64."""
    return torch.cat([features(weights, part) for part in x.split(500)]).double().cpu().numpy()


def real_moments(kind: str) -> Moments:
    """Return the stored moments of the features of real images, of "train" or "test"."""
    with np.load(STATISTICS) as file:
        return Moments(file[f"{kind}_mean"], file[f"{kind}_covariance"])


def write(weights: Weights, data: Path) -> None:
    """Store the weights as float16, and the moments that belong to these."""
    test, digits = images(data, "test")
    halves = {name: value.half().numpy() for name, value in scaled(weights, test).items()}
    rounded = {name: torch.from_numpy(value).float() for name, value in halves.items()}
    found = accuracy(rounded, test, digits)
    about = {
        "test_accuracy": np.array(found),
        "data_sha256": np.array(hashlib.sha256(data.read_bytes()).hexdigest()),
        "made_by": np.array(f"seed {SEED}, {EPOCHS} epochs, torch {torch.__version__}"),
    }
    np.savez(WEIGHTS, **halves, **about)
    real = {
        "test": moments(all_features(rounded, test[:REAL])),
        "train": moments(all_features(rounded, images(data, "train")[0][:REAL])),
    }
    stored = {f"{kind}_mean": m.mean for kind, m in real.items()}
    stored |= {f"{kind}_covariance": m.covariance for kind, m in real.items()}
    np.savez(STATISTICS, images=np.array(REAL), **stored)
    apart = distance(real["test"], real["train"])
    print(f"test accuracy {found:.4f}; {WEIGHTS.stat().st_size} bytes")
    print(f"Frechet distance of {REAL} test from {REAL} training images: {apart:.4f}")


def main() -> None:
    """Train and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("SEMILINEAR_MNIST"),
        help="MNIST as an .npz with x_train, y_train, x_test, y_test; else the environment's "
        "SEMILINEAR_MNIST",
    )
    given = parser.parse_args()
    if given.data is None:
        raise SystemExit("give --data, MNIST as an .npz")
    write(train(*images(given.data, "train")), given.data)


if __name__ == "__main__":
    main()
