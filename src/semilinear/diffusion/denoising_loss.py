"""How well a network takes samples for data: the loss that it was trained by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semilinear.diffusion.arrays import rms_of_samples
from semilinear.diffusion.model_calls import asked, combined
from semilinear.diffusion.models import Model
from semilinear.diffusion.noise import SeededNoise
from semilinear.diffusion.predictions import readout
from semilinear.diffusion.schedules import NoiseSchedule


def denoising_losses(
    model: Model,
    x: Any,
    schedule: NoiseSchedule,
    prediction: str,
    times: Sequence[float],
    noise: SeededNoise,
) -> np.ndarray:
    """Return the loss of samples at times, shape (samples, times).

    ``mean |eps(alpha x + sigma z, t) - z|^2`` over the entries of a sample, with one standard
    normal z for each sample and time: on data it is what training made small, and more on samples
    that the network does not take for data.

    Parameters
    ----------
    model, schedule, prediction
        As in `diffusion.sample`.
    x
        Samples x_0, the first axis counting them.
    times
        Where the model is asked.
    noise
        Of a batch like x. z is drawn apart from what runs draw of it, so that x may be where one
        ends; two sets of samples get the same z.
    """
    columns = []
    for number, t in enumerate(times):
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        z = noise.apart(number)
        noisy = combined((alpha, sigma), (x, z))
        read = readout(prediction, alpha, sigma)
        answer = asked(model, noisy, t, "model")
        eps = combined((float(read.p_eps), float(read.q_eps)), (noisy, answer))
        columns.append(rms_of_samples(eps - z) ** 2)
    return np.stack(columns, axis=1)
