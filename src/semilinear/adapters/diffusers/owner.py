"""Which scheduler class a configuration is of."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import diffusers
from diffusers import ConfigMixin
from diffusers.configuration_utils import FrozenDict

from semilinear.adapters.diffusers.decisions import FITTING, REFUSED

OWN = "SemilinearScheduler"

UNWRITTEN = ("predictor_order", "corrector_order", "shift")
"""Keys that are None here where they say nothing, and that other classes read as numbers: they are
written to files only where they say something."""

TELLTALES = {
    "original_inference_steps": "LCMScheduler",
    "noise_sampler_seed": "DPMSolverSDEScheduler",
    "sigma_data": "EDMEulerScheduler",
    "n_grid": "PiflowScheduler",
    "stage_range": "HeliosScheduler",
    "scale_factors": "FlowMatchLCMScheduler",
    "euler_at_final": "DPMSolverMultistepScheduler",
}
"""Keys that one class has, or one and its like, for configurations that were written by hand."""


def owner(config: Mapping[str, Any]) -> str | None:
    """Return the name of the class that a configuration is of, None if that cannot be told.

    Configurations that were loaded or saved once say it. Live ones have the arguments of their
    class, in its order; of classes whose arguments are the same, the name is that of the one that
    fits here.

    Parameters
    ----------
    config
        Keys and values.
    """
    name = config.get("_class_name")
    if isinstance(name, list | tuple) and name:  # with the file of the class before it
        name = name[-1]
    if name is not None:
        return _own(config, str(name))
    return _by_arguments(config) or _by_telltale(config)


def _own(config: Mapping[str, Any], name: str) -> str:
    """Return this scheduler's name for classes that were derived from it."""
    is_foreign = name in FITTING or name in REFUSED
    written = defaults(OWN).keys() - set(UNWRITTEN)
    return name if is_foreign or not written <= config.keys() else OWN


def _by_arguments(config: Mapping[str, Any]) -> str | None:
    keys = [key for key in config if key[0] != "_"]
    if "_use_default_values" in config:
        # diffusers enters this right after the arguments, and what others left behind after it.
        before = list(config)[: list(config).index("_use_default_values")]
        length = sum(key[0] != "_" for key in before)
        return _like(tuple(keys[:length]))
    if not isinstance(config, FrozenDict):
        return None
    for length in range(len(keys), 0, -1):
        if (name := _like(tuple(keys[:length]))) is not None:
            return name
    return None


def _like(signature: tuple[str, ...]) -> str | None:
    return next((n for n in (OWN, *FITTING, *REFUSED) if tuple(defaults(n)) == signature), None)


def _by_telltale(config: Mapping[str, Any]) -> str | None:
    return next((name for key, name in TELLTALES.items() if key in config), None)


@lru_cache(maxsize=128)
def defaults(name: str) -> Mapping[str, Any]:
    """Return what a class enters into its configuration by itself; nothing if it is not there.

    Parameters
    ----------
    name
        Of the class.
    """
    # One that pipelines alone use is not among the names of diffusers itself.
    kind: Any = getattr(diffusers, name, getattr(diffusers.schedulers, name, None))
    if not (isinstance(kind, type) and issubclass(kind, ConfigMixin)):
        return {}
    keys = inspect.signature(kind).parameters.items()
    ignored = getattr(kind, "ignore_for_config", ())
    return {key: value.default for key, value in keys if key not in ignored}
