"""The command line as a whole: lists, its version, and readers that go away."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from semilinear import diffusion, methods, problems
from semilinear.cli import main
from semilinear.diffusion import catalogue


def test_methods_lists_all_with_order_past_values_and_evaluations(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["methods"]) == 0
    rows = {
        line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.split("\n") if line
    }
    assert set(methods.names()) | set(diffusion.names()) <= set(rows)
    assert " ".join(rows["name"]) == "order stiff order past values evaluations"
    assert rows["etdab3"] == ["3", "3", "2", "1"]
    assert rows["tab3"] == ["4", "-", "3", "1"]
    assert rows["ipndm4"] == ["2", "-", "3", "1"]


def test_methods_lists_other_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for other, name in (methods.ALIASES | catalogue.ALIASES).items():
        assert f" {other} for {name}" in said


def test_problems_lists_all_with_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["problems"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "state", "t", "known", "by", "reference"]
    rows = {line.split()[0]: line for line in lines[1:]}
    assert list(rows) == problems.names()
    assert "exact solution" in rows["coupled"]
    assert "0 .. 1" in rows["coupled"]
    assert "6 values" in rows["kuramoto_sivashinsky"]
    assert "2 x 64 x 33" in rows["gray_scott"]


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m semilinear methods | head -n 1"
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=False, env=path
    )
    assert done.stderr == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("semilinear 0.")


@pytest.mark.parametrize("command", ["sample", "order", "work-precision", "solve"])
def test_help_shows_defaults_only_where_there_are_some(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "default: None" not in text
    assert "default: False" not in text
    assert command != "sample" or "(default: tab3)" in text
