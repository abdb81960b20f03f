"""The test of the tests: a slip in any coefficient of a step moves what they look at.

The samplers agree with their published formulas to 1e-12 (`test_published_samplers`,
`test_published_noise`); here every coefficient of a step is changed in its turn, and the run must
leave them far behind.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest

from diffusion_problems import Draws, Gaussian, Mixture, noise_at
from semilinear import diffusion
from semilinear.diffusion import DiffusionPlan, Tau, VPLinear
from semilinear.diffusion.probability_flow import ProbabilityFlow

VP = VPLinear()
DATA = Mixture()
T = np.array([0.9, 0.7, 0.52, 0.43, 0.22, 0.1])
X = noise_at(VP, 0.9, (4, 2))
FAMILIES = {
    "simplified moments": ["dpm_solver_2m", "dpmpp_3m", "dpmpp_2m_sde", "dpmpp_3m_sde"],
    "step ratios": ["ipndm_v3", "ipndm_v4"],
    "one step": [
        "dpm_solver_2s",
        "dpm_solver_3s",
        "dpmpp_3s",
        "res_2s",
        "res_3s",
        "dpm_solver_fast",
    ],
    "increments": ["seeds2", "seeds3", "er_sde2", "ddpm", "dpm2_ancestral", "sa_solver3"],
    "corrector": ["unipc1", "unipc3", "unipc2_bh1", "sa_solver", "sa_solver_pece"],
}


def mutated(plan: DiffusionPlan, change) -> DiffusionPlan:
    """A copy of a plan whose segments' matrices, outputs by sources, went through `change`."""
    other = copy.copy(plan)
    vars(other)["_segments"] = [
        segment._replace(coefficients=change(n, segment.coefficients.copy()))
        for n, segment in enumerate(plan._segments)
    ]
    return other


def run(plan: DiffusionPlan) -> np.ndarray:
    return diffusion.follow(plan, DATA.model(VP, plan.prediction), X, seed=Draws(X.shape))


@pytest.mark.parametrize("method", [name for family in FAMILIES.values() for name in family])
def test_a_slip_in_any_coefficient_of_a_step_shows(method):
    quantity = diffusion.catalogue.get(method).parameterisation.quantity
    noise = Tau(0.9) if method.startswith("sa_") else None
    plan = diffusion.plan(VP, method=method, grid=T, prediction=quantity, noise=noise)
    right = run(plan)
    assert (run(mutated(plan, lambda n, matrix: matrix)) == right).all()
    per_step = plan.nfe // plan.steps
    for number in range(3 * per_step, 4 * per_step):
        for place in np.argwhere(plan._segments[number].coefficients):

            def slip(n, matrix, number=number, place=tuple(place)):
                if n == number:
                    matrix[place] *= 1.01
                return matrix

            moved = np.abs(run(mutated(plan, slip)) - right).max()
            assert moved > 1e-7, (number, place)


@pytest.mark.parametrize("method", ["seeds2", "ddpm", "dpmpp_3m_sde", "er_sde3", "euler_ancestral"])
@pytest.mark.parametrize("part", ["spread", "flow", "integrals"])
def test_a_slip_in_an_answer_of_the_propagator_shows_in_the_law(monkeypatch, method, part):
    """Point data: mean and variance are known at any number of steps."""
    size = 16

    def law():
        plan = diffusion.plan(VP, method=method, grid=T[2:], prediction="x0")
        asked = iter(range(1, size - 1))
        x = np.zeros(size)
        x[0], x[-1] = VP.sigma(T[2]), VP.alpha(T[2])
        data = Gaussian((0.0,) * (size - 1) + (1.0,), (0.0,) * size)
        y = diffusion.follow(
            plan, data.model(VP, "x0"), x, seed=lambda k, i: np.eye(size)[next(asked)]
        )
        return (y[:-1] ** 2).sum() / VP.sigma(T[-1]) ** 2, y[-1] / VP.alpha(T[-1])

    np.testing.assert_allclose(law(), 1.0, rtol=1e-12)
    right = getattr(ProbabilityFlow, part)

    def wrong(self, *arguments):
        answer = right(self, *arguments)
        return [1.001 * x for x in answer] if part == "integrals" else 1.001 * answer

    monkeypatch.setattr(ProbabilityFlow, part, wrong)
    assert np.abs(np.array(law()) - 1.0).max() > 1e-5
