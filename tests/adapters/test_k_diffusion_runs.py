"""Runs of the functions of k-diffusion: noise, precision, devices, flow models."""

from __future__ import annotations

import numpy as np
import pytest

from semilinear import InvalidArgument, diffusion, methods

torch = pytest.importorskip("torch")

from k_diffusion_runs import SHAPE, Recorded, function, karras, model, noise  # noqa: E402
from semilinear.adapters import k_diffusion  # noqa: E402
from semilinear.adapters.k_diffusion import sample  # noqa: E402


def test_noise_is_of_the_global_generator_by_default() -> None:
    def run(seed: int):
        torch.manual_seed(seed)
        return k_diffusion.sample_seeds2(model, noise(), karras(), disable=True)

    assert run(1).equal(run(1))
    assert not (run(1) == run(2)).any()


def test_no_noise_is_drawn_that_does_not_enter() -> None:
    before = torch.get_rng_state()
    k_diffusion.sample_heun(model, noise(), karras(), disable=True)
    k_diffusion.sample_heun(model, noise(), karras(), disable=True, s_churn=5.0, s_tmin=20.0)
    k_diffusion.sample_sa_solver(model, noise(), karras(), disable=True, s_tmax=0.01)
    k_diffusion.sample_dpmpp_3m_sde(model, noise(), karras(), disable=True, eta=0.0)
    assert torch.get_rng_state().equal(before)


def test_sa_solver_adds_noise_between_two_values_of_sigma() -> None:
    for call in (k_diffusion.sample_sa_solver, lambda *a, **k: sample(*a, method="sa_solver", **k)):
        drawn = Recorded()
        sigmas = torch.tensor([80.0, 60.0, 40.0, 10.0, 1.0, 0.1, 0.04, 0.0])
        call(model, noise(torch.float32), sigmas, disable=True, noise_sampler=drawn)
        np.testing.assert_allclose([start for start, _ in drawn.calls], sigmas[2:6])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision_the_run_keeps_more(dtype) -> None:
    seen = []

    def recorded(x, sigma):
        assert x.dtype == sigma.dtype == dtype
        seen.append(x)
        return model(x.double(), sigma.double()).to(dtype)

    found = k_diffusion.sample_logrhoab2(recorded, noise(dtype), karras(), disable=True)
    exact = k_diffusion.sample_logrhoab2(model, noise(), karras(), disable=True)
    assert found.dtype == dtype
    assert float((found - exact).abs().max()) < 30 * torch.finfo(dtype).eps


@pytest.mark.parametrize("called", [k_diffusion.sample_euler, k_diffusion.sample_dpm_adaptive])
def test_a_sigma_beyond_half_precision_is_told_in_single(called) -> None:
    seen = []

    def half(x, sigma):
        seen.append((x.dtype, sigma.dtype, float(sigma[0])))
        return torch.full_like(x, 0.25)

    adaptive = called is k_diffusion.sample_dpm_adaptive
    ends = (0.1, 7e4) if adaptive else (torch.tensor([7e4, 6e4, 1.0, 0.1]),)
    x = torch.ones(SHAPE, dtype=torch.float16)
    found = called(half, x, *ends, disable=True)
    assert found.dtype == torch.float16
    assert seen[0] == (torch.float16, torch.float32, 7e4)
    assert all(kind == torch.float16 for _, kind, sigma in seen if sigma <= 65504)


def test_answers_of_another_precision_are_taken() -> None:
    def half(x, sigma):
        return model(x, sigma).to(torch.float16)

    found = k_diffusion.sample_tab2(half, noise(torch.float32), karras(), disable=True)
    assert found.dtype == torch.float32


def test_nothing_records_gradients() -> None:
    weight = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)

    def recording(x, sigma):
        with torch.enable_grad():
            return weight * model(x, sigma)

    found = k_diffusion.sample_tab2(recording, noise().requires_grad_(), karras(), disable=True)
    assert not found.requires_grad


@pytest.mark.parametrize("name", ["tab3", "heun", "sa_solver", "dpmpp_2s_ancestral"])
def test_nothing_waits_for_the_device(name: str) -> None:
    """A meta tensor has no numbers: whoever looks for one fails."""

    def shapes(x, sigma):
        return x * sigma.reshape(-1, 1, 1)

    x = torch.empty(SHAPE, device="meta")
    assert function(name)(shapes, x, karras(), disable=True).device.type == "meta"


def test_any_layout_in_memory_serves() -> None:
    x = noise().transpose(1, 2)

    def turned(x, sigma):
        return model(x, sigma).transpose(1, 2).contiguous().transpose(1, 2)

    found = k_diffusion.sample_tab2(turned, x, karras(), disable=True)
    expected = k_diffusion.sample_tab2(model, x.contiguous(), karras(), disable=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


# The general function.


def test_sample_takes_what_a_plan_takes() -> None:
    own = diffusion.Sampler(
        "own", diffusion.Parameterisation("eps", "lambda"), methods.etdab(2), "here"
    )
    found = sample(model, noise(), karras(), method=own, disable=True)
    expected = k_diffusion.sample_logrhoab1(model, noise(), karras(), disable=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    torch.manual_seed(0)
    found = sample(model, noise(), karras(), method="dpmpp_2m", noise=1.0, disable=True)
    torch.manual_seed(0)
    expected = k_diffusion.sample_dpmpp_2m_sde(model, noise(), karras(), disable=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_a_sampler_keeps_the_strength_of_its_noise() -> None:
    def run(tau: float, **given) -> torch.Tensor:
        torch.manual_seed(0)
        own = diffusion.get("sa_solver")._replace(noise=diffusion.TauWithin(tau, 0.2, 0.8))
        return sample(model, noise(), karras(), method=own, disable=True, **given)

    none, half, whole = (run(tau) for tau in (0.0, 0.5, 1.0))
    torch.testing.assert_close(none, run(1.0, noise=0.0), rtol=0, atol=1e-13)
    assert (half - whole).abs().max() > 1e-3
    assert (half - none).abs().max() > 1e-3


def test_flow_models_are_sampled_by_default_and_with_their_schedule() -> None:
    sigmas = torch.linspace(1.0, 0.0, 9, dtype=torch.float64)
    found = [
        sample(model, noise(), sigmas, method="ddim", schedule=schedule, disable=True)
        for schedule in (None, diffusion.Flow())
    ]
    torch.testing.assert_close(*found, rtol=0, atol=1e-13)


def test_flow_models_with_noise_keep_the_variance_of_the_data() -> None:
    def denoise(x, sigma):  # for standard normal data
        s = sigma.reshape(-1, 1)
        return x * (1 - s) / ((1 - s) ** 2 + s**2)

    torch.manual_seed(0)
    x = torch.randn(20000, 1, dtype=torch.float64)
    sigmas = torch.linspace(1.0, 0.0, 41, dtype=torch.float64)
    found = sample(denoise, x, sigmas, method="seeds2", schedule=diffusion.Flow(), disable=True)
    # Six times the standard error of a variance, and the error of 40 steps.
    assert abs(float(found.var()) - 1) < 6 * (2 / 20000) ** 0.5 + 0.01


def test_no_step_returns_x() -> None:
    x = noise()
    assert sample(model, x, torch.tensor([1.0])) is x
    assert sample(model, x, torch.tensor([])) is x


def test_sigmas_may_be_a_list() -> None:
    found = sample(model, noise(), karras().tolist(), disable=True)
    assert found.equal(sample(model, noise(), karras(), disable=True))


def test_whole_sigmas_are_told_with_their_noise() -> None:
    def run(sigmas):
        shown, drawn = [], Recorded()
        torch.manual_seed(0)
        result = [
            k_diffusion.sample_euler(model, noise(), sigmas, None, shown.append, True, 1.0),
            k_diffusion.sample_dpmpp_2s_ancestral(
                model, noise(), sigmas, disable=True, noise_sampler=drawn
            ),
        ]
        return [float(found["sigma_hat"]) for found in shown], drawn.calls, torch.stack(result)

    whole, real = (
        run(torch.tensor([10, 5, 2, 1, 0], dtype=d)) for d in (torch.int64, torch.float32)
    )
    assert whole[:2] == real[:2]
    assert whole[0] == [12.5, 6.25, 2.5, 1.25]
    assert whole[2].equal(real[2])


@pytest.mark.parametrize("answer", [None, np.zeros(SHAPE), torch.zeros(SHAPE, dtype=torch.int64)])
def test_noise_that_is_no_tensor_of_normal_numbers_is_refused(answer) -> None:
    with pytest.raises(InvalidArgument, match=r"noise_sampler returned .* like x, of dtype"):
        k_diffusion.sample_seeds2(
            model, noise(), karras(), disable=True, noise_sampler=lambda *ends: answer
        )


@pytest.mark.parametrize("name", ["dpmpp_2m_sde", "seeds3", "euler_ancestral", "sa_solver"])
def test_noise_of_a_seed_does_not_depend_on_the_batch(name: str) -> None:
    def run(x):
        return sample(
            model, x, karras(), disable=True, method=name,
            noise_sampler=diffusion.SeededNoise(3, x),
        )  # fmt: skip

    x = noise()
    assert run(x)[:1].equal(run(x[:1]))
    assert not run(x).equal(sample(model, x, karras(), disable=True, method=name))


def test_what_chooses_is_elsewhere() -> None:
    with pytest.raises(InvalidArgument, match=r"method='auto' needs a model: .*diffusion\.choose"):
        sample(model, noise(), karras(), disable=True, method="auto")


def test_orders_of_lms_are_whole_numbers_of_any_type() -> None:
    found = k_diffusion.sample_lms(model, noise(), karras(), disable=True, order=4.0)
    assert found.equal(k_diffusion.sample_lms(model, noise(), karras(), disable=True, order=4))
    with pytest.raises(InvalidArgument, match=r"order=2.5 must be a whole number from 1 to 7"):
        k_diffusion.sample_lms(model, noise(), karras(), disable=True, order=2.5)
