"""Choosing samplers and fitting grids: what is found is what is best, and what it says is so."""

from __future__ import annotations

import copy
import logging
import pickle
import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_problems import PREDICTIONS, SCHEDULES, Mixture, noise_at
from semilinear import diffusion
from semilinear.diffusion import Flow, Parameterisation, Sampler, VPLinear, choose, fit_grid
from semilinear.diffusion.catalogue import get
from semilinear.diffusion.fitting import ENDS, FAMILIES, FIRST, SECOND
from semilinear.diffusion.pilot import Pilot
from semilinear.errors import InvalidArgument, UnknownName
from semilinear.methods import etdab
from tolerances import to_numpy

VP = VPLinear()
DATA = Mixture()
MODEL = DATA.model(VP)
LIKE = np.zeros((1, 2))
TWO = ("tab2", "unipc2")
FEW = {"nfe": 5, "samples": 3, "reference": 40, "methods": TWO}


def refused(*parts: str, error: type[Exception] = InvalidArgument):
    """Expect an error whose message holds these parts in this order."""
    return pytest.raises(error, match=".*".join(re.escape(part) for part in parts))


@pytest.fixture(scope="module")
def fit():
    return choose(MODEL, LIKE, VP, **FEW)


def same(one, other):
    """Whether two fits are one, to the last bit."""
    return (
        one.sampler == other.sampler
        and one.final == other.final
        and np.array_equal(one.times, other.times)
        and one.candidates == other.candidates
        and one.error == other.error
    )


# --- the pilot ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vp_linear", "ve", "edm", "ddpm_cosine", "subvp"])
def test_pilot_follows_the_flow(name):
    schedule = SCHEDULES[name]
    pilot = Pilot(DATA.model(schedule), schedule, LIKE, samples=5, nfe=200)
    first, last = schedule.t_start, schedule.t_end
    end = DATA.flow(schedule, pilot.x_T, first, last)
    target = DATA.denoised(end, schedule.alpha(last), schedule.sigma(last))
    # The best of choose() have errors of some 0.05 with 5 evaluations.
    assert np.abs(pilot.target - target).max() < 2e-3
    assert pilot.evaluations == 200


def test_pilot_of_a_flow_path():
    flow = Flow()
    coarse, fine = (
        Pilot(DATA.model(flow, "flow"), flow, LIKE, samples=4, nfe=nfe, prediction="flow")
        for nfe in (100, 400)
    )
    assert np.array_equal(coarse.x_T, fine.x_T)
    assert np.abs(coarse.target - fine.target).max() < 2e-3


def test_pilot_begins_like_a_run():
    pilot = Pilot(MODEL, VP, LIKE, samples=4, nfe=20, seed=5)
    expected = VP.sigma(1.0) * diffusion.SeededNoise(5, LIKE, count=4).initial()
    assert np.array_equal(pilot.x_T, expected)


def test_pilot_begins_on_the_path():
    """At a t_start inside of it states hold data already."""
    pilot = Pilot(MODEL, VP, LIKE, samples=4, nfe=20, seed=5, t_start=0.4)
    begin = VP.sigma(1.0) * diffusion.SeededNoise(5, LIKE, count=4).initial()
    assert np.abs(pilot.x_T - DATA.flow(VP, begin, 1.0, 0.4)).max() < 2e-3
    assert pilot.evaluations > 20


def test_errors_are_those_of_samples():
    pilot = Pilot(MODEL, VP, LIKE, samples=4, nfe=40)
    made = diffusion.plan(VP, steps=5, final="denoise")
    off = diffusion.follow(made, MODEL, pilot.x_T) - pilot.target
    assert np.array_equal(pilot.errors(made), np.sqrt((off**2).mean(axis=1)))
    assert pilot.error(made) == pytest.approx(np.sqrt((off**2).mean(axis=1)).mean())


# --- choosing -------------------------------------------------------------------------------------


def all_errors(schedule, samples, nfe, methods, reference, prediction="eps"):
    """Every plan that choose() may take, made here once more, and its error."""
    model = DATA.model(schedule, prediction)
    pilot = Pilot(model, schedule, LIKE, samples=samples, nfe=reference, prediction=prediction)
    own = schedule.t_end
    ends = [(own, "denoise" if schedule.sigma(own) else "t_end")]
    inside = [rho for rho in ENDS if schedule.rho(own) < rho < schedule.rho(schedule.t_start)]
    ends += [(schedule.t_of_rho(rho), final) for rho in inside for final in ("denoise", "zero")]
    for method, (t_end, final), grid in product(methods, ends, FAMILIES.values()):
        if final == "zero" and get(method).parameterisation.quantity != "eps":
            continue
        try:
            made = diffusion.plan(
                schedule, method=method, nfe=nfe, grid=grid, final=final, t_end=t_end,
                prediction=prediction,
            )  # fmt: skip
        except InvalidArgument:  # of grids that cannot begin at alpha = 0
            assert schedule.alpha(schedule.t_start) == 0
            continue
        off = diffusion.follow(made, model, pilot.x_T) - pilot.target
        yield float(np.sqrt((off**2).mean(axis=1)).mean()), made


@pytest.mark.parametrize("name", ["vp_linear", "flow"])
def test_the_least_error_of_all(name):
    schedule = SCHEDULES[name]
    prediction = "flow" if name == "flow" else "eps"
    model = DATA.model(schedule, prediction)
    fit = choose(model, LIKE, schedule, prediction=prediction, **FEW)
    errors = sorted(all_errors(schedule, 3, 5, TWO, 40, prediction), key=lambda row: row[0])
    assert [error for *_, error in fit.candidates] == [error for error, _ in errors]
    assert fit.error == errors[0][0]
    assert np.array_equal(fit.plan().t, errors[0][1].t)
    assert fit.plan().name == errors[0][1].name


def test_many_samples_are_tried_on_a_few_first():
    samples = FIRST + 4
    fit = choose(MODEL, LIKE, VP, **{**FEW, "samples": samples})
    first = sorted(all_errors(VP, FIRST, 5, TWO, 40), key=lambda row: row[0])[:SECOND]
    pilot = Pilot(MODEL, VP, LIKE, samples=samples, nfe=40)
    errors = sorted(pilot.error(made) for _, made in first)
    assert [error for *_, error in fit.candidates] == errors
    assert fit.error == errors[0]


def test_the_error_is_that_of_its_plan(fit):
    assert Pilot(MODEL, VP, LIKE, samples=3, nfe=40).error(fit.plan()) == fit.error
    assert fit.error == fit.candidates[0][2]
    assert fit.plan().sampler == fit.sampler == get(fit.candidates[0][0])


@pytest.mark.parametrize("samples", [2, 8])
def test_evaluations_are_counted(samples):
    asked: list[int] = []

    def model(x, t):
        asked.append(len(x))
        return MODEL(x, t)

    fit = choose(model, LIKE, VP, **{**FEW, "samples": samples})
    assert fit.evaluations == sum(asked) // samples


@pytest.mark.parametrize("nfe", [2, 3, 8])
def test_budgets(nfe):
    fit = choose(MODEL, LIKE, VP, **{**FEW, "nfe": nfe, "methods": ("tab2", "rho_heun2")})
    assert 0 < fit.plan().nfe <= nfe
    assert np.isfinite(fit.error)
    assert f"{fit.plan().nfe} evaluations" in fit.reason


def test_more_evaluations_are_nearer():
    errors = [choose(MODEL, LIKE, VP, **{**FEW, "nfe": nfe}).error for nfe in (3, 6, 12)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize("prediction", ["x0", "flow"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_all_schedules(name, prediction):
    schedule = SCHEDULES[name]
    options = {**FEW, "methods": ("tab1",), "samples": 2, "prediction": prediction}
    fit = choose(DATA.model(schedule, prediction), LIKE, schedule, **options)
    made = fit.plan()
    assert made.nfe <= 5
    assert made.prediction == prediction
    assert made.schedule is schedule
    assert fit.times[0] == schedule.t_start
    assert (np.diff(fit.times) < 0).all()
    x = noise_at(schedule, schedule.t_start, (3, 2))
    assert np.isfinite(diffusion.follow(made, DATA.model(schedule, prediction), x)).all()


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_prediction_does_not_matter(fit, prediction):
    found = choose(DATA.model(VP, prediction), LIKE, VP, prediction=prediction, **FEW)
    assert found.reason == fit.reason
    assert found.error == pytest.approx(fit.error, rel=1e-6)


def test_other_beginnings():
    fit = choose(MODEL, LIKE, VP, t_start=0.7, **FEW)
    assert fit.times[0] == fit.plan().t[0] == 0.7


def test_samplers_of_ones_own():
    own = Sampler("mine", Parameterisation("v", "lambda"), etdab(3), "own")
    for methods in (own, [own], (own, "ddim")):
        fit = choose(MODEL, LIKE, VP, **{**FEW, "methods": methods})
        assert fit.sampler is own
        assert fit.reason.startswith("mine (v over lambda, order 3)")
    alone = choose(MODEL, LIKE, VP, **{**FEW, "methods": "ddim"})
    assert {name for name, *_ in alone.candidates} == {"ddim"}


# --- what it depends on ---------------------------------------------------------------------------


def test_the_seed_decides(fit):
    assert same(fit, choose(MODEL, LIKE, VP, **FEW))
    other = choose(MODEL, LIKE, VP, seed=1, **FEW)
    assert other.error != fit.error
    assert same(other, choose(MODEL, LIKE, VP, seed=np.random.default_rng(1).integers(1, 2), **FEW))


@pytest.mark.parametrize(
    "like", [np.full((7, 2), np.nan), np.zeros((0, 2)), np.asfortranarray(np.ones((5, 2)))]
)
def test_like_tells_shape_and_kind_alone(fit, like):
    assert same(fit, choose(MODEL, like, VP, **FEW))


def test_array_libraries_agree(fit, xp):
    def model(x, t):
        return xp.asarray(MODEL(to_numpy(x), t))

    found = choose(model, xp.zeros((1, 2), dtype=xp.float64), VP, **FEW)
    assert found.reason == fit.reason
    assert found.error == pytest.approx(fit.error, rel=1e-9)


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_networks_of_low_precision(name):
    torch = pytest.importorskip("torch")
    dtype = getattr(torch, name)

    def model(x, t):
        assert x.dtype == dtype
        return torch.from_numpy(MODEL(x.double().numpy(), t)).to(dtype)

    found = choose(model, torch.zeros(1, 2, dtype=dtype), VP, **FEW)
    assert 1e-3 < found.error < 0.2


# --- what it says ---------------------------------------------------------------------------------


def test_the_reason(fit):
    sampler = fit.sampler
    cell = sampler.parameterisation
    name, family, error = next(row for row in fit.candidates if row[0] != sampler.name)
    assert fit.reason == (
        f"{sampler.name} ({cell.quantity} over {cell.variable}, order {sampler.order}) on the grid "
        f"{fit.family}, {fit.plan().nfe} evaluations: mean error {fit.error:.4g} on the pilot, "
        f"the least of {len(fit.candidates)} compared; next {name} on {family} with {error:.4g}"
    )
    assert fit.final in fit.family
    end = fit.times[-1]
    assert f"to rho={VP.rho(end):.2g}" in fit.family


def test_a_reason_without_rivals():
    alone = choose(MODEL, LIKE, VP, **{**FEW, "methods": "tab1"})
    assert "next" not in alone.reason
    assert alone.reason.endswith("compared")


def test_the_text_lists_the_best(fit):
    lines = str(fit).splitlines()
    assert lines[0] == fit.reason
    assert len(lines) == 13
    for line, (name, family, error) in zip(lines[1:], fit.candidates, strict=False):
        assert line.split() == [f"{error:.4g}", name, *family.split()]


def test_it_can_be_pickled(fit):
    again = pickle.loads(pickle.dumps(fit))
    assert again.reason == fit.reason
    assert not again.times.flags.writeable
    x = noise_at(VP, 1.0, (3, 2))
    one, other = (diffusion.follow(own.plan(), MODEL, x) for own in (fit, again))
    assert np.array_equal(one, other)


def test_fits_are_told_apart_by_identity(fit):
    again = copy.copy(fit)
    assert (fit == again, fit == fit, len({fit, again})) == (False, True, 2)


def test_times_are_a_grid_for_other_plans(fit):
    made = diffusion.plan(VP, method="dpmpp_2m", grid=fit.times, final=fit.final)
    assert np.array_equal(made.t, fit.plan().t)


# --- models that fail -----------------------------------------------------------------------------


def test_plans_that_end_in_nan_are_left_out():
    """Below a time that the reference has passed, answers are NaN from now on."""
    calls = []

    def model(x, t):
        calls.append(t)
        return MODEL(x, t) * (np.nan if len(calls) > 40 and t < 0.02 else 1.0)

    fit = choose(model, LIKE, VP, **FEW)
    assert len(calls) > 40
    assert min(fit.plan().times) >= 0.02
    assert 0 < len(fit.candidates) < 115
    assert all(np.isfinite(error) for *_, error in fit.candidates)


def test_no_plan_that_works():
    calls = []

    def model(x, t):
        calls.append(t)
        return MODEL(x, t) * (np.nan if len(calls) > 40 else 1.0)

    with refused("no plan has a finite error"):
        choose(model, LIKE, VP, **FEW)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"nfe": 0}, ("nfe=0 must be a whole number",)),
        ({"nfe": 1.5}, ("nfe=1.5 must be a whole number",)),
        ({"nfe": True}, ("nfe=True must be a whole number",)),
        ({"samples": 0}, ("samples=0 must be a whole number",)),
        ({"samples": "many"}, ("samples='many' must be a whole number",)),
        ({"reference": 0}, ("reference=0 must be",)),
        ({"reference": 19}, ("reference=19 must be at least 20",)),
        ({"methods": ()}, ("methods is empty",)),
        ({"methods": 5}, ("method=5 ",)),
        ({"methods": ("tab3", "ddpm")}, ("method='ddpm' is stochastic", "the ODE")),
        ({"seed": -1}, ("seed=-1 must be",)),
        ({"seed": [1, 2]}, ("seed has 2 entries for 3 samples",)),
        ({"allow_noise": 1.0}, ("allow_noise=1.0 must be True or False",)),
        ({"nfe": 1, "methods": ("rho_rk4",)}, ("nfe=1: none of the samplers has a plan",)),
        ({"whole_times": True}, ("none of the samplers has a plan at whole times",)),
        ({"t_start": 5.0}, ("t_start=5.0 lies outside",)),
        ({"t_start": 1e-3}, ("t_start=0.001 must be greater than t_end=0.001",)),
    ],
)
def test_bad_arguments(options, parts):
    with refused(*parts):
        choose(MODEL, LIKE, VP, **{**FEW, **options})


def test_unknown_names():
    for options in ({"methods": ("nosuch",)}, {"prediction": "noise"}):
        with refused("is not known", error=UnknownName):
            choose(MODEL, LIKE, VP, **{**FEW, **options})


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ([[0.0]], "x must be an array"),
        (np.zeros(()), "x has no axis"),
        (np.zeros((2, 0)), "x has shape (2, 0); samples without entries cannot be compared"),
        (np.zeros((2, 2), complex), "like has dtype complex128"),
    ],
)
def test_what_states_are_not_like(like, message):
    with refused(message):
        choose(MODEL, like, VP, **FEW)


def test_what_is_no_schedule():
    with refused("schedule='vp' must be a NoiseSchedule"):
        choose(MODEL, LIKE, "vp", **FEW)


def test_a_plan_or_a_schedule_in_the_place_of_x():
    said = "must be an array like a batch of states, such as x_T of sample"
    with refused("x=Plan(tab3", said, "fit_grid(model, x, plan)"):
        fit_grid(MODEL, diffusion.plan(VP, nfe=6), 6)
    with refused("x=VPLinear(", said, "fit_grid(model, x, schedule)"):
        fit_grid(MODEL, VP, LIKE)
    with refused("x=VPLinear(", said, "choose(model, x, schedule)"):
        choose(MODEL, VP, LIKE)


# --- fitted grids ---------------------------------------------------------------------------------

SMALL = {"nfe": 4, "samples": 4, "reference": 40, "sweeps": 1}


@pytest.mark.parametrize("method", ["tab3", "unipc2", "ddim", "rho_heun2", "dpmpp_2m"])
def test_fitted_grids_are_judged_on_other_samples(method):
    first = choose(MODEL, LIKE, VP, nfe=4, samples=4, reference=40, methods=method)
    fit = fit_grid(MODEL, LIKE, VP, method=method, **SMALL)
    pilot, other = (Pilot(MODEL, VP, LIKE, samples=4, nfe=40, seed=seed) for seed in (0, 1))
    before = other.error(first.plan())
    assert fit.error == other.error(fit.plan()) <= before
    assert fit.candidates[0] == (method, fit.family, fit.error)
    assert before in [error for *_, error in fit.candidates]
    if fit.family != first.family:
        assert fit.family == f"fitted from {first.family}"
        assert fit.error < before
        assert pilot.error(fit.plan()) < first.error
    else:
        assert np.array_equal(fit.times, first.times)
    assert fit.plan().nfe == first.plan().nfe <= 4
    assert fit.times[0] == VP.t_start
    assert (np.diff(fit.times) < 0).all()


def test_a_fitted_grid_is_nearer():
    """Euler's even grid is far from the best: some of its points move."""
    fit = fit_grid(MODEL, LIKE, VP, method="ddim", **SMALL)
    assert fit.family.startswith("fitted from")
    (_, _, after), (_, _, before) = fit.candidates
    assert after < before
    with pytest.raises(ValueError, match="read-only"):
        fit.times[0] = 0.5
    assert fit.reason.startswith("ddim (eps over rho, order 1) on the grid fitted from")


@pytest.mark.parametrize("name", ["flow", "ddpm_linear", "edm"])
def test_grids_of_other_schedules(name):
    schedule = SCHEDULES[name]
    model = DATA.model(schedule, "flow")
    fit = fit_grid(model, LIKE, schedule, method="tab1", prediction="flow", **SMALL)
    assert fit.times[0] == schedule.t_start
    assert fit.times[-1] >= schedule.t_end
    assert (np.diff(fit.times) < 0).all()
    if fit.final == "t_end":
        assert fit.times[-1] == schedule.t_end
    assert fit.plan().nfe <= 4


@pytest.mark.parametrize(
    "given",
    [{"t_end": 0.05}, {"final": "zero"}, {"t_end": 0.2, "final": "denoise"}, {"final": "t_end"}],
    ids=str,
)
def test_what_is_given_of_the_ending_stays(given):
    fit = fit_grid(MODEL, LIKE, VP, method="tab1", **SMALL, **given)
    assert fit.family.startswith("fitted from")
    assert fit.final == given.get("final", fit.final)
    if "t_end" in given:
        assert fit.times[-1] == given["t_end"]
    if fit.final == "t_end":
        assert fit.times[-1] == VP.t_end
    assert all(fit.final in family for _, family, _ in fit.candidates)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "sa_solver", "noise": 0.0, "lower_end": True, "final": "denoise"},
        {"method": "sa_solver", "noise": diffusion.Tau(0.0), "exact": True, "final": "zero"},
        {"method": "tab2", "start": "rk", "t_start": 0.9, "t_end": 0.05, "final": "denoise"},
        {"method": "dpmpp_3m", "lower_end": "zero", "final": "zero", "estimate": True},
        {"method": "ddim", "prediction": "x0", "grid": [1.0, 0.5, 0.1, 0.01], "final": "denoise"},
    ],
    ids=str,
)
def test_the_grid_of_a_plan_is_fitted(options):
    """Nothing of it changes but the grid."""
    made = diffusion.plan(VP, **{"steps": None if "grid" in options else 4, **options})
    prediction = options.get("prediction", "eps")
    model = DATA.model(VP, prediction)
    fit = fit_grid(model, LIKE, made, **{**SMALL, "nfe": None})
    found = fit.plan()
    assert found.nfe <= made.nfe
    assert not found.stochastic
    assert found.sampler.method == made.sampler.method
    assert found.recipe == made.recipe
    assert (found.name, found.prediction, found.schedule) == (made.name, prediction, VP)
    assert found.estimates is made.estimates
    expected = diffusion.plan(VP, **{**options, "grid": fit.times, "t_start": None, "t_end": None})
    x = noise_at(VP, fit.times[0], (3, 2))
    one, other = (diffusion.follow(p, model, x, trajectory=True).x for p in (found, expected))
    assert np.array_equal(one, other)


def test_the_end_of_a_grid_moves_unless_it_is_given():
    first = choose(MODEL, LIKE, VP, methods="ddim", nfe=4, samples=4, reference=40)
    fit = fit_grid(MODEL, LIKE, VP, method="ddim", final="denoise", **SMALL)
    assert fit.times[-1] != first.times[-1]
    given = fit_grid(MODEL, LIKE, VP, method="ddim", t_end=first.times[-1], **SMALL)
    assert given.times[-1] == first.times[-1]


def test_what_a_fit_is_made_for_by_default():
    fit = fit_grid(MODEL, LIKE, VP, samples=2, reference=20, sweeps=1)
    assert (fit.sampler.name, fit.plan().nfe, fit.plan().prediction) == ("tab3", 10, "eps")


def test_the_budget_may_be_less_than_that_of_the_plan():
    made = diffusion.plan(VP, method="ddim", steps=12, final="denoise")
    assert fit_grid(MODEL, LIKE, made, **{**SMALL, "nfe": 2}).plan().nfe <= 2


def test_each_sweep_moves_the_points_again():
    one, two = (
        fit_grid(MODEL, LIKE, VP, method="ddim", **{**SMALL, "sweeps": sweeps}).evaluations
        for sweeps in (1, 2)
    )
    assert two > one


def test_a_grid_that_is_good_already_is_where_a_fit_begins():
    """Another sweep begins at what the one before has found, which no rule gives."""
    first = fit_grid(MODEL, LIKE, VP, method="ddim", **SMALL)
    assert first.family.startswith("fitted from")
    again = fit_grid(MODEL, LIKE, first.plan(), **{**SMALL, "nfe": None})
    assert "its own, denoise" in again.family
    assert again.error <= first.error


@pytest.mark.parametrize(
    ("options", "own", "parts"),
    [
        ({"method": "sa_solver"}, {}, ("schedule is a plan of sa_solver", "samplers of the ODE")),
        ({"direction": "encode"}, {}, ("schedule is a plan of tab3", "it encodes")),
        ({"t_start": [0.9, 0.8]}, {}, ("schedule is a plan with times by sample",)),
        ({"t_end": 0.1}, {}, ('final="t_end" with t_end=0.1',)),
        ({}, {"method": "tab3", "final": "zero"}, ("method, final: schedule is a plan",)),
        ({}, {"nfe": 0}, ("nfe=0 must be a whole number",)),
    ],
)
def test_plans_whose_grid_cannot_be_fitted(options, own, parts):
    made = diffusion.plan(VP, steps=4, **options)
    with refused(*parts):
        fit_grid(MODEL, LIKE, made, **{**SMALL, "nfe": None, **own})


def test_a_sampler_whose_noise_is_zero_is_one_of_the_ode():
    silent = get("sa_solver")._replace(noise=diffusion.Tau(0.0))
    fit = choose(MODEL, LIKE, VP, **{**FEW, "methods": silent})
    assert fit.sampler is silent
    assert not fit.plan().stochastic


@settings(max_examples=5)
@given(seed=st.integers(0, 2**63 - 1))
def test_never_worse_on_the_second_pilot(seed):
    options = {"nfe": 3, "samples": 2, "reference": 20}
    fit = fit_grid(MODEL, LIKE, VP, method="tab1", seed=seed, sweeps=1, **options)
    first = choose(MODEL, LIKE, VP, methods="tab1", seed=seed, **options)
    other = Pilot(MODEL, VP, LIKE, samples=2, nfe=20, seed=seed + 1)
    assert fit.error <= other.error(first.plan())


def test_the_seed_after_the_largest_is_the_first():
    options = {"nfe": 2, "samples": 2, "reference": 20, "sweeps": 1, "method": "ddim"}
    fit = fit_grid(MODEL, LIKE, VP, seed=2**64 - 1, **options)
    assert fit.error == Pilot(MODEL, VP, LIKE, samples=2, nfe=20, seed=0).error(fit.plan())


def test_evaluations_of_a_fit_are_counted():
    asked = []

    def model(x, t):
        asked.append(t)
        return MODEL(x, t)

    fit = fit_grid(model, LIKE, VP, method="tab1", **SMALL)
    assert fit.evaluations == len(asked)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"seed": None}, ("seed=None must be an integer",)),
        ({"seed": -1}, ("seed=-1 must be an integer",)),
        ({"seed": True}, ("seed=True must be an integer",)),
        ({"seed": 2**64}, (f"seed={2**64} must be an integer",)),
        ({"sweeps": 0}, ("sweeps=0 must be a whole number",)),
        ({"nfe": 0}, ("nfe=0 must be a whole number",)),
        ({"method": "ddpm"}, ("method='ddpm' is stochastic",)),
        ({"t_end": 2.0}, ("t_end=2.0 lies outside the domain",)),
        ({"t_end": 0.1, "final": "t_end"}, ('final="t_end" with t_end=0.1', "leave t_end out")),
        ({"final": "soon"}, ("final='soon' is not known",)),
    ],
)
def test_bad_arguments_of_a_fit(options, parts):
    with refused(*parts):
        fit_grid(MODEL, LIKE, VP, **{**SMALL, **options})


# --- method="auto" --------------------------------------------------------------------------------


def test_auto_samples_as_chosen_and_says_so(caplog):
    x = noise_at(VP, 1.0, (3, 2))
    with caplog.at_level(logging.INFO, logger="semilinear"):
        found = diffusion.sample(MODEL, x, VP, method="auto", nfe=3)
        part = diffusion.sample(MODEL, x[1:2], VP, method="auto", nfe=3)
    fit = choose(MODEL, x, VP, nfe=3)
    assert np.array_equal(found, diffusion.follow(fit.plan(), MODEL, x))
    assert np.array_equal(part, found[1:2])
    assert [record.getMessage() for record in caplog.records] == [fit.reason] * 2
    assert {record.name for record in caplog.records} == {"semilinear"}


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 5},
        {"t_end": 0.1},
        {"noise": 1.0},
        {"grid": "lambda"},
        {"grid": [1.0, 0.5, 0.1]},
        {"final": "zero"},
        {"start": "rk"},
        {"exact": True},
        {"lower_end": True},
    ],
    ids=str,
)
def test_auto_takes_nothing_that_it_chooses(options):
    (name,) = options
    with refused(name, 'method="auto"', "leave it out"):
        diffusion.sample(MODEL, noise_at(VP, 1.0, (3, 2)), VP, method="auto", nfe=3, **options)
