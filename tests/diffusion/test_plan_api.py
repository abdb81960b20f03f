"""The plan as an object: ask and tell, immutability, libraries and dtypes, callbacks, progress."""

from __future__ import annotations

import copy
import io
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from diffusion_problems import SCHEDULES, Gaussian, ends, noise_at
from semilinear import UnknownName, diffusion
from semilinear.diffusion import VPLinear, catalogue
from semilinear.errors import InvalidArgument, NonFiniteError
from semilinear.methods import etdab, unipc

VP = VPLinear()
DATA = Gaussian()
MODEL = DATA.model(VP)
X = noise_at(VP, 1.0, (2, 3))
METHODS = (
    "ddim", "tab3", "rhoab2", "logrhoab3", "ipndm4", "rho_heun2", "rho_rk4", "euler",
    "dpmpp_3m", "unipc3", "res_3s", "flow_ab3",
)  # fmt: skip


DENOISE = "denoise"  # its evaluation is a step of its own, of no length


def loop(plan, model, x):
    state = plan.start(x)
    while not state.done:
        state = plan.advance(state, model(state.x, state.t))
    return state


@pytest.mark.parametrize("final", ["t_end", "zero", DENOISE])
@pytest.mark.parametrize("method", METHODS)
def test_asking_and_telling_is_sampling(method, final):
    options = {"method": method, "steps": 6, "final": final}
    plan = diffusion.plan(VP, **options)
    last = loop(plan, MODEL, X)
    assert (last.x == diffusion.sample(MODEL, X, VP, **options)).all()
    assert (last.x == diffusion.follow(plan, MODEL, X)).all()
    assert (last.done, last.evaluation, last.step) == (
        True,
        plan.nfe,
        plan.steps + (final == DENOISE),
    )


def test_states_count_and_say_where_they_are():
    plan = diffusion.plan(VP, method="rho_heun2", steps=3)
    state = plan.start(X)
    assert state.x is X
    seen = []
    while not state.done:
        seen.append((state.t, state.evaluation, state.step))
        state = plan.advance(state, MODEL(state.x, state.t))
    t = plan.t
    expected = [(t[n // 2 + n % 2], n, n // 2) for n in range(6)]
    np.testing.assert_allclose(seen, expected, rtol=1e-14)
    assert "done" in repr(state)
    assert "Plan(rho_heun2, steps=3, nfe=6)" in repr(plan)


def test_a_state_can_be_continued_from_again():
    plan = diffusion.plan(VP, steps=6)
    state = plan.start(X)
    for _ in range(3):
        state = plan.advance(state, MODEL(state.x, state.t))
    other = copy.copy(state)

    def rest(state):
        while not state.done:
            state = plan.advance(state, MODEL(state.x, state.t))
        return state.x

    assert (rest(state) == rest(other)).all()
    assert (rest(state) == diffusion.follow(plan, MODEL, X)).all()


def test_an_answer_that_is_refused_leaves_the_state_as_it_was():
    plan = diffusion.plan(VP, steps=4)
    state = plan.advance(plan.start(X), MODEL(X, 1.0))
    with pytest.raises(NonFiniteError):
        plan.advance(state, np.full_like(X, np.nan))
    while not state.done:
        state = plan.advance(state, MODEL(state.x, state.t))
    assert (state.x == diffusion.follow(plan, MODEL, X)).all()


def test_a_callback_sees_every_evaluation_and_may_end_the_run():
    plan = diffusion.plan(VP, method="rho_heun2", steps=4)
    states = []
    expected = diffusion.follow(plan, MODEL, X, callback=states.append)
    assert [state.evaluation for state in states] == list(range(1, 9))
    assert (states[-1].x == expected).all()

    class Stop(Exception):
        pass

    def stop(state):
        kept.append(state)
        if state.evaluation == 3:
            raise Stop

    kept = []
    with pytest.raises(Stop):
        diffusion.follow(plan, MODEL, X, callback=stop)
    state = kept[-1]
    while not state.done:
        state = plan.advance(state, MODEL(state.x, state.t))
    assert (state.x == expected).all()
    assert (diffusion.follow(plan, MODEL, X) == expected).all()


# Of unipc3 the last state of a run is not corrected.
@pytest.mark.parametrize("method", [name for name in METHODS if name != "unipc3"])
def test_a_trajectory_holds_the_state_at_every_grid_point(method):
    found = diffusion.sample(MODEL, X, VP, method=method, steps=5, trajectory=True)
    plan = diffusion.plan(VP, method=method, steps=5)
    assert (found.t == plan.t).all()
    assert len(found.x) == 6
    assert (found.x[0] == X).all()
    assert not np.shares_memory(found.x[0], X)
    for n in range(1, 6):
        grid = plan.t[: n + 1]
        until = diffusion.sample(MODEL, X, VP, method=method, grid=grid)
        np.testing.assert_allclose(found.x[n], until, rtol=1e-13)


def test_a_trajectory_with_a_last_evaluation_has_one_more_state():
    found = diffusion.sample(MODEL, X, VP, steps=5, final="denoise", trajectory=True)
    assert len(found.x) == len(found.t) == 7
    assert found.t[-1] == found.t[-2] == VP.t_end
    assert (found.x[-1] != found.x[-2]).any()


def test_one_plan_in_many_threads_gives_the_same_bits():
    x = noise_at(VP, 1.0, (40, 3))
    for method in ("tab3", "rho_rk4"):
        plan = diffusion.plan(VP, method=method, steps=20)
        expected = [diffusion.follow(plan, MODEL, x * k) for k in range(1, 9)]
        with ThreadPoolExecutor(8) as pool:
            for _ in range(3):
                runs = [pool.submit(diffusion.follow, plan, MODEL, x * k) for k in range(1, 9)]
                for run, single in zip(runs, expected, strict=True):
                    assert (run.result() == single).all()


def test_a_plan_cannot_be_changed_by_those_who_share_it():
    plan = diffusion.plan(VP, steps=5)
    for name in ("t", "grid", "transfer", "weights", "t_formed", "path_times"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(plan, name)[0] = 0.0
    assert isinstance(plan.times, tuple)
    assert isinstance(plan.rows, tuple)
    before = (plan.t.copy(), plan.weights.copy(), plan.times)
    loop(plan, MODEL, X)
    assert (plan.t == before[0]).all()
    assert (plan.weights == before[1]).all()
    assert plan.times == before[2]


@pytest.mark.parametrize("method", METHODS)
def test_neither_the_state_nor_the_answers_are_written_to(method):
    x = X.copy()
    x.flags.writeable = False

    def model(x, t):
        eps = MODEL(x, t)
        eps.flags.writeable = False
        return eps

    assert (diffusion.sample(model, x, VP, method=method, steps=5) == loop_result(method)).all()


def loop_result(method):
    return diffusion.sample(MODEL, X, VP, method=method, steps=5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 3), (200, 3)])
def test_library_shape_and_dtype_are_kept(xp, dtype, shape):
    x = noise_at(VP, 1.0, shape)
    expected = diffusion.sample(MODEL, x, VP, steps=8)
    kind = getattr(xp, dtype)
    mean, variance = (xp.asarray(v, dtype=kind) for v in (DATA.mean, DATA.variance))

    def model(x, t):
        alpha, sigma = VP.alpha(t), VP.sigma(t)
        assert isinstance(t, float)
        assert x.dtype == kind
        return sigma * (x - alpha * mean) / (alpha**2 * variance + sigma**2)

    given = xp.asarray(x, dtype=kind)
    found = diffusion.sample(model, given, VP, steps=8)
    assert type(found) is type(given)
    assert found.dtype == kind
    assert tuple(found.shape) == shape
    bound = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(np.asarray(found), expected, rtol=bound, atol=bound)


def test_single_precision_costs_no_more_than_its_rounding():
    x = noise_at(VP, 1.0, (300, 3))
    exact = diffusion.sample(MODEL, x, VP, method="tab3", steps=50)
    single = diffusion.sample(
        lambda x, t: MODEL(x, t).astype(np.float32),
        x.astype(np.float32),
        VP,
        method="tab3",
        steps=50,
    )
    assert single.dtype == np.float32
    assert np.abs(single - exact).max() <= 64 * np.finfo(np.float32).eps * np.abs(x).max()


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_a_plan_tells(name):
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    plan = diffusion.plan(schedule, method="DEIS", steps=6, t_start=t_start, t_end=t_end)
    assert plan.name == plan.sampler.name == "tab3"
    assert plan.schedule is schedule
    assert plan.prediction == "eps"
    assert plan.weights.shape == (6, 4)
    assert plan.transfer.shape == (6,)
    assert plan.times == tuple(plan.t[:-1])


@pytest.mark.parametrize("final", ["t_end", "zero", DENOISE])
@pytest.mark.parametrize("method", METHODS)
def test_the_rows_of_a_plan_are_the_whole_sampler(method, final):
    plan = diffusion.plan(VP, method=method, steps=5, prediction="v", final=final)
    model = DATA.model(VP, "v")
    values, step = {"y": X}, 0
    for row in plan.rows:
        if row.step > step:
            kept = [q for q in (1, 0, -1, -2) if f"N[{q}]" in values]
            moved = {f"N[{q - 1}]": values[f"N[{q}]"] for q in kept}
            values, step = {**values, **moved, "y": values["y+"]}, row.step
        terms = zip(row.coefficients, row.sources, strict=True)
        values[row.dst] = sum(c * values[source] for c, source in terms)
        if row.ask is not None:
            t, slot = row.ask
            p, q = (0.0, 1.0) if row.tell is None else row.tell
            values[slot] = p * values[row.dst] + q * model(values[row.dst], t)
    found = diffusion.follow(plan, model, X)
    np.testing.assert_allclose(values["y+"], found, rtol=1e-12)


def test_a_sampler_of_ones_own():
    own = diffusion.Sampler(
        "own",
        diffusion.catalogue.Parameterisation("eps", "rho"),
        diffusion.catalogue.etdab(1),
        "this test",
    )
    found = diffusion.sample(MODEL, X, VP, method=own, steps=5)
    np.testing.assert_allclose(found, diffusion.sample(MODEL, X, VP, method="ddim", steps=5))


def test_names_lead_to_plans():
    for name in diffusion.names():
        plan = diffusion.plan(VP, method=name.upper(), steps=2)
        assert (plan.name, plan.sampler.name) == (name, name)
    with pytest.raises(InvalidArgument, match=r"weights: rho_rk4 is a one-step method; .*rows"):
        _ = diffusion.plan(VP, method="rho_rk4", steps=2).weights


class Terminal(io.StringIO):
    """A stream that claims to be watched."""

    def isatty(self):
        return True


def test_every_alias_leads_somewhere():
    for alias, name in catalogue.ALIASES.items():
        assert catalogue.get(alias) is catalogue.get(name.upper())
        assert diffusion.get(alias).name == name
        assert alias not in diffusion.names()


@pytest.mark.parametrize(
    ("name", "method", "order"),
    [
        ("unipc7", unipc(7), 8),
        ("unipc9_bh1", unipc(9, "bh1"), 10),
        ("unipc7_bh2", unipc(7), 8),
        ("tab8", etdab(9), 9),
        ("rhoab7", etdab(8), 8),
        ("logrhoab9", etdab(10), 10),
        ("res_4m", etdab(4), 4),
        ("flow_ab1", etdab(1), 1),
    ],
)
def test_families_have_every_order(name, method, order):
    found = catalogue.get(name)
    assert found is catalogue.get(name.upper())
    assert found.method == method
    assert found.order == order
    assert name not in diffusion.names()
    known = catalogue.get(re.sub(r"\d+", "2", name))
    assert found.parameterisation == known.parameterisation
    assert (found.exact is None) == (known.exact is None)


def test_a_family_of_any_order_runs_as_its_method():
    cell = diffusion.Parameterisation("x0", "lambda")
    own = diffusion.Sampler("own", cell, unipc(7), "here")
    plans = [diffusion.plan(VP, method=m, steps=20, grid="lambda") for m in ("unipc7", own)]
    assert np.array_equal(plans[0].weights, plans[1].weights)
    assert plans[0].sampler.name == "unipc7"


def test_noise_may_be_given_in_writing() -> None:
    written = diffusion.plan(VP, method="dpmpp_2m", noise="eta=0.5,scale=0.9")
    level = diffusion.Eta(0.5, scale=0.9)
    assert written.rows == diffusion.plan(VP, method="dpmpp_2m", noise=level).rows
    with pytest.raises(UnknownName, match=r"^noise='et' is not known; did you mean eta"):
        diffusion.plan(VP, method="dpmpp_2m", noise="et=0.5")


@pytest.mark.parametrize(
    ("name", "orders"),
    [
        ("tab10", "tab1 to tab9"),
        ("res_0m", "res_1m to res_9m"),
        ("flow_ab12", "flow_ab1 to flow_ab9"),
    ],
)
def test_orders_that_families_do_not_have_are_told_those_that_they_have(name, orders) -> None:
    with pytest.raises(
        UnknownName, match=f"^method='{name}' is not .*[.?] Orders go from {orders}"
    ):
        diffusion.plan(VP, method=name)


@pytest.mark.parametrize("name", ["unipc0", "tab33", "rhoab07", "ipndm5", "tab7_bh2", "unipc-1"])
def test_other_orders_are_unknown(name):
    with pytest.raises(UnknownName, match="did you mean"):
        catalogue.get(name)


def test_progress_is_drawn_on_a_terminal(monkeypatch):
    for stream, drawn in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        diffusion.sample(MODEL, X, VP, steps=5, progress=True)
        text = stream.getvalue()
        assert bool(text) == drawn
        if drawn:
            assert text.startswith("\rtab3 [")
            assert "5/5" in text
            assert text.endswith("\n")


def test_progress_is_silent_unless_asked_for(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    diffusion.sample(MODEL, X, VP, steps=5)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("method", ["tab3", "unipc3", "ipndm4"])
def test_whole_times_of_any_distance(method):
    """The second step begins three before the start, where the unused points of step 3 once lay."""
    schedule = diffusion.Discrete.cosine(200)
    grid = np.array([199.0, 198.0, 196.0, 172.0, 55.0, 4.0])
    near = grid - 1e-7 * np.arange(6)
    one, other = (diffusion.plan(schedule, method=method, grid=times) for times in (grid, near))
    assert np.isfinite(one.weights).all()
    assert one.weights == pytest.approx(other.weights, rel=1e-4, abs=1e-6)
