"""N as a first-class function N(t, u, out) of flat states, and the loops that call it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.errors import NumbaError

from semilinear.errors import InvalidArgument
from semilinear.kernels._jit import compiled_for
from semilinear.kernels.callback import called_back


def function_signature(dtype: np.dtype) -> Any:
    """Return the signature of N(t, u, out) for flat states."""
    vector = types.Array(numba.from_dtype(np.dtype(dtype)), 1, "C")
    return types.void(types.float64, vector, vector)


def as_function(
    nonlinear: Any, shape: tuple[int, ...], dtype: np.dtype, args: tuple[Any, ...]
) -> Any:
    """Return N(t, u, out) for flat states from one for states of a shape, compiled."""
    if args or len(shape) != 1:
        try:
            nonlinear = _flat(nonlinear, shape, args, _exactly(args))
        except TypeError:  # no hash
            nonlinear = _flat.__wrapped__(nonlinear, shape, args, None)
    arguments = function_signature(dtype).args
    if arguments not in nonlinear.overloads:
        try:
            nonlinear.compile(arguments)
        except (RuntimeError, TypeError, NumbaError) as error:
            raise InvalidArgument(
                f"nonlinear does not compile as N(t, u, out) for arrays of shape {shape} and dtype "
                f"{dtype}: {_reason(str(error))}"
            ) from error
    if nonlinear.overloads[arguments].signature.return_type != types.none:
        raise InvalidArgument("nonlinear must write N to out, its third argument, and return None")
    return nonlinear


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


def python_function(dtype: np.dtype) -> Any:
    """Return N(t, u, out) for flat states that calls Python back; see `callback`."""
    called_back.compile(function_signature(dtype).args)
    return called_back


def _exactly(value: Any) -> Any:
    """Return what differs wherever compiled code may: 1, 1.0 and True, 0.0 and -0.0 are equal."""
    if isinstance(value, tuple):
        return type(value), *map(_exactly, value)
    if isinstance(value, float | complex | np.generic):
        array = np.asarray(value)
        return type(value), array.dtype, array.tobytes()
    return type(value), value


@lru_cache(maxsize=64)
def _flat(nonlinear: Any, shape: tuple[int, ...], args: tuple[Any, ...], exactly: Any) -> Any:
    """Return a function of vectors that gives `nonlinear` its shape and its further arguments.

    They are constants of its compilation, which those share that are `exactly` the same.
    """

    @numba.njit(nogil=True)
    def flat(t: float, u: Any, out: Any) -> None:
        nonlinear(t, u.reshape(shape), out.reshape(shape), *args)

    return flat


_LOOPS: dict[Any, Any] = {}
"""The compiled loops by the kinds of their arguments: a cache, and nothing else."""


def call(loop: Any, function: Any, dtype: np.dtype, *arguments: Any) -> int:
    """Run a loop with a nonlinear term, compiling the loop once for each kind of arguments.

    Parameters
    ----------
    loop
        `march.fixed_loop`, `march.adaptive_loop` or `march_adams.adams_loop`.
    function
        N(t, u, out), from `as_function` or `python_function`.
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
