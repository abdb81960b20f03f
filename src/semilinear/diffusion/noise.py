"""Normal numbers of samples: those of sample i depend on the seed and on i alone.

They are taken from a counter-based generator (Philox), keyed by the seed and counted by the sample,
the evaluation and the draw; so neither the batch around a sample nor the samples before it matter,
and a run can be taken up anywhere.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from copy import copy
from operator import index
from typing import Any

import numpy as np

from semilinear.answers import checked_array, checked_samples
from semilinear.diffusion.arrays import as_like
from semilinear.errors import InvalidArgument, shown
from semilinear.given import whole_number

Seed = Any
"""An integer, a NumPy or torch generator (one number is drawn from it), or one for each sample."""

LARGEST = 2**64

OTHERS = (
    "a numpy.random.Generator, a torch.Generator, or a sequence with one of these for each sample"
)
"""What a seed may be beside an integer."""


class SeededNoise:
    """The noise of a batch, for ``plan.start(x, noise=...)``, and what it begins with.

    Parameters
    ----------
    seed
        An integer from 0 to 2^64 - 1; a `numpy.random.Generator` or a `torch.Generator`, from which
        one integer is drawn; or a sequence with one of these for each sample; None for a seed that
        nobody knows.
    like
        An array like the states: its first axis counts the samples; real, of any library. float64
        states get float64 numbers, all others float32 numbers, rounded to their dtype.
    first
        Number of the first sample of the batch, for a seed that all samples share.
    count
        Number of samples, if not the length of `like`.

    Examples
    --------
    >>> import numpy as np
    >>> from semilinear.diffusion import SeededNoise
    >>> four = SeededNoise(7, np.zeros((4, 2)))
    >>> two = SeededNoise(7, np.zeros((2, 2)), first=2)
    >>> bool((four(3, 0)[2:] == two(3, 0)).all())
    True
    """

    def __init__(self, seed: Seed, like: Any, *, first: int = 0, count: int | None = None) -> None:
        checked_array(like, "like")
        self.shape = tuple(like.shape)
        self.like = like[:0, ...] * 1 if self.shape else like  # no view, which would keep all of it
        if count is not None and self.shape:
            self.shape = (whole_number("count", count), *self.shape[1:])
        refuse_complex_like(like)
        checked_samples(like, "like")
        self.double = str(like.dtype).rpartition(".")[2] == "float64"
        begin = whole_number("first", first, least=0)
        if begin + self.shape[0] > LARGEST:
            raise InvalidArgument(f"first={first!r} must be at most 2^64 - {self.shape[0]}")
        self.streams = _streams(seed, self.shape[0], begin)

    def initial(self) -> Any:
        """Return the normal numbers that a run begins with, like `like`."""
        return self._drawn(0, 0)

    def __call__(self, k: int, i: int) -> Any:
        """Return draw number i after k evaluations, like `like`."""
        return self._drawn(1 + _count("k", k), 1 + _count("i", i))

    def apart(self, number: int) -> Any:
        """Return normal numbers that no run begins with or draws, to measure one by; like `like`.

        What a run has drawn is in its states: measured with the same numbers they would look better
        than they are.
        """
        return self._drawn(0, 1 + number)

    def after(self) -> SeededNoise:
        """Return the noise of as many samples that come after these."""
        other = copy(self)
        other.streams = [(key, place + len(self.streams)) for key, place in self.streams]
        return other

    def _drawn(self, k: int, i: int) -> Any:
        kind = np.float64 if self.double else np.float32
        numbers = np.empty(self.shape, kind)
        for n, (key, place) in enumerate(self.streams):
            counter = np.array([0, i, k, place], dtype=np.uint64)
            generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
            numbers[n] = generator.standard_normal(self.shape[1:], dtype=kind)
        return as_like(numbers, self.like)


def _count(name: str, value: Any) -> int:
    try:
        found = index(value)
    except TypeError:
        found = -1
    if found < 0:
        raise InvalidArgument(
            f"{name}={shown(value)} must be a whole number of at least 0: draws are numbered by "
            "evaluations (k) and within one (i), not by times or noise levels"
        )
    return found


def refuse_complex_like(like: Any) -> None:
    """Refuse an array that noise is to be like, if it is complex."""
    name = str(like.dtype).rpartition(".")[2]
    if "complex" in name:
        raise InvalidArgument(
            f"like has dtype {name}; noise is for real states: take a method without it"
        )


def _streams(seed: Seed, count: int, first: int) -> list[tuple[int, int]]:
    """Return (key, counter) of each sample."""
    several = _entries(seed)
    if several is not None:
        if len(several) != count:
            raise InvalidArgument(
                f"seed has {len(several)} entries for {count} samples; give one for each, or one "
                "number for all"
            )
        return [(_key(own), 0) for own in several]
    key = _key(seed)
    return [(key, first + i) for i in range(count)]


def _entries(seed: Seed) -> Sequence[Any] | None:
    """Return the seeds of samples that have their own; None if there is one for all."""
    if isinstance(seed, np.ndarray) and seed.ndim:
        seed = seed.tolist()
    return seed if isinstance(seed, Sequence) and not isinstance(seed, str | bytes) else None


def check_seed(seed: Seed) -> None:
    """Refuse what is no seed, and draw nothing."""
    several = _entries(seed)
    for own in [seed] if several is None else several:
        if not (own is None or isinstance(own, np.random.Generator) or _is_of_torch(own)):
            whole_seed(own, OTHERS)


def _key(seed: Any) -> int:
    if seed is None:
        return secrets.randbits(64)
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(LARGEST, dtype=np.uint64, endpoint=False))
    if _is_of_torch(seed):
        torch = sys.modules["torch"]  # there is a generator of it
        return int(torch.randint(2**62, (), generator=seed, device=seed.device))
    return whole_seed(seed, OTHERS)


def _is_of_torch(seed: Any) -> bool:
    return type(seed).__name__ == "Generator" and type(seed).__module__.startswith("torch")


def whole_seed(seed: Any, more: str) -> int:
    """Return a seed that is an integer, or refuse it; `more` ends the sentence that says why."""
    try:
        whole = -1 if isinstance(seed, bool) else index(seed)
    except TypeError:
        whole = -1
    if not 0 <= whole < LARGEST:
        raise InvalidArgument(f"seed={shown(seed)} must be an integer from 0 to 2^64 - 1, {more}")
    return whole
