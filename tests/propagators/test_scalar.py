"""A number times the state: constant, or L(t) with a weight B(t)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exact_integrals import by_quadrature, constant_rate
from semilinear import InvalidArgument, NonFiniteError, Scalar, make_plan, solve
from semilinear.propagators.gauss import COMPARED, GAUSS, INSET
from strategies import magnitudes
from tolerances import assert_close

# --- constant L ---------------------------------------------------------------------------------

# h is a power of two, so that z = h L has no rounding of its own.
lengths = st.integers(-4, 3).map(lambda e: 2.0**e)
decaying = magnitudes(1e-12, 1e4).map(lambda r: -r)
real_rates = decaying | st.just(0.0) | magnitudes(1e-12, 5.0)
complex_rates = st.builds(complex, decaying | st.just(0.0), st.floats(-1e3, 1e3))


@st.composite
def newton_nodes(draw: st.DrawFn, a: float, h: float) -> list[float]:
    """Draw nodes: a itself (Runge-Kutta), past points, or b and past points (corrector)."""
    past = draw(st.lists(st.floats(0.25, 3.0), max_size=4))
    points = [a, *(a - h * np.cumsum(past)).tolist()]
    return draw(st.sampled_from([[a] * len(past), points, [a + h, *points]]))


@given(st.data(), real_rates | complex_rates, lengths, st.sampled_from([1.0, -0.5, 3.0]))
def test_integrals_for_a_constant_rate(
    data: st.DataObject, rate: complex, h: float, stretch: float
) -> None:
    a = data.draw(st.sampled_from([0.0, 0.5, -2.0]))
    nodes = data.draw(newton_nodes(a, h))
    found = Scalar(rate).integrals(a, a + h, nodes, stretch * h)
    expected, sizes = constant_rate(rate, a, a + h, nodes, stretch * h)
    assert len(found) == len(nodes) + 1
    for m, (value, exact, size) in enumerate(zip(found, expected, sizes, strict=True)):
        assert_close(value, complex(exact), operations=20 * (m + 1), scale=size)


@pytest.mark.parametrize("rate", [-1e4, -3.0, -1e-9, 0.0, 2.0, 1e-3 + 40j, -1e4 + 1e4j, 7j])
def test_backward_integrals_for_a_constant_rate(rate: complex) -> None:
    """From 1 back to 0: the linear part runs backwards, and growth turns into decay."""
    rate = -rate
    nodes = [1.0, 1.25, 2.0]
    found = Scalar(rate).integrals(1.0, 0.0, nodes, -1.0)
    expected, sizes = constant_rate(rate, 1.0, 0.0, nodes, -1.0)
    for value, exact, size in zip(found, expected, sizes, strict=True):
        assert_close(value, complex(exact), operations=40, scale=size)


@given(real_rates, lengths)
def test_a_real_rate_keeps_real_coefficients(rate: float, h: float) -> None:
    linear = Scalar(rate)
    assert all(np.isrealobj(x) for x in linear.integrals(0.0, h, [0.0], h))
    assert_close(linear.flow(0.0, h), np.exp(rate * h), operations=2)


def test_a_constant_weight_multiplies() -> None:
    plain = Scalar(-2.0).integrals(0.0, 1.0, [0.0, -1.0], 1.0)
    weighted = Scalar(-2.0, weight=3.0 + 1j).integrals(0.0, 1.0, [0.0, -1.0], 1.0)
    assert_close(weighted, [(3 + 1j) * x for x in plain], operations=2)
    assert Scalar(-2.0, weight=3.0).input_weight(0.3) == 3.0
    assert Scalar(-2.0).constant


# --- L(t) and B(t) ------------------------------------------------------------------------------


class Case(NamedTuple):
    """L; B, which takes numbers of mpmath too; a primitive of L; how quadrature divides [0, 1]."""

    rate: Callable[[Any], Any]
    weight: Callable[[Any], Any]
    primitive: Callable[[mpmath.mpf], mpmath.mpc]
    panels: list[float]
    exponent: float
    """Largest ``|int L|`` over a part of the interval in which Psi does not decay."""


def one(t: Any) -> Any:
    return 1.0 + 0.0 * t


def late(width: float) -> list[float]:
    """Panels refined towards 1 down to `width`, for a kernel that decays away from there."""
    count = math.ceil(math.log2(1 / width))
    return [0.0, *(1 - 0.5**k for k in range(1, count + 1)), 1.0]


OSCILLATING = [n / 32 for n in range(33)]
CASES = {
    "smooth": Case(
        lambda t: -1 + 1.5 * np.cos(2 * t),
        lambda t: 1 + 0.5 * t,
        lambda s: -s + mpmath.mpf("0.75") * mpmath.sin(2 * s),
        [0.0, 0.5, 1.0],
        1.0,
    ),
    "weight that decays": Case(
        lambda t: 0.5 * t, lambda t: 1 / (1 + 2 * t), lambda s: s**2 / 4, [0.0, 0.5, 1.0], 1.0
    ),
    "stiff": Case(
        lambda t: -1e4 * (1 + 0.5 * np.sin(t)),
        lambda t: 1 + t,
        lambda s: -(10**4) * (s - mpmath.cos(s) / 2),
        late(1e-6),
        1.0,
    ),
    "stiff at the end": Case(lambda t: -1e4 * t, one, lambda s: -5000 * s**2, late(1e-6), 1.0),
    "stiff at the start": Case(
        lambda t: -1e4 * (1 - t), one, lambda s: 5000 * (1 - s) ** 2, late(1e-4), 1.0
    ),
    "oscillating": Case(
        lambda t: -0.5 + 100j * np.cos(t),
        lambda t: 1 - t,
        lambda s: -s / 2 + 100j * mpmath.sin(s),
        OSCILLATING,
        100.0,
    ),
    "growing": Case(
        lambda t: 20 * (1 + t), one, lambda s: 20 * s + 10 * s**2, OSCILLATING[::4], 30.0
    ),
    "of both signs": Case(
        lambda t: -100 * np.cos(3 * t),
        one,
        lambda s: -mpmath.mpf(100) / 3 * mpmath.sin(3 * s),
        OSCILLATING[::2],
        40.0,
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@each_case
@pytest.mark.parametrize("nodes", [(0.0, 0.0, 0.0), (0.0, -0.7, -1.0), (1.0, 0.0, -0.5)], ids=str)
def test_integrals_for_a_rate_that_depends_on_time(case: Case, nodes: tuple[float, ...]) -> None:
    scale = 0.8

    def kernel(s: mpmath.mpf) -> mpmath.mpc:
        decay = mpmath.exp(case.primitive(mpmath.mpf(1)) - case.primitive(s))
        return decay * case.weight(s)

    found = Scalar(case.rate, weight=case.weight).integrals(0.0, 1.0, nodes, scale)
    expected = by_quadrature(kernel, case.panels, nodes, scale)
    size = max(abs(complex(x)) for x in expected)
    for value, exact in zip(found, expected, strict=True):
        assert_close(value, complex(exact), operations=30 + 5 * case.exponent, scale=size)


@each_case
def test_the_flow_is_the_exponential_of_the_integral(case: Case) -> None:
    """Not of the rate at the start times the length, which is what it is for a constant rate."""
    linear = Scalar(case.rate)
    assert not linear.constant
    for a, b in [(0.0, 1.0), (0.25, 0.5), (1.0, 0.75), (0.5, 0.5)]:
        with mpmath.workdps(30):
            exact = case.primitive(mpmath.mpf(b)) - case.primitive(mpmath.mpf(a))
            expected = mpmath.exp(exact)
        # e^{-5000} is 0 in double precision; in the other direction it overflows.
        if exact.real < 700:
            operations = 8 + 2 * float(abs(exact))
            assert_close(linear.flow(a, b), complex(expected), operations=operations)


def test_steps_are_answered_together_as_they_are_alone() -> None:
    linear = Scalar(lambda t: -30 * (1 + t), weight=lambda t: 1 + t)
    grid = np.array([0.0, 0.1, 0.3, 0.35, 1.0])
    a, b = grid[1:-1], grid[2:]
    together = linear.integrals(a, b, [a, grid[:-2]], b - a)
    flows = linear.flow(a, b)
    for n in range(len(a)):
        alone = linear.integrals(a[n], b[n], [a[n], grid[n]], b[n] - a[n])
        assert_close([x[n] for x in together], alone, operations=20)
        assert_close(flows[n], linear.flow(a[n], b[n]), operations=20)


def test_functions_that_take_no_arrays_are_called_point_by_point() -> None:
    def rate(t: float) -> float:
        return -1.0 if t < 0 else -math.cos(t)

    for_arrays = Scalar(lambda t: -np.cos(t), weight=lambda t: np.exp(t))
    by_points = Scalar(rate, weight=lambda t: math.exp(t))
    arguments = (np.array([0.0, 1.0]), np.array([1.0, 1.5]), [np.array([0.0, 0.5])], np.ones(2))
    assert_close(by_points.integrals(*arguments), for_arrays.integrals(*arguments), operations=8)
    assert_close(by_points.flow(0.0, 1.0), for_arrays.flow(0.0, 1.0), operations=4)


def test_constant_functions_are_constants() -> None:
    nodes = [0.0, -1.0]
    functions = Scalar(lambda t: -2.0, weight=lambda t: 3.0)
    assert_close(
        functions.integrals(0.0, 1.0, nodes, 1.0),
        Scalar(-2.0, weight=3.0).integrals(0.0, 1.0, nodes, 1.0),
        operations=20,
    )
    assert_close(functions.input_weight(np.array([0.0, 1.0])), [3.0, 3.0], operations=0)


@pytest.mark.parametrize("rate", [-2.0, -50.0, -1 + 2j])
def test_a_constant_rate_with_a_weight_that_depends_on_time(rate: complex) -> None:
    mixed = Scalar(rate, weight=lambda t: 1 + t)
    functions = Scalar(lambda t: rate, weight=lambda t: 1 + t)
    nodes = [0.0, -1.0]
    found = mixed.integrals(0.0, 1.0, nodes, 1.0)
    assert_close(found, functions.integrals(0.0, 1.0, nodes, 1.0), operations=20)


def test_a_rate_function_with_a_constant_weight() -> None:
    nodes = [0.0, -1.0]
    found = Scalar(lambda t: -t, weight=2.0).integrals(0.0, 1.0, nodes, 1.0)
    plain = Scalar(lambda t: -t).integrals(0.0, 1.0, nodes, 1.0)
    assert_close(found, [2 * x for x in plain], operations=4)


def test_only_complex_functions_have_complex_coefficients() -> None:
    real, complex_rate = Scalar(lambda t: -t, weight=lambda t: t), Scalar(lambda t: 1j * t)
    assert np.isrealobj(real.integrals(0.0, 1.0, [], 1.0)[0])
    assert np.iscomplexobj(complex_rate.integrals(0.0, 1.0, [], 1.0)[0])
    assert np.iscomplexobj(Scalar(-1.0, weight=lambda t: 1j).integrals(0.0, 1.0, [], 1.0)[0])


def test_functions_that_write_to_their_argument() -> None:
    def writing(t: Any) -> Any:
        t -= 0.5
        return -t * t

    def plain(t: Any) -> Any:
        return -((t - 0.5) ** 2)

    one_way, other = Scalar(writing, weight=writing), Scalar(plain, weight=plain)
    found, expected = (x.integrals(0.0, 1.0, [0.0, -1.0], 1.0) for x in (one_way, other))
    assert_close(found, expected, operations=0)


@pytest.mark.parametrize("size", [1e17, 1e18, 1e20, 1e25, 1e100, 1e300])
def test_a_rate_that_decays_within_the_spacing_of_times(size: float) -> None:
    """Psi is 1 at the end of the step, and 0 at the last time before: its integral is 1 / |L|."""
    functions = Scalar(lambda t: -size * one(t), weight=lambda t: 1 + t)
    for a, h in ((0.0, 1.0), (0.3, 0.1)):
        found, moment = functions.integrals(a, a + h, [a], h)
        assert_close(size * found, 1 + a + h, operations=20)
        assert_close(size * moment, 1 + a + h, operations=20)
        assert functions.flow(a, a + h) == 0


def test_a_rate_that_does_not_exist_everywhere_is_not_asked_there() -> None:
    """A pole at 1/2; integrals over [1, 2] have nothing to do with it."""
    linear = Scalar(lambda t: -1 / (t - 0.5))
    assert_close(linear.flow(1.0, 2.0), 0.5 / 1.5, operations=20)


# --- steps that are too long for quadrature ------------------------------------------------------

TOO_FAST: dict[str, Callable[[Any], Any]] = {
    "oscillating": lambda t: 1e6j * np.cos(t),
    "growing": lambda t: 1e6 * one(t),
    "not even a number": lambda t: -1e308 * one(t),
}
each_too_fast = pytest.mark.parametrize("rate", TOO_FAST.values(), ids=TOO_FAST)


@each_too_fast
def test_where_quadrature_cannot_follow_the_answers_are_nan(rate: Callable[[Any], Any]) -> None:
    linear = Scalar(rate)
    a, b = np.array([0.0, 1.0]), np.array([100.0, 1.0 + 1e-4])
    integral, _ = linear.integrals(a, b, [a], b - a)
    for answers in (linear.flow(a, b), integral):
        assert np.isnan(answers[0])
        assert np.isfinite(answers[1])
    assert np.iscomplexobj(integral) == np.iscomplexobj(rate(1.0))
    assert np.isnan(linear.flow(0.0, 100.0))


def test_fixed_steps_over_which_a_rate_oscillates_too_much_are_refused() -> None:
    linear = Scalar(lambda t: 1e6j * np.cos(t))
    with pytest.raises(NonFiniteError, match=r"oscillates too fast .* take smaller steps"):
        make_plan(linear, [0.0, 1e-3, 1.0])
    for size in (2, 64):
        with pytest.raises(NonFiniteError, match=r"oscillates too fast .* take smaller steps"):
            solve(linear, lambda t, y: 0 * y, (0, 1), np.ones(size, complex), steps=2)


@pytest.mark.parametrize("size", [2, 64], ids=["interpreted", "compiled"])
@pytest.mark.parametrize("name", ["zoto_bowman43", "etdpece"])
def test_adaptive_steps_become_short_enough(name: str, size: int) -> None:
    linear = Scalar(lambda t: 1e5j * one(t))
    s = solve(linear, lambda t, y: 0 * y, (0, 1), np.ones(size, complex), method=name)
    assert s.success
    assert abs(s.y[:, -1] - np.exp(1e5j)).max() <= 1e-9


def test_one_long_step_does_not_make_the_others_costly() -> None:
    """How many times the rate is asked for follows the length of each step."""
    asked = 0

    def rate(t: Any) -> Any:
        nonlocal asked
        asked += np.size(t)
        return 100j * one(t)

    linear = Scalar(rate)
    even = np.linspace(0.0, 1.0, 201)
    counts = []
    for grid in (even, np.array([1.0, 100.0]), np.append(even, 100.0)):
        asked = 0
        flows = linear.flow(grid[:-1], grid[1:])
        assert_close(flows, np.exp(100j * np.diff(grid)), operations=2e4, scale=1.0)
        counts.append(asked)
    assert counts[2] == counts[0] + counts[1]


def test_no_place_of_a_jump_is_alike_to_both_rules() -> None:
    """The error of the sums is at most half as large again as their difference."""
    at = np.append(np.linspace(0, 1, 10001), [1e-5, 1 - 1e-5])[1:-1]
    at = at[(at > 2 * INSET) & (at < 1 - 2 * INSET)]
    used, other = (
        np.array([rule.weights[rule.nodes < x].sum() for x in at]) for rule in (GAUSS, COMPARED)
    )
    assert (np.abs(used - at) <= 1.5 * np.abs(used - other)).all()
    powers = np.arange(32)
    sums = (COMPARED.weights * COMPARED.nodes ** powers[:, None]).sum(axis=1)
    assert_close(sums * (powers + 1), np.ones(32), operations=500)


# --- misuse -------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [[1.0, 2.0], np.ones(2), np.eye(2), None, "fast"], ids=repr)
def test_what_is_no_number_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^rate=(.|\n)*use Diagonal .* Dense"):
        Scalar(wrong)
    with pytest.raises(InvalidArgument, match=r"^weight="):
        Scalar(-1.0, weight=wrong)


@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan, complex(0, math.inf)])
def test_what_is_not_finite_is_refused(wrong: complex) -> None:
    with pytest.raises(InvalidArgument, match=r"^rate=.* must be finite"):
        Scalar(wrong)
    with pytest.raises(InvalidArgument, match=r"^weight=.* must be finite"):
        Scalar(-1.0, weight=wrong)


def test_repr() -> None:
    assert repr(Scalar(-1, weight=2)) == "Scalar(-1.0, weight=2.0)"
    assert repr(Scalar(np.complex128(1j))) == "Scalar(1j, weight=1.0)"


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda t: np.nan, "is NaN or infinite at t = "),
        (lambda t: np.array([1.0, 2.0]), "one number for all entries; (L|B)\\(t\\) by"),
        (lambda t: "fast", "must be one number"),
        (lambda t: None, "must be one number"),
    ],
)
@pytest.mark.parametrize("argument", ["rate", "weight"])
def test_functions_that_do_not_answer_with_a_number(function, complaint, argument):
    functions = {"rate": -1.0, "weight": 1.0, argument: function}
    linear = Scalar(functions["rate"], weight=functions["weight"])
    with pytest.raises(InvalidArgument, match=complaint) as caught:
        linear.integrals(0.0, 1.0, [], 1.0)
    assert str(caught.value).startswith(argument)


def test_a_function_made_for_floats_is_asked_point_by_point():
    def rate(t):
        return -1.0 if t.is_integer() else -2.0

    assert Scalar(rate).flow(0.25, 0.75) == pytest.approx(np.exp(-1.0), rel=1e-14)


def test_a_function_that_looks_at_all_times_at_once_is_asked_point_by_point():
    """A single number for an array of times is no answer: it may depend on the array."""
    odd = Scalar(lambda t: -3.0 if np.all(t < 0.5) else -1.0)
    even = Scalar(lambda t: np.where(np.asarray(t) < 0.5, -3.0, -1.0))
    assert odd.flow(0.0, 0.5) == even.flow(0.0, 0.5)
    assert odd.flow(0.0, 1.0) == even.flow(0.0, 1.0)


@pytest.mark.parametrize("error", [AssertionError, RuntimeError, KeyError])
def test_a_function_of_one_time_may_refuse_arrays_as_it_likes(error: type[Exception]) -> None:
    def rate(t: float) -> float:
        if np.ndim(t):
            raise error("one time only")
        return -t

    found = Scalar(rate).flow(0.0, np.array([1.0, 2.0]))
    np.testing.assert_allclose(found, np.exp([-0.5, -2.0]), rtol=1e-14)
