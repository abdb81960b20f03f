"""``semilinear order`` and ``semilinear work-precision``."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from semilinear import order_study, problems, work_precision
from semilinear.cli import main


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_order_prints_a_table_and_writes_files(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["order", "etd2rk", "etdab3", "--steps", "20", "40", "--json", "study.json"]
    assert main([*arguments, "--plot", "study.png"]) == 0
    table = capsys.readouterr().out
    assert "etd2rk" in table
    assert "n=40" in table
    assert Path("study.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(Path("study.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["order", "etd4r"], "did you mean etd4rk"),
        (["order", "etd4rk", "--problem", "coupld"], "did you mean coupled"),
        (["order", "etd1", "--steps", "9", "5"], "steps=(9, 5) must be two or more"),
    ],
)
def test_order_refuses(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert complaint in capsys.readouterr().err


def test_order_says_what_order_study_says(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["order", "etd4rk", "--problem", "hochbruck_ostermann_integral", "--csv", "x.csv"]
    assert main([*arguments, "--steps", "10", "20", "40", "--t-end", "0.5"]) == 0
    problem = problems.get("hochbruck_ostermann_integral").until(0.5)
    study = order_study(problem, "etd4rk", steps=(10, 20, 40))
    said = capsys.readouterr()
    assert said.out == f"{study.table()}\n-> x.csv\n"
    assert "keep order 4" in said.out
    assert said.err == ""
    assert Path("x.csv").read_text() == study.to_csv()


def test_work_precision_prints_a_table_and_writes_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = ["--json", "x.json", "--csv", "x.csv", "--plot", "x.png", "--against", "seconds"]
    ladders = ["--steps", "5", "10", "--tolerances", "1e-2", "1e-3", "--repeats", "1"]
    assert main(["work-precision", "zoto_bowman43", "etd1", *ladders, *files]) == 0
    said = capsys.readouterr().out
    assert "seconds: median of 1" in said
    assert said.endswith("-> x.json\n-> x.csv\n-> x.png\n")
    expected = work_precision(
        "coupled", ["zoto_bowman43", "etd1"], steps=(5, 10), tolerances=(0.01, 1e-3)
    )
    found = json.loads(Path("x.json").read_text())
    assert [c["method"] for c in found["curves"]] == ["zoto_bowman43", "zoto_bowman43", "etd1"]
    for ours, theirs in zip(found["curves"], expected.to_dict()["curves"], strict=True):
        assert [p["error"] for p in ours["points"]] == [p["error"] for p in theirs["points"]]
    with Path("x.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 7
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["etd4r"], "did you mean etd4rk"),
        (["etd1", "--problem", "coupld"], "did you mean coupled"),
        (["etd1", "--tolerances", "1e-3"], "etd1: no estimate of the error"),
        (["etd1", "--steps", "20", "10"], "steps=[20, 10] must be one or more"),
        (["etd1", "--repeats", "-1"], "repeats=-1 must be"),
        (
            ["etd1", "--repeats", "0", "--against", "seconds", "--plot", "x.png"],
            "--against seconds: with --repeats 0 none are measured",
        ),
        (["etd1", "--compiled"], "the problem coupled has no compiled N"),
        (["etd1", "--t-end", "0"], "must be a finite time other than t0"),
        (["zoto_bowman43", "--tolerances", "1e-18"], "tolerances=[1e-18] must be 2.2e-15 or more"),
    ],
)
def test_work_precision_refuses(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["work-precision", *arguments]) == 2
    out, said = capsys.readouterr()
    assert said.startswith("semilinear work-precision: ")
    assert complaint in said
    assert out == ""
