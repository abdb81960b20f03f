"""Coefficients of a step: sums of phi-functions, whatever the sizes of blocks and sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

from semilinear.kernels.exp_numba import LEAST
from semilinear.kernels.march_weights import step_weights
from semilinear.kernels.phi_numba import BLOCK
from semilinear.kernels.phi_reference import SERIES_REACH, phi_functions, reciprocal_factorials
from tolerances import rounding

H = 0.37
LENGTHS = np.array([0.0, 1.0 / 6.0, 0.5, 1.0])
HIGHEST = np.array([0, 2, 5, 5])
HALVES = np.array([-1, -1, -1, 2])
FIRSTS = np.array([0, 1, 4, 10])
ROWS = 16
# Of the coefficients: none, because all cancel, to eleven.
COUNTS = (1, 2, 3, 0, 4, 5, 6, 7, 8, 11, 1)
SIZES = (1, 7, BLOCK - 1, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK, 3 * BLOCK + 5)


def made_tables() -> tuple[np.ndarray, ...]:
    """Return the tables of a method with every number of terms."""
    rng = np.random.default_rng(3)
    terms = []
    for number, count in enumerate(COUNTS):
        rows = rng.choice(ROWS, count, replace=False)
        terms += [(number, int(row), number % 2) for row in rows]
    factors = rng.normal(size=len(terms))
    empty = np.empty((0, 2), np.int64)
    inverse = np.array(reciprocal_factorials(5))
    return (
        empty, empty, np.empty(0), empty, np.array(terms), factors, LENGTHS, HIGHEST, HALVES,
        inverse,
    )  # fmt: skip


def expected_weights(
    eigenvalues: np.ndarray, tables: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients, and the sums of the moduli of their terms."""
    phis = np.concatenate([
        np.array(phi_functions(length * H * eigenvalues, max(highest, 1)))[: highest + 1]
        for length, highest in zip(LENGTHS, HIGHEST, strict=True)
    ])  # fmt: skip
    total = np.zeros((len(COUNTS), eigenvalues.size), phis.dtype)
    sizes = np.zeros(total.shape)
    for (number, row, own), factor in zip(tables[4], tables[5], strict=True):
        term = factor * (H if own else 1.0) * phis[row]
        total[number] += term
        sizes[number] += abs(term)
    return total, sizes


def spectrum(kind: str, size: int) -> np.ndarray:
    """Return eigenvalues near and far, with and without an e^z that vanishes."""
    modulus = np.random.default_rng(size).permutation(np.geomspace(1e-3, 1e5, size))
    if kind == "real":
        return -modulus
    if kind == "imaginary":
        return 1j * modulus
    angles = np.linspace(0.5, 1.5, size) * np.pi
    values: np.ndarray = modulus * np.exp(1j * angles)
    return values


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("kind", ["real", "imaginary", "complex"])
def test_sums_of_phi_functions(kind: str, single: bool, size: int) -> None:
    eigenvalues, tables = spectrum(kind, size), made_tables()
    expected, sizes = expected_weights(eigenvalues, tables)
    names = {("f", False): "f8", ("f", True): "f4", ("c", False): "c16", ("c", True): "c8"}
    dtype = np.dtype(names[eigenvalues.dtype.kind, single])
    found = np.full(expected.shape, math.nan, dtype)
    step_weights(eigenvalues, H, tables, SERIES_REACH, found)
    # Each term is off by about four roundings, the sum of eleven by as many more; and what is next
    # to the smallest normal number may be 0.
    negligible = max(float(np.finfo(dtype).tiny), 100.0 * math.exp(LEAST))
    bound = rounding(dtype, scale=1.0, operations=20.0) * sizes + negligible
    assert np.all(abs(found - expected) <= bound)


def test_all_of_the_spectrum_vanishes() -> None:
    # In a block of which no e^z is more than 0, phi_k is still what the recurrence makes of it.
    tables = made_tables()
    for values in (np.full(BLOCK, -1e4), np.array([-1e4] * BLOCK + [-1e300])):
        found = np.full((len(COUNTS), values.size), math.nan)
        step_weights(values, H, tables, SERIES_REACH, found)
        expected, sizes = expected_weights(values, tables)
        assert np.all(abs(found - expected) <= rounding(float, scale=1.0, operations=20.0) * sizes)
