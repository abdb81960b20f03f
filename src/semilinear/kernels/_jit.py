"""The one way in which this package compiles kernels for the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a module-level function with Numba at its first call, for each set of argument types.

    The machine code is kept on disk for later processes where a cache directory is writable.
    The kernel releases the GIL, runs on one thread, and divides by zero as NumPy does.
    """
    try:
        kernel = numba.njit(function, nogil=True, error_model="numpy", cache=True)
    except RuntimeError:
        # Numba looks for a writable cache directory already here, and raises if it finds none.
        kernel = numba.njit(function, nogil=True, error_model="numpy")
    return kernel  # type: ignore[no-any-return]
