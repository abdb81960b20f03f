"""The two ends of a path: where sampling stops, where it starts, and what it costs."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from diffusion_problems import (
    PREDICTIONS,
    REACH_DATA,
    SCHEDULES,
    Gaussian,
    Mixture,
    ends,
    noise_at,
)
from semilinear import diffusion, methods
from semilinear.diffusion import Flow, PowerT, VPCosine, VPLinear
from semilinear.errors import InvalidArgument

DATA = Gaussian()
FINALS = ("t_end", "zero", "denoise")
NO_DATA = [name for name in SCHEDULES if name not in REACH_DATA]
RK_TO_DATA = ("rho_euler1", "rho_heun2", "rho_kutta3", "rho_rk4", "rho_dopri5")
IN_T = ("euler", "ei_score", "tab1", "tab3")
MULTISTEP = (*IN_T, "ddim", "ipndm2", "ipndm4", "rhoab1", "rhoab3", "logrhoab1", "logrhoab3")


def made(name: str, method: str, **options) -> diffusion.DiffusionPlan:
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    return diffusion.plan(schedule, method=method, t_start=t_start, t_end=t_end, **options)


def asked_of(plan: diffusion.DiffusionPlan) -> list[float]:
    asked: list[float] = []
    x = noise_at(plan.schedule, plan.t[0], (3,))
    y = diffusion.follow(plan, DATA.model(plan.schedule, plan.prediction, asked=asked), x)
    assert np.isfinite(y).all()
    return asked


@pytest.mark.parametrize("final", FINALS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_model_is_asked_as_announced_and_never_where_there_is_no_noise(name, final):
    schedule = SCHEDULES[name]
    for method, start, steps in product((*MULTISTEP, *RK_TO_DATA), ("ramp", "rk"), (1, 2, 5, 9)):
        few = start == "rk" and method in MULTISTEP and steps <= 3
        if final == "zero" and (few or (name in NO_DATA and method in IN_T)):
            continue
        plan = made(name, method, steps=steps, final=final, start=start)
        asked = asked_of(plan)
        assert asked == list(plan.times)
        assert len(asked) == plan.nfe
        assert all(isinstance(t, float) and np.isfinite(t) for t in asked)
        assert min(schedule.sigma(t) for t in asked) > 0.0


@pytest.mark.parametrize("name", REACH_DATA)
def test_a_run_of_starting_steps_alone_ends_before_there_is_no_noise(name):
    schedule = SCHEDULES[name]
    for method, steps in product(("tab3", "rhoab3", "logrhoab3"), (1, 2, 3)):
        plan = made(name, method, steps=steps, final="zero", start="rk", prediction="v")
        assert min(schedule.sigma(t) for t in asked_of(plan)) > 0.0


@pytest.mark.parametrize("prediction", ["flow", "v", "x0"])
def test_denoising_costs_nothing_where_the_grid_ends_in_the_data(prediction):
    plan = diffusion.plan(Flow(), steps=5, prediction=prediction, final="denoise")
    assert plan.nfe == 5
    assert min(Flow().sigma(t) for t in asked_of(plan)) > 0.0


@pytest.mark.parametrize("name", SCHEDULES)
def test_number_of_evaluations(name):
    counts = {"tab3": 1, "ipndm4": 1, "rho_heun2": 2, "rho_kutta3": 3, "rho_rk4": 4}
    for method, stages in counts.items():
        assert made(name, method, steps=6).nfe == 6 * stages
        assert made(name, method, steps=6, final="denoise").nfe == 6 * stages + 1
        if name in NO_DATA and method in IN_T:
            continue
        # A stage at the end of the last step has no noise: that step is Euler's.
        assert made(name, method, steps=6, final="zero").nfe == 5 * stages + (
            1 if method in ("rho_heun2", "rho_kutta3", "rho_rk4") else stages
        )
    # HOCHBRUCK_OSTERMANN4 has five stages, and starts three steps.
    assert made(name, "tab3", steps=6, start="rk").nfe == 3 * 5 + 3


@pytest.mark.parametrize("final", FINALS)
@pytest.mark.parametrize(
    ("method", "start"),
    [
        ("tab3", "ramp"),
        ("tab3", "rk"),
        ("logrhoab2", "rk"),
        ("rho_heun2", "ramp"),
        ("rho_ralston2", "ramp"),
        ("rho_rk4", "ramp"),
        ("rho_dopri5", "ramp"),
    ],
)
def test_a_budget_of_evaluations_gives_the_largest_number_of_steps(method, start, final):
    options = {"method": method, "start": start, "final": final}
    nfe = {n: diffusion.plan(VPLinear(), steps=n, **options).nfe for n in range(1, 26)}
    for budget in range(1, 26):
        fitting = [n for n, cost in nfe.items() if cost <= budget]
        if not fitting:
            with pytest.raises(InvalidArgument, match=f"nfe={budget} is less than"):
                diffusion.plan(VPLinear(), nfe=budget, **options)
            continue
        plan = diffusion.plan(VPLinear(), nfe=budget, **options)
        assert (plan.steps, plan.nfe) == (max(fitting), nfe[max(fitting)])


def test_a_budget_from_pure_noise_to_the_data():
    for method, nfe, steps in (("ddim", 7, 7), ("rho_heun2", 8, 5), ("rho_rk4", 10, 4)):
        plan = diffusion.plan(Flow(), method=method, nfe=nfe, prediction="v")
        assert (plan.steps, plan.nfe) == (steps, nfe)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_denoise_returns_what_the_model_thinks_of_x_0(name, prediction):
    schedule = SCHEDULES[name]
    options = {"steps": 6, "prediction": prediction}
    x = noise_at(schedule, ends(schedule)[0], (3,))
    model = DATA.model(schedule, prediction)
    before = diffusion.follow(made(name, "tab3", **options), model, x)
    after = diffusion.follow(made(name, "tab3", final="denoise", **options), model, x)
    t = ends(schedule)[1]
    expected = DATA.denoised(before, schedule.alpha(t), schedule.sigma(t))
    np.testing.assert_allclose(after, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_first_order_step_to_no_noise_returns_x_0_too(name, prediction):
    schedule = SCHEDULES[name]
    x = noise_at(schedule, ends(schedule)[0], (3,))
    model = DATA.model(schedule, prediction)
    options = {"prediction": prediction, "method": "rho_euler1"}
    denoised = diffusion.follow(made(name, steps=6, final="denoise", **options), model, x)
    at_zero = diffusion.follow(made(name, steps=7, final="zero", **options), model, x)
    np.testing.assert_allclose(at_zero, denoised, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_to_no_noise_brings_the_sample_to_the_data(name):
    schedule = SCHEDULES[name]
    t_start, _ = ends(schedule)
    x = noise_at(schedule, t_start, (5, 3))
    exact = DATA.moved(x, (schedule.alpha(t_start), schedule.sigma(t_start)), (1.0, 0.0))
    for method in ("rhoab1", "logrhoab1", "rho_heun2", "rho_rk4"):
        plan = made(name, method, steps=60, grid="karras", final="zero")
        y = diffusion.follow(plan, DATA.model(schedule), x)
        assert np.abs(y - exact).max() < 0.1, method


@pytest.mark.parametrize("name", NO_DATA)
def test_without_a_time_of_no_noise_there_is_no_last_step_in_t(name):
    for method in IN_T:
        with pytest.raises(InvalidArgument, match=r"final='zero'.*use final='denoise', or a"):
            made(name, method, steps=6, final="zero")


@pytest.mark.parametrize("name", NO_DATA)
@pytest.mark.parametrize("method", ["rho_ralston2", "rho_midpoint2", "rho_heun3"])
def test_stages_below_the_least_noise_are_not_asked_for(name, method):
    plan = made(name, method, steps=6, final="zero")
    assert asked_of(plan) == list(plan.times)
    assert min(plan.schedule.rho(plan.times)) >= plan.schedule.rho(ends(plan.schedule)[1])


@pytest.mark.parametrize("name", REACH_DATA)
@pytest.mark.parametrize("method", ["tab1", "tab3", "rhoab3", "logrhoab1", "logrhoab3"])
def test_the_last_step_is_the_limit_of_steps_to_ever_less_noise(name, method):
    schedule = SCHEDULES[name]
    t = np.linspace(ends(schedule)[0], 0.05 * schedule.t_start, 6)
    data = diffusion.plan(schedule, method=method, grid=t, final="zero")
    assert data.t[-1] == 0.0
    distances = []
    for last in (1e-4, 1e-6, 1e-8, 1e-10):
        near = diffusion.plan(schedule, method=method, grid=np.append(t, last))
        gap = np.abs(near.weights[-1] / schedule.alpha(last) - data.weights[-1]).max()
        lam = schedule.lam(last)
        distances.append(gap / (np.exp(-lam) * max(1.0, lam) ** 3))
    # The gap is an integral over what is left of rho, with factors of ln rho.
    assert max(distances) < 50.0


@pytest.mark.parametrize("name", REACH_DATA)
@pytest.mark.parametrize("method", ["tab3", "rhoab3", "logrhoab2", "ipndm4", "rho_rk4"])
def test_a_grid_that_ends_in_the_data_is_the_same_as_a_step_to_it(name, method):
    schedule = SCHEDULES[name]
    inner = np.linspace(ends(schedule)[0], 0.02 * schedule.t_start, 7)
    x = noise_at(schedule, inner[0], (3,))
    one = diffusion.plan(schedule, method=method, grid=np.append(inner, 0.0))
    other = diffusion.plan(schedule, method=method, grid=inner, final="zero")
    assert one.nfe == other.nfe
    assert (one.t == other.t).all()
    model = DATA.model(schedule)
    same = diffusion.follow(one, model, x) == diffusion.follow(other, model, x)
    assert same.all()


NOISY = [(Flow(), 1.0), (VPCosine(), 1.0), (VPCosine(normalised=False), 1.0)]
STARTING = ("ddim", "tab3", "rhoab3", "logrhoab2", "ipndm4", "rho_heun2", "rho_rk4")


@pytest.mark.parametrize("prediction", ["x0", "v", "flow"])
@pytest.mark.parametrize(("schedule", "t_start"), NOISY, ids=repr)
def test_the_first_step_from_pure_noise_is_the_limit_of_ddim(schedule, t_start, prediction):
    data = Mixture()
    x = noise_at(schedule, t_start, (4, 2))
    denoised = data.denoised(x, 0.0, schedule.sigma(t_start))
    for method in STARTING:
        found = diffusion.sample(
            data.model(schedule, prediction),
            x,
            schedule,
            method=method,
            steps=5,
            grid=PowerT(2.0),
            prediction=prediction,
            t_start=t_start,
            t_end=0.1,
            trajectory=True,
        )
        t = found.t[1]
        expected = schedule.alpha(t) * denoised + schedule.sigma(t) * x / schedule.sigma(t_start)
        np.testing.assert_allclose(found.x[1], expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("schedule", "t_start"), NOISY, ids=repr)
def test_a_run_from_pure_noise_is_the_limit_of_runs_from_nearly_pure_noise(schedule, t_start):
    data = Mixture()
    x = noise_at(schedule, t_start, (4, 2))
    inner = np.linspace(0.9, 0.05, 8)
    # Of its first step the answer tells N, which the next ones look at, and not the state.
    fixed = diffusion.Sampler(
        "own", diffusion.Parameterisation("x0", "lambda"), methods.ipndm(3), "own"
    )
    for method in ("ddim", "tab3", "rhoab3", "ipndm4", fixed):
        gaps = []
        for start in (1e-4, 1e-6):
            ends_near = [
                diffusion.sample(
                    data.model(schedule, "v"),
                    x,
                    schedule,
                    method=method,
                    grid=[first, *inner],
                    prediction="v",
                )
                for first in (t_start, t_start - start)
            ]
            gaps.append(np.abs(ends_near[0] - ends_near[1]).max())
        assert gaps[1] < min(1e-4, 0.05 * gaps[0])


def test_one_step_from_pure_noise_to_the_data_returns_the_answer():
    x = noise_at(Flow(), 1.0, (4, 3))
    for prediction in ("x0", "v", "flow"):
        for final in ("t_end", "zero"):
            plan = diffusion.plan(Flow(), steps=1, prediction=prediction, final=final)
            y = diffusion.follow(plan, DATA.model(Flow(), prediction), x)
            assert plan.nfe == 1
            np.testing.assert_allclose(y, np.broadcast_to(DATA.mean, y.shape), atol=1e-15)


@pytest.mark.parametrize("method", ["tab3", "rhoab3", "rho_rk4"])
def test_error_from_pure_noise_to_the_data_falls(method):
    x = noise_at(Flow(), 1.0, (4, 3))
    exact = DATA.moved(x, (0.0, 1.0), (1.0, 0.0))
    errors = []
    for steps in (10, 20, 40, 80):
        plan = diffusion.plan(Flow(), method=method, steps=steps, prediction="v")
        errors.append(np.abs(diffusion.follow(plan, DATA.model(Flow(), "v"), x) - exact).max())
    assert all(fine < coarse / 3 for coarse, fine in pairwise(errors))


@pytest.mark.parametrize("variable", ["t", "rho", "lambda"])
@pytest.mark.parametrize(("method", "each"), [("etdpec3", 1), ("etdpece3", 2), ("etdab3", 1)])
def test_from_pure_noise_a_pair_evaluates_no_state_twice(variable, method, each):
    sampler = diffusion.Sampler(
        "own", diffusion.Parameterisation("eps", variable), methods.get(method), "this test"
    )
    plan = diffusion.plan(Flow(), method=sampler, steps=8, prediction="flow", t_end=0.05)
    # The first step, then one evaluation to begin, and none that no step follows.
    begin = method != "etdab3"
    assert plan.nfe == 1 + 7 * each + begin * (1 - each)
