"""Interpolants are made when they are looked at: kept, copied and shared all the same."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from runs import exchange
from semilinear import Diagonal, Solution, solve
from semilinear.output import dense_output


def test_it_can_be_kept_with_every_array_library(xp: ModuleType) -> None:
    y0 = xp.asarray([1.0, 0.5], dtype=xp.float64)
    s = solve(Diagonal([-1.0, -9.0]), lambda t, y: -y * y, (0.0, 1.0), y0, dense_output=True)
    expected = s.sol(0.3)
    for kept in (pickle.loads(pickle.dumps(s)), copy.deepcopy(s)):
        assert type(kept.sol(0.3)) is type(y0)
        assert bool(xp.all(kept.sol(0.3) == expected))


@pytest.mark.parametrize("size", [2, 100])
@pytest.mark.parametrize("way", [{"steps": 10}, {"rtol": 1e-5}, {"method": "etdpec"}], ids=str)
def test_it_can_be_kept_and_shared(way: dict[str, Any], size: int) -> None:
    """Whoever evaluates it first, and how often."""

    def fresh() -> Solution:
        linear = Diagonal(-np.linspace(1.0, 9.0, size))
        return solve(linear, exchange, (0.0, 1.0), np.ones(size), dense_output=True, **way)

    times = np.linspace(0.0, 1.0, 31)
    expected = fresh().sol(times)
    for kept in (pickle.loads(pickle.dumps(fresh())), copy.deepcopy(fresh()), copy.copy(fresh())):
        assert np.array_equal(kept.sol(times), expected)
    shared = fresh()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: shared.sol(times), range(8)):
            assert np.array_equal(found, expected)
    assert np.array_equal(pickle.loads(pickle.dumps(shared)).sol(times), expected)


@pytest.mark.parametrize("size", [2, 100])
@pytest.mark.parametrize("way", [{"steps": 40}, {"rtol": 1e-6}, {"method": "etdpec"}], ids=str)
def test_what_is_not_looked_at_is_not_made(
    way: dict[str, Any], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[float] = []
    honest = dense_output.Interpolant.__call__

    def counted(piece: dense_output.Interpolant, t: float) -> Any:
        made.append(t)
        return honest(piece, t)

    monkeypatch.setattr(dense_output.Interpolant, "__call__", counted)
    linear = Diagonal(-np.linspace(1.0, 9.0, size))
    s = solve(linear, exchange, (0.0, 1.0), np.ones(size), dense_output=True, **way)
    # The first interpolants need N inside of their steps, and so an interpolant of lower order.
    order = s.stats["order"]
    assert len(made) <= order**3
    pieces = s.sol._pieces
    assert len(pieces) > 2 * order
    assert not any("gap" in vars(piece) for piece in pieces[order:])
    before = len(made)
    s.sol([0.9, 0.95])
    assert len(made) == before + 2
