"""Exponential, sine and cosine as straight-line code: exact to a rounding or two."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semilinear.kernels.exp_numba import LARGEST, LEAST, exp, exp_and_expm1
from semilinear.kernels.sincos_numba import WIDEST, sincos

EPS = float(np.finfo(np.float64).eps)
# Of 1 - cos y, where it is below the square of the last place of y.
NEGLIGIBLE = 1e-32


# Not kept on disk: Numba would not notice a change in what they call.
contracted = numba.njit(error_model="numpy", fastmath={"contract"})


@contracted
def exponentials(x: Any, power: Any, again: Any, rise: Any) -> None:
    for i in range(x.size):
        power[i] = exp(x[i])
    for i in range(x.size):
        again[i], rise[i] = exp_and_expm1(x[i])


@contracted
def circular(y: Any, sine: Any, cosine: Any, versine: Any) -> None:
    for i in range(y.size):
        sine[i], cosine[i], versine[i] = sincos(y[i])


def results(function: Any, x: np.ndarray) -> np.ndarray:
    """Return three rows of values, the same whether entries are alone or many."""
    many = np.empty((3, x.size))
    function(x, *many)
    alone = np.empty((3, x.size))
    for i in range(x.size):
        function(x[i : i + 1], *alone[:, i : i + 1])
    np.testing.assert_array_equal(many, alone)
    return many


def check(values: np.ndarray, expected: list[mpmath.mpf], *, units: float, plus: float = 0) -> None:
    """Assert errors of at most `units` last places, and `plus`."""
    for value, exact in zip(values.tolist(), expected, strict=True):
        error = float(abs(mpmath.mpf(value) - exact))
        assert error <= units * EPS * float(abs(exact)) + plus, (value, exact)


def check_circular(y: np.ndarray, *, units: float = 1.0) -> None:
    sine, cosine, versine = results(circular, y)
    with mpmath.workdps(60):
        exact = [mpmath.mpf(v) for v in y.tolist()]
        check(sine, [mpmath.sin(v) for v in exact], units=units)
        check(cosine, [mpmath.cos(v) for v in exact], units=units)
        squares = [2 * mpmath.sin(v / 2) ** 2 for v in exact]
        check(versine, squares, units=2.0, plus=NEGLIGIBLE)


@given(st.lists(st.floats(-WIDEST, WIDEST) | st.floats(-10.0, 10.0), min_size=1, max_size=20))
def test_sine_and_cosine(y: list[float]) -> None:
    # Below the normal numbers there are no relative errors.
    check_circular(np.array([v for v in y if abs(v) > 1e-290 or v == 0.0]))


# With pi / 2 in three parts, or y - n pi / 2 rounded to one number, this fails.
@given(st.lists(st.integers(-63_600_000, 63_600_000), min_size=1, max_size=20))
def test_next_to_multiples_of_half_pi(multiples: list[int]) -> None:
    y = np.array(multiples) * (0.5 * math.pi)
    check_circular(np.concatenate([y, np.nextafter(y, 0.0), np.nextafter(y, np.inf)]))


def test_near_the_first_multiples_of_a_quarter_of_pi() -> None:
    # Where n, and with it the polynomial, changes; and multiples to which doubles are nearest.
    y = np.arange(-4000, 4001) * (0.25 * math.pi)
    # One term less in a polynomial, and its remainder is more than the rest of 0.74.
    check_circular(y, units=0.74)
    check_circular(np.nextafter(y[::40], np.inf))
    check_circular(np.array([WIDEST, -WIDEST, np.nextafter(WIDEST, 0.0)]))


def test_sine_of_special_values() -> None:
    sine, cosine, versine = results(circular, np.array([0.0, -0.0, 1e-320]))
    np.testing.assert_array_equal(sine, [0.0, 0.0, 1e-320])
    np.testing.assert_array_equal(cosine, 1.0)
    np.testing.assert_array_equal(versine, 0.0)
    assert np.isnan(results(circular, np.array([math.nan, math.inf, -math.inf]))).all()


def check_exponentials(x: np.ndarray) -> None:
    power, again, rise = results(exponentials, x)
    np.testing.assert_array_equal(power, again)
    with mpmath.workdps(60):
        exact = [mpmath.mpf(v) for v in x.tolist()]
        check(power, [mpmath.exp(v) for v in exact], units=1.0)
        check(rise, [mpmath.expm1(v) for v in exact], units=2.0)


@given(st.lists(st.floats(LEAST, 709.78) | st.floats(-2.0, 2.0), min_size=1, max_size=20))
def test_exponential(x: list[float]) -> None:
    check_exponentials(np.array([v for v in x if abs(v) > 1e-290 or v == 0.0]))


def test_exponential_where_the_power_of_two_changes() -> None:
    edges = (np.arange(-1009, 1024) + 0.5) * math.log(2.0)
    check_exponentials(np.concatenate([edges, np.nextafter(edges, np.inf), [LEAST, 1.0]]))


@pytest.mark.parametrize(
    ("x", "power", "rise"),
    [
        (0.0, 1.0, 0.0),
        (-0.0, 1.0, 0.0),
        (np.nextafter(LEAST, -np.inf), 0.0, -1.0),
        (-1e300, 0.0, -1.0),
        (-math.inf, 0.0, -1.0),
        (709.79, math.inf, math.inf),
        (LARGEST, math.inf, math.inf),
        (1e300, math.inf, math.inf),
        (math.inf, math.inf, math.inf),
        (math.nan, math.nan, math.nan),
    ],
)
def test_special_values_of_the_exponential(x: float, power: float, rise: float) -> None:
    found = results(exponentials, np.array([x]))[:, 0]
    np.testing.assert_array_equal(found, [power, power, rise])
