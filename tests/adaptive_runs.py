"""Methods that choose their steps, problems that suit them, and how they run."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from semilinear import Diagonal, Solution, methods, problems, solve
from semilinear.methods import Tableau
from semilinear.problems import Problem

ADAPTIVE: dict[str, methods.Method] = {
    name: methods.get(name) for name, info in methods.names().items() if info.embedded_order
}
PAIRS = {name: pair for name, pair in ADAPTIVE.items() if isinstance(pair, Tableau)}
BLIND = {"krogstad4"}
"""Their estimates do not see N change with time: for autonomous problems only."""
SEEING = [name for name in ADAPTIVE if name not in BLIND]
STIFF = [name for name in SEEING if ADAPTIVE[name].stiff_order >= 3]
EXPOSING = ["coupled", "complex_diagonal", "time_dependent", "dense"]
each_method = pytest.mark.parametrize("name", ADAPTIVE)
each_that_sees = pytest.mark.parametrize("name", SEEING)


@functools.cache
def autonomous() -> Problem:
    """Two coupled entries, N without time."""

    def nonlinear(t: float, y: Any) -> Any:
        return np.stack([np.sin(3 * y[1]) - y[0] ** 2, 2 * y[0] * np.cos(y[1])])

    rates, y0 = np.array([-1.0, -30.0]), np.array([1.0, -0.5])
    exact = solve_ivp(
        lambda t, y: rates * y + nonlinear(t, y), (0.0, 2.0), y0, "DOP853",
        rtol=1e-13, atol=1e-14, dense_output=True,
    ).sol  # fmt: skip
    return Problem("autonomous", Diagonal(rates), nonlinear, (0.0, 2.0), y0, exact, "none")


def problem_for(name: str) -> Problem:
    return autonomous() if name in BLIND else problems.coupled()


def adaptive(problem: Problem, name: str | methods.Method, rtol: float, **options: Any) -> Solution:
    p = problem
    return solve(
        p.linear, p.nonlinear, p.t_span, p.y0, method=name, rtol=rtol, atol=1e-3 * rtol, **options
    )


def error(problem: Problem, solution: Solution) -> float:
    """Return the largest error at the end, relative to the state."""
    exact = problem.exact(float(solution.t[-1]))
    return float(np.abs(solution.y[..., -1] - exact).max() / np.abs(exact).max())
