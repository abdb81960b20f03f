"""Compiled kernels for NumPy arrays: each linear combination is one pass over memory.

The check for entries that are not finite is part of the pass. States and values of N are kept as
flat contiguous arrays, so that one compilation serves all shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from semilinear.kernels._jit import compiled
from semilinear.kernels.reference import Backend, Native, plain_array
from semilinear.kernels.slices import SLICE, in_slices

MOST, MOST_OF_WIDE = 10, 8
"""Sources of one pass, and of one that makes two sums or reads coefficients beside each source.

Compilers do not unroll loops over more, which then take ten times as long.
"""


@compiled
def in_kind_of(out: Any, c: Any) -> Any:
    """Return coefficients in the dtype of `out`: converted here, they cost the loop nothing."""
    w = np.empty(c.size, out.dtype)
    for j in range(c.size):
        w[j] = out.dtype.type(c[j])
    return w


@compiled
def scalar_one(out: Any, sources: Any, c: Any) -> bool:
    """Write ``out = sum_j c[0, j] sources[j]``; return whether an entry is not finite."""
    bad = False
    w = in_kind_of(out, c[0])
    for i in range(out.size):
        total = w[0] * sources[0][i]
        for j in range(1, len(sources)):
            total += w[j] * sources[j][i]
        out[i] = total
        bad |= not np.isfinite(total)
    return bad


@compiled
def scalar_two(out: Any, second: Any, sources: Any, c: Any) -> bool:
    """Write two linear combinations of the same sources in one pass."""
    bad = False
    w, v = in_kind_of(out, c[0]), in_kind_of(out, c[1])
    for i in range(out.size):
        total = w[0] * sources[0][i]
        other = v[0] * sources[0][i]
        for j in range(1, len(sources)):
            total += w[j] * sources[j][i]
            other += v[j] * sources[j][i]
        out[i] = total
        second[i] = other
        bad |= (not np.isfinite(total)) | (not np.isfinite(other))
    return bad


@compiled
def elementwise_one(out: Any, sources: Any, c: Any) -> bool:
    """Write ``out[b, m] = sum_j c[j][m] sources[j][b, m]``; return whether one is not finite."""
    bad = False
    for b in range(out.shape[0]):
        row = out[b]
        for m in range(row.size):
            total = c[0][m] * sources[0][b, m]
            for j in range(1, len(sources)):
                total += c[j][m] * sources[j][b, m]
            row[m] = total
            bad |= not np.isfinite(total)
    return bad


@compiled
def samples_one(out: Any, sources: Any, c: Any) -> bool:
    """Write ``out[b, i] = sum_j c[b, j] sources[j][b, i]``; return whether one is not finite."""
    bad = False
    for b in range(out.shape[0]):
        row = out[b]
        w = in_kind_of(out, c[b])
        for i in range(row.size):
            total = w[0] * sources[0][b, i]
            for j in range(1, len(sources)):
                total += w[j] * sources[j][b, i]
            row[i] = total
            bad |= not np.isfinite(total)
    return bad


@compiled
def scaled_square_sum(error: Any, y: Any, other: Any, rtol: float, atol: Any) -> float:
    """Return the sum of ``(|error| / (atol + rtol max(|y|, |other|)))^2``, atol of size 1 or n."""
    total = 0.0
    each = atol.size > 1
    for i in range(error.size):
        size = np.float64(abs(error[i]))
        scale = atol[i if each else 0] + rtol * max(abs(y[i]), abs(other[i]))
        if size != 0.0:
            total += (size / scale) ** 2
    return total


def _own_layout(array: np.ndarray) -> np.ndarray:
    """Return the array contiguous and writable: Numba would compile for every mixture."""
    return array if array.flags.carray else np.array(array, order="C")


class NumPyBackend(Backend):
    """Compiled kernels for NumPy arrays of float32, float64, complex64 and complex128."""

    def __init__(self, like: Any) -> None:
        super().__init__(like)
        self.size = prod(self.shape)
        self.is_large = self.size * self.dtype.itemsize >= 2 * SLICE

    @property
    def threads(self) -> int:
        """On how many threads a large pass runs."""
        return 1

    def take(self, array: Any) -> Native | None:
        array = plain_array(array)
        if array is None or array.dtype != self.dtype or array.shape != self.shape:
            return None
        return _own_layout(array).reshape(-1)

    def give(self, native: Native) -> Any:
        return native.reshape(self.shape)

    def combine_scalar(
        self, coefficients: np.ndarray, sources: Sequence[Native], check: bool
    ) -> tuple[tuple[Native, ...], bool]:
        if len(sources) > MOST:
            parts = [(c[None, :MOST], _after_sum(c[None, MOST:])) for c in coefficients]
            return self._in_parts(self.combine_scalar, parts, sources, MOST, check)
        outputs: list[Native] = []
        bad = False
        while len(outputs) < len(coefficients):
            left = coefficients[len(outputs) :]
            first = np.empty(self.size, self.dtype)
            outputs.append(first)
            if len(left) == 1 or len(sources) > MOST_OF_WIDE:
                bad |= self.one_pass(scalar_one, (first,), sources, left[:1])
            else:
                second = np.empty(self.size, self.dtype)
                outputs.append(second)
                bad |= self.one_pass(scalar_two, (first, second), sources, left[:2])
        return tuple(outputs), not (check and bad)

    def one_pass(
        self, kernel: Any, outputs: tuple[Native, ...], sources: Sequence[Native], *rest: Any
    ) -> Any:
        """Return ``kernel(*outputs, sources, *rest)``, on several threads if that pays."""
        if not self.is_large:
            return kernel(*outputs, sources, *rest)
        return in_slices(kernel, outputs, sources, *rest, threads=self.threads)

    def error_norm(
        self,
        error: Native,
        y: Native,
        other: Native,
        rtol: float,
        atol: float | Native,
        *,
        by_sample: bool = False,
    ) -> float:
        if not self.size:
            return 0.0
        count = self._samples(by_sample)
        own = isinstance(atol, np.ndarray)
        tolerances = np.reshape(atol, (count, -1)) if own else np.full((count, 1), atol)
        e, first, second = (np.reshape(each, (count, -1)) for each in (error, y, other))
        sums = [
            scaled_square_sum(e[i], first[i], second[i], rtol, tolerances[i]) for i in range(count)
        ]
        return float(np.sqrt(np.max(sums) * count / self.size))

    def tolerance(self, atol: Any) -> float | Native:
        if np.ndim(atol) == 0:
            return float(atol)
        return np.broadcast_to(np.asarray(atol, dtype=float), self.shape).ravel()

    def prepare(self, coefficients: Sequence[Sequence[Any]], form: str) -> Sequence[Sequence[Any]]:
        if form == "matrix":
            return super().prepare(coefficients, form)
        if form == "samples":
            rows: Sequence[Any] = [np.array(row).T.copy() for row in coefficients]
            return rows
        return [self._flattened(row) for row in coefficients]

    def _flattened(self, row: Sequence[Any]) -> tuple[np.ndarray, ...]:
        """Return flat coefficients of one length, a trailing part of the state where possible."""
        arrays = [np.asarray(c) for c in row]
        if all(c.shape == self.shape and c.dtype == self.dtype for c in arrays):
            return tuple(_own_layout(c).reshape(-1) for c in arrays)
        shape = np.broadcast_shapes(*(c.shape for c in arrays))
        while shape and shape[0] == 1:
            shape = shape[1:]
        shape = self.shape[len(self.shape) - len(shape) :]
        kind = np.result_type(*arrays, np.float64).kind
        dtype = self.dtype if kind == "c" else np.empty(0, self.dtype).real.dtype
        full = (np.broadcast_to(c.reshape(c.shape[-len(shape) or c.ndim :]), shape) for c in arrays)
        return tuple(_own_layout(np.asarray(c, dtype=dtype)).reshape(-1) for c in full)

    def combine_elementwise(
        self, prepared: Sequence[Sequence[Any]], sources: Sequence[Native], check: bool
    ) -> tuple[tuple[Native, ...], bool]:
        if len(sources) > MOST_OF_WIDE:
            cut = MOST_OF_WIDE
            parts = [([c[:cut]], [(np.ones_like(c[0]), *c[cut:])]) for c in prepared]
            return self._in_parts(self.combine_elementwise, parts, sources, cut, check)
        outputs = []
        bad = False
        for c in prepared:
            out = np.empty(self.size, self.dtype)
            split = (-1, c[0].size)
            bad |= elementwise_one(out.reshape(split), tuple(s.reshape(split) for s in sources), c)
            outputs.append(out)
        return tuple(outputs), not (check and bad)

    def combine_samples(
        self, prepared: Sequence[Any], sources: Sequence[Native], check: bool
    ) -> tuple[tuple[Native, ...], bool]:
        if len(sources) > MOST:
            parts = [([c[:, :MOST].copy()], [_after_sum(c[:, MOST:])]) for c in prepared]
            return self._in_parts(self.combine_samples, parts, sources, MOST, check)
        samples = (self.shape[0], -1)
        found = tuple(source.reshape(samples) for source in sources)
        outputs = tuple(np.empty(self.size, self.dtype) for _ in prepared)
        bad = False
        for out, c in zip(outputs, prepared, strict=True):
            bad |= samples_one(out.reshape(samples), found, c)
        return outputs, not (check and bad)

    def combine_matrix(
        self, prepared: Sequence[Sequence[Any]], sources: Sequence[Native], check: bool
    ) -> tuple[tuple[Native, ...], bool]:
        outputs, finite = super().combine_matrix(
            prepared, [source.reshape(self.shape) for source in sources], check
        )
        return tuple(x.reshape(-1) for x in outputs), finite

    def _in_parts(
        self, combine: Any, parts: Sequence[Any], sources: Sequence[Native], cut: int, check: bool
    ) -> tuple[tuple[Native, ...], bool]:
        """Combine in two passes: the sum of the sources up to `cut` is one of those of the next."""
        outputs, finite = [], True
        for first, second in parts:
            (begun,), _ = combine(first, sources[:cut], False)
            (total,), good = combine(second, (begun, *sources[cut:]), check)
            outputs.append(total)
            finite &= good
        return tuple(outputs), finite


def _after_sum(c: np.ndarray) -> np.ndarray:
    """Return the coefficients of a pass that begins with a sum, which counts once."""
    return np.concatenate((np.ones_like(c[:, :1]), c), axis=1)
