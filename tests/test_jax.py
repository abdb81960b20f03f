"""JAX arrays go through the plain kernels: same library out, same numbers as NumPy."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import semilinear as sl
from semilinear import diffusion

jnp = pytest.importorskip("jax.numpy")


def test_sampling_keeps_jax_arrays_and_agrees_with_numpy() -> None:
    x = np.random.default_rng(0).standard_normal((4, 100)).astype(np.float32)
    schedule = diffusion.VPLinear()
    mine = diffusion.sample(lambda x, t: x * 0.5, jnp.asarray(x), schedule, steps=6)
    assert isinstance(mine, jnp.ndarray)
    assert mine.dtype == jnp.float32
    theirs = diffusion.sample(lambda x, t: x * np.float32(0.5), x, schedule, steps=6)
    np.testing.assert_allclose(mine, theirs, rtol=1e-5)


@pytest.mark.parametrize(
    "linear",
    [sl.Scalar(-2.0), sl.Diagonal(-np.arange(5.0)), sl.Dense(-np.eye(5))],
    ids=["scalar", "diagonal", "dense"],
)
def test_solving_keeps_jax_arrays_and_agrees_with_numpy(linear: sl.Propagator) -> None:
    y0 = np.linspace(0, 1, 5, dtype=np.float32)
    mine = sl.solve(linear, lambda t, y: jnp.cos(y), (0, 1), jnp.asarray(y0), steps=5)
    assert isinstance(mine.y, jnp.ndarray)
    assert mine.y.dtype == jnp.float32
    theirs = sl.solve(linear, lambda t, y: np.cos(y), (0, 1), y0, steps=5)
    np.testing.assert_allclose(mine.y, theirs.y, rtol=1e-5)


def test_solutions_and_states_can_be_kept() -> None:
    """Although their devices cannot be pickled."""
    linear, y0 = sl.Diagonal(-np.arange(5.0)), jnp.linspace(0.0, 1.0, 5)
    s = sl.solve(linear, lambda t, y: jnp.cos(y), (0, 1), y0, dense_output=True)
    expected = s.sol(0.37)
    plan = sl.make_plan(linear, [0.0, 0.5, 1.0], method="krogstad4")
    state = plan.start(y0)
    state = plan.advance(state, jnp.cos(state.x))
    after = plan.advance(state, jnp.sin(state.x))
    for kept in (copy.deepcopy((s, plan, state)), pickle.loads(pickle.dumps((s, plan, state)))):
        np.testing.assert_array_equal(kept[0].sol(0.37), expected)
        found = kept[1].advance(kept[2], jnp.sin(kept[2].x))
        np.testing.assert_array_equal(found.x, after.x)
        assert found.x.device == y0.device
