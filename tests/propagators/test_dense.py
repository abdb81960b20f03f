"""A full matrix: phi-functions by scaling and squaring, against other formulas."""

from __future__ import annotations

from math import factorial
from typing import Any

import mpmath
import numpy as np
import pytest

from semilinear import Dense, Diagonal, InvalidArgument, NonFiniteError, solve
from semilinear.propagators import dense
from semilinear.propagators.dense import phi_matrices
from tolerances import assert_close

rng = np.random.default_rng(20240607)
COUNT = 3
EPS = float(np.finfo(float).eps)
NEUMANN = np.array([[-1.0, 1, 0, 0], [1, -2, 1, 0], [0, 1, -2, 1], [0, 0, 1, -1.0]])
MATRICES: dict[str, np.ndarray] = {
    "zero": np.zeros((3, 3)),
    "one entry": np.array([[-2.5]]),
    "general": rng.standard_normal((5, 5)),
    "complex": rng.standard_normal((4, 4)) + 1j * rng.standard_normal((4, 4)),
    "tiny": 1e-9 * rng.standard_normal((4, 4)),
    "singular": NEUMANN,
    "nilpotent": np.triu(np.ones((4, 4)), 1),
    "far from normal": np.array([[-1.0, 40, 0], [0, -2, 40], [0, 0, -1]]),
    "rotation": np.array([[0.0, 25.0], [-25.0, 0.0]]),
    "growing": np.array([[3.0, 1.0], [1.0, 2.0]]),
    "stiff": 4e3 * NEUMANN,
}
each_matrix = pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)


def operations(matrix: np.ndarray) -> float:
    """Squaring doubles the error as often as it doubles the matrix: it grows with the norm."""
    return 20 * len(matrix) * (1 + float(np.linalg.norm(matrix, 1)))


def augmented(matrix: np.ndarray, count: int) -> np.ndarray:
    """Return the matrix whose exponential has e^Z, phi_1(Z), .. phi_count(Z) in its first row.

    Z beside a shift of identities (Al-Mohy and Higham 2011, theorem 2.1).
    """
    n = len(matrix)
    whole = np.zeros((n * (count + 1),) * 2, dtype=matrix.dtype)
    whole[:n, :n] = matrix
    for k in range(count):
        whole[n * k : n * (k + 1), n * (k + 1) : n * (k + 2)] = np.eye(n)
    return whole


@each_matrix
def test_phi_matrices_are_blocks_of_an_exponential(matrix: np.ndarray) -> None:
    # Not SciPy 1.17's expm: for the matrix "growing" it is off by 1000 eps.
    with mpmath.workdps(40):
        whole = np.array(mpmath.expm(mpmath.matrix(augmented(matrix, COUNT).tolist())).tolist())
    expected = np.split(whole[: len(matrix)].astype(matrix.dtype), COUNT + 1, axis=1)
    for found, block in zip(phi_matrices(matrix, COUNT), expected, strict=True):
        assert_close(found, block, operations=operations(matrix))


@each_matrix
def test_phi_matrices_satisfy_the_recurrence(matrix: np.ndarray) -> None:
    """phi_k = Z phi_{k+1} + I / k!."""
    phis = phi_matrices(matrix, COUNT)
    identity = np.eye(len(matrix))
    for k in range(COUNT):
        product = matrix @ phis[k + 1]
        scale = float(np.abs(product).max()) + 1 / factorial(k)
        expected = product + identity / factorial(k)
        assert_close(phis[k], expected, operations=operations(matrix), scale=scale)


def cascade(rate: float) -> np.ndarray:
    return np.array([[-rate, 0.0, 0.0], [rate, -0.7, 0.0], [0.0, 0.7, 0.0]])


TRIANGULAR: dict[str, np.ndarray] = {
    "cascade": cascade(3e8),
    "fast cascade": cascade(3e12),
    "defective": np.array([[-1.0, 1e9], [0.0, -1.0]]),
    "oscillating": np.array([[2000j, 3.0], [0.0, -1j]]),
    "upper": np.triu(rng.uniform(0.0, 1e4, (5, 5)), 1) - np.diag(rng.uniform(0.0, 20.0, 5)),
}


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]])
@pytest.mark.parametrize("matrix", TRIANGULAR.values(), ids=TRIANGULAR)
def test_triangular_matrices_lose_nothing_by_their_norm(
    matrix: np.ndarray, order: list[int]
) -> None:
    """Entry by entry: none of these sums cancels."""
    order = [i for i in order if i < len(matrix)]
    shuffled = matrix[np.ix_(order, order)]
    with mpmath.workdps(80):
        exact = mpmath.expm(mpmath.matrix(augmented(shuffled, COUNT).tolist()), method="taylor")
        whole = np.array(exact.tolist())
    expected = np.split(whole[: len(matrix)].astype(matrix.dtype), COUNT + 1, axis=1)
    for found, block in zip(phi_matrices(shuffled, COUNT), expected, strict=True):
        np.testing.assert_allclose(found, block, rtol=500 * EPS)


def test_what_is_triangular_in_some_order() -> None:
    for matrix in (*TRIANGULAR.values(), np.zeros((2, 2)), np.array([[-2.5]]), np.zeros((0, 0))):
        assert dense.is_triangular_in_some_order(matrix)
    ring = np.roll(np.eye(4), 1, axis=1)
    assert not dense.is_triangular_in_some_order(ring)
    assert not dense.is_triangular_in_some_order(np.kron(np.diag([1.0, 0.0]), ring))
    ring[0, 1] = 0.0
    assert dense.is_triangular_in_some_order(ring)


def test_a_fast_cascade_keeps_its_slow_end() -> None:
    s = solve(Dense(cascade(3e15)), lambda t, y: 0 * y, (0.0, 1.0), [1.0, 0.0, 0.0], rtol=1e-8)
    np.testing.assert_allclose(s.y[:, -1], [0.0, np.exp(-0.7), -np.expm1(-0.7)], rtol=1e-14)


def test_phi_1_of_a_singular_matrix() -> None:
    """A Laplacian with Neumann conditions keeps constants: phi_k 1 = 1 / k!."""
    for k, block in enumerate(phi_matrices(MATRICES["stiff"], 3)):
        expected = np.full(4, 1 / factorial(k))
        assert_close(block @ np.ones(4), expected, operations=operations(MATRICES["stiff"]))


@pytest.mark.parametrize("radius", [0.5, 0.9, 2.0, 50.0, 1e4])
def test_a_normal_matrix_is_a_diagonal_one_in_its_eigenbasis(radius: float) -> None:
    """Whatever the spectral radius: no contour leaves eigenvalues outside."""
    rates = -radius * np.array([1.0, 0.7, 0.2, 0.01, 0.0])
    basis, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    matrix = basis @ np.diag(rates) @ basis.T
    nodes = [0.5, 0.25, 0.5]
    dense = Dense(matrix).integrals(0.5, 1.5, nodes, 2.0)
    diagonal = Diagonal(rates).integrals(0.5, 1.5, nodes, 2.0)
    for found, expected in zip(dense, diagonal, strict=True):
        rotated = basis @ np.diag(expected) @ basis.T
        assert_close(found, rotated, operations=operations(matrix), scale=1.0)
    flow = basis @ np.diag(np.exp(rates)) @ basis.T
    assert_close(Dense(matrix).flow(0.5, 1.5), flow, operations=operations(matrix))


@each_matrix
def test_transposing_and_shuffling_commute_with_phi(matrix: np.ndarray) -> None:
    order = rng.permutation(len(matrix))
    shuffled = matrix[np.ix_(order, order)]
    plain = phi_matrices(matrix, 3)
    for k in range(4):
        scale = float(np.abs(plain[k]).max())
        tolerance = {"operations": operations(matrix), "scale": scale}
        assert_close(phi_matrices(matrix.T, 3)[k], plain[k].T, **tolerance)
        assert_close(phi_matrices(shuffled, 3)[k], plain[k][np.ix_(order, order)], **tolerance)


@each_matrix
def test_several_lengths_at_once(matrix: np.ndarray) -> None:
    lengths = np.array([0.0, 0.5, 1.0])
    together = Dense(matrix).phis(lengths, 3)
    for i, h in enumerate(lengths):
        assert np.array_equal(together[:, i], phi_matrices(h * matrix, 3))


@pytest.mark.parametrize(("name", "lengths"), [("zoto_bowman43", 3), ("etd4rk", 2), ("lawson4", 3)])
def test_a_step_asks_once_for_each_length(
    name: str, lengths: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Matrix functions are what a step of a full matrix costs."""
    asked: list[float] = []

    def counted(z: np.ndarray, count: int) -> list[np.ndarray]:
        asked.append(float(z[0, 0]))
        return phi_matrices(z, count)

    monkeypatch.setattr(dense, "phi_matrices", counted)
    solve(Dense(-np.eye(2)), lambda t, y: 0 * y, (0, 1), np.ones(2), method=name, steps=1)
    assert len(asked) == len(set(asked)) == lengths


@pytest.mark.parametrize("size", [-1e308, 1e305])
def test_a_matrix_too_large_to_halve_has_no_phi_functions(size: float) -> None:
    for matrix in (np.array([[size]]), np.full((2, 2), 1j * size)):
        assert all(np.isnan(block).all() for block in phi_matrices(matrix, 2))


def test_fixed_steps_over_which_a_matrix_is_too_large_are_refused() -> None:
    linear = Dense([[-1e308]])
    with pytest.raises(NonFiniteError, match=r"^linear: its flow .* take smaller steps"):
        solve(linear, lambda t, y: y, (0, 100), [1.0], steps=1)


@pytest.mark.parametrize("size", [2, 64], ids=["interpreted", "compiled"])
def test_adaptive_steps_over_which_a_matrix_is_too_large_are_retried(size: int) -> None:
    s = solve(Dense(-1e302 * np.eye(size)), lambda t, y: 0 * y, (0, 1), np.ones(size))
    assert s.success
    assert np.diff(s.t).max() <= 2.0**1000 / 1e302
    assert not s.y[:, 1:].any()


def test_the_matrix_is_kept_as_it_was_given() -> None:
    matrix = np.array([[1.0, 2.0], [3.0, 4.0]])
    linear = Dense(matrix)
    matrix[:] = 0.0
    assert linear.matrix.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert linear.input_weight(0.0) == 1.0


@pytest.mark.parametrize("shape", [(3,), (2, 3), (), (2, 2, 2)], ids=str)
def test_a_matrix_must_be_square(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument, match=r"^matrix has shape .* must be square"):
        Dense(np.ones(shape))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "must be an array of numbers"),
        ([["a"]], "must be an array of numbers"),
        ([[np.nan]], "NaN or infinite"),
        ([[np.inf]], "NaN or infinite"),
    ],
    ids=repr,
)
def test_what_is_no_matrix_of_numbers_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^matrix .*{message}"):
        Dense(wrong)


def test_the_state_must_fit() -> None:
    linear = Dense(np.eye(3))
    linear.check_state((3,), False, argument="y0")
    linear.check_state((5, 2, 3), True, argument="y0")
    for shape in [(), (2,), (3, 2)]:
        with pytest.raises(InvalidArgument, match=r"y0 has shape .* last axis must have length 3"):
            linear.check_state(shape, False, argument="y0")
    with pytest.raises(InvalidArgument, match=r"y0 is real .* pass a complex y0"):
        Dense(1j * np.eye(3)).check_state((3,), False, argument="y0")


def test_repr() -> None:
    assert repr(Dense(np.eye(2))) == "Dense(shape=(2, 2), dtype=float64)"
