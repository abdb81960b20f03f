"""What a problem is, what may be known of it, and how one with a prescribed solution is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device

from semilinear.errors import InvalidArgument, shown
from semilinear.given import number
from semilinear.propagators import Propagator

Functional = Callable[[np.ndarray], float]


class Known(NamedTuple):
    """A number that is known of a solution.

    Parameters
    ----------
    t
        Time at which it holds.
    quantity
        Which functional of the state: a key of `Problem.quantities`.
    value
        Its value for the system of ODEs as it stands, on its own grid.
    agreement
        Relative difference up to which the value is confirmed, by two methods or two step sizes.
    """

    t: float
    quantity: str
    value: float
    agreement: float


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
    quantities
        Functionals of one state, by name: ``"max"``, ``"u(0)"``, ``"mass"``.
    known
        Values of these along the solution; none where parameters are not the published ones.
    view
        Physical values, real, from states; leading axes are a batch. None where the state shows
        nothing.
    axes
        Coordinates of the last axes of what `view` returns; an axis before them counts components.
    components
        What to call the components of what `view` returns.
    compiled
        ``compiled()`` makes ``N(t, u, out)``, the same N compiled by Numba, for complex128 arrays
        of the shape of y0. None where there is none.
    """

    name: str
    linear: Propagator
    nonlinear: Callable[[float, Any], Any]
    t_span: tuple[float, float]
    y0: np.ndarray
    exact: Callable[[float], np.ndarray] | None
    reference: str
    quantities: Mapping[str, Functional] = field(default_factory=dict)
    known: tuple[Known, ...] = ()
    view: Callable[[np.ndarray], np.ndarray] | None = None
    axes: tuple[np.ndarray, ...] = ()
    components: tuple[str, ...] = ("u", "v", "w")
    compiled: Callable[[], Callable[..., None]] | None = None

    def until(self, t1: float) -> Problem:
        """Return the same problem with another end of `t_span`.

        Raises
        ------
        InvalidArgument
            If t1 is not finite or is the beginning.
        """
        t0 = self.t_span[0]
        end = number(t1)
        if not np.isfinite(end) or end == t0:
            raise InvalidArgument(f"t1={shown(t1)} must be a finite time other than t0 = {t0:g}")
        return replace(self, t_span=(t0, end))


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
