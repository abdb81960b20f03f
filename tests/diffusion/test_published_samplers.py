"""Samplers of the probability-flow ODE after DEIS, typed from their papers.

Each is a plain loop over float64 arrays, over lambda = ln(alpha / sigma), that shares nothing with
the package; whole runs on an uneven grid with a model that couples the entries of a state.
"""

from __future__ import annotations

from itertools import pairwise
from math import factorial

import numpy as np
import pytest

from published_path import (
    DATA,
    LAM,
    NODES,
    VP,
    WEIGHTS,
    T,
    X,
    agrees,
    alpha,
    eps_model,
    sigma,
    x0_model,
)
from semilinear import diffusion


def sampled(method, prediction, **options):
    model = DATA.model(VP, prediction)
    return diffusion.sample(model, X, VP, method=method, grid=T, prediction=prediction, **options)


# DPM-Solver (Lu et al. 2022a), algorithms 4 and 5, and DPM-Solver++ in z = h and z = -h: what is
# asked for, what weights it, what the state is scaled by, and the sign of z.
FORMS = {
    "dpm_solver": ("eps", eps_model, sigma, alpha, 1.0),
    "dpmpp": ("x0", x0_model, alpha, sigma, -1.0),
}
each_form = pytest.mark.parametrize("form", FORMS)


@each_form
def test_single_step_of_order_two(form):
    prediction, model, weight, scale, sign = FORMS[form]
    x = X
    for a, b in pairwise(LAM):
        s, z = a + 0.5 * (b - a), sign * (b - a)
        first = model(x, a)
        u = scale(s) / scale(a) * x - weight(s) * np.expm1(0.5 * z) * first
        x = scale(b) / scale(a) * x - weight(b) * np.expm1(z) * model(u, s)
    agrees(sampled(f"{form}_2s", prediction), x)


@each_form
def test_single_step_of_order_three(form):
    prediction, model, weight, scale, sign = FORMS[form]
    r1, r2 = 1 / 3, 2 / 3
    x = X
    for a, b in pairwise(LAM):
        z = sign * (b - a)
        s1, s2 = a + r1 * (b - a), a + r2 * (b - a)
        first = model(x, a)
        u1 = scale(s1) / scale(a) * x - weight(s1) * np.expm1(r1 * z) * first
        d1 = model(u1, s1) - first
        u2 = scale(s2) / scale(a) * x - weight(s2) * np.expm1(r2 * z) * first
        u2 = u2 - r2 / r1 * weight(s2) * (np.expm1(r2 * z) / (r2 * z) - 1) * d1
        d2 = model(u2, s2) - first
        x = scale(b) / scale(a) * x - weight(b) * np.expm1(z) * first
        x = x - weight(b) / r2 * (np.expm1(z) / z - 1) * d2
    agrees(sampled(f"{form}_3s", prediction), x)


def single_step(order, x, a, b):
    """DPM-Solver-1, -2 and -3 in eps, from lambda = a to b (Lu et al. 2022a, algorithms 4, 5)."""
    h = b - a
    first = eps_model(x, a)
    new = alpha(b) / alpha(a) * x - sigma(b) * np.expm1(h) * first
    if order == 1:
        return new
    s = a + (h / 2 if order == 2 else h / 3)
    u = alpha(s) / alpha(a) * x - sigma(s) * np.expm1(s - a) * first
    d = eps_model(u, s) - first
    if order == 2:
        return new - sigma(b) * np.expm1(h) * d
    s2 = a + 2 * h / 3
    k = 2 * h / 3
    u = alpha(s2) / alpha(a) * x - sigma(s2) * np.expm1(k) * first
    u = u - 2 * sigma(s2) * (np.expm1(k) / k - 1) * d
    d = eps_model(u, s2) - first
    return new - 1.5 * sigma(b) * (np.expm1(h) / h - 1) * d


@pytest.mark.parametrize(("suffix", "last"), [("", [2, 1]), ("1", [1]), ("2", [2])])
def test_fast(suffix, last):
    """DPM-Solver-fast: orders 3, and in the last steps what is left of the evaluations."""
    x = X
    orders = [3] * (len(LAM) - 1 - len(last)) + last
    for order, (a, b) in zip(orders, pairwise(LAM), strict=True):
        x = single_step(order, x, a, b)
    agrees(sampled(f"dpm_solver_fast{suffix}", "eps"), x)
    plan = diffusion.plan(VP, method=f"dpm_solver_fast{suffix}", grid=T)
    assert plan.nfe == sum(orders)


def multistep(order, form):
    """DPM-Solver++ 2M (algorithm 2) and 3M (their code), and the same in eps."""
    _, model, weight, scale, sign = FORMS[form]
    x, past = X, []
    for i, (a, b) in enumerate(pairwise(LAM)):
        h, z = b - a, sign * (b - a)
        past = [model(x, a), *past][:order]
        new = scale(b) / scale(a) * x - weight(b) * np.expm1(z) * past[0]
        if len(past) > 1:
            r0 = (a - LAM[i - 1]) / h
            d0 = (past[0] - past[1]) / r0
        if len(past) == 2:
            new = new - weight(b) * 0.5 * np.expm1(z) * d0
        if len(past) == 3:
            r1 = (LAM[i - 1] - LAM[i - 2]) / h
            d1 = (past[1] - past[2]) / r1
            first = d0 + r0 / (r0 + r1) * (d0 - d1)
            second = (d0 - d1) / (r0 + r1)
            new = new - weight(b) * (np.expm1(z) / z - 1) * first
            new = new - weight(b) * ((np.expm1(z) - z) / z**2 - 0.5) * second
        x = new
    return x


@each_form
@pytest.mark.parametrize("order", [2, 3])
def test_multistep(form, order):
    prediction = FORMS[form][0]
    agrees(sampled(f"{form}_{order}m", prediction), multistep(order, form))


def unipc(order, variant, *, lower_end):
    """UniPC (Zhao et al. 2023), algorithms 1 and 2 in x0: ``R a = b`` solved as it stands."""
    x, past, base = X, [x0_model(X, LAM[0])], None
    count = len(LAM) - 1
    for i in range(count):
        a, b = LAM[i], LAM[i + 1]
        own = min(order, i + 1, count - i if lower_end else order)
        h = b - a
        bh = -h if variant == "bh1" else np.expm1(-h)
        r = [(LAM[i - k] - a) / h for k in range(1, own)] + [1.0]
        d = [(past[k] - past[0]) / r[k - 1] for k in range(1, own)]
        left = np.array([[rk**m for rk in r] for m in range(own)])
        # i! h phi_{i+1}(-h) by recurrence from e^-h - 1.
        right, value = [], np.expm1(-h) / -h - 1
        for m in range(1, own + 1):
            right.append(value * factorial(m) / bh)
            value = value / -h - 1 / factorial(m + 1)
        base = sigma(b) / sigma(a) * x - alpha(b) * np.expm1(-h) * past[0]
        predicted = base
        if own == 2:
            predicted = base - alpha(b) * bh * 0.5 * d[0]
        elif own > 2:
            weights = np.linalg.solve(left[:-1, :-1], right[:-1])
            predicted = base - alpha(b) * bh * sum(w * k for w, k in zip(weights, d, strict=True))
        x = predicted
        if i == count - 1:
            break
        new = x0_model(predicted, b)
        weights = np.array([0.5]) if own == 1 else np.linalg.solve(left, right)
        x = base - alpha(b) * bh * sum(
            w * k for w, k in zip(weights, [*d, new - past[0]], strict=True)
        )
        past = [new, *past]
    return x


@pytest.mark.parametrize("lower_end", [False, True])
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_unipc(order, variant, lower_end):
    name = f"unipc{order}" + ("_bh1" if variant == "bh1" else "")
    expected = unipc(order, variant, lower_end=lower_end)
    # The recurrence of the paper loses digits on short steps.
    agrees(sampled(name, "x0", lower_end=lower_end), expected)


@pytest.mark.parametrize("order", [3, 4])
def test_variants_of_unipc_differ_where_two_nodes_meet(order):
    one, other = (sampled(f"unipc{order}{variant}", "x0") for variant in ("", "_bh1"))
    assert np.abs(one - other).max() > 1e-6


def phis(z):
    """phi_1, phi_2, phi_3 of Hochbruck and Ostermann (2010), by their recurrence."""
    found = [np.exp(z)]
    for k in range(3):
        found.append((found[k] - 1 / factorial(k)) / z)
    return found[1:]


def test_refined_solver_of_two_stages():
    """RES (Zhang et al. 2023): stiff order two with c2 = 1/2."""
    c2, x = 0.5, X
    for a, b in pairwise(LAM):
        h = b - a
        s = a + c2 * h
        first = x0_model(x, a)
        u = sigma(s) / sigma(a) * x + alpha(s) * c2 * h * phis(-c2 * h)[0] * first
        one, two, _ = phis(-h)
        b2 = two / c2
        total = (one - b2) * first + b2 * x0_model(u, s)
        x = sigma(b) / sigma(a) * x + alpha(b) * h * total
    agrees(sampled("res_2s", "x0"), x)


def test_refined_solver_of_three_stages():
    """Hochbruck and Ostermann (2005), eq. 5.9, with c2 = 1/2 and c3 = 1."""
    c2, c3, x = 0.5, 1.0, X
    gamma = (3 * c3**2 - 2 * c3) / (c2 * (2 - 3 * c2))
    for a, b in pairwise(LAM):
        h = b - a
        s2, s3 = a + c2 * h, a + c3 * h
        half, whole = phis(-c2 * h), phis(-c3 * h)
        a32 = gamma * c2 * half[1] + c3**2 / c2 * whole[1]
        first = x0_model(x, a)
        u2 = sigma(s2) / sigma(a) * x + alpha(s2) * c2 * h * half[0] * first
        second = x0_model(u2, s2)
        total = (c3 * whole[0] - a32) * first + a32 * second
        u3 = sigma(s3) / sigma(a) * x + alpha(s3) * h * total
        one, two, _ = phis(-h)
        b3 = two / (gamma * c2 + c3)
        b2 = gamma * b3
        total = (one - b2 - b3) * first + b2 * second + b3 * x0_model(u3, s3)
        x = sigma(b) / sigma(a) * x + alpha(b) * h * total
    agrees(sampled("res_3s", "x0"), x)


def exponential_adams(values, form):
    """``x' = ... int e^(-+lam) l_j dlam``, the definition, by a quadrature of many nodes."""
    _, model, weight, scale, sign = FORMS[form]
    x, past, places = X, [], []
    for a, b in pairwise(LAM):
        past, places = [model(x, a), *past][:values], [a, *places][:values]
        lam = a + (b - a) * (NODES + 1) / 2
        measure = WEIGHTS * (b - a) / 2 * np.exp(-sign * (lam - b))
        new = scale(b) / scale(a) * x
        for j, value in enumerate(past):
            others = [p for k, p in enumerate(places) if k != j]
            basis = np.prod([(lam - p) / (places[j] - p) for p in others], axis=0)
            new = new - sign * weight(b) * (measure * basis).sum() * value
        x = new
    return x


@pytest.mark.parametrize("values", [2, 3])
def test_refined_solver_of_several_steps(values):
    expected = exponential_adams(values, "dpmpp")
    agrees(sampled(f"res_{values}m", "x0"), expected)
    agrees(sampled(f"dpmpp_{values}m", "x0", exact=True), expected)


@pytest.mark.parametrize("values", [2, 3])
def test_exact_weights_in_eps_are_those_of_log_rho_deis(values):
    expected = exponential_adams(values, "dpm_solver")
    agrees(sampled(f"logrhoab{values - 1}", "eps"), expected)
    agrees(sampled(f"dpm_solver_{values}m", "eps", exact=True), expected)


@pytest.mark.parametrize("values", [1, 2, 3, 4])
def test_linear_multistep(values):
    """k-diffusion's LMS: ``int l_j drho``, by a quadrature that is exact for polynomials."""
    rho = np.exp(-LAM)
    y, past = X / alpha(LAM[0]), []
    for i in range(len(rho) - 1):
        past = [eps_model(alpha(LAM[i]) * y, LAM[i]), *past][:values]
        places = rho[i - np.arange(len(past))]
        points = rho[i] + (rho[i + 1] - rho[i]) * (NODES[:, None] + 1) / 2
        for j, value in enumerate(past):
            others = np.delete(places, j)
            basis = np.prod((points - others) / (places[j] - others), axis=1)
            y = y + (rho[i + 1] - rho[i]) / 2 * (WEIGHTS * basis).sum() * value
    found = sampled(f"lms{values}" if values > 1 else "ddim", "eps")
    agrees(found, alpha(LAM[-1]) * y)


@pytest.mark.parametrize("method", ["unipc2", "dpmpp_2m", "dpmpp_3m", "sa_solver3"])
def test_exact_weights_are_others(method):
    options = {"noise": 0} if method == "sa_solver3" else {}
    published, exact = (sampled(method, "x0", exact=exact, **options) for exact in (False, True))
    assert np.abs(published - exact).max() > 1e-5
