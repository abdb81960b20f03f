"""What a problem is, and how one with a prescribed solution is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from semilinear.propagators import Propagator


@dataclass(frozen=True, eq=False)
class Problem:
    """An initial value problem y' = L(t) y + B(t) N(t, y), y(t0) = y0.

    Parameters
    ----------
    name
        The name under which `semilinear.problems` knows it.
    linear
        L and B.
    nonlinear
        ``N(t, y)``. It takes arrays of any array library and returns one of the same library, shape
        and dtype; leading axes of y are a batch.
    t_span
        (t0, t1).
    y0
        Initial state, a NumPy array, float64 or complex128.
    exact
        The solution, ``y(t)`` as a NumPy array like y0; None where none is known.
    reference
        Where the problem stands.
    """

    name: str
    linear: Propagator
    nonlinear: Callable[[float, Any], Any]
    t_span: tuple[float, float]
    y0: np.ndarray
    exact: Callable[[float], np.ndarray] | None
    reference: str


def forced(
    interaction: Callable[[float, Any], Any],
    solution: Callable[[float], np.ndarray],
    remainder: Callable[[float], Any],
) -> Callable[[float, Any], Any]:
    """Return ``N(t, y) = g(t, y) - g(t, Y(t)) + r(t)``, for which Y solves the problem.

    Parameters
    ----------
    interaction
        g, the part that depends on y.
    solution
        Y, the solution to be had.
    remainder
        ``r = (Y' - L Y) / B``, what N must be along the solution.

    Notes
    -----
    Forcing leaves dN/dy as it is: the solution is known, the problem no easier to integrate.
    """

    def nonlinear(t: float, y: Any) -> Any:
        along = interaction(t, solution(t))
        return interaction(t, y) + like(remainder(t) - along, y)

    return nonlinear


def like(values: np.ndarray, y: Any) -> Any:
    """Return `values` in the library, dtype and device of the array y."""
    return array_namespace(y).asarray(values, dtype=y.dtype, device=device(y))
