"""What a network of a pipeline answered: without its variance, and as x_0."""

from __future__ import annotations

import torch

from semilinear.adapters.diffusers.settings import Settings
from semilinear.diffusion.thresholding import in_own_range


def without_variance(settings: Settings, output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return the first half of the channels where the other one is a variance.

    Parameters
    ----------
    settings
        What the configuration says.
    output
        The network's answer.
    x
        What it saw.
    """
    channels = x.shape[1:2]
    if not (settings.learned_variance and channels and output.ndim > 1):
        return output
    return output[:, : channels[0]] if output.shape[1] == 2 * channels[0] else output


def x_0_of(
    settings: Settings, readout: tuple[float, float], output: torch.Tensor, x: torch.Tensor
) -> torch.Tensor:
    """Return x_0, clipped where the configuration says so.

    Parameters
    ----------
    settings
        What the configuration says.
    readout
        (p, q) with x_0 = p x + q output.
    output, x
        Alike in shape; x in the precision of the run.
    """
    p, q = readout
    x_0 = p * x + q * output.to(x.dtype)
    if settings.threshold is None:
        return x_0
    ratio, most = settings.threshold
    clipped: torch.Tensor = in_own_range(x_0, ratio, 1.0, most)
    return clipped
