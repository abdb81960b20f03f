"""Functions L(t) and B(t): adaptive steps keep the tolerance where N has nothing to say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from semilinear import InvalidArgument, Scalar, Solution, solve

RTOL = 1e-8
each_method = pytest.mark.parametrize("method", ["zoto_bowman43", "etdpece"])
each_size = pytest.mark.parametrize("size", [2, 64], ids=["interpreted", "compiled"])


def no_input(t: float, y: Any) -> Any:
    return 0 * y


def one(t: float, y: Any) -> Any:
    return 0 * y + 1


class Case(NamedTuple):
    """A linear part, an interval, the initial state, N, and the state at its end."""

    linear: Scalar
    t_span: tuple[float, float]
    y0: float
    nonlinear: Callable[..., Any]
    exact: float


def inverse_root(t: Any) -> Any:
    return -0.5 / np.sqrt(t)


W = 100.0
CASES = {
    "L oscillates": Case(
        Scalar(lambda t: -0.1 + np.cos(20 * t)), (0, 50), 1.0, no_input,
        np.exp(-5 + np.sin(1000) / 20),
    ),
    "B oscillates": Case(
        Scalar(-1.0, weight=lambda t: 1 + np.cos(W * t)), (0, 10), 0.0, one,
        1 - np.exp(-10) + (np.cos(10 * W) + W * np.sin(10 * W) - np.exp(-10)) / (1 + W**2),
    ),
    "L jumps, point by point": Case(
        Scalar(lambda t: -1.0 if t < 0.3 else -5.0), (0, 1), 1.0, no_input, np.exp(-3.8)
    ),
    "B jumps": Case(
        Scalar(0.0, weight=lambda t: np.where(t < 0.3, 1.0, 5.0)), (0, 1), 0.0, one, 3.8
    ),
    "L has kinks": Case(
        Scalar(lambda t: np.interp(t, [0, 0.21, 0.7, 1], [0, -3, 1, 1])), (0, 1), 1.0, no_input,
        np.exp(-0.315 - 0.49 + 0.3),
    ),
    "L is singular at t0": Case(Scalar(inverse_root), (0, 1), 1.0, no_input, np.exp(-1)),
    "L is singular at the end": Case(
        Scalar(lambda t: inverse_root(1 - t)), (0, 1), 1.0, no_input, np.exp(-1)
    ),
    "backwards": Case(
        Scalar(lambda t: np.where(t < 0.3, -1.0, -5.0)), (1, 0), 1.0, no_input, np.exp(3.8)
    ),
}  # fmt: skip


def run(case: Case, method: str, size: int = 2, **options: Any) -> Solution:
    arguments: dict[str, Any] = {"rtol": RTOL, "atol": 1e-12} | options
    y0 = np.full(size, case.y0)
    return solve(case.linear, case.nonlinear, case.t_span, y0, method=method, **arguments)


@each_method
@each_size
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_tolerance_is_kept(case: Case, size: int, method: str) -> None:
    s = run(case, method, size)
    assert s.success
    assert s.stats["steps"] > 1
    assert np.abs(s.y[:, -1] / case.exact - 1).max() <= 5 * RTOL


@each_method
def test_a_jump_is_found_wherever_it_is(method: str) -> None:
    random = np.random.default_rng(0)
    for rtol in (1e-4, 1e-11):
        for at, before, after in random.uniform([0, -3, -3], [6, 3, 3], (20, 3)):
            rate = Scalar(lambda t, at=at, a=before, b=after: np.where(t < at, a, b))
            exact = np.exp(before * at + after * (6 - at))
            s = run(Case(rate, (0, 6), 1.0, no_input, exact), method, rtol=rtol, atol=0)
            assert s.success
            assert s.stats["steps"] < 200
            assert abs(s.y[0, -1] / exact - 1) <= rtol


@each_method
def test_without_rtol_and_far_from_0_too(method: str) -> None:
    assert run(CASES["L jumps, point by point"], method, rtol=0, atol=1e-8).success
    for start, bound in ((1e6, RTOL), (1.7e9, 1e-5)):  # times know the jump no better
        rate = Scalar(lambda t, at=start + 0.3: np.where(t < at, -1.0, -5.0))
        s = run(Case(rate, (start, start + 1), 1.0, no_input, 0.0), method)
        assert s.success
        assert abs(s.y[0, -1] / np.exp(-3.8) - 1) <= bound


def test_where_l_is_smooth_steps_are_as_long_as_n_lets_them() -> None:
    for rate in (lambda t: np.cos(t) - 1, lambda t: -1e4 * (2 + np.sin(t)), lambda t: 50j * t):
        y0 = np.ones(2, complex)
        s = solve(Scalar(rate), no_input, (0, 1), y0, method="zoto_bowman43", rtol=RTOL)
        assert s.stats["steps"] == 1


def test_a_stiff_rate_counts_near_the_end_of_a_step_only() -> None:
    """Its jump is forgotten within 1e-6 of the step, which goes over it."""
    rate = Scalar(lambda t: np.where(t < 0.3, -1e6, -2e6))
    s = solve(rate, no_input, (0, 1), [1.0], method="zoto_bowman43", rtol=RTOL)
    assert s.stats["steps"] == 1


def test_what_cannot_be_integrated_is_no_success() -> None:
    with pytest.raises(InvalidArgument, match=r"^rate\(t\) is NaN or infinite at t = "):
        run(Case(Scalar(lambda t: -1 / t), (0, 1), 1.0, no_input, 0.0), "zoto_bowman43")


def test_fixed_steps_go_over_a_jump() -> None:
    """They were chosen so: the error is that of the sum, up to a twentieth of height times h."""
    case = CASES["L jumps, point by point"]
    for steps in (2, 7, 20):
        s = solve(case.linear, no_input, (0, 1), [1.0], steps=steps)
        assert abs(np.log(s.y[0, -1]) + 3.8) <= 4 / 20 / steps


# --- what turns complex -------------------------------------------------------------------------


def late(t: float) -> complex:
    return -1.0 if t < 0.5 else -1j


@each_size
@pytest.mark.parametrize("linear", [Scalar(late), Scalar(-1.0, weight=late)], ids=["L", "B"])
@pytest.mark.parametrize(
    "options", [{"method": "zoto_bowman43"}, {"method": "etdpece"}, {"steps": 4}], ids=str
)
def test_a_real_state_is_refused_where_l_or_b_turn_complex(
    options: dict[str, Any], linear: Scalar, size: int
) -> None:
    with pytest.raises(InvalidArgument, match="is real but the linear part is complex"):
        solve(linear, no_input, (0, 1), np.ones(size), **options)
    assert solve(linear, no_input, (0, 1), np.ones(size, complex), **options).success


@pytest.mark.parametrize("power", [0.5, 0.3])
def test_an_input_that_starts_like_a_root_costs_no_tiny_steps(power: float) -> None:
    linear = Scalar(lambda t: -1.0 + 0.0 * t, weight=lambda t: t**power)
    found = solve(linear, lambda t, y: 1.0 + 0.0 * y, (0.0, 1.0), [0.0], rtol=1e-6, atol=1e-9)
    assert found.success
    assert len(found.t) < 60
    # int_0^1 e^(s-1) s^p ds, by the series of e^s
    terms = [1 / math.factorial(m) / (m + power + 1) for m in range(25)]
    assert found.y[0, -1] == pytest.approx(math.exp(-1) * sum(terms), rel=1e-5)
