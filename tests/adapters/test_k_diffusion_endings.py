"""The last step to sigma = 0: what is left of the data's spread, and of the model's errors."""

from __future__ import annotations

import inspect
from math import hypot

import numpy as np
import pytest

from semilinear import InvalidArgument

torch = pytest.importorskip("torch")

from k_diffusion_runs import EPS, SHAPE, function, karras, model, noise  # noqa: E402
from semilinear.adapters import k_diffusion  # noqa: E402
from semilinear.adapters.k_diffusion import NAMES, sample  # noqa: E402
from semilinear.adapters.k_diffusion_plan import sampler  # noqa: E402

STD = 0.5
HIGH, LOW = 80.0, 0.03
PAST = [name for name in NAMES if sampler(name).method.history and name != "lms"]
FIRST_ORDER = {"ei_score": 20.0}
"""Constants C of errors C / steps that are larger than others'."""


def usual(steps: int):
    inner = np.linspace(HIGH ** (1 / 7), LOW ** (1 / 7), steps) ** 7
    return torch.tensor(np.append(inner, 0.0))


def spread(name: str, steps: int) -> float:
    """The exact standard deviation of samples of data N(0, STD^2): a run is linear, draw by draw.

    It starts with one unit vector, and every draw is another.
    """
    sigmas = usual(steps)
    x = torch.zeros(1, 3 * steps + 3, dtype=torch.float64)
    x[0, 0] = hypot(HIGH, STD)
    drawn = []

    def unit(sigma, sigma_next):
        drawn.append(torch.zeros_like(x))
        drawn[-1][0, len(drawn)] = 1.0
        return drawn[-1]

    def denoise(y, sigma):
        return y * (STD**2 / (STD**2 + sigma[:, None] ** 2))

    made = function(name)
    takes = "noise_sampler" in inspect.signature(made).parameters
    given = {"noise_sampler": unit} if takes else {}
    return float(made(denoise, x, sigmas, disable=True, **given).square().sum().sqrt())


@pytest.mark.parametrize("name", NAMES)
def test_the_spread_of_the_data_is_found_with_many_steps(name: str) -> None:
    # The denoised x at the last sigma but one has lost so much of it.
    lost = 1 - STD / hypot(STD, LOW)
    for steps in (50, 100, 200):
        if sampler(name).order == 1:
            error = FIRST_ORDER.get(name, 6.0) / steps
        else:
            error = 75.0 / steps**2
        assert abs(spread(name, steps) / STD - 1) < lost + error


@pytest.mark.parametrize("last", [2, 3, 8])
@pytest.mark.parametrize("name", PAST)
def test_a_last_step_to_zero_gives_the_denoised_x(name: str, last: int) -> None:
    """Past values would multiply the errors of a network, the more the denser the grid."""
    answers = []
    generator = torch.Generator().manual_seed(0)

    def erring(x, sigma):
        wrong = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
        answers.append(model(x, sigma) + 0.01 * wrong)
        return answers[-1]

    found = function(name)(erring, noise(), karras(n=last), disable=True)
    # Where eps is made of x and x_0, and x_0 of x and eps.
    bound = 20 * EPS * float(noise().abs().max()) / LOW
    torch.testing.assert_close(found, answers[-1], rtol=0, atol=bound)


def test_the_order_of_that_step_can_be_kept() -> None:
    def run(**options):
        return sample(model, noise(), karras(), disable=True, **options)

    kept = run(method="rhoab3", lower_end=False)
    assert (kept - run(method="rhoab3")).abs().max() > 1e-4
    assert run(method="lms").equal(kept)
    assert k_diffusion.sample_lms(model, noise(), karras(), disable=True).equal(kept)
    assert run(method="rhoab3", lower_end="zero").equal(run(method="rhoab3"))
    assert not run(method="rhoab3", lower_end=True).equal(run(method="rhoab3"))
    with pytest.raises(InvalidArgument, match="lower_end='last' must be True, False or 'zero'"):
        run(lower_end="last")
