"""Samples encoded and sampled again."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_problems import Gaussian, Mixture
from semilinear import InvalidArgument, diffusion
from semilinear.diffusion import Flow, VPLinear
from semilinear.diffusion.round_trip import round_trip

VP, GAUSSIAN, MIXTURE = VPLinear(), Gaussian(), Mixture()


def test_it_is_an_encoding_and_a_sampling():
    x = np.array([[0.2, -0.7, 2.0], [0.5, 0.1, 0.4]])
    options = {"method": "tab2", "grid": "karras", "nfe": 12, "t_start": 0.9, "t_end": 0.01}
    options["start"] = "rk"
    found = round_trip(GAUSSIAN.model(VP, "v"), x, VP, prediction="v", **options)
    latent = diffusion.encode(GAUSSIAN.model(VP, "v"), x, VP, prediction="v", **options)
    back = diffusion.sample(GAUSSIAN.model(VP, "v"), latent, VP, prediction="v", **options)
    np.testing.assert_array_equal(found.latent, latent)
    np.testing.assert_array_equal(found.x, back)
    np.testing.assert_allclose(found.rms, np.sqrt(((back - x) ** 2).mean(1)))
    assert found.nfe == 2 * diffusion.plan(VP, prediction="v", **options).nfe == 24


def test_samples_without_further_axes():
    x = np.array([0.3, -0.8])
    found = round_trip(lambda x, t: x / 2, x, VP, steps=5)
    np.testing.assert_allclose(found.rms, np.abs(found.x - x))


def test_the_distance_falls_with_the_steps():
    x = np.array([[0.2, -0.7, 2.0], [0.5, 0.1, 0.4]])
    options = {"method": "logrhoab3", "grid": "lambda"}
    rms = [round_trip(GAUSSIAN.model(VP), x, VP, steps=n, **options).rms.max() for n in (50, 100)]
    assert rms[1] < rms[0] / 4 < 1e-3


def test_a_flow_path_needs_no_ends():
    """They are those at lambda = 7 and -7."""
    flow = Flow()
    x = np.array([[1.0, 0.5], [-0.6, -1.1], [0.3, -0.2], [0.9, 1.0]])
    model = MIXTURE.model(flow, "flow")
    found = round_trip(model, x, flow, prediction="flow")
    ends = {"t_start": flow.t_of_lam(-7.0), "t_end": flow.t_of_lam(7.0)}
    same = round_trip(model, x, flow, prediction="flow", **ends)
    np.testing.assert_array_equal(found.x, same.x)
    finer = round_trip(model, x, flow, prediction="flow", steps=100)
    assert finer.rms.max() < found.rms.max() / 4 < 2.5e-4
    latent = MIXTURE.flow(flow, x, ends["t_end"], ends["t_start"])
    assert np.abs(found.latent - latent).max() < 1e-2


def test_every_array_library(xp):
    x = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
    found = round_trip(lambda x, t: x / 2, xp.asarray(x), VP, steps=5)
    expected = round_trip(lambda x, t: x / 2, x, VP, steps=5)
    assert type(found.rms) is type(found.x) is type(xp.asarray(x))
    assert found.rms.dtype == xp.float64
    assert found.rms.shape == (3,)
    assert np.allclose(np.asarray(found.rms), expected.rms, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 0), (0, 3), (0, 0)])
def test_empty_samples(xp, shape):
    found = round_trip(lambda x, t: x / 2, xp.asarray(np.empty(shape)), VP, steps=5)
    assert tuple(found.x.shape) == shape
    assert np.array_equal(np.asarray(found.rms), np.zeros(shape[0]))


def test_trained_digits_come_back():
    pytest.importorskip("onnxruntime")
    from semilinear.adapters.onnx import mnist_eps

    model = mnist_eps()
    noise = np.random.default_rng(0).standard_normal((2, 1, 28, 28), dtype=np.float32)
    digits = diffusion.sample(model, noise, VP, nfe=20)
    found = round_trip(model, digits, VP)
    assert found.nfe == 100
    assert found.rms.shape == (2,)
    assert found.rms.max() < 1e-3


@pytest.mark.parametrize("x", [np.ones(()), [1.0]])
def test_what_is_no_batch_is_refused(x):
    with pytest.raises(InvalidArgument, match=r"x (has no axis|must be an array)"):
        round_trip(GAUSSIAN.model(VP), x, VP)
