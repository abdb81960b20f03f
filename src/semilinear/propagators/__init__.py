"""Linear parts, one file an operator."""

from __future__ import annotations

from semilinear.propagators.base import Propagator
from semilinear.propagators.dense import Dense
from semilinear.propagators.diagonal import Diagonal
from semilinear.propagators.scalar import Scalar

__all__ = ["Dense", "Diagonal", "Propagator", "Scalar"]
