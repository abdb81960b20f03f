"""Quantities of one's own as N."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from diffusion_problems import Gaussian, noise_at
from semilinear import InvalidArgument, diffusion, methods
from semilinear.diffusion import Parameterisation, Quantity, Tau
from semilinear.diffusion.probability_flow import ProbabilityFlow
from semilinear.diffusion.quantities import QUANTITIES
from semilinear.diffusion.quantity_checks import check_formulas, sharpness
from semilinear.diffusion.schedules import SCHEDULES
from semilinear.diffusion.variables import VARIABLES
from semilinear.errors import NonFiniteError
from tolerances import assert_close

VP = diffusion.VPLinear()
S = 0.7


def radius(alpha, sigma):
    return np.hypot(sigma, S * alpha)


def growth(lam):
    return np.logaddexp(-2 * lam, 2 * np.log(S)) / 2


def weight(rho, alpha, sigma):
    return -S / np.hypot(rho, S)


def read(known, alpha, sigma):
    below = S * radius(alpha, sigma)
    return (
        (sigma * known.p_x0 - S**2 * alpha * known.p_eps) / below,
        (sigma * known.q_x0 - S**2 * alpha * known.q_eps) / below,
    )


def noise(tau_squared, lam, end):
    return -np.expm1(-2 * tau_squared * (growth(lam) - growth(end)))


OUTPUT = Quantity(
    "F", scale=radius, growth=growth, weight=weight, read=read, noise=noise, peak=-np.log(S)
)
"""The output of a network with the preconditioning of Karras et al. (2022)."""


def sampler(method: str, variable: str, quantity=OUTPUT) -> diffusion.Sampler:
    return diffusion.Sampler(
        "own", Parameterisation(quantity, variable), methods.get(method), "here"
    )


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("method", ["etdab3", "etdpec3", "krogstad4"])
def test_it_keeps_the_order(method, variable):
    data = Gaussian()
    x = noise_at(VP, 0.8, (4, 3))
    errors = []
    for n in (40, 80):
        plan = diffusion.plan(
            VP, method=sampler(method, variable), steps=n, t_start=0.8, t_end=0.1, start="rk"
        )
        found = diffusion.follow(plan, data.model(VP), x)
        errors.append(np.abs(found - data.flow(VP, x, 0.8, 0.1)).max())
    assert np.log2(errors[0] / errors[1]) >= methods.get(method).order - 0.3


@pytest.mark.parametrize("tau", [0.0, 1.0])
def test_data_of_its_deviation_leave_nothing_to_be_approximated(tau):
    """F is 0: the mean and the variance of any step are exact."""
    data = Gaussian((0.0,), (S**2,))
    plan = diffusion.plan(
        VP, method=sampler("etd1", "lambda"), grid=[0.9, 0.4, 0.1], noise=Tau(tau)
    )
    found = diffusion.follow(
        plan, data.model(VP), np.ones((1, 1)), seed=lambda k, i: np.zeros((1, 1))
    )
    shrunk = radius(VP.alpha(0.1), VP.sigma(0.1)) / radius(VP.alpha(0.9), VP.sigma(0.9))
    kept = np.exp(tau**2 * (growth(VP.lam(0.1)) - growth(VP.lam(0.9))))
    # F is read as a difference: at t = 0.9 of numbers 84 times as large as the state.
    lost = max(abs(part) for row in plan.rows if row.tell for part in row.tell)
    assert_close(found[0, 0], shrunk * kept, operations=int(20 * lost))
    unit = diffusion.follow(
        plan, data.model(VP), np.zeros((1, 1)), seed=lambda k, i: np.full((1, 1), float(k == 2))
    )
    spread = ProbabilityFlow(VP, VARIABLES["lambda"], OUTPUT, tau_squared=np.array(tau**2)).spread(
        VP.lam(0.4), VP.lam(0.1)
    )
    assert_close(unit[0, 0], spread if tau else 0.0, operations=200)


def test_with_deviation_one_it_is_the_velocity_of_another_sign():
    """F = -v: the same plan as that of the name."""
    one = Quantity(
        "F1",
        scale=lambda alpha, sigma: np.hypot(sigma, alpha),
        growth=lambda lam: np.logaddexp(-2 * lam, 0.0) / 2,
        weight=lambda rho, alpha, sigma: -1 / np.hypot(rho, 1.0),
        read=lambda known, alpha, sigma: (
            (sigma * known.p_x0 - alpha * known.p_eps) / np.hypot(alpha, sigma),
            (sigma * known.q_x0 - alpha * known.q_eps) / np.hypot(alpha, sigma),
        ),
        noise=QUANTITIES["v"].noise,
        peak=0.0,
    )
    x, model = noise_at(VP, 1.0, (4, 3)), Gaussian().model(VP)
    found, expected = (
        diffusion.follow(
            diffusion.plan(VP, method=sampler("etdab2", "lambda", q), steps=7, t_end=0.05), model, x
        )
        for q in (one, "v")
    )
    assert_close(found, expected, operations=500)


def test_its_name_stands_in_messages_and_it_can_be_pickled():
    plan = diffusion.plan(VP, method=sampler("etdab2", "t"), steps=5)
    copied = pickle.loads(pickle.dumps(plan))
    assert copied.sampler.parameterisation.quantity == OUTPUT
    assert np.array_equal(copied.weights, plan.weights)
    assert pickle.loads(pickle.dumps(QUANTITIES["v"])) is QUANTITIES["v"]
    assert "Quantity('F')" in repr(plan.sampler)
    with pytest.raises(InvalidArgument, match="own treats F so"):
        diffusion.plan(VP, method=sampler("etdab2", "t"), steps=5, noise=diffusion.Eta(0.5))
    with pytest.raises(InvalidArgument, match="has N = F"):
        diffusion.log_likelihood(
            lambda x, t: (x, lambda v: v), np.ones((2, 1)), VP, method=sampler("etdab2", "t")
        )


def test_adaptive_steps_take_it_too():
    data, x = Gaussian(), noise_at(VP, 1.0, (4, 3))
    found = diffusion.sample_adaptive(
        data.model(VP), x, VP, quantity=OUTPUT, rtol=1e-5, atol=1e-5, t_end=0.1, final="t_end"
    )
    np.testing.assert_allclose(found.x, data.flow(VP, x, 1.0, 0.1), atol=1e-4)


def test_those_that_have_a_name_are_known_by_it():
    """So that what is made for a quantity by name takes the object as well."""
    for name, quantity in QUANTITIES.items():
        assert Parameterisation(quantity, "lambda") == Parameterisation(name, "lambda")
    for name in ("x0", "velocity"):
        with pytest.raises(InvalidArgument, match=f"'{name}' is the name of another"):
            Parameterisation(replace(OUTPUT, name=name), "lambda")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": 3}, "name=3 must be text"),
        ({"growth": 1.0}, r"growth=1\.0 must be a function"),
        ({"read": None}, "read=None must be a function"),
        ({"peak": np.nan}, "peak=nan must be a number"),
    ],
)
def test_what_is_no_quantity(changed, message):
    with pytest.raises(InvalidArgument, match=message):
        replace(OUTPUT, **changed)


def test_adaptive_steps_need_an_estimate_that_sees():
    with pytest.raises(InvalidArgument, match="or a Quantity with a peak below"):
        diffusion.sample_adaptive(
            Gaussian().model(VP), np.ones((2, 3)), VP, quantity=replace(OUTPUT, peak=np.inf)
        )


@pytest.mark.parametrize(
    "wrong", [lambda tau_squared, lam, end: noise(tau_squared, end, lam), lambda *x: -noise(*x)]
)
def test_noise_that_would_take_variance_away(wrong):
    changed = replace(OUTPUT, noise=wrong)
    linear = ProbabilityFlow(VP, VARIABLES["lambda"], changed, tau_squared=np.array(1.0))
    with pytest.raises(InvalidArgument, match=r"quantity F: noise\(1, 0, 1\) gave the negative va"):
        linear.spread(0.0, 1.0)


def test_a_difference_of_large_numbers_may_leave_no_noise_by_rounding():
    """1 + rho^2 has no digits of a rho this small: what enters is 0, but for rounding."""

    def blunt(tau_squared, lam, end):
        before, after = (1 + np.exp(-2 * x) for x in (lam, end))
        return np.where(lam > 19, -1e-17, (before - after) * tau_squared / after)

    linear = ProbabilityFlow(
        VP, VARIABLES["lambda"], replace(OUTPUT, noise=blunt), tau_squared=np.array(1.0)
    )
    assert linear.spread(19.5, 20.0) == 0


def root_read(known, alpha, sigma):  # -N = rho eps - y / 2
    return (0.5 - sigma * known.p_eps) / alpha, -sigma * known.q_eps / alpha


HALF = Quantity(
    "half",
    scale=lambda alpha, sigma: np.sqrt(alpha * sigma),
    growth=lambda lam: -lam / 2,
    weight=lambda rho, alpha, sigma: -1 / rho,
    read=root_read,
    noise=noise,
    peak=np.inf,
    regular_at_noise=False,
)
"""G = rho^(1/2), so that N tends to x_0 / 2."""

SINGULAR = replace(
    HALF,
    name="singular",
    weight=lambda rho, alpha, sigma: np.ones_like(rho),
    read=lambda known, alpha, sigma: (known.p_eps - 0.5 / sigma, known.q_eps),
    peak=-np.inf,
)
"""The same with N = eps - y / (2 rho), which has no limit at sigma = 0."""


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_last_step_to_the_data_without_any_weight(variable):
    own = sampler("etdab2", variable, SINGULAR)
    with pytest.raises(InvalidArgument, match="singular is 0: the state and all values of N have"):
        diffusion.plan(VP, method=own, steps=5, t_end=0.01, final="zero")
    with pytest.raises(InvalidArgument, match="singular is 0: the state and all values of N have"):
        diffusion.plan(VP, method=own, steps=5, t_end=0.0)
    for final in ("denoise", "t_end"):
        plan = diffusion.plan(VP, method=own, steps=400, t_end=0.01, final=final)
        found = diffusion.follow(plan, Gaussian().model(VP), np.ones((1, 3)))
        if final == "t_end":
            expected = Gaussian().flow(VP, np.ones((1, 3)), 1.0, 0.01)
            np.testing.assert_allclose(found, expected, atol=0.01)


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_last_step_to_a_multiple_of_the_data(variable):
    """Of x_0 = 1 and eps = 0 it is left with 1, and not with N = 1 / 2."""
    plan = diffusion.plan(
        VP, method=sampler("etd1", variable, HALF), grid=[0.1, 1e-9], final="zero", prediction="x0"
    )
    x = np.full((1, 1), VP.alpha(1e-9))
    row = plan.rows[-1]
    p, q = plan.rows[-2].tell if plan.rows[-2].tell else plan.rows[0].tell
    found = row.coefficients[0] * x + row.coefficients[1] * (p * x + q)
    np.testing.assert_allclose(found, 1.0, rtol=1e-6)


def test_a_quantity_that_is_not_regular_at_pure_noise_says_so():
    def planned(quantity):
        method = sampler("etdab2", "t", quantity)
        return diffusion.plan(
            diffusion.Flow(), method=method, steps=4, t_end=0.1, prediction="flow"
        )

    regular = replace(SINGULAR, regular_at_noise=True)
    with pytest.raises(InvalidArgument, match=r"t_start=1: .* singular is 0: .*regular_at_noise=F"):
        planned(regular)
    assert planned(SINGULAR).nfe == 4
    with pytest.raises(
        NonFiniteError, match=r"step 1 of 4 of own, from t=1 .*: what reads half as"
    ):
        planned(HALF)


def near_data(rule, rho_of):
    """Change a formula to give no number where rho is below 1 / 500."""
    return lambda *x: np.where(rho_of(*x) < 2e-3, np.nan, rule(*x))


@pytest.mark.parametrize(
    ("changed", "step", "said"),
    [
        (
            {"noise": near_data(noise, lambda tau_squared, lam, end: np.exp(-end))},
            2,
            "the noise that enters is no finite number; look at noise and scale of quantity F",
        ),
        (
            {"scale": near_data(radius, lambda alpha, sigma: sigma / alpha)},
            2,
            "the factor of the state is no finite number; look at scale and growth of quantity F",
        ),
        (
            {"weight": near_data(weight, lambda rho, alpha, sigma: rho)},
            2,
            "a weight of N is no finite number; look at weight and growth of quantity F",
        ),
        (
            {"read": lambda *x: tuple(near_data(read, lambda k, a, s: s / a)(*x))},
            3,
            "what reads F as N out of prediction='eps' is no finite number; look at read",
        ),
    ],
)
def test_formulas_that_give_no_numbers(changed, step, said):
    own = sampler("etd1", "lambda", replace(OUTPUT, **changed))
    with pytest.raises(NonFiniteError, match=f"^step {step} of 3 of own, from t=.* to .*: {said}"):
        diffusion.plan(VP, method=own, grid=[0.9, 0.4, 1e-5, 5e-6], noise=Tau(1.0))


@pytest.mark.parametrize("quantity", ["eps", "v"])
def test_step_ratios_have_no_limit_at_the_data(quantity):
    weights = diffusion.catalogue.get("ipndm_v3").method
    own = sampler("etd1", "lambda", quantity)._replace(method=weights)
    with pytest.raises(NonFiniteError, match=r"from t=0.05 to t=0: a weight by ratios of steps is"):
        diffusion.plan(VP, method=own, steps=4, t_end=0.05, final="zero")


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize("prediction", ["eps", "x0", "score", "v", "flow"])
def test_formulas_of_the_package_agree(name, prediction):
    for schedule in [make() for make in SCHEDULES.values()]:
        check_formulas(QUANTITIES[name], schedule, prediction, np.array([0.0, -1.0, 0.3, 1.0]))
        assert sharpness(QUANTITIES[name], schedule) == 1.0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"scale": lambda alpha, sigma: radius(1.0, sigma / alpha)},
            r"scale / alpha must be in pr",
        ),
        (
            {"scale": lambda alpha, sigma: alpha * np.nan},
            r"scale / alpha must be .* nan times that",
        ),
        ({"growth": lambda lam: 0 * lam}, r"scale / alpha must be in proportion to exp\(growth\)"),
        ({"weight": lambda *x: 2 * weight(*x)}, "growth, weight and read contradict each other"),
        ({"weight": lambda *x: np.nan * x[0]}, "growth, weight and read contradict each other"),
        ({"read": lambda *x: read(*x)[::-1]}, "growth, weight and read contradict each other"),
        ({"read": lambda *x: read(*x)[1]}, r"read gave .* must return \(p, q\)"),
        ({"noise": lambda *x: 2 * noise(*x)}, r"noise\(0.25, .*\) is .*, but .* follows from G"),
        ({"noise": lambda *x: -noise(*x)}, r"noise\(0.25, .*\) is -.*, but .* follows from G"),
        ({"noise": lambda square, *x: noise(square, *x[::-1])}, "follows from G"),
    ],
)
def test_formulas_that_contradict_each_other(changed, said):
    own = sampler("etdab2", "lambda", replace(OUTPUT, **changed))
    with pytest.raises(InvalidArgument, match=f"quantity F: .*{said}"):
        diffusion.plan(diffusion.VPCosine(), method=own, steps=5, t_start=0.9, noise=Tau(0.5))
    if "noise" not in changed:
        with pytest.raises(InvalidArgument, match=said):
            diffusion.sample_adaptive(
                Gaussian().model(VP), np.ones((2, 3)), VP, quantity=own.parameterisation.quantity
            )


def test_what_holds_on_one_path_alone_is_enough_for_it():
    """With alpha^2 + sigma^2 = 1 the scale of v is 1."""
    one = replace(
        QUANTITIES["v"], name="own v", scale=lambda alpha, sigma: np.ones_like(alpha + sigma)
    )
    x = noise_at(VP, 1.0, (4, 3))
    found, expected = (
        diffusion.follow(
            diffusion.plan(VP, method=sampler("etdab2", "t", q), steps=6), Gaussian().model(VP), x
        )
        for q in (one, "v")
    )
    assert_close(found, expected, operations=500)
    with pytest.raises(
        InvalidArgument, match="quantity own v: scale / alpha must be in proportion"
    ):
        diffusion.plan(diffusion.VE(), method=sampler("etdab2", "t", one), steps=6)


def edge(power: float) -> Quantity:
    """G = (1 + rho^power)^(1 / power), which bends within 1 / power of lambda = 0."""

    def scale(alpha, sigma):
        return np.exp(np.logaddexp(power * np.log(alpha), power * np.log(sigma)) / power)

    def part(lam):  # -d ln G / dlambda
        return 1 / (1 + np.exp(power * lam))

    return Quantity(
        "edge",
        scale=scale,
        growth=lambda lam: np.logaddexp(0, -power * lam) / power,
        weight=lambda rho, alpha, sigma: np.ones_like(rho),
        read=lambda known, alpha, sigma: (
            known.p_eps - part(np.log(alpha / sigma)) / sigma,
            known.q_eps,
        ),
        noise=lambda *x: 0 * x[0],
        peak=0.0,
    )


@pytest.mark.parametrize("power", [2, 8, 30, 100])
def test_weights_of_a_sharp_quantity_have_full_precision(power):
    quantity = edge(power)
    plan = diffusion.plan(VP, method=sampler("etd1", "lambda", quantity), grid=[0.9, 0.01])
    ends = np.linspace(VP.lam(0.9), VP.lam(0.01), 4001)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    half = np.diff(ends)[:, None] / 2
    lam = ends[:-1, None] + half * (1 + nodes)
    grown = np.exp(quantity.growth(ends[-1]) - quantity.growth(lam) - lam)
    expected = -VP.alpha(0.01) * ((half * grown) @ weights).sum()
    np.testing.assert_allclose(plan.rows[-1].coefficients[1], expected, rtol=1e-12)


@pytest.mark.parametrize("tau", [3.0, 30.0])
def test_noise_of_any_strength_is_checked_rightly(tau):
    made = sampler("etdab1", "lambda")
    assert diffusion.plan(VP, method=made, steps=50, noise=tau).stochastic
    wrong = replace(OUTPUT, noise=lambda *args: 1.5 * noise(*args))
    with pytest.raises(InvalidArgument, match="follows from G"):
        diffusion.plan(VP, method=sampler("etdab1", "lambda", wrong), steps=50, noise=tau)


def test_formulas_may_lose_digits_where_no_run_goes():
    rounded = replace(
        QUANTITIES["score"], name="own", weight=lambda rho, alpha, sigma: -np.sqrt(1 - alpha**2)
    )
    assert (
        diffusion.plan(VP, method=sampler("etd1", "lambda", rounded), steps=5, t_end=0.1).nfe == 5
    )


def test_a_quantity_that_is_too_sharp():
    with pytest.raises(
        InvalidArgument, match=r"quantity edge: .* change too fast, or lose digits, around lambda="
    ):
        diffusion.plan(VP, method=sampler("etd1", "lambda", edge(1e4)), grid=[0.9, 0.01])
