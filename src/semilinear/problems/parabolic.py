"""Stiff problems that show what order a method keeps: its stiff order."""

from __future__ import annotations

from math import cos, exp, sin
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from semilinear.errors import InvalidArgument, shown
from semilinear.given import number, whole_number
from semilinear.problems.problem import Problem, forced
from semilinear.propagators import Dense, Scalar

FORMS = ("local", "integral")


def hochbruck_ostermann(*, form: str = "local", points: int = 63) -> Problem:
    """The semilinear parabolic problem of Hochbruck and Ostermann, with Dirichlet conditions.

    ``u_t = u_xx + g(u) + Phi(x, t)``, 0 < x < 1, u = 0 at both ends, t in [0, 1], with Phi such
    that ``u = x (1 - x) e^t``. Second differences are exact for this u, so that the whole error is
    that of the time integration.

    Parameters
    ----------
    form
        ``"local"``: g(u) = 1 / (1 + u^2). ``"integral"``: g(u) = int_0^1 u dx (trapezoidal rule):
        N does not obey the boundary conditions, the harder case, which lowers the order of more
        methods.
    points
        Interior grid points, at least 2; the stiffness is ``4 (points + 1)^2``.

    Raises
    ------
    InvalidArgument
        If the form is unknown or there are too few points.

    Notes
    -----
    The state holds nodal values, hence L is `Dense`, although the sine transform would diagonalise
    it. Order reduction is a statement about the maximum norm in x: the largest error among sine
    coefficients falls faster, with Lawson methods as h^1.5 instead of h^1.1, and would hide it.

    References
    ----------
    Hochbruck and Ostermann (2005), SIAM J. Numer. Anal. 43, numerical examples.
    """
    if form not in FORMS:
        raise InvalidArgument(f"form={form!r} is not known; it must be one of {FORMS}")
    points = whole_number("points", points, least=2)
    intervals = points + 1
    x = np.arange(1, points + 1) / intervals
    profile = x * (1 - x)
    second_difference = -2 * np.eye(points) + np.eye(points, k=1) + np.eye(points, k=-1)

    def local(t: float, u: Any) -> Any:
        return 1 / (1 + u * u)

    def integral(t: float, u: Any) -> Any:
        # Both ends contribute 0 to the trapezoidal rule.
        total = array_namespace(u).sum(u, axis=-1, keepdims=True) / intervals
        return total + 0 * u

    def solution(t: float) -> np.ndarray:
        return profile * exp(t)

    def remainder(t: float) -> Any:
        return (profile + 2) * exp(t)

    return Problem(
        name=f"hochbruck_ostermann_{form}",
        linear=Dense(intervals**2 * second_difference),
        nonlinear=forced(local if form == "local" else integral, solution, remainder),
        t_span=(0.0, 1.0),
        y0=solution(0.0),
        exact=solution,
        reference="Hochbruck and Ostermann (2005), numerical examples",
    )


def prothero_robinson(*, rate: float = -1e4) -> Problem:
    """The problem of Prothero and Robinson: a slow solution among fast transients.

    ``y' = rate (y - cos t) - sin t``, y(0) = 1, so that y = cos t, on [0, 2]. L = rate, and
    ``N = -rate cos t - sin t`` is as large as L: for `rate` h far from 0 methods fall below even
    their stiff order, and Lawson methods give no digit.

    Parameters
    ----------
    rate
        A finite number, not 0.

    References
    ----------
    Prothero and Robinson (1974), Math. Comp. 28.
    """
    value = number(rate)
    if not np.isfinite(value) or value == 0:
        raise InvalidArgument(f"rate={shown(rate)} must be finite and not 0")

    def nonlinear(t: float, y: Any) -> Any:
        return 0 * y + (-value * cos(t) - sin(t))

    def solution(t: float) -> np.ndarray:
        return np.array([cos(t)])

    return Problem(
        name="prothero_robinson",
        linear=Scalar(value),
        nonlinear=nonlinear,
        t_span=(0.0, 2.0),
        y0=solution(0.0),
        exact=solution,
        reference="Prothero and Robinson (1974)",
    )
