"""The key `start`: multistep methods that begin with Runge-Kutta steps, in pipelines."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from semilinear import InvalidArgument, UnknownName, diffusion

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from semilinear.adapters.diffusers import SemilinearScheduler  # noqa: E402

FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
X = np.random.default_rng(0).standard_normal((2, 3, 4, 4))


def network(x, t):
    return torch.tanh(1.3 * x) + 0.1 * float(t) / 1000


def model(x, t):
    """The network by the time of a flow, for arrays."""
    return network(torch.from_numpy(np.array(x)), 1000 * t).numpy()


def run(scheduler, x, *, first=0):
    if first:
        scheduler.set_begin_index(first)
    for t in scheduler.timesteps[first:]:
        x = scheduler.step(network(x, t), t, x).prev_sample
    return x


def followed(course, x, *, first):
    """The flow by Euler's steps from inside of a step, then by the plan from the next one on."""
    times = [*course.plan.times, 0.0]
    while first < len(course.plan.times) and first not in course.starts:
        x = x + (times[first + 1] - times[first]) * model(x, times[first])
        first += 1
    if first == len(course.plan.times):
        return x
    return diffusion.follow(course.plan_from(first), model, x)


def prepared(steps, **config):
    scheduler = SemilinearScheduler(start="rk", **config)
    scheduler.set_timesteps(steps)
    return scheduler


def test_a_flow_from_pure_noise():
    """The run is that of the plan, whose order `test_pure_noise` measures."""
    scheduler = prepared(9, method="flow_ab4", lower_order_final=False, **FLOW)
    assert scheduler.timesteps[0] == 1000
    assert len(scheduler.timesteps) == 9 + 3 * 4  # three steps of five stages
    plan = diffusion.plan(
        diffusion.Flow(), method="flow_ab4", grid=scheduler._course.ladder.times,
        prediction="flow", start="rk", final="denoise",
    )  # fmt: skip

    found = run(scheduler, torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(found, diffusion.follow(plan, model, X), rtol=1e-6)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("method", ["flow_heun2", "flow_ab4", "ddim"])
@pytest.mark.parametrize("steps", [1, 3, 6])
def test_a_run_may_begin_anywhere(method, steps, lower):
    """A first step from pure noise has one evaluation alone; so places may be inside of steps."""
    scheduler = SemilinearScheduler(method=method, lower_order_final=lower, **FLOW)
    scheduler.set_timesteps(steps)
    for first in range(len(scheduler.timesteps)):
        again = copy.deepcopy(scheduler)
        found = run(again, torch.from_numpy(X), first=first).numpy()
        assert again._run.done
        expected = followed(scheduler._course, X, first=first)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", ["logrhoab2", "tab3", "unipc3", "sa_solver_pece"])
def test_starting_steps_are_not_counted_for_a_strength(method):
    """A pipeline leaves out `order` timesteps for each step, of which there are more in front."""
    scheduler = prepared(6, method=method)
    x = torch.from_numpy(X)
    with pytest.raises(InvalidArgument, match=r"start='rk' cannot begin with .* 3.*start='ramp'"):
        scheduler.set_begin_index(3)
    t = scheduler.timesteps[-1]
    with pytest.raises(InvalidArgument, match=r"start='rk' cannot begin with"):
        scheduler.step(network(x, t), t, x)
    with pytest.raises(InvalidArgument, match="timestep=1234 is none of those"):
        scheduler.step(x, 1234, x)
    scheduler.set_begin_index(0)
    assert run(scheduler, x).isfinite().all()


@pytest.mark.parametrize("how", ["sigmas", "timesteps"])
def test_lists_of_ones_own_are_counted_by_evaluations(how):
    """Pipelines take the number of timesteps for that of steps then, and multiply by `order`."""
    scheduler = SemilinearScheduler(method="rho_heun2")
    scheduler.set_timesteps(6)
    assert (scheduler.order, scheduler.num_inference_steps) == (2, 6)
    given = {
        "sigmas": scheduler.sigmas[:-1:2].numpy(),
        "timesteps": scheduler.timesteps[::2].tolist(),
    }
    whole = scheduler.timesteps.tolist()
    scheduler.set_timesteps(**{how: given[how]})
    assert scheduler.order == 1
    np.testing.assert_allclose(scheduler.timesteps, whole, atol=1e-3)
    x = torch.from_numpy(X)
    for first in range(len(whole)):
        again = copy.deepcopy(scheduler)
        assert run(again, x, first=first).isfinite().all()
    scheduler.set_timesteps(6)
    assert scheduler.order == 2


def test_a_copy_in_the_middle_of_a_run_has_its_own():
    scheduler = SemilinearScheduler(method="tab3")
    scheduler.set_timesteps(6)
    x = torch.from_numpy(X)
    for t in scheduler.timesteps[:2]:
        x = scheduler.step(network(x, t), t, x).prev_sample
    copied, ends = copy.copy(scheduler), []
    for one in (copied, scheduler):
        y = x
        for t in one.timesteps[2:]:
            y = one.step(network(y, t), t, y).prev_sample
        ends.append(y)
    assert torch.equal(*ends)
    scheduler.set_timesteps(6)
    x = x.requires_grad_() * 1.0
    x = scheduler.step(network(x, 999), 999, x).prev_sample
    with pytest.raises(InvalidArgument, match="records gradients cannot be copied"):
        copy.copy(scheduler)


def test_the_key_is_kept():
    scheduler = SemilinearScheduler(start="rk")
    assert SemilinearScheduler.from_config(scheduler.config).config.start == "rk"
    ramp = SemilinearScheduler()
    assert ramp.config.start == "ramp"
    ramp.set_timesteps(8)
    scheduler.set_timesteps(8)
    assert (len(ramp.timesteps), len(scheduler.timesteps)) == (8, 9)


def test_what_is_refused():
    with pytest.raises(UnknownName, match="start='kutta' is not known"):
        SemilinearScheduler(start="kutta")
    scheduler = SemilinearScheduler(method="unipc3", start="rk", **FLOW)
    with pytest.raises(InvalidArgument, match=r"start='rk': .*pure noise.*'flow_ab4'.*sigmas="):
        scheduler.set_timesteps(8)
    scheduler.set_timesteps(sigmas=np.linspace(0.9, 0.1, 8))
    assert len(scheduler.timesteps) > 8
