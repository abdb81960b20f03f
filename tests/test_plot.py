"""Pictures: what is drawn, pixel values of image grids, and no global state of pyplot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread

from semilinear import InvalidArgument, methods, problems
from semilinear.orders import MethodOrder, OrderStudy, order_study
from semilinear.plot import GAP, error_plot, image_grid, order_plot

SIZES = (10, 20, 40)


def study_of(*results: MethodOrder) -> OrderStudy:
    return OrderStudy("made up", (0.0, 1.0), SIZES, "rk", "nothing", None, (1e-13, 1e-2), results)


def result_of(name: str, errors: tuple[float, ...], *, order: int = 2) -> MethodOrder:
    return MethodOrder(name, order, order, float("nan"), errors, (order, order), (10, 20, 40))


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
    assert list(drawn) == ["etd1 (1.00)", "etd2rk (2.00)", "krogstad4 (3.97)"]
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


@given(
    count=st.integers(1, 7),
    columns=st.integers(1, 9),
    channels=st.sampled_from([None, 1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_image_grid_writes_each_pixel(
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    columns: int,
    channels: int | None,
    seed: int,
) -> None:
    path = tmp_path_factory.mktemp("grid") / "images.png"
    height, width = 5, 4
    shape = (count, height, width) if channels is None else (count, channels, height, width)
    levels = np.random.default_rng(seed).integers(0, 256, shape)
    image_grid(levels / 127.5 - 1, path, columns=columns)
    pixels = np.rint(imread(path)[..., :3] * 255).astype(int)
    columns = min(columns, count)
    rows = -(-count // columns)
    assert pixels.shape[:2] == (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP)
    rest = np.ones(pixels.shape[:2], dtype=bool)
    for i in range(count):
        row, column = divmod(i, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        place = np.s_[top : top + height, left : left + width]
        expected = levels[i] if channels is None else levels[i].transpose(1, 2, 0)
        assert np.array_equal(
            pixels[place], np.broadcast_to(expected.reshape(height, width, -1), (height, width, 3))
        )
        rest[place] = False
    assert (pixels[rest] == 255).all()


def test_image_grid_cuts_off_values_out_of_range(tmp_path: Path) -> None:
    path = tmp_path / "images.png"
    image_grid(np.array([[[-7.0, -1.0, 0.0, 1.0, 7.0]]], dtype=np.float16), path)
    row = np.rint(imread(path)[GAP, GAP:-GAP, 0] * 255)
    assert row.tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("shape", [(4, 4), (2, 2, 4, 4), (1, 1, 1, 4, 4), (0, 4, 4)])
def test_image_grid_refuses_other_shapes(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="images has shape"):
        image_grid(np.zeros(shape), tmp_path / "images.png")
    assert not (tmp_path / "images.png").exists()


def test_image_grid_refuses_bad_values(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="NaN"):
        image_grid(np.full((1, 2, 2), np.nan), tmp_path / "images.png")
    with pytest.raises(InvalidArgument, match="columns=0"):
        image_grid(np.zeros((1, 2, 2)), tmp_path / "images.png", columns=0)


def test_pyplot_is_not_loaded() -> None:
    code = "import sys, semilinear.plot; print('matplotlib.pyplot' in sys.modules)"
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["False"]
