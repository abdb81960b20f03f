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


def run(scheduler, x, *, first=0):
    if first:
        scheduler.set_begin_index(first)
    for t in scheduler.timesteps[first:]:
        x = scheduler.step(network(x, t), t, x).prev_sample
    return x


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

    def model(x, t):
        return network(torch.from_numpy(np.array(x)), 1000 * t).numpy()

    found = run(scheduler, torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(found, diffusion.follow(plan, model, X), rtol=1e-6)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("method", ["logrhoab2", "tab3", "unipc3", "sa_solver_pece"])
@pytest.mark.parametrize("steps", [1, 3, 6])
def test_a_run_may_begin_anywhere(method, steps, lower):
    """Inside of the starting steps, and after them, where none of its own are needed."""
    config = {"method": method, "lower_order_final": lower, "prediction_type": "sample"}
    config["tau"] = 0.0 if method == "sa_solver_pece" else None
    scheduler = prepared(steps, **config)
    for first in range(len(scheduler.timesteps)):
        again = copy.deepcopy(scheduler)
        assert run(again, torch.from_numpy(X), first=first).isfinite().all()
        assert again._run.done


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
