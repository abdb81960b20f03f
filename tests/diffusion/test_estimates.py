"""Estimates of the error of a step: what they are, what they cost, and where there are none."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from diffusion_problems import Draws, Gaussian, Mixture, noise_at, slopes
from semilinear import InvalidArgument, diffusion, methods
from semilinear.diffusion import Flow, Parameterisation, Sampler, VPLinear
from semilinear.diffusion.catalogue import get
from semilinear.methods import Multistep, checks, etdab, exponential_runge_kutta
from semilinear.methods.estimates import ONE, has_estimate
from semilinear.methods.rows import BEFORE, Combine
from semilinear.phi import phi
from tolerances import assert_close

VP = VPLinear()
DATA = Mixture()
X = noise_at(VP, 1.0, (4, 2))
TWO_THIRDS = Fraction(2, 3)
EXPRK32 = exponential_runge_kutta(
    "exprk32",
    (0, Fraction(1, 3), TWO_THIRDS),
    {(3, 2): Fraction(4, 3) * phi(2, 0, TWO_THIRDS)},
    {3: Fraction(3, 2) * phi(2)},
    order=3,
    stiff_order=3,
    reference="Hochbruck and Ostermann (2005), with the weights of etd2rk(1/3) beside",
    embedded={2: 3 * phi(2)},
    embedded_order=2,
)
PAIRS = (EXPRK32, methods.get("zoto_bowman43"), methods.get("etd35"))
READS_END = ("krogstad4", "lawson32", "lawson54", "zoto_bowman32")

NAMES = list(diffusion.names())
WITH_ESTIMATE = [name for name in NAMES if has_estimate(get(name).method)]
HISTORY = [
    name for name in NAMES if isinstance(get(name).method, Multistep) and not get(name).method.fixed
]
P = [name for name in HISTORY if get(name).method.mode == "P" and get(name).method.values > 1]
PAIRED = [name for name in HISTORY if get(name).method.mode != "P"]


def as_sampler(method, quantity="eps", variable="lambda"):
    return Sampler(method.name, Parameterisation(quantity, variable), method, "for tests")


def run(made, model, x=X, *, seed=None):
    """Yield (state before, state after) of every evaluation."""
    noise = diffusion.SeededNoise(seed, x) if made.stochastic else None
    state = made.start(x, noise=noise)
    while not state.done:
        after = made.advance(state, model(state.x, state.t))
        yield state, after
        state = after


def fewer(sampler):
    """The sampler with one value of N less, written down once more."""
    method = sampler.method
    less = method.values - 1
    low = Multistep("less", less, "P", less, "for tests", simplified=method.simplified)
    return sampler._replace(name="less", method=low, exact=None, noise=None)


def last(made, seed=None):
    """Where a plan ends."""
    return diffusion.follow(made, DATA.model(VP), X, seed=seed, trajectory=True).x[-1]


# --- what it costs: nothing -----------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_ESTIMATE)
def test_no_bit_of_the_result_changes(name):
    noise = diffusion.SeededNoise(3, X)
    for final in ("t_end", "zero", "denoise"):
        plain, shown = (
            diffusion.plan(VP, method=name, steps=6, final=final, estimate=estimate)
            for estimate in (False, True)
        )
        assert shown.times == plain.times
        one, other = (last(made, seed=noise) for made in (plain, shown))
        assert np.array_equal(one, other), final


@pytest.mark.parametrize("options", [{"start": "rk"}, {"lower_end": True}, {"exact": True}])
@pytest.mark.parametrize("name", ["tab3", "dpmpp_3m", "dpmpp_2m_sde", "unipc3", "sa_solver_pece"])
def test_no_bit_changes_beside_other_options(name, options):
    noise = diffusion.SeededNoise(3, X)
    one, other = (
        last(diffusion.plan(VP, method=name, steps=7, estimate=estimate, **options), seed=noise)
        for estimate in (False, True)
    )
    assert np.array_equal(one, other)


@pytest.mark.parametrize("method", PAIRS, ids=lambda method: method.name)
def test_no_bit_changes_of_a_pair(method):
    own = as_sampler(method, "v", "lambda")
    assert np.array_equal(_followed(own, False), _followed(own, True))


def _followed(sampler, estimate):
    made = diffusion.plan(VP, method=sampler, steps=5, estimate=estimate)
    return last(made)


# --- what it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", P)
def test_difference_from_one_value_less_with_the_same_past(name, exact):
    """The model answers with N itself, so both plans see the same values, whatever their states."""
    sampler = get(name)
    if exact and sampler.exact is not None:
        sampler = sampler._replace(method=sampler.exact, exact=None)
    cell = sampler.parameterisation
    made = diffusion.plan(
        VP, method=sampler, steps=8, prediction=cell.quantity, noise=0.0, estimate=True
    )
    low = diffusion.plan(VP, method=fewer(sampler), grid=made.t, prediction=cell.quantity)
    model = DATA.model(VP, cell.quantity)
    beside = low.start(X)
    for before, after in run(made, model):
        beside = low.advance(low.moved(beside, before.x), model(before.x, before.t))
        if before.evaluation < sampler.method.history:
            continue
        scale = float(np.abs(before.x).max() * made.transfer[before.step] + np.abs(after.x).max())
        assert_close(after.estimate, after.y - beside.x, operations=100, scale=scale)
        assert np.abs(after.estimate).max() > 1e-9


@pytest.mark.parametrize("name", PAIRED)
def test_difference_from_the_predicted_state(name):
    made = diffusion.plan(VP, method=name, steps=8, grid="lambda", noise=0.0, estimate=True)
    predicted, compared = None, 0
    mode = made.sampler.method.mode
    for before, after in run(made, DATA.model(VP)):
        asked_at_prediction = before.evaluation > 0 and (mode == "PEC" or before.evaluation % 2)
        if not asked_at_prediction:
            continue
        predicted = before.x
        new, found = after.y, after.estimate
        if after.step > before.step + 1:  # the last step is complete too, and not corrected
            new, found = after.slot(BEFORE), after.estimate_before
        scale = float(np.abs(X).max() / VP.alpha(before.t))
        assert_close(found, new - predicted, operations=100, scale=scale)
        assert np.abs(found).max() > 1e-9
        compared += 1
    assert compared == 7


@pytest.mark.parametrize("final", ["t_end", "zero", "denoise"])
@pytest.mark.parametrize("name", [name for name in PAIRED if get(name).method.mode == "PEC"])
def test_two_steps_complete_at_once(name, final):
    """The corrected step before the last, and the last, which is only predicted."""
    made = diffusion.plan(VP, method=name, steps=5, final=final, noise=0.0, estimate=True)
    found = diffusion.follow(made, DATA.model(VP), X, trajectory=True)
    (twice,) = (
        (before, after)
        for before, after in run(made, DATA.model(VP))
        if after.step > before.step + 1
    )
    before, after = twice
    assert after.step == made.steps
    size = np.sqrt(((after.slot(BEFORE) - before.x) ** 2).mean(axis=1))
    assert_close(found.estimates[3], size, operations=1000, scale=float(np.abs(before.x).max()))
    assert np.array_equal(found.x[4], after.slot(BEFORE))
    states = [after for _, after in run(made, DATA.model(VP))]
    assert [state.estimate_before is None for state in states[:3]] == [True] * 3


def test_the_last_but_one_step_of_a_longer_run():
    """What is reported of a step does not depend on whether it is the last but one."""
    longer = diffusion.plan(VP, method="unipc2", steps=8, grid="lambda", estimate=True)
    shorter = diffusion.plan(VP, method="unipc2", grid=longer.t[:6], estimate=True)
    one, other = (
        diffusion.follow(made, DATA.model(VP), X, trajectory=True).estimates
        for made in (longer, shorter)
    )
    assert np.isfinite(one).all()
    assert_close(other[:4], one[:4], operations=10)


@pytest.mark.parametrize("options", [{}, {"lower_end": True}, {"start": "rk"}], ids=str)
@pytest.mark.parametrize("final", ["t_end", "zero", "denoise"])
@pytest.mark.parametrize("name", WITH_ESTIMATE)
def test_none_is_lost(name, final, options):
    """All steps that compare two results report their difference, the others none."""
    made = diffusion.plan(VP, method=name, steps=8, final=final, estimate=True, **options)
    assert none_at(made) == [
        n
        for n, step in enumerate(made.program.steps)
        if not any(isinstance(r, Combine) and r.states[-1][1] == -ONE for r in step.instructions)
    ]


@pytest.mark.parametrize("cell", [("eps", "lambda"), ("x0", "lambda"), ("v", "t")], ids=str)
@pytest.mark.parametrize("method", PAIRS, ids=lambda method: method.name)
def test_difference_from_a_step_with_the_embedded_weights(method, cell):
    made = diffusion.plan(
        VP, method=as_sampler(method, *cell), steps=4, grid="lambda", estimate=True
    )
    low = as_sampler(checks.embedded_value(method), *cell)
    model = DATA.model(VP)
    n = 0
    for before, after in run(made, model):
        if before.evaluation % len(method.c) == 0:
            base = before.x
        if after.step == before.step:
            continue
        one = diffusion.plan(VP, method=low, grid=made.t[n : n + 2])
        new = diffusion.follow(one, model, base)
        scale = float(np.abs(base).max() / VP.alpha(made.t[n]))
        assert_close(after.estimate, after.y - new, operations=200, scale=scale)
        n += 1
    assert n == 4


@pytest.mark.parametrize("name", ["tab1", "tab3", "logrhoab2", "dpmpp_2m", "dpmpp_3m", "res_3m"])
def test_local_order_is_the_number_of_values(name):
    assert _local_order(get(name)) == pytest.approx(get(name).method.values, abs=0.3)


@pytest.mark.parametrize("name", ["unipc1", "unipc2", "unipc2_bh1", "unipc3", "sa_solver"])
def test_local_order_of_a_prediction_is_one_more(name):
    sampler = get(name)
    assert _local_order(sampler) == pytest.approx(sampler.method.values + 1, abs=0.3)


@pytest.mark.parametrize("method", PAIRS, ids=lambda method: method.name)
def test_local_order_of_an_embedded_value(method):
    own = as_sampler(method, "v", "lambda")
    assert _local_order(own) == pytest.approx(method.embedded_order + 1, abs=0.4)


def _local_order(sampler):
    """Observed at the same place of the path, on grids that are twice as fine."""
    first, last, data = 0.7, 0.1, Gaussian()
    x = noise_at(VP, first, (4, 3))
    sizes = []
    for steps in (24, 48, 96):
        made = diffusion.plan(
            VP, method=sampler, steps=steps, grid="lambda", t_start=first, t_end=last, noise=0.0,
            start="rk" if isinstance(sampler.method, Multistep) else "ramp", estimate=True,
        )  # fmt: skip
        found = diffusion.follow(made, data.model(VP), x, trajectory=True).estimates
        sizes.append(float(found[steps // 2].max()))
    return slopes(sizes)[-1]


# --- with noise -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dpmpp_2m_sde", "dpmpp_3m_sde", "sa_solver", "er_sde3"])
def test_the_same_draws_cancel(name):
    """Fed with the same values of N the estimate is the same, whatever was drawn."""
    sampler = get(name)
    made = diffusion.plan(
        VP, method=name, steps=8, grid="lambda", prediction="x0", noise=1.0, estimate=True
    )
    assert made.stochastic
    assert sampler.parameterisation.quantity == "x0"
    answers = np.random.default_rng(0).standard_normal((made.nfe, *X.shape))
    states = [made.start(X, noise=Draws(X.shape, seed=seed)) for seed in (1, 2)]
    compared = 0
    for answer in answers:
        states = [made.advance(state, answer) for state in states]
        one, other = (state.estimate for state in states)
        assert not np.array_equal(states[0].x, states[1].x)
        assert (one is None) == (other is None)
        if one is not None:
            assert_close(one, other, operations=100, scale=float(np.abs(states[0].y).max() + 10))
            compared += np.abs(one).max() > 0.01
    assert compared >= 5


def test_noise_changes_the_weights_of_the_estimate():
    sizes = [
        diffusion.follow(
            diffusion.plan(VP, method="dpmpp_2m", steps=8, noise=tau, estimate=True),
            DATA.model(VP), X, seed=1, trajectory=True,
        ).estimates[1]
        for tau in (0.0, 1.0)
    ]  # fmt: skip
    assert not np.allclose(*sizes, rtol=0.1)


# --- where there is none --------------------------------------------------------------------------


def none_at(made, model=None, x=X):
    """The steps of which a trajectory shows no estimate; None if it shows none at all."""
    model = DATA.model(made.schedule) if model is None else model
    found = diffusion.follow(made, model, x, seed=1, trajectory=True)
    if found.estimates is None:
        return None
    assert found.estimates.shape == (len(found.x) - 1, len(x))
    assert len(found.t) == len(found.x)
    bad = np.isnan(found.estimates)
    assert np.array_equal(bad.all(axis=1), bad.any(axis=1))
    return [n for n, row in enumerate(bad) if row.all()]


def test_first_step_of_a_ramp_has_nothing_to_compare_with():
    states = [after for _, after in run(diffusion.plan(VP, steps=5, estimate=True), DATA.model(VP))]
    assert [state.estimate is None for state in states] == [True, False, False, False, False]
    assert none_at(diffusion.plan(VP, steps=5, estimate=True)) == [0]


@pytest.mark.parametrize("name", ["ddim", "ipndm3", "rho_heun2", "dpm_solver_3s", "euler"])
def test_samplers_without_estimates(name):
    with pytest.raises(InvalidArgument, match=rf"estimate: {name} has no estimate"):
        diffusion.plan(VP, method=name, steps=5, estimate=True)


@pytest.mark.parametrize("name", ["ipndm2", "ipndm4", "ipndm_v3"])
def test_fixed_weights_have_none_and_exact_ones_have(name):
    with pytest.raises(InvalidArgument, match=rf"{name} .* are fixed; with exact=True it has one"):
        diffusion.plan(VP, method=name, steps=5, estimate=True)
    assert diffusion.plan(VP, method=name, steps=5, estimate=True, exact=True).estimates
    with pytest.raises(InvalidArgument, match=r"ipndm_v2 .* of order two and more without fixed"):
        diffusion.plan(VP, method="ipndm_v2", steps=5, estimate=True)


@pytest.mark.parametrize("name", READS_END)
def test_pairs_that_need_the_next_value_have_none(name):
    with pytest.raises(InvalidArgument, match=rf"estimate: {name} has no estimate"):
        diffusion.plan(VP, method=as_sampler(methods.get(name)), steps=3, estimate=True)


def test_estimates_that_nothing_shows_are_refused():
    options = {"method": "unipc2", "steps": 5, "estimate": True}
    for run_of in (
        lambda **how: diffusion.sample(DATA.model(VP), X, VP, **options, **how),
        lambda **how: diffusion.follow(diffusion.plan(VP, **options), DATA.model(VP), X, **how),
    ):
        with pytest.raises(InvalidArgument, match=r"^estimate=True.*give trajectory=True"):
            run_of()
        seen = []
        run_of(callback=lambda state, seen=seen: seen.append(state.estimate))
        assert seen[-1].shape == X.shape
        assert np.isfinite(run_of(trajectory=True).estimates[1:]).all()


def test_plans_made_without():
    made = diffusion.plan(VP, steps=5)
    assert none_at(made) is None
    assert all(after.estimate is None for _, after in run(made, DATA.model(VP)))


def test_runge_kutta_starting_steps_have_none():
    assert none_at(diffusion.plan(VP, method="tab3", steps=8, start="rk", estimate=True)) == [
        0,
        1,
        2,
    ]


def test_steps_of_order_one_at_the_end_have_none():
    made = diffusion.plan(VP, method="tab3", steps=8, lower_end=True, estimate=True)
    assert none_at(made) == [0, 7]


@pytest.mark.parametrize(("final", "none"), [("t_end", [0]), ("zero", [0]), ("denoise", [0, 8])])
def test_ends(final, none):
    assert none_at(diffusion.plan(VP, steps=8, final=final, estimate=True)) == none


def test_a_replaced_step_to_the_data_has_none():
    assert none_at(diffusion.plan(VP, method="res_3m", steps=8, final="zero", estimate=True)) == [
        0,
        7,
    ]


def test_a_first_step_from_pure_noise_has_none():
    flow = Flow()
    made = diffusion.plan(flow, method="dpmpp_2m", prediction="flow", steps=6, estimate=True)
    x = noise_at(flow, 1.0, (4, 3))
    states = [after for _, after in run(made, Gaussian().model(flow, "flow"), x)]
    assert states[0].estimate is None
    assert states[2].estimate is not None


@pytest.mark.parametrize(
    "noise", [diffusion.Churn(1.0, 0.05, 50.0, 1.0), diffusion.Ancestral()], ids=["churn", "back"]
)
def test_steps_that_noise_splits(noise):
    own = as_sampler(EXPRK32, "x0", "rho")
    one, other = (
        diffusion.plan(VP, method=own, steps=6, noise=noise, estimate=estimate)
        for estimate in (False, True)
    )
    model = DATA.model(VP)
    shown = diffusion.follow(other, model, X, seed=1, trajectory=True)
    assert np.array_equal(diffusion.follow(one, model, X, seed=1), shown.x[-1])
    assert len(shown.t) == 7
    assert np.isfinite(shown.estimates).all()


def test_the_forward_process_moves_an_estimate_along():
    """x = alpha y, and it leaves y where it is."""
    own, model = as_sampler(EXPRK32, "x0", "rho"), DATA.model(VP)
    rho, end = VP.rho(0.8), VP.rho(0.5)
    down = VP.t_of_rho(end * np.sqrt(1 - 0.6**2 * (1 - (end / rho) ** 2)))
    found, expected = (
        diffusion.follow(
            diffusion.plan(VP, method=own, grid=grid, noise=noise, estimate=True),
            model,
            X,
            seed=1,
            trajectory=True,
        ).estimates
        for grid, noise in (([0.8, 0.5], diffusion.Ancestral(0.6)), ([0.8, down], None))
    )
    assert found == pytest.approx(expected * VP.alpha(0.5) / VP.alpha(down), rel=1e-9)


# --- what it is an array of -----------------------------------------------------------------------


def test_shape_and_size():
    made = diffusion.plan(VP, steps=5, estimate=True)
    found = diffusion.follow(made, DATA.model(VP), X, trajectory=True)
    assert found.estimates.shape == (5, 4)
    for (_, after), row in zip(run(made, DATA.model(VP)), found.estimates, strict=True):
        if after.estimate is not None:
            assert after.estimate.shape == X.shape
            assert_close(row, np.sqrt((after.estimate**2).mean(axis=1)), operations=10)


@pytest.mark.parametrize("shape", [(3,), (3, 2, 2, 2), (1, 5)])
def test_states_of_other_shapes(shape):
    x = noise_at(VP, 1.0, shape)
    made = diffusion.plan(VP, steps=4, estimate=True)
    found = diffusion.follow(made, lambda x, t: 0.3 * x, x, trajectory=True)
    assert found.estimates.shape == (4, shape[0])
    assert np.isfinite(found.estimates[1:]).all()


def linear(x, t):
    return 0.25 * x


def test_any_array_library(xp):
    made = diffusion.plan(VP, method="unipc2", steps=6, estimate=True)
    reference = diffusion.follow(made, linear, X, trajectory=True).estimates
    found = diffusion.follow(made, linear, xp.asarray(X), trajectory=True).estimates
    assert np.array_equal(np.isnan(found), np.isnan(reference))
    good = ~np.isnan(reference)
    assert_close(found[good], reference[good], operations=1000)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_low_precision_of_torch(dtype, scale):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(scale * X).to(getattr(torch, dtype))
    made = diffusion.plan(VP, steps=6, estimate=True)
    state = made.advance(made.start(x), linear(x, 1.0))
    state = made.advance(state, linear(state.x, state.t))
    assert state.estimate.dtype == x.dtype
    found = diffusion.follow(made, linear, x, trajectory=True).estimates
    reference = diffusion.follow(made, linear, scale * X, trajectory=True).estimates
    error = np.abs(found[1:3] / reference[1:3] - 1)
    assert error.max() < 100 * torch.finfo(x.dtype).eps


def test_small_and_large_estimates_in_half_precision():
    """Their squares are out of the range of float16, they are not."""
    made = diffusion.plan(VP, steps=8, estimate=True)
    for scale in (1e-3, 200.0):
        x = (scale * X).astype(np.float16)
        found = diffusion.follow(made, linear, x, trajectory=True, check_finite=False).estimates
        reference = diffusion.follow(made, linear, scale * X, trajectory=True).estimates
        assert found[2] == pytest.approx(reference[2], rel=0.1)


def test_complex_states():
    made = diffusion.plan(VP, steps=5, estimate=True)
    found = diffusion.follow(made, linear, X + 2j * X, trajectory=True).estimates
    reference = diffusion.follow(made, linear, X, trajectory=True).estimates
    assert_close(found[1:], np.sqrt(5.0) * reference[1:], operations=1000)


@pytest.mark.parametrize("shape", [(0, 2), (4, 0)])
def test_nothing_to_sample(shape):
    made = diffusion.plan(VP, steps=3, estimate=True)
    found = diffusion.follow(made, linear, np.zeros(shape), trajectory=True)
    assert found.estimates.shape == (3, shape[0])


def test_weights_and_transfer_do_not_see_it():
    for name in ("tab3", "unipc3"):
        plain, shown = (
            diffusion.plan(VP, method=name, steps=6, estimate=estimate)
            for estimate in (False, True)
        )
        assert np.array_equal(plain.weights, shown.weights)
        assert np.array_equal(plain.transfer, shown.transfer)


def test_etdab1_is_what_the_second_order_is_compared_with():
    """On one step of DDIM and one of second order, in figures."""
    made = diffusion.plan(VP, method="tab1", grid=[0.9, 0.6, 0.3], estimate=True)
    low = diffusion.plan(VP, method=as_sampler(etdab(1), "eps", "t"), grid=[0.6, 0.3])
    model = DATA.model(VP)
    (_, first), (_, second) = run(made, model)
    new = diffusion.follow(low, model, first.x)
    scale = float(np.abs(first.x).max() + np.abs(new).max())
    assert_close(second.estimate, second.x - new, operations=50, scale=scale)
