"""EDM's churn in a loop that belongs to a pipeline."""

from __future__ import annotations

from math import isfinite, nextafter

import numpy as np

from semilinear import diffusion
from semilinear.adapters.diffusers.ladder import Ladder
from semilinear.adapters.diffusers.settings import Settings
from semilinear.diffusion.noise_splits import MOST_GAMMA
from semilinear.errors import InvalidArgument


def later_churn(
    settings: Settings, churn: diffusion.Churn, ladder: Ladder, times: np.ndarray, count: int
) -> diffusion.Churn:
    """Return churn for all steps of a run but the first.

    A step begins with noise before the network is asked. Of the first step the pipeline asks it
    before the scheduler is called, with noise of its own.

    Parameters
    ----------
    settings, ladder
        Of the whole run, whose number of steps counts.
    times
        Where the steps begin that are left.
    count
        Number of steps of which the plan for them is told.

    Raises
    ------
    InvalidArgument
        If a step would begin with more noise than the network knows.
    """
    path = settings.path
    first = path.rho(float(times[0]))
    high = min(churn.high, nextafter(first, 0.0)) if isfinite(first) else churn.high
    if high < churn.low:
        return diffusion.Churn(0.0)
    gamma = min(churn.churn / len(ladder.times), MOST_GAMMA)
    # A network that was told other timesteps than those of the noise knows no more than the first.
    most = path.rho(path.t_max if ladder.told is None else float(ladder.times[0]))
    inside = [rho for rho in np.asarray(path.rho(times[1:])).tolist() if churn.low <= rho <= high]
    if inside and inside[0] * (1 + gamma) > most:
        raise InvalidArgument(
            f"noise: churn takes a step from sigma = {inside[0]:.6g} up to "
            f"{inside[0] * (1 + gamma):.6g}, and the network knows none above {most:.6g}; say high="
            f"{most / (1 + gamma):.6g} or less"
        )
    return diffusion.Churn(gamma * count, churn.low, high, churn.scale)
