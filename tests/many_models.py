"""Many samples: models that spawned processes and Dask's workers can import, and short calls."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from semilinear import diffusion
from semilinear.diffusion.batches import Batches
from semilinear.diffusion.many import sample_many

SCHEDULE = diffusion.VPLinear()
TAB3 = diffusion.plan(SCHEDULE, method="tab3", nfe=6)
SHAPE = (2, 3)
COUNT = 50
LOUD = 12
"""A seed with which one batch, not the first, has the largest number by far."""

Model = Callable[[np.ndarray, float], np.ndarray]


def rational() -> Model:
    """Return a model of sums, products and quotients, which have the same bits everywhere."""

    def model(x: np.ndarray, t: float) -> np.ndarray:
        one = x.dtype.type(1)
        return x / (one + x * x) + x.dtype.type(t) * np.roll(x, 1, axis=-1)

    return model


def fails_beyond(limit: float) -> Model:
    """Return a model that raises for batches with a larger number in them."""

    def model(x: np.ndarray, t: float) -> np.ndarray:
        if x.max() > limit:
            raise AttributeError("no such layer")
        return x

    return model


def logged(folder: str) -> Model:
    """Return a model; each call of the factory leaves a file in a folder."""
    name = f"{os.getpid()}-{time.monotonic_ns()}"
    (Path(folder) / name).touch()
    return rational()


def slow(seconds: float) -> Model:
    """Return a model that takes its time."""
    model = rational()

    def wait(x: np.ndarray, t: float) -> np.ndarray:
        time.sleep(seconds)
        return model(x, t)

    return wait


def dies() -> Model:
    """Return a model that ends its process."""

    def model(x: np.ndarray, t: float) -> np.ndarray:
        os._exit(1)

    return model


def plan_of(method: str) -> diffusion.DiffusionPlan:
    return diffusion.plan(SCHEDULE, method=method, nfe=6)


def many(plan: diffusion.DiffusionPlan = TAB3, count: int = COUNT, **options: Any) -> np.ndarray:
    options = {"factory": rational, "seed": 3, "batch_size": 8, **options}
    return sample_many(options.pop("factory"), plan, SHAPE, count, **options)


@functools.cache
def alone(method: str) -> np.ndarray:
    """Return the samples as one batch, by the functions of everybody."""
    plan = plan_of(method)
    noise = diffusion.SeededNoise(3, np.empty((COUNT, *SHAPE), np.float32))
    x = noise.initial() * SCHEDULE.sigma(plan.t[0])
    return diffusion.follow(plan, rational(), x, seed=noise)


def batches(factory: Any = rational, **options: Any) -> Batches:
    return Batches(factory, TAB3, SHAPE, **{"seed": 3, "batch_size": 8, **options})
