"""From data to noise and back."""

from __future__ import annotations

import numpy as np
import pytest

import semilinear as sl
from diffusion_problems import SCHEDULES, Gaussian, Mixture, ends, noise_at, slopes
from semilinear import InvalidArgument, diffusion
from semilinear.diffusion import EDM, VE, Flow, SubVP, VPLinear

GAUSSIAN, MIXTURE = Gaussian(), Mixture()
VP = VPLinear()
T_END = 1e-2
STRAIGHT = [
    ("ddim", "etdab1"),
    ("flow_ab2", "etdab2"),
    ("flow_ab3", "etdab3"),
    ("flow_heun2", "etd2rk"),
    ("flow_rk4", "etd4rk"),
]


def around(data, schedule, x, method, steps, *, start="rk", grid="quadratic", t_end=T_END):
    """Encode, then sample from the result: the noise and the error of the round trip."""
    options = {
        "method": method,
        "steps": steps,
        "start": start,
        "grid": grid,
        "t_start": ends(schedule)[0],
        "t_end": t_end,
    }
    noise = diffusion.encode(data.model(schedule), x, schedule, **options)
    back = diffusion.sample(data.model(schedule), noise, schedule, **options)
    return noise, float(np.abs(back - x).max())


ORDERS = [
    ("ddim", "ramp", (80, 160, 320)),
    ("tab1", "rk", (80, 160, 320)),
    ("tab3", "rk", (160, 320, 640)),
    ("ipndm4", "ramp", (160, 320, 640)),
    ("rho_heun2", "ramp", (80, 160, 320)),
    ("rho_rk4", "ramp", (80, 160, 320)),
]


@pytest.mark.parametrize(("method", "start", "counts"), ORDERS)
def test_the_error_of_a_round_trip_falls_at_the_order_of_the_method(method, start, counts):
    x = np.array([[0.2, -0.7, 2.0], [0.5, 0.1, 0.4]])
    order = diffusion.plan(VP, method=method, steps=1).sampler.order
    errors = [around(GAUSSIAN, VP, x, method, n, start=start, grid="lambda")[1] for n in counts]
    for slope in slopes(errors):
        assert order - 0.4 <= slope <= order + 1.3


@pytest.mark.parametrize("method", ["ddim", "tab3", "logrhoab3", "rho_rk4"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_noise_is_that_of_the_exact_flow(name, method):
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    x = np.array([[0.2, -0.7, 2.0]])
    exact = GAUSSIAN.flow(schedule, x, t_end, t_start)
    plan = diffusion.plan(
        schedule,
        method=method,
        steps=200,
        grid="lambda",
        t_start=t_start,
        t_end=t_end,
        direction="encode",
    )
    error = np.abs(diffusion.follow(plan, GAUSSIAN.model(schedule), x) - exact).max()
    assert error <= (0.1 if method == "ddim" else 0.01) * schedule.sigma(t_start)


def test_a_round_trip_on_a_mixture():
    x = MIXTURE.denoised(noise_at(VP, 0.5, (6, 2)), VP.alpha(0.5), VP.sigma(0.5))
    errors = [around(MIXTURE, VP, x, "tab3", n)[1] for n in (40, 80, 160)]
    assert errors[-1] < 1e-4
    assert all(slope > 3.0 for slope in slopes(errors))
    noise, _ = around(MIXTURE, VP, x, "tab3", 160)
    exact = MIXTURE.flow(VP, x, T_END, 1.0)
    assert np.abs(noise - exact).max() < 1e-3


def test_the_grid_is_that_of_sampling_reversed():
    down = diffusion.plan(VP, steps=7, grid="karras")
    up = diffusion.plan(VP, steps=7, grid="karras", direction="encode")
    assert (up.t == down.t[::-1]).all()
    assert up.times == tuple(down.t[::-1][:-1])
    explicit = diffusion.plan(VP, grid=down.t, direction="encode")
    assert (explicit.t == up.t).all()


def test_encoding_of_one_step_is_undone_up_to_the_change_of_eps():
    # DDIM up with eps(x, t), down with eps(x', t'): the same line walked twice if eps is constant.
    eps = np.array([0.3, -2.0])
    noise = diffusion.encode(lambda x, t: eps.copy(), np.ones(2), VP, method="ddim", steps=1)
    back = diffusion.sample(lambda x, t: eps.copy(), noise, VP, method="ddim", steps=1)
    np.testing.assert_allclose(back, 1.0, rtol=1e-12)


@pytest.mark.parametrize("prediction", ["x0", "v", "score", "flow"])
def test_predictions_are_read_as_in_sampling(prediction):
    x = np.array([[0.2, -0.7, 2.0]])
    options = {"steps": 8, "t_end": T_END}
    expected = diffusion.encode(GAUSSIAN.model(VP), x, VP, **options)
    model = GAUSSIAN.model(VP, prediction)
    found = diffusion.encode(model, x, VP, prediction=prediction, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "sa_solver", "noise": 0},
        {"method": "sa_solver", "noise": 0, "exact": True},
        {"method": "unipc3", "exact": True, "lower_end": True},
    ],
)
def test_arguments_of_a_plan_that_encodes(options):
    x, model = np.array([[0.2, -0.7, 2.0]]), GAUSSIAN.model(VP)
    common = {"steps": 6, "t_end": T_END}
    plan = diffusion.plan(VP, direction="encode", **common, **options)
    found = diffusion.encode(model, x, VP, **common, **options)
    assert (found == diffusion.follow(plan, model, x)).all()
    trip = diffusion.round_trip(model, x, VP, **common, grid=None, **options)
    assert (trip.latent == found).all()
    assert (trip.x == diffusion.sample(model, found, VP, **common, **options)).all()
    # Each of them counts.
    for name in set(options) - {"method", "noise"}:
        others = {key: value for key, value in options.items() if key != name}
        assert (diffusion.encode(model, x, VP, **common, **others) != found).any()


@pytest.mark.parametrize(("schedule", "t_end"), [(VE(), 0.0), (EDM(), 0.002), (Flow(), 0.01)])
def test_a_trajectory_runs_from_the_data_to_the_noise(schedule, t_end):
    t_start = ends(schedule)[0]
    x = np.ones((1, 3))
    found = diffusion.encode(
        GAUSSIAN.model(schedule),
        x,
        schedule,
        steps=5,
        t_start=t_start,
        t_end=t_end,
        trajectory=True,
    )
    assert (found.x[0] == x).all()
    assert len(found.x) == len(found.t) == 6
    assert (found.t[0], found.t[-1]) == (t_end, t_start)
    assert (np.diff(found.t) > 0).all()
    last = diffusion.encode(
        GAUSSIAN.model(schedule), x, schedule, steps=5, t_start=t_start, t_end=t_end
    )
    assert (found.x[-1] == last).all()


def velocity(x, t):
    """E[eps - x_0 | x] of the mixture on the straight path, with its limit at the data."""
    if t == 0:
        return -x
    return (x - MIXTURE.denoised(x, 1.0 - t, t)) / t


@pytest.mark.parametrize("prediction", ["flow", "v"])
@pytest.mark.parametrize(("method", "core"), STRAIGHT)
def test_a_straight_path_is_encoded_from_end_to_end(method, core, prediction):
    """As `solve` integrates dx/dt: nothing is linear, and nothing singular at either end."""
    x, grid = noise_at(VP, 0.5, (6, 2)), np.linspace(0.0, 1.0, 41)

    def model(x, t):
        flow = velocity(x, t)
        # v = alpha eps - sigma x_0, with eps = x + alpha flow and x_0 = x - sigma flow.
        both = (1 - t) * (x + (1 - t) * flow) - t * (x - t * flow)
        return flow if prediction == "flow" else both

    options = {"method": method, "grid": grid[::-1], "prediction": prediction}
    found = diffusion.encode(model, x, Flow(), **options)
    expected = sl.solve(
        sl.Scalar(0.0), lambda t, x: velocity(x, t), (0.0, 1.0), x, grid=grid, method=core
    ).y_last
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


def test_encoding_a_straight_path_by_ddim_keeps_eps_and_x_0_over_a_step():
    x, grid = noise_at(VP, 0.5, (6, 2)), [0.9, 0.6, 0.3, 0.1]
    plan = diffusion.plan(Flow(), method="ddim", grid=grid, prediction="flow", direction="encode")
    state, t = x, plan.t
    for k in range(3):
        a, s = 1 - t[k], t[k]
        flow = velocity(state, s)
        state = (1 - t[k + 1]) * (state - s * flow) + t[k + 1] * (state + a * flow)
    np.testing.assert_allclose(diffusion.follow(plan, velocity, x), state, atol=1e-14)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "unipc3"}, r"unipc3 from flow .*t_start=0\.9991, t_end=0\.00091.*'ddim'"),
        ({"method": "flow_ab2", "prediction": "x0"}, "flow_ab2 from x0"),
        ({"method": "flow_ab2", "prediction": "eps"}, "flow_ab2 from eps"),
        ({"method": "euler"}, "euler from flow"),
        ({"schedule": SubVP(), "t_end": 0.0}, r"such as t_start=1, t_end=0\.001$"),
    ],
)
def test_other_encodings_need_ends_inside_of_the_path(options, words):
    given = {"schedule": Flow(), "grid": "uniform", "prediction": "flow", **options}
    with pytest.raises(InvalidArgument, match=words):
        diffusion.plan(given.pop("schedule"), direction="encode", **given)
