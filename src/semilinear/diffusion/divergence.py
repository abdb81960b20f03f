"""Traces of a model's Jacobian, sample by sample, from products of the Jacobian with vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

from array_api_compat import array_namespace, device

from semilinear.answers import copied, wrong_output
from semilinear.diffusion.arrays import accumulator
from semilinear.diffusion.noise import Seed, SeededNoise
from semilinear.errors import InvalidArgument, UnknownName
from semilinear.given import whole_number
from semilinear.kernels import Backend

Product = Callable[[Any], Any]
"""From v to J^T v, or to J v: an array like v, or a tuple that holds it alone."""

DIVERGENCES = ("hutchinson", "exact")
DISTRIBUTIONS = ("rademacher", "normal")


class Trace:
    """tr J of every sample, or estimates of it.

    With probes v of independent entries of mean 0 and variance 1, v^T J v has the mean tr J
    (Hutchinson 1990). The probes are the same at every call, so that a run is an ODE (Grathwohl et
    al. 2019, FFJORD), and depend on the seed and the number of the sample alone. Unit vectors
    in their place add up to tr J itself.

    Parameters
    ----------
    x
        Samples, along the first axis.
    divergence
        ``"hutchinson"`` or ``"exact"``.
    probes
        Vectors for each sample.
    distribution
        Of their entries: ``"rademacher"`` (1 or -1, which no trace of a diagonal J misses) or
        ``"normal"``.
    seed
        As in `SeededNoise`.

    Attributes
    ----------
    width
        Estimates of each sample, 1 where they are exact.
    """

    def __init__(
        self, x: Any, *, divergence: str, probes: int, distribution: str, seed: Seed
    ) -> None:
        self.xp = array_namespace(x)
        self.like = x
        self.shape, self.dtype = tuple(x.shape), accumulator(x)
        UnknownName.check("divergence", divergence, DIVERGENCES)
        UnknownName.check("distribution", distribution, DISTRIBUTIONS)
        count = whole_number("probes", probes)
        self.exact = divergence == "exact"
        if self.exact and count != 1:
            raise InvalidArgument(f"probes={probes}: divergence='exact' takes none; leave it out")
        self.width = count
        self._drawn: list[Any] = []
        if not self.exact:
            noise = SeededNoise(seed, x)
            self._drawn = [noise(0, i) for i in range(count)]
        if distribution == "rademacher":
            one = self.xp.ones_like(x)
            self._drawn = [self.xp.where(v < 0, -one, one) for v in self._drawn]

    def __call__(self, product: Product, where: str) -> Any:
        """Return the traces, shape (n, width).

        Parameters
        ----------
        product
            With the Jacobian of one evaluation.
        where
            The evaluation, for messages.
        """
        axes = tuple(range(1, len(self.shape)))
        found = []
        for v in self._vectors():
            terms = v * self._checked(product(copied(v)), where)
            found.append(
                self.xp.sum(terms, axis=axes, dtype=self.dtype)
                if axes
                else self.xp.astype(terms, self.dtype)
            )
        if self.exact:  # without entries there is no term
            zero = self.xp.zeros(self.shape[0], dtype=self.dtype, device=device(self.like))
            return sum(found, zero)[:, None]
        return self.xp.stack(found, axis=1)

    def _vectors(self) -> Iterator[Any]:
        if not self.exact:
            yield from self._drawn
            return
        like, size = self.like, prod(self.shape[1:])
        identity = self.xp.eye(size, dtype=like.dtype, device=device(like))
        for i in range(size):
            row = self.xp.broadcast_to(identity[i, :], (self.shape[0], size))
            yield self.xp.reshape(row, self.shape)

    def _checked(self, output: Any, where: str) -> Any:
        if isinstance(output, tuple) and len(output) == 1:
            (output,) = output
        kind = str(getattr(output, "dtype", ""))
        if tuple(getattr(output, "shape", ())) != self.shape or kind != str(self.like.dtype):
            where = f"the product with the Jacobian at {where}"
            raise wrong_output(where, output, Backend(self.like), like="the probe")
        return output
