"""What is wrong with an argument or with an answer of the model is said, and harms nothing."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from runs import LINEAR, each_method, grid_for, initial, logistic, states
from semilinear import (
    Dense,
    Diagonal,
    InvalidArgument,
    ModelOutputError,
    NonFiniteError,
    Plan,
    Scalar,
    State,
    make_plan,
)
from semilinear.methods import Method

GRID = [0.0, 0.3, 0.5, 1.0]


def test_a_run_that_is_over_cannot_go_on() -> None:
    plan = make_plan(Scalar(-1.0), [0.0, 1.0], method="etd1")
    over = plan.advance(plan.start(np.ones(2)), np.ones(2))
    with pytest.raises(InvalidArgument, match=r"^state is done: .* start\(x\)"):
        plan.advance(over, np.ones(2))


@pytest.mark.parametrize("wrong", [[1.0, 2.0], 1.0, None, "x"], ids=repr)
def test_what_is_no_array_is_refused(wrong: object) -> None:
    plan = make_plan(Scalar(-1.0), GRID)
    with pytest.raises(InvalidArgument, match=r"^x must be an array, got .*numpy\.asarray"):
        plan.start(wrong)


def test_a_sparse_array_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"x is a sparse array.*give x\.toarray\(\)"):
        make_plan(Scalar(-1.0), GRID).start(csr_array([[1.0, 2.0]]))


@pytest.mark.parametrize("dtype", [int, bool, "U3", object])
def test_what_is_not_floating_is_refused(dtype: Any) -> None:
    plan = make_plan(Scalar(-1.0), GRID)
    with pytest.raises(InvalidArgument, match=r"^x has dtype .* must be real or complex floating"):
        plan.start(np.ones(2, dtype=dtype))


def test_a_state_that_does_not_fit_the_linear_part_is_refused() -> None:
    for linear, x, message in [
        (Scalar(1j), np.ones(2), "x is real but the linear part is complex"),
        (Scalar(lambda t: 1j * t), np.ones(2), "x is real but the linear part is complex"),
        (Scalar(-1.0, weight=1j), np.ones(2), r"pass a complex x, for example x\.astype"),
        (Diagonal([1j, 2j]), np.ones(2), "x is real but the linear part is complex"),
        (Diagonal([-1.0, -2.0]), np.ones(3), r"x has shape \(3,\)"),
        (Dense(np.eye(2)), np.ones((2, 3)), r"x has shape \(2, 3\)"),
    ]:
        with pytest.raises(InvalidArgument, match=message):
            make_plan(linear, GRID).start(x)
    # A complex state with a real linear part is not.
    make_plan(Diagonal([-1.0, -2.0]), GRID).start(np.ones(2, complex))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("size", [2, 300])
def test_a_start_that_is_not_finite_is_refused(bad: float, size: int) -> None:
    plan = make_plan(Scalar(-1.0), GRID)
    x = np.ones(size)
    x[-1] = bad
    with pytest.raises(NonFiniteError, match=r"^x has NaN or infinite entries"):
        plan.start(x)
    assert not np.isfinite(plan.start(x, check_finite=False).x[-1])


# --- answers ------------------------------------------------------------------------------------


def third_evaluation(size: int = 2, method: str = "etd4rk") -> tuple[Plan, State]:
    """Return a run that has had two evaluations: the third is at t = 0.15."""
    plan = make_plan(Scalar(-1.0), GRID, method=method)
    return plan, states(plan, np.ones(size))[2]


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (np.ones(3), r"shape \(3,\) and dtype float64"),
        (np.ones((2, 1)), r"shape \(2, 1\) and dtype float64"),
        (np.array(1.0), r"shape \(\) and dtype float64"),
        (np.ones(2, np.float32), r"shape \(2,\) and dtype float32"),
        (
            np.ones(2, complex),
            r"shape \(2,\) and dtype complex128 \(a complex problem needs a complex state .*\)",
        ),
        (np.ones(2, int), r"shape \(2,\) and dtype int64"),
        (None, "NoneType"),
        (1.0, "float"),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [2, 300])
def test_an_answer_of_another_kind_is_refused(wrong: Any, found: str, size: int) -> None:
    if isinstance(wrong, np.ndarray) and wrong.size == 2:
        wrong = np.resize(wrong, (size, *wrong.shape[1:]))
        found = found.replace("2,", f"{size},")
    plan, state = third_evaluation(size)
    before = state.x.copy()
    with pytest.raises(ModelOutputError, match=r"N at evaluation 3 of 12 \(t = 0\.15\)") as caught:
        plan.advance(state, wrong)
    message = str(caught.value)
    assert re.search(f"returned {found}; ", message)
    assert message.endswith(f"shape ({size},) and dtype float64")
    # The state is still good.
    assert np.array_equal(state.x, before)
    plan.advance(state, logistic(state.x, state.t))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [2, 300])
def test_an_answer_that_is_not_finite_is_named(bad: float, size: int) -> None:
    plan, state = third_evaluation(size)
    wrong = logistic(state.x, state.t)
    wrong[1] = bad
    expected = (
        rf"N at evaluation 3 of 12 \(t = 0\.15\) returned NaN or infinity in 1 of {size} entries, "
        r"first in \[1\], at a finite state"
    )
    with pytest.raises(NonFiniteError, match=expected):
        plan.advance(state, wrong)
    assert np.isfinite(plan.advance(state, logistic(state.x, state.t)).x).all()


@each_method
@pytest.mark.parametrize("kind", ["scalar", "diagonal", "dense"])
def test_each_evaluation_that_is_not_finite_is_named(method: Method, kind: str) -> None:
    linear = LINEAR[kind]
    plan = make_plan(linear, grid_for(method)[:4], method=method)
    found = states(plan, initial(linear))
    # Nothing follows the very last evaluation of a PECE pair: its answer is read nowhere.
    read = plan.nfe - (getattr(method, "mode", "") == "PECE")
    for state in found[:read]:
        with pytest.raises(NonFiniteError, match=f"^N at evaluation {state.evaluation + 1} of "):
            plan.advance(state, np.full(3, np.nan))


@pytest.mark.parametrize("size", [2, 300])
def test_an_overflow_is_told_from_a_bad_answer(size: int) -> None:
    plan = make_plan(Scalar(2.0), GRID, method="etd1")
    state = plan.start(np.full(size, 1e308))
    expected = "overflowed in the step after evaluation 1 of 3"
    with np.errstate(over="ignore"), pytest.raises(NonFiniteError, match=expected):
        plan.advance(state, np.full(size, 1e308))


def test_checks_can_be_left_out() -> None:
    plan = make_plan(Scalar(-1.0), GRID, method="etd1")
    state = plan.start(np.ones(2), check_finite=False)
    while not state.done:
        state = plan.advance(state, np.full(2, np.nan))
    assert np.isnan(state.x).all()
