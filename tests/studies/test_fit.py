"""Orders read off errors: exact powers, the window, and what the interval is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semilinear.studies.fit import fit_order, slopes

LADDER = (20, 40, 80, 160, 320, 640, 1280, 2560)
ALL = (0.0, math.inf)


@given(
    order=st.floats(0.5, 6.0),
    first=st.floats(1e-4, 1e-3),
    steps=st.lists(st.integers(1, 50), min_size=3, max_size=8, unique=True).map(sorted),
)
def test_a_pure_power_is_found_with_certainty(order: float, first: float, steps: list[int]) -> None:
    errors = [first * (steps[0] / n) ** order for n in steps]
    for slope in slopes(steps, errors):
        assert slope == pytest.approx(order, rel=1e-9)
    fit = fit_order(steps, errors, window=ALL)
    assert fit.order == pytest.approx(order, rel=1e-9)
    assert fit.low == pytest.approx(order, rel=1e-9)
    assert fit.high == pytest.approx(order, rel=1e-9)
    assert fit.points == len(steps)


def test_slopes_without_a_number() -> None:
    found = slopes((1, 2, 4, 8), (math.inf, 1.0, 0.25, 0.0))
    assert math.isnan(found[0])
    assert found[1] == 2
    assert math.isnan(found[2])


@pytest.mark.parametrize("count", [3, 4, 8])
def test_the_interval_covers_the_order_in_95_of_100_cases(count: int) -> None:
    # The model of the fit: independent scatter of the logarithms.
    rng = np.random.default_rng(7)
    trials = 4000
    covered = 0
    for scatter in rng.normal(0.0, 0.2, (trials, count)):
        errors = [1e-3 * (20 / n) ** 4 * math.exp(s) for n, s in zip(LADDER, scatter, strict=False)]
        fit = fit_order(LADDER[:count], errors, window=ALL)
        covered += fit.low <= 4 <= fit.high
    # 95 per cent, within four standard deviations of the count.
    assert abs(covered / trials - 0.95) <= 4 * math.sqrt(0.95 * 0.05 / trials)


def test_the_fit_is_that_of_least_squares() -> None:
    errors = (1e-3, 2e-4, 1.5e-5, 1e-6, 9e-8)
    (slope, _), covariance = np.polyfit(np.log(LADDER[:5]), np.log(errors), 1, cov=True)
    fit = fit_order(LADDER[:5], errors, window=ALL)
    assert fit.order == pytest.approx(-slope)
    # The quantile of Student's t with three degrees of freedom, from tables.
    half = 3.182446 * math.sqrt(covariance[0, 0])
    assert (fit.low, fit.high) == pytest.approx((fit.order - half, fit.order + half), rel=1e-6)


def test_two_points_make_an_order_and_no_confidence() -> None:
    fit = fit_order((10, 20), (1e-3, 1e-4), window=ALL)
    assert fit.order == pytest.approx(math.log2(10))
    assert math.isnan(fit.low)
    assert math.isnan(fit.high)
    assert fit.points == 2


def test_only_errors_in_the_window_count() -> None:
    steps = (1, 2, 4, 8, 16, 32)
    # The first is too coarse, the last two are rounding.
    errors = (1.0, 1e-2, 1e-2 / 2**3, 1e-2 / 2**7, 1e-14, 2e-14)
    fit = fit_order(steps, errors, window=(1e-12, 1e-2))
    assert fit.points == 3
    assert fit.order == pytest.approx(3.5)
    # One point alone makes no slope, nor do two that are not neighbours.
    assert math.isnan(fit_order(steps, errors, window=(9e-3, 1e-2)).order)
    assert math.isnan(fit_order((1, 2, 4), (1e-3, math.inf, 1e-4), window=(1e-9, 1e-2)).order)


def test_the_longest_run_counts_and_the_finer_of_equals() -> None:
    steps = (1, 2, 4, 8, 16, 32, 64)
    longest = (1e-3, math.inf, 1e-3, 1e-3 / 4, 1e-3 / 16, 1.0, 1e-3)
    assert fit_order(steps, longest, window=(1e-9, 1e-2)).order == pytest.approx(2)
    equal = (1e-3, 1e-3 / 2, math.inf, 1e-3, 1e-3 / 8)
    assert fit_order(steps[:5], equal, window=(1e-9, 1e-2)).order == pytest.approx(3)
