"""The elementwise phi-functions: phi_k(z) = 1F1(1; k+1; z) / k! to a few roundings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semilinear import InvalidArgument
from semilinear import phi_functions as checked
from semilinear.kernels import phi_numba, phi_reference
from semilinear.kernels._jit import compiled

PhiFunctions = Callable[[Any, int], tuple[Any, ...]]

COUNT = 6
DTYPES = ["float32", "float64", "complex64", "complex128"]
SHAPES = [(), (0,), (1,), (5,), (2, 0, 3), (4, 3)]
IMPLEMENTATIONS = {
    "reference": phi_reference.phi_functions,
    "numba": phi_numba.phi_functions,
}

each_implementation = pytest.mark.parametrize(
    "phi_functions", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS
)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)

# Bounds on abs(error) / abs(phi_k) in units of eps, k = 1, ..., COUNT.
REAL_BOUND = 4.0
COMPLEX_BOUND = 5.0
# The same for real z > 3 in single precision, in which NumPy's exp alone is off by up to 1.8 units.
SINGLE_BOUND = 5.0
# Numba computes in double precision: a result in single precision has one rounding.
ONE_ROUNDING = 0.5001


def magnitudes(lowest: float, highest: float) -> st.SearchStrategy[float]:
    return st.floats(math.log10(lowest), math.log10(highest)).map(lambda exponent: 10.0**exponent)


negative = (magnitudes(1e-12, 1e4) | st.floats(0.0, 2.0 * COUNT)).map(lambda r: -r)
small_positive = magnitudes(1e-12, 3.0)
large_positive = st.floats(3.0, 40.0)
zeros_of_phi_1 = st.integers(-1591, 1591).filter(bool).map(lambda m: 2.0 * math.pi * m)
heights = (
    st.just(0.0)
    | negative
    | negative.map(lambda y: -y)
    | zeros_of_phi_1
    | st.builds(lambda zero, distance: zero + distance, zeros_of_phi_1, magnitudes(1e-12, 1.0))
)
imaginary_axis = st.builds(complex, st.just(0.0), heights)
left_half_plane = st.builds(complex, negative, heights)


def batches(elements: st.SearchStrategy[complex]) -> st.SearchStrategy[list[complex]]:
    return st.lists(elements, min_size=1, max_size=20)


def exact(z: np.ndarray, k: int) -> list[mpmath.mpc]:
    """Return phi_k(z) to 60 digits, from neither the recurrence nor the series that is tested."""
    with mpmath.workdps(60):
        factorial = mpmath.factorial(k)
        return [mpmath.hyp1f1(1, k + 1, mpmath.mpmathify(w)) / factorial for w in z.tolist()]


def error_in_eps(computed: np.ndarray, expected: Sequence[mpmath.mpc]) -> float:
    with mpmath.workdps(60):
        pairs = zip(computed.tolist(), expected, strict=True)
        error = max(abs(mpmath.mpmathify(value) - truth) / abs(truth) for value, truth in pairs)
    return float(error) / float(np.finfo(computed.dtype).eps)


def check_accuracy(z: np.ndarray, bound: float) -> None:
    is_single = z.real.dtype == np.float32
    computed = {name: phis(z, COUNT) for name, phis in IMPLEMENTATIONS.items()}
    for k in range(1, COUNT + 1):
        expected = exact(z, k)
        for name, phis in computed.items():
            allowed = ONE_ROUNDING if name == "numba" and is_single else bound
            assert error_in_eps(phis[k], expected) <= allowed, (name, k, z)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(z=batches(negative | small_positive))
def test_accuracy_for_real_z(dtype: str, z: list[float]) -> None:
    check_accuracy(np.array(z, dtype), REAL_BOUND)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", SINGLE_BOUND), ("float64", REAL_BOUND)])
@given(z=batches(large_positive))
def test_accuracy_for_large_positive_z(dtype: str, bound: float, z: list[float]) -> None:
    check_accuracy(np.array(z, dtype), bound)


# Where e^z - 1 is computed as it reads, this fails near 2 pi i m.
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@given(z=batches(imaginary_axis | left_half_plane))
def test_accuracy_for_complex_z(dtype: str, z: list[complex]) -> None:
    check_accuracy(np.array(z, dtype), COMPLEX_BOUND)


def turning_points() -> np.ndarray:
    """Return real z at each change between series and recurrence, where both are at their worst."""
    edges = [-float(k) for k in range(1, COUNT + 1)]
    edges += [phi_reference.SERIES_REACH * k for k in range(1, COUNT + 1)]
    return np.array(edges + [math.nextafter(edge, 0.0) for edge in edges])


def test_accuracy_at_the_turning_points() -> None:
    z = turning_points()
    check_accuracy(z, REAL_BOUND)
    check_accuracy(z.astype(np.float32), SINGLE_BOUND)
    check_accuracy(1j * z[z < 0.0], COMPLEX_BOUND)


@each_implementation
def test_a_wrong_coefficient_is_noticed(
    phi_functions: PhiFunctions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 1e-14 in those that make most of some phi_k(z); elsewhere, that the term is not there. Only
    # the last three terms of the series are below the bound everywhere.
    z = np.array([*turning_points(), -1e-3])
    expected = [exact(z, k) for k in range(COUNT + 1)]
    table = phi_reference.reciprocal_factorials(COUNT)

    def error_with(coefficients: tuple[float, ...]) -> float:
        monkeypatch.setattr(phi_reference, "reciprocal_factorials", lambda _: coefficients)
        monkeypatch.setattr(phi_numba, "_coefficients", lambda _: np.array(coefficients))
        phis = phi_functions(z, COUNT)
        return max(error_in_eps(phis[k], expected[k]) for k in range(1, COUNT + 1))

    assert error_with(table) <= REAL_BOUND
    for m in range(1, len(table) - 3):
        factor = 1.0 + 1e-14 if m <= COUNT else 0.0
        assert error_with((*table[:m], factor * table[m], *table[m + 1 :])) > REAL_BOUND, m


@each_implementation
@each_dtype
@given(z=batches(imaginary_axis | left_half_plane | st.builds(complex, small_positive)))
def test_recurrence(phi_functions: PhiFunctions, dtype: str, z: list[complex]) -> None:
    array = np.array(z) if dtype.startswith("complex") else np.array(z).real
    array = array.astype(dtype)
    phis = phi_functions(array, COUNT)
    for k in range(COUNT):
        left, right = array * phis[k + 1], 1.0 / math.factorial(k)
        scale = abs(left) + abs(phis[k]) + right
        assert np.all(abs(left - phis[k] + right) <= 8.0 * np.finfo(dtype).eps * scale)


@each_implementation
@each_dtype
def test_value_at_zero(phi_functions: PhiFunctions, dtype: str) -> None:
    phis = phi_functions(np.array([0.0, -0.0], dtype), 8)
    for k, phi in enumerate(phis):
        np.testing.assert_array_equal(phi, np.array(1.0 / math.factorial(k), dtype))


@each_implementation
@pytest.mark.parametrize("count", range(1, 9))
def test_count_changes_no_value(phi_functions: PhiFunctions, count: int) -> None:
    z = np.concatenate([np.linspace(-12.0, 12.0, 97), [-1e4, 40.0]])
    few, many = phi_functions(z, count), phi_functions(z, 12)
    assert len(few) == count + 1
    for a, b in zip(few, many, strict=False):
        np.testing.assert_allclose(a, b, rtol=2.0 * np.finfo(np.float64).eps)


@each_dtype
@pytest.mark.parametrize("shape", SHAPES)
def test_shape_and_dtype_are_kept(xp: ModuleType, dtype: str, shape: tuple[int, ...]) -> None:
    z = xp.asarray(np.linspace(-3.0, 1.0, math.prod(shape)).reshape(shape).astype(dtype))
    phis = phi_reference.phi_functions(z, 3)
    assert len(phis) == 4
    assert all(type(phi) is type(z) for phi in phis)
    assert all(phi.shape == z.shape and phi.dtype == z.dtype for phi in phis)


@each_dtype
@pytest.mark.parametrize("shape", SHAPES)
def test_shape_and_dtype_are_kept_by_numba(dtype: str, shape: tuple[int, ...]) -> None:
    z = np.linspace(-3.0, 1.0, math.prod(shape)).reshape(shape).astype(dtype)
    phis = phi_numba.phi_functions(z, 3)
    assert len(phis) == 4
    assert all(type(phi) is np.ndarray for phi in phis)
    assert all(phi.shape == shape and phi.dtype == dtype for phi in phis)


def sample(dtype: str) -> np.ndarray:
    """Return 330 arguments near and far, with every other one near: not a multiple of a block."""
    rng = np.random.default_rng(7)
    size = 10.0 ** rng.uniform(-6.0, 3.0, 330)
    angle = rng.uniform(0.5, 1.5, 330) * np.pi
    return (size * np.exp(1j * angle) if dtype.startswith("complex") else -size).astype(dtype)


@each_dtype
def test_array_libraries_and_numba_agree(xp: ModuleType, dtype: str) -> None:
    z = sample(dtype)
    phis = phi_reference.phi_functions(xp.asarray(z), COUNT)
    for phi, expected in zip(phis, phi_numba.phi_functions(z, COUNT), strict=True):
        error = abs(np.asarray(phi) - expected)
        # e^z may lie below the normal numbers, where only its absolute error is small.
        scale = np.maximum(abs(expected), np.finfo(dtype).tiny)
        assert np.all(error <= 2.0 * COMPLEX_BOUND * np.finfo(dtype).eps * scale)


@each_dtype
def test_numba_treats_each_element_alone(dtype: str) -> None:
    z = sample(dtype)
    together = phi_numba.phi_functions(z, COUNT)
    alone = [phi_numba.phi_functions(z[i : i + 1], COUNT) for i in range(z.size)]
    for k in range(COUNT + 1):
        np.testing.assert_array_equal(together[k], np.concatenate([phis[k] for phis in alone]))


@each_dtype
def test_numba_takes_any_strides(dtype: str) -> None:
    base = sample(dtype).reshape(11, 30)
    read_only = base.copy()
    read_only.flags.writeable = False
    views = [base.T, base[::-2, ::3], base[:, 4], np.broadcast_to(base[0], (3, 30)), read_only]
    for z in views:
        expected = phi_numba.phi_functions(z.copy(order="C"), 3)
        for phi, same in zip(phi_numba.phi_functions(z, 3), expected, strict=True):
            np.testing.assert_array_equal(phi, same)


@each_dtype
def test_special_values(xp: ModuleType, dtype: str) -> None:
    # Warnings are errors, so this also shows that none is given.
    tiny = float(np.finfo(dtype).smallest_subnormal)
    z = np.array([-math.inf, math.nan, tiny, -tiny, -1e30, 1e4], dtype)
    for phis in (
        phi_numba.phi_functions(z, COUNT),
        [np.asarray(phi) for phi in phi_reference.phi_functions(xp.asarray(z), COUNT)],
    ):
        for k, phi in enumerate(phis):
            assert phi[0] == 0.0
            assert np.isnan(phi[1])
            assert phi[2] == phi[3] == np.array(1.0 / math.factorial(k), dtype)
            limit = 1.0 / (1e30 * math.factorial(k - 1)) if k > 0 else 0.0
            assert abs(phi[4] - limit) <= 4.0 * np.finfo(dtype).eps * limit
            assert not np.isfinite(phi[5])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_overflow_is_infinite(xp: ModuleType, dtype: str) -> None:
    z = np.array([math.inf, np.finfo(dtype).max, 1e4], dtype)
    for phis in (
        phi_numba.phi_functions(z, COUNT),
        phi_reference.phi_functions(xp.asarray(z), COUNT),
    ):
        assert all(np.all(np.asarray(phi) == math.inf) for phi in phis)


def test_no_intermediate_overflows_for_large_complex_z() -> None:
    # abs(z)^2 is not representable.
    z = np.array([-1e300 + 1e300j, -1e250 + 1e200j, 1e200j, 1e170j, -1e160 + 1e160j])
    for phi_functions in IMPLEMENTATIONS.values():
        phi_2 = phi_functions(z, 2)[2]
        np.testing.assert_allclose(phi_2, -1.0 / z, rtol=1e-15)


@each_implementation
def test_far_out_on_the_imaginary_axis(phi_functions: PhiFunctions) -> None:
    z = np.array([1e9j, 3e8j, -2e7j])
    np.testing.assert_allclose(phi_functions(z, 1)[1], (np.exp(z) - 1) / z, rtol=1e-12)


@each_implementation
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("size", [3, 300])
def test_exponentials_below_the_normal_numbers_are_kept(
    phi_functions: PhiFunctions, dtype: str, size: int
) -> None:
    z = np.full(size, -720.0, dtype)
    assert 0.0 < math.exp(-720.0) < np.finfo(np.float64).tiny
    np.testing.assert_allclose(phi_functions(z, 1)[0], math.exp(-720.0), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_reference_is_differentiable(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    z = torch.tensor(
        [0.0, -1e-100, -1e-9, -0.5, -1.0, -2.5, -1e3, 2.0, 20.0], dtype=getattr(torch, dtype)
    )
    z.requires_grad_()
    phis = phi_reference.phi_functions(z, COUNT)
    for k in range(1, COUNT):
        (slope,) = torch.autograd.grad(phis[k].real.sum(), z, retain_graph=True)
        # phi_k' = phi_k - k phi_{k+1}, on the real axis, where the conjugation does not matter.
        expected = (phis[k] - k * phis[k + 1]).detach()
        torch.testing.assert_close(slope, expected, rtol=1e-12, atol=1e-15)


def test_compiled_without_a_cache_location() -> None:
    # A function that comes from no file has none, as all have where no directory is writable.
    namespace: dict[str, Any] = {}
    exec("def double(x):\n    return 2.0 * x", namespace)
    kernel = compiled(namespace["double"])
    assert kernel(1.5) == 3.0
    assert kernel.targetoptions["nogil"]


# --- misuse -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 300])
@pytest.mark.parametrize("highest", [-1, 0, 1.5, 2.0, None, "2", math.nan], ids=repr)
def test_an_index_that_is_no_positive_integer_is_refused(highest: Any, size: int) -> None:
    with pytest.raises(InvalidArgument, match=r"^highest=.* must be an integer of at least 1"):
        checked(np.zeros(size), highest)


@pytest.mark.parametrize("size", [3, 300])
@pytest.mark.parametrize("dtype", ["int64", "bool", "float16", "longdouble", ">f8", ">c16", "U1"])
def test_other_dtypes_are_refused(dtype: str, size: int) -> None:
    with pytest.raises(InvalidArgument, match=r"^z has dtype .* convert z to one of these"):
        checked(np.zeros(size).astype(dtype), 1)


@pytest.mark.parametrize("wrong", [[1.0, 2.0], (1.0,), 1.0, None, "z"], ids=repr)
def test_what_is_no_array_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^z=.* must be an array; use numpy.asarray"):
        checked(wrong, 1)


@each_dtype
def test_arrays_of_every_library_pass_the_checks(xp: ModuleType, dtype: str) -> None:
    for z in (sample(dtype), sample(dtype)[:3]):
        phis = checked(xp.asarray(z), np.int64(2))
        for phi, expected in zip(phis, phi_reference.phi_functions(xp.asarray(z), 2), strict=True):
            assert phi.dtype == expected.dtype
            assert np.asarray(phi) == pytest.approx(np.asarray(expected), rel=1e-5, abs=1e-30)
    integers = xp.asarray(np.arange(3))
    with pytest.raises(InvalidArgument, match=r"^z has dtype .*int64"):
        checked(integers, 1)


def test_an_index_whose_factorial_is_no_float() -> None:
    for size in (2, 300):
        phis = checked(np.linspace(-2.0, 2.0, size), 60)
        assert phis[60][0] == pytest.approx(float(exact(np.array([-2.0]), 60)[0]), rel=1e-15)
