"""Adaptive steps: courses whose steps follow an estimate of their own error."""

from __future__ import annotations

from semilinear.adaptive.controllers import Controller, make_controller
from semilinear.adaptive.course import AdaptiveCourse
from semilinear.adaptive.multistep import VariableOrderCourse
from semilinear.adaptive.pairs import PairCourse

__all__ = [
    "AdaptiveCourse",
    "Controller",
    "PairCourse",
    "VariableOrderCourse",
    "make_controller",
]
