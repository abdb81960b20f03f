"""The loop around a plan: the same as by hand, its trajectory, its callback, its seeds."""

from __future__ import annotations

import re

import numpy as np
import pytest

from diffusion_problems import Draws, Gaussian, noise_at
from semilinear import diffusion
from semilinear.diffusion import (
    Churn,
    SeededNoise,
    VPLinear,
    follow,
    guided,
    in_dtype,
    inpainted,
    thresholded,
)
from semilinear.errors import InvalidArgument, ModelOutputError, NonFiniteError

VP = VPLinear()
MODEL = Gaussian().model(VP)
X = noise_at(VP, 1.0, (4, 3))
NAMES = list(diffusion.names())
EXTRAPOLATING = ["tab3", "logrhoab2", "dpmpp_3m", "res_2m", "ipndm3", "rho_heun2", "dpm_solver_3s"]


def refused(*parts: str, error: type[Exception] = InvalidArgument):
    """Expect an error whose message holds these parts in this order."""
    return pytest.raises(error, match=".*".join(re.escape(part) for part in parts))


def by_hand(made, model, x, noise=None):
    """All states of a run."""
    states = [made.start(x, noise=noise)]
    while not states[-1].done:
        state = states[-1]
        states.append(made.advance(state, model(state.x, state.t)))
    return states


@pytest.mark.parametrize("final", ["t_end", "zero", "denoise"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_as_by_hand(name, final):
    made = diffusion.plan(VP, method=name, steps=5, final=final)
    seen = []
    found = follow(made, MODEL, X, seed=2, callback=seen.append, trajectory=True)
    noise = SeededNoise(2, X) if made.stochastic else None
    states = by_hand(made, MODEL, X, noise)
    assert np.array_equal(found.x[-1], states[-1].x)
    assert [state.evaluation for state in seen] == list(range(1, made.nfe + 1))
    assert [state.t for state in seen] == [state.t for state in states[1:]]
    assert len(found.t) == len(found.x) == made.steps + 1 + (final == "denoise")
    assert np.array_equal(found.t, made.t_formed)
    assert np.array_equal(found.x[0], X)
    assert found.estimates is None
    assert np.array_equal(follow(made, MODEL, X, seed=2), found.x[-1])


@pytest.mark.parametrize("name", EXTRAPOLATING)
def test_states_of_a_trajectory_are_ends_of_shorter_runs(name):
    """Methods whose steps ask nothing at their end do not see where the grid stops."""
    made = diffusion.plan(VP, method=name, steps=5)
    found = follow(made, MODEL, X, trajectory=True)
    for n in range(1, 6):
        part = diffusion.plan(VP, method=name, grid=made.t[: n + 1])
        assert np.array_equal(follow(part, MODEL, X), found.x[n])


def test_a_trajectory_of_a_predictor_corrector_holds_corrected_states():
    made = diffusion.plan(VP, method="unipc3", steps=6)
    found = follow(made, MODEL, X, trajectory=True)
    asked = [state.x for state in by_hand(made, MODEL, X)[1:-1]]
    exact = [Gaussian().flow(VP, X, 1.0, t) for t in made.t[1:-1]]
    predicted, corrected = (
        [np.abs(x - y).max() for x, y in zip(states, exact, strict=True)]
        for states in (asked, found.x[1:-1])
    )
    assert all(one > other for one, other in zip(predicted[1:], corrected[1:], strict=True))


def test_churned_trajectories_have_one_state_for_each_step():
    noise = Churn(1.0, 0.05, 50.0, 1.0)
    made = diffusion.plan(VP, method="edm_heun", steps=6, noise=noise)
    found = follow(made, MODEL, X, seed=1, trajectory=True)
    assert len(found.x) == len(found.t) == 7
    assert (found.t[0], found.t[-1]) == (made.t[0], made.t[-1])


# --- seeds ----------------------------------------------------------------------------------------


def test_seeds_of_all_kinds():
    made = diffusion.plan(VP, method="seeds2", steps=4)
    reference = follow(made, MODEL, X, seed=5)
    assert np.array_equal(follow(made, MODEL, X, seed=SeededNoise(5, X)), reference)
    assert not np.array_equal(follow(made, MODEL, X, seed=6), reference)
    assert not np.array_equal(follow(made, MODEL, X), follow(made, MODEL, X))
    one, other = (follow(made, MODEL, X, seed=np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, other)
    draws = Draws(X.shape)
    follow(made, MODEL, X, seed=draws)
    assert len(draws.made) >= 4


def test_without_noise_seeds_draw_nothing():
    generator = np.random.default_rng(0)
    before = generator.bit_generator.state
    follow(diffusion.plan(VP, steps=3), MODEL, X, seed=generator)
    assert generator.bit_generator.state == before


def test_bad_seeds_and_states_of_stochastic_samplers():
    made = diffusion.plan(VP, method="ddpm", steps=3)
    with refused("seed has 2 entries for 4 samples"):
        follow(made, MODEL, X, seed=[1, 2])
    with refused("x has no axis; its first must count the samples"):
        follow(made, MODEL, np.array(1.0), seed=1)
    with refused("x must be an array, got list"):
        follow(made, MODEL, X.tolist(), seed=1)
    with refused("noise(", "must return an array like the state", error=ModelOutputError):
        follow(made, MODEL, X, seed=SeededNoise(1, X[:2]))


@pytest.mark.parametrize("seed", ["junk", 0.5, -1, True, [1, "junk", 2, 3]])
@pytest.mark.parametrize("name", ["tab3", "ddpm"])
def test_what_is_no_seed_is_refused_by_every_sampler(name, seed):
    with refused("seed=", "must be an integer from 0 to 2^64 - 1, a numpy.random.Generator"):
        follow(diffusion.plan(VP, method=name, steps=3), MODEL, X, seed=seed)


# --- arguments ------------------------------------------------------------------------------------


def test_what_is_no_plan_no_model_and_no_callback():
    made = diffusion.plan(VP, steps=3)
    with refused("plan='tab3' must be a plan of semilinear.diffusion.plan"):
        follow("tab3", MODEL, X)
    for run in (diffusion.sample, diffusion.encode, diffusion.round_trip):
        with refused("model=None must be callable as model(x, t)"):
            run(None, X, VP)
    with refused("callback=3 must be a function callback(state)"):
        follow(made, MODEL, X, callback=3)


# --- what ends a run ------------------------------------------------------------------------------


class Enough(Exception):
    """Of a callback that has seen enough."""


def test_an_exception_of_the_callback_ends_the_run():
    asked = []

    def model(x, t):
        asked.append(t)
        return MODEL(x, t)

    def callback(state):
        if state.evaluation == 2:
            raise Enough

    with pytest.raises(Enough):
        follow(diffusion.plan(VP, steps=6), model, X, callback=callback)
    assert len(asked) == 2


def test_answers_that_are_not_finite():
    made = diffusion.plan(VP, steps=4)

    def model(x, t):
        return MODEL(x, t) * (np.nan if t < 0.5 else 1.0)

    with refused("evaluation 3 of 4", "NaN or infinity in 12 of 12", error=NonFiniteError):
        follow(made, model, X)
    assert np.isnan(follow(made, model, X, check_finite=False)).all()


def test_the_sample_is_named_whose_answer_is_not_finite(xp):
    """By the index of the first entry, for images whose network is bad for one of them."""

    def model(x, t):
        scale = np.ones((4, 3))
        scale[2, 1:] = np.inf
        return x * xp.asarray(scale)

    with refused("NaN or infinity in 2 of 12 entries, first in [2, 1], at", error=NonFiniteError):
        follow(diffusion.plan(VP, steps=4), model, xp.asarray(np.ones((4, 3))))


def test_answers_of_another_shape():
    with refused("evaluation 1 of 3", "shape (1, 3)", error=ModelOutputError):
        follow(diffusion.plan(VP, steps=3), lambda x, t: x[:1], X)


def test_the_noise_is_left_alone():
    for name in ("tab3", "unipc3", "seeds3"):
        x = X.copy()
        follow(diffusion.plan(VP, method=name, steps=3), MODEL, x, seed=1, trajectory=True)
        assert np.array_equal(x, X)


# --- networks that reuse their memory -------------------------------------------------------------


def into_one_buffer(model, copy):
    """Return a model that answers in the same array each time, and spoils its input."""
    buffer = copy(X)

    def answer(x, t):
        buffer[...] = model(x, t)
        x[...] = np.nan
        return buffer

    return answer


@pytest.mark.parametrize("name", NAMES)
def test_a_model_may_reuse_its_memory_and_write_into_its_input(name):
    made = diffusion.plan(VP, method=name, steps=5, final="denoise")
    x = X.copy()
    found = follow(made, into_one_buffer(MODEL, np.array), x, seed=2, trajectory=True)
    expected = follow(made, MODEL, X, seed=2, trajectory=True)
    for one, other in zip(found.x, expected.x, strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(x, X)


@pytest.mark.parametrize("method", ["tab3", "rho_heun2"])
def test_so_it_may_in_every_library(xp, method):
    def rising(x, t):
        return x * (0.5 + t)

    made = diffusion.plan(VP, method=method, steps=5)
    x = xp.asarray(X.copy())
    found = follow(made, into_one_buffer(rising, lambda a: xp.asarray(a.copy())), x)
    np.testing.assert_allclose(np.asarray(found), follow(made, rising, X), rtol=1e-12)
    assert np.array_equal(np.asarray(x), X)


@pytest.mark.parametrize(
    "around",
    [
        lambda model: guided(model, model, 2.0, rescale=0.5),
        lambda model: guided(model, lambda x, t: -MODEL(x, t), 2.0),
        lambda model: thresholded(model, VP),
        lambda model: inpainted(model, VP, X, np.eye(4, 3), seed=1),
        lambda model: in_dtype(model, np.float64),
    ],
    ids=["guided by itself", "guided", "thresholded", "inpainted", "in_dtype"],
)
def test_so_it_may_inside_of_a_combinator(around):
    x = X.copy()
    found = around(into_one_buffer(MODEL, np.array))(x, 0.5)
    assert np.array_equal(found, around(MODEL)(X, 0.5))
    assert np.array_equal(x, X)


def test_a_trajectory_begins_with_a_copy():
    x = X.copy()
    found = follow(diffusion.plan(VP, steps=3), MODEL, x, trajectory=True)
    x[...] = 0.0
    assert np.array_equal(found.x[0], X)


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("size", [3, 300])
def test_so_may_a_network_of_torch(size, gradients):
    torch = pytest.importorskip("torch")
    x = torch.ones(2, size, dtype=torch.float64)
    buffer = torch.empty_like(x)
    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=gradients)

    def reusing(x, t):
        nonlocal buffer
        if gradients:  # such a buffer is a new tensor of the same memory
            buffer = buffer.detach()
        buffer.copy_(scale * torch.cos(x + t))
        x.detach().fill_(torch.nan)
        return buffer

    made = diffusion.plan(VP, method="tab3", steps=6)
    found = follow(made, reusing, x)
    expected = follow(made, lambda x, t: scale * torch.cos(x + t), x)
    assert torch.equal(found, expected)
    assert (x == 1).all()
