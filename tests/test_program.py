"""What methods on grids integrate exactly, whatever the linear part."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from runs import (
    ETDRK,
    LAWSON,
    LINEAR,
    METHODS,
    MULTISTEP,
    after,
    each_linear,
    each_method,
    each_with_start,
    end,
    grid_for,
    initial,
)
from semilinear import Dense, Diagonal, Propagator, Scalar, make_plan, methods
from semilinear.methods import Butcher, Method, Multistep, Tableau
from semilinear.stepping import run
from tolerances import assert_close

OPERATIONS = 2000
"""Of a run: up to eight steps with tens of roundings, propagated by a matrix."""

each_etdrk = pytest.mark.parametrize("method", ETDRK.values(), ids=ETDRK)
each_lawson = pytest.mark.parametrize("method", LAWSON.values(), ids=LAWSON)
ADAMS = {name: method for name, method in MULTISTEP.items() if not method.fixed}
each_adams = pytest.mark.parametrize("method", ADAMS.values(), ids=ADAMS)

FORCE = np.array([2.0, -1.0, 0.5])


@each_linear
@each_method
def test_without_a_nonlinear_part_every_method_is_exact(method: Method, linear: Propagator) -> None:
    grid = grid_for(method)
    found = end(linear, method, lambda x, t: 0 * x)
    expected = after(linear.flow(grid[0], grid[-1]), initial(linear))
    assert_close(found, expected, operations=OPERATIONS, scale=1.0)


@each_linear
@each_with_start(ETDRK | MULTISTEP)
def test_a_constant_is_integrated_exactly(method: Method, start: str, linear: Propagator) -> None:
    """By all but Lawson methods, which are exact along the flow instead (the next test)."""
    grid = grid_for(method)
    found = end(linear, method, lambda x, t: FORCE + 0 * x, start=start)
    (integral,) = linear.integrals(grid[0], grid[-1], [], 1.0)
    expected = after(linear.flow(grid[0], grid[-1]), initial(linear)) + after(integral, FORCE)
    assert_close(found, expected, operations=OPERATIONS, scale=4.0)


@each_lawson
@pytest.mark.parametrize(
    "linear",
    [Scalar(-1.3), Scalar(lambda t: -1 + 1.5 * np.cos(2 * t)), LINEAR["dense"]],
    ids=["constant", "L(t)", "dense"],
)
def test_lawson_methods_are_exact_along_the_flow(method: Tableau, linear: Propagator) -> None:
    """With N = Psi(t, t_0) w the transformed equation is v' = w, whose quadrature is exact.

    A constant N is not: it becomes Psi(t_0, t) w, which is no polynomial. Fixed points move.
    """

    grid = grid_for(method)

    def along(x: Any, t: float) -> Any:
        return after(linear.flow(grid[0], t), FORCE)

    flow = linear.flow(grid[0], grid[-1])
    expected = after(flow, initial(linear) + (grid[-1] - grid[0]) * FORCE)
    assert_close(end(linear, method, along), expected, operations=OPERATIONS, scale=20.0)

    (integral,) = linear.integrals(grid[0], grid[-1], [], 1.0)
    constant = after(flow, initial(linear)) + after(integral, FORCE)
    assert np.abs(end(linear, method, lambda x, t: FORCE) - constant).max() > 1e-10


@each_lawson
def test_lawson_methods_read_the_weight_where_they_read_n(method: Tableau) -> None:
    """With B(t) too, v' = B(t) w: a quadrature of degree 1 is exact where B is linear."""
    linear, grid = LINEAR["scalar of time"], grid_for(method)
    assert linear.input_weight(1.0) != linear.input_weight(0.0)
    found = end(linear, method, lambda x, t: linear.flow(grid[0], t) * FORCE)
    weight = sum(linear.input_weight(t) for t in (grid[0], grid[-1])) / 2
    v = initial(linear) + (grid[-1] - grid[0]) * weight * FORCE
    error = np.abs(found - linear.flow(grid[0], grid[-1]) * v).max()
    assert (error < 1e-13) == (method.order > 1)


# --- without a linear part ----------------------------------------------------------------------

NONE = {
    "scalar": Scalar(0.0),
    "scalar of time": Scalar(lambda t: 0.0 * t),
    "diagonal": Diagonal([0.0, 0.0, 0.0]),
    "dense": Dense(np.zeros((3, 3))),
}
no_linear_part = pytest.mark.parametrize("linear", NONE.values(), ids=NONE)


def coupled(x: Any, t: float) -> Any:
    """Nonlinear, coupled and non-autonomous."""
    return np.cos(t) * x[..., ::-1] * x - np.sin(x) + t


def runge_kutta(tableau: Butcher, grid: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Run a classical Runge-Kutta method."""
    for t, h in zip(grid, np.diff(grid), strict=False):
        slopes: list[np.ndarray] = []
        for c, row in zip(tableau.c, tableau.a, strict=True):
            stage = x + h * sum(float(w) * k for w, k in zip(row, slopes, strict=True))
            slopes.append(coupled(stage, t + float(c) * h))
        x = x + h * sum(float(w) * k for w, k in zip(tableau.b, slopes, strict=True))
    return x


@no_linear_part
@pytest.mark.parametrize("name", methods.CLASSICAL)
def test_lawson_is_the_classical_method(name: str, linear: Propagator) -> None:
    tableau = methods.CLASSICAL[name]
    method = methods.lawson(tableau)
    expected = runge_kutta(tableau, grid_for(method), initial(linear))
    assert_close(end(linear, method, coupled), expected, operations=OPERATIONS)


@no_linear_part
@each_etdrk
def test_exponential_runge_kutta_is_a_classical_method(method: Tableau, linear: Propagator) -> None:
    """That of the weights at z = 0."""
    a = tuple(tuple(w.series(1)[0] for w in row) for row in method.a)
    b = tuple(w.series(1)[0] for w in method.b)
    tableau = Butcher("limit", a, b, method.order, method.reference)
    assert tableau.c == method.c
    expected = runge_kutta(tableau, grid_for(method), initial(linear))
    assert_close(end(linear, method, coupled), expected, operations=OPERATIONS)


def adams_weights(times: list[Fraction], a: Fraction, b: Fraction) -> list[Fraction]:
    """Return ``int_a^b l_j`` for the Lagrange polynomials of some times, in exact arithmetic."""
    weights = []
    for j, own in enumerate(times):
        polynomial = [Fraction(1)]
        for other in times[:j] + times[j + 1 :]:
            up, down = [Fraction(0), *polynomial], [*(-other * x for x in polynomial), Fraction(0)]
            polynomial = [(u + d) / (own - other) for u, d in zip(up, down, strict=True)]
        integral = (x * (b ** (m + 1) - a ** (m + 1)) / (m + 1) for m, x in enumerate(polynomial))
        weights.append(sum(integral, Fraction(0)))
    return weights


@no_linear_part
@each_adams
def test_adams_methods_are_those_of_variable_steps(method: Multistep, linear: Propagator) -> None:
    grid = grid_for(method)
    times = [Fraction(float(t)) for t in grid]
    rows = make_plan(linear, grid, method=method).rows
    checked = 0
    for row in rows:
        slots = [name for name in row.sources if name.startswith("N")]
        if slots:
            offsets = [int(name[2:-1]) for name in slots]
            n = row.step
            exact = adams_weights([times[n + q] for q in offsets], times[n], times[n + 1])
            for found, expected in zip(row.coefficients[1:], exact, strict=True):
                matrix = np.eye(3) if linear.form == "matrix" else np.ones(np.shape(found))
                scale = max(abs(float(x)) for x in exact)
                assert_close(found, float(expected) * matrix, operations=1000, scale=scale)
            checked += 1
    assert checked == (len(grid) - 1) * (1 if method.mode == "P" else 2)


def test_a_fixed_point_stays_where_it_is() -> None:
    """N(y*) = -L y*: all methods that are exact in constants keep it; Lawson methods move it."""
    linear, fixed = LINEAR["dense"], np.array([0.3, -0.2, 0.7])
    force = -np.asarray(linear.matrix) @ fixed  # type: ignore[attr-defined]
    for name, method in METHODS.items():
        plan = make_plan(linear, grid_for(method), method=method)
        moved = np.abs(run(plan, lambda x, t: force + (x - fixed) ** 2, fixed).x - fixed).max()
        assert (moved > 1e-9) == (name in LAWSON)
