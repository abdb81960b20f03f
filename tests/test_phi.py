"""The algebra of phi atoms: exact, immutable, linear, and true to the definition of phi_k."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from fractions import Fraction
from math import comb, factorial

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from semilinear.errors import InvalidArgument
from semilinear.phi import ZERO, Atom, Phi, phi
from strategies import atoms, combinations, nodes, small_fractions

HALF = Fraction(1, 2)
TERMS = 8


@given(combinations(), combinations(), combinations())
def test_addition_is_a_commutative_group(x: Phi, y: Phi, z: Phi) -> None:
    assert x + y == y + x
    assert (x + y) + z == x + (y + z)
    assert x + ZERO == x
    assert x - x == x + (-x) == ZERO
    assert (x - y) + y == x


@given(combinations(), combinations(), small_fractions, small_fractions)
def test_multiplication_by_rationals_is_linear(x: Phi, y: Phi, r: Fraction, s: Fraction) -> None:
    assert r * (x + y) == r * x + r * y
    assert (r + s) * x == r * x + s * x
    assert r * (s * x) == (r * s) * x
    assert x * r == r * x
    assert 1 * x == x
    assert 0 * x == ZERO


@given(combinations(), small_fractions.filter(bool))
def test_division_undoes_multiplication(x: Phi, r: Fraction) -> None:
    assert (r * x) / r == x
    assert x / r == x * (1 / r)


@given(combinations(), combinations())
def test_equal_values_have_equal_hashes_and_texts(x: Phi, y: Phi) -> None:
    same = (x + y) - y
    assert same == x
    assert hash(same) == hash(x)
    assert repr(same) == repr(x)
    assert (x == y) == (repr(x) == repr(y)), "the text tells values apart"


@given(combinations())
def test_terms_are_the_nonzero_coefficients(x: Phi) -> None:
    rebuilt = ZERO
    for (k, frm, to), value in x:
        assert value != 0
        rebuilt = rebuilt + value * phi(k, frm, to)
    assert rebuilt == x
    assert bool(x) == (len(list(x)) > 0) == (x != ZERO)


@given(combinations())
def test_pickles_and_copies_are_equal(x: Phi) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(x, protocol)) == x
    assert copy.copy(x) == copy.deepcopy(x) == x


def test_a_value_cannot_be_changed() -> None:
    x = phi(1)
    with pytest.raises(AttributeError, match="immutable"):
        x._terms = ()
    with pytest.raises(AttributeError):
        x.name = "x"
    assert x == phi(1)


def test_operators_leave_their_operands_alone() -> None:
    x, y = phi(1), phi(2)
    _ = x + y, x - y, 3 * x, x / 3, -x
    assert (x, y) == (phi(1), phi(2))


def test_text() -> None:
    assert repr(ZERO) == "0"
    assert repr(phi(1)) == "phi1[0,1]"
    assert repr(2 * phi(2) - phi(1, HALF, 1)) == "-1*phi1[1/2,1] + 2*phi2[0,1]"


def test_an_atom_is_known_by_its_place_and_not_by_its_length() -> None:
    first, second = phi(1, 0, HALF), phi(1, HALF, 1)
    assert first != second
    assert list(first - second) == [(Atom(1, 0, HALF), 1), (Atom(1, HALF, 1), -1)]


@pytest.mark.parametrize("other", [1, 1.0, Fraction(1), "phi", None])
def test_only_combinations_add(other: object) -> None:
    assert phi(1) != other
    for add in (lambda: phi(1) + other, lambda: other + phi(1), lambda: phi(1) - other):
        with pytest.raises(TypeError):
            add()


def test_products_of_phi_functions_are_refused() -> None:
    for product in (lambda: phi(1) * phi(1), lambda: phi(1) / phi(1)):
        with pytest.raises(InvalidArgument, match=r"=phi1\[0,1\] must be a finite rational number"):
            product()
    with pytest.raises(ZeroDivisionError):
        phi(1) / 0


@pytest.mark.parametrize(
    ("k", "frm", "to"),
    [(-1, 0, 1), (1.5, 0, 1), (1, 1, 0), (1, 0, 0), (3, HALF, HALF), (2, 1, HALF)],
)
def test_bad_atoms_are_refused(k: int, frm: Fraction, to: Fraction) -> None:
    with pytest.raises(ValueError, match=rf"phi\({k}, {frm}, {to}\) is not an atom"):
        phi(k, frm, to)


@pytest.mark.parametrize(("frm", "to"), [(0, 0), (HALF, HALF), (1, 0)])
def test_only_the_flow_stands_still_or_runs_backwards(frm: Fraction, to: Fraction) -> None:
    length = to - frm
    assert phi(0, frm, to).series(3) == (1, length, length**2 / Fraction(2))


def coefficient_by_integration(k: int, c: Fraction, m: int) -> Fraction:
    """Return the coefficient of z^m in phi_k(c z), from the integral that defines phi_k.

    int_0^1 (c z (1 - s))^m / m! s^(k-1) / (k-1)! ds, the binomial expanded.
    """
    if k == 0:
        return c**m / Fraction(factorial(m))
    integral = sum(Fraction((-1) ** j * comb(m, j), k + j) for j in range(m + 1))
    return c**m * integral / (factorial(m) * factorial(k - 1))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: 4 / 3 * phi(2), r"factor=1\.33\d* is a float.*fractions\.Fraction\(4, 3\)"),
        (lambda: phi(2) / 0.3, r"divisor=0\.3 is a float.*fractions\.Fraction\(3, 10\)"),
        (lambda: phi(2, 0, 2 / 3), r"to=0\.66\d* is a float.*fractions\.Fraction\(2, 3\)"),
        (lambda: phi(2, np.float64(0.6)), r"frm=.*is a float.*fractions\.Fraction\(3, 5\)"),
        (lambda: float("nan") * phi(1), "factor=nan must be a finite rational number"),
    ],
)
def test_floats_that_round_a_fraction_are_refused(make: Callable[[], Phi], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        make()


def test_whole_floats_and_rationals_of_any_kind_are_taken() -> None:
    assert 0.375 * phi(2, 0, 0.5) == Fraction(3, 8) * phi(2, 0, Fraction(1, 2))
    assert 2.0 * phi(1) == int(np.int64(2)) * phi(1) == 2 * phi(1)
    assert phi(1) * Fraction("1/3") == phi(1) / 3.0 == phi(1) * Fraction(1, 3)


@given(atoms())
def test_series_follows_the_definition(x: Phi) -> None:
    ((k, frm, to), _), *_ = x
    expected = tuple(coefficient_by_integration(k, to - frm, m) for m in range(TERMS))
    assert x.series(TERMS) == expected


@given(combinations(), combinations(), small_fractions)
def test_series_is_linear(x: Phi, y: Phi, r: Fraction) -> None:
    pairs = zip(x.series(TERMS), y.series(TERMS), strict=True)
    assert (r * x + y).series(TERMS) == tuple(r * a + b for a, b in pairs)


@given(st.integers(0, 6), nodes.filter(bool))
def test_series_satisfies_the_recurrence(k: int, c: Fraction) -> None:
    """phi_k(w) = w phi_{k+1}(w) + 1/k! at w = c z."""
    lower, higher = phi(k, 0, c).series(TERMS), phi(k + 1, 0, c).series(TERMS)
    assert lower[0] == Fraction(1, factorial(k))
    assert lower[1:] == tuple(c * x for x in higher[:-1])


def test_series_may_be_empty() -> None:
    assert phi(1).series(0) == ()
    assert ZERO.series(3) == (0, 0, 0)


@given(combinations())
def test_for_constant_linear_part_keeps_the_function(x: Phi) -> None:
    moved = x.for_constant_linear_part()
    assert all(frm == 0 for (_, frm, _), _ in moved)
    assert moved.series(TERMS) == x.series(TERMS)
    assert moved.for_constant_linear_part() == moved


@given(combinations(), combinations())
def test_for_constant_linear_part_decides_equality_as_functions(x: Phi, y: Phi) -> None:
    # Functions e^{cz} z^{-k} are independent: with these few nodes 80 terms tell them apart.
    count = 80
    assume(x != y)
    same = x.for_constant_linear_part() == y.for_constant_linear_part()
    assert same == (x.series(count) == y.series(count))


def test_for_constant_linear_part_merges_intervals_of_one_length() -> None:
    assert (phi(1, 0, HALF) - phi(1, HALF, 1)).for_constant_linear_part() == ZERO
    assert phi(0, HALF, HALF).for_constant_linear_part() == phi(0, 0, 0)
    assert phi(0, 1, HALF).for_constant_linear_part() == phi(0, 0, -HALF)
    assert (phi(2, 0, HALF) - phi(2)).for_constant_linear_part() != ZERO
