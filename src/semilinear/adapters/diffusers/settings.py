"""What the configuration of a scheduler says, in the terms of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from numbers import Real
from typing import Any

import numpy as np

from semilinear import diffusion
from semilinear.adapters.diffusers.sampler import chosen
from semilinear.errors import InvalidArgument, UnknownName, shown
from semilinear.given import flag, number, whole_number
from semilinear.methods import STARTS, Multistep

PREDICTIONS = {
    "epsilon": "eps",
    "sample": "x0",
    "v_prediction": "v",
    "flow_prediction": "flow",
}
"""Names of predictions in configurations, and here."""

SPACINGS = ("linspace", "leading", "trailing")
FINALS = ("zero", "sigma_min")
SHIFTS = ("exponential", "linear")
BETAS = ("linear", "scaled_linear", "squaredcos_cap_v2")

LEARNED = ("learned", "learned_range")
"""Variances that the network itself returns, beside its answer."""

LEAST_SIGNAL = 2.0**-24
"""alphas_cumprod at the last timestep with zero terminal SNR, by convention of diffusers.

Where the timestep before has less already, as with linear betas, a quarter of that.
"""

LADDERS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")

FLAGS = (
    *LADDERS,
    "use_flow_sigmas",
    "use_dynamic_shifting",
    "rescale_betas_zero_snr",
    "thresholding",
    "lower_order_final",
    "leading_from_zero",
    "exact",
)
"""Keys that say yes or no."""


@dataclass(frozen=True)
class Settings:
    """A configuration that was read and checked.

    Parameters
    ----------
    path
        Noise schedule: `Discrete` in training timesteps, or `Flow` in sigma.
    training_steps
        N, the number of training timesteps.
    usable_steps
        How many of these runs may begin with, from the one of least noise on.
    prediction
        What the network returns.
    sampler
        The sampler with its noise.
    exact, lower_end, start
        As in `diffusion.plan`.
    threshold
        ``(ratio, largest)`` of dynamic thresholding, or None.
    ladder
        One of `LADDERS`, or None.
    spacing, offset, from_zero
        Where timesteps lie without a ladder.
    ends_at_zero
        Whether the last step goes to sigma = 0.
    shift
        Of the noise levels of a flow, or None where it comes as `mu` of each run.
    shift_type
        How `mu` shifts.
    shift_terminal
        Last noise level above zero to which a flow is stretched, or None.
    matching
        Whether the ladder of a flow is that of flow-matching schedulers.
    zero_snr
        Whether the last timestep of the training was pure noise.
    learned_variance
        Whether the network may return a variance in as many channels again.
    """

    path: diffusion.NoiseSchedule
    training_steps: int
    usable_steps: int
    prediction: str
    sampler: diffusion.Sampler
    exact: bool
    lower_end: bool
    start: str
    threshold: tuple[float, float] | None
    ladder: str | None
    spacing: str
    offset: int
    from_zero: bool
    ends_at_zero: bool
    shift: float | None
    shift_type: str
    shift_terminal: float | None
    matching: bool
    zero_snr: bool
    learned_variance: bool

    @property
    def is_flow(self) -> bool:
        """Whether the path is alpha = 1 - sigma."""
        return isinstance(self.path, diffusion.Flow)

    @property
    def evaluations(self) -> int:
        """Evaluations per step."""
        return self.sampler.method.evaluations

    @property
    def corrects(self) -> bool:
        """Whether the method corrects a predicted state."""
        method = self.sampler.method
        return isinstance(method, Multistep) and method.mode != "P"


def read(config: Mapping[str, Any]) -> Settings:
    """Read a configuration, or say what in it cannot be followed."""
    whole_number("num_train_timesteps", config["num_train_timesteps"], least=2)
    for key in FLAGS:
        if config[key] is not None:  # as older configurations have it
            flag(key, config[key])
    matching = config["shift"] is not None
    is_flow = matching or bool(config["use_flow_sigmas"])
    known = (
        ("prediction_type", tuple(PREDICTIONS)),
        ("timestep_spacing", SPACINGS),
        ("final_sigmas_type", FINALS),
        ("time_shift_type", SHIFTS),
        ("beta_schedule", BETAS),
        ("start", STARTS),
    )
    for key, names in known:
        UnknownName.check(key, config[key], names)
    ladder = _ladder(config, is_flow=is_flow)
    prediction = PREDICTIONS[config["prediction_type"]]
    if prediction == "flow" and not is_flow:
        raise InvalidArgument(
            "prediction_type='flow_prediction' needs the path of a flow: use_flow_sigmas=True, or "
            "`shift` of a flow-matching scheduler"
        )
    at_zero = config["final_sigmas_type"] == "zero"
    if is_flow and not at_zero:
        raise InvalidArgument(
            "final_sigmas_type='sigma_min': a flow has no least sigma above 0; choose 'zero'"
        )
    return Settings(
        path=diffusion.Flow() if is_flow else discrete(config),
        training_steps=config["num_train_timesteps"],
        usable_steps=_usable_steps(config),
        prediction=prediction,
        sampler=chosen(config),
        exact=bool(config["exact"]),
        lower_end=bool(config["lower_order_final"]),
        start=config["start"],
        threshold=_threshold(config),
        ladder=ladder,
        spacing=config["timestep_spacing"],
        offset=config["steps_offset"],
        from_zero=bool(config["leading_from_zero"]),
        ends_at_zero=at_zero,
        shift=_shift(config, "shift" if matching else "flow_shift") if is_flow else None,
        shift_type=config["time_shift_type"],
        shift_terminal=config["shift_terminal"],
        matching=matching,
        zero_snr=bool(config["rescale_betas_zero_snr"]) and not is_flow,
        learned_variance=config["variance_type"] in LEARNED,
    )


def _usable_steps(config: Mapping[str, Any]) -> int:
    """Return how many timesteps lambda_min_clipped leaves, of those with the least noise."""
    count: int = config["num_train_timesteps"]
    least = number(config["lambda_min_clipped"])
    if least == -inf:
        return count
    usable = int((discrete(config).lam(np.arange(float(count))) >= least).sum())
    if not usable:
        raise InvalidArgument(
            f"lambda_min_clipped={shown(config['lambda_min_clipped'])} must be a number that "
            "ln(alpha / sigma) of the training reaches, such as -5.1; -inf leaves out no timestep"
        )
    return usable


def _threshold(config: Mapping[str, Any]) -> tuple[float, float] | None:
    if not config["thresholding"]:
        return None
    ratio, largest = config["dynamic_thresholding_ratio"], config["sample_max_value"]
    if not 0 < ratio <= 1:
        raise InvalidArgument(
            f"dynamic_thresholding_ratio={ratio!r} must be above 0 and at most 1: it is the part "
            "of the entries of x_0 that is not clipped, 0.995 by default"
        )
    if not largest >= 1:
        raise InvalidArgument(
            f"sample_max_value={largest!r} must be at least 1: thresholding clips x_0 between 1 "
            "and this value"
        )
    return ratio, largest


def _shift(config: Mapping[str, Any], key: str) -> float | None:
    shift = config[key]
    if not (isinstance(shift, Real) and 0 < float(shift) < inf):
        raise InvalidArgument(
            f"{key}={shift!r} must be positive and finite; 1 leaves the noise levels as they are"
        )
    return None if config["use_dynamic_shifting"] else float(shift)


def _ladder(config: Mapping[str, Any], *, is_flow: bool) -> str | None:
    wanted = [key for key in LADDERS if config[key]]
    if len(wanted) > 1:
        raise InvalidArgument(f"{' and '.join(wanted)} exclude each other; keep one")
    if wanted and is_flow:
        raise InvalidArgument(
            f"{wanted[0]} spaces sigma / alpha, which a flow (use_flow_sigmas or `shift`) does not "
            "have at its start; keep one of the two, or pass sigmas= to set_timesteps"
        )
    return wanted[0] if wanted else None


def discrete(config: Mapping[str, Any]) -> diffusion.Discrete:
    """Return the path of a network trained on VP noise."""
    trained = config["trained_betas"]
    return _discrete(
        config["num_train_timesteps"],
        config["beta_start"],
        config["beta_end"],
        config["beta_schedule"],
        None if trained is None else tuple(np.asarray(trained, dtype=float).tolist()),
        bool(config["rescale_betas_zero_snr"]),
    )


@lru_cache(maxsize=32)
def _discrete(
    n: int,
    start: float,
    end: float,
    name: str,
    trained: Sequence[float] | None,
    zero_snr: bool,
) -> diffusion.Discrete:
    if trained is not None:
        if len(trained) != n:
            raise InvalidArgument(
                f"trained_betas has {len(trained)} entries for num_train_timesteps={n}"
            )
        path = diffusion.Discrete.from_betas(trained)
    elif name == "linear":
        path = diffusion.Discrete.linear(n, beta_start=start, beta_end=end)
    elif name == "scaled_linear":
        path = diffusion.Discrete.scaled_linear(n, beta_start=start, beta_end=end)
    else:
        path = diffusion.Discrete.cosine(n)
    if not zero_snr:
        return path
    # Lin et al. (2023), algorithm 1: alpha is shifted so that it ends at 0, and scaled so that it
    # begins where it did.
    alphas = np.exp(np.array(path.log_alphas))
    alphas = (alphas - alphas[-1]) * (alphas[0] / (alphas[0] - alphas[-1]))
    squared = alphas**2
    squared[-1] = LEAST_SIGNAL if squared[-2] > LEAST_SIGNAL else squared[-2] / 4.0
    return diffusion.Discrete.from_alphas_cumprod(squared)
