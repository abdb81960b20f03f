"""Adaptive steps: how many, how long, and what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import semilinear as sl
from adaptive_runs import (
    ADAPTIVE,
    BLIND,
    adaptive,
    each_method,
    each_that_sees,
    error,
    problem_for,
)
from semilinear import Diagonal, Scalar, methods, problems, solve
from semilinear.kernels import control
from semilinear.methods import Tableau


@each_method
def test_evaluations_and_attempts_are_counted(name: str) -> None:
    p, method = problem_for(name), ADAPTIVE[name]
    t0, t1 = p.t_span
    for options in ({}, {"first_step": t1}, {"t_eval": [t0, t1]}):
        calls: list[float] = []

        def counted(t: float, y: Any, calls: list[float] = calls) -> Any:
            calls.append(t)
            return p.nonlinear(t, y)

        s = solve(p.linear, counted, p.t_span, p.y0, method=method, rtol=1e-5, **options)
        assert s.nfev == len(calls)
        assert t0 <= min(calls) <= max(calls) <= t1
        steps, attempts = s.stats["steps"], s.stats["steps"] + s.stats["rejected"]
        if isinstance(method, Tableau):
            per_attempt, ends = method.evaluations - 1, not method.estimate_reads_end
            per_attempt += not ends
        else:
            per_attempt, ends = 1, method.mode == "PECE"
        # N at t0, the trial step, all attempts, N at the ends of steps, a look at time.
        trial = "first_step" not in options
        look = 5 * (name in BLIND)
        assert s.nfev == 1 + trial + attempts * per_attempt + ends * steps + look
        assert trial or s.stats["rejected"] > 0


@each_that_sees
@pytest.mark.parametrize("span", [(0.0, 1.0), (1.0, 0.0), (1e6, 1e6 + 3.0), (-0.1, 0.2)], ids=str)
def test_the_end_is_hit_and_never_passed(name: str, span: tuple[float, float]) -> None:
    asked: list[float] = []

    def nonlinear(t: float, y: Any) -> Any:
        asked.append(t)
        return np.cos(t) * y

    for rtol in (1e-2, 1e-4, 1e-6):
        s = solve(Scalar(-1.0), nonlinear, span, [1.0], method=name, rtol=rtol)
        assert (s.t[0], s.t[-1]) == span
        steps = np.abs(np.diff(s.t))
        # The last steps share what is left, an attempt given up leaves a tenth: no tiny rest.
        assert steps[-1] >= 0.1 * steps[-2:].max()
    assert min(span) <= min(asked) <= max(asked) <= max(span)


@pytest.mark.parametrize("size", [2, 64], ids=["interpreted", "compiled"])
@pytest.mark.parametrize("name", ["zoto_bowman43", "etdpece"])
def test_a_run_towards_zero_leaves_nothing_out(name: str, size: int) -> None:
    """N grows up to t = 0, far below the rounding of the start of the run."""
    early, late = 1e12, 1e-5
    y0 = np.full(size, np.log((early + late) / late))
    s = solve(
        Scalar(0.0), lambda t, y: 1 / (t + late) + 0 * y, (early, 0.0), y0, method=name, rtol=1e-5
    )
    assert s.success
    assert s.t[-1] == 0.0
    assert 0.0 < s.t[-2] < late
    assert np.abs(s.y[:, -1]).max() <= 1e-2


@pytest.mark.parametrize("size", [2, 64], ids=["interpreted", "compiled"])
def test_the_rounding_of_a_long_last_step_does_not_pass_the_end(size: int) -> None:
    s = solve(Scalar(0.0), lambda t, y: 0 * y, (-0.5e12, 4e-5), np.ones(size))
    assert s.t.tolist() == [-0.5e12, 4e-5]


def test_first_and_longest_step() -> None:
    p = problems.coupled()
    for name in ("zoto_bowman43", "etdpec"):
        s = adaptive(p, name, 1e-4, first_step=1e-3, max_step=0.02)
        assert s.t[1] == 1e-3
        assert s.t[2] <= 1e-3 * (1 + control.MOST)
        assert np.diff(s.t).max() <= 0.02 * (1 + 1e-9)
        assert np.diff(adaptive(p, name, 1e-4).t).max() > 0.05
    # Without any error to fear the steps are as long as they may be.
    s = solve(Scalar(-1.0), lambda t, y: 0 * y, (0.0, 1.0), [1.0], max_step=0.125)
    assert s.t[-2] - s.t[-3] == pytest.approx(0.125)
    assert s.y[0, -1] == pytest.approx(np.exp(-1.0), rel=1e-14)


def test_the_first_step_is_that_which_a_trial_step_tells() -> None:
    """N = 1 + 100 t: of the trial step the change of N counts, by the time that it takes."""
    s = solve(
        Scalar(0.0), lambda t, y: 0 * y + 1 + 100 * t, (0.0, 1.0), [1.0], method="zoto_bowman43",
        rtol=1e-3, atol=1e-6,
    )  # fmt: skip
    allowed = 1e-3 + 1e-6
    trial = control.trial_length(1 / allowed, 1 / allowed, 1.0)
    first = control.first_length(1 / allowed, 100 / allowed, trial, 1 / 4, 1.0)
    assert s.t[1] == pytest.approx(first, rel=1e-6)


def test_a_first_step_that_is_too_long_is_given_up() -> None:
    p = problems.coupled()
    s = adaptive(p, "zoto_bowman43", 1e-6, first_step=1.0)
    assert s.stats["rejected"] > 0
    assert s.t[1] < 0.5
    assert error(p, s) <= 1e-6


def test_the_default_is_a_stiff_pair() -> None:
    s = solve(Diagonal([-1.0, -1e3]), lambda t, y: np.cos(y), (0, 1), [1.0, 1.0])
    info = methods.info(s.stats["method"])
    assert info.stiff_order >= 3
    assert info.embedded_order


@pytest.mark.parametrize(
    ("linear", "rtol", "message"),
    [
        ("x", 1e-3, r"^linear='x' must be a Scalar"),
        ([-1.0], None, r"^linear is a bare array"),
        (Scalar(-1.0), "a", r"^rtol='a' must be a number"),
        (Scalar(-1.0), -1.0, r"^rtol=-1\.0 must be a number of at least 0"),
        (Scalar(-1.0), np.nan, r"^rtol=nan must be a number"),
    ],
)
def test_no_method_is_chosen_for_what_cannot_be_solved(
    linear: Any, rtol: Any, message: str
) -> None:
    with pytest.raises(sl.InvalidArgument, match=message):
        sl.choose_method(linear, rtol=rtol)


@each_method
def test_a_state_without_entries(name: str) -> None:
    s = solve(Scalar(-1.0), lambda t, y: 0 * y, (0.0, 1.0), np.zeros(0), method=name, rtol=1e-3)
    assert s.success
    assert s.y.shape == (0, len(s.t))


def test_methods_without_an_estimate_are_refused() -> None:
    with pytest.raises(sl.InvalidArgument, match=r"^method='luan4' has no estimate .*krogstad4"):
        solve(Scalar(-1.0), lambda t, y: y, (0, 1), [1.0], method="luan4")


def test_options_of_adaptive_steps_do_not_go_with_a_grid() -> None:
    for option in ({"rtol": 1e-3}, {"atol": 1e-3}, {"first_step": 0.1}, {"max_step": 0.5}):
        with pytest.raises(sl.InvalidArgument, match=f"^{next(iter(option))}: of adaptive steps"):
            solve(Scalar(-1.0), lambda t, y: y, (0, 1), [1.0], steps=4, **option)
