"""Published weights of multistep samplers: what they change, what they keep, and slips in them."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from math import factorial

import numpy as np
import pytest

from semilinear import InvalidArgument
from semilinear.coefficients import step_coefficients, weights_of_moments
from semilinear.methods import Multistep
from semilinear.methods.rows import Combine, Lagrange
from semilinear.methods.simplified import (
    END,
    HALF,
    HALF_SECOND,
    dpm_multistep,
    exact,
    sa_solver,
    unipc,
)
from semilinear.phi import phi
from semilinear.propagators import Scalar

METHODS = {
    method.name: method
    for method in (
        dpm_multistep(2),
        dpm_multistep(3),
        *(unipc(k) for k in range(1, 6)),
        *(unipc(k, "bh1") for k in range(1, 6)),
        sa_solver(),
        sa_solver(mode="PECE"),
        sa_solver(3, 4),
        sa_solver(1, 1),
        sa_solver(4, 2),
        sa_solver(1, 4),
        sa_solver(2, 4),
    )
}
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
POINTS = {-4: -1.9, -3: -1.2, -2: -0.8, -1: -0.5, 0: 0.0, 1: 0.3}
H = POINTS[1]


def moments(method: Multistep, row: int, known: int, linear: complex | float) -> list[float]:
    """``sum_j W_j theta_j^m / h`` of a row with weights of N; exact weights give m! phi_{m+1}."""
    step = method.step(known, evaluated=method.mode != "P")
    found = step_coefficients(step, Scalar(linear), POINTS)
    place = 0
    rows = []
    for instruction in step.instructions:
        if isinstance(instruction, Combine):
            own = found[place + 1 : place + len(instruction.sources)]
            rows.append((own, [w.nodes for _, w in instruction.inputs if isinstance(w, Lagrange)]))
            place += len(instruction.sources)
    weights, (nodes, *_) = rows[row]
    theta = np.array([POINTS[q] / H for q in nodes])
    return [float(np.dot(weights, theta**m)) / H for m in range(len(nodes))]


def exact_moments(count: int, z: float) -> list[float]:
    """m! phi_{m+1}(z), by the series."""
    series = [
        sum(z**k / factorial(k + m + 1) for k in range(30)) * factorial(m) for m in range(count)
    ]
    return [float(x) for x in series]


LINEAR = -1.7
Z = LINEAR * H
PUBLISHED = {
    # Which moment of how many nodes, and what stands in its place.
    "half": (1, 2, lambda: exact_moments(1, Z)[0] / 2),
    "end": (1, 2, lambda: 0.5),
    "half second": (2, 3, lambda: exact_moments(3, Z)[2] / 2),
}


@pytest.mark.parametrize(
    ("method", "row", "known", "rule"),
    [
        (dpm_multistep(2), 0, 1, "half"),
        (dpm_multistep(3), 0, 1, "half"),
        (dpm_multistep(3), 0, 2, "half second"),
        (unipc(1), 1, 0, "half"),
        (unipc(1, "bh1"), 1, 0, "end"),
        (unipc(2), 0, 1, "half"),
        (unipc(3, "bh1"), 0, 1, "end"),
        (sa_solver(), 0, 1, "end"),
        (sa_solver(), 1, 1, "end"),
    ],
)
def test_one_moment_is_replaced(method: Multistep, row: int, known: int, rule: str) -> None:
    found = moments(method, row, known, LINEAR)
    place, count, value = PUBLISHED[rule]
    expected = exact_moments(count, Z)
    assert abs(expected[place] - value()) > 1e-3
    expected[place] = value()
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@each_method
def test_other_weights_are_exact(method: Multistep) -> None:
    for known in range(method.history + 1):
        for row in range(1 + (method.mode != "P")):
            found = moments(method, row, known, LINEAR)
            if len(found) not in dict(method.simplified):
                np.testing.assert_allclose(found, exact_moments(len(found), Z), rtol=1e-11)


@each_method
def test_exact_weights(method: Multistep) -> None:
    other = exact(method)
    assert other.simplified == ()
    assert (other.values, other.mode, other.corrector) == (
        method.values,
        method.mode,
        method.corrector,
    )
    for known in range(method.history + 1):
        for row in range(1 + (method.mode != "P")):
            found = moments(other, row, known, LINEAR)
            np.testing.assert_allclose(found, exact_moments(len(found), Z), rtol=1e-11)


def nonstiff_order(method: Multistep) -> int:
    """Order for L = 0: of a pair what the corrector integrates, at most one more than the other."""
    orders = []
    for row in range(1 + (method.mode != "P")):
        found = moments(method, row, method.history, 0.0)
        right = exact_moments(len(found), 0.0)
        close = [abs(a - b) < 1e-12 for a, b in zip(found, right, strict=True)]
        orders.append([*close, False].index(False))
    return min(orders[0] + 1, orders[1]) if len(orders) == 2 else orders[0]


@each_method
def test_the_declared_order_is_that_without_a_linear_part(method: Multistep) -> None:
    assert nonstiff_order(method) == method.order
    assert nonstiff_order(exact(method)) == exact(method).order


@pytest.mark.parametrize(
    ("method", "simpler"),
    [
        (dpm_multistep(2), ((2, ((1, phi(1) * Fraction(51, 100)),)),)),
        (unipc(1), ((2, ((1, phi(1) / 3),)),)),
        (unipc(2), ((2, ((1, phi(1) / 3),)),)),
        (unipc(1, "bh1"), ((2, ((1, phi(0, 1, 1)),)),)),
        (sa_solver(), ((2, ((1, phi(0, 1, 1) / 3),)),)),
    ],
)
def test_a_slip_in_a_moment_costs_the_order(method: Multistep, simpler) -> None:
    wrong = replace(method, name="a slip", simplified=simpler)
    assert nonstiff_order(wrong) < method.order


def test_a_slip_in_the_corrector_nodes_costs_the_order() -> None:
    for order in range(2, 6):
        fewer = replace(unipc(order), name=f"fewer nodes {order}", corrector=order)
        assert nonstiff_order(fewer) == order
    assert nonstiff_order(replace(sa_solver(3, 4), name="fewer nodes", corrector=3)) == 3


def test_half_of_the_second_moment_is_of_order_two_and_what_was_meant_of_three() -> None:
    published = dpm_multistep(3)
    assert published.order == nonstiff_order(published) == 2
    meant = replace(published, name="meant", simplified=((2, HALF), (3, ((2, 2 * phi(3)),))))
    assert nonstiff_order(meant) == 3
    assert (
        ((1, phi(1) / 2),),
        ((1, phi(0, 1, 1) / 2),),
        ((2, phi(3)),),
    ) == (HALF, END, HALF_SECOND)


@pytest.mark.parametrize("count", range(1, 6))
def test_weights_of_moments_solve_their_system(count: int) -> None:
    rng = np.random.default_rng(count)
    offsets = [0.0, *np.cumsum(-rng.uniform(0.4, 1.5, count - 1))]
    wanted = rng.standard_normal(count)
    weights = weights_of_moments(offsets, wanted.tolist())
    matrix = np.vander(offsets, increasing=True).T
    np.testing.assert_allclose(matrix @ weights, wanted, rtol=1e-10, atol=1e-10)


def test_bad_parameters() -> None:
    for past in (1, 4, 2.5):
        with pytest.raises(
            InvalidArgument, match=f"values={past} must be a whole number from 2 to 3"
        ):
            dpm_multistep(past)
    with pytest.raises(InvalidArgument, match="variant='bh3' must be 'bh1' or 'bh2'"):
        unipc(2, "bh3")
    with pytest.raises(InvalidArgument, match="order=0 must be a whole number of at least 1"):
        unipc(0)
    with pytest.raises(InvalidArgument, match="corrector=-1 must be a whole number of at least 1"):
        sa_solver(2, -1)
    with pytest.raises(InvalidArgument, match="mode"):
        sa_solver(2, 2, mode="P(EC)")


@pytest.mark.parametrize(
    ("simplified", "said"),
    [
        (((2, ((1, Fraction(1, 2)),)),), "moment 1 with 2 nodes=Fraction(1, 2) must be a combin"),
        (((2, ((1, phi(1, 0, 2)),)),), "moment 1 with 2 nodes=phi1[0,2] looks beyond the step"),
        (((2, ((0, phi(1)),)),), "m with 2 nodes=0 must be a whole number from 1 to 1"),
        (((2, ((2, phi(1)),)),), "m with 2 nodes=2 must be a whole number from 1 to 1"),
        (((3, ((1.5, phi(1)),)),), "m with 3 nodes=1.5 must be a whole number from 1 to 2"),
        (((1, ()),), "the number of nodes=1 must be a whole number of at least 2"),
        ((("2", HALF),), "the number of nodes='2' must be a whole number of at least 2"),
        ((2, HALF), "must be a tuple of pairs (number of nodes, moments)"),
        (((2, HALF[0]),), "must be a tuple of pairs (m, weight)"),
        ([(2, HALF)], "must be a tuple of pairs (number of nodes, moments)"),
        (((2, HALF), (2, END)), "has two pairs (number of nodes, moments) for the same number"),
    ],
)
def test_simplified_moments_that_do_not_fit(simplified: object, said: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"^odd: simplified.*{re.escape(said)}"):
        Multistep("odd", 3, "P", 2, "none", simplified=simplified)


def test_fixed_weights_have_no_moments() -> None:
    with pytest.raises(InvalidArgument, match=r"^odd: simplified .* fixed weights there are none"):
        Multistep("odd", 1, "P", 1, "none", fixed=((1,),), simplified=((2, HALF),))


def test_names_tell_methods_apart() -> None:
    """Equal names are equal hashes; caches and plans rely on them."""
    assert len(METHODS) == 19
    assert len({exact(method).name for method in METHODS.values()} | set(METHODS)) == 38


def test_sa_solver_has_two_modes():
    with pytest.raises(InvalidArgument, match="mode='P' is not known; known: PEC, PECE"):
        sa_solver(mode="P")
