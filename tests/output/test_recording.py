"""What a run leaves behind: wanted times, callbacks, and that they leave the run alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runs import METHODS, SMALL, Y0, exchange, solved
from semilinear import Scalar, Solution, methods, solve
from semilinear.methods import Multistep, Tableau
from semilinear.time_grid import lies_on, wanted_times
from tolerances import assert_close

GRIDS = {n: m for n, m in METHODS.items() if isinstance(m, Tableau | Multistep)}
ADAPTIVE = [n for n, i in methods.names().items() if i.embedded_order and n != "krogstad4"]
WAYS: dict[str, dict[str, Any]] = {
    "fixed": {"steps": 8},
    "adaptive": {"steps": None, "method": "zoto_bowman43", "rtol": 1e-5},
    "variable order": {"steps": None, "method": "etdpec", "rtol": 1e-5},
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
LOOKS: dict[str, dict[str, Any]] = {
    "at the ends": {},
    "at every step": {"callback": lambda t, y: None},
    "between them": {"dense_output": True},
}


# --- wanted times -------------------------------------------------------------------------------


@each_way
@pytest.mark.parametrize("span", [(0.0, 1.0), (0.5, 0.0)], ids=str)
def test_wanted_times_are_those_of_the_continuous_solution(
    way: dict[str, Any], span: tuple[float, float]
) -> None:
    t0, t1 = span
    wanted = t0 + (t1 - t0) * np.array([0.0, 0.013, 0.2, 0.21, 0.5, 0.99, 1.0])
    linear = {"linear": SMALL} if t1 > t0 else {"linear": type(SMALL)([-1.0, -2.0])}
    s = solved(t_span=span, t_eval=wanted, **linear, **way)
    continuous = solved(t_span=span, dense_output=True, **linear, **way)
    assert np.array_equal(s.t, wanted)
    assert_close(s.y, continuous.sol(wanted), operations=50)
    assert np.array_equal(s.y[:, 0], Y0)
    assert np.array_equal(s.y[:, -1], continuous.y[:, -1])
    assert s.stats["steps"] == continuous.stats["steps"]


@each_way
def test_wanted_times_do_not_change_the_steps(way: dict[str, Any]) -> None:
    seen: list[float] = []
    for wanted in (None, [1.0], np.linspace(0.0, 1.0, 100), [0.001]):
        seen.clear()
        s = solved(t_eval=wanted, callback=lambda t, y: seen.append(t), **way)
        plain = solved(**way)
        assert seen == plain.t[1:].tolist()
        assert s.stats["steps"] == plain.stats["steps"]


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12, unique=True))
@example([3.4e-100, 1e-20, 1.0 - 1e-16])
@settings(max_examples=15)
def test_whatever_is_wanted_comes_back_exactly(wanted: list[float]) -> None:
    wanted.sort()
    for way in WAYS.values():
        s = solved(t_eval=wanted, **way)
        assert s.t.tolist() == wanted
        assert s.y.shape == (2, len(wanted))
        assert np.isfinite(s.y).all()


def test_only_points_of_the_grid_need_no_interpolation() -> None:
    """And so no evaluation more; points between cost those of the interpolant only."""
    plain = solved(steps=8)
    for wanted in ([0.125, 1.0], [0.5 + 1e-16], np.linspace(0, 1, 9)):
        assert solved(steps=8, t_eval=wanted).nfev == plain.nfev
    ends = solved(**WAYS["adaptive"], t_eval=[0.0, 1.0])
    assert ends.nfev == solved(**WAYS["adaptive"]).nfev
    assert solved(steps=8, t_eval=[0.3]).nfev > plain.nfev


def test_rounding_of_a_grid_is_no_distance() -> None:
    grid = [0.1 * k for k in range(9)]
    summed = [0.0, 0.1, 0.2, 0.2 + 0.1, 0.4, 0.5, 0.5 + 0.1, 0.7, 0.8]
    assert grid != summed
    s = solved(t_span=(0.0, 0.8), grid=grid, t_eval=summed)
    assert s.t.tolist() == summed
    assert np.array_equal(s.y, solved(t_span=(0.0, 0.8), grid=grid).y)


@pytest.mark.parametrize("size", [2, 64], ids=["interpreted", "compiled"])
@each_way
@pytest.mark.parametrize("span", [(1.0, 2.0), (2.0, 1.0)], ids=str)
@pytest.mark.parametrize("options", LOOKS.values(), ids=LOOKS)
def test_times_beside_an_end_have_its_state(
    way: dict[str, Any], size: int, span: tuple[float, float], options: dict[str, Any]
) -> None:
    (t0, t1), apart = span, np.spacing(2.0) * np.sign(span[1] - span[0])
    wanted = [t0, t0 + apart, t0 + 2 * apart, t1 - apart, t1]
    arguments = {"linear": Scalar(-0.5), "nonlinear": lambda t, y: 0 * y, "y0": np.ones(size)}
    s = solved(t_span=span, t_eval=wanted, **arguments, **options, **way)
    assert s.t.tolist() == wanted
    ends = solved(t_span=span, t_eval=[t0, t1], **arguments, **way).y
    assert s.y == pytest.approx(ends[:, [0, 0, 0, 1, 1]], rel=1e-15)


def test_the_end_of_a_span_of_two_spacings_has_its_own_state() -> None:
    t0, t1 = 1e9, 1e9 + 2 * np.spacing(1e9)
    s = solve(Scalar(1e6), lambda t, y: 0 * y, (t0, t1), [1.0], t_eval=[t0, t1])
    assert s.y[0] == pytest.approx([1.0, np.exp(1e6 * (t1 - t0))], rel=1e-12)


def test_many_wanted_times_on_long_grids() -> None:
    """A table of all differences would take terabytes."""
    times = np.linspace(0.0, 1.0, 1_000_001)
    assert lies_on(times[::3], times)
    assert not lies_on(np.append(times[::3], 0.5 * (times[5] + times[6])), times)
    assert lies_on(times[::-3], times[::-1])
    found = wanted_times(times, (0.0, 1.0))
    assert found is not None
    assert len(found) == len(times)


@pytest.mark.parametrize("method", GRIDS)
def test_all_methods_on_grids_can_be_looked_at_between_points(method: str) -> None:
    s = solved(method=GRIDS[method], steps=40, t_eval=[0.0111, 0.5111, 0.9999])
    exact = solve(
        SMALL, exchange, (0.0, 1.0), Y0, method="luan_ostermann5", steps=400, dense_output=True
    ).sol(s.t)
    at_end = np.abs(solved(method=GRIDS[method], steps=40).y[:, -1] - exact[:, -1]).max()
    assert np.abs(s.y - exact).max() <= 20 * at_end + 1e-3


# --- callbacks ----------------------------------------------------------------------------------


@each_way
def test_the_callback_sees_every_step(way: dict[str, Any]) -> None:
    seen: list[tuple[float, Any]] = []
    s = solved(callback=lambda t, y: seen.append((t, y.copy())), **way)
    assert [t for t, _ in seen] == s.t[1:].tolist()
    assert all(type(t) is float for t, _ in seen)
    assert np.array_equal(np.stack([y for _, y in seen], axis=-1), s.y[:, 1:])


@each_way
def test_a_callback_may_end_the_run_but_not_spoil_it(way: dict[str, Any]) -> None:
    def stop(t: float, y: Any) -> None:
        raise KeyboardInterrupt

    def spoil(t: float, y: Any) -> None:
        y[:] = 0.0

    with pytest.raises(KeyboardInterrupt):
        solved(callback=stop, **way)
    with pytest.raises(ValueError, match="read-only"):
        solved(callback=spoil, **way)


@each_way
def test_progress_goes_to_terminals_only(
    way: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    s = solved(progress=True, **way)
    assert np.array_equal(s.y, solved(**way).y)
    assert capsys.readouterr().out == ""


@each_way
def test_the_solution_shares_no_memory_with_the_run(way: dict[str, Any]) -> None:
    y0 = Y0.copy()
    s: Solution = solved(y0=y0, dense_output=True, t_eval=[0.0, 1.0], **way)
    before = s.sol(1.0).copy()
    s.y[:] = 0.0
    assert np.array_equal(y0, Y0)
    assert np.array_equal(s.sol(1.0), before)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_what_is_looked_at_does_not_change_the_steps(method: str) -> None:
    plain = solved(steps=None, method=method)
    for options in (
        {"dense_output": True},
        {"t_eval": [0.3, 0.9]},
        {"events": lambda t, y: y[0] - 0.7},
        {"callback": lambda t, y: None},
    ):
        s = solved(steps=None, method=method, **options)
        assert s.stats["steps"] == plain.stats["steps"]
        if "t_eval" not in options:
            assert np.array_equal(s.t, plain.t)
            assert np.array_equal(s.y, plain.y)
