"""Attempts of variable order: what their rows are, weight by weight, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from semilinear import Scalar, methods
from semilinear.adaptive import VariableOrderCourse
from semilinear.adaptive.controllers import Controller
from semilinear.adaptive.place import Place, Verdict
from semilinear.coefficients import step_coefficients
from semilinear.kernels import control
from semilinear.methods import VariableOrder
from semilinear.methods.multistep import slot
from semilinear.methods.rows import BASE, ERROR, NEW, Combine
from semilinear.methods.variable_order import HIGHER, LOWER

MOST = 4
METHOD = VariableOrder("own", "PEC", MOST, "here")
RATE = -1.7
TIMES = {1: 0.9, 0: 0.5, -1: 0.2, -2: -0.3, -3: -0.4, -4: -1.1}
VALUES = {1: 0.3, 0: -1.2, -1: 0.8, -2: 2.1, -3: -0.6, -4: 1.4}
KINDS = [(q, known) for known in range(MOST + 1) for q in range(1, min(MOST, known + 1) + 1)]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


def carried(nodes: Sequence[int]) -> float:
    """y at the end of the step from y = 1, N being the polynomial through values at some nodes."""
    x, weights = np.polynomial.legendre.leggauss(20)
    h = TIMES[1] - TIMES[0]
    s, weights = TIMES[0] + h * (x + 1) / 2, h * weights / 2
    times, n = [TIMES[q] for q in nodes], 0.0
    for q in nodes:
        others = [t for t in times if t != TIMES[q]]
        n = n + VALUES[q] * np.prod([(s - t) / (TIMES[q] - t) for t in others], axis=0)
    return float(np.exp(RATE * h) + weights @ (np.exp(RATE * (TIMES[1] - s)) * n))


def made(order: int, known: int, slip: int | None = None) -> dict[str, float]:
    """What an attempt leaves, one of its coefficients slipped."""
    step = METHOD.attempt(order, known)
    coefficients = step_coefficients(step, Scalar(RATE), TIMES)
    numbers = iter([float(c) * (1.01 if i == slip else 1.0) for i, c in enumerate(coefficients)])
    found = {BASE: 1.0, **{slot(q): value for q, value in VALUES.items()}}
    for row in step.instructions:
        if isinstance(row, Combine):
            found[row.dst] = sum(next(numbers) * found[name] for name in row.sources)
    assert not list(numbers)
    return {name: found[old] for name, old in step.carry}


def expected(order: int, known: int) -> dict[str, float]:
    """The same by quadrature: the estimates are those of the orders around."""

    def error(q: int) -> float:
        past = range(0, -q, -1)
        return carried((1, *past)) - carried(past)

    found = {ERROR: error(order), NEW: carried(range(1, -order, -1))}
    if order > 1:
        found[LOWER] = error(order - 1)
    if order < min(MOST, known + 1):
        found[HIGHER] = error(order + 1)
    return found


def misses(found: dict[str, float], wanted: dict[str, float]) -> float:
    return max(abs(found[name] - value) for name, value in wanted.items())


@each_kind
def test_the_rows_of_an_attempt_are_those_of_the_polynomials(kind: tuple[int, int]) -> None:
    found, wanted = made(*kind), expected(*kind)
    assert misses(found, wanted) <= 1e-13
    assert set(found) == {*METHOD.base(kind[1]), slot(1), *wanted}
    assert set(METHOD.estimates(*kind)) == set(wanted) - {NEW}
    step = METHOD.attempt(*kind)
    read = {name for row in step.instructions if isinstance(row, Combine) for name in row.sources}
    assert step.history == max(-q for q in TIMES if slot(q) in read)


@each_kind
def test_every_weight_of_an_attempt_is_noticed(kind: tuple[int, int]) -> None:
    rows = [row for row in METHOD.attempt(*kind).instructions if isinstance(row, Combine)]
    wanted = expected(*kind)
    for slip in range(sum(len(row.sources) for row in rows)):
        assert misses(made(*kind, slip), wanted) > 1e-4, slip


# --- what is made of an attempt ------------------------------------------------------------------


def judged(order: int, known: int, **norms: float) -> Verdict:
    controller = Controller(1e-3, 1e-6, (1.0, 0.0, 0.0), None, 1.0)
    course = VariableOrderCourse(METHOD, Scalar(RATE), (0.0, 1.0), controller)
    kind = order, known
    place = Place("stage", 0, 0.0, 0.1, 0.1, kind, kind)
    names = {ERROR: "error", LOWER: "lower", HIGHER: "higher"}
    return course.judge(place, lambda name: norms[names[name]])


def test_an_attempt_that_is_refused_may_go_on_one_order_lower() -> None:
    # Of order q the estimate falls like h^(q + 1).
    same = judged(3, 4, error=8.0, lower=9.0)
    assert same == Verdict(False, control.retry_factor(8.0, 1 / 4), 8.0, (3, 4))
    below = judged(3, 4, error=8.0, lower=2.0)
    assert below == Verdict(False, control.retry_factor(2.0, 1 / 3), 2.0, (2, 4))
    first = judged(1, 4, error=8.0)
    assert first == Verdict(False, control.retry_factor(8.0, 1 / 2), 8.0, (1, 4))
    assert judged(2, 4, error=np.nan, lower=np.nan).factor == control.LEAST


def test_an_attempt_that_is_taken_goes_on_with_the_order_of_the_longest_step() -> None:
    assert judged(2, 3, error=0.5, lower=0.9, higher=0.9).kind == (2, 4)
    assert judged(2, 3, error=0.5, lower=0.9, higher=1e-3).kind == (3, 4)
    assert judged(2, 3, error=0.5, lower=1e-3, higher=0.9).kind == (1, 4)
    assert judged(1, 0, error=0.5).kind == (1, 1)
    assert judged(2, 1, error=0.5, lower=0.9).kind == (2, 2)
    assert judged(MOST, MOST, error=0.5, lower=0.9).kind == (MOST, MOST)
    assert judged(2, 3, error=1.0, lower=2.0, higher=2.0).taken


def test_the_first_step_is_for_the_first_estimate() -> None:
    assert VariableOrderCourse.first_kind == (1, 0)
    assert VariableOrderCourse.first_exponent == 1 / 2


@pytest.mark.parametrize("mode", ["PEC", "PECE"])
def test_past_values_age_by_one(mode: str) -> None:
    method = VariableOrder("own", mode, 2, "here")
    controller = Controller(1e-3, 1e-6, (1.0, 0.0, 0.0), None, 1.0)
    course = VariableOrderCourse(method, Scalar(RATE), (0.0, 1.0), controller)
    # With PECE N at the new state is still to be asked for.
    newest = {} if mode == "PECE" else {slot(0): slot(1)}
    for known, count in ((0, 1), (1, 2), (2, 2)):
        aged = {slot(-q - 1): slot(-q) for q in range(count)}
        assert dict(course.taken((1, known))) == {BASE: NEW, **newest, **aged}


def test_the_pair_of_highest_order() -> None:
    method = methods.get("etdpece")
    assert isinstance(method, VariableOrder)
    assert (method.order, method.stiff_order, method.embedded_order) == (6, 6, 5)
