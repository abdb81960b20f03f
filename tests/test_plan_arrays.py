"""States of every library, shape, dtype and layout; compiled kernels against their definition."""

from __future__ import annotations

import itertools
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from runs import is_complex, logistic
from semilinear import Dense, Diagonal, Propagator, Scalar, kernels, make_plan, solve
from semilinear.kernels import COMPILED_FROM
from semilinear.stepping import run
from tolerances import assert_close, to_numpy

MATRIX = np.array([[-1.0, 4.0, 0.5], [0.0, -2.0, 4.0], [0.3, 0.0, -1.0]])
LINEAR: dict[str, Propagator] = {
    "scalar": Scalar(-1.3),
    "diagonal": Diagonal([-1.0, 0.0, -300.0]),
    "dense": Dense(MATRIX),
}
COMPLEX: dict[str, Propagator] = {
    "complex scalar": Scalar(-0.4 + 3j),
    "complex diagonal": Diagonal([2j, -0.5 - 3j, -1 + 1j]),
    "complex dense": Dense(MATRIX * (1 + 0.5j)),
}
METHODS = ["hochbruck_ostermann4", "etdpece3", "lawson4", "etdab4"]
GRID = [0.0, 0.1, 0.25, 0.3, 0.5, 0.6, 0.75]
MANY = COMPILED_FROM // 3 + 1
"""Rows of three entries that make a state which compiled kernels take."""


each_kind = pytest.mark.parametrize("kind", LINEAR)
REAL_DTYPES, COMPLEX_DTYPES = ["float32", "float64"], ["complex64", "complex128"]
each_kind_and_dtype = pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *itertools.product(LINEAR, REAL_DTYPES + COMPLEX_DTYPES),
        *itertools.product(COMPLEX, COMPLEX_DTYPES),
    ],
)
each_method = pytest.mark.parametrize("name", METHODS)


def linear_of(kind: str) -> Propagator:
    return (LINEAR | COMPLEX)[kind]


def values(rows: int, dtype: Any) -> np.ndarray:
    """Return states, one in each row, that differ from one another."""
    real = np.linspace(-0.9, 1.0, 3 * rows).reshape(rows, 3)
    return (real + 1j * real[::-1] if np.dtype(dtype).kind == "c" else real).astype(dtype)


def end(linear: Propagator, name: str, x: Any, model: Any = logistic) -> Any:
    return run(make_plan(linear, GRID, method=name), model, x).x


# --- libraries and dtypes -----------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, MANY])
@each_kind_and_dtype
def test_the_library_and_dtype_of_a_state_are_kept(
    xp: ModuleType, kind: str, dtype: str, rows: int
) -> None:
    linear = linear_of(kind)
    start = values(rows, dtype)
    x = xp.asarray(start)
    found = end(linear, "hochbruck_ostermann4", x)
    assert type(found) is type(x)
    assert found.dtype == x.dtype
    exact = end(linear, "hochbruck_ostermann4", start.astype(np.result_type(dtype, np.float64)))
    assert_close(found, exact, operations=400, scale=1.0 + float(np.abs(exact).max()))
    assert np.array_equal(to_numpy(x), start), "the initial state is left alone"


@each_kind
@each_method
def test_a_state_without_axes_or_with_many(xp: ModuleType, name: str, kind: str) -> None:
    linear = Scalar(-2.0) if kind == "scalar" else Diagonal(-2.0)
    alone = end(linear, name, xp.asarray(0.7, dtype=xp.float64))
    assert tuple(alone.shape) == ()
    many = end(linear, name, xp.full((2, 1, 3, 2), 0.7, dtype=xp.float64))
    assert tuple(many.shape) == (2, 1, 3, 2)
    assert_close(many, np.full((2, 1, 3, 2), float(alone)), operations=0)


def test_states_without_entries() -> None:
    for linear in (Scalar(-1.0), Diagonal(-1.0), Diagonal(np.ones((0,)))):
        assert end(linear, "etd4rk", np.ones((2, 0))).shape == (2, 0)


@pytest.mark.parametrize("rows", [1, MANY])
@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.clongdouble])
def test_other_precisions_are_kept_too(dtype: type, rows: int) -> None:
    """By the reference kernels, whatever the number of entries."""
    found = end(Scalar(-1.3), "etd2rk", np.full((rows, 3), 0.5, dtype))
    assert found.dtype == dtype
    exact = end(Scalar(-1.3), "etd2rk", np.full((rows, 3), 0.5))
    # Coefficients are in double precision.
    eps = max(float(np.finfo(dtype).eps), 2.0**-52)
    assert float(np.abs(found - exact).max()) <= 100 * eps


# --- batches and compiled kernels ---------------------------------------------------------------


@pytest.mark.parametrize("rows", [5, MANY])
@each_kind
@each_method
def test_a_batch_is_its_members_bit_for_bit(name: str, kind: str, rows: int) -> None:
    """Also where the batch is for the compiled kernels and a member for the plain ones."""
    start = values(rows, np.float64)
    batch = end(LINEAR[kind], name, start)
    for at in (0, 1, rows // 2, rows - 1):
        assert np.array_equal(batch[at], end(LINEAR[kind], name, start[at]))


@each_kind_and_dtype
@each_method
def test_compiled_kernels_do_what_their_definition_says(
    name: str,
    kind: str,
    dtype: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    linear = linear_of(kind)
    start = values(MANY, dtype)
    compiled = end(linear, name, start)
    monkeypatch.setattr(kernels, "COMPILED_FROM", 10**9)
    plain = end(linear, name, start)
    if kind in LINEAR:
        assert np.array_equal(compiled, plain), "real coefficients: bit for bit"
    else:
        # A product of complex numbers may be rounded in another order.
        assert_close(compiled, plain, operations=100, scale=1.0)


SHAPES = [(), (1,), (3,), (4, 1), (4, 3), (1, 1), (1, 4, 1), (2, 1, 1), (2, 4, 3), (2, 1, 3)]


@pytest.mark.parametrize("copies", [1, 20])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_eigenvalues_broadcast_to_the_state(shape: tuple[int, ...], copies: int) -> None:
    """As if they were written out, for small states and for those of compiled kernels."""
    whole = (copies, *[2, 4, 3])
    rates = -np.linspace(0.1, 9.0, int(np.prod(shape))).reshape(shape)
    start = np.linspace(-1.0, 1.0, int(np.prod(whole))).reshape(whole)
    written_out = Diagonal(np.broadcast_to(rates, whole[1:]))
    found = end(Diagonal(rates), "etd4rk", start)
    assert_close(found, end(written_out, "etd4rk", start), operations=8, scale=1.0)
    expected = end(Diagonal(rates), "etd1", start, model=lambda x, t: 0 * x)
    assert_close(expected, np.exp(0.75 * rates) * start, operations=20, scale=1.0)


# --- layouts ------------------------------------------------------------------------------------

LARGE = 2 * COMPILED_FROM


def read_only(x: np.ndarray) -> np.ndarray:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


LAYOUTS = {
    "strided": lambda x: np.repeat(x, 2)[::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "read-only": read_only,
}


@pytest.mark.parametrize("kind", ["scalar", "diagonal"])
@pytest.mark.parametrize("size", [48, LARGE])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_do_not_matter(layout: str, size: int, kind: str) -> None:
    """Of the initial state, and of what N returns: a constant force is often read-only."""
    linear = Scalar(-1.3) if kind == "scalar" else Diagonal(-np.linspace(0.0, 9.0, size))
    change = LAYOUTS[layout]
    start = np.linspace(-1.0, 1.0, size)
    expected = end(linear, "etd4rk", start)
    assert np.array_equal(end(linear, "etd4rk", change(start)), expected)
    found = end(linear, "etd4rk", start, model=lambda x, t: change(logistic(x, t)))
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("kind", ["scalar", "diagonal", "dense"])
@pytest.mark.parametrize("rows", [4, MANY])
def test_axes_in_any_order(kind: str, rows: int) -> None:
    start = values(rows, np.float64)
    expected = end(LINEAR[kind], "etd4rk", start)
    assert np.array_equal(end(LINEAR[kind], "etd4rk", np.asfortranarray(start)), expected)
    found = end(LINEAR[kind], "etd4rk", start, model=lambda x, t: np.asfortranarray(logistic(x, t)))
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("size", [4, LARGE])
def test_a_broadcast_force(size: int) -> None:
    """An array without memory of its own for each entry."""
    force, start = np.broadcast_to(0.5, size), np.ones(size)
    found = end(Scalar(-1.3), "etd1", start, model=lambda x, t: force)
    expected = end(Scalar(-1.3), "etd1", start, model=lambda x, t: force.copy())
    assert np.array_equal(found, expected)


# --- PyTorch ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, MANY])
@pytest.mark.parametrize("kind", [*LINEAR, "complex diagonal"])
@each_method
def test_gradients_flow_through_a_run(name: str, kind: str, rows: int) -> None:
    torch = pytest.importorskip("torch")
    linear = linear_of(kind)
    start = torch.asarray(values(rows, complex if is_complex(linear) else float))
    factor = torch.tensor(0.8, dtype=torch.float64)
    direction = torch.asarray(values(rows, float)[::-1].copy())

    def size(shift: Any, factor: Any) -> Any:
        def model(x: Any, t: float) -> Any:
            return factor * logistic(x, t)

        return (end(linear, name, start + shift * direction, model=model).abs() ** 2).sum()

    shift = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    weight = factor.clone().requires_grad_()
    found = torch.autograd.grad(size(shift, weight), (shift, weight))
    h = 1e-5
    differences = (
        (size(h, factor) - size(-h, factor)) / (2 * h),
        (size(0.0, factor + h) - size(0.0, factor - h)) / (2 * h),
    )
    for gradient, difference in zip(found, differences, strict=True):
        # Central differences: h^2, and rounding of the sum over h.
        assert abs(float(gradient - difference)) <= 1e-7 * (1 + rows + abs(float(difference)))


@pytest.mark.parametrize("rows", [1, MANY])
def test_gradients_of_the_model_alone(rows: int) -> None:
    """The state asks for none, so compiled kernels begin; the answers do, and plain ones go on."""
    torch = pytest.importorskip("torch")
    weight = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    start = torch.asarray(values(rows, float))
    found = end(Scalar(-1.3), "etd4rk", start, model=lambda x, t: weight * logistic(x, t))
    assert found.requires_grad
    (gradient,) = torch.autograd.grad(found.sum(), weight)
    assert float(gradient) != 0.0
    plain = end(Scalar(-1.3), "etd4rk", start, model=lambda x, t: 0.8 * logistic(x, t))
    assert_close(found.detach(), to_numpy(plain), operations=20, scale=1.0)


@pytest.mark.parametrize("size", [3, LARGE])
def test_views_of_tensors(size: int) -> None:
    """Strided, and conjugate lazily."""
    torch = pytest.importorskip("torch")
    start = torch.linspace(-1, 1, 2 * size, dtype=torch.float64)
    rows = start.reshape(-1, 2)
    expected = end(Scalar(-1.3), "etd4rk", rows[:, 0].clone().reshape(-1, 1))
    found = end(Scalar(-1.3), "etd4rk", rows[:, :1])
    assert torch.equal(found, expected)
    waves = (start + 1j * start.flip(0)).reshape(-1, 1)
    lazily = end(Scalar(-1.3), "etd4rk", waves.conj())
    assert torch.equal(lazily, end(Scalar(-1.3), "etd4rk", waves.conj().resolve_conj()))


def test_solutions_stay_in_their_library(xp: ModuleType) -> None:
    y0 = xp.asarray([1.0, 0.5], dtype=xp.float32)
    solution = solve(Scalar(-1.0), lambda t, y: logistic(y, t), (0, 1), y0, steps=4)
    assert type(solution.y) is type(y0)
    assert solution.y.dtype == y0.dtype
    assert tuple(solution.y.shape) == (2, 5)
