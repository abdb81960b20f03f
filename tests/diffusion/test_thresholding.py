"""Models whose x_0 is kept in the range of the data."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_problems import PREDICTIONS, SCHEDULES, answer, ends
from semilinear import InvalidArgument, ModelOutputError, UnknownName, diffusion
from semilinear.diffusion import EDM, Flow, VPLinear, guided, in_dtype, inpainted
from semilinear.diffusion.predictions import readout
from semilinear.diffusion.thresholding import clipped, in_own_range, thresholded
from tolerances import assert_close

VP = VPLinear()


KNOWN = np.zeros((4, 3, 5))
AROUND = {
    "clipped": clipped,
    "thresholded": thresholded,
    "inpainted": lambda model, *args, **kw: inpainted(model, *args, KNOWN, KNOWN, **kw),
    "in half precision": lambda *args, **kw: in_dtype(clipped(*args, **kw), "float64"),
    "guided": lambda *args, **kw: guided(lambda x, t: x, clipped(*args, **kw), 2.0),
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_what_it_was_made_for_is_compared_with_the_run(around):
    x = states()
    model = around(lambda x, t: x, VP, prediction="v")
    for make in (diffusion.sample, diffusion.encode):
        assert make(model, x, VP, prediction="v", steps=2).shape == x.shape
        with pytest.raises(InvalidArgument, match=r"made for prediction='v', and .*eps"):
            make(model, x, VP, steps=2)
        with pytest.raises(InvalidArgument, match=r"made for schedule=VPLinear.*has schedule=EDM"):
            make(model, x, EDM(), prediction="v", steps=2)
    make = diffusion.sample_adaptive
    assert make(model, x, VP, prediction="v", rtol=1.0, atol=1.0).x.shape == x.shape
    with pytest.raises(InvalidArgument, match=r"made for prediction='v', and .*eps"):
        make(model, x, VP)


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_models_in_models_agree_in_what_they_were_made_for(around):
    inner = clipped(lambda x, t: x, VP, prediction="v")
    around(inner, VP, prediction="v")
    with pytest.raises(
        InvalidArgument, match=r"^model: .*made for prediction='v', and what is put"
    ):
        around(inner, VP)
    with pytest.raises(InvalidArgument, match=r"made for schedule=VPLinear.*has schedule=EDM"):
        around(inner, EDM(), prediction="v")


@pytest.mark.parametrize(
    "other", [clipped(KNOWN.dot, EDM()), clipped(KNOWN.dot, VP, prediction="v")]
)
def test_guidance_is_between_models_for_the_same(other):
    model = clipped(KNOWN.dot, VP)
    guided(model, model, 2.0)
    with pytest.raises(InvalidArgument, match=r"^unconditional: .*and conditional has"):
        guided(model, other, 2.0)


def states(shape=(4, 3, 5)):
    return np.random.default_rng(0).standard_normal(shape)


def wide(schedule, prediction):
    """A model whose x_0 is 2 x: it leaves the range of the data."""

    def model(x, t):
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        return answer(prediction, alpha, sigma, 2 * x, (x - 2 * alpha * x) / sigma)

    return model


def data(schedule, prediction, model, x, t):
    read = readout(prediction, schedule.alpha(t), schedule.sigma(t))
    return read.p_x0 * x + read.q_x0 * model(x, t)


def dynamic(x_0, quantile, largest=1.0):
    flat = np.abs(x_0).reshape(len(x_0), -1)
    s = np.maximum(np.quantile(flat, quantile, axis=1), largest)
    s = s.reshape(-1, *[1] * (x_0.ndim - 1))
    return np.clip(x_0, -s, s) * largest / s


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_data_are_those_of_the_formula(name, prediction):
    schedule = SCHEDULES[name]
    x = states()
    start, end = ends(schedule)
    for t in (end, (start + end) / 2):
        rho = schedule.rho(t)
        model = thresholded(wide(schedule, prediction), schedule, prediction=prediction)
        found = data(schedule, prediction, model, x, t)
        bound = 1e-14 * (10 + 10 / schedule.alpha(t) + rho)
        np.testing.assert_allclose(found, dynamic(2 * x, 0.995), atol=bound)
        model = clipped(wide(schedule, prediction), schedule, prediction=prediction, low=-0.5)
        found = data(schedule, prediction, model, x, t)
        np.testing.assert_allclose(found, np.clip(2 * x, -0.5, 1.0), atol=bound)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 9), (2, 3, 5, 7), (3, 400)])
@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.9, 1.0])
def test_every_shape(shape, quantile):
    x = states(shape) * np.arange(1, shape[0] + 1).reshape(-1, *[1] * (len(shape) - 1))
    model = thresholded(
        lambda x, t: x.copy(), EDM(), prediction="x0", quantile=quantile, largest=0.8
    )
    np.testing.assert_allclose(model(x, 1.0), dynamic(x, quantile, 0.8), atol=1e-14)


@pytest.mark.parametrize("quantile", [0.3, 0.995, 1.0])
def test_the_range_may_have_an_end(xp, quantile):
    """The formula of diffusers, whose range begins at 1."""
    data = np.array([[0.1, -0.4, 0.2], [1.0, -3.0, 2.0], [30.0, -9.0, 8.0]])
    s = np.clip(np.quantile(np.abs(data), quantile, axis=1, keepdims=True), 1.0, 5.0)
    found = in_own_range(xp.asarray(data), quantile, 1.0, 5.0)
    assert_close(found, np.clip(data, -s, s) / s, operations=8)


@pytest.mark.parametrize("shape", [(4, 3, 5), (4, 300)])
@pytest.mark.parametrize("make", [thresholded, clipped])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_answers_within_the_range_stay_as_they_are(make, prediction, shape):
    x = states(shape) / 12
    model = wide(VP, prediction)
    np.testing.assert_array_equal(make(model, VP, prediction=prediction)(x, 0.5), model(x, 0.5))


def test_every_array_library(xp):
    x = states()
    for make in (thresholded, clipped):
        model = make(wide(VP, "v"), VP, prediction="v")
        found = model(xp.asarray(x), 0.5)
        assert type(found) is type(xp.asarray(x))
        assert_close(found, model(x, 0.5), operations=50, scale=20.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_dtype_stays(dtype):
    found = thresholded(lambda x, t: 3 * x, VP, prediction="x0")(states().astype(dtype), 0.5)
    assert found.dtype == dtype
    assert np.abs(found).max() <= 1.0


def test_where_no_answer_leads_to_other_data():
    x = states()
    # sigma = 0: x_0 is x / alpha; alpha = 0: eps says nothing of x_0.
    for t, prediction in ((0.0, "eps"), (0.0, "flow"), (1.0, "eps"), (1.0, "score")):
        model = thresholded(lambda x, t: 5 * x, Flow(), prediction=prediction)
        np.testing.assert_array_equal(model(x, t), 5 * x)
    model = thresholded(lambda x, t: 5 * x, Flow(), prediction="x0")
    assert np.abs(model(x, 0.0)).max() <= 1.0


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_samples_end_in_the_range_of_the_data(prediction):
    model = thresholded(wide(VP, prediction), VP, prediction=prediction)
    x = diffusion.sample(
        model, states(), VP, prediction=prediction, steps=8, t_end=0.05, final="denoise"
    )
    assert 0.5 < np.abs(x).max() <= 1.0 + 1e-12


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (thresholded, {"quantile": 1.5}, InvalidArgument, r"quantile=1\.5 must lie between"),
        (thresholded, {"quantile": "high"}, InvalidArgument, r"quantile='high'"),
        (thresholded, {"largest": 0}, InvalidArgument, r"largest=0 must be positive"),
        (thresholded, {"prediction": "noise"}, UnknownName, r"prediction='noise'"),
        (thresholded, {"model": 1}, InvalidArgument, r"model=1 must be callable"),
        (clipped, {"schedule": "vp"}, InvalidArgument, r"schedule='vp' must be a NoiseSchedule"),
        (clipped, {"low": 1, "high": 1}, InvalidArgument, r"low=1 must be less than high=1"),
    ],
)
def test_misuse(make, options, error, message):
    with pytest.raises(error, match=message):
        make(**{"model": lambda x, t: x, "schedule": VP, **options})


@pytest.mark.parametrize("make", [thresholded, clipped])
def test_complex_states_are_refused(make):
    with pytest.raises(InvalidArgument, match=r"x has dtype complex128; .* no order"):
        make(lambda x, t: x, VP)(np.ones((2, 3), complex), 0.5)


@pytest.mark.parametrize("make", [thresholded, clipped])
@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0,)])
def test_empty_batches_stay_empty(make, shape, xp):
    x = xp.zeros(shape, dtype=xp.float32)
    assert make(lambda x, t: 2 * x, VP)(x, 0.5).shape == shape


def test_misuse_of_calls():
    with pytest.raises(InvalidArgument, match="x has no axis"):
        thresholded(lambda x, t: x, VP)(np.ones(()), 0.5)
    with pytest.raises(ModelOutputError, match=r"model at t = 0\.5 returned shape \(1, 3, 5\)"):
        clipped(lambda x, t: x[:1], VP)(states(), 0.5)
