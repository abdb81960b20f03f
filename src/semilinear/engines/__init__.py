"""What runs a solve: a plan or a course asked one evaluation at a time, or a compiled loop."""

from __future__ import annotations

from semilinear.engines.base import Engine
from semilinear.engines.factory import make_engine, plan_of

__all__ = ["Engine", "make_engine", "plan_of"]
