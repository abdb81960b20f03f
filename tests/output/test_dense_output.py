"""The continuous solution: its order, where it is exact, and what it refuses."""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import semilinear as sl
from runs import LINEAR, METHODS, Y0, exchange, initial, solved
from semilinear import Dense, Diagonal, Scalar, Solution, methods, problems, solve
from semilinear.methods import Multistep, Tableau
from semilinear.output import dense_output
from tolerances import assert_close, to_numpy

INSIDE = np.array([0.15, 0.5, 0.85])
"""Where in a step the solution is looked at."""

FIXED = {n: m for n, m in METHODS.items() if isinstance(m, Tableau | Multistep) and m.order > 1}
ADAPTIVE = [n for n, i in methods.names().items() if i.embedded_order and n != "krogstad4"]


def inner_times(t: np.ndarray) -> np.ndarray:
    """Return some points inside of every step."""
    return (t[:-1, None] + INSIDE * np.diff(t)[:, None]).ravel()


# --- order --------------------------------------------------------------------------------------


def inner_error(problem: problems.Problem, *, first: bool, **options: Any) -> float:
    p = problem
    s = solve(p.linear, p.nonlinear, p.t_span, p.y0, dense_output=True, **options)
    times = inner_times(s.t)
    times = times[: len(INSIDE)] if first else times
    exact = np.stack([p.exact(t) for t in times], axis=-1)
    return float(np.abs(s.sol(times) - exact).max())


@pytest.mark.parametrize("problem", ["coupled", "complex_diagonal", "time_dependent", "dense"])
@pytest.mark.parametrize(
    "name", ["etd2rk", "lawson32", "etd3rk", "krogstad4", "hochbruck_ostermann4", "lawson54",
             "luan_ostermann5", "etdab4", "etdpec3", "etdpece4"],
)  # fmt: skip
def test_the_order_inside_of_steps_is_that_of_the_method(name: str, problem: str) -> None:
    p, order = problems.get(problem), methods.get(name).order
    counts = (32, 64) if order < 5 else (16, 32)
    errors = [inner_error(p, first=False, method=name, steps=n, start="rk") for n in counts]
    assert np.log2(errors[0] / errors[1]) > order - 0.35
    # The first steps, where there is no past yet: the local error is of one order more.
    errors = [inner_error(p, first=True, method=name, steps=n, start="rk") for n in counts]
    assert np.log2(errors[0] / errors[1]) > order + 0.3


def test_on_a_stiff_problem() -> None:
    """The linear part is followed exactly: no interpolation of the state itself can do this."""
    p = problems.hochbruck_ostermann(points=31)
    errors = [inner_error(p, first=False, method="hochbruck_ostermann4", steps=n) for n in (8, 16)]
    assert errors[1] < 1e-6
    assert np.log2(errors[0] / errors[1]) > 3.0
    fast = solve(Scalar(-1e4), lambda t, y: 0 * y, (0.0, 1.0), [1.0], steps=2, dense_output=True)
    times = np.array([1e-5, 1e-4, 1e-3])
    assert_close(fast.sol(times)[0], np.exp(-1e4 * times), operations=40)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_tolerance_holds_inside_of_steps(name: str) -> None:
    low = methods.info(name).embedded_order == 2
    for p in map(problems.get, ("coupled", "complex_diagonal", "time_dependent", "dense")):
        for rtol in (1e-4, 1e-6 if low else 1e-7):
            s = solve(
                p.linear, p.nonlinear, p.t_span, p.y0, method=name, rtol=rtol, dense_output=True,
                atol=1e-3 * rtol,
            )  # fmt: skip
            times = inner_times(s.t)
            exact = np.stack([p.exact(t) for t in times], axis=-1)
            assert np.abs(s.sol(times) - exact).max() <= 2 * rtol * np.abs(exact).max()


def pulse(t: float, y: Any) -> Any:
    return 50 * np.exp(-((20 * (t - 5)) ** 2)) + 0.1 * y[::-1]


def jump(t: float, y: Any) -> Any:
    return np.cos(y[::-1]) + (5.0 if t > 5.0 else 0.0)


@pytest.mark.parametrize("nonlinear", [pulse, jump])
@pytest.mark.parametrize("name", ADAPTIVE)
def test_steps_of_very_unlike_length(name: str, nonlinear: Any) -> None:
    """Where N changes suddenly, far grid points say nothing of what it does inside of a step."""
    rates, y0 = np.array([-1.0, -3.0]), np.array([1.0, 0.5])
    spans = [(0.0, 5.0), (np.nextafter(5.0, 6.0), 10.0)]
    references, y = [], y0
    for span in spans:
        found = solve_ivp(
            lambda t, y: rates * y + nonlinear(t, y), span, y, "DOP853", rtol=1e-12, atol=1e-13,
            dense_output=True, max_step=0.1,
        )  # fmt: skip
        references.append(found.sol)
        y = found.y[:, -1]
    s = solve(
        Diagonal(rates), nonlinear, (0.0, 10.0), y0, method=name, rtol=1e-5, atol=1e-5,
        dense_output=True,
    )  # fmt: skip
    times = inner_times(s.t)
    exact, at_grid = (
        np.stack([references[int(t > 5.0)](t) for t in ts], axis=-1) for ts in (times, s.t)
    )
    inside = np.abs(s.sol(times) - exact).max()
    assert inside <= 3 * np.abs(s.y - at_grid).max() + 1e-5


# --- exactness ----------------------------------------------------------------------------------


@pytest.mark.parametrize("linear", LINEAR.values(), ids=LINEAR)
def test_a_polynomial_n_is_followed_exactly(linear: sl.Propagator) -> None:
    """N of degree p - 1 in t: what a method of order p leaves at grid points is joined."""
    y0 = initial(linear)
    forcing = y0[::-1].copy()

    def cubic(t: float, y: Any) -> Any:
        return (1 - 2 * t + 3 * t**2 - t**3) * forcing

    coarse, fine = (
        solve(
            linear, cubic, (0.0, 1.0), y0, method="hochbruck_ostermann4", steps=n, dense_output=True
        )
        for n in (400, 1)
    )
    # Four nodes are enough for a cubic: one step's inside follows the shape of N; its end, where
    # the method's own error is, bends it by a fraction of that error.
    end_error = np.abs(fine.y[:, -1] - coarse.y[:, -1]).max()
    times = np.linspace(0.0, 1.0, 7)
    difference = np.abs(fine.sol(times) - coarse.sol(times)).max()
    assert difference <= end_error + 1e-9


def test_it_meets_the_states_and_is_continuous() -> None:
    for options in ({"steps": 7}, {"rtol": 1e-5, "steps": None}):
        s = solved(method="zoto_bowman43", dense_output=True, **options)
        assert np.array_equal(s.sol(s.t), s.y)
        for t, y in zip(s.t[1:-1], s.y.T[1:-1], strict=True):
            for near in (np.nextafter(t, 0.0), np.nextafter(t, 1.0)):
                assert_close(s.sol(near), y, operations=1e4)


def test_a_step_of_a_few_spacings_of_time_can_be_looked_into() -> None:
    """No points of time fit inside, at which N could be asked."""
    t0 = 1e9
    t1 = t0 + 3 * np.spacing(t0)
    s, plain = (
        solve(
            Scalar(-1e5), lambda t, y: np.cos(y), (t0, t1), [1.0], steps=1, method="etd4rk",
            dense_output=dense,
        )
        for dense in (True, False)
    )  # fmt: skip
    assert s.nfev == plain.nfev + 1  # at the end
    t = np.nextafter(t0, t1)
    assert s.sol(t) == pytest.approx([np.exp(-1e5 * (t - t0))], rel=1e-6)


def test_backwards() -> None:
    p = problems.dense()
    y1 = p.exact(1.0)
    for options in ({"rtol": 1e-8, "atol": 1e-8}, {"steps": 100}):
        s = solve(p.linear, p.nonlinear, (1.0, 0.0), y1, dense_output=True, **options)
        assert (s.sol.t_min, s.sol.t_max) == (0.0, 1.0)
        for t in (0.0, 0.123, 0.77, 1.0):
            assert np.abs(s.sol(t) - p.exact(t)).max() < 1e-7


# --- shapes, kinds, refusals --------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (2,), (3, 2)], ids=str)
def test_shapes(shape: tuple[int, ...]) -> None:
    y0 = np.ones(shape)
    s = solve(Scalar(-1.0), lambda t, y: t * y, (0.0, 1.0), y0, steps=4, dense_output=True)
    assert s.sol(0.3).shape == shape
    assert s.sol([0.3, 0.2, 0.9]).shape == (*shape, 3)
    assert s.sol(np.array([])).shape == (*shape, 0)
    assert s.sol(np.float32(0.5)).dtype == np.float64
    assert np.array_equal(s.sol([0.3, 0.9])[..., 1], s.sol(0.9))
    assert "t: 0 .. 1, 4 steps" in repr(s.sol)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
@pytest.mark.parametrize("linear", [Scalar(-1.0), Diagonal([-1.0, -2.0]), Dense(-np.eye(2))])
def test_the_dtype_is_kept(linear: sl.Propagator, dtype: type) -> None:
    y0 = np.array([1, 0.5], dtype)
    for options in ({"steps": 3}, {}):
        s = solve(
            linear, lambda t, y: -y * y, (0.0, 1.0), y0, dense_output=True, t_eval=[0.4], **options
        )
        assert s.sol(0.3).dtype == s.sol([0.1, 0.3]).dtype == s.y.dtype == dtype


def test_every_array_library(xp: ModuleType) -> None:
    def run(y0: Any) -> Solution:
        return solve(
            Diagonal([-1.0, -20.0]), lambda t, y: y * y * t, (0, 1), y0, steps=6, dense_output=True,
            t_eval=[0.33, 0.5],
        )  # fmt: skip

    mine, numpy = run(xp.asarray(Y0)), run(Y0)
    assert type(mine.sol(0.3)) is type(mine.sol([0.1, 0.2])) is type(xp.asarray(Y0))
    assert_close(to_numpy(mine.sol([0.1, 0.77])), numpy.sol([0.1, 0.77]), operations=30)
    assert_close(to_numpy(mine.y), numpy.y, operations=30)


def test_what_it_returns_belongs_to_the_caller() -> None:
    s = solved(steps=4, dense_output=True)
    times = [*s.t, 0.1]
    before = s.sol(times)
    for t in times:
        s.sol(t)[...] *= 100
    assert np.array_equal(s.sol(times), before)


def test_tensors_of_the_caller_and_of_the_solution_are_not_shared() -> None:
    torch = pytest.importorskip("torch")
    for options in ({"steps": 4}, {}):
        y0 = torch.tensor([1.0, 2.0], dtype=torch.float64)
        s = solve(Scalar(-1.0), lambda t, y: torch.cos(y), (0, 1), y0, dense_output=True, **options)
        before = s.sol(np.linspace(0, 1, 9))
        y0.zero_()
        s.sol(0.0).zero_()
        s.sol(1.0).zero_()
        assert torch.equal(s.sol(np.linspace(0, 1, 9)), before)


@pytest.mark.parametrize("wrong", [-1e-9, 1.1, np.nan, np.inf, [0.5, 2.0]])
def test_times_outside_are_refused(wrong: Any) -> None:
    s = solved(dense_output=True)
    with pytest.raises(sl.InvalidArgument, match=r"^t must lie in \[0, 1\]"):
        s.sol(wrong)


@pytest.mark.parametrize("wrong", ["a", ["a"], 1j, [[0.1], [0.2, 0.3]]])
def test_what_are_no_times_is_refused(wrong: Any) -> None:
    s = solved(dense_output=True)
    with pytest.raises(sl.InvalidArgument, match=r"^t must be a sequence of real numbers"):
        s.sol(wrong)


def test_a_table_of_times_is_refused() -> None:
    with pytest.raises(sl.InvalidArgument, match=r"^t has 2 dimensions"):
        solved(dense_output=True).sol([[0.1, 0.2]])


def test_it_is_there_only_if_it_is_asked_for() -> None:
    assert solved().sol is None
    assert solved(t_eval=[0.3]).sol is None


# --- what it costs ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIXED)
def test_evaluations_are_counted_and_lie_in_the_interval(name: str) -> None:
    calls: list[float] = []

    def counted(t: float, y: Any) -> Any:
        calls.append(t)
        return exchange(t, y)

    s = solved(nonlinear=counted, method=FIXED[name], steps=20, dense_output=True)
    plain = solved(method=FIXED[name], steps=20)
    assert s.nfev == len(calls)
    assert 0.0 <= min(calls) <= max(calls) <= 1.0
    assert np.array_equal(s.y, plain.y)
    # Grid points give N for nothing; the first steps need points inside of them, the last its end.
    order = FIXED[name].order
    assert plain.nfev <= s.nfev <= plain.nfev + 1 + order**3
    before = len(calls)
    s.sol(np.linspace(0, 1, 50))
    assert len(calls) == before


# --- would these tests notice? ------------------------------------------------------------------


def test_a_node_that_is_left_out_costs_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    p = problems.coupled()
    honest = dense_output.interpolant

    def poorer(linear: Any, nodes: Any, count: int, *rest: Any) -> Any:
        return honest(linear, nodes, count - 2, *rest)

    monkeypatch.setattr("semilinear.output.recording.interpolant", poorer)
    errors = [inner_error(p, first=False, method="krogstad4", steps=n) for n in (32, 64)]
    assert np.log2(errors[0] / errors[1]) < 3.5


def test_the_values_of_n_are_those_of_the_grid_points() -> None:
    """At both ends of every step; but PECE does not ask again at the very end."""
    for name in ("etdpece3", "luan4", "etdab4"):
        s = solved(method=name, steps=8, dense_output=True)
        pieces = s.sol._pieces
        for piece, (a, b) in zip(pieces, pairwise(s.t), strict=True):
            assert (piece.start.t, piece.end.t) == (a, b)
            if name != "etdpece3" or piece is not pieces[-1]:
                assert_close(piece.end.n, exchange(b, s.sol(b)), operations=4)


def test_where_l_depends_on_time_an_end_is_checked_with_the_l_of_its_step() -> None:
    gaps: list[Any] = []
    check = dense_output.EndCheck(lambda backend, gap, y, other: gaps.append(gap) or 0.0)
    linear = Scalar(lambda t: -t)
    for a in (0.0, 1.0, 1.0):
        start, end = (dense_output.Node(t, Y0, 0.5 * Y0) for t in (a, a + 0.25))
        made = dense_output.Interpolant(linear, start, end, (end, start))
        assert not check(made)
        assert_close(gaps[-1], made.gap, operations=20, scale=1.0)
