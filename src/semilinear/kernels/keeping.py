"""CPU tensors whose answers are copied in the pass that reads them first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semilinear.kernels._jit import compiled
from semilinear.kernels.numba_ import MOST, in_kind_of
from semilinear.kernels.reference import Native
from semilinear.kernels.torch_ import TorchBackend

BLOCK = np.uintp(1024)
"""Entries that are copied at once: they are in the cache still when the combination reads them."""


@compiled
def scalar_one_keeping(out: Any, kept: Any, sources: Any, c: Any, k: int) -> bool:
    """Write ``kept = sources[k]`` and ``out = sum_j c[0, j] sources[j]`` in one pass."""
    bad = False
    w = in_kind_of(out, c[0])
    answer = sources[k]
    size = np.uintp(out.size)
    # Two loops for each block, as compilers vectorise neither where one writes both arrays: that
    # takes a test for each pair of arrays whether they overlap, too many of them. Indices are
    # unsigned, as signed ones may count from the end.
    for block in range((size + BLOCK - np.uintp(1)) // BLOCK):
        first = block * BLOCK
        length = min(BLOCK, size - first)
        for i in range(length):
            kept[first + i] = answer[first + i]
        for i in range(length):
            e = first + i
            total = w[0] * sources[0][e]
            for j in range(1, len(sources)):
                total += w[j] * sources[j][e]
            out[e] = total
            bad |= not np.isfinite(total)
    return bad


class KeepingBackend(TorchBackend):
    """The kernels of one run whose model may write into the memory of its answers again.

    The copy of an answer costs one stream over memory beside those of the pass, and no pass of its
    own. An answer is announced by `receive`, which returns what to hand on in its stead: a tensor
    that is filled when the answer is first read, and before anything else can see it.
    """

    def __init__(self, like: Any) -> None:
        super().__init__(like)
        self._place: Any = None
        self._kept: Native = None
        self._answer: Native = None

    def receive(self, answer: Any, place: Any) -> Any:
        """Return `place`, to be filled from `answer`: tensors like the state, apart in memory."""
        native = super().take(answer) if answer.is_contiguous() else None
        if native is None:
            self._place = self._kept = self._answer = None
            return place.copy_(answer)
        self._place, self._kept, self._answer = place, super().take(place), native
        return place

    def take(self, array: Any) -> Native | None:
        if array is self._place and array is not None:
            return self._kept
        return super().take(array)

    def is_finite(self, native: Native) -> bool:
        if native is self._kept:
            self._fill()
        return super().is_finite(native)

    def combine_scalar(
        self, coefficients: np.ndarray, sources: Sequence[Native], check: bool
    ) -> tuple[tuple[Native, ...], bool]:
        answer = self._answer
        if answer is None:
            return super().combine_scalar(coefficients, sources, check)
        places = [k for k, source in enumerate(sources) if source is self._kept]
        if len(coefficients) > 1 or len(sources) > MOST or not places:
            self._fill()
            return super().combine_scalar(coefficients, sources, check)
        self._answer = None
        (k,) = places
        read = (*sources[:k], answer, *sources[k + 1 :])
        out = np.empty(self.size, self.dtype)
        bad = self.one_pass(scalar_one_keeping, (out, self._kept), read, coefficients, k)
        return (out,), not (check and bad)

    def _fill(self) -> None:
        if self._answer is not None:
            self._kept[:] = self._answer
            self._answer = None
