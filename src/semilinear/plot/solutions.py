"""Pictures of solutions: components over time, waves in space and time, fields in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semilinear.errors import InvalidArgument
from semilinear.plot.figures import finished, new_figure
from semilinear.problems import Problem

MOST_LINES = 10
"""States with more entries are drawn as an image."""

FEW_TIMES = 5
"""Up to so many times are drawn as profiles instead of an image."""


class Solved(Protocol):
    """What a picture needs of a solution; `semilinear.Solution` and SciPy's have it."""

    @property
    def t(self) -> Any:
        """Times."""

    @property
    def y(self) -> Any:
        """States, time last."""


def solution_plot(problem: Problem, solution: Solved, path: str | Path | None = None) -> Figure:
    """Draw the solution of a problem, in the way that its `view` and `axes` ask for.

    Without a view: entries over time, of a complex state real parts solid and imaginary parts
    dashed; more than ten entries as an image over time. One axis: an image in space and time, or
    profiles if there are at most five times. Two axes: the field at the last time. Components stand
    side by side.

    Parameters
    ----------
    problem
        From `semilinear.problems`.
    solution
        Of `semilinear.solve`, on the host.
    path
        Where to save the picture, in the format of the suffix; not saved by default.

    Returns
    -------
    Figure
        A matplotlib figure on the Agg canvas.

    Raises
    ------
    InvalidArgument
        If the solution has no times, or is not one of the problem.
    """
    times = np.asarray(solution.t)
    states = np.moveaxis(np.asarray(solution.y), -1, 0)
    if not len(times) or states.shape[1:] != problem.y0.shape:
        raise InvalidArgument(
            f"solution has states of shape {states.shape[1:]} at {len(times)} times; it needs one "
            f"time or more of {problem.name}, whose state has shape {problem.y0.shape}"
        )
    if problem.view is None:
        figure = _entries(times, states.reshape(len(times), -1))
    else:
        # One panel for each component, in the axis before the coordinates.
        values = problem.view(states)
        grid = values.shape[values.ndim - len(problem.axes) :]
        values = values.reshape(len(times), -1, *grid)
        panels = values.shape[1]
        names = [*problem.components, *[""] * panels][:panels]
        draw = {1: _line, 2: _plane}.get(len(problem.axes))
        if draw is None:
            raise InvalidArgument(
                f"{problem.name} has {len(problem.axes)} axes; pictures have one or two"
            )
        figure = draw(times, values, problem.axes, names)
    t0, t1 = times[0], times[-1]
    span = f"t = {t1:.4g}" if len(problem.axes) == 2 else f"t = {t0:.4g} .. {t1:.4g}"
    figure.suptitle(f"{problem.name}, {span}", fontsize="large")
    return finished(figure, path)


def _entries(times: np.ndarray, states: np.ndarray) -> Figure:
    """Draw the entries of a state over time."""
    figure = new_figure(8.0, 5.0)
    axes = figure.add_subplot()
    axes.set_xlabel("t")
    parts = [("", states)]
    if np.iscomplexobj(states):
        parts = [("Re ", states.real), ("Im ", states.imag)]
    if states.shape[1] > MOST_LINES:
        size, label = (np.abs(states), "|y|") if np.iscomplexobj(states) else (states, "y")
        _image(axes, times, np.arange(1, states.shape[1] + 1), size.T, label)
        axes.set_ylabel("entry")
        return figure
    for (name, values), style in zip(parts, ("-", "--"), strict=False):
        for entry in range(states.shape[1]):
            label = f"{name}$y_{{{entry + 1}}}$"
            axes.plot(times, values[:, entry], style, color=f"C{entry}", linewidth=1.2, label=label)
    axes.set_ylabel("y")
    axes.margins(x=0)
    axes.grid(color="0.88", linewidth=0.7)
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    return figure


def _line(
    times: np.ndarray, values: np.ndarray, axes: tuple[np.ndarray, ...], names: Sequence[str]
) -> Figure:
    """Draw fields on a line: in space and time, or as profiles."""
    (x,) = axes
    panels = len(names)
    figure = new_figure(1.2 + 6.0 * panels, 5.4)
    for number, name in enumerate(names):
        panel = figure.add_subplot(1, panels, number + 1)
        panel.set_xlabel("x")
        if len(times) > FEW_TIMES:
            panel.set_ylabel("t")
            _image(panel, x, times, values[:, number], name)
            continue
        panel.set_ylabel(name)
        panel.margins(x=0)
        for t, profile in zip(times, values[:, number], strict=True):
            panel.plot(x, profile, linewidth=1.2, label=f"t = {t:.4g}")
        panel.grid(color="0.88", linewidth=0.7)
        panel.legend(fontsize="small", frameon=False)
    return figure


def _plane(
    times: np.ndarray, values: np.ndarray, axes: tuple[np.ndarray, ...], names: Sequence[str]
) -> Figure:
    """Draw fields in the plane at the last time."""
    x, y = axes
    panels = len(names)
    figure = new_figure(0.8 + 5.2 * panels, 4.8)
    for number, name in enumerate(names):
        panel = figure.add_subplot(1, panels, number + 1)
        panel.set_aspect("equal")
        panel.set_xlabel("x")
        panel.set_ylabel("y")
        _image(panel, x, y, values[-1, number].T, name)
    return figure


def _image(axes: Axes, x: np.ndarray, y: np.ndarray, values: np.ndarray, label: str) -> None:
    """Draw values[j, i] at (x_i, y_j), with a colour bar."""
    # Pixels in a vector picture: a path for each cell would make it huge.
    mesh = axes.pcolormesh(x, y, values, shading="nearest", cmap="viridis", rasterized=True)
    bar = axes.figure.colorbar(mesh, ax=axes, shrink=0.9)
    bar.set_label(label)
