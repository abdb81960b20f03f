"""Events: SciPy's, to its accuracy and better, and what they cut."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from runs import solved
from semilinear import Dense, Diagonal, InvalidArgument, Scalar, Solution, solve
from semilinear.output.events import LOOKS, MOST_LOOKS, TURN, _crosses

EventFunction = Callable[..., float]
ADAPTIVE = ["zoto_bowman43", "etd35", "lawson54", "etdpec", "etdpece"]
EPS = float(np.finfo(float).eps)


def event(function: EventFunction, *, terminal: Any = False, direction: Any = 0.0) -> EventFunction:
    """Return an event of its own with SciPy's attributes."""

    def own(t: float, y: Any, *args: Any) -> float:
        return function(t, y, *args)

    own.terminal, own.direction = terminal, direction  # type: ignore[attr-defined]
    return own


def oscillator(t: float, y: Any) -> Any:
    """x'' = -x - x^3 / 10 with the linear part in L: N is the cube alone."""
    return np.array([0.0, -0.1 * y[0] ** 3])


ROTATION = np.array([[0.0, 1.0], [-1.0, 0.0]])


def swing(**options: Any) -> Solution:
    arguments: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-8} | options
    return solve(Dense(ROTATION), oscillator, (0.0, 10.0), [1.0, 0.0], **arguments)


def swing_of_scipy(events: Any) -> Any:
    return solve_ivp(
        lambda t, y: ROTATION @ y + oscillator(t, y), (0.0, 10.0), [1.0, 0.0], "DOP853",
        rtol=1e-12, atol=1e-13, events=events, max_step=0.05,
    )  # fmt: skip


# --- where and when -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ADAPTIVE)
def test_the_zeros_are_those_of_scipy(method: str) -> None:
    events = [
        event(lambda t, y: y[0]),
        event(lambda t, y: y[0], direction=1),
        event(lambda t, y: y[0], direction=-1),
        event(lambda t, y: y[1] - 0.3),
        event(lambda t, y: t - 4.321),
        event(lambda t, y: y[0] + 10.0),
    ]
    mine = swing(events=events, method=method, rtol=1e-8, atol=1e-10)
    theirs = swing_of_scipy(events)
    assert [len(t) for t in mine.t_events] == [len(t) for t in theirs.t_events]
    assert [len(t) for t in mine.t_events[:3]] == [3, 1, 2]
    for number in range(6):
        assert np.abs(mine.t_events[number] - theirs.t_events[number]).max(initial=0) <= 3e-7
        found = mine.y_events[number]
        assert found.shape == (len(mine.t_events[number]), 2)
        assert np.abs(found - np.reshape(theirs.y_events[number], (-1, 2))).max(initial=0) <= 3e-7
    assert mine.status == 0
    assert mine.t[-1] == 10.0


def test_on_a_fixed_grid_and_backwards() -> None:
    crossing = event(lambda t, y: y[0] - 0.5)
    for span, y0 in (((0.0, 3.0), 2.0), ((3.0, 0.0), 2.0 * np.exp(-3.0))):
        for options in ({"steps": 7}, {"rtol": 1e-10, "atol": 1e-12}):
            s = solve(Scalar(-1.0), lambda t, y: 0 * y, span, [y0], events=crossing, **options)
            assert s.t_events[0] == pytest.approx([np.log(4.0)], rel=1e-12)
            assert s.y_events[0] == pytest.approx(np.array([[0.5]]), rel=1e-12)


def test_the_direction_is_that_of_integration() -> None:
    """Backwards in time the solution grows from 0.1 to 2: g rises along the way."""
    for direction, count in ((1, 1), (-1, 0), (0, 1)):
        s = solve(
            Scalar(-1.0), lambda t, y: 0 * y, (3.0, 0.0), [2.0 * np.exp(-3.0)], steps=5,
            events=event(lambda t, y: y[0] - 0.5, direction=direction),
        )  # fmt: skip
        assert len(s.t_events[0]) == count


@given(st.floats(-2.0, 2.0), st.floats(-2.0, 2.0), st.sampled_from([-1.0, 0.0, 1.0]))
def test_what_a_crossing_is(g: float, f: float, direction: float) -> None:
    expected = g != 0 and (g < 0 <= f or g > 0 >= f) and direction * (f - g) >= 0
    assert _crosses(g, f, direction) == expected


# --- zeros at grid points -----------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"steps": 4}, {"max_step": 0.125, "first_step": 0.125}])
def test_a_zero_at_a_grid_point_counts_once(options: dict[str, Any]) -> None:
    for zero, count in ((0.5, 1), (0.0, 0), (1.0, 1)):
        s = solve(
            Scalar(0.0), lambda t, y: 0 * y, (0.0, 1.0), [1.0],
            events=lambda t, y, zero=zero: t - zero, **options,
        )  # fmt: skip
        assert len(s.t) > 4
        assert s.t_events[0].tolist() == [zero] * count


def test_a_touch_counts_where_it_is_seen() -> None:
    """g = -(t - 1/2)^2 touches zero at a grid point: rising there, not falling."""
    for direction, count in ((0, 1), (1, 1), (-1, 0)):
        g = event(lambda t, y: -((t - 0.5) ** 2), direction=direction)
        s = solve(Scalar(0.0), lambda t, y: 0 * y, (0.0, 1.0), [1.0], steps=4, events=g)
        assert len(s.t_events[0]) == count


def test_steps_longer_than_the_oscillation() -> None:
    """Linear parts are followed exactly, in steps of any length: events are looked for inside."""

    def real_part(t: float, y: Any) -> float:
        return float(y[0].real)

    s = solve(Diagonal([1j]), lambda t, y: 0 * y, (0.0, 6.0), [1.0 + 0j], steps=1, events=real_part)
    assert s.t_events[0] == pytest.approx([np.pi / 2, 1.5 * np.pi], rel=1e-13)
    assert s.stats["steps"] == 1
    # max_step is the remedy where the looks are used up.
    rate = 4 * MOST_LOOKS
    for options, all_found in (({}, False), ({"max_step": 0.25}, True)):
        s = solve(
            Diagonal([1j * rate]), lambda t, y: 0 * y, (0.0, 1.0), [1.0 + 0j], events=real_part,
            **options,
        )  # fmt: skip
        assert (len(s.t_events[0]) == round(rate / np.pi)) == all_found


TURNING: dict[str, tuple[Any, list[complex]]] = {
    "matrix": (Dense(ROTATION), [1.0, 0.0]),
    "Diagonal": (Diagonal([1j, -1.0]), [1.0 + 0j, 0.0]),
    "number": (Scalar(1j), [1.0 + 0j]),
    "L(t)": (Scalar(lambda t: 1j + 0 * t), [1.0 + 0j]),
}


@pytest.mark.parametrize(("linear", "y0"), TURNING.values(), ids=TURNING)
def test_one_step_over_many_oscillations(linear: Any, y0: Any) -> None:
    for options in ({"steps": 1}, {}):
        for terminal, count in ((False, 32), (5, 5)):
            g = event(lambda t, y: y[0].real, terminal=terminal)
            s = solve(linear, lambda t, y: 0 * y, (0.0, 100.0), y0, events=g, **options)
            assert s.stats["steps"] == 1
            assert s.t_events[0] == pytest.approx(np.pi * (0.5 + np.arange(count)), rel=1e-10)


def test_entries_that_are_nothing_are_not_looked_for() -> None:
    """A spectrum has fast modes that hold rounding errors only: they cost no looks."""
    counts = []
    for small in (0.0, 1e-3):
        looks: list[float] = []
        solve(
            Diagonal([1j, 1000j]), lambda t, y: 0 * y, (0.0, 0.1), [1.0 + 0j, small], steps=1,
            events=lambda t, y, looks=looks: looks.append(t) or 1.0,
        )  # fmt: skip
        counts.append(len(looks) - 1)
    assert counts[0] == LOOKS
    assert counts[1] == np.ceil(100 / TURN)


def test_entries_that_die_out_within_a_step_are_looked_for() -> None:
    """Nothing of them is left at its end; they cross zero as often as if there were."""
    s = solve(
        Diagonal([-60 + 300j, 0.0]), lambda t, y: 0 * y, (0.0, 1.0), [1.0 + 0j, 1.0], steps=1,
        events=lambda t, y: y[0].real,
    )  # fmt: skip
    assert s.t_events[0] == pytest.approx(np.pi * (0.5 + np.arange(95)) / 300, rel=1e-10)


# --- terminal -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"rtol": None, "atol": None, "steps": 40}])
def test_a_terminal_event_cuts_everything(options: dict[str, Any]) -> None:
    stop = event(lambda t, y: y[0], terminal=True)
    other = event(lambda t, y: y[0] - 0.5)
    seen: list[float] = []
    s = swing(
        events=[other, stop], dense_output=True, callback=lambda t, y: seen.append(t), **options
    )
    whole = swing(events=other)
    end = s.t_events[1][0]
    assert (s.status, s.success) == (1, True)
    assert s.message == "A termination event occurred."
    assert len(s.t_events[1]) == 1
    assert s.t_events[0] == pytest.approx(whole.t_events[0][:1], abs=1e-5)
    assert s.t[-1] == s.sol.t_max == seen[-1] == end
    assert abs(s.y[0, -1]) < 1e-14
    assert np.array_equal(s.y[:, -1], s.y_events[1][0])
    assert (np.diff(s.t) > 0).all()
    with pytest.raises(InvalidArgument, match="where the solution is known"):
        s.sol(end + 1e-6)
    picked = swing(events=stop, t_eval=[0.0, 0.5, 1.0, 5.0, 10.0], **options)
    assert picked.t.tolist() == [0.0, 0.5, 1.0]
    assert picked.t_events[0] == pytest.approx([end])


def test_a_number_of_zeros() -> None:
    for count in (1, 2, 3, 4):
        s = swing(events=event(lambda t, y: y[0], terminal=count))
        assert len(s.t_events[0]) == min(count, 3)
        assert s.status == (count <= 3)
        assert s.t[-1] == (s.t_events[0][-1] if count <= 3 else 10.0)


@pytest.mark.parametrize("one", [True, 1, 1.0, np.True_, np.int64(1), np.array(1), np.array(True)])
def test_a_terminal_event_is_marked_by_any_type(one: Any) -> None:
    s = swing(events=event(lambda t, y: y[0], terminal=one))
    assert s.t[-1] == s.t_events[0][0]


@pytest.mark.parametrize("kind", [int, np.int64, np.float32, np.array])
def test_a_direction_is_of_any_type(kind: Callable[[float], Any]) -> None:
    rising, falling = (
        swing(events=event(lambda t, y: y[0], direction=kind(sign))).t_events[0].tolist()
        for sign in (1.0, -1.0)
    )
    both = swing(events=lambda t, y: y[0]).t_events[0].tolist()
    assert (falling, rising) == (both[::2], both[1::2])


@pytest.mark.parametrize("nothing", [None, False, 0, np.False_, np.int64(0), np.array(False)])
def test_what_is_never_terminal(nothing: Any) -> None:
    s = swing(events=event(lambda t, y: y[0], terminal=nothing))
    assert s.status == 0
    assert len(s.t_events[0]) == 3


@pytest.mark.parametrize("span", [(0.0, 1.0), (1.0, 0.0)], ids=["forwards", "backwards"])
def test_several_in_one_step_are_in_order(span: tuple[float, float]) -> None:
    """One long step: zeros after the one that ends the run did not happen."""
    t0, t1 = span
    way = {"late": 0.875, "stop": 0.625, "early": 0.25, "near": 0.6171875}
    late, stop, early, near = (t0 + (t1 - t0) * part for part in way.values())
    events = [event(lambda t, y, z=z: t - z, terminal=z == stop) for z in (late, stop, early, near)]
    s = solve(Scalar(-1.0), lambda t, y: 0 * y, span, [1.0], steps=1, events=events)
    assert [t.tolist() for t in s.t_events] == [[], [stop], [early], [near]]
    assert s.t.tolist() == [t0, stop]
    assert s.y[0, -1] == pytest.approx(np.exp(t0 - stop), rel=1e-14)
    assert s.y_events[0].shape == (0, 1)


def test_zeros_that_come_together() -> None:
    events = [event(lambda t, y: t - 0.5), event(lambda t, y: 2 * t - 1.0, terminal=True)]
    s = solve(Scalar(-1.0), lambda t, y: 0 * y, (0.0, 1.0), [1.0], steps=3, events=events)
    assert [t.tolist() for t in s.t_events] == [[0.5], [0.5]]


# --- the rest -----------------------------------------------------------------------------------


def test_arguments_are_passed_and_states_have_their_shape() -> None:
    s = solve(
        Scalar(-1.0), lambda t, y, level, name: 0 * y, (0.0, 2.0), np.ones((2, 3)), steps=4,
        args=(0.5, "x"), events=lambda t, y, level, name: y[1, 2] - level,
    )  # fmt: skip
    assert s.t_events[0] == pytest.approx([np.log(2.0)])
    assert s.y_events[0].shape == (1, 2, 3)


def test_events_do_not_change_the_steps() -> None:
    for options in ({"steps": 40, "rtol": None, "atol": None}, {}):
        plain, watched = swing(**options), swing(events=lambda t, y: y[0], **options)
        assert np.array_equal(plain.t, watched.t)
        assert np.array_equal(plain.y, watched.y)
        assert plain.t_events is None
        assert plain.y_events is None


def test_an_event_cannot_change_the_solution() -> None:
    def shrinking(t: float, y: Any) -> float:
        y *= 0.5
        return 1.0

    for options in ({"steps": 8}, {"rtol": 1e-6}):
        with pytest.raises(ValueError, match="read-only"):
            solve(Scalar(-1.0), lambda t, y: 0 * y, (0.0, 1.0), [1.0], events=shrinking, **options)


def test_the_dtype_is_kept() -> None:
    y0 = np.array([1.0, 0.5], np.float32)
    s = solved(y0=y0, nonlinear=lambda t, y: -y, events=lambda t, y: y[0] - 0.5)
    assert s.y_events[0].dtype == np.float32
    assert s.t_events[0].dtype == np.float64
    assert len(s.t_events[0]) == 1


WRONG: dict[str, tuple[Any, str]] = {
    "number": (5, r"^events=5 must be a function"),
    "no function in a list": ([np.cos, 3], r"^events\[1\]=3 must be a function"),
    "terminal text": (event(lambda t, y: y[0], terminal="yes"), r"^events\[0\]\.terminal='yes'"),
    "terminal half": (event(lambda t, y: y[0], terminal=1.5), r"^events\[0\]\.terminal=1\.5"),
    "terminal less than 0": (event(lambda t, y: y[0], terminal=-1), r"^events\[0\]\.terminal=-1"),
    "terminal NaN": (event(lambda t, y: y[0], terminal=np.nan), r"^events\[0\]\.terminal=nan"),
    "terminal infinite": (event(lambda t, y: y[0], terminal=np.inf), r"^events\[0\]\.terminal=inf"),
    "terminal list": (event(lambda t, y: y[0], terminal=[1]), r"^events\[0\]\.terminal=\[1\]"),
    "direction text": (event(lambda t, y: y[0], direction="up"), r"^events\[0\]\.direction='up'"),
    "direction NaN": (event(lambda t, y: y[0], direction=np.nan), r"^events\[0\]\.direction=nan"),
    "an array": ([lambda t, y: t, lambda t, y: y], r"^events\[1\] returned array.* one real num"),
    "complex": (lambda t, y: y[0] + 0j, r"^events\[0\] returned .*must return one real number"),
    "a complex array": (lambda t, y: np.array([1j]), r"^events\[0\] returned .*one real number"),
    "text": (lambda t, y: "1", r"^events\[0\] returned '1' at t = 0; it must return one real"),
    "no entry": (lambda t, y: np.zeros(0), r"^events\[0\] returned array.* or an array that holds"),
    "a list": (lambda t, y: [t], r"^events\[0\] returned \[0\.0\] at t = 0; it must return one"),
    "nothing": (lambda t, y: None, r"^events\[0\] returned None at t = 0; it must return one real"),
    "NaN": (lambda t, y: np.nan, r"^events\[0\] is nan at t = 0; it must be finite"),
}


@pytest.mark.parametrize(("events", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_event_is_named(events: Any, message: str) -> None:
    for options in ({"steps": 4}, {"steps": None}):
        with pytest.raises(InvalidArgument, match=message):
            solved(events=events, method="zoto_bowman43", **options)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)], ids=str)
def test_an_array_of_one_entry_is_a_number(shape: tuple[int, ...], xp: ModuleType) -> None:
    def level(t: float, y: Any) -> Any:
        return xp.reshape(y[:1] - 0.5, shape)

    y0 = xp.asarray([1.0, 2.0], dtype=xp.float64)
    s = solve(Scalar(-1.0), lambda t, y: 0 * y, (0.0, 2.0), y0, steps=4, events=level)
    assert s.t_events[0] == pytest.approx([np.log(2.0)])


def test_an_exception_of_an_event_is_passed_on() -> None:
    def broken(t: float, y: Any) -> float:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        solved(events=broken)


@pytest.mark.parametrize("unit", [1e-18, 1e-9, 1e6, 1e18])
def test_the_unit_of_time_does_not_matter(unit: float) -> None:
    s = solve(
        Scalar(-1 / unit), lambda t, y: 0 * y, (0, 2 * unit), [1.0], events=lambda t, y: y[0] - 0.5
    )
    assert s.t_events is not None
    np.testing.assert_allclose(s.t_events[0], [unit * np.log(2)], rtol=1e-14)


@pytest.mark.parametrize("options", [{"rtol": 1e-8, "atol": 1e-10}, {"rtol": 1e-3}, {"steps": 10}])
@pytest.mark.parametrize("rate", [0.31, 1.0, 7.7, 1e5])
def test_a_run_begins_where_a_terminal_event_ended_the_last(
    rate: float, options: dict[str, Any]
) -> None:
    """Its end is within rounding of the zero, on either side."""
    level = event(lambda t, y: y[0], terminal=True)
    linear, t, y = Dense([[0.0, rate], [-rate, 0.0]]), 0.0, np.array([1.0, 0.0])
    found = []
    for _ in range(12):
        s = solve(linear, lambda t, y: 0 * y, (t, t + 4 / rate), y, events=level, **options)
        assert s.status == 1
        t, y = s.t_last, s.y_last
        found.append(t)
    np.testing.assert_allclose(found, np.pi * (np.arange(12) + 0.5) / rate, rtol=1e-6)


def test_a_zero_shortly_after_the_beginning_is_found() -> None:
    s = solve(Scalar(0.0), lambda t, y: 1 + 0 * y, (0, 1), [-1e-10], events=lambda t, y: y[0])
    assert s.t_events is not None
    np.testing.assert_allclose(s.t_events[0], [1e-10], rtol=1e-5)
