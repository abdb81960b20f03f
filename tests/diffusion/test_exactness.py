"""What the samplers do exactly, how fast their error falls, and that a slip would show in both."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from diffusion_problems import (
    EPS,
    REACH_DATA,
    SCHEDULES,
    Gaussian,
    Mixture,
    cancellation,
    deterministic,
    ends,
    noise_at,
    slopes,
)
from semilinear import diffusion, methods
from semilinear.diffusion import DiffusionPlan, Flow, VPCosine, VPLinear

# Where eps is constant along a path, x_0 and eps - x_0 are too: every step is exact. "euler" has no
# exact linear part, and in "ei_score" N is the score -eps / sigma, which is not constant then.
EXEMPT = {"euler", "ei_score"}
# Its published weights add up to 1 where the ratios of steps in rho are equal.
NEARLY = "ipndm_v4"
EXACT = [name for name in deterministic() if name not in (*EXEMPT, NEARLY)]
CONSTANT = np.array([0.8, -1.3, 0.2])
VP = VPLinear()
# Relative to the largest term; some hundred operations.
ROUNDING = 1024 * EPS


def constant_error(plan: DiffusionPlan, x: np.ndarray) -> float:
    """Error for constant eps, from the exact ``x' = alpha' (x / alpha + (rho' - rho) eps)``."""
    schedule, t, s = plan.schedule, plan.t[0], plan.t[-1]
    at_data = schedule.sigma(max(s, schedule.t_min)) == 0 or s < schedule.t_min
    alpha, rho = (1.0, 0.0) if at_data else (schedule.alpha(s), schedule.rho(s))
    expected = alpha * (x / schedule.alpha(t) + (rho - schedule.rho(t)) * CONSTANT)
    found = diffusion.follow(plan, lambda x, t: CONSTANT.copy(), x)
    size = alpha * (np.abs(x).max() / schedule.alpha(t) + schedule.rho(t) * np.abs(CONSTANT).max())
    return float(np.abs(found - expected).max() / size)


def is_rounding(error: float, plan: DiffusionPlan) -> bool:
    return error <= ROUNDING or error <= ROUNDING * cancellation(plan)


@pytest.mark.parametrize("name", SCHEDULES)
def test_constant_eps_is_integrated_exactly(name):
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    x = noise_at(schedule, t_start, (3,))
    for method in EXACT:
        for start in ("ramp", "rk") if diffusion.info(method).history else ("ramp",):
            plan = diffusion.plan(
                schedule, method=method, steps=8, t_start=t_start, t_end=t_end, start=start
            )
            assert is_rounding(constant_error(plan, x), plan), (method, start)


@pytest.mark.parametrize("name", SCHEDULES)
def test_constant_eps_is_integrated_exactly_down_to_no_noise(name):
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    x = noise_at(schedule, t_start, (3,))
    for method in EXACT:
        sampler = diffusion.catalogue.get(method)
        # Where no time has sigma = 0 there is no last step in t.
        if name not in REACH_DATA and sampler.parameterisation.variable == "t":
            continue
        plan = diffusion.plan(
            schedule, method=method, steps=8, t_start=t_start, t_end=t_end, final="zero"
        )
        # The weights of the step over the many intervals at the end are far larger than rho.
        assert is_rounding(constant_error(plan, x), plan), method


@pytest.mark.parametrize("schedule", [Flow(), VPCosine()], ids=repr)
def test_constant_eps_is_integrated_exactly_from_near_pure_noise(schedule):
    x = noise_at(schedule, 1 - 1e-9, (3,))
    for method in EXACT:
        plan = diffusion.plan(schedule, method=method, steps=8, t_start=1 - 1e-9, t_end=1e-2)
        assert is_rounding(constant_error(plan, x), plan), method


def test_what_is_exempt_is_not_exact():
    x = noise_at(VP, 1.0, (3,))
    for method in EXEMPT:
        assert constant_error(diffusion.plan(VP, method=method, steps=8), x) > 1e-3
    assert 1e-7 < constant_error(diffusion.plan(VP, method=NEARLY, steps=8), x) < 1e-3
    geometric = diffusion.plan(VP, method=NEARLY, steps=8, grid="lambda")
    assert is_rounding(constant_error(geometric, x), geometric)


@pytest.mark.parametrize("name", SCHEDULES)
def test_eps_that_is_a_polynomial_in_rho_is_integrated_exactly(name):
    # The other variables have closed forms of their own, in the tests of the coefficients.
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    for degree in (1, 2, 3):
        plan = diffusion.plan(
            schedule, method=f"rhoab{degree}", steps=9, t_start=t_start, t_end=t_end
        )
        rho = schedule.rho(plan.t)
        for n in range(degree, plan.steps):
            eps = rho[n - np.arange(degree + 1)] ** degree
            moved = (rho[n + 1] ** (degree + 1) - rho[n] ** (degree + 1)) / (degree + 1)
            moved *= schedule.alpha(plan.t[n + 1])
            size = np.abs(plan.weights[n] * eps).sum()
            assert abs(plan.weights[n] @ eps - moved) <= 64 * EPS * size


GAUSSIAN = Gaussian()
# Steps of the two finest runs that are far enough along and clear of rounding.
ORDERS = [
    ("ddim", "ramp", "quadratic", (40, 80, 160), 1),
    ("euler", "ramp", "quadratic", (40, 80, 160), 1),
    ("ei_score", "ramp", "quadratic", (40, 80, 160), 1),
    ("tab1", "rk", "quadratic", (80, 160, 320), 2),
    ("tab2", "rk", "quadratic", (80, 160, 320), 3),
    ("tab3", "rk", "quadratic", (80, 160, 320), 4),
    ("rhoab3", "rk", "lambda", (80, 160, 320), 4),
    ("logrhoab3", "rk", "lambda", (40, 80, 160), 4),
    ("tab4", "rk", "lambda", (80, 160, 320), 5),
    ("ipndm2", "ramp", "quadratic", (40, 80, 160), 2),
    ("ipndm4", "ramp", "quadratic", (40, 80, 160), 2),
    ("rho_ralston2", "ramp", "quadratic", (40, 80, 160), 2),
    ("rho_heun2", "ramp", "quadratic", (40, 80, 160), 2),
    ("rho_kutta3", "ramp", "quadratic", (40, 80, 160), 3),
    ("rho_rk4", "ramp", "quadratic", (20, 40, 80), 4),
    ("rho_dopri5", "ramp", "uniform", (40, 80, 160), 5),
]


def gaussian_errors(plans: list[DiffusionPlan]) -> list[float]:
    x = noise_at(VP, 1.0, (4, 3), seed=3)
    exact = GAUSSIAN.flow(VP, x, 1.0, plans[0].t[-1])
    return [
        float(np.abs(diffusion.follow(plan, GAUSSIAN.model(VP), x) - exact).max()) for plan in plans
    ]


@pytest.mark.parametrize(("method", "start", "grid", "counts", "order"), ORDERS)
def test_order_on_gaussian_data(method, start, grid, counts, order):
    plans = [
        diffusion.plan(VP, method=method, steps=n, grid=grid, start=start, t_end=1e-2)
        for n in counts
    ]
    assert plans[0].sampler.order == order
    for slope in slopes(gaussian_errors(plans)):
        assert order - 0.3 <= slope <= order + 0.4


def test_a_ramp_costs_the_order_and_a_runge_kutta_start_keeps_it():
    found = {}
    for start in ("ramp", "rk"):
        plans = [
            diffusion.plan(VP, method="tab3", steps=n, start=start, t_end=1e-2)
            for n in (160, 320, 640)
        ]
        found[start] = slopes(gaussian_errors(plans))[-1]
    assert found["ramp"] < 3.0 < 3.7 < found["rk"]


def own(quantity: str, variable: str, method) -> diffusion.Sampler:
    """A sampler that has no name."""
    parameterisation = diffusion.catalogue.Parameterisation(quantity, variable)
    return diffusion.Sampler("own", parameterisation, method, "this test")


@pytest.mark.parametrize(
    ("quantity", "variable", "method", "order"),
    [
        ("eps", "t", "lawson4", 4),
        ("eps", "lambda", "lawson4", 4),
        ("eps", "lambda", "etd2rk", 2),
        ("eps", "t", "hochbruck_ostermann4", 4),
        ("eps", "lambda", "etdpec3", 3),
        ("eps", "rho", "etdpece3", 3),
        ("score", "t", "etdab2", 2),
        ("score", "lambda", "etdab2", 2),
        ("velocity", "t", "etdab2", 2),
    ],
)
def test_any_method_of_the_core_is_a_sampler_in_any_variable(quantity, variable, method, order):
    sampler = own(quantity, variable, methods.get(method))
    plans = [
        diffusion.plan(VP, method=sampler, steps=n, grid="lambda", start="rk", t_end=1e-2)
        for n in (80, 160)
    ]
    assert order - 0.3 <= slopes(gaussian_errors(plans))[0] <= order + 0.4


def test_the_order_of_a_sampler_is_that_of_its_method():
    assert own("score", "t", methods.get("etdab2")).order == 2


@pytest.mark.parametrize(
    ("method", "start", "order"),
    [
        ("ddim", "ramp", 1),
        ("tab1", "rk", 2),
        ("tab3", "rk", 4),
        ("logrhoab2", "rk", 3),
        ("rho_heun2", "ramp", 2),
        ("rho_rk4", "ramp", 4),
    ],
)
def test_order_on_a_mixture_that_couples_its_entries(method, start, order):
    data, schedule = Mixture(), VPLinear()
    x = noise_at(schedule, 1.0, (4, 2), seed=1)
    exact = data.flow(schedule, x, 1.0, 1e-2)
    errors = []
    for n in (60, 120, 240):
        y = diffusion.sample(
            data.model(schedule), x, schedule, method=method, steps=n, start=start, t_end=1e-2
        )
        errors.append(float(np.abs(y - exact).max()))
    for slope in slopes(errors):
        assert order - 0.3 <= slope <= order + 0.5


def mutated(plan: DiffusionPlan, change) -> DiffusionPlan:
    """A copy of a plan whose segments' matrices, outputs by sources, went through `change`."""
    other = copy.copy(plan)
    vars(other)["_segments"] = [
        segment._replace(coefficients=change(n, segment.coefficients.copy()))
        for n, segment in enumerate(plan._segments)
    ]
    return other


MULTISTEP = ["ddim", "tab3", "rhoab3", "logrhoab3", "ipndm4"]
ONE_STEP = ["rho_heun2", "rho_kutta3", "rho_rk4", "rho_dopri5"]


@pytest.mark.parametrize("method", [*MULTISTEP, *ONE_STEP])
def test_a_slip_in_any_coefficient_of_a_step_shows_with_constant_eps(method):
    plan = diffusion.plan(VP, method=method, steps=6)
    x = noise_at(VP, 1.0, (3,))
    assert constant_error(mutated(plan, lambda n, matrix: matrix), x) <= ROUNDING
    per_step = plan.nfe // plan.steps
    completing = 4 * per_step - 1  # the last segment of the fourth step
    for place in np.argwhere(plan._segments[completing].coefficients):

        def slip(n, matrix, place=tuple(place)):
            if n == completing:
                matrix[place] *= 1.01
            return matrix

        assert constant_error(mutated(plan, slip), x) > 1e-11, place


@pytest.mark.parametrize("method", ["tab3", "rhoab3", "logrhoab3", "ipndm4"])
def test_a_slip_that_keeps_constants_shows_in_the_order(method):
    def shift(n, matrix):
        """Give a twentieth of the newest weight, the last, to the value before it."""
        if matrix.shape[1] > 2:
            matrix[0, 1] += matrix[0, -1] / 20
            matrix[0, -1] *= 1 - 1 / 20
        return matrix

    start = "rk" if method != "ipndm4" else "ramp"
    plans = [
        diffusion.plan(VP, method=method, steps=n, grid="lambda", start=start, t_end=1e-2)
        for n in (80, 160)
    ]
    before = plans[0].nfe - plans[0].steps + 3 if start == "rk" else 1

    def late_shift(n, matrix):
        return matrix if n < before else shift(n, matrix)

    x = noise_at(VP, 1.0, (3,))
    changed = [mutated(plan, late_shift) for plan in plans]
    assert constant_error(changed[0], x) <= ROUNDING
    order = plans[0].sampler.order
    assert slopes(gaussian_errors(plans))[0] > order - 0.3
    assert slopes(gaussian_errors(changed))[0] < order - 0.6


@pytest.mark.parametrize("method", ONE_STEP)
def test_a_slip_in_any_stage_shows_in_the_order(method):
    plans = [
        diffusion.plan(VP, method=method, steps=n, grid="uniform", t_end=1e-2) for n in (80, 160)
    ]
    order = plans[0].sampler.order
    assert slopes(gaussian_errors(plans))[0] > order - 0.3
    stages = plans[0].nfe // plans[0].steps
    for stage in range(stages - 1):
        for place in np.argwhere(plans[0]._segments[stage].coefficients):

            def slip(n, matrix, stage=stage, place=tuple(place)):
                if n % stages == stage:
                    matrix[place] *= 1.2
                return matrix

            slope = slopes(gaussian_errors([mutated(plan, slip) for plan in plans]))[0]
            assert slope < order - 0.6, (stage, place)
