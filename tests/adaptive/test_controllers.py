"""Step size control: the laws of its arithmetic, and what the controllers differ in."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from semilinear import Diagonal, InvalidArgument, UnknownName, methods, solve
from semilinear.adaptive.controllers import GAINS, Controller, make_controller
from semilinear.adaptive.pairs import ONLY, PairCourse
from semilinear.adaptive.place import Place, Verdict
from semilinear.kernels import Backend, backend_for, control
from semilinear.methods import Tableau
from semilinear.time_grid import step_limits
from strategies import magnitudes
from tolerances import assert_close

EPS = float(np.finfo(float).eps)
orders = st.integers(1, 8)
gains = st.sampled_from(sorted(GAINS))
errors = magnitudes(1e-14, 1.0) | st.just(0.0)
lengths = magnitudes(1e-12, 1e12)


def factor(kind: str, order: int, *found: float) -> float:
    return control.step_factor(*found, 1.0 / order, *GAINS[kind])


# --- the next step ------------------------------------------------------------------------------


@given(gains, orders, errors, errors, errors)
def test_a_factor_stays_within_its_limits(kind: str, k: int, e: float, f: float, g: float) -> None:
    found = factor(kind, k, e, f, g)
    assert control.LEAST <= found <= control.MOST
    # A length that might grow a little is kept as it is, exactly: its coefficients are there.
    assert found == 1.0 or not control.KEEP_FROM < found < control.KEEP_TO


@given(gains, orders, errors, errors, errors, errors)
def test_a_larger_error_never_makes_a_longer_step(
    kind: str, k: int, e: float, larger: float, f: float, g: float
) -> None:
    assume(e <= larger)
    assert factor(kind, k, e, f, g) >= factor(kind, k, larger, f, g)


@given(gains, orders)
def test_an_error_at_the_tolerance_makes_the_next_step_shorter(kind: str, k: int) -> None:
    assert factor(kind, k, 1.0, 1.0, 1.0) == control.SAFETY


@pytest.mark.parametrize("kind", GAINS)
def test_a_steady_error_is_driven_to_one_fixed_point(kind: str) -> None:
    """With errors c h^k all controllers come to rest where the safety factor meets the error."""
    k, h, c = 4, 1e-3, 50.0
    found = [1.0, 1.0, 1.0]
    for _ in range(200):
        found = [c * h**k, *found[:2]]
        h *= factor(kind, k, *found)
    # At rest: safety e^(-sum(b)/k) lies in the range in which a length is kept.
    rest = found[0] ** (-sum(GAINS[kind]) / k) * control.SAFETY
    assert control.KEEP_FROM <= rest <= control.KEEP_TO


def test_what_the_controllers_differ_in() -> None:
    """I looks at one error, PI at two, PID at three, by Soderlind's product."""
    k, history = 4, (0.3, 0.7, 0.2)
    for kind, seen in (("I", 1), ("PI", 2), ("PID", 3)):
        product = np.prod([e**-b for e, b in zip(history, GAINS[kind], strict=True)])
        raw = control.SAFETY * float(product) ** (1 / k)
        expected = 1.0 if control.KEEP_FROM <= raw <= control.KEEP_TO else raw
        assert factor(kind, k, *history) == pytest.approx(expected, rel=8 * EPS)
        for place in range(3):
            changed = [e * (1e-3 if i == place else 1.0) for i, e in enumerate(history)]
            differs = factor(kind, k, *changed) != factor(kind, k, *history)
            assert differs == (place < seen), (kind, place)
    # An error that has grown since the step before warns PI; the elementary controller is blind.
    assert factor("PI", k, 0.01, 1e-4, 1.0) < factor("PI", k, 0.01, 0.01, 1.0)
    assert factor("I", k, 0.01, 1e-4, 1.0) == factor("I", k, 0.01, 0.01, 1.0)


def test_the_published_gains() -> None:
    assert GAINS["I"] == (1.0, 0.0, 0.0)
    assert GAINS["PI"] == (0.7, -0.4, 0.0)  # Gustafsson (1991)
    assert GAINS["PID"] == (0.49, -0.34, 0.10)  # Kennedy and Carpenter (2003)


# --- the next attempt ---------------------------------------------------------------------------


@given(st.floats(1.0, exclude_min=True) | st.just(np.nan) | st.just(np.inf), orders)
@example(1.0 + EPS, 3)
@example(1e300, 1)
def test_an_attempt_after_a_refusal_is_shorter(error: float, k: int) -> None:
    found = control.retry_factor(error, 1.0 / k)
    assert control.LEAST <= found <= control.SAFETY < 1.0


@given(magnitudes(1.0, 1e90), magnitudes(1.0, 1e90), orders)
def test_a_larger_error_never_makes_a_longer_attempt(e: float, f: float, k: int) -> None:
    small, large = sorted((e, f))
    assert control.retry_factor(small, 1.0 / k) >= control.retry_factor(large, 1.0 / k)


def test_an_attempt_aims_at_the_tolerance() -> None:
    assert control.retry_factor(2.0**4, 1 / 4) == pytest.approx(control.SAFETY / 2)
    # Of an order below the estimate may be small: still the attempt is shorter.
    assert control.retry_factor(1e-4, 1 / 4) == control.SAFETY


def test_what_is_left_of_less_than_two_steps_is_halved() -> None:
    assert control.next_length(1.9, 1.0, 9.0) == 0.95
    assert control.next_length(2.1, 1.0, 9.0) == 1.0
    assert control.next_length(2.1, 9.0, 1.5) == 1.05
    assert control.next_length(1.0 + 1e-11, 1.0, 9.0) == 1.0 + 1e-11


# --- the length of a step -----------------------------------------------------------------------


@given(lengths, lengths, lengths)
def test_a_length_is_never_beyond_its_limits(
    remaining: float, proposed: float, longest: float
) -> None:
    found = control.next_length(remaining, proposed, longest)
    limit = min(proposed, longest)
    assert 0.0 < found <= remaining
    assert found <= limit * (1 + 1e-9)
    # What is left is nothing, or no tiny rest: half a step at least.
    left = remaining - found
    assert left == 0.0 or left >= 0.5 * limit * (1 - 1e-9)


@given(magnitudes(1e-3, 1e3), magnitudes(1e-3, 1e3))
def test_the_end_is_hit(span: float, proposed: float) -> None:
    assume(span / proposed < 1000)
    remaining, taken = span, []
    while remaining > 0:
        taken.append(control.next_length(remaining, proposed, span))
        remaining -= taken[-1]
    assert remaining == 0.0
    assert len(taken) <= span / proposed + 2
    assert min(taken) >= 0.5 * min(proposed, span) * (1 - 1e-9)


def test_a_step_lands_on_the_end_and_is_as_long_as_its_times_are_apart() -> None:
    assert control.landing(0.25, 0.5, 1.0) == (0.75, 0.5)
    # One rounding before the end, or behind it, is the end; the step keeps its length.
    for h in (0.75 - 2 * EPS, 0.75 + 2 * EPS):
        assert control.landing(0.25, h, 1.0) == (1.0, h)
    assert control.landing(0.25, 0.75 - 40 * EPS, 1.0)[0] < 1.0
    # Far from 0 times are rounded by more than a step bears.
    after, h = control.landing(1e6, 1e-3, 2e6)
    assert h == after - 1e6 != 1e-3
    assert control.landing(0.0, 0.1, 1.0)[1] == 0.1


def test_a_step_is_too_short_where_the_time_stays() -> None:
    assert control.is_too_short(1.0, 2 * EPS)
    assert control.is_too_short(-1.0, -2 * EPS)
    assert not control.is_too_short(1.0, 8 * EPS)
    assert control.is_too_short(0.0, 0.0)
    assert not control.is_too_short(0.0, 1e-300)
    # At 4e15 a step of a half comes back as one of a whole.
    assert control.cannot_shrink(2.0**51 + 1, 16.4, 16.5, 2.0**52)
    assert not control.cannot_shrink(0.0, 16.4, 16.5, 2.0**52)


# --- the next order -----------------------------------------------------------------------------


def test_a_promise_aims_at_the_tolerance() -> None:
    assert control.promise(2.0**-4, 3) == pytest.approx(2 * control.SAFETY)
    assert control.promise(0.0, 1) == pytest.approx(1e5 * control.SAFETY)


def test_another_order_must_promise_more() -> None:
    even = [2.0 ** -(q + 1) for q in range(6)]  # promises of 2 x 0.9
    assert control.next_order(even[3], even[2], even[4], 3) == (3, pytest.approx(1.8))
    # As if the error were 1.1^k times smaller: lower orders win a tie, higher ones do not.
    gain = [e / 1.1 ** (q + 1) for q, e in enumerate(even)]
    assert control.next_order(even[3], 0.999 * gain[2], even[4], 3)[0] == 2
    assert control.next_order(even[3], 1.001 * gain[2], even[4], 3)[0] == 3
    assert control.next_order(even[3], even[2], 0.999 * gain[4], 3)[0] == 4
    assert control.next_order(even[3], even[2], 1.001 * gain[4], 3)[0] == 3
    assert control.next_order(even[3], gain[2] / 2, gain[4] / 64, 3)[0] == 4
    assert control.next_order(even[3], gain[2] / 64, gain[4] / 2, 3)[0] == 2
    assert control.next_order(even[3], -1.0, -1.0, 3)[0] == 3
    assert control.next_order(even[3], 0.0, -1.0, 3)[0] == 2
    assert control.next_order(even[3], -1.0, 0.0, 3)[0] == 4


def test_steps_of_adams_methods_at_most_double_beyond_order_one() -> None:
    assert control.next_order(1e-9, -1.0, -1.0, 2) == (2, 2.0)
    assert control.next_order(1e-9, -1.0, -1.0, 1) == (1, 8.0)
    assert control.next_order(1e-3, -1.0, 0.0, 1) == (2, 8.0)
    assert control.next_order(1.0, -1.0, -1.0, 2) == (2, pytest.approx(0.9))
    # A step that would grow a little is kept.
    for wanted, kept in ((1.14, 1.0), (1.16, 1.16), (0.99, 0.99), (0.1, 0.2)):
        error = (control.SAFETY / wanted) ** 3
        assert control.next_order(error, -1.0, -1.0, 2)[1] == pytest.approx(kept)


# --- the first step -----------------------------------------------------------------------------


anything = magnitudes(1e-300, 1e300) | st.sampled_from([0.0, np.inf])


@given(anything, anything, magnitudes(1e-12, 1e12), orders, magnitudes(1e-12, 1e12))
def test_a_first_length_lies_in_the_interval(
    slope: float, change: float, trial: float, k: int, span: float
) -> None:
    found = control.first_length(slope, change, min(trial, span), 1.0 / k, span)
    assert 0.0 < found <= span


@given(anything, anything, magnitudes(1e-12, 1e12))
def test_a_trial_length_lies_in_the_interval(state: float, slope: float, span: float) -> None:
    found = control.trial_length(state, slope, span)
    assert 0.0 < found <= span
    assert found**2 > 0.0, "the square of the trial length is a divisor"


def test_a_first_length_is_that_of_hairer_and_wanner() -> None:
    # h^(k) max(|N|, |N'|) = 1/100, and at most 100 trial steps.
    assert control.first_length(4.0, 16.0, 0.1, 1 / 4, 10.0) == pytest.approx((0.01 / 16) ** 0.25)
    assert control.first_length(16.0, 4.0, 0.1, 1 / 4, 10.0) == pytest.approx((0.01 / 16) ** 0.25)
    assert control.first_length(1e-12, 0.0, 1e-3, 1 / 4, 10.0) == pytest.approx(0.1)
    assert control.first_length(0.0, 0.0, 1e-3, 1 / 4, 10.0) == 10.0
    assert control.trial_length(2.0, 4.0, 10.0) == pytest.approx(0.005)


# --- tolerances ---------------------------------------------------------------------------------


def controller(y0: Any, **given: Any) -> Controller:
    options: dict[str, Any] = {"rtol": None, "atol": None, "first_step": None, "max_step": np.inf}
    return make_controller("PI", y0, (0.0, 2.0), **(options | given))


def test_tolerances_are_those_of_scipy_by_default() -> None:
    made = controller(np.ones(2))
    assert (made.rtol, made.atol) == (1e-3, 1e-6)
    assert (made.first_step, made.max_step) == (None, 2.0)
    assert (
        make_controller(
            None, np.ones(2), (0.0, 2.0), rtol=None, atol=None, first_step=None, max_step=2.0
        )
        == made
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("size", [3, 1000])
def test_the_norm_of_an_error(dtype: type, size: int) -> None:
    rng = np.random.default_rng(5)
    e, y, new = (rng.standard_normal(size).astype(dtype) for _ in range(3))
    if np.issubdtype(dtype, np.complexfloating):
        e, y, new = (x * dtype(1 + 2j) for x in (e, y, new))
    for atol in (1e-3, rng.uniform(1e-3, 1.0, size)):
        backend = backend_for(y)
        native = [backend.take(x) for x in (e, y, new)]
        found = controller(y, rtol=1e-2, atol=atol).norm(backend, *native)
        scale = atol + 1e-2 * np.maximum(np.abs(y), np.abs(new)).astype(float)
        expected = float(np.sqrt(np.mean((np.abs(e).astype(float) / scale) ** 2)))
        rounding = float(np.finfo(dtype).eps) * 20
        assert found == pytest.approx(expected, rel=rounding)


@pytest.mark.parametrize("size", [3, 1000])
def test_an_entry_without_tolerance_must_be_exact(size: int) -> None:
    y = np.zeros(size)
    backend = backend_for(y)
    strict = controller(y + 1.0, rtol=1e-3, atol=0.0)
    exact, wrong = np.zeros(size), np.zeros(size)
    wrong[0] = 1e-300
    assert strict.norm(backend, exact, y, y) == 0.0
    assert strict.norm(backend, wrong, y, y) == np.inf


def test_the_norm_is_the_same_in_all_kernels() -> None:
    rng = np.random.default_rng(6)
    e, y, new = rng.standard_normal((3, 500))
    options = controller(y, rtol=1e-4, atol=rng.uniform(0, 1, 500))
    plain, compiled = Backend(y), backend_for(y)
    assert type(plain) is not type(compiled)
    assert_close(
        options.norm(compiled, e, y, new), np.array(options.norm(plain, e, y, new)), operations=100
    )


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "rtol negative": ({"rtol": -1e-3}, r"^rtol=-0\.001 must be finite and not negative"),
    "rtol NaN": ({"rtol": np.nan}, r"^rtol=nan must be finite"),
    "rtol below rounding": ({"rtol": 1e-16}, r"^rtol=1e-16 must be a number of at least 2\.2e-15"),
    "rtol of text": ({"rtol": "small"}, r"^rtol='small' must be a number"),
    "rtol an array": ({"rtol": [1e-3, 1e-3]}, r"^rtol=\[0\.001, 0\.001\] must be one number"),
    "rtol complex": ({"rtol": np.array(1j)}, r"^rtol=1j must be a number"),
    "rtol a flag": ({"rtol": True}, r"^rtol=True must be a number"),
    "atol negative": ({"atol": [1e-3, -1.0]}, r"^atol=.* must be finite and not negative"),
    "atol of another shape": ({"atol": [1e-3] * 3}, r"^atol has shape \(3,\), .* state, \(2,\)"),
    "atol larger than the state": ({"atol": np.ones((2, 2))}, r"^atol has shape \(2, 2\)"),
    "atol of text": ({"atol": "x"}, r"^atol='x' must be a number or an array"),
    "atol NaN": ({"atol": [1e-3, np.nan]}, r"^atol=.* must be finite and not negative"),
    "atol complex": (
        {"atol": np.array([1j, 1.0])},
        r"^atol=array.* must be a number or an array of",
    ),
    "no tolerance": ({"rtol": 0, "atol": [0.0, 1.0]}, r"^rtol and atol are both 0"),
    "atol beyond the digits": (
        {"rtol": 0, "atol": 1e-17},
        r"^rtol=0 leaves atol=1e-17, .*more digits than the state has.* give atol=2\.2e-15",
    ),
    "first step 0": ({"first_step": 0.0}, r"^first_step=0\.0 must be a positive number"),
    "first step negative": ({"first_step": -0.1}, r"^first_step=-0\.1 must be a positive number"),
    "first step NaN": ({"first_step": np.nan}, r"^first_step=nan must be a positive number"),
    "first step too long": ({"first_step": 3.0}, r"^first_step=3\.0 must be .* t_span \(1\)"),
    "first step of text": ({"first_step": "0.1"}, r"^first_step='0\.1' must be a positive number"),
    "first step a flag": ({"first_step": True}, r"^first_step=True must be a positive number"),
    "first step that does not move": (
        {"first_step": 1e-300, "t_span": (1, 2)},
        r"^first_step=1e-300 is less than the spacing between numbers at t0 = 1, .* 2\.2e-16; give",
    ),
    "max step that does not move": (
        {"max_step": 1e-300, "t_span": (1, 2)},
        r"^max_step=1e-300 is less than the spacing between numbers at t0 = 1",
    ),
    "max step 0": ({"max_step": 0}, r"^max_step=0 must be a positive number; leave it out"),
    "max step negative": ({"max_step": -1}, r"^max_step=-1 must be a positive number"),
    "max step NaN": ({"max_step": np.nan}, r"^max_step=nan must be a positive number"),
    "max step of text": ({"max_step": "1"}, r"^max_step='1' must be a positive number"),
    "max step a list": ({"max_step": [1.0]}, r"^max_step=\[1\.0\] must be a positive number"),
    "controller": ({"controller": "PDI"}, r"^controller='PDI' is not known; .*PID"),
}


@pytest.mark.parametrize(("given", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(given: dict[str, Any], message: str) -> None:
    options: dict[str, Any] = {"t_span": (0.0, 1.0), **given}
    with pytest.raises(InvalidArgument, match=message):
        solve(Diagonal([-1.0, -2.0]), lambda t, y: -y, y0=[1.0, 1.0], **options)


def test_the_least_rtol_is_that_of_the_states_precision() -> None:
    with pytest.raises(InvalidArgument, match=r"at least 1\.2e-06"):
        controller(np.ones(2, np.float32), rtol=1e-7)
    assert controller(np.ones(2), rtol=1e-7).rtol == 1e-7
    assert controller(np.ones(2, np.complex64), rtol=1e-5).rtol == 1e-5


def test_gains_may_be_given_as_numbers() -> None:
    for name, gains in GAINS.items():
        made = make_controller(
            gains, np.ones(2), (0.0, 2.0), rtol=1e-3, atol=1e-6, first_step=None, max_step=np.inf
        )
        assert made.gains == GAINS[name]
    runs = [
        solve(
            Diagonal([-1.0, -3.0]), lambda t, y: np.cos(5 * t) - y, (0.0, 2.0), [1.0, 0.5],
            method="zoto_bowman43", controller=controller,
        )
        for controller in ("PID", GAINS["PID"], (0.49, -0.34, 0.2))
    ]  # fmt: skip
    assert np.array_equal(runs[0].t, runs[1].t)
    assert not np.array_equal(runs[0].t[1:-1], runs[2].t[1:-1])
    for wrong in ((1.0, 0.0), (1.0, 0.0, np.inf), (1.0, "0", 0.0)):
        with pytest.raises(InvalidArgument, match="three finite gains"):
            solve(Diagonal([-1.0]), lambda t, y: -y, (0.0, 1.0), [1.0], controller=wrong)


def test_a_wrong_controller_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName):
        solve(Diagonal([-1.0]), lambda t, y: -y, (0.0, 1.0), [1.0], controller="P")


def test_the_default_atol_is_called_so() -> None:
    """Nobody gave an atol here: the message must not look as if."""
    with pytest.raises(InvalidArgument, match=r"^rtol=0 leaves the default atol=1e-06, which asks"):
        controller(np.full(2, 1e12), rtol=0)


def test_entries_may_have_less_than_rounding_for_atol_where_others_have_more() -> None:
    y = np.ones(2)
    with pytest.raises(InvalidArgument, match="rtol=0 leaves atol=1e-17"):
        controller(y, rtol=0, atol=[1e-17, 1e-17])
    made = controller(y, rtol=0, atol=[1e-17, 1e-3])
    assert (made.rtol, made.atol.tolist()) == (0, [1e-17, 1e-3])


def test_steps_have_limits() -> None:
    span = (3.0, 1.0)
    assert step_limits(None, None, span) == (None, 2.0)
    assert step_limits(None, np.inf, span) == (None, 2.0)
    assert step_limits(Fraction(1, 4), Fraction(1, 2), span) == (0.25, 0.5)
    assert step_limits(np.float32(0.5), 7, span) == (0.5, 2.0)


# --- what a pair makes of an attempt -------------------------------------------------------------


def test_the_verdict_on_an_attempt_of_a_pair_looks_at_the_last_three_errors() -> None:
    pair = methods.get("zoto_bowman43")
    assert isinstance(pair, Tableau)
    made = Controller(1e-3, 1e-6, GAINS["PID"], None, 1.0)
    course = PairCourse(pair, Diagonal([-1.0]), (0.0, 1.0), made)
    place = Place("stage", 0, 0.0, 0.1, 0.1, ONLY, ONLY, errors=(0.3, 0.2, 0.9))
    taken = course.judge(place, lambda name: 0.5)
    assert taken == Verdict(True, factor("PID", 4, 0.5, 0.3, 0.2), 0.5, ONLY)
    assert factor("PID", 4, 0.5, 0.3, 0.2) != factor("PID", 4, 0.5, 0.3, 1.0)
    refused = course.judge(place, lambda name: 8.0)
    assert refused == Verdict(False, control.retry_factor(8.0, 1 / 4), 8.0, ONLY)
    assert course.judge(place, lambda name: 1.0).taken
