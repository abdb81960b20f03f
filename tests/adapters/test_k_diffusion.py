"""The functions of k-diffusion: their contract, for every sampler, and what is refused."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from semilinear import InvalidArgument, ModelOutputError, NonFiniteError, UnknownName, diffusion
from semilinear.diffusion import Leg, NoiseLevel

torch = pytest.importorskip("torch")

from k_diffusion_runs import EPS, SHAPE, STEPS, function, karras, model, noise, options  # noqa: E402
from semilinear.adapters import k_diffusion, k_diffusion_plan  # noqa: E402
from semilinear.adapters.k_diffusion import NAMES, register, sample  # noqa: E402

# The contract, for every sampler.


@pytest.mark.parametrize("name", NAMES)
def test_every_sampler_is_a_function_with_a_name_a_signature_and_words(name: str) -> None:
    made = function(name)
    assert made is function(name)
    assert made.__name__ == f"sample_{name}"
    assert made.__module__ == "semilinear.adapters.k_diffusion"
    assert f"sample_{name}" in dir(k_diffusion)
    words = inspect.getdoc(made)
    parameters = list(inspect.signature(made).parameters)
    assert parameters[:6] == ["model", "x", "sigmas", "extra_args", "callback", "disable"]
    assert all(parameter in words for parameter in parameters)
    words = rf"sample_{name}\(\) got an unexpected keyword argument 'strength'"
    with pytest.raises(TypeError, match=words):
        made(model, noise(), karras(), strength=1.0)
    with pytest.raises(TypeError, match=rf"sample_{name}\(\) missing .* argument: 'sigmas'"):
        made(model, noise())


# Weights of the last, as published, do not add up to 1 where the ratio of steps changes.
INEXACT = ("ei_score", "ipndm_v", "ipndm_v4")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in INEXACT])
def test_data_in_one_point_are_reached_exactly(name: str) -> None:
    def point(x, sigma):
        return torch.full_like(x, 0.7)

    found = function(name)(point, noise(), karras(), disable=True)
    # Weights of the last step: sums of terms as large as the noise before them.
    expected = torch.full(SHAPE, 0.7, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e6 * EPS)


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_model_and_callback_see_what_k_diffusion_shows(name: str, last: bool) -> None:
    sigmas, seen, shown = karras(last), [], []

    def recorded(x, sigma, scale):
        assert sigma.shape == SHAPE[:1]
        assert sigma.dtype == x.dtype
        seen.append((x, float(sigma[0]), scale * model(x, sigma)))
        return seen[-1][2]

    def callback(found):
        assert set(found) == {"x", "i", "sigma", "sigma_hat", "denoised"}
        x, sigma, denoised = seen[-1]
        assert found["x"] is x
        assert found["denoised"] is denoised
        assert float(found["sigma_hat"]) == sigma == float(found["sigma"])
        assert float(sigmas[found["i"]]) == sigma
        shown.append(found["i"])

    given = noise()
    kept = given.clone()
    made = options(name)
    found = function(name)(recorded, given, sigmas, {"scale": 0.9}, callback, True, **made)
    assert shown == list(range(STEPS))
    assert seen[0][0].equal(given)
    assert given.equal(kept)
    assert (found.dtype, found.shape) == (torch.float64, SHAPE)
    # Each increment once, one after the other, from the first sigma to the last.
    calls = made["noise_sampler"].calls if made else []
    assert len(set(calls)) == len(calls)
    for (start, end), (following, _) in pairwise(calls):
        assert start > end
        assert following <= end


def test_ode_samplers_take_the_steps_of_the_core() -> None:
    def plain(x, t):
        return model(torch.from_numpy(x), torch.tensor(t, dtype=torch.float64)).numpy()

    for name in ("tab3", "logrhoab2", "unipc2", "rho_kutta3"):
        found = function(name)(model, noise(), karras(), disable=True)
        plan = diffusion.plan(
            diffusion.EDM(), method=name, grid=karras().tolist(), prediction="x0", lower_end="zero"
        )
        expected = diffusion.follow(plan, plain, noise().numpy())
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-13)


# The progress bar.


def test_the_bar_counts_steps_and_hides_when_it_must(capsys, monkeypatch) -> None:
    pytest.importorskip("tqdm")
    k_diffusion.sample_heun(model, noise(), karras(), disable=False)
    assert f"{STEPS}/{STEPS}" in capsys.readouterr().err
    k_diffusion.sample_heun(model, noise(), karras(), disable=True)
    k_diffusion.sample_heun(model, noise(), karras())  # no terminal
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    k_diffusion.sample_heun(model, noise(), karras(), disable=False)
    assert capsys.readouterr().err == ""


# Programs that look samplers up by name.


def test_samplers_are_entered_into_a_program() -> None:
    program = SimpleNamespace(sample_euler="its own")
    names = ["euler"]
    added = register(program, names)
    assert names == ["euler", *added]
    assert "semilinear_tab3" in added
    assert program.sample_euler == "its own"
    assert program.sample_semilinear_tab3 is k_diffusion.sample_tab3
    assert program.sample_semilinear_lms is k_diffusion.sample_lms
    assert register(program, names) == []
    assert names == ["euler", *added]
    for name in added:
        assert callable(getattr(program, f"sample_{name}"))


# What is refused.


@pytest.mark.parametrize(
    ("sigmas", "words"),
    [
        ([0.1, 1.0, 2.0], r"sigmas increase, from 0.1 to 2: .* use semilinear.diffusion.encode"),
        ([2.0, 1.0, 1.0, 0.5], r"sigmas\[1\] = 1 is followed by 1"),
        ([2.0, 1.0, 1.5, 0.5], r"sigmas\[1\] = 1 is followed by 1.5"),
        ([2.0, -1.0], "at least 0"),
        ([float("inf"), 1.0], "finite"),
        ([2.0, float("nan")], "finite"),
        ([[2.0, 1.0]], r"shape \(1, 2\)"),
    ],
)
def test_sigmas_that_do_not_decrease_are_refused(sigmas, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        k_diffusion.sample_tab3(model, noise(), torch.tensor(sigmas), disable=True)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("lms", {"order": 0}, "order=0"),
        ("lms", {"order": 8}, "order=8"),
        ("dpmpp_2m_sde", {"solver_type": "euler"}, "solver_type='euler'"),
        ("seeds2", {"eta": -1.0}, "eta=-1.0"),
        ("ddpm", {"eta": 2.0}, "eta=2.0"),
        ("heun", {"s_churn": -1.0}, "^s_churn=-1.0"),
        ("heun", {"s_churn": "5"}, "^s_churn='5' must be a number"),
        ("heun", {"s_noise": -1.0}, "^s_noise=-1.0"),
        ("heun", {"s_tmin": -1.0}, "^s_tmin=-1.0"),
        ("heun", {"s_tmin": 3.0, "s_tmax": 1.0}, "^s_tmin=3.0 must not be greater than s_tmax=1.0"),
        ("euler_ancestral", {"s_noise": -1.0}, "^s_noise=-1.0"),
        ("dpmpp_2m_sde", {"s_noise": float("nan")}, "^s_noise=nan"),
        ("er_sde3", {"s_noise": -1.0}, "^s_noise=-1.0"),
        ("sa_solver", {"s_tmax": float("nan")}, "^s_tmax=nan"),
        ("dpmpp_2m_sde", {"eta": None}, "^eta=None must be a number"),
        ("dpmpp_2m_sde", {"eta": torch.ones(2)}, "^eta=.* must be a number"),
    ],
)
def test_options_out_of_range_are_refused(name: str, given, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        function(name)(model, noise(), karras(), disable=True, **given)


@pytest.mark.parametrize("name", ["heun", "euler_ancestral", "dpmpp_2m_sde", "sa_solver", "ddpm"])
def test_options_may_be_arrays_of_no_axes(name: str) -> None:
    parameters = inspect.signature(function(name)).parameters
    given = {key: 0.5 for key in parameters if key == "eta" or key.startswith("s_")}

    def run(kind):
        torch.manual_seed(0)
        made = {key: kind(value) for key, value in given.items()}
        return function(name)(model, noise(), karras(), disable=True, **made)

    assert len(given) > 1
    assert run(torch.tensor).equal(run(float))
    assert run(np.array).equal(run(float))


@pytest.mark.parametrize("sigmas", [karras(), karras()[:1]])
def test_x_must_be_a_tensor(sigmas) -> None:
    with pytest.raises(InvalidArgument, match=r"^x is of type ndarray; .* torch.as_tensor\(x\)"):
        k_diffusion.sample_heun(model, noise().numpy(), sigmas)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="sample_tab33"):
        k_diffusion.sample_tab33  # noqa: B018
    with pytest.raises(AttributeError, match=r"sample_dpmpp_sde.*; take sample_dpmpp_2s_sde"):
        k_diffusion.sample_dpmpp_sde  # noqa: B018
    with pytest.raises(AttributeError, match="tab3"):
        k_diffusion.tab3  # noqa: B018
    with pytest.raises(UnknownName, match=r"did you mean .*tab3"):
        sample(model, noise(), karras(), method="tab33")


def test_answers_that_are_no_states_are_refused() -> None:
    def run(answer):
        return k_diffusion.sample_tab3(lambda x, sigma: answer(x), noise(), karras(), disable=True)

    with pytest.raises(ModelOutputError, match="returned tuple"):
        run(lambda x: (x,))
    with pytest.raises(ModelOutputError, match=r"shape \(2, 4, 5\)"):
        run(lambda x: x[:2])
    with pytest.raises(NonFiniteError, match="evaluation 1 of 8"):
        run(lambda x: x / 0)


@pytest.mark.parametrize("called", ["tab3", "dpmpp_2m", "dpm_adaptive"])
def test_numbers_of_another_kind_are_refused(called: str) -> None:
    ends = (0.1, 10.0) if called == "dpm_adaptive" else (karras(),)

    def run(answer):
        options = {"disable": True, "callback": lambda found: None}
        function(called)(lambda x, sigma: answer(x), noise(), *ends, **options)

    with pytest.raises(ModelOutputError, match=r"complex128 \(a complex problem needs"):
        run(lambda x: x + 1j)
    with pytest.raises(ModelOutputError, match=r"dtype torch.int64; it must return"):
        run(lambda x: x.long())
    with pytest.raises(ModelOutputError, match=r"returned tuple"):
        run(lambda x: (x,))


@dataclasses.dataclass(frozen=True)
class Falling(NoiseLevel):
    """A kind of noise that the adapter does not know."""

    scale: float = 1.0
    is_silent = False

    def legs(self, schedule, t, t_next, steps):
        return [Leg(schedule.lam(t_next), 0.25, t_next)]


def test_noise_of_another_kind_stays_as_it_is() -> None:
    found = diffusion.get("res_2m")._replace(noise=Falling())
    assert k_diffusion_plan.family(found) == "fixed"
    assert k_diffusion_plan.noise_level(found) == Falling()
    assert k_diffusion_plan.noise_level(found, s_noise=0.5) == Falling(0.5)
    assert "s_noise" in k_diffusion_plan.docstring(found, ("model", "x", "s_noise"))
