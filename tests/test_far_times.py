"""Times far from 0, such as seconds since 1970: what their rounding costs, and what it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from semilinear import Dense, Diagonal, Scalar, solve
from semilinear.kernels import layout, march
from semilinear.kernels.control import landing

EPOCH = 1.7e9
SIZES = {"interpreted": 2, "compiled": 64}
LINEAR = {
    "scalar": lambda rate, size: Scalar(rate),
    "diagonal": lambda rate, size: Diagonal(np.full(size, rate)),
    "dense": lambda rate, size: Dense(np.diag(np.full(size, rate))),
}
each_size = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
each_linear = pytest.mark.parametrize("linear", LINEAR.values(), ids=LINEAR)
each_adaptive = pytest.mark.parametrize("method", ["zoto_bowman43", "etdpec", "etdpece"])

RATE, PACE = 3.0, 40.0


def growing(
    linear: Any, size: int, span: tuple[float, float], **options: Any
) -> tuple[float, np.ndarray]:
    """Return the relative error of y' = 3 y + cos 40 (t - t0), and the times."""
    t0, t1 = span
    s = solve(
        linear(RATE, size), lambda t, y: 0 * y + np.cos(PACE * (t - t0)), span, np.ones(size),
        **options,
    )  # fmt: skip
    length, both = t1 - t0, RATE**2 + PACE**2
    exact = np.exp(RATE * length) * (1 + RATE / both)
    exact += (PACE * np.sin(PACE * length) - RATE * np.cos(PACE * length)) / both
    assert s.success
    return float(np.abs(s.y[:, -1] / exact - 1).max()), s.t


@each_size
@each_linear
@pytest.mark.parametrize("method", ["hochbruck_ostermann4", "etdab4"])
def test_equal_steps_are_as_long_as_the_grid_together(linear: Any, size: int, method: str) -> None:
    options: dict[str, Any] = {"method": method, "steps": 2000}
    if method == "etdab4":
        options["start"] = "rk"
    near, _ = growing(linear, size, (0.0, 1.0), **options)
    far, _ = growing(linear, size, (EPOCH, EPOCH + 1.0), **options)
    # N is known to 40 times the rounding of t; of many steps that is a mean.
    assert far <= near + 1e-8


@each_size
def test_steps_of_two_lengths_are_as_long_as_the_grid_together(size: int) -> None:
    grid = EPOCH + np.append(np.linspace(0.0, 0.5, 400), np.linspace(0.5, 1.0, 700)[1:])
    far, _ = growing(LINEAR["diagonal"], size, (EPOCH, EPOCH + 1.0), grid=grid)
    assert far <= 1e-8


@each_size
@each_adaptive
@pytest.mark.parametrize("span", [(1e5, 1e5 + 0.01), (EPOCH, EPOCH + 0.01), (EPOCH, EPOCH - 0.01)])
def test_adaptive_steps_are_as_long_as_the_time_that_they_take(
    method: str, size: int, span: tuple[float, float]
) -> None:
    """A decay alone, which every step follows exactly, whatever the rounding of its end."""
    longest = 0.01 / 77.3
    t0, t1 = span
    rate = -200.0 if t1 > t0 else 200.0
    s = solve(
        Diagonal(np.full(size, rate)), lambda t, y: 0 * y, span, np.ones(size), method=method,
        first_step=longest, max_step=longest,
    )  # fmt: skip
    assert s.stats["steps"] >= 77
    assert s.y[0] == pytest.approx(np.exp(rate * (s.t - t0)), rel=1e-12)


@each_linear
@each_adaptive
def test_adaptive_steps_err_no_more_than_near_zero(linear: Any, method: str) -> None:
    found = {}
    for size in SIZES.values():
        near, _ = growing(linear, size, (0.0, 0.5), method=method, rtol=1e-7, atol=1e-7)
        far, found[size] = growing(
            linear, size, (EPOCH, EPOCH + 0.5), method=method, rtol=1e-7, atol=1e-7
        )
        assert far <= 2 * near + 2e-8
    interpreted, compiled = found.values()
    assert interpreted.tolist() == compiled.tolist()


@each_size
@each_adaptive
def test_every_step_leads_to_another_time(method: str, size: int) -> None:
    """The first step, too, which N wants shorter than numbers at t0 are apart."""
    s = solve(
        Scalar(-1.0), lambda t, y: 1e12 * np.exp(-1e7 * (t - EPOCH)) + 0 * y,
        (EPOCH, EPOCH + 1.0), np.ones(size), method=method,
    )  # fmt: skip
    assert (s.status, s.stats["steps"]) == (-1, len(s.t) - 1)
    assert (np.diff(s.t) > 0).all()
    assert np.isfinite(s.y).all()
    assert s.message.endswith("which is known to 2.4e-07 there, is too far from 0 for these "
                              "tolerances: measure time from t0")  # fmt: skip


@pytest.mark.parametrize(
    ("t", "steps", "factor"), [(1.2e9, 12, 0.5), (1.0, 12, 0.5), (1.7e9, 20, 0.6)]
)
def test_a_refused_step_does_not_come_back(t: float, steps: int, factor: float) -> None:
    """The end lies within the rounding of times: a shorter step would be the same again."""
    end = t + steps * float(np.spacing(t))
    assert landing(t, factor * (end - t), end) == (end, end - t)
    counts, numbers = np.zeros(16, np.int64), np.zeros(16)
    numbers[layout.T], numbers[layout.H] = t, end - t
    assert march.refused(counts, numbers, factor * (end - t), end)
    far = t + 1e6 * float(np.spacing(t))
    assert not march.refused(counts, numbers, factor * (end - t), far)
