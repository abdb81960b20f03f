"""The transforms for compiled functions: equal to NumPy's, whatever the size, layout or caller."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import log2, prod
from typing import Any

import mpmath
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError

from semilinear.errors import InvalidArgument
from semilinear.kernels import fft_arrays, fft_plan
from semilinear.kernels.fft import complex_fft, real_fft, real_fft2

# Every radix in every place, and every width of packs: a width w takes sizes that w w divides.
POWERS = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 8192]
MIXED = [6, 10, 24, 30, 48, 100, 160, 1000, 1152]
SOME = [2, 48, 100, 256, 1024]


def sizes(*more: int) -> pytest.MarkDecorator:
    """All sizes in double precision, and some in single."""
    doubles = [(n, "float64") for n in (*more, *POWERS, *MIXED)]
    return pytest.mark.parametrize(("n", "dtype"), doubles + [(n, "float32") for n in SOME])


def complex_of(dtype: str) -> np.dtype:
    return np.result_type(dtype, np.complex64)


def numbers(shape: Any, dtype: Any, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


def assert_close(found: np.ndarray, expected: np.ndarray, size: int) -> None:
    """Compare in the norm, where the error of an FFT is eps log n: a few roundings each pass."""
    eps = np.finfo(found.dtype).eps
    bound = 2.0 * eps * max(1.0, log2(size)) * np.linalg.norm(expected)
    assert np.linalg.norm(found.astype(expected.dtype) - expected) <= bound


def real_pair(x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the real transform of x and the inverse one of u, along the last axis.

    Without the functions that `real_fft` makes, of which each is compiled: these are the same.
    """
    n = x.shape[-1]
    forward, inverse = fft_plan.real_plans(n, x.dtype)
    spectrum, values = np.empty_like(u), np.empty_like(x)
    fft_arrays.real_to_half(n, forward, x, spectrum)
    fft_arrays.half_to_real(n, inverse, u, values)
    return spectrum, values


@sizes()
def test_real_transforms_are_those_of_numpy(n: int, dtype: str) -> None:
    x, u = numbers(n, dtype), numbers(n // 2 + 1, complex_of(dtype), seed=1)
    spectrum, values = real_pair(x, u)
    assert_close(spectrum, np.fft.rfft(x.astype(float)), n)
    # All of u is random, the imaginary parts of its ends too: they must not count.
    assert_close(values, np.fft.irfft(u.astype(complex), n), n)


@sizes(1, 3, 5, 15, 27, 45, 125)
def test_complex_transforms_are_those_of_numpy(n: int, dtype: str) -> None:
    forward, inverse = fft_plan.complex_plans(n, np.dtype(dtype))
    x = numbers(n, complex_of(dtype))
    out = np.empty_like(x)
    fft_arrays.complex_to_complex(n, forward, x, out, 1.0)
    assert_close(out, np.fft.fft(x.astype(complex)), n)
    fft_arrays.complex_to_complex(n, inverse, x, out, 1.0 / n)
    assert_close(out, np.fft.ifft(x.astype(complex)), n)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(1, 2), (3, 4), (5, 16), (8, 30), (16, 8), (64, 64), (60, 128)])
def test_real_transforms_in_the_plane_are_those_of_numpy(
    shape: tuple[int, int], dtype: str
) -> None:
    m, n = shape
    row, column, layout = fft_plan.plane_plans(shape, np.dtype(dtype))
    x, u = numbers(shape, dtype), numbers((m, n // 2 + 1), complex_of(dtype), seed=1)
    spectrum, values = np.empty_like(u), np.empty_like(x)
    fft_arrays.real_to_half_2d(shape, layout, row[0], column[0], x, spectrum)
    fft_arrays.half_to_real_2d(shape, layout, row[1], column[1], u, values)
    assert_close(spectrum, np.fft.rfft2(x.astype(float)), m * n)
    assert_close(values, np.fft.irfft2(u.astype(complex), s=shape), m * n)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
@pytest.mark.parametrize("n", [128, 2048])
def test_every_width_of_packs_gives_the_same(
    lanes: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fft_plan, "LANES", lanes)
    x, u = numbers(n, float), numbers(n // 2 + 1, complex, seed=1)
    spectrum, values = real_pair(x, u)
    assert_close(spectrum, np.fft.rfft(x), n)
    assert_close(values, np.fft.irfft(u, n), n)


def test_twiddle_factors_are_right_to_a_unit() -> None:
    n = 1000
    found = fft_plan._blocks(np.arange(n)[:, None], n).reshape(n, 2)
    with mpmath.workdps(40):
        for k in range(n):
            turn = mpmath.mpf(2 * k) / n
            exact = mpmath.cospi(turn), -mpmath.sinpi(turn)
            for part, truth in zip(found[k].tolist(), exact, strict=True):
                assert abs(part - truth) <= np.finfo(float).eps * abs(truth)


smooth_halves = st.builds(
    lambda a, b, c: 2**a * 3**b * 5**c, st.integers(0, 7), st.integers(0, 2), st.integers(0, 1)
)
seeds = st.integers(0, 2**31)


@settings(deadline=None)
@given(smooth_halves, seeds)
def test_there_and_back_is_where_it_began(half: int, seed: int) -> None:
    x, u = numbers(2 * half, float, seed), np.zeros(half + 1, complex)
    spectrum, _ = real_pair(x, u)
    _, back = real_pair(x, spectrum)
    assert_close(back, x, 4 * half)


@settings(deadline=None)
@given(smooth_halves, seeds, st.floats(-10, 10), st.floats(-10, 10))
def test_transforms_are_linear(half: int, seed: int, a: float, b: float) -> None:
    n = 2 * half
    x, y = numbers((2, n), float, seed)
    zero = np.zeros(half + 1, complex)
    u, v, w = (real_pair(z, zero)[0] for z in (x, y, a * x + b * y))
    scale = abs(a) * np.linalg.norm(u) + abs(b) * np.linalg.norm(v)
    bound = 4.0 * np.finfo(float).eps * max(1.0, log2(n)) * scale
    assert np.linalg.norm(a * u + b * v - w) <= bound


@pytest.mark.parametrize("n", [8, 64, 256, 2048])
@pytest.mark.parametrize("batch", [(0,), (1,), (5,), (40,), (2, 3)])
def test_batches_are_transformed_row_by_row(n: int, batch: tuple[int, ...]) -> None:
    x, u = numbers((*batch, n), float), numbers((*batch, n // 2 + 1), complex, seed=1)
    spectrum, values = real_pair(x, u)
    assert_close(spectrum, np.fft.rfft(x), n)
    assert_close(values, np.fft.irfft(u, n), n)


def test_batches_in_the_plane_are_transformed_one_by_one() -> None:
    rfft2, irfft2 = real_fft2((12, 20))
    x = numbers((2, 3, 12, 20), float)
    u, back = np.empty((2, 3, 12, 11), complex), np.empty_like(x)
    rfft2(x, u)
    assert_close(u, np.fft.rfft2(x), 240)
    irfft2(u, back)
    assert_close(back, x, 2 * 240)


@pytest.mark.parametrize("n", [64, 2048])
def test_arrays_need_not_be_contiguous(n: int) -> None:
    rfft, irfft = real_fft(n)
    x = numbers((n, 6), float).T[::2]
    u = np.zeros((3, 2 * (n // 2 + 1)), complex)
    rfft(x, u[:, ::2])
    assert_close(u[:, ::2], np.fft.rfft(x), n)
    assert not u[:, 1::2].any()
    back = np.empty((n, 3)).T
    irfft(u[:, ::2], back)
    assert_close(back, x, 2 * n)


def test_planes_need_not_be_contiguous() -> None:
    rfft2, irfft2 = real_fft2((64, 32))
    x = np.asfortranarray(numbers((64, 32), float))
    u, back = np.empty((17, 64), complex).T, np.empty((32, 64)).T
    rfft2(x, u)
    assert_close(u, np.fft.rfft2(x), 64 * 32)
    irfft2(u, back)
    assert_close(back, x, 2 * 64 * 32)


@pytest.mark.parametrize("n", [48, 256, 2048])
def test_input_is_left_alone_and_may_be_read_only(n: int) -> None:
    x, u = numbers(n, float), numbers(n // 2 + 1, complex, seed=1)
    before = x.copy(), u.copy()
    x.flags.writeable = u.flags.writeable = False
    real_pair(x, u)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(u, before[1])


@pytest.mark.parametrize("n", [15, 64, 2048])
def test_complex_transforms_may_overwrite_their_input(n: int) -> None:
    forward, inverse = complex_fft(n)
    x = numbers((3, n), complex)
    y = x.copy()
    forward(y, y)
    assert_close(y, np.fft.fft(x), n)
    inverse(y, y)
    assert_close(y, x, 2 * n)


def test_unaligned_starts_of_memory_do_not_matter() -> None:
    n = 256
    x = numbers(n + 1, float)[1:]
    u = np.empty(n // 2 + 2, complex)[1:]
    real_fft(n)[0](x, u)
    assert_close(u, np.fft.rfft(x), n)


@pytest.mark.parametrize("n", [256, 4096])
def test_jitted_functions_may_call_them(n: int) -> None:
    rfft, irfft = real_fft(n)

    @numba.njit
    def nonlinear(t, u, out):  # type: ignore[no-untyped-def]
        v = np.empty(n)
        irfft(u, v)
        rfft(v * v, out)

    @numba.njit
    def twice(u, out):  # type: ignore[no-untyped-def]
        for _ in range(2):
            nonlinear(0.0, u, out)
            u = out.copy()

    u = np.fft.rfft(numbers(n, float))
    out = np.empty_like(u)
    twice(u, out)
    expected = np.fft.rfft(np.fft.irfft(u, n) ** 4)
    assert_close(out, expected, n**4)


@pytest.mark.parametrize("n", [256, 8192])
def test_threads_do_not_disturb_each_other(n: int) -> None:
    rfft, irfft = real_fft(n)

    @numba.njit(nogil=True)
    def there_and_back(x, u, count):  # type: ignore[no-untyped-def]
        for _ in range(count):
            rfft(x, u)
            irfft(u, x)

    def task(seed: int) -> tuple[np.ndarray, np.ndarray]:
        x = numbers(n, float, seed)
        moved = x.copy()
        there_and_back(moved, np.empty(n // 2 + 1, complex), 2_000_000 // n)
        return x, moved

    with ThreadPoolExecutor(4) as pool:
        for x, moved in pool.map(task, range(4)):
            assert np.linalg.norm(moved - x) <= 1e-9 * np.linalg.norm(x)


@pytest.mark.parametrize("n", [7, 14, 22, 34, 2 * 49])
def test_sizes_with_other_prime_factors_are_refused(n: int) -> None:
    with pytest.raises(InvalidArgument, match=rf"n={n} .* no prime factor above 5, for example"):
        complex_fft(n)
    with pytest.raises(InvalidArgument, match=rf"n={n} .*an even number"):
        real_fft(n)
    with pytest.raises(InvalidArgument, match=rf"shape\[1\]={n}"):
        real_fft2((4, n))
    with pytest.raises(InvalidArgument, match=rf"shape\[0\]={n}"):
        real_fft2((n, 4))


def test_a_refusal_names_the_nearest_sizes() -> None:
    with pytest.raises(InvalidArgument, match="for example 250 or 256"):
        real_fft(254)
    with pytest.raises(InvalidArgument, match="for example 6 or 8"):
        complex_fft(7)
    with pytest.raises(InvalidArgument, match="for example 2 or 4"):
        real_fft(0)


@pytest.mark.parametrize("n", [0, -4, 1, 9])
def test_sizes_that_are_no_positive_even_numbers_are_refused(n: int) -> None:
    with pytest.raises(InvalidArgument, match=rf"n={n} "):
        real_fft(n)


@pytest.mark.parametrize("n", [8.0, "8", None])
def test_sizes_that_are_no_integers_are_refused(n: Any) -> None:
    with pytest.raises(InvalidArgument, match="must be an integer"):
        real_fft(n)


@pytest.mark.parametrize("shape", [(4,), (2, 4, 4), 8])
def test_shapes_that_are_no_pairs_are_refused(shape: Any) -> None:
    with pytest.raises(InvalidArgument, match="pair of integers"):
        real_fft2(shape)


@pytest.mark.parametrize("dtype", ["complex128", "int64", "float16", "no dtype"])
def test_dtypes_without_a_transform_are_refused(dtype: Any) -> None:
    with pytest.raises(InvalidArgument, match="float64 or float32"):
        real_fft(8, dtype=dtype)
    with pytest.raises(InvalidArgument, match="float64 or float32"):
        real_fft2((8, 8), dtype=dtype)
    with pytest.raises(InvalidArgument, match="complex128 or complex64"):
        complex_fft(8, dtype="float64")


@pytest.mark.parametrize(
    ("x", "out"), [((8,), (4,)), ((6,), (5,)), ((2, 8), (3, 5)), ((2, 8), (5,)), ((5, 8), (8, 5))]
)
def test_shapes_that_do_not_fit_are_refused(x: tuple[int, ...], out: tuple[int, ...]) -> None:
    rfft, irfft = real_fft(8)
    with pytest.raises(InvalidArgument, match="must be of shape"):
        rfft(np.empty(x), np.empty(out, complex))
    with pytest.raises(InvalidArgument, match="must be of shape"):
        irfft(np.empty(out, complex), np.empty(x))


def test_other_shapes_than_the_plans_are_refused() -> None:
    for transform in complex_fft(8):
        with pytest.raises(InvalidArgument, match="both must be of shape"):
            transform(np.empty(9, complex), np.empty(9, complex))
    rfft2, irfft2 = real_fft2((4, 8))
    x, u = np.empty((8, 4)), np.empty((4, 5), complex)
    with pytest.raises(InvalidArgument, match="must be of shape"):
        rfft2(x, u)
    with pytest.raises(InvalidArgument, match="must be of shape"):
        irfft2(u, x)


def test_arrays_of_other_dtypes_are_refused() -> None:
    rfft, irfft = real_fft(8)
    with pytest.raises(TypingError, match="input of this FFT must be an array of float64"):
        rfft(np.empty(8, np.float32), np.empty(5, complex))
    with pytest.raises(TypingError, match="out of this FFT must be an array of complex128"):
        rfft(np.empty(8), np.empty(5, np.complex64))
    out = np.empty(8)
    out.flags.writeable = False
    with pytest.raises(TypingError, match="read-only"):
        irfft(np.empty(5, complex), out)


def test_a_plan_knows_its_size() -> None:
    for n in POWERS + MIXED:
        (_, steps), _ = fft_plan.complex_plans(n, np.dtype(float))
        assert prod(fft_plan.radices(n)) == n
        assert steps.shape[0] >= 2
