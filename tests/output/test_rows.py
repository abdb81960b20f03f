"""Coefficients between grid points: equal steps share them, and no bit of a solution changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runs import exchange
from semilinear import Dense, Diagonal, Propagator, Scalar, Solution, solve
from semilinear.kernels import backend_for
from semilinear.output import recording, rows

RATES = -np.linspace(1.0, 9.0, 5)
LINEAR = {
    "scalar": Scalar(-3.0),
    "L(t)": Scalar(lambda t: -3.0 - t),
    "diagonal": Diagonal(RATES, weight=0.5),
    "dense": Dense(np.diag(RATES) + 0.1),
}


class Counting(Diagonal):
    """A diagonal operator that counts how often its flow is asked for."""

    asked = 0

    def flow(self, a: Any, b: Any) -> Any:
        self.asked += 1
        return super().flow(a, b)


def watched(linear: Propagator, **options: Any) -> Solution:
    return solve(
        linear, exchange, (0.0, 1.0), np.ones(5), dense_output=True,
        events=lambda t, y: t + 1e-3 * y[0] - 0.37, **options,
    )  # fmt: skip


def test_equal_steps_are_looked_at_with_the_same_coefficients() -> None:
    """Three looks inside of a step, and the gap at its end; the first steps have fewer nodes."""
    asked = []
    for steps in (32, 128):  # no grid point is rounded
        linear = Counting(RATES)
        solve(
            linear, exchange, (0.0, 1.0), np.ones(5), method="etdab4", steps=steps,
            events=lambda t, y: 1.0,
        )  # fmt: skip
        asked.append(linear.asked)
    assert asked[0] == asked[1] < 80


@pytest.mark.parametrize("linear", LINEAR.values(), ids=LINEAR)
@pytest.mark.parametrize(
    "way",
    [
        {"steps": 30},
        {"steps": 32, "method": "etdab4"},
        {"grid": np.linspace(0.0, 1.0, 21) ** 2},
        {"rtol": 1e-5},
    ],
    ids=["rounded", "exact", "uneven", "adaptive"],
)
def test_they_change_no_bit(
    linear: Propagator, way: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = np.linspace(0.0, 1.0, 53)
    kept = watched(linear, **way)
    inside = kept.sol(times)
    monkeypatch.setattr(recording, "Rows", lambda: None)
    anew = watched(linear, **way)
    assert len(anew.t_events[0])
    assert np.array_equal(kept.t_events[0], anew.t_events[0])
    assert np.array_equal(kept.y_events[0], anew.y_events[0])
    assert np.array_equal(inside, anew.sol(times))


def test_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BUDGET", 10 * rows.ENTRY)
    s = watched(LINEAR["diagonal"], grid=np.linspace(0.0, 1.0, 41) ** 2)
    s.sol(np.linspace(0.0, 1.0, 99))
    kept = s.sol._pieces[-1].rows._cache._kept
    assert rows.LEAST <= len(kept) <= 10


def test_a_row_takes_the_bytes_of_its_coefficients() -> None:
    backend = backend_for(np.ones(1000))
    row = [np.ones(1000), np.full(1000, 2.0), 0.5]
    assert rows.prepared_row(backend, "elementwise", row).nbytes == rows.ENTRY + 16000
    assert rows.prepared_row(backend, "scalar", [np.ones(1), 0.5]).nbytes == rows.ENTRY
