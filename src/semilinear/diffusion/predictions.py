"""What a diffusion model predicts, and how to read x_0 and eps out of it.

Everything follows from x = alpha x_0 + sigma eps; each prediction a is one more linear relation::

    eps     a = eps
    x0      a = x_0
    score   a = -eps / sigma
    v       a = alpha eps - sigma x_0      (Salimans and Ho 2022)
    flow    a = eps - x_0                  (Lipman et al. 2023, noise minus data)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from semilinear.errors import UnknownName


class Readout(NamedTuple):
    """``x_0 = p_x0 x + q_x0 a`` and ``eps = p_eps x + q_eps a`` of a state x and an answer a."""

    p_x0: Any
    q_x0: Any
    p_eps: Any
    q_eps: Any


def _eps(alpha: Any, sigma: Any) -> Readout:
    return Readout(1 / alpha, -sigma / alpha, 0.0 * alpha, 1.0 + 0.0 * alpha)


def _x0(alpha: Any, sigma: Any) -> Readout:
    return Readout(0.0 * alpha, 1.0 + 0.0 * alpha, 1 / sigma, -alpha / sigma)


def _score(alpha: Any, sigma: Any) -> Readout:
    return Readout(1 / alpha, sigma**2 / alpha, 0.0 * alpha, -sigma)


def _v(alpha: Any, sigma: Any) -> Readout:
    square = alpha**2 + sigma**2
    return Readout(alpha / square, -sigma / square, sigma / square, alpha / square)


def _flow(alpha: Any, sigma: Any) -> Readout:
    total = alpha + sigma
    return Readout(1 / total, -sigma / total, 1 / total, alpha / total)


PREDICTIONS: dict[str, Callable[[Any, Any], Readout]] = {
    "eps": _eps,
    "x0": _x0,
    "score": _score,
    "v": _v,
    "flow": _flow,
}
"""The predictions by name."""


def check_prediction(prediction: Any) -> None:
    """Refuse a prediction that is not known."""
    UnknownName.check("prediction", prediction, PREDICTIONS)


def readout(prediction: str, alpha: Any, sigma: Any) -> Readout:
    """Return the coefficients that read x_0 and eps out of an answer.

    Parameters
    ----------
    prediction
        ``"eps"``, ``"x0"``, ``"score"``, ``"v"`` or ``"flow"``.
    alpha, sigma
        Of the schedule at the time of the answer; floats or arrays of one shape.
    """
    check_prediction(prediction)
    with np.errstate(divide="ignore", invalid="ignore"):
        return PREDICTIONS[prediction](np.asarray(alpha, float), np.asarray(sigma, float))


FINITE_AT_PURE_NOISE = tuple(n for n in PREDICTIONS if np.isfinite(readout(n, 0.0, 1.0).q_x0))
"""Predictions from which x_0 can be read where alpha = 0."""
