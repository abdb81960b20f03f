"""The discrete schedule against exact sums of its rates, and the lists it refuses."""

from __future__ import annotations

import pickle
from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semilinear.diffusion.schedules import Discrete
from semilinear.errors import InvalidArgument

EPS = float(np.finfo(np.float64).eps)


def published_betas(name: str, n: int) -> list[mp.mpf]:
    """The rates as the papers write them."""
    if name == "linear":
        low, high = mp.mpf(1e-4), mp.mpf(0.02)
        return [low + (high - low) * k / (n - 1) for k in range(n)]
    if name == "scaled_linear":
        low, high = mp.sqrt(mp.mpf(0.00085)), mp.sqrt(mp.mpf(0.012))
        return [(low + (high - low) * k / (n - 1)) ** 2 for k in range(n)]
    s = mp.mpf(0.008)
    alpha_bar = [mp.cos((mp.mpf(k) / n + s) / (1 + s) * mp.pi / 2) ** 2 for k in range(n + 1)]
    return [min(1 - alpha_bar[k + 1] / alpha_bar[k], mp.mpf(0.999)) for k in range(n)]


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "cosine"])
@pytest.mark.parametrize("n", [2, 50, 1000])
def test_named_schedules_are_the_published_ones(name, n):
    schedule = getattr(Discrete, name)(n)
    t = np.arange(n)
    with mp.workdps(50):
        alpha_bar = mp.mpf(1)
        exact = [alpha_bar := alpha_bar * (1 - beta) for beta in published_betas(name, n)]
        log_alpha = np.array([float(mp.log(value) / 2) for value in exact])
        sigma = np.array([float(mp.sqrt(1 - value)) for value in exact])
        rate = np.array([float(mp.log(a / b)) for a, b in pairwise(exact)])
    # The running sum of n terms rounds n times.
    np.testing.assert_allclose(schedule.log_alpha(t), log_alpha, rtol=n * EPS + 32 * EPS)
    np.testing.assert_allclose(schedule.sigma(t), sigma, rtol=n * EPS + 32 * EPS)
    np.testing.assert_allclose(schedule.diffusion_squared(t[:-1]), rate, rtol=1e-11)


@pytest.mark.parametrize(
    ("schedule", "last"),
    [(Discrete.linear(), 4.0358e-5), (Discrete.scaled_linear(), 4.6601e-3)],
    ids=repr,
)
def test_terminal_signal_is_the_known_one(schedule, last):
    assert schedule.alpha(999) ** 2 == pytest.approx(last, rel=2e-5)


@given(st.lists(st.floats(1e-6, 0.5), min_size=2, max_size=30))
def test_alphas_cumprod_and_betas_give_the_same_schedule(betas):
    alphas_cumprod = np.cumprod(1.0 - np.array(betas))
    one, other = Discrete.from_betas(betas), Discrete.from_alphas_cumprod(alphas_cumprod)
    # What cumprod loses: eps in every factor, seen in ln(alpha) >= 5e-7.
    np.testing.assert_allclose(one.log_alphas, other.log_alphas, rtol=0.0, atol=64 * EPS)
    t = np.arange(len(betas))
    np.testing.assert_allclose(other.alpha(t) ** 2, alphas_cumprod, rtol=16 * EPS)


@pytest.mark.parametrize("schedule", [Discrete.linear(), Discrete.cosine(40)], ids=repr)
def test_log_alpha_is_linear_between_timesteps(schedule):
    k = np.arange(schedule.t_max)
    for theta in (0.0, 0.25, 0.9):
        mean = (1.0 - theta) * schedule.log_alpha(k) + theta * schedule.log_alpha(k + 1.0)
        np.testing.assert_allclose(schedule.log_alpha(k + theta), mean, rtol=8 * EPS)
        slope = schedule.log_alpha(k + 1.0) - schedule.log_alpha(k)
        np.testing.assert_allclose(schedule.drift(k + theta), slope, rtol=8 * EPS)
    assert schedule.drift(schedule.t_max) == schedule.drift(schedule.t_max - 0.5)


def test_breaks_are_lambda_at_the_interior_timesteps():
    schedule = Discrete.scaled_linear(100)
    breaks = schedule.lam_breaks
    assert breaks.dtype == np.float64
    assert (np.diff(breaks) > 0.0).all()
    np.testing.assert_array_equal(breaks[::-1], schedule.lam(np.arange(1, 99)))
    np.testing.assert_allclose(schedule.t_of_lam(breaks), np.arange(98, 0, -1), rtol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        breaks[0] = 0.0
    assert Discrete.from_betas([0.1, 0.2]).lam_breaks.size == 0


def test_equality_and_hash_are_those_of_the_values():
    values = Discrete.linear(20).alpha(np.arange(20)) ** 2
    one, other = Discrete.from_alphas_cumprod(values), Discrete.from_alphas_cumprod(list(values))
    assert one == other
    assert hash(one) == hash(other)
    assert one == pickle.loads(pickle.dumps(one)) == Discrete(one.log_alphas)
    values[-1] *= 0.5  # the schedule holds a copy
    assert one == other != Discrete.from_alphas_cumprod(values)


def test_single_precision_lists_are_taken_at_their_value():
    values = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000, dtype=np.float32))
    assert values.dtype == np.float32
    schedule = Discrete.from_alphas_cumprod(values)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(schedule.alpha(np.arange(1000)) ** 2, exact, rtol=32 * EPS)


def test_large_betas_that_rise_are_no_alphas():
    schedule = Discrete.from_betas([0.95, 0.97])
    np.testing.assert_allclose(schedule.alpha([0.0, 1.0]) ** 2, [0.05, 0.05 * 0.03], rtol=1e-14)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Discrete.from_alphas_cumprod([[0.9, 0.5]]), r"shape \(1, 2\)"),
        (lambda: Discrete.from_alphas_cumprod([0.9]), r"shape \(1,\).* at least 2"),
        (lambda: Discrete.from_alphas_cumprod(0.9), r"shape \(\)"),
        (lambda: Discrete.from_alphas_cumprod("linear"), "alphas_cumprod must hold real numbers"),
        (lambda: Discrete.from_alphas_cumprod([0.9, 0.5, 0.5]), r"decreasing.*\[2\]=0\.5"),
        (lambda: Discrete.from_alphas_cumprod([0.5, 0.9]), "from the least to the most noise"),
        (lambda: Discrete.from_alphas_cumprod([1.0, 0.9]), r"\[0\]=1\.0 must lie in \(0, 1\)"),
        (lambda: Discrete.from_alphas_cumprod([0.9, -0.5]), r"\[1\]=-0\.5 must lie in \(0, 1\)"),
        (lambda: Discrete.from_alphas_cumprod([0.9, np.nan]), r"\[1\]=nan must lie in \(0, 1\)"),
        (lambda: Discrete.from_alphas_cumprod([0.9, 0.0]), "zero terminal SNR"),
        (lambda: Discrete.from_betas([0.1, 1.0]), "zero terminal SNR"),
        (lambda: Discrete.from_betas([0.1, 0.0, 0.2]), r"betas\[1\]=0\.0 must lie in \(0, 1\)"),
        (lambda: Discrete.from_betas([0.1, 1.5]), r"betas\[1\]=1\.5 must lie in \(0, 1\)"),
        (
            lambda: Discrete.from_betas(np.exp(2 * np.array(Discrete.linear().log_alphas))),
            r"betas fall from 0\.9999, as alphas_cumprod do: pass .*Discrete\.from_alphas_cumprod",
        ),
        (lambda: Discrete.from_betas([1e-20, 1e-40]), "log_alphas must be strictly decreasing"),
        (lambda: Discrete((-1.0, -400.0)), r"log_alphas\[1\]=-400\.0 is too small"),
        (lambda: Discrete((0.0, -1.0)), r"log_alphas\[0\]=0\.0 must be negative"),
        (lambda: Discrete.linear(1), "n=1 must be a whole number of at least 2"),
        (lambda: Discrete.linear(10.5), r"n=10\.5 must be a whole number"),
        (lambda: Discrete.linear(beta_end=1.0), r"beta_end=1\.0 must lie in \(0, 1\)"),
        (lambda: Discrete.scaled_linear(beta_start=-1e-4), "beta_start=-0.0001 must lie"),
        (lambda: Discrete.cosine(s=1.0), r"s=1\.0 must satisfy 0 <= s < 1"),
        (lambda: Discrete.cosine(max_beta=1.0), r"max_beta=1\.0 must lie in \(0, 1\)"),
    ],
)
def test_lists_that_make_no_schedule_are_refused(make, match):
    with pytest.raises(InvalidArgument, match=match):
        make()
