"""Order studies: errors, the asymptotic window, references, documents, and what they refuse."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from io import StringIO
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import semilinear as sl
from semilinear import (
    InvalidArgument,
    UnknownName,
    methods,
    order_study,
    problems,
    work_precision,
)
from semilinear.studies.fit import fit_order, slopes

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


def test_the_observed_order_is_that_of_the_fit() -> None:
    study = order_study("coupled", ["etd2rk", "etdab6"], steps=(5, 10, 20, 40))
    for result in study.results:
        fit = fit_order(study.steps, result.errors, window=study.window)
        assert result.observed == fit.order
        assert result.interval == (fit.low, fit.high)
        assert result.points == fit.points
        assert result.slopes == slopes(study.steps, result.errors)
        assert fit.low < result.order < fit.high


def test_n_may_reuse_its_result_and_write_to_y() -> None:
    """As in `solve`; of the given problem nothing is changed."""
    p = problems.coupled()
    buffer, before = np.empty_like(p.y0), p.y0.copy()

    def greedy(t: float, y: np.ndarray) -> np.ndarray:
        buffer[:] = p.nonlinear(t, y)
        y[:] = 0.0
        return buffer

    ladder: dict[str, Any] = {"steps": (10, 20), "start": "rk"}
    for change in ({"exact": p.exact}, {}):  # without it the reference is computed
        mine, plain = (
            order_study(without_solution(nonlinear=n, **change), ["krogstad4", "etdab4"], **ladder)
            for n in (greedy, p.nonlinear)
        )
        assert mine == plain
    np.testing.assert_array_equal(p.y0, before)


def test_the_problem_may_be_named_or_made() -> None:
    study = order_study(problems.dense(), "etd2rk", steps=(10, 20, 40))
    for problem in ("dense", problems.dense):
        assert order_study(problem, "etd2rk", steps=(10, 20, 40)) == study
    with pytest.raises(UnknownName, match="did you mean coupled"):
        order_study("coupld", "etd1")
    with pytest.raises(InvalidArgument, match=r"int has no linear, nonlinear"):
        order_study(3, "etd1")


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
    with pytest.raises(InvalidArgument, match=r"etdab6 by .*give more steps or reference="):
        order_study(rough, "etd1", steps=(5, 10))


def test_a_reference_where_the_first_check_is_not_stable() -> None:
    # The multistep method overflows; a one-step method of order four agrees, if less well.
    study = order_study(problems.burgers(), "krogstad4", steps=(10, 20, 40))
    assert "hochbruck_ostermann4 differs by" in study.reference
    assert study.window[0] == 10 * study.disagreement
    assert study.results[0].observed == pytest.approx(4, abs=0.5)


def test_a_run_that_overflows_has_an_infinite_error() -> None:
    blow_up = without_solution(nonlinear=lambda t, y: 1e150 * y * y * y)
    study = order_study(blow_up, ["etd1", "etd2rk"], steps=(10, 20), reference=np.ones(3))
    for result in study.results:
        assert result.errors == (math.inf, math.inf)
        assert math.isnan(result.observed)
        assert result.evaluations == (10 * result.order, 20 * result.order)
    row = study.table().splitlines()[5]
    assert row.split() == ["etd2rk", "2", "2", "-", "-", "inf", "inf", "40"]


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
    title, stiffness, blank, *rows = study.table().splitlines()
    assert title == "coupled, t = 0 .. 1, start='rk'; errors against the exact solution"
    assert stiffness == (
        "h |L| = 0.1 .. 0.012: not stiff, so that observed orders are classical orders"
    )
    assert blank == ""
    assert len(rows) == 3
    assert len({len(row) for row in rows}) == 1
    assert rows[0].split() == [
        *("method", "order", "stiff", "observed", "+-"),
        *("n=20", "n=40", "n=80", "n=160", "nfev"),
    ]
    cells = rows[2].split()
    result = study.results[1]
    assert cells[:3] == ["hochbruck_ostermann4", "4", "4"]
    assert float(cells[3]) == pytest.approx(result.observed, abs=0.005)
    low, high = result.interval
    assert float(cells[4]) == pytest.approx((high - low) / 2, abs=0.005)
    assert [float(c) for c in cells[5:9]] == pytest.approx(result.errors, rel=0.05)
    assert cells[9] == "800"


def test_the_table_says_what_kind_of_order_is_observed() -> None:
    study = order_study("hochbruck_ostermann_local", "etd1", steps=(10, 20))
    assert study.stiffness == pytest.approx((4 * 64**2 / 10, 4 * 64**2 / 20), rel=1e-3)
    assert "stiff, so that observed orders are stiff orders" in study.table().splitlines()[1]


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
    assert document["advice"] == list(study.advice)


def test_a_study_becomes_csv() -> None:
    study = order_study("coupled", ["etd1", "luan_ostermann5"], steps=(2, 4, 8))
    rows = list(csv.DictReader(StringIO(study.to_csv())))
    assert len(rows) == 6
    for number, row in enumerate(rows):
        result, i = study.results[number // 3], number % 3
        assert (row["problem"], row["method"]) == ("coupled", result.method)
        assert (int(row["order"]), int(row["stiff_order"])) == (result.order, result.stiff_order)
        # To the last bit; NaN is empty.
        assert number_of(row["observed"]) == pytest.approx(result.observed, rel=0, nan_ok=True)
        assert number_of(row["low"]) == pytest.approx(result.interval[0], rel=0, nan_ok=True)
        assert number_of(row["high"]) == pytest.approx(result.interval[1], rel=0, nan_ok=True)
        assert int(row["steps"]) == study.steps[i]
        assert float(row["error"]) == result.errors[i]
        assert int(row["evaluations"]) == result.evaluations[i]
        assert row["slope"] == ("" if i == 0 else repr(result.slopes[i - 1]))


def number_of(cell: str) -> float:
    return float(cell) if cell else math.nan


STEPS: list[Any] = [
    (), (10,), (20, 10), (10, 10), (0, 10), (-1, 3), (1.5, 3), (True, 3), (3, "4"), (3, None),
    (3, math.nan), (3, math.inf), (3, 4j), "34", 34, None, np.array([[3, 4]]),
]  # fmt: skip


@pytest.mark.parametrize("steps", STEPS, ids=str)
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
    with pytest.raises(InvalidArgument, match="etdpec2 to etdpec6"):
        order_study(problem, "etdpec")
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


@pytest.mark.parametrize("study", [order_study, work_precision])
@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"t_span": (0.0, 0.0)}, r"^problem: t_span=\(0\.0, 0\.0\) must be two numbers"),
        ({"t_span": 3}, "^problem: t_span=3 must be two numbers"),
        ({"y0": [1.0, 2.0, 3.0]}, "^problem: y0 must be an array of float64 .* got list"),
        ({"y0": np.array([1, 2, 3])}, "^problem: y0 must be an array of float64 .* got int64"),
        ({"y0": np.ones(3, ">f8")}, "^problem: y0 must be .* in the machine's byte order, got >f8"),
        ({"y0": None}, "^problem: y0 must be an array, got NoneType"),
        ({"linear": np.ones(3)}, "^problem: linear is a bare array"),
        ({"nonlinear": 3}, "^problem: nonlinear=3 must be a function"),
        ({"exact": 3}, "^problem: exact=3 must be a function of t, or None"),
        ({"exact": lambda t: "three"}, r"^problem: exact\(t1\) must be an array like y0"),
        ({"exact": lambda t: np.ones(2)}, r"^problem: exact\(t1\) has shape \(2,\)"),
    ],
)
def test_what_is_wrong_with_a_problem_is_named(
    study: Any, changed: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        study(without_solution(**changed), "etd1", steps=(2, 4))


@pytest.mark.parametrize("study", [order_study, work_precision])
@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"problem": 3}, "^problem=3 must be a name, a problem or a function"),
        ({"problem": lambda: 3}, "^problem=.* int has no linear"),
        ({"problem": problems.Problem}, "^problem=.* without arguments .*functools.partial"),
        ({"methods": None}, "^methods=None must be names or method objects"),
        ({"methods": b"etd1"}, "^methods=b'etd1' must be names or method objects"),
        ({"methods": ["etd1", 3]}, "^method=3 must be a name or a method object"),
        ({"reference": "x"}, "^reference must be an array like y0, of float64; got 'x'"),
        ({"reference": [[1.0], [1.0, 2.0]]}, "^reference must be an array like y0"),
        ({"reference": np.full(3, 1j)}, "^reference must be an array like y0, of float64"),
        ({"reference": np.full(3, np.nan)}, "^reference has NaN or infinite entries"),
    ],
)
def test_what_is_wrong_with_an_argument_is_named(
    study: Any, given: dict[str, Any], complaint: str
) -> None:
    arguments = {"problem": "coupled", "methods": "etd1", "steps": (2, 4), **given}
    with pytest.raises(InvalidArgument, match=complaint):
        study(**arguments)


@pytest.mark.parametrize("spacing", [3, lambda x: None, lambda x: "ab", lambda x: x * np.nan])
def test_what_is_no_spacing_is_named(spacing: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^spacing"):
        order_study("coupled", "etd1", steps=(2, 4), spacing=spacing)


@pytest.mark.parametrize("name", ["tab3", ["etd2rk", "tab3"]])
def test_names_of_samplers_are_told_how_samplers_are_studied(name: Any) -> None:
    with pytest.raises(
        UnknownName, match=r"'tab3' is not known; .* docs/extending\.md, \"A sampler"
    ):
        order_study("coupled", name)
