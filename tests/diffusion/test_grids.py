"""Time grids: where their points lie, and the ones that are refused, with what to do instead."""

from __future__ import annotations

import re

import numpy as np
import pytest

from semilinear import diffusion
from semilinear.diffusion import EDM, Flow, PowerRho, PowerT, PowerVPTime, VPLinear
from semilinear.diffusion.grids import WholeTimes
from semilinear.errors import InvalidArgument

VP = VPLinear()


def refused(*parts: str):
    """Expect `InvalidArgument` with a message that holds these parts in this order."""
    return pytest.raises(InvalidArgument, match=".*".join(re.escape(part) for part in parts))


def test_numbers_of_steps():
    assert diffusion.plan(VP).steps == 10
    assert diffusion.plan(VP, steps=np.int64(4)).steps == 4
    assert diffusion.plan(VP, nfe=7).steps == 7
    assert diffusion.plan(VP, grid=[1.0, 0.4, 0.1]).steps == 2
    assert diffusion.plan(VP, steps=3, final="zero").t.shape == (4,)


def test_grids():
    steps = 8
    t = {grid: diffusion.plan(VP, steps=steps, grid=grid).t for grid in diffusion.grids.GRIDS}
    for points in t.values():
        assert (points[0], points[-1]) == (1.0, 1e-3)
        assert (np.diff(points) < 0).all()
    np.testing.assert_allclose(np.diff(t["uniform"]), -0.999 / steps, rtol=1e-12)
    np.testing.assert_allclose(np.diff(np.sqrt(t["quadratic"]), 2), 0, atol=1e-15)
    np.testing.assert_allclose(np.diff(VP.lam(t["lambda"]), 2), 0, atol=1e-13)
    np.testing.assert_allclose(np.diff(VP.rho(t["karras"]) ** (1 / 7), 2), 0, atol=1e-14)
    mixed = (1 - t["mixed"]) / 0.999
    mixed += (VP.lam(t["mixed"]) - VP.lam(1.0)) / (VP.lam(1e-3) - VP.lam(1.0))
    np.testing.assert_allclose(np.diff(mixed), 2 / steps, rtol=1e-4)  # from a table
    assert (diffusion.plan(VP, steps=steps, grid=diffusion.Mixed()).t == t["mixed"]).all()
    rule = PowerT(1.5)
    by_rule = diffusion.plan(VP, steps=steps, grid=rule).t
    np.testing.assert_allclose(by_rule, rule(VP, 1.0, 1e-3, steps), rtol=1e-14)


def test_the_default_grid_is_that_of_the_schedule():
    class Even(VPLinear):
        default_grid = PowerT(1.0)

    assert (diffusion.plan(Even()).t == diffusion.plan(VP, grid="uniform").t).all()
    schedule = EDM()
    for made, name in ((VP, "quadratic"), (diffusion.VE(), "quadratic"), (schedule, "karras")):
        assert made.default_grid == name
        assert (diffusion.plan(made).t == diffusion.plan(made, grid=name).t).all()
    noise = 80.0 * np.random.default_rng(0).standard_normal(1000)
    options = {"prediction": "x0", "method": "logrhoab2"}
    x = diffusion.sample(lambda x, t: x / (1 + 4 * t**2), noise, schedule, **options)
    assert x.std() / noise.std() * 80.0 == pytest.approx(0.5, rel=2e-3)  # 0.47 on the quadratic one
    assert diffusion.encode(lambda x, t: 0 * x, x, schedule, trajectory=True).t[1] < 0.1


def test_a_rule_may_be_any_function():
    def halving(schedule, t_start, t_end, n):
        return np.geomspace(t_start, t_end, n + 1)

    plan = diffusion.plan(VP, steps=4, grid=halving, t_start=0.8, t_end=0.05)
    np.testing.assert_allclose(plan.t, 0.8 / 2.0 ** np.arange(5), rtol=1e-14)


def test_a_grid_is_copied_from_its_owner():
    grid = np.linspace(1.0, 0.01, 6)
    plan = diffusion.plan(VP, grid=grid)
    weights = plan.weights.copy()
    grid[:] = 0.5
    assert plan.t[1] == pytest.approx(0.802)
    assert (plan.weights == weights).all()
    assert grid.flags.writeable


@pytest.mark.parametrize(
    ("grid", "complaint"),
    [
        ([0.1, 0.5, 1.0], "grid must be strictly decreasing, from noise (large t) to data"),
        ([1.0, 0.5, 0.5, 0.1], "grid must be strictly decreasing"),
        ([1.0, np.nan, 0.1], "grid must be finite, with two or more times"),
        ([1.0], "grid must be finite, with two or more times"),
        ([[1.0, 0.1]], "grid must be finite"),
        (["a", "b"], "grid=['a', 'b'] must be a name, a rule or a sequence of times"),
        ([1 + 1j, 0.1], "must be a name, a rule or a sequence of times"),
        ([1.5, 0.5, 0.1], "grid[0]=1.5 lies outside the domain [0.0, 1.0]"),
        ([0.5, 0.1, -0.1], "grid[-1]=-0.1 lies outside the domain"),
    ],
)
def test_explicit_grids(grid, complaint):
    with refused(complaint):
        diffusion.plan(VP, grid=grid)


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 1), ("nfe", 1), ("t_start", 1.0), ("t_end", 0.1)]
)
def test_an_explicit_grid_beside_what_it_decides(name, value):
    with refused(f"grid gives the times itself; leave out {name}"):
        diffusion.plan(VP, grid=[1.0, 0.1], **{name: value})


@pytest.mark.parametrize("rule", [PowerT(0.0), PowerT(-2.0), PowerT(np.nan), PowerRho(np.inf)])
def test_powers_of_grids(rule):
    with refused(f"power={rule.power!r} of a grid must be positive and finite"):
        diffusion.plan(VP, grid=rule)


@pytest.mark.parametrize(("t_start", "t_end"), [(0.1, 0.5), (0.5, 0.5)])
def test_ends_in_the_wrong_order(t_start, t_end):
    with refused("t_start=", "t_end=", "goes from noise (large t) to data"):
        diffusion.plan(VP, t_start=t_start, t_end=t_end)


def test_a_rule_that_does_not_decrease():
    def rising(schedule, t_start, t_end, n):
        return np.linspace(t_end, t_start, n + 1)

    with refused("grid: 4 steps from t_start=1 to t_end=0.001", "decreasing"):
        diffusion.plan(VP, steps=4, grid=rising)


@pytest.mark.parametrize("ends", [{"t_start": 1.5}, {"t_end": -0.5, "grid": "uniform"}])
def test_ends_outside_the_domain(ends):
    argument = next(iter(ends))
    with refused(f"{argument}={ends[argument]} lies outside the domain [0.0, 1.0]"):
        diffusion.plan(VP, **ends)


@pytest.mark.parametrize("grid", ["lambda", "karras"])
def test_grids_in_the_noise_that_cannot_reach_pure_noise(grid):
    with refused("grid: rho is inf at t=1", "cannot begin or end", "choose t_start or t_end"):
        diffusion.plan(Flow(), grid=grid, prediction="v")


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_a_mixed_grid_goes_from_pure_noise_to_data(n):
    t = diffusion.plan(Flow(), steps=n, grid="mixed", prediction="flow").t
    assert (t[0], t[-1]) == (1.0, 0.0)
    # Alpha and sigma of this path change places when time is turned round.
    np.testing.assert_allclose(t, 1 - t[::-1], atol=1e-6)


def test_a_grid_in_lambda_that_cannot_reach_the_data():
    with refused("grid: rho is 0.0 at t=0", "or a grid in t"):
        diffusion.plan(VP, grid="lambda", t_end=0.0)


def test_an_end_below_the_domain():
    with refused("lies outside the domain"):
        diffusion.plan(VP, t_end=-0.5)


@pytest.mark.parametrize("value", ["first", [[1.0]], 1j, np.nan])
@pytest.mark.parametrize("argument", ["t_start", "t_end"])
def test_ends_that_are_no_numbers(argument, value):
    with refused(argument):
        diffusion.plan(VP, **{argument: value})


def test_a_start_at_infinity():
    with refused("t_start"):
        diffusion.plan(EDM(), t_start=np.inf)


@pytest.mark.parametrize("more", [-1, 2])
def test_a_rule_that_returns_another_number_of_times(more):
    def rule(schedule, t_start, t_end, n):
        return np.linspace(t_start, t_end, n + 1 + more)

    with refused("grid"):
        diffusion.plan(VP, steps=4, grid=rule)


def test_a_rule_that_returns_nothing():
    with refused("grid"):
        diffusion.plan(VP, steps=4, grid=lambda *arguments: None)


def test_a_power_that_is_no_number():
    with refused("power='2'"):
        diffusion.plan(VP, grid=PowerT("2"))


@pytest.mark.parametrize(
    ("first", "last", "name"), [(0.5, 1e-3, "t_start=0.5"), (1.0, 0.1, "t_end=0.1")]
)
def test_a_rule_with_ends_of_its_own(first, last, name):
    def rule(schedule, t_start, t_end, n):
        return np.linspace(first, last, n + 1)

    with refused("was asked for", f"pass {name} if"):
        diffusion.plan(VP, grid=rule, steps=4)


@pytest.mark.parametrize("wrap", [lambda rule: rule, WholeTimes], ids=["plain", "whole"])
def test_a_rule_that_goes_past_its_end(wrap):
    """It decreases, but not to where a run ends: that is what it is told."""

    def to_zero(schedule, t_start, t_end, n):
        return np.linspace(t_start, 0.0, n + 1)

    with refused("gave 0 at the end where t_end=100 was asked for", "pass t_end=0 if"):
        diffusion.plan(diffusion.Discrete.linear(), grid=wrap(to_zero), t_end=100, steps=20)


@pytest.mark.parametrize("dtype", [complex, np.complex64, str, object])
def test_times_are_real(dtype):
    def rule(schedule, t_start, t_end, n):
        points = np.linspace(t_start, t_end, n + 1)
        return np.full(n + 1, "half") if dtype is str else (points + 0j).astype(dtype)

    with refused("grid=<function", "gave no real numbers; it must give 5 times"):
        diffusion.plan(VP, grid=rule, steps=4)
    with refused("grid=", "must be a name, a rule or a sequence of times, which are real"):
        diffusion.plan(VP, grid=rule(VP, 1.0, 0.1, 4))


@pytest.mark.parametrize("schedule", [VP, diffusion.VE(), EDM(1e-4, 500.0)], ids=repr)
@pytest.mark.parametrize(
    "rule", [PowerRho(), PowerT(2.0), PowerVPTime(), WholeTimes(PowerT())], ids=repr
)
def test_rules_reach_their_ends(rule, schedule):
    if isinstance(rule, WholeTimes):
        schedule = EDM(0.25, 80.5)  # neither of which is whole
    plan = diffusion.plan(schedule, grid=rule, steps=5)
    assert (plan.t[0], plan.t[-1]) == (schedule.t_start, schedule.t_end)


def test_whole_times_of_a_rule_by_name():
    schedule = diffusion.Discrete.linear()
    named, made = (
        diffusion.plan(schedule, grid=WholeTimes(rule), steps=7) for rule in ("karras", PowerRho())
    )
    assert named.t.tolist() == made.t.tolist() == named.t.round().tolist()
    with pytest.raises(InvalidArgument, match=r"rule='karas' is not known; did you mean karras"):
        WholeTimes("karas")
    with pytest.raises(InvalidArgument, match="rule=None must be a name of a grid or a rule"):
        WholeTimes(None)
    for other, steps in ((schedule, 900), (VP, 5)):
        with pytest.raises(InvalidArgument, match=r"rounded to whole numbers, \d+ steps .*Disc"):
            diffusion.plan(other, grid=WholeTimes("karras"), steps=steps)
