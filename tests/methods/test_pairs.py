"""Embedded pairs: exact orders of both values, published numbers, and the estimate on problems."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from semilinear import InvalidArgument, methods, problems
from semilinear.coefficients import step_coefficients
from semilinear.methods import Tableau, checks, etdrk, exponential_runge_kutta
from semilinear.methods.rows import BASE, Combine, Evaluate, Step
from semilinear.methods.stiff import stiff_order
from semilinear.phi import ZERO, Phi, phi
from semilinear.problems import Problem
from tableaux import (
    EMBEDDED,
    PAIRS,
    is_exact_along_the_flow,
    is_noticed,
    mutants,
    with_weight,
    with_weights,
)

HALF, QUARTER, THREE_QUARTERS = Fraction(1, 2), Fraction(1, 4), Fraction(3, 4)
EXPONENTIAL_PAIRS = {n: t for n, t in PAIRS.items() if not n.startswith("lawson")}
LAWSON_PAIRS = {n: t for n, t in PAIRS.items() if n.startswith("lawson")}

each_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
each_exponential_pair = pytest.mark.parametrize(
    "pair", EXPONENTIAL_PAIRS.values(), ids=EXPONENTIAL_PAIRS
)
each_lawson_pair = pytest.mark.parametrize("pair", LAWSON_PAIRS.values(), ids=LAWSON_PAIRS)

# Name: order, embedded order, stiff orders of both, evaluations, N at the new value, blind moments.
DECLARED = {
    "etd35": (5, 3, 3, 3, 6, False, 4),
    "krogstad4": (4, 3, 3, 3, 4, True, 12),
    "lawson32": (3, 2, 1, 1, 3, True, 0),
    "lawson54": (5, 4, 1, 1, 6, True, 0),
    "zoto_bowman32": (3, 2, 3, 2, 3, True, 1),
    "zoto_bowman43": (4, 3, 4, 3, 5, False, 2),
}


def test_orders_of_pairs() -> None:
    found = {}
    for name, pair in PAIRS.items():
        low = checks.embedded_value(pair)
        found[name] = (
            checks.classical_order(pair),
            checks.classical_order(low),
            stiff_order(pair),
            stiff_order(low),
            pair.evaluations,
            pair.estimate_reads_end,
            checks.blind_moments(pair),
        )
        assert methods.info(name).embedded_order == pair.embedded_order == found[name][1]
        assert (low.order, low.stiff_order) == (found[name][1], found[name][3])
    assert found == DECLARED


@each_pair
def test_the_estimate_is_the_difference_of_both_values(pair: Tableau) -> None:
    assert pair.is_pair
    stages = len(pair.c)
    assert len(pair.embedded) == len(pair.error) == stages + pair.estimate_reads_end
    for new, low, error in zip((*pair.b, ZERO), pair.embedded, pair.error, strict=False):
        assert error == new - low
    assert pair.error != (ZERO,) * len(pair.error)
    low = checks.embedded_value(pair)
    assert low.b == pair.embedded
    assert not low.is_pair
    if pair.estimate_reads_end:
        assert (low.c[-1], low.a[-1]) == (1, pair.b)
        assert pair.error[-1] == -pair.embedded[-1] != ZERO


def test_without_embedded_weights_there_is_no_estimate() -> None:
    method = etdrk.ETD4RK
    assert not method.is_pair
    assert not method.estimate_reads_end
    assert method.error == ()
    assert methods.info(method).embedded_order is None
    with pytest.raises(InvalidArgument, match="etd4rk has no embedded value"):
        checks.embedded_value(method)


@each_pair
def test_steps_of_a_pair_are_those_of_its_method(pair: Tableau) -> None:
    plain = replace(pair, embedded=(), embedded_order=0)
    assert pair.step().instructions == plain.step().instructions
    assert pair.step().evaluations == pair.evaluations


# --- published numbers --------------------------------------------------------------------------


def fractions(text: str) -> tuple[Fraction, ...]:
    return tuple(Fraction(x) for x in text.split())


# Hairer, Norsett and Wanner: y_5 - y_4 of RK5(4)7M; and the pair of Bogacki and Shampine.
CLASSICAL_ERRORS = {
    "lawson54": "71/57600 0 -71/16695 71/1920 -17253/339200 22/525 -1/40",
    "lawson32": "-5/72 1/12 1/9 -1/8",
    "zoto_bowman43": "-5/6 3/2 -7/6 1/3 1/6",
}


@pytest.mark.parametrize(("name", "text"), CLASSICAL_ERRORS.items(), ids=CLASSICAL_ERRORS)
def test_without_a_linear_part_the_estimate_is_the_classical_one(name: str, text: str) -> None:
    assert tuple(w.series(1)[0] for w in PAIRS[name].error) == fractions(text)


def test_a_digit_lost_in_the_estimate_of_dormand_and_prince_costs_all_its_order() -> None:
    """17/1920 for 71/1920, as it stands in a published code: not even the sum is 0."""
    pair = PAIRS["lawson54"]
    slip = Fraction(17 - 71, 1920) * phi(0, pair.c[3], 1)
    low = (*pair.embedded[:3], pair.embedded[3] - slip, *pair.embedded[4:])
    assert checks.classical_order(checks.embedded_value(replace(pair, embedded=low))) == 0
    butcher = methods.CLASSICAL["dopri5"]
    wrong = (*butcher.embedded[:3], butcher.embedded[3] + HALF, *butcher.embedded[4:])
    with pytest.raises(InvalidArgument, match="weights embedded must add up to 1"):
        replace(butcher, embedded=wrong)


def test_first_columns_are_the_printed_ones() -> None:
    """They follow from all other weights of their row, so that a slip in one of these shows."""
    h, q = HALF, THREE_QUARTERS
    assert PAIRS["zoto_bowman32"].embedded[0] == sum(
        (
            Fraction(x) * phi(k, 0, c)
            for x, k, c in [
                ("29/18", 1, 1),
                ("7/6", 1, q),
                ("9/14", 1, h),
                ("3/4", 2, 1),
                ("2/7", 2, q),
                ("1/12", 2, h),
                ("-8083/420", 3, 1),
                ("11/30", 3, h),
            ]
        ),
        ZERO,
    )
    printed = phi(1) - Fraction(67, 9) * phi(2) + Fraction(52, 3) * phi(3)
    assert PAIRS["zoto_bowman43"].b[0] == printed
    pair = PAIRS["zoto_bowman43"]
    assert pair.embedded == (*pair.a[4], ZERO), "the embedded value is the last stage"


def test_etd34_replaces_the_last_stage_by_the_new_value() -> None:
    pair = etdrk.KROGSTAD4
    assert methods.get("etd34") is pair
    assert pair.error == (ZERO, ZERO, ZERO, pair.b[3], -pair.b[3])


# --- ETD35, whose printed weights have order five for one equation only ---------------------------


def psi(k: int) -> Phi:
    """Return k! phi_k(z), the functions of Whalen, Brio and Moloney."""
    return (1, 1, 2, 6)[k] * phi(k)


PRINTED = {
    (6, 2): Fraction(8, 7) * psi(1),
    (6, 3): (111 * psi(1) - 87 * psi(2)) / 28,
    (6, 5): (-47 * psi(1) + 143 * psi(2)) / 84,
    (7, 3): (1097 * psi(1) - 467 * psi(2) - 150 * psi(3)) / 1350,
    (7, 4): 2 * (-49 * psi(1) + 199 * psi(2) - 135 * psi(3)) / 225,
    (7, 5): (-313 * psi(1) + 883 * psi(2) - 90 * psi(3)) / 1350,
    (7, 6): (509 * psi(1) - 2129 * psi(2) + 1830 * psi(3)) / 2700,
}


def test_the_printed_etd35_has_order_four_and_the_corrected_one_five() -> None:
    right = PAIRS["etd35"]
    printed = with_weights(right, PRINTED)
    assert printed.b[0] == 7 * (257 * psi(1) - 497 * psi(2) + 270 * psi(3)) / 2700
    assert printed.a[5][0] == (-77 * psi(1) + 59 * psi(2)) / 42
    assert checks.classical_order(printed) == 4
    # For one equation L and dN/dy commute, and only the sum over the places of L counts.
    inner = ("N", (("N", ()), ("N", ())))
    outside, between = ("L", (("N", (inner,)),)), ("N", (("L", (inner,)),))
    weights = [checks.elementary_weight(printed, tree) for tree in (outside, between)]
    assert weights == [Fraction(287, 17280), Fraction(289, 17280)]
    assert [checks.elementary_weight(right, t) for t in (outside, between)] == [Fraction(1, 60)] * 2
    # Each half of the correction alone is not enough; without L it is nothing.
    for row in (6, 7):
        half = with_weights(right, {place: w for place, w in PRINTED.items() if place[0] == row})
        assert checks.classical_order(half) == 4
    for mine, theirs in zip((*right.a, right.b), (*printed.a, printed.b), strict=True):
        assert [w.series(1) for w in mine] == [w.series(1) for w in theirs]
    # With 497 in b_3, as the paper prints it, nothing is left.
    misprint = {**PRINTED, (7, 3): (1097 * psi(1) - 497 * psi(2) - 150 * psi(3)) / 1350}
    assert checks.classical_order(with_weights(right, misprint)) == 1


# --- the test of the tests ------------------------------------------------------------------------


def is_another_interval(name: str, slip: str) -> bool:
    """Tell whether the slip gives another embedded value of order two.

    Its first column, which follows from the other weights, is not the printed one.
    """
    return name == "zoto_bowman32" and "end" in slip


@each_exponential_pair
def test_every_embedded_weight_that_is_typed_is_noticed(pair: Tableau) -> None:
    low = checks.embedded_value(pair)
    moments, last = checks.phi_moments(low), len(low.a) + 1
    missed: list[str] = []
    for j, weight in enumerate(low.b[1:], start=2):
        for slip, mutant in mutants(weight, {Fraction(1), *low.c}):
            wrong = with_weights(low, {(last, j): mutant})
            assert checks.has_row_sums(wrong)
            assert wrong.b[0] != low.b[0]
            if not is_noticed(wrong, moments):
                missed.append(slip)
            assert not checks.has_row_sums(with_weight(low, (last, j), mutant))
    assert [slip for slip in missed if not is_another_interval(pair.name, slip)] == []


@each_lawson_pair
def test_every_embedded_weight_of_lawson_is_noticed(pair: Tableau) -> None:
    low = checks.embedded_value(pair)
    last = len(low.a) + 1
    for j, weight in enumerate(low.b, start=1):
        for slip, mutant in mutants(weight, {Fraction(1), *low.c}):
            wrong = with_weight(low, (last, j), mutant)
            assert not is_exact_along_the_flow(wrong), slip
            if "end" not in slip:
                assert checks.classical_order(wrong, up_to=low.order) < low.order, slip


# --- the estimate, measured -----------------------------------------------------------------------


def estimate(pair: Tableau, problem: Problem, h: float) -> float:
    """Return the estimate of the first step of length h, by its rows."""
    inputs = tuple((f"N{j}", w) for j, w in enumerate(pair.error, start=1) if w != ZERO)
    end = f"N{len(pair.error)}" if pair.estimate_reads_end else "N+"
    rows = (*pair.step().instructions, Evaluate("y+", Fraction(1), end), Combine("E", (), inputs))
    step = Step(rows, carry=((BASE, "y+"),))
    t = problem.t_span[0]
    coefficients = iter(step_coefficients(step, problem.linear, {0: t, 1: t + h}))
    found = {BASE: problem.y0}
    for row in rows:
        if isinstance(row, Evaluate):
            found[row.slot] = problem.nonlinear(t + float(row.at) * h, found[row.state])
        else:
            assert isinstance(row, Combine)
            terms = [_times(next(coefficients), found[name]) for name in row.sources]
            found[row.dst] = np.sum(terms, axis=0)
    assert next(coefficients, None) is None
    return float(np.linalg.norm(found["E"]))


def _times(coefficient: np.ndarray, value: np.ndarray) -> np.ndarray:
    return coefficient @ value if np.ndim(coefficient) == 2 else coefficient * value


@pytest.mark.parametrize("name", ["coupled", "complex_diagonal", "time_dependent", "dense"])
@each_pair
def test_the_estimate_has_the_embedded_order_plus_one(pair: Tableau, name: str) -> None:
    problem = problems.get(name)
    sizes = [2.0**-k for k in range(4, 9)]
    errors = np.array([estimate(pair, problem, h) for h in sizes])
    slopes = np.log2(errors[:-1] / errors[1:])
    assert abs(slopes[-1] - (pair.embedded_order + 1)) < 0.15


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("embedded", "order", "message"),
    [
        ((phi(1),), 1, "1 embedded weights for 2 stages"),
        ((ZERO, ZERO, ZERO, phi(1)), 1, "4 embedded weights for 2 stages"),
        ((), 1, "embedded_order=1 without embedded weights"),
        ((phi(1), ZERO), 0, "embedded_order=0 must be at least 1 and below order=2"),
        ((phi(1), ZERO), 2, "embedded_order=2 must be at least 1 and below order=2"),
    ],
)
def test_embedded_values_are_checked(embedded: tuple[Phi, ...], order: int, message: str) -> None:
    heun = etdrk.ETD2RK
    with pytest.raises(InvalidArgument, match=f"etd2rk: {message}"):
        replace(heun, embedded=embedded, embedded_order=order)
    numbers = tuple(Fraction(w == phi(1)) for w in embedded)
    with pytest.raises(InvalidArgument, match=f"heun2: {message}"):
        replace(methods.CLASSICAL["heun2"], embedded=numbers, embedded_order=order)


def pair_of(embedded: dict[int, Phi]) -> Tableau:
    return exponential_runge_kutta(
        "own",
        (0, 1),
        {},
        {2: phi(2)},
        order=2,
        stiff_order=2,
        reference="this test",
        embedded=embedded,
        embedded_order=1,
    )


def test_the_first_embedded_weight_follows_from_the_row() -> None:
    assert pair_of({}).embedded == (phi(1), ZERO), "exponential Euler"
    assert pair_of({2: phi(3)}).embedded == (phi(1) - phi(3), phi(3))
    assert pair_of({3: phi(3)}).embedded == (phi(1) - phi(3), ZERO, phi(3))
    for wrong in (1, 4):
        with pytest.raises(InvalidArgument, match="embedded also has 3, for N at the new value"):
            pair_of({wrong: phi(1)})


def test_embedded_values_are_those_of_the_pairs() -> None:
    assert len(EMBEDDED) == len(PAIRS) == len(DECLARED)
