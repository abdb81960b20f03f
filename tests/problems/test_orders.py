"""Orders on a dispersive equation: coefficients of a complex L must stay complex."""

from __future__ import annotations

import numpy as np
import pytest

from semilinear import Diagonal, problems, solve, work_precision
from semilinear.studies import order_study


@pytest.mark.parametrize("name", ["krogstad4", "hochbruck_ostermann4", "zoto_bowman43", "etdab4"])
def test_fourth_order_methods_keep_their_order_on_a_soliton(name: str) -> None:
    problem = problems.soliton(points=256, speed=100.0).until(2e-3)
    (result,) = order_study(problem, name, steps=(100, 200, 400)).results
    assert result.observed == pytest.approx(4.0, abs=0.1)


def test_the_fault_that_this_guards_against_shows() -> None:
    """With real parts of the symbol alone the soliton does not even move as it must."""
    problem = problems.soliton(points=256, speed=100.0).until(2e-3)
    assert isinstance(problem.linear, Diagonal)
    wrong = Diagonal(problem.linear.eigenvalues.real, weight=problem.linear.weight)
    s = solve(wrong, problem.nonlinear, problem.t_span, problem.y0, steps=400)
    exact = problem.exact(2e-3) if problem.exact is not None else problem.y0
    assert float(np.abs(s.y[:, -1] - exact).max() / np.abs(exact).max()) > 1e-2


def test_errors_of_adaptive_steps_follow_the_tolerance() -> None:
    problem = problems.soliton(points=256, speed=100.0).until(2e-3)
    study = work_precision(
        problem, ["zoto_bowman43", "etdpece"], tolerances=(1e-4, 1e-6, 1e-8), repeats=1
    )
    for curve in study.curves:
        errors = [point.error for point in curve.points]
        assert errors[0] > 10 * errors[1] > 100 * errors[2]
