"""Small problems that expose faults: each has a solution in closed form and a dense Jacobian of N.

With N evaluated at a wrong stage time a scalar autonomous problem still shows full order, so all of
these are coupled and non-autonomous, with dN/dy far from 0 along the solution. They differ in their
linear part: real, complex, depending on time, and a matrix that is not normal.
"""

from __future__ import annotations

from math import cos, exp, sin
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from semilinear.problems.problem import Problem, forced
from semilinear.propagators import Dense, Diagonal, Scalar


def coupled() -> Problem:
    """Three coupled entries with real rates.

    ``L = diag(-1, -2, 1/2)``, ``g = (y_2 y_3, cos(t) sin(y_1), sin(t) y_1 - y_2^2 / 2)``,
    ``Y = (cos t, sin 2t, 1 + sin(t) / 2)`` on [0, 1].
    """
    rates = np.array([-1.0, -2.0, 0.5])

    def interaction(t: float, y: Any) -> Any:
        a, b, c = (y[..., i] for i in range(3))
        xp = array_namespace(y)
        return xp.stack([b * c, cos(t) * xp.sin(a), sin(t) * a - 0.5 * b * b], axis=-1)

    def solution(t: float) -> np.ndarray:
        return np.array([cos(t), sin(2 * t), 1 + 0.5 * sin(t)])

    def remainder(t: float) -> np.ndarray:
        return np.array([-sin(t), 2 * cos(2 * t), 0.5 * cos(t)]) - rates * solution(t)

    return Problem(
        name="coupled",
        linear=Diagonal(rates),
        nonlinear=forced(interaction, solution, remainder),
        t_span=(0.0, 1.0),
        y0=solution(0.0),
        exact=solution,
        reference="manufactured: real Diagonal L, coupled and non-autonomous N",
    )


def complex_diagonal() -> Problem:
    """Three coupled waves with complex rates, as after a Fourier transform.

    ``L = diag(2i, -1/2 - 3i, -1 + i)``, ``g = (i |y_1|^2 y_2, conj(y_3) y_1, e^{it} y_2)``,
    ``Y = (e^{it}, e^{-2it} / 2, 1 + i sin t)`` on [0, 1]. N is not holomorphic; code that drops the
    imaginary part of a coefficient falls to order one or below.
    """
    rates = np.array([2j, -0.5 - 3j, -1 + 1j])

    def interaction(t: float, y: Any) -> Any:
        a, b, c = (y[..., i] for i in range(3))
        xp = array_namespace(y)
        square = a * xp.conj(a)
        return xp.stack([1j * square * b, xp.conj(c) * a, complex(cos(t), sin(t)) * b], axis=-1)

    def solution(t: float) -> np.ndarray:
        return np.array([np.exp(1j * t), 0.5 * np.exp(-2j * t), 1 + 1j * sin(t)])

    def remainder(t: float) -> np.ndarray:
        slope = np.array([1j * np.exp(1j * t), -1j * np.exp(-2j * t), 1j * cos(t)])
        return slope - rates * solution(t)

    return Problem(
        name="complex_diagonal",
        linear=Diagonal(rates),
        nonlinear=forced(interaction, solution, remainder),
        t_span=(0.0, 1.0),
        y0=solution(0.0),
        exact=solution,
        reference="manufactured: complex Diagonal L, N with complex conjugates",
    )


def time_dependent() -> Problem:
    """Two coupled entries with a linear part and a weight that depend on time.

    ``L(t) = -1 + 3/2 cos 2t``, ``B(t) = 1 + t / 2``, ``g = (sin(y_2) y_1, cos(3t) y_1 - y_2^2)``,
    ``Y = (2 + cos t, e^{-t/2} + sin(t) / 2)`` on [0, 1]. Weights keyed by the length of an interval
    instead of its place lose their order here.
    """

    def rate(t: Any) -> Any:
        return -1 + 1.5 * np.cos(2 * t)

    def weight(t: Any) -> Any:
        return 1 + 0.5 * t

    def interaction(t: float, y: Any) -> Any:
        a, b = y[..., 0], y[..., 1]
        xp = array_namespace(y)
        return xp.stack([xp.sin(b) * a, cos(3 * t) * a - b * b], axis=-1)

    def solution(t: float) -> np.ndarray:
        return np.array([2 + cos(t), exp(-0.5 * t) + 0.5 * sin(t)])

    def remainder(t: float) -> np.ndarray:
        slope = np.array([-sin(t), -0.5 * exp(-0.5 * t) + 0.5 * cos(t)])
        return np.asarray((slope - rate(t) * solution(t)) / weight(t))

    return Problem(
        name="time_dependent",
        linear=Scalar(rate, weight=weight),
        nonlinear=forced(interaction, solution, remainder),
        t_span=(0.0, 1.0),
        y0=solution(0.0),
        exact=solution,
        reference="manufactured: Scalar L(t) with weight B(t)",
    )


def dense() -> Problem:
    """Three coupled entries with a matrix that is far from normal.

    ``A = [[-1, 4, 0], [0, -2, 4], [0, 0, -1]]``,
    ``g = (y_3 y_2, sin(y_1), cos(2t) y_1 - y_3)``, ``Y = (sin 2t, cos t, 1 + cos(t) / 2)`` on
    [0, 1]. Transposed matrices and matrix products in the wrong order show.
    """
    matrix = np.array([[-1.0, 4.0, 0.0], [0.0, -2.0, 4.0], [0.0, 0.0, -1.0]])

    def interaction(t: float, y: Any) -> Any:
        a, b, c = (y[..., i] for i in range(3))
        xp = array_namespace(y)
        return xp.stack([c * b, xp.sin(a), cos(2 * t) * a - c], axis=-1)

    def solution(t: float) -> np.ndarray:
        return np.array([sin(2 * t), cos(t), 1 + 0.5 * cos(t)])

    def remainder(t: float) -> np.ndarray:
        return np.array([2 * cos(2 * t), -sin(t), -0.5 * sin(t)]) - matrix @ solution(t)

    return Problem(
        name="dense",
        linear=Dense(matrix),
        nonlinear=forced(interaction, solution, remainder),
        t_span=(0.0, 1.0),
        y0=solution(0.0),
        exact=solution,
        reference="manufactured: Dense, non-normal L",
    )
