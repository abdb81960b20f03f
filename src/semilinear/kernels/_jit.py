"""The one way in which this package compiles kernels for the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a module-level function with Numba at its first call, for each set of argument types.

    The machine code is kept on disk for later processes where a cache directory is writable.
    The kernel releases the GIL, runs on the calling thread, and divides by zero as NumPy does.
    """
    return _jitted(function, None, fastmath=False)


def contracted(function: F) -> F:
    """Compile as `compiled` does, products and sums fused where the processor can."""
    return _jitted(function, None, fastmath={"contract"})


def inlined(function: F) -> F:
    """Compile as `contracted` does, into every caller: a loop over it can vectorise."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    return numba.njit(inline="always", **options)(function)  # type: ignore[no-any-return]


def reduced(function: F) -> F:
    """Compile as `contracted` does, sums in an order in which they vectorise."""
    return _jitted(function, None, fastmath={"contract", "reassoc", "nsz"})


def compiled_for(signature: Any, function: F) -> F:
    """Compile as `compiled` does, at once and for one signature."""
    return _jitted(function, signature, fastmath=False)


def _jitted(function: F, signature: Any, *, fastmath: Any) -> F:
    options = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    try:
        kernel = numba.njit(signature, cache=True, **options)(function)
    except RuntimeError:
        # Numba looks for a writable cache directory already here, and raises if it finds none.
        kernel = numba.njit(signature, **options)(function)
    return kernel  # type: ignore[no-any-return]
