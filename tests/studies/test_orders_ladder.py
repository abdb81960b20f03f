"""Every method keeps its order where faults show: coupled, complex, L(t), uneven, stiff.

What is declared is measured here on differential equations; from the data alone it is proved in
tests/methods.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semilinear import Dense, Diagonal, Scalar, methods, order_study, problems
from semilinear.methods import Tableau, VariableOrder
from semilinear.methods.rows import Evaluate, Step
from semilinear.phi import phi
from semilinear.problems import Problem
from semilinear.problems.problem import forced
from semilinear.studies import MethodOrder

EXPOSING = ("coupled", "complex_diagonal", "time_dependent", "dense")
HALF = Fraction(1, 2)
ONE_STEP = [name for name in methods.names() if isinstance(methods.get(name), Tableau)]
FIXED = [name for name in methods.names() if not isinstance(methods.get(name), VariableOrder)]
ADAMS = [name for name in methods.names() if name.startswith("etdab")]


def measured(problem: Problem, method: str | methods.Method, **options: Any) -> MethodOrder:
    study = order_study(problem, method, **{"start": "rk", **options})
    return study.results[0]


def alternating(x: np.ndarray) -> np.ndarray:
    """Every other step is twice as long."""
    lengths = np.where(np.arange(len(x) - 1) % 2 == 0, 2.0, 1.0)
    return np.concatenate([[0.0], np.cumsum(lengths)]) / lengths.sum()


@pytest.mark.parametrize("name", EXPOSING)
@pytest.mark.parametrize("method", FIXED)
def test_the_declared_order_is_reached(method: str, name: str) -> None:
    result = measured(problems.get(name), method)
    # The fit weighs the coarsest runs as much as the finest, where the highest orders still rise.
    assert result.observed >= result.order - 0.3, result
    # On one canonical problem: a declared order that is too low is a fault too.
    if name == "coupled":
        assert result.observed <= result.order + 0.75, result


@pytest.mark.parametrize("name", EXPOSING)
@pytest.mark.parametrize("method", [m for m in FIXED if methods.get(m).order > 1])
def test_the_declared_order_is_reached_on_an_uneven_grid(method: str, name: str) -> None:
    result = measured(problems.get(name), method, spacing=alternating)
    assert result.observed >= result.order - 0.25, result


def test_the_uneven_grid_is_uneven_enough() -> None:
    # Weights of a uniform grid fall to order one on it.
    assert measured(problems.coupled(), methods.ipndm(4)).observed >= 1.75
    uneven = measured(problems.coupled(), methods.ipndm(4), spacing=alternating)
    assert uneven.observed <= 1.25, uneven


def test_the_ramp_start_has_order_two() -> None:
    for name in EXPOSING:
        result = measured(problems.get(name), "etdab4", start="ramp")
        assert 1.75 <= result.observed <= 3, result


def stiff_slope(method: str | Tableau, form: str) -> float:
    """The finest slope on a stiff problem: those of exponential Runge-Kutta methods creep."""
    # h times the stiffness is 128 in the coarsest run and 32 in the finest; errors of high orders
    # would reach rounding there.
    steps = (32, 64, 128) if methods.get(method).stiff_order <= 4 else (16, 32, 64)
    problem = problems.hochbruck_ostermann(form=form, points=31)
    return measured(problem, method, steps=steps).slopes[-1]


@pytest.mark.parametrize("form", ["local", "integral"])
@pytest.mark.parametrize("method", [*ONE_STEP, *ADAMS])
def test_the_declared_stiff_order_is_reached(method: str, form: str) -> None:
    assert stiff_slope(method, form) >= methods.get(method).stiff_order - 0.3


@pytest.mark.parametrize(
    ("method", "form", "most"),
    [
        ("lawson4", "local", 2.0),
        ("etd3rk", "integral", 2.5),
        ("etd4rk", "integral", 2.75),
        ("krogstad4", "integral", 3.5),
        ("strehmel_weiner4", "integral", 3.5),
        ("friedli4", "integral", 3.5),
    ],
)
def test_the_stiff_problem_reduces_orders(method: str, form: str, most: float) -> None:
    assert stiff_slope(method, form) <= most


def test_a_misprint_shows_only_on_the_stiff_problem() -> None:
    # phi_3(z) and phi_3(z/2) exchanged in a_52 of Hochbruck and Ostermann's method.
    right = methods.get("hochbruck_ostermann4")
    change = HALF * (phi(3) - phi(3, 0, HALF))
    last = list(right.a[4])
    last[1], last[2] = last[1] + change, last[2] + change
    last[3] = last[3] - change
    last[0] = last[0] - change
    wrong = replace(right, a=(*right.a[:4], tuple(last)))
    assert measured(problems.coupled(), wrong).observed >= 3.75
    assert stiff_slope(wrong, "local") >= 3.75
    assert stiff_slope(wrong, "integral") <= 3.5


@dataclass(frozen=True)
class WrongTime(Tableau):
    """A tableau that asks for N at a wrong time in one stage; its weights stay right."""

    stage: int = 2
    at: Fraction = Fraction(0)

    def step(self, carry: tuple[tuple[str, str], ...] = ()) -> Step:
        right = super().step(carry)
        wrong = tuple(
            replace(row, at=self.at)
            if isinstance(row, Evaluate) and row.slot == f"N{self.stage}"
            else row
            for row in right.instructions
        )
        return replace(right, instructions=wrong)


def with_wrong_time(tableau: Tableau, stage: int, at: Fraction) -> WrongTime:
    data = {field.name: getattr(tableau, field.name) for field in fields(Tableau)}
    return WrongTime(**data, stage=stage, at=at)


STAGES = [
    (name, stage)
    for name in ONE_STEP
    for stage in range(2, len(methods.get(name).c) + 1)
    # This stage reaches the new value through three others, which make up for an error in its time.
    if methods.get(name).order > 1 and (name, stage) != ("luan_ostermann5", 2)
]


@pytest.mark.parametrize(("method", "stage"), STAGES)
def test_a_wrong_stage_time_shows(method: str, stage: int) -> None:
    tableau = methods.get(method)
    right = measured(problems.coupled(), with_wrong_time(tableau, stage, tableau.c[stage - 1]))
    wrong_time = tableau.c[stage - 1] - Fraction(1, 8)
    wrong = measured(problems.coupled(), with_wrong_time(tableau, stage, wrong_time))
    assert right.observed >= tableau.order - 0.25, right
    assert wrong.observed <= tableau.order - 0.75, wrong


def test_a_wrong_stage_time_hides_in_an_autonomous_problem() -> None:
    problem = Problem(
        name="logistic",
        linear=Scalar(1.0),
        nonlinear=lambda t, y: -y * y,
        t_span=(0.0, 1.0),
        y0=np.array([0.2]),
        exact=lambda t: np.array([1 / (1 + 4 * np.exp(-t))]),
        reference="Verhulst (1838)",
    )
    wrong = with_wrong_time(methods.get("krogstad4"), 3, Fraction(0))
    assert measured(problem, wrong).observed >= 3.75
    assert measured(problems.coupled(), wrong).observed <= 2.25


numbers = st.floats(-1.0, 1.0)


@st.composite
def coupled_problems(draw: st.DrawFn) -> Problem:
    """Draw four coupled entries around a known solution, real or complex, Diagonal or Dense."""
    unit = 1j if draw(st.booleans()) else 1.0
    size = 4
    coupling = np.array(draw(st.lists(numbers, min_size=size**2, max_size=size**2)))
    coupling = coupling.reshape(size, size)
    # All different, so that the leading error is not small in all entries at once.
    offsets = draw(st.lists(st.floats(0.0, 0.5), min_size=size, max_size=size))
    frequencies = np.array([1.5, 2.2, 2.9, 3.6]) + offsets
    rates = unit * np.array(draw(st.lists(numbers, min_size=size, max_size=size)))
    matrix = np.diag(rates) + (np.eye(size, k=1) if draw(st.booleans()) else 0.0)
    wave = np.exp if unit == 1j else np.cos

    def interaction(t: float, y: Any) -> Any:
        return coupling @ np.sin(y + t)

    def solution(t: float) -> np.ndarray:
        return 1 + 0.3 * wave(unit * frequencies * t)

    def remainder(t: float) -> np.ndarray:
        grown = unit * wave(unit * frequencies * t) if unit == 1j else -np.sin(frequencies * t)
        return 0.3 * frequencies * grown - matrix @ solution(t)

    diagonal = np.count_nonzero(matrix - np.diag(rates)) == 0
    return Problem(
        name="drawn",
        linear=Diagonal(rates) if diagonal else Dense(matrix),
        nonlinear=forced(interaction, solution, remainder),
        t_span=(0.0, 1.0),
        y0=solution(0.0),
        exact=solution,
        reference="drawn by Hypothesis",
    )


@pytest.mark.parametrize("method", ["etd2rk", "krogstad4", "lawson4", "etdab3", "etdpece4"])
@given(problem=coupled_problems())
def test_the_order_is_reached_on_drawn_problems(method: str, problem: Problem) -> None:
    result = measured(problem, method, steps=(64, 128))
    assert result.observed >= result.order - 0.25, result
