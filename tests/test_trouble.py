"""When a run cannot go on: status, message, all that was reached; or an exception."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from runs import Y0, exchange
from semilinear import (
    Dense,
    Diagonal,
    ModelOutputError,
    NonFiniteError,
    Scalar,
    Solution,
    methods,
    problems,
    solve,
)

ADAPTIVE = [n for n, i in methods.names().items() if i.embedded_order]
each_method = pytest.mark.parametrize("method", ADAPTIVE)


def run(nonlinear: Callable[..., Any], y0: Any = Y0, **changed: Any) -> Solution:
    arguments: dict[str, Any] = {"linear": Scalar(-1.0), "t_span": (0.0, 1.0)} | changed
    return solve(arguments.pop("linear"), nonlinear, arguments.pop("t_span"), y0, **arguments)


# --- a solution that ends -----------------------------------------------------------------------


def square(t: float, y: Any) -> Any:
    return y * y


@each_method
def test_a_solution_that_blows_up(method: str) -> None:
    """y' = y^2 from 1 has its pole at t = 1: no exception, no warning, no endless loop."""
    s = run(square, [1.0], linear=Scalar(0.0), t_span=(0.0, 2.0), method=method, rtol=1e-5)
    assert (s.status, s.success) == (-1, False)
    assert "step size" in s.message
    assert abs(s.t[-1] - 1.0) < 1e-3
    assert s.y[0, -1] > 1e6
    assert (np.diff(s.t) > 0).all()
    assert np.isfinite(s.y).all()
    # What was reached before is right.
    before = s.t < 0.9
    assert before.sum() > 5
    assert s.y[0, before] == pytest.approx(1 / (1 - s.t[before]), rel=1e-3)
    assert s.stats["steps"] == len(s.t) - 1
    assert repr(s.message) in repr(s)


def test_everything_that_was_reached_is_there() -> None:
    s = run(
        square, [1.0], linear=Scalar(0.0), t_span=(0.0, 2.0), rtol=1e-8, dense_output=True,
        t_eval=[0.25, 0.5, 1.5], events=lambda t, y: y[0] - 3.0,
    )  # fmt: skip
    assert s.status == -1
    assert s.t.tolist() == [0.25, 0.5]
    assert s.y[0] == pytest.approx([4 / 3, 2.0], rel=1e-6)
    assert s.t_events[0] == pytest.approx([2 / 3], rel=1e-6)
    assert s.sol(0.5) == pytest.approx([2.0], rel=1e-6)
    assert s.sol.t_max == pytest.approx(1.0, abs=1e-3)


def test_backwards_too() -> None:
    s = run(lambda t, y: -y * y, [1.0], linear=Scalar(0.0), t_span=(2.0, 0.0))
    assert s.status == -1
    assert s.t[-1] == pytest.approx(1.0, abs=1e-2)


def test_tolerances_out_of_reach() -> None:
    """Noise in N asks for steps that are shorter than the spacing of the times."""
    noise = np.random.default_rng(0)
    s = run(
        lambda t, y: y + 100 * noise.standard_normal(2), rtol=1e-13, atol=1e-18,
        t_span=(1000.0, 1001.0),
    )  # fmt: skip
    assert s.status == -1
    assert "step size that the tolerances need" in s.message


# --- values that are not finite -----------------------------------------------------------------


@each_method
def test_n_not_finite_at_t0(method: str) -> None:
    with pytest.raises(
        NonFiniteError, match=r"^N at evaluation 1 \(t = 0\) returned NaN .* 2 of 2"
    ):
        run(lambda t, y: np.nan * y, method=method, linear=Diagonal([-1.0, -5.0]))


@each_method
def test_n_not_finite_from_some_time_on(method: str) -> None:
    """The run comes as near to it as steps can, and says what it met there."""

    def ends(t: float, y: Any) -> Any:
        return y if t < 0.5 else np.inf * y

    if method == "krogstad4":
        pytest.skip("its estimate is blind to time")
    s = run(ends, method=method, linear=Diagonal([-1.0, -5.0]))
    assert s.status == -1
    assert "returned NaN or infinity in 2 of 2 entries" in s.message
    assert "t = 0.5" in s.message
    assert 0.5 - 1e-6 < s.t[-1] <= 0.5
    assert s.y[0, -1] == pytest.approx(1.0, abs=2e-3)
    assert s.stats["rejected"] > 0


@each_method
def test_attempts_that_leave_the_domain_of_n_are_given_up(method: str) -> None:
    """A trial or a stage beyond the domain is no failure: a shorter step stays inside."""

    def root(t: float, y: Any) -> Any:
        return np.sqrt(np.where(y <= 2.0, 2.0 - y, np.nan))

    for first_step in (None, 5.0):
        s = run(
            root, [0.0], linear=Scalar(0.0), t_span=(0.0, 5.0), method=method, rtol=1e-6, atol=1e-8,
            first_step=first_step, t_eval=[1.0],
            events=_stop_at(1.9),
        )  # fmt: skip
        assert s.status == 1
        # y = 2 - (sqrt 2 - t/2)^2
        assert s.y[0] == pytest.approx([2 - (np.sqrt(2) - 0.5) ** 2], rel=1e-4)
        assert s.t_events[0] == pytest.approx([2 * (np.sqrt(2) - np.sqrt(0.1))], rel=1e-3)


def _stop_at(level: float) -> Callable[..., float]:
    def stop(t: float, y: Any) -> float:
        return float(y[0]) - level

    stop.terminal = True  # type: ignore[attr-defined]
    return stop


def test_a_trial_step_that_goes_too_far_is_shortened() -> None:
    """From y = 0 nothing tells the scale of y: the trial step of a long interval is long."""

    def slows(t: float, y: Any) -> Any:
        return np.where(y > 2.0, np.nan, np.exp(-t))

    s = run(slows, [0.0], linear=Scalar(0.0), t_span=(0.0, 1e5), rtol=1e-6)
    assert s.success
    assert s.y[0, -1] == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("size", [1e14, 1e200])
def test_an_n_beyond_all_tolerances(size: float) -> None:
    """Norms overflow before N does: no division by zero, no endless loop."""
    dtype = np.float32 if size < 1e30 else np.float64
    for y0 in (np.zeros(2, dtype), np.ones(2, dtype)):
        s = run(lambda t, y: 0 * y + y.dtype.type(size), y0, linear=Diagonal([-1.0, -2.0]))
        assert s.success
        assert s.y[0, -1] == pytest.approx(size * (1 - np.exp(-1.0)), rel=1e-5)


def test_after_an_attempt_into_nan_the_next_step_does_not_grow() -> None:
    """N ends at 1/2: the second attempt is a tenth as long for that, and no error asks for it."""

    def ends(t: float, y: Any) -> Any:
        return 0 * y if t < 0.5 else np.nan * y

    s = run(ends, method="zoto_bowman43", first_step=0.4)
    assert s.t[1:3] == pytest.approx([0.4, 0.424])
    assert s.t[3] - s.t[2] <= 0.0241


def test_a_fixed_grid_stops_and_keeps_what_it_had() -> None:
    def ends(t: float, y: Any) -> Any:
        return y if t < 0.5 else np.nan * y

    for options in ({}, {"t_eval": [0.1, 0.25, 0.9]}, {"dense_output": True}):
        with pytest.raises(NonFiniteError, match=r"^N at evaluation 5 of 8 \(t = 0\.5\)") as caught:
            run(ends, steps=8, method="etd1", **options)
        s = caught.value.solution
        assert (s.status, s.success, s.message) == (-1, False, str(caught.value))
        assert s.nfev == 5
        reached = [0.1, 0.25] if "t_eval" in options else [0.0, 0.125, 0.25, 0.375, 0.5]
        assert s.t.tolist()[-2:] == reached[-2:] or s.t.tolist() == reached[:-1]
        assert np.isfinite(s.y).all()


def test_an_exception_at_t0_has_an_empty_solution() -> None:
    with pytest.raises(NonFiniteError) as caught:
        run(lambda t, y: np.nan * y)
    assert caught.value.solution.status == -1
    assert caught.value.solution.stats["steps"] == 0


# --- answers that are not like the state --------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda t, y: y[:1], r"^N at evaluation 1 \(t = 0\) returned shape \(1,\) .* \(2,\)"),
        (lambda t, y: y.astype(np.float32), r"^N at evaluation 1 .* dtype float32"),
        (lambda t, y: None, r"^N at evaluation 1 .* returned NoneType"),
        (
            lambda t, y: y if t < 0.5 else 1j * y,
            r"^N at evaluation \d+ \(t = 0\.\d+\) .* complex128",
        ),
    ],
)
def test_a_wrong_answer_of_n_is_named(wrong: Callable[..., Any], message: str) -> None:
    with pytest.raises(ModelOutputError, match=message):
        run(wrong)


def test_a_real_state_with_a_complex_rate_of_time() -> None:
    for options in ({}, {"steps": 4}):
        with pytest.raises(ValueError, match=r"^y0 is real"):
            run(exchange, linear=Scalar(lambda t: 1j * t), **options)


# --- hard, but no trouble -----------------------------------------------------------------------


@pytest.mark.parametrize("method", [name for name in ADAPTIVE if name != "krogstad4"])
def test_a_discontinuous_n(method: str) -> None:
    def step(t: float, y: Any) -> Any:
        return np.where(y < 0.75, 1.0, 3.0)

    s = run(step, [0.0], linear=Scalar(0.0), method=method, rtol=1e-6, atol=1e-6)
    assert s.success
    assert s.y[0, -1] == pytest.approx(0.75 + 0.25 * 3, rel=1e-3)


def test_a_stiffness_that_is_in_n() -> None:
    """Without L to take it up N sets the step: many of them, and the tolerance is kept."""
    mine = run(lambda t, y: -500.0 * (y - np.cos(t)), [0.0], linear=Scalar(0.0), rtol=1e-4)
    helped = run(lambda t, y: 0 * y + 500.0 * np.cos(t), [0.0], linear=Scalar(-500.0), rtol=1e-4)
    exact = 500.0 * (500.0 * np.cos(1.0) + np.sin(1.0)) / (500.0**2 + 1)
    for s in (mine, helped):
        assert s.success
        assert s.y[0, -1] == pytest.approx(exact, rel=1e-3)
    assert helped.stats["steps"] < mine.stats["steps"]


def test_an_empty_state() -> None:
    for options in ({}, {"steps": 3}):
        s = run(lambda t, y: y, np.zeros((0,)), **options)
        assert s.success
        assert s.y.shape == (0, len(s.t))


def test_nothing_happens() -> None:
    """y = 0, N = 0: no scale anywhere."""
    s = run(lambda t, y: 0 * y, np.zeros(3), linear=Dense(np.zeros((3, 3))), rtol=1e-6)
    assert s.success
    assert not s.y.any()


def test_intervals_of_all_sizes() -> None:
    for length in (1e-300, 1e-12, 1e12, 1e200):
        rate = 1.0 / length
        s = run(lambda t, y, r=rate: r * y, [1.0], linear=Scalar(-2 * rate), t_span=(0.0, length))
        assert s.success
        assert s.y[0, -1] == pytest.approx(np.exp(-1.0), rel=1e-3)
    s = run(exchange, t_span=(1e9, 1e9 + 1e-3), rtol=1e-6)
    assert s.success


def test_no_warning_is_given() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s = run(lambda t, y: 1e3 * y * y, [1.0], t_span=(0.0, 1.0))
    assert s.status == -1


def test_a_state_that_has_grown_without_bound_is_not_blamed_on_n() -> None:
    problem = problems.kuramoto_sivashinsky().until(50)
    grown = r"the state has grown to it: the steps are too long .* take smaller steps"
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match=grown) as caught:
        solve(
            problem.linear, problem.nonlinear, problem.t_span, problem.y0, method="etdab4", steps=50
        )
    assert "check N" not in str(caught.value)


@pytest.mark.parametrize(("dtype", "size"), [("f4", 1e19), ("f8", 1e101)])
@pytest.mark.parametrize("entries", [2, 100])
def test_growth_is_told_from_a_fault_of_n_by_the_size_of_the_state(dtype, size, entries) -> None:
    for largest, said in ((size, "the state has grown to it"), (size / 100, "check N there")):
        y0 = np.full(entries, largest, dtype)
        with pytest.raises(NonFiniteError, match=said):
            run(lambda t, y: y * np.nan, y0, steps=2)


@pytest.mark.parametrize("size", [10, 100])
@pytest.mark.parametrize("method", ["etdpec", "etdpece", "zoto_bowman43"])
def test_the_state_at_which_n_fails_is_shown(method: str, size: int) -> None:
    def ends(t: float, y: Any) -> Any:
        return np.full_like(y, np.nan) if t > 0.5 else np.cos(y + t)

    s = run(ends, np.ones(size), method=method, rtol=1e-6)
    assert s.status == -1
    assert f"NaN or infinity in {size} of {size} entries, at a finite state" in s.message
    assert "largest entry is 0.768 in modulus" in s.message


@each_method
@pytest.mark.parametrize("atol", [1e-3, 1e-5])
def test_n_not_finite_at_a_new_state_makes_the_step_shorter(method: str, atol: float) -> None:
    """y' = -y - 20 y^1.1 from 1 comes near 0, and an error of y leads below it."""

    def root(t: float, y: Any) -> Any:
        with np.errstate(invalid="ignore"):
            return -20 * y**1.1

    for size in (1, 64):
        s = run(root, np.ones(size), t_span=(0.0, 3.0), method=method, atol=atol)
        assert s.success, s.message
        assert np.abs(s.y[:, -1]).max() < 20 * atol


@pytest.mark.parametrize("linear", [Scalar(-1.0), Scalar(lambda t: -1.0 - t)])
@pytest.mark.parametrize("method", ["etdpece", "zoto_bowman43", "etd35"])
@pytest.mark.parametrize("size", [10, 100])
def test_a_value_that_fails_once_costs_nothing_but_a_shorter_step(
    size: int, method: str, linear: Scalar
) -> None:
    known = run(lambda t, y: np.cos(y + t), np.ones(size), linear=linear, method=method, rtol=1e-6)
    for bad in range(6, 20):
        asked = []

        def once(t: float, y: Any, asked: Any = asked, bad: int = bad) -> Any:
            asked.append(t)
            return np.full_like(y, np.nan) if len(asked) == bad else np.cos(y + t)

        s = run(once, np.ones(size), linear=linear, method=method, rtol=1e-6, dense_output=True)
        assert s.success
        assert s.nfev == len(asked)
        np.testing.assert_allclose(s.y[:, -1], known.y[:, -1], rtol=1e-5)
        np.testing.assert_allclose(s.sol(s.t), s.y, rtol=1e-12)


@pytest.mark.parametrize("size", [10, 100])
@each_method
def test_n_that_is_at_t0_alone_ends_the_run_soon(method: str, size: int) -> None:
    s = run(lambda t, y: y * np.nan if t > 0 else y, np.ones(size), method=method)
    assert (s.status, len(s.t)) == (-1, 1)
    assert s.nfev < 60
    assert "check N there" in s.message


@pytest.mark.parametrize("unit", [1e-30, 1e-12, 1e12, 1e20])
@pytest.mark.parametrize("method", ADAPTIVE)
def test_first_steps_do_not_depend_on_the_unit_of_time(method: str, unit: float) -> None:
    def source(t: float, y: Any) -> Any:
        return np.full(1, 3 * (1 + np.cos(24 * np.pi * t / unit - 0.5)) / unit)

    if method == "krogstad4":
        pytest.skip("N depends on t")
    s, known = (
        solve(Scalar(-1 / scale), n, (0, scale), [1.0], method=method, rtol=1e-6)
        for scale, n in ((unit, source), (1.0, lambda t, y: unit * source(unit * t, y)))
    )
    assert s.y[0, -1] == pytest.approx(known.y[0, -1], abs=1e-4)
