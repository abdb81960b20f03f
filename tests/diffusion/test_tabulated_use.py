"""Tabulated quantities where samplers are used: libraries, dtypes, plans, choosing; and refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from diffusion_problems import Mixture, noise_at
from semilinear import diffusion
from semilinear.diffusion import Tabulated, VPLinear, dpm_solver_v3
from semilinear.diffusion.plan import DENOISE
from semilinear.errors import InvalidArgument
from semilinear.methods.known import reads_unit, with_known_part
from semilinear.methods.rows import UNIT

VP = VPLinear()
DATA = Mixture()
ENDS = {"t_start": 0.9, "t_end": 0.1}
X = noise_at(VP, 0.9, (4, 2), seed=1)
LAM = np.linspace(VP.lam(1.0), VP.lam(1e-3), 40)
EXACT = DATA.flow(VP, X, 0.9, 0.1)


def table(shape=(2,), *, drifts=True, seed=2) -> Tabulated:
    phase = np.random.default_rng(seed).uniform(0, 6, (3, *shape))
    lam = LAM.reshape(-1, *(1 for _ in shape))
    l, s, b = (np.sin(lam / 2 + phase[i]) for i in range(3))  # noqa: E741
    return Tabulated(LAM, 0.5 + l / 2, s / 2 - 0.5, 0.5 * b if drifts else 0.0)


def model(x, t):
    return DATA.model(VP)(x, t).astype(x.dtype)


def planned(own=None, **options) -> diffusion.DiffusionPlan:
    own = dpm_solver_v3(table()) if own is None else own
    options = {"steps": 12, "grid": "lambda", **ENDS, **options}
    return diffusion.plan(VP, method=own, **options)


def ran(plan, x=X, asked=model):
    return diffusion.follow(plan, asked, x)


@pytest.mark.parametrize("corrector", [False, True])
@pytest.mark.parametrize("copies", [1, 64])  # from 256 entries on, compiled kernels
def test_states_keep_library_and_dtype(copies, corrector):
    plan = planned(dpm_solver_v3(table(), corrector=corrector))
    x = np.tile(X, (copies, 1))
    right = np.tile(ran(plan), (copies, 1))
    np.testing.assert_allclose(ran(plan, x), right, rtol=1e-13)
    single = ran(plan, x.astype(np.float32))
    assert single.dtype == np.float32
    # A few roundings of float32 in each of 12 steps, of numbers e^S times larger than x.
    np.testing.assert_allclose(single, right, rtol=0, atol=1e-5)
    torch = pytest.importorskip("torch")

    def tensors(x, t):
        return torch.from_numpy(model(x.numpy(), t))

    for dtype, other in ((torch.float64, right), (torch.float32, single)):
        found = ran(plan, torch.from_numpy(x).to(dtype), tensors)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found.numpy(), other)


def test_numbers_for_all_entries_serve_states_of_any_shape():
    one = Tabulated(LAM, table().l[:, 0], -0.4, table().b[:, 1])
    wide = Tabulated(LAM, np.stack([table().l[:, 0]] * 2, axis=1), -0.4, table().b[:, 1])
    assert one.shape == ()
    assert wide.shape == (2,)
    np.testing.assert_allclose(
        ran(planned(dpm_solver_v3(one))), ran(planned(dpm_solver_v3(wide))), rtol=1e-13
    )


def test_entries_of_a_batch_do_not_know_of_each_other():
    own = dpm_solver_v3(table())
    np.testing.assert_array_equal(ran(planned(own), X[1:3]), ran(planned(own))[1:3])


def test_endings_budgets_and_directions():
    plan = planned(steps=None, nfe=9, final="denoise", t_end=1e-3)
    assert plan.nfe == 9
    assert np.isfinite(ran(plan)).all()
    finer = [ran(planned(steps=n)) for n in (40, 80)]
    np.testing.assert_allclose(finer[1], EXACT, atol=2e-3)
    assert np.abs(finer[1] - EXACT).max() < np.abs(finer[0] - EXACT).max() / 3
    lower = ran(planned(lower_end=True))
    assert 0 < np.abs(lower - ran(planned())).max() < 0.2
    back = planned(direction="encode", steps=80, start="rk")
    np.testing.assert_allclose(ran(back, EXACT), X, atol=2e-3)


def test_estimates_are_differences_from_one_order_less():
    for corrector in (False, True):
        made = [planned(dpm_solver_v3(table(), corrector=corrector), estimate=True, steps=n)
                for n in (20, 40)]  # fmt: skip
        path, finer = (diffusion.follow(p, model, X, trajectory=True) for p in made)
        few, many = path.estimates, finer.estimates
        assert np.nanmax(many[5:]) < np.nanmax(few[5:])
        plain = planned(dpm_solver_v3(table(), corrector=corrector), steps=20)
        np.testing.assert_allclose(path.x[-1], ran(plain), rtol=1e-12)


def test_a_plan_shows_its_coefficients_entry_by_entry():
    plan = planned()
    assert plan.transfer.shape == (12, 2)
    assert plan.weights.shape == (12, 3, 2)
    row = next(row for row in plan.rows if row.step == 5 and row.dst == "y+")
    assert row.sources[-1] == UNIT
    np.testing.assert_array_equal(plan.transfer[5], row.coefficients[0])
    assert not any(UNIT in row.sources for row in planned(dpm_solver_v3(table(drifts=False))).rows)


def test_a_plan_goes_to_other_processes_and_knows_its_own_states():
    plan = planned()
    other = pickle.loads(pickle.dumps(plan))
    assert other.identity == plan.identity
    np.testing.assert_array_equal(ran(other), ran(plan))
    state = plan.start(X)
    same = other.advance(state, model(state.x, state.t))
    assert same.step == 1
    lowered = planned(lower_end=True)
    for foreign in (planned(dpm_solver_v3(table(seed=3))), planned(prediction="v"), lowered):
        with pytest.raises(InvalidArgument, match="belongs to another run"):
            foreign.advance(same, X)


def test_shards_are_checked_by_their_coefficients(tmp_path):
    def batches(own):
        plan = planned(own, steps=3)
        return diffusion.Batches(lambda: model, plan, (2,), seed=0, batch_size=4, like=np.empty(0))

    first = diffusion.write_shards(batches(dpm_solver_v3(table())), tmp_path, 8, shard_size=4)
    assert first.samples == 8
    again = diffusion.write_shards(batches(dpm_solver_v3(table())), tmp_path, 8, shard_size=4)
    assert again.samples == 0
    with pytest.raises(InvalidArgument, match="belongs to another run"):
        diffusion.write_shards(batches(dpm_solver_v3(table(seed=3))), tmp_path, 8, shard_size=4)


def test_choosing_among_tables_and_names():
    methods = [dpm_solver_v3(table()), "dpmpp_2m"]
    fit = diffusion.choose(model, X, VP, nfe=8, methods=methods, reference=40, samples=4)
    assert {name for name, _, _ in fit.candidates} == {"dpm_solver_v3_3", "dpmpp_2m"}
    assert np.isfinite(ran(fit.plan(), noise_at(VP, 1.0, (4, 2)))).all()


def test_steps_with_a_known_part():
    for step in set(planned(estimate=True).program.steps):
        assert reads_unit(step)
        reading = {row.dst for row in step.instructions if UNIT in getattr(row, "sources", ())}
        assert reading in ({"y+"}, {"y+", "y-"})  # differences of states gain nothing
    assert with_known_part(DENOISE) is DENOISE


LINE = np.linspace(-6.0, 8.0, 5)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((LINE[::-1], 1, 0, 0), "lam must increase"),
        ((LINE * 0, 1, 0, 0), "lam must increase"),
        ((LINE[:1], 1, 0, 0), "n >= 2"),
        ((LINE.reshape(1, 5), 1, 0, 0), r"lam has shape \(1, 5\)"),
        ((LINE, np.ones(4), 0, 0), r"l has shape \(4,\); its first axis must have the length 5"),
        ((LINE, 1, np.ones((1, 2)), 0), r"s has shape \(1, 2\)"),
        ((LINE, np.ones((5, 3)), np.ones((5, 2)), 0), "do not broadcast against each other"),
        ((LINE, 1, 0, np.nan), "b has NaN"),
        ((LINE, 1, np.inf, 0), "s has NaN or infinite"),
        ((LINE, 1j, 0, 0), "l is complex"),
        ((LINE, "one", 0, 0), "l must be an array of numbers"),
        ((LINE, 1e9, 0, 0), "give more nodes"),
    ],
)
def test_tables_that_are_none(arguments, told):
    with pytest.raises(InvalidArgument, match=told):
        ran(planned(dpm_solver_v3(Tabulated(*arguments))))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"final": "zero"}, "covers lambda from -5.02.* to 4.5.*the plan runs from .* to inf"),
        ({"t_end": 1e-5}, "the plan runs from"),
        ({"noise": 0.5}, "made for the ODE"),
        ({"noise": diffusion.Churn(0.1)}, "made for the ODE"),
        ({"noise": diffusion.Eta(1.0)}, "treats tabulated so"),
        ({"t_start": [0.9, 0.8]}, "give all samples the same times"),
    ],
)
def test_plans_that_a_table_has_none_of(options, told):
    with pytest.raises(InvalidArgument, match=told):
        planned(**options)


def test_a_table_that_begins_too_late_names_both_ranges():
    late = Tabulated([-3.0, 6.0], 1.0, 0.0, 0.0)
    told = r"method='dpm_solver_v3_3'.* from -3 to 6, the plan runs from -4.07461 to 1.07829"
    with pytest.raises(InvalidArgument, match=told):
        planned(dpm_solver_v3(late))
    # Ends that were rounded elsewhere are no reason to refuse.
    ends = np.float32([VP.lam(0.9), VP.lam(0.1)])
    assert np.isfinite(ran(planned(dpm_solver_v3(Tabulated(ends, 1.0, 0.0, 0.0))))).all()


@pytest.mark.parametrize("shape", [(4, 1), (3, 3), ()])
def test_states_that_do_not_fit(shape):
    with pytest.raises(InvalidArgument, match=r"entries, of shape \(2,\), do not broadcast"):
        planned().start(np.ones(shape))


def test_makers_and_others_refuse():
    made = table()
    for options, told in (
        ({"order": 0}, "order"),
        ({"order": 7}, "from 1 to 6"),
        ({"order": 1, "corrector": True}, "from 2 to 6 with a corrector"),
    ):
        with pytest.raises(InvalidArgument, match=told):
            dpm_solver_v3(made, **options)
    with pytest.raises(InvalidArgument, match=r"must be a diffusion\.Tabulated"):
        dpm_solver_v3("x0")
    with pytest.raises(InvalidArgument, match=r"quantity=Tabulated\(40 nodes.* must be one of"):
        diffusion.sample_adaptive(model, X, VP, quantity=made)
    with pytest.raises(InvalidArgument, match="has N = tabulated"):
        diffusion.log_likelihood(lambda x, t: None, X, VP, method=dpm_solver_v3(made))


def test_a_table_stays_what_its_digest_says():
    for own in (table(), copy.deepcopy(table()), pickle.loads(pickle.dumps(table()))):
        assert hash(own) == hash(table())
        for name in ("lam", "l", "s", "b", "shape", "digest"):
            with pytest.raises(AttributeError, match=rf"^{name}: Tabulated is immutable"):
                setattr(own, name, np.zeros(3))
            with pytest.raises(AttributeError, match=rf"^{name}: Tabulated is immutable"):
                delattr(own, name)
        assert not own.l.flags.writeable


def test_a_table_is_continued_by_the_rounding_of_its_ends_alone():
    table = Tabulated([-6.0, 6.0], 1.0, 0.0, 0.0)
    for off in (1.1e-5, -1.1e-5):
        table.check_covers(-6.0 - off, 6.0 + off, argument="method")
    for one, other in ((-6.0 - 1.3e-5, 6.0), (-6.0, 6.0 + 1.3e-5), (6.0, -6.0 - 1.3e-5)):
        with pytest.raises(InvalidArgument, match="its table covers lambda from -6 to 6"):
            table.check_covers(one, other, argument="method")
