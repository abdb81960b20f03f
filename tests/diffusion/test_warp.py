"""The coordinate of time that is half uniform in t and half in lambda."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_problems import SCHEDULES
from semilinear.diffusion import EDM, Flow
from semilinear.diffusion.warp import Warp


@given(
    name=st.sampled_from(list(SCHEDULES)), ends=st.tuples(st.floats(0, 0.45), st.floats(0, 0.45))
)
def test_warp_is_monotone_and_its_own_inverse(name, ends):
    schedule = SCHEDULES[name]
    span = schedule.t_start - schedule.t_end
    first, last = schedule.t_start - ends[0] * span, schedule.t_end + ends[1] * span
    warp = Warp(schedule, first, last)
    s = np.linspace(0.0, 1.0, 201)
    t = warp.to_t(s)
    assert (t[0], t[-1]) == (first, last)
    assert (np.diff(t) < 0).all()
    # No cell of its table is longer, and between its points it is linear: exact but for kinks.
    assert np.abs(warp.of_t(t) - s).max() < 1 / 2000
    assert np.median(np.abs(warp.of_t(t) - s)) < 1e-6
    times = np.linspace(first, last, 201)
    coordinates = warp.of_t(times)
    assert (coordinates[0], coordinates[-1]) == (0.0, 1.0)
    assert (np.diff(coordinates) > 0).all()
    assert np.abs(warp.to_t(coordinates) - times).max() < span / 2000


def test_warp_where_lambda_is_infinite():
    """Flow begins at alpha = 0 and ends at sigma = 0; the middle of it is where both are equal."""
    warp = Warp(Flow(), 1.0, 0.0)
    assert warp.to_t(0.5) == pytest.approx(0.5, abs=1e-6)
    assert warp.of_t([1.0, 0.5, 0.0]).tolist() == pytest.approx([0.0, 0.5, 1.0])
    # Half of it is t, so that no more than half of it lies within a thousandth of the ends.
    assert 0.999 - 1e-3 > warp.to_t(0.25) > 0.5


def test_half_of_it_is_time_and_half_is_lambda():
    schedule, times = EDM(), np.array([50.0, 3.0, 0.4])
    lam = -np.log(times / 80.0) / np.log(80.0 / 0.002)
    expected = ((80.0 - times) / (80.0 - 0.002) + lam) / 2
    np.testing.assert_allclose(Warp(schedule, 80.0, 0.002).of_t(times), expected, rtol=1e-12)


@pytest.mark.parametrize(("t_start", "t_end"), [(1e-2, 1e-8), (1e8, 1e2), (1e-2, 1e-3)])
def test_lambda_counts_as_far_as_seven_from_the_range_of_the_path(t_start, t_end):
    low, high = -np.log(t_start), -np.log(t_end)
    ends = max(low, min(high, 0.0) - 7.0), min(high, max(low, 0.0) + 7.0)
    t = np.exp(-np.mean(ends))
    in_t = (t_start - t) / (t_start - t_end)
    assert Warp(EDM(), t_start, t_end).of_t(t) == pytest.approx((in_t + 0.5) / 2)
