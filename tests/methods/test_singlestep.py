"""One-step methods of diffusion samplers: orders by the tree conditions, nodes, slips."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from math import log

import pytest

from semilinear import InvalidArgument, problems, solve
from semilinear.methods import Tableau, checks
from semilinear.methods.singlestep import dpm2, dpm3, dpm12, dpm23, res3
from semilinear.methods.stiff import stiff_order
from semilinear.phi import phi
from tableaux import is_noticed, mutants, weights, with_weight, with_weights

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
TABLEAUX = {
    tableau.name: tableau
    for tableau in (
        *(dpm2(c) for c in (Fraction(1, 4), THIRD, HALF, 1)),
        dpm3(),
        dpm3(HALF, 2 * THIRD),
        dpm3(THIRD, HALF),
        dpm3(Fraction(1, 4), 1),
        res3(),
        res3(THIRD, 2 * THIRD),
        res3(HALF, Fraction(3, 4)),
        res3(1, HALF),
    )
}
each_tableau = pytest.mark.parametrize("tableau", TABLEAUX.values(), ids=TABLEAUX)


@each_tableau
def test_orders_are_those_declared(tableau: Tableau) -> None:
    assert checks.has_row_sums(tableau)
    assert checks.classical_order(tableau, up_to=tableau.order + 1) == tableau.order
    assert stiff_order(tableau, up_to=tableau.order + 1) == tableau.stiff_order


@pytest.mark.parametrize("order", [2, 3])
def test_pairs_of_dpm_solver(order: int) -> None:
    """Values are those of both methods on the stages of the higher one, whose evaluations serve."""
    pair, high = (dpm12(), dpm2()) if order == 2 else (dpm23(), dpm3())
    assert (pair.c, pair.a, pair.b, pair.evaluations) == (high.c, high.a, high.b, order)
    low = checks.embedded_value(pair)
    assert checks.classical_order(low) == stiff_order(low) == pair.embedded_order == order - 1
    assert checks.has_row_sums(low)
    assert not pair.estimate_reads_end
    none = phi(0) - phi(0)
    if order == 2:
        assert pair.embedded == (phi(1), none)
    else:
        assert pair.c[1] == THIRD
        assert pair.embedded == (*dpm2(THIRD).b, none)
    for at in range(len(pair.embedded)):
        for _, wrong in mutants(pair.embedded[at], set()):
            embedded = (*pair.embedded[:at], wrong, *pair.embedded[at + 1 :])
            slip = replace(pair, name="a slip", embedded=embedded)
            assert not checks.has_row_sums(checks.embedded_value(slip))


@pytest.mark.parametrize("pair", [dpm12(), dpm23()], ids=lambda pair: pair.name)
def test_adaptive_steps_of_the_pairs_follow_the_tolerance(pair: Tableau) -> None:
    p = problems.coupled()
    errors, counts = [], []
    for rtol in (1e-3, 1e-5):
        found = solve(
            p.linear, p.nonlinear, p.t_span, p.y0, method=pair, rtol=rtol, atol=rtol / 1e3
        )
        assert found.success
        errors.append(abs(found.y[:, -1] - p.exact(p.t_span[1])).max())
        counts.append(found.stats["steps"])
    assert errors[0] < 0.1
    assert errors[1] < errors[0] / 10
    # Steps shrink as the root of the order of the estimate.
    assert 0.6 < log(counts[1] / counts[0]) / (log(100) / pair.order) < 1.4


def test_only_the_refined_method_has_all_moments() -> None:
    """``sum b_j c_j^(q-1) = (q-1)! phi_q`` for every z, not at z = 0 alone (Zhang et al. 2023)."""
    assert checks.phi_moments(dpm2()) == 1
    assert checks.phi_moments(dpm3()) == 2
    assert checks.phi_moments(res3()) == 2
    moment = sum((b * c**2 for b, c in zip(res3().b, res3().c, strict=True)), start=phi(0) - phi(0))
    assert moment.for_constant_linear_part() != (2 * phi(3)).for_constant_linear_part()


def test_weights_as_published() -> None:
    """DPM-Solver (Lu et al. 2022a), algorithms 4 and 5; Hochbruck and Ostermann (2005), eq. 5.9."""
    assert dpm2().b == (phi(1) - phi(1), phi(1))
    assert dpm2(1).b == (HALF * phi(1), HALF * phi(1))
    three = dpm3()
    assert three.a[2][1] == Fraction(4, 3) * phi(2, 0, 2 * THIRD)
    assert three.b[1:] == (phi(2) - phi(2), Fraction(3, 2) * phi(2))
    assert res3().a[2][1] == 2 * phi(2, 0, HALF) + 2 * phi(2)
    assert res3().b[1:] == (Fraction(4, 3) * phi(2), THIRD * phi(2))


def test_circulating_misprint_of_the_refined_method() -> None:
    """c_3^3 for c_3^2 in gamma costs the third order, except where c_3 = 1 hides it."""
    c2, c3 = HALF, Fraction(3, 4)
    gamma = (3 * c3**3 - 2 * c3) / (c2 * (2 - 3 * c2))
    total = gamma * c2 + c3
    wrong = with_weights(
        res3(c2, c3),
        {
            (3, 2): gamma * c2 * phi(2, 0, c2) + (c3**2 / c2) * phi(2, 0, c3),
            (4, 2): (gamma / total) * phi(2),
            (4, 3): (1 / total) * phi(2),
        },
    )
    assert checks.has_row_sums(wrong)
    assert checks.classical_order(wrong, up_to=3) == 2


@each_tableau
def test_every_weight_is_noticed(tableau: Tableau) -> None:
    moments = checks.phi_moments(tableau)
    for place, weight in weights(tableau).items():
        for slip, mutant in mutants(weight, set()):
            assert not checks.has_row_sums(with_weight(tableau, place, mutant)), slip
            if place[1] == 1 or "index" in slip:
                continue
            wrong = with_weights(tableau, {place: mutant})
            if tableau.order == 3 or place[0] == len(tableau.c) + 1:
                assert is_noticed(wrong, moments), (place, slip)


@pytest.mark.parametrize("value", [0, -1, Fraction(3, 2), "a", float("nan"), None])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda c: dpm2(c), "c2"),
        (lambda c: dpm3(c, 1), "c2"),
        (lambda c: dpm3(Fraction(1, 8), c), "c3"),
        (lambda c: res3(HALF, c), "c3"),
    ],
)
def test_nodes_outside_the_step(make, name, value) -> None:
    with pytest.raises(
        InvalidArgument, match=rf"{name}={re.escape(str(value))}|{name}={re.escape(repr(value))}"
    ):
        make(value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dpm3(2 * THIRD, THIRD), "c2=2/3, c3=1/3: need c2 < c3"),
        (lambda: res3(HALF, HALF), "c2=1/2, c3=1/2: need c2 != c3"),
        (lambda: res3(2 * THIRD, 1), "c2 not 2/3|c2 != 2/3"),
    ],
)
def test_nodes_that_do_not_go_together(make, message) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()
