"""The test of the tests: whatever single weight of a method is wrong, an exact check notices."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from semilinear import InvalidArgument, methods
from semilinear.methods import Butcher, Multistep, Tableau, checks
from semilinear.phi import Atom
from tableaux import (
    LAWSON,
    REGISTERED_ETDRK,
    REGISTERED_LAWSON,
    SLIP,
    Place,
    is_exact_along_the_flow,
    is_noticed,
    mutants,
    weights,
    with_weight,
    with_weights,
)


@pytest.mark.parametrize("tableau", REGISTERED_ETDRK.values(), ids=REGISTERED_ETDRK)
def test_row_sums_notice_every_weight(tableau: Tableau) -> None:
    for place, weight in weights(tableau).items():
        for slip, wrong in mutants(weight, set()):
            assert not checks.has_row_sums(with_weight(tableau, place, wrong)), slip


# With phi_1(z/2) for phi_1(z) in a_32 this is another method, with all that is declared.
EQUALLY_GOOD = {("etd3rk", (3, 2), f"{Atom(1, Fraction(0), Fraction(1))}: end 1/2")}


@pytest.mark.parametrize("tableau", REGISTERED_ETDRK.values(), ids=REGISTERED_ETDRK)
def test_order_conditions_notice_every_weight_that_is_typed(tableau: Tableau) -> None:
    """The first column follows from the others: the row sums hold, and notice nothing."""
    moments = checks.phi_moments(tableau)
    ends = {Fraction(1), *tableau.c}
    missed: set[tuple[str, Place, str]] = set()
    for place, weight in weights(tableau).items():
        if place[1] > 1:
            for slip, mutant in mutants(weight, ends):
                wrong = with_weights(tableau, {place: mutant})
                assert checks.has_row_sums(wrong)
                if not is_noticed(wrong, moments):
                    missed.add((tableau.name, place, slip))
    assert missed == {known for known in EQUALLY_GOOD if known[0] == tableau.name}


ALL_LAWSON = {**REGISTERED_LAWSON, **LAWSON}


@pytest.mark.parametrize("tableau", ALL_LAWSON.values(), ids=ALL_LAWSON)
def test_every_weight_of_lawson_is_noticed(tableau: Tableau) -> None:
    """A wrong number costs order; of a flow over a wrong interval the order notices only some."""
    for place, weight in weights(tableau).items():
        for slip, mutant in mutants(weight, {Fraction(1), *tableau.c}):
            wrong = with_weight(tableau, place, mutant)
            assert not is_exact_along_the_flow(wrong), slip
            if "end" not in slip:
                assert checks.classical_order(wrong, up_to=tableau.order) < tableau.order, slip


@pytest.mark.parametrize("tableau", methods.CLASSICAL.values(), ids=methods.CLASSICAL)
def test_order_conditions_notice_every_classical_weight(tableau: Butcher) -> None:
    """The nodes follow from the weights a, and the sum of the weights b is checked when made."""
    for j in range(len(tableau.b)):
        with pytest.raises(ValueError, match="add up to 1"):
            replace(tableau, b=_slipped(tableau.b, j))
    for i, row in enumerate(tableau.a):
        for j in range(len(row)):
            a = (*tableau.a[:i], _slipped(row, j, sign=-1), *tableau.a[i + 1 :])
            wrong = methods.lawson(replace(tableau, a=a))
            assert checks.classical_order(wrong, up_to=tableau.order) < tableau.order, (i, j)


def _slipped(
    row: tuple[Fraction | int, ...], j: int, *, sign: int = 1
) -> tuple[Fraction | int, ...]:
    return (*row[:j], row[j] + sign * SLIP, *row[j + 1 :])


@pytest.mark.parametrize("past", range(1, 5))
def test_moments_notice_every_fixed_weight(past: int) -> None:
    method = methods.ipndm(past)
    for j in range(past):
        wrong = _slipped(method.fixed[-1], j)
        with pytest.raises(InvalidArgument, match=f"of {past} values must add up to 1"):
            replace(method, fixed=(*method.fixed[:-1], wrong))
        for i in range(j):
            # A constant N stays exact; without a linear part a linear one does not.
            pair = replace(method, fixed=(*method.fixed[:-1], _slipped(wrong, i, sign=-1)))
            assert checks.adams_moments(pair) == 1
            assert classical_moments(pair) == 1
    assert classical_moments(method) == past


def classical_moments(method: Multistep) -> int:
    """Return how many powers the weights integrate over a uniform step where L = 0."""
    for m in range(method.values):
        if sum(w * (-q) ** m for q, w in enumerate(method.fixed[-1])) != Fraction(1, m + 1):
            return m
    return method.values
