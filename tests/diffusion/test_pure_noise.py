"""Runs from pure noise, alpha = 0: which samplers keep their order from there, and others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from diffusion_problems import Mixture, slopes
from semilinear import InvalidArgument, diffusion
from semilinear.diffusion import Flow, Parameterisation, Sampler, VPCosine
from semilinear.methods import etdab

FLOW, COSINE = Flow(), VPCosine()
DATA = Mixture()
X = np.random.default_rng(1).standard_normal((4, 2))
T_END = 0.05


def velocity(t: float, x: np.ndarray) -> np.ndarray:
    x = x.reshape(X.shape)
    return ((x - DATA.denoised(x, 1.0 - t, t)) / t).ravel()


def exact(schedule: diffusion.NoiseSchedule, t: float) -> np.ndarray:
    """The state at time t: SciPy's DOP853 on the straight path, to which all others scale."""
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    span = (1.0, sigma / (alpha + sigma))
    found = solve_ivp(velocity, span, X.ravel(), method="DOP853", rtol=3e-14, atol=1e-14)
    return (alpha + sigma) * found.y[:, -1].reshape(X.shape)


EXACT = {schedule: exact(schedule, T_END) for schedule in (FLOW, COSINE)}


def even(n: int) -> np.ndarray:
    return np.linspace(1.0, T_END, n + 1)


def uneven(n: int) -> np.ndarray:
    """Steps that never become equal, however many."""
    return grid(np.resize([1.7, 0.6, 1.0], n))


def grid(steps, begin: float = 1.0) -> np.ndarray:
    t = begin + (T_END - begin) * np.append(0.0, np.cumsum(steps)) / np.sum(steps)
    t[-1] = T_END
    return t


def over_t(quantity: str, past: int) -> Sampler:
    return Sampler(f"{quantity}{past}", Parameterisation(quantity, "t"), etdab(past), "test")


def error(method, spacing, n, *, schedule=FLOW, prediction="flow", start="rk") -> float:
    plan = diffusion.plan(
        schedule, method=method, grid=spacing(n), prediction=prediction, start=start
    )
    found = diffusion.follow(plan, DATA.model(schedule, prediction), X)
    return float(np.abs(found - EXACT[schedule]).max())


@pytest.mark.parametrize("spacing", [even, uneven])
@pytest.mark.parametrize(
    ("schedule", "method", "prediction", "order"),
    [
        (FLOW, "flow_ab2", "flow", 2),
        (FLOW, "flow_ab3", "v", 3),
        (FLOW, "flow_ab4", "flow", 4),
        (FLOW, "flow_ab5", "x0", 5),
        (FLOW, over_t("v", 4), "v", 4),
        (FLOW, over_t("x0", 4), "flow", 4),
        (COSINE, "flow_ab4", "v", 4),
        (COSINE, over_t("v", 4), "v", 4),
    ],
    ids=str,
)
def test_order_from_pure_noise(schedule, method, prediction, order, spacing):
    """Over t, x_0, v and eps - x_0 are smooth and their weights finite from alpha = 0 on."""
    errors = [
        error(method, spacing, n, schedule=schedule, prediction=prediction)
        for n in (40, 80, 160, 320)
    ]
    observed = slopes(errors)
    assert all(order - 0.4 <= slope <= order + 0.5 for slope in observed), observed
    assert abs(observed[-1] - order) <= 0.15


def test_a_ramp_limits_the_order_there_too():
    assert slopes([error("flow_ab4", even, n, start="ramp") for n in (160, 320)])[0] < 2.5


@given(
    quantity=st.sampled_from(["flow", "v", "x0"]),
    past=st.integers(2, 5),
    prediction=st.sampled_from(["flow", "v", "x0"]),
    steps=st.lists(st.floats(0.3, 3.0), min_size=1, max_size=9),
)
def test_pure_noise_is_the_limit_of_a_little_less(quantity, past, prediction, steps):
    """Nothing is special about alpha = 0 in these cells: results depend on the start smoothly."""
    found = [
        diffusion.sample(
            DATA.model(FLOW, prediction), X, FLOW, method=over_t(quantity, past),
            grid=grid(steps, begin), prediction=prediction, start="rk",
        )
        for begin in (1.0, 1.0 - 1e-7)
    ]  # fmt: skip
    np.testing.assert_allclose(found[0], found[1], atol=1e-4 * np.abs(found[1]).max())


@pytest.mark.parametrize("method", ["unipc3", "tab3", "rhoab1", "dpmpp_2m"])
def test_other_cells_have_no_start_that_keeps_the_order(method):
    message = f"alpha is 0 there, which {method} with start='rk' cannot step from; .*'flow_ab4'"
    with pytest.raises(InvalidArgument, match=message):
        diffusion.plan(FLOW, method=method, prediction="flow", start="rk")


def test_a_sampler_without_past_values_needs_no_start():
    plans = [
        diffusion.plan(FLOW, method="ddim", prediction="flow", start=s) for s in ("rk", "ramp")
    ]
    assert np.array_equal(*(diffusion.follow(p, DATA.model(FLOW, "flow"), X) for p in plans))


def test_the_score_as_quantity_starts_with_a_step_of_ddim():
    first = [
        diffusion.plan(FLOW, method=m, prediction="flow", grid=even(20)[:2])
        for m in ("ei_score", "ddim")
    ]
    one, other = (diffusion.follow(p, DATA.model(FLOW, "flow"), X) for p in first)
    np.testing.assert_allclose(one, other, rtol=1e-13)
    assert slopes([error("ei_score", even, n, start="ramp") for n in (80, 160)])[0] > 0.7
