"""What becomes of the configuration of each scheduler class of diffusers."""

from __future__ import annotations

from semilinear.errors import InvalidArgument

FLOWS = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler")
"""Classes for flow matching that fit."""

FROM_ZERO = (
    "CogVideoXDDIMScheduler",
    "CogVideoXDPMScheduler",
    "DDIMScheduler",
    "DDIMParallelScheduler",
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "DPMSolverSDEScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
)
"""Classes whose "leading" timesteps count from zero."""

FITTING = (
    *FROM_ZERO,
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "SASolverScheduler",
    "UniPCMultistepScheduler",
    *FLOWS,
)
"""Classes whose networks are served here; one that fits comes before one of the same arguments."""

_DISTILLED = (
    "is for distilled networks, which answer for a whole stretch of the way and follow no ODE; "
    "keep that scheduler"
)
_CONSISTENCY = (
    f"{_DISTILLED}. For the network before distillation, take the configuration of its own "
    "scheduler, or DDIMScheduler.from_config(config).config"
)
_INVERSE = (
    "goes from data to noise, and this scheduler only from noise to data; take the configuration "
    "of {}, or semilinear.diffusion.encode for the way to noise"
)
_TOKENS = "samples tokens, not numbers; keep that scheduler"
_EDM = (
    "belongs to networks of EDM, which are told ln sigma and see a scaled sample; this scheduler "
    "does not serve them, semilinear.diffusion.sample with the schedule EDM() does"
)
_SDE = (
    "belongs to networks that are told noise levels or times, not timesteps; this scheduler does "
    "not serve them, semilinear.diffusion.sample may, with a schedule such as {}"
)

REFUSED = {
    "LCMScheduler": f"(or TCDScheduler, which has the same keys) {_CONSISTENCY}",
    "TCDScheduler": _CONSISTENCY,
    "FlowMatchLCMScheduler": _DISTILLED,
    "FlowMapEulerDiscreteScheduler": _DISTILLED,
    "PiflowScheduler": _DISTILLED,
    "HeliosDMDScheduler": _DISTILLED,
    "CMStochasticIterativeScheduler": _DISTILLED,
    "ConsistencyDecoderScheduler": _DISTILLED,
    "SCMScheduler": _DISTILLED,
    "HeliosScheduler": "samples in stages of growing size; keep that scheduler",
    "MiniMaxH3Scheduler": (
        "is for networks that answer with the velocity from noise to data and are told other "
        "timesteps than those here; keep that scheduler"
    ),
    "DDIMInverseScheduler": _INVERSE.format("DDIMScheduler"),
    "DPMSolverMultistepInverseScheduler": _INVERSE.format("DPMSolverMultistepScheduler"),
    "RePaintScheduler": (
        "goes back and forth around a mask, which this scheduler does not; to sample with the same "
        "network take the configuration of its DDPMScheduler"
    ),
    "UnCLIPScheduler": (
        "belongs to pipelines that pass prev_timestep to step, which this scheduler does not take; "
        "in a loop of your own use SemilinearScheduler(beta_schedule='squaredcos_cap_v2', "
        "prediction_type=...)"
    ),
    "LTXEulerAncestralRFScheduler": (
        "adds noise on a flow in a way that is not here; take the configuration of a "
        "FlowMatchEulerDiscreteScheduler, with method='dpmpp_2m_sde' if noise shall enter"
    ),
    "RFD4ProteinaScheduler": (
        "rescales the score of its own networks, with times from noise to data; keep that scheduler"
    ),
    "DDPMWuerstchenScheduler": (
        "is for networks that are told a time in [0, 1] of a cosine path; keep that scheduler"
    ),
    "IPNDMScheduler": (
        "is for networks on its own path of sines, told angles and not timesteps; keep that "
        "scheduler, or choose method='ipndm4' beside the configuration of another one"
    ),
    "ScoreSdeVeScheduler": _SDE.format("VE()"),
    "ScoreSdeVpScheduler": _SDE.format("VPLinear()"),
    "KarrasVeScheduler": _SDE.format("VE()"),
    "EDMEulerScheduler": _EDM,
    "EDMDPMSolverMultistepScheduler": _EDM,
    "CosineDPMSolverMultistepScheduler": _EDM,
    "AmusedScheduler": _TOKENS,
    "BlockRefinementScheduler": _TOKENS,
    "DiscreteDDIMScheduler": _TOKENS,
    "EntropyBoundScheduler": _TOKENS,
    "VQDiffusionScheduler": _TOKENS,
}
"""Classes that are not served, with what their kind is and what to do."""


def decide(name: str) -> None:
    """Refuse the configuration of a class that is not served.

    Parameters
    ----------
    name
        Of the class.

    Raises
    ------
    InvalidArgument
        If it is of no class that fits.
    """
    if name in REFUSED:
        raise InvalidArgument(f"config: {name} {REFUSED[name]}")
    if name not in FITTING:
        raise InvalidArgument(
            f"config: {name} is not known here. If its networks are those of a scheduler that is, "
            "say so: from_config({**config, '_class_name': 'DDIMScheduler'})"
        )
