"""The transforms of whole arrays: what the functions that `semilinear.kernels.fft` makes call.

These are compiled once and kept on disk; a function that is made only hands over its plan.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.errors import TypingError
from numba.extending import overload

from semilinear.errors import InvalidArgument
from semilinear.kernels._jit import compiled
from semilinear.kernels.fft_calls import STACK_BYTES, address, run, stack_array

inlined = numba.njit(forceinline=True, error_model="numpy")
"""For small functions whose many arguments would cost more than they do."""

AT_A_TIME = 512
"""As many complex numbers as half of the work space on the stack has room for."""

LINE = 64
"""Bytes of a cache line."""


@compiled
def real_to_half(n: int, plan: Any, x: Any, out: Any) -> None:
    """Run `rfft` on arrays of any number of dimensions."""
    check(x, out, plan, "real to complex")
    if x.shape[-1] != n or out.shape[-1] != n // 2 + 1 or x.shape[:-1] != out.shape[:-1]:
        raise InvalidArgument("rfft(x, out): x must be of shape (..., n), out (..., n // 2 + 1)")
    source, target = contiguous(x), contiguous(out)
    h, stack = n // 2, stack_array(plan[0])
    transform_rows(plan, address(source), h, address(target), h + 1, rows_of(x), stack, 1.0)
    hand_over(source, target, out)


@compiled
def half_to_real(n: int, plan: Any, u: Any, out: Any) -> None:
    """Run `irfft` on arrays of any number of dimensions."""
    check(u, out, plan, "complex to real")
    if out.shape[-1] != n or u.shape[-1] != n // 2 + 1 or u.shape[:-1] != out.shape[:-1]:
        raise InvalidArgument("irfft(u, out): u must be of shape (..., n // 2 + 1), out (..., n)")
    source, target = contiguous(u), contiguous(out)
    h, stack = n // 2, stack_array(plan[0])
    transform_rows(plan, address(source), h + 1, address(target), h, rows_of(out), stack, 1.0 / h)
    hand_over(source, target, out)


@compiled
def complex_to_complex(n: int, plan: Any, x: Any, out: Any, factor: float) -> None:
    """Run `fft` or `ifft` on arrays of any number of dimensions."""
    check(x, out, plan, "complex to complex")
    if x.shape[-1] != n or x.shape != out.shape:
        raise InvalidArgument("fft(x, out), ifft(u, out): both must be of shape (..., n)")
    source, target = contiguous(x), contiguous(out)
    stack = stack_array(plan[0])
    transform_rows(plan, address(source), n, address(target), n, rows_of(x), stack, factor)
    hand_over(source, target, out)


@compiled
def real_to_half_2d(shape: Any, layout: Any, row: Any, column: Any, x: Any, out: Any) -> None:
    """Run `rfft2` on arrays of two or more dimensions."""
    check(x, out, row, "real to complex")
    m, n = shape
    h, c = n // 2, n // 2 + 1
    if x.shape[-2:] != shape or out.shape[-2:] != (m, c) or x.shape[:-2] != out.shape[:-2]:
        raise InvalidArgument("rfft2(x, out): x must be of shape (..., m, n), out (..., m, n//2+1)")
    width, pitch = layout
    source, target, stack = contiguous(x), contiguous(out), stack_array(row[0])
    between, middle = aligned(stack, m * pitch)
    xi, yi, number = address(source), address(target), 2 * stack.itemsize
    for _ in range(x.size // (m * n)):
        transform_rows(row, xi, h, middle, pitch, m, stack, 1.0)
        transform_columns(column, middle, yi, m, c, width, stack, 1.0)
        xi, yi = xi + m * h * number, yi + m * c * number
    address(between)
    hand_over(source, target, out)


@compiled
def half_to_real_2d(shape: Any, layout: Any, row: Any, column: Any, u: Any, out: Any) -> None:
    """Run `irfft2` on arrays of two or more dimensions."""
    check(u, out, row, "complex to real")
    m, n = shape
    h, c = n // 2, n // 2 + 1
    if out.shape[-2:] != shape or u.shape[-2:] != (m, c) or u.shape[:-2] != out.shape[:-2]:
        raise InvalidArgument(
            "irfft2(u, out): u must be of shape (..., m, n//2+1), out (..., m, n)"
        )
    width, pitch = layout
    source, target, stack = contiguous(u), contiguous(out), stack_array(row[0])
    between, middle = aligned(stack, m * pitch)
    xi, yi, number = address(source), address(target), 2 * stack.itemsize
    for _ in range(out.size // (m * n)):
        transform_columns(column, xi, middle, m, c, width, stack, 1.0 / m)
        transform_rows(row, middle, pitch, yi, h, m, stack, 1.0 / h)
        xi, yi = xi + m * c * number, yi + m * h * number
    address(between)
    hand_over(source, target, out)


# From here on, x, y, `here` and `there` are addresses, and sizes count complex numbers or pairs of
# real ones.


@inlined
def transform_rows(
    plan: Any, x: int, dx: int, y: int, dy: int, count: int, stack: Any, factor: float
) -> None:
    """Run a plan on `count` rows, which begin dx and dy numbers apart.

    Of small rows, several go through a pass before the next pass: one alone is mostly waiting.
    """
    size, number = min(dx, dy), 2 * stack.itemsize
    many = 1
    while many < count and 2 * many * size <= AT_A_TIME:
        many *= 2
    work, here, there = workspace(stack, many * size)
    dx, dy, size = dx * number, dy * number, size * number
    for i in range(0, count, many):
        some = min(many, count - i)
        transform(plan, x + i * dx, dx, y + i * dy, dy, here, there, size, some, factor)
    address(work)


@inlined
def transform_columns(
    plan: Any, x: int, y: int, m: int, c: int, width: int, stack: Any, factor: float
) -> None:
    """Run a plan on the c columns of m numbers, `width` of them at a time.

    The last ones may be done twice; so x and y must be different arrays.
    """
    number = 2 * stack.itemsize
    work, here, there = workspace(stack, m * width)
    for j in range(0, c, width):
        k = min(j, c - width) * number
        transform(plan, x + k, 0, y + k, 0, here, there, 0, 1, factor)
    address(work)


@inlined
def transform(
    plan: Any,
    x: int,
    dx: int,
    y: int,
    dy: int,
    here: int,
    there: int,
    size: int,
    count: int,
    factor: float,
) -> None:
    """Run the passes of a plan from x to y by way of the work space; dx, dy, size are in bytes."""
    table, step = address(plan[0]), address(plan[1])
    stride, end = plan[1].strides[0], plan[1].shape[0] - 1
    for k in range(count):
        run(step, table, x + k * dx, here + k * size, factor)
    for _ in range(1, end):
        step += stride
        for k in range(count):
            run(step, table, here + k * size, there + k * size, factor)
        here, there = there, here
    for k in range(count):
        run(step + stride, table, here + k * size, y + k * dy, factor)


@inlined
def workspace(stack: Any, h: int) -> Any:
    """Return an array, and two addresses in it with room for h complex numbers each."""
    bytes_each = 2 * h * stack.itemsize
    if 2 * bytes_each <= STACK_BYTES:
        start = address(stack)
        return stack, start, start + bytes_each
    work, start = aligned(stack, 2 * h)
    return work, start, start + bytes_each


@inlined
def aligned(like: Any, h: int) -> Any:
    """Return an array, and where in it there is room for h complex numbers from a cache line on."""
    work = np.empty(2 * h + LINE // like.itemsize, like.dtype)
    start = address(work)
    return work, start + -start % LINE


def check(x: Any, out: Any, plan: Any, kind: str) -> None:
    """Refuse arrays of other dtypes than the plan's when a call is compiled."""
    raise NotImplementedError


@overload(check, strict=False, jit_options={"forceinline": True}, prefer_literal=True)
def _check(x: Any, out: Any, plan: Any, kind: Any) -> Any:
    if not isinstance(kind, types.StringLiteral):
        return None
    real = plan[0].dtype
    dtypes = {
        "real": real,
        "complex": types.complex64 if real == types.float32 else types.complex128,
    }
    wanted = kind.literal_value.split(" to ")
    for name, array, which in zip(("input", "out"), (x, out), wanted, strict=True):
        if not isinstance(array, types.Array) or array.dtype != dtypes[which] or array.ndim < 1:
            raise TypingError(
                f"{name} of this FFT must be an array of {dtypes[which]}, not {array}"
            )
    if not out.mutable:
        raise TypingError("out of this FFT must not be read-only")
    return lambda x, out, plan, kind: None


def rows_of(array: Any) -> int:
    """Return the number of rows along the last axis."""
    raise NotImplementedError


@overload(rows_of, strict=False, jit_options={"forceinline": True})
def _rows_of(array: Any) -> Any:
    if array.ndim == 1:
        return lambda array: 1
    return lambda array: array.size // max(array.shape[-1], 1)


def contiguous(array: Any) -> Any:
    """Return the array itself if it is C-contiguous by its type, else a copy that is."""
    raise NotImplementedError


@overload(contiguous, strict=False, jit_options={"forceinline": True})
def _contiguous(array: Any) -> Any:
    return (lambda array: array) if array.layout == "C" else (lambda array: array.copy())


def hand_over(source: Any, target: Any, out: Any) -> None:
    """Copy what was written into ``contiguous(out)`` to `out`, if that was a copy.

    That the source is an argument keeps it until here.
    """
    raise NotImplementedError


@overload(hand_over, strict=False, jit_options={"forceinline": True})
def _hand_over(source: Any, target: Any, out: Any) -> Any:
    def copy(source: Any, target: Any, out: Any) -> None:
        # Numba compiles `out[...] = target` for seconds.
        for place in np.ndindex(out.shape):
            out[place] = target[place]

    return (lambda source, target, out: None) if out.layout == "C" else copy
