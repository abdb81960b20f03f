"""Configurations of other schedulers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from semilinear.adapters.diffusers.foreign_sampler import owner, take_sampler
from semilinear.adapters.diffusers.sampler import ORDERS
from semilinear.errors import InvalidArgument

OF_THE_NETWORK = {
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "rescale_betas_zero_snr",
    "prediction_type",
}
"""Keys of which a network knows but one value, whether or not it is a scheduler's default."""


def translated(
    config: Mapping[str, Any], known: Collection[str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the configuration of any scheduler as one for this one, or say why there is none.

    Parameters
    ----------
    config
        Keys and values.
    known
        Keys of this scheduler.
    given
        Keys that replace those of the configuration.
    """
    made = {**config, **given}
    if "sigma_data" in made and "beta_schedule" not in made:
        raise InvalidArgument(
            f"config: sigma_data={made['sigma_data']!r} belongs to networks of EDM, which are told "
            "ln sigma and see a scaled sample; this scheduler does not serve them, "
            "semilinear.diffusion.sample with the schedule EDM() does"
        )
    foreign = (
        ("use_lu_lambdas", "use_exponential_sigmas=True has the same spacing"),
        ("invert_sigmas", "its noise runs the other way"),
        ("sigma_min", "`sigmas` of set_timesteps makes a ladder with other ends"),
        ("sigma_max", "`sigmas` of set_timesteps makes a ladder with other ends"),
        ("stochastic_sampling", "choose a stochastic `method`"),
        ("scale_factors", "its steps change the size of the sample"),
    )
    for key, advice in foreign:
        if made.get(key):
            raise InvalidArgument(f"config: {key}={made[key]!r} is not known here; {advice}")
    if made.get("timestep_type") == "continuous":
        raise InvalidArgument(
            "config: timestep_type='continuous' belongs to networks that are told ln sigma, "
            "not a timestep; this scheduler does not serve them"
        )
    if made.get("snr_shift_scale") not in (None, 1, 1.0):
        raise InvalidArgument(
            f"config: snr_shift_scale={made['snr_shift_scale']!r} shifts the noise of the network "
            "(CogVideoX), which this scheduler does not do"
        )
    if "beta_schedule" not in made and made.get("trained_betas") is None:
        _take_flow_matching(made, known)
    take_sampler(made, given, owner(config))
    # diffusers leaves out what is the other scheduler's default, which need not be the one here.
    unset = set(made.get("_use_default_values", ())) - OF_THE_NETWORK - set(ORDERS)
    made["_use_default_values"] = sorted(unset)
    # Left in the configuration they would keep it from being read by the schedulers that other
    # values of these keys belong to.
    if made.get("algorithm_type") == "deis":
        made.pop("algorithm_type")
    if made.get("solver_type") == "logrho":
        made.pop("solver_type")
    return made


def _take_flow_matching(made: dict[str, Any], known: Collection[str]) -> None:
    """Turn the configuration of a flow-matching scheduler, which says `shift`, into one for here.

    Live configurations do not say whose they are.
    """
    if made.get("shift") is not None:
        made["prediction_type"] = "flow_prediction"
        made["_use_default_values"] = set(made.get("_use_default_values", ())) - {"shift"}
        return
    strange = sorted(key for key in made if key not in known and not key.startswith("_"))
    # Betas that may be given and are not, beside no schedule of them: IPNDM's own path.
    if strange or "trained_betas" in made:
        has = f"has {', '.join(strange)} but " if strange else "has "
        raise InvalidArgument(
            f"config {has}neither beta_schedule nor trained_betas nor shift: it is of no scheduler "
            "for VP noise nor for flow matching, and others are not served"
        )
