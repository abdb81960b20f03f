"""N that is a polynomial in t: integrated exactly up to the degree of the method, and no further.

What `test_checks` proves of the symbolic weights is seen here in the numbers of a plan, on uneven
grids and with every linear part.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs import ETDRK, LINEAR, MULTISTEP, after, each_linear, end, grid_for, initial, trace
from semilinear import Plan, Propagator, coefficients, make_plan, methods
from semilinear.methods import Multistep, Tableau, checks
from semilinear.stepping import Function
from strategies import grids
from tolerances import rounding

ADAMS = {name: method for name, method in MULTISTEP.items() if not method.fixed}
each_adams = pytest.mark.parametrize("method", ADAMS.values(), ids=ADAMS)
each_etdrk = pytest.mark.parametrize("method", ETDRK.values(), ids=ETDRK)

FORCE = np.array([2.0, -1.0, 0.5])
ROOTS = [0.4, -0.3, 1.1, 0.2, 0.9, 0.6, -0.1]
UNIT = 0.5


def defects(plan: Plan, linear: Propagator, degree: int) -> np.ndarray:
    """Return the local error of each step where N is a polynomial of t alone.

    ``N = prod_l (t - root_l) / unit`` is a Newton basis, whose integral over a step the
    propagator knows.
    """
    states = trace(plan, polynomial(degree), initial(linear)).states
    found = []
    for n, (a, b) in enumerate(pairwise(plan.grid)):
        integral = linear.integrals(a, b, ROOTS[:degree], UNIT)[degree]
        expected = after(linear.flow(a, b), states[n]) + after(integral, FORCE)
        found.append(np.abs(states[n + 1] - expected).max())
    return np.array(found)


def polynomial(degree: int) -> Function:
    return lambda x, t: FORCE * prod((t - root) / UNIT for root in ROOTS[:degree]) + 0 * x


def tolerance(grid: np.ndarray, degree: int, past: int = 1) -> float:
    """Rounding of values of N, extrapolated from `past` grid points to the next one."""
    values = max(prod(abs(t - root) / UNIT for root in ROOTS[:degree]) for t in grid)
    reach = 1.0
    for n in range(past, len(grid)):
        nodes = grid[n - past : n]
        factors = [prod((grid[n] - q) / (p - q) for q in nodes if q != p) for p in nodes]
        reach = max(reach, sum(map(abs, factors)))
    return rounding(float, scale=1.0 + values * reach, operations=100)


@each_linear
@each_adams
def test_adams_methods_integrate_polynomials_exactly(method: Multistep, linear: Propagator) -> None:
    """To the degree of the method on an uneven grid, as soon as that many values are known."""
    plan = make_plan(linear, grid_for(method), method=method)
    full = method.values - 1
    for degree in range(method.order):
        found = defects(plan, linear, degree)[full:].max()
        assert found <= tolerance(plan.grid, degree, method.values)
    # A higher degree is not: the method has the order that it says and no higher one.
    above = defects(plan, linear, method.order)[full:].max()
    assert above > 100 * tolerance(plan.grid, method.order, method.values)


@given(st.data(), st.sampled_from(sorted(ADAMS)), st.sampled_from(["scalar", "stiff", "diagonal"]))
def test_polynomials_on_any_grid(data: st.DataObject, name: str, kind: str) -> None:
    """Forwards and backwards; a stiff linear part only forwards."""
    grid = data.draw(grids(steps=8, length=1.2))
    if kind != "scalar" and grid[-1] < grid[0]:
        grid = -grid
    method, linear = ADAMS[name], LINEAR[kind]
    degree = data.draw(st.integers(0, method.order - 1))
    found = defects(make_plan(linear, grid, method=method), linear, degree)
    assert found[method.values - 1 :].max() <= tolerance(grid, degree, method.values)


@pytest.mark.parametrize("order", range(2, 7))
def test_the_predictor_is_exact_to_one_degree_less(order: int) -> None:
    method = methods.etdpec(order)
    linear = LINEAR["scalar"]
    plan = make_plan(linear, grid_for(method), method=method)
    for degree in range(order):
        found = trace(plan, polynomial(degree), initial(linear))
        last = plan.steps - 1
        a, b = plan.grid[-2:]
        assert found.times[last + 1] == b
        integral = linear.integrals(a, b, ROOTS[:degree], UNIT)[degree]
        expected = linear.flow(a, b) * found.states[last] + integral * FORCE
        error = np.abs(found.asked[last + 1] - expected).max()
        assert (error <= tolerance(plan.grid, degree, method.values)) == (degree < order - 1)


@each_linear
@each_etdrk
def test_runge_kutta_methods_integrate_as_many_powers_as_their_moments(
    method: Tableau, linear: Propagator
) -> None:
    plan = make_plan(linear, grid_for(method), method=method)
    moments = checks.phi_moments(method)
    for degree in range(moments):
        assert defects(plan, linear, degree).max() <= tolerance(plan.grid, degree)
    assert defects(plan, linear, moments).max() > 100 * tolerance(plan.grid, moments)


@pytest.mark.parametrize("past", range(1, 7))
def test_runge_kutta_starts_are_exact_from_the_first_step(past: int) -> None:
    """As far as the starting method is: its moments, and not the ramp's degree 0."""
    method, linear = methods.etdab(past), LINEAR["diagonal"]
    degree = {1: 0, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3}[past]
    grid = grid_for(method)
    integral = linear.integrals(grid[0], grid[-1], ROOTS[:degree], UNIT)[degree]
    expected = linear.flow(grid[0], grid[-1]) * initial(linear) + integral * FORCE
    found = end(linear, method, polynomial(degree), start="rk")
    assert np.abs(found - expected).max() <= 10 * tolerance(grid, degree, past)
    if past > 1:
        ramp = end(linear, method, polynomial(degree))
        assert np.abs(ramp - expected).max() > 1e-6


def test_fixed_weights_are_not_exact_on_an_uneven_grid() -> None:
    """The grids here tell the weights of a uniform grid from those of this one."""
    for past in range(2, 5):
        method = methods.ipndm(past)
        plan = make_plan(LINEAR["scalar"], grid_for(method), method=method)
        assert defects(plan, LINEAR["scalar"], 1)[past:].min() > 1e-6


@each_adams
def test_polynomials_notice_every_wrong_lagrange_weight(
    method: Multistep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test of the test: one weight too large by 1/97, or taken for its neighbour."""
    right = coefficients.weights_by_count
    count = method.values + (method.mode != "P")

    def error(degree: int) -> float:
        plan = make_plan(LINEAR["scalar"], grid_for(method), method=method)
        return float(defects(plan, LINEAR["scalar"], degree)[method.values - 1 :].max())

    for wrong in range(count):
        other = (wrong + 1) % count

        def slipped(*arguments: Any, wrong: int = wrong) -> Any:
            return [
                [w * (1 + (j == wrong) / 97) for j, w in enumerate(weights)]
                for weights in right(*arguments)
            ]

        def swapped(*arguments: Any, a: int = wrong, b: int = other) -> Any:
            *fewer, weights = right(*arguments)
            if max(a, b) < len(weights):
                weights[a], weights[b] = weights[b], weights[a]
            return [*fewer, weights]

        monkeypatch.setattr(coefficients, "weights_by_count", slipped)
        assert error(0) > 1e-6
        monkeypatch.setattr(coefficients, "weights_by_count", swapped)
        assert count == 1 or error(1) > 1e-6
    monkeypatch.undo()
    assert error(min(1, count - 1)) < 1e-12
