"""Samplers of the reverse SDE, typed from their papers and from the code that made their names.

The samplers' own draws are recorded and given to plain loops over lambda = ln(alpha / sigma), in
the order in which they were made.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from diffusion_problems import Draws
from published_path import DATA, LAM, NODES, VP, WEIGHTS, T, X, agrees, alpha, sigma, x0_model
from semilinear import diffusion, methods
from semilinear.diffusion import Eta, Tau, TauWithin
from semilinear.methods import Multistep


def sampled(method, *, prediction="x0", grid=T, **options):
    """Return the sample and its draws."""
    draws = Draws(X.shape)
    plan = diffusion.plan(VP, method=method, grid=grid, prediction=prediction, **options)
    found = diffusion.follow(plan, DATA.model(VP, prediction), X, seed=draws)
    return found, draws


@pytest.mark.parametrize("eta", [0.0, 0.2, 0.7, 1.0])
def test_ddim_with_noise(eta):
    """Song, Meng and Ermon (2020), eq. 12 and 16, as they stand."""
    found, draws = sampled("ddpm", noise=Eta(eta))
    x = X
    for a, b in pairwise(LAM):
        data = x0_model(x, a)
        eps = (x - alpha(a) * data) / sigma(a)
        deviation = eta * sigma(b) / sigma(a) * np.sqrt(1 - alpha(a) ** 2 / alpha(b) ** 2)
        x = alpha(b) * data + np.sqrt(sigma(b) ** 2 - deviation**2) * eps
        if eta:
            x = x + deviation * draws.take()
    assert draws.are_used
    agrees(found, x)


def test_ddpm():
    """Ho, Jain and Abbeel (2020), eq. 7: the mean and the variance of the posterior."""
    found, draws = sampled("ddpm")
    x = X
    for a, b in pairwise(LAM):
        ratio = alpha(a) ** 2 / alpha(b) ** 2
        mean = alpha(b) * (1 - ratio) / sigma(a) ** 2 * x0_model(x, a)
        mean = mean + np.sqrt(ratio) * sigma(b) ** 2 / sigma(a) ** 2 * x
        x = mean + np.sqrt(sigma(b) ** 2 / sigma(a) ** 2 * (1 - ratio)) * draws.take()
    agrees(found, x)


@pytest.mark.parametrize("tau", [0.4, 1.0, 1.3])
def test_noise_beside_frozen_eps(tau):
    """Zhang and Chen (2022), appendix: ``y' = y + (1 + tau^2) drho eps + ...``."""
    found, draws = sampled("ddim", prediction="eps", noise=tau, grid=T[:2])
    rho = np.exp(-LAM)
    y = X / alpha(LAM[0])
    y = y + (1 + tau**2) * (rho[1] - rho[0]) * DATA.noise(X, alpha(LAM[0]), sigma(LAM[0]))
    y = y + tau * np.sqrt(rho[0] ** 2 - rho[1] ** 2) * draws.take()
    agrees(found, alpha(LAM[1]) * y)


def sde_multistep(order, eta, draws, *, heun=False, scale=1.0):
    """k-diffusion's dpmpp_2m_sde and 3m_sde, diffusers' sde-dpmsolver++; y = x / alpha.

    eta is tau^2; 'midpoint' halves phi_1 where 'heun' takes phi_2.
    """
    y, past = X / alpha(LAM[0]), []
    for i, (a, b) in enumerate(pairwise(LAM)):
        h = b - a
        wide = (1 + eta) * h
        past = [x0_model(alpha(a) * y, a), *past][:order]
        y = np.exp(-wide) * y - np.expm1(-wide) * past[0]
        phi_2 = np.expm1(-wide) / wide + 1
        if len(past) > 1:
            d0 = (past[0] - past[1]) / ((a - LAM[i - 1]) / h)
        if len(past) == 2:
            y = y + (phi_2 if heun else -0.5 * np.expm1(-wide)) * d0
        if len(past) == 3:
            r0, r1 = (a - LAM[i - 1]) / h, (LAM[i - 1] - LAM[i - 2]) / h
            d1 = (past[1] - past[2]) / r1
            phi_3 = phi_2 / wide - 0.5
            y = y + phi_2 * (d0 + (d0 - d1) * r0 / (r0 + r1)) - phi_3 * (d0 - d1) / (r0 + r1)
        if eta:
            spread = np.exp(-b) * np.sqrt(-np.expm1(-2 * eta * h))
            y = y + scale * spread * draws.take()
    return alpha(LAM[-1]) * y


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_sde_dpm_solver(order, tau):
    method = "seeds1" if order == 1 else f"dpmpp_{order}m_sde"
    found, draws = sampled(method, noise=Tau(tau, scale=0.9))
    agrees(found, sde_multistep(order, tau**2, draws, scale=0.9))
    assert draws.are_used


def test_sde_dpm_solver_by_its_names():
    for method, order in {"seeds1": 1, "dpmpp_2m_sde": 2, "dpmpp_3m_sde": 3}.items():
        found, draws = sampled(method)
        agrees(found, sde_multistep(order, 1.0, draws))


def test_sde_dpm_solver_of_type_heun():
    found, draws = sampled("dpmpp_2m_sde", exact=True)
    agrees(found, sde_multistep(2, 1.0, draws, heun=True))


def stochastic_adams(places, a, b, tau, *, few):
    """Weights of SA-Solver's update (eqs. 14 and 17) by quadrature, newest value first."""
    lam = a + (b - a) * (NODES + 1) / 2
    power = 1 + tau**2
    measure = power * alpha(b) * WEIGHTS * (b - a) / 2 * np.exp(power * (lam - b))
    found = []
    for j, place in enumerate(places):
        others = [p for k, p in enumerate(places) if k != j]
        basis = np.prod([(lam - p) / (place - p) for p in others], axis=0)
        found.append(float(np.sum(measure * basis)))
    if few and len(places) == 2:
        # Their code for few steps: h^2 / 2 in the place of the first moment.
        h = b - a
        moment = (h * power - 1 + np.exp(-power * h)) / power**2
        slip = power * alpha(b) * (h**2 / 2 - moment) / (places[0] - places[1])
        found = [found[0] + slip, found[1] - slip]
    return found


def sa_solver(predictor, corrector, tau_of, draws, *, few=True, again=False):
    """SA-Solver (Xue et al. 2023), algorithm 1 in x0; one draw for predictor and corrector."""
    x, past, places = X, [x0_model(X, LAM[0])], [LAM[0]]
    for i, (a, b) in enumerate(pairwise(LAM)):
        tau = tau_of(T[i])
        z = draws.take() if tau else np.zeros_like(X)
        base = sigma(b) / sigma(a) * np.exp(-(tau**2) * (b - a)) * x
        base = base + sigma(b) * np.sqrt(-np.expm1(-2 * tau**2 * (b - a))) * z

        def moved(places, values, base=base, a=a, b=b, tau=tau):
            weights = stochastic_adams(places, a, b, tau, few=few)
            return base + sum(w * v for w, v in zip(weights, values, strict=True))

        x = moved(places[:predictor], past[:predictor])
        if i == len(LAM) - 2:
            return x
        new = x0_model(x, b)
        x = moved([b, *places][:corrector], [new, *past][:corrector])
        past, places = [x0_model(x, b) if again else new, *past], [b, *places]
    raise AssertionError


def middle(t):
    return 1.0 if 0.2 <= t <= 0.8 else 0.0


@pytest.mark.parametrize(
    ("method", "predictor", "corrector"), [("sa_solver", 2, 2), ("sa_solver3", 3, 4)]
)
@pytest.mark.parametrize("exact", [False, True])
def test_sa_solver(method, predictor, corrector, exact):
    found, draws = sampled(method, exact=exact)
    expected = sa_solver(predictor, corrector, middle, draws, few=not exact)
    agrees(found, expected)
    assert draws.are_used


@pytest.mark.parametrize("tau", [lambda t: 0.3 + t, lambda t: 0.0, lambda t: 1.2 * (t > 0.3)])
def test_sa_solver_with_a_noise_level_of_its_own(tau):
    found, draws = sampled("sa_solver", noise=tau)
    agrees(found, sa_solver(2, 2, tau, draws))


@pytest.mark.parametrize(("predictor", "corrector"), [(1, 1), (1, 3), (2, 4), (3, 2), (4, 4)])
def test_sa_solver_of_any_two_orders(predictor, corrector):
    cell = diffusion.Parameterisation("x0", "lambda")
    method = methods.sa_solver(predictor, corrector)
    own = diffusion.Sampler("own", cell, method, "this test", noise=TauWithin())
    found, draws = sampled(own)
    agrees(found, sa_solver(predictor, corrector, middle, draws))


@pytest.mark.parametrize(
    ("method", "predictor", "corrector"), [("sa_solver_pece", 2, 2), ("sa_solver3_pece", 3, 4)]
)
def test_sa_solver_with_a_second_evaluation(method, predictor, corrector):
    found, draws = sampled(method, noise=0.8)
    agrees(found, sa_solver(predictor, corrector, lambda t: 0.8, draws, again=True))


@pytest.mark.parametrize("method", ["unipc3", "dpmpp_3m_sde", "sa_solver"])
def test_noise_that_is_zero_is_the_ode(method):
    ode = {"dpmpp_3m_sde": "dpmpp_3m"}.get(method)
    found, draws = sampled(method, noise=0)
    assert not draws.made
    if ode:
        agrees(found, sampled(ode)[0])


def test_a_method_of_ones_own_with_noise():
    own = diffusion.Sampler(
        "own",
        diffusion.Parameterisation("x0", "lambda"),
        Multistep("own", 2, "P", 2, "test"),
        "this test",
    )
    found, draws = sampled(own, noise=1.0)
    agrees(found, sde_multistep(2, 1.0, draws, heun=True))
