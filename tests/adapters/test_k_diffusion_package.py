"""Where names agree with the package k-diffusion: the same results, callbacks and noise."""

from __future__ import annotations

from inspect import signature
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from k_diffusion_runs import (  # noqa: E402
    CHURN,
    EPS,
    Recorded,
    karras,
    model,
    noise,
    options,
    their_sampling,
)
from semilinear.adapters import k_diffusion  # noqa: E402


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    return their_sampling()


def same_names(theirs: ModuleType) -> list[str]:
    own = {name for name in dir(k_diffusion) if name.startswith("sample_")}
    return sorted(own & set(dir(theirs)))


def test_options_come_in_the_same_order_by_position_and_by_name(theirs: ModuleType) -> None:
    names = same_names(theirs)
    assert len(names) == 12
    for name in names:
        found, expected = (
            [
                (p.name, p.kind, p.default)
                for p in signature(getattr(module, name)).parameters.values()
            ]
            for module in (k_diffusion, theirs)
        )
        assert found == expected, name


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("heun", (3.0, 0.0, 50.0, 1.003)),
        ("lms", (3,)),
        ("dpmpp_2s_ancestral", (0.7, 0.9, ...)),
        ("dpmpp_2m_sde", (0.4, 1.2, ..., "heun")),
    ],
)
def test_options_by_position_mean_the_same(theirs: ModuleType, name: str, given) -> None:
    results = []
    for module in (theirs, k_diffusion):
        torch.manual_seed(5)
        values = [Recorded() if value is ... else value for value in given]
        called = getattr(module, f"sample_{name}")
        results.append(called(model, noise(), karras(), {}, None, True, *values))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=2e3 * EPS)


SAME = [
    ("euler", {}),
    ("euler", CHURN),
    ("heun", {}),
    ("heun", CHURN),
    ("dpm_2", {}),
    ("dpm_2", {"s_churn": 100.0}),
    ("lms", {}),
    ("lms", {"order": 1}),
    ("lms", {"order": 3}),
    ("dpmpp_2m", {}),
    ("euler_ancestral", {}),
    ("euler_ancestral", {"eta": 0.6, "s_noise": 1.1}),
    ("dpm_2_ancestral", {}),
    ("dpm_2_ancestral", {"eta": 0.5, "s_noise": 0.9}),
    ("dpmpp_2s_ancestral", {}),
    ("dpmpp_2s_ancestral", {"eta": 0.7, "s_noise": 0.9}),
    ("dpmpp_2m_sde", {}),
    ("dpmpp_2m_sde", {"eta": 0.0}),
    ("dpmpp_2m_sde", {"eta": 0.4, "solver_type": "heun", "s_noise": 1.2}),
    ("dpmpp_3m_sde", {}),
    ("dpmpp_3m_sde", {"eta": 0.3, "s_noise": 1.2}),
]


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(("name", "given"), SAME)
def test_where_the_names_agree_so_do_results_callbacks_and_noise(
    theirs: ModuleType, name: str, given: dict[str, object], last: bool
) -> None:
    results = []
    for module in (theirs, k_diffusion):
        made = options(name)
        shown: list[dict] = []
        torch.manual_seed(5)
        x = getattr(module, f"sample_{name}")(
            model, noise(), karras(last), callback=shown.append, disable=True, **given, **made
        )
        results.append((x, shown, made["noise_sampler"].calls if made else []))
    (x, shown, calls), (own, own_shown, own_calls) = results
    torch.testing.assert_close(own, x, rtol=0, atol=2e3 * EPS)
    assert own_calls == calls
    assert [a["i"] for a in own_shown] == [b["i"] for b in shown]
    for a, b in zip(own_shown, shown, strict=True):
        for key in ("x", "sigma", "sigma_hat", "denoised"):
            torch.testing.assert_close(a[key], b[key], rtol=1e-13, atol=1e-13)


def test_so_they_do_in_single_precision(theirs: ModuleType) -> None:
    sigmas, x = karras().float(), noise(torch.float32)
    found = k_diffusion.sample_dpmpp_2m(model, x, sigmas, disable=True)
    expected = theirs.sample_dpmpp_2m(model, x, sigmas, disable=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_stage_shares_its_noise_with_the_step_unlike_dpmpp_sde(theirs: ModuleType) -> None:
    """For eta = 1 the formulas agree; k-diffusion draws for the whole step anew."""
    drawn = Recorded()
    found = k_diffusion.sample_dpmpp_2s_sde(
        model, noise(), karras(), disable=True, noise_sampler=drawn
    )
    again, parts = Recorded(), {}

    def joined(sigma, sigma_next):
        sigma, sigma_next = float(sigma), float(sigma_next)
        if not parts:
            parts["half"] = sigma_next, again(sigma, sigma_next)
            return parts["half"][1]
        half, first = parts.pop("half")
        second = again(half, sigma_next)
        # Variance of x from a to b is b^2 (1 - (b / a)^2); from there to c it shrinks by (c / b)^4.
        one = (sigma_next / half) ** 2 * half * (1 - (half / sigma) ** 2) ** 0.5
        two = sigma_next * (1 - (sigma_next / half) ** 2) ** 0.5
        return (one * first + two * second) / np.hypot(one, two)

    expected = theirs.sample_dpmpp_sde(model, noise(), karras(), disable=True, noise_sampler=joined)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(drawn.calls, again.calls, rtol=1e-12)
