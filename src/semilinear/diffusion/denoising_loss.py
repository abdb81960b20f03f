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
    rhos: Sequence[float],
    *,
    seed: int,
) -> np.ndarray:
    """Return the loss of samples at noise levels, shape (samples, levels).

    ``mean |eps(alpha x + sigma z, t) - z|^2`` over the entries of a sample, with one standard
    normal z for each sample and level: on data it is what training made small, and more on samples
    that the network does not take for data.

    Parameters
    ----------
    model, schedule, prediction
        As in `diffusion.sample`.
    x
        Samples x_0, the first axis counting them.
    rhos
        Noise levels sigma / alpha.
    seed
        Of z: two sets of samples of one length get the same.
    """
    noise = SeededNoise(seed, x)
    columns = []
    for number, rho in enumerate(rhos):
        t = float(schedule.t_of_rho(rho))
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        z = noise(number, 0)
        noisy = combined((alpha, sigma), (x, z))
        read = readout(prediction, alpha, sigma)
        answer = asked(model, noisy, t, "model")
        eps = combined((float(read.p_eps), float(read.q_eps)), (noisy, answer))
        columns.append(rms_of_samples(eps - z) ** 2)
    return np.stack(columns, axis=1)
