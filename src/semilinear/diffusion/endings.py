"""Steps at the two ends of a path, where alpha = 0 or sigma = 0 and a general step has no limit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from semilinear.diffusion.predictions import readout
from semilinear.diffusion.quantities import Quantity
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.methods.multistep import slot
from semilinear.methods.rows import BASE, NEW, Combine, Evaluate, Step
from semilinear.phi import phi

FINALS = ("t_end", "zero", "denoise")
"""How a run ends: at t_end; one step further at sigma = 0; by an evaluation for x_0 at t_end."""

_ANSWER = "answer"
_GIVEN = phi(0, 0, 0)
"""Stands where a coefficient is given and no propagator is asked."""


def _given(dst: str, source: str) -> Combine:
    return Combine(dst, states=((BASE, _GIVEN),), inputs=((source, _GIVEN),))


PURE_NOISE = Step(
    instructions=(
        Evaluate(BASE, Fraction(0), _ANSWER),
        _given(slot(0), _ANSWER),
        _given(NEW, _ANSWER),
    ),
    carry=((BASE, NEW), (slot(-1), slot(0))),
    raw=True,
)
"""A first step from alpha = 0: the limit of DDIM, N kept as a past value."""

DENOISE = Step(
    instructions=(Evaluate(BASE, Fraction(0), _ANSWER), _given(NEW, _ANSWER)),
    carry=((BASE, NEW),),
    raw=True,
)
"""A last evaluation that returns x_0."""


def pure_noise_coefficients(
    schedule: NoiseSchedule, prediction: str, quantity: Quantity, t: float, t_next: float
) -> list[float]:
    """Return the coefficients of `PURE_NOISE`.

    ``x' = alpha' x_0 + sigma' eps`` with x_0 and eps read out of the answer: finite at alpha = 0
    for predictions from which x_0 can be read there.
    """
    read = readout(prediction, schedule.alpha(t), schedule.sigma(t))
    with np.errstate(divide="ignore", invalid="ignore"):  # the plan refuses what is not finite
        p, q = quantity.read(read, np.float64(schedule.alpha(t)), np.float64(schedule.sigma(t)))
    alpha, sigma = schedule.alpha(t_next), schedule.sigma(t_next)
    state = alpha * read.p_x0 + sigma * read.p_eps
    answer = alpha * read.q_x0 + sigma * read.q_eps
    return [float(p), float(q), float(state), float(answer)]


def denoise_coefficients(schedule: NoiseSchedule, prediction: str, t: float) -> list[float]:
    """Return the coefficients of `DENOISE`: x_0 = p x + q answer."""
    read = readout(prediction, schedule.alpha(t), schedule.sigma(t))
    return [float(read.p_x0), float(read.q_x0)]
