"""A problem between walls, by Chebyshev collocation: its linear part is a full matrix."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from semilinear.given import whole_number
from semilinear.problems import spectral
from semilinear.problems.known import KNOWN
from semilinear.problems.problem import Problem, like
from semilinear.propagators import Dense


def allen_cahn_dirichlet(*, degree: int = 20, diffusion: float = 0.01) -> Problem:
    """The Allen-Cahn equation between walls, by Chebyshev collocation: a full matrix, not normal.

    ``u_t = eps u_xx + u - u^3``, -1 < x < 1, u = x at both ends, t in [0, 70],
    ``u(0) = 0.53 x + 0.47 sin(-1.5 pi x)``. The state is ``w = u - x`` at the inner points
    ``x_j = cos(pi j / degree)``, so that ``A = eps D^2`` without its borders and
    ``N = u - u^3``; `Problem.view` returns u with its ends.

    Parameters
    ----------
    degree
        Of the polynomial, at least 4; the state has degree - 1 entries.
    diffusion
        eps.

    Raises
    ------
    InvalidArgument
        If the degree or the diffusion cannot be used.

    References
    ----------
    Kassam and Trefethen (2005), SIAM J. Sci. Comput. 26; Trefethen (2000), Spectral Methods in
    MATLAB, chapter 6, for the matrix.
    """
    eps = spectral.checked_positive(diffusion, "diffusion")
    degree = whole_number("degree", degree, least=4)
    derivative, x = chebyshev(degree)
    inner, quarter = x[1:-1], degree // 4
    view = partial(_between_walls, x=x)
    return Problem(
        name="allen_cahn_dirichlet",
        linear=Dense(eps * (derivative @ derivative)[1:-1, 1:-1]),
        nonlinear=partial(_bistable_between_walls, x=inner),
        t_span=(0.0, 70.0),
        y0=0.53 * inner + 0.47 * np.sin(-1.5 * np.pi * inner) - inner,
        exact=None,
        reference="Kassam and Trefethen (2005), allencahn.m",
        quantities={
            f"u(x_{quarter})": partial(spectral.value_at, view=view, place=(quarter,)),
            "rms": partial(_inner_root_mean_square, x=inner),
        },
        known=KNOWN["allen_cahn_dirichlet"] if (degree, eps) == (20, 0.01) else (),
        view=view,
        axes=(x,),
        compiled=partial(spectral.compiled_term, "bistable_between_walls", inner),
    )


def chebyshev(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix of the derivative at Chebyshev points, and ``x_j = cos(pi j / degree)``.

    Diagonal entries are the negative sums of the others in their rows, which keeps D 1 = 0
    (Trefethen 2000, chapter 6).
    """
    j = np.arange(degree + 1)
    x = np.cos(np.pi * j / degree)
    c = np.where((j == 0) | (j == degree), 2.0, 1.0) * (-1.0) ** j
    distance = x[:, None] - x + np.eye(degree + 1)
    matrix = np.outer(c, 1 / c) / distance
    return matrix - np.diag(matrix.sum(axis=1)), x


def _bistable_between_walls(t: float, y: Any, *, x: np.ndarray) -> Any:
    u = y + like(x, y)
    return u - u * u * u


def _between_walls(y: np.ndarray, *, x: np.ndarray) -> np.ndarray:
    borders = [(0, 0)] * (y.ndim - 1) + [(1, 1)]
    return np.asarray(np.pad(y, borders) + x)


def _inner_root_mean_square(y: np.ndarray, *, x: np.ndarray) -> float:
    return float(np.sqrt(np.mean((y + x) ** 2)))
