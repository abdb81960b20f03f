"""The coefficients of DEIS against their definition, integrated at 45 digits.

The definition (Zhang and Chen 2022, eq. 15) is used as it stands, in t::

    C_ij = int_{t_i}^{t_{i-1}} 1/2 Psi(t_{i-1}, tau) G_tau^2 / L_tau
           prod_{k != j} (tau - t_{i+k}) / (t_{i+j} - t_{i+k}) dtau

with F, G and L typed from the papers. Nothing here is shared with the package but the times.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import factorial

import mpmath as mp
import numpy as np
import pytest
from mpmath.calculus.quadrature import GaussLegendre

from diffusion_problems import REACH_DATA, SCHEDULES, ends
from semilinear import diffusion
from semilinear.diffusion import (
    EDM,
    VE,
    Discrete,
    Flow,
    NoiseSchedule,
    SubVP,
    VPCosine,
    VPLinear,
)

DEGREE = 6


@pytest.fixture(autouse=True)
def _many_digits():
    with mp.workdps(45):
        yield


@cache
def gauss(level: int) -> list[tuple[mp.mpf, mp.mpf]]:
    """Gauss-Legendre nodes and weights on [0, 1], 3 * 2^(level - 1) of them."""
    found = GaussLegendre(mp.mp).get_nodes(0, 1, level, 160)
    assert len(found) == 3 * 2 ** (level - 1)
    return found


def path(schedule: NoiseSchedule, t: mp.mpf) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    """alpha = Psi(t, 0), L = sigma and G^2, as the papers define them."""
    match schedule:
        case VPLinear(low, high) | SubVP(low, high):
            beta = mp.mpf(low) + (mp.mpf(high) - low) * t
            alpha_bar = mp.exp(-mp.mpf(low) * t - (mp.mpf(high) - low) * t**2 / 2)
            if isinstance(schedule, SubVP):
                return mp.sqrt(alpha_bar), 1 - alpha_bar, beta * (1 - alpha_bar**2)
            return mp.sqrt(alpha_bar), mp.sqrt(1 - alpha_bar), beta
        case VPCosine(s, _, normalised):
            rate = mp.pi / 2 / (1 + mp.mpf(s))
            alpha = mp.cos(rate * (t + s)) / (mp.cos(rate * s) if normalised else 1)
            return alpha, mp.sqrt(1 - alpha**2), 2 * rate * mp.tan(rate * (t + s))
        case VE(low, high):
            growth = mp.mpf(high) / low
            sigma = low * growth**t
            return mp.mpf(1), sigma, 2 * mp.log(growth) * sigma**2
        case EDM():
            return mp.mpf(1), t, 2 * t
        case Flow():
            return 1 - t, t, 2 * t / (1 - t)
        case Discrete(log_alphas):
            k = min(int(mp.floor(t)), len(log_alphas) - 2)
            slope = mp.mpf(log_alphas[k + 1]) - log_alphas[k]
            alpha = mp.exp(log_alphas[k] + (t - k) * slope)
            return alpha, mp.sqrt(1 - alpha**2), -2 * slope
    raise TypeError(schedule)


def smooth(schedule: NoiseSchedule, a: mp.mpf, b: mp.mpf):
    """A variable in which the integrand is analytic well beyond [b, a]: u(t), t(u), dt/du(t)."""
    if isinstance(schedule, VE | EDM | Discrete):
        return mp.mpf, mp.mpf, lambda t: mp.mpf(1)
    if b == 0:
        return mp.sqrt, lambda u: u**2, lambda t: 2 * mp.sqrt(t)
    if isinstance(schedule, VPCosine | Flow):
        return lambda t: mp.log(t / (1 - t)), lambda u: 1 / (1 + mp.exp(-u)), lambda t: t * (1 - t)
    return mp.log, mp.exp, lambda t: t


def pieces(schedule: NoiseSchedule, a: mp.mpf, b: mp.mpf, length: mp.mpf) -> list[mp.mpf]:
    """Ends of panels in the smooth variable: at timesteps, or short enough."""
    if isinstance(schedule, Discrete):
        return [a, *range(int(mp.ceil(a)) - 1, int(mp.floor(b)), -1), b]
    longest = mp.mpf(1) / 8 if isinstance(schedule, VE) else 1
    count = 1 if isinstance(schedule, EDM) else int(mp.ceil(length / longest))
    return [mp.mpf(k) / count for k in range(count + 1)]


@cache
def moments(schedule: NoiseSchedule, a: float, b: float) -> tuple[mp.mpf, ...]:
    """``int_a^b 1/2 Psi(b, tau) G^2 / L ((tau - a) / (b - a))^m dtau`` for m = 0 .. DEGREE."""
    a, b = mp.mpf(a), mp.mpf(b)
    u, t_of, rate = smooth(schedule, a, b)
    first, last = u(a), u(b)
    found = pieces(schedule, a, b, abs(last - first))
    if not isinstance(schedule, Discrete):
        found = [first + (last - first) * x for x in found]
    alpha_b = path(schedule, b)[0]
    total = [mp.mpf(0)] * (DEGREE + 1)
    for left, right in pairwise(found):
        for x, w in gauss(4 if isinstance(schedule, Discrete) else 5):
            tau = t_of(left + (right - left) * x)
            alpha, scale, square = path(schedule, tau)
            term = w * (right - left) * rate(tau) * alpha_b / alpha * square / scale / 2
            for m in range(DEGREE + 1):
                total[m] += term
                term *= (tau - a) / (b - a)
    return tuple(total)


def lagrange(nodes: list[mp.mpf], j: int) -> list[mp.mpf]:
    """Monomial coefficients of the Lagrange polynomial of node j, constant first."""
    coefficients = [mp.mpf(1)]
    for k, node in enumerate(nodes):
        if k != j:
            up, same = [mp.mpf(0), *coefficients], [*(-node * c for c in coefficients), mp.mpf(0)]
            coefficients = [(p + q) / (nodes[j] - node) for p, q in zip(up, same, strict=True)]
    return coefficients


def by_definition(schedule: NoiseSchedule, t: np.ndarray, i: int, degree: int) -> list[mp.mpf]:
    """C_ij of the step from t[i] to t[i + 1], newest first; the degree grows at the start."""
    a, h = mp.mpf(t[i]), mp.mpf(t[i + 1]) - mp.mpf(t[i])
    nodes = [(mp.mpf(t[i - k]) - a) / h for k in range(min(degree, i) + 1)]
    integrals = moments(schedule, float(t[i]), float(t[i + 1]))
    return [mp.fdot(zip(lagrange(nodes, j), integrals, strict=False)) for j in range(len(nodes))]


def largest_error(plan: diffusion.DiffusionPlan, exact, steps=None) -> float:
    """Largest relative error of any C_ij; values that do not exist yet must have weight 0."""
    worst = mp.mpf(0)
    for i in range(plan.steps) if steps is None else steps:
        values = exact(i)
        assert (plan.weights[i, len(values) :] == 0.0).all()
        for found, value in zip(plan.weights[i], values, strict=False):
            worst = max(worst, abs(mp.mpf(found) / value - 1))
    return float(worst)


def ddim(schedule: NoiseSchedule, a: float, b: float) -> mp.mpf:
    """The closed form of the sum of the weights, sigma' - alpha' sigma / alpha."""
    (alpha, sigma, _), (alpha_b, sigma_b, _) = (path(schedule, mp.mpf(t)) for t in (a, b))
    return sigma_b - alpha_b / alpha * sigma


each_schedule = pytest.mark.parametrize("name", SCHEDULES)
# Where the grid crowds t against alpha = 0, weights of tAB are differences of far larger numbers.
BOUND = {"quadratic": 1e-13, "uniform": 1e-13, "karras": 1e-12}


@each_schedule
def test_the_reference_itself_adds_up(name):
    schedule = SCHEDULES[name]
    plan = diffusion.plan(schedule, steps=9, t_start=ends(schedule)[0], t_end=ends(schedule)[1])
    for a, b in pairwise(plan.t.tolist()):
        assert abs(moments(schedule, a, b)[0] / ddim(schedule, a, b) - 1) < 1e-30


@pytest.mark.parametrize("t_end", [1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("steps", [5, 10, 20])
@pytest.mark.parametrize("degree", [1, 2, 3, 6])
def test_tab_on_the_linear_schedule(degree, steps, t_end):
    schedule = VPLinear()
    plan = diffusion.plan(schedule, method=f"tab{degree}", steps=steps, t_end=t_end)
    assert largest_error(plan, lambda i: by_definition(schedule, plan.t, i, degree)) <= 1e-13


@each_schedule
@pytest.mark.parametrize("degree", [1, 2, 3, 6])
def test_tab_on_every_schedule(name, degree):
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    for grid, bound in BOUND.items():
        if name.startswith("ddpm") and grid != "quadratic":
            continue  # 999 kinks at 45 digits take their time
        plan = diffusion.plan(
            schedule, method=f"tab{degree}", steps=9, grid=grid, t_start=t_start, t_end=t_end
        )
        error = largest_error(plan, lambda i, t=plan.t: by_definition(schedule, t, i, degree))
        assert error <= bound, grid


def test_tab_across_the_kinks_of_a_short_discrete_schedule():
    schedule = Discrete.cosine(12)
    t = [10.6, 9.0, 7.3, 7.1, 4.0, 3.999, 0.25]
    plan = diffusion.plan(schedule, method="tab3", grid=t)
    assert largest_error(plan, lambda i: by_definition(schedule, plan.t, i, 3)) <= 1e-12


@pytest.mark.parametrize("name", REACH_DATA)
def test_tab_in_the_last_step_to_no_noise(name):
    schedule = SCHEDULES[name]
    plan = diffusion.plan(schedule, steps=6, t_start=ends(schedule)[0], t_end=0.02, final="zero")
    assert plan.t[-1] == 0.0
    error = largest_error(plan, lambda i: by_definition(schedule, plan.t, i, 3), [plan.steps - 1])
    assert error <= 1e-13


@each_schedule
def test_tab_keeps_its_digits_on_a_thousand_steps(name):
    # Over lambda a step of length h would lose (1 + |lambda|) / h roundings: these go over t.
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    plan = diffusion.plan(schedule, steps=1000, t_start=t_start, t_end=t_end)
    some = [1, 2, 3, 100, 500, 900, 999]
    error = largest_error(plan, lambda i: by_definition(schedule, plan.t, i, 3), some)
    assert error <= 1e-12


@each_schedule
@pytest.mark.parametrize("variable", ["t", "rho", "lambda"])
def test_weights_add_up_to_the_coefficient_of_ddim(name, variable):
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    prefix = {"t": "tab", "rho": "rhoab", "lambda": "logrhoab"}[variable]
    for degree in range(1, 7):
        plan = diffusion.plan(
            schedule, method=f"{prefix}{degree}", steps=10, t_start=t_start, t_end=t_end
        )
        for (a, b), row in zip(pairwise(plan.t.tolist()), plan.weights, strict=True):
            expected = ddim(schedule, a, b)
            off = abs(mp.fsum(mp.mpf(w) for w in row) - expected)
            assert off <= 2e-15 * abs(row).sum() + 1e-14 * abs(expected)
            assert degree > 4 or off <= 1e-13 * abs(expected)


@each_schedule
def test_transfer_is_the_ratio_of_signal_scales(name):
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    plan = diffusion.plan(schedule, steps=10, t_start=t_start, t_end=t_end)
    alpha = [path(schedule, mp.mpf(t))[0] for t in plan.t.tolist()]
    for (a, b), psi in zip(pairwise(alpha), plan.transfer, strict=True):
        assert abs(psi * a / b - 1) <= 1e-14


def integral_of_log_power(r: mp.mpf, m: int) -> mp.mpf:
    """``int_0^r (ln u)^m du``."""
    terms = ((-1) ** k * mp.log(r) ** (m - k) / factorial(m - k) for k in range(m + 1))
    return r * factorial(m) * mp.fsum(terms)


def closed_form(schedule: NoiseSchedule, t: np.ndarray, i: int, degree: int, *, log: bool):
    """``alpha' int l_j drho``, l_j a polynomial in rho or in ln rho, term by term."""
    nodes = [mp.mpf(x) for x in t[max(i - degree, 0) : i + 2][::-1].tolist()]
    pairs = [path(schedule, node) for node in nodes]
    end, *rho = (sigma / alpha for alpha, sigma, _ in pairs)
    if log:
        integrals = [
            integral_of_log_power(end, m) - integral_of_log_power(rho[0], m)
            for m in range(len(rho))
        ]
    else:
        integrals = [(end ** (m + 1) - rho[0] ** (m + 1)) / (m + 1) for m in range(len(rho))]
    points = [mp.log(r) for r in rho] if log else rho
    return [
        pairs[0][0] * mp.fdot(zip(lagrange(points, j), integrals, strict=True))
        for j in range(len(rho))
    ]


@each_schedule
@pytest.mark.parametrize("degree", [1, 2, 3, 6])
@pytest.mark.parametrize("log", [False, True])
def test_rho_and_log_rho_weights_are_their_closed_forms(name, degree, log):
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    method = f"{'logrhoab' if log else 'rhoab'}{degree}"
    for grid in ("quadratic", "karras"):
        plan = diffusion.plan(
            schedule, method=method, steps=10, grid=grid, t_start=t_start, t_end=t_end
        )
        error = largest_error(
            plan, lambda i, t=plan.t: closed_form(schedule, t, i, degree, log=log)
        )
        assert error <= 1e-12, grid
