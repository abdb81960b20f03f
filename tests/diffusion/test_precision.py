"""Models in another precision than the state."""

from __future__ import annotations

import numpy as np
import pytest

from semilinear import InvalidArgument, ModelOutputError, diffusion
from semilinear.diffusion.precision import in_dtype


def states(shape=(3, 4)):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float16", np.float16, np.dtype("f2")])
def test_numpy(dtype):
    seen = []

    def model(x, t):
        seen.append((x.dtype, t))
        return np.sin(x)

    x = states()
    found = in_dtype(model, dtype)(x, 0.5)
    assert seen == [(np.float16, 0.5)]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.sin(x.astype(np.float16)).astype(np.float32))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_torch(name):
    torch = pytest.importorskip("torch")
    kind = getattr(torch, name)
    x = torch.from_numpy(states())
    for dtype in (kind, name):
        found = in_dtype(lambda x, t: torch.sin(x), dtype)(x, 0.5)
        assert torch.equal(found, torch.sin(x.to(kind)).float())


def test_every_array_library(xp):
    x = xp.asarray(states().astype(np.float64))
    found = in_dtype(lambda x, t: x / 3, "float32")(x, 0.5)
    assert found.dtype == xp.float64
    assert bool(xp.all(found == xp.astype(xp.astype(x, xp.float32) / 3, xp.float64)))


def test_an_answer_may_have_another_dtype():
    found = in_dtype(lambda x, t: x.astype(np.float64), "float16")(states(), 0.5)
    assert found.dtype == np.float32


def test_a_wide_state_keeps_what_a_narrow_one_loses():
    schedule = diffusion.VPLinear()

    def model(x, t):
        a, s = schedule.alpha(t), schedule.sigma(t)
        return x * x.dtype.type(s / (a * a / 4 + s * s))

    x = states((8, 32))
    exact = diffusion.sample(model, x.astype(float), schedule, steps=100)
    wide = diffusion.sample(in_dtype(model, "float16"), x, schedule, steps=100)
    narrow = diffusion.sample(model, x.astype(np.float16), schedule, steps=100)
    errors = [np.sqrt(np.mean((y.astype(float) - exact) ** 2)) for y in (wide, narrow)]
    assert errors[0] < errors[1] / 4


def test_misuse():
    with pytest.raises(InvalidArgument, match="model=1 must be callable"):
        in_dtype(1, "float16")
    with pytest.raises(InvalidArgument, match="dtype='bfloat16' is no dtype of numpy"):
        in_dtype(lambda x, t: x, "bfloat16")(states(), 0.5)
    with pytest.raises(ModelOutputError, match=r"model at t = 0\.5 returned shape \(1, 4\)"):
        in_dtype(lambda x, t: x[:1], "float16")(states(), 0.5)


@pytest.mark.parametrize("dtype", [np.float16, "abs", 16, "__name__"])
def test_what_is_no_dtype_of_torch(dtype):
    torch = pytest.importorskip("torch")
    with pytest.raises(
        InvalidArgument, match=r"^dtype=.* is no dtype of torch, the library of the"
    ):
        in_dtype(lambda x, t: x, dtype)(torch.from_numpy(states()), 0.5)


def test_what_is_no_dtype_of_numpy():
    torch = pytest.importorskip("torch")
    for dtype in (torch.float16, "abs", 16):
        with pytest.raises(InvalidArgument, match=r"^dtype=.* is no dtype of numpy"):
            in_dtype(lambda x, t: x, dtype)(states(), 0.5)
