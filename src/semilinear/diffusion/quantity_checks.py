"""What formulas of one's own must satisfy: at the ends of a path, and with one another."""

from __future__ import annotations

from typing import Any

import numpy as np

from semilinear.diffusion.predictions import readout
from semilinear.diffusion.quadrature import PANEL
from semilinear.diffusion.quantities import Quantity
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.errors import InvalidArgument, shown
from semilinear.propagators.gauss import NODES, WEIGHTS

MIDDLE, FAR = 6.0, 8.0
"""Of lambda: formulas are compared up to the first, integrals up to the second."""

PARTS = np.array([0.08, 0.27, 0.45, 0.6, 0.77, 0.93])
"""Where formulas are compared, as parts of the lambdas of a path."""

MOST = 3
"""Noise levels that are looked at."""

SAME = 1e-3
"""Relative difference of formulas that say the same, on a schedule that may be a table."""

SAME_NOISE = 1e-3
"""The same of noise, by a quadrature that may meet kinks."""

NEAR = 2e-3
STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
SLACK = 1e-9
"""The derivative of growth by differences of its values this far apart in lambda, and its error."""

HALVINGS = 5
FULL, LOST = 1e-12, 1e-5
"""Relative differences of integrals: panels are halved above the first, and above the second
refused."""


def check_start(quantity: Quantity, alpha: float, sigma: float, t: float) -> None:
    """Refuse a quantity that is said to be regular at alpha = 0, and is not."""
    with np.errstate(all="ignore"):
        scale = float(quantity.scale(alpha, sigma))
    if scale == 0 or not np.isfinite(scale):
        raise InvalidArgument(
            f"t_start={t:.6g}: alpha is 0 there, and scale of quantity {quantity.name} is "
            f"{scale:.6g}: no flow leads on from it; say regular_at_noise=False in the Quantity, "
            "which begins with a step of order one, or choose a smaller t_start"
        )


def check_end(quantity: Quantity, alpha: float) -> None:
    """Refuse a step to sigma = 0 in which neither the state nor N would have weight."""
    with np.errstate(all="ignore"):
        scale = float(quantity.scale(alpha, 0.0))
    if scale == 0 and quantity.peak < np.inf:
        raise InvalidArgument(
            f"final: the last step ends at sigma = 0, where scale of quantity {quantity.name} is "
            "0: the state and all values of N have weight 0 in it; end by final='denoise' from a "
            "t_end where sigma is not 0, or say peak=inf in the Quantity if N tends to a multiple "
            "of x_0 there"
        )


def check_formulas(
    quantity: Quantity, schedule: NoiseSchedule, prediction: str, tau_squared: np.ndarray
) -> None:
    """Refuse a quantity whose formulas contradict each other at a few values of lambda.

    Parameters
    ----------
    prediction
        By which `read` is asked.
    tau_squared
        Of the steps of a run, with which `noise` is asked.

    Raises
    ------
    InvalidArgument
        If `scale` / alpha is not in proportion to G, the exponential of `growth`; if N as it is
        read does not satisfy eps drho = y d ln G + w N drho; if `noise` is not the variance that
        follows from G.
    """
    low, high = _range(schedule, MIDDLE)
    if not high - low > 0.1:
        return
    lam = low + (high - low) * PARTS
    alpha = schedule.alpha_of_lam(lam)
    sigma = alpha * np.exp(-lam)  # of a table, the schedule's own may belong to another lambda
    with np.errstate(all="ignore"):
        _check_scale(quantity, lam, quantity.scale(alpha, sigma) / alpha)
        _check_read(quantity, lam, alpha, sigma, prediction)
        for square in np.unique(tau_squared[tau_squared != 0])[:MOST]:
            _check_noise(quantity, schedule, low, high, float(square))


def _range(schedule: NoiseSchedule, most: float) -> tuple[float, float]:
    """Return the lambdas of the time domain, those between -most and most."""
    ends = schedule.lam(np.array([min(schedule.t_max, np.finfo(float).max), schedule.t_min]))
    return max(float(ends[0]), -most), min(float(ends[1]), most)


def _check_scale(quantity: Quantity, lam: np.ndarray, of_scale: np.ndarray) -> None:
    ratio = of_scale * np.exp(-quantity.growth(lam))
    same = np.abs(ratio - ratio[0]) <= SAME * np.abs(ratio[0])
    if not same.all():
        n = int(np.argmin(same))
        raise InvalidArgument(
            f"quantity {quantity.name}: scale / alpha must be in proportion to exp(growth), but is "
            f"{ratio[0]:.9g} times that at lambda={lam[0]:.6g} and {ratio[n]:.9g} times at "
            f"lambda={lam[n]:.6g}; scale is alpha G as a function of alpha and sigma, growth is "
            "ln G as a function of lambda"
        )


def _check_read(
    quantity: Quantity, lam: np.ndarray, alpha: Any, sigma: Any, prediction: str
) -> None:
    rho = np.exp(-lam)
    slope: Any = sum(c * quantity.growth(lam + k * NEAR) for k, c in STENCIL) / NEAR
    known = readout(prediction, alpha, sigma)
    pair: Any = quantity.read(known, alpha, sigma)
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InvalidArgument(
            f"quantity {quantity.name}: read gave {shown(pair)}; it must return (p, q) with "
            "N = p x + q answer"
        )
    weight = quantity.weight(rho, alpha, sigma)
    for x_0, eps in ((1.0, 0.0), (0.0, 1.0)):
        x = alpha * x_0 + sigma * eps
        answer = (x_0 - known.p_x0 * x) / known.q_x0
        linear = -(x / alpha) * slope / rho
        parts = np.broadcast_arrays(linear, weight * pair[0] * x, weight * pair[1] * answer)
        total: Any = sum(parts)
        rounding = SAME * sum(map(np.abs, parts)) + SLACK * np.abs(x / alpha) / rho
        same = np.abs(total - eps) <= rounding
        # A table of one's own may have kinks at some of them.
        if 2 * np.count_nonzero(same) < len(lam):
            n = int(np.argmin(same))
            raise InvalidArgument(
                f"quantity {quantity.name}: growth, weight and read contradict each other: for "
                f"x_0={x_0:g}, eps={eps:g} at lambda={lam[n]:.6g} the right side of eps = "
                f"y d ln G / drho + w N is {total[n]:.6g}, with N = p x + q answer of "
                f"read, prediction={prediction!r}"
            )


def _check_noise(
    quantity: Quantity, schedule: NoiseSchedule, low: float, high: float, square: float
) -> None:
    start = np.linspace(low, high, 4)[:-1]
    # So short that one quadrature holds the power of G.
    end = np.minimum(start + min(0.5, 8.0 / (1.0 + abs(square))), high)
    if square < 0:
        start, end = end, start
    found = quantity.noise(np.full(3, square), start, end)
    growth = quantity.growth(end)
    lam = start[:, None] + (end - start)[:, None] * NODES
    power = (2.0 + 2.0 * square) * (growth[:, None] - quantity.growth(lam)) - 2.0 * lam
    # In units of G^2, where growth is ln G but for a constant.
    scale = quantity.scale(schedule.alpha_of_lam(end), schedule.sigma_of_lam(end))
    units = scale / schedule.alpha_of_lam(end)
    expected = 2.0 * square * (end - start) * (np.exp(power) @ WEIGHTS) / units**2
    same = np.abs(found - expected) <= SAME_NOISE * np.abs(expected)
    if not same.all():
        n = int(np.argmin(same))
        raise InvalidArgument(
            f"quantity {quantity.name}: noise({square:.6g}, {start[n]:.6g}, {end[n]:.6g}) is "
            f"{found[n]:.6g}, but {expected[n]:.6g} follows from G; it is the variance of y that "
            "enters from the first lambda to the second, in units of G^2 at the second"
        )


def _integrals(
    quantity: Quantity, schedule: NoiseSchedule, edges: np.ndarray, to: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the integrals of rho w G(to) / G between the edges, and of its absolute value."""
    width = np.diff(edges)[:, None]
    lam = edges[:-1, None] + width * NODES
    rho = np.exp(-lam)
    weight = quantity.weight(rho, schedule.alpha_of_lam(lam), schedule.sigma_of_lam(lam))
    growth = np.exp(quantity.growth(to)[:, None] - quantity.growth(lam))
    values = width * rho * weight * growth
    return values @ WEIGHTS, np.abs(values) @ WEIGHTS


def sharpness(quantity: Quantity, schedule: NoiseSchedule) -> float:
    """Return how much faster than e^lambda the integrands of weights change; 1 for most.

    Two quadratures, one with panels of half the length, are compared until they agree.

    Raises
    ------
    InvalidArgument
        If they do not, however short the panels.
    """
    low, high = _range(schedule, FAR)
    if not low < high:
        return 1.0
    edges = np.linspace(low, high, int(np.ceil((high - low) / PANEL)) + 1)
    for halvings in range(HALVINGS + 1):
        finer = np.sort(np.append(edges, (edges[:-1] + edges[1:]) / 2))
        with np.errstate(all="ignore"):
            whole, _ = _integrals(quantity, schedule, edges, edges[1:])
            parts, sizes = _integrals(quantity, schedule, finer, np.repeat(edges[1:], 2))
            size = sizes.reshape(-1, 2).sum(axis=1)
            apart = np.abs(whole - parts.reshape(-1, 2).sum(axis=1)) / size
        # What is no number is refused by name elsewhere.
        apart = np.where(np.isfinite(apart), apart, 0.0)
        n = int(np.argmax(apart))
        if apart[n] <= (FULL if halvings < HALVINGS else LOST):
            # In panels of length 8 / rate, at most PANEL.
            return 1.0 if halvings == 0 else 8.0 / PANEL * 2.0**halvings
        middle, edges = finer[2 * n + 1], finer
    raise InvalidArgument(
        f"quantity {quantity.name}: weight and growth change too fast, or lose digits, around "
        f"lambda={middle:.4g}: two quadratures of them differ by {apart[n]:.1e}, relative; take "
        "smoother formulas, or a diffusion.Tabulated"
    )
