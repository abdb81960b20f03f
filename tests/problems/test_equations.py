"""Equations of the problems of fields: symbols, initial data, and right sides in closed form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from semilinear import Diagonal, problems
from semilinear.problems import Problem, spectral
from semilinear.problems.collocation import chebyshev
from tolerances import assert_close

EPS = float(np.finfo(float).eps)


def symbols(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues and the weight of a problem in modes."""
    assert isinstance(problem.linear, Diagonal)
    return problem.linear.eigenvalues, problem.linear.weight


def slope(problem: Problem, y: np.ndarray) -> np.ndarray:
    """Return L y + B N(0, y) of a problem in modes."""
    eigenvalues, weight = symbols(problem)
    return eigenvalues * y + weight * problem.nonlinear(0.0, y)


# Published formulas, written once more, at points that are not special.
@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("kuramoto_sivashinsky", lambda x: np.cos(x / 16) * (1 + np.sin(x / 16))),
        ("kuramoto_sivashinsky_chebfun", lambda x: np.cos(x / 16) * (1 + np.sin((x - 1) / 16))),
        ("burgers", lambda x: np.exp(-10 * np.sin(x / 2) ** 2)),
        ("burgers_chebfun", lambda x: (1 - x * x) * np.exp(-30 * (x + 0.5) ** 2)),
        ("nonlinear_schroedinger", lambda x: abs(2 / (2 - np.sqrt(2) * np.cos(x)) - 1)),
        (
            "kdv",
            lambda x: 1875 / np.cosh(12.5 * (x + 2)) ** 2 + 768 / np.cosh(8 * (x + 1)) ** 2,
        ),
    ],
)
def test_initial_data_are_the_published_ones(
    name: str, formula: Callable[[np.ndarray], np.ndarray]
) -> None:
    problem = problems.get(name)
    assert_close(problem.view(problem.y0), formula(problem.axes[0]), operations=16)


@pytest.mark.parametrize("name", ["kdv", "soliton", "burgers", "kuramoto_sivashinsky"])
def test_symbols_of_odd_derivatives_vanish_at_the_nyquist_mode(name: str) -> None:
    eigenvalues, weight = symbols(problems.get(name))
    assert weight[-1] == 0
    assert (weight[1:-1] != 0).all()
    # Even derivatives of the Nyquist mode are as large as ever.
    assert (eigenvalues[-1] == 0) == (name in ("kdv", "soliton"))
    assert eigenvalues[-2] != 0


@pytest.mark.parametrize("name", [n for n in problems.names() if problems.get(n).view is not None])
def test_no_growth_but_that_of_the_equation(name: str) -> None:
    linear = problems.get(name).linear
    if isinstance(linear, Diagonal):
        eigenvalues = linear.eigenvalues
    else:
        eigenvalues = np.linalg.eigvals(linear.matrix)
    largest = 0.25 if name.startswith("kuramoto") else 0.0
    assert np.max(eigenvalues.real) <= largest * (1 + 8 * EPS)


# On cos(3 k x) all is known in closed form.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("burgers", lambda k, x: -0.03 * k**2 * np.cos(k * x) + k / 2 * np.sin(2 * k * x)),
        ("kdv", lambda k, x: -(k**3) * np.sin(k * x) + k / 2 * np.sin(2 * k * x)),
        (
            "kuramoto_sivashinsky",
            lambda k, x: (k**2 - k**4) * np.cos(k * x) + k / 2 * np.sin(2 * k * x),
        ),
        (
            "allen_cahn",
            lambda k, x: (1 - 0.005 * k**2) * np.cos(k * x) - np.cos(k * x) ** 3,
        ),
        (
            "burgers_chebfun",
            lambda k, x: -0.001 * k**2 * np.cos(k * x) + k / 2 * np.sin(2 * k * x),
        ),
    ],
)
def test_the_right_side_is_that_of_the_equation(
    name: str, expected: Callable[[float, np.ndarray], np.ndarray]
) -> None:
    problem = problems.get(name)
    (x,) = problem.axes
    k = 3 * 2 * np.pi / (len(x) * (x[1] - x[0]))
    # What rounding leaves in high modes is multiplied by the largest symbol.
    scale = float(np.max(np.abs(symbols(problem)[0]))) + k
    found = problem.view(slope(problem, np.fft.rfft(np.cos(k * x))))
    assert_close(found, expected(k, x), operations=64, scale=scale)


def waves(x: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Return two smooth functions on a square: 0.6 and 0.4 and a wave each."""
    k = 2 * np.pi / length
    one = np.cos(2 * k * x)[:, None] * np.sin(3 * k * x)
    return 0.6 + 0.3 * one, 0.4 + 0.2 * np.cos(k * x)[:, None] + 0 * one


@pytest.mark.parametrize("name", ["gray_scott", "schnakenberg"])
def test_reactions_and_diffusions_are_those_of_the_equations(name: str) -> None:
    problem = problems.get(name)
    x = problem.axes[0]
    length = {"gray_scott": 1.0, "schnakenberg": 50.0}[name]
    k2 = (2 * np.pi / length) ** 2
    u, v = waves(x, length)
    lap_u, lap_v = -13 * k2 * (u - 0.6), -k2 * (v - 0.4)
    if name == "gray_scott":
        expected = [
            2e-5 * lap_u + 0.03 * (1 - u) - u * v**2,
            1e-5 * lap_v - 0.087 * v + u * v**2,
        ]
    else:
        expected = [lap_u + 3 * (0.1 - u + u**2 * v), 10 * lap_v + 3 * (0.9 - u**2 * v)]
    found = problem.view(slope(problem, np.fft.rfft2(np.stack([u, v]))))
    scale = 1 + float(np.max(np.abs(symbols(problem)[0])))
    assert_close(found, np.stack(expected), operations=64, scale=scale)


def test_ginzburg_landau_is_that_of_the_equation() -> None:
    problem = problems.ginzburg_landau()
    x = problem.axes[0]
    k = 2 * np.pi / 100
    u = np.exp(2j * k * x)[:, None] * np.exp(-3j * k * x) * (0.5 + 0.1 * np.cos(k * x))
    bent = (
        np.exp(2j * k * x)[:, None]
        * np.exp(-3j * k * x)
        * (
            -(13 * k**2) * (0.5 + 0.1 * np.cos(k * x))
            - 0.1 * k**2 * np.cos(k * x)
            + 2 * (-3j * k) * (-0.1 * k * np.sin(k * x))
        )
    )
    expected = bent + u - (1 + 1.5j) * abs(u) ** 2 * u
    found = np.fft.ifft2(slope(problem, np.fft.fft2(u)))
    scale = 1 + float(np.max(np.abs(symbols(problem)[0])))
    assert_close(found, expected, operations=64, scale=scale)
    assert np.max(np.abs(problem.view(problem.y0))) == pytest.approx(1.0)


def test_the_matrix_between_walls_differentiates_polynomials_exactly() -> None:
    derivative, x = chebyshev(12)
    assert_close(derivative @ x**7, 7 * x**6, operations=256)
    assert_close(derivative @ np.ones(13), np.zeros(13), operations=64, scale=1.0)
    problem = problems.allen_cahn_dirichlet(degree=12)
    (ends,) = problem.axes
    assert np.array_equal(ends, x)
    assert_close(problem.view(problem.y0), 0.53 * x + 0.47 * np.sin(-1.5 * np.pi * x), operations=8)
    # w = (1 - x^2) x vanishes at both ends, and w'' = -6 x.
    w = ((1 - x**2) * x)[1:-1]
    assert_close(problem.linear.matrix @ w, 0.01 * -6 * x[1:-1], operations=4096)


def test_the_most_negative_eigenvalue_is_the_published_one() -> None:
    # h lambda = -19.2 at h = 1/4, which a contour of radius 15 leaves outside.
    matrix = problems.allen_cahn_dirichlet().linear.matrix
    assert 0.25 * np.min(np.linalg.eigvals(matrix).real) == pytest.approx(-19.2, abs=0.05)


def test_laplacians_belong_to_their_spectra() -> None:
    x = spectral.grid(16, 0.0, 5.0)
    k = 2 * np.pi / 5
    u = np.cos(2 * k * x)[:, None] * np.sin(-k * x)
    for half, there, back in (
        (True, np.fft.rfft2, np.fft.irfft2),
        (False, np.fft.fft2, np.fft.ifft2),
    ):
        bent = back(spectral.laplacian(16, 5.0, half=half) * there(u))
        assert_close(np.real(bent), -5 * k**2 * u, operations=256)
