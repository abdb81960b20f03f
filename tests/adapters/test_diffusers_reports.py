"""What users report of other schedulers, and what no table of features shows: more faults."""

from __future__ import annotations

import copy
import gc
import tracemalloc
import warnings

import numpy as np
import pytest

from semilinear import diffusion

torch = pytest.importorskip("torch")
stock = pytest.importorskip("diffusers")

from semilinear.adapters.diffusers import SemilinearScheduler  # noqa: E402

LATENT = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SHAPE = (2, 3, 16, 16)


def noise(dtype=torch.float32):
    numbers = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return numbers.to(dtype)


def run(scheduler, steps, **timesteps):
    scheduler.set_timesteps(steps, **timesteps)
    x = noise()
    for t in scheduler.timesteps:
        x = scheduler.step(torch.tanh(x), t, x).prev_sample
    return x


def test_no_warning_is_given_where_the_stock_one_gives_hundreds() -> None:
    theirs, ours = stock.DEISMultistepScheduler(solver_order=3), SemilinearScheduler(solver_order=3)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        run(ours, 20)
    assert not found
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        run(theirs, 20)
    # Once this is zero the stock scheduler has been mended, and the table in the docs changes.
    assert len(found) > 100


def test_every_order_is_another_method() -> None:
    found = [run(SemilinearScheduler(solver_order=order, **LATENT), 20) for order in range(1, 8)]
    for i, one in enumerate(found):
        for other in found[:i]:
            assert float((one - other).abs().max()) > 1e-5


def test_memory_does_not_grow_with_the_steps() -> None:
    scheduler = SemilinearScheduler(solver_order=4)
    scheduler.set_timesteps(60)
    x, held = noise(), {}
    tracemalloc.start()  # which sees the arrays; PyTorch's own memory is seen by its tensors
    for n, t in enumerate(scheduler.timesteps):
        x = scheduler.step(torch.tanh(x), t, x).prev_sample
        if n not in (10, 50):
            continue
        gc.collect()
        tensors = sum(type(o) is torch.Tensor and o.shape == SHAPE for o in gc.get_objects())
        held[n] = tensors, tracemalloc.get_traced_memory()[0] // (4 * x.numel())
    tracemalloc.stop()
    assert held[10][1] > 0
    assert held[50][0] <= held[10][0]
    assert held[50][1] <= held[10][1] + 1  # what the interpreter itself keeps on the way


@pytest.mark.parametrize("final", ["zero", "sigma_min"])
def test_ladders_of_ones_own_have_any_ends_and_any_power(final: str) -> None:
    """Elsewhere the power 7 of Karras' ladder and its ends are fixed."""
    levels = np.linspace(9.0 ** (1 / 3), 0.05 ** (1 / 3), 8) ** 3
    scheduler = SemilinearScheduler(final_sigmas_type=final, **LATENT)
    scheduler.set_timesteps(sigmas=levels)
    assert np.allclose(scheduler.sigmas[:-1], levels, rtol=1e-6)
    path = diffusion.Discrete.scaled_linear()
    assert np.allclose(path.rho(scheduler.timesteps.double().numpy()), levels, rtol=1e-5)
    x = run(scheduler, None, sigmas=levels)
    assert torch.isfinite(x).all()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"timestep_spacing": "trailing"},
        {"use_karras_sigmas": True},
        {"use_exponential_sigmas": True},
        {"use_beta_sigmas": True},
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
    ],
)
def test_the_first_timestep_does_not_depend_on_their_number(config: dict) -> None:
    scheduler = SemilinearScheduler(**config)
    last = 1000.0 if "use_flow_sigmas" in config else 999.0
    for steps in (1, 2, 7, 10, 25, 33, 50, 100, 250):
        scheduler.set_timesteps(steps)
        assert abs(float(scheduler.timesteps[0]) - last) < 1e-4
        assert len(scheduler.timesteps) == len(set(scheduler.timesteps.tolist())) == steps


def test_the_timesteps_of_flows_are_those_of_their_noise() -> None:
    scheduler = SemilinearScheduler(use_flow_sigmas=True, prediction_type="flow_prediction")
    scheduler.set_timesteps(36)
    assert torch.allclose(scheduler.timesteps, 1000 * scheduler.sigmas[:-1], rtol=1e-6)
    assert not torch.equal(scheduler.timesteps, scheduler.timesteps.round())
    # More steps than 50 keep their order too.
    assert torch.isfinite(run(scheduler, 120)).all()


def shifted_once(levels, shift):
    levels = np.asarray(levels)
    return shift * levels / (1 + (shift - 1) * levels)


def test_a_shift_is_applied_once(tmp_path) -> None:
    flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}
    own = np.array([1.0, 0.7, 0.4, 0.1])
    scheduler = SemilinearScheduler(**flow)
    for _ in range(2):  # nothing of it stays from one run to the next
        scheduler.set_timesteps(sigmas=own)
        assert np.allclose(scheduler.sigmas[:-1], shifted_once(own, 3.0), rtol=1e-6)
        scheduler.set_timesteps(4)
        even = np.linspace(1.0, 0.001, 5)[:-1]
        assert np.allclose(scheduler.sigmas[:-1], shifted_once(even, 3.0), rtol=1e-6)
    theirs = stock.FlowMatchEulerDiscreteScheduler(shift=3.0)
    theirs.set_timesteps(4)
    expected = theirs.sigmas
    for number in range(3):  # back and forth, over files
        theirs.save_pretrained(tmp_path / f"theirs{number}")
        ours = SemilinearScheduler.from_pretrained(tmp_path / f"theirs{number}")
        ours.set_timesteps(4)
        assert torch.allclose(ours.sigmas, expected, rtol=1e-6)
        ours.save_pretrained(tmp_path / f"ours{number}")
        theirs = stock.FlowMatchEulerDiscreteScheduler.from_pretrained(tmp_path / f"ours{number}")
        theirs.set_timesteps(4)
        assert torch.allclose(theirs.sigmas, expected, rtol=1e-6)
    # A shift that comes with each run is the only one.
    moving = SemilinearScheduler(use_dynamic_shifting=True, **flow)
    moving.set_timesteps(sigmas=own, mu=float(np.log(2.0)))
    assert np.allclose(moving.sigmas[:-1], shifted_once(own, 2.0), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_little_noise_is_added_in_half_precision_too(dtype) -> None:
    """Where noise levels are rounded first, the least of them vanish beside 1."""
    scheduler = SemilinearScheduler(**LATENT)
    zero, eps = torch.zeros(SHAPE, dtype=dtype), noise(dtype)
    for at in (0, 3, 10):
        deviation = float(scheduler.add_noise(zero, eps, torch.tensor([at, at])).float().std())
        sigma = float((1 - scheduler.alphas_cumprod[at].double()).sqrt())
        assert abs(deviation / sigma / float(eps.float().std()) - 1) < 4 * torch.finfo(dtype).eps


def test_requests_that_share_a_pipeline_take_copies() -> None:
    """One state for all is what goes wrong in servers; a copy costs the state alone."""
    shared = SemilinearScheduler(solver_order=3)
    expected = [run(copy.deepcopy(shared), steps) for steps in (6, 9)]
    one, other = copy.deepcopy(shared), copy.deepcopy(shared)
    one.set_timesteps(6)
    other.set_timesteps(9)
    x, y = noise(), noise()
    for n, u in enumerate(other.timesteps):
        if n < 6:
            t = one.timesteps[n]
            x = one.step(torch.tanh(x), t, x).prev_sample
        y = other.step(torch.tanh(y), u, y).prev_sample
    assert torch.equal(x, expected[0])
    assert torch.equal(y, expected[1])
    assert shared.num_inference_steps is None
