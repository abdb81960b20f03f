"""Between grid points: the compiled loop of fixed grids against one evaluation at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

from runs import LINEAR, REGISTERED, each_with_start, initial
from semilinear import (
    Diagonal,
    InvalidArgument,
    NonFiniteError,
    Propagator,
    Scalar,
    Solution,
    solve,
)
from semilinear.engines import factory
from semilinear.methods import GridMethod, Multistep

WEIGHTED: dict[str, Propagator] = {
    "real": Diagonal([-1.0, 0.0, -300.0], weight=[1.0, 2.0, -0.5]),
    "complex": Diagonal([2j, -0.5 - 3j, -1 + 1j], weight=[1j, 2.0, -0.5]),
}
GRID = np.array([0.0, 0.11, 0.3, 0.35, 0.6, 0.7, 0.83, 1.0, 1.2, 1.25])
TIMES = np.linspace(0.0, 1.25, 11)

each_method = each_with_start(REGISTERED)
each_weighted = pytest.mark.parametrize("linear", WEIGHTED.values(), ids=WEIGHTED)
each_linear = pytest.mark.parametrize("linear", LINEAR.values(), ids=LINEAR)


@numba.njit  # type: ignore[misc]
def jitted(t: float, u: Any, out: Any) -> None:
    out[...] = np.cos(3 * t) * u - 0.25 * u * u


def python(t: float, y: Any) -> Any:
    return np.cos(3 * t) * y - 0.25 * y * y


def stop(level: float) -> Callable[..., float]:
    def event(t: float, y: Any) -> float:
        return t - level

    event.terminal = True  # type: ignore[attr-defined]
    return event


def by_hand(monkeypatch: pytest.MonkeyPatch, linear: Propagator, **options: Any) -> Solution:
    """Solve by `PlanEngine`."""
    with monkeypatch.context() as patch:
        patch.setattr(factory, "FixedLoop", None)
        patch.setattr(factory, "LOOP_FROM", 1000)
        return solve(linear, python, (0.0, 1.25), initial(linear), **options)


def looped(monkeypatch: pytest.MonkeyPatch, linear: Propagator, **options: Any) -> list[Solution]:
    """Solve by `FixedLoop` with either kind of N."""
    with monkeypatch.context() as patch:
        patch.setattr(factory, "PlanEngine", None)
        patch.setattr(factory, "LOOP_FROM", 1)
        y0 = initial(linear)
        return [solve(linear, n, (0.0, 1.25), y0, **options) for n in (jitted, python)]


def assert_same(mine: Solution, theirs: Solution) -> None:
    for name in ("nfev", "status", "message"):
        assert getattr(mine, name) == getattr(theirs, name)
    assert mine.stats["steps"] == theirs.stats["steps"]
    assert mine.t == pytest.approx(theirs.t, abs=1e-13)
    assert np.abs(mine.y - theirs.y).max() <= 1e-12
    assert mine.t_last == pytest.approx(theirs.t_last, abs=1e-13)
    assert np.abs(mine.y_last - theirs.y_last).max() <= 1e-12
    if theirs.sol is not None:
        assert mine.sol.t_max == pytest.approx(theirs.sol.t_max, abs=1e-13)
        times = TIMES[theirs.sol.t_max > TIMES]
        assert np.abs(mine.sol(times) - theirs.sol(times)).max() <= 1e-11
    for one, other in zip(mine.t_events or (), theirs.t_events or (), strict=True):
        assert one == pytest.approx(other, abs=1e-12)


@each_weighted
@each_method
def test_all_methods(
    method: GridMethod, start: str, linear: Propagator, monkeypatch: pytest.MonkeyPatch
) -> None:
    every: dict[str, Any] = {"method": method, "start": start, "grid": GRID}
    for options in (
        {"t_eval": [0.0, 0.05, 0.31, 0.35, 1.249], "dense_output": True},
        {"events": [lambda t, y: y[0].real - 0.9, stop(0.75)]},
    ):
        theirs = by_hand(monkeypatch, linear, **every, **options)
        for mine in looped(monkeypatch, linear, **every, **options):
            assert_same(mine, theirs)
    assert theirs.t_last == pytest.approx(0.75)


@each_linear
@pytest.mark.parametrize("method", ["hochbruck_ostermann4", "etdab3", "etdpec3", "etdpece3"])
def test_all_linear_parts(method: str, linear: Propagator, monkeypatch: pytest.MonkeyPatch) -> None:
    every: dict[str, Any] = {"method": method, "start": "rk", "steps": 10, "dense_output": True}
    for options in ({}, {"events": stop(0.75)}):
        theirs = by_hand(monkeypatch, linear, **every, **options)
        for mine in looped(monkeypatch, linear, **every, **options):
            assert_same(mine, theirs)


@pytest.mark.parametrize("method", REGISTERED)
def test_nothing_is_asked_behind_a_terminal_event(method: str) -> None:
    """N need not exist there."""
    asked: list[float] = []

    def recorded(t: float, y: Any) -> Any:
        asked.append(t)
        return -y

    y0 = np.linspace(0.5, 1.0, 70)
    s = solve(Scalar(-1.0), recorded, (0.0, 1.0), y0, method=method, steps=10, events=stop(0.45))
    assert s.status == 1
    assert max(asked) == pytest.approx(0.5)
    assert len(asked) == s.nfev


@pytest.mark.parametrize("name", ["krogstad4", "etdab3", "etdpec3", "etdpece3"])
def test_long_runs_and_large_states(name: str) -> None:
    """More than the loop keeps at once."""
    y0 = np.linspace(0.1, 1.0, 20_000).reshape(100, 200)
    wanted = [0.0, 0.00123, 0.5, 0.98765]
    s = solve(Scalar(-1.0), python, (0.0, 1.0), y0, method=name, steps=50, t_eval=wanted)
    small = solve(Scalar(-1.0), python, (0.0, 1.0), y0[0, :3], method=name, steps=50, t_eval=wanted)
    assert s.nfev == small.nfev
    assert np.abs(s.y[0, :3] - small.y).max() <= 1e-14


@each_method
def test_the_callback_sees_the_steps_in_order(method: GridMethod, start: str) -> None:
    seen: list[float] = []
    options: dict[str, Any] = {"method": method, "start": start, "grid": GRID, "t_eval": [0.42]}
    s = solve(
        Scalar(-1.0), jitted, (0.0, 1.25), np.ones(2), callback=lambda t, y: seen.append(t),
        **options,
    )  # fmt: skip
    assert seen == GRID[1:].tolist()
    assert np.array_equal(s.y, solve(Scalar(-1.0), jitted, (0, 1.25), np.ones(2), **options).y)


@pytest.mark.parametrize("size", [3, 100])
@pytest.mark.parametrize("name", ["krogstad4", "etdab3", "etdpec3", "etdpece3"])
def test_values_that_are_not_finite(name: str, size: int) -> None:
    def ends(t: float, y: Any) -> Any:
        return y if t < 0.5 else np.nan * y

    for options in ({}, {"dense_output": True}):
        with pytest.raises(NonFiniteError, match=r"t = 0\.5\) |t = 0\.5 ") as caught:
            solve(
                Scalar(-1.0), ends, (0.0, 1.0), np.ones(size), method=name, steps=8, start="rk",
                **options,
            )  # fmt: skip
        assert "returned NaN or infinity" in str(caught.value)
        s = caught.value.solution
        corrected = isinstance(REGISTERED[name], Multistep) and name != "etdab3"
        reached = 0.375 if corrected else 0.5
        if name == "krogstad4":
            reached = 0.375  # its last stage lies at the end of the step
        assert s.t_last == reached
        assert s.stats["steps"] == round(8 * reached)
        assert s.y_last.shape == (size,)
        assert np.isfinite(s.y_last).all()
        if s.sol is not None:
            assert np.isfinite(s.sol(np.linspace(s.sol.t_min, s.sol.t_max))).all()


@pytest.mark.parametrize("size", [3, 100])
@pytest.mark.parametrize("name", ["zoto_bowman43", "krogstad4", "etdpec", "etdpece"])
def test_n_is_not_asked_at_states_that_are_not_finite(name: str, size: int) -> None:
    def within(t: float, y: Any) -> Any:
        if not np.isfinite(y).all():
            raise ValueError("asked at NaN")
        with np.errstate(invalid="ignore"):  # |y| > 1 in steps that are too long
            return np.sqrt(1.0 - y**2) * 200 * np.cos(200 * t)

    arguments = Scalar(-1.0), within, (0.0, 1.0), np.full(size, 0.99)
    if name == "krogstad4":
        with pytest.raises(NonFiniteError, match=r"t = 0\.0625\)? returned NaN"):
            solve(*arguments, method=name, steps=8)
        return
    s = solve(*arguments, method=name, rtol=1e-2)
    assert s.stats["rejected"] > 0


@pytest.mark.parametrize("most", [1, 2, 7, 100])
@pytest.mark.parametrize("size", [3, 100])
@pytest.mark.parametrize("name", ["zoto_bowman43", "etdpec", "etdpece"])
def test_evaluations_run_out(name: str, size: int, most: int) -> None:
    """Two engines end where the budget does; the compiled ones begin no step that may not end."""
    times: list[float] = []

    def counted(t: float, y: Any) -> Any:
        times.append(t)
        return np.cos(50.0 * t + y)

    arguments = Scalar(-1.0), counted, (0.0, 5.0), np.ones(size)
    whole = solve(*arguments, method=name, rtol=1e-6)
    times.clear()
    s = solve(*arguments, method=name, rtol=1e-6, max_nfe=most)
    assert (s.status, s.success) == (-1, False)
    assert f"max_nfe={most}: evaluations ran out at t = {s.t_last:.9g}, after" in s.message
    assert len(times) == s.nfev <= most
    assert s.nfev > most - 5  # a step of the costliest method
    assert len(s.t) == s.stats["steps"] + 1
    np.testing.assert_allclose(s.y, whole.y[:, : len(s.t)], rtol=1e-6)
    enough = solve(*arguments, method=name, rtol=1e-6, max_nfe=whole.nfev)
    assert (enough.status, enough.nfev) == (0, whole.nfev)
    with pytest.raises(InvalidArgument, match="max_nfe=0 must be a whole number"):
        solve(*arguments, max_nfe=0)
    with pytest.raises(InvalidArgument, match="max_nfe: of adaptive steps only"):
        solve(*arguments, max_nfe=10, steps=5)


@pytest.mark.parametrize("size", [3, 100])
def test_a_propagator_that_differs_by_step_is_asked_for_each(size: int) -> None:
    """Compiled fixed steps are as those of a plan."""

    class Stepwise(Scalar):
        number: Any = 0

        def of_steps(self, numbers: np.ndarray) -> Propagator:
            part = Stepwise(self.rate)
            part.number = numbers
            return part

        def flow(self, a: Any, b: Any) -> Any:
            return np.exp((-1.0 - self.number) * (np.asarray(b) - a))

    linear = Stepwise(lambda t: -1.0 + 0.0 * t)
    s = solve(linear, lambda t, y: 0 * y, (0.0, 1.0), np.ones(size), steps=4, method="etd4rk")
    np.testing.assert_allclose(s.y[:, -1], np.exp(-2.5), rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"t_eval": [0.99]}], ids=str)
@pytest.mark.parametrize("name", ["krogstad4", "etdab3", "etdpec3", "etdpece3"])
def test_any_evaluation_may_fail(
    name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever it is, both engines name it and keep the same steps."""
    y0 = np.ones(3)
    for bad in range(1, 10):
        found = []
        for least in (1, 1000):
            calls: list[float] = []

            def fails(t: float, y: Any, *, calls: list[float] = calls, bad: int = bad) -> Any:
                calls.append(t)
                return np.nan * y if len(calls) == bad else -y

            monkeypatch.setattr(factory, "LOOP_FROM", least)
            with pytest.raises(NonFiniteError, match=r"returned NaN .* in 3 of 3") as caught:
                solve(Scalar(-1.0), fails, (0.0, 1.0), y0, method=name, steps=12, **options)
            s = caught.value.solution
            assert f"t = {calls[bad - 1]:.9g}" in str(caught.value)
            found.append((s.t_last, s.stats["steps"]))
        assert found[0] == found[1]
