"""What goes wrong in schedulers elsewhere: here it is done right or refused, never otherwise."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from semilinear import InvalidArgument, ModelOutputError, NonFiniteError, UnknownName, diffusion

torch = pytest.importorskip("torch")
stock = pytest.importorskip("diffusers")

from semilinear.adapters.diffusers import SemilinearScheduler  # noqa: E402

# The stock schedulers' own, from their arithmetic of tensors by NumPy.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")

LATENT = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def normal(count=512, dtype=torch.float64):
    numbers = torch.randn(count, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return numbers.to(dtype)


def mixture(x, rho):
    """eps of data at +-0.8 with deviation 0.15."""
    alpha = 1 / np.sqrt(1 + rho * rho)
    sigma, mean = rho * alpha, 0.8 * alpha
    variance = (0.15 * alpha) ** 2 + sigma**2
    centre = mean * torch.tanh(mean * x / variance)
    return sigma * (x - centre) / variance


def run(scheduler, steps, x=None, **timesteps):
    """Sample the mixture; the network is told the noise level itself."""
    x = normal() if x is None else x
    scheduler.set_timesteps(steps, **timesteps)
    for t, rho in zip(scheduler.timesteps, scheduler.sigmas.double().tolist(), strict=False):
        x = scheduler.step(mixture(x, rho), t, x).prev_sample
    return x


def error(config, steps, reference):
    difference = run(SemilinearScheduler(**config, **LATENT), steps) - reference
    return float(difference.square().mean().sqrt())


@pytest.fixture(scope="module")
def least_noise():
    """Samples at the least noise of the training, as if by infinitely many steps."""
    fine = {"method": "rho_rk4", "use_exponential_sigmas": True, "final_sigmas_type": "sigma_min"}
    return run(SemilinearScheduler(**fine, **LATENT), 300)


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
def test_more_steps_are_better_also_from_14_to_15(order: int, final: str, least_noise) -> None:
    config = {"solver_order": order, "final_sigmas_type": final}
    errors = [error(config, n, least_noise) for n in (10, 12, 14, 15, 16, 20, 30)]
    assert (np.diff(errors) < 0).all()


def test_order_three_keeps_its_order_and_its_digits_on_many_steps(least_noise) -> None:
    config = {
        "solver_order": 3,
        "lower_order_final": False,
        "use_exponential_sigmas": True,
        "final_sigmas_type": "sigma_min",
    }
    steps = np.array([40, 80, 160, 320])
    errors = np.array([error(config, int(n), least_noise) for n in steps])
    orders = np.log2(errors[:-1] / errors[1:])
    assert (orders > 2.5).all(), orders


def test_order_three_is_stable_in_single_precision(least_noise) -> None:
    config = {"solver_order": 3, "use_exponential_sigmas": True, "final_sigmas_type": "sigma_min"}
    double = run(SemilinearScheduler(**config, **LATENT), 320)
    single = run(SemilinearScheduler(**config, **LATENT), 320, normal(dtype=torch.float32))
    # 320 roundings of the state, and of answers that the mixture may double.
    assert float((single - double).abs().max()) < 320 * 2 * np.finfo(np.float32).eps


def test_the_last_evaluation_removes_the_noise_that_is_left() -> None:
    for ladder in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"):
        for method in ("ddim", "logrhoab2", "tab3", "unipc2", "rho_heun2", "dpmpp_2m_sde"):
            scheduler = SemilinearScheduler(method=method, **{ladder: True}, **LATENT)
            scheduler.set_timesteps(8)
            assert scheduler.num_inference_steps == 8
            assert scheduler.sigmas[-1] == 0
            x = normal()
            for t, rho in zip(scheduler.timesteps, scheduler.sigmas.tolist(), strict=False):
                eps = mixture(x, rho)
                # x as the network sees it, not what a corrector makes of it afterwards
                x_0 = x * np.sqrt(1 + rho * rho) - rho * eps
                x = scheduler.step(eps, t, x).prev_sample
            assert torch.allclose(x, x_0, atol=1e-6 if method != "unipc2" else 0.05)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("method", [None, "tab3", "unipc2", "rho_heun2", "dpmpp_2m_sde"])
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
def test_few_steps_give_finite_samples(steps: int, method: str | None, final: str) -> None:
    scheduler = SemilinearScheduler(method=method, final_sigmas_type=final)
    assert torch.isfinite(run(scheduler, steps)).all()


@pytest.mark.parametrize("ladder", ["use_karras_sigmas", "use_exponential_sigmas"])
def test_timesteps_are_those_of_the_noise_and_not_truncated(ladder: str) -> None:
    scheduler = SemilinearScheduler(**{ladder: True}, **LATENT)
    scheduler.set_timesteps(100)
    told = scheduler.timesteps.double().numpy()
    assert scheduler.timesteps.dtype == torch.float32
    assert (np.diff(told) < 0).all()
    path = diffusion.Discrete.scaled_linear()
    assert np.allclose(path.rho(told), scheduler.sigmas[:-1].numpy(), rtol=1e-5)


def test_more_steps_than_timesteps_lie_between_them() -> None:
    scheduler = SemilinearScheduler(**LATENT)
    scheduler.set_timesteps(1500)
    assert (np.diff(scheduler.timesteps.double().numpy()) < 0).all()
    assert len(scheduler.timesteps) == 1500


def test_published_timesteps_and_noise_levels_are_taken() -> None:
    from diffusers.schedulers.scheduling_utils import AysSchedules

    scheduler = SemilinearScheduler(**LATENT)
    scheduler.set_timesteps(timesteps=AysSchedules["StableDiffusionTimesteps"])
    assert scheduler.timesteps.tolist() == AysSchedules["StableDiffusionTimesteps"]
    assert scheduler.num_inference_steps == 10
    levels = AysSchedules["StableDiffusionSigmas"]
    scheduler.set_timesteps(sigmas=levels)
    assert np.allclose(scheduler.sigmas.numpy(), levels, rtol=1e-4)
    told = np.array(AysSchedules["StableDiffusionTimesteps"])
    assert abs(scheduler.timesteps.numpy() - told).max() < 20
    with pytest.raises(InvalidArgument, match="lies outside the noise"):
        scheduler.set_timesteps(sigmas=AysSchedules["StableDiffusionVideoSigmas"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give num_inference_steps"),
        ({"num_inference_steps": 0}, "num_inference_steps=0"),
        ({"timesteps": [500, 500, 3]}, "step 0 of 3 would go from time 500 to 500"),
        ({"timesteps": [100, 200]}, "noise must fall"),
        ({"timesteps": [1000, 3]}, "leave the path"),
        ({"timesteps": [5, -1]}, "leave the path"),
        ({"timesteps": []}, "not empty"),
        ({"timesteps": ["a"]}, "sequence of numbers"),
        ({"timesteps": [500, 3], "num_inference_steps": 3}, "timesteps has 2 entries"),
        ({"timesteps": [500, 3], "sigmas": [2.0]}, "timesteps has 2 entries and sigmas 1"),
        ({"timesteps": [500, 500], "sigmas": [2.0, 1.0]}, "timesteps must be strictly decreasing"),
        ({"sigmas": [2.0, float("nan")]}, "finite"),
        ({"num_inference_steps": 5, "mu": 1.0}, "mu shifts the noise levels of flows"),
    ],
)
def test_timesteps_that_make_no_run_are_refused(arguments: dict, message: str) -> None:
    scheduler = SemilinearScheduler(**LATENT)
    with pytest.raises(InvalidArgument, match=message):
        scheduler.set_timesteps(**arguments)


def test_noise_levels_of_five_digits_may_lie_a_little_outside() -> None:
    low, high = diffusion.Discrete.scaled_linear().rho(np.array([0.0, 999.0]))
    scheduler = SemilinearScheduler(**LATENT)
    scheduler.set_timesteps(sigmas=[high * (1 + 9e-5), 1.0, low * (1 - 9e-5)])
    assert scheduler.timesteps[[0, -1]].tolist() == pytest.approx([999.0, 0.0], abs=1e-9)
    for sigmas in ([high * (1 + 1.1e-4), 1.0], [1.0, low * (1 - 1.1e-4)]):
        with pytest.raises(InvalidArgument, match="lies outside the noise"):
            scheduler.set_timesteps(sigmas=sigmas)


def test_one_step_of_a_flow_with_a_terminal_level_is_from_pure_noise() -> None:
    scheduler = SemilinearScheduler(
        shift=2.0, shift_terminal=0.02, prediction_type="flow_prediction"
    )
    scheduler.set_timesteps(1)
    assert scheduler.sigmas.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"solver_order": 8}, InvalidArgument, "solver_order=8 must be a whole number from 1 to 7"),
        ({"solver_order": 0}, InvalidArgument, "solver_order=0"),
        ({"solver_order": 2.5}, InvalidArgument, "solver_order=2.5"),
        ({"method": "dies"}, UnknownName, "method='dies' is not known"),
        ({"method": 3}, InvalidArgument, "method=3"),
        ({"prediction_type": "eps"}, UnknownName, "prediction_type"),
        ({"beta_schedule": "sigmoid"}, UnknownName, "beta_schedule"),
        ({"timestep_spacing": "quadratic"}, UnknownName, "timestep_spacing"),
        ({"final_sigmas_type": "none"}, UnknownName, "final_sigmas_type"),
        ({"time_shift_type": "log"}, UnknownName, "time_shift_type"),
        ({"use_karras_sigmas": True, "use_flow_sigmas": True}, InvalidArgument, "use_karras"),
        ({"use_beta_sigmas": True, "shift": 3.0}, InvalidArgument, "use_beta_sigmas"),
        (
            {"use_karras_sigmas": True, "use_beta_sigmas": True},
            InvalidArgument,
            "exclude each other",
        ),
        ({"prediction_type": "flow_prediction"}, InvalidArgument, "needs the path of a flow"),
        (
            {"use_flow_sigmas": True, "final_sigmas_type": "sigma_min"},
            InvalidArgument,
            "sigma_min",
        ),
        ({"trained_betas": [0.1, 0.2]}, InvalidArgument, "trained_betas has 2 entries"),
        ({"shift": 0}, InvalidArgument, "shift=0 must be positive"),
        ({"shift": float("nan")}, InvalidArgument, "shift=nan must be positive"),
        ({"use_flow_sigmas": True, "flow_shift": 0}, InvalidArgument, "flow_shift=0 must be"),
        ({"use_flow_sigmas": True, "flow_shift": None}, InvalidArgument, "flow_shift=None"),
        (
            {"thresholding": True, "dynamic_thresholding_ratio": 0.0},
            InvalidArgument,
            "dynamic_thresholding_ratio=0.0 must be above 0 and at most 1",
        ),
        (
            {"thresholding": True, "dynamic_thresholding_ratio": 99.5},
            InvalidArgument,
            "dynamic_thresholding_ratio=99.5",
        ),
        (
            {"thresholding": True, "sample_max_value": 0.5},
            InvalidArgument,
            "sample_max_value=0.5 must be at least 1",
        ),
        (
            {"method": diffusion.get("ipndm4")._replace(name="mine")},
            InvalidArgument,
            r"^method=Sampler\(name='mine'.{1,90} is a Sampler, .* names only: .*diffusion\.sam",
        ),
        ({"method": ["ddim"] * 99}, InvalidArgument, r"^method=.{1,100} must be a name of"),
        ({"method": "auto"}, InvalidArgument, "method='auto' needs more .* method='unipc2'"),
        ({"method": "dpm_solver_v3"}, InvalidArgument, "method='dpm_solver_v3' needs more than"),
        ({"eta": 0.5, "tau": 0.5}, InvalidArgument, "give one of them"),
        ({"eta": 2.0, "method": "ddpm"}, InvalidArgument, "eta=2.0"),
        ({"eta": 0.5, "method": "tab3"}, InvalidArgument, "tab3 does not"),
        ({"tau": -1.0}, InvalidArgument, "tau=-1.0"),
        ({"exact": "no"}, InvalidArgument, "exact='no' must be True or False"),
        ({"thresholding": 1}, InvalidArgument, "thresholding=1 must be True or False"),
        ({"use_karras_sigmas": "no"}, InvalidArgument, "use_karras_sigmas='no' must be"),
    ],
)
def test_configurations_without_a_meaning_are_refused(config, error, message: str) -> None:
    with pytest.raises(error, match=message):
        SemilinearScheduler(**config)


def test_keywords_that_do_not_exist_are_refused() -> None:
    with pytest.raises(TypeError, match="solver_ordr"):
        SemilinearScheduler(solver_ordr=3)


def test_mu_counts_for_its_own_run_alone() -> None:
    config = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    scheduler = SemilinearScheduler(use_dynamic_shifting=True, **config)
    scheduler.set_timesteps(4, mu=0.5)
    first = scheduler.sigmas.clone()
    scheduler.set_timesteps(4, mu=1.5)
    assert (scheduler.sigmas[1:-1] > first[1:-1]).all()
    scheduler.set_timesteps(4, mu=0.5)
    assert torch.equal(scheduler.sigmas, first)
    assert scheduler.config.flow_shift == scheduler.config["flow_shift"] == 1.0
    with pytest.raises(InvalidArgument, match="mu is missing"):
        scheduler.set_timesteps(4)
    with pytest.raises(InvalidArgument, match="use_dynamic_shifting=False"):
        SemilinearScheduler(**config).set_timesteps(4, mu=0.5)
    linear = SemilinearScheduler(use_dynamic_shifting=True, time_shift_type="linear", **config)
    with pytest.raises(InvalidArgument, match="mu=0 makes a shift of 0"):
        linear.set_timesteps(4, mu=0)


def test_a_flow_begins_at_pure_noise_and_ends_in_data() -> None:
    for steps in (1, 2, 5):
        for method in (None, "tab3", "unipc2", "flow_ab2", "rho_heun2", "dpmpp_2m"):
            scheduler = SemilinearScheduler(
                method=method, use_flow_sigmas=True, prediction_type="flow_prediction"
            )
            scheduler.set_timesteps(steps)
            assert scheduler.timesteps[0] == 1000
            assert (scheduler.sigmas[0], scheduler.sigmas[-1]) == (1, 0)
            noise, data = normal(), normal().flip(0)
            x = noise
            for t in scheduler.timesteps:  # the velocity of a straight path is its difference
                x = scheduler.step(noise - data, t, x).prev_sample
            assert torch.allclose(x, data, atol=1e-12)


def test_zero_terminal_snr_begins_where_nothing_is_known_of_the_data() -> None:
    config = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", **LATENT}
    scheduler = SemilinearScheduler(prediction_type="v_prediction", **config)
    theirs = stock.DPMSolverMultistepScheduler(prediction_type="v_prediction", **config)
    scheduler.set_timesteps(8)
    theirs.set_timesteps(8)
    assert torch.allclose(scheduler.sigmas, theirs.sigmas, rtol=1e-3)
    assert scheduler.sigmas[0] == 4096 * np.float32(np.sqrt(1 - 2.0**-24))
    x, data = normal(), normal().flip(0)
    for t, rho in zip(scheduler.timesteps, scheduler.sigmas.double().tolist(), strict=False):
        alpha = 1 / np.sqrt(1 + rho * rho)
        sigma = rho * alpha
        eps = (x - alpha * data) / sigma
        x = scheduler.step(alpha * eps - sigma * data, t, x).prev_sample
    assert torch.allclose(x, data, atol=1e-6)
    # Linear betas leave less signal before the last timestep than the convention sets there.
    linear = SemilinearScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    assert (linear.alphas_cumprod.diff() < 0).all()
    blind = SemilinearScheduler(**config)
    with pytest.raises(InvalidArgument, match="tells nothing of the data"):
        blind.set_timesteps(8)
    blind.set_timesteps(timesteps=[900, 500, 100])
    flow = SemilinearScheduler(use_flow_sigmas=True)
    with pytest.raises(InvalidArgument, match=r"path is a flow.*_type 'flow_prediction'"):
        flow.set_timesteps(8)
    flow.set_timesteps(timesteps=[900, 500, 100])


def test_steps_out_of_turn_are_refused() -> None:
    scheduler = SemilinearScheduler()
    x = normal()
    with pytest.raises(InvalidArgument, match="call set_timesteps before step"):
        scheduler.step(x, 999, x)
    scheduler.set_timesteps(5)
    t = scheduler.timesteps
    with pytest.raises(InvalidArgument, match="timestep=123 is none of those"):
        scheduler.step(x, 123, x)
    y = scheduler.step(x / 2, t[0], x).prev_sample
    for wrong in (t[0], t[2], t[2].clone(), int(t[0]), 123, torch.tensor(-1)):
        with pytest.raises(InvalidArgument, match=r"is not the one whose turn it is, 799"):
            scheduler.step(y / 2, wrong, y)
    for right in (t[1].clone(), float(t[2]), t[3].expand(7), t[4].int()):
        y = scheduler.step(y / 2, right, y).prev_sample
    with pytest.raises(InvalidArgument, match="the run is over"):
        scheduler.step(y / 2, t[4], y)


@pytest.mark.parametrize("index", [7, 5, -1])
def test_begin_indices_that_are_none_are_refused_wherever_they_count(index: int) -> None:
    scheduler = SemilinearScheduler()
    scheduler.set_timesteps(5)
    scheduler.set_begin_index(index)
    x, t = normal(), scheduler.timesteps
    with pytest.raises(InvalidArgument, match=rf"begin_index={index} is none of the 5"):
        scheduler.add_noise(x, x, t[:1])
    with pytest.raises(InvalidArgument, match=rf"begin_index={index} is none of the 5"):
        scheduler.step(x, t[0], x)


def test_ladders_may_be_given_with_their_end() -> None:
    scheduler = SemilinearScheduler()
    for count in (None, 3, 3.0):
        for steps, levels in (
            ([999, 500, 200, 0], [157, 3.4, 0.7, 0]),
            ([999, 500, 200], [157, 3.4, 0.7]),
        ):
            scheduler.set_timesteps(count, timesteps=steps, sigmas=levels)
            assert scheduler.timesteps.tolist() == [999, 500, 200]
            assert scheduler.num_inference_steps == 3
    with pytest.raises(InvalidArgument, match=r"sigmas has 2 entries, the zero at the end apart"):
        scheduler.set_timesteps(3, sigmas=[10, 1, 0])
    with pytest.raises(InvalidArgument, match=r"timesteps has 3 entries and sigmas 2; give"):
        scheduler.set_timesteps(timesteps=[999, 500, 200], sigmas=[10, 1])
    with pytest.raises(InvalidArgument, match=r"num_inference_steps=2.5 must be a whole number"):
        scheduler.set_timesteps(2.5)


def test_a_ladder_that_begins_a_step_where_it_ends_is_refused_with_the_remedy() -> None:
    config = {"timestep_spacing": "leading", "final_sigmas_type": "sigma_min"}
    euler = stock.EulerDiscreteScheduler(**config).config
    with pytest.raises(InvalidArgument, match=r"ends at timestep 0, .* steps_offset=1 beside"):
        SemilinearScheduler.from_config(euler).set_timesteps(5)
    SemilinearScheduler.from_config(euler, steps_offset=1).set_timesteps(5)


def test_euler_from_pure_noise_is_refused_with_what_to_take() -> None:
    flow = {"shift": 3.0, "prediction_type": "flow_prediction"}
    with pytest.raises(InvalidArgument, match=r"^method='euler' cannot .*method='ddim'"):
        SemilinearScheduler(method="euler", **flow).set_timesteps(5)
    found = []
    for method in ("euler", "ddim"):
        scheduler, x = SemilinearScheduler(method=method, **flow), normal()
        scheduler.set_timesteps(timesteps=[900, 500, 100])
        for t in scheduler.timesteps:
            x = scheduler.step(torch.sin(x), t, x).prev_sample
        found.append(x)
    assert torch.allclose(*found, atol=1e-12)


def test_answers_inside_of_something_else_are_refused_with_what_to_return() -> None:
    scheduler = SemilinearScheduler()
    scheduler.set_timesteps(5)
    x, t = normal(), scheduler.timesteps[0]
    with pytest.raises(InvalidArgument, match=r"model_output must be a tensor, got tuple.*\[0\]"):
        scheduler.step((x,), t, x)
    with pytest.raises(InvalidArgument, match=r"got SimpleNamespace.* return output\.sample"):
        scheduler.step(SimpleNamespace(sample=x), t, x)


def test_a_run_may_begin_at_any_step() -> None:
    x = normal()
    whole = SemilinearScheduler(method="rho_heun2")
    whole.set_timesteps(5)
    assert whole.timesteps.tolist() == [999, 799, 799, 599, 599, 400, 400, 200, 200]
    answers = []
    for t in whole.timesteps[4:]:  # the second 599, found by its place in memory
        x = whole.step(x / 3, t, x).prev_sample
        answers.append(x)
    by_index = SemilinearScheduler(method="rho_heun2")
    by_index.set_timesteps(5)
    by_index.set_begin_index(4)
    assert by_index.begin_index == 4
    assert by_index.step_index is None
    y = normal()
    for t, expected in zip(by_index.timesteps[4:], answers, strict=True):
        y = by_index.step(y / 3, t, y).prev_sample
        assert torch.equal(y, expected)
    by_value = SemilinearScheduler(method="rho_heun2")
    by_value.set_timesteps(5)
    by_value.step(y, 599, y)  # of the two the one that begins a step
    assert by_value.step_index == 5
    by_value.set_timesteps(5)
    by_value.set_begin_index(2)
    with pytest.raises(InvalidArgument, match="is not the one whose turn it is"):
        by_value.step(y, by_value.timesteps[0], y)
    by_value.set_begin_index(9)
    with pytest.raises(InvalidArgument, match="begin_index=9 is none of the 9"):
        by_value.step(y, by_value.timesteps[0], y)


FLOW = {"shift": 3.0, "prediction_type": "flow_prediction"}


@pytest.mark.parametrize(
    "method", ["rho_heun2", "dpmpp_2s", "res_3s", "sa_solver_pece", "flow_rk4"]
)
@pytest.mark.parametrize("config", [FLOW, {**LATENT, "prediction_type": "sample"}])
@pytest.mark.parametrize("begin", range(1, 24, 2))
def test_a_run_may_begin_inside_of_a_step_too(method: str, config, begin: int) -> None:
    """Noise of that evaluation is added, and all the rest of the timesteps are followed."""
    noise_level = {"tau": 0.0} if method == "sa_solver_pece" else {}
    scheduler = SemilinearScheduler(method=method, **noise_level, **config)
    scheduler.set_timesteps(12)
    timesteps = scheduler.timesteps
    begin = min(begin, len(timesteps) - 1)
    scheduler.set_begin_index(begin)
    data, eps = 0.3, normal()
    x = scheduler.add_noise(torch.full_like(eps, data), eps, timesteps[begin : begin + 1])
    for k in range(begin, len(timesteps)):
        rho = float(scheduler.sigmas[k])
        alpha, sigma = (1 - rho, rho) if config is FLOW else (1 / np.hypot(1, rho), 0)
        # All data are in one point, which a first-order step finds as well as any.
        answer = (x - alpha * data) / sigma - data if sigma else torch.full_like(x, data)
        x = scheduler.step(answer, timesteps[k], x).prev_sample
        assert scheduler.step_index == k + 1
        known = scheduler.add_noise(torch.full_like(eps, data), eps, timesteps[k : k + 1])
        assert torch.allclose(x, known, atol=1e-5)
    with pytest.raises(InvalidArgument, match="the run is over"):
        scheduler.step(x, timesteps[-1], x)


def test_bad_answers_are_refused_inside_of_a_step_too() -> None:
    scheduler = SemilinearScheduler(method="rho_heun2")
    scheduler.set_timesteps(5)
    scheduler.set_begin_index(3)
    x, t = normal(), scheduler.timesteps[3]
    with pytest.raises(ModelOutputError, match=r"evaluation 4 of 9 returned shape \(2, 1\)"):
        scheduler.step(x[:2], t, x)
    with pytest.raises(NonFiniteError, match=r"after evaluation 4 of 9 the sample has NaN"):
        scheduler.step(x * torch.nan, t, x)
    assert scheduler.step_index is None
    scheduler.step(x / 2, t, x)
    assert scheduler.step_index == 4


def test_timesteps_in_half_precision_are_recognised() -> None:
    scheduler = SemilinearScheduler()
    scheduler.set_timesteps(7)
    x = normal()
    for t in scheduler.timesteps:
        x = scheduler.step(x / 2, t.to(torch.bfloat16), x).prev_sample
    assert scheduler.step_index == 7


@pytest.mark.parametrize("first", [0, 10, 40])
@pytest.mark.parametrize("config", [{"shift": 3.0, "prediction_type": "flow_prediction"}, {}])
def test_the_nearest_of_timesteps_in_half_precision_begins_a_run(config, first: int) -> None:
    scheduler = SemilinearScheduler(**config)
    x = normal(4, torch.float32)
    scheduler.set_timesteps(50)
    for index, t in list(enumerate(scheduler.timesteps))[first:]:
        x = scheduler.step(x, t.to(torch.bfloat16), x).prev_sample
        assert scheduler.step_index == index + 1


@pytest.mark.parametrize("config", [{}, {"use_flow_sigmas": True, "prediction_type": "sample"}])
def test_beside_given_timesteps_the_path_goes_on_to_both_ends(config) -> None:
    scheduler, fresh = SemilinearScheduler(**config), SemilinearScheduler(**config)
    one, at = torch.ones(4, 1), torch.tensor([10, 100, 500, 990])
    scheduler.set_timesteps(timesteps=[800, 400])
    sigmas = scheduler.sigmas.tolist()
    scheduler.set_timesteps(timesteps=[800, 400], sigmas=sigmas)
    for own, known in (
        (scheduler.add_noise, fresh.add_noise),
        (scheduler.scale_noise, lambda x, t, noise: fresh.add_noise(x, noise, t)),
        (scheduler.get_velocity, fresh.get_velocity),
    ):
        given = (0 * one, at, one) if own == scheduler.scale_noise else (0 * one, one, at)
        assert torch.allclose(own(*given), known(*given), atol=1e-6)


def test_the_network_is_told_the_end_of_the_path_beside_given_timesteps() -> None:
    scheduler = SemilinearScheduler(method="rho_heun2", final_sigmas_type="sigma_min")
    scheduler.set_timesteps(timesteps=[999, 500, 200], sigmas=[157.0, 3.443, 0.7236])
    assert scheduler.timesteps.tolist() == [999, 500, 500, 200, 200, 0]


def test_noise_on_data_is_added_in_single_precision_at_least() -> None:
    scheduler = SemilinearScheduler(**LATENT)
    x_0, eps = normal(8, torch.float32), normal(8, torch.float32).flip(0)
    at = torch.tensor([0, 1, 2, 3, 10, 100, 500, 999])
    exact = scheduler.add_noise(x_0.double(), eps.double(), at)
    for dtype in (torch.float16, torch.bfloat16):
        rounded = scheduler.add_noise(x_0.to(dtype), eps.to(dtype), at)
        again = scheduler.add_noise(x_0.to(dtype).double(), eps.to(dtype).double(), at)
        assert rounded.dtype == dtype
        assert torch.allclose(rounded.double(), again, rtol=torch.finfo(dtype).eps, atol=1e-7)
        assert torch.allclose(rounded.double(), exact, rtol=0.01, atol=0.02)
    ddpm = stock.DDPMScheduler(**LATENT)
    assert torch.allclose(scheduler.add_noise(x_0, eps, at), ddpm.add_noise(x_0, eps, at))
    assert torch.allclose(scheduler.get_velocity(x_0, eps, at), ddpm.get_velocity(x_0, eps, at))
    with pytest.raises(InvalidArgument, match="outside the domain"):
        scheduler.add_noise(x_0, eps, at + 1)


@pytest.mark.parametrize("shape", [(4,), (4, 2), (4, 1, 2, 3, 2)])
def test_thresholding_takes_any_number_of_axes(shape: tuple[int, ...]) -> None:
    scheduler = SemilinearScheduler(thresholding=True, prediction_type="sample")
    x = torch.zeros(shape)
    scheduler.set_timesteps(1)
    answer = torch.full(shape, 7.0)
    assert torch.equal(scheduler.step(answer, 999, x).prev_sample, torch.ones(shape))


FOREIGN = (
    stock.DDPMScheduler(clip_sample=True),
    stock.DDIMScheduler(**LATENT, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
    stock.EulerDiscreteScheduler(**LATENT, use_karras_sigmas=True),
    stock.DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++", solver_order=3),
    stock.UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction"),
    stock.DEISMultistepScheduler(solver_order=3),
    stock.PNDMScheduler(skip_prk_steps=True),
    stock.DDIMParallelScheduler(),
    stock.FlowMatchEulerDiscreteScheduler(shift=3.0),
    stock.FlowMatchHeunDiscreteScheduler(shift=1.0),
)


@pytest.mark.parametrize("scheduler", FOREIGN, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("saved", [False, True])
def test_configurations_go_back_and_forth_unharmed(scheduler, saved, tmp_path, caplog) -> None:
    config = scheduler.config
    if saved:
        scheduler.save_pretrained(tmp_path)
        ours = SemilinearScheduler.from_pretrained(tmp_path)
    else:
        ours = SemilinearScheduler.from_config(config)
    # The stock DEIS scheduler's words for itself would make others refuse the configuration.
    left_out = {"algorithm_type", "solver_type"} if "deis" in config.values() else set()
    for key in set(config) - left_out - {"prediction_type"}:
        if key[0] != "_":
            assert ours.config[key] == config[key], key
    with caplog.at_level(logging.WARNING):
        ours.save_pretrained(tmp_path)
        back = type(scheduler).from_pretrained(tmp_path)
    assert not caplog.records
    assert not {k for k in config if k[0] != "_" and back.config[k] != config[k]}
    if not isinstance(scheduler, stock.FlowMatchEulerDiscreteScheduler):
        stock.DPMSolverMultistepScheduler.from_config(ours.config)


@pytest.mark.parametrize("loaded", [False, True])
def test_a_saved_scheduler_may_become_one_of_another_class(loaded, tmp_path) -> None:
    """None of the keys that only some classes have is written as a value."""
    SemilinearScheduler(**LATENT).save_pretrained(tmp_path)
    for other in (stock.SASolverScheduler, stock.FlowMatchEulerDiscreteScheduler):
        if loaded:
            made = other.from_config(SemilinearScheduler.from_pretrained(tmp_path).config)
        else:
            made = other.from_pretrained(tmp_path)
        made.set_timesteps(5)
    orders = SemilinearScheduler(predictor_order=3, corrector_order=1)
    orders.save_pretrained(tmp_path)
    made = stock.SASolverScheduler.from_pretrained(tmp_path)
    assert (made.config.predictor_order, made.config.corrector_order) == (3, 1)


def test_noise_is_added_at_one_timestep_or_at_one_for_each() -> None:
    scheduler, x, noise = SemilinearScheduler(), normal(), normal()
    x, noise = torch.cat([x, x, x])[:3], torch.cat([noise, noise, noise])[:3]
    each = scheduler.add_noise(x, noise, torch.tensor([5, 5, 5]))
    for t in (5, torch.tensor(5), torch.tensor([5])):
        assert torch.equal(scheduler.add_noise(x, noise, t), each)
        assert torch.equal(scheduler.scale_noise(x, t, noise), each)
    # As the pipeline of Kandinsky 2.2 for inpainting does.
    several = scheduler.add_noise(x[:1], noise, torch.tensor([5]))
    assert torch.equal(several, scheduler.add_noise(torch.cat(3 * [x[:1]]), noise, 5))
    with pytest.raises(InvalidArgument, match=r"timesteps has shape \(2,\).* one for each of 3"):
        scheduler.add_noise(x, noise, torch.tensor([1, 2]))
    with pytest.raises(InvalidArgument, match=r"noise has shape \(1, .*like the samples, \(3, "):
        scheduler.get_velocity(x, noise[:1], torch.tensor([1, 2, 3]))


@pytest.mark.parametrize("count", [0, 1, 2.5])
def test_how_many_timesteps_the_training_had(count) -> None:
    with pytest.raises(
        InvalidArgument, match=f"num_train_timesteps={count} must be a whole number"
    ):
        SemilinearScheduler(num_train_timesteps=count)


@pytest.mark.parametrize("ladder", ["use_karras_sigmas", "use_exponential_sigmas"])
def test_ladders_end_at_the_least_timestep_itself(ladder: str) -> None:
    for count in range(2, 30):
        scheduler = SemilinearScheduler(**LATENT, **{ladder: True})
        scheduler.set_timesteps(count)
        assert scheduler.timesteps[-1] == 0


def test_flow_matching_configurations_make_a_flow() -> None:
    theirs = stock.FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=True, base_image_seq_len=300
    )
    ours = SemilinearScheduler.from_config(theirs.config)
    assert ours.config.prediction_type == "flow_prediction"
    assert ours.config.base_image_seq_len == 300  # pipelines read it
    # Pipelines pass their own noise levels unless a scheduler says that it has some.
    assert not ours.config.use_flow_sigmas
    ours.set_timesteps(sigmas=[1.0, 0.75, 0.5, 0.25], mu=0.0)
    assert ours.sigmas.tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    fixed = SemilinearScheduler.from_config(stock.FlowMatchEulerDiscreteScheduler().config)
    fixed.set_timesteps(sigmas=[1.0, 0.5], mu=0.7)  # as its own scheduler, it does without mu
    assert fixed.sigmas.tolist() == [1.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            lambda: {"num_train_timesteps": 10, "snr": 1},
            "neither beta_schedule nor trained_betas nor shift",
        ),
        (lambda: stock.CogVideoXDDIMScheduler().config, "snr_shift_scale=3.0"),
        (
            lambda: {"sigma_data": 0.5},
            "EDMEulerScheduler belongs to networks of EDM",
        ),
        (lambda: stock.FlowMatchEulerDiscreteScheduler(invert_sigmas=True).config, "invert_sigmas"),
        (
            lambda: stock.FlowMatchEulerDiscreteScheduler(stochastic_sampling=True).config,
            "stochastic_sampling",
        ),
        (
            lambda: stock.EulerDiscreteScheduler(timestep_type="continuous").config,
            "timestep_type='continuous'",
        ),
        (
            lambda: stock.DPMSolverMultistepScheduler(use_lu_lambdas=True).config,
            "use_exponential_sigmas=True",
        ),
        (lambda: stock.EulerDiscreteScheduler(sigma_min=0.1).config, "sigma_min=0.1"),
        (lambda: stock.UniPCMultistepScheduler(sigma_max=9.0).config, "sigma_max=9.0"),
    ],
)
def test_configurations_of_other_networks_are_refused(config, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        SemilinearScheduler.from_config(config())


def test_keys_given_beside_a_configuration_count() -> None:
    config = stock.DPMSolverMultistepScheduler(use_lu_lambdas=True, solver_order=3).config
    ours = SemilinearScheduler.from_config(config, use_lu_lambdas=False, method="dpmpp_2m", tau=0.3)
    assert (ours.config.method, ours.config.tau, ours.config.solver_order) == ("dpmpp_2m", 0.3, 3)
    assert SemilinearScheduler.from_config({"solver_order": 3}).config.solver_order == 3
