"""Guided models: the formula, what is evaluated, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_problems import PREDICTIONS, Gaussian
from semilinear import InvalidArgument, ModelOutputError, diffusion
from semilinear.diffusion import VPLinear
from semilinear.diffusion.guidance import guided, guided_batch
from tolerances import assert_close

VP = VPLinear()


def c(x, t):
    return x * x + t


def u(x, t):
    return x - 3 * t


def batch(x, t):
    """c and u in one network."""
    half = x.shape[0] // 2
    first, second = x[:half], x[half:]
    return np.concatenate([u(first, t), c(second, t)])


def states(shape=(3, 2, 7), dtype=np.float64):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("shape", [(3, 2, 7), (3, 200)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [-1.5, 0.5, 7.5])
def test_the_formula(scale, dtype, shape):
    x = states(shape, dtype)
    expected = u(x, 0.5) + scale * (c(x, 0.5) - u(x, 0.5))
    found = guided(c, u, scale)(x, 0.5)
    assert found.dtype == dtype
    assert_close(found, expected.astype(dtype), operations=8, scale=100.0)
    assert_close(guided_batch(batch, scale)(x, 0.5), found, operations=8, scale=100.0)


def test_every_array_library(xp):
    x = states()
    for rescale in (0.0, 0.7):
        found = guided(c, u, 3.0, rescale=rescale)(xp.asarray(x), 0.5)
        assert type(found) is type(xp.asarray(x))
        assert_close(found, guided(c, u, 3.0, rescale=rescale)(x, 0.5), operations=30)
    doubled = guided_batch(lambda x, t: x * x, 3.0)(xp.asarray(x), 0.5)
    assert_close(doubled, x * x, operations=8)


def test_the_scale_may_depend_on_the_time():
    x = states()
    model = guided(c, u, lambda t: 10 * t)
    assert (model(x, 0.5) == guided(c, u, 5.0)(x, 0.5)).all()
    doubled = guided_batch(batch, lambda t: 10 * t)
    assert (doubled(x, 0.5) == guided_batch(batch, 5.0)(x, 0.5)).all()


def test_what_does_not_count_is_not_evaluated():
    asked = []

    def recorded(name):
        return lambda x, t: asked.append((name, t)) or x + np.mean(t)

    model = guided(recorded("c"), recorded("u"), lambda t: 3.0 if 0.3 < t < 0.6 else 1.0)
    for t in (0.9, 0.5, 0.1):
        model(states(), t)
    assert asked == [("c", 0.9), ("c", 0.5), ("u", 0.5), ("c", 0.1)]
    asked.clear()
    guided(recorded("c"), recorded("u"), 0.0)(states(), 0.5)
    guided(recorded("c"), recorded("u"), 0.0, rescale=0.5)(states(), 0.5)
    assert [name for name, _ in asked] == ["u", "c", "u"]
    asked.clear()
    model(states(), np.full(3, 0.9))  # times by sample that are equal
    assert [name for name, _ in asked] == ["c"]


@pytest.mark.parametrize("rescale", [0.3, 1.0])
def test_rescaling_restores_the_deviation_of_each_sample(rescale):
    x = states() * np.array([1.0, 5.0, 0.1])[:, None, None]
    plain = guided(c, u, 4.0)(x, 0.5)
    found = guided(c, u, 4.0, rescale=rescale)(x, 0.5)
    axes = (1, 2)
    ratio = c(x, 0.5).std(axes, keepdims=True) / plain.std(axes, keepdims=True)
    np.testing.assert_allclose(found, plain * (rescale * ratio + 1 - rescale), rtol=1e-12)
    if rescale == 1.0:
        np.testing.assert_allclose(found.std(axes), c(x, 0.5).std(axes), rtol=1e-12)
    one = guided(c, u, 1.0, rescale=rescale)(x, 0.5)
    np.testing.assert_array_equal(one, c(x, 0.5))


def test_rescaling_leaves_constant_results_alone():
    model = guided(lambda x, t: 0 * x + 2.0, lambda x, t: 0 * x + 1.0, 3.0, rescale=0.7)
    np.testing.assert_array_equal(model(states(), 0.5), np.full((3, 2, 7), 4.0))


@pytest.mark.parametrize("shape", [(2, 0), (0, 3), (0, 0)])
def test_rescaling_of_empty_samples(xp, shape):
    x = xp.asarray(np.empty(shape))
    found = guided(c, u, 3.0, rescale=0.7)(x, 0.5)
    assert type(found) is type(x)
    assert found.shape == x.shape


def test_rescaling_of_half_precision_does_not_overflow():
    x = np.random.default_rng(0).standard_normal((1, 400, 400)).astype(np.float16)
    found = guided(lambda x, t: 10 * x, lambda x, t: x, 2.0, rescale=1.0)(x, 0.5)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.astype(float).std(), 10 * x.astype(float).std(), rtol=5e-3)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_guidance_does_not_depend_on_the_prediction(prediction):
    one, other = Gaussian(mean=(1.0, 0.0, 2.0)), Gaussian()
    x = diffusion.SeededNoise(0, np.empty((4, 3))).initial()
    found = [
        diffusion.sample(
            guided(one.model(VP, each), other.model(VP, each), 2.0), x, VP, prediction=each
        )
        for each in ("eps", prediction)
    ]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-9)


def test_sampling_on_a_doubled_batch_is_sampling_with_two_models():
    x = diffusion.SeededNoise(0, np.empty((4, 3))).initial()
    one, other = Gaussian(mean=(1.0, 0.0, 2.0)).model(VP), Gaussian().model(VP)

    def both(x, t):
        return np.concatenate([other(x[:4], t), one(x[4:], t)])

    found = diffusion.sample(guided_batch(both, 3.0), x, VP)
    np.testing.assert_array_equal(found, diffusion.sample(guided(one, other, 3.0), x, VP))


def test_gradients_pass():
    torch = pytest.importorskip("torch")
    weight = torch.tensor(2.0, requires_grad=True)
    x = torch.ones(2, 300)
    mixed = [
        guided(lambda x, t: x, lambda x, t: weight * x, 3.0),
        guided(lambda x, t: weight * x, lambda x, t: x, -2.0),
    ]
    for model in mixed:  # -2 weight in both
        weight.grad = None
        model(x, 0.5).sum().backward()
        assert weight.grad == -2 * 600


def torch_run(scale, *, times=0.9, batch=False):
    """Sum of samples of which the scale is a parameter."""
    import torch

    x = torch.linspace(-1, 2, 6, dtype=torch.float64).reshape(2, 3)
    model = guided(lambda x, t: torch.sin(x), lambda x, t: 0.3 * x, scale)
    if batch:
        model = guided_batch(lambda x, t: torch.cat([0.3 * x[:2], torch.sin(x[2:])]), scale)
    return diffusion.sample(model, x, VP, nfe=4, t_start=times).sum()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("times", [0.9, [0.9, 0.7]], ids=["one", "by sample"])
@pytest.mark.parametrize("kind", ["number", "function"])
def test_the_scale_has_a_derivative_in_torch(kind, times, batch):
    torch = pytest.importorskip("torch")

    def run(a):
        return torch_run(a if kind == "number" else lambda t: a * t, times=times, batch=batch)

    a = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(run(a), a)
    expected = (run(1.0 + 1e-6) - run(1.0 - 1e-6)) / 2e-6
    assert found == pytest.approx(float(expected), rel=1e-6)
    forward = torch.func.jvp(run, (a.detach(),), (torch.ones_like(a),))[1]
    assert forward == pytest.approx(float(expected), rel=1e-6)
    assert run(a).detach() == pytest.approx(float(run(1.0)), rel=1e-13)
    with pytest.raises(InvalidArgument, match=r"scale has shape \(2,\); give a number"):
        torch_run(torch.ones(2, requires_grad=True), batch=batch)
    for wrong in (float("nan"), 1 + 1j):
        with pytest.raises(InvalidArgument, match=r"scale=.* must be a finite number"):
            torch_run(torch.tensor(wrong, requires_grad=True), batch=batch)
    with pytest.raises(InvalidArgument, match=r"scale is followed by .*torch.* float\(scale\)"):
        guided(c, u, a)(states(), 0.5)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3, u, 1.0), {}, r"conditional=3 must be callable"),
        ((c, None, 1.0), {}, r"unconditional=None must be callable"),
        ((c, u, "7"), {}, r"scale='7' must be a finite number"),
        ((c, u, np.nan), {}, r"scale=nan"),
        ((c, u, 1.0), {"rescale": 1.5}, r"rescale=1\.5 must lie between 0 and 1"),
        ((c, u, 1.0), {"rescale": True}, r"rescale=True"),
    ],
)
def test_misuse(arguments, options, message):
    with pytest.raises(InvalidArgument, match=message):
        guided(*arguments, **options)


def test_misuse_of_calls():
    x = states()
    with pytest.raises(InvalidArgument, match=r"scale\(t=0\.5\)=None must be a finite number"):
        guided(c, u, lambda t: None)(x, 0.5)
    with pytest.raises(ModelOutputError, match=r"unconditional at t = 0\.5 returned shape \(1, 2,"):
        guided(c, lambda x, t: x[:1], 2.0)(x, 0.5)
    with pytest.raises(ModelOutputError, match=r"conditional at t = 0\.5 .*float64.*float32"):
        guided(lambda x, t: x.astype(float), u, 2.0)(states(dtype=np.float32), 0.5)
    with pytest.raises(ModelOutputError, match=r"model at t = 0\.5 returned shape \(3, 2, 7\)"):
        guided_batch(lambda x, t: x[:3], 2.0)(x, 0.5)
    with pytest.raises(InvalidArgument, match="model=None"):
        guided_batch(None, 2.0)
    with pytest.raises(InvalidArgument, match="x has no axis"):
        guided_batch(c, 2.0)(np.ones(()), 0.5)
    with pytest.raises(InvalidArgument, match=r"rescale=0\.7: x has shape \(3,\)"):
        guided(c, u, 2.0, rescale=0.7)(np.ones(3), 0.5)
