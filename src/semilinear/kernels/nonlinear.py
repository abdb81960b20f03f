"""N as a first-class function N(t, u, out) of flat states, and the loops that call it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache, partial
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.errors import NumbaError

from semilinear.errors import InvalidArgument
from semilinear.kernels._jit import compiled_for
from semilinear.kernels.callback import called_back
from semilinear.kernels.nonlinear_args import (
    Constant,
    Data,
    Form,
    Forms,
    Part,
    arguments_at,
    taken_apart,
)

Function = Callable[[], AbstractContextManager[Any]]
"""Lends N(t, u, out) for as long as a loop runs."""


def function_signature(dtype: np.dtype) -> Any:
    """Return the signature of N(t, u, out) for flat states."""
    vector = types.Array(numba.from_dtype(np.dtype(dtype)), 1, "C")
    return types.void(types.float64, vector, vector)


def as_function(
    nonlinear: Any, shape: tuple[int, ...], dtype: np.dtype, args: tuple[Any, ...]
) -> Function:
    """Return N(t, u, out) for flat states from one for states of a shape, compiled."""
    if not args and len(shape) == 1:
        return partial(nullcontext, _compiled(nonlinear, shape, dtype))
    parts, data = taken_apart(args)
    constants = tuple(part.value for part in parts if isinstance(part, Constant))
    try:
        forms = _forms(nonlinear, shape, np.dtype(dtype), parts, _exactly(constants))
    except TypeError:  # no hash
        forms = _forms.__wrapped__(nonlinear, shape, np.dtype(dtype), parts, None)
    return partial(forms.lent, [array.ctypes.data for array in data], data)


def _compiled(function: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """Return a function, compiled for flat states that have this shape for the user."""
    arguments = function_signature(dtype).args
    if arguments not in function.overloads:
        try:
            function.compile(arguments)
        except (RuntimeError, TypeError, NumbaError) as error:
            raise InvalidArgument(
                f"nonlinear does not compile as N(t, u, out) for arrays of shape {shape} and dtype "
                f"{dtype}: {_reason(str(error))}"
            ) from error
    if function.overloads[arguments].signature.return_type != types.none:
        raise InvalidArgument("nonlinear must write N to out, its third argument, and return None")
    return function


def _reason(message: str) -> str:
    """Return what a message of Numba says of the user's function: what is wrong, and where."""
    lines = [line.strip() for line in message.splitlines()]
    told = [line for line in lines if line and not line.startswith(("Failed in", "During:"))]
    reason = told[0] if told else message.strip()
    if reason.endswith("signature:") and len(told) > 1:
        reason = f"{reason} {told[1].removeprefix('>>> ')}"
    if reason.startswith("NameError"):
        return reason
    for i, line in enumerate(lines):
        if line.startswith('File "') and f'{__name__.rpartition(".")[2]}.py"' not in line:
            marked = lines.index("^", i) if "^" in lines[i:] else i
            return f"{reason}\n  {line} {lines[marked - 1]}"
    return f"{reason}; give numba.njit no signature, and further arguments by args="


def python_function(dtype: np.dtype) -> Function:
    """Return N(t, u, out) for flat states that calls Python back; see `callback`."""
    called_back.compile(function_signature(dtype).args)
    return partial(nullcontext, called_back)


def _exactly(value: Any) -> Any:
    """Return what differs wherever compiled code may: 1, 1.0 and True, 0.0 and -0.0 are equal."""
    if isinstance(value, tuple):
        return type(value), *map(_exactly, value)
    if isinstance(value, float | complex | np.generic):
        array = np.asarray(value)
        return type(value), array.dtype, array.tobytes()
    return type(value), value


@lru_cache(maxsize=64)
def _forms(
    nonlinear: Any,
    shape: tuple[int, ...],
    dtype: np.dtype,
    parts: tuple[Part, ...],
    exactly: Any,
) -> Forms:
    """Return functions of vectors that give `nonlinear` its shape and its further arguments.

    Those share them whose constants are `exactly` the same.
    """

    def make() -> Form:
        addresses = np.zeros(sum(isinstance(part, Data) for part in parts), np.int64)
        further = arguments_at(addresses.ctypes.data, parts)

        @numba.njit(nogil=True)
        def flat(t: float, u: Any, out: Any) -> None:
            nonlinear(t, u.reshape(shape), out.reshape(shape), *further())

        return Form(_compiled(flat, shape, dtype), addresses)

    return Forms(make)


_LOOPS: dict[Any, Any] = {}
"""The compiled loops by the kinds of their arguments: a cache, and nothing else."""


def call(loop: Any, function: Any, dtype: np.dtype, *arguments: Any) -> int:
    """Run a loop with a nonlinear term, compiling the loop once for each kind of arguments.

    Parameters
    ----------
    loop
        `march.fixed_loop`, `march.adaptive_loop` or `march_adams.adams_loop`.
    function
        N(t, u, out), lent by what `as_function` or `python_function` returns.
    dtype
        Of the states.
    arguments
        The others, in order; contiguous arrays.
    """
    key = loop, np.dtype(dtype).char, *map(_kind, arguments)
    if key not in _LOOPS:
        kinds = tuple(numba.typeof(a) for a in arguments)
        signature = types.int64(types.FunctionType(function_signature(dtype)), *kinds)
        _LOOPS[key] = compiled_for(signature, loop)
    return int(_LOOPS[key](function, *arguments))


def _kind(argument: Any) -> Any:
    """Return what the type of an argument depends on, faster than Numba finds the type."""
    if isinstance(argument, np.ndarray):
        return argument.dtype.char, argument.ndim, argument.flags.writeable
    return tuple(map(_kind, argument)) if isinstance(argument, tuple) else type(argument)
