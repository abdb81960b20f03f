"""Configurations of other schedulers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from semilinear.adapters.diffusers.decisions import FLOWS, FROM_ZERO, decide
from semilinear.adapters.diffusers.foreign_sampler import take_sampler
from semilinear.adapters.diffusers.owner import OWN, defaults, owner
from semilinear.errors import InvalidArgument

STRANGE = (
    ("use_lu_lambdas", "use_exponential_sigmas=True has the same spacing"),
    ("invert_sigmas", "its noise runs the other way"),
    ("sigma_min", "`sigmas` of set_timesteps makes a ladder with other ends"),
    ("sigma_max", "`sigmas` of set_timesteps makes a ladder with other ends"),
    ("stochastic_sampling", "choose a stochastic `method`"),
)
"""Keys of classes that fit whose values do not, and what to do."""


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
    whose = owner(config)
    if whose is not None and whose != OWN:
        decide(whose)
        made = _complete(made, given, whose)
    _refuse_strange_values(made)
    if "beta_schedule" not in made and made.get("trained_betas") is None:
        _take_flow_matching(made, known)
    take_sampler(made, given, whose)
    # Left in the configuration they would keep it from being read by the schedulers that other
    # values of these keys belong to.
    if made.get("algorithm_type") == "deis":
        made.pop("algorithm_type")
    if made.get("solver_type") == "logrho":
        made.pop("solver_type")
    return made


def _complete(made: Mapping[str, Any], given: Collection[str], whose: str) -> dict[str, Any]:
    """Return a configuration with the defaults of its class, where they are not those here.

    Live configurations list which of their values are defaults, saved ones do not, and old ones
    lack keys. diffusers would drop the first and read the second; here a value is a value.
    """
    # With the name diffusers knows that keys without a meaning here are no mistakes.
    full = {**defaults(whose), **made, "_class_name": whose, "_use_default_values": []}
    if "leading_from_zero" not in given:
        full["leading_from_zero"] = whose in FROM_ZERO
    if "shift" not in given and whose not in FLOWS:
        full.pop("shift", None)  # left over from a flow that was there before
    return full


def _refuse_strange_values(made: Mapping[str, Any]) -> None:
    for key, advice in STRANGE:
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


def _take_flow_matching(made: dict[str, Any], known: Collection[str]) -> None:
    """Turn the configuration of a flow-matching scheduler, which says `shift`, into one for here.

    Configurations that were written by hand do not say whose they are.
    """
    if made.get("shift") is not None:
        made["prediction_type"] = "flow_prediction"
        return
    strange = sorted(key for key in made if key not in known and not key.startswith("_"))
    # Betas that may be given and are not, beside no schedule of them.
    if strange or "trained_betas" in made:
        has = f"has {', '.join(strange)} but " if strange else "has "
        raise InvalidArgument(
            f"config {has}neither beta_schedule nor trained_betas nor shift: it is of no scheduler "
            "for VP noise nor for flow matching, and others are not served"
        )
