"""Tuples of packs in compiled functions: from and to memory, and what passes do to them at once.

A number as a type, for a radix or a width, is a tuple of so many integers.

In memory, numbers lie in one of two layouts, told apart by the type of the pointer: where it is one
to complex numbers, as ever, and where it is one to real numbers, in blocks of W real parts and then
W imaginary parts. In either, the pack of the numbers i, ..., i + W - 1, for i a multiple of W,
begins 2 i floats from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from semilinear.kernels.fft_numba import (
    INDEX,
    ROUNDING,
    Pack,
    Parts,
    broadcast,
    flipped_parts,
    llvm_float,
    pack_of,
    parts_of,
    product,
    shuffled,
)


def _float_of(pointer: Any) -> types.Float:
    dtype = pointer.dtype
    return dtype.underlying_float if isinstance(dtype, types.Complex) else dtype


def _pointer(builder: Any, kind: Any, value: Any, offset: Any) -> Any:
    floats = builder.bitcast(value, llvm_float(_float_of(kind)).as_pointer())
    return builder.gep(floats, [offset], inbounds=True)


def _load(builder: Any, pointer: Any, dtype: types.Float, width: int) -> Any:
    vector = ir.VectorType(llvm_float(dtype), width)
    return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=dtype.bitwidth // 8)


def _store(builder: Any, pointer: Any, value: Any, dtype: types.Float) -> None:
    pointer = builder.bitcast(pointer, value.type.as_pointer())
    builder.store(value, pointer, align=dtype.bitwidth // 8)


def _ahead(builder: Any, pointer: Any, count: int) -> Any:
    return builder.gep(pointer, [ir.Constant(INDEX, count)], inbounds=True)


def _load_parts(builder: Any, pointer: Any, memory: Any, width: int) -> Parts:
    dtype = _float_of(memory)
    if isinstance(memory.dtype, types.Complex):
        both = _load(builder, pointer, dtype, 2 * width)
        every = range(0, 2 * width, 2), range(1, 2 * width, 2)
        return shuffled(builder, both, both, every[0]), shuffled(builder, both, both, every[1])
    first = _load(builder, pointer, dtype, width)
    return first, _load(builder, _ahead(builder, pointer, width), dtype, width)


def _store_parts(builder: Any, pointer: Any, memory: Any, parts: Parts) -> None:
    dtype, width = _float_of(memory), parts[0].type.count
    if isinstance(memory.dtype, types.Complex):
        order = [j // 2 + width * (j % 2) for j in range(2 * width)]
        _store(builder, pointer, shuffled(builder, *parts, order), dtype)
        return
    _store(builder, pointer, parts[0], dtype)
    _store(builder, _ahead(builder, pointer, width), parts[1], dtype)


def _values(builder: Any, values: Any, count: int) -> list[Parts]:
    return [parts_of(builder, builder.extract_value(values, k)) for k in range(count)]


def _tuple(context: Any, builder: Any, kind: Any, values: Sequence[Sequence[Any]]) -> Any:
    packs = [pack_of(context, builder, kind.dtype, parts) for parts in values]
    return context.make_tuple(builder, kind, packs)


@intrinsic
def gather(typing: Any, count: Any, width: Any, memory: Any, start: Any, stride: Any) -> Any:
    """Return the tuple of `count` packs that begin at start, start + stride, ...."""
    made = types.UniTuple(Pack(width.count, _float_of(memory)), count.count)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, index, step = args[2:]
        found = []
        for _ in range(count.count):
            pointer = _pointer(builder, memory, value, builder.add(index, index))
            found.append(_load_parts(builder, pointer, memory, width.count))
            index = builder.add(index, step)
        return _tuple(context, builder, made, found)

    return made(count, width, memory, types.intp, types.intp), generate


@intrinsic
def scatter(typing: Any, memory: Any, start: Any, stride: Any, values: Any) -> Any:
    """Write the packs of a tuple to start, start + stride, ...."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, index, step, packs = args
        for parts in _values(builder, packs, values.count):
            pointer = _pointer(builder, memory, value, builder.add(index, index))
            _store_parts(builder, pointer, memory, parts)
            index = builder.add(index, step)
        return context.get_dummy_value()

    return types.none(memory, types.intp, types.intp, values), generate


@intrinsic
def twiddled(typing: Any, values: Any, table: Any, start: Any, width: Any) -> Any:
    """Multiply pack number k = 1, 2, ... of a tuple by entry k - 1 of the table from `start` on.

    Entries are packs of `width` numbers, real parts first; a pack of one serves all lanes.
    """
    pack, entry = values.dtype, width.count

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _pointer(builder, table, args[1], args[2])
        first, *others = _values(builder, args[0], values.count)
        made = [first]
        for k, parts in enumerate(others):
            factors = []
            for which in (2 * k, 2 * k + 1):
                here = _ahead(builder, pointer, entry * which)
                factor = _load(builder, here, pack.dtype, entry)
                if entry < pack.width:
                    factor = shuffled(builder, factor, factor, [0] * pack.width)
                factors.append(factor)
            made.append(product(builder, parts, (factors[0], factors[1])))
        return _tuple(context, builder, values, made)

    return values(values, table, types.intp, width), generate


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose a square of vectors: swap the off-diagonal blocks of size 1, 2, 4, ..."""
    n, step = len(rows), 1
    while step < n:
        for r in (r for r in range(n) if not r & step):
            low, high = rows[r], rows[r + step]
            upper = [j if not j & step else n + j - step for j in range(n)]
            lower = [j + step if not j & step else n + j for j in range(n)]
            rows[r] = shuffled(builder, low, high, upper)
            rows[r + step] = shuffled(builder, low, high, lower)
        step *= 2
    return rows


@intrinsic
def transposed(typing: Any, values: Any) -> Any:
    """Transpose a tuple of W packs of width W."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        re, im = zip(*_values(builder, args[0], values.count), strict=True)
        columns = zip(_transposed(builder, [*re]), _transposed(builder, [*im]), strict=True)
        return _tuple(context, builder, values, [*columns])

    return values(values), generate


@intrinsic
def exchanged(typing: Any, values: Any) -> Any:
    """Exchange real and imaginary parts: an inverse transform is a forward one between two."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pairs = _values(builder, args[0], values.count)
        return _tuple(context, builder, values, [(im, re) for re, im in pairs])

    return values(values), generate


@intrinsic
def scaled(typing: Any, values: Any, factor: Any) -> Any:
    """Multiply the packs of a tuple by a real number."""
    pack = values.dtype

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = context.cast(builder, args[1], factor, pack.dtype)
        factors = broadcast(builder, number, pack.width)
        made = [
            (builder.fmul(re, factors, ROUNDING), builder.fmul(im, factors, ROUNDING))
            for re, im in _values(builder, args[0], values.count)
        ]
        return _tuple(context, builder, values, made)

    return values(values, factor), generate


@intrinsic
def folded(typing: Any, values: Any, mirror: Any, factors: Any) -> Any:
    """Return ``(a + b) / 2 + conj(w) (a - b)``, ``b = conj(flipped(m))``, for a, m, w of tuples."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = ir.Constant(llvm_float(values.dtype.dtype), 0.5)
        halves = broadcast(builder, half, values.dtype.width)
        made = []
        for a, m, w in zip(*(_values(builder, v, values.count) for v in args), strict=True):
            re, im = flipped_parts(builder, *m)
            total = builder.fadd(a[0], re, ROUNDING), builder.fsub(a[1], im, ROUNDING)
            rest = builder.fsub(a[0], re, ROUNDING), builder.fadd(a[1], im, ROUNDING)
            turned = product(builder, rest, (w[0], builder.fneg(w[1])))
            means = [builder.fmul(x, halves, ROUNDING) for x in total]
            made.append([builder.fadd(x, y, ROUNDING) for x, y in zip(means, turned, strict=True)])
        return _tuple(context, builder, values, made)

    return values(values, mirror, factors), generate


@intrinsic
def without(typing: Any, values: Any, re: Any, im: Any) -> Any:
    """Subtract ``re + i im`` from the first number of the first pack of a tuple."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        first, *others = _values(builder, args[0], values.count)
        lane, changed = ir.Constant(INDEX, 0), []
        for part, number in zip(first, args[1:], strict=True):
            rest = builder.fsub(builder.extract_element(part, lane), number)
            changed.append(builder.insert_element(part, rest, lane))
        return _tuple(context, builder, values, [changed, *others])

    part = values.dtype.dtype
    return values(values, part, part), generate
