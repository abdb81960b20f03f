"""Diffusion samplers on the core: schedules, predictions, grids, DEIS and its relatives."""

from __future__ import annotations

from semilinear.diffusion import grids
from semilinear.diffusion.adaptive import AdaptiveSample, sample_adaptive
from semilinear.diffusion.batches import Batches
from semilinear.diffusion.catalogue import Sampler, get, info, names
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.diffusion.fit import Fit
from semilinear.diffusion.fitting import choose
from semilinear.diffusion.following import Trajectory, follow
from semilinear.diffusion.grid_fitting import fit_grid
from semilinear.diffusion.grids import (
    Mixed,
    PowerRho,
    PowerT,
    PowerVPTime,
    UniformLambda,
    WholeTimes,
)
from semilinear.diffusion.guidance import guided, guided_batch
from semilinear.diffusion.inpainting import add_noise, inpainted
from semilinear.diffusion.likelihood import LogLikelihood, log_likelihood
from semilinear.diffusion.many import sample_many
from semilinear.diffusion.noise import SeededNoise
from semilinear.diffusion.noise_levels import Eta, Leg, NoiseLevel, RhoPower, Tau, TauWithin
from semilinear.diffusion.noise_splits import Ancestral, Churn
from semilinear.diffusion.parameterisations import Parameterisation
from semilinear.diffusion.plan import plan
from semilinear.diffusion.precision import in_dtype
from semilinear.diffusion.quantities import Quantity
from semilinear.diffusion.round_trip import RoundTrip, round_trip
from semilinear.diffusion.sampler import encode, sample
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
from semilinear.diffusion.shards import read_shards, write_shards
from semilinear.diffusion.stacked import StackedPlan
from semilinear.diffusion.tabulated import Tabulated
from semilinear.diffusion.tabulated_samplers import dpm_solver_v3
from semilinear.diffusion.thresholding import clipped, thresholded

__all__ = [
    "EDM",
    "SCHEDULES",
    "VE",
    "AdaptiveSample",
    "Ancestral",
    "Batches",
    "Churn",
    "DiffusionPlan",
    "Discrete",
    "Eta",
    "Fit",
    "Flow",
    "Leg",
    "LogLikelihood",
    "Mixed",
    "NoiseLevel",
    "NoiseSchedule",
    "Parameterisation",
    "PowerRho",
    "PowerT",
    "PowerVPTime",
    "Quantity",
    "RhoPower",
    "RoundTrip",
    "Sampler",
    "SeededNoise",
    "StackedPlan",
    "SubVP",
    "Tabulated",
    "Tau",
    "TauWithin",
    "Trajectory",
    "UniformLambda",
    "VPCosine",
    "VPLinear",
    "WholeTimes",
    "add_noise",
    "choose",
    "clipped",
    "dpm_solver_v3",
    "encode",
    "fit_grid",
    "follow",
    "get",
    "grids",
    "guided",
    "guided_batch",
    "in_dtype",
    "info",
    "inpainted",
    "log_likelihood",
    "names",
    "plan",
    "read_shards",
    "round_trip",
    "sample",
    "sample_adaptive",
    "sample_many",
    "thresholded",
    "write_shards",
]
