"""Samplers with the signature of k-diffusion, for its callers: ``sample_NAME(model, x, sigmas)``.

There is one function for every name in `NAMES`: the samplers of `semilinear.diffusion.names()`,
their other names, and the names that k-diffusion itself has for some of them. They are made when
they are asked for; ``dir`` lists them. All share the contract of k-diffusion (Crowson,
`k_diffusion.sampling`): x_t = x_0 + sigma eps, x begins as standard normal numbers times
``sigmas[0]``, and the model returns the denoised x_0.
"""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from functools import cache
from inspect import Parameter, Signature, signature
from math import inf
from typing import Any

from semilinear.adapters import k_diffusion_plan as made
from semilinear.adapters.k_diffusion_dpm import sample_dpm_adaptive, sample_dpm_fast
from semilinear.adapters.k_diffusion_run import Arguments, Callback, Model, NoiseSampler, sample
from semilinear.diffusion.catalogue import STAGE_NOISE
from semilinear.errors import InvalidArgument
from semilinear.given import whole_number

__all__ = [
    "NAMES",
    "register",
    "sample",
    "sample_dpm_adaptive",
    "sample_dpm_fast",
    "sample_dpmpp_2m_sde",
    "sample_lms",
]

NAMES = made.NAMES

_SHARED = ("model", "x", "sigmas", "extra_args", "callback", "disable")

_OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "churn": {"s_churn": 0.0, "s_tmin": 0.0, "s_tmax": inf, "s_noise": 1.0},
    "eta": {"eta": 1.0, "s_noise": 1.0, "noise_sampler": None},
    "interval": {
        "eta": 1.0,
        "s_tmin": made.LOW,
        "s_tmax": made.HIGH,
        "s_noise": 1.0,
        "noise_sampler": None,
    },
    "fixed": {"s_noise": 1.0, "noise_sampler": None},
}
"""Arguments with their defaults, by `family`, in the order that k-diffusion has for them."""

_ELSEWHERE = {
    "sample_dpmpp_sde": f"; take sample_dpmpp_2s_sde, {STAGE_NOISE}",
}
"""Functions of k-diffusion that are not here, and what to take."""


def sample_lms(
    model: Model,
    x: Any,
    sigmas: Any,
    extra_args: Arguments = None,
    callback: Callback = None,
    disable: bool | None = None,
    order: int = 4,
) -> Any:
    """Run the linear multistep method of an order: Adams-Bashforth in sigma, rhoab(order - 1).

    A last step to sigma = 0 keeps this order, as in k-diffusion; with ``sample_rhoab3`` it is of
    order one.

    Parameters
    ----------
    model, x, sigmas, extra_args, callback, disable
        As in `sample`.
    order
        Number of values of eps, from 1 to 7.
    """
    order = whole_number("order", order, most=7)
    method = "ddim" if order == 1 else f"rhoab{order - 1}"
    return sample(model, x, sigmas, extra_args, callback, disable, method=method, lower_end=False)


def sample_dpmpp_2m_sde(
    model: Model,
    x: Any,
    sigmas: Any,
    extra_args: Arguments = None,
    callback: Callback = None,
    disable: bool | None = None,
    eta: float = 1.0,
    s_noise: float = 1.0,
    noise_sampler: NoiseSampler = None,
    solver_type: str = "midpoint",
) -> Any:
    """Run DPM-Solver++(2M) on the reverse SDE.

    Parameters
    ----------
    model, x, sigmas, extra_args, callback, disable, noise_sampler
        As in `sample`; there is one increment in each step.
    eta
        tau^2: 0 is the ODE, 1 the reverse SDE.
    s_noise
        Factor of the noise.
    solver_type
        ``"midpoint"``: the published weights; ``"heun"``: the exact weights of both values.
    """
    if solver_type not in ("midpoint", "heun"):
        raise InvalidArgument(f"solver_type={solver_type!r} must be 'midpoint' or 'heun'")
    found = made.sampler("dpmpp_2m_sde")
    level = made.noise_level(found, eta=eta, s_noise=s_noise)
    return sample(
        model, x, sigmas, extra_args, callback, disable, method=found, noise=level,
        noise_sampler=noise_sampler, exact=solver_type == "heun",
    )  # fmt: skip


def register(
    sampling: Any, names: MutableSequence[str], *, prefix: str = "semilinear_"
) -> list[str]:
    """Enter all samplers into a program that finds them by name, such as ComfyUI.

    Every function becomes ``sampling.sample_{prefix}NAME``, and its name is appended to `names`. A
    second call changes nothing.

    Parameters
    ----------
    sampling
        The module in which the program looks for ``sample_...``: ``comfy.k_diffusion.sampling``.
    names
        The list that it offers: ``comfy.samplers.KSampler.SAMPLERS``.
    prefix
        Put before each name, so that none of the program's own is taken.

    Returns
    -------
    list
        The names that were appended.
    """
    for name in NAMES:
        setattr(sampling, f"sample_{prefix}{name}", _function(name))
    added = [prefix + name for name in NAMES if prefix + name not in names]
    names.extend(added)
    return added


_WRITTEN: dict[str, Callable[..., Any]] = {"lms": sample_lms, "dpmpp_2m_sde": sample_dpmpp_2m_sde}


@cache
def _function(name: str) -> Callable[..., Any]:
    """Return ``sample_NAME``."""
    if name in _WRITTEN:
        return _WRITTEN[name]
    found = made.sampler(name)
    options = _OPTIONS[made.family(found)]
    accepted = _signature(options)

    def sampler(*given: Any, **named: Any) -> Any:
        try:
            bound = accepted.bind(*given, **named)
        except TypeError as error:
            raise TypeError(f"sample_{name}() {error}") from None
        bound.apply_defaults()
        values = bound.arguments
        noise_sampler = values.pop("noise_sampler", None)
        level = made.noise_level(
            found, **{option: values.pop(option) for option in options if option != "noise_sampler"}
        )
        return sample(**values, method=found, noise=level, noise_sampler=noise_sampler)

    sampler.__name__ = sampler.__qualname__ = f"sample_{name}"
    sampler.__doc__ = made.docstring(found, list(accepted.parameters))
    sampler.__signature__ = accepted  # type: ignore[attr-defined]
    return sampler


def _signature(options: dict[str, Any]) -> Signature:
    """Return the signature of a function with these arguments beside those that all share.

    By position as well, which is how k-diffusion's callers may pass them.
    """
    shared = [signature(sample).parameters[name] for name in _SHARED]
    own = [
        Parameter(
            name,
            Parameter.POSITIONAL_OR_KEYWORD,
            default=value,
            annotation="float" if value is not None else "NoiseSampler",
        )
        for name, value in options.items()
    ]
    return Signature([*shared, *own], return_annotation="Any")


def __getattr__(attribute: str) -> Any:
    name = attribute.removeprefix("sample_")
    if name != attribute and name in NAMES:
        return _function(name)
    hint = _ELSEWHERE.get(attribute, "")
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}{hint}")


def __dir__() -> list[str]:
    return sorted({*globals(), *(f"sample_{name}" for name in NAMES)})
