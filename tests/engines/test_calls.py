"""N in Python, called back from the compiled loops: what it raises, returns, and writes to."""

from __future__ import annotations

import signal
import time
from typing import Any

import numba
import numpy as np
import pytest

from semilinear import Diagonal, InvalidArgument, ModelOutputError, solve

L, Y0 = Diagonal(-np.ones(100)), np.linspace(0.5, 1.0, 100)


@pytest.mark.parametrize("kind", [{"steps": 10}, {"rtol": 1e-4}, {"rtol": 1e-7}])
def test_what_n_raises_comes_out_as_it_is(kind: dict[str, Any]) -> None:
    def faulty(t: float, y: np.ndarray) -> np.ndarray:
        if t > 0.3:
            raise LookupError("here")
        return -y

    with pytest.raises(LookupError, match="here"):
        solve(L, faulty, (0, 1), Y0, **kind)


def test_another_shape_is_refused() -> None:
    with pytest.raises(ModelOutputError, match=r"returned shape \(99,\)"):
        solve(L, lambda t, y: y[1:], (0, 1), Y0, steps=3)


def test_n_may_write_to_its_argument_and_reuse_its_result() -> None:
    buffer, before = np.empty(100), Y0.copy()

    def greedy(t: float, y: np.ndarray) -> np.ndarray:
        np.sin(y, out=buffer)
        y[:] = np.nan
        return buffer

    s = solve(L, greedy, (0, 1), Y0, steps=20)
    expected = solve(L, lambda t, y: np.sin(y), (0, 1), Y0, steps=20)
    np.testing.assert_array_equal(s.y, expected.y)
    np.testing.assert_array_equal(Y0, before)


def test_solves_within_solves() -> None:
    def inner(t: float, y: np.ndarray) -> np.ndarray:
        return solve(L, lambda s, u: 0 * u, (0, 0.1), y, steps=1).y[:, -1]

    s = solve(L, inner, (0, 1), Y0, steps=5)
    expected = solve(L, lambda t, y: np.exp(-0.1) * y, (0, 1), Y0, steps=5)
    np.testing.assert_allclose(s.y, expected.y, rtol=1e-13)


# Python says so when it drops an exception at the entry of a call back.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers of signals")
def test_an_interrupt_is_never_lost() -> None:
    y0 = np.ones(20000)

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    def run(seconds: float) -> None:
        # In here: on a machine with other work it may end before the next line.
        signal.setitimer(signal.ITIMER_REAL, seconds)
        solve(Diagonal(-y0), lambda t, y: y, (0, 1), y0, steps=4000, t_eval=[1.0])
        time.sleep(1.0)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for attempt in range(8):
            with pytest.raises(KeyboardInterrupt):
                run(0.02 + 0.003 * attempt)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_a_jitted_function_with_arguments_in_either_form() -> None:
    @numba.njit
    def writing(t: float, u: Any, out: Any, a: float) -> None:
        out[:] = a * u

    @numba.njit
    def returning(t: float, u: Any, a: float) -> Any:
        return a * u

    one, other = (solve(L, f, (0, 1), Y0, steps=5, args=(0.5,)) for f in (writing, returning))
    np.testing.assert_allclose(one.y, other.y, rtol=1e-14)


def test_an_absolute_tolerance_beyond_the_digits_of_the_state_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"atol=1e-19.* more digits than the state has"):
        solve(L, lambda t, y: y, (0, 1), Y0, rtol=0.0, atol=1e-19)
