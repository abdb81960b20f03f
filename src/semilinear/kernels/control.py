"""The arithmetic of step size control: numbers in, numbers out, for interpreted and compiled loops.

Plain functions of numbers, so that both loops take the same steps.
"""

from __future__ import annotations

import numpy as np

SAFETY = 0.9
LEAST, MOST = 0.2, 8.0
"""Limits of the change of a step size."""

KEEP_FROM, KEEP_TO = 1.0, 1.15
"""A step that might grow a little is kept: a change costs new coefficients."""

SAME = 1e-12
"""By which part of itself a step may differ from the distance of the times that it joins."""


def step_factor(
    error: float, before: float, earlier: float, exponent: float, b1: float, b2: float, b3: float
) -> float:
    """Return the factor of the next step after an accepted step.

    ``safety * e_n^(-b1/k) e_{n-1}^(-b2/k) e_{n-2}^(-b3/k)`` (Soderlind 2003, eq. 40), k being the
    order of the estimate; errors in units of the tolerance.

    Parameters
    ----------
    error, before, earlier
        Norms of the error estimates of the last three accepted steps, the newest first.
    exponent
        1 / k.
    b1, b2, b3
        Gains of the controller.
    """
    tiny = 1e-10
    product: float = max(error, tiny) ** -b1
    if b2 != 0.0:
        product *= max(before, tiny) ** -b2
    if b3 != 0.0:
        product *= max(earlier, tiny) ** -b3
    return settled(SAFETY * product**exponent)


def settled(factor: float) -> float:
    """Return a factor of the next step within its limits, 1 where it would grow a little."""
    factor = min(MOST, max(LEAST, factor))
    return 1.0 if KEEP_FROM <= factor <= KEEP_TO else factor


def retry_factor(error: float, exponent: float) -> float:
    """Return the factor of the next attempt after a rejected one; error may be infinite or NaN."""
    if not error < 1e100:
        return LEAST
    factor: float = SAFETY * max(error, 1e-10) ** -exponent
    return min(SAFETY, max(LEAST, factor))


def next_length(remaining: float, proposed: float, longest: float) -> float:
    """Return the length of the next step: what is left to the end is never a tiny rest.

    Parameters
    ----------
    remaining, proposed, longest
        Distance to the end, proposed and longest permitted length, all positive.
    """
    length = min(proposed, longest)
    if remaining <= length * (1.0 + 1e-10):
        return remaining
    if remaining < 2.0 * length:
        return 0.5 * remaining
    return length


def first_length(slope: float, change: float, trial: float, exponent: float, span: float) -> float:
    """Return the length of the first step, from a trial step of the exponential Euler method.

    The estimate of Hairer, Norsett and Wanner (1993, section II.4), with N in place of the right
    side, since L is integrated exactly.

    Parameters
    ----------
    slope, change
        Norms, in units of the tolerance, of N and of the change of N over the trial step divided
        by its length.
    trial
        Length of the trial step.
    exponent
        1 / k, k being the order of the estimate.
    span
        Length of the whole interval, which the step does not exceed.
    """
    # In units of the span: a question of more or less than nothing must not depend on that of time.
    if not max(slope * span, change * span * span) > 1e-15:
        return span
    largest = max(slope, change)
    length: float = (0.01 / largest) ** exponent if largest < 1e100 else 0.0
    return max(min(100.0 * trial, length, span), 1e-9 * span)


def trial_length(state: float, slope: float, span: float) -> float:
    """Return the length of the trial step, from norms of y and N in units of the tolerance."""
    if not (1e-5 < state < 1e100 and 1e-5 < slope * span < 1e100):
        return 1e-3 * span
    return max(min(0.01 * state / slope, 0.1 * span), 1e-9 * span)


def shortest(t: float) -> float:
    """Return the length from which on steps make a difference to the time; 0 at t = 0."""
    return 4.0 * 2.2e-16 * abs(t)


def is_too_short(t: float, h: float) -> bool:
    """Tell whether a step makes no difference to the time."""
    return abs(h) < shortest(t) or t + h == t


def snapped(t: float, h: float, end: float) -> float:
    """Return where a step of length h from t leads: the end of the run if that is to rounding.

    The rounding is that of this step: a run towards 0 comes to points that lie closer together.
    """
    after = t + h
    return end if abs(end - after) <= 8.0 * np.spacing(max(abs(end), abs(t))) else after


def landing(t: float, h: float, end: float) -> tuple[float, float]:
    """Return where a step of length h from t leads, and how long it has to be.

    Far from 0 the time moves on by another length than h, since it is rounded: for equal steps
    always to the same side, so that the differences add up. There a step is as long as its times
    are apart, which equal steps then share; near 0 it keeps its length, and its coefficients.
    """
    after = snapped(t, h, end)
    apart = after - t
    return after, (h if abs(apart - h) <= SAME * abs(h) else apart)


def cannot_shrink(t: float, h: float, refused: float, end: float) -> bool:
    """Tell whether no shorter step can follow one from t that was refused, although h is wanted.

    A step of some roundings of the time may come back as what it was, again and again.
    """
    return is_too_short(t, h) or abs(landing(t, h, end)[1]) >= abs(refused)


BETTER = 1.1
"""Another order must promise a step so many times longer."""

GROWTH = 2.0
"""Limit of the growth of a step at orders above 1: Adams methods do not bear more."""


def promise(error: float, order: int) -> float:
    """Return by which factor a step of this order may grow."""
    factor: float = SAFETY * max(error, 1e-10) ** (-1.0 / (order + 1))
    return factor


def next_order(error: float, lower: float, higher: float, order: int) -> tuple[int, float]:
    """Return order and factor of the step after an accepted one of variable order.

    Parameters
    ----------
    error, lower, higher
        Norms of the estimates for this order, the one below and the one above, in units of the
        tolerance; negative where there is none.
    """
    best, factor = order, promise(error, order)
    if lower >= 0.0:
        down = promise(lower, order - 1) / BETTER
        if down >= factor:
            best, factor = order - 1, down
    if higher >= 0.0:
        up = promise(higher, order + 1) / BETTER
        if up > factor:
            best, factor = order + 1, up
    return best, settled(min(GROWTH if order > 1 else MOST, factor))
