"""The noise prediction for MNIST that comes with the package, and its export."""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from semilinear.adapters.onnx import OnnxModel, mnist_eps

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

MODELS = resources.files("semilinear") / "models"
EXPORTER = Path(__file__).resolve().parents[2] / "benchmarks" / "mnist_model"
EPS32 = float(np.finfo(np.float32).eps)


@pytest.fixture(scope="module")
def digits() -> OnnxModel:
    return mnist_eps(threads=1)


def alpha_sigma(t: float) -> tuple[float, float]:
    log_alpha = -19.9 * t**2 / 4 - 0.1 * t / 2
    return math.exp(log_alpha), math.sqrt(-math.expm1(2 * log_alpha))


def seven() -> np.ndarray:
    """A seven of two strokes, on the scale [-1, 1]."""
    pixels = np.stack(np.indices((28, 28)), -1).astype(float)
    distance = np.full((28, 28), np.inf)
    for start, end in (((7, 8), (7, 19)), ((7, 19), (21, 12))):
        a, d = np.array(start), np.subtract(end, start)
        along = np.clip((pixels - a) @ d / (d @ d), 0, 1)[..., None]
        distance = np.minimum(distance, np.linalg.norm(pixels - a - along * d, axis=-1))
    return 2 * np.clip(2.2 - distance, 0, 1) - 1


def test_the_shipped_file_is_the_documented_one(digits: OnnxModel) -> None:
    data, text = (MODELS / "mnist_eps.onnx").read_bytes(), (MODELS / "PROVENANCE.md").read_text()
    assert f"mnist_eps.onnx: sha256 `{hashlib.sha256(data).hexdigest()}`" in text
    assert f"{len(data):,} bytes" in text
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    properties = session.get_modelmeta().custom_metadata_map
    assert properties["weights_sha256"] in text
    assert (properties["prediction"], properties["parameters"]) == ("eps", "759556")
    assert (float(properties["beta_0"]), float(properties["beta_1"])) == (0.1, 20.0)
    assert digits.sample_shape == (1, 28, 28)
    assert digits.dtype == np.float32


@pytest.mark.parametrize(("t", "bound", "gain"), [(0.1, 0.08, 8), (0.5, 0.02, 4)])
def test_it_denoises(digits: OnnxModel, t: float, bound: float, gain: float) -> None:
    alpha, sigma = alpha_sigma(t)
    noise = np.random.default_rng(0).standard_normal((16, 1, 28, 28))
    x = alpha * seven() + sigma * noise
    error = np.mean((digits(x.astype(np.float32), t) - noise) ** 2)
    # What is known of the pixels without a network: mean 0, standard deviation 0.6164.
    linear = np.mean((x * sigma / (sigma**2 + (0.6164 * alpha) ** 2) - noise) ** 2)
    assert error < bound * np.mean(noise**2)
    assert gain * error < linear


@pytest.mark.parametrize(
    ("t", "with_x", "square"),
    [
        (1e-3, 0.40761967242719, 2.71264515461231),
        (0.1, 0.23001711951973, 1.39625391318063),
        (0.5, 0.49644272368396, 0.55026781939991),
        (1.0, 0.49942909861422, 0.49944616720361),
    ],
)
def test_it_is_the_trained_network(
    digits: OnnxModel, t: float, with_x: float, square: float
) -> None:
    """Means of x eps and eps^2 on a wave; reference: the network in torch, in float64."""
    i, j = np.indices((28, 28))
    x = np.sin(0.7 * i + 1.3 * j)[None, None].astype(np.float32)
    eps = digits(x, t).astype(np.float64)
    # The greatest error of one value is 1e-5 (PROVENANCE.md); of a mean, no more than that.
    np.testing.assert_allclose([np.mean(x * eps), np.mean(eps**2)], [with_x, square], atol=1e-5)


def test_samples_do_not_see_each_other(digits: OnnxModel) -> None:
    x = np.random.default_rng(1).standard_normal((17, 1, 28, 28)).astype(np.float32)
    t = np.linspace(0.01, 1.0, 17)
    together = digits(x, t)
    alone = np.concatenate([digits(x[i : i + 1], t[i]) for i in range(17)])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    assert np.max(np.abs(digits(x, t[::-1]) - together)) > 0.1


def test_one_model_in_many_threads(digits: OnnxModel) -> None:
    rng = np.random.default_rng(2)
    images = [rng.standard_normal((1 + i % 3, 1, 28, 28)).astype(np.float32) for i in range(24)]
    times = np.linspace(0.05, 1.0, 24)
    one_by_one = list(map(digits, images, times))
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(digits, images, times))
    for expected, found in zip(one_by_one, at_once, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    mnist_eps()(np.zeros((1, 1, 28, 28), np.float32), 0.5)
    assert capfd.readouterr() == ("", "")


def test_the_exporter_writes_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On weights drawn at random, so that no part of the network is close to trivial."""
    torch = pytest.importorskip("torch", reason="runs the network that was exported")
    safetensors = pytest.importorskip("safetensors.torch", reason="holds its weights")
    pytest.importorskip("onnx", reason="writes the ONNX file")
    monkeypatch.syspath_prepend(EXPORTER)
    import export
    import mnist_unet

    generator = torch.Generator().manual_seed(0)
    net = mnist_unet.MnistUNet().requires_grad_(False)
    for weight in net.parameters():
        fan_in = math.prod(weight.shape[1:])
        weight.copy_(torch.randn(weight.shape, generator=generator) / math.sqrt(fan_in))
    safetensors.save_file(net.state_dict(), tmp_path / "w.safetensors")
    (tmp_path / "m.onnx").write_bytes(export.build(tmp_path / "w.safetensors").SerializeToString())
    x, t = torch.randn((5, 1, 28, 28), generator=generator), torch.linspace(0.05, 1.0, 5)
    exact = net.double()(x.double(), t.double()).numpy()
    rounding = np.max(np.abs(net.float()(x, t).numpy() - exact))
    found = OnnxModel(tmp_path / "m.onnx", threads=1)(x.numpy(), t.numpy())
    assert np.max(np.abs(found - exact)) < 10 * max(rounding, EPS32 * np.max(np.abs(exact)))
    assert np.std(exact) > 0.1
