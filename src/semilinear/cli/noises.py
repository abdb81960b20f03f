"""The option ``--noise`` of ``semilinear sample``."""

from __future__ import annotations

from semilinear.diffusion import NoiseLevel
from semilinear.diffusion.noise_text import written_noise

HELP = (
    "how much noise enters: a number tau (0: the ODE, 1: the reverse SDE), or tau=, within=, eta=, "
    "ancestral=, churn= with a number, or er_sde; further parameters after commas, such as "
    "churn=40,low=0.05,high=50,scale=1.003; what the method's name says if not given"
)


def noise_option(text: str | None) -> NoiseLevel | None:
    """Return the noise level that an option names, None for none."""
    return None if text is None else written_noise(text, argument="--noise ")
