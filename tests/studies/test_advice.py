"""Advice: it names the cause that the numbers show, and no other; it recommends what keeps it."""

from __future__ import annotations

import dataclasses
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from semilinear import Diagonal, methods, order_study, problems
from semilinear.methods import Multistep, exponential_runge_kutta
from semilinear.phi import phi
from semilinear.problems import Problem
from semilinear.studies import MethodOrder, OrderStudy
from semilinear.studies.advice import Facts, advise, is_lawson
from semilinear.studies.fit import fit_order, slopes
from semilinear.studies.stiffness import largest_rate, roughness, step_rates

BOUNDARY = "N does not obey the boundary conditions"
NAMED = re.compile(r"(\w+)(?: \(\d+\.\d here\))? (?:or|keeps?) ")


def advice_on(study: OrderStudy, method: str) -> str:
    lines = [line for line in study.advice if line.startswith(f"{method}: ")]
    assert len(lines) == 1, study.advice
    return lines[0]


def test_a_reduced_order_is_seen_explained_and_remedied() -> None:
    names = ["etd4rk", "hochbruck_ostermann4"]
    study = order_study("hochbruck_ostermann_integral", names, steps=(20, 40, 80))
    line = advice_on(study, "etd4rk")
    assert re.match(r"etd4rk: order 2\.[23] of 4: stiff \(h \|L\| = 205\), and ", line)
    assert BOUNDARY in line
    # What this study saw keeping its order comes with the measurement.
    assert "hochbruck_ostermann4 (3.9 here)" in line
    assert len(study.advice) == 1
    assert line in study.table()


@pytest.mark.parametrize("method", ["hochbruck_ostermann4", "luan4", "etdab4"])
@pytest.mark.parametrize("form", ["local", "integral"])
def test_methods_that_keep_their_order_get_no_advice(method: str, form: str) -> None:
    assert order_study(f"hochbruck_ostermann_{form}", method, steps=(20, 40, 80)).advice == ()


@pytest.mark.parametrize("form", ["local", "integral"])
def test_lawson_methods_are_told_why(form: str) -> None:
    study = order_study(f"hochbruck_ostermann_{form}", "lawson4", steps=(40, 80, 160))
    line = advice_on(study, "lawson4")
    assert "Lawson methods integrate e^(-tL) N" in line
    assert "keep order 4" in line


def test_only_methods_that_keep_the_order_are_recommended() -> None:
    known = methods.names()
    names = [name for name, info in known.items() if info.order > 1 and info.history == 0]
    study = order_study("hochbruck_ostermann_integral", names, steps=(20, 40, 80))
    observed = {result.method: result for result in study.results}
    recommended = 0
    for line in study.advice:
        order = known[line.partition(":")[0]].order
        for name in NAMED.findall(line.rpartition(";")[2]):
            recommended += 1
            assert (known[name].stiff_order or 0) >= order, line
            assert observed[name].observed >= order - 0.3, line
    assert recommended >= 4


def test_a_periodic_problem_has_no_boundary_to_blame() -> None:
    problem = problems.kuramoto_sivashinsky().until(10)
    study = order_study(problem, ["etd4rk", "etdab4"], steps=(40, 80, 160))
    line = advice_on(study, "etd4rk")
    assert BOUNDARY not in line
    assert "stiff (h |L| = 15)" in line


def test_a_nonlinearity_as_large_as_l_has_no_remedy_by_method() -> None:
    names = ["hochbruck_ostermann4", "luan_ostermann5", "lawson4"]
    study = order_study("prothero_robinson", names, steps=(32, 64, 128))
    for name in names:
        line = advice_on(study, name)
        assert "N is as large as L y" in line
        assert "keep" not in line


def test_the_ramp_is_named() -> None:
    study = order_study("coupled", ["etdab4", "etdpec4"], start="ramp")
    assert "leaves two; start='rk' keeps all" in advice_on(study, "etdab4")
    assert "leaves three; start='rk' keeps all" in advice_on(study, "etdpec4")
    assert order_study("coupled", ["etdab4", "etdpec4"], start="rk").advice == ()


def test_coefficients_of_a_lower_order_than_declared_are_named_before_any_other_cause() -> None:
    third = Fraction(1, 3)
    slip = exponential_runge_kutta(
        "slip3",
        (0, third, 2 * third),
        {(3, 2): 4 * third * phi(2, 0, 2 * third)},
        {3: Fraction(27, 20) * phi(2)},  # 3 / 2 phi_2 has order 3
        order=3,
        stiff_order=3,
        reference="made up",
    )
    adams = Multistep("adams4", 2, "P", 4, "made up")
    pair = Multistep("pair4", 2, "PEC", 4, "made up")
    for problem in ("coupled", "hochbruck_ostermann_local"):
        for method, kept in ((slip, 1), (adams, 2), (pair, 3)):
            line = advice_on(order_study(problem, method), method.name)
            satisfied = f"its coefficients satisfy the order conditions up to {kept}; "
            assert line.endswith(satisfied + f"{method.order} is declared")
    right = dataclasses.replace(methods.get("etd4rk"), name="own4")
    line = advice_on(order_study("hochbruck_ostermann_integral", right, steps=(20, 40, 80)), "own4")
    assert "stiff (h |L|" in line


def test_too_coarse_too_fine_and_neither() -> None:
    coarse = order_study("dense", "etd1", steps=(3, 6))
    assert coarse.advice == ("etd1: no order: all errors are above 0.01; take more steps",)
    fine = order_study("time_dependent", "etdab6", steps=(1000, 2000))
    assert "are those of rounding; take fewer steps" in advice_on(fine, "etdab6")
    overflow = order_study(blowing_up(), "etd1", steps=(2, 4), reference=np.ones(1))
    assert overflow.advice == ("etd1: no order: every run overflowed; take more steps",)


def without_linear() -> Problem:
    """y' = y cos t, all of it N."""
    return Problem(
        "none", Diagonal([0.0]), lambda t, y: y * np.cos(t), (0.0, 2.0), np.ones(1),
        lambda t: np.exp(np.sin(np.full(1, t))), "made up",
    )  # fmt: skip


OF_PHI_1 = (
    (1,),
    (Fraction(3, 2), Fraction(-1, 2)),
    (Fraction(23, 12), Fraction(-4, 3), Fraction(5, 12)),
)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"fixed": OF_PHI_1}, "multiples of phi_1"),
        ({"simplified": ((3, ((1, phi(1) / 2), (2, phi(1) / 3))),)}, "simplified"),
    ],
    ids=["fixed", "simplified"],
)
def test_weights_that_have_their_order_without_a_linear_part_are_told_so(
    weights: dict[str, Any], said: str
) -> None:
    method = Multistep("mine3", 3, "P", 3, "made up", **weights)
    line = advice_on(order_study("complex_diagonal", method, steps=(40, 80, 160, 320)), "mine3")
    where = "have order 3 only where L = 0 and B is constant, and 2 elsewhere"
    assert line.endswith(f" of 3: its weights are {said}, which {where}")
    study = order_study(without_linear(), method)
    assert study.advice == ()
    assert study.results[0].observed > 2.9


@pytest.mark.parametrize(
    "weights",
    [
        {"fixed": ((1,), (Fraction(3, 2), Fraction(-1, 2)), (Fraction(5, 2), Fraction(-5, 2), 1))},
        {"simplified": ((3, ((2, phi(3)),)),)},
    ],
    ids=["fixed", "simplified"],
)
def test_weights_of_a_lower_order_are_named_on_any_linear_part(weights: dict[str, Any]) -> None:
    method = Multistep("mine3", 3, "P", 3, "made up", **weights)
    said = "its coefficients satisfy the order conditions up to 2; 3 is declared"
    for problem in (problems.complex_diagonal(), without_linear()):
        assert said in advice_on(order_study(problem, method), "mine3")


def made_up(errors: tuple[float, ...]) -> tuple[str, ...]:
    steps = (10, 20, 40, 80)[: len(errors)]
    fit = fit_order(steps, errors, window=(1e-12, 1e-2))
    interval = (fit.low, fit.high)
    found = slopes(steps, errors)
    result = MethodOrder("etd2rk", 2, 2, fit.order, interval, fit.points, errors, found, steps)
    facts = Facts("rk", (1e-12, 1e-2), None, 0.1, False, lambda: pytest.fail("not stiff"), False)
    return advise([result], [methods.get("etd2rk")], facts)


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ((1e-3, 2.5e-4, 6.3e-5, 1.6e-5), None),
        ((1e-3, float("inf"), 1e-4), "take steps in between"),
        ((1e-3, 9e-4, 1.5e-4, 1.2e-5), "the slopes 0.2, 2.6, 3.6 do not settle; take more steps"),
        ((1e-3, 8e-4, 5e-4, 2e-4), "the slopes 0.3, 0.7, 1.3 still rise; take more steps"),
        ((1e-3, 5e-4, 2.5e-4, 1.25e-4), "see whether N is smooth"),
        ((1e-3, 4.98e-4, 2.46e-4, 1.2e-4), "see whether N is smooth"),  # 1.01, 1.02, 1.04
        ((1e-3, 8e-4), "two errors in the window say little"),
        ((1e-3, 1e-4, 1e-6, 1e-6), "if the last errors are those of rounding, take fewer"),
    ],
)
def test_the_shape_of_errors_decides(errors: tuple[float, ...], said: str | None) -> None:
    lines = made_up(errors)
    if said is None:
        assert lines == ()
    else:
        assert len(lines) == 1
        assert said in lines[0]


def blowing_up() -> Problem:
    def nonlinear(t: float, y: Any) -> Any:
        return 1e150 * y * y * y

    return Problem("blow", Diagonal([-1.0]), nonlinear, (0.0, 1.0), np.ones(1), None, "made up")


def test_lawson_methods_are_known_by_their_weights() -> None:
    for name in methods.names():
        assert is_lawson(methods.get(name)) == name.startswith("lawson")


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("coupled", 2.0),
        ("complex_diagonal", abs(-0.5 - 2j)),
        # Row sums of the matrix of second differences.
        ("hochbruck_ostermann_local", 4.0 * 64**2),
        ("prothero_robinson", 1e4),
    ],
)
def test_the_size_of_l_is_found_from_its_flow(name: str, rate: float) -> None:
    p = problems.get(name)
    assert largest_rate(p.linear, p.t_span) == pytest.approx(rate, rel=1e-3)
    span = abs(p.t_span[1] - p.t_span[0])
    expected = [rate * span / 10, rate * span / 20]
    assert step_rates(p.linear, p.t_span, (10, 20)) == pytest.approx(expected, rel=1e-3)


def test_the_size_of_a_time_dependent_l() -> None:
    p = problems.time_dependent()
    # |-1/2 + cos(3t/2)| is largest at t = 0 among 0, 1/2 and 1.
    assert largest_rate(p.linear, p.t_span) == pytest.approx(0.5, rel=1e-3)


def test_roughness_tells_boundary_conditions_from_none() -> None:
    walls = problems.hochbruck_ostermann(form="local")
    # N = (x (1 - x) + 2) e^t at the end: 2 e at the walls, where L takes -1 of it once and not
    # twice; |L N| / (|L| |N|) = 2 / (4 * 2.25).
    found = roughness(walls, walls.exact(1.0))
    assert found.domain == pytest.approx(2 / 9, rel=0.02)
    assert found.size < 1e-3

    def sine(t: float, u: Any) -> Any:
        return np.sin(np.pi * np.arange(1, 64) / 64) + 0 * u

    inside = dataclasses.replace(walls, nonlinear=sine)
    # The sine is an eigenvector, of the smallest eigenvalue.
    expected = 4 * np.sin(np.pi / 128) ** 2 / 4
    assert roughness(inside, walls.exact(1.0)).domain == pytest.approx(expected, rel=0.01)
