"""What every method declares is proved from its data, in exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest

from semilinear import InvalidArgument, methods
from semilinear.methods import (
    Butcher,
    Multistep,
    Tableau,
    checks,
    etdrk,
    exponential_runge_kutta,
    pairs,
)
from semilinear.methods.checks import Tree
from semilinear.methods.stiff import conditions, stiff_order
from semilinear.phi import ZERO, phi
from tableaux import (
    EMBEDDED,
    ETD2RK_FAMILY,
    LAWSON,
    REGISTERED_ETDRK,
    REGISTERED_LAWSON,
    is_exact_along_the_flow,
)

HALF = Fraction(1, 2)
LOW = {f"{n} (embedded)": t for n, t in EMBEDDED.items()}
LOW_LAWSON = {n: t for n, t in LOW.items() if n.startswith("lawson")}
TABLEAUX = {**REGISTERED_ETDRK, **ETD2RK_FAMILY, **REGISTERED_LAWSON, **LAWSON, **LOW}
EXPONENTIAL = {
    **REGISTERED_ETDRK,
    **ETD2RK_FAMILY,
    **{n: t for n, t in LOW.items() if n not in LOW_LAWSON},
}

each_tableau = pytest.mark.parametrize("tableau", TABLEAUX.values(), ids=TABLEAUX)
each_exponential = pytest.mark.parametrize("tableau", EXPONENTIAL.values(), ids=EXPONENTIAL)
each_classical = pytest.mark.parametrize(
    "tableau", methods.CLASSICAL.values(), ids=methods.CLASSICAL
)


@each_tableau
def test_the_declared_order_is_the_order(tableau: Tableau) -> None:
    assert checks.classical_order(tableau, up_to=tableau.order + 1) == tableau.order


@each_tableau
def test_the_declared_stiff_order_is_the_stiff_order(tableau: Tableau) -> None:
    assert stiff_order(tableau, up_to=tableau.stiff_order + 1) == tableau.stiff_order


@each_exponential
def test_row_sums(tableau: Tableau) -> None:
    assert not is_exact_along_the_flow(tableau)
    assert checks.has_row_sums(tableau)
    # Over the very intervals too, so that a constant N is exact for every L(t) and B(t).
    for c, row in zip((*tableau.c, Fraction(1)), (*tableau.a, tableau.b), strict=True):
        assert sum(row, ZERO) == (c * phi(1, 0, c) if c else ZERO)


@pytest.mark.parametrize(
    "tableau", [*LAWSON.values(), *LOW_LAWSON.values()], ids=[*LAWSON, *LOW_LAWSON]
)
def test_lawson_methods_are_exact_along_the_flow_and_not_for_a_constant(tableau: Tableau) -> None:
    assert is_exact_along_the_flow(tableau)
    assert not checks.has_row_sums(tableau)
    assert checks.phi_moments(tableau) == 0


def test_phi_moments() -> None:
    found = {name: checks.phi_moments(tableau) for name, tableau in REGISTERED_ETDRK.items()}
    assert found == {
        "etd1": 1,
        "etd2rk": 2,
        "etd3rk": 3,
        "etd4rk": 3,
        "krogstad4": 3,
        "strehmel_weiner4": 3,
        "friedli4": 3,
        "hochbruck_ostermann4": 3,
        "luan4": 3,
        "luan_ostermann5": 4,
        "zoto_bowman32": 2,
        "zoto_bowman43": 3,
        "etd35": 3,
    }
    assert {checks.phi_moments(tableau) for tableau in ETD2RK_FAMILY.values()} == {2}


@pytest.mark.parametrize(("frm", "to"), [(-HALF, HALF), (HALF, 1 + HALF), (-1, 0)])
def test_a_weight_beyond_the_step_is_refused(frm: Fraction, to: Fraction) -> None:
    pair = pairs.ZOTO_BOWMAN32
    for place, change in {
        r"b\[1\]": {"b": (pair.b[0], phi(2, frm, to), *pair.b[2:])},
        r"a\[1\]\[0\]": {"a": ((), (phi(1, frm, to),), *pair.a[2:])},
        r"embedded\[0\]": {"embedded": (phi(2, frm, to), *pair.embedded[1:])},
    }.items():
        with pytest.raises(InvalidArgument, match=f"^zoto_bowman32: {place}=.* beyond the step"):
            replace(pair, **change)


@pytest.mark.parametrize("name", [name for name in TABLEAUX if name not in LOW])
def test_no_method_here_is_first_same_as_last(name: str) -> None:
    assert not checks.is_first_same_as_last(TABLEAUX[name])


def test_first_same_as_last_is_noticed() -> None:
    last = exponential_runge_kutta(
        "fsal", (0, 1, 1), {(3, 2): phi(2)}, {2: phi(2)}, order=2, stiff_order=2, reference=""
    )
    assert checks.is_first_same_as_last(last)
    assert not checks.is_first_same_as_last(replace(last, c=(Fraction(0), Fraction(1), HALF)))
    assert not checks.is_first_same_as_last(replace(last, a=(*last.a[:2], (phi(1), ZERO))))
    assert not checks.is_first_same_as_last(replace(last, b=(*last.b[:2], phi(2))))


# --- multistep methods --------------------------------------------------------------------------


def multistep(name: str) -> Multistep:
    method = methods.get(name)
    assert isinstance(method, Multistep)
    return method


def test_adams_moments_are_the_order() -> None:
    for k in range(1, 7):
        method = multistep(f"etdab{k}")
        assert checks.adams_moments(method) == k == method.order
    for k in range(2, 7):
        for name in (f"etdpec{k}", f"etdpece{k}"):
            method = multistep(name)
            assert checks.adams_moments(method) == k - 1, "predictor"
            assert checks.adams_moments(method, corrector=True) == k == method.order


@pytest.mark.parametrize(
    ("method", "order", "without"),
    [
        (methods.ipndm(2), 2, 2),
        (methods.ipndm(4), 2, 4),
        (methods.ipndm_v(3), 2, 3),
        (methods.ipndm_v(4), 2, 3),  # the last moment is wrong on even grids, too
        (methods.dpm_multistep(2), 2, 2),
        (methods.dpm_multistep(3), 2, 2),
        (methods.unipc(1), 2, 2),
        (methods.unipc(3), 4, 4),
        (methods.unipc(2, "bh1"), 3, 3),
        (methods.sa_solver(3, 4), 4, 4),
        (methods.sa_solver(1, 4), 2, 2),  # the predictor is of order one
        (methods.sa_solver(4, 2), 2, 2),
        (Multistep("late", 3, "P", 3, "me", simplified=((3, ((1, phi(1) / 2),)),)), 2, 3),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_orders_of_weights_that_are_not_exact(method: Multistep, order: int, without: int) -> None:
    assert checks.adams_order(method) == order
    assert checks.adams_order(method, linear=False) == without


def test_orders_of_exact_weights_are_those_declared() -> None:
    for method in map(methods.get, methods.names()):
        if isinstance(method, Multistep):
            assert checks.adams_order(method) == method.order
            assert checks.adams_order(method, linear=False) == method.order


def test_weights_on_a_uniform_grid_are_the_published_ones() -> None:
    second = [phi(1) + phi(2), -phi(2)]
    assert checks.uniform_weights([0, -1]) == second
    fourth = [
        -3 * phi(2) - 5 * phi(3) - 3 * phi(4),
        Fraction(3, 2) * phi(2) + 4 * phi(3) + 3 * phi(4),
        -Fraction(1, 3) * phi(2) - phi(3) - phi(4),
    ]
    assert checks.uniform_weights([0, -1, -2, -3]) == [phi(1) - sum(fourth, ZERO), *fourth]


ADAMS_BASHFORTH = {
    1: "1",
    2: "3/2 -1/2",
    3: "23/12 -4/3 5/12",
    4: "55/24 -59/24 37/24 -3/8",
    5: "1901/720 -1387/360 109/30 -637/360 251/720",
    6: "4277/1440 -2641/480 4991/720 -3649/720 959/480 -95/288",
}
ADAMS_MOULTON = {
    2: "1/2 1/2",
    3: "5/12 2/3 -1/12",
    4: "3/8 19/24 -5/24 1/24",
    5: "251/720 323/360 -11/30 53/360 -19/720",
    6: "95/288 1427/1440 -133/240 241/720 -173/1440 3/160",
}


def test_without_a_linear_part_the_weights_are_those_of_adams() -> None:
    for k, text in ADAMS_BASHFORTH.items():
        weights = checks.uniform_weights([-q for q in range(k)])
        assert [w.series(1)[0] for w in weights] == [Fraction(x) for x in text.split()]
    for k, text in ADAMS_MOULTON.items():
        weights = checks.uniform_weights([1, *(-q for q in range(k - 1))])
        assert [w.series(1)[0] for w in weights] == [Fraction(x) for x in text.split()]


@pytest.mark.parametrize("past", range(1, 5))
def test_fixed_weights_are_those_of_adams_behind_phi_1(past: int) -> None:
    method = methods.ipndm(past)
    for known in range(1, past + 1):
        text = ADAMS_BASHFORTH[known]
        assert list(method.fixed[known - 1]) == [Fraction(x) for x in text.split()]
    # A constant N is exact; a linear one is not, unless there is no linear part.
    assert checks.adams_moments(method) == 1
    assert method.order == min(past, 2)


# --- the checks themselves ----------------------------------------------------------------------


def test_all_trees_are_there() -> None:
    """Count them by the Euler transform: N takes any forest, L one tree or none."""
    counts = {0: 0}
    forests = [1]
    for n in range(1, 8):
        counts[n] = forests[n - 1] + (counts[n - 1] if n > 1 else 1)
        sums = [sum(d * counts[d] for d in range(1, m + 1) if m % d == 0) for m in range(n + 1)]
        forests.append(sum(sums[m] * forests[n - m] for m in range(1, n + 1)) // n)
        found = checks.trees(n)
        assert len(found) == len(set(found)) == counts[n]
        assert {checks.order_of(tree) for tree in found} == {n}
    assert [counts[n] for n in (1, 2, 3, 4, 5)] == [2, 4, 11, 34, 117]


def test_the_exact_solution_has_weight_one_over_density() -> None:
    """A tree is a monomial in t: its derivative is the product of the children of its root."""

    def weight(tree: Tree) -> tuple[Fraction, int]:
        value, power = Fraction(1), 0
        for child in tree[1]:
            factor, degree = weight(child)
            value, power = value * factor, power + degree
        return value / (power + 1), power + 1

    for order in range(1, 6):
        for tree in checks.trees(order):
            assert weight(tree) == (Fraction(1, checks.density(tree)), order)


def test_there_is_a_stiff_condition_for_each_rooted_tree() -> None:
    tableau = etdrk.LUAN_OSTERMANN5
    counts = [len(list(conditions(tableau, order, weak=True))) for order in range(1, 7)]
    assert counts == [1, 1, 2, 4, 9, 20]


Rooted = tuple["Rooted", ...]


def rooted_trees(order: int) -> set[Rooted]:
    """Return all rooted trees, by putting a leaf on every node of the smaller ones."""
    if order == 1:
        return {()}

    def grown(tree: Rooted) -> set[Rooted]:
        more = {tuple(sorted((*tree, ())))}
        for i, child in enumerate(tree):
            rest = tree[:i] + tree[i + 1 :]
            more |= {tuple(sorted((*rest, new))) for new in grown(child)}
        return more

    return set().union(*(grown(tree) for tree in rooted_trees(order - 1)))


def classical_conditions_hold(tableau: Butcher, order: int) -> bool:
    """Tell whether ``sum_i b_i Phi_i = 1 / gamma`` for every rooted tree of this order."""

    def stages(tree: Rooted) -> list[Fraction]:
        inner = [stages(child) for child in tree]
        column = [
            math.prod((x[i] for x in inner), start=Fraction(1)) for i in range(len(tableau.b))
        ]
        return [sum((w * x for w, x in zip(r, column, strict=False)), Fraction(0)) for r in rows]

    def gamma(tree: Rooted) -> tuple[int, int]:
        below = [gamma(child) for child in tree]
        size = 1 + sum(n for n, _ in below)
        return size, size * math.prod(g for _, g in below)

    rows = [*tableau.a, tableau.b]
    return all(stages(t)[-1] * gamma(t)[1] == 1 for t in rooted_trees(order))


@each_classical
def test_classical_tableaux_have_their_order(tableau: Butcher) -> None:
    held = [classical_conditions_hold(tableau, p) for p in range(1, tableau.order + 2)]
    assert held == [True] * tableau.order + [False]


def test_the_classical_order_is_that_of_a_tableau() -> None:
    with pytest.raises(
        InvalidArgument, match=r"^tableau=Multistep\(.* must be a Tableau; .*adams_m"
    ):
        checks.classical_order(methods.get("etdab3"))


def test_moments_are_those_of_the_rows() -> None:
    short = Multistep("mine", 3, "PEC", 4, "me", corrector=2)
    assert checks.adams_moments(short) == 3
    assert checks.adams_moments(short, corrector=True) == 2
    assert checks.adams_moments(methods.dpm_multistep(3)) == 2  # half of the second moment
    assert checks.adams_moments(methods.sa_solver(3, 2), corrector=True) == 1


def test_what_has_no_moments_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="of a Tableau, classical_order"):
        checks.adams_moments(methods.get("etd4rk"))
    with pytest.raises(InvalidArgument, match="mode P, without a corrector"):
        checks.adams_moments(methods.get("etdab3"), corrector=True)
    with pytest.raises(InvalidArgument, match=r"up_to=2\.5"):
        checks.classical_order(methods.get("etd4rk"), up_to=2.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: methods.res3(2 / 3, 1), "c2=0.66.* rounds a fraction"),
        (lambda: methods.dpm3(1 / 3, 2 / 3), "c2=0.33.* rounds a fraction"),
        (lambda: methods.etd2rk(1 / 3), "rounds a fraction"),
        (lambda: Multistep("own", 2, "P", 2, "me", fixed=((1,), (1, 1))), "2 values must add up"),
        (lambda: Multistep("own", 1, "P", 1, "me", fixed=((0.1,),)), "rounds a fraction"),
        (lambda: Multistep("own", 2, "P", "two", "me"), "order='two'"),
        (lambda: methods.VariableOrder("own", "PEC", 2.5, "me"), "most=2.5"),
    ],
)
def test_data_of_methods_that_are_none(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()
