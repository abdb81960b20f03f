"""The noise of samples: what it depends on, what not, how it is distributed, and bad seeds."""

from __future__ import annotations

import pickle
import re
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semilinear import diffusion
from semilinear.diffusion import SeededNoise, VPLinear
from semilinear.errors import InvalidArgument
from tolerances import to_numpy

VP = VPLinear()
SHAPE = (6, 3, 2)
LIKE = np.zeros(SHAPE)
BIG = 2**64 - 1


def refused(*parts: str, error: type[Exception] = InvalidArgument):
    """Expect an error whose message holds these parts in this order."""
    return pytest.raises(error, match=".*".join(re.escape(part) for part in parts))


def draws(noise):
    """What a run begins with, some of what it draws, and of what it is measured by."""
    drawn = (noise(k, i) for k in (0, 1, 17) for i in (0, 1, 2))
    return [noise.initial(), *drawn, noise.apart(0), noise.apart(1)]


# --- what it depends on ---------------------------------------------------------------------------


@given(
    seed=st.integers(0, BIG),
    cuts=st.lists(st.integers(0, SHAPE[0]), max_size=4),
    k=st.integers(0, 10**6),
    i=st.integers(0, 20),
)
def test_any_split_of_a_batch_gives_the_same(seed, cuts, k, i):
    whole = SeededNoise(seed, LIKE)
    ends = [0, *sorted(cuts), SHAPE[0]]
    parts = [SeededNoise(seed, LIKE[a:b], first=a) for a, b in pairwise(ends)]
    assert np.array_equal(np.concatenate([p(k, i) for p in parts]), whole(k, i))
    assert np.array_equal(np.concatenate([p.initial() for p in parts]), whole.initial())
    assert np.array_equal(np.concatenate([p.apart(i) for p in parts]), whole.apart(i))


@given(seed=st.integers(0, BIG), first=st.integers(0, 2**40), count=st.integers(1, 9))
def test_first_and_count(seed, first, count):
    some = SeededNoise(seed, LIKE, first=first, count=count)
    assert some(3, 1).shape == (count, *SHAPE[1:])
    for own, sample in enumerate(some(3, 1)):
        alone = SeededNoise(seed, LIKE[:1], first=first + own)
        assert np.array_equal(alone(3, 1)[0], sample)


def test_count_beyond_the_length_of_like():
    few, many = SeededNoise(5, LIKE[:1], count=9), SeededNoise(5, np.zeros((9, *SHAPE[1:])))
    for one, other in zip(draws(few), draws(many), strict=True):
        assert np.array_equal(one, other)


def test_contents_of_like_do_not_matter():
    for other in (np.full(SHAPE, np.nan), LIKE[::-1], np.asfortranarray(LIKE + 1.0)):
        assert np.array_equal(SeededNoise(1, other)(2, 0), SeededNoise(1, LIKE)(2, 0))


def test_draws_do_not_depend_on_those_before():
    one, other = SeededNoise(1, LIKE), SeededNoise(1, LIKE)
    for k in range(4):
        one(k, 0)
    assert np.array_equal(one(9, 2), other(9, 2))
    assert np.array_equal(one(9, 2), one(9, 2))
    assert not np.shares_memory(one(9, 2), one(9, 2))


def test_a_list_of_seeds():
    listed = SeededNoise([7, 8, 7], LIKE[:3])
    assert np.array_equal(listed(1, 0)[0], listed(1, 0)[2])
    assert not np.array_equal(listed(1, 0)[0], listed(1, 0)[1])
    for sample, seed in zip(listed(1, 0), (7, 8, 7), strict=True):
        assert np.array_equal(sample, SeededNoise(seed, LIKE[:1])(1, 0)[0])
    # Its place in the batch does not count, whatever the number of the first sample.
    assert np.array_equal(SeededNoise((7, 8, 7), LIKE[:3], first=5)(1, 0), listed(1, 0))
    assert np.array_equal(SeededNoise(range(7, 9), LIKE[:2])(1, 0), listed(1, 0)[:2])


def test_large_seeds_are_told_apart():
    found = [SeededNoise(seed, LIKE)(0, 0) for seed in (0, 1, 2**63 - 1, 2**63, BIG - 1, BIG)]
    for one, other in combinations(found, 2):
        assert not np.isclose(one, other).any()


@pytest.mark.parametrize("kind", [int, np.int64, np.uint64, np.uint8])
def test_integers_of_all_kinds(kind):
    assert np.array_equal(SeededNoise(kind(200), LIKE)(0, 0), SeededNoise(200, LIKE)(0, 0))


# --- generators -----------------------------------------------------------------------------------


def test_a_numpy_generator_gives_one_number_and_goes_on():
    one, other = (np.random.default_rng(3) for _ in range(2))
    first, second = SeededNoise(one, LIKE), SeededNoise(one, LIKE)
    assert not np.isclose(first(0, 0), second(0, 0)).any()
    assert np.array_equal(SeededNoise(other, LIKE)(0, 0), first(0, 0))
    assert np.array_equal(SeededNoise(other, LIKE)(0, 0), second(0, 0))
    first(1, 0)  # draws of its own
    assert one.bit_generator.state == other.bit_generator.state


def test_a_torch_generator_gives_one_number_and_goes_on():
    torch = pytest.importorskip("torch")
    one, other = (torch.Generator().manual_seed(3) for _ in range(2))
    everywhere = torch.random.get_rng_state()
    first, second = SeededNoise(one, LIKE), SeededNoise(one, LIKE)
    assert not np.isclose(first(0, 0), second(0, 0)).any()
    assert np.array_equal(SeededNoise(other, LIKE)(0, 0), first(0, 0))
    assert np.array_equal(SeededNoise(other, LIKE)(0, 0), second(0, 0))
    assert torch.equal(one.get_state(), other.get_state())
    assert torch.equal(torch.random.get_rng_state(), everywhere)


def test_generators_for_each_sample():
    makers = (lambda: np.random.default_rng(5), lambda: 5)
    found = SeededNoise([make() for make in makers], LIKE[:2])(0, 0)
    alone = SeededNoise(makers[0](), LIKE[:1])(0, 0)
    assert np.array_equal(found[0], alone[0])
    shared = np.random.default_rng(5)
    one, other = SeededNoise([shared, shared], LIKE[:2])(0, 0)
    assert not np.isclose(one, other).any()


def test_none_is_another_seed_each_time():
    assert not np.isclose(SeededNoise(None, LIKE)(0, 0), SeededNoise(None, LIKE)(0, 0)).any()
    one, other = SeededNoise(None, LIKE)(0, 0)[:2]
    assert not np.isclose(one, other).any()


# --- distribution ---------------------------------------------------------------------------------

SAMPLES, ENTRIES = 40, 500
MANY = np.zeros((SAMPLES, ENTRIES))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_moments_of_normal_numbers(dtype):
    numbers = np.stack(draws(SeededNoise(11, MANY.astype(dtype)))).astype(np.float64)
    n = numbers.size
    # E z^k and the variances of z^k, five standard deviations of their means.
    for power, (mean, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], start=1):
        assert abs((numbers**power).mean() - mean) < 5 * np.sqrt(variance / n), power
    inside = (np.abs(numbers) < 1.0).mean()
    assert abs(inside - 0.6826894921370859) < 5 * np.sqrt(0.68 * 0.32 / n)


def test_no_two_draws_are_alike_or_correlated():
    """All pairs of (sample, evaluation, number), the beginning included."""
    rows = np.concatenate(draws(SeededNoise(11, MANY)))
    correlation = rows @ rows.T / ENTRIES
    off = correlation[~np.eye(len(rows), dtype=bool)]
    # 229,920 pairs of N(0, 1/500): none beyond 5.5 standard deviations, and the right spread.
    assert np.abs(off).max() < 5.5 / np.sqrt(ENTRIES)
    assert off.std() == pytest.approx(1 / np.sqrt(ENTRIES), rel=0.02)
    assert len(np.unique(rows)) == rows.size


def test_seeds_next_to_each_other_are_not_correlated():
    rows = np.stack([SeededNoise(seed, MANY[:1])(0, 0)[0] for seed in range(60)])
    off = (rows @ rows.T / ENTRIES)[~np.eye(60, dtype=bool)]
    assert np.abs(off).max() < 5.5 / np.sqrt(ENTRIES)


def test_samples_and_evaluations_are_not_exchanged():
    """Draw i after k evaluations of sample j: three different counters."""
    found = [
        SeededNoise(1, MANY[:1], first=j)(k, i)[0]
        for j, k, i in ((0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 0), (0, 1, 1), (1, 0, 1))
    ]
    for one, other in combinations(found, 2):
        assert not np.isclose(one, other, rtol=1e-12).any()


# --- arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_all_array_libraries_see_the_same_numbers(xp, name):
    like = xp.zeros(SHAPE, dtype=getattr(xp, name))
    expected = SeededNoise(3, np.zeros(SHAPE, name))
    for one, other in zip(draws(SeededNoise(3, like)), draws(expected), strict=True):
        assert type(one) is type(like)
        assert one.dtype == like.dtype
        assert np.array_equal(to_numpy(one), other)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_rounds_the_numbers_of_single(name):
    torch = pytest.importorskip("torch")
    dtype = getattr(torch, name)
    single = torch.from_numpy(SeededNoise(3, np.zeros(SHAPE, np.float32))(1, 1))
    found = SeededNoise(3, torch.zeros(SHAPE, dtype=dtype))(1, 1)
    assert found.dtype == dtype
    assert torch.equal(found, single.to(dtype))


def test_half_precision_of_numpy():
    single = SeededNoise(3, np.zeros(SHAPE, np.float32))(1, 1)
    half = SeededNoise(3, np.zeros(SHAPE, np.float16))(1, 1)
    assert half.dtype == np.float16
    assert np.array_equal(half, single.astype(np.float16))


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_jax(name):
    jnp = pytest.importorskip("jax.numpy")
    like = jnp.zeros(SHAPE, dtype=name)
    single = SeededNoise(3, np.zeros(SHAPE, np.float32))(1, 1)
    found = SeededNoise(3, like)(1, 1)
    assert type(found) is type(like)
    assert found.dtype == like.dtype
    assert bool((found == jnp.asarray(single).astype(name)).all())


def test_gradients_do_not_matter():
    torch = pytest.importorskip("torch")
    like = torch.zeros(SHAPE, requires_grad=True)
    assert not SeededNoise(3, like)(0, 0).requires_grad


@pytest.mark.parametrize("shape", [(4,), (4, 0), (0, 2), (0,)])
def test_few_axes_and_empty_ones(shape):
    noise = SeededNoise(3, np.zeros(shape))
    assert noise.initial().shape == noise(0, 0).shape == shape


def test_it_can_be_pickled():
    noise = SeededNoise(3, LIKE, first=2)
    again = pickle.loads(pickle.dumps(noise))
    assert np.array_equal(again(4, 1), noise(4, 1))
    assert np.array_equal(again.initial(), noise.initial())


# --- in a run -------------------------------------------------------------------------------------


def model(x, t):
    return 0.3 * x


@pytest.mark.parametrize("name", ["dpmpp_2m_sde", "seeds3", "sa_solver", "euler_ancestral"])
def test_samples_of_a_run_do_not_see_their_neighbours(name):
    x = SeededNoise(1, LIKE).initial()
    made = diffusion.plan(VP, method=name, steps=5)
    whole = diffusion.follow(made, model, x, seed=9)
    head = diffusion.follow(made, model, x[:2], seed=9)
    tail = diffusion.follow(made, model, x[2:], seed=SeededNoise(9, x[2:], first=2))
    listed = diffusion.follow(made, model, x[1:3], seed=[4, 9])
    assert np.array_equal(whole, np.concatenate([head, tail]))
    assert np.array_equal(listed[1], diffusion.follow(made, model, x[2:3], seed=9)[0])
    assert not np.array_equal(whole, diffusion.follow(made, model, x, seed=8))


def test_a_run_takes_other_draws_than_it_begins_with():
    noise = SeededNoise(1, LIKE)
    asked = []

    def counted(k, i):
        asked.append((k, i))
        return noise(k, i)

    made = diffusion.plan(VP, method="seeds3", steps=4)
    diffusion.follow(made, model, noise.initial(), seed=counted)
    assert len(set(asked)) == len(asked) >= 8
    for k, i in asked:
        assert not np.isclose(noise(k, i), noise.initial()).any()


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seed", [-1, 2**64, True, 1.0, "1", b"1", {1, 2}, np.random.RandomState(0)]
)
def test_what_is_no_seed(seed):
    with refused("seed=", "must be an integer from 0 to 2^64 - 1", "numpy.random.Generator"):
        SeededNoise(seed, LIKE)


@pytest.mark.parametrize("seed", [[1, 2], (), range(7)])
def test_a_seed_for_each_sample_or_one_for_all(seed):
    with refused(f"seed has {len(seed)} entries for 6 samples", "one for each"):
        SeededNoise(seed, LIKE)


def test_bad_seeds_in_a_list():
    with refused("seed=-3 must be an integer"):
        SeededNoise([1, -3], LIKE[:2])


def test_torch_tensors_are_no_generators():
    torch = pytest.importorskip("torch")
    with refused("seed"):
        SeededNoise(torch.tensor(5.5), LIKE)


@pytest.mark.parametrize("first", [-1, 1.5, "a", 2**64])
def test_bad_first(first):
    with refused(f"first={first!r} must be"):
        SeededNoise(1, LIKE, first=first)


@pytest.mark.parametrize("count", [-1, 2.5, "a"])
def test_bad_count(count):
    with refused(f"count={count!r} must be"):
        SeededNoise(1, LIKE, count=count)


@pytest.mark.parametrize("first", [2**53, 2**63, np.uint64(2**63), 2**64 - 2])
def test_samples_far_out_are_told_apart(first):
    near, next_to_it = SeededNoise(1, LIKE[:2], first=first)(0, 0)
    assert not np.isclose(near, next_to_it).any()
    alone = SeededNoise(1, LIKE[:1], first=int(first) + 1)(0, 0)
    assert np.array_equal(alone[0], next_to_it)


def test_there_is_a_last_sample():
    with refused(f"first={2**64 - 1} must be at most 2^64 - 2"):
        SeededNoise(1, LIKE[:2], first=2**64 - 1)


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (np.zeros(()), "like has no axis; its first must count the samples"),
        (np.zeros((2, 2), complex), "like has dtype complex128; noise is for real states"),
        (np.zeros((2, 2), int), "like has dtype int64; it must be real"),
        ([[0.0]], "like must be an array, got list"),
    ],
)
def test_what_states_are_not_like(like, message):
    with refused(message):
        SeededNoise(1, like)


def test_noise_of_the_samples_that_come_after():
    later = SeededNoise(5, np.zeros((3, 4))).after()
    same = SeededNoise(5, np.zeros((3, 4)), first=3)
    assert np.array_equal(later.initial(), same.initial())
    assert np.array_equal(later.after()(2, 1), SeededNoise(5, np.zeros((3, 4)), first=6)(2, 1))
    own = SeededNoise([5, 6, 7], np.zeros((3, 4)))
    numbers = [own.initial(), own.after().initial(), own(0, 0), own.after()(0, 0)]
    assert len(np.unique(np.concatenate(numbers))) == 4 * 12


@pytest.mark.parametrize(
    ("k", "i", "name"), [(0.9, 0, "k=0.9"), (0, 1.0, "i=1.0"), (-1, 0, "k=-1")]
)
def test_draws_are_numbered(k, i, name):
    with refused(name, "whole number", "not by times or noise levels"):
        SeededNoise(1, LIKE)(k, i)
