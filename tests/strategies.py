"""What Hypothesis draws: exact weights, times, grids and rates."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from semilinear.phi import Phi, phi

small_fractions = st.fractions(-4, 4, max_denominator=12)
nodes = st.sampled_from([Fraction(n, 12) for n in range(13)])


@st.composite
def atoms(draw: st.DrawFn) -> Phi:
    """Draw one atom; a flow may run backwards or stand still."""
    k = draw(st.integers(0, 5))
    first, second = draw(nodes), draw(nodes)
    if k == 0:
        return phi(0, first, second)
    low, high = sorted((first, second))
    return phi(k, low, high if low < high else low + Fraction(1, 12))


@st.composite
def combinations(draw: st.DrawFn) -> Phi:
    """Draw a combination of up to five atoms; it may be zero."""
    total = Phi({})
    for atom, factor in draw(st.lists(st.tuples(atoms(), small_fractions), max_size=5)):
        total = total + factor * atom
    return total


def magnitudes(lowest: float, highest: float) -> st.SearchStrategy[float]:
    """Draw positive numbers, evenly over the decades."""
    return st.floats(np.log10(lowest), np.log10(highest)).map(lambda e: float(10.0**e))


@st.composite
def grids(draw: st.DrawFn, *, steps: int, length: float = 1.0) -> np.ndarray:
    """Draw a grid of `steps` steps whose neighbours differ by a factor of at most 3.

    It runs forwards or backwards from a start in [-1, 1] over `length`.
    """
    ratios = draw(st.lists(st.floats(1 / 3, 3.0), min_size=steps - 1, max_size=steps - 1))
    lengths = np.cumprod([1.0, *ratios])
    start = draw(st.floats(-1.0, 1.0))
    direction = draw(st.sampled_from([1.0, -1.0]))
    return start + direction * length * np.concatenate([[0.0], np.cumsum(lengths)]) / lengths.sum()
