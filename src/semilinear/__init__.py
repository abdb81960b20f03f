"""Exponential integrators for semilinear ODEs y' = L(t) y + B(t) N(t, y), on any array library."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from semilinear import diffusion, problems
    from semilinear.orders import OrderStudy, order_study

__all__ = [
    "Dense",
    "Diagonal",
    "InvalidArgument",
    "MissingDependency",
    "ModelOutputError",
    "NonFiniteError",
    "OrderStudy",
    "Plan",
    "Propagator",
    "Scalar",
    "Solution",
    "State",
    "UnknownName",
    "__version__",
    "diffusion",
    "make_plan",
    "methods",
    "order_study",
    "phi_functions",
    "problems",
    "solve",
]

# Loaded at first use: a solve needs none of them.
_LATE = {
    "diffusion": "semilinear.diffusion",
    "problems": "semilinear.problems",
    "OrderStudy": "semilinear.orders",
    "order_study": "semilinear.orders",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_LATE[name])
    return module if module.__name__.endswith(f".{name}") else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
