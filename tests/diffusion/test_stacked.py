"""Times by sample: every sample of a batch runs as it would alone."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

from diffusion_problems import SCHEDULES, Gaussian, Mixture, ends
from semilinear import diffusion
from semilinear.diffusion import (
    Ancestral,
    Churn,
    Flow,
    SeededNoise,
    StackedPlan,
    VPCosine,
    VPLinear,
    follow,
)
from semilinear.diffusion.guidance import guided, guided_batch
from semilinear.diffusion.inpainting import add_noise, inpainted
from semilinear.diffusion.thresholding import clipped, thresholded
from semilinear.errors import InvalidArgument, ModelOutputError, NonFiniteError
from tolerances import assert_close, to_numpy

VP = VPLinear()
STARTS = np.array([1.0, 0.45, 0.7, 0.45])
NAMES = list(diffusion.names())
# Where these draw depends on the time, so samples that begin elsewhere do so in other steps.
WITHIN = ("sa_solver", "sa_solver_pece", "sa_solver3", "sa_solver3_pece")


def refused(*parts: str, error: type[Exception] = InvalidArgument):
    """Expect an error whose message holds these parts in this order."""
    return pytest.raises(error, match=".*".join(re.escape(part) for part in parts))


def curved(x, t):
    """A model in sums and products alone, which are the same for numbers and for arrays."""
    t = np.asarray(t, x.real.dtype)
    t = t.reshape(-1, *[1] * (x.ndim - 1)) if t.ndim else t
    return 0.25 * x + (0.1 * t * t - 0.2 * t) * x * x / (1.0 + x * x)


def states(shape=(4, 3)):
    return np.random.default_rng(0).standard_normal(shape)


def alone(i, model, x, schedule, *, seed=5, **options):
    """Sample i run by itself."""
    own = {
        name: np.moveaxis(value, -1, 0)[i].tolist() if isinstance(value, np.ndarray) else value
        for name, value in options.items()
    }
    one = x[i : i + 1]
    noise = None if np.iscomplexobj(x) else SeededNoise(seed, one, first=i)
    return diffusion.sample(model, one, schedule, seed=noise, **own)[0]


def assert_same(model, x, schedule, **options):
    """Compare a run of a batch with those of its samples, bit by bit."""
    made = diffusion.plan(schedule, **options)
    assert isinstance(made, StackedPlan)
    found = follow(made, model, x, seed=5)
    for i in range(len(x)):
        assert np.array_equal(found[i], alone(i, model, x, schedule, **options)), i
    return found


# --- the same bits --------------------------------------------------------------------------------


@pytest.mark.parametrize("final", ["t_end", "zero", "denoise"])
@pytest.mark.parametrize("name", NAMES)
def test_every_sampler(name, final):
    noise = 0.5 if name in WITHIN else None
    assert_same(
        curved, states(), VP, method=name, steps=6, final=final, t_start=STARTS, noise=noise
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("name", ["tab3", "unipc3", "rho_kutta3", "dpmpp_2m", "ipndm3"])
def test_compiled_kernels(name, dtype):
    """One sample alone goes through them as well."""
    x = states((4, 300)).astype(dtype)
    found = assert_same(curved, x, VP, method=name, steps=5, t_start=STARTS)
    assert found.dtype == dtype
    assert np.abs(found).max() > 0.1


@pytest.mark.parametrize("grid", ["uniform", "lambda", "karras", diffusion.PowerT(1.5)], ids=str)
def test_every_grid(grid):
    made = diffusion.plan(VP, steps=7, grid=grid, t_start=STARTS, t_end=1e-2)
    assert made.t.shape == (8, 4)
    for i, t in enumerate(STARTS):
        assert np.array_equal(
            made.t[:, i], diffusion.plan(VP, steps=7, grid=grid, t_start=t, t_end=1e-2).t
        )
    assert_same(curved, states(), VP, steps=7, grid=grid, t_start=STARTS, t_end=1e-2)


def test_both_ends():
    last = np.array([1e-3, 0.1, 1e-2, 0.2])
    assert_same(curved, states(), VP, method="unipc2", steps=5, t_start=STARTS, t_end=last)
    assert_same(curved, states(), VP, method="unipc2", steps=5, t_end=last)


def test_grids_of_samples():
    grid = np.sort(np.random.default_rng(1).uniform(0.01, 1.0, (6, 4)), axis=0)[::-1]
    made = diffusion.plan(VP, method="dpmpp_3m", grid=grid)
    assert np.array_equal(made.t, grid)
    assert_same(curved, states(), VP, method="dpmpp_3m", grid=grid, final="zero")
    listed = diffusion.plan(VP, method="dpmpp_3m", grid=grid.tolist())
    assert np.array_equal(listed.t, grid)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule(name):
    schedule = SCHEDULES[name]
    first, last = ends(schedule)
    starts = last + (first - last) * np.array([1.0, 0.5, 0.8, 0.9])
    assert_same(curved, states(), schedule, method="tab2", steps=5, t_start=starts, t_end=last)


@pytest.mark.parametrize("prediction", ["x0", "score", "v", "flow"])
def test_every_prediction(prediction):
    assert_same(
        curved, states(), VP, method="dpmpp_2m", steps=5, prediction=prediction, t_start=STARTS
    )


@pytest.mark.parametrize(
    "options",
    [
        {"method": "dpmpp_2m", "noise": 1.0},
        {"method": "sa_solver", "noise": 0.3},
        {"method": "edm_heun", "noise": Churn(2.0, 0.0, 50.0, 1.0)},
        {"method": "ddim", "noise": Ancestral()},
        {"method": "ddim", "noise": diffusion.Eta(0.5)},
        {"method": "seeds3"},
    ],
    ids=str,
)
def test_noise(options):
    starts = 0.6 * STARTS  # back in time from the very beginning Churn cannot go
    made = diffusion.plan(VP, steps=6, t_start=starts, **options)
    assert made.stochastic
    assert_same(curved, states(), VP, steps=6, t_start=starts, **options)


@pytest.mark.parametrize(
    "options", [{"start": "rk"}, {"lower_end": True}, {"exact": True}], ids=str
)
def test_other_options(options):
    assert_same(curved, states(), VP, method="dpmpp_3m", steps=8, t_start=STARTS, **options)


def test_from_pure_noise_to_data():
    flow = Flow()
    assert_same(
        curved, states(), flow, method="dpmpp_2m", steps=5, prediction="flow",
        t_end=np.array([0.0, 0.0, 0.0, 0.0]),
    )  # fmt: skip


def test_encoding():
    x = states()
    found = diffusion.encode(curved, x, VP, steps=6, t_start=STARTS)
    for i, t in enumerate(STARTS):
        one = diffusion.encode(curved, x[i : i + 1], VP, steps=6, t_start=t)
        assert np.array_equal(found[i], one[0])
    back = diffusion.round_trip(curved, x, VP, t_start=STARTS)
    assert back.rms.max() < 1e-2


def test_one_budget_for_all():
    made = diffusion.plan(VP, method="rho_heun2", nfe=9, final="zero", t_start=STARTS)
    assert made.nfe == 9
    assert all(each.nfe == 9 for each in made.plans)


def test_the_same_times_for_all_are_those_of_one_plan():
    x = states()
    one = diffusion.sample(curved, x, VP, steps=5, t_start=0.6)
    assert np.array_equal(diffusion.sample(curved, x, VP, steps=5, t_start=np.full(4, 0.6)), one)
    assert np.array_equal(diffusion.sample(curved, x, VP, steps=5, t_start=[0.6] * 4), one)


def test_an_exact_model():
    """Its functions of arrays of times differ from those of numbers in the last bits."""
    x = states()
    data = Gaussian()

    def model(x, t):
        alpha, sigma = (np.asarray(f(t))[..., None] for f in (VP.alpha, VP.sigma))
        return data.noise(x, alpha, sigma)

    found = diffusion.sample(model, x, VP, method="unipc3", steps=40, t_start=STARTS, t_end=1e-2)
    for i, t in enumerate(STARTS):
        exact = data.flow(VP, x[i : i + 1], t, 1e-2)[0]
        assert np.abs(found[i] - exact).max() < 1e-3
        options = {"method": "unipc3", "steps": 40, "t_start": STARTS, "t_end": 1e-2}
        assert_close(found[i], alone(i, model, x, VP, **options), operations=1000)


# --- what the model is asked with -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_times_of_the_model(dtype):
    x = states().astype(dtype)
    asked = []

    def model(x, t):
        asked.append(t)
        return curved(x, t.astype(dtype))

    made = diffusion.plan(VP, method="rho_heun2", steps=4, t_start=STARTS)
    found = follow(made, model, x)
    assert found.dtype == dtype
    wide = "float64" if dtype == "float64" else "float32"
    assert all(t.shape == (4,) and t.dtype == wide for t in asked)
    assert np.array_equal(np.array(asked), np.array(made.times).astype(wide))
    assert np.array_equal(asked[0], STARTS.astype(wide))


def test_half_precision_is_that_of_runs_alone():
    x = states().astype("float16")

    def model(x, t):
        return (0.25 * x).astype(x.dtype)

    found = diffusion.sample(model, x, VP, steps=6, t_start=STARTS)
    for i in range(4):
        one = alone(i, model, x, VP, steps=6, t_start=STARTS)
        # A number is rounded to half precision where it meets an array, a column is not.
        assert_close(found[i], one, operations=40, scale=4.0)


def test_a_model_may_write_to_its_times():
    def model(x, t):
        answer = curved(x, t)
        t *= 1000
        return answer

    x = states()
    made = diffusion.plan(VP, steps=4, t_start=STARTS)
    assert np.array_equal(follow(made, model, x), follow(made, curved, x))
    assert np.array_equal(made.t[0], STARTS)


def test_any_array_library(xp):
    x = states()
    asked = []

    def model(x, t):
        asked.append(t)
        t = xp.reshape(t, (-1, 1))
        return 0.25 * x + (0.1 * t * t - 0.2 * t) * x * x / (1.0 + x * x)

    made = diffusion.plan(VP, method="dpmpp_2m_sde", steps=5, t_start=STARTS)
    reference = follow(made, curved, x, seed=1)
    found = follow(made, model, xp.asarray(x), seed=1)
    assert type(found) is type(xp.asarray(x))
    assert all(type(t) is type(found) and t.shape == (4,) for t in asked)
    assert np.array_equal(to_numpy(found), reference)


@pytest.mark.parametrize("size", [3, 300])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_torch(dtype, size):
    torch = pytest.importorskip("torch")
    from semilinear.adapters.torch import eps_model

    kind = getattr(torch, dtype)
    x = torch.from_numpy(states((4, size))).to(kind)
    asked = []

    def network(x, t):
        asked.append(t)
        return 0.25 * x - (0.01 * t[:, None]).to(x.dtype) * x

    made = diffusion.plan(VP, method="unipc2", steps=5, t_start=STARTS)
    with torch.no_grad():
        found = follow(made, eps_model(network, time_scale=10.0), x)
    wide = torch.float64 if dtype == "float64" else torch.float32
    assert found.dtype == kind
    assert all(t.shape == (4,) and t.dtype == wide for t in asked)
    assert torch.equal(asked[0], torch.as_tensor(STARTS, dtype=wide) * 10.0)
    for i in range(4):
        one = x[i : i + 1]
        with torch.no_grad():
            expected = diffusion.sample(
                eps_model(network, time_scale=10.0), one, VP, method="unipc2", steps=5,
                t_start=float(STARTS[i]),
            )  # fmt: skip
        assert_close(found[i].double(), expected[0].double(), operations=1, scale=_few(kind, torch))


def _few(kind, torch):
    """So that `assert_close` in double precision allows forty roundings of another."""
    return 40 * 4.0 * torch.finfo(kind).eps / np.finfo(float).eps


def test_gradients_of_torch():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(states()).requires_grad_()
    found = diffusion.sample(lambda x, t: 0.25 * x * t[:, None], x, VP, steps=4, t_start=STARTS)
    found.sum().backward()
    step = 1e-6
    with torch.no_grad():
        moved = diffusion.sample(
            lambda x, t: 0.25 * x * t[:, None], x + step, VP, steps=4, t_start=STARTS
        )
    assert torch.allclose(x.grad, (moved - found) / step, rtol=1e-5)


def test_networks_as_numpy_models():
    torch = pytest.importorskip("torch")
    from semilinear.adapters.torch import eps_model

    model = eps_model(lambda x, t: 0.25 * x * t[:, None])
    x = states()
    found = diffusion.sample(model, x, VP, steps=4, t_start=STARTS)
    with torch.no_grad():
        tensor = diffusion.sample(model, torch.from_numpy(x), VP, steps=4, t_start=STARTS)
    assert isinstance(found, np.ndarray)
    assert np.array_equal(found, tensor.numpy())


# --- the plan -------------------------------------------------------------------------------------


def test_attributes():
    made = diffusion.plan(VP, method="tab3", steps=5, t_start=STARTS, final="denoise")
    ones = [diffusion.plan(VP, method="tab3", steps=5, t_start=t, final="denoise") for t in STARTS]
    assert (made.nfe, made.steps, made.name) == (6, 5, "tab3")
    assert repr(made) == "Plan(tab3, steps=5, nfe=6, samples=4)"
    assert len(made.plans) == 4
    assert made.plans[1] is made.plans[3]
    for name in ("t", "grid", "transfer", "weights", "t_formed", "path_times", "times"):
        found = np.array(getattr(made, name))
        assert np.array_equal(found, np.stack([getattr(one, name) for one in ones], axis=-1))
    assert np.array_equal(made.recipe.t_start, STARTS)
    assert np.array_equal(made.recipe.t_end, [one.recipe.t_end for one in ones])
    assert made.recipe[2:] == ones[0].recipe[2:]
    assert all(name in vars(made) or hasattr(type(made), name) for name in vars(ones[0]))
    for name in ("t", "grid", "transfer", "weights", "t_formed"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(made, name)[0] = 0.0
    for row, others in zip(made.rows, zip(*(one.rows for one in ones), strict=True), strict=True):
        assert (row.step, row.dst, row.sources) == others[0][:3]
        for j, numbers in enumerate(row.coefficients):
            assert np.array_equal(numbers, [other.coefficients[j] for other in others])
        if row.ask is not None:
            assert np.array_equal(row.ask[0], [other.ask[0] for other in others])


def test_rows_with_conversions():
    made = diffusion.plan(VP, method="tab2", steps=3, t_start=STARTS, prediction="v")
    told = [row.tell for row in made.rows if row.tell is not None]
    assert len(told) == 3
    assert all(p.shape == q.shape == (4,) for p, q in told)


def test_a_plan_does_not_change():
    made = diffusion.plan(VP, steps=3, t_start=STARTS)
    with pytest.raises(AttributeError, match="immutable"):
        made.t = None


def test_trajectories_and_estimates():
    made = diffusion.plan(VP, method="dpmpp_3m", steps=6, t_start=STARTS, estimate=True)
    found = follow(made, curved, states(), trajectory=True)
    assert found.t.shape == (7, 4)
    assert found.estimates.shape == (6, 4)
    for i, t in enumerate(STARTS):
        own = diffusion.plan(VP, method="dpmpp_3m", steps=6, t_start=t, estimate=True)
        one = follow(own, curved, states()[i : i + 1], trajectory=True)
        assert np.array_equal(found.t[:, i], one.t)
        assert np.array_equal(found.estimates[:, i], one.estimates[:, 0], equal_nan=True)
        assert all(np.array_equal(x[i], y[0]) for x, y in zip(found.x, one.x, strict=True))


def test_states_are_shown_and_go_on_elsewhere():
    made = diffusion.plan(VP, method="unipc2", steps=4, t_start=STARTS)
    state = made.start(states())
    assert repr(state) == "State(t by sample, evaluation=0, step=0, x: (4, 3) float64)"
    state = made.advance(state, curved(state.x, state.t))
    made, state = pickle.loads(pickle.dumps((made, state)))
    while not state.done:
        state = made.advance(state, curved(state.x, state.t))
    assert np.array_equal(state.x, diffusion.sample(
        curved, states(), VP, method="unipc2", steps=4, t_start=STARTS
    ))  # fmt: skip
    assert repr(state).startswith("State(done")


def test_a_state_may_be_moved():
    x = states()
    made = diffusion.plan(VP, method="ddim", steps=3, t_start=STARTS)
    state = made.moved(made.start(states((4, 3)) * 2), x)
    while not state.done:
        state = made.advance(state, curved(state.x, state.t))
    assert np.array_equal(state.x, follow(made, curved, x))


def test_a_state_belongs_to_its_plan():
    one, other = (diffusion.plan(VP, steps=3, t_start=STARTS * f) for f in (1.0, 0.9))
    state = one.start(states())
    with refused("belongs to another run"):
        other.advance(state, state.x)
    again = diffusion.plan(VP, steps=3, t_start=STARTS)
    again.advance(state, state.x)


# --- models made of models ------------------------------------------------------------------------


def known(x, t):
    return curved(x + 0.3, t)


def weight(t):
    return 3.0 if 0.2 < t < 0.7 else 1.0


KNOWN = np.random.default_rng(3).uniform(-1, 1, (4, 3))
MASK = np.array([[1.0, 0.0, 0.5]])
MADE = {
    "guided": lambda i: guided(known, curved, 2.5),
    "guided at times": lambda i: guided(known, curved, weight, rescale=0.5),
    "nowhere guided": lambda i: guided(known, curved, lambda t: 0.0),
    "guided batch": lambda i: guided_batch(curved, weight),
    "thresholded": lambda i: thresholded(curved, VP, quantile=0.7),
    "clipped": lambda i: clipped(curved, VP, prediction="v", low=-0.2, high=0.2),
    "inpainted": lambda i: inpainted(
        curved, VP, KNOWN[i], MASK, seed=[10, 11, 12, 13][i]
    ),
    "half": lambda i: diffusion.in_dtype(lambda x, t: x / np.float32(3.0), "float32"),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_models_made_of_models(name):
    x = states()
    options = {"steps": 6, "prediction": "v" if name == "clipped" else "eps"}
    every = MADE[name](slice(None))
    found = diffusion.sample(every, x, VP, t_start=STARTS, **options)
    for i, t in enumerate(STARTS):
        one = MADE[name](slice(i, i + 1))
        expected = diffusion.sample(one, x[i : i + 1], VP, t_start=t, **options)
        assert_close(found[i], expected[0], operations=1000)


@pytest.mark.parametrize(
    "around",
    [
        lambda model: guided(model, known, weight),
        lambda model: guided(known, model, weight),
        lambda model: guided_batch(model, weight),
        lambda model: thresholded(model, VP, quantile=0.7, largest=0.1),
        lambda model: clipped(model, VP, low=-0.2, high=0.2),
        lambda model: inpainted(model, VP, KNOWN, MASK, seed=3),
        lambda model: diffusion.in_dtype(model, "float64"),
    ],
    ids=["conditional", "other", "batch", "thresholded", "clipped", "inpainted", "half"],
)
def test_models_in_models_may_write_to_their_times(around):
    def in_place(x, t):
        answer = curved(x, t)
        t *= 1000
        return answer

    one, other = (
        diffusion.sample(around(model), states(), VP, t_start=STARTS, steps=4)
        for model in (in_place, curved)
    )
    assert np.array_equal(one, other)


def test_no_model_is_asked_in_vain():
    def never(x, t):
        raise AssertionError("asked")

    x = states()
    for model in (guided(curved, never, lambda t: 1.0), guided(never, curved, lambda t: 0.0)):
        found = diffusion.sample(model, x, VP, steps=3, t_start=STARTS)
        assert np.array_equal(found, diffusion.sample(curved, x, VP, steps=3, t_start=STARTS))


def test_images_to_images():
    """The larger its time, the more of a sample changes; where it is alone makes no difference."""
    data, seen = Mixture(variance=0.01), np.full((3, 2), 0.4)
    times = np.array([0.1, 0.3, 0.9])

    def model(x, t):
        alpha, sigma = (np.asarray(f(t))[..., None] for f in (VP.alpha, VP.sigma))
        means = np.array(data.means)
        away = x[..., None, :] - alpha[..., None] * means
        total = alpha**2 * data.variance + sigma**2
        exponent = np.log(data.masses) - (away**2).sum(-1) / (2 * total)
        share = np.exp(exponent - exponent.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        parts = means + (alpha * data.variance / total)[..., None] * away
        return (x - alpha * (share[..., None] * parts).sum(-2)) / sigma

    x = add_noise(VP, seen, times, seed=1)
    found = diffusion.sample(model, x, VP, steps=8, t_start=times, final="denoise")
    for i, t in enumerate(times):
        one = diffusion.sample(
            data.model(VP), x[i : i + 1], VP, steps=8, t_start=t, final="denoise"
        )
        assert_close(found[i], one[0], operations=10_000)


@pytest.mark.parametrize("schedule", [VPCosine(final=0.9946), VPCosine(final=0.8)], ids=repr)
def test_times_of_single_precision_at_the_ends_of_the_domain(schedule):
    first = schedule.t_max
    asked = []

    def model(x, t):
        asked.append((schedule.alpha(t), schedule.sigma(t)))
        return x * np.float32(0.1)

    starts = np.array([first, first * 0.9])
    x = states((2, 3)).astype("float32")
    diffusion.sample(model, x, schedule, steps=3, t_start=starts)
    assert_close(asked[0][1], schedule.sigma(starts), operations=1, scale=2.0**31 * first)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (1, 3), ()])
def test_other_numbers_of_samples(shape):
    made = diffusion.plan(VP, steps=3, t_start=STARTS)
    with refused(f"x has shape {shape}", "times for 4 samples", "make a plan"):
        made.start(np.zeros(shape))


def test_one_sample():
    found = diffusion.sample(curved, states((1, 3)), VP, steps=3, t_start=np.array([0.5]))
    expected = diffusion.sample(curved, states((1, 3)), VP, steps=3, t_start=0.5)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"t_start": STARTS, "t_end": np.zeros(3)}, ("t_start for 4, t_end for 3 samples",)),
        ({"t_start": np.empty(0)}, ("t_start for 0 samples", "at least one")),
        ({"t_start": np.ones((2, 2))}, ("t_start has shape (2, 2)", "one for each sample")),
        ({"t_end": np.ones((1, 2, 2))}, ("t_end has shape (1, 2, 2)",)),
        ({"t_start": ["a", "b"]}, ("t_start=['a', 'b'] must hold times",)),
        ({"t_start": np.array([1.0, np.nan])}, ("t_start=", "nan", "must be a finite number")),
        ({"t_start": np.array([1.0, 1.5])}, ("t_start=", "1.5", "lies outside the domain")),
        ({"t_start": np.array([1.0, 1e-4])}, ("not strictly decreasing",)),
        ({"grid": np.ones((3, 2, 2))}, ("grid must be finite",)),
        ({"grid": np.array([[1.0, 0.1], [0.5, 0.2]])}, ("grid must be strictly decreasing",)),
        ({"grid": np.empty((3, 0))}, ("grid for 0 samples",)),
        ({"grid": np.array([[1.0, 0.9], [0.5, 0.2]]), "steps": 3}, ("leave out steps",)),
        ({"grid": np.array([[1.0, 0.9], [0.5, 0.2]]), "t_start": STARTS}, ("grid for 2, t_start",)),
        ({"grid": np.array([[1.0, 0.9], [0.5, 0.2]]), "t_end": 0.1}, ("leave out t_end",)),
        ({"grid": [[1.0, 0.5], [0.5]]}, ("grid=",)),
    ],
    ids=lambda value: str(sorted(value)) if isinstance(value, dict) else "",
)
def test_misuse(options, parts):
    with refused(*parts):
        diffusion.plan(VP, **options)


def test_errors_say_which_sample_they_are_about():
    with pytest.raises(InvalidArgument) as caught:
        diffusion.plan(VP, t_start=np.array([0.5, 0.6, 1.5]))
    assert caught.value.__notes__ == ["in the plan of sample 2"]


def test_steps_of_other_kinds():
    flow = Flow()
    with refused("sample 1 cannot run beside sample 0", "begins at alpha = 0"):
        diffusion.plan(flow, method="dpmpp_2m", prediction="flow", t_start=np.array([1.0, 0.5]))
    with refused("sample 1 cannot run beside sample 0", "ends at sigma = 0"):
        diffusion.plan(flow, prediction="flow", final="denoise", t_end=np.array([0.0, 0.1]))
    with refused("sample 1 cannot run beside sample 0", "ends at sigma = 0"):
        diffusion.plan(
            flow, method="res_3m", prediction="flow", t_start=0.9, t_end=np.array([0.0, 0.1])
        )
    with refused("sample 1 cannot run beside sample 0", "ends at sigma = 0"):
        diffusion.plan(
            flow, method="rho_heun2", prediction="flow", nfe=9, t_end=np.array([0.1, 0.0])
        )
    with refused(
        "sample 1 cannot run beside sample 0", "takes 4 steps and that 3", "instead of nfe"
    ):
        diffusion.plan(
            flow, method="rho_heun2", prediction="flow", nfe=6, t_end=np.array([0.1, 0.0])
        )
    for name in WITHIN:
        with refused("sample 1 cannot run beside sample 0", "noise enters in other steps"):
            diffusion.plan(VP, method=name, t_start=STARTS)


def test_answers_that_cannot_be_used():
    x = states()
    with refused(
        "evaluation 2 of 3 (t = ", " by sample) returned shape (4,)", error=ModelOutputError
    ):
        diffusion.sample(lambda x, t: x if t[0] == 1.0 else x[:, 0], x, VP, steps=3, t_start=STARTS)
    with refused("evaluation 1 of 3 (t = 1 to 0.45, by sample)", "12 of 12", error=NonFiniteError):
        diffusion.sample(lambda x, t: x * np.nan, x, VP, steps=3, t_start=STARTS)


def test_where_there_is_one_time_for_all():
    x = states()
    model = Gaussian().model(VP)
    with refused("t_start=array(", "a finite number"):
        diffusion.sample(model, x, VP, method="auto", t_start=STARTS)
    with refused("t_start=array(", "a finite number"):
        diffusion.sample_adaptive(model, x, VP, t_start=STARTS)
    with refused("densities are at one time"):
        diffusion.log_likelihood(lambda x, t: (x, lambda v: v), x, VP, t_start=STARTS)
    made = diffusion.plan(VP, t_start=STARTS)
    with refused("plan has times for each sample"):
        diffusion.sample_many(lambda: model, made, (3,), 4, seed=0)
    with refused("t has shape (3,); expected a number, or one for each"):
        clipped(lambda x, t: x, VP)(x, np.ones(3))


def test_jax():
    jax = pytest.importorskip("jax")
    pytest.importorskip("semilinear.adapters.jax")  # which makes pytrees of states
    made = diffusion.plan(VP, method="unipc2", steps=5, t_start=STARTS)
    x = jax.numpy.asarray(states((4, 3)), dtype="float32")

    def model(x, t):
        t = t[:, None]
        return 0.25 * x + (0.1 * t * t - 0.2 * t) * x * x / (1.0 + x * x)

    found = follow(made, model, x)
    jitted = follow(made, jax.jit(model), x)
    reference = follow(made, curved, states())
    assert_close(np.asarray(found), reference.astype("float32"), operations=100)
    assert_close(np.asarray(jitted), reference.astype("float32"), operations=100)
    with refused("has times for each sample"):
        made.table()
    with refused("no pytree"):
        jax.tree_util.tree_flatten(made.start(x))
