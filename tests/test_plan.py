"""A plan is immutable and a state frozen: runs can be resumed, shared and copied."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from runs import LINEAR, each_method, grid_for, initial, logistic, states
from semilinear import (
    Dense,
    Diagonal,
    InvalidArgument,
    Propagator,
    Scalar,
    make_plan,
    methods,
)
from semilinear.methods import Method
from semilinear.stepping import run

GRID = [0.0, 0.3, 0.5, 1.0]


# --- plans and states ---------------------------------------------------------------------------


def test_a_plan_says_what_it_is() -> None:
    plan = make_plan(Scalar(-1.0), GRID, method="krogstad4")
    assert repr(plan) == "Plan(krogstad4, steps=3, nfe=12)"
    assert (plan.steps, plan.nfe, len(plan.times)) == (3, 12, 12)
    assert plan.grid.tolist() == GRID


def test_a_plan_keeps_a_grid_of_its_own() -> None:
    grid = np.array(GRID)
    plan = make_plan(Scalar(-1.0), grid)
    grid[:] = 7.0
    assert plan.grid.tolist() == GRID
    with pytest.raises(ValueError, match="read-only"):
        plan.grid[0] = 1.0


def test_a_state_says_where_it_is() -> None:
    plan = make_plan(Scalar(-1.0), GRID, method="etd2rk")
    run_through = states(plan, np.ones(4, np.float32))
    assert [s.evaluation for s in run_through] == list(range(7))
    assert [s.step for s in run_through] == [0, 0, 1, 1, 2, 2, 3]
    assert [s.done for s in run_through] == [False] * 6 + [True]
    assert [s.t for s in run_through] == [*plan.times, 1.0]
    assert repr(run_through[1]) == "State(t=0.3, evaluation=1, step=0, x: (4,) float32)"
    assert repr(run_through[-1]) == "State(done, evaluation=6, step=3, x: (4,) float32)"


def test_a_state_cannot_be_changed() -> None:
    state = make_plan(Scalar(-1.0), GRID).start(np.ones(2))
    with pytest.raises(AttributeError):
        state.t = 3.0


@each_method
def test_y_is_the_state_at_the_last_grid_point(method: Method) -> None:
    mode = getattr(method, "mode", "P")
    plan = make_plan(Scalar(-1.0), grid_for(method), method=method)
    found = states(plan, np.ones(3))
    reached = np.ones(3)
    for before, state in pairwise(found):
        if state.step > before.step:
            reached = state.y
            # A corrector is asked at its prediction; all others at the grid point itself.
            assert mode != "P" or np.array_equal(state.x, reached)
        # The corrected state of a PECE pair is there before its step is complete.
        corrected = mode == "PECE" and np.array_equal(state.y, state.x)
        assert corrected or np.array_equal(state.y, reached)
    assert np.array_equal(found[-1].x, found[-1].y)


@each_method
@pytest.mark.parametrize("kind", ["scalar", "diagonal", "dense"])
def test_a_run_can_be_taken_up_from_any_of_its_states(method: Method, kind: str) -> None:
    linear = LINEAR[kind]
    plan = make_plan(linear, grid_for(method), method=method)
    found = states(plan, initial(linear))
    seen = [s.x.copy() for s in found]
    for state in found[:-1]:
        while not state.done:
            state = plan.advance(state, logistic(state.x, state.t))
        assert np.array_equal(state.x, seen[-1])
    # No state was changed by what was done from it.
    assert all(np.array_equal(s.x, x) for s, x in zip(found, seen, strict=True))


@each_method
def test_runs_through_one_plan_do_not_see_each_other(method: Method) -> None:
    """Two runs in turns: values of N of one must not reach the other."""
    plan = make_plan(Diagonal([-1.0, -20.0]), grid_for(method), method=method)
    starts = [np.array([1.0, 0.5]), np.array([-0.3, 0.8])]
    alone = [states(plan, x)[-1].x for x in starts]
    turns = [plan.start(x) for x in starts]
    while not turns[0].done:
        turns = [plan.advance(s, logistic(s.x, s.t)) for s in turns]
    for state, expected in zip(turns, alone, strict=True):
        assert np.array_equal(state.x, expected)


@pytest.mark.parametrize("size", [3, 300])
def test_threads_share_a_plan(size: int) -> None:
    rates = -np.linspace(0.0, 40.0, size)
    grid = np.concatenate([[0.0], np.cumsum(np.linspace(0.01, 0.02, 80))])
    plan = make_plan(Diagonal(rates), grid, method="etdab4")
    starts = [np.linspace(-1, 1, size) * scale for scale in np.linspace(0.1, 1.0, 8)]
    alone = [run(plan, logistic, x).x for x in starts]
    shared = make_plan(Diagonal(rates), grid, method="etdab4")
    with ThreadPoolExecutor(max_workers=8) as threads:
        together = list(threads.map(lambda x: run(shared, logistic, x).x, starts))
    for found, expected in zip(together, alone, strict=True):
        assert np.array_equal(found, expected)


PLANS = {
    "scalar": make_plan(Scalar(-1.0), GRID, method="etdpece3"),
    "diagonal": make_plan(Diagonal([-1.0, -2.0]), GRID, method="etdpece3"),
    "dense": make_plan(Dense(np.eye(2)), GRID, method="hochbruck_ostermann4"),
}


@pytest.mark.parametrize("kind", PLANS)
def test_copies_of_a_plan(kind: str) -> None:
    plan = PLANS[kind]
    for twin in (copy.copy(plan), copy.deepcopy(plan)):
        assert np.array_equal(run(twin, logistic, np.ones(2)).x, run(plan, logistic, np.ones(2)).x)
        assert len(twin.rows) == len(plan.rows)


@pytest.mark.parametrize("kind", PLANS)
def test_pickles_of_a_plan(kind: str) -> None:
    """For processes of a pool; `rows` is made from scratch in each."""
    plan = PLANS[kind]
    twin = pickle.loads(pickle.dumps(plan))
    assert np.array_equal(run(twin, logistic, np.ones(2)).x, run(plan, logistic, np.ones(2)).x)
    assert len(twin.rows) == len(plan.rows)
    assert twin.times == plan.times


def test_a_state_belongs_to_its_plan() -> None:
    short, long = (make_plan(Scalar(-1.0), np.linspace(0, 1, n)) for n in (3, 6))
    state = short.start(np.ones(2))
    with pytest.raises(InvalidArgument, match="state belongs to another run"):
        long.advance(state, state.x)
    again = make_plan(Scalar(-1.0), np.linspace(0, 1, 3))
    assert again.advance(state, state.x).evaluation == 1


@pytest.mark.parametrize("linear", [Scalar(-1.0), Diagonal([-1.0, -2.0]), Dense(-np.eye(2))])
def test_a_state_belongs_to_its_method(linear: Propagator) -> None:
    """Also where coefficients are arrays, which no identity holds."""
    one = make_plan(linear, GRID, method=methods.etdab(3))
    other = make_plan(linear, GRID, method=dataclasses.replace(methods.etdab(2), name="etdab3"))
    state = one.start(np.ones(2))
    with pytest.raises(InvalidArgument, match="state belongs to another run"):
        other.advance(state, state.x)
    again = make_plan(linear, GRID, method=methods.etdab(3))
    assert again.advance(state, state.x).evaluation == 1


class Own(Diagonal):
    """A linear part of one's own, of which no plan knows what it answers."""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Diagonal([-1.0, -2.0]), Diagonal([-50.0, -2.0])),
        (Diagonal([-1.0, -2.0]), Diagonal([-1.0, -2.0], weight=3.0)),
        (Diagonal([-1.0, -2.0]), Diagonal([-1.0 + 0j, -2.0])),
        (Dense(np.eye(2)), Dense(-np.eye(2))),
        (Own([-1.0, -2.0]), Own([-1.0, -2.0])),
        (Own([-1.0, -2.0]), Diagonal([-1.0, -2.0])),
    ],
)
def test_a_state_belongs_to_its_linear_part(one: Propagator, other: Propagator) -> None:
    first, second = (make_plan(linear, GRID, method="etd2rk") for linear in (one, other))
    state = first.start(np.ones(2, complex))
    with pytest.raises(InvalidArgument, match="state belongs to another run"):
        second.advance(state, state.x)
    again = make_plan(one, GRID, method="etd2rk")
    assert again.advance(state, state.x).evaluation == 1


@pytest.mark.parametrize("kind", PLANS)
def test_copies_and_pickles_go_on_with_its_states(kind: str) -> None:
    plan = PLANS[kind]
    state = plan.start(np.ones(2))
    for twin in (copy.deepcopy(plan), pickle.loads(pickle.dumps(plan))):
        assert twin.advance(state, state.x).evaluation == 1


@pytest.mark.parametrize("kind", PLANS)
def test_nothing_of_a_plan_can_be_set_or_deleted(kind: str) -> None:
    for plan in (PLANS[kind], pickle.loads(pickle.dumps(PLANS[kind]))):
        with pytest.raises(AttributeError, match="nfe: Plan is immutable"):
            plan.nfe = 3
        with pytest.raises(AttributeError, match="nfe: Plan is immutable"):
            del plan.nfe
        with pytest.raises(AttributeError, match="note: Plan is immutable"):
            plan.note = "mine"
        assert not plan.grid.flags.writeable


@pytest.mark.parametrize(
    ("linear", "names"),
    [
        (Scalar(-1.0), ("rate", "weight")),
        (Diagonal([-1.0, -2.0]), ("eigenvalues", "weight")),
        (Dense(np.eye(2)), ("matrix",)),
    ],
)
def test_a_linear_part_stays_as_it_is(linear: Propagator, names: tuple[str, ...]) -> None:
    for twin in (linear, copy.deepcopy(linear), pickle.loads(pickle.dumps(linear))):
        for name in names:
            with pytest.raises(AttributeError, match=rf"^{name}: \w+ is immutable"):
                setattr(twin, name, 1.0)
            with pytest.raises(AttributeError, match=rf"^{name}: \w+ is immutable"):
                delattr(twin, name)
            value = getattr(twin, name)
            assert not isinstance(value, np.ndarray) or not value.flags.writeable


def test_a_linear_part_of_ones_own_may_count() -> None:
    linear = Own([-1.0, -2.0])
    linear.asked = 0
    linear.asked += 1
    del linear.asked
    with pytest.raises(AttributeError, match="eigenvalues: Own is immutable"):
        linear.eigenvalues = np.ones(2)
