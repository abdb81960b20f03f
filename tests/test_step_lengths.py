"""Which steps of a grid share their coefficients: those of one length, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from semilinear import Diagonal, solve
from semilinear.lazy_segments import length_classes

EVEN = {
    "forwards": np.linspace(0.0, 1.0, 1001),
    "backwards": np.linspace(1.0, 0.0, 1001),
    "about zero": np.linspace(-1.0, 1.0, 1001),
    "far away": np.linspace(1e8, 1e8 + 1.0, 1001),
    "summed": np.cumsum(np.full(1001, 1e-3)),
}
each_even = pytest.mark.parametrize("grid", EVEN.values(), ids=EVEN)


@each_even
def test_even_steps_are_one_class(grid: np.ndarray) -> None:
    lengths, classes = length_classes(grid)
    assert lengths == [pytest.approx((grid[-1] - grid[0]) / 1000)]
    assert set(classes) == {0}


@each_even
def test_even_steps_after_shorter_ones_are_one_class(grid: np.ndarray) -> None:
    h = (grid[-1] - grid[0]) / 1000
    lengths, classes = length_classes(np.concatenate([grid[0] - h * np.array([0.75, 0.5]), grid]))
    assert sorted(map(abs, lengths)) == pytest.approx([abs(h) / 4, abs(h) / 2, abs(h)], rel=1e-4)
    assert len(set(classes[2:])) == 1


def test_other_lengths_are_other_classes_however_long_the_grid_is() -> None:
    grid = np.array([0.0, *np.geomspace(1e-6, 1e11, 60)])
    lengths, classes = length_classes(grid)
    assert np.array(lengths)[classes] == pytest.approx(np.diff(grid), rel=1e-12)
    # Rounding of far points, which are 1.5e-5 apart, says nothing of the steps near 0.
    grid = np.array([0.0, 1e-6, 4e-6, 1e11, 1e11 + 1.6e-5])
    lengths, classes = length_classes(grid)
    assert np.array(lengths)[classes] == pytest.approx(np.diff(grid), rel=1e-12)


@pytest.mark.parametrize("size", [2, 64], ids=["interpreted", "compiled"])
def test_steps_of_very_different_lengths_decay_as_long_as_they_are(size: int) -> None:
    grid = np.array([0.0, *np.geomspace(1e-6, 1e11, 60)])
    linear = Diagonal(np.full(size, -1e4))
    s = solve(linear, lambda t, y: 0 * y, (0.0, 1e11), np.ones(size), grid=grid, method="etd4rk")
    assert np.abs(s.y - np.exp(-1e4 * grid)).max() <= 1e-14
