"""Which sampler a configuration chooses, and how much noise enters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from semilinear import diffusion
from semilinear.diffusion import catalogue
from semilinear.diffusion.noise_text import written_noise
from semilinear.diffusion.noisy_samplers import with_noise
from semilinear.errors import InvalidArgument, shown
from semilinear.given import whole_number
from semilinear.methods.simplified import exact, sa_solver

HIGHEST_ADAMS = 7
HIGHEST_SA = 4
"""As published."""

Mode = Literal["PEC", "PECE"]
SA_SOLVERS: dict[str, tuple[int, int, Mode]] = {
    "sa_solver": (2, 2, "PEC"),
    "sa_solver_pece": (2, 2, "PECE"),
    "sa_solver3": (3, 4, "PEC"),
}
"""By name: orders and mode."""

ORDERS = ("predictor_order", "corrector_order")
NOISES = ("noise", "eta", "tau")
"""Keys that say how much noise enters."""


def chosen(config: Mapping[str, Any]) -> diffusion.Sampler:
    """Return the sampler of a configuration, with its noise; refuse a noise it does not bear."""
    sampler = _noisy(config, _method(config))
    with_noise(sampler, sampler.noise)
    return sampler


def _noisy(config: Mapping[str, Any], sampler: diffusion.Sampler) -> diffusion.Sampler:
    given = [key for key in NOISES if config[key] is not None]
    if not given:
        return sampler
    if len(given) > 1:
        raise InvalidArgument(
            f"{' and '.join(given)} {'all' if len(given) > 2 else 'both'} say how much noise "
            "enters; give one of them"
        )
    if given == ["eta"]:
        return _with_eta(sampler, config["eta"])
    if given == ["tau"]:
        return sampler._replace(noise=diffusion.Tau(config["tau"]))
    return sampler._replace(noise=_written(config["noise"]))


def _method(config: Mapping[str, Any]) -> diffusion.Sampler:
    name = config["method"]
    orders = {key: config[key] for key in ORDERS if config[key] is not None}
    if name is None:
        name = "sa_solver" if orders else adams(config["solver_order"])
    elif isinstance(name, diffusion.Sampler):
        raise InvalidArgument(
            f"method={shown(name)} is a Sampler, and a configuration keeps names only: run it by "
            "semilinear.diffusion.sample or semilinear.adapters.k_diffusion.sample, or say a name "
            "of semilinear.diffusion.names() here"
        )
    elif not isinstance(name, str):
        raise InvalidArgument(
            f"method={shown(name)} must be a name of semilinear.diffusion.names()"
        )
    elif name in catalogue.ELSEWHERE:
        raise InvalidArgument(
            f"method={name!r} needs more than a name, and a configuration keeps no more; say a "
            "sampler of semilinear.diffusion.names(), such as method='unipc2', or leave it out for "
            "Adams in log rho"
        )
    sampler = catalogue.get(name)
    if not orders:
        return sampler
    if sampler.name not in SA_SOLVERS:
        raise InvalidArgument(
            f"{next(iter(orders))}={next(iter(orders.values()))!r} is of SA-Solver, and "
            f"method={name!r} is not; leave one of the two out"
        )
    *defaults, mode = SA_SOLVERS[sampler.name]
    predictor, corrector = (
        whole_number(key, orders.get(key, default), most=HIGHEST_SA)
        for key, default in zip(ORDERS, defaults, strict=True)
    )
    method = sa_solver(predictor, corrector, mode=mode)
    return sampler._replace(name=method.name, method=method, exact=exact(method))


def _with_eta(sampler: diffusion.Sampler, eta: float) -> diffusion.Sampler:
    if isinstance(sampler.noise, diffusion.Ancestral):
        return sampler._replace(noise=diffusion.Ancestral(eta))
    if sampler.name == "ddim":
        sampler = catalogue.get("ddpm")  # the same steps with x_0 as N, where noise enters as eta
    if sampler.parameterisation.quantity != "x0":
        raise InvalidArgument(
            f"eta={eta!r} says how much noise enters in samplers that take x_0 for N, such as "
            f"'ddim' and 'dpmpp_2m'; {sampler.name} does not"
        )
    return sampler._replace(noise=diffusion.Eta(eta))


def _written(noise: Any) -> diffusion.NoiseLevel:
    if not isinstance(noise, str):
        raise InvalidArgument(
            f"noise={noise!r} must be text that a configuration can keep, such as "
            "noise='tau=0.5' for a constant level, 'eta=0.5', 'within=1,low=0.2,high=0.8' or "
            "'churn=40,low=0.05,high=50'"
        )
    return written_noise(noise)


def adams(order: Any) -> str:
    """Return the name of the log-rho Adams method of an order."""
    order = whole_number("solver_order", order, most=HIGHEST_ADAMS)
    return "ddim" if order == 1 else f"logrhoab{order - 1}"
