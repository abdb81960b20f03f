"""Noise levels: what they refuse, where noise may not be, and samplers at both ends of a path."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from diffusion_problems import (
    SCHEDULES,
    Draws,
    Gaussian,
    deterministic,
    ends,
    noise_at,
)
from semilinear import diffusion, methods
from semilinear.diffusion import (
    EDM,
    VE,
    Ancestral,
    Churn,
    Discrete,
    Eta,
    Flow,
    RhoPower,
    SeededNoise,
    SubVP,
    Tau,
    TauWithin,
    VPLinear,
)
from semilinear.diffusion.noise_legs import checked_legs
from semilinear.errors import InvalidArgument, ModelOutputError, NonFiniteError

VP = VPLinear()
DATA = Gaussian()
X = noise_at(VP, 1.0, (4, 3))
STOCHASTIC = [name for name in diffusion.names() if name not in deterministic()]
SPLIT = ("euler_ancestral", "dpm2_ancestral", "dpmpp_2s_ancestral")


def refused(*parts: str, error: type[Exception] = InvalidArgument):
    """Expect an error whose message holds these parts in this order."""
    return pytest.raises(error, match=".*".join(re.escape(part) for part in parts))


@pytest.mark.parametrize("value", [True, np.nan, np.inf, -0.5, [1.0], 1j])
def test_what_is_no_noise_level(value):
    with refused(f"noise={value!r} must be a noise level such as", "a number tau >= 0"):
        diffusion.plan(VP, method="ddpm", noise=value)


@pytest.mark.parametrize("value", [101.0, 1e8, 1e200])
def test_noise_that_only_waits_at_an_equilibrium(value):
    """Its integrals would take the memory of many machines."""
    with refused(
        f"noise=Tau(tau={value!r}", "must lie between 0 and 1e+04, as tau between 0 and 100"
    ):
        diffusion.plan(VP, method="dpmpp_2m", steps=3, noise=value)


@pytest.mark.parametrize("value", [-1.0, np.nan, "1", None, True, np.ones(1)])
def test_functions_that_give_no_noise_level(value):
    for noise in (lambda t: value, Tau(lambda t: value)):
        with refused("tau(t=1)", "must be a number, at least 0 and finite"):
            diffusion.plan(VP, method="ddpm", noise=noise)


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, "1", None, True, 1j])
@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        *((kind, "scale") for kind in (Tau, TauWithin, Eta, RhoPower, Ancestral, Churn)),
        (Tau, "tau"),
        (TauWithin, "tau"),
        (Eta, "eta"),
        (Ancestral, "eta"),
        (Churn, "churn"),
    ],
)
def test_parameters_of_noise_levels(kind, argument, value):
    with refused(f"{argument}={value!r} must be"):
        kind(**{argument: value})


@pytest.mark.parametrize("value", [1.0000001, 2])
@pytest.mark.parametrize("kind", [Eta, Ancestral])
def test_at_most_the_noise_of_ddpm_is_added(kind, value):
    with refused(f"eta={value!r} must lie between 0 and 1"):
        kind(value)


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        (kind, *edges)
        for kind in (TauWithin, Churn)
        for edges in ((np.nan, 1.0), (0.1, np.nan), ("a", 1.0), (0.8, 0.2))
    ],
)
def test_where_noise_may_enter(kind, low, high):
    with refused("high" if high != high else "low"):
        kind(1.0, low=low, high=high)


@pytest.mark.parametrize("make", [lambda: TauWithin(1, 200, 800), lambda: TauWithin(1, 1.0, 2)])
def test_times_in_the_place_of_parts_of_the_time_domain(make):
    with refused("low=", "must be less than 1", "parts of the time domain, from 0 to 1"):
        make()


def test_the_middle_of_an_infinite_time_domain():
    with refused(
        "noise=TauWithin(", "parts of the time domain", "EDM", "infinite", "noise=diffusion.Tau(la"
    ):
        diffusion.plan(EDM(), method="sa_solver")
    plan = diffusion.plan(
        EDM(), method="sa_solver", noise=lambda t: float(0.05 <= t <= 1.0), steps=5
    )
    assert plan.nfe == 5


@pytest.mark.parametrize("phi", [3.0, "rho", {}])
def test_a_noise_scale_function_that_is_none(phi):
    with refused("phi"):
        diffusion.plan(VP, method="er_sde1", noise=RhoPower(phi))


@pytest.mark.parametrize(
    "phi", [lambda r: r**0.5, lambda r: 1.0, lambda r: -r, lambda r: float("nan"), lambda r: 1 / r]
)
def test_a_noise_scale_function_that_would_take_noise_away(phi):
    with refused("phi"):
        diffusion.plan(VP, method="er_sde2", noise=RhoPower(phi))


def test_the_noise_of_er_sde_near_pure_noise():
    plan = diffusion.plan(Flow(), method="er_sde3", prediction="v", t_start=1 - 1e-12, steps=5)
    assert plan.nfe == 5


@pytest.mark.parametrize("noise", [1.0, Eta(), Churn(1.0), Ancestral()])
def test_the_velocity_takes_no_noise(noise):
    with refused("noise", "euler"):
        diffusion.plan(VP, method="euler", noise=noise)


@pytest.mark.parametrize("method", STOCHASTIC)
def test_encoding_takes_no_noise(method):
    with refused(f"method={method!r} draws noise by itself", "follows the ODE", "give noise=0"):
        diffusion.encode(None, X, VP, method=method)
    for noise in (0.7, "eta=0.5"):
        with refused("encoding follows the ODE, without noise; give noise=0"):
            diffusion.encode(None, X, VP, method="ddim", noise=noise)


@pytest.mark.parametrize("noise", [0, 0.0, Tau(0.0), Eta(0.0), Ancestral(0.0), Churn(0.0)])
def test_no_noise_is_allowed_everywhere(noise):
    for method in ("euler", "tab3", "unipc2", "rho_rk4"):
        plan = diffusion.plan(VP, method=method, noise=noise, steps=4)
        plain = diffusion.plan(VP, method=method, steps=4)
        found, expected = (diffusion.follow(p, DATA.model(VP), X) for p in (plan, plain))
        assert (found == expected).all()
    up = diffusion.plan(VP, method="tab3", noise=noise, direction="encode", steps=4)
    assert up.nfe == 4


@pytest.mark.parametrize("noise", [Ancestral(), Churn(1.0)])
@pytest.mark.parametrize("method", ["tab3", "unipc2", "sa_solver", "dpmpp_2m_sde"])
def test_steps_with_past_values_are_not_split(method, noise):
    with refused("noise=", "splits steps, which", method, "choose a one-step method"):
        diffusion.plan(VP, method=method, noise=noise)


@pytest.mark.parametrize("method", ["ddim", "heun"])
def test_churn_before_a_step_to_data_outside_the_time_domain(method):
    """The last step is one of order one, from where the noise has taken the state."""
    path, draws = Discrete.linear(), SeededNoise(3, X)
    grid = [900.0, 500.0, 40.0]
    options = {"method": method, "grid": grid, "final": "zero"}
    plan = diffusion.plan(path, noise=Churn(0.3), **options)
    assert plan.t[-1] == -np.inf
    state, told = plan.start(X, noise=draws), []
    while not state.done:
        told.append(float(path.rho(state.t)))
        last, eps = state, 0.5 * state.x
        state = plan.advance(state, eps)
    assert np.isclose(told[-1], path.rho(40.0) * 1.1)
    expected = (last.x - path.sigma(last.t) * eps) / path.alpha(last.t)
    assert np.allclose(state.x, expected, rtol=1e-12)


@pytest.mark.parametrize("schedule", [VP, VE(), Discrete.linear(), SubVP()], ids=repr)
def test_churn_beyond_the_largest_noise_of_a_schedule(schedule):
    options = {"method": "heun", "noise": Churn(40.0), "steps": 5}
    said = refused("noise=Churn(", "would ask the model outside the times of", "t_start", "high=")
    with said as caught:
        diffusion.plan(schedule, t_start=schedule.t_max, **options)
    high = float(str(caught.value).rpartition("high=")[2].rstrip(")"))
    kept = {**options, "noise": Churn(40.0, high=high)}
    times = diffusion.plan(schedule, t_start=schedule.t_max, **kept).times
    assert times[0] == schedule.t_max
    inside = schedule.t_of_rho(schedule.rho(schedule.t_max) / 2)
    assert diffusion.plan(schedule, t_start=inside, **options).times[0] > inside
    assert diffusion.plan(EDM(), **options).times[0] > 80.0


def test_noise_is_asked_for_where_it_is_missing():
    plan = diffusion.plan(VP, method="ddpm", steps=3)
    state = plan.start(X)
    with refused("noise is missing", "start(x, noise=...)"):
        while not state.done:
            state = plan.advance(state, X)


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((4, 3), np.float32), 0.0, None])
def test_noise_of_another_kind(bad):
    plan = diffusion.plan(VP, method="ddpm", steps=3)
    state = plan.start(X, noise=lambda k, i: bad)
    with refused("noise(1, ", "array like the state", error=ModelOutputError):
        plan.advance(state, X)


def test_noise_that_is_not_finite():
    plan = diffusion.plan(VP, method="ddpm", steps=3)
    state = plan.start(X, noise=lambda k, i: np.full_like(X, np.nan))
    with refused("noise", error=NonFiniteError):
        plan.advance(state, X)


@pytest.mark.parametrize("options", [{"noise": Eta(0.3)}, {"exact": True}, {"prediction": "x0"}])
def test_a_state_belongs_to_one_kind_of_noise_and_weights(options):
    method = "dpmpp_2m_sde" if "exact" in options else "ddpm"
    one = diffusion.plan(VP, method=method, steps=3)
    other = diffusion.plan(VP, method=method, steps=3, **options)
    state = one.start(X, noise=Draws(X.shape))
    with refused("state belongs to another run"):
        other.advance(state, X)


def test_draws_are_numbered_by_the_evaluations_before_them():
    """So that a run resumed anywhere, or a seed of its own for each draw, gives the same noise."""
    for method, asked in {
        "ddpm": [(1, 0), (2, 0), (3, 0)],
        "seeds2": [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)],
        "dpmpp_2s_ancestral": [(2, 0), (4, 0), (6, 0)],
        "sa_solver_pece": [(1, 0), (3, 0), (5, 0)],
    }.items():
        draws = Draws(X.shape)
        noise = 1.0 if method.startswith("sa_") else None
        plan = diffusion.plan(VP, method=method, steps=3, noise=noise)
        diffusion.follow(plan, DATA.model(VP), X, seed=draws)
        assert draws.asked == asked, method
    draws = Draws(X.shape)
    plan = diffusion.plan(EDM(), method="heun", steps=3, noise=Churn(40.0))
    diffusion.follow(plan, DATA.model(EDM()), X, seed=draws)
    assert draws.asked == [(0, 0), (2, 0), (4, 0)]


@pytest.mark.parametrize("final", ["t_end", "zero", "denoise"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_samplers_with_noise_run_on_every_schedule_to_every_end(name, final):
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    x = noise_at(schedule, t_start, (4, 3))
    # The middle of an infinite time domain is nowhere.
    anywhere = [n for n in STOCHASTIC if np.isfinite(schedule.t_max) or n[:3] != "sa_"]
    for method in anywhere:
        # The stage in the middle lies below the least noise of these.
        if method in SPLIT[1:] and schedule.rho(schedule.t_min) > 0:
            continue
        for steps in (1, 2, 5):
            plan = diffusion.plan(
                schedule, method=method, steps=steps, t_start=t_start, t_end=t_end, final=final
            )
            asked: list[float] = []
            model = DATA.model(schedule, asked=asked)
            y = diffusion.follow(plan, model, x, seed=Draws(x.shape))
            assert np.isfinite(y).all()
            assert asked == list(plan.times)
            assert min(schedule.sigma(t) for t in asked) > 0.0


@pytest.mark.parametrize("method", ["tab3", "logrhoab1", "dpm_solver_2m", "ipndm4"])
def test_noise_spoils_what_extrapolates_eps(method):
    with refused("noise=Tau", f"{method} extrapolates eps", "'dpmpp_2m'", "'ddim'"):
        diffusion.plan(VP, method=method, steps=8, noise=1.0)


def test_the_middle_of_discrete_times_counts_them_all():
    grid = [999, 900, 800, 500, 200, 100, 0]
    plan = diffusion.plan(diffusion.Discrete.linear(), method="sa_solver", grid=grid)
    inside = [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]
    assert plan.program.propagator.tau_squared.tolist() == inside


def test_the_noise_of_a_sampler_may_be_a_number():
    cell = diffusion.Parameterisation("x0", "lambda")
    own = diffusion.Sampler("own", cell, methods.get("etdab1"), "this test", noise=1.0)
    given = diffusion.plan(VP, method=own, steps=4)
    assert np.array_equal(given.weights, diffusion.plan(VP, method="seeds1", steps=4).weights)


def test_the_middle_of_the_path_begins_where_it_says_but_for_rounding():
    grid = np.linspace(1.0, 0.1, 10)  # 0.2 and 0.8 are off by an ulp
    plan = diffusion.plan(VP, method="sa_solver", grid=grid)
    inside = [0.0, 0.0, *[1.0] * 7]
    assert plan.program.propagator.tau_squared.tolist() == inside


@pytest.mark.parametrize("edge", [0.2, 0.8])
def test_the_ends_of_the_middle_are_inside_but_for_rounding(edge):
    def inside(t):
        return TauWithin().legs(VP, t, 0.05, 5)[0].tau_squared == 1.0

    outwards = np.sign(edge - 0.5)
    assert inside(edge)
    assert inside(np.nextafter(edge, outwards))
    assert not inside(edge + 1e-6 * outwards)


def test_a_noise_scale_function_that_is_rho_adds_no_noise():
    """Where it shrinks the state like the ODE it does so but for rounding."""
    times = np.linspace(1.0, 0.1, 60)
    for factor in (1.0, 3.0, 0.1):
        noise = RhoPower(lambda rho, factor=factor: factor * rho)
        legs = [noise.legs(VP, t, t_next, 59)[0] for t, t_next in pairwise(times)]
        assert not any(leg.tau_squared for leg in legs)


def test_churn_counts_the_ends_of_its_range():
    rho = VP.rho(0.5)
    for low, high, parts in ((rho, 9.0, 2), (0.0, rho, 2), (1.001 * rho, 9.0, 1), (0.0, 1.0, 1)):
        assert len(Churn(1.0, low=low, high=high).legs(VP, 0.5, 0.3, 5)) == parts


def test_an_ancestral_step_that_ends_beyond_its_least_noise_goes_no_further():
    whole = Ancestral(1.0, low=VP.rho(0.5)).legs(VP, 0.6, 0.3, 5)
    assert whole == [diffusion.Leg(VP.lam(0.3), 0.0, 0.3)]


def test_parts_end_where_the_step_does_but_for_rounding():
    noise = Given(lambda lam, t: [])
    for off, lam in ((5e-10, 0.0), (5e-10, 0.5), (5e-9, -10.0)):
        legs = [diffusion.Leg(lam + off, 0.25, 0.3)]
        assert checked_legs(noise, legs, lam - 0.1, lam, 0.3) is legs
        with refused("the last leg must be"):
            checked_legs(noise, [diffusion.Leg(lam + 4 * off, 0.25, 0.3)], lam - 0.1, lam, 0.3)


@dataclass(frozen=True)
class Given(diffusion.NoiseLevel):
    """What a test gives as the parts of every step."""

    parts: Callable[..., Any]
    scale: float = 1.0
    is_silent = False

    def legs(self, schedule, t, t_next, steps):
        return self.parts(schedule.lam(t_next), t_next)


def test_a_noise_level_of_ones_own():
    own = Given(lambda lam, t: [diffusion.Leg(lam, 0.25, t)])
    made, known = (
        diffusion.plan(VP, method="dpmpp_2m", steps=8, noise=noise) for noise in (own, 0.5)
    )
    assert made.rows == known.rows


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        (lambda lam, t: [], "a list of diffusion.Leg"),
        (lambda lam, t: [(lam, 0.25, t)], "a list of diffusion.Leg"),
        (lambda lam, t: diffusion.Leg(lam, 0.25, t), "a list of diffusion.Leg"),
        (lambda lam, t: [diffusion.Leg(lam, -0.25, t)], "tau_squared=-0.25"),
        (lambda lam, t: [diffusion.Leg(lam, float("nan"), t)], "tau_squared=nan"),
        (lambda lam, t: [diffusion.Leg(lam, "x", t)], "tau_squared='x'"),
        (lambda lam, t: [diffusion.Leg(lam, np.array([0.5]), t)], "tau_squared=array([0.5])"),
        (lambda lam, t: [diffusion.Leg("x", 0.25, t)], "the last leg must be"),
        (lambda lam, t: [diffusion.Leg(np.full(2, lam), 0.25, t)], "the last leg must be"),
        (lambda lam, t: [diffusion.Leg(lam + 0.1, 0.25, t)], "the last leg must be"),
        (lambda lam, t: [diffusion.Leg(lam, 0.25)], "the last leg must be"),
        (lambda lam, t: [diffusion.Leg(lam, 0.25, t / 2)], "the last leg must be"),
        (lambda lam, t: [diffusion.Leg(lam + 1, 0.0), diffusion.Leg(lam, -1, t)], "splits = True"),
        (lambda lam, t: [diffusion.Leg(lam - 0.1, 0.0), diffusion.Leg(lam, 0, t)], "splits = True"),
        (lambda lam, t: [diffusion.Leg(lam, -1.0, t)], "only the forward process"),
    ],
)
def test_parts_of_a_step_that_are_none(parts, complaint):
    with refused("noise=Given(", complaint):
        diffusion.plan(VP, method="dpmpp_2m", steps=8, noise=Given(parts))


class Splitting(Given):
    """The same, with parts of the forward process."""

    splits = True


def ancestral(sign: int) -> Callable[..., Any]:
    """Return the parts of `Ancestral`, or with a wrong sign a first part that goes too short."""

    def parts(lam, t):
        rho, rho_next = VP.rho(min(2 * t, 1.0)), np.exp(-lam)
        up = rho_next**2 * (1 - (rho_next / rho) ** 2)
        down = -np.log(rho_next**2 + sign * up) / 2
        return [diffusion.Leg(down, 0.0), diffusion.Leg(lam, -1.0, t)]

    return parts


HALVED = [0.8, 0.4, 0.2, 0.1]


def test_split_steps_of_ones_own():
    made, known = (
        diffusion.plan(VP, method="res_2s", grid=HALVED, noise=noise)
        for noise in (Splitting(ancestral(-1)), Ancestral())
    )
    for one, other in zip(made.rows, known.rows, strict=True):
        np.testing.assert_allclose(one.coefficients, other.coefficients, rtol=1e-12)


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        (ancestral(1), ("leg 2 of 2 of the step to t=0.4 goes from lam=", "=-1; the forward proc")),
        (
            lambda lam, t: [diffusion.Leg(lam + 0.1, 0.25), diffusion.Leg(lam, 0.0, t)],
            ("leg 2 of 2", "tau_squared=0; only the forward process", "lam must rise"),
        ),
        (
            lambda lam, t: [diffusion.Leg(VP.lam(0.8) + 0.1, -1.0), diffusion.Leg(lam, 0.0, t)],
            ("leg 1 of 2", "tau_squared=-1; the forward process", "lam must fall"),
        ),
        (
            lambda lam, t: [diffusion.Leg(-np.inf, -1.0), diffusion.Leg(lam, 0.0, t)],
            ("gave lam=-inf for a leg inside", "a finite number"),
        ),
        (
            lambda lam, t: [diffusion.Leg(np.nan, 0.0), diffusion.Leg(lam, -1.0, t)],
            ("gave lam=nan for a leg inside", "a finite number"),
        ),
        (
            lambda lam, t: [diffusion.Leg(lam + 0.1, 0.0, t), diffusion.Leg(lam, -1.0, t)],
            ("gave t=0.4 for a leg inside", "give Leg(lam, tau_squared)"),
        ),
    ],
)
def test_parts_of_a_step_that_go_the_wrong_way(parts, complaint):
    with refused("noise=Splitting(", *complaint):
        diffusion.plan(VP, method="res_2s", grid=HALVED, noise=Splitting(parts))


def test_a_part_that_rounding_leaves_without_length():
    """As `Churn` has where it adds next to nothing."""
    for off in (0.0, 1e-15, -1e-15):
        parts = [diffusion.Leg(0.3 + off, -1.0), diffusion.Leg(1.0, 0.0, 0.4)]
        assert checked_legs(Splitting(list), parts, 0.3, 1.0, 0.4) is parts


@pytest.mark.parametrize("quantity", ["eps", "x0", "flow"])
def test_to_the_data_and_back_within_a_step(quantity):
    """Where the model is asked once, it is x_0 of its evaluation under fresh noise."""

    def parts(lam, t):
        return [diffusion.Leg(np.inf, 0.0), diffusion.Leg(lam, -1.0, t)]

    cell = diffusion.Parameterisation(quantity, "lambda")
    own = diffusion.Sampler("own", cell, methods.get("etdab1"), "this test")
    plan = diffusion.plan(VP, method=own, grid=[0.8, 0.4], noise=Splitting(parts))
    eps = 0.5 * X
    found = diffusion.follow(plan, lambda x, t: eps, X, seed=Draws(X.shape))
    x_0 = (X - VP.sigma(0.8) * eps) / VP.alpha(0.8)
    expected = VP.alpha(0.4) * x_0 + VP.sigma(0.4) * Draws(X.shape)(1, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    with refused("gave lam=inf for a leg inside", "with one evaluation a step, such as 'ddim'"):
        diffusion.plan(VP, method="dpm2_ancestral", grid=[0.8, 0.4], noise=Splitting(parts))


class Two(diffusion.NoiseLevel):
    """A class with two answers."""

    is_silent = False

    def legs(self, schedule, t, t_next, steps):
        return [diffusion.Leg(schedule.lam(t_next), 0.25, t_next)]


def test_a_noise_level_keeps_the_marginals_if_it_does_not_say_otherwise():
    made, known = (
        diffusion.plan(VP, method="dpmpp_2m", steps=4, noise=noise) for noise in (Two(), 0.5)
    )
    assert made.rows == known.rows


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "1", None])
def test_the_factor_of_a_noise_level_of_ones_own(value):
    level = type("Scaled", (Two,), {"scale": value})()
    with refused("noise=", f"scale={value!r} must be a number, at least 0"):
        diffusion.plan(VP, method="dpmpp_2m", steps=4, noise=level)


@pytest.mark.parametrize("noise", [Churn(1.0), Ancestral(1.0)], ids=str)
def test_a_step_from_pure_noise_is_not_split(noise):
    assert len(noise.legs(Flow(), 1.0, 0.8, 5)) == 1
    assert len(noise.legs(Flow(), 0.9, 0.8, 5)) == 2
