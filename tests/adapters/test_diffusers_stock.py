"""The scheduler against diffusers' own: the same ladders, and the same formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
stock = pytest.importorskip("diffusers")

from semilinear import InvalidArgument  # noqa: E402
from semilinear.adapters.diffusers import SemilinearScheduler  # noqa: E402

# The stock scheduler's own, from its arithmetic of tensors by NumPy.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")

EPS32 = float(np.finfo(np.float32).eps)
LATENT = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
LADDERS = (
    {},
    {"timestep_spacing": "leading", "steps_offset": 1},
    {"timestep_spacing": "trailing"},
    {"beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "leading"},
    LATENT,
)


def noise(dtype=torch.float32):
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=dtype)


def network(x, t):
    """An answer of the size of the noise that depends on x and t."""
    return torch.tanh(1.3 * x) + 0.1 * float(t) / 1000


def run(scheduler, x, steps, *, model=network, **timesteps):
    scheduler.set_timesteps(steps, **timesteps)
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t), t, x, return_dict=False)[0]
    return x


def distance(a, b):
    return float((a.double() - b.double()).abs().max() / b.double().abs().max())


def same_levels(found, expected):
    """Compare noise levels to the accuracy of the stock ones.

    They come from a cumulative product of 1000 factors in float32, and from 1 minus it.
    """
    slack = 1000 * EPS32 * expected + 4 * EPS32 / expected
    return bool(((found - expected).abs() <= slack).all())


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("config", LADDERS)
@pytest.mark.parametrize("steps", [12, 14, 15, 20])
def test_samples_are_those_of_the_stock_scheduler(order: int, config: dict, steps: int) -> None:
    theirs = stock.DEISMultistepScheduler(solver_order=order, **config)
    # The stock one lowers its order at the end below 15 steps only.
    ending = {"final_sigmas_type": "sigma_min", "lower_order_final": steps < 15}
    ours = SemilinearScheduler(solver_order=order, **ending, **config)
    expected = run(theirs, noise(), steps)
    found = run(ours, noise(), steps)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    assert same_levels(ours.sigmas, theirs.sigmas)
    assert distance(found, expected) < 1000 * EPS32


@pytest.mark.parametrize("prediction", ["sample", "v_prediction"])
def test_predictions_are_those_of_the_stock_scheduler(prediction: str) -> None:
    config = {"prediction_type": prediction, **LATENT}
    expected = run(stock.DEISMultistepScheduler(**config), noise(), 12)
    found = run(SemilinearScheduler(final_sigmas_type="sigma_min", **config), noise(), 12)
    assert distance(found, expected) < 1000 * EPS32


def test_thresholding_is_that_of_the_stock_scheduler() -> None:
    config = {"thresholding": True, "sample_max_value": 1.5, "dynamic_thresholding_ratio": 0.9}
    expected = run(stock.DEISMultistepScheduler(**config), noise(), 12)
    found = run(SemilinearScheduler(final_sigmas_type="sigma_min", **config), noise(), 12)
    assert distance(found, expected) < 1000 * EPS32


FROM_ZERO = ("DDPM", "DDIM", "PNDM", "EulerDiscrete", "LMSDiscrete", "HeunDiscrete")


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
@pytest.mark.parametrize("name", [*FROM_ZERO, "DEISMultistep", "UniPCMultistep", "SASolver"])
@pytest.mark.parametrize("count", [10, 300, 500])
@pytest.mark.parametrize("saved", [False, True])
def test_leading_timesteps_are_those_of_the_class(name: str, count: int, saved, tmp_path) -> None:
    theirs = getattr(stock, f"{name}Scheduler")(timestep_spacing="leading", steps_offset=1)
    ours = SemilinearScheduler.from_config(theirs.config)
    if saved:
        theirs.save_pretrained(tmp_path)
        ours = SemilinearScheduler.from_pretrained(tmp_path)
        ours.save_pretrained(tmp_path)
        ours = SemilinearScheduler.from_pretrained(tmp_path)
    assert ours.config.leading_from_zero == (name in FROM_ZERO)
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(count)
    once = theirs.timesteps.double().unique().flip(0)
    # The method of PNDM repeats some, and puts others between them.
    expected = once if name != "PNDM" else torch.arange(count - 1.0, -1, -1) * (1000 // count) + 1
    found = ours.timesteps.double().unique().flip(0)
    assert torch.equal(found, expected.double())
    assert set(expected.tolist()) <= set(once.tolist())
    if name in FROM_ZERO:  # and others after them
        later = stock.DEISMultistepScheduler.from_config(ours.config)
        assert not SemilinearScheduler.from_config(later.config).config.leading_from_zero


@pytest.mark.parametrize("spacing", ["linspace", "leading"])
def test_clipped_ladders_are_those_of_the_stock_scheduler(spacing: str) -> None:
    config = {"beta_schedule": "squaredcos_cap_v2", "timestep_spacing": spacing}
    theirs = stock.DPMSolverMultistepScheduler(lambda_min_clipped=-5.1, **config)
    ours = SemilinearScheduler.from_config(theirs.config)
    again = SemilinearScheduler.from_config(ours.config)
    for scheduler in (theirs, ours, again):
        scheduler.set_timesteps(10)
    assert ours.timesteps.tolist() == again.timesteps.tolist() == theirs.timesteps.tolist()
    assert same_levels(ours.sigmas[:-1], theirs.sigmas[:-1])
    trailing = SemilinearScheduler.from_config(theirs.config, timestep_spacing="trailing")
    trailing.set_timesteps(10)
    assert (len(trailing.timesteps), int(trailing.timesteps[0])) == (10, 995)
    for least in (9.0, "-5.1", float("nan")):
        with pytest.raises(InvalidArgument, match=r"^lambda_min_clipped=.* such as -5.1"):
            SemilinearScheduler.from_config(theirs.config, lambda_min_clipped=least)


def test_leading_timesteps_that_do_not_exist_are_refused() -> None:
    ddpm = SemilinearScheduler.from_config(stock.DDPMScheduler().config)
    ddpm.set_timesteps(1000)
    assert ddpm.timesteps.tolist() == list(range(999, -1, -1))
    deis = SemilinearScheduler(timestep_spacing="leading")
    deis.set_timesteps(999)
    for scheduler, most in ((ddpm, 1000), (deis, 999)):
        with pytest.raises(InvalidArgument, match=rf"'leading' has at most {most} steps.*fewer"):
            scheduler.set_timesteps(most + 1)


def log_rho_adams(rho, order, x, model):
    """Adams steps in log rho, y = x / alpha, by Gauss quadrature of Lagrange polynomials."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    scale = np.sqrt(1 + rho**2)
    y, past = x * scale[0], []
    for n in range(len(rho) - 1):
        past = [model(y / scale[n], n), *past][:order]
        low, high = np.log(rho[n]), np.log(rho[n + 1])
        at = low + (high - low) * (nodes + 1) / 2
        points = np.log(rho[n - np.arange(len(past))])
        for j, value in enumerate(past):
            others = np.delete(points, j)
            basis = np.prod((at[:, None] - others) / (points[j] - others), axis=1)
            weight = float((weights * np.exp(at) * basis).sum() * (high - low) / 2)
            y = y + weight * value
    return y / scale[-1]


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_steps_are_those_of_the_formula_in_float64(order: int) -> None:
    ours = SemilinearScheduler(
        solver_order=order, final_sigmas_type="sigma_min", lower_order_final=False, **LATENT
    )
    found = run(ours, noise(torch.float64), 30)
    k = ours.timesteps.numpy()
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    squared = np.cumprod(1 - betas)
    rho = np.sqrt((1 - squared) / squared)[[*k, 0]]
    expected = log_rho_adams(rho, order, noise(torch.float64), lambda x, n: network(x, k[n]))
    assert found.dtype == torch.float64
    assert distance(found, expected) < 1e-11


@pytest.mark.parametrize("ladder", ["karras", "exponential", "beta"])
def test_noise_ladders_are_those_of_the_stock_scheduler_without_its_idle_step(ladder: str) -> None:
    key = {f"use_{ladder}_sigmas": True}
    theirs, ours = stock.DEISMultistepScheduler(**key), SemilinearScheduler(**key)
    theirs.set_timesteps(10)
    ours.set_timesteps(10)
    assert same_levels(ours.sigmas[:-1], theirs.sigmas[:-1])
    assert theirs.sigmas[-1] == theirs.sigmas[-2]
    assert ours.sigmas[-1] == 0
    shorter = SemilinearScheduler(final_sigmas_type="sigma_min", **key)
    shorter.set_timesteps(9)
    assert same_levels(shorter.sigmas, theirs.sigmas[:-1])


@pytest.mark.parametrize(
    ("config", "arguments"),
    [
        ({}, {}),
        ({"shift": 3.0}, {}),
        ({"shift": 3.0}, {"sigmas": np.linspace(1, 1 / 8, 8)}),
        ({"use_dynamic_shifting": True}, {"mu": 0.8}),
        ({"use_dynamic_shifting": True, "time_shift_type": "linear"}, {"mu": 1.7}),
        ({"shift": 2.0, "shift_terminal": 0.02}, {}),
        ({"num_train_timesteps": 500}, {}),
    ],
)
def test_first_order_on_a_flow_is_its_euler_scheduler(config: dict, arguments: dict) -> None:
    theirs = stock.FlowMatchEulerDiscreteScheduler(**config)
    ours = SemilinearScheduler.from_config(theirs.config, solver_order=1)
    steps = None if "sigmas" in arguments else 8
    expected = run(theirs, noise(), steps, **arguments)
    found = run(ours, noise(), steps, **arguments)
    assert distance(found, expected) < 100 * EPS32
    assert torch.allclose(ours.sigmas, theirs.sigmas, rtol=10 * EPS32, atol=0)
    assert torch.allclose(ours.timesteps, theirs.timesteps, rtol=10 * EPS32, atol=0)
    assert torch.equal(
        ours.scale_noise(noise(), ours.timesteps[2:3], torch.ones(2, 3, 8, 8)).isfinite(),
        torch.ones(2, 3, 8, 8, dtype=torch.bool),
    )


def test_methods_of_two_evaluations_repeat_timesteps_as_the_heun_scheduler_does() -> None:
    theirs = stock.HeunDiscreteScheduler(**LATENT)
    ours = SemilinearScheduler(method="rho_heun2", timestep_spacing="linspace", **LATENT)
    theirs.set_timesteps(timesteps=[900, 700, 400, 100])
    assert ours.order == theirs.order == 2
    ours.set_timesteps(timesteps=[900, 700, 400, 100])
    assert ours.order == 1  # pipelines count the evaluations of a list as steps
    assert ours.timesteps.tolist() == theirs.timesteps.tolist()
    assert same_levels(ours.sigmas[:-1], theirs.sigmas[:-1])
    x = noise()
    y = x * float((theirs.sigmas[0] ** 2 + 1).sqrt())  # its states are x / alpha
    for t in theirs.timesteps:
        y = theirs.step(network(theirs.scale_model_input(y, t), t), t, y).prev_sample
    for t in ours.timesteps:
        x = ours.step(network(x, t), t, x).prev_sample
    assert distance(x, y) < 1000 * EPS32


def test_noise_on_data_is_that_of_the_stock_scheduler_in_its_three_cases() -> None:
    theirs, ours = stock.DEISMultistepScheduler(**LATENT), SemilinearScheduler(**LATENT)
    x_0, eps = noise(), noise().flip(0)
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(10)
    at = ours.timesteps[[3, 6]]

    def both():
        return ours.add_noise(x_0, eps, at), theirs.add_noise(x_0, eps, at)

    pairs = [both()]
    for scheduler in (theirs, ours):
        scheduler.set_begin_index(4)
    pairs.append(both())
    x = noise()
    for scheduler in (theirs, ours):
        t = scheduler.timesteps[4]
        scheduler.step(network(x, t), t, x)
    pairs.append(both())
    for found, expected in pairs:
        assert torch.allclose(found, expected, atol=1000 * EPS32)
    assert not torch.allclose(pairs[0][0], pairs[1][0], atol=1e-2)
    assert not torch.allclose(pairs[1][0], pairs[2][0], atol=1e-2)
