"""Whether noise corrects a network: told by its own loss, and chosen where it does."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest

from diffusion_problems import PREDICTIONS, SCHEDULES, Gaussian, Mixture, noise_at
from semilinear import diffusion
from semilinear.diffusion import Discrete, VPLinear, choose, correction, fitting, grids
from semilinear.diffusion.correction import (
    BORNE,
    LATE,
    MIDDLE,
    PILOTS,
    SAMPLERS,
    Correction,
    Judge,
    Middle,
)
from semilinear.diffusion.denoising_loss import denoising_losses
from semilinear.diffusion.pilot import Pilot
from semilinear.errors import InvalidArgument, NonFiniteError

VP = VPLinear()
DATA = Mixture(variance=0.01)
MODEL = DATA.model(VP)
LIKE = np.zeros((1, 8, 2))
"""Eight independent pairs: the loss of a sample varies less."""

FEW = {"nfe": 8, "samples": 64}


def drifting(x, t):
    """Exact for little noise; for much noise the model of data that lie elsewhere.

    The flow carries the shift to its end, where the model sees that it is wrong; noise forgets it.
    """
    if VP.rho(t) < 1.0:
        return MODEL(x, t)
    away = np.array([1.3, -0.9])
    alpha, sigma = VP.alpha(t), VP.sigma(t)
    return DATA.noise(x - alpha * away, alpha, sigma)


# --- the loss -------------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", ["vp_linear", "flow", "edm"])
def test_the_loss_is_what_it_says(name, prediction):
    schedule = SCHEDULES[name]
    x = np.random.default_rng(1).standard_normal((5, 2))
    times = [schedule.t_of_rho(rho) for rho in (0.2, 1.5)]
    model, noise = DATA.model(schedule, prediction), diffusion.SeededNoise(3, x)
    found = denoising_losses(model, x, schedule, prediction, times, noise)
    assert found.shape == (5, 2)
    for number, t in enumerate(times):
        z = noise.apart(number)
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        off = DATA.noise(alpha * x + sigma * z, alpha, sigma) - z
        assert found[:, number] == pytest.approx((off**2).mean(axis=1), rel=1e-9)


def test_the_loss_of_a_model_that_works_in_its_input():
    def in_place(x, t):
        x[...] = MODEL(x, t)
        return x

    x = np.random.default_rng(1).standard_normal((5, 2))
    found, expected = (
        denoising_losses(model, x, VP, "eps", (0.2, 0.5), diffusion.SeededNoise(3, x))
        for model in (in_place, MODEL)
    )
    assert np.array_equal(found, expected)


def test_the_loss_is_least_on_data():
    """Of samples of one spread, since a narrow law would have a smaller loss still."""
    rng = np.random.default_rng(0)
    which = rng.random(4000) < DATA.masses[0]
    data = np.where(which[:, None], *DATA.means) + 0.1 * rng.standard_normal((4000, 2))
    times, noise = [VP.t_of_rho(rho) for rho in (0.1, 0.3)], diffusion.SeededNoise(0, data)
    on, off = (
        denoising_losses(MODEL, x, VP, "eps", times, noise).mean(axis=0) for x in (data, data + 0.2)
    )
    assert (off > 1.2 * on).all()


@pytest.mark.parametrize("nfe", [4, 6])
def test_the_loss_is_not_measured_by_the_noise_of_the_run(nfe):
    """As with noise of another seed, whatever few evaluations leave of the run's own in its end."""

    def normal(x, t):
        return VP.sigma(t) * x

    pilot = Pilot(normal, VP, np.zeros((1, 64)), samples=64, nfe=100)
    times, other = Judge(pilot).times, diffusion.SeededNoise(12345, pilot.x_T)
    for _, _, made in Judge(pilot)._plans(nfe):
        end = diffusion.follow(made, normal, pilot.x_T, seed=pilot.noise)
        own, independent = (
            denoising_losses(normal, end, VP, "eps", times, noise).mean(axis=0)
            for noise in (pilot.noise, other)
        )
        assert own == pytest.approx(independent, rel=0.15)


# --- the judgement --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drifted():
    pilot = Pilot(drifting, VP, LIKE, samples=64, nfe=100)
    return pilot, Judge(pilot)


def test_noise_is_no_help_to_an_exact_model():
    found = Judge(Pilot(MODEL, VP, LIKE, samples=64, nfe=100)).correction
    assert not found.helps
    assert abs(found.deviation) < 2.5
    fit = choose(MODEL, LIKE, VP, **FEW)
    assert fit.noise is None
    assert not fit.plan().stochastic
    assert "noise would not help: the model's denoising loss" in fit.reason
    assert fit.correction is not None


def test_noise_corrects_a_model_whose_flow_drifts(drifted):
    pilot, judge = drifted
    assert judge.correction.helps
    assert judge.correction.excess > 0.1
    # What it says is so: the ends of the reverse SDE are nearer to the data.
    ends = [pilot.target, pilot.corrected()]
    means = np.array(DATA.means)
    near = [np.sqrt(((x[..., None, :] - means) ** 2).sum(-1).min(-1)).mean() for x in ends]
    assert near[1] < 0.8 * near[0]


def test_it_counts_in_standard_errors(drifted):
    pilot, judge = drifted
    one, other = (
        denoising_losses(drifting, x, VP, "eps", judge.times, pilot.noise)
        for x in (pilot.target, pilot.corrected())
    )
    one, other = ((x / other.mean(axis=0)).mean(axis=1) for x in (one, other))
    error = np.sqrt(np.var(one) / 64 + np.var(other) / 64)
    assert judge.correction.excess == pytest.approx(one.mean() - other.mean())
    assert judge.correction.deviation == pytest.approx((one.mean() - other.mean()) / error)


def of_normal_data(variance, *, samples=3):
    """The judge of an exact model of normal data."""
    model = Gaussian((0.0, 0.0), (variance, variance)).model(VP)
    return Judge(Pilot(model, VP, np.zeros((1, 2)), samples=samples, nfe=20))


def test_data_without_spread_have_no_noise_level_to_compare_at():
    judge = of_normal_data(0.0)
    assert judge.times == []
    assert judge.correction == (0.0, 0.0)


def test_losses_are_compared_inside_of_the_path_alone():
    """Of data of little spread some of the noise levels lie below the least of the path."""
    judge = of_normal_data(0.03**2, samples=16)
    assert 0 < len(judge.times) < len(correction.LEVELS)
    assert min(judge.times) > judge.pilot.t_end


def test_equal_losses_are_no_excess(monkeypatch):
    monkeypatch.setattr(Judge, "_losses", lambda self, x, pilot: np.ones((3, 2)))
    assert of_normal_data(1.0).correction == (0.0, 0.0)


@pytest.mark.parametrize(
    ("deviations", "count"),
    [((0.4,), 1), ((2.6,), 1), ((0.6, 2.6), 2), ((2.4, 0.4), 2), ((1.5, 1.5, 2.5, 2.4), PILOTS)],
)
def test_more_samples_are_asked_as_long_as_it_is_open(monkeypatch, deviations, count):
    asked = 0

    def model(x, t):
        nonlocal asked
        asked += len(x)
        return MODEL(x, t)

    left = iter(deviations)
    monkeypatch.setattr(Judge, "_compared", lambda self, losses: Correction(0.1, next(left)))
    pilot = Pilot(model, VP, LIKE, samples=6, nfe=20)
    judge = Judge(pilot)
    assert judge.correction.deviation == deviations[-1]
    assert judge.losses.shape == (6 * count, len(judge.times))
    assert pilot.evaluations == asked // 6
    # Those of other samples: the ones that come next.
    own = [Judge._losses(judge, part.corrected(), part) for part in (pilot, pilot.more())]
    assert np.array_equal(judge.losses[: 6 * min(count, 2)], np.concatenate(own[:count]))


# --- the choice -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fit():
    return choose(drifting, LIKE, VP, **FEW)


def test_a_sampler_with_noise_is_chosen(fit):
    made = fit.plan()
    assert made.stochastic
    assert made.nfe <= 8
    assert fit.noise == diffusion.Tau(Middle(VP))
    assert fit.final == "denoise"
    assert fit.sampler.name in {name for name, *_ in SAMPLERS}
    for part in ("noise corrects the network", "standard errors", "boldest", f"{made.nfe} eval"):
        assert part in fit.reason


@pytest.mark.parametrize(
    ("losses", "best", "count"),
    [((0.5, 9, 9), 0, 1), ((2, 0.5, 0.1), 1, 2), ((3, 2, 0.5), 2, 3), ((3, 2, 2.5), 1, 3)],
)
def test_the_boldest_that_is_borne(monkeypatch, losses, best, count):
    judge = Judge(Pilot(MODEL, VP, LIKE, samples=3, nfe=20))
    made = [one for *_, one in judge._plans(8)]
    left = iter(np.exp(losses))
    monkeypatch.setattr(judge, "_losses", lambda x, pilot: next(left) * judge.losses)
    found = judge.tried(8)
    assert (np.array(losses) <= BORNE).any() == (found[0].excess <= BORNE)
    assert np.array_equal(found[0].plan.t, made[best].t)
    assert found[0].plan.name == made[best].name
    assert len(found) == count


@pytest.mark.parametrize(
    ("losses", "names"),
    [
        ((0.1, 0.5), [LATE, "sa_solver_pece"]),
        ((0.1, 0.9), ["sa_solver_pece"]),  # the late one is not borne
        ((0.3,), ["sa_solver_pece"]),  # the boldest is bold
        ((0.8, 0.1), ["sa_solver", "sa_solver_pece"]),  # what is tame is not the boldest
    ],
)
def test_where_the_boldest_is_tame_the_late_one_is_taken(monkeypatch, losses, names):
    judge = Judge(Pilot(MODEL, VP, LIKE, samples=3, nfe=20))
    left = iter(np.exp(losses))
    monkeypatch.setattr(judge, "_losses", lambda x, pilot: next(left) * judge.losses)
    assert [one.plan.name for one in judge.tried(20)] == names
    assert next(left, None) is None


def test_samplers_that_overflow_are_left_out(monkeypatch):
    judge, asked = Judge(Pilot(MODEL, VP, LIKE, samples=3, nfe=20)), []

    def wild(plan, *arguments, **options):
        asked.append(plan)
        if len(asked) == 1:
            raise NonFiniteError("overflow")
        return diffusion.follow(plan, *arguments, **options)

    monkeypatch.setattr(correction, "follow", wild)
    found = [one.plan for one in judge.tried(8)]
    assert found
    assert asked[0] not in found


def test_one_evaluation_is_too_few_for_any_of_them():
    assert Judge(Pilot(MODEL, VP, LIKE, samples=3, nfe=20)).tried(1) == []


def test_the_late_one_makes_the_plan_that_was_judged():
    found = choose(drifting, LIKE, VP, nfe=24, samples=64)
    assert found.sampler.name == LATE
    assert found.noise == found.sampler.noise
    own = diffusion.plan(VP, method=LATE, nfe=24, grid="uniform", t_end=1 / 24, final="denoise")
    assert np.allclose(found.plan().t, own.t, rtol=1e-9)
    assert found.plan().nfe == own.nfe <= 24
    assert "even the boldest of the samplers with noise has about the loss" in found.reason


def test_the_loss_is_that_of_its_plan(fit):
    pilot = Pilot(drifting, VP, LIKE, samples=64, nfe=160)
    judge = Judge(pilot)
    end = diffusion.follow(fit.plan(), drifting, pilot.x_T, seed=pilot.noise)
    loss = denoising_losses(drifting, end, VP, "eps", judge.times, pilot.noise).mean(axis=0)
    ratio = loss / judge.losses.mean(axis=0)
    assert fit.error == pytest.approx(np.log(ratio).mean(), rel=1e-9)


def test_noise_can_be_forbidden():
    fit = choose(drifting, LIKE, VP, allow_noise=False, **{**FEW, "samples": 4})
    assert fit.noise is None
    assert fit.correction is None
    assert "noise corrects" not in fit.reason
    assert "not help" not in fit.reason


def test_named_methods_have_no_noise():
    fit = choose(drifting, LIKE, VP, methods=("tab2",), **{**FEW, "samples": 4})
    assert (fit.sampler.name, fit.noise) == ("tab2", None)


def test_it_can_be_pickled(fit):
    again = pickle.loads(pickle.dumps(fit))
    x = noise_at(VP, 1.0, (3, 8, 2))
    one, other = (diffusion.follow(own.plan(), drifting, x, seed=4) for own in (fit, again))
    assert np.array_equal(one, other)
    assert again.reason == fit.reason


def test_evaluations_are_counted():
    asked: list[int] = []

    def model(x, t):
        asked.append(len(x))
        return drifting(x, t)

    found = choose(model, LIKE, VP, **FEW)
    assert found.noise is not None
    assert found.evaluations == sum(asked) // FEW["samples"]


def test_auto_draws_from_the_seed(caplog):
    x = noise_at(VP, 1.0, (3, 8, 2))
    with caplog.at_level(logging.INFO, logger="semilinear"):
        one, same, other = (
            diffusion.sample(drifting, x, VP, method="auto", nfe=5, seed=seed) for seed in (1, 1, 2)
        )
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)
    assert "noise corrects" in caplog.records[0].getMessage()


def test_what_is_not_borne_is_taken_for_want_of_a_better(monkeypatch):
    def losses(*values):
        left = iter(values)
        monkeypatch.setattr(Judge, "_losses", lambda self, x, pilot: np.full((64, 2), next(left)))
        monkeypatch.setattr(Judge, "_compared", lambda self, x: Correction(0.2, 4.0))
        return choose(MODEL, LIKE, VP, **FEW)

    # Which sampler is chosen instead does not matter here.
    monkeypatch.setattr(fitting, "METHODS", ("ddim",))
    monkeypatch.setattr(fitting, "FAMILIES", {"lambda": grids.UniformLambda()})
    monkeypatch.setattr(fitting, "ENDS", fitting.ENDS[:1])
    # The flow, the reverse SDE, and the three.
    endured = losses(1.0, 1.0, 9.0, 8.0, 3.0)
    assert endured.noise is not None
    assert "no sampler with noise leaves samples with at most 2 times" in endured.reason
    assert "this one comes nearest (3.00 times)" in endured.reason
    given_up = losses(1.0, 1.0, 9.0, 8.0, 5.0)
    assert given_up.noise is None


def test_few_samples_are_not_asked():
    assert choose(MODEL, LIKE, VP, nfe=3, samples=15, reference=20).correction is None


@pytest.mark.parametrize("name", SCHEDULES)
def test_all_schedules(name):
    """The plans exist on every path, with the noise of the same rho."""
    schedule = SCHEDULES[name]
    prediction = "flow" if name == "flow" else "eps"
    model = DATA.model(schedule, prediction)
    pilot = Pilot(model, schedule, LIKE, samples=3, nfe=20, prediction=prediction)
    judge = Judge(pilot)
    found = [made for *_, made in judge._plans(8)]
    assert len(found) == len(SAMPLERS)
    for made in found:
        rho = [schedule.rho(t) for t in made.t]
        inside = [MIDDLE[0] <= VP.t_of_rho(min(r, VP.rho(1.0))) <= MIDDLE[1] for r in rho[:-1]]
        middle = Middle(schedule)
        assert [middle(t) for t in made.t[:-1]] == inside
        assert made.nfe <= 8
    ((_, _, late),) = judge._late_plans(8)
    assert late.nfe <= 8
    assert schedule.rho(late.t[-1]) == pytest.approx(VP.rho(1 / 8))


# --- times ----------------------------------------------------------------------------------------


def test_vp_time_is_that_of_the_vp_schedule():
    times = grids.PowerVPTime(0.8)(VP, 1.0, 0.05, 7)
    assert times == pytest.approx(grids.PowerT(0.8)(VP, 1.0, 0.05, 7), rel=1e-12)
    edm = SCHEDULES["edm"]
    rho = edm.rho(grids.PowerVPTime(0.8)(edm, VP.rho(0.9), VP.rho(0.05), 7))
    assert rho == pytest.approx(VP.rho(grids.PowerT(0.8)(VP, 0.9, 0.05, 7)), rel=1e-9)


def test_the_middle_has_its_ends_but_for_rounding():
    low, high = MIDDLE
    middle = Middle(VP)
    assert [middle(t) for t in (low - 1e-12, low, high, high + 1e-12)] == [1.0] * 4
    assert [middle(t) for t in (low - 1e-6, high + 1e-6)] == [0.0] * 2


# --- networks of their own ways -------------------------------------------------------------------


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("schedule", [Discrete.linear(), Discrete.cosine(200)], ids=repr)
def test_whole_times(schedule, noise):
    asked: list[float] = []
    options = {"nfe": 6, "samples": 16, "reference": 40, "allow_noise": noise, "whole_times": True}
    fit = choose(DATA.model(schedule, asked=asked), LIKE, schedule, **options)
    assert (fit.correction is not None) == noise
    assert all(t == round(t) for t in asked)
    assert (fit.times == np.rint(fit.times)).all()
    assert all(t == round(t) for t in fit.plan().times)


@pytest.mark.parametrize("model", [MODEL, drifting], ids=["exact", "drifting"])
def test_a_model_bound_to_its_batch(model):
    def bound(x, t):
        assert len(x) == 40
        return model(x, t)

    fit = choose(bound, np.zeros((40, 8, 2)), VP, nfe=4, reference=40, fixed_batch=True)
    assert fit.plan().nfe <= 4


def test_auto_says_what_a_bound_model_needs():
    def bound(x, t):
        if len(x) != 3:
            raise RuntimeError(f"labels for 3 samples, not {len(x)}")
        return MODEL(x, t)

    with pytest.raises(RuntimeError, match="labels for 3") as caught:
        diffusion.sample(bound, np.zeros((3, 8, 2)), VP, method="auto", nfe=4)
    assert "choose(..., fixed_batch=True)" in "".join(caught.value.__notes__)


def test_a_batch_has_its_own_length():
    with pytest.raises(InvalidArgument, match="samples: fixed_batch=True takes as many as x has"):
        choose(MODEL, LIKE, VP, samples=3, fixed_batch=True)


def test_auto_prints_its_reason_beside_the_progress(capsys):
    for progress in (False, True):
        diffusion.sample(MODEL, LIKE, VP, method="auto", nfe=3, progress=progress)
        assert ("mean error" in capsys.readouterr().err) == progress
