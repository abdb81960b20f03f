"""Order studies: errors, slopes, the asymptotic window, references, and what they refuse."""

from __future__ import annotations

import dataclasses
import json
import math
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import semilinear as sl
from semilinear import InvalidArgument, UnknownName, methods, problems
from semilinear.orders import observed_order, order_study, slopes

EPS = float(np.finfo(float).eps)


def without_solution(**changes: Any) -> SimpleNamespace:
    """The coupled problem as an object of another kind, whose solution is not known."""
    p = problems.coupled()
    data = {key: getattr(p, key) for key in ("linear", "nonlinear", "t_span", "y0")}
    return SimpleNamespace(**{**data, "exact": None, **changes})


def test_errors_are_those_of_solve() -> None:
    problem = problems.dense()
    study = order_study(problem, ["krogstad4", "etdab3"], steps=(10, 30), start="rk")
    exact = problem.exact(1.0)
    assert study.steps == (10, 30)
    assert [r.method for r in study.results] == ["krogstad4", "etdab3"]
    for result in study.results:
        for n, error, evaluations in zip(
            study.steps, result.errors, result.evaluations, strict=True
        ):
            solution = sl.solve(
                problem.linear,
                problem.nonlinear,
                problem.t_span,
                problem.y0,
                method=result.method,
                steps=n,
                start="rk",
            )
            expected = np.max(np.abs(solution.y[:, -1] - exact)) / np.max(np.abs(exact))
            assert abs(error - expected) <= 16 * EPS
            assert evaluations == solution.nfev


@given(
    order=st.floats(0.5, 6.0),
    first=st.floats(1e-4, 1e-3),
    steps=st.lists(st.integers(1, 50), min_size=2, max_size=5, unique=True).map(sorted),
)
def test_slopes_of_a_pure_power(order: float, first: float, steps: list[int]) -> None:
    errors = [first * (steps[0] / n) ** order for n in steps]
    for slope in slopes(steps, errors):
        assert slope == pytest.approx(order, rel=1e-9)
    assert observed_order(steps, errors, window=(0.0, 1.0)) == pytest.approx(order, rel=1e-9)


def test_slopes_without_a_number() -> None:
    found = slopes((1, 2, 4, 8), (math.inf, 1.0, 0.25, 0.0))
    assert math.isnan(found[0])
    assert found[1] == 2
    assert math.isnan(found[2])


def test_the_observed_order_is_the_median_within_the_window() -> None:
    steps = (1, 2, 4, 8, 16, 32)
    # The first is too coarse, the last two are rounding.
    errors = (1.0, 1e-2, 1e-2 / 2**3, 1e-2 / 2**7, 1e-14, 2e-14)
    assert observed_order(steps, errors, window=(1e-12, 1e-2)) == pytest.approx(3.5)
    # One point alone makes no slope, nor do two that are not neighbours.
    assert math.isnan(observed_order(steps, errors, window=(9e-3, 1e-2)))
    assert math.isnan(observed_order((1, 2, 4), (1e-3, math.inf, 1e-4), window=(1e-9, 1e-2)))


def test_the_window_depends_on_the_dtype(xp: ModuleType) -> None:
    problem = problems.coupled()
    for dtype in ("float32", "float64"):
        y0 = xp.asarray(problem.y0, dtype=getattr(xp, dtype))
        study = order_study(dataclasses.replace(problem, y0=y0), "etd2rk", steps=(10, 20, 40))
        assert study.window == (1e3 * float(np.finfo(dtype).eps), 1e-2)
        assert study.results[0].observed == pytest.approx(2, abs=0.25)


def test_a_given_reference_goes_before_the_exact_solution() -> None:
    problem = problems.coupled()
    end = problem.exact(1.0)
    study = order_study(problem, "etd1", steps=(10, 20), reference=2 * end)
    assert study.reference == "a given value"
    assert study.results[0].errors[0] == pytest.approx(0.5, abs=0.1)
    given = order_study(without_solution(), "etd1", steps=(10, 20), reference=end)
    known = order_study(problem, "etd1", steps=(10, 20))
    assert given.results[0].errors == known.results[0].errors


def test_a_computed_reference_agrees_with_the_exact_solution() -> None:
    known = order_study(problems.coupled(), ["etd2rk", "hochbruck_ostermann4"], steps=(10, 20, 40))
    study = order_study(without_solution(), ["etd2rk", "hochbruck_ostermann4"], steps=(10, 20, 40))
    assert study.problem == "SimpleNamespace"
    assert known.disagreement is None
    assert 0 <= study.disagreement <= 1e-10
    assert "luan_ostermann5 with 320 steps" in study.reference
    assert study.window == (max(1e3 * EPS, 10 * study.disagreement), 1e-2)
    for ours, exact in zip(study.results, known.results, strict=True):
        assert ours.errors == pytest.approx(exact.errors, abs=study.window[0])
        assert ours.observed == pytest.approx(exact.observed, abs=0.05)


def test_a_reference_that_cannot_be_trusted_is_refused() -> None:
    # A jump that no step size resolves: both methods are of order one at best.
    rough = without_solution(nonlinear=lambda t, y: np.sign(np.sin(40 * t + y)) - y)
    with pytest.raises(InvalidArgument, match=r"differ by .*give more steps or reference="):
        order_study(rough, "etd1", steps=(5, 10))


def test_a_run_that_overflows_has_an_infinite_error() -> None:
    blow_up = without_solution(nonlinear=lambda t, y: 1e150 * y * y * y)
    study = order_study(blow_up, ["etd1", "etd2rk"], steps=(10, 20), reference=np.ones(3))
    for result in study.results:
        assert result.errors == (math.inf, math.inf)
        assert math.isnan(result.observed)
        assert result.evaluations == (10 * result.order, 20 * result.order)
    assert study.table().splitlines()[-1].split() == ["etd2rk", "2", "2", "-", "inf", "inf", "40"]


def test_a_vanishing_solution_has_absolute_errors() -> None:
    problem = without_solution(exact=lambda t: np.zeros(3))
    end = sl.solve(
        problem.linear, problem.nonlinear, problem.t_span, problem.y0, method="etd1", steps=10
    ).y[:, -1]
    result = order_study(problem, "etd1", steps=(10, 20)).results[0]
    assert result.errors[0] == pytest.approx(np.max(np.abs(end)))


def test_spacing_sets_the_grid() -> None:
    asked: list[float] = []

    def nonlinear(t: float, y: Any) -> Any:
        asked.append(t)
        return 0 * y

    problem = without_solution(nonlinear=nonlinear, t_span=(2.0, 0.0))
    order_study(problem, "etd1", steps=(2, 4), reference=np.ones(3), spacing=lambda x: x**2)
    assert asked == [2.0, 1.5, 2.0, 1.875, 1.5, 0.875]


def test_methods_may_be_one_name_or_objects() -> None:
    problem = problems.coupled()
    own = methods.lawson(methods.butcher.SSP3)
    study = order_study(problem, ["ETDRK4", own, methods.etdab(2)], steps=(20, 40))
    assert [r.method for r in study.results] == ["etd4rk", "lawson(ssp3)", "etdab2"]
    for alone in ("etd4rk", methods.get("etd4rk")):
        assert order_study(problem, alone, steps=(20, 40)).results == study.results[:1]


def test_the_table_lines_up() -> None:
    study = order_study(problems.coupled(), ["etd1", "hochbruck_ostermann4"], start="rk")
    title, blank, *rows = study.table().splitlines()
    assert title == "coupled, t = 0 .. 1, start='rk'; errors against the exact solution"
    assert blank == ""
    assert len(rows) == 3
    assert len({len(row) for row in rows}) == 1
    assert rows[0].split() == [
        *("method", "order", "stiff", "observed"),
        *("n=20", "n=40", "n=80", "n=160", "nfev"),
    ]
    cells = rows[2].split()
    result = study.results[1]
    assert cells[:3] == ["hochbruck_ostermann4", "4", "4"]
    assert float(cells[3]) == pytest.approx(result.observed, abs=0.005)
    assert [float(c) for c in cells[4:8]] == pytest.approx(result.errors, rel=0.05)
    assert cells[8] == "800"


def test_a_study_is_frozen_and_becomes_json() -> None:
    study = order_study(problems.coupled(), ["etd1", "luan_ostermann5"], steps=(2, 4))
    with pytest.raises(dataclasses.FrozenInstanceError):
        study.steps = ()
    document = json.loads(study.to_json())
    assert document == study.to_dict()
    assert document["problem"] == "coupled"
    assert document["steps"] == [2, 4]
    first, second = document["results"]
    # NaN is not JSON.
    assert first["observed"] is None
    assert second["errors"] == list(study.results[1].errors)
    assert second["evaluations"] == [16, 32]


@pytest.mark.parametrize("steps", [(), (10,), (20, 10), (10, 10), (0, 10), (-1, 3), (1.5, 3)])
def test_steps_must_be_a_ladder(steps: Any) -> None:
    with pytest.raises(InvalidArgument, match="steps="):
        order_study(problems.coupled(), "etd1", steps=steps)


def test_numpy_integers_are_steps() -> None:
    study = order_study(problems.coupled(), "etd1", steps=np.array([2, 4]))
    assert study.steps == (2, 4)
    assert json.loads(study.to_json())["steps"] == [2, 4]


def test_bad_arguments_are_refused() -> None:
    problem = problems.coupled()
    with pytest.raises(UnknownName, match="did you mean"):
        order_study(problem, ["etd4"])
    with pytest.raises(InvalidArgument, match="methods is empty"):
        order_study(problem, [])
    with pytest.raises(InvalidArgument, match="start="):
        order_study(problem, "etdab2", start="jump")
    with pytest.raises(InvalidArgument, match=r"reference has shape \(2,\).*\(3,\)"):
        order_study(problem, "etd1", reference=np.ones(2))
    for spacing in (lambda x: 2 * x, lambda x: x + 0.1, lambda x: x[:-1]):
        with pytest.raises(InvalidArgument, match="spacing"):
            order_study(problem, "etd1", spacing=spacing)
    with pytest.raises(InvalidArgument, match="increasing"):
        order_study(problem, "etd1", spacing=lambda x: x - 0.9 * np.sin(2 * np.pi * x))
