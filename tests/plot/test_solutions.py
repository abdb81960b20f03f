"""Pictures of solutions: they hold the values of the solution, in the right place."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import imread

from semilinear import Diagonal, InvalidArgument, problems, solve
from semilinear.plot import solution_plot
from semilinear.problems import Problem


def solved(problem: Problem, count: int, **options: Any) -> Any:
    t_eval = np.linspace(*problem.t_span, count)
    how = {"steps": count - 1, **options}
    return solve(
        problem.linear, problem.nonlinear, problem.t_span, problem.y0, t_eval=t_eval, **how
    )


def mesh_of(figure: Figure, panel: int = 0) -> QuadMesh:
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    (mesh,) = [c for c in panels[panel].collections if isinstance(c, QuadMesh)]
    return mesh


def is_clipped(figure: Figure) -> bool:
    """Whether any text or legend leaves the picture."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    box = figure.get_tightbbox(renderer)
    width, height = figure.get_size_inches()
    return bool(box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height)


def test_entries_over_time(tmp_path: Path) -> None:
    problem = problems.coupled()
    solution = solved(problem, 21)
    path = tmp_path / "x.png"
    figure = solution_plot(problem, solution, path)
    lines = figure.axes[0].get_lines()
    assert len(lines) == 3
    for entry, line in enumerate(lines):
        np.testing.assert_array_equal(line.get_xdata(), solution.t)
        np.testing.assert_array_equal(line.get_ydata(), solution.y[entry])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["$y_{1}$", "$y_{2}$", "$y_{3}$"]
    assert figure.get_suptitle() == "coupled, t = 0 .. 1"
    assert not is_clipped(figure)
    assert imread(path).shape[2] == 4


def test_complex_entries_have_two_parts() -> None:
    problem = problems.complex_diagonal()
    solution = solved(problem, 11)
    lines = solution_plot(problem, solution).axes[0].get_lines()
    assert [line.get_label() for line in lines] == [
        *(f"Re $y_{{{i}}}$" for i in (1, 2, 3)),
        *(f"Im $y_{{{i}}}$" for i in (1, 2, 3)),
    ]
    np.testing.assert_array_equal(lines[1].get_ydata(), solution.y[1].real)
    np.testing.assert_array_equal(lines[4].get_ydata(), solution.y[1].imag)
    assert lines[1].get_color() == lines[4].get_color()


def test_many_entries_are_an_image() -> None:
    problem = dataclasses.replace(
        problems.hochbruck_ostermann(points=15), view=None, axes=(), quantities={}
    )
    solution = solved(problem, 9)
    figure = solution_plot(problem, solution)
    np.testing.assert_array_equal(np.asarray(mesh_of(figure).get_array()), solution.y)
    assert figure.axes[0].get_ylabel() == "entry"
    assert not is_clipped(figure)


def test_a_line_is_an_image_in_space_and_time(tmp_path: Path) -> None:
    problem = problems.burgers(points=32).until(0.1)
    solution = solved(problem, 9)
    path = tmp_path / "x.svg"
    figure = solution_plot(problem, solution, path)
    expected = np.fft.irfft(solution.y, n=32, axis=0).T
    mesh = mesh_of(figure)
    np.testing.assert_allclose(np.asarray(mesh.get_array()), expected)
    # Cells stand around their grid points: space to the right, time upwards.
    corners = np.asarray(mesh.get_coordinates())
    centres = (corners[:-1, :-1] + corners[1:, 1:]) / 2
    np.testing.assert_allclose(centres[0, :, 0], problem.axes[0], atol=1e-12)
    np.testing.assert_allclose(centres[:, 0, 1], solution.t, atol=1e-12)
    panel, bar = figure.axes
    assert (panel.get_xlabel(), panel.get_ylabel(), bar.get_ylabel()) == ("x", "t", "u")
    assert not is_clipped(figure)
    # Pixels inside, not a path for each cell.
    assert path.read_text().count("<path") < 500


def test_few_times_are_profiles() -> None:
    problem = problems.allen_cahn_dirichlet().until(1.0)
    solution = solved(problem, 21)
    ends = SimpleNamespace(t=solution.t[[0, -1]], y=solution.y[..., [0, -1]])
    figure = solution_plot(problem, ends)
    first, last = figure.axes[0].get_lines()
    np.testing.assert_array_equal(first.get_xdata(), problem.axes[0])
    np.testing.assert_allclose(first.get_ydata(), problem.view(problem.y0))
    np.testing.assert_allclose(last.get_ydata(), problem.view(solution.y[..., -1]))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["t = 0", "t = 1"]
    assert not is_clipped(figure)


def test_the_plane_shows_the_last_field_of_each_component() -> None:
    problem = problems.gray_scott(points=16).until(20.0)
    solution = solved(problem, 5)
    figure = solution_plot(problem, solution)
    fields = np.fft.irfftn(solution.y[..., -1], s=(16, 16), axes=(-2, -1))
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert (len(panels), len(bars)) == (2, 2)
    for component in (0, 1):
        # The first axis of a field goes to the right, as x does.
        mesh = mesh_of(figure, component)
        np.testing.assert_allclose(np.asarray(mesh.get_array()), fields[component].T)
        assert panels[component].get_xlabel() == "x"
        assert panels[component].get_aspect() == 1
    assert [axes.get_ylabel() for axes in bars] == ["u", "v"]
    assert figure.get_suptitle() == "gray_scott, t = 20"
    assert not is_clipped(figure)


@pytest.mark.parametrize(
    ("problem", "count", "name"),
    [
        (problems.nonlinear_schroedinger(points=64).until(0.1), 9, "|u|"),
        (problems.ginzburg_landau(points=64).until(0.1), 3, "Re u"),
    ],
    ids=["line", "plane"],
)
def test_real_views_of_complex_fields_are_called_what_they_are(
    problem: Problem, count: int, name: str
) -> None:
    figure = solution_plot(problem, solved(problem, count))
    (bar,) = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert bar.get_ylabel() == name


def test_components_beyond_the_names_have_none() -> None:
    problem = dataclasses.replace(problems.gray_scott(points=16).until(20.0), components=("only",))
    figure = solution_plot(problem, solved(problem, 5))
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert [axes.get_ylabel() for axes in bars] == ["only", ""]


def test_a_complex_field_is_drawn_as_its_view_has_it() -> None:
    problem = problems.ginzburg_landau(points=16).until(1.0)
    solution = solved(problem, 5)
    mesh = mesh_of(solution_plot(problem, solution))
    expected = np.fft.ifftn(solution.y[..., -1]).real
    np.testing.assert_allclose(np.asarray(mesh.get_array()), expected.T, atol=1e-12)


def test_what_does_not_fit_is_refused() -> None:
    problem = problems.coupled()
    empty = SimpleNamespace(t=np.zeros(0), y=np.zeros((3, 0)))
    other = SimpleNamespace(t=np.zeros(2), y=np.zeros((4, 2)))
    for solution in (empty, other):
        with pytest.raises(InvalidArgument, match="it needs one time or more of coupled"):
            solution_plot(problem, solution)
    cube = dataclasses.replace(
        problem,
        linear=Diagonal(np.zeros(8)),
        y0=np.zeros(8),
        view=lambda y: y.reshape(*y.shape[:-1], 2, 2, 2),
        axes=(np.arange(2.0),) * 3,
    )
    with pytest.raises(InvalidArgument, match="has 3 axes; pictures have one or two"):
        solution_plot(cube, SimpleNamespace(t=np.zeros(1), y=np.zeros((8, 1))))
