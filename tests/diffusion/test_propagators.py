"""The linear part with noise, against its closed forms and against mpmath.

With y = x / alpha every quantity N has ``dy = (1 + tau^2) (d ln G + w N drho) + noise``; G and w
are typed here from the definitions of the quantities, and integrated at 30 digits over lambda.
"""

from __future__ import annotations

from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest

from diffusion_problems import SCHEDULES, ends
from semilinear.diffusion import Flow, VPLinear
from semilinear.diffusion.probability_flow import ProbabilityFlow
from semilinear.diffusion.quantities import QUANTITIES
from semilinear.diffusion.variables import VARIABLES

VP = VPLinear()
TAU_SQUARED = (0.09, 1.0, 4.0)
FORWARD = -1.0
each_schedule = pytest.mark.parametrize("name", SCHEDULES)
each_quantity = pytest.mark.parametrize("quantity", QUANTITIES)
each_tau = pytest.mark.parametrize("tau_squared", [*TAU_SQUARED, FORWARD])


def made(schedule, quantity, tau_squared, variable="lambda"):
    return ProbabilityFlow(
        schedule,
        VARIABLES[variable],
        QUANTITIES[quantity],
        tau_squared=np.array(tau_squared, dtype=float),
    )


def points(schedule, count=3):
    """Uneven values of lambda inside the path."""
    lam = np.linspace(*(schedule.lam(t) for t in ends(schedule)), 4 * count + 1)
    return lam[[1, 4, 5, 9][: count + 1]].tolist()


def alpha_sigma(schedule, lam):
    """At 30 digits: sigma = alpha e^-lambda with what the schedule preserves."""
    rho = mp.exp(-mp.mpf(lam))
    match type(schedule).__name__:
        case "VE" | "EDM":
            return mp.mpf(1), rho
        case "Flow":
            return 1 / (1 + rho), rho / (1 + rho)
        case "SubVP":  # sigma = 1 - alpha^2
            alpha = (mp.sqrt(rho**2 + 4) - rho) / 2
            return alpha, 1 - alpha**2
    alpha = 1 / mp.sqrt(1 + rho**2)
    return alpha, rho * alpha


def growth(quantity, rho):
    """G, from ``eps = a y + b N``: ``d ln G = a drho``."""
    match quantity:
        case "x0":  # eps = (y - x_0) / rho
            return rho
        case "flow":  # eps = (y + v) / (1 + rho), since x_0 = y - rho eps and v = eps - x_0
            return 1 + rho
        case "v":  # v = alpha eps - sigma x_0: eps = (v / alpha + rho y) / (1 + rho^2)
            return mp.sqrt(1 + rho**2)
    return mp.mpf(1)


def weight(quantity, rho, alpha, sigma):
    """W, the factor of N in eps."""
    match quantity:
        case "eps":
            return mp.mpf(1)
        case "score":
            return -sigma
        case "x0":
            return -1 / rho
        case "flow":
            return 1 / (1 + rho)
    return 1 / (alpha * (1 + rho**2))


def integral(schedule, quantity, tau_squared, a, b, m):
    """``(1 + tau^2) alpha(b) int w (G(b) / G)^(1 + tau^2) theta^m drho``."""
    end = growth(quantity, mp.exp(-mp.mpf(b)))

    def kernel(lam):
        rho = mp.exp(-lam)
        ratio = (end / growth(quantity, rho)) ** (1 + tau_squared)
        theta = (lam - a) / (mp.mpf(b) - a)
        return -rho * weight(quantity, rho, *alpha_sigma(schedule, lam)) * ratio * theta**m

    steps = mp.linspace(a, b, 3 + int(abs(b - a)))
    return (1 + tau_squared) * alpha_sigma(schedule, b)[0] * mp.quad(kernel, steps)


@each_tau
@each_quantity
@each_schedule
def test_the_flow_is_a_power_of_the_growth(name, quantity, tau_squared):
    schedule = SCHEDULES[name]
    a, b, *_ = points(schedule)
    with mp.workdps(30):
        ratio = growth(quantity, mp.exp(-mp.mpf(b))) / growth(quantity, mp.exp(-mp.mpf(a)))
        expected = ratio ** (1 + mp.mpf(tau_squared))
        expected *= alpha_sigma(schedule, b)[0] / alpha_sigma(schedule, a)[0]
        found = made(schedule, quantity, tau_squared).flow(a, b)
        assert abs(found / expected - 1) <= 1e-13


@each_tau
@each_quantity
@each_schedule
def test_flows_and_variances_compose(name, quantity, tau_squared):
    schedule = SCHEDULES[name]
    linear = made(schedule, quantity, tau_squared)
    a, b, c, _ = sorted(points(schedule), reverse=tau_squared == FORWARD)
    flow = linear.flow(b, c) * linear.flow(a, b)
    np.testing.assert_allclose(linear.flow(a, c), flow, rtol=1e-13)
    variance = linear.flow(b, c) ** 2 * linear.spread(a, b) ** 2 + linear.spread(b, c) ** 2
    np.testing.assert_allclose(linear.spread(a, c) ** 2, variance, rtol=1e-12)


def closed_spread(quantity, tau_squared, rho, new):
    """The deviation of y, where the integral is elementary."""
    match quantity:
        case "x0":
            return new * mp.sqrt(1 - (new / rho) ** (2 * tau_squared))
        case "eps" | "score":
            return mp.sqrt(tau_squared * (rho**2 - new**2))
        case "v":
            shrink = (1 + new**2) / (1 + rho**2)
            return mp.sqrt((1 + new**2) * (1 - shrink**tau_squared))
    return None


@each_tau
@each_quantity
@each_schedule
def test_spread_is_its_closed_form(name, quantity, tau_squared):
    """In x0 Lu et al. (2022a), Xue et al. (2023); in eps Zhang and Chen (2022), appendix."""
    schedule = SCHEDULES[name]
    linear = made(schedule, quantity, tau_squared)
    lam = sorted(points(schedule), reverse=tau_squared == FORWARD)
    with mp.workdps(30):
        for a, b in pairwise(lam):
            rho, new = mp.exp(-mp.mpf(a)), mp.exp(-mp.mpf(b))
            expected = closed_spread(quantity, mp.mpf(tau_squared), rho, new)
            if expected is None:
                end = growth(quantity, new)

                def kernel(s, end=end):
                    power = 1 + mp.mpf(tau_squared)
                    return 2 * tau_squared * s * (end / growth(quantity, s)) ** (2 * power)

                expected = mp.sqrt(mp.quad(kernel, mp.linspace(new, rho, 5)))
            expected *= alpha_sigma(schedule, b)[0]
            assert abs(linear.spread(a, b) / expected - 1) <= 1e-12


@pytest.mark.parametrize("tau", [0.01, 0.1, 0.3, 1.0])
@each_quantity
def test_little_noise_on_long_steps_is_not_cut_off(quantity, tau):
    """For all but eps it decays like e^(2 tau^2 lambda) only, on the way to more noise."""
    a, b = -250.0, 3.5
    with mp.workdps(30):
        rho, new = mp.exp(-mp.mpf(a)), mp.exp(-mp.mpf(b))
        expected = closed_spread(quantity, mp.mpf(tau) ** 2, rho, new)
        if expected is None:
            end = growth(quantity, new)

            def kernel(lam):
                r = mp.exp(-lam)
                return 2 * mp.mpf(tau) ** 2 * r**2 * (end / growth(quantity, r)) ** (2 + 2 * tau**2)

            expected = mp.sqrt(mp.quad(kernel, mp.linspace(a, b, 60)))
        schedule = VPLinear(0.1, 1000.0)
        expected *= schedule.alpha_of_lam(b)
        assert abs(made(schedule, quantity, tau**2).spread(a, b) / expected - 1) <= 1e-12


@pytest.mark.parametrize("h", [1e-3, 0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("start", [-8.0, 0.0, 12.0])
@pytest.mark.parametrize("tau_squared", [1e-4, 1.0, 16.0, FORWARD])
def test_spread_of_flow_on_steps_of_all_lengths(tau_squared, start, h):
    a, b = (start + h, start) if tau_squared == FORWARD else (start, start + h)
    with mp.workdps(40):
        one, other = (1 + mp.exp(-mp.mpf(x)) for x in (b, a))
        power, r = 2 * mp.mpf(tau_squared), one / other
        variance = one**2 * (1 - r**power) - power / (1 + power) * one * (1 - r ** (1 + power))
        expected = Flow().alpha_of_lam(b) * mp.sqrt(variance)
        assert abs(made(Flow(), "flow", tau_squared).spread(a, b) / expected - 1) <= 1e-11


@pytest.mark.parametrize("variable", VARIABLES)
@each_quantity
def test_spread_does_not_depend_on_the_variable(quantity, variable):
    t = np.array([0.9, 0.4, 0.1])
    u = np.array(VARIABLES[variable].of_t(VP, t))
    found = made(VP, quantity, 1.0, variable).spread(u[:-1], u[1:])
    lam = np.array(VP.lam(t))
    np.testing.assert_allclose(found, made(VP, quantity, 1.0).spread(lam[:-1], lam[1:]), rtol=1e-12)


@pytest.mark.parametrize("quantity", ["x0", "flow", "v", "eps"])
def test_noise_on_the_way_up_is_that_of_the_forward_process(quantity):
    """tau^2 = -1: x' = alpha'/alpha x + alpha' sqrt(rho'^2 - rho^2) z, whatever N would be."""
    linear = made(VP, quantity, FORWARD)
    a, b = VP.lam(0.2), VP.lam(0.7)
    ratio = VP.alpha(0.7) / VP.alpha(0.2)
    np.testing.assert_allclose(linear.flow(a, b), ratio, rtol=1e-13)
    expected = VP.alpha(0.7) * np.sqrt(VP.rho(0.7) ** 2 - VP.rho(0.2) ** 2)
    np.testing.assert_allclose(linear.spread(a, b), expected, rtol=1e-13)
    assert np.abs(linear.integrals(a, b, [a], b - a)).max() == 0.0


@pytest.mark.parametrize("tau", [2.0, 4.0, 10.0])
@pytest.mark.parametrize("h", [0.1, 1.0, 2.0, 5.0, 12.0])
def test_strong_noise_on_long_steps(tau, h):
    linear = made(VP, "x0", tau**2)
    a, b = -4.0, -4.0 + h
    expected = VP.sigma_of_lam(b) * np.sqrt(-np.expm1(-2 * tau**2 * h))
    np.testing.assert_allclose(linear.spread(a, b), expected, rtol=1e-12)
    first, second = linear.integrals(a, b, [a], b - a)
    power = (1 + tau**2) * h
    np.testing.assert_allclose(first, VP.alpha_of_lam(b) * -np.expm1(-power), rtol=1e-12)
    moment = 1 + np.expm1(-power) / power  # int e^-power(1 - theta) power theta
    np.testing.assert_allclose(second, VP.alpha_of_lam(b) * moment, rtol=1e-12)


@pytest.mark.parametrize("tau_squared", [0.09, 1.0, 4.0])
@pytest.mark.parametrize("quantity", ["x0", "v", "flow", "score"])
@pytest.mark.parametrize("name", ["flow", "subvp"])
def test_integrals_are_their_definition(name, quantity, tau_squared):
    schedule = SCHEDULES[name]
    a, b, *_ = points(schedule)
    found = made(schedule, quantity, tau_squared).integrals(a, b, [a, a], b - a)
    with mp.workdps(30):
        for m, value in enumerate(found):
            expected = integral(schedule, quantity, mp.mpf(tau_squared), a, b, m)
            assert abs(value / expected - 1) <= 1e-12


@pytest.mark.parametrize("variable", ["t", "rho"])
@pytest.mark.parametrize("quantity", ["x0", "v", "flow"])
def test_integrals_in_other_variables_change_no_constant(quantity, variable):
    """A constant N sees no variable; a linear one does."""
    t = 0.6, 0.35
    lam = [VP.lam(x) for x in t]
    a, b = (float(VARIABLES[variable].of_t(VP, x)) for x in t)
    one = made(VP, quantity, 0.49, variable).integrals(a, b, [a], b - a)
    other = made(VP, quantity, 0.49).integrals(*lam, [lam[0]], lam[1] - lam[0])
    np.testing.assert_allclose(one[0], other[0], rtol=1e-13)
    assert abs(one[1] / other[1] - 1) > 1e-3


@pytest.mark.parametrize("tau_squared", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("quantity", "value"), [("x0", 1.0), ("flow", -1.0), ("eps", 0.0)])
def test_data_that_are_one_point_stay_there_with_noise(quantity, value, tau_squared):
    """x = alpha c is known without eps: N is constant, and the mean of x' is alpha' c."""
    linear = made(VP, quantity, tau_squared)
    a, b = VP.lam(0.8), VP.lam(0.3)
    mean = linear.flow(a, b) * VP.alpha(0.8) + linear.integrals(a, b, [], 1.0)[0] * value
    np.testing.assert_allclose(mean, VP.alpha(0.3), rtol=1e-13)


def test_one_noise_level_for_each_step():
    tau_squared = np.array([0.0, 0.5, 1.0])
    lam = np.array([-4.0, -2.0, 0.5, 1.0])
    many = made(VP, "x0", tau_squared)
    a, b = lam[:-1], lam[1:]
    for n, own in enumerate(tau_squared):
        one = made(VP, "x0", own)
        part = many.of_steps(np.array([n]))
        for ask in (lambda p, *x: p.flow(*x), lambda p, *x: p.spread(*x)):
            assert ask(part, a[[n]], b[[n]])[0] == ask(one, a[[n]], b[[n]])[0]
            assert ask(many, a, b)[n] == pytest.approx(ask(one, a[n], b[n]), rel=1e-14)
    assert many.spread(a, b)[0] == 0.0


def test_the_scale_of_noise_is_a_factor():
    linear = ProbabilityFlow(
        Flow(), VARIABLES["t"], QUANTITIES["flow"], tau_squared=np.array(1.0), noise_scale=0.5
    )
    plain = made(Flow(), "flow", 1.0, "t")
    assert linear.spread(0.8, 0.5) == 0.5 * plain.spread(0.8, 0.5)
    assert linear.flow(0.8, 0.5) == plain.flow(0.8, 0.5)


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_last_step_without_noise_beside_steps_with_it(variable):
    """Steps of one shape are asked together: tau = 0 into the data, tau = 1 before."""
    u = np.array(VARIABLES[variable].of_t(VP, np.array([0.5, 0.2, 0.0])))
    linear = made(VP, "x0", np.array([1.0, 0.0]), variable)
    flow = linear.flow(u[:-1], u[1:])
    assert flow[1] == 0.0
    assert np.isfinite(flow).all()
    assert linear.integrals(u[:-1], u[1:], [], 1.0)[0][1] == 1.0
