"""Plans of the FFT: which passes, and the tables of twiddle factors."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TypeAlias

import numpy as np
from llvmlite import binding
from numba import types
from numpy.typing import DTypeLike

from semilinear.errors import InvalidArgument
from semilinear.kernels.fft_calls import Step, entry

Plan: TypeAlias = tuple[np.ndarray, np.ndarray]
"""The factors of all passes, and the passes, each a row as `Step` says."""

LANES = 8 if binding.get_host_cpu_features().get("avx512f") else 4
"""The widest packs. In double precision, eight parts fill a register of AVX-512."""


def checked_size(name: str, n: int, multiple: int) -> int:
    """Return n, a multiple of 1 or 2 with no prime factor above 5."""
    try:
        n = index(n)
    except TypeError:
        raise InvalidArgument(f"{name}={n!r} must be an integer") from None
    if n >= 1 and n % multiple == 0 and _is_smooth(n):
        return n
    below, above = (_next_size(max(n, multiple), multiple, step) for step in (-1, 1))
    kind = "an even number" if multiple == 2 else "a positive number"
    raise InvalidArgument(
        f"{name}={n} has no transform here: it must be {kind} with no prime factor above 5, "
        f"for example {below} or {above}"
    )


def checked_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Return the sizes of a plane, of which the last is even."""
    try:
        m, n = shape
    except (TypeError, ValueError):
        raise InvalidArgument(f"shape={shape!r} must be a pair of integers (m, n)") from None
    return checked_size("shape[0]", m, 1), checked_size("shape[1]", n, 2)


def _next_size(n: int, multiple: int, step: int) -> int:
    n = n // multiple * multiple + (multiple if step > 0 else 0)
    while not _is_smooth(n):
        n += step * multiple
    return n


def _is_smooth(n: int) -> bool:
    for prime in (2, 3, 5):
        while n % prime == 0:
            n //= prime
    return n == 1


def real_dtype(dtype: DTypeLike) -> np.dtype:
    """Return float64 or float32 as a dtype."""
    try:
        given = np.dtype(dtype)
    except TypeError:
        given = None
    if given not in (np.float64, np.float32):
        raise InvalidArgument(f"dtype={dtype!r} must be float64 or float32")
    return given


def real_dtype_of_complex(dtype: DTypeLike) -> np.dtype:
    """Return the dtype of the parts of complex128 or complex64."""
    try:
        given = np.dtype(dtype)
    except TypeError:
        given = None
    if given not in (np.complex128, np.complex64):
        raise InvalidArgument(f"dtype={dtype!r} must be complex128 or complex64")
    return np.dtype(np.float64 if given == np.complex128 else np.float32)


def real_plans(n: int, real: np.dtype) -> tuple[Plan, Plan]:
    """Plan the forward and the inverse transform of n real numbers in a row."""
    h = n // 2
    w = _width(h)
    fold = _fold(n, w)
    table, passes = _row_passes(h, w, fold.size)
    names = "first", "last before unfold"
    forward = [
        *_named(passes, w, real, *names),
        Step(entry("unfold", 1, w, _kind(real)), 0, 0, h, 1, 1),
    ]
    inverse = _named(passes, w, real, "first of half", "last of inverse")
    both = np.concatenate([fold, *table]).astype(real)
    return (both, np.array(forward)), (both, np.array(inverse))


def complex_plans(n: int, real: np.dtype) -> tuple[Plan, Plan]:
    """Plan the forward and the inverse transform of n complex numbers in a row."""
    w = _width(n)
    table, passes = _row_passes(n, w, 0)
    forward = _named(passes, w, real, "first", "last")
    inverse = _named(passes, w, real, "first of inverse", "last of inverse")
    both = np.concatenate(table).astype(real)
    return (both, np.array(forward)), (both, np.array(inverse))


def plane_plans(
    shape: tuple[int, int], real: np.dtype
) -> tuple[tuple[Plan, Plan], tuple[Plan, Plan], tuple[int, int]]:
    """Plan the transforms of the rows and of the columns of m x n real numbers, and the layout.

    The layout says how many columns are transformed at a time, and how far apart in memory the
    rows of the half transformed plane are, which is in whole cache lines.
    """
    m, n = shape
    columns = n // 2 + 1
    width, pitch = min(LANES, 1 << (columns.bit_length() - 1)), -(-columns // 8) * 8
    return real_plans(n, real), _column_plans(m, width, columns, pitch, real), (width, pitch)


def _column_plans(n: int, w: int, columns: int, pitch: int, real: np.dtype) -> tuple[Plan, Plan]:
    """Plan the transforms of n complex numbers in columns, taken w at a time.

    The numbers of a column lie `columns` apart in the input of the inverse transform and in the
    output of the forward one, at their other ends `pitch`.
    """
    found = radices(n)
    table, passes = _passes([1] * (2 - len(found)) + found, n, w, 0)
    both = np.concatenate(table).astype(real)
    r, start, _, s, _ = passes[-1]
    plans = []
    for names, ends in (
        (("first in columns", "last"), (pitch, columns)),
        (("first in columns of inverse", "last of inverse"), (columns, pitch)),
    ):
        passes[0] = (*passes[0][:4], ends[0])
        passes[-1] = (r, start, s // w, w, ends[1])
        plans.append((both, np.array(_named(passes, w, real, *names))))
    return plans[0], plans[1]


def _width(n: int) -> int:
    w = LANES
    while n % (w * w):
        w //= 2
    return w


def _kind(real: np.dtype) -> types.Float:
    return types.float32 if real == np.float32 else types.float64


_Pass: TypeAlias = tuple[int, int, int, int, int]
"""Radix, start of the factors, m, s and pitch."""


def _row_passes(n: int, w: int, start: int) -> tuple[list[np.ndarray], list[_Pass]]:
    """Return factors and passes for rows: the first of radix w, and the others."""
    m = n // w
    p = np.arange(m).reshape(m // w, 1, w)
    first = _blocks(p * np.arange(1, w)[:, None], n)
    table, passes = _passes(radices(m) or [1], m, w, start + first.size)
    return [first, *table], [(w, start, m, 1, 1), *passes]


def _passes(found: list[int], n: int, s: int, start: int) -> tuple[list[np.ndarray], list[_Pass]]:
    """Return factors and passes of these radices, whose product is n, after passes that gave s."""
    table: list[np.ndarray] = []
    passes: list[_Pass] = []
    for r in found:
        m = n // r
        passes.append((r, start, m, s, s))
        table.append(_blocks((np.arange(m)[:, None] * np.arange(1, r))[..., None], n))
        start += table[-1].size
        n, s = m, s * r
    return table, passes


def _named(passes: list[_Pass], w: int, real: np.dtype, first: str, last: str) -> list[Step]:
    names = [first, *["middle"] * (len(passes) - 2), last]
    return [
        Step(entry(name, r, w, _kind(real)), start * real.itemsize, 0, m, s, pitch)
        for name, (r, start, m, s, pitch) in zip(names, passes, strict=True)
    ]


def _fold(n: int, w: int) -> np.ndarray:
    """Return ``-i/2 exp(-2 pi i k / n)`` for k < n/2 in blocks of `w`, for n real numbers."""
    k = np.arange(n // 2).reshape(-1, 1, w)
    # In quarters of 1/n, since n may not be a multiple of 4.
    return _blocks(4 * k + n, 4 * n, 0.5)


def radices(n: int) -> list[int]:
    """Return the factors of n among 5, 3, 2, 4 and 8, with as many eights as will do."""
    odd, twos = [], 0
    for prime in (5, 3):
        while n % prime == 0:
            odd.append(prime)
            n //= prime
    twos = n.bit_length() - 1
    fours = (0, 2, 1)[twos % 3] if twos > 1 else 0
    return odd + [2] * (twos == 1) + [4] * fours + [8] * ((twos - 2 * fours) // 3)


def _blocks(k: np.ndarray, n: int, size: float = 1.0) -> np.ndarray:
    """Return ``size exp(-2 pi i k / n)``: real parts, then imaginary ones, along the last axis."""
    # Only angles of up to an eighth of a turn go through sine and cosine; the rest is exact.
    quarters, rest = np.divmod(8 * k + n, 2 * n)
    angle = (0.25 * np.pi / n) * (rest - n)
    c, s = np.cos(angle), np.sin(angle)
    cosine = np.choose(quarters % 4, [c, -s, -c, s])
    sine = np.choose(quarters % 4, [s, c, -s, -c])
    return size * np.stack([cosine, -sine], axis=-2).ravel()
