"""What formulas of one's own must satisfy: at the ends of a path, and with one another."""

from __future__ import annotations

import numpy as np

from semilinear.diffusion.quantities import Quantity
from semilinear.errors import InvalidArgument


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
