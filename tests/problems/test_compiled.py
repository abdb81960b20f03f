"""Compiled nonlinear terms: the same numbers as the plain ones, also on other sizes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from semilinear import InvalidArgument, problems
from semilinear.problems import Problem
from tolerances import assert_close

# One of each term, of few sizes: compiling takes long.
MAKERS: dict[str, Callable[[], Problem]] = {
    "allen_cahn": lambda: problems.allen_cahn(points=60),
    "allen_cahn_dirichlet": lambda: problems.allen_cahn_dirichlet(degree=9),
    "burgers": lambda: problems.burgers(points=60),
    "ginzburg_landau": lambda: problems.ginzburg_landau(points=80),
    "gray_scott": lambda: problems.gray_scott(points=12),
    "nonlinear_schroedinger": lambda: problems.nonlinear_schroedinger(points=80),
    "schnakenberg": lambda: problems.schnakenberg(points=12),
}


@pytest.mark.parametrize("name", MAKERS)
def test_compiled_terms_agree_with_plain_ones(name: str) -> None:
    problem = MAKERS[name]()
    term = problem.compiled()
    rng = np.random.default_rng(1)
    shape = problem.view(problem.y0).shape
    if name == "allen_cahn_dirichlet":
        rough = rng.standard_normal(problem.y0.shape)
    elif name == "nonlinear_schroedinger":
        rough = np.fft.fft(rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    elif name == "ginzburg_landau":
        rough = np.fft.fft2(rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    elif len(problem.axes) == 2:
        rough = np.fft.rfft2(rng.standard_normal(shape))
    else:
        rough = np.fft.rfft(rng.standard_normal(shape))
    for y in (problem.y0, rough):
        before, out = y.copy(), np.full_like(y, np.nan)
        assert term(0.3, y, out) is None
        expected = problem.nonlinear(0.3, y)
        # Source and reaction may cancel.
        scale = float(np.max(np.abs(expected)) + 3 * np.max(np.abs(y)))
        assert_close(out, expected, operations=64, scale=scale)
        assert np.array_equal(y, before)


def test_every_problem_of_a_field_has_a_compiled_term() -> None:
    every = [problems.get(name) for name in problems.names()]
    assert all((problem.view is None) == (problem.compiled is None) for problem in every)


def test_terms_are_made_once() -> None:
    one, two = problems.kdv(), problems.soliton(points=256, speed=100.0)
    assert one.compiled() is two.compiled()
    same = problems.kuramoto_sivashinsky(), problems.burgers()
    assert same[0].compiled() is same[1].compiled()


def test_sizes_without_a_transform_are_refused_when_they_are_compiled() -> None:
    problem = problems.burgers(points=22)
    assert problem.nonlinear(0.0, problem.y0).shape == (12,)
    with pytest.raises(InvalidArgument, match="no prime factor"):
        problem.compiled()
