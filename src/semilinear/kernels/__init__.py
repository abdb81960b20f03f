"""Arrays in, arrays out: kernels know nothing of differential equations.

`reference` is the definition, in plain array-API code for any library. `numba_` holds the same
names for NumPy arrays, `torch_` shares the memory of CPU tensors with them. Compiled code is loaded
when it is first needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from semilinear.kernels.reference import Backend

__all__ = ["COMPILED_FROM", "Backend", "backend_for", "keeping_backend_for", "phi_functions"]

COMPILED_FROM = 256
"""Entries from which compiled kernels are used; smaller arrays do not pay for loading them."""


def backend_for(x: Any) -> Backend:
    """Return the kernels for states like the array `x`."""
    if isinstance(x, np.ndarray):
        if x.size < COMPILED_FROM or x.dtype.char not in "fdFD":
            return Backend(x)
        from semilinear.kernels.numba_ import NumPyBackend

        return NumPyBackend(x)
    if type(x).__module__.split(".")[0] == "torch":
        from semilinear.kernels.torch_ import TorchBackend, shares_memory

        if shares_memory(x) and x.numel() >= COMPILED_FROM:
            return TorchBackend(x)
    return Backend(x)


def keeping_backend_for(x: Any) -> Any:
    """Return kernels for tensors like `x` that copy answers on the way, None where there are none.

    See `kernels.keeping.KeepingBackend`.
    """
    from semilinear.kernels.torch_ import shares_memory

    if not shares_memory(x) or x.numel() < COMPILED_FROM:
        return None
    from semilinear.kernels.keeping import KeepingBackend

    return KeepingBackend(x)


def phi_functions(z: Any, count: int) -> tuple[Any, ...]:
    """Return phi_0(z) .. phi_count(z), entry by entry; see `kernels.phi_reference`."""
    if isinstance(z, np.ndarray) and z.size >= COMPILED_FROM:
        from semilinear.kernels import phi_numba

        return phi_numba.phi_functions(z, count)
    from semilinear.kernels import phi_reference

    return phi_reference.phi_functions(z, count)
