"""`solve`: what it takes and what it returns."""

from __future__ import annotations

import copy
import sys
from typing import Any

import numpy as np
import pytest

from runs import SMALL, Y0, exchange, solved
from semilinear import (
    Diagonal,
    InvalidArgument,
    Scalar,
    Solution,
    methods,
    solve,
)
from semilinear.methods import Multistep, Tableau
from tolerances import assert_close

ON_GRIDS = [name for name in methods.names() if isinstance(methods.get(name), Tableau | Multistep)]

# --- what comes back ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (2,), (3, 2), (1, 3, 2)], ids=str)
def test_time_is_the_last_axis(shape: tuple[int, ...]) -> None:
    y0 = np.linspace(0.1, 1.0, int(np.prod(shape))).reshape(shape)
    solution = solve(Scalar(-2.0), lambda t, y: t * y, (0.0, 1.0), y0, steps=5)
    assert solution.y.shape == (*shape, 6)
    assert solution.t.shape == (6,)
    assert np.array_equal(solution.y[..., 0], y0)
    assert np.array_equal(solution.t, np.linspace(0.0, 1.0, 6))


def test_a_solution_has_the_names_of_scipy() -> None:
    solution = solved(method="etd2rk")
    assert (solution.success, solution.status, solution.njev) == (True, 0, 0)
    assert solution.nfev == 8
    assert "end" in solution.message
    assert {k: solution.stats[k] for k in ("method", "order", "steps")} == {
        "method": "etd2rk",
        "order": 2,
        "steps": 4,
    }
    assert (solution.sol, solution.t_events, solution.y_events) == (None, None, None)
    text = repr(solution)
    for part in ("t: 0 .. 1 (5 points)", "y: (2, 5) float64", "nfev=8", "method='etd2rk'"):
        assert part in text


def test_seconds_are_those_from_the_call_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.5])
    monkeypatch.setattr(sys.modules["semilinear.solve"], "perf_counter", lambda: next(clock))
    assert solved().stats["seconds"] == 2.5


def test_solutions_are_told_apart_by_identity_and_their_arrays_are_yours() -> None:
    one, other = (solved(steps=2, dense_output=True) for _ in range(2))
    assert (one == other, one == copy.copy(one), len({one, other})) == (False, False, 2)
    assert len({*one.sol._pieces}) == 2
    one.y[...] = 0.0
    one.stats["note"] = "mine"
    with pytest.raises(AttributeError):
        one.y = other.y


def test_nfev_is_the_number_of_calls() -> None:
    for name in ON_GRIDS:
        for start in methods.STARTS:
            calls: list[float] = []

            def counted(t: float, y: Any, calls: list[float] = calls) -> Any:
                assert isinstance(t, float)
                calls.append(t)
                return exchange(t, y)

            solution = solved(nonlinear=counted, method=name, start=start, steps=8)
            assert solution.nfev == len(calls)
            assert 0.0 <= min(calls) <= max(calls) <= 1.0


def test_the_default_keeps_order_four_on_stiff_problems() -> None:
    default = solve(SMALL, exchange, (0.0, 1.0), Y0, steps=4)
    assert default.stats["method"] == "hochbruck_ostermann4"
    assert methods.info(default.stats["method"]).stiff_order == 4


def test_steps_are_adaptive_where_nothing_fixes_them() -> None:
    default = solve(SMALL, exchange, (0.0, 1.0), Y0)
    assert methods.info(default.stats["method"]).embedded_order
    assert default.stats["steps"] == len(default.t) - 1
    assert default.stats["rejected"] == 0
    assert len(set(np.diff(default.t))) > 1
    named = solve(SMALL, exchange, (0.0, 1.0), Y0, rtol=1e-3, atol=1e-6, controller="PI")
    assert np.array_equal(named.y, default.y)


def test_a_method_of_variable_order_has_none_on_a_grid() -> None:
    for name in set(methods.names()) - set(ON_GRIDS):
        with pytest.raises(InvalidArgument, match=f"^method='{name}' chooses its order"):
            solved(method=name, steps=4)


# --- the grid -----------------------------------------------------------------------------------


def test_three_ways_to_the_same_grid() -> None:
    by_steps = solved(steps=4)
    for same in (
        {"steps": np.int64(4)},
        {"steps": 4.0},
        {"step_size": 0.25},
        {"grid": [0.0, 0.25, 0.5, 0.75, 1.0]},
        {"grid": np.linspace(0, 1, 5)},
    ):
        solution = solved(**same)
        assert np.array_equal(solution.t, by_steps.t)
        assert np.array_equal(solution.y, by_steps.y)


def test_a_step_size_divides_the_span_to_rounding() -> None:
    assert solved(t_span=(0.0, 0.3), step_size=0.1).stats["steps"] == 3
    assert solved(t_span=(-0.7, 0.0), step_size=0.07).stats["steps"] == 10
    for size in (0.3, 0.2501, 0.25 * (1 + 1e-7)):
        with pytest.raises(
            InvalidArgument, match=rf"^step_size={size} must be positive and divide"
        ):
            solved(step_size=size)


def test_an_uneven_grid() -> None:
    grid = [0.0, 0.1, 0.4, 0.45, 1.0]
    solution = solved(grid=grid)
    assert solution.t.tolist() == grid
    # Each step is the step of a grid of its own.
    last = solved(grid=[0.45, 1.0], t_span=(0.45, 1.0), y0=solution.y[:, -2])
    assert_close(last.y[:, -1], solution.y[:, -1], operations=50)


@pytest.mark.parametrize("name", ["luan_ostermann5", "etdab4", "lawson4"])
def test_backwards(name: str) -> None:
    """There and back again."""
    linear = Diagonal([-1.0, -2.0])
    there = solved(linear=linear, method=name, steps=50, start="rk")
    back = solved(
        linear=linear, method=name, steps=50, start="rk", t_span=(1.0, 0.0), y0=there.y[:, -1]
    )
    assert_close(back.t, there.t[::-1], operations=1)
    assert np.abs(back.y[:, -1] - Y0).max() < 1e-6
    assert solved(linear=linear, t_span=(1.0, 0.0), step_size=0.25).stats["steps"] == 4


def test_points_that_are_wanted() -> None:
    whole = solved(steps=10)
    for wanted in ([0.2, 0.5, 1.0], (0.2, 0.5, 1.0), np.array([0.2, 0.5, 1.0])):
        solution = solved(steps=10, t_eval=wanted)
        assert np.array_equal(solution.t, wanted)
        assert np.array_equal(solution.y, whole.y[:, [2, 5, 10]])
    assert solved(t_eval=0.5).y.shape == (2, 1)
    assert solved(t_span=(1.0, 0.0), t_eval=[1.0, 0.5]).t.tolist() == [1.0, 0.5]


def test_points_between_those_of_the_grid() -> None:
    s = solved(steps=40, t_eval=[0.333, 0.777])
    assert s.t.tolist() == [0.333, 0.777]
    at_grid = solved(steps=40, t_eval=[0.325, 0.775])

    def errors(solution: Solution) -> np.ndarray:
        ends = [
            solved(t_span=(0.0, t), steps=200, method="luan_ostermann5").y[:, -1]
            for t in solution.t
        ]
        return np.abs(solution.y - np.stack(ends, axis=-1)).max(axis=0)

    assert (errors(s) < 1.2 * errors(at_grid)).all()


# --- what goes in -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y0", "dtype"),
    [
        ([1.0, 0.5], np.float64),
        ((1, 2), np.float64),
        ([[1, 2], [3, 4]], np.float64),
        (np.array([1, 2]), np.float64),
        (np.float32([1, 2]), np.float32),
        ([1j, 2], np.complex128),
        (np.complex64([1, 2]), np.complex64),
    ],
    ids=repr,
)
def test_initial_states(y0: Any, dtype: type) -> None:
    solution = solved(y0=y0, nonlinear=lambda t, y: -y)
    assert solution.y.dtype == dtype
    assert solution.y.shape == (*np.shape(y0), 5)
    exact = np.exp(-2.0) * np.asarray(y0)[..., 0]
    assert np.abs(solution.y[..., 0, -1] - exact).max() < 1e-4


@pytest.mark.parametrize("y0", [2, 2.0, 2.0 + 0j, np.float64(2), np.array(2), np.array(2.0)])
def test_a_number_is_an_initial_state(y0: Any) -> None:
    solution = solve(Scalar(-1.0), lambda t, y: 0 * y, (0.0, 1.0), y0, steps=2)
    assert solution.y.shape == (3,)
    assert_close(solution.y[-1], 2 * np.exp(-1.0), operations=4)


def test_the_initial_state_is_left_alone() -> None:
    y0 = Y0.copy()
    solution = solved(y0=y0)
    assert np.array_equal(y0, Y0)
    solution.y[:] = 0.0
    assert np.array_equal(y0, Y0)


def test_further_arguments() -> None:
    plain = solved(nonlinear=lambda t, y: 3.0 * y - 0.5)
    given = solved(nonlinear=lambda t, y, factor, shift: factor * y - shift, args=(3.0, 0.5))
    assert np.array_equal(plain.y, given.y)


def test_the_callback_sees_every_step() -> None:
    seen: list[tuple[float, np.ndarray]] = []
    for name in ("krogstad4", "etdpece3", "etdab3"):
        seen.clear()
        solution = solved(
            method=name, t_eval=[1.0], callback=lambda t, y: seen.append((t, y.copy()))
        )
        whole = solved(method=name)
        assert [t for t, _ in seen] == whole.t[1:].tolist()
        assert all(type(t) is float for t, _ in seen)
        assert np.array_equal(np.stack([y for _, y in seen], axis=-1), whole.y[:, 1:])
        assert solution.y.shape == (2, 1)


def test_an_exception_of_the_callback_ends_the_run() -> None:
    def stop(t: float, y: Any) -> None:
        if t >= 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solved(callback=stop)


def test_methods_by_name_or_object() -> None:
    by_name = solved(method="ETD4RK")
    assert np.array_equal(solved(method=methods.get("etd4rk")).y, by_name.y)
    assert np.array_equal(solved(method="cox_matthews4").y, by_name.y)


def test_a_callback_cannot_spoil_the_solution() -> None:
    def spoil(t: float, y: np.ndarray) -> None:
        y[:] = 0

    with pytest.raises(ValueError, match="read-only"):
        solved(callback=spoil, steps=2)
