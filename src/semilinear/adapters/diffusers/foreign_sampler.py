"""The samplers that configurations of other schedulers say, as keys of this one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from semilinear.adapters.diffusers.owner import OWN
from semilinear.adapters.diffusers.sampler import NOISES, ORDERS, SA_SOLVERS
from semilinear.errors import InvalidArgument

SA_SOLVER = "SASolverScheduler"
DPM_SOLVER = "DPMSolverMultistepScheduler"

ANCESTRAL = {
    "EulerAncestralDiscreteScheduler": "euler_ancestral",
    "KDPM2AncestralDiscreteScheduler": "dpm2_ancestral",
}
"""Samplers of classes that have but one."""

ELSEWHERE = {
    "DPMSolverSDEScheduler": "dpmpp_2s_sde",
    "CogVideoXDPMScheduler": "dpmpp_2m_sde",
}
"""Classes whose stochastic samplers are not here, with the nearest one that is."""

CHOOSING = {"method", "exact", *NOISES}
"""Keys that choose samplers here and nowhere else."""

SA_INTERVAL = (200, 800)
"""Timesteps between which diffusers' SA-Solver has tau = 1, however many there are."""


def take_sampler(made: dict[str, Any], given: Collection[str], whose: str | None) -> None:
    """Enter the sampler that a configuration says, unless another one is asked for.

    What the configuration of another class says by the keys that choose samplers here alone counts
    as given beside it, since somebody has entered it; None says nothing.

    Parameters
    ----------
    made
        The configuration with the keys given beside it, which is changed.
    given
        The keys given beside it.
    whose
        Its `owner`.
    """
    is_foreign = whose not in (OWN, None)
    if is_foreign:
        given = {*given, *(key for key in CHOOSING if made.get(key) not in (None, False))}
    asked = "solver_order" in given or "method" in given
    says_noise = any(key in given for key in NOISES)
    orders_stay = whose == SA_SOLVER and not asked
    if not is_foreign:
        orders_stay = "solver_order" not in given and (
            "method" not in given or made["method"] in SA_SOLVERS
        )
    gone = {
        "method": "solver_order" in given,
        **dict.fromkeys(NOISES, asked or says_noise),
        **dict.fromkeys(ORDERS, not orders_stay),
    }
    for key, goes in gone.items():
        if goes and key not in given:
            made.pop(key, None)
    if whose == OWN:
        return
    if whose == SA_SOLVER:
        _take_sa_solver(made, asked=asked, says_noise=says_noise)
    if asked:
        return
    if whose in ELSEWHERE:
        raise InvalidArgument(
            f"config: {whose} has a stochastic sampler that is not here; choose `method`, such as "
            f"{ELSEWHERE[whose]!r} for the same SDE"
        )
    if whose in ANCESTRAL:
        made["method"] = ANCESTRAL[whose]
    elif str(made.get("algorithm_type")).startswith("sde-dpmsolver"):
        _take_sde(made, whose, says_noise=says_noise)


def _take_sa_solver(made: dict[str, Any], *, asked: bool, says_noise: bool) -> None:
    function, algorithm = made.pop("tau_func", None), made.pop("algorithm_type", None)
    if asked:
        return
    if algorithm not in (None, "data_prediction"):
        raise InvalidArgument(
            f"config: algorithm_type={algorithm!r} extrapolates the noise of the past, which fresh "
            "noise spoils; 'data_prediction' is SA-Solver here, or choose `method`"
        )
    if says_noise:
        return
    if function is not None:
        raise InvalidArgument(
            "config: tau_func is a function, which no configuration can keep; say noise="
            "'within=TAU,low=A,high=B' for tau between two parts of the timesteps (200 of 1000 is "
            "0.2), or a number tau"
        )
    count = made["num_train_timesteps"]
    if count != SA_INTERVAL[1] / 0.8:
        low, high = (place / count for place in SA_INTERVAL)
        # Where all times lie below the interval, no noise ever enters.
        made["noise"] = f"within=1,low={low!r},high={high!r}" if low < 1 else "tau=0"


def _take_sde(made: dict[str, Any], whose: str | None, *, says_noise: bool) -> None:
    kind, order = made["algorithm_type"], made.get("solver_order", 2)
    heun = made.get("solver_type") == "heun"
    if whose != DPM_SOLVER:
        if whose is not None and "DPMSolver" not in whose:
            return  # left over from a scheduler that was there before
        raise InvalidArgument(
            f"config: algorithm_type={kind!r} is of a scheduler with steps of its own; choose "
            "`method`, such as 'dpmpp_2s_sde' or 'dpmpp_2m_sde'"
        )
    if kind == "sde-dpmsolver++" and order == 1:
        made["method"] = "seeds1"
    elif kind == "sde-dpmsolver++" and not (heun and order == 3):
        made["method"] = f"dpmpp_{order}m_sde"
        made["exact"] = heun or bool(made.get("exact"))
    elif kind == "sde-dpmsolver" and order == 1:
        made["method"] = "ddim"
        if not says_noise:
            made["tau"] = 1.0
    else:
        why = (
            "extrapolates the noise of the past, which fresh noise spoils"
            if kind == "sde-dpmsolver"
            else "with solver_type='heun' has two kinds of weights in one run"
        )
        raise InvalidArgument(
            f"config: algorithm_type={kind!r}, solver_order={order} {why}; choose `method`, such "
            "as 'dpmpp_2m_sde' or 'dpmpp_3m_sde'"
        )
