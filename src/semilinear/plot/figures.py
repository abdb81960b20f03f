"""What all pictures share: figures without pyplot, logarithmic axes, and saving."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")
"""Eleven against ten colours, so that the pairs repeat after 110 lines only."""

LARGEST = 1e100
"""Larger errors count as infinite: they overflow the margins of a picture."""


class Line(NamedTuple):
    """A line of a picture, without the points that have no logarithm.

    Parameters
    ----------
    label
        Its name in the legend.
    x, y
        Its points.
    key
        Lines of one key share colour and marker; the label by default.
    dashed
        Whether it is dashed, with open markers.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    key: str = ""
    dashed: bool = False


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, on the Agg canvas."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def log_log(lines: Sequence[Line]) -> tuple[Figure, Axes]:
    """Return a figure with lines between logarithmic axes, and its axes."""
    # The legend stands outside, in as many columns as its lines need.
    columns = 1 + len(lines) // 21
    figure = new_figure(7.2 + 2.2 * columns, 5.4)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    looks = zip(cycle(MARKERS), cycle(colours), strict=False)
    look = {key: next(looks) for key in dict.fromkeys(line.key or line.label for line in lines)}
    for line in lines:
        marker, colour = look[line.key or line.label]
        usable = [(a, b) for a, b in zip(line.x, line.y, strict=True) if a > 0 and 0 < b < LARGEST]
        axes.plot(
            [a for a, _ in usable],
            [b for _, b in usable],
            marker=marker,
            markerfacecolor="white" if line.dashed else colour,
            linestyle="--" if line.dashed else "-",
            color=colour,
            markersize=5,
            linewidth=1.2,
            label=line.label,
        )
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(which="major", color="0.88", linewidth=0.7)
    axes.set_axisbelow(True)
    if lines:
        figure.legend(loc="outside right upper", ncols=columns, fontsize="small", frameon=False)
    return figure, axes


def finished(figure: Figure, path: str | Path | None) -> Figure:
    """Save a figure, if there is where, and return it."""
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure
