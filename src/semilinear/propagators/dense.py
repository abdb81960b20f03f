"""A linear part that is a full matrix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import ceil, factorial, log2
from typing import Any

import numpy as np

from semilinear.errors import InvalidArgument
from semilinear.immutable import Immutable
from semilinear.kernels.phi_reference import phi_functions
from semilinear.propagators.base import (
    Coefficient,
    Propagator,
    digest,
    finite_array,
    newton_integrals,
    refuse_real_state,
)

TERMS = 18
"""Taylor terms for a matrix of norm at most 1/2: 2^-18 / 18! < 1e-21."""

LARGEST = 2.0**1000
"""Norm up to which there are phi-functions: far beyond what rounding leaves of them."""


class Dense(Immutable, Propagator):
    """y' = A y + N(t, y) with a matrix A that acts on the last axis of the state.

    Parameters
    ----------
    matrix
        A, real or complex, of shape (n, n) for states of shape (..., n).

    Raises
    ------
    InvalidArgument
        If `matrix` is not square, or has entries that are no finite numbers; plans raise it for
        states that do not fit.

    Notes
    -----
    phi-functions of A are matrices, made by Taylor series and scaling and modified squaring
    (Skaflestad and Wright 2009); they cost some n^3 per distinct step length, and n^2 to apply.

    Their error is some ``eps |h A|`` (1-norm), which slow modes lose beside fast ones. Matrices
    that are triangular in some order of rows and columns do not lose it: their diagonals are made
    anew at each squaring, as Al-Mohy and Higham (2009, code fragment 2.1) do for the exponential.
    """

    form = "matrix"
    constant = True
    _fixed = ("matrix",)

    def __init__(self, matrix: Any) -> None:
        self.matrix = finite_array(matrix, "matrix")
        if self.matrix.ndim != 2 or self.matrix.shape[0] != self.matrix.shape[1]:
            raise InvalidArgument(f"matrix has shape {self.matrix.shape}; it must be square")

    def __repr__(self) -> str:
        return f"Dense(shape={self.matrix.shape}, dtype={self.matrix.dtype})"

    @property
    def identity(self) -> Any:
        return self._digest if type(self) is Dense else self  # a subclass may answer otherwise

    @cached_property
    def _digest(self) -> str:
        return digest(self.matrix)

    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        if self.matrix.dtype.kind == "c" and not complex_state:
            raise refuse_real_state(argument)
        if not shape or shape[-1] != len(self.matrix):
            raise InvalidArgument(
                f"{argument} has shape {shape}; its last axis must have length {len(self.matrix)}, "
                "the size of the matrix of Dense"
            )

    def input_weight(self, t: Any) -> Coefficient:
        return 1.0

    def flow(self, a: Any, b: Any) -> Coefficient:
        return phi_matrices((b - a) * self.matrix, 0)[0]

    def integrals(self, a: Any, b: Any, nodes: Sequence[Any], scale: Any) -> list[Coefficient]:
        h = b - a
        return newton_integrals(phi_matrices(h * self.matrix, len(nodes) + 1), a, h, nodes, scale)

    def turn(self, a: float, b: float, *states: np.ndarray) -> float:
        return abs(b - a) * self._fastest

    @cached_property
    def _fastest(self) -> float:
        return float(np.abs(np.linalg.eigvals(self.matrix).imag).max(initial=0.0))

    def phis(self, lengths: np.ndarray, highest: int) -> np.ndarray:
        return np.stack([phi_matrices(h * self.matrix, highest) for h in lengths], axis=1)


def phi_matrices(z: np.ndarray, count: int) -> list[np.ndarray]:
    """Return phi_0(Z) .. phi_count(Z) of a square matrix.

    ``phi_k(2Z) = 2^-k (phi_0(Z) phi_k(Z) + sum_{j=1..k} phi_j(Z) / (k-j)!)``
    (Skaflestad and Wright 2009, eq. 2.7), from a Taylor series at a norm of at most 1/2. NaN where
    the norm is no number to halve.

    A rounding of phi_0 by eps at norm 1/2 is one by eps |Z| in the end. Where the diagonal of Z has
    its eigenvalues, phi_k of them are known at each doubling, and only they pass errors on.
    """
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(z, 1))
    if not norm < LARGEST:
        return [np.full_like(z, np.nan) for _ in range(count + 1)]
    identity = np.eye(len(z), dtype=z.dtype)
    if norm == 0.0:
        return [identity / factorial(k) for k in range(count + 1)]
    doublings = max(0, ceil(log2(2 * norm)))
    small = z / 2.0**doublings
    top = identity / factorial(count + TERMS)
    for m in range(count + TERMS - 1, count - 1, -1):
        top = small @ top + identity / factorial(m)
    phis = [top]
    for k in range(count - 1, -1, -1):
        phis.insert(0, small @ phis[0] + identity / factorial(k))
    diagonals: tuple[np.ndarray, ...] = ()
    if doublings and is_triangular_in_some_order(z):
        levels = np.diagonal(small) * 2.0 ** np.arange(1, doublings + 1)[:, None]
        diagonals = phi_functions(levels, max(1, count))
    for level in range(doublings):
        flow = phis[0]
        phis = [_doubled(flow, phis, k) for k in range(count + 1)]
        for block, diagonal in zip(phis, diagonals, strict=False):
            np.fill_diagonal(block, diagonal[level])
    return phis


def is_triangular_in_some_order(matrix: np.ndarray) -> bool:
    """Tell whether some order of rows, and of columns alike, makes a matrix triangular."""
    links = matrix != 0.0
    np.fill_diagonal(links, False)
    reads = np.count_nonzero(links, axis=1)
    free = np.flatnonzero(reads == 0).tolist()  # rows that read none of those that are left
    taken = 0
    while free:
        readers = links[:, free.pop()]
        taken += 1
        reads -= readers
        free += np.flatnonzero(readers & (reads == 0)).tolist()
    return taken == len(matrix)


def _doubled(flow: np.ndarray, phis: list[np.ndarray], k: int) -> np.ndarray:
    total: np.ndarray = flow @ phis[k]
    for j in range(1, k + 1):
        total = total + phis[j] / factorial(k - j)
    return total / 2.0**k
