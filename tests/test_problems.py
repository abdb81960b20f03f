"""Problems: their solutions solve them, their N depends on all of y, on any array library."""

from __future__ import annotations

from dataclasses import fields
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semilinear import (
    Dense,
    Diagonal,
    InvalidArgument,
    Scalar,
    UnknownName,
    order_study,
    problems,
)
from semilinear.problems import Problem
from tolerances import to_numpy

COUPLED = ("coupled", "complex_diagonal", "time_dependent", "dense")
PARABOLIC = ("hochbruck_ostermann_local", "hochbruck_ostermann_integral", "prothero_robinson")
CLOSED = COUPLED + PARABOLIC

each_problem = pytest.mark.parametrize("name", CLOSED)


def linear_part(problem: Problem, t: float, y: np.ndarray) -> np.ndarray:
    """L(t) y from what the propagator was made of, not from its flow."""
    linear = problem.linear
    if isinstance(linear, Diagonal):
        return linear.eigenvalues * y
    if isinstance(linear, Dense):
        return linear.matrix @ y
    assert isinstance(linear, Scalar)
    return (linear.rate(t) if callable(linear.rate) else linear.rate) * y


def jacobian(problem: Problem, t: float, y: np.ndarray) -> np.ndarray:
    """dN/dy by differences, one column for each real or imaginary part of an entry."""
    step = 1e-6
    directions = [
        d * unit for d in np.eye(len(y)) for unit in ([1, 1j] if y.dtype == complex else [1])
    ]
    columns = [
        (problem.nonlinear(t, y + step * d) - problem.nonlinear(t, y - step * d)) / (2 * step)
        for d in directions
    ]
    return np.stack(columns, axis=-1)


def test_each_name_makes_the_problem_of_that_name() -> None:
    assert problems.names() == sorted(problems.names())
    for name in problems.names():
        assert problems.get(name).name == name
        assert problems.get(name.upper()).name == name


def test_an_unknown_name_says_which_are_near() -> None:
    with pytest.raises(UnknownName, match="hochbruck_ostermann_local"):
        problems.get("hochbruck_ostermann")
    with pytest.raises(UnknownName, match=r"known: allen_cahn, .*complex_diagonal, coupled"):
        problems.get("")


def test_until_changes_the_end_only() -> None:
    problem = problems.coupled()
    shorter = problem.until(0.5)
    assert shorter.t_span == (0.0, 0.5)
    others = [f.name for f in fields(problem) if f.name != "t_span"]
    assert all(getattr(shorter, name) is getattr(problem, name) for name in others)
    for end in (0.0, float("nan"), float("inf"), "a", None):
        with pytest.raises(InvalidArgument, match=r"t1=.* other than t0 = 0"):
            problem.until(end)


@each_problem
def test_the_run_begins_at_the_solution(name: str) -> None:
    problem = problems.get(name)
    assert np.array_equal(problem.exact(problem.t_span[0]), problem.y0)
    assert problem.y0.dtype == (complex if name == "complex_diagonal" else float)
    problem.linear.check_state(problem.y0.shape, problem.y0.dtype == complex, argument="y0")


@each_problem
@given(place=st.floats(0.1, 0.9))
def test_the_exact_solution_solves_the_problem(name: str, place: float) -> None:
    problem = problems.get(name)
    t0, t1 = problem.t_span
    t = t0 + place * (t1 - t0)
    y = problem.exact(t)
    step = 1e-3
    # A difference of order six: 1e-18 of a seventh derivative below 1e5, and rounding / step.
    weights = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    slope = sum(
        w * (problem.exact(t + k * step) - problem.exact(t - k * step)) for k, w in weights.items()
    )
    parts = [
        linear_part(problem, t, y),
        problem.linear.input_weight(t) * problem.nonlinear(t, y),
    ]
    scale = max(1.0, *(float(np.max(np.abs(part))) for part in parts))
    # The matrix of second differences has entries far above what it makes of a smooth state.
    if isinstance(problem.linear, Dense):
        scale = max(scale, float(np.max(np.abs(problem.linear.matrix))))
    error = float(np.max(np.abs(slope / step - sum(parts))))
    assert error <= 1e-11 + 8 * np.finfo(float).eps * scale


@pytest.mark.parametrize("name", COUPLED)
def test_problems_that_expose_faults_are_coupled_and_nonautonomous(name: str) -> None:
    problem = problems.get(name)
    t = 0.4
    y = problem.exact(t)
    dependence = jacobian(problem, t, y)
    assert np.max(np.abs(dependence)) >= 0.5
    size = len(y)
    per_entry = np.abs(dependence).reshape(size, size, -1).max(axis=-1)
    # Every entry of N looks at another entry of y, and every entry of y is looked at.
    others = per_entry * (1 - np.eye(size))
    assert (others.max(axis=1) >= 0.05).all()
    assert (per_entry.max(axis=0) >= 0.05).all()
    later = jacobian(problem, t + 0.2, y)
    assert np.max(np.abs(later - dependence)) >= 0.05


def test_the_linear_parts_are_as_announced() -> None:
    assert np.isrealobj(problems.coupled().linear.eigenvalues)
    assert np.iscomplexobj(problems.complex_diagonal().linear.eigenvalues)
    scalar = problems.time_dependent().linear
    assert callable(scalar.rate)
    assert callable(scalar.weight)
    matrix = problems.dense().linear.matrix
    assert np.max(np.abs(matrix @ matrix.T - matrix.T @ matrix)) >= 1


@pytest.mark.parametrize("name", [n for n in CLOSED if n != "complex_diagonal"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_array_library_dtype_and_batch(name: str, dtype: str, xp: ModuleType) -> None:
    problem = problems.get(name)
    t = 0.3
    batch = np.stack([problem.exact(t), 1.01 * problem.exact(t)])
    y = xp.asarray(batch, dtype=getattr(xp, dtype))
    n = problem.nonlinear(t, y)
    assert type(n) is type(y)
    assert n.dtype == y.dtype
    expected = np.stack([problem.nonlinear(t, row) for row in batch])
    scale = np.max(np.abs(expected)) + np.max(np.abs(problem.nonlinear(t, 0 * problem.y0)))
    tolerance = 32 * float(xp.finfo(y.dtype).eps) * scale
    assert np.max(np.abs(to_numpy(n) - expected)) <= tolerance


def test_complex_states_of_any_array_library(xp: ModuleType) -> None:
    problem = problems.complex_diagonal()
    y = xp.asarray(np.stack([problem.y0, 1j * problem.y0]), dtype=xp.complex128)
    n = problem.nonlinear(0.3, y)
    assert type(n) is type(y)
    assert n.dtype == y.dtype
    alone = problem.nonlinear(0.3, 1j * problem.y0)
    assert np.max(np.abs(to_numpy(n)[1] - alone)) <= 32 * np.finfo(float).eps * 10


@pytest.mark.parametrize("form", ["local", "integral"])
def test_second_differences_leave_the_error_to_time(form: str) -> None:
    # Errors far below that of a discretised u_xx on so few points.
    problem = problems.hochbruck_ostermann(form=form, points=9)
    result = order_study(problem, "luan_ostermann5", steps=(16, 32)).results[0]
    assert result.errors[-1] <= 1e-9


def test_the_integral_form_violates_the_boundary_condition() -> None:
    local = problems.hochbruck_ostermann(form="local")
    integral = problems.hochbruck_ostermann(form="integral")
    assert np.all(jacobian(integral, 0.0, integral.y0) > 0), "every point looks at every other"
    dependence = jacobian(local, 0.0, local.y0)
    assert np.all(dependence[~np.eye(len(local.y0), dtype=bool)] == 0)


# N is as large as L here, so that methods fall below even their stiff order.
@pytest.mark.parametrize(
    ("method", "order"),
    [
        ("etd2rk", 1.0),
        ("krogstad4", 2.0),
        ("hochbruck_ostermann4", 2.0),
        ("luan_ostermann5", 3.0),
        ("etdab3", 3.0),
    ],
)
def test_prothero_robinson_lowers_the_order(method: str, order: float) -> None:
    study = order_study(problems.prothero_robinson(), method, steps=(32, 64, 128), start="rk")
    assert study.results[0].observed == pytest.approx(order, abs=0.15)


def test_lawson_methods_fail_on_prothero_robinson() -> None:
    study = order_study(problems.prothero_robinson(), "lawson4", steps=(32, 64))
    assert min(study.results[0].errors) > 10


def test_prothero_robinson_without_stiffness_has_the_full_order() -> None:
    study = order_study(problems.prothero_robinson(rate=-1.0), "krogstad4")
    assert study.results[0].observed >= 3.75


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: problems.hochbruck_ostermann(form="global"), "form='global'.*'local'"),
        (lambda: problems.hochbruck_ostermann(points=1), "points=1 must be"),
        (lambda: problems.hochbruck_ostermann(points=3.5), r"points=3\.5 must be"),
        (lambda: problems.prothero_robinson(rate=0.0), "rate=0"),
        (lambda: problems.prothero_robinson(rate=float("nan")), "rate=nan"),
    ],
)
def test_bad_parameters_are_refused(make: object, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()
