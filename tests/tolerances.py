"""How far a computed number may lie from an exact one: epsilon x scale x number of operations."""

from __future__ import annotations

from typing import Any

import numpy as np


def rounding(dtype: Any, *, scale: float, operations: float) -> float:
    """Return the bound ``eps * scale * operations`` on an absolute error.

    Parameters
    ----------
    dtype
        In which the number was computed; real or complex, its precision counts.
    scale
        Size of the terms that were added up, not of their sum: what cancels does not shrink the
        error.
    operations
        How many roundings of this size may add up.
    """
    return float(np.finfo(dtype).eps) * scale * operations


def assert_close(
    actual: Any, expected: Any, *, operations: float, scale: float | None = None
) -> None:
    """Assert that two arrays agree to rounding in the precision of `actual`.

    Parameters
    ----------
    scale
        As in `rounding`; the largest entry of `expected` if not given.
    """
    actual, expected = to_numpy(actual), to_numpy(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape} instead of {expected.shape}"
    if scale is None:
        scale = float(np.max(np.abs(expected), initial=0.0))
    error = float(np.max(np.abs(actual - expected), initial=0.0))
    bound = rounding(actual.dtype, scale=scale, operations=operations)
    # Written so that a NaN fails.
    assert error <= bound, f"error {error:.3g} above {bound:.3g}: {actual} instead of {expected}"


def to_numpy(x: Any) -> np.ndarray:
    """Return an array of any library, a number or a list as a NumPy array of floats."""
    if hasattr(x, "__dlpack__") and not isinstance(x, np.ndarray | np.generic):
        x = np.from_dlpack(x)
    array = np.asarray(x)
    return array if array.dtype.kind in "fc" else array.astype(np.float64)
