"""A nonlinear term in Python for the compiled loops: called back from compiled code.

One compiled function serves all nonlinear terms: it calls Python through a C pointer, and what
answers there is kept for each thread, so that threads, and solves within solves, do not meet.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np

Respond = Callable[[float, int, int], None]
"""``respond(t, address of u, address of out)`` writes N(t, u) to `out`; it raises nothing."""

_here = threading.local()


@ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p)
def _call(t: float, u: int, out: int) -> None:
    _here.respond(t, u, out)


@numba.njit(nogil=True)
def called_back(t: float, u: Any, out: Any) -> None:
    """Ask Python for N(t, u); NaN where an interrupt keeps it from answering."""
    out[:] = np.nan
    _call(t, u.ctypes, out.ctypes)


@contextmanager
def answering(respond: Respond) -> Iterator[None]:
    """Let a function answer the calls of this thread."""
    before = getattr(_here, "respond", None)
    _here.respond = respond
    try:
        yield
    finally:
        _here.respond = before
