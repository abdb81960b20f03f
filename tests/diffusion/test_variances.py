"""What noise does to the law of a sample, without drawing any.

For normal data a run is linear in what it begins with and in its draws: give it orthogonal vectors
for them, and the square of the result is the variance. The reverse SDE keeps the marginals of the
ODE for every noise level.
"""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_problems import Gaussian, deterministic, slopes
from semilinear import diffusion
from semilinear.diffusion import EDM, Ancestral, Churn, Eta, Flow, RhoPower, Tau, VPLinear
from semilinear.methods import etdab

VP = VPLinear()
T_START, T_END = 0.9, 0.05
STOCHASTIC = [name for name in diffusion.names() if name not in deterministic()]


class Orthogonal:
    """Draws that are the unit vectors after the first."""

    def __init__(self, size: int) -> None:
        self.size, self.count = size, 1

    def __call__(self, evaluation: int, number: int) -> np.ndarray:
        z = np.zeros(self.size)
        z[self.count] = 1.0
        self.count += 1
        return z


def run(plan, variance: float, *, mean: float = 0.0) -> tuple[float, float, int]:
    """Variance and mean of the samples for data N(mean, variance), and the number of draws."""
    schedule, t = plan.schedule, float(plan.t[0])
    draws = Orthogonal(3 * len(plan.program.steps) + 3)
    x = np.zeros(draws.size)
    x[0] = np.hypot(schedule.alpha(t) * np.sqrt(variance), schedule.sigma(t))
    x[-1] = 0.0  # the last entry follows the mean, and no draw
    data = Gaussian((0.0,) * (draws.size - 1) + (mean,), (variance,) * draws.size)
    x[-1] = schedule.alpha(t) * mean
    y = diffusion.follow(plan, data.model(schedule, plan.prediction), x, seed=draws)
    return float((y[:-1] ** 2).sum()), float(y[-1]), draws.count - 1


def on_lambda(n: int) -> np.ndarray:
    t = np.array(VP.t_of_lam(np.linspace(VP.lam(T_START), VP.lam(T_END), n + 1)))
    t[0], t[-1] = T_START, T_END
    return t


WITH_NOISE = [
    *((name, None) for name in STOCHASTIC),
    ("unipc3", Tau(0.6)),
    ("dpmpp_3s", Tau(1.4)),
    ("res_3s", 1.0),
    ("res_3m", lambda t: 2.0 * t),
    ("ddpm", Eta(0.3)),
    ("er_sde3", RhoPower(lambda rho: rho**3)),
    ("sa_solver_pece", Tau(3.0)),
    ("heun", Churn(3.0)),
    ("dpm2", Churn(2.0, low=0.1, high=3.0)),
    ("rho_rk4", Ancestral(0.7)),
]


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize(("method", "noise"), WITH_NOISE)
def test_data_that_are_one_point_are_found_at_any_number_of_steps(method, noise, steps):
    """x_0 is known from the start: mean alpha c, variance sigma^2."""
    plan = diffusion.plan(VP, method=method, grid=on_lambda(steps), prediction="x0", noise=noise)
    variance, mean, draws = run(plan, 0.0, mean=1.7)
    assert draws > 0 or steps == 1 or method.startswith(("sa_solver", "dpm2"))
    # A stage far from its step cancels down to what is left at the end.
    bound = 1e-10 if method in ("heun", "rho_rk4") else 1e-12
    assert abs(variance / VP.sigma(T_END) ** 2 - 1) <= bound
    assert abs(mean / (1.7 * VP.alpha(T_END)) - 1) <= 1e-12


FIRST = {"ddpm", "seeds1", "er_sde1", "euler_ancestral"}
# Errors of both signs meet on these grids.
CROSSING = {"er_sde3"}


@pytest.mark.parametrize("method", STOCHASTIC)
def test_the_variance_of_normal_data_is_met_at_an_order(method):
    exact = VP.alpha(T_END) ** 2 * 0.3 + VP.sigma(T_END) ** 2
    errors = []
    for n in (80, 160):
        plan = diffusion.plan(VP, method=method, grid=on_lambda(n), prediction="x0")
        errors.append(abs(run(plan, 0.3)[0] - exact))
    low, high = (0.85, 1.15) if method in FIRST else (1.75, np.inf if method in CROSSING else 2.4)
    for slope in slopes(errors):
        assert low <= slope <= high
    assert errors[-1] <= (0.02 if method in FIRST else 5e-4)


@pytest.mark.parametrize("method", ["er_sde3", "dpmpp_3m_sde", "seeds3"])
def test_past_values_saw_other_noise_and_leave_order_two_of_the_variance(method):
    exact = VP.alpha(T_END) ** 2 * 0.25 + VP.sigma(T_END) ** 2
    errors = []
    for n in (160, 320, 640):
        plan = diffusion.plan(VP, method=method, grid=on_lambda(n), prediction="x0", noise=1.0)
        errors.append(abs(run(plan, 0.25)[0] - exact))
    for slope in slopes(errors):
        assert 1.75 <= slope <= 2.3


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("method", ["seeds3", "dpmpp_2m_sde", "flow_ab2", "unipc2"])
def test_every_noise_level_leads_to_the_same_variance(method, tau):
    exact = VP.alpha(T_END) ** 2 * 0.3 + VP.sigma(T_END) ** 2
    errors = []
    for n in (160, 320):
        plan = diffusion.plan(
            VP, method=method, grid=on_lambda(n), prediction="x0", noise=Tau(tau), start="rk"
        )
        errors.append(abs(run(plan, 0.3)[0] - exact))
    assert errors[1] < 0.4 * errors[0] or errors[1] < 1e-9
    assert errors[1] < 2e-3


@pytest.mark.parametrize("scale", [0.0, 0.8])
def test_noise_that_is_scaled_adds_less_variance(scale):
    """y = x / alpha: the state keeps r^2 of its variance, the rest is noise, scaled."""
    plan = diffusion.plan(VP, method="seeds1", grid=[0.7, 0.4], noise=Tau(1.0, scale=scale))
    variance, _, _ = run(plan, 0.0)
    ratio = VP.rho(0.4) / VP.rho(0.7)
    kept = ratio**2 + scale**2 * (1 - ratio**2)
    assert abs(variance / (VP.sigma(0.4) ** 2 * kept) - 1) <= 1e-12


@pytest.mark.parametrize("final", ["zero", "denoise"])
@pytest.mark.parametrize("method", STOCHASTIC)
def test_down_to_the_data_nothing_but_the_data_is_left(method, final):
    plan = diffusion.plan(VP, method=method, steps=6, final=final, prediction="x0")
    variance, mean, _ = run(plan, 0.0, mean=-0.4)
    assert variance <= 1e-24
    assert abs(mean + 0.4) <= 1e-13
    found, _, _ = run(
        diffusion.plan(VP, method=method, steps=150, grid="lambda", final=final, prediction="x0"),
        0.5,
    )
    assert abs(found - 0.5) <= 0.05


@pytest.mark.parametrize("grid", ["karras", "lambda"])
@pytest.mark.parametrize(("method", "steps"), [("er_sde2", 160), ("er_sde3", 40), ("er_sde3", 640)])
def test_a_last_step_to_the_data_does_not_extrapolate_what_saw_other_noise(method, steps, grid):
    """It is D = x v / (v + sigma^2), whose variance is v^2 / (v + sigma^2), for any grid."""
    v, sigma = 0.25, 0.02
    plan = diffusion.plan(
        EDM(sigma, 20.0), method=method, steps=steps, grid=grid, final="zero", prediction="x0"
    )
    found, _, _ = run(plan, v)
    # Where the order of the steps before is two, 160 steps leave 3e-4 of the variance.
    assert abs(found / (v * v / (v + sigma**2)) - 1) <= (0.0015 if steps == 40 else 5e-4)


@pytest.mark.parametrize("method", ["ddpm", "seeds3", "sa_solver3", "er_sde3", "dpmpp_3m_sde"])
def test_from_pure_noise(method):
    """The first step, whose end alone has noise, is the limit of DDIM."""
    plan = diffusion.plan(Flow(), method=method, steps=6, prediction="flow", t_end=0.1)
    variance, mean, _ = run(plan, 0.0, mean=2.0)
    assert abs(variance / 0.1**2 - 1) <= 1e-11
    assert abs(mean / 1.8 - 1) <= 1e-12


@pytest.mark.parametrize("method", ["euler_ancestral", "dpmpp_2s_ancestral"])
@pytest.mark.parametrize(
    ("schedule", "grid"),
    [(EDM(), [80.0, 1e-7]), (Flow(), [1.0, 0.5, 1e-12]), (VPLinear(0.1, 100.0), [1.0, 1e-3])],
    ids=["edm", "flow", "vp"],
)
def test_ancestral_noise_on_long_steps(method, schedule, grid):
    """Where (rho' / rho)^2 is below rounding: down to the data, and up again."""
    plan = diffusion.plan(schedule, method=method, grid=grid, prediction="x0")
    variance, mean, draws = run(plan, 0.0, mean=1.7)
    assert draws == 1
    assert abs(variance / schedule.sigma(grid[-1]) ** 2 - 1) <= 1e-9
    assert abs(mean / (1.7 * schedule.alpha(grid[-1])) - 1) <= 1e-12
    # Of dpm2 the last stage is so far from the end that only its plan can be told.
    rows = diffusion.plan(schedule, method="dpm2_ancestral", grid=grid, prediction="x0").rows
    assert all(np.isfinite(row.coefficients).all() for row in rows)


@pytest.mark.parametrize("eta", [0.3, 0.999, 1.0])
@pytest.mark.parametrize("t", [0.31, 0.5, 1.0])
def test_ancestral_steps_go_down_as_their_formula_says(t, eta):
    down, up = Ancestral(eta).legs(VP, t, 0.3, 5)
    rho, end = VP.rho(t), VP.rho(0.3)
    assert np.exp(-2 * down.lam) == pytest.approx(end**2 * (1 - eta**2 * (1 - (end / rho) ** 2)))
    assert (up.lam, up.t) == (VP.lam(0.3), 0.3)


@pytest.mark.parametrize("noise", [Ancestral(1.0), Eta(1.0), Eta(0.5), RhoPower()])
def test_a_step_from_pure_noise_draws_nothing(noise):
    cell = diffusion.Parameterisation("x0", "t")
    own = diffusion.Sampler("own", cell, etdab(1), "a test")
    plan = diffusion.plan(Flow(), method=own, steps=5, prediction="x0", noise=noise)
    variance, mean, draws = run(plan, 0.0, mean=1.7)
    assert draws == 3  # nor does that to the data
    assert variance <= 1e-24
    assert abs(mean / 1.7 - 1) <= 1e-12


def test_churn_keeps_the_noise_that_it_adds():
    """Beyond the ODE the state gains hat^2 - sigma^2, which the ODE then shrinks."""
    plan = diffusion.plan(EDM(), method="heun", steps=5, grid="karras", noise=Churn(40.0))
    variance, _, draws = run(plan, 0.0)
    assert draws == 5
    assert abs(variance / 0.002**2 - 1) <= 1e-11
