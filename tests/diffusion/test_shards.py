"""Many samples in files: whole or not at all, one run in a folder, nothing computed twice."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import many_models
from semilinear import InvalidArgument, diffusion
from semilinear.diffusion.batches import Batches
from semilinear.diffusion.shards import read_shards, write_shards

PLAN = diffusion.plan(diffusion.VPLinear(), method="ddpm", nfe=4)
SHAPE = (2, 3)


def batches(
    plan: diffusion.DiffusionPlan = PLAN, factory: Any = many_models.rational, **options: Any
) -> Batches:
    return Batches(factory, plan, SHAPE, **{"seed": 3, "batch_size": 4, **options})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def whole(count: int) -> np.ndarray:
    run = batches()
    return np.concatenate([samples for _, samples in run.run(run.pieces(0, count))])


@pytest.mark.parametrize("shard_size", [1, 6, 8, 100])
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_parts_make_a_whole(shard_size: int, parts: int, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    written = [
        write_shards(batches(), folder, 21, shard_size=shard_size, part=(k + 1, parts))
        for k in range(parts)
    ]
    np.testing.assert_array_equal(read_shards(folder), whole(21))
    files = [path.name for done in written for path in done.written]
    assert sorted(files) == names(folder)
    assert sum(done.samples for done in written) == 21
    assert not any(done.present for done in written)


def test_files_are_named_by_what_they_hold(tmp_path: Path) -> None:
    write_shards(batches(), tmp_path, 21, shard_size=8, part=(1, 2), about={"model": "rational"})
    assert names(tmp_path) == ["samples-00000000-00000008.npz", "samples-00000016-00000021.npz"]
    with np.load(tmp_path / "samples-00000016-00000021.npz") as file:
        np.testing.assert_array_equal(file["images"], whole(21)[16:])
        np.testing.assert_array_equal(file["t"], PLAN.t)
        header = json.loads(str(file["header"]))
    assert (header["method"], header["nfe"], header["seed"]) == ("ddpm", 4, 3)
    assert (header["model"], header["shape"], header["dtype"]) == ("rational", [2, 3], "float32")


def test_what_is_there_is_not_computed_again(tmp_path: Path) -> None:
    seen: list[int] = []

    def model(x: np.ndarray, t: float) -> np.ndarray:
        seen.append(len(x))
        return x

    def write(count: int) -> Any:
        return write_shards(batches(factory=lambda: model), tmp_path, count, shard_size=8)

    write(16)
    removed = tmp_path / "samples-00000008-00000016.npz"
    before = removed.read_bytes()
    seen.clear()
    again = write(16)
    assert (seen, again.written, len(again.present), again.samples) == ([], (), 2, 0)
    removed.unlink()
    again = write(16)
    assert again.written == (removed,)
    assert again.samples == 8
    assert sum(seen) == 8 * PLAN.nfe
    with np.load(removed) as file:
        found = file["images"]
    removed.write_bytes(before)
    np.testing.assert_array_equal(found, read_shards(tmp_path)[8:])


def test_more_samples_may_be_asked_for_later(tmp_path: Path) -> None:
    write_shards(batches(), tmp_path, 11, shard_size=8)
    write_shards(batches(), tmp_path, 21, shard_size=8)
    assert "samples-00000008-00000011.npz" in names(tmp_path)
    np.testing.assert_array_equal(read_shards(tmp_path), whole(21))
    np.testing.assert_array_equal(read_shards(tmp_path, 13), whole(21)[:13])


def test_fewer_samples_are_there_already(tmp_path: Path) -> None:
    """Of 13, samples 8 to 12 lie in the file that holds 8 to 15."""
    write_shards(batches(), tmp_path, 21, shard_size=8)
    before = names(tmp_path)
    again = write_shards(batches(), tmp_path, 13, shard_size=8)
    assert (again.written, again.samples) == ((), 0)
    assert [path.name for path in again.present] == before[:2]
    assert names(tmp_path) == before
    np.testing.assert_array_equal(read_shards(tmp_path, 13), whole(13))


def other(noise: Any = None, **options: Any) -> diffusion.DiffusionPlan:
    return diffusion.plan(diffusion.VPLinear(), method="ddpm", nfe=4, noise=noise, **options)


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"seed": 4}, "seed is 3 there, 4 here"),
        ({"batch_size": 8}, "batch_size is 4 there, 8 here"),
        ({"like": np.empty(0)}, "dtype is 'float32' there, 'float64' here"),
        ({"plan": diffusion.plan(diffusion.VPLinear(), method="ddpm", nfe=5)}, "nfe is 4 there"),
        ({"plan": diffusion.plan(diffusion.VPLinear(), nfe=4)}, "method is 'ddpm' there, 'tab3'"),
        ({"plan": other(prediction="v")}, "prediction is 'eps' there, 'v' here"),
        ({"plan": other(grid="uniform")}, "another time grid, ending, noise or weights"),
        ({"plan": other(noise=0.5)}, "another time grid, ending, noise or weights"),
        ({"plan": other(t_end=0.1)}, "another time grid, ending, noise or weights"),
    ],
)
@pytest.mark.parametrize("part", [(1, 1), (2, 2)])
def test_runs_are_not_mixed(
    options: dict[str, Any], difference: str, part: tuple[int, int], tmp_path: Path
) -> None:
    """Also where the files of the other run are those of another part."""
    write_shards(batches(), tmp_path, 8, shard_size=8)
    before = names(tmp_path)
    with pytest.raises(InvalidArgument) as raised:
        write_shards(batches(**options), tmp_path, 16, shard_size=8, part=part)
    assert "samples-00000000-00000008.npz belongs to another run: " in str(raised.value)
    assert difference in str(raised.value)
    assert names(tmp_path) == before


def test_sizes_of_files_and_models_are_not_mixed(tmp_path: Path) -> None:
    write_shards(batches(), tmp_path, 8, shard_size=8, about={"model": "a"})
    with pytest.raises(InvalidArgument, match="shard_size is 8 there, 4 here"):
        write_shards(batches(), tmp_path, 8, shard_size=4, about={"model": "a"})
    with pytest.raises(InvalidArgument, match="model is 'a' there, 'b' here"):
        write_shards(batches(), tmp_path, 8, shard_size=8, about={"model": "b"})
    with pytest.raises(InvalidArgument, match="model is 'a' there, None here"):
        write_shards(batches(), tmp_path, 8, shard_size=8)


@pytest.mark.parametrize(
    "name", ["format", "method", "schedule", "seed", "shape", "dtype", "batch_size", "shard_size"]
)
def test_what_is_added_does_not_hide_the_run(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=f"^about: the files say {name} of the run already"):
        write_shards(batches(), tmp_path, 8, about={name: "training run 7"})
    assert names(tmp_path) == []


@pytest.mark.parametrize("about", [{"loss": float("nan")}, {"ema": {"b": [1, 2.5], "a": None}}])
def test_what_is_added_is_compared_as_json(about: dict[str, Any], tmp_path: Path) -> None:
    for _ in range(2):
        done = write_shards(batches(), tmp_path, 8, about=about)
    assert (len(done.written), len(done.present)) == (0, 1)
    assert len(read_shards(tmp_path)) == 8


@pytest.mark.parametrize(
    "about", [{"loss": np.float32(1)}, {"of": {1, 2}}, {(1, 2): 3}, "model", 7]
)
def test_misuse_of_what_is_added(about: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"^about=.* must be a dict of what JSON takes, such"):
        write_shards(batches(), tmp_path / "x", 8, about=about)
    assert not (tmp_path / "x").exists()


def test_numbers_of_other_processors_are_the_same_plan(tmp_path: Path) -> None:
    """Logarithms and sums differ between them in the last bits."""
    write_shards(batches(), tmp_path, 4, shard_size=4)
    path = tmp_path / "samples-00000000-00000004.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["numbers"] = np.nextafter(arrays["numbers"], np.inf)
    np.savez(path, **arrays)
    assert write_shards(batches(), tmp_path, 4, shard_size=4).present == (path,)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"no archive at all"])
def test_a_file_of_somebody_else_is_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "samples-00000000-00000004.npz"
    path.write_bytes(content)
    for act in (lambda: write_shards(batches(), tmp_path, 4), lambda: read_shards(tmp_path)):
        with pytest.raises(InvalidArgument, match="is not a file that this package wrote"):
            act()
    assert path.read_bytes() == content
    np.savez(path, images=np.zeros(3))
    with pytest.raises(InvalidArgument, match="is not a file that this package wrote"):
        write_shards(batches(), tmp_path, 4)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InvalidArgument, match="is not a file that this package wrote"):
        read_shards(tmp_path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="sample 0 and others are missing"):
        read_shards(tmp_path)
    write_shards(batches(), tmp_path, 24, shard_size=8)
    (tmp_path / "samples-00000008-00000016.npz").unlink()
    with pytest.raises(InvalidArgument, match="sample 8 and others are missing"):
        read_shards(tmp_path)
    write_shards(batches(), tmp_path, 24, shard_size=8)
    with pytest.raises(InvalidArgument, match="sample 24 and others are missing"):
        read_shards(tmp_path, 25)
    # Without the last file the others do not pass for all.
    (tmp_path / "samples-00000016-00000024.npz").unlink()
    with pytest.raises(InvalidArgument, match=r"sample 16 .* missing, of 24; .* count="):
        read_shards(tmp_path)
    assert read_shards(tmp_path, 16).shape == (16, *SHAPE)
    assert read_shards(tmp_path, 3).shape == (3, *SHAPE)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write_shards(batches(), tmp_path, 16, shard_size=8)
    path = tmp_path / "samples-00000008-00000016.npz"
    content = path.read_bytes()
    place = content.index(b"NUMPY") + 200  # in the samples, of which nothing but a sum is known
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(InvalidArgument, match=rf"{path.name} is not .* or is damaged; remove it"):
        read_shards(tmp_path)
    with np.load(io.BytesIO(content)) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "images": arrays["images"][:5]})
    for act in (lambda: write_shards(batches(), tmp_path, 16, shard_size=8), read_shards):
        with pytest.raises(InvalidArgument, match=rf"{path.name} is not .* or is damaged"):
            act(tmp_path) if act is read_shards else act()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"^folder=.*nowhere is not there; name the folder"):
        read_shards(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgument, match=r"^folder=.*file is a file; name the folder"):
        read_shards(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_shards(batches(), tmp_path / "nowhere" / "inside", 8)


def test_files_of_two_runs_are_not_read_as_one(tmp_path: Path) -> None:
    write_shards(batches(), tmp_path / "a", 16, shard_size=8)
    write_shards(batches(seed=4), tmp_path / "b", 16, shard_size=8)
    name = "samples-00000008-00000016.npz"
    (tmp_path / "b" / name).replace(tmp_path / "a" / name)
    with pytest.raises(InvalidArgument, match=rf"{name} belongs to another run: seed is 4 there"):
        read_shards(tmp_path / "a")


@pytest.mark.parametrize("count", [0, -1, 1.5, "5"])
def test_misuse_of_the_number_to_read(count: Any, tmp_path: Path) -> None:
    write_shards(batches(), tmp_path, 8, shard_size=8)
    with pytest.raises(InvalidArgument, match=r"^count=.* must be a whole number of at least 1"):
        read_shards(tmp_path, count)


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1,), "12", 3, (1.5, 2)])
def test_misuse_of_parts(part: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"^part=.* must be \(k, m\) with 1 <= k <= m"):
        write_shards(batches(), tmp_path / "x", 8, part=part)
    assert not (tmp_path / "x").exists()


# --- Runs that end in the middle ------------------------------------------------------------------


def test_a_failure_leaves_whole_files_only(tmp_path: Path) -> None:
    calls: list[int] = []

    def model(x: np.ndarray, t: float) -> np.ndarray:
        calls.append(1)
        if len(calls) > 3 * PLAN.nfe:
            raise RuntimeError("no power")
        return many_models.rational()(x, t)

    with pytest.raises(RuntimeError, match="no power"):
        write_shards(batches(factory=lambda: model), tmp_path, 24, shard_size=8)
    assert names(tmp_path) == ["samples-00000000-00000008.npz"]
    done = write_shards(batches(), tmp_path, 24, shard_size=8)
    assert len(done.present) == 1
    np.testing.assert_array_equal(read_shards(tmp_path), whole(24))


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_shards(batches(), tmp_path, 8, shard_size=8)
    assert names(tmp_path) == []


def test_half_written_files_go_when_their_part_runs_again(tmp_path: Path) -> None:
    mine = tmp_path / ".samples-00000000-00000008.npz.host-1.part"
    others = tmp_path / ".samples-00000008-00000016.npz.host-1.part"
    mine.write_bytes(b"half")
    others.write_bytes(b"half")
    write_shards(batches(), tmp_path, 16, shard_size=8, part=(1, 2))
    assert not mine.exists()
    assert others.exists()


def test_half_written_last_files_go_when_more_samples_are_asked_for(tmp_path: Path) -> None:
    last = tmp_path / ".samples-00000008-00000011.npz.host-1.part"
    last.write_bytes(b"half")
    write_shards(batches(), tmp_path, 16, shard_size=8)
    assert not last.exists()


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_run_loses_no_file(tmp_path: Path) -> None:
    """It is killed at three places of its work, while it computes or writes."""
    script = f"""
import functools, many_models
from semilinear import diffusion
from semilinear.diffusion.batches import Batches
from semilinear.diffusion.shards import write_shards

plan = diffusion.plan(diffusion.VPLinear(), method="ddpm", nfe=4)
slow = functools.partial(many_models.slow, 0.002)
write_shards(Batches(slow, plan, {SHAPE}, seed=3, batch_size=4), {str(tmp_path)!r}, 400,
             shard_size=8)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for least in (1, 5, 9):
        with subprocess.Popen([sys.executable, "-c", script], env=environment) as run:
            while len(list(tmp_path.glob("samples-*.npz"))) < least:
                assert run.poll() is None
                time.sleep(0.001)
            run.send_signal(signal.SIGKILL)
        assert run.returncode == -signal.SIGKILL
        files = sorted(tmp_path.glob("samples-*.npz"))
        assert least <= len(files) < 50
        assert len(list(tmp_path.glob(".*.part"))) <= 1
        for path in files:
            with np.load(path) as file:
                assert file["images"].shape == (8, *SHAPE)
    done = write_shards(batches(), tmp_path, 400, shard_size=8)
    assert len(done.present) == len(files)
    assert len(names(tmp_path)) == 50
    np.testing.assert_array_equal(read_shards(tmp_path, 400), whole(400))
