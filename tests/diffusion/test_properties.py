"""Laws of samplers on drawn schedules, grids and predictions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_problems import cancellation, deterministic
from semilinear import InvalidArgument, diffusion
from semilinear.diffusion import EDM, VE, Flow, SubVP, VPCosine, VPLinear
from semilinear.diffusion.predictions import readout

EPS = np.finfo(float).eps
METHODS = [n for n in deterministic() if n not in ("euler", "ei_score")]


@st.composite
def schedules(draw: st.DrawFn) -> diffusion.NoiseSchedule:
    beta = draw(st.floats(0.05, 0.5)), draw(st.floats(5.0, 25.0))
    return draw(
        st.sampled_from(
            [
                VPLinear(*beta),
                SubVP(*beta),
                VPCosine(),
                VE(0.02, draw(st.floats(5.0, 200.0))),
                EDM(),
            ]
        )
        | st.just(Flow())
    )


@st.composite
def paths(draw: st.DrawFn) -> tuple[diffusion.NoiseSchedule, np.ndarray]:
    """A schedule and a decreasing grid inside its path, uneven but not absurdly so."""
    schedule = draw(schedules())
    steps = draw(st.lists(st.floats(0.2, 1.0), min_size=2, max_size=12))
    high = min(schedule.t_start, 0.97 * schedule.t_max)
    low = 0.01 * high
    fractions = np.cumsum([0.0, *steps]) / sum(steps)
    return schedule, high - (high - low) * np.minimum(fractions, 1.0)


@given(path=paths(), method=st.sampled_from(METHODS), seed=st.integers(0, 99))
def test_constant_eps_is_integrated_exactly(path, method, seed):
    schedule, t = path
    rng = np.random.default_rng(seed)
    eps, data = rng.standard_normal((2, 5))
    x = schedule.alpha(t[0]) * data + schedule.sigma(t[0]) * eps
    found = diffusion.sample(lambda x, t: eps, x, schedule, method=method, grid=t)
    expected = schedule.alpha(t[-1]) * data + schedule.sigma(t[-1]) * eps
    # What is small at the end was carried along beside what was large at the start, and the weights
    # of a step may be many times their sum.
    plan = diffusion.plan(schedule, method=method, grid=t)
    scale = np.abs(x).max() * schedule.alpha(t[-1]) / schedule.alpha(t[0])
    assert np.abs(found - expected).max() <= 100 * len(t) * EPS * cancellation(plan) * max(
        scale, 1.0
    )


@given(
    path=paths(),
    prediction=st.sampled_from(["x0", "score", "v", "flow"]),
    method=st.sampled_from(["tab3", "rhoab2", "logrhoab1", "ipndm4", "rho_heun2", "rho_kutta3"]),
)
def test_every_prediction_of_one_denoiser_gives_one_trajectory(path, prediction, method):
    schedule, t = path

    def eps_model(x, t):
        return np.tanh(x / (schedule.alpha(t) + schedule.sigma(t)))

    def other(x, t):
        read = readout(prediction, schedule.alpha(t), schedule.sigma(t))
        return (eps_model(x, t) - read.p_eps * x) / read.q_eps

    x = schedule.sigma(t[0]) * np.linspace(-2, 2, 7)
    one = diffusion.sample(eps_model, x, schedule, method=method, grid=t)
    two = diffusion.sample(other, x, schedule, method=method, grid=t, prediction=prediction)
    np.testing.assert_allclose(one, two, rtol=1e-7, atol=1e-7 * np.abs(x).max())


@given(path=paths(), degree=st.integers(1, 5), kind=st.sampled_from(["tab", "rhoab", "logrhoab"]))
def test_weights_add_up_to_the_step_of_ddim(path, degree, kind):
    schedule, t = path
    plan = diffusion.plan(schedule, method=f"{kind}{degree}", grid=t)
    for (a, b), transfer, row in zip(pairwise(t), plan.transfer, plan.weights, strict=True):
        ddim = schedule.sigma(b) - transfer * schedule.sigma(a)
        error = abs(row.sum() - ddim)
        assert error <= 50 * EPS * (np.abs(row).sum() + transfer * schedule.sigma(a))


@given(path=paths(), method=st.sampled_from(["tab3", "logrhoab2", "rho_kutta3"]), data=st.data())
def test_a_run_can_be_left_and_resumed_anywhere(path, method, data):
    schedule, t = path
    plan = diffusion.plan(schedule, method=method, grid=t)

    def model(x, t):
        return np.sin(x) / (1 + t)

    states = [plan.start(np.linspace(-1, 1, 4))]
    while not states[-1].done:
        states.append(plan.advance(states[-1], model(states[-1].x, states[-1].t)))
    state = states[data.draw(st.integers(0, len(states) - 1))]
    while not state.done:
        state = plan.advance(state, model(state.x, state.t))
    np.testing.assert_array_equal(state.x, states[-1].x)


@given(schedule=schedules(), nfe=st.integers(3, 60), method=st.sampled_from(METHODS))
def test_a_budget_is_kept_and_cannot_take_one_more_step(schedule, nfe, method):
    start = 0.9 * schedule.t_max if np.isfinite(schedule.t_max) else schedule.t_start
    ends = {"t_start": start, "t_end": 0.01 * start, "grid": "uniform"}
    stages = diffusion.info(method).evaluations
    if stages > nfe:
        with pytest.raises(InvalidArgument, match="nfe="):
            diffusion.plan(schedule, method=method, nfe=nfe, **ends)
        return
    plan = diffusion.plan(schedule, method=method, nfe=nfe, **ends)
    assert (
        plan.nfe <= nfe < diffusion.plan(schedule, method=method, steps=plan.steps + 1, **ends).nfe
    )
