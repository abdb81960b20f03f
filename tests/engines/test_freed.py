"""What a run held is freed with it, without the cyclic collector, which counts no bytes."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import semilinear as sl
from semilinear import diffusion

SMALL, LARGE = np.linspace(0.5, 1.5, 3), np.linspace(0.5, 1.5, 300)
MATRIX = np.diag(-np.arange(1.0, 81.0))


def N(t: float, y: Any) -> Any:
    return np.sin(y)


def solved(y: np.ndarray, linear: Any = None, **options: Any) -> Callable[[], object]:
    linear = linear or sl.Diagonal(-y)
    return lambda: sl.solve(linear, N, (0, 1), y, **options)


def planned(y: np.ndarray) -> None:
    plan = sl.make_plan(sl.Diagonal(-y), method="etd4rk", grid=np.linspace(0, 1, 6))
    state = plan.start(y)
    while not state.done:
        state = plan.advance(state, N(state.t, state.x))


def sampled(**options: Any) -> Callable[[], object]:
    x = np.ones((4, 100))
    return lambda: diffusion.sample(lambda x, t: x, x, diffusion.VPLinear(), nfe=5, **options)


RUNS: dict[str, Callable[[], object]] = {
    "compiled, fixed": solved(LARGE, steps=10),
    "compiled, pair": solved(LARGE, rtol=1e-5),
    "compiled, Adams": solved(LARGE, method="etdpec"),
    "compiled, matrix": solved(LARGE[:80], sl.Dense(MATRIX)),
    "interpreted, fixed": solved(SMALL, steps=10, dense_output=True),
    "interpreted, pair": solved(SMALL, rtol=1e-5),
    "interpreted, Adams": solved(SMALL, method="etdpec"),
    "interpreted, L(t)": solved(SMALL, sl.Scalar(lambda t: -t)),
    "plan": lambda: planned(LARGE),
    "diffusion": sampled(method="tab3"),
    "diffusion with noise": sampled(method="dpmpp_2m_sde", seed=0),
    "diffusion by sample": sampled(method="tab2", t_start=[1.0, 0.9, 0.8, 0.7]),
}


def left_by(run: Callable[[], object]) -> list[type]:
    """Return the kinds of what a run leaves to the cyclic collector."""
    run()  # what is kept for the next run, by kind
    gc.collect()
    gc.disable()
    try:
        before = {id(found) for found in gc.get_objects()}
        run()
        return [type(found) for found in gc.get_objects() if id(found) not in before]
    finally:
        gc.enable()


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_nothing_is_left_to_the_cyclic_collector(run: Callable[[], object]) -> None:
    assert not [kind for kind in left_by(run) if kind.__module__.startswith("semilinear")]


def test_events_leave_no_solution_behind() -> None:
    options = {"events": lambda t, y: y[0] - 0.6, "dense_output": True}
    left = {kind.__name__ for kind in left_by(solved(LARGE, **options))}
    assert not {"Interpolant", "Node", "ContinuousSolution"} & left
