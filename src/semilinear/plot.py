"""Pictures of order studies, of errors against cost, and of images; the only user of matplotlib.

All drawing goes through figures of their own on the Agg canvas: no window opens, and the global
state of pyplot stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from semilinear.errors import InvalidArgument
from semilinear.orders import OrderStudy

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")
"""Eleven against ten colours, so that the pairs repeat after 110 lines only."""

LARGEST = 1e100
"""Larger errors count as infinite: they overflow the margins of a picture."""

GAP = 2
"""Pixels between images of a grid, white."""

Line = tuple[str, Sequence[float], Sequence[float]]


def order_plot(study: OrderStudy, path: str | Path | None = None) -> Figure:
    """Draw error against step size, both logarithmic.

    Dashed lines with the slopes of the declared orders fan out from the upper right corner.

    Parameters
    ----------
    study
        From `semilinear.order_study`. Errors that are 0 or infinite are left out, and those above
        100 are cut off where others are below 1.
    path
        Where to save the picture, in the format of the suffix; not saved by default.

    Returns
    -------
    Figure
        A matplotlib figure on the Agg canvas.
    """
    t0, t1 = study.t_span
    sizes = [abs(t1 - t0) / n for n in study.steps]
    lines = []
    for result in study.results:
        observed = f"{result.observed:.2f}" if isfinite(result.observed) else "no order"
        lines.append((f"{result.method} ({observed})", sizes, result.errors))
    figure, axes = _log_log(lines)
    drawn = [error for r in study.results for error in r.errors if 0 < error < LARGEST]
    if drawn:
        top = min(max(drawn), 20.0) if min(drawn) < 1 else max(drawn)
        axes.set_ylim(min(drawn) / 5, 5 * top)
        _reference_slopes(axes, {result.order for result in study.results}, sizes, 2.5 * top)
    every = 1 + (len(sizes) - 1) // 8
    axes.set_xticks(sizes[::every], labels=[f"{h:.3g}" for h in sizes[::every]])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(f"mean step size on [{t0:g}, {t1:g}]")
    axes.set_ylabel("relative error, maximum norm")
    axes.set_title(f"{study.problem}: method (observed order)")
    return _finished(figure, path)


def error_plot(
    rows: Iterable[tuple[str, int, float]],
    path: str | Path | None = None,
    *,
    title: str = "",
    ylabel: str = "relative error",
) -> Figure:
    """Draw error against evaluations of N, both logarithmic, one line for each method.

    Parameters
    ----------
    rows
        (method, number of evaluations, error), in any order.
    path
        As in `order_plot`.
    title, ylabel
        Texts; the errors may be of any kind.
    """
    points: dict[str, list[tuple[int, float]]] = {}
    for method, evaluations, error in rows:
        points.setdefault(method, []).append((evaluations, error))
    lines = [
        (method, [x for x, _ in sorted(pairs)], [y for _, y in sorted(pairs)])
        for method, pairs in points.items()
    ]
    figure, axes = _log_log(lines)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlabel("evaluations of N")
    axes.set_ylabel(ylabel)
    axes.set_title(title)
    return _finished(figure, path)


def image_grid(images: Any, path: str | Path, *, columns: int = 8) -> None:
    """Write images as one PNG, row by row, pixel for pixel.

    Parameters
    ----------
    images
        Shape (n, c, h, w) with c = 1 or 3, or (n, h, w): grey or RGB, values from -1 to 1; values
        beyond are cut off.
    path
        Where to write it; its folder must exist.
    columns
        Images per row, fewer if there are fewer.

    Raises
    ------
    InvalidArgument
        If the shape is another one or values are not finite.
    """
    pixels = np.asarray(images)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or pixels.size == 0:
        raise InvalidArgument(
            f"images has shape {np.shape(images)}; it must be (n, h, w) or (n, c, h, w) with c = 1 "
            "or 3, and not empty"
        )
    if not np.isfinite(pixels).all():
        raise InvalidArgument("images has NaN or infinite entries; all must be finite")
    if columns < 1:
        raise InvalidArgument(f"columns={columns} must be at least 1")
    n, _, height, width = pixels.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    bytes_ = np.rint((np.clip(pixels.astype(np.float64), -1, 1) + 1) * 127.5).astype(np.uint8)
    canvas = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 255, np.uint8)
    for i, image in enumerate(bytes_):
        top = GAP + i // columns * (height + GAP)
        left = GAP + i % columns * (width + GAP)
        # One channel fills all three.
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    imsave(path, canvas, format="png")


def _log_log(lines: Sequence[Line]) -> tuple[Figure, Axes]:
    # The legend stands outside, in as many columns as its lines need.
    columns = 1 + len(lines) // 21
    figure = Figure(figsize=(7.2 + 2.2 * columns, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    for (label, x, y), marker, colour in zip(lines, cycle(MARKERS), cycle(colours), strict=False):
        usable = [(a, b) for a, b in zip(x, y, strict=True) if 0 < b < LARGEST]
        axes.plot(
            [a for a, _ in usable],
            [b for _, b in usable],
            marker=marker,
            color=colour,
            markersize=5,
            linewidth=1.2,
            label=label,
        )
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(which="major", color="0.88", linewidth=0.7)
    axes.set_axisbelow(True)
    if lines:
        figure.legend(loc="outside right upper", ncols=columns, fontsize="small", frameon=False)
    return figure, axes


def _reference_slopes(axes: Axes, orders: set[int], sizes: Sequence[float], level: float) -> None:
    """Draw ``level * (h / h_max)^order`` for each order, labelled at the left end."""
    left, right = sizes[-1], sizes[0]
    # Room for the labels.
    axes.set_xlim(left * (left / right) ** 0.18, right * (right / left) ** 0.05)
    bottom = axes.get_ylim()[0]
    for order in sorted(orders):
        # A line that leaves the picture below ends there, so that its label is seen.
        end = max(left, right * (1.5 * bottom / level) ** (1 / order))
        values = [level, level * (end / right) ** order]
        axes.plot([right, end], values, linestyle=(0, (5, 4)), color="0.55", linewidth=0.9)
        axes.annotate(
            f"slope {order}",
            (end, values[1]),
            textcoords="offset points",
            xytext=(-4, 0),
            ha="right",
            va="center",
            fontsize="small",
            color="0.35",
        )


def _finished(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure
