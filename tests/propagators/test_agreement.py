"""What holds for every propagator: composition, and agreement with Dense where they overlap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semilinear import Dense, Diagonal, Propagator, Scalar
from tolerances import assert_close

MATRIX = np.array([[-1.0, 4.0, 0.5], [0.0, -2.0, 4.0], [0.3, 0.0, -1.0]])
PROPAGATORS: dict[str, Propagator] = {
    "scalar": Scalar(-1.3),
    "complex scalar": Scalar(-0.4 + 3j, weight=2.0),
    "scalar of time": Scalar(lambda t: -1 + 1.5 * np.cos(2 * t), weight=lambda t: 1 + 0.5 * t),
    "complex scalar of time": Scalar(lambda t: 2j * t - 0.3),
    "diagonal": Diagonal([-1.0, 0.0, -3.5]),
    "complex diagonal": Diagonal([2j, -0.5 - 3j, -1 + 1j]),
    "dense": Dense(MATRIX),
    "complex dense": Dense(MATRIX + 1j * MATRIX.T),
}
each_propagator = pytest.mark.parametrize("linear", PROPAGATORS.values(), ids=PROPAGATORS)
OPERATIONS = 500
"""For all of a composition: tens of roundings each, and squarings of a matrix of norm about 10."""

times = st.floats(-1.0, 1.0)


def after(linear: Propagator, later: Any, earlier: Any) -> Any:
    """Return what the coefficient `later` makes of `earlier`."""
    return later @ earlier if linear.form == "matrix" else later * earlier


@each_propagator
@given(times, times, times)
def test_flows_compose(linear: Propagator, a: float, b: float, c: float) -> None:
    """Psi(c, b) Psi(b, a) = Psi(c, a), forwards and backwards."""
    second, first = linear.flow(b, c), linear.flow(a, b)
    scale = float(np.abs(second).max() * np.abs(first).max())
    found = after(linear, second, first)
    assert_close(found, linear.flow(a, c), operations=OPERATIONS, scale=scale)


@each_propagator
@given(times, st.floats(0.1, 1.0), st.floats(0.1, 1.0), st.lists(times, max_size=4))
def test_integrals_compose(
    linear: Propagator, a: float, first: float, second: float, nodes: list[float]
) -> None:
    """int_a^c = Psi(c, b) int_a^b + int_b^c, the Newton basis being the same."""
    b = a + first
    c = b + second
    scale = 0.7
    flow = linear.flow(b, c)
    parts = zip(
        linear.integrals(a, b, nodes, scale), linear.integrals(b, c, nodes, scale), strict=True
    )
    whole = linear.integrals(a, c, nodes, scale)
    size = float(np.abs(flow).max() + 1) * (c - a) * 4
    for m, ((early, late), expected) in enumerate(zip(parts, whole, strict=True)):
        found = after(linear, flow, early) + late
        assert_close(found, expected, operations=OPERATIONS, scale=size)
        if m < len(nodes):
            size *= (abs(a - nodes[m]) + (c - a)) / scale


@each_propagator
def test_nothing_happens_in_no_time(linear: Propagator) -> None:
    flow = linear.flow(0.3, 0.3)
    identity = np.eye(3) if linear.form == "matrix" else np.ones(np.shape(flow))
    assert_close(flow, identity, operations=0)


@each_propagator
def test_integrals_of_a_longer_basis_begin_with_those_of_a_shorter_one(linear: Propagator) -> None:
    nodes = [0.0, -0.5, -1.2]
    longest = linear.integrals(0.0, 0.5, nodes, 0.5)
    for count in range(3):
        shorter = linear.integrals(0.0, 0.5, nodes[:count], 0.5)
        assert len(shorter) == count + 1
        for found, expected in zip(shorter, longest, strict=False):
            scale = float(np.abs(expected).max())
            assert_close(found, expected, operations=OPERATIONS, scale=scale)


@each_propagator
def test_constant_propagators_know_that_they_are(linear: Propagator) -> None:
    shifted = linear.flow(0.4, 0.9) - linear.flow(0.0, 0.5)
    assert linear.constant == bool(np.abs(shifted).max() < 1e-14)


OVERLAPS: dict[str, tuple[Propagator, Callable[[Any], np.ndarray], Dense]] = {
    "scalar": (Scalar(-1.3), lambda x: x * np.eye(2), Dense(-1.3 * np.eye(2))),
    "complex scalar": (Scalar(-1 + 3j), lambda x: x * np.eye(2), Dense((-1 + 3j) * np.eye(2))),
    "stiff scalar": (Scalar(-1e4), lambda x: x * np.eye(2), Dense(-1e4 * np.eye(2))),
    "function of time": (
        Scalar(lambda t: -1.3 + 0 * t),
        lambda x: x * np.eye(2),
        Dense(-1.3 * np.eye(2)),
    ),
    "diagonal": (Diagonal([-1.0, 0.0, -30.0]), np.diag, Dense(np.diag([-1.0, 0.0, -30.0]))),
    "complex diagonal": (Diagonal([2j, -1 - 3j]), np.diag, Dense(np.diag([2j, -1 - 3j]))),
}


@pytest.mark.parametrize(("linear", "matrix", "dense"), OVERLAPS.values(), ids=OVERLAPS)
def test_every_propagator_is_dense_where_they_overlap(
    linear: Propagator, matrix: Callable[[Any], np.ndarray], dense: Dense
) -> None:
    norm = float(np.linalg.norm(dense.matrix, 1))
    # A unit of each entry of the answer, since an entry near 0 is made of larger ones.
    for a, b, nodes, scale in [
        (0.0, 1.0, [0.0, 0.0, 0.0], 1.0),
        (0.5, 0.75, [0.5, 0.0, -1.0], 0.5),
        (0.0, 0.5, [0.5, 0.0, -0.25], -0.25),
    ]:
        tolerance = {"operations": 50 * (1 + norm), "scale": 1.0}
        assert_close(matrix(linear.flow(a, b)), dense.flow(a, b), **tolerance)
        answers = linear.integrals(a, b, nodes, scale)
        for found, expected in zip(answers, dense.integrals(a, b, nodes, scale), strict=True):
            tolerance["scale"] = max(1.0, float(np.abs(expected).max()))
            assert_close(matrix(found), expected, **tolerance)
