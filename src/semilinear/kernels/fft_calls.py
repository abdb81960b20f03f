"""The passes of the FFT as machine code that is called through its address.

Numba compiles a function again, with all that it calls, within every function that calls it. So
that this costs a caller nothing, passes are C functions in a table: callers contain only the
number of the entry, which is the same in every process, and not the code.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from semilinear.kernels.fft_passes import BUTTERFLIES, KINDS, Function

WIDTHS = (1, 2, 4, 8)
REALS = (types.float32, types.float64)


class Step(NamedTuple):
    """A pass of a plan: its number in `TABLE`, and what it is given.

    `start` and `fold` say how many bytes after the beginning of a table its factors and those of
    the fold begin.
    """

    number: int
    start: int
    fold: int
    m: int
    s: int
    pitch: int


STACK_BYTES = 16384
"""As much work space is on the stack: that of 1024 numbers in double precision."""

TABLE = np.zeros(len(KINDS) * len(BUTTERFLIES) * len(WIDTHS) * len(REALS), np.intp)
"""Addresses of the passes that are compiled."""
COMPILED: dict[int, Any] = {}
"""The owners of the machine code."""
SYMBOL = "semilinear_fft_passes"
binding.add_symbol(SYMBOL, TABLE.ctypes.data)


def entry(name: str, radix: int, width: int, real: types.Float) -> int:
    """Return the number in `TABLE` of a pass of kind `name`, and compile it if it is not there."""
    place = (list(KINDS).index(name), list(BUTTERFLIES).index(radix), WIDTHS.index(width))
    number = int(
        np.ravel_multi_index(
            (*place, REALS.index(real)), (len(KINDS), len(BUTTERFLIES), len(WIDTHS), len(REALS))
        )
    )
    if TABLE[number] == 0:
        kind = KINDS[name]
        floats = types.CPointer(real)
        numbers = types.CPointer(types.complex64 if real == types.float32 else types.complex128)
        x, y = (numbers if flag else floats for flag in (kind.complex_in, kind.complex_out))
        sizes = (types.intp,) * 3
        signature = types.void(x, y, floats, floats, *sizes, types.float64)
        function = kind.make((0,) * radix, (0,) * width, kind.inverse)
        COMPILED[number] = _c_function(signature, function)
        TABLE[number] = COMPILED[number].address
    return number


def _c_function(signature: Any, function: Function) -> Any:
    try:
        return numba.cfunc(signature, cache=True)(function)
    except RuntimeError:
        # Numba finds no directory to keep the machine code in.
        return numba.cfunc(signature)(function)


@intrinsic
def run(typing: Any, step: Any, table: Any, x: Any, y: Any, factor: Any) -> Any:
    """Run a pass from x to y, given the addresses of its `Step`, of the table, of x and of y.

    Nothing is checked.
    """
    word, byte = ir.IntType(64), ir.IntType(8).as_pointer()

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fields = builder.inttoptr(args[0], word.as_pointer())
        number, start, fold, *sizes = (
            builder.load(builder.gep(fields, [word(column)])) for column in range(len(Step._fields))
        )
        places = [args[2], args[3], builder.add(args[1], start), builder.add(args[1], fold)]
        places = [builder.inttoptr(place, byte) for place in places]
        module, known = builder.module, builder.module.globals.get(SYMBOL)
        entries = known or ir.GlobalVariable(module, ir.ArrayType(word, TABLE.size), SYMBOL)
        address = builder.load(builder.gep(entries, [word(0), number]))
        kind = ir.FunctionType(ir.VoidType(), [byte] * 4 + [word] * 3 + [ir.DoubleType()])
        builder.call(builder.inttoptr(address, kind.as_pointer()), [*places, *sizes, args[4]])
        return context.get_dummy_value()

    return types.none(*[types.intp] * 4, types.float64), generate


@intrinsic
def address(typing: Any, array: Any) -> Any:
    """Return where the data of an array are; to call it last on an array keeps that until then.

    The transforms work with addresses, since to count references takes as long as a small pass.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = make_array(array)(context, builder, args[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), generate


@intrinsic
def stack_array(typing: Any, like: Any) -> Any:
    """Return an array of the dtype of `like` that lives until the function returns.

    Memory from the heap takes as long to get as a transform of 64 numbers.
    """
    made = types.Array(like.dtype, 1, "C")

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_data_type(like.dtype)
        bytes_each = like.dtype.bitwidth // 8
        count = STACK_BYTES // bytes_each
        size, itemsize = (context.get_constant(types.intp, k) for k in (count, bytes_each))
        with builder.goto_entry_block():
            data = builder.alloca(ir.ArrayType(element, count))
        data.align = 64
        array = make_array(made)(context, builder)
        populate_array(
            array, builder.bitcast(data, element.as_pointer()), [size], [itemsize], itemsize, None
        )
        return array._getvalue()

    return made(like), generate
