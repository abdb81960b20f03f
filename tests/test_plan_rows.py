"""A plan, read row by row, does what `advance` does: an independent check of the segments."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest

from runs import (
    after,
    each_linear,
    each_method,
    each_method_and_start,
    grid_for,
    initial,
    trace,
)
from semilinear import Diagonal, Plan, Propagator, Scalar, make_plan, methods
from semilinear.methods import Method, sequence
from semilinear.stepping import Function, run
from tolerances import assert_close


def coupled(x: Any, t: float) -> Any:
    """Nonlinear, coupled and non-autonomous, and bounded for as long as the runs take."""
    return 0.1 * np.cos(3 * t) * x[..., ::-1] * x - 0.3 * x + t


def uncoupled(x: Any, t: float) -> Any:
    return np.cos(t) * x * x - 0.5


def interpret(plan: Plan, method: Method, start: str, model: Function, x: np.ndarray) -> Any:
    """Run through the rows of a plan, one after the other, with names for values."""
    steps = sequence(method, plan.steps, start=start)
    values, asked, n = {"y": x}, [], 0
    for row in plan.rows:
        if row.step > n:
            values, n = {new: values[old] for new, old in steps[n].carry}, row.step
        terms = zip(row.coefficients, row.sources, strict=True)
        values[row.dst] = sum(after(c, values[name]) for c, name in terms)
        if row.ask is not None:
            t, slot = row.ask
            asked.append(t)
            values[slot] = model(values[row.dst], t)
    assert tuple(asked) == plan.times
    return values[dict(steps[n].carry)["y"]]


@each_linear
@each_method_and_start
def test_rows_do_what_advance_does(method: Method, start: str, linear: Propagator) -> None:
    plan = make_plan(linear, grid_for(method), method=method, start=start)
    expected = interpret(plan, method, start, coupled, initial(linear))
    found = run(plan, coupled, initial(linear)).x
    assert found.dtype == expected.dtype
    assert_close(found, expected, operations=5000, scale=4.0)


@each_method
def test_evaluations_are_where_the_method_says(method: Method) -> None:
    grid = grid_for(method)
    for direction in (1.0, -1.0):
        plan = make_plan(Scalar(-1.0), direction * grid, method=method)
        found = trace(plan, lambda x, t: -x, np.ones(2))
        assert plan.nfe == len(plan.times) == len(found.times)
        assert tuple(found.times) == plan.times
        assert len(found.states) == plan.steps + 1
        expected: list[float] = []
        for n, step in enumerate(sequence(method, plan.steps)):
            a, b = plan.grid[n], plan.grid[n + 1]
            asks = (i.at for i in step.instructions if hasattr(i, "at"))
            expected += [b if at == 1 else a + float(at) * (b - a) for at in asks]
        assert_close(plan.times, expected, operations=2, scale=float(np.abs(grid).max()))
        assert set(plan.times[:1]) == {plan.grid[0]}


def test_text_of_rows() -> None:
    """One step of Heun's form of Cox and Matthews, eq. 22, for z = -1 and h = 1."""
    first, last = make_plan(Scalar(-1.0), [0.0, 1.0], method="etd2rk").rows[0::2]
    assert (first.dst, first.sources, first.coefficients, first.ask) == (
        "y",
        ("y",),
        (1.0,),
        (0.0, "N1"),
    )
    assert (last.step, last.dst, last.sources, last.ask) == (0, "y+", ("y", "N1", "N2"), None)
    flow = np.exp(-1.0)
    assert_close(last.coefficients, [flow, 1 - 2 * flow, flow], operations=4)
    assert {row.tell for row in (first, last)} == {None}


# --- coefficients that are arrays ---------------------------------------------------------------


class Counting(Diagonal):
    """A diagonal operator that counts how often it is asked."""

    def __init__(self, eigenvalues: Any) -> None:
        super().__init__(eigenvalues)
        self.asked = 0

    def integrals(self, *arguments: Any) -> list[Any]:
        self.asked += 1
        return super().integrals(*arguments)

    def phis(self, lengths: np.ndarray, highest: int) -> np.ndarray:
        self.asked += len(lengths)
        return super().phis(lengths, highest)


@pytest.mark.parametrize("name", ["hochbruck_ostermann4", "etdab4", "etdpece3"])
@pytest.mark.parametrize("start", [0.0, 0.1, -1000.0])
def test_equal_steps_share_their_coefficients(name: str, start: float) -> None:
    """Also where the grid points are rounded, as those of linspace are."""
    asked = []
    for steps in (20, 200):
        linear = Counting([-1.0, -2.0])
        plan = make_plan(linear, start + np.linspace(0.0, 0.7, steps + 1), method=name)
        run(plan, lambda x, t: -x, np.ones(2))
        asked.append(linear.asked)
    assert asked[0] == asked[1]


@pytest.mark.parametrize(
    ("name", "intervals"), [("etd1", 1), ("etdab4", 1), ("etd4rk", 2), ("hochbruck_ostermann4", 2)]
)
def test_each_interval_of_a_step_is_asked_for_once(name: str, intervals: int) -> None:
    """However many rows look at it; a few more at the first step, whose segment opens the run.

    L is constant: intervals of one length count as one.
    """
    linear = Counting([-1.0, -2.0])
    grid = np.cumsum(np.linspace(0.1, 0.2, 41))
    run(make_plan(linear, grid, method=name), lambda x, t: -x, np.ones(2))
    assert 40 * intervals <= linear.asked <= 42 * intervals


def test_steps_that_differ_do_not_share() -> None:
    grid = np.cumsum([0.0, 0.1, 0.1, 0.1 + 1e-12, 0.2])
    linear = Diagonal([-1.0, -2.0])
    plan = make_plan(linear, grid, method="etd1")
    state = plan.start(np.ones(2))
    for n in range(plan.steps):
        expected = linear.flow(0.0, grid[n + 1] - grid[n]) * state.x
        state = plan.advance(state, np.zeros(2))
        assert_close(state.x, expected, operations=8)


def test_more_lengths_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coefficients that were dropped are made again, and are the same."""
    monkeypatch.setattr("semilinear.lazy_segments.BUDGET", 1000)
    count = 40
    grid = np.concatenate([[0.0], np.cumsum(np.linspace(0.01, 0.02, count))])
    plan = make_plan(Diagonal([-1.0, -50.0]), grid, method="etdab3")
    first = run(plan, coupled, np.ones(2)).x
    kept = plan._segments._cache._kept
    assert len(kept) < count
    assert sum(size for _, size in kept.values()) <= 1000
    assert np.array_equal(run(plan, coupled, np.ones(2)).x, first)
    expected = interpret(plan, methods.get("etdab3"), "ramp", coupled, np.ones(2))
    assert_close(first, expected, operations=100 * count, scale=1.0)


@pytest.mark.parametrize("own", [(40,), (4, 1), (1, 10), (1, 1)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
def test_batches_of_any_size_share_casts(own: tuple[int, ...], dtype: type) -> None:
    """Of coefficients for the last axes; on few entries by other kernels, hence two casts."""
    sample = (40,) if len(own) == 1 else (4, 10)
    plan, grid = None, np.linspace(0.0, 1.0, 4)
    for batch in ((), (1,), (2,), (3, 5), (7,)):
        linear = Diagonal(-np.linspace(0.1, 1.0, prod(own)).reshape(own))
        plan = plan or make_plan(linear, grid, method="etd2rk")
        x = np.random.default_rng(0).standard_normal((*batch, *sample)).astype(dtype)
        alone = run(make_plan(linear, grid, method="etd2rk"), lambda x, t: -x, x).x
        assert np.array_equal(run(plan, lambda x, t: -x, x).x, alone)
    kept = plan._segments._cache._kept.values()
    assert max(len(operators._casts) for operators, _ in kept) <= 2
    run(plan, lambda x, t: -x, x)
    assert plan._segments._cache._total == sum(operators.nbytes for operators, _ in kept)
    if dtype is np.float32:
        assert all(
            operators.nbytes > sum(c.nbytes for c in operators._arrays()) for operators, _ in kept
        )


@each_method
def test_every_diagonal_run_is_a_set_of_scalar_runs(method: Method) -> None:
    """Two ways to make segments: all at once as a table, or one by one when they are needed."""
    rates = [-1.0, 0.3, -40.0]
    grid = grid_for(method)
    together = run(make_plan(Diagonal(rates), grid, method=method), uncoupled, np.full(3, 0.5)).x
    for rate, found in zip(rates, together, strict=True):
        expected = run(make_plan(Scalar(rate), grid, method=method), uncoupled, np.full(1, 0.5)).x
        assert_close(np.array([found]), expected, operations=2000, scale=1.0)


class Varying(Propagator):
    """An operator of one's own: rates that depend on time, one for each entry."""

    form = "elementwise"
    constant = False

    def __init__(self, *entries: Scalar) -> None:
        self.entries = entries

    def flow(self, a: Any, b: Any) -> Any:
        return np.array([entry.flow(a, b) for entry in self.entries])

    def integrals(self, a: Any, b: Any, nodes: Any, scale: Any) -> list[Any]:
        answers = [entry.integrals(a, b, nodes, scale) for entry in self.entries]
        return [np.array(column) for column in zip(*answers, strict=True)]

    def input_weight(self, t: Any) -> Any:
        return np.array([entry.input_weight(t) for entry in self.entries])

    def check_state(self, shape: Any, complex_state: bool, *, argument: str) -> None:
        assert shape[-1] == len(self.entries)


@each_method_and_start
def test_an_operator_that_is_not_constant(method: Method, start: str) -> None:
    """Steps of equal length do not share coefficients then."""
    entries = [
        Scalar(lambda t: -1 + 2 * t, weight=lambda t: 1 + t),
        Scalar(lambda t: -30 * t),
    ]
    grid = np.linspace(0.0, 1.0, len(grid_for(method)))
    plan = make_plan(Varying(*entries), grid, method=method, start=start)
    together = run(plan, uncoupled, np.full(2, 0.5)).x
    for entry, found in zip(entries, together, strict=True):
        plan = make_plan(entry, grid, method=method, start=start)
        expected = run(plan, uncoupled, np.full(1, 0.5)).x
        assert_close(np.array([found]), expected, operations=2000, scale=1.0)


class Turning(Propagator):
    """Matrices that do not commute at different times: Psi(b, a) = X(b) X(a)^-1."""

    form = "matrix"
    constant = False

    def basis(self, t: float) -> np.ndarray:
        """Return X(t): a rotation of a matrix that grows, shrinks and shears."""
        turn = np.array([[np.cos(2 * t), np.sin(2 * t)], [-np.sin(2 * t), np.cos(2 * t)]])
        return turn @ np.array([[np.exp(-t), 3 * t], [0.0, np.exp(t / 2)]])

    def flow(self, a: float, b: float) -> np.ndarray:
        return self.basis(b) @ np.linalg.inv(self.basis(a))

    def integrals(self, a: float, b: float, nodes: Any, scale: float) -> list[np.ndarray]:
        points, weights = np.polynomial.legendre.leggauss(12)
        times = a + (b - a) * (points + 1) / 2
        factors = (b - a) * weights / 2
        answers = []
        for m in range(len(nodes) + 1):
            answers.append(sum(w * self.flow(t, b) for w, t in zip(factors, times, strict=True)))
            if m < len(nodes):
                factors = factors * (times - nodes[m]) / scale
        return answers

    def input_weight(self, t: float) -> float:
        return 1.0

    def check_state(self, shape: Any, complex_state: bool, *, argument: str) -> None:
        assert shape[-1] == 2


@each_method_and_start
def test_matrices_that_do_not_commute(method: Method, start: str) -> None:
    """Products of matrices must stand in the order in which the rows apply them."""
    linear = Turning()
    early, late = linear.flow(0.0, 0.5), linear.flow(0.5, 1.0)
    assert np.abs(early @ late - late @ early).max() > 0.1
    plan = make_plan(linear, grid_for(method), method=method, start=start)
    expected = interpret(plan, method, start, coupled, np.array([0.4, -0.3]))
    found = run(plan, coupled, np.array([0.4, -0.3])).x
    assert_close(found, expected, operations=5000, scale=4.0)
