"""Exponential integrators for semilinear ODEs y' = L(t) y + B(t) N(t, y), on any array library."""

from __future__ import annotations

from semilinear import methods
from semilinear._version import __version__
from semilinear.course import State
from semilinear.errors import (
    InvalidArgument,
    MissingDependency,
    ModelOutputError,
    NonFiniteError,
    UnknownName,
)
from semilinear.kernels import phi_functions
from semilinear.plan import Plan
from semilinear.propagators import Dense, Diagonal, Propagator, Scalar
from semilinear.solution import Solution
from semilinear.solve import make_plan, solve

__all__ = [
    "Dense",
    "Diagonal",
    "InvalidArgument",
    "MissingDependency",
    "ModelOutputError",
    "NonFiniteError",
    "Plan",
    "Propagator",
    "Scalar",
    "Solution",
    "State",
    "UnknownName",
    "__version__",
    "make_plan",
    "methods",
    "phi_functions",
    "solve",
]
