"""``semilinear sample``: many images in files, by several processes, and how noise enters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semilinear import InvalidArgument, diffusion
from semilinear.cli import main
from semilinear.cli.noises import noise_option
from semilinear.cli.shards import default_shard_size, digest
from semilinear.diffusion.shards import read_shards

FEW = ("sample", "--nfe", "3", "--threads", "1", "--batch-size", "4")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def onnx() -> None:
    pytest.importorskip("onnxruntime")


class Model:
    """A model without a network."""

    batch, sample_shape, dtype = None, (1, 4, 4), np.dtype(np.float32)
    whole_times = False

    def __call__(self, x: np.ndarray, t: float) -> np.ndarray:
        return x / (np.float32(1) + x * x)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semilinear.adapters.onnx.mnist_eps", lambda **_: Model())


def images(*arguments: str) -> np.ndarray:
    assert main([*FEW, "--out", "x.npz", *arguments]) == 0
    with np.load("x.npz") as file:
        return file["images"]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*FEW, *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("semilinear sample: ")
    assert said.err.count("\n") == 1
    return said.err


# --- Files ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize(
    "extra", [(), ("--method", "ddpm"), ("--method", "ddim", "--noise", "churn=2,high=50")]
)
def test_shards_hold_the_images_of_one_file(extra: tuple[str, ...]) -> None:
    whole = images("-n", "21", *extra)
    for k in (2, 3, 1):
        arguments = ("-n", "21", "--shard", f"{k}/3", "--shard-size", "6", "--out", "many", *extra)
        assert main([*FEW, *arguments]) == 0
    np.testing.assert_array_equal(read_shards("many"), whole)


@pytest.mark.usefixtures("cheap")
def test_every_task_has_work_without_a_size_of_files() -> None:
    for k in (1, 2, 3):
        assert main([*FEW, "-n", "10", "--shard", f"{k}/3", "--out", "many"]) == 0
        assert len(list(Path("many").iterdir())) == k
    np.testing.assert_array_equal(read_shards("many"), images("-n", "10"))


@pytest.mark.parametrize(
    ("count", "parts", "batch_size", "size"),
    [
        (8, 2, 64, 4),
        (8, 1, 64, 1024),
        (1000, 4, 64, 256),  # whole batches
        (50_000, 8, 64, 1024),
        (11, 4, 64, 3),
        (5, 4, 64, 1),  # with two in a file the last would have none
        (2, 4, 64, 1),
    ],
)
def test_files_are_as_even_as_batches_allow(
    count: int, parts: int, batch_size: int, size: int
) -> None:
    found = default_shard_size(count, parts, batch_size)
    assert found == size
    files = -(-count // found)
    assert files >= min(parts, count)


@pytest.mark.usefixtures("cheap")
def test_a_run_says_what_it_did_and_a_rerun_what_was_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [*FEW, "-n", "10", "--shard-size", "4", "--out", "many"]
    assert main(given) == 0
    said = capsys.readouterr().out
    assert said.startswith("10 images by tab3 with 3 evaluations each: ")
    assert said.endswith("\n-> 3 files in many\n")
    Path("many/samples-00000004-00000008.npz").unlink()
    assert main(given) == 0
    said = capsys.readouterr().out
    assert said.startswith("4 images by tab3 ")
    assert said.endswith("\n-> 1 files in many (2 were there already)\n")


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--seed", "1"), "belongs to another run: seed is 0 there, 1 here"),
        (("--nfe", "4"), "nfe is 3 there, 4 here"),
        (("--grid", "quadratic"), "another time grid, ending, noise or weights"),
        (("--batch-size", "2"), "batch_size is 4 there, 2 here"),
        (("--shard-size", "3"), "shard_size is 4 there, 3 here"),
    ],
)
def test_files_of_another_run_are_refused(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = ("-n", "4", "--shard-size", "4", "--out", "many")
    assert main([*FEW, *shards]) == 0
    capsys.readouterr()
    assert complaint in refused(capsys, *shards, *arguments)


@pytest.mark.usefixtures("cheap")
def test_a_model_of_another_file_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semilinear.adapters.onnx.OnnxModel", lambda path, **_: Model())
    shards = ("-n", "4", "--shard", "1/1", "--out", "many", "--model", "my.onnx")
    Path("my.onnx").write_bytes(b"one network")
    assert main([*FEW, *shards]) == 0
    capsys.readouterr()
    Path("my.onnx").write_bytes(b"another")
    assert "model is '" in refused(capsys, *shards)


@pytest.mark.parametrize("name", ["my.onnx.data", "w" * 200, "gr\u00f6\u00dfe"])
def test_weights_beside_a_model_tell_it_from_others(name: str) -> None:
    onnx = pytest.importorskip("onnx", reason="makes the small ONNX files")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = [onnx.numpy_helper.from_array(np.full(8, 0.5, np.float32), key) for key in "vw"]
    values = [helper.make_tensor_value_info(key, kind, ["n", 8]) for key in "xy"]
    nodes = [helper.make_node("Mul", ["x", "w"], ["z"]), helper.make_node("Mul", ["z", "v"], ["y"])]
    graph = helper.make_graph(nodes, "test", values[:1], values[1:], weights)
    Path("one").mkdir()
    options = {"save_as_external_data": True, "location": name, "size_threshold": 0}
    onnx.save_model(helper.make_model(graph), "one/my.onnx", **options)
    before = digest(Path("one/my.onnx"))
    assert digest(Path("one/my.onnx").absolute()) == before
    Path("one", name).write_bytes(np.full(16, 0.7, np.float32).tobytes())
    assert digest(Path("one/my.onnx")) != before


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--shard", "3"), "--shard 3 must be K/M with 1 <= K <= M, such as 3/8"),
        (("--shard", "0/2"), "--shard 0/2 must be K/M"),
        (("--shard", "3/2"), "--shard 3/2 must be K/M"),
        (("--shard-size", "0"), "--shard-size=0 must be at least 1"),
        (("--workers", "0"), "--workers=0 must be at least 1"),
        (("--shard", "1/2"), "--out samples.png: --shard and --shard-size write many files"),
        (("--shard-size", "8", "--out", "x.npz"), "name a directory for them"),
        (("--shard", "1/2", "--out", "no/x"), "--out no/x: there is no directory no; make it"),
        (("--shard", "1/2", "--out", "file"), "--out file is there and is no directory"),
    ],
)
def test_misuse_is_refused_before_the_run(
    arguments: tuple[str, ...],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def runs(*_: Any, **__: Any) -> None:
        raise AssertionError("it runs")

    monkeypatch.setattr("semilinear.adapters.onnx.mnist_eps", runs)
    Path("file").touch()
    assert complaint in refused(capsys, *arguments)


def test_a_directory_without_permission_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "--out x cannot be written to" in refused(capsys, "--shard", "1/2", "--out", "x")


@pytest.mark.usefixtures("onnx")
def test_workers_make_the_same_images(capsys: pytest.CaptureFixture[str]) -> None:
    given = ("-n", "6", "--method", "ddpm", "--shard-size", "4")
    assert main([*FEW, *given, "--out", "a"]) == 0
    assert main([*FEW, *given, "--out", "b", "--workers", "2"]) == 0
    np.testing.assert_array_equal(read_shards("a"), read_shards("b"))
    assert " s with 2 workers\n-> 2 files in b\n" in capsys.readouterr().out


@pytest.mark.usefixtures("onnx")
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_run_is_completed_with_the_same_images() -> None:
    given = ["sample", "-n", "60", "--shard-size", "4", "--out", "many", *FEW[1:]]
    command = [sys.executable, "-m", "semilinear", *given]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment) as run:
        while len(list(Path().glob("many/samples-*.npz"))) < 2:
            assert run.poll() is None
            time.sleep(0.001)
        run.send_signal(signal.SIGKILL)
    before = {path: path.read_bytes() for path in Path("many").glob("samples-*")}
    assert 2 <= len(before) < 15
    assert main(given) == 0
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(list(Path("many").iterdir())) == 15
    assert main([*given, "--out", "again"]) == 0
    np.testing.assert_array_equal(read_shards("many"), read_shards("again"))


@pytest.mark.usefixtures("cheap")
def test_an_interrupt_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Model, "__call__", interrupted)
    assert main([*FEW, "-n", "4", "--out", "x.npz"]) == 130
    assert capsys.readouterr().err == "semilinear sample: interrupted\n"


# --- Bits -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("batch_size", [1, 4, 7, 64])
def test_an_image_begins_with_the_noise_of_its_number(batch_size: int) -> None:
    found = images("-n", "9", "--seed", "5", "--batch-size", str(batch_size))
    streams = [np.random.Philox(key=5, counter=[0, 0, 0, i]) for i in range(9)]
    noise = [np.random.Generator(s).standard_normal((1, 4, 4), dtype=np.float32) for s in streams]
    schedule = diffusion.VPLinear()
    plan = diffusion.plan(schedule, nfe=3, grid="uniform", t_end=0.1, final="denoise")
    x = np.float32(schedule.sigma(1.0)) * np.stack(noise)
    np.testing.assert_array_equal(found, diffusion.follow(plan, Model(), x))


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize(
    "noise", ["eta=0.7", "0.5", "churn=1,high=50", "ancestral=0.5", "within=1"]
)
def test_stochastic_images_depend_on_no_batch(noise: str) -> None:
    method = ("--method", "ddim", "--noise", noise)
    whole = images("-n", "9", *method)
    for batch_size in ("1", "5", "64"):
        found = images("-n", "9", *method, "--batch-size", batch_size)
        np.testing.assert_array_equal(found, whole)
    assert np.abs(whole - images("-n", "9", "--method", "ddim")).max() > 0.01


# --- Noise, exact weights, the best method --------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("0.5", diffusion.Tau(0.5)),
        ("tau=1,scale=0.9", diffusion.Tau(1.0, 0.9)),
        ("within=1, low=0.3", diffusion.TauWithin(1.0, 0.3)),
        ("eta=0.25", diffusion.Eta(0.25)),
        ("ancestral=1", diffusion.Ancestral(1.0)),
        ("ancestral", diffusion.Ancestral(1.0)),
        ("er_sde,scale=0.9", diffusion.RhoPower(scale=0.9)),
        ("churn=40,low=0.05,high=50,scale=1.003", diffusion.Churn(40.0, 0.05, 50.0, 1.003)),
        ("churn=40,high=inf", diffusion.Churn(40.0)),
        (None, None),
    ],
)
def test_noise_levels_have_names(text: str | None, level: Any) -> None:
    assert noise_option(text) == level


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("much", "--noise much must be a number or such as eta=0.5"),
        ("eta=much", "--noise eta=much must be a number"),
        ("et=0.5", "--noise='et' is not known; did you mean eta"),
        ("eta=2", "--noise eta=2: eta=2.0 must lie between 0 and 1"),
        ("-1", "--noise -1: tau=-1.0 must be a number, at least 0"),
        ("churn=1,lower=2", "churn has the parameters low, high, scale, and not 'lower'"),
        ("churn=1,low=3,high=2", "low=3.0 must not be greater than high=2.0"),
        ("nan", "tau=nan must be a number"),
        ("churn", "--noise churn needs a number, such as churn=40"),
        ("er_sde=2", "--noise er_sde=2: er_sde takes no number"),
    ],
)
def test_noise_that_is_misspelt_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        noise_option(text)
    assert complaint in str(raised.value)


@pytest.mark.usefixtures("cheap")
def test_exact_weights_are_others() -> None:
    given = ("-n", "4", "--method", "dpmpp_2m", "--nfe", "4")
    assert np.abs(images(*given) - images(*given, "--exact")).max() > 1e-4


@pytest.mark.usefixtures("cheap")
def test_the_method_that_suits_best_is_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    first = images("-n", "4", "--method", "auto", "--nfe", "3")
    reason, said, _ = capsys.readouterr().out.splitlines()
    assert "3 evaluations: mean error" in reason
    assert said.startswith(f"4 images by {reason.split()[0]} with 3 evaluations each")
    np.testing.assert_array_equal(images("-n", "4", "--method", "auto", "--nfe", "3"), first)


@pytest.mark.parametrize(
    "option",
    [
        ("--grid", "quadratic"),
        ("--t-end", "0.2"),
        ("--final", "zero"),
        ("--start", "rk"),
        ("--noise", "1"),
        ("--exact",),
        ("--lower-end",),
    ],
)
def test_what_is_chosen_is_not_given(
    option: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "--method", "auto", *option)
    assert "--method auto chooses steps, grid, ending and noise" in said
    assert f"leave out {option[0]}" in said
