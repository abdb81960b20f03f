"""From errors to an order: slopes, the asymptotic window, and how sure the order is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

Window = tuple[float, float]

CONFIDENCE = 0.95
"""Probability that belongs to the interval of a fitted order."""


class Fit(NamedTuple):
    """An order read off errors.

    Parameters
    ----------
    order
        Least-squares slope; NaN with fewer than two points.
    low, high
        Ends of its 95 per cent interval; NaN with fewer than three points.
    points
        Number of errors that it rests on.
    """

    order: float
    low: float
    high: float
    points: int


def slopes(steps: Sequence[int], errors: Sequence[float]) -> tuple[float, ...]:
    """Return ``ln(e_i / e_{i+1}) / ln(n_{i+1} / n_i)``; NaN where an error is 0 or infinite."""
    return tuple(
        math.log(e / f) / math.log(m / n) if 0 < e < math.inf and 0 < f < math.inf else math.nan
        for (n, m), (e, f) in zip(pairwise(steps), pairwise(errors), strict=True)
    )


def fit_order(steps: Sequence[int], errors: Sequence[float], *, window: Window) -> Fit:
    """Return the order that errors show in the asymptotic window, with a confidence.

    The model is ``ln e_i = a - p ln n_i + s_i`` over the longest unbroken run of errors in the
    window, the finer of two equally long ones; p is fitted by least squares.

    Parameters
    ----------
    steps
        Numbers of steps, increasing.
    errors
        One for each.
    window
        Smallest and largest error that count.

    Notes
    -----
    The interval is ``p +- q s / sqrt(sum (x_i - mean x)^2)``, x = ln n, s^2 the sum of squared
    residuals divided by m - 2, q the 0.975 quantile of Student's t with m - 2 degrees of freedom.
    Student's t is what makes few points honest: q = 12.7 with three, 4.3 with four, 2.4 with eight.
    Two points lie on a line whatever they are: they make an estimate and no confidence.

    The median of neighbouring slopes would resist one outlier, but these slopes are not
    independent: an error that is too small raises one and lowers the next, so that their spread is
    no measure of how sure the median is, and with three points the median is their mean.

    Errors are not random. Their departure from a power of n is the next term of their expansion,
    or rounding, and both are taken for scatter: the interval says how well the errors follow one
    power on this ladder, and includes the order only if the ladder is fine enough.
    """
    run = _longest_run(errors, window)
    if len(run) < 2:
        return Fit(math.nan, math.nan, math.nan, len(run))
    x = np.log([steps[i] for i in run])
    y = np.log([errors[i] for i in run])
    x = x - x.mean()
    spread = float(x @ x)
    order = -float(x @ y) / spread
    if len(run) < 3:
        return Fit(order, math.nan, math.nan, len(run))
    residuals = y - y.mean() + order * x
    freedom = len(run) - 2
    quantile = float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    half = quantile * math.sqrt(float(residuals @ residuals) / freedom / spread)
    return Fit(order, order - half, order + half, len(run))


def _longest_run(errors: Sequence[float], window: Window) -> list[int]:
    """Return the places of the longest run of errors in the window, the last of equals."""
    low, high = window
    groups = groupby(range(len(errors)), key=lambda i: low <= errors[i] <= high)
    runs: list[list[int]] = [list(places) for inside, places in groups if inside]
    return max(reversed(runs), key=len, default=[])
