"""Samplers with noise in the middle of a step, or before or after it, typed from their papers.

The samplers' own draws are recorded and given to plain loops, in the order in which they were made.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from diffusion_problems import Draws, noise_at
from published_path import DATA, LAM, VP, T, X, agrees, alpha, sigma, x0_model
from semilinear import diffusion
from semilinear.diffusion import EDM, Ancestral, Churn, RhoPower


def sampled(method, *, prediction="x0", grid=T, **options):
    """Return the sample and its draws."""
    draws = Draws(X.shape)
    plan = diffusion.plan(VP, method=method, grid=grid, prediction=prediction, **options)
    found = diffusion.follow(plan, DATA.model(VP, prediction), X, seed=draws)
    return found, draws


def seeds(stages, draws):
    """SEEDS (Gonzalez et al. 2023), algorithms 1 to 4 in x0: all values see the same path."""
    nodes = {1: [], 2: [1 / 2], 3: [1 / 3, 2 / 3]}[stages]
    x = X
    for a, b in pairwise(LAM):
        h = b - a
        places = [a, *(a + c * h for c in nodes), b]
        drawn = [draws.take() for _ in places[1:]]

        def bridge(end, places=places, drawn=drawn):
            """``sigma sum sqrt(e^-2(end - right) - e^-2(end - left)) z`` over the parts."""
            parts = zip(pairwise(places), drawn, strict=True)
            return sigma(end) * sum(
                np.sqrt(np.exp(-2 * (end - right)) - np.exp(-2 * (end - left))) * z
                for (left, right), z in parts
                if right <= end
            )

        def moved(end, x=x, a=a, first=None):
            return sigma(end) / sigma(a) * np.exp(-(end - a)) * x - (
                alpha(end) * np.expm1(-2 * (end - a)) * first
            )

        first = x0_model(x, a)
        values = []
        for k, s in enumerate(places[1:-1]):
            u = moved(s, first=first) + bridge(s)
            if k == 1:
                z = -2 * (s - a)
                ratio = (s - a) / (places[1] - a)
                u = u - ratio * alpha(s) * (np.expm1(z) / z - 1) * (values[0] - first)
            values.append(x0_model(u, s))
        new = moved(b, first=first) + bridge(b)
        z = -2 * h
        if stages == 2:
            new = new - alpha(b) * np.expm1(z) * (values[0] - first) / (2 * nodes[0])
        if stages == 3:
            new = new - alpha(b) * (np.expm1(z) / z - 1) / nodes[1] * (values[1] - first)
        x = new
    return x


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_seeds(stages):
    found, draws = sampled(f"seeds{stages}")
    agrees(found, seeds(stages, draws))
    assert draws.are_used
    if stages == 2:
        found, draws = sampled("dpmpp_2s_sde")
        agrees(found, seeds(2, draws))


def paper_5(rho):
    return rho * (np.exp(rho**0.3) + 10)


PHIS = {"5": paper_5, "ode": lambda r: r, "sde": lambda r: r**2, "3": lambda r: r**1.5 + r}


@pytest.mark.parametrize("name", PHIS)
def test_er_sde(name):
    """Cui et al. (2023), algorithm 1, with any noise scale function."""
    phi = PHIS[name]
    found, draws = sampled("er_sde1", **({} if name == "5" else {"noise": RhoPower(phi)}))
    y, rho = X / alpha(LAM[0]), np.exp(-LAM)
    for a, s, r in zip(LAM[:-1], rho[:-1], rho[1:], strict=True):
        shrink = phi(r) / phi(s)
        y = shrink * y + (1 - shrink) * x0_model(alpha(a) * y, a)
        if name != "ode":
            y = y + np.sqrt(r**2 - s**2 * shrink**2) * draws.take()
    agrees(found, alpha(LAM[-1]) * y)


def ancestral(method, eta, draws, low=0.0):
    """k-diffusion's euler_ancestral, dpm_2_ancestral and dpmpp_2s_ancestral, on y = x / alpha."""
    y, rho = X / alpha(LAM[0]), np.exp(-LAM)
    for s, r in pairwise(rho):
        up = min(r, eta * np.sqrt(r**2 * (s**2 - r**2) / s**2))
        down = max(low, np.sqrt(r**2 - up**2))
        up = np.sqrt(r**2 - down**2)

        def model(y, rho):
            return x0_model(alpha(-np.log(rho)) * y, -np.log(rho))

        data = model(y, s)
        slope = (y - data) / s
        if method == "euler_ancestral":
            y = y + (down - s) * slope
        elif method == "dpm2_ancestral":
            half = np.sqrt(s * down)
            u = y + (half - s) * slope
            y = y + (down - s) * (u - model(u, half)) / half
        else:
            half = np.sqrt(s * down)
            u = half / s * y + (1 - half / s) * data
            y = down / s * y + (1 - down / s) * model(u, half)
        if up:
            y = y + 1.1 * up * draws.take()
    return alpha(LAM[-1]) * y


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("method", ["euler_ancestral", "dpm2_ancestral", "dpmpp_2s_ancestral"])
def test_ancestral(method, eta):
    prediction = "x0" if method.startswith("dpmpp") else "eps"
    found, draws = sampled(method, prediction=prediction, noise=Ancestral(eta, scale=1.1))
    agrees(found, ancestral(method, eta, draws))
    assert draws.are_used


@pytest.mark.parametrize("method", ["euler_ancestral", "dpmpp_2s_ancestral"])
def test_no_step_of_ancestral_goes_below_a_value_of_rho(method):
    """The last step of k-diffusion's DPM-Solver has no noise: it ends where no step goes below."""
    prediction = "x0" if method.startswith("dpmpp") else "eps"
    low = np.exp(-LAM[-1])
    noise = Ancestral(0.8, scale=1.1, low=VP.rho(T[-1]))
    found, draws = sampled(method, prediction=prediction, noise=noise)
    agrees(found, ancestral(method, 0.8, draws, low))
    assert draws.are_used


def churned(y, rho, model, churn, low, high, s_noise, draws, *, second):
    """Karras et al. (2022), algorithm 2; `second`: its Heun correction, or Euler alone."""
    steps = len(rho) - 1
    for s, r in pairwise(rho):
        gamma = min(churn / steps, np.sqrt(2) - 1) if low <= s <= high else 0.0
        hat = s * (1 + gamma)
        if gamma:
            y = y + np.sqrt(hat**2 - s**2) * s_noise * draws.take()
        slope = (y - model(y, hat)) / hat
        new = y + (r - hat) * slope
        if r and second:
            new = y + (r - hat) * (slope + (new - model(new, r)) / r) / 2
        y = new
    return y


EDGES = {"all": (0.0, np.inf), "some": (0.05, 50.0), "few": (1.0, 4.0)}


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize(("churn", "steps"), [(40.0, 6), (1.5, 8)])
@pytest.mark.parametrize("final", ["t_end", "zero"])
@pytest.mark.parametrize("method", ["heun", "euler"])
def test_churn(method, final, churn, steps, edges):
    low, high = EDGES[edges]
    noise = Churn(churn, low=low, high=high, scale=1.003)
    name = "heun" if method == "heun" else "ddim"
    plan = diffusion.plan(
        EDM(), method=name, grid="karras", steps=steps, final=final, prediction="x0", noise=noise
    )
    x = noise_at(EDM(), 80.0, (5, 2))
    draws = Draws(x.shape)
    found = diffusion.follow(plan, DATA.model(EDM(), "x0"), x, seed=draws)
    count = steps if final == "zero" else steps + 1
    ends = 80.0 ** (1 / 7), 0.002 ** (1 / 7)
    rho = np.linspace(*ends, count) ** 7
    if final == "zero":
        rho = np.append(rho, 0.0)

    def model(y, s):
        return DATA.denoised(y, 1.0, s)

    expected = churned(x, rho, model, churn, low, high, 1.003, draws, second=method == "heun")
    agrees(found, expected)
    assert draws.are_used
