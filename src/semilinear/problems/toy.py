"""Small problems that expose faults: each has a solution in closed form and a dense Jacobian of N.

With N evaluated at a wrong stage time a scalar autonomous problem still shows full order, so all of
these are coupled and non-autonomous, with dN/dy far from 0 along the solution. They differ in their
linear part: real, complex, depending on time, and a matrix that is not normal.
"""

from __future__ import annotations

from math import cos, sin
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from semilinear.problems.problem import Problem, forced
from semilinear.propagators import Dense, Diagonal, Scalar


def coupled() -> Problem:
    """Three coupled entries with real rates.

    ``L = diag(-1, -2, 1/2)``, ``g = (y_2 y_3, cos(t) sin(y_1), sin(t) y_1 - y_2^2 / 2)``,
    ``Y = (1 + cos(4t) / 5, -1/2 + sin(5t) / 5, 3/2 + sin(3t) / 5)`` on [0, 1].
    """
    rates = np.array([-1.0, -2.0, 0.5])

    def interaction(t: float, y: Any) -> Any:
        a, b, c = (y[..., i] for i in range(3))
        xp = array_namespace(y)
        return xp.stack([b * c, cos(t) * xp.sin(a), sin(t) * a - 0.5 * b * b], axis=-1)

    def solution(t: float) -> np.ndarray:
        return np.array([1 + 0.2 * cos(4 * t), -0.5 + 0.2 * sin(5 * t), 1.5 + 0.2 * sin(3 * t)])

    def remainder(t: float) -> Any:
        slope = np.array([-0.8 * sin(4 * t), cos(5 * t), 0.6 * cos(3 * t)])
        return slope - rates * solution(t)

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

    ``L = diag(i, -1/2 - 2i, -1/2 + i/2)``, ``g = (i |y_1|^2 y_2, conj(y_3) y_1, e^{2it} y_2)``,
    ``Y = (1 + e^{4it} / 5, i/2 + e^{-5it} / 5, 1 - i + e^{3it} / 5)`` on [0, 1]. N is not
    holomorphic. Code that keeps the real part of a complex coefficient only fails here.
    """
    rates = np.array([1j, -0.5 - 2j, -0.5 + 0.5j])

    def wave(frequency: int, t: float) -> complex:
        return complex(cos(frequency * t), sin(frequency * t))

    def interaction(t: float, y: Any) -> Any:
        a, b, c = (y[..., i] for i in range(3))
        xp = array_namespace(y)
        square = a * xp.conj(a)
        return xp.stack([1j * square * b, xp.conj(c) * a, wave(2, t) * b], axis=-1)

    def solution(t: float) -> np.ndarray:
        return np.array([1 + 0.2 * wave(4, t), 0.5j + 0.2 * wave(-5, t), 1 - 1j + 0.2 * wave(3, t)])

    def remainder(t: float) -> Any:
        slope = 1j * np.array([0.8 * wave(4, t), -wave(-5, t), 0.6 * wave(3, t)])
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
    """Three coupled entries with a linear part and a weight that depend on time.

    ``L(t) = -1/2 + cos(3t/2)``, ``B(t) = 1 / (1 + t)``,
    ``g = (sin(y_2) y_3, cos(3t) y_1 - y_2^2 / 2, (y_1 y_2 - y_3) / 2)``,
    ``Y = (1 + cos(3t) / 5, 3/2 + sin(4t) / 5, 1/2 + cos(4t) / 5)`` on [0, 1]. Weights keyed by the
    length of an interval instead of its place lose their order here.
    """

    def rate(t: Any) -> Any:
        return -0.5 + np.cos(1.5 * t)

    def weight(t: Any) -> Any:
        return 1 / (1 + t)

    def interaction(t: float, y: Any) -> Any:
        a, b, c = (y[..., i] for i in range(3))
        xp = array_namespace(y)
        return xp.stack([xp.sin(b) * c, cos(3 * t) * a - b * b / 2, (a * b - c) / 2], axis=-1)

    def solution(t: float) -> np.ndarray:
        return np.array([1 + 0.2 * cos(3 * t), 1.5 + 0.2 * sin(4 * t), 0.5 + 0.2 * cos(4 * t)])

    def remainder(t: float) -> Any:
        slope = np.array([-0.6 * sin(3 * t), 0.8 * cos(4 * t), -0.8 * sin(4 * t)])
        return (slope - rate(t) * solution(t)) / weight(t)

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

    ``A = [[-1, 3, 0], [0, -2, 3], [0, 0, -1]]``,
    ``g = (y_3 y_2, sin(y_1), cos(2t) y_1 - y_3)``,
    ``Y = (9 + sin 4t, 3 + cos 5t, 2 + cos 3t) / 5`` on [0, 1]. Transposed matrices and matrix
    products in the wrong order show.
    """
    matrix = np.array([[-1.0, 3.0, 0.0], [0.0, -2.0, 3.0], [0.0, 0.0, -1.0]])

    def interaction(t: float, y: Any) -> Any:
        a, b, c = (y[..., i] for i in range(3))
        xp = array_namespace(y)
        return xp.stack([c * b, xp.sin(a), cos(2 * t) * a - c], axis=-1)

    def solution(t: float) -> np.ndarray:
        return np.array([1.8 + 0.2 * sin(4 * t), 0.6 + 0.2 * cos(5 * t), 0.4 + 0.2 * cos(3 * t)])

    def remainder(t: float) -> Any:
        slope = np.array([0.8 * cos(4 * t), -sin(5 * t), -0.6 * sin(3 * t)])
        return slope - matrix @ solution(t)

    return Problem(
        name="dense",
        linear=Dense(matrix),
        nonlinear=forced(interaction, solution, remainder),
        t_span=(0.0, 1.0),
        y0=solution(0.0),
        exact=solution,
        reference="manufactured: Dense, non-normal L",
    )
