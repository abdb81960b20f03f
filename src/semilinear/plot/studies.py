"""Pictures of studies: error against step size, error against work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from semilinear.errors import InvalidArgument, UnknownName
from semilinear.plot.figures import LARGEST, Line, finished, log_log
from semilinear.studies import OrderStudy, WorkPrecision

MEASURES = {
    "evaluations": "evaluations of N",
    "seconds": "seconds",
    "steps": "steps",
}


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
        lines.append(Line(f"{result.method} ({observed})", sizes, result.errors))
    figure, axes = log_log(lines)
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
    return finished(figure, path)


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
        Line(method, [x for x, _ in sorted(pairs)], [y for _, y in sorted(pairs)])
        for method, pairs in points.items()
    ]
    figure, axes = log_log(lines)
    _label_work(axes)
    axes.set_xlabel(MEASURES["evaluations"])
    axes.set_ylabel(ylabel)
    axes.set_title(title)
    return finished(figure, path)


def work_precision_plot(
    study: WorkPrecision, path: str | Path | None = None, *, measure: str = "evaluations"
) -> Figure:
    """Draw error against work, both logarithmic, one line for each curve of the study.

    Adaptive steps are drawn dashed, with open markers.

    Parameters
    ----------
    study
        From `semilinear.work_precision`. Errors that are 0 or infinite are left out.
    path
        As in `order_plot`.
    measure
        ``"evaluations"``, ``"seconds"`` or ``"steps"``.

    Raises
    ------
    InvalidArgument
        If the measure is another one, or was not taken.
    """
    UnknownName.check("measure", measure, MEASURES)
    if measure == "seconds" and study.repeats == 0:
        raise InvalidArgument("measure='seconds': the study has none; make it with repeats=3")
    lines = [
        Line(
            curve.label,
            [getattr(point, measure) for point in curve.points],
            [point.error for point in curve.points],
            key=curve.method,
            dashed=curve.adaptive,
        )
        for curve in study.curves
    ]
    figure, axes = log_log(lines)
    _label_work(axes)
    label = MEASURES[measure]
    if measure == "seconds" and study.timing == "shared":
        label += ", while other solves ran"
    axes.set_xlabel(label)
    axes.set_ylabel("relative error, maximum norm")
    t0, t1 = study.t_span
    axes.set_title(f"{study.problem}, t = {t0:g} .. {t1:g}")
    return finished(figure, path)


def _label_work(axes: Axes) -> None:
    """Label the axis of work by 1, 2 and 5 times powers of ten."""
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


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
