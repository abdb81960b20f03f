"""States that are changed between evaluations, kept, and continued in another process."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import semilinear as sl
from diffusion_problems import Gaussian, continued, noise_at
from semilinear import diffusion
from semilinear.diffusion import Churn, SeededNoise, VPLinear
from semilinear.errors import InvalidArgument, NonFiniteError
from tolerances import assert_close

VP = VPLinear()
MODEL = Gaussian().model(VP)
X = noise_at(VP, 1.0, (4, 3))
MASK = np.zeros(X.shape)
MASK[:, 0] = 1.0


def refused(*parts: str, error: type[Exception] = InvalidArgument):
    """Expect an error whose message holds these parts in this order."""
    return pytest.raises(error, match=".*".join(re.escape(part) for part in parts))


def linear(t, y):
    return np.cos(y[..., ::-1] + t)


def masked(x, t):
    """The first column held at noised data."""
    return (1.0 - MASK) * x + MASK * (VP.alpha(t) * 0.7 + VP.sigma(t) * X)


def advanced(made, state, count, model=MODEL):
    for _ in range(count):
        state = made.advance(state, model(state.x, state.t))
    return state


def finished(made, state, model=MODEL):
    while not state.done:
        state = made.advance(state, model(state.x, state.t))
    return state.x


# --- changed states -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tab3", "logrhoab2", "dpmpp_3m", "ddim", "ipndm3"])
def test_a_mask_in_the_loop_is_that_of_a_loop_by_hand(name):
    """From the plan's own coefficients, with a list of the past values of N."""
    made = diffusion.plan(VP, method=name, steps=7, prediction="eps")
    cell = made.sampler.parameterisation.quantity
    x, past = X, []
    for n in range(made.steps):
        x = masked(x, made.t[n])
        answer = MODEL(x, made.t[n])
        alpha, sigma = VP.alpha(made.t[n]), VP.sigma(made.t[n])
        past.insert(0, answer if cell == "eps" else (x - sigma * answer) / alpha)
        weighted = (w * value for w, value in zip(made.weights[n], past, strict=False))
        x = made.transfer[n] * x + sum(weighted)
    state = made.start(X)
    while not state.done:
        state = made.moved(state, masked(state.x, state.t))
        state = made.advance(state, MODEL(state.x, state.t))
    assert_close(state.x, x, operations=1e4)
    assert np.abs(state.x - diffusion.follow(made, MODEL, X)).max() > 0.01


def test_past_values_are_kept():
    made = diffusion.plan(VP, method="tab3", steps=6)
    state = advanced(made, made.start(X), 3)
    moved = made.moved(state, state.x + 1.0)
    answer = MODEL(X, 0.5)
    difference = made.advance(moved, answer).x - made.advance(state, answer).x
    assert_close(difference, np.full(X.shape, made.transfer[3]), operations=1e3)
    assert (moved.t, moved.evaluation, moved.step) == (state.t, state.evaluation, state.step)
    assert np.array_equal(moved.y, state.x + 1.0)


def test_the_same_state_is_no_change():
    for name in ("tab3", "unipc3", "rho_heun2", "sa_solver_pece", "dpmpp_2m_sde"):
        made = diffusion.plan(VP, method=name, steps=5)
        noise = SeededNoise(1, X) if made.stochastic else None
        state = made.start(X, noise=noise)
        while not state.done:
            state = made.moved(state, state.x.copy())
            state = made.advance(state, MODEL(state.x, state.t))
        assert np.array_equal(state.x, diffusion.follow(made, MODEL, X, seed=1))


def test_the_old_state_stays():
    made = diffusion.plan(VP, method="unipc2", steps=5)
    state = advanced(made, made.start(X), 2)
    kept, x = state.x, state.x.copy()
    made.moved(state, np.zeros(X.shape))
    assert state.x is kept
    assert np.array_equal(kept, x)
    assert np.array_equal(finished(made, state), diffusion.follow(made, MODEL, X))


def test_a_predicted_state_counts_through_the_answer_alone():
    made = diffusion.plan(VP, method="unipc2", steps=5, prediction="x0")
    state = advanced(made, made.start(X), 2, Gaussian().model(VP, "x0"))
    moved = made.moved(state, state.x + 1.0)
    assert np.array_equal(moved.x, state.x + 1.0)
    assert np.array_equal(moved.y, state.y)
    answer = np.ones(X.shape)
    one, other = (made.advance(own, answer) for own in (state, moved))
    assert np.array_equal(one.x, other.x)


def test_what_the_model_sees_turns_its_answer_into_n():
    """With eps told and x_0 as N, N at a predicted state is read out with what was seen."""
    made = diffusion.plan(VP, method="unipc2", steps=5)
    state = advanced(made, made.start(X), 2)
    moved = made.moved(state, state.x + 1.0)
    answer = np.ones(X.shape)
    assert not np.allclose(made.advance(state, answer).x, made.advance(moved, answer).x)


def test_generic_plans():
    operator = sl.Diagonal([-1.0, -50.0])
    grid = np.linspace(0.0, 1.0, 9)
    made = sl.make_plan(operator, grid, method="etdab2")
    y = np.array([1.0, 0.5])
    state = made.start(y)
    while not state.done:
        state = made.moved(state, np.maximum(state.x, 0.3))
        state = made.advance(state, linear(state.t, state.x))
    # Two steps by hand, one of order one and one of order two, of the first entry.
    first = made.start(y)
    one = made.advance(made.moved(first, np.maximum(y, 0.3)), linear(0.0, np.maximum(y, 0.3)))
    h = grid[1]
    phi_1 = -np.expm1(-50.0 * h) / (50.0 * h)
    expected = np.exp(-50.0 * h) * 0.5 + h * phi_1 * np.cos(1.0)
    assert one.x[1] == pytest.approx(expected, rel=1e-12)
    assert not np.allclose(state.x, finished(made, first, lambda y, t: linear(t, y)))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_memory_layouts_and_libraries(kind):
    made = diffusion.plan(VP, steps=4)
    x, other = X, np.asfortranarray(X * 0.5)
    if kind == "torch":
        torch = pytest.importorskip("torch")
        x, other = torch.from_numpy(x.copy()), torch.from_numpy(X.copy() * 0.5).T.contiguous().T
    state = made.moved(made.start(x), other)
    assert type(state.x) is type(x)
    reference = made.start(X * 0.5)
    one = made.advance(state, x * 0.25)
    assert_close(np.asarray(one.x), made.advance(reference, X * 0.25).x, operations=10)


def test_gradients_flow_through_a_moved_state():
    torch = pytest.importorskip("torch")
    made = diffusion.plan(VP, steps=3)
    shift = torch.zeros((4, 3), dtype=torch.float64, requires_grad=True)
    state = made.start(torch.from_numpy(X.copy()))
    state = made.moved(state, state.x + shift)
    while not state.done:
        state = made.advance(state, 0.5 * state.x)
    (gradient,) = torch.autograd.grad(state.x.sum(), shift)
    made = diffusion.plan(VP, steps=3)
    by_difference = diffusion.follow(made, lambda x, t: 0.5 * x, np.ones((4, 3)))
    assert_close(gradient.numpy(), by_difference, operations=1e3)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (X[:2], "shape (2, 3) and dtype float64"),
        (X.astype(np.float32), "shape (4, 3) and dtype float32"),
        (X.astype(complex), "dtype complex128"),
        (np.ones(X.shape, int), "dtype int64"),
        (None, "NoneType"),
    ],
)
def test_what_is_not_like_the_state(x, said):
    made = diffusion.plan(VP, steps=4)
    with refused("x is", said, "must be an array like the state", "shape (4, 3) and dtype float64"):
        made.moved(made.start(X), x)


def test_infinite_entries_are_refused_where_they_are_looked_for():
    made = diffusion.plan(VP, steps=4)
    with refused("x has NaN or infinite entries", error=NonFiniteError):
        made.moved(made.start(X), X * np.inf)
    made.moved(made.start(X, check_finite=False), X * np.inf)


def test_a_run_that_is_over_is_not_moved():
    made = diffusion.plan(VP, steps=4)
    done = advanced(made, made.start(X), 4)
    with refused("state is done"):
        made.moved(done, X)


def test_states_belong_to_their_plan():
    made, other = (diffusion.plan(VP, steps=steps) for steps in (4, 5))
    state = made.start(X)
    for call in (other.moved, other.advance):
        with refused("state belongs to another run"):
            call(state, X)
    # The same plan made once more is the same.
    again = diffusion.plan(VP, steps=4)
    assert np.array_equal(finished(again, again.moved(state, X)), finished(made, state))


# --- other processes ------------------------------------------------------------------------------

PLANS = {
    "tab3": {"method": "tab3", "final": "denoise"},
    "unipc3": {"method": "unipc3", "final": "zero", "estimate": True},
    "dpmpp_2m_sde": {"method": "dpmpp_2m_sde"},
    "churn": {"method": "rho_heun2", "noise": Churn(1.0, 0.05, 50.0, 1.0)},
    "ancestral": {"method": "euler_ancestral"},
    "sa_solver_pece": {"method": "sa_solver_pece", "lower_end": True},
}


def half_way(name):
    made = diffusion.plan(VP, steps=6, **PLANS[name])
    noise = SeededNoise(1, X) if made.stochastic else None
    return made, advanced(made, made.start(X, noise=noise), 3)


def test_runs_go_on_in_another_process(processes):
    runs = {name: half_way(name) for name in PLANS}
    found = list(processes.map(continued, [pickle.dumps(run) for run in runs.values()]))
    for one, run in zip(found, runs.values(), strict=True):
        assert np.array_equal(one, finished(*run))


@pytest.mark.parametrize("copied", [lambda run: pickle.loads(pickle.dumps(run)), copy.deepcopy])
@pytest.mark.parametrize("name", PLANS)
def test_copies_are_the_same(name, copied):
    made, state = half_way(name)
    again, other = copied((made, state))
    assert np.array_equal(finished(again, other), finished(made, state))
    # Each of the two plans takes the states of the other.
    assert np.array_equal(finished(made, other), finished(again, state))
    assert np.array_equal(other.x, state.x)
    assert repr(other) == repr(state)
    for attribute in ("t", "grid", "path_times", "t_formed", "transfer"):
        one, two = (getattr(own, attribute) for own in (made, again))
        assert np.array_equal(one, two, equal_nan=True), attribute
        assert one.flags.writeable == two.flags.writeable, attribute
    assert again.rows == made.rows
    assert (again.stochastic, again.estimates) == (made.stochastic, made.estimates)
    assert again.times == made.times


@pytest.mark.parametrize("method", ["etdab3", "hochbruck_ostermann4", "etdpec2"])
@pytest.mark.parametrize(
    "operator",
    [sl.Scalar(-2.0), sl.Diagonal([-1.0, -50.0]), sl.Dense([[-1.0, 0.3], [0.2, -2.0]])],
    ids=lambda operator: type(operator).__name__,
)
def test_generic_plans_and_states_can_be_pickled(operator, method):
    made = sl.make_plan(operator, np.linspace(0.0, 1.0, 6), method=method)

    def model(y, t):
        return linear(t, y)

    state = advanced(made, made.start(np.array([1.0, 0.5])), 2, model)
    again, other = pickle.loads(pickle.dumps((made, state)))
    assert np.array_equal(finished(again, other, model), finished(made, state, model))


def test_states_of_torch_can_be_pickled():
    torch = pytest.importorskip("torch")
    made = diffusion.plan(VP, method="tab2", steps=5)

    def model(x, t):
        return 0.5 * x

    state = advanced(made, made.start(torch.from_numpy(X.copy())), 2, model)
    again, other = pickle.loads(pickle.dumps((made, state)))
    assert torch.equal(finished(again, other, model), finished(made, state, model))
