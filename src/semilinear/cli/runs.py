"""What `semilinear sample` runs on, and what it says of the time that it took."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from semilinear import diffusion


@contextmanager
def pool(workers: int | None) -> Iterator[Executor | None]:
    """Yield an executor of so many processes, or None."""
    if workers is None:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    # What interrupts this process from the keyboard ends them too, without a word from each.
    default = (signal.SIGINT, signal.SIG_DFL)
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=signal.signal, initargs=default
    ) as executor:
        yield executor


class Timed:
    """A model that counts the seconds spent in it."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.seconds = 0.0

    def itself(self) -> Timed:
        """Return the model: it is its own factory."""
        return self

    def __call__(self, x: Any, t: float) -> Any:
        begun = perf_counter()
        output = self.model(x, t)
        self.seconds += perf_counter() - begun
        return output


class Clock:
    """The seconds of a run, in words."""

    def __init__(self, workers: int | None) -> None:
        self.workers = workers
        self.begun = self.ready = perf_counter()

    def begin(self, model: Timed) -> None:
        """Say that all is loaded."""
        self.ready = perf_counter()
        model.seconds = 0.0

    def said(self, plan: diffusion.DiffusionPlan, model: Timed) -> str:
        total = perf_counter() - self.ready
        words = f"images by {plan.name} with {plan.nfe} evaluations each: "
        if self.workers is not None:
            return f"{words}{total:.2f} s with {self.workers} workers"
        return (
            f"{words}{model.seconds:.2f} s in the model, {total - model.seconds:.3f} s in the "
            f"solver (and {self.ready - self.begun:.2f} s to load its kernels)"
        )
