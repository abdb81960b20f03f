"""The loop around a plan: ask the model, tell the plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semilinear.course import Noise, State
from semilinear.plan import Plan

Function = Callable[[Any, float], Any]


def run(
    plan: Plan,
    model: Function,
    x: Any,
    *,
    after_step: Callable[[State], None] | None = None,
    after_evaluation: Callable[[State], None] | None = None,
    check_finite: bool = True,
    noise: Noise | None = None,
    argument: str = "x",
) -> State:
    """Run through a plan and return its last state.

    Parameters
    ----------
    model
        ``model(x, t)``, evaluated once for each of ``plan.nfe``.
    after_step
        Called with the state whenever a step is completed, ``state.y`` being the value there.
    after_evaluation
        Called with every new state.
    check_finite, noise, argument
        As in `Plan.start`.
    """
    state = plan.start(x, check_finite=check_finite, noise=noise, argument=argument)
    while not state.done:
        step = state.step
        state = plan.advance(state, model(state.x, state.t))
        if after_evaluation is not None:
            after_evaluation(state)
        if after_step is not None and state.step > step:
            after_step(state)
    return state
