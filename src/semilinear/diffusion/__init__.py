"""Diffusion samplers on the core: schedules, predictions, grids, DEIS and its relatives."""

from __future__ import annotations

from semilinear.diffusion import grids
from semilinear.diffusion.catalogue import Sampler, info, names
from semilinear.diffusion.grids import PowerRho, PowerT, UniformLambda
from semilinear.diffusion.parameterisations import Parameterisation
from semilinear.diffusion.plan import DiffusionPlan, plan
from semilinear.diffusion.sampler import Trajectory, encode, follow, sample
from semilinear.diffusion.schedules import (
    EDM,
    SCHEDULES,
    VE,
    Discrete,
    Flow,
    NoiseSchedule,
    SubVP,
    VPCosine,
    VPLinear,
)

__all__ = [
    "EDM",
    "SCHEDULES",
    "VE",
    "DiffusionPlan",
    "Discrete",
    "Flow",
    "NoiseSchedule",
    "Parameterisation",
    "PowerRho",
    "PowerT",
    "Sampler",
    "SubVP",
    "Trajectory",
    "UniformLambda",
    "VPCosine",
    "VPLinear",
    "encode",
    "follow",
    "grids",
    "info",
    "names",
    "plan",
    "sample",
]
