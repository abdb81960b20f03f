"""Samplers at both ends of a path: the last step to the data, the first from pure noise."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_problems import Draws, Gaussian, Mixture, deterministic, noise_at, slopes
from semilinear import diffusion
from semilinear.diffusion import Flow, VPLinear

VP = VPLinear()
DATA = Gaussian()
X = noise_at(VP, 1.0, (4, 3))


@pytest.mark.parametrize("method", deterministic())
def test_the_last_step_of_x0_over_lambda_is_of_first_order(method):
    """Where N is x_0 the whole weight lies at sigma = 0, which lambda does not reach."""
    sampler = diffusion.catalogue.get(method)
    if sampler.parameterisation != diffusion.Parameterisation("x0", "lambda"):
        return
    answers = []

    def model(x, t):
        answers.append(DATA.denoised(x, VP.alpha(t), VP.sigma(t)))
        return answers[-1]

    for exact in (False, True):
        plan = diffusion.plan(
            VP, method=method, steps=6, final="zero", prediction="x0", exact=exact
        )
        found = diffusion.follow(plan, model, X)
        assert plan.times[-1] == VP.t_end
        np.testing.assert_array_equal(found, answers[-1])


@pytest.mark.parametrize("variable", ["t", "rho"])
def test_the_last_step_of_x0_extrapolates_over_other_variables(variable):
    sampler = diffusion.Sampler(
        "own", diffusion.Parameterisation("x0", variable), diffusion.catalogue.etdab(3), "test"
    )
    plan = diffusion.plan(VP, method=sampler, steps=6, final="zero", prediction="x0")
    u = (plan.t if variable == "t" else np.append(VP.rho(plan.t[:-1]), 0.0))[-4:]
    basis = [
        np.prod([(u[3] - u[k]) / (u[j] - u[k]) for k in range(3) if k != j]) for j in (2, 1, 0)
    ]
    assert plan.transfer[-1] == 0.0
    np.testing.assert_allclose(plan.weights[-1], basis, rtol=1e-12)


@pytest.mark.parametrize("start", ["ramp", "rk"])
@pytest.mark.parametrize("method", ["tab3", "rhoab1", "logrhoab2", "ipndm4", "flow_ab3"])
def test_that_step_alone_can_be_of_first_order(method, start):
    """The steps before it are those of the order of the method, the last is x_0."""
    answers = []

    def model(x, t):
        answers.append(DATA.denoised(x, VP.alpha(t), VP.sigma(t)))
        return answers[-1]

    given = {"method": method, "final": "zero", "prediction": "x0", "start": start}
    grid = np.linspace(0.9, 0.01, 8)
    plan = diffusion.plan(VP, grid=grid, lower_end="zero", **given)
    own = diffusion.plan(VP, grid=grid, **given)
    found = diffusion.follow(plan, model, X)
    np.testing.assert_allclose(found, answers[-1], rtol=1e-12, atol=1e-13)
    assert plan.nfe == own.nfe
    for n in range(plan.steps - 1):
        np.testing.assert_array_equal(plan.weights[n], own.weights[n])
    assert np.count_nonzero(plan.weights[-1]) == 1 < np.count_nonzero(own.weights[-1])
    # Without a step to sigma = 0 there is nothing to lower.
    inner = {**given, "final": "t_end", "grid": np.linspace(0.9, 0.1, 6)}
    same = diffusion.plan(VP, lower_end="zero", **inner)
    np.testing.assert_array_equal(same.weights, diffusion.plan(VP, **inner).weights)


@pytest.mark.parametrize(
    ("method", "order"), [("flow_heun2", 2), ("flow_rk4", 4), ("flow_ab2", 2), ("flow_ab3", 2)]
)
def test_flow_from_pure_noise_to_the_data(method, order):
    """Nothing of it is singular at alpha = 0: the first step is one like the others."""
    data = Mixture()
    x = noise_at(Flow(), 1.0, (4, 2))
    errors = []
    model = data.model(Flow(), "flow")
    grids = [np.linspace(1.0, 0.1, n + 1) for n in (40, 80, 160)]
    exact = diffusion.sample(
        model, x, Flow(), method="flow_rk4", grid=np.linspace(1.0, 0.1, 1001), prediction="flow"
    )
    for grid in grids:
        y = diffusion.sample(model, x, Flow(), method=method, grid=grid, prediction="flow")
        errors.append(float(np.abs(y - exact).max()))
    for slope in slopes(errors):
        assert order - 0.35 <= slope <= order + 0.6


@pytest.mark.parametrize("quantity", ["flow", "v"])
@pytest.mark.parametrize("variable", ["t", "rho", "lambda"])
def test_velocities_from_pure_noise_in_any_variable(quantity, variable):
    sampler = diffusion.Sampler(
        "own", diffusion.Parameterisation(quantity, variable), diffusion.catalogue.etdab(2), "test"
    )
    x = noise_at(Flow(), 1.0, (4, 3))
    exact = DATA.moved(x, (0.0, 1.0), (0.9, 0.1))
    plan = diffusion.plan(
        Flow(), method=sampler, steps=200, prediction="v", t_end=0.1, grid="uniform"
    )
    assert np.abs(diffusion.follow(plan, DATA.model(Flow(), "v"), x) - exact).max() < 0.05


@pytest.mark.parametrize("method", ["unipc3", "sa_solver", "dpm_solver_2m", "dpm2_ancestral"])
@pytest.mark.parametrize("final", ["t_end", "zero", "denoise"])
def test_trajectories_have_a_state_at_every_grid_point(method, final):
    plan = diffusion.plan(VP, method=method, steps=5, final=final)
    found = diffusion.follow(plan, DATA.model(VP), X, seed=Draws(X.shape), trajectory=True)
    assert len(found.t) == len(found.x) == 6 + (final == "denoise")
    assert (found.t[:6] == plan.t).all()
    for n in range(1, 6 if final == "t_end" else 5):
        assert np.abs(found.x[n] - found.x[n - 1]).max() > 1e-6
