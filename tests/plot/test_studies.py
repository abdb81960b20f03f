"""Pictures of studies: what is drawn, where the legend stands, and no state of pyplot."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from semilinear import InvalidArgument, UnknownName, methods, order_study, problems, work_precision
from semilinear.plot import error_plot, order_plot, work_precision_plot
from semilinear.studies import Curve, MethodOrder, OrderStudy, Point, WorkPrecision

SIZES = (10, 20, 40)


def study_of(*results: MethodOrder) -> OrderStudy:
    return OrderStudy(
        problem="made up",
        t_span=(0.0, 1.0),
        steps=SIZES,
        start="rk",
        stiffness=(0.1, 0.05, 0.025),
        reference="nothing",
        disagreement=None,
        window=(1e-13, 1e-2),
        results=results,
        advice=(),
    )


def result_of(name: str, errors: tuple[float, ...], *, order: int = 2) -> MethodOrder:
    nan = float("nan")
    return MethodOrder(name, order, order, nan, (nan, nan), 0, errors, (order, order), (10, 20, 40))


def curves(figure: Figure) -> dict[str, np.ndarray]:
    """The lines that the legend names, by label."""
    lines = figure.axes[0].get_lines()
    return {
        str(line.get_label()): line.get_xydata()
        for line in lines
        if not str(line.get_label()).startswith("_")
    }


def slope_labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_order_plot_draws_each_method(tmp_path: Path) -> None:
    names = ["etd1", "etd2rk", "krogstad4"]
    study = order_study(problems.coupled(), names)
    path = tmp_path / "orders.png"
    figure = order_plot(study, path)
    drawn = curves(figure)
    assert list(drawn) == [
        "etd1 (1.00)",
        "etd2rk (2.00)",
        f"krogstad4 ({study.results[2].observed:.2f})",
    ]
    for result, points in zip(study.results, drawn.values(), strict=True):
        assert points[:, 0] == pytest.approx([1 / 20, 1 / 40, 1 / 80, 1 / 160])
        assert points[:, 1] == pytest.approx(result.errors)
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert slope_labels(figure) == ["slope 1", "slope 2", "slope 4"]
    assert imread(path).shape[2] == 4


def test_reference_lines_have_their_slopes_and_stay_in_the_picture() -> None:
    # Order six falls below the picture, which spans little.
    results = [result_of(f"m{p}", (1e-3, 1e-4, 1e-5), order=p) for p in (1, 3, 6)]
    axes = order_plot(study_of(*results)).axes[0]
    dashed = [line for line in axes.get_lines() if str(line.get_label()).startswith("_")]
    low, high = axes.get_ylim()
    for line, order in zip(dashed, (1, 3, 6), strict=True):
        (x0, y0), (x1, y1) = line.get_xydata()
        assert np.log(y0 / y1) / np.log(x0 / x1) == pytest.approx(order)
        assert low < y1 < y0 < high


def test_all_methods_are_told_apart_and_the_legend_is_outside() -> None:
    results = [result_of(name, (1e-2, 1e-3, 1e-4)) for name in methods.names()]
    figure = order_plot(study_of(*results))
    named = [x for x in figure.axes[0].get_lines() if not str(x.get_label()).startswith("_")]
    assert len({(x.get_marker(), x.get_color()) for x in named}) == len(methods.names())
    figure.canvas.draw()
    (legend,) = figure.legends
    renderer = figure.canvas.get_renderer()
    box = legend.get_window_extent(renderer)
    assert not box.overlaps(figure.axes[0].get_window_extent(renderer))
    assert box.y0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert len(legend.get_texts()) == len(methods.names())


def test_errors_that_have_no_logarithm_are_left_out(tmp_path: Path) -> None:
    infinite = float("inf")
    figure = order_plot(
        study_of(
            result_of("some", (infinite, 1e-3, 0.0)),
            result_of("huge", (1e300, 1e90, 1e80)),
            result_of("none", (infinite,) * 3),
        ),
        tmp_path / "orders.png",
    )
    assert [len(points) for points in curves(figure).values()] == [1, 2, 0]
    assert figure.axes[0].get_ylim()[1] == pytest.approx(100)
    order_plot(study_of(result_of("none", (infinite,) * 3)), tmp_path / "empty.png")


def test_error_plot_sorts_by_cost(tmp_path: Path) -> None:
    rows = [("a", 40, 1e-4), ("b", 10, 0.5), ("a", 10, 1e-2), ("a", 20, 1e-3), ("b", 20, 0.1)]
    path = tmp_path / "cost.svg"
    figure = error_plot(rows, path, title="a title", ylabel="FID")
    drawn = curves(figure)
    assert drawn["a"].tolist() == [[10, 1e-2], [20, 1e-3], [40, 1e-4]]
    assert drawn["b"].tolist() == [[10, 0.5], [20, 0.1]]
    axes = figure.axes[0]
    assert (axes.get_title(), axes.get_ylabel()) == ("a title", "FID")
    assert path.read_text().startswith("<?xml")


def test_work_precision_plot_draws_each_curve(tmp_path: Path) -> None:
    study = work_precision(
        "coupled", ["zoto_bowman43", "etd1"], steps=(4, 8), tolerances=(1e-2, 1e-3), repeats=1
    )
    for measure, label in (
        ("evaluations", "evaluations of N"),
        ("seconds", "seconds"),
        ("steps", "steps"),
    ):
        path = tmp_path / f"{measure}.png"
        figure = work_precision_plot(study, path, measure=measure)
        drawn = curves(figure)
        assert list(drawn) == ["zoto_bowman43", "zoto_bowman43, adaptive", "etd1"]
        for curve, points in zip(study.curves, drawn.values(), strict=True):
            assert points[:, 0] == pytest.approx([getattr(p, measure) for p in curve.points])
            assert points[:, 1] == pytest.approx([p.error for p in curve.points])
        axes = figure.axes[0]
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert axes.get_xlabel() == label
        assert axes.get_title() == "coupled, t = 0 .. 1"
        assert imread(path).shape[2] == 4


def test_adaptive_steps_share_the_colour_and_are_dashed() -> None:
    study = work_precision("coupled", "zoto_bowman43", repeats=0)
    fixed, adaptive = work_precision_plot(study).axes[0].get_lines()
    assert fixed.get_color() == adaptive.get_color()
    assert fixed.get_marker() == adaptive.get_marker()
    assert (fixed.get_linestyle(), adaptive.get_linestyle()) == ("-", "--")


def test_seconds_of_an_executor_are_marked_and_missing_ones_refused() -> None:
    curve = Curve("etd1", 1, False, (Point(None, 4, 0, 4, 0.5, 1e-2), Point(None, 8, 0, 8, 1, 0.0)))
    known = ("made up", (0.0, 1.0), "rk")
    shared = WorkPrecision(*known, 1, "shared", "nothing", None, (curve,))
    axes = work_precision_plot(shared, measure="seconds").axes[0]
    assert axes.get_xlabel() == "seconds, while other solves ran"
    # An error of 0 has no logarithm.
    assert len(axes.get_lines()[0].get_xydata()) == 1
    none = WorkPrecision(*known, 0, "alone", "nothing", None, (curve,))
    with pytest.raises(InvalidArgument, match="the study has none"):
        work_precision_plot(none, measure="seconds")
    with pytest.raises(UnknownName, match="measure='minutes'"):
        work_precision_plot(none, measure="minutes")


@pytest.mark.parametrize("decades", [0.3, 1, 4])
def test_the_axis_of_work_has_readable_labels(decades: float) -> None:
    points = tuple(
        Point(None, 1, 0, round(200 * 10 ** (decades * i / 3)), 1.0, 10.0**-i) for i in range(4)
    )
    study = WorkPrecision(
        "made up", (0.0, 1.0), "rk", 1, "alone", "nothing", None, (Curve("a", 1, False, points),)
    )
    figure = work_precision_plot(study)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    labels = [
        label
        for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if low <= place <= high and label.get_text()
    ]
    assert len(labels) >= 1
    boxes = [label.get_window_extent(renderer) for label in labels]
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)


def test_pyplot_is_not_loaded() -> None:
    code = "import sys, semilinear.plot; print('matplotlib.pyplot' in sys.modules)"
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["False"]
