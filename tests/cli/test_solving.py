"""``semilinear solve``: what it prints is what the solver found and what is known."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from semilinear import problems, solve
from semilinear.cli import main


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said_by(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["solve", *arguments]) == 0
    said = capsys.readouterr()
    assert said.err == ""  # no progress bar where nobody watches
    return said.out


def test_an_exact_solution_is_compared_with(capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by(capsys, "coupled", "--method", "krogstad4", "--steps", "20")
    p = problems.coupled()
    done = solve(p.linear, p.nonlinear, p.t_span, p.y0, method="krogstad4", steps=20)
    exact = p.exact(1.0)
    error = np.max(np.abs(done.y[..., -1] - exact)) / np.max(np.abs(exact))
    assert f"error against the exact solution at t = 1: {error:.1e} (relative)" in said
    assert "krogstad4 (order 4), fixed steps: 20 steps, 80 evaluations of N" in said
    assert "state 3 float64, t = 0 .. 1" in said


def test_known_values_are_compared_with(capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by(capsys, "burgers", "--rtol", "1e-7")
    p = problems.burgers()
    rows = {cells[0]: cells for line in said.splitlines() if len(cells := line.split()) == 6}
    assert {"u(0)", "max", "rms", "mean"} <= set(rows)
    for item in p.known:
        _, t, value, known, difference, agreement = rows[item.quantity]
        assert (float(t), float(known)) == pytest.approx((item.t, item.value), rel=1e-11)
        assert float(difference) == pytest.approx(abs(float(value) / item.value - 1), rel=0.1)
        assert float(difference) < 1e-5
        assert float(agreement) == item.agreement
    # Nothing is known of the mean.
    assert rows["mean"][3:] == ["-", "-", "-"]
    assert "rtol=1e-07" in said


def test_known_values_on_the_way_and_none_beyond(capsys: pytest.CaptureFixture[str]) -> None:
    times = [item.t for item in problems.kuramoto_sivashinsky().known]
    assert {10.0, 50.0} <= set(times)
    said = said_by(capsys, "kuramoto_sivashinsky", "--t-end", "20", "--steps", "100")
    assert re.search(r"u\(16 pi\) +10 ", said)
    assert not re.search(r"u\(16 pi\) +50 ", said)
    assert re.search(r"u\(16 pi\) +20 .* - +- +-", said)


def test_tighter_tolerances_come_nearer(capsys: pytest.CaptureFixture[str]) -> None:
    errors = []
    for rtol in ("1e-3", "1e-6"):
        said = said_by(capsys, "dense", "--rtol", rtol)
        errors.append(float(re.search(r"t = 1: (\S+) \(relative\)", said).group(1)))
    assert errors[1] < errors[0] / 30


def test_an_absolute_tolerance_alone(capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by(capsys, "coupled", "--rtol", "0", "--atol", "1e-6")
    assert "rtol=0e+00, atol=1e-06" in said


def test_pictures_and_arrays_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path("sub").mkdir()
    arguments = ["--t-end", "2", "--steps", "20", "--plot", "x.png", "--out", "sub/x.npz"]
    said = said_by(capsys, "kuramoto_sivashinsky", *arguments)
    assert said.endswith(f"-> {Path('sub/x.npz')}\n-> x.png\n")
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")
    with np.load("sub/x.npz") as file:
        t, y, view = file["t"], file["y"], file["view"]
    assert t.shape == (201,)
    assert (t[0], t[-1]) == (0.0, 2.0)
    assert y.shape == (65, 201)
    assert view.shape == (201, 128)
    p = problems.kuramoto_sivashinsky()
    np.testing.assert_allclose(y[:, 0], p.y0)
    np.testing.assert_allclose(view[-1], np.fft.irfft(y[:, -1], n=128))


def test_a_run_that_fails_says_how_far_it_came(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    p = problems.coupled()

    def blows_up(t: float, y: Any) -> Any:
        return y * y * y

    broken = problems.Problem("coupled", p.linear, blows_up, (0.0, 9.0), p.y0, None, "made up")
    monkeypatch.setattr("semilinear.problems.get", lambda name: broken)
    assert main(["solve", "coupled"]) == 1
    said = capsys.readouterr()
    assert "of which" in said.out
    assert "was reached" in said.out
    assert said.err.startswith("semilinear solve: ")
    assert len(said.err.splitlines()) == 1


def test_the_compiled_term_is_taken_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []

    def instead(linear: Any, nonlinear: Any, *rest: Any, **options: Any) -> Any:
        taken.append(nonlinear)
        return solve(linear, problems.burgers().nonlinear, *rest, **options)

    monkeypatch.setattr("semilinear.cli.solving.solve", instead)
    marked = SimpleNamespace()
    burgers = problems.burgers()
    monkeypatch.setattr(
        "semilinear.problems.get",
        lambda name: problems.Problem(
            name, burgers.linear, burgers.nonlinear, (0.0, 0.1), burgers.y0, None, "made up",
            compiled=lambda: marked,
        ),
    )  # fmt: skip
    assert main(["solve", "burgers", "--compiled", "--steps", "5"]) == 0
    assert taken == [marked]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["coupld"], "did you mean coupled"),
        (["coupled", "--method", "etd4r"], "did you mean etd4rk"),
        (["coupled", "--steps", "5", "--rtol", "1e-3"], "leave out --rtol and --atol"),
        (["coupled", "--steps", "0"], "steps=0"),
        (["coupled", "--rtol", "-1"], "rtol=-1"),
        (["coupled", "--method", "etd4rk"], "no estimate of its error"),
        (["coupled", "--t-end", "nan"], "must be a finite time other than t0"),
        (["coupled", "--compiled"], "--compiled: coupled has no compiled N"),
        (["coupled", "--rtol", "0"], "--rtol 0 leaves the error to --atol; give one"),
        (["coupled", "--rtol", "0", "--atol", "0"], "--rtol 0 leaves the error to --atol; give"),
        (["coupled", "--rtol", "0", "--atol", "1e-18"], "rtol=0 leaves atol=1e-18, which asks"),
        (["coupled", "--rtol", "nan"], "rtol=nan must be finite"),
        (["coupled", "--atol", "-1"], "atol=-1.0 must be finite and not negative"),
    ],
)
def test_solve_refuses(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["solve", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("semilinear solve: ")
    assert complaint in said
