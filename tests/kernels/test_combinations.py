"""Linear combinations of any number of arrays: compiled passes against sums term by term."""

from __future__ import annotations

import numpy as np
import pytest

from semilinear.kernels import backend_for
from semilinear.kernels.numba_ import MOST, MOST_OF_WIDE

SHAPE = (4, 5, 16)
DTYPES = [np.float32, np.float64, np.complex64, np.complex128]
COUNTS = [1, MOST_OF_WIDE, MOST_OF_WIDE + 1, MOST, MOST + 1, 2 * MOST + 3]


def arrays(shape, count, dtype, seed=0):
    random = np.random.default_rng(seed)
    found = random.standard_normal((count, *shape))
    if np.dtype(dtype).kind == "c":
        found = found + 1j * random.standard_normal(found.shape)
    return list(found.astype(dtype))


def expected(coefficients, sources):
    """Sum the terms one after the other, as a pass does."""
    total = coefficients[0] * sources[0]
    for c, x in zip(coefficients[1:], sources[1:], strict=True):
        total = total + c * x
    return total


def compare(found, wanted, dtype):
    assert found.dtype == wanted.dtype == dtype
    if np.dtype(dtype).kind == "f":
        np.testing.assert_array_equal(found, wanted)
    else:  # products of complex numbers may be rounded in another order
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found, wanted, rtol=0, atol=20 * np.finfo(dtype).eps * scale)


def combined(form, count, dtype, rows=1, spoilt=None):
    """Return what a backend makes of some arrays, what it should be, and whether it is finite."""
    sources = arrays(SHAPE, count, dtype)
    if spoilt is not None:
        sources[spoilt].flat[-1] = np.nan
    backend = backend_for(sources[0])
    taken = tuple(map(backend.take, sources))
    if form == "scalar":
        c = np.random.default_rng(1).standard_normal((rows, count))
        found, finite = backend.combine_scalar(c, taken, True)
        c = c.astype(np.finfo(dtype).dtype)
    elif form == "samples":
        c = np.random.default_rng(1).standard_normal((rows, count, SHAPE[0]))
        found, finite = backend.combine_samples(backend.prepare(c, "samples"), taken, True)
        c = c.astype(np.finfo(dtype).dtype)[..., None, None]
    else:
        c = np.array(arrays((count, *SHAPE[1:]), rows, dtype, seed=1))
        found, finite = backend.combine_elementwise(backend.prepare(c, form), taken, True)
    wanted = [expected(row, sources) for row in c]
    return [backend.give(x) for x in found], wanted, finite


@pytest.mark.parametrize("form", ["scalar", "elementwise", "samples"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("rows", [1, 3])
def test_any_number_of_sources(form, dtype, count, rows):
    found, wanted, finite = combined(form, count, dtype, rows)
    assert finite
    for one, other in zip(found, wanted, strict=True):
        compare(one, other, dtype)


@pytest.mark.parametrize("form", ["scalar", "elementwise", "samples"])
@pytest.mark.parametrize("count", COUNTS)
def test_every_source_is_looked_at(form, count):
    for spoilt in range(count):
        _, _, finite = combined(form, count, np.float64, spoilt=spoilt)
        assert not finite
