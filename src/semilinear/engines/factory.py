"""From a problem, a method and a choice of steps to the engine that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semilinear.adaptive import AdaptiveCourse, Controller, PairCourse, VariableOrderCourse
from semilinear.arguments import check_fit
from semilinear.engines.adams import AdamsLoop
from semilinear.engines.base import Engine
from semilinear.engines.compiled import AdaptiveLoop, FixedLoop
from semilinear.engines.interpreted import CourseEngine, Function, PlanEngine
from semilinear.engines.loop import has_rates, is_compiled_function, returning
from semilinear.errors import InvalidArgument
from semilinear.methods import Method, Tableau, VariableOrder, names, sequence
from semilinear.plan import Plan
from semilinear.program import Program
from semilinear.propagators import Propagator

LOOP_FROM = 64
"""Entries of a NumPy state from which the compiled loops serve a nonlinear term in Python too;
smaller states do not pay for loading them."""


def make_engine(
    linear: Propagator,
    nonlinear: Function,
    span: tuple[float, float],
    y: Any,
    *,
    args: tuple[Any, ...],
    method: Method,
    times: np.ndarray | None,
    controller: Controller | None,
    start: str,
) -> Engine:
    """Return the engine of a problem, for `times` or with a controller.

    Raises
    ------
    InvalidArgument
        If the linear part and the state do not fit, or the method cannot estimate its error.
    """
    if not callable(nonlinear):
        raise InvalidArgument(f"nonlinear={nonlinear!r} must be a function N(t, y)")
    check_fit(linear, y, span)
    compiled = is_compiled_function(nonlinear, args)
    if compiled and y.ndim == 0:
        raise InvalidArgument(
            "y0 has no axis, and a nonlinear that writes to out needs one: give y0 the shape (1,)"
        )
    least = 1 if compiled else LOOP_FROM
    looped = isinstance(y, np.ndarray) and y.dtype.char in "fdFD" and y.size >= least
    looped = looped and y.ndim > 0
    if times is not None:
        if looped:
            return FixedLoop(program_of(method, linear, times, start), nonlinear, args, y)
        plan = plan_of(method, linear, times, start)
        return PlanEngine(plan, linear, returning(nonlinear) if compiled else nonlinear, args)
    assert controller is not None
    course = make_course(method, linear, span, controller)
    if looped and isinstance(course, PairCourse):
        return AdaptiveLoop(course, nonlinear, args, y)
    if looped and isinstance(course, VariableOrderCourse) and has_rates(linear):
        return AdamsLoop(course, nonlinear, args, y)
    return CourseEngine(course, returning(nonlinear) if compiled else nonlinear, args)


def program_of(method: Method, linear: Propagator, times: np.ndarray, start: str) -> Program:
    """Return the program of a method on checked times."""
    return Program(tuple(sequence(method, len(times) - 1, start=start)), linear, times)


def plan_of(method: Method, linear: Propagator, times: np.ndarray, start: str) -> Plan:
    """Return the plan of a method on checked times."""
    program = program_of(method, linear, times, start)
    asked = program.evaluation_points().tolist()
    return Plan(program, times=asked, end=float(times[-1]), name=method.name)


def make_course(
    method: Method, linear: Propagator, span: tuple[float, float], controller: Controller
) -> AdaptiveCourse:
    """Return the course of adaptive steps of a method."""
    if isinstance(method, Tableau) and method.is_pair:
        return PairCourse(method, linear, span, controller)
    if isinstance(method, VariableOrder):
        return VariableOrderCourse(method, linear, span, controller)
    raise InvalidArgument(
        f"method={method.name!r} has no estimate of its error, which adaptive steps need: choose "
        f"one of {', '.join(_pairs())}, or fix the steps by steps=, step_size= or grid="
    )


def _pairs() -> Sequence[str]:
    return [name for name, found in names().items() if found.embedded_order]
