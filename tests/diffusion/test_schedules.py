"""Noise schedules against their definitions at 50 digits, and what they refuse."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semilinear.diffusion.schedules import (
    EDM,
    SCHEDULES,
    VE,
    Discrete,
    Flow,
    NoiseSchedule,
    SubVP,
    VariancePreserving,
    VPCosine,
    VPLinear,
)

EPS = float(np.finfo(np.float64).eps)
CONTINUOUS = [VPLinear(), VPCosine(), VPCosine(normalised=False), SubVP(), VE(), EDM(), Flow()]
ALL = [*CONTINUOUS, Discrete.linear(), Discrete.scaled_linear(), Discrete.cosine()]

# Twenty-five examples would leave half of the kinds of schedule out.
many = settings(max_examples=max(200, settings.default.max_examples))
# Errors are counted in units of eps (1 + |lambda|): exp(x) carries the rounding of x.
ROUNDINGS = 8.0


@pytest.fixture(autouse=True)
def _fifty_digits():
    with mp.workdps(50):
        yield


def alpha_sigma(schedule: NoiseSchedule, t: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    """alpha and sigma as the papers define them."""
    match schedule:
        case VPLinear(b0, b1) | SubVP(b0, b1):
            alpha_bar = mp.exp(-(mp.mpf(b1) - b0) * t**2 / 2 - b0 * t)
            power = 1 if isinstance(schedule, SubVP) else mp.mpf(1) / 2
            return mp.sqrt(alpha_bar), (1 - alpha_bar) ** power
        case VPCosine(s, _, normalised):
            theta, theta_0 = ((u + mp.mpf(s)) / (1 + mp.mpf(s)) * mp.pi / 2 for u in (t, 0))
            alpha = mp.cos(theta) / (mp.cos(theta_0) if normalised else 1)
            return alpha, mp.sqrt(1 - alpha**2)
        case VE(low, high):
            return mp.mpf(1), mp.mpf(low) * (mp.mpf(high) / low) ** t
        case EDM():
            return mp.mpf(1), t
        case Flow():
            return 1 - t, t
        case Discrete(log_alphas):
            k = min(int(mp.floor(t)), len(log_alphas) - 2)
            log_alpha = (k + 1 - t) * mp.mpf(log_alphas[k]) + (t - k) * mp.mpf(log_alphas[k + 1])
            return mp.exp(log_alpha), mp.sqrt(1 - mp.exp(2 * log_alpha))
    raise TypeError(schedule)


def uncertainty(schedule: NoiseSchedule, lam: float) -> float:
    """1 + |lambda|; for VE, whose ln rho is a sum of two terms, with their sizes."""
    terms = abs(np.log(schedule.sigma_min)) if isinstance(schedule, VE) else 0.0
    return 1.0 + abs(float(lam)) + 2.0 * float(terms)


rates = st.tuples(st.floats(0.01, 2.0), st.floats(2.0, 200.0))
sigmas = st.tuples(st.floats(1e-3, 1.0), st.floats(1.1, 1e5))
schedules = st.one_of(
    st.sampled_from(ALL),
    rates.map(lambda pair: VPLinear(*pair)),
    rates.map(lambda pair: SubVP(*pair)),
    sigmas.map(lambda pair: VE(*pair)),
    st.builds(VPCosine, st.floats(0.0, 0.5), normalised=st.booleans()),
    st.lists(st.floats(1e-6, 0.9), min_size=2, max_size=12).map(Discrete.from_betas),
)


@st.composite
def schedule_and_time(draw) -> tuple[NoiseSchedule, float]:
    """A schedule with a time that is often near an end of its domain, though not on it."""
    schedule = draw(schedules)
    end = min(schedule.t_max, 1e4)
    near = st.floats(-6.0, -0.01).map(lambda exponent: 10.0**exponent)
    fraction = draw(near | near.map(lambda distance: 1.0 - distance))
    return schedule, fraction * end


@many
@given(schedule_and_time())
def test_values_match_the_definitions(case):
    schedule, t = case
    with mp.workdps(50):
        alpha, sigma = alpha_sigma(schedule, mp.mpf(t))
        lam = mp.log(alpha / sigma)
        bound = ROUNDINGS * EPS * uncertainty(schedule, lam)
        assert abs(schedule.alpha(t) / alpha - 1) <= bound
        assert abs(schedule.sigma(t) / sigma - 1) <= bound
        assert abs(schedule.rho(t) * alpha / sigma - 1) <= bound
        assert abs(schedule.lam(t) - lam) <= bound
        assert abs(schedule.log_alpha(t) - mp.log(alpha)) <= ROUNDINGS * EPS * -mp.log(alpha)
        assert abs(schedule.alpha_of_lam(float(lam)) / alpha - 1) <= bound
        assert abs(schedule.sigma_of_lam(float(lam)) / sigma - 1) <= bound


@many
@given(schedule_and_time())
def test_drift_and_diffusion_are_the_derivatives_of_the_definitions(case):
    schedule, t = case
    if isinstance(schedule, Discrete):
        t = np.floor(t) + min(max(t % 1.0, 1e-6), 1.0 - 1e-6)  # the rate jumps at a timestep
    with mp.workdps(50):
        x, h = mp.mpf(t), mp.mpf(10) ** -20
        alpha, sigma = alpha_sigma(schedule, x)
        f = mp.diff(lambda u: mp.log(alpha_sigma(schedule, u)[0]), x, h=h)
        rate = mp.diff(lambda u: -mp.log(mp.fdiv(*alpha_sigma(schedule, u))), x, h=h)
        bound = 2.0 * ROUNDINGS * EPS * uncertainty(schedule, mp.log(alpha / sigma))
        assert abs(schedule.drift(t) - f) <= bound * abs(f) + 1e-18
        assert abs(schedule.diffusion_squared(t) / (2 * sigma**2 * rate) - 1) <= bound


@many
@given(schedule_and_time())
def test_time_is_recovered_as_far_as_rho_and_lambda_determine_it(case):
    schedule, t = case
    # A rounding error may lead across a timestep, to the slope on its other side.
    nearby = np.clip([t - 1.0, t, t + 1.0], 0.0, schedule.t_max)
    slopes = schedule.diffusion_squared(nearby if isinstance(schedule, Discrete) else [t])
    lam_rate = slopes.min() / (2.0 * schedule.sigma(t) ** 2)
    bound = ROUNDINGS * EPS * (t + uncertainty(schedule, schedule.lam(t)) / lam_rate)
    assert abs(schedule.t_of_rho(schedule.rho(t)) - t) <= bound
    assert abs(schedule.t_of_lam(schedule.lam(t)) - t) <= bound


@pytest.mark.parametrize("schedule", [VPLinear(), VPCosine(), SubVP(), EDM(), Flow()], ids=repr)
def test_round_trip_keeps_twelve_digits_of_time_where_there_is_no_noise_at_zero(schedule):
    t = np.concatenate([np.geomspace(1e-6, 1.0 - 1e-9, 2001), 1.0 - np.geomspace(1e-12, 0.5, 500)])
    np.testing.assert_allclose(schedule.t_of_rho(schedule.rho(t)), t, rtol=1e-12, atol=0.0)
    np.testing.assert_allclose(schedule.t_of_lam(schedule.lam(t)), t, rtol=1e-12, atol=0.0)


@given(st.floats(-20.0, 40.0))
def test_time_of_lambda_over_the_whole_range_of_lambda(lam):
    with mp.workdps(50):
        b = mp.log1p(mp.exp(-2 * mp.mpf(lam)))
        b0, growth = mp.mpf(0.1), mp.mpf(100.0) - mp.mpf(0.1)
        t = (mp.sqrt(b0**2 + 2 * growth * b) - b0) / growth
        assert abs(VPLinear(0.1, 100.0).t_of_lam(lam) / t - 1) <= 1e-12
        assert abs(Flow().t_of_lam(lam) * (1 + mp.exp(mp.mpf(lam))) - 1) <= 1e-12
        assert abs(EDM().t_of_lam(lam) * mp.exp(mp.mpf(lam)) - 1) <= 1e-12


@many
@given(schedules)
def test_inverses_stay_inside_the_domain(schedule):
    for t in (schedule.t_min, schedule.t_max):
        for back in (schedule.t_of_rho(schedule.rho(t)), schedule.t_of_lam(schedule.lam(t))):
            assert schedule.t_min <= back <= schedule.t_max


@given(st.floats(-9.0, 0.0))
def test_ve_time_of_rho_is_relatively_accurate_near_the_least_noise(exponent):
    rho = 0.02 * (1.0 + 10.0**exponent)
    with mp.workdps(50):
        t = mp.log(mp.mpf(rho) / 0.02) / mp.log(mp.mpf(100.0) / 0.02)
        assert abs(VE().t_of_rho(rho) / t - 1) <= ROUNDINGS * EPS


@pytest.mark.parametrize("schedule", [s for s in ALL if isinstance(s, VariancePreserving)])
def test_variance_is_preserved(schedule):
    t = np.linspace(0.0, schedule.t_max, 4001)
    np.testing.assert_allclose(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, 1.0, atol=8 * EPS)
    lam = np.linspace(-40.0, 40.0, 801)
    total = schedule.alpha_of_lam(lam) ** 2 + schedule.sigma_of_lam(lam) ** 2
    np.testing.assert_allclose(total, 1.0, atol=8 * EPS)


@pytest.mark.parametrize("schedule", [VPLinear(), VPCosine(), SubVP(), EDM(), Flow()], ids=repr)
def test_where_there_is_no_noise(schedule):
    assert (schedule.alpha(0.0), schedule.sigma(0.0), schedule.rho(0.0)) == (1.0, 0.0, 0.0)
    assert schedule.lam(0.0) == np.inf
    assert schedule.t_of_rho(0.0) == schedule.t_of_lam(np.inf) == 0.0


@pytest.mark.parametrize("schedule", [VPCosine(), VPCosine(normalised=False), Flow()], ids=repr)
def test_where_there_is_no_signal(schedule):
    assert (schedule.alpha(1.0), schedule.rho(1.0), schedule.lam(1.0)) == (0.0, np.inf, -np.inf)
    assert schedule.sigma(1.0) == pytest.approx(1.0, abs=2 * EPS)
    assert schedule.t_of_rho(np.inf) == schedule.t_of_lam(-np.inf) == 1.0
    assert (schedule.drift(1.0), schedule.diffusion_squared(1.0)) == (-np.inf, np.inf)


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_limits_of_the_relation_of_alpha_and_sigma_to_lambda(schedule):
    assert (schedule.alpha_of_lam(np.inf), schedule.sigma_of_lam(np.inf)) == (1.0, 0.0)
    exploding = isinstance(schedule, VE | EDM)
    expected = (1.0, np.inf) if exploding else (0.0, 1.0)
    for lam in (-np.inf, -800.0):
        assert schedule.alpha_of_lam(lam) == pytest.approx(expected[0], abs=1e-300)
        assert schedule.sigma_of_lam(lam) == expected[1]
    assert schedule.alpha_of_lam(800.0) == 1.0
    assert schedule.sigma_of_lam(800.0) == pytest.approx(0.0, abs=1e-300)


@pytest.mark.parametrize(
    ("schedule", "low", "high", "start", "end"),
    [
        (VPLinear(), 0.0, 1.0, 1.0, 1e-3),
        (SubVP(), 0.0, 1.0, 1.0, 1e-3),
        (VPCosine(), 0.0, 1.0, 0.9946, 1e-3),
        (VPCosine(final=0.5), 0.0, 0.5, 0.5, 1e-3),
        (VPCosine(final=5e-4), 0.0, 5e-4, 5e-4, 5e-4),
        (VE(), 0.0, 1.0, 1.0, 0.0),
        (EDM(), 0.0, np.inf, 80.0, 0.002),
        (Flow(), 0.0, 1.0, 1.0, 0.0),
        (Discrete.linear(), 0.0, 999.0, 999.0, 0.0),
    ],
    ids=repr,
)
def test_domain_and_default_ends(schedule, low, high, start, end):
    assert (schedule.t_min, schedule.t_max) == (low, high)
    assert (schedule.t_start, schedule.t_end) == (start, end)


def test_default_starts_of_cosine_and_linear_are_about_as_noisy():
    assert VPCosine().rho(0.9946) == pytest.approx(119, abs=0.5)
    assert VPLinear().rho(1.0) == pytest.approx(152, abs=0.5)


def test_registry_holds_schedules_whose_noise_grows():
    names = ["ddpm_cosine", "ddpm_linear", "ddpm_scaled_linear", "edm", "flow", "subvp", "ve"]
    assert sorted(SCHEDULES) == [*names, "vp_cosine", "vp_linear"]
    for make in SCHEDULES.values():
        schedule = make()
        lam = schedule.lam(np.linspace(schedule.t_end, schedule.t_start, 777))
        assert (np.diff(lam) < 0.0).all()
