"""Published one-step formulas, typed from the papers, against the samplers that bear their names.

Each is a plain loop over float64 arrays that knows alpha-bar (or sigma) and the model alone.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from diffusion_problems import (
    EPS,
    PREDICTIONS,
    SCHEDULES,
    Gaussian,
    Mixture,
    ends,
    noise_at,
)
from semilinear import diffusion
from semilinear.diffusion import EDM, Flow, PowerT, VPLinear

DATA = Mixture()
VP = VPLinear()
T = np.linspace(1.0, np.sqrt(1e-3), 13) ** 2
X = noise_at(VP, 1.0, (5, 2))


def alpha_bar(t):
    return np.exp(-0.5 * 19.9 * t**2 - 0.1 * t)


def eps_model(x, t):
    a = alpha_bar(t)
    return DATA.noise(x, np.sqrt(a), np.sqrt(1 - a))


def agrees(found, expected, *, bound=1e-12):
    """Agreement to rounding, counted from the largest entry."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max()


def sampled(method: str, *, grid=T, **options):
    return diffusion.sample(DATA.model(VP), X, VP, method=method, grid=grid, **options)


def test_ddim():
    """Song, Meng and Ermon (2021), eq. 12 with sigma = 0."""
    x = X
    for t, s in pairwise(T):
        a, b, eps = alpha_bar(t), alpha_bar(s), eps_model(x, t)
        x = np.sqrt(b) * ((x - np.sqrt(1 - a) * eps) / np.sqrt(a)) + np.sqrt(1 - b) * eps
    agrees(sampled("ddim"), x)
    agrees(sampled("dpm_solver1"), x)


def test_dpm_solver_1():
    """Lu et al. (2022a), eq. 3.7: the same in lambda."""
    x = X
    for t, s in pairwise(T):
        a, b = alpha_bar(t), alpha_bar(s)
        h = 0.5 * np.log(b / (1 - b)) - 0.5 * np.log(a / (1 - a))
        x = np.sqrt(b / a) * x - np.sqrt(1 - b) * np.expm1(h) * eps_model(x, t)
    agrees(sampled("ddim"), x)


IPNDM = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]]


@pytest.mark.parametrize("values", [1, 2, 3, 4])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_ipndm(values, power):
    """Zhang and Chen (2022), iPNDM: DDIM of a fixed combination of eps, whatever the grid."""
    grid = np.linspace(1.0, 1e-3 ** (1 / power), 13) ** power
    x, past = X, []
    for t, s in pairwise(grid):
        a, b = alpha_bar(t), alpha_bar(s)
        past = [eps_model(x, t), *past][:values]
        eps = sum(w * e for w, e in zip(IPNDM[len(past) - 1], past, strict=True))
        x = np.sqrt(b / a) * x + (np.sqrt(1 - b) - np.sqrt(b / a) * np.sqrt(1 - a)) * eps
    agrees(sampled(f"ipndm{values}", grid=grid), x)


def ipndm_v(h, values):
    """iPNDM-v: weights for the last `values` of the step lengths h, as in the code of its paper."""
    new, last = h[-1], h[-2] if values > 1 else np.nan
    if values == 1:
        return [1.0]
    r = new / last
    if values == 2:
        return [(2 + r) / 2, -r / 2]
    before = h[-3]
    c = (1 - new / (3 * (new + last)) * (new * (new + last)) / (last * (last + before))) / 2
    if values == 3:
        return [(2 + r) / 2 + c, -r / 2 - (1 + last / before) * c, c * last / before]
    oldest = h[-4]
    two, three = new + last, new + last + before
    d = (1 - new / (3 * two)) / 2 + (1 - new / (2 * two)) * new / (6 * three)
    d *= new * two * three / (last * (last + before) * (last + before + oldest))
    s = last / before
    q = s * (last + before) / (before + oldest)
    return [
        (2 + r) / 2 + c + d,
        -r / 2 - (1 + s) * c - (1 + s + q) * d,
        c * s + (s + q * (1 + before / oldest)) * d,
        -d * q * s,
    ]


@pytest.mark.parametrize("values", [1, 2, 3, 4])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_ipndm_v(values, power):
    """Zhou et al. (2024), iPNDM-v in sigma / alpha, on grids on which steps change."""
    grid = np.linspace(1.0, 1e-3 ** (1 / power), 13) ** power
    rho = np.sqrt((1 - alpha_bar(grid)) / alpha_bar(grid))
    y, past = X / np.sqrt(alpha_bar(1.0)), []
    for n in range(len(grid) - 1):
        past = [eps_model(np.sqrt(alpha_bar(grid[n])) * y, grid[n]), *past][:values]
        weights = ipndm_v(np.diff(rho[: n + 2]), len(past))
        y = y + (rho[n + 1] - rho[n]) * sum(w * e for w, e in zip(weights, past, strict=True))
    agrees(sampled(f"ipndm_v{values}", grid=grid), np.sqrt(alpha_bar(grid[-1])) * y, bound=1e-12)


def test_exact_weights_of_ipndm_v_are_those_of_rho_deis():
    for values in (3, 4):
        found = sampled(f"ipndm_v{values}", exact=True)
        agrees(found, sampled(f"rhoab{values - 1}"), bound=1e-15)
        assert np.abs(found - sampled(f"ipndm_v{values}")).max() > 1e-4
    agrees(sampled("ipndm_v2"), sampled("rhoab1"))


def test_ipndm_weights():
    plan = diffusion.plan(VP, method="ipndm4", steps=6)
    shares = plan.weights / plan.weights.sum(axis=1, keepdims=True)
    rows = [*IPNDM, IPNDM[3], IPNDM[3]]
    expected = np.array([row + [0.0] * (4 - len(row)) for row in rows])
    np.testing.assert_allclose(shares, expected, rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_tab_from_its_definition(degree):
    """Zhang and Chen (2022), eqs. 14 and 15, by Gauss-Legendre in sqrt(tau)."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    x, past, times = X, [], []
    for t, s in pairwise(T):
        past = [eps_model(x, t), *past][: degree + 1]
        times = [t, *times][: degree + 1]
        left, right = np.sqrt(t), np.sqrt(s)
        root = left + (right - left) * (nodes + 1) / 2
        tau = root**2
        a = alpha_bar(tau)
        square = 0.1 + 19.9 * tau
        kernel = 0.5 * np.sqrt(alpha_bar(s) / a) * square / np.sqrt(-np.expm1(np.log(a)))
        measure = (right - left) / 2 * weights * 2 * root
        new = np.sqrt(alpha_bar(s) / alpha_bar(t)) * x
        for j, (t_j, eps) in enumerate(zip(times, past, strict=True)):
            others = [t_k for k, t_k in enumerate(times) if k != j]
            basis = np.prod([(tau - t_k) / (t_j - t_k) for t_k in others], axis=0)
            new = new + (measure * kernel * basis).sum() * eps
        x = new
    agrees(sampled(f"tab{degree}"), x)


def test_rho_ab_2():
    """Two-step Adams-Bashforth on dy/drho = eps with variable steps, textbook closed form."""
    rho = np.sqrt((1 - alpha_bar(T)) / alpha_bar(T))
    y, before = X / np.sqrt(alpha_bar(1.0)), None
    for n in range(len(T) - 1):
        eps, h = eps_model(np.sqrt(alpha_bar(T[n])) * y, T[n]), rho[n + 1] - rho[n]
        if n == 0:
            y = y + h * eps
        else:
            ratio = h / (rho[n] - rho[n - 1])
            y = y + h * ((1 + ratio / 2) * eps - ratio / 2 * before)
        before = eps
    agrees(sampled("rhoab1"), np.sqrt(alpha_bar(T[-1])) * y)


def primitive(rho, *nodes):
    """Integral of ``prod (ln rho - ln c)`` over rho, by parts, for one and two nodes c."""
    log, logs = np.log(rho), np.log(nodes)
    if len(nodes) == 1:
        return rho * (log - 1 - logs[0])
    return rho * (log**2 - 2 * log + 2 - (logs[0] + logs[1]) * (log - 1) + logs[0] * logs[1])


@pytest.mark.parametrize("order", [2, 3])
def test_log_rho_ab(order):
    """The closed forms of solver_order 2 and 3 of diffusers' DEISMultistepScheduler."""
    rho = np.sqrt((1 - alpha_bar(T)) / alpha_bar(T))
    y, past = X / np.sqrt(alpha_bar(1.0)), []
    for n in range(len(T) - 1):
        past = [eps_model(np.sqrt(alpha_bar(T[n])) * y, T[n]), *past][:order]
        points = rho[n::-1][: len(past)]
        if len(past) == 1:
            y = y + (rho[n + 1] - rho[n]) * past[0]
            continue
        for j, eps in enumerate(past):
            others = np.delete(points, j)
            whole = primitive(rho[n + 1], *others) - primitive(rho[n], *others)
            y = y + whole / np.prod(np.log(points[j]) - np.log(others)) * eps
    agrees(sampled(f"logrhoab{order - 1}"), np.sqrt(alpha_bar(T[-1])) * y)


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_edm_heun(steps):
    """Karras et al. (2022), algorithm 1, on their grid, with an Euler step to sigma = 0."""
    low, high = 0.002 ** (1 / 7), 80.0 ** (1 / 7)
    if steps == 1:
        sigma = np.array([80.0, 0.0])
    else:
        i = np.arange(steps)
        sigma = np.append((high + i / (steps - 1) * (low - high)) ** 7, 0.0)
    start = noise_at(EDM(), 80.0, (5, 2))
    x = start
    for s, s_next in pairwise(sigma):
        d = (x - DATA.denoised(x, 1.0, s)) / s
        euler = x + (s_next - s) * d
        if s_next == 0:
            x = euler
            break
        d_next = (euler - DATA.denoised(euler, 1.0, s_next)) / s_next
        x = x + (s_next - s) * (d + d_next) / 2
    plan = diffusion.plan(
        EDM(), method="heun", steps=steps, grid="karras", prediction="x0", final="zero"
    )
    assert plan.nfe == 2 * steps - 1
    agrees(diffusion.follow(plan, DATA.model(EDM(), "x0"), start), x)


def test_euler():
    """Song et al. (2021), eq. 13: the probability-flow ODE itself, by Euler's method."""
    x = X
    for t, s in pairwise(T):
        beta = 0.1 + 19.9 * t
        score = -eps_model(x, t) / np.sqrt(1 - alpha_bar(t))
        x = x + (s - t) * (-0.5 * beta * x - 0.5 * beta * score)
    agrees(sampled("euler"), x)


def test_exponential_integrator_on_the_score():
    """Zhang and Chen (2022), ingredient 1; the integral is Psi - 1 for a VP process."""
    x = X
    for t, s in pairwise(T):
        psi = np.sqrt(alpha_bar(s) / alpha_bar(t))
        score = -eps_model(x, t) / np.sqrt(1 - alpha_bar(t))
        x = psi * x + (psi - 1) * score
    agrees(sampled("ei_score"), x)


def test_flow_matching_euler():
    """Euler's method on dx/ds = v of a straight path is DDIM, from pure noise to data."""
    grid = np.linspace(1.0, 0.0, 8)
    start = noise_at(Flow(), 1.0, (5, 2))
    x = start
    for s, s_next in pairwise(grid):
        denoised = DATA.denoised(x, 1 - s, s)
        x = x + (s_next - s) * ((x - denoised) / s)  # v = eps - x_0
    for prediction in ("flow", "v", "x0"):
        model = DATA.model(Flow(), prediction)
        found = diffusion.sample(
            model, start, Flow(), method="ddim", grid=grid, prediction=prediction
        )
        agrees(found, x)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("method", ["tab3", "rhoab2", "ipndm4", "rho_rk4", "euler", "ei_score"])
def test_every_prediction_gives_the_same_trajectory(name, method):
    schedule, data = SCHEDULES[name], Gaussian()
    t_start, t_end = ends(schedule)
    x = noise_at(schedule, t_start, (3,))
    found = {}
    for prediction in PREDICTIONS:
        found[prediction] = diffusion.sample(
            data.model(schedule, prediction),
            x,
            schedule,
            method=method,
            steps=8,
            grid=PowerT(2.0),
            prediction=prediction,
            t_start=t_start,
            t_end=t_end,
            trajectory=True,
        )
    times = found["eps"].t
    # eps read out of x_0 carries the rounding of x / sigma, of x_0 that of x / alpha.
    loss = max(1 / schedule.sigma(t_end), 1 / schedule.alpha(t_start))
    for prediction in PREDICTIONS:
        assert (found[prediction].t == times).all()
        for one, other in zip(found[prediction].x, found["eps"].x, strict=True):
            assert np.abs(one - other).max() <= 64 * EPS * loss * (1 + np.abs(other).max())
