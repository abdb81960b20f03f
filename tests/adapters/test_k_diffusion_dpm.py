"""DPM-Solver of k-diffusion: fast, which is the same, and with adaptive steps, whose pairs are."""

from __future__ import annotations

from collections.abc import Iterator
from math import log

import numpy as np
import pytest

from semilinear import InvalidArgument, diffusion

torch = pytest.importorskip("torch")

from k_diffusion_runs import EPS, Recorded, model, noise, their_sampling  # noqa: E402
from semilinear.adapters.k_diffusion import sample, sample_dpm_adaptive, sample_dpm_fast  # noqa: E402

LOW, HIGH = 0.03, 14.6


@pytest.fixture
def double() -> Iterator[None]:
    """k-diffusion makes its steps in the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


# Fast.


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 10, 11, 12])
@pytest.mark.usefixtures("double")
def test_fast_equals_that_of_k_diffusion(n: int, eta: float) -> None:
    results = []
    for called in (their_sampling().sample_dpm_fast, sample_dpm_fast):
        drawn, shown = Recorded(), []
        x = called(model, noise(), LOW, HIGH, n, None, shown.append, True, eta, 1.1, drawn)
        results.append((x, shown, drawn.calls))
    (x, shown, calls), (own, own_shown, own_calls) = results
    torch.testing.assert_close(own, x, rtol=0, atol=1e4 * EPS)
    np.testing.assert_allclose(np.ravel(own_calls), np.ravel(calls[: len(own_calls)]), rtol=1e-13)
    assert len(own_calls) == (n // 3 if eta else 0)
    assert len(own_shown) == len(shown) == n // 3 + 1
    for a, b in zip(own_shown, shown, strict=True):
        assert set(a) == set(b)
        assert a["i"] == b["i"]
        for key in ("x", "t", "t_up", "sigma", "sigma_hat", "denoised"):
            torch.testing.assert_close(a[key], b[key], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_fast_shows_levels_in_the_precision_of_the_run(dtype) -> None:
    shown = []
    sample_dpm_fast(lambda x, s: x / 2, noise(dtype), LOW, HIGH, 7, None, shown.append, True)
    kept = torch.float32 if dtype == torch.float16 else dtype
    assert len(shown) == 3
    for found in shown:
        assert {found[key].dtype for key in ("sigma", "sigma_hat", "t", "t_up")} == {kept}
        assert found["x"].dtype == found["denoised"].dtype == dtype


def test_fast_takes_its_options_as_arrays_of_no_axes() -> None:
    def run(eta, s_noise):
        torch.manual_seed(0)
        return sample_dpm_fast(model, noise(), LOW, HIGH, 7, disable=True, eta=eta, s_noise=s_noise)

    assert run(torch.tensor(0.5), torch.tensor(1.5)).equal(run(0.5, 1.5))
    with pytest.raises(InvalidArgument, match=r"^s_noise=-1.0"):
        run(1.0, -1.0)


def test_x_must_be_a_tensor() -> None:
    for called in (lambda *a: sample_dpm_fast(*a, 5), sample_dpm_adaptive):
        with pytest.raises(InvalidArgument, match=r"^x is of type ndarray"):
            called(model, noise().numpy(), LOW, HIGH)


@pytest.mark.parametrize("n", [3, 7, 11])
def test_fast_is_a_plan_of_a_named_sampler(n: int) -> None:
    calls = []

    def counted(x, sigma):
        calls.append(sigma)
        return model(x, sigma)

    name = "dpm_solver_fast" + (str(n % 3) if n % 3 else "")
    plan = diffusion.plan(
        diffusion.EDM(), method=name, nfe=n, grid="lambda", prediction="x0", t_start=HIGH, t_end=LOW
    )
    assert (plan.nfe, plan.steps) == (n, n // 3 + 1)
    found = sample_dpm_fast(counted, noise(), LOW, HIGH, n, disable=True)
    assert len(calls) == n
    again = sample(model, noise(), plan.t, disable=True, method=name)
    torch.testing.assert_close(again, found, rtol=0, atol=1e4 * EPS)


# Adaptive.


@pytest.mark.parametrize("order", [2, 3])
def test_adaptive_keeps_its_tolerance_with_about_as_many_steps(order: int) -> None:
    """The steps are others than k-diffusion's, the errors of the same kind."""
    called = their_sampling().sample_dpm_adaptive

    def run(function, scale: float):
        return function(
            model, noise(), LOW, HIGH, disable=True, order=order, rtol=0.05 * scale,
            atol=0.0078 * scale, return_info=True,
        )  # fmt: skip

    exact = sample(model, noise(), np.geomspace(HIGH, LOW, 300), disable=True, method="rho_rk4")
    for scale in (1.0, 0.1):
        (x, info), (theirs, their_info) = run(sample_dpm_adaptive, scale), run(called, scale)
        error, other = ((y - exact).square().mean().sqrt() for y in (x, theirs))
        assert error < 4 * max(other, 0.01 * scale)
        assert 0.5 < info["steps"] / their_info["steps"] < 2.0
        assert set(info) == set(their_info)
        assert info["steps"] == info["n_accept"] + info["n_reject"]
        assert info["nfe"] == info["steps"] * order - info["n_reject"] + 1


def test_adaptive_shows_its_steps() -> None:
    shown, seen = [], []

    def recorded(x, sigma, scale):
        seen.append((float(sigma[0]), x, scale * model(x, sigma)))
        return seen[-1][2]

    x, info = sample_dpm_adaptive(
        recorded, noise(), LOW, HIGH, {"scale": 0.9}, shown.append, True, return_info=True
    )
    assert len(seen) == info["nfe"]
    assert [found["i"] for found in shown] == list(range(info["n_accept"]))
    ends = [float(found["sigma"]) for found in shown]
    assert ends == sorted(ends, reverse=True)
    assert ends[-1] == LOW
    assert shown[-1]["x"].equal(x)
    starts = [HIGH, *ends[:-1]]
    for start, found in zip(starts, shown, strict=True):
        assert float(found["t"]) == pytest.approx(-log(float(found["sigma"])))
        assert any(s == start and y.equal(found["denoised"]) for s, _, y in seen), start


def test_the_options_of_its_controller_reach_it() -> None:
    def steps(**options):
        return sample_dpm_adaptive(
            model,
            noise(),
            LOW,
            HIGH,
            disable=True,
            rtol=1e-4,
            atol=1e-4,
            return_info=True,
            **options,
        )[1]

    default = steps()
    assert steps(icoeff=1.0) == default
    assert steps(icoeff=0.3, pcoeff=0.4) != default
    assert steps(h_init=1e-4) != default
    longest = steps(h_init=50.0)
    assert longest == steps(h_init=log(HIGH / LOW)) != default  # cut to the whole span


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_adaptive_keeps_the_dtype(dtype) -> None:
    seen = []

    def recorded(x, sigma):
        seen.append(x.dtype)
        return model(x.double(), sigma.double()).to(dtype)

    found = sample_dpm_adaptive(recorded, noise(dtype), LOW, HIGH, disable=True)
    assert found.dtype == dtype
    assert set(seen) == {dtype}
    assert torch.isfinite(found).all()


# What is refused.


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"eta": 0.5}, r"eta=0.5: .* sample_dpm_fast"),
        ({"accept_safety": 0.9}, "accept_safety=0.9"),
        ({"order": 4}, "order=4 must be 2 or 3"),
        ({"h_init": 0.0}, "h_init=0.0"),
        ({"rtol": -1.0}, "rtol=-1.0"),
        ({"pcoeff": float("nan")}, "three finite gains"),
    ],
)
def test_what_adaptive_steps_do_not_have_is_refused(given, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        sample_dpm_adaptive(model, noise(), LOW, HIGH, disable=True, **given)


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (1.0, 0.5), (1.0, float("inf")), (-1.0, 1.0), (float("nan"), 1.0)]
)
def test_ends_that_are_none_are_refused(low: float, high: float) -> None:
    for called in (lambda *a: sample_dpm_fast(*a, 5), sample_dpm_adaptive):
        with pytest.raises(InvalidArgument, match="0 < sigma_min < sigma_max"):
            called(model, noise(), low, high)


@pytest.mark.parametrize("n", [0, -1, 2.5, "3"])
def test_numbers_of_evaluations_that_are_none_are_refused(n) -> None:
    with pytest.raises(InvalidArgument, match=r"^n="):
        sample_dpm_fast(model, noise(), LOW, HIGH, n, disable=True)
