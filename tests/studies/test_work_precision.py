"""Work-precision studies: their runs are those of `solve`, their documents hold all."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from io import StringIO
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import semilinear as sl
from semilinear import InvalidArgument, UnknownName, problems, work_precision
from semilinear.studies import Curve, Point, WorkPrecision

EPS = float(np.finfo(float).eps)


def study_of(*curves: Curve) -> WorkPrecision:
    return WorkPrecision("made up", (0.0, 1.0), "rk", 1, "alone", "nothing", None, curves)


def curve_of(name: str, *runs: tuple[int, float], adaptive: bool = False) -> Curve:
    points = tuple(Point(None, work, 0, 4 * work, work / 100, error) for work, error in runs)
    return Curve(name, 4, adaptive, points)


@pytest.mark.parametrize("adaptive", [False, True])
def test_points_are_those_of_solve(adaptive: bool) -> None:
    p = problems.dense()
    levels: Any = {"tolerances": (1e-3, 1e-6)} if adaptive else {"steps": (10, 30)}
    (curve,) = work_precision(p, "zoto_bowman43", repeats=1, **levels).curves
    assert (curve.method, curve.order, curve.adaptive) == ("zoto_bowman43", 4, adaptive)
    exact = p.exact(1.0)
    for point, level in zip(curve.points, *levels.values(), strict=True):
        atol = level * np.max(np.abs(p.y0))
        how = {"rtol": level, "atol": atol} if adaptive else {"steps": level}
        options: dict[str, Any] = {"method": "zoto_bowman43", "t_eval": [1.0], **how}
        done = sl.solve(p.linear, p.nonlinear, p.t_span, p.y0, **options)
        error = np.max(np.abs(done.y[..., -1] - exact)) / np.max(np.abs(exact))
        assert abs(point.error - error) <= 16 * EPS
        assert point.evaluations == done.nfev
        assert (point.steps, point.rejected) == (done.stats["steps"], done.stats["rejected"])
        assert point.tolerance == (level if adaptive else None)
        assert point.seconds > 0


def test_errors_are_those_of_an_order_study() -> None:
    names = ["etd2rk", "etdab3"]
    orders = sl.order_study("time_dependent", names, steps=(10, 20, 40))
    work = work_precision("time_dependent", names, steps=(10, 20, 40), repeats=0)
    for result, curve in zip(orders.results, work.curves, strict=True):
        assert [p.error for p in curve.points] == pytest.approx(result.errors, rel=1e-9)
        assert tuple(p.evaluations for p in curve.points) == result.evaluations
        assert all(math.isnan(p.seconds) for p in curve.points)


def test_smaller_tolerances_take_more_work_and_leave_smaller_errors() -> None:
    study = work_precision(
        "coupled", ["zoto_bowman43", "zoto_bowman32"], tolerances=(1e-2, 1e-5, 1e-8), repeats=0
    )
    for curve in study.curves:
        for coarse, fine in zip(curve.points, curve.points[1:], strict=False):
            assert fine.evaluations > coarse.evaluations
            assert fine.error < coarse.error / 10


def test_which_curves_there_are() -> None:
    names = ["zoto_bowman43", "etdab4"]
    options: dict[str, Any] = {"repeats": 0}
    both = work_precision("coupled", names, steps=(4, 8), tolerances=(1e-2,), **options)
    assert [c.label for c in both.curves] == ["zoto_bowman43", "zoto_bowman43, adaptive", "etdab4"]
    neither = work_precision("coupled", names, **options)
    assert [c.label for c in neither.curves] == [c.label for c in both.curves]
    assert [p.steps for p in neither.curves[0].points] == [20, 40, 80, 160]
    assert [p.tolerance for p in neither.curves[1].points] == [1e-3, 1e-4, 1e-5, 1e-6, 1e-7]
    fixed = work_precision("coupled", names, steps=(4, 8), **options)
    assert [c.label for c in fixed.curves] == names
    adaptive = work_precision("coupled", "zoto_bowman43", tolerances=(1e-2,), **options)
    assert [c.label for c in adaptive.curves] == ["zoto_bowman43, adaptive"]
    variable = work_precision("coupled", ["etdpec", "zoto_bowman43"], **options)
    labels = ["etdpec, adaptive", "zoto_bowman43", "zoto_bowman43, adaptive"]
    assert [c.label for c in variable.curves] == labels


def test_an_estimate_that_does_not_see_time_is_left_out_unless_asked_for() -> None:
    options: dict[str, Any] = {"repeats": 0}
    (alone,) = work_precision("coupled", "krogstad4", **options).curves
    assert alone.label == "krogstad4"
    with pytest.raises(InvalidArgument, match="does not see a change of N with time"):
        work_precision("coupled", "krogstad4", tolerances=(1e-3,), **options)
    # N of a conservation law has no t in it.
    waves = problems.burgers(points=32)
    (asked,) = work_precision(waves, "krogstad4", tolerances=(1e-3,), **options).curves
    assert asked.label == "krogstad4, adaptive"


def test_a_computed_reference() -> None:
    problem = dataclasses.replace(problems.coupled(), exact=None)
    study = work_precision(problem, "zoto_bowman43", steps=(10, 20), tolerances=(1e-4,), repeats=0)
    assert study.reference.startswith("luan_ostermann5 with 160 steps")
    known = work_precision(
        "coupled", "zoto_bowman43", steps=(10, 20), tolerances=(1e-4,), repeats=0
    )
    for ours, exact in zip(study.curves, known.curves, strict=True):
        for a, b in zip(ours.points, exact.points, strict=True):
            assert a.error == pytest.approx(b.error, abs=10 * study.disagreement + 1e3 * EPS)


def test_a_run_that_fails_is_an_infinite_error() -> None:
    problem = dataclasses.replace(
        problems.coupled(), nonlinear=lambda t, y: 1e150 * y * y * y, exact=None
    )
    end = np.ones(3)
    (curve,) = work_precision(problem, "etd1", steps=(10, 20), reference=end).curves
    assert [p.error for p in curve.points] == [math.inf, math.inf]
    assert all(math.isnan(p.seconds) for p in curve.points)


def test_the_state_may_be_of_any_library(xp: ModuleType) -> None:
    p = dataclasses.replace(problems.coupled(), y0=xp.asarray(problems.coupled().y0))
    (curve,) = work_precision(p, "etd2rk", steps=(10, 20), repeats=1).curves
    (known,) = work_precision("coupled", "etd2rk", steps=(10, 20), repeats=1).curves
    for ours, theirs in zip(curve.points, known.points, strict=True):
        assert ours.error == pytest.approx(theirs.error, rel=1e-6)


def test_the_work_at_an_error_is_interpolated() -> None:
    study = study_of(
        curve_of("power", (10, 1e-2), (100, 1e-6), (1000, 1e-10)),
        curve_of("coarse", (10, 1e-1), (20, 1e-2)),
        curve_of("broken", (10, math.inf), (20, 1e-3), (40, 1e-5), adaptive=True),
    )
    found = study.work_at(1e-4, measure="steps")
    assert list(found) == ["power", "coarse", "broken, adaptive"]
    assert found["power"] == pytest.approx(10**1.5)
    assert math.isnan(found["coarse"])
    assert found["broken, adaptive"] == pytest.approx(20 * 2**0.5)
    assert study.work_at(1e-4)["power"] == pytest.approx(4 * 10**1.5)
    assert study.work_at(1e-4, measure="seconds")["power"] == pytest.approx(10**1.5 / 100)
    with pytest.raises(UnknownName, match="measure="):
        study.work_at(1e-4, measure="minutes")
    for error in (0.0, -1.0, math.nan, math.inf, "a", None):
        with pytest.raises(InvalidArgument, match="error="):
            study.work_at(error)


def test_documents_hold_all() -> None:
    study = work_precision("coupled", ["zoto_bowman43", "etd1"], steps=(2, 4), tolerances=(1e-3,))
    document = json.loads(study.to_json())
    assert document == study.to_dict()
    rebuilt = tuple(
        Curve(**{**c, "points": tuple(Point(**p) for p in c["points"])})
        for c in document.pop("curves")
    )
    document["t_span"] = tuple(document["t_span"])
    assert WorkPrecision(**document, curves=rebuilt) == study
    rows = list(csv.DictReader(StringIO(study.to_csv())))
    points = [(curve, point) for curve in study.curves for point in curve.points]
    assert len(rows) == len(points) == 5
    for row, (curve, point) in zip(rows, points, strict=True):
        assert (row["problem"], row["method"]) == ("coupled", curve.method)
        assert row["adaptive"] == str(curve.adaptive)
        assert row["tolerance"] == ("" if point.tolerance is None else repr(point.tolerance))
        assert float(row["error"]) == point.error
        assert float(row["seconds"]) == point.seconds
        assert int(row["evaluations"]) == point.evaluations


def test_the_table_lines_up() -> None:
    study = work_precision("coupled", ["zoto_bowman43", "etd1"], steps=(2, 40), tolerances=(1e-3,))
    title, timing, blank, *rows = study.table().splitlines()
    assert title == "coupled, t = 0 .. 1; errors against the exact solution"
    assert timing == "seconds: median of 3"
    assert blank == ""
    assert len({len(row) for row in rows}) == 1
    assert rows[0].split() == ["method", "rtol", "steps", "rejected", "nfev", "seconds", "error"]
    assert rows[2].split()[:5] == ["zoto_bowman43", "-", "40", "0", "200"]
    assert rows[3].split()[:2] == ["zoto_bowman43", "1e-03"]
    none = work_precision("coupled", "etd1", steps=(2, 4), repeats=0).table()
    assert "seconds: not measured" in none
    assert none.splitlines()[-1].split()[5] == "-"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"steps": (20, 10)}, r"steps=\(20, 10\) must be one or more positive integers"),
        ({"steps": ()}, "one or more"),
        ({"tolerances": (1e-3, 1e-2)}, "must be positive and decrease"),
        ({"tolerances": (1e-3, 0.0)}, "must be positive and decrease"),
        ({"tolerances": (math.inf, 1e-3)}, "must be positive and decrease"),
        ({"tolerances": ()}, "tolerances is empty"),
        ({"tolerances": (1e-3, "1e-4")}, "must be positive and decrease"),
        ({"tolerances": (1e-3, math.nan)}, "must be positive and decrease"),
        ({"tolerances": 1e-3}, "tolerances=0.001 must be positive and decrease"),
        ({"tolerances": (1e-3, 1e-18)}, r"tolerances=.* must be 2\.2e-15 or more, ten machine"),
        ({"steps": (10, "20")}, "steps="),
        ({"steps": 10}, "steps=10 must be one or more positive integers"),
        ({"repeats": -1}, "repeats=-1 must be a whole number of at least 0"),
        ({"repeats": 1.5}, "repeats=1.5"),
        ({"repeats": "three"}, "repeats='three' must be a whole number"),
        ({"repeats": None}, "repeats=None must be a whole number"),
        ({"repeats": True}, "repeats=True must be a whole number"),
        ({"repeats": math.nan}, "repeats=nan must be a whole number"),
        ({"executor": 3}, "executor=3 must be an object of type concurrent"),
        ({"compiled": True}, "compiled=True: the problem coupled has no compiled N"),
        ({"reference": np.ones(2)}, r"reference has shape \(2,\)"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        work_precision(problems.coupled(), "zoto_bowman43", **options)


def test_tolerances_need_an_estimate() -> None:
    with pytest.raises(InvalidArgument, match=r"etdab4, etd1: no estimate .*give steps="):
        work_precision("coupled", ["etdab4", "zoto_bowman43", "etd1"], tolerances=(1e-3,))
    with pytest.raises(InvalidArgument, match=r"etdpec: the order is chosen .*give tolerances="):
        work_precision("coupled", ["etdpec", "zoto_bowman43"], steps=(4, 8))
    with pytest.raises(InvalidArgument, match="methods is empty"):
        work_precision("coupled", [])
    with pytest.raises(InvalidArgument, match="tolerances: none of these methods estimates"):
        work_precision("coupled", ["etdab4", "etd1"], steps=(4, 8), tolerances=(1e-3,))
    with pytest.raises(InvalidArgument, match="steps: all of these methods choose steps"):
        work_precision("coupled", "etdpec", steps=(4, 8), tolerances=(1e-3,))


@pytest.mark.parametrize("problem", [3, object(), dict])
def test_what_is_no_problem_is_refused(problem: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"must be a name, a problem or a function"):
        work_precision(problem, "etd1")
