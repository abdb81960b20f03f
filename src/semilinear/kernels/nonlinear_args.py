"""Further arguments of a compiled N: numbers and arrays are data, all others constants of its code.

A first-class function N(t, u, out) has no room for them. Its code reads their addresses from an
array of its own, which a run fills in before it calls: so one compilation serves all values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

KINDS = "?bBhHiIlLqQfdFD"
"""Of numbers, and of entries of arrays, that are data."""


class Data(NamedTuple):
    """What code knows of an argument that is data: its dtype, and the shape of an array."""

    dtype: np.dtype
    shape: tuple[int, ...] | None


class Constant(NamedTuple):
    """An argument that is compiled in."""

    value: Any


Part = Data | Constant


def taken_apart(args: tuple[Any, ...]) -> tuple[tuple[Part, ...], list[np.ndarray]]:
    """Return what code knows of each argument, and the data."""
    parts: list[Part] = []
    data = []
    for value in args:
        array = _as_data(value)
        if array is None:
            parts.append(Constant(value))
        else:
            data.append(array)
            parts.append(Data(array.dtype, array.shape if isinstance(value, np.ndarray) else None))
    return tuple(parts), data


def _as_data(value: Any) -> np.ndarray | None:
    """Return an array, or a number as an array; None for what is neither.

    An array that cannot be handed over as it is, contiguous and writable, is copied.
    """
    if type(value) is np.ndarray:
        known = value.dtype.isnative and value.dtype.char in KINDS
        return np.require(value, requirements=["C", "A", "W"]) if known else None
    if isinstance(value, bool) or not isinstance(value, int | float | complex | np.number):
        return None
    array = np.array([value])
    return array if array.dtype.char in KINDS else None


@intrinsic
def _pointer(typing: Any, address: Any) -> Any:
    """Return an address as a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


@numba.njit
def _found(place: int) -> Any:
    """Return the address that is kept at a place."""
    return _pointer(carray(_pointer(place), 1, np.int64)[0])


@numba.njit
def _nothing() -> Any:
    return ()


def arguments_at(place: int, parts: Sequence[Part]) -> Any:
    """Return a compiled function that gives the arguments, data at the addresses kept at `place`.

    Tuples of unlike entries grow in compiled code one by one only.
    """
    if not parts:
        return _nothing
    first = parts[0]
    rest = arguments_at(place + 8 * isinstance(first, Data), parts[1:])
    if isinstance(first, Constant):
        value = first.value

        @numba.njit
        def constant() -> Any:
            return (value, *rest())

        return constant
    dtype, shape = first
    if shape is None:

        @numba.njit
        def number() -> Any:
            return (carray(_found(place), 1, dtype)[0], *rest())

        return number

    @numba.njit
    def array() -> Any:
        return (carray(_found(place), shape, dtype), *rest())

    return array


class Form(NamedTuple):
    """A compiled N(t, u, out), and where it finds the addresses of its data."""

    function: Any
    addresses: np.ndarray


class Forms:
    """Compiled forms of one N for one kind of arguments: each serves one run at a time."""

    def __init__(self, make: Callable[[], Form]) -> None:
        self._make = make
        self._free = [make()]

    @contextmanager
    def lent(self, addresses: Sequence[int], data: Sequence[np.ndarray]) -> Iterator[Any]:
        """Lend N(t, u, out) with data at these addresses, where they are as long as this is."""
        if not data:
            yield self._free[0].function
            return
        try:
            form = self._free.pop()
        except IndexError:  # another thread is running with others
            form = self._make()
        form.addresses[:] = addresses
        try:
            yield form.function
        finally:
            self._free.append(form)
