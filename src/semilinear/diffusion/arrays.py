"""Arrays of any library: to the host and back, and how samples are added up."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from semilinear.given import is_recorded


def as_like(numbers: np.ndarray, like: Any) -> Any:
    """Return numbers as an array of the library, dtype and device of another."""
    if isinstance(like, np.ndarray):
        return numbers.astype(like.dtype, copy=False)
    xp = array_namespace(like)
    return xp.asarray(numbers, dtype=like.dtype, device=device(like))


def on_host(x: Any) -> np.ndarray:
    """Return an array of any library as a NumPy array, of its own dtype if NumPy has it."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.float() if str(x.dtype).endswith("bfloat16") else x
        try:
            return np.asarray(x)
        except RuntimeError:  # wrapped by a transform of torch.func
            return np.array(x.tolist(), dtype=str(x.dtype).rpartition(".")[2])
    return np.asarray(x.get() if hasattr(x, "get") else x)


def is_followed(value: Any) -> bool:
    """Tell whether PyTorch or JAX follows what is computed from a value, such as for derivatives.

    Then it must not become a number of the host.
    """
    if is_recorded(value):
        return True
    if not type(value).__module__.startswith("torch"):
        return False
    from semilinear.kernels.torch_ import carries_tangents

    return carries_tangents()


def rms_of_samples(x: Any) -> np.ndarray:
    """Return the root mean square of each sample, in double precision on the host.

    0 without entries.
    """
    entries = prod(x.shape[1:])
    moduli = np.abs(on_host(x)).astype(float).reshape(x.shape[0], entries)
    sizes: np.ndarray = np.sqrt(np.sum(moduli**2, axis=1) / max(1, entries))
    return sizes


def accumulator(x: Any) -> Any:
    """Return the dtype in which densities of samples like x are added up: the widest there is."""
    xp = array_namespace(x)
    known = xp.__array_namespace_info__().dtypes(device=device(x), kind="real floating")
    return known.get("float64", xp.float32)
