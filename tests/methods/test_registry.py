"""Methods by name: what there is, what it costs, and what a wrong name or parameter is told."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from semilinear import InvalidArgument, UnknownName, methods
from semilinear.methods import GridMethod, MethodInfo, Multistep, Tableau, VariableOrder
from semilinear.phi import phi

# Name: order, stiff order, past values, evaluations per step.
DEMANDED = {
    "etd1": (1, 1, 0, 1),
    "etd2rk": (2, 2, 0, 2),
    "etd3rk": (3, 2, 0, 3),
    "etd4rk": (4, 2, 0, 4),
    "krogstad4": (4, 3, 0, 4),
    "strehmel_weiner4": (4, 3, 0, 4),
    "friedli4": (4, 3, 0, 4),
    "hochbruck_ostermann4": (4, 4, 0, 5),
    "luan4": (4, 4, 0, 6),
    "luan_ostermann5": (5, 5, 0, 8),
    "lawson1": (1, 1, 0, 1),
    "lawson2": (2, 1, 0, 2),
    "lawson4": (4, 1, 0, 4),
    "lawson54": (5, 1, 0, 6),
    "lawson32": (3, 1, 0, 3),
    "etd35": (5, 3, 0, 6),
    "zoto_bowman32": (3, 3, 0, 3),
    "zoto_bowman43": (4, 4, 0, 5),
    **{f"etdab{k}": (k, k, k - 1, 1) for k in range(1, 7)},
    **{f"etdpec{k}": (k, k, k - 2, 1) for k in range(2, 7)},
    **{f"etdpece{k}": (k, k, k - 2, 2) for k in range(2, 7)},
    "etdpec": (6, 6, 5, 1),
    "etdpece": (6, 6, 5, 2),
}

ALIASES = {
    "exponential_euler": "etd1",
    "norsett_euler": "etd1",
    "etdrk2": "etd2rk",
    "etdrk3": "etd3rk",
    "etdrk4": "etd4rk",
    "cox_matthews4": "etd4rk",
    "etdrk4b": "krogstad4",
    "etd34": "krogstad4",
    "exprk4s5": "hochbruck_ostermann4",
    "exprk4s6": "luan4",
    "exprk5s8": "luan_ostermann5",
    "if4": "lawson4",
    "integrating_factor4": "lawson4",
    "lawson5": "lawson54",
    "zb32": "zoto_bowman32",
    "zb43": "zoto_bowman43",
}


def test_names_are_sorted_and_complete() -> None:
    names = list(methods.names())
    assert names == sorted(names)
    assert set(DEMANDED) <= set(names)
    assert not set(ALIASES) & set(names)


def test_the_table_of_names_shows_what_a_method_costs() -> None:
    table = methods.names()
    assert all(table[name] == methods.info(name) for name in table)
    title, *lines = repr(table).splitlines()
    assert title.split() == ["name", "order", "stiff", "order", "past", "values", "evaluations"]
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows == {
        m.name: [m.orders, *map(str, (m.stiff_order, m.history, m.evaluations))]
        for m in table.values()
    }
    assert rows["lawson54"][0] == "5(4)"
    assert rows["lawson4"][0] == "4"


@pytest.mark.parametrize(("name", "expected"), DEMANDED.items(), ids=DEMANDED)
def test_info(name: str, expected: tuple[int, int, int, int]) -> None:
    info = methods.info(name)
    assert (info.order, info.stiff_order, info.history, info.evaluations) == expected
    assert info.name == name
    assert info.reference


def test_info_agrees_with_the_method_and_its_steps() -> None:
    for name in methods.names():
        method = methods.get(name)
        assert method.name == name
        if isinstance(method, GridMethod):
            steady = methods.sequence(method, 12)[-2]
            assert steady.evaluations == method.evaluations
            assert steady.history == method.history
        assert methods.info(method) == methods.info(name)
        assert isinstance(methods.info(name), MethodInfo)


def test_get() -> None:
    for name in methods.names():
        method = methods.get(name)
        assert isinstance(method, Tableau | Multistep | VariableOrder)
        assert methods.get(method) is method
        assert methods.get(name.upper()) is method
    own = methods.etd2rk(Fraction(1, 2))
    assert methods.get(own) is own


@pytest.mark.parametrize(("alias", "name"), ALIASES.items(), ids=ALIASES)
def test_aliases(alias: str, name: str) -> None:
    assert methods.get(alias) is methods.get(name)
    assert methods.info(alias).name == name


def test_every_alias_leads_somewhere() -> None:
    assert set(ALIASES) <= set(methods.ALIASES)
    for alias, name in methods.ALIASES.items():
        assert methods.get(alias).name == name
        assert alias not in methods.names()


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("etdrk", "etdrk4"),
        ("lawson_4", "lawson4"),
        ("krogstad", "krogstad4"),
        ("ETD4-RK", "etd4rk"),
        ("hochbruck_osterman4", "hochbruck_ostermann4"),
    ],
)
def test_a_name_nearly_right_is_told_what_is_near(wrong: str, near: str) -> None:
    with pytest.raises(UnknownName, match="did you mean") as caught:
        methods.get(wrong)
    assert f"method={wrong!r}" in str(caught.value)
    assert near in str(caught.value)


def test_a_name_far_off_is_told_what_there_is() -> None:
    with pytest.raises(UnknownName, match="known: ") as caught:
        methods.get("xyz")
    for name in DEMANDED:
        assert name in str(caught.value)


@pytest.mark.parametrize("wrong", [4, None, ["etd1"], Fraction(1)])
def test_what_is_no_method_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^method=.*methods\.names\(\)"):
        methods.get(wrong)


def test_exceptions_are_value_errors() -> None:
    assert issubclass(UnknownName, InvalidArgument)
    assert issubclass(InvalidArgument, ValueError)


@pytest.mark.parametrize("c2", [0, -1, Fraction(3, 2), 2])
def test_a_node_outside_the_step_is_refused(c2: Fraction) -> None:
    with pytest.raises(ValueError, match=rf"c2={c2} is outside 0 < c2 <= 1"):
        methods.etd2rk(c2)


def test_the_family_of_two_stages_contains_the_registered_method() -> None:
    assert methods.etd2rk() == methods.get("etd2rk")
    assert methods.etd2rk(Fraction(1, 2)).name == "etd2rk(c2=1/2)"
    assert methods.etd2rk(0.5) == methods.etd2rk(Fraction(1, 2))


def test_parameterised_families() -> None:
    assert methods.etdab(3) == methods.get("etdab3")
    assert methods.etdpec(3) == methods.get("etdpec3")
    assert methods.etdpec(3, evaluate_again=True) == methods.get("etdpece3")
    assert methods.etdab(7).order == 7, "not in the registry, but made the same way"
    lawson = methods.lawson(methods.CLASSICAL["kutta3"])
    assert (lawson.name, lawson.order, lawson.evaluations) == ("lawson(kutta3)", 3, 3)
    assert methods.lawson(methods.CLASSICAL["rk4"], name="lawson4") == methods.get("lawson4")


@pytest.mark.parametrize(
    "make",
    [
        lambda: methods.etdab(0),
        lambda: methods.etdpec(1),
        lambda: methods.ipndm(0),
        lambda: methods.ipndm(5),
        lambda: Multistep("odd", 2, "PP", 2, "none"),
        lambda: Multistep("odd", 2, "P", 2, "none", fixed=((Fraction(1),),)),
        lambda: Multistep("odd", 1, "PEC", 1, "none", fixed=((Fraction(1),),)),
    ],
    ids=["etdab(0)", "etdpec(1)", "ipndm(0)", "ipndm(5)", "mode", "fixed weights", "fixed mode"],
)
def test_multistep_methods_that_cannot_be_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"need|must be a whole number"):
        make()


HALF = Fraction(1, 2)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (((), ()), (HALF, HALF), "rows of a"),
        (((), (1,)), (1,), "rows of a"),
        (((), (1,)), (HALF, 1), "add up to 1"),
        (((), (2,)), (HALF, HALF), r"nodes must lie in \[0, 1\]"),
        (((), (-1,)), (HALF, HALF), r"nodes must lie in \[0, 1\]"),
    ],
)
def test_classical_tableaux_are_checked(
    a: tuple[tuple[int, ...], ...], b: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=f"odd: .*{message}"):
        methods.Butcher("odd", a, b, 2, "none")


def test_exponential_tableaux_are_checked() -> None:
    right = methods.get("etd2rk")
    assert isinstance(right, Tableau)
    for c, a, b in [
        ((), right.a, right.b),
        ((HALF, Fraction(1)), right.a, right.b),
        (right.c, right.a, (right.b[0], HALF)),
        (right.c, ((), ()), right.b),
        (right.c, right.a, right.b[:1]),
    ]:
        with pytest.raises(ValueError, match="odd: "):
            Tableau("odd", c, a, b, 2, 2, "none")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({(2, 1): phi(1)}, {}),
        ({(5, 2): phi(1)}, {}),
        ({}, {1: phi(1)}),
        ({(2, 3): phi(1)}, {}),
        ({32: phi(1)}, {}),
        ({"32": phi(1)}, {}),
        ({}, {"2": phi(1)}),
        ({}, {2.5: phi(1)}),
    ],
)
def test_weights_at_places_that_do_not_exist(a, b):
    with pytest.raises(InvalidArgument, match="stages are numbered from 1 to 3"):
        methods.exponential_runge_kutta(
            "own", (0, Fraction(1, 2), 1), a, b, order=1, stiff_order=1, reference="this test"
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"c": (), "b": {}}, "own: need c"),
        ({"c": (0, None)}, "c=None must be a finite rational number"),
        ({"b": {2: HALF}}, r"own: b\[2\]=Fraction\(1, 2\) must be a combination of phi-functions"),
        ({"embedded": {3: 1}}, r"own: embedded\[3\]=1 must be a combination of phi-functions"),
        ({"b": {2: phi(1, -1, 0)}}, r"own: b\[2\]=phi1\[-1,0\] looks beyond the step"),
    ],
)
def test_what_is_wrong_with_nodes_and_weights_is_named(given, message):
    plain = {"c": (0, 1), "a": {}, "b": {2: phi(2)}, "order": 2, "stiff_order": 2}
    with pytest.raises(InvalidArgument, match=message):
        methods.exponential_runge_kutta("own", **{**plain, **given}, reference="none")


def test_nodes_and_entries_that_are_floats_are_refused():
    with pytest.raises(InvalidArgument, match=r"c=0\.333\d* is a float.*Fraction\(1, 3\)"):
        methods.exponential_runge_kutta(
            "own", (0, 1 / 3), {}, {2: 3 * phi(2)}, order=2, stiff_order=2, reference="none"
        )
    with pytest.raises(InvalidArgument, match=r"own: a=0\.7 is a float.*Fraction\(7, 10\)"):
        methods.Butcher("own", ((), (0.7,)), (0, 1), 2, "none")


def test_nodes_beyond_the_step():
    with pytest.raises(InvalidArgument, match="must lie in"):
        methods.exponential_runge_kutta(
            "own", (0, 2), {}, {2: phi(2)}, order=1, stiff_order=1, reference="this test"
        )


FAMILIES = [
    methods.etdab,
    methods.etdpec,
    methods.ipndm,
    methods.ipndm_v,
    methods.unipc,
    methods.sa_solver,
    lambda corrector: methods.sa_solver(2, corrector),
    methods.dpm_multistep,
    methods.dpm_fast,
]


@pytest.mark.parametrize("count", [2.5, "3", True, None, np.nan, np.inf, [2]])
@pytest.mark.parametrize("family", FAMILIES)
def test_orders_are_whole_numbers(family, count):
    with pytest.raises(InvalidArgument, match="must be a whole number"):
        family(count)


@pytest.mark.parametrize("count", [2.0, np.int64(2), np.array(2), Fraction(2)])
@pytest.mark.parametrize("family", FAMILIES)
def test_orders_are_of_any_type(family, count):
    assert family(count) == family(2)
    assert repr(family(count)) == repr(family(2))


@pytest.mark.parametrize(
    "counts", [{"values": 2.5}, {"values": "2"}, {"values": 2, "corrector": 1.5}]
)
def test_multistep_methods_hold_whole_numbers(counts):
    with pytest.raises(InvalidArgument, match=r"odd: \w+=.* must be a whole number"):
        Multistep(name="odd", mode="PEC", order=2, reference="none", **counts)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"order": "3"}, "odd: order='3' must be a whole number of at least 1"),
        ({"order": -2}, "odd: order=-2 must be"),
        ({"order": 0}, "odd: order=0 must be"),
        ({"order": 2.5}, "odd: order=2.5 must be"),
        ({"stiff_order": None}, "odd: stiff_order=None must be a whole number of at least 0"),
        ({"stiff_order": 3}, "odd: stiff_order=3 is above order=2"),
        ({"embedded": {}, "embedded_order": "2"}, "odd: embedded_order='2' must be a whole number"),
        ({"embedded": {}, "embedded_order": 1.5}, "odd: embedded_order=1.5 must be a whole number"),
    ],
)
def test_one_step_methods_hold_whole_numbers(declared, said):
    plain = {"order": 2, "stiff_order": 2, "reference": "none"}
    with pytest.raises(InvalidArgument, match=rf"^{re.escape(said)}"):
        methods.exponential_runge_kutta("odd", (0, 1), {}, {2: phi(2)}, **{**plain, **declared})


def test_orders_of_one_step_methods_are_of_any_type():
    own, same = (
        methods.exponential_runge_kutta(
            "own", (0, 1), {}, {2: phi(2)}, order=two, stiff_order=two, reference="none"
        )
        for two in (np.int64(2), 2)
    )
    assert own == same
    assert repr(own) == repr(same)


def test_orders_of_classical_tableaux_are_whole_numbers():
    with pytest.raises(InvalidArgument, match=r"odd: order='2' must be a whole number"):
        methods.Butcher("odd", ((), (1,)), (HALF, HALF), "2", "none")
    with pytest.raises(InvalidArgument, match=r"odd: embedded_order='1' must be a whole number"):
        methods.Butcher("odd", ((), (1,)), (HALF, HALF), 2, "none", (1, 0), "1")
    with pytest.raises(InvalidArgument, match=r"dpm_fast0: order='2' must be a whole number"):
        replace(methods.dpm_fast(3), order="2")


@pytest.mark.parametrize("name", [3, None, "", b"own"])
@pytest.mark.parametrize(
    "method",
    [
        methods.etdab(2),
        methods.etd2rk(),
        methods.CLASSICAL["heun2"],
        methods.dpm_fast(3),
        methods.get("etdpec"),
    ],
    ids=lambda method: type(method).__name__,
)
def test_names_of_methods_are_text(method, name):
    with pytest.raises(InvalidArgument, match=r"^name=.* of a method must be text"):
        replace(method, name=name)


def test_what_values_count_includes_the_newest():
    three = methods.etdab(values=3)
    assert (three.values, methods.info(three).history) == (3, 2)


def test_counts_of_multistep_methods_are_of_any_type():
    own, same = (Multistep("own", past, "P", 2, "none") for past in (np.int64(2), 2))
    assert own == same
    assert repr(own) == repr(same)


@pytest.mark.parametrize("past", [0, 5, 2.5, "3"])
@pytest.mark.parametrize("family", [methods.ipndm, methods.ipndm_v])
def test_families_of_four_refuse_others(family, past):
    with pytest.raises(InvalidArgument, match="must be a whole number from 1 to 4"):
        family(past)
