"""A Numba type for several complex numbers at once, which the passes of the FFT are written in.

A `Pack` of W complex numbers is two vectors of W floats, the real and the imaginary parts, in
registers. Its operations are LLVM vector instructions, so that the speed of a pass does not depend
on what a loop vectoriser makes of it; LLVM splits vectors that are wider than the machine's.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import (
    intrinsic,
    lower_builtin,
    models,
    register_model,
    type_callable,
)

INDEX = ir.IntType(32)
ROUNDING = ("contract", "nsz")
"""Multiplication and addition may be fused, signs of zeros ignored; NaN and infinity are kept."""

Parts = tuple[Any, Any]
"""LLVM values of the real and of the imaginary parts."""


class Lanes(types.Type):  # type: ignore[misc]
    """A vector of `width` floats."""

    def __init__(self, width: int, dtype: types.Float) -> None:
        self.width, self.dtype = width, dtype
        super().__init__(name=f"Lanes({width}, {dtype})")


class Pack(types.Type):  # type: ignore[misc]
    """`width` complex numbers whose parts are of type `dtype`."""

    def __init__(self, width: int, dtype: types.Float) -> None:
        self.width, self.dtype = width, dtype
        super().__init__(name=f"Pack({width}, {dtype})")


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    """Lanes are an LLVM vector."""

    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(llvm_float(lanes.dtype), lanes.width))


@register_model(Pack)
class PackModel(models.StructModel):  # type: ignore[misc]
    """A pack is a pair of vectors."""

    def __init__(self, manager: Any, pack: Pack) -> None:
        lanes = Lanes(pack.width, pack.dtype)
        super().__init__(manager, pack, [("re", lanes), ("im", lanes)])


def llvm_float(dtype: types.Float) -> Any:
    """Return the LLVM type of a float."""
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def parts_of(builder: Any, pack: Any) -> Parts:
    """Return the vectors of real and of imaginary parts of a pack."""
    return builder.extract_value(pack, 0), builder.extract_value(pack, 1)


def pack_of(context: Any, builder: Any, pack: Pack, parts: Sequence[Any]) -> Any:
    """Return the pack of two vectors."""
    made = cgutils.create_struct_proxy(pack)(context, builder)
    made.re, made.im = parts
    return made._getvalue()


def shuffled(builder: Any, a: Any, b: Any, order: Sequence[int]) -> Any:
    """Return the entries number `order` of the entries of a, then of b."""
    mask = ir.Constant(ir.VectorType(INDEX, len(order)), list(order))
    return builder.shuffle_vector(a, b, mask)


def broadcast(builder: Any, scalar: Any, width: int) -> Any:
    """Return a vector of `width` times the scalar."""
    nothing = ir.Constant(ir.VectorType(scalar.type, width), ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(INDEX, 0))
    return shuffled(builder, first, nothing, [0] * width)


def product(builder: Any, a: Parts, b: Parts) -> Parts:
    """Return the parts of a product of complex numbers."""

    def times(x: Any, y: Any) -> Any:
        return builder.fmul(x, y, ROUNDING)

    return (
        builder.fsub(times(a[0], b[0]), times(a[1], b[1]), ROUNDING),
        builder.fadd(times(a[0], b[1]), times(a[1], b[0]), ROUNDING),
    )


# Arithmetic: pack + pack, pack - pack, pack * pack, pack * real number.


def _both_packs(context: Any) -> Callable[[Any, Any], Any]:
    def typer(a: Any, b: Any) -> Any:
        return a if isinstance(a, Pack) and a == b else None

    return typer


def _packs_or_real(context: Any) -> Callable[[Any, Any], Any]:
    def typer(a: Any, b: Any) -> Any:
        return a if isinstance(a, Pack) and (a == b or isinstance(b, types.Float)) else None

    return typer


type_callable(operator.add)(_both_packs)
type_callable(operator.sub)(_both_packs)
type_callable(operator.mul)(_packs_or_real)


@lower_builtin(operator.add, Pack, Pack)
def _add(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    a, b = (parts_of(builder, value) for value in args)
    sums = [builder.fadd(x, y, ROUNDING) for x, y in zip(a, b, strict=True)]
    return pack_of(context, builder, sig.return_type, sums)


@lower_builtin(operator.sub, Pack, Pack)
def _subtract(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    a, b = (parts_of(builder, value) for value in args)
    differences = [builder.fsub(x, y, ROUNDING) for x, y in zip(a, b, strict=True)]
    return pack_of(context, builder, sig.return_type, differences)


@lower_builtin(operator.mul, Pack, Pack)
def _multiply(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    a, b = (parts_of(builder, value) for value in args)
    return pack_of(context, builder, sig.return_type, product(builder, a, b))


@lower_builtin(operator.mul, Pack, types.Float)
def _scale(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    pack = sig.return_type
    factor = context.cast(builder, args[1], sig.args[1], pack.dtype)
    factors = broadcast(builder, factor, pack.width)
    scaled = [builder.fmul(x, factors, ROUNDING) for x in parts_of(builder, args[0])]
    return pack_of(context, builder, pack, scaled)


def _unary(change: Callable[[Any, Any, Any], Sequence[Any]]) -> Any:
    """Return the intrinsic that maps a pack to the parts that ``change(builder, re, im)`` says."""

    def typed(typing: Any, a: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return pack_of(context, builder, a, change(builder, *parts_of(builder, args[0])))

        return a(a), generate

    return intrinsic(typed)


def flipped_parts(builder: Any, re: Any, im: Any) -> Parts:
    """Return the parts in reverse order."""
    order = range(re.type.count - 1, -1, -1)
    return shuffled(builder, re, re, order), shuffled(builder, im, im, order)


times_minus_i = _unary(lambda builder, re, im: (im, builder.fneg(re)))
conjugate = _unary(lambda builder, re, im: (re, builder.fneg(im)))
flipped = _unary(flipped_parts)


@intrinsic
def mirrored(typing: Any, low: Any, high: Any) -> Any:
    """Return ``[high[0], low[W-1], ..., low[1]]``, the indices h - k where high begins at h."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        order = [low.width, *range(low.width - 1, 0, -1)]
        pairs = zip(*(parts_of(builder, value) for value in args), strict=True)
        return pack_of(context, builder, low, [shuffled(builder, a, b, order) for a, b in pairs])

    return low(low, high), generate
