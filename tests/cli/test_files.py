"""Files named on the command line: refused before the work, written whole or not at all."""

from __future__ import annotations

import builtins
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semilinear.cli import main

SOLVE = ("solve", "coupled", "--steps", "4")
ORDER = ("order", "etd1", "--steps", "2", "4")
WORK = ("work-precision", "etd1", "--steps", "2", "4", "--repeats", "0")
SAMPLE = ("sample", "-n", "1", "--nfe", "1")

OUTPUTS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "solve --out": (SOLVE, "--out", ".npz"),
    "solve --plot": (SOLVE, "--plot", ".png"),
    "order --json": (ORDER, "--json", ".json"),
    "order --csv": (ORDER, "--csv", ".csv"),
    "order --plot": (ORDER, "--plot", ".svg"),
    "work-precision --json": (WORK, "--json", ".json"),
    "work-precision --csv": (WORK, "--csv", ".csv"),
    "work-precision --plot": (WORK, "--plot", ".pdf"),
    "sample --out": (SAMPLE, "--out", ".png"),
    "sample --out, an array": (SAMPLE, "--out", ".npz"),
}
NAMES = ("command", "option", "suffix")
each_output = pytest.mark.parametrize(NAMES, OUTPUTS.values(), ids=OUTPUTS)
PICTURES = [output for output in OUTPUTS.values() if output[2] in (".png", ".svg", ".pdf")]
RUNS = (
    "semilinear.cli.solving.solve",
    "semilinear.cli.studying.order_study",
    "semilinear.cli.studying.work_precision",
    "semilinear.cli.sampling.gathered",
    "semilinear.adapters.onnx.mnist_eps",
)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every run fail: what is refused is refused before."""

    def runs(*arguments: Any, **options: Any) -> None:
        raise AssertionError("it runs")

    for name in RUNS:
        monkeypatch.setattr(name, runs)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"semilinear {arguments[0]}: ")
    return said.err


@each_output
@pytest.mark.usefixtures("no_run")
def test_what_cannot_be_written_is_refused_before_the_run(
    command: tuple[str, ...],
    option: str,
    suffix: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = refused(capsys, *command, option, "x.wrong")
    assert f"{option} x.wrong must end in " in said
    assert suffix in said
    said = refused(capsys, *command, option, f"no/where/x{suffix}")
    assert f"{option} no/where/x{suffix}: there is no directory no/where; make it first" in said
    assert not Path("no").exists()
    Path(f"folder{suffix}").mkdir()
    assert "is there and is no file" in refused(capsys, *command, option, f"folder{suffix}")
    Path("file").touch()
    assert "there is no directory file" in refused(capsys, *command, option, f"file/x{suffix}")
    Path(f"mine{suffix}").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) == Path())
    assert "cannot be written to; name" in refused(capsys, *command, option, f"mine{suffix}")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "the directory . cannot be written" in refused(capsys, *command, option, f"x{suffix}")


@pytest.mark.parametrize(NAMES, PICTURES)
@pytest.mark.usefixtures("no_run")
def test_a_picture_without_matplotlib_is_refused_before_the_run(
    command: tuple[str, ...],
    option: str,
    suffix: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("semilinear.plot"):
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    said = refused(capsys, *command, option, f"x{suffix}")
    assert f"{option} needs matplotlib to draw" in said
    assert "pip install matplotlib" in said


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg", ".jpg", ".webp", ".PNG"])
def test_every_picture_of_matplotlib_is_drawn(
    suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ORDER, "--plot", f"x{suffix}"]) == 0
    assert capsys.readouterr().out.endswith(f"-> x{suffix}\n")
    assert Path(f"x{suffix}").stat().st_size > 1000
    assert [path.name for path in Path().iterdir()] == [f"x{suffix}"]


def test_suffixes_in_capitals_are_the_same() -> None:
    assert main([*SOLVE, "--out", "X.NPZ"]) == 0
    assert [path.name for path in Path().iterdir()] == ["X.NPZ"]
    with np.load("X.NPZ") as file:
        assert file["t"][-1] == 1.0


def test_a_file_takes_the_place_of_the_old_one_where_a_link_leads() -> None:
    Path("there").mkdir()
    old = Path("there/old.csv")
    old.write_text("old")
    Path("x.csv").symlink_to(old)
    assert main([*ORDER, "--csv", "x.csv"]) == 0
    assert Path("x.csv").is_symlink()
    assert old.read_text().startswith("problem,method")
    assert list(Path("there").iterdir()) == [old]


@pytest.mark.parametrize(("option", "writer"), [
    ("--csv", "semilinear.studies.OrderStudy.to_csv"),
    ("--plot", "semilinear.plot.order_plot"),
])  # fmt: skip
def test_what_fails_on_the_way_leaves_the_old_file(
    option: str,
    writer: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(study: Any, *rest: Path) -> None:
        for path in rest:
            path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, full)
    path = Path("x.png" if option == "--plot" else "x.csv")
    path.write_text("old")
    assert main([*ORDER, option, str(path)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert path.read_text() == "old"
    assert list(Path().iterdir()) == [path]


def test_files_have_the_rights_that_others_have() -> None:
    other = Path("other")
    other.touch()
    assert main([*ORDER, "--csv", "x.csv"]) == 0
    assert Path("x.csv").stat().st_mode == other.stat().st_mode
