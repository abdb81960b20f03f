"""Large passes over memory in slices, on several threads.

One core does not reach the speed of memory. Kernels release the GIL and every entry is computed
from its own sources alone, so slices run side by side and give the same bits as one pass.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from functools import lru_cache
from itertools import pairwise
from typing import Any

SLICE = 2**20
"""Least bytes of an output that are worth a thread: handing over takes 20 to 50 us."""

LINE = 16
"""Entries at whose multiples slices begin, at the lines of the cache for all dtypes."""


def in_slices(
    kernel: Callable[..., Any],
    outputs: tuple[Any, ...],
    sources: Sequence[Any],
    *rest: Any,
    threads: int,
) -> Any:
    """Return ``kernel(*outputs, sources, *rest)``, computed in slices where the pass is large.

    Parameters
    ----------
    kernel
        Writes the outputs, entry by entry, from the same entries of the sources; returns whether an
        entry is not finite.
    outputs, sources
        Flat arrays of one size.
    rest
        What all slices read.
    threads
        How many may compute at the same time, the calling one among them.
    """
    size = outputs[0].size
    pieces = min(threads, outputs[0].nbytes // SLICE)
    if pieces < 2:
        return kernel(*outputs, sources, *rest)
    cuts = [size * piece // pieces // LINE * LINE for piece in range(pieces)] + [size]
    calls = [
        (*(x[a:b] for x in outputs), tuple([x[a:b] for x in sources]), *rest)
        for a, b in pairwise(cuts)
    ]
    others = _pool(os.getpid(), threads - 1)
    elsewhere: list[Future[Any]] = []
    try:
        elsewhere.extend(others.submit(kernel, *call) for call in calls[1:])
    except RuntimeError:  # the interpreter is shutting down and begins nothing any more
        wait([future for future in elsewhere if not future.cancel()])
        return kernel(*outputs, sources, *rest)
    bad = kernel(*calls[0])
    for future in elsewhere:
        bad |= future.result()
    return bad


@lru_cache(maxsize=4)
def _pool(process: int, threads: int) -> Executor:
    """Return the threads of this process; those of its parent do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="semilinear")
