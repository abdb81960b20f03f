"""Exponential integrators for semilinear ODEs y' = L(t) y + B(t) N(t, y), on any array library."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from semilinear import methods
from semilinear._version import __version__
from semilinear.choice import choose_method
from semilinear.course import State
from semilinear.errors import (
    EvaluationLimitError,
    InvalidArgument,
    MissingDependency,
    ModelOutputError,
    NonFiniteError,
    UnknownName,
)
from semilinear.kernels import phi_functions
from semilinear.output import DenseOutput, Solution
from semilinear.plan import Plan
from semilinear.plan_table import Table
from semilinear.propagators import Dense, Diagonal, Propagator, Scalar
from semilinear.solve import make_plan, solve

if TYPE_CHECKING:
    from semilinear import adapters, diffusion, fft, plot, problems, studies
    from semilinear.studies import OrderStudy, WorkPrecision, order_study, work_precision

__all__ = [
    "Dense",
    "DenseOutput",
    "Diagonal",
    "EvaluationLimitError",
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
    "Table",
    "UnknownName",
    "WorkPrecision",
    "__version__",
    "adapters",
    "choose_method",
    "diffusion",
    "fft",
    "make_plan",
    "methods",
    "order_study",
    "phi_functions",
    "plot",
    "problems",
    "solve",
    "studies",
    "work_precision",
]

# Loaded at first use: a solve needs none of them.
_LATE = {
    "adapters": "semilinear.adapters",
    "diffusion": "semilinear.diffusion",
    "fft": "semilinear.fft",
    "plot": "semilinear.plot",
    "problems": "semilinear.problems",
    "studies": "semilinear.studies",
    "OrderStudy": "semilinear.studies",
    "WorkPrecision": "semilinear.studies",
    "order_study": "semilinear.studies",
    "work_precision": "semilinear.studies",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_LATE[name])
    return module if module.__name__.endswith(f".{name}") else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
