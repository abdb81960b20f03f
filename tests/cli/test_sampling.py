"""``semilinear sample``: what it makes, what it says, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semilinear import diffusion
from semilinear.cli import main

FEW = ("sample", "-n", "3", "--nfe", "3")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def onnx() -> None:
    pytest.importorskip("onnxruntime")


def sampled(*arguments: str) -> np.ndarray:
    assert main([*FEW, "--out", "x.npz", *arguments]) == 0
    with np.load("x.npz") as file:
        return file["images"]


@pytest.mark.usefixtures("onnx")
def test_sample_writes_a_picture_and_says_what_it_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FEW, "--method", "tab3", "--out", "x.png"]) == 0
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr()
    assert "3 images by tab3 with 3 evaluations each" in said.out
    assert "s in the model" in said.out
    assert "s in the solver" in said.out
    assert said.out.endswith("\n-> x.png\n")
    assert said.err == ""  # no progress bar where nobody watches


@pytest.mark.usefixtures("onnx")
def test_sample_writes_an_array_with_its_plan() -> None:
    images = sampled("--seed", "5")
    assert images.shape == (3, 1, 28, 28)
    assert images.dtype == np.float32
    with np.load("x.npz") as file:
        assert int(file["nfe"]) == 3
        assert str(file["method"]) == "tab3"
        assert file["t"][0] == 1.0


@pytest.mark.usefixtures("onnx")
def test_an_image_depends_on_its_seed_and_number_only() -> None:
    together = sampled("--seed", "7", "--threads", "1")
    apart = sampled("--seed", "7", "--threads", "1", "--batch-size", "2")
    # The network itself differs in its last bits from batch size to batch size.
    np.testing.assert_allclose(together, apart, atol=1e-4)
    assert np.abs(together - sampled("--seed", "8")).max() > 0.1


@pytest.mark.usefixtures("onnx")
def test_a_model_of_ones_own() -> None:
    from semilinear.adapters.onnx import mnist_eps

    own = sampled("--model", str(mnist_eps().path))
    np.testing.assert_array_equal(own, sampled())


@pytest.mark.usefixtures("onnx")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--method", "tab33"), "did you mean tab3"),
        (("--out", "x.jpg"), "--out x.jpg must end in .png or .npz"),
        (("--out", "no/x.png"), "--out no/x.png: there is no directory no; make it first"),
        (("-n", "0"), "-n=0 must be at least 1"),
        (("--batch-size", "0"), "--batch-size=0 must be at least 1"),
        (("--nfe", "0"), "nfe=0 must be a whole number of at least 1"),
        (("--model", "missing.onnx"), "missing.onnx"),
        (("--shape", "3,x"), "--shape 3,x must be whole numbers with commas"),
        (("--t-end", "2"), "t_end=2.0 lies outside the domain"),
        (("--t-start", "-1"), "t_start=-1.0 lies outside the domain"),
        (("--seed", "-1"), "--seed=-1 must be at least 0"),
        (("--shape", "\u00b2,8,8"), "must be whole numbers with commas"),
        (("--shape", "0,8,8"), "--shape 0,8,8 must be whole numbers with commas"),
        (("--shape", "2,28,28"), "are no pictures (c, h, w)"),
        (("--shape", "1,8,8"), "x has shape (3, 1, 8, 8)"),
        (("--schedule", "edm"), "--schedule=edm: the MNIST model of this package was trained"),
        (("--prediction", "x0"), "--prediction=x0: the MNIST model of this package was trained"),
    ],
)
def test_sample_refuses(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FEW, *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("semilinear sample: ")
    assert complaint in said
    assert not Path("samples.png").exists()


@pytest.mark.parametrize(
    ("kind", "complaint"), [("nan", "returned NaN"), ("shape", "shape (3, 5)")]
)
def test_a_model_that_fails_is_told_in_one_line(
    kind: str, complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Model:
        batch, sample_shape, dtype = None, (1, 28, 28), np.dtype(np.float32)
        whole_times = False

        def __call__(self, x: np.ndarray, t: float) -> np.ndarray:
            return x * np.float32("nan") if kind == "nan" else np.zeros((3, 5), np.float32)

    monkeypatch.setattr("semilinear.adapters.onnx.mnist_eps", lambda **_: Model())
    monkeypatch.setattr("semilinear.cli.sampling._compile", lambda *_: None)
    assert main([*FEW, "--out", "x.npz"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("semilinear sample: the model at evaluation 1 of 3 (t = 1) returned")
    assert complaint in said


class Fixed:
    """A model file for batches of four, which writes down what it is asked."""

    batch, sample_shape, dtype = 4, (1, 4, 4), np.dtype(np.float32)
    whole_times = False
    asked: list[tuple[int, float]] = []  # noqa: RUF012

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        assert path.is_file()

    def __call__(self, x: np.ndarray, t: float) -> np.ndarray:
        self.asked.append((len(x), float(t)))
        return 0.5 * x


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> type[Fixed]:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("semilinear.adapters.onnx.OnnxModel", Fixed)
    Path("own.onnx").touch()
    Fixed.asked = []
    return Fixed


def test_a_model_for_batches_of_one_size_has_no_others(
    fixed: type[Fixed], capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["sample", "--model", "own.onnx", "--nfe", "3", "-n", "10", "--out", "x.npz"]
    assert main(own) == 0
    assert {size for size, _ in fixed.asked} == {4}
    with np.load("x.npz") as file:
        assert file["images"].shape == (10, 1, 4, 4)
    fixed.asked = []
    assert main([*own, "--batch-size", "3"]) == 2
    assert "--batch-size 3: the model was made for batches of 4" in capsys.readouterr().err
    assert not fixed.asked


@pytest.mark.parametrize(
    ("schedule", "grid"), [("edm", "karras"), ("ve", "uniform"), ("vp_cosine", "uniform")]
)
def test_the_grid_suits_the_schedule(schedule: str, grid: str, fixed: type[Fixed]) -> None:
    own = ["sample", "--model", "own.onnx", "--nfe", "6", "-n", "4", "--out", "x.npz"]
    own += ["--prediction", "v", "--schedule", schedule]
    assert main(own) == 0
    made, fixed.asked = fixed.asked, []
    assert main([*own, "--grid", grid]) == 0
    assert made == fixed.asked


@pytest.mark.parametrize(
    ("option", "lower_end"),
    [((), False), (("--lower-end",), True), (("--lower-end", "zero"), "zero")],
)
@pytest.mark.usefixtures("onnx")
def test_the_order_falls_towards_the_end_where_asked(
    option: tuple[str, ...], lower_end: bool | str
) -> None:
    from semilinear.adapters.onnx import mnist_eps

    end = ("--grid", "uniform", "--t-end", "0.1", "--final", "zero")
    images = sampled(*end, "--method", "tab2", "--nfe", "5", "--seed", "0", *option)
    plan = diffusion.plan(
        diffusion.VPLinear(), method="tab2", nfe=5, grid="uniform", t_end=0.1, final="zero",
        lower_end=lower_end,
    )  # fmt: skip
    own = diffusion.sample_many(mnist_eps, plan, (1, 28, 28), 3, seed=0, pad=False)
    np.testing.assert_allclose(images, own, atol=1e-4)


@pytest.mark.parametrize("method", ["dpmpp_2m --grid karras", "auto"])
def test_a_model_of_whole_times_is_asked_at_such(
    method: str, fixed: type[Fixed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fixed, "whole_times", True)
    own = ["sample", "--model", "own.onnx", "--schedule", "ddpm_linear", "--nfe", "6", "-n", "4"]
    assert main([*own, "--method", *method.split(), "--out", "x.npz"]) == 0
    times = [t for _, t in fixed.asked]
    assert len(set(times)) >= 6
    assert all(t == round(t) for t in times)
