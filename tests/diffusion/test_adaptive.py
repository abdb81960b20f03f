"""Adaptive sampling: tolerances are kept, evaluations counted, and its grids serve plans."""

from __future__ import annotations

import pickle
import re
from functools import cache

import numpy as np
import pytest

from diffusion_problems import PREDICTIONS, SCHEDULES, Gaussian, Mixture, ends, noise_at
from semilinear import diffusion, methods
from semilinear.diffusion import EDM, Discrete, Flow, VPLinear, sample_adaptive
from semilinear.errors import (
    EvaluationLimitError,
    InvalidArgument,
    ModelOutputError,
    NonFiniteError,
    UnknownName,
)
from tolerances import assert_close, to_numpy

VP = VPLinear()
DATA = Mixture()
X = noise_at(VP, 1.0, (4, 2))


def refused(*parts: str, error: type[Exception] = InvalidArgument):
    """Expect an error whose message holds these parts in this order."""
    return pytest.raises(error, match=".*".join(re.escape(part) for part in parts))


# --- tolerances -----------------------------------------------------------------------------------

CELLS = [
    ("eps", "lambda", "etdpec"),
    ("eps", "t", "zoto_bowman43"),
    ("eps", "rho", "etdpece"),
    ("v", "t", "etdpec"),
    ("v", "lambda", "zoto_bowman43"),
    ("flow", "t", "etdpece"),
    ("flow", "rho", "etdpec"),
    ("score", "t", "etdpec"),
    ("score", "lambda", "etdpece"),
]


@cache
def flowed(schedule):
    """Some noise, and where the flow takes it."""
    first, last = ends(schedule)
    x = noise_at(schedule, first, (5, 2))
    return x, DATA.flow(schedule, x, first, last)


def error_of(schedule, data, x, exact, tolerance, **options):
    first, last = ends(schedule)
    found = sample_adaptive(
        data.model(schedule), x, schedule, rtol=tolerance, atol=tolerance, t_start=first,
        t_end=last, final="t_end", **options,
    )  # fmt: skip
    return float(np.abs(found.x - exact).max()), found


@pytest.mark.parametrize(("quantity", "variable", "method"), CELLS)
@pytest.mark.parametrize("schedule", [VPLinear(), EDM(), Flow()], ids=lambda s: type(s).__name__)
def test_error_follows_the_tolerance_on_a_mixture(schedule, quantity, variable, method):
    """The largest measured was 7.2 tolerances."""
    x, exact = flowed(schedule)
    cell = {"quantity": quantity, "variable": variable, "method": method}
    errors, counts = [], []
    for tolerance in (1e-2, 1e-5):
        error, found = error_of(schedule, DATA, x, exact, tolerance, **cell)
        assert error < 20 * tolerance
        errors.append(error)
        counts.append(found.nfe)
    assert errors[0] > 100 * errors[1]
    assert counts[0] < counts[1]


@pytest.mark.parametrize("name", SCHEDULES)
def test_all_schedules(name):
    schedule, data = SCHEDULES[name], Gaussian()
    first, last = ends(schedule)
    x = noise_at(schedule, first, (5, 3))
    exact = data.flow(schedule, x, first, last)
    assert error_of(schedule, data, x, exact, 1e-4)[0] < 30e-4


def test_a_flow_path_runs_between_finite_ends_by_default():
    schedule = Flow()
    first, last = (float(schedule.t_of_lam(lam)) for lam in (-7.0, 7.0))
    x = noise_at(schedule, first, (5, 2))
    found = sample_adaptive(
        DATA.model(schedule, "flow"), x, schedule, prediction="flow", rtol=1e-5, atol=1e-5,
        final="t_end",
    )  # fmt: skip
    assert (found.t[0], found.t[-1]) == (first, last)
    assert np.abs(found.x - DATA.flow(schedule, x, first, last)).max() < 20e-5


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_all_predictions_take_the_same_steps(prediction):
    reference = sample_adaptive(DATA.model(VP), X, VP)
    found = sample_adaptive(DATA.model(VP, prediction), X, VP, prediction=prediction)
    assert (found.nfe, found.rejected) == (reference.nfe, reference.rejected)
    assert_close(found.x, reference.x, operations=1e5)
    assert_close(found.t, reference.t, operations=1e5)


def test_relative_and_absolute_tolerances():
    counts = [
        sample_adaptive(DATA.model(VP), X, VP, rtol=rtol, atol=atol).nfe
        for rtol, atol in ((1e-2, 1e-2), (0.0, 1e-4), (1e-4, 0.0), (1e-6, 1e-6))
    ]
    assert counts[0] < min(counts[1:3])
    assert max(counts[1:3]) < counts[3]
    one = sample_adaptive(DATA.model(VP), X, VP, rtol=0.0, atol=1e-4)
    other = sample_adaptive(DATA.model(VP), X, VP, rtol=0.0, atol=np.full(2, 1e-4))
    assert np.array_equal(one.x, other.x)


# --- by sample, by step ---------------------------------------------------------------------------


def bent(x, t):
    return np.tanh(3 * x) + t * np.sin(2 * x)


@pytest.mark.parametrize("method", ["etdpec", "zoto_bowman43"])
@pytest.mark.parametrize("easy", [3, 99], ids=["few", "many"])
def test_easy_neighbours_make_no_sample_worse(method, easy):
    """Their error is 0, so that the mean over the batch would be less."""
    x = np.concatenate([X[:1], np.zeros((easy, 2))])
    options = {"method": method, "rtol": 1e-4, "atol": 1e-4}
    alone, beside = (sample_adaptive(bent, own, VP, **options) for own in (X[:1], x))
    assert np.array_equal(alone.t, beside.t)
    assert np.array_equal(alone.x[0], beside.x[0])
    assert np.array_equal(alone.estimates[:, 0], beside.estimates[:, 0])
    assert not beside.estimates[:, 1:].any()


@pytest.mark.parametrize("method", ["etdpec", "etdpece", "zoto_bowman43"])
def test_every_sample_keeps_the_tolerance(method, xp):
    def model(x, t):
        return xp.asarray(bent(to_numpy(x), t))

    atol = np.array([1e-3, 5e-4])
    found = sample_adaptive(model, xp.asarray(X), VP, method=method, rtol=0.0, atol=atol)
    assert found.estimates.shape == (len(found.t) - 1, len(X))
    assert 1e-4 < found.estimates.max() <= 1e-3


def test_estimates_and_order_of_a_pair_are_those_of_its_plan():
    pair = methods.dpm23()
    found = sample_adaptive(bent, X, VP, method=pair, rtol=1e-3, atol=1e-3)
    own = diffusion.Sampler("own", diffusion.Parameterisation("eps", "lambda"), pair, "own")
    made = diffusion.plan(VP, method=own, grid=found.t, estimate=True)
    path = diffusion.follow(made, bent, X, trajectory=True)
    assert_close(found.estimates, path.estimates, operations=1e5)
    assert found.orders.tolist() == [pair.order] * made.steps


@pytest.mark.parametrize("method", ["etdpec", "etdpece"])
def test_orders_grow_from_two(method):
    found = sample_adaptive(bent, X, VP, method=method, rtol=1e-6, atol=1e-6)
    assert found.orders.shape == (len(found.t) - 1,)
    assert found.orders[0] == 2
    assert np.diff(found.orders).max() == 1
    assert 4 < found.orders.max() <= 6


# --- a limit of evaluations -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 2), (64, 2)], ids=["interpreted", "compiled"])
@pytest.mark.parametrize("method", ["etdpec", "zoto_bowman43"])
@pytest.mark.parametrize("final", ["t_end", "denoise"])
def test_a_limit_of_evaluations(final, method, shape):
    x = noise_at(VP, 1.0, shape)
    options = {"rtol": 1e-4, "atol": 1e-4, "final": final, "method": method}
    free = sample_adaptive(DATA.model(VP), x, VP, **options)
    enough = sample_adaptive(DATA.model(VP), x, VP, max_nfe=free.nfe, **options)
    assert np.array_equal(enough.x, free.x)
    assert (enough.nfe, enough.rejected) == (free.nfe, free.rejected)
    for most in (1, 2, 3, free.nfe // 2, free.nfe - 1):
        asked: list[float] = []
        steps: list[float] = []
        with refused(
            f"max_nfe={most}: ", "larger rtol and atol, or a larger max_nfe",
            error=EvaluationLimitError,
        ) as caught:  # fmt: skip
            sample_adaptive(
                DATA.model(VP, asked=asked), x, VP, max_nfe=most,
                callback=lambda t, x, steps=steps: steps.append(t), **options,
            )  # fmt: skip
        error = caught.value
        assert error.nfe == len(asked) == most - (final == "denoise")
        assert error.steps == len(steps)
        assert error.t == (steps[-1] if steps else VP.t_start)
        assert error.t in free.t
        assert f"t={error.t:.6g} after {error.steps} steps" in str(error)
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.t, again.steps, again.nfe) == (
            str(error), error.t, error.steps, error.nfe
        )  # fmt: skip
    assert error.steps > 3


# --- what it returns ------------------------------------------------------------------------------


@pytest.mark.parametrize("final", ["t_end", "denoise"])
@pytest.mark.parametrize("variable", ["t", "rho", "lambda"])
@pytest.mark.parametrize(
    "schedule", [VPLinear(), Discrete.linear()], ids=lambda s: type(s).__name__
)
def test_evaluations_are_counted_and_lie_inside(schedule, variable, final):
    asked: list[float] = []
    x = noise_at(schedule, schedule.t_start, (4, 2))
    model = DATA.model(schedule, asked=asked)
    found = sample_adaptive(model, x, schedule, quantity="v", variable=variable, final=final)
    assert found.nfe == len(asked)
    # Models look their times up in tables: the ends must be met exactly.
    assert asked[0] == schedule.t_start == max(asked)
    assert min(asked) == schedule.t_end
    assert (asked[-1] == schedule.t_end) or final == "t_end"


def test_denoising_is_one_evaluation_more():
    asked: list[float] = []
    model = DATA.model(VP, asked=asked)
    plain = sample_adaptive(model, X, VP, final="t_end")
    found = sample_adaptive(model, X, VP)
    assert found.nfe == plain.nfe + 1
    assert np.array_equal(found.t, plain.t)
    alpha, sigma = VP.alpha(VP.t_end), VP.sigma(VP.t_end)
    expected = (plain.x - sigma * model(plain.x, VP.t_end)) / alpha
    assert_close(found.x, expected, operations=10)


@pytest.mark.parametrize("variable", ["t", "rho", "lambda"])
def test_times_are_a_grid_for_a_plan(variable):
    found = sample_adaptive(
        DATA.model(VP), X, VP, quantity="v", variable=variable, rtol=1e-4, atol=1e-4
    )
    assert (found.t[0], found.t[-1]) == (VP.t_start, VP.t_end)
    assert (np.diff(found.t) < 0).all()
    made = diffusion.plan(VP, method="logrhoab3", grid=found.t, final="denoise")
    assert made.steps == len(found.t) - 1
    once_more = diffusion.follow(made, DATA.model(VP), X)
    # The largest measured was 0.016; on uniform grids of as many steps 0.05 to 0.15.
    assert np.abs(once_more - found.x).max() < 0.02


def test_callback_sees_all_steps_in_time():
    seen: list[tuple[float, np.ndarray]] = []
    found = sample_adaptive(
        DATA.model(VP), X, VP, final="t_end", callback=lambda t, x: seen.append((t, x))
    )
    assert [t for t, _ in seen] == found.t[1:].tolist()
    assert np.array_equal(seen[-1][1], found.x)


def test_first_step_and_controller_are_those_of_solve():
    options = {"method": methods.dpm23(), "t_start": 0.9, "rtol": 1e-4, "atol": 1e-4}
    by_default, other = (
        sample_adaptive(linear, X, VP, first_step=0.05, controller=controller, **options)
        for controller in ("PI", "I")
    )
    lam = [float(VP.lam(t)) for t in by_default.t[:2]]
    assert lam[1] - lam[0] == pytest.approx(0.05, rel=1e-9)
    assert not np.array_equal(by_default.t, other.t)


def test_rejected_steps():
    found = sample_adaptive(DATA.model(VP), X, VP, rtol=1e-5, atol=1e-5)
    assert found.rejected > 0
    # One evaluation for each attempt, one to begin with, and one to denoise; and trial steps.
    assert found.nfe >= found.rejected + len(found.t)


def test_other_ends():
    data = Gaussian()
    x = noise_at(VP, 0.8, (4, 3))
    found = sample_adaptive(
        data.model(VP), x, VP, t_start=0.8, t_end=0.2, rtol=1e-6, atol=1e-6, final="t_end"
    )
    assert (found.t[0], found.t[-1]) == (0.8, 0.2)
    assert np.abs(found.x - data.flow(VP, x, 0.8, 0.2)).max() < 1e-4


# --- arrays ---------------------------------------------------------------------------------------


def linear(x, t):
    return 0.5 * x


@pytest.mark.parametrize("name", ["float32", "float64"])
@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_library_and_dtype_are_kept(xp, name, prediction):
    x = xp.asarray(X.astype(name))
    found = sample_adaptive(linear, x, VP, prediction=prediction)
    assert type(found.x) is type(x)
    assert found.x.dtype == x.dtype
    reference = sample_adaptive(linear, X, VP, prediction=prediction)
    assert found.nfe == reference.nfe
    assert_close(to_numpy(found.x), reference.x.astype(name), operations=1e4)


def test_states_of_any_shape():
    reference = sample_adaptive(linear, X, VP)
    found = sample_adaptive(linear, X.reshape(4, 2, 1, 1), VP)
    assert np.array_equal(found.x.ravel(), reference.x.ravel())


def test_the_noise_is_left_alone():
    x = X.copy()
    sample_adaptive(linear, x, VP)
    assert np.array_equal(x, X)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_a_model_may_reuse_its_memory_and_write_into_its_input(library, prediction):
    xp = pytest.importorskip(library)
    x = xp.asarray(X.copy())
    buffer = xp.empty_like(x)

    def reusing(x, t):
        buffer[...] = linear(x, t)
        x[...] = np.nan
        return buffer

    found = sample_adaptive(reusing, x, VP, prediction=prediction)
    expected = sample_adaptive(linear, xp.asarray(X.copy()), VP, prediction=prediction)
    assert (found.x == expected.x).all()
    assert np.array_equal(x, X)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"quantity": "noise"}, ("quantity='noise' is not known",)),
        ({"variable": "sigma"}, ("variable='sigma' is not known",)),
        ({"prediction": "noise"}, ("prediction='noise' is not known",)),
        ({"final": "zero"}, ("final='zero' is not known", "denoise, t_end")),
        ({"method": "tab33"}, ("method='tab33' is not known",)),
    ],
)
def test_unknown_names(options, parts):
    with refused(*parts, error=UnknownName):
        sample_adaptive(linear, X, VP, **options)


@pytest.mark.parametrize("variable", ["t", "lambda"])
def test_quantities_whose_estimate_sees_nothing(variable):
    """One step to the data, of x_0 at its end alone, agrees with itself whatever it is."""
    with refused("quantity='x0' must be one of", "near sigma = 0"):
        sample_adaptive(linear, X, VP, quantity="x0", variable=variable)
    with refused("quantity='velocity' must be one of", "nothing linear"):
        sample_adaptive(linear, X, VP, quantity="velocity", variable="t")


@pytest.mark.parametrize("method", ["etdab3", "hochbruck_ostermann4"])
def test_methods_without_an_estimate(method):
    with refused(f"method='{method}' has no estimate of its error", "etdpec"):
        sample_adaptive(linear, X, VP, method=method)


def test_estimates_that_are_blind_to_time():
    with refused("krogstad4 does not see a change of the model with time", "zoto_bowman43"):
        sample_adaptive(DATA.model(VP), X, VP, method="krogstad4")


@pytest.mark.parametrize("variable", ["t", "rho", "lambda"])
@pytest.mark.parametrize("below", [2.0, 0.5])
def test_messages_tell_the_time_of_the_schedule(variable, below):
    """And not the value of the variable, which `solve` calls t."""
    seen = []

    def model(x, t):
        seen.append(t)
        return x * (np.nan if t < below else 0.5)

    with pytest.raises(NonFiniteError) as caught:
        sample_adaptive(model, X, VP, variable=variable)
    places = [f"evaluation {i} (t = {t:.9g}) returned NaN" for i, t in enumerate(seen, start=1)]
    found = [t for t, place in zip(seen, places, strict=True) if place in str(caught.value)]
    assert len(found) == 1
    assert found[0] < below


@pytest.mark.parametrize("variable", ["t", "rho", "lambda"])
@pytest.mark.parametrize("samples", [4, 200], ids=["small", "in compiled loops"])
@pytest.mark.parametrize("method", ["etdpec", "zoto_bowman43"])
@pytest.mark.parametrize(
    ("value", "parts"),
    [(1e30, ("at t = 0.5 the step size",)), (np.nan, ("t = 0.5", "returned NaN"))],
    ids=["jumps", "is not finite"],
)
def test_so_they_do_where_no_step_leads_on(variable, samples, method, value, parts):
    def model(x, t):
        return x * (value if t < 0.5 else 0.5)

    x = noise_at(VP, 1.0, (samples, 2))
    with refused(*parts, error=NonFiniteError):
        sample_adaptive(model, x, VP, variable=variable, method=method)


def test_tolerances_beyond_the_digits_speak_of_the_dtype():
    with refused("rtol=1e-08 must be", "1.2e-06, ten machine epsilons of float32"):
        sample_adaptive(linear, X.astype(np.float32), VP, rtol=1e-8)


@pytest.mark.parametrize("variable", ["t", "rho", "lambda"])
@pytest.mark.parametrize("quantity", ["eps", "v", "flow"])
def test_no_beginning_at_pure_noise(quantity, variable):
    with refused("t_start=1, t_end=0.1: alpha", "choose ends inside the path"):
        sample_adaptive(
            linear, X, Flow(), quantity=quantity, variable=variable, prediction="flow",
            t_start=1.0, t_end=0.1,
        )  # fmt: skip


@pytest.mark.parametrize("variable", ["t", "rho", "lambda"])
def test_no_end_at_the_data(variable):
    with refused("t_start=0.9, t_end=0: ", "choose ends inside the path"):
        sample_adaptive(linear, X, Flow(), variable=variable, t_start=0.9, t_end=0.0)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"t_start": 5.0}, ("t_start=5.0 lies outside",)),
        ({"t_end": -1.0}, ("t_end=-1.0 lies outside",)),
        ({"t_start": "1"}, ("t_start='1' must be",)),
        ({"t_start": np.nan}, ("t_start=nan must be",)),
        ({"t_start": 0.1, "t_end": 0.9}, ("t_start=0.1", "greater than", "t_end=0.9")),
        ({"t_start": 0.5, "t_end": 0.5}, ("t_start=0.5", "greater than", "t_end=0.5")),
        ({"rtol": -1.0}, ("rtol=-1.0",)),
        ({"rtol": 1e-30, "atol": 0.0}, ("rtol=1e-30", "machine epsilons")),
        ({"atol": np.ones(7)}, ("atol has shape (7,)",)),
        ({"max_nfe": 0}, ("max_nfe=0 must be a whole number of at least 1",)),
        ({"max_nfe": 2.5}, ("max_nfe=2.5 must be a whole number",)),
        ({"max_nfe": "20"}, ("max_nfe='20' must be a whole number",)),
        ({"callback": 3}, ("callback=3 must be a function",)),
        ({"first_step": -1.0}, ("first_step=-1.0 must be a positive number",)),
        ({"controller": "PI"}, ("controller='PI' is for embedded pairs",)),
    ],
)
def test_bad_arguments(options, parts):
    with refused(*parts):
        sample_adaptive(linear, X, VP, **options)


def test_what_is_no_model():
    with refused("model=None must be callable as model(x, t)"):
        sample_adaptive(None, X, VP)


def test_what_is_no_schedule_and_no_state():
    with refused("schedule='vp' must be a NoiseSchedule"):
        sample_adaptive(linear, X, "vp")
    with refused("x_T must be an array", "list"):
        sample_adaptive(linear, X.tolist(), VP)
    with refused("x_T has dtype float16"):
        sample_adaptive(linear, X.astype(np.float16), VP)


def test_bfloat16_is_too_coarse():
    torch = pytest.importorskip("torch")
    with refused("x_T has dtype torch.bfloat16"):
        sample_adaptive(linear, torch.from_numpy(X).to(torch.bfloat16), VP)


@pytest.mark.parametrize("bad", [lambda x: x[:1], lambda x: x.astype(np.float32)])
@pytest.mark.parametrize("last", [False, True])
def test_answers_of_another_kind(bad, last):
    """At the last evaluation, which reads x_0 off, as at all others; the time is named, not u."""

    def model(x, t):
        return bad(x) if not last or t == VP.t_end else 0.5 * x

    time = "0.001" if last else "1"
    with refused(f"t = {time}", "returned", "it must return", error=ModelOutputError):
        sample_adaptive(model, X, VP)


@pytest.mark.parametrize("below", [2.0, 0.5, 0.0011])
def test_answers_that_are_not_finite(below):
    def model(x, t):
        return x * (np.nan if t < below else 0.5)

    with refused("NaN or infinity", "check the model there", error=NonFiniteError):
        sample_adaptive(model, X, VP)


def test_tolerances_out_of_reach():
    """Answers with noise in them: no step is short enough."""
    noise = np.random.default_rng(0)

    def model(x, t):
        return 0.5 * x + 1e4 * noise.standard_normal(x.shape)

    with refused("rtol=1e-13, atol=1e-14", "lambda", error=NonFiniteError):
        sample_adaptive(model, X, VP, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("method", ["unipc3", "sa_solver", diffusion.catalogue.get("tab3")])
def test_samplers_are_no_adaptive_methods(method):
    with pytest.raises(InvalidArgument, match="is a sampler for given steps"):
        diffusion.sample_adaptive(
            lambda x, t: x, np.ones((2, 3)), diffusion.VPLinear(), method=method
        )
