"""`sample_many`: samples by the thousand, as one array."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from semilinear.diffusion.batches import Batches, Factory
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.given import whole_number


def sample_many(
    factory: Factory,
    plan: DiffusionPlan,
    shape: Sequence[int],
    count: int,
    *,
    seed: int,
    first: int = 0,
    batch_size: int = 64,
    like: Any = None,
    pad: bool = True,
    model_per: str = "process",
    executor: Executor | None = None,
    window: int | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Return many samples, computed in batches.

    Parameters
    ----------
    factory, plan, shape, seed, batch_size, like, pad, model_per
        As in `Batches`.
    count, first
        How many samples, and the number of the first.
    executor, window, progress
        As in `Batches.run`.

    Returns
    -------
    ndarray, shape (count, *shape)
        Samples `first` to ``first + count - 1``.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used, the plan encodes or has times by sample, the factory makes no
        model, or what a process needs cannot be sent to it.
    ModelOutputError, NonFiniteError
        As in `diffusion.sample`, with a note of the samples. So is passed on whatever else a model
        raises.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from semilinear import diffusion
    >>> plan = diffusion.plan(diffusion.VPLinear(), nfe=10)
    >>> with ThreadPoolExecutor(2) as threads:
    ...     x = diffusion.sample_many(
    ...         lambda: lambda x, t: x, plan, (3,), 1000, seed=0, executor=threads
    ...     )
    >>> x.shape
    (1000, 3)
    """
    batches = Batches(
        factory, plan, shape, seed=seed, batch_size=batch_size, like=like, pad=pad,
        model_per=model_per,
    )  # fmt: skip
    first, count = whole_number("first", first, least=0), whole_number("count", count)
    return gathered(
        batches, first, first + count, executor=executor, window=window, progress=progress
    )


def gathered(
    batches: Batches,
    first: int,
    stop: int,
    *,
    executor: Executor | None = None,
    window: int | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Return the samples from number `first` to ``stop - 1``, at least one, as one array."""
    pieces = batches.pieces(first, stop)
    samples = np.empty(0)
    for piece, part in batches.run(pieces, executor=executor, window=window, progress=progress):
        if piece.first == first:
            samples = np.empty((stop - first, *batches.shape), part.dtype)
        samples[piece.first - first : piece.stop - first] = part
    return samples
