"""Starting from known data, as a whole or in part."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_problems import PREDICTIONS, SCHEDULES, Gaussian, ends
from semilinear import InvalidArgument, ModelOutputError, UnknownName, diffusion
from semilinear.diffusion import Flow, SeededNoise, VPLinear
from semilinear.diffusion.inpainting import add_noise, inpainted
from semilinear.diffusion.predictions import readout
from tolerances import assert_close

VP, GAUSSIAN = VPLinear(), Gaussian()
KNOWN = np.random.default_rng(1).standard_normal((4, 3))
MASK = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])


def states(seed=0):
    return np.random.default_rng(seed).standard_normal((4, 3))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_what_is_seen_and_what_is_answered(name, prediction):
    schedule = SCHEDULES[name]
    t = np.mean(ends(schedule))
    seen = []
    inner = GAUSSIAN.model(schedule, prediction)

    def model(x, t):
        seen.append(x)
        return inner(x, t)

    x, alpha, sigma = states(), schedule.alpha(t), schedule.sigma(t)
    found = inpainted(model, schedule, KNOWN, MASK, prediction=prediction, seed=3)(x, t)
    z = SeededNoise(3, KNOWN).initial()
    expected = np.where(MASK == 1, alpha * KNOWN + sigma * z, x)
    np.testing.assert_allclose(seen[0], expected, rtol=1e-14)
    free = MASK == 0
    assert (seen[0][free] == x[free]).all()
    assert (found[free] == inner(seen[0], t)[free]).all()
    read = readout(prediction, alpha, sigma)
    x_0 = read.p_x0 * x + read.q_x0 * found
    bound = 1e-14 * (10 + 100 / alpha + 100 * schedule.rho(t))
    np.testing.assert_allclose(x_0[~free], KNOWN[~free], atol=bound)


def test_masks_between_mix():
    seen = []

    def model(x, t):
        seen.append(x)
        return GAUSSIAN.model(VP)(x, t)

    x, t, m = states(), 0.5, 0.3
    found = inpainted(model, VP, KNOWN, np.full((1, 3), m), seed=3)(x, t)
    alpha, sigma = VP.alpha(t), VP.sigma(t)
    noised = alpha * KNOWN + sigma * SeededNoise(3, KNOWN).initial()
    np.testing.assert_allclose(seen[0], m * noised + (1 - m) * x, rtol=1e-13)
    own = (seen[0] - sigma * GAUSSIAN.model(VP)(seen[0], t)) / alpha
    np.testing.assert_allclose((x - sigma * found) / alpha, m * KNOWN + (1 - m) * own, atol=1e-12)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("final", ["zero", "denoise"])
def test_samples_hold_what_is_known(prediction, final):
    model = inpainted(
        GAUSSIAN.model(VP, prediction), VP, KNOWN, MASK, prediction=prediction, seed=3
    )
    x = diffusion.sample(
        model, states(), VP, method="ddim", prediction=prediction, steps=10, final=final
    )
    np.testing.assert_allclose(x[MASK == 1], KNOWN[MASK == 1], atol=1e-11)


def test_an_empty_mask_changes_nothing_and_a_full_one_leaves_nothing():
    x, options = states(), {"steps": 6, "final": "denoise"}
    plain = diffusion.sample(GAUSSIAN.model(VP), x, VP, **options)
    model = inpainted(GAUSSIAN.model(VP), VP, KNOWN, np.zeros((4, 3), bool), seed=0)
    np.testing.assert_array_equal(diffusion.sample(model, x, VP, **options), plain)
    model = inpainted(GAUSSIAN.model(VP), VP, KNOWN, np.ones((1, 1), int), seed=0)
    np.testing.assert_allclose(diffusion.sample(model, x, VP, **options), KNOWN, atol=1e-12)


def test_what_is_not_known_does_not_matter(xp):
    def model(x, t):
        return x / 2

    x = states()
    expected = inpainted(model, VP, KNOWN, MASK, seed=3)(x, 0.5)
    for unknown in (np.nan, np.inf, 1e300):
        known = xp.asarray(np.where(MASK == 0, unknown, KNOWN))
        found = inpainted(model, VP, known, xp.asarray(MASK), seed=3)(xp.asarray(x), 0.5)
        assert_close(found, expected, operations=50)


def test_what_is_known_is_kept():
    known, mask, x = KNOWN.copy(), MASK.copy(), states()
    model = inpainted(GAUSSIAN.model(VP), VP, known, mask, seed=3)
    before = model(x, 0.5)
    known[:], mask[:] = 9.0, 0.0
    np.testing.assert_array_equal(model(x, 0.5), before)


def test_at_sigma_zero_the_answer_stays():
    x = states()
    model = inpainted(lambda x, t: 5 * x, Flow(), KNOWN, MASK, seed=0)
    expected = np.where(MASK == 1, KNOWN, x)
    np.testing.assert_array_equal(model(x, 0.0), 5 * expected)


def test_every_array_library(xp):
    def model(x, t):
        return x / 2

    x = states()
    args = (xp.asarray(KNOWN), xp.asarray(MASK))
    found = inpainted(model, VP, *args, seed=3)(xp.asarray(x), 0.5)
    assert type(found) is type(args[0])
    assert_close(found, inpainted(model, VP, KNOWN, MASK, seed=3)(x, 0.5), operations=50)
    for t in (0.5, [0.1, 0.2, 0.3, 1.0]):
        noisy = add_noise(VP, args[0], t, seed=3)
        assert_close(noisy, add_noise(VP, KNOWN, t, seed=3), operations=8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_is_added_as_the_path_says(dtype):
    x_0 = np.random.default_rng(1).standard_normal((4, 100)).astype(dtype)
    z = SeededNoise(5, x_0).initial()
    found = add_noise(VP, x_0, 0.4, seed=5)
    assert found.dtype == dtype
    assert_close(found, VP.alpha(0.4) * x_0 + VP.sigma(0.4) * z, operations=8, scale=5.0)
    np.testing.assert_array_equal(add_noise(VP, x_0, 0.4, noise=z), found)
    each = add_noise(VP, x_0, np.array([0.1, 0.4, 0.2, 1.0]), seed=5)
    assert each.dtype == dtype
    assert_close(each[1:2], found[1:2], operations=8, scale=5.0)
    assert_close(each[3:], add_noise(VP, x_0, 1.0, seed=5)[3:], operations=8, scale=5.0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_coefficients_of_half_precision_are_not_rounded_for_times_by_sample_either(dtype):
    torch = pytest.importorskip("torch")
    x_0 = torch.from_numpy(states()).to(getattr(torch, dtype)).repeat(1, 50)
    each = add_noise(VP, x_0, np.full(4, 0.3), seed=5)
    assert torch.equal(each, add_noise(VP, x_0, 0.3, seed=5))


def test_partial_noise_is_where_a_run_can_start():
    # Of the law of the data: so is what comes back, and it stays near where it began.
    rng = np.random.default_rng(0)
    x_0 = np.array(GAUSSIAN.mean) + np.sqrt(GAUSSIAN.variance) * rng.standard_normal((4000, 3))
    x = add_noise(VP, x_0, 0.2, seed=1)
    y = diffusion.sample(GAUSSIAN.model(VP), x, VP, t_start=0.2, steps=12, final="denoise")
    np.testing.assert_allclose(y.mean(0), GAUSSIAN.mean, atol=0.1)
    assert (np.corrcoef(x_0[:, 2], y[:, 2])[0, 1]) > 0.8


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"seed": 1, "noise": KNOWN}, InvalidArgument, "seed and noise: give one"),
        ({"noise": KNOWN[:2]}, InvalidArgument, r"noise has shape \(2, 3\).*like x_0"),
        ({"noise": KNOWN.astype("f4")}, InvalidArgument, "noise has .*float32"),
        ({"noise": 0.0}, InvalidArgument, "noise must be an array"),
        ({"x_0": [1.0]}, InvalidArgument, "x_0 must be an array"),
        ({"t": 1.5}, InvalidArgument, r"t=1\.5 lies outside"),
        ({"t": [0.5, 0.5]}, InvalidArgument, r"t has shape \(2,\)"),
        ({"t": "late"}, InvalidArgument, "t must hold real numbers"),
        ({"schedule": None}, InvalidArgument, "schedule=None"),
    ],
)
def test_misuse_of_add_noise(options, error, message):
    with pytest.raises(error, match=message):
        add_noise(**{"schedule": VP, "x_0": KNOWN, "t": 0.5, **options})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": None}, InvalidArgument, "model=None"),
        ({"schedule": None}, InvalidArgument, "schedule=None"),
        ({"known": [1.0]}, InvalidArgument, "known must be an array"),
        ({"mask": [1.0]}, InvalidArgument, "mask is list"),
        ({"mask": MASK[:2]}, InvalidArgument, r"mask has shape \(2, 3\)"),
        ({"mask": np.ones((5, 4, 3))}, InvalidArgument, r"mask has shape \(5, 4, 3\)"),
        ({"mask": 1.2 * MASK}, InvalidArgument, r"mask has entries outside \[0, 1\]"),
        ({"mask": MASK - 0.1}, InvalidArgument, r"mask has entries outside \[0, 1\]"),
        ({"mask": MASK * np.nan}, InvalidArgument, r"mask has entries outside \[0, 1\]"),
        ({"prediction": "noise"}, UnknownName, "prediction='noise'"),
    ],
)
def test_misuse_of_inpainted(options, error, message):
    given = {"model": lambda x, t: x, "schedule": VP, "known": KNOWN, "mask": MASK}
    with pytest.raises(error, match=message):
        inpainted(**{**given, **options})


def test_misuse_of_calls():
    model = inpainted(lambda x, t: x, VP, KNOWN, MASK, seed=0)
    with pytest.raises(
        InvalidArgument, match=r"known has shape \(4, 3\).*the state shape \(2, 3\)"
    ):
        model(np.ones((2, 3)), 0.5)
    with pytest.raises(InvalidArgument, match=r"known has .*float64.*float32"):
        model(np.ones((4, 3), np.float32), 0.5)
    with pytest.raises(ModelOutputError, match=r"model at t = 0\.5"):
        inpainted(lambda x, t: None, VP, KNOWN, MASK, seed=0)(KNOWN, 0.5)
