"""One number per entry of the state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exact_integrals import constant_rate
from semilinear import Dense, Diagonal, InvalidArgument, Scalar, methods, solve
from semilinear.kernels import COMPILED_FROM
from semilinear.methods import Multistep, Tableau
from strategies import magnitudes
from tolerances import assert_close

H = 0.5
NODES = {
    "own": [0.25, 0.25, 0.25],
    "past": [0.25, 0.0, -1.0],
    "corrector": [0.75, 0.25, 0.0],
}
SCALE = -0.8
ON_GRIDS = (Tableau, Multistep)

decaying = magnitudes(1e-10, 1e4).map(lambda r: -r) | st.just(0.0) | magnitudes(1e-10, 4.0)
eigenvalues = st.lists(decaying, min_size=1, max_size=4)
complex_eigenvalues = st.lists(
    st.builds(complex, decaying, st.floats(-100, 100)), min_size=1, max_size=4
)


@given(st.sampled_from(sorted(NODES)), eigenvalues | complex_eigenvalues)
def test_integrals(kind: str, rates: list[complex]) -> None:
    nodes = NODES[kind]
    linear = Diagonal(rates)
    found = linear.integrals(0.25, 0.25 + H, nodes, SCALE)
    for i, rate in enumerate(rates):
        expected, sizes = constant_rate(rate, 0.25, 0.25 + H, nodes, SCALE)
        for m, size in enumerate(sizes):
            assert_close(found[m][i], complex(expected[m]), operations=20 * (m + 1), scale=size)
    exponentials = [complex(np.exp(H * complex(rate))) for rate in rates]
    assert_close(linear.flow(0.25, 0.25 + H), exponentials, operations=8)


@pytest.mark.parametrize("imaginary", [0.0, 1j])
def test_many_eigenvalues_are_treated_like_few(imaginary: complex) -> None:
    """From some number on, phi-functions come from compiled code."""
    count = 2 * COMPILED_FROM
    rates = -np.geomspace(1e-6, 1e4, count) + imaginary * np.linspace(-50, 50, count)
    nodes = NODES["past"]
    many = Diagonal(rates).integrals(0.25, 0.75, nodes, SCALE)
    size = np.abs(many[0]).max()
    for at in (0, 100, count - 1):
        few = Diagonal(rates[at : at + 1]).integrals(0.25, 0.75, nodes, SCALE)
        for together, alone in zip(many, few, strict=True):
            assert_close(together[at : at + 1], alone, operations=20, scale=size)


def test_eigenvalues_are_kept_as_they_were_given() -> None:
    rates = np.array([-1.0, -2.0])
    linear = Diagonal(rates)
    rates[:] = 5.0
    assert linear.eigenvalues.tolist() == [-1.0, -2.0]
    with pytest.raises(ValueError, match="read-only"):
        linear.eigenvalues[0] = 3.0


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ([-1, -2], np.float64),
        (np.float32([-1, -2]), np.float64),
        ([1j], np.complex128),
        (np.complex64([1j]), np.complex128),
        (-3, np.float64),
    ],
    ids=repr,
)
def test_coefficients_are_in_double_precision(given: object, dtype: type) -> None:
    linear = Diagonal(given)
    for x in [linear.flow(0.0, 1.0), *linear.integrals(0.0, 1.0, [0.0], 1.0)]:
        assert np.asarray(x).dtype == dtype
        assert np.shape(x) == np.shape(given)


FITTING = [((3,), (3,)), ((1,), (3,)), ((), (3,)), ((), ()), ((4, 1), (2, 4, 3)), ((3,), (2, 3))]
MISFITS = [((3,), (4,)), ((3,), ()), ((2, 3), (3,)), ((3,), (3, 1)), ((2, 1), (2,))]


@pytest.mark.parametrize(("shape", "state"), FITTING, ids=str)
def test_eigenvalues_that_broadcast_to_the_state(
    shape: tuple[int, ...], state: tuple[int, ...]
) -> None:
    Diagonal(-np.ones(shape)).check_state(state, False, argument="y0")


@pytest.mark.parametrize(("shape", "state"), MISFITS, ids=str)
def test_eigenvalues_that_do_not_are_refused(
    shape: tuple[int, ...], state: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidArgument, match="do not broadcast") as caught:
        Diagonal(-np.ones(shape)).check_state(state, False, argument="y0")
    assert str(caught.value).startswith(f"y0 has shape {state}")
    assert str(shape) in str(caught.value)


def test_complex_eigenvalues_need_a_complex_state() -> None:
    Diagonal([1j]).check_state((2,), True, argument="y0")
    with pytest.raises(InvalidArgument, match=r"y0 is real .* pass a complex y0"):
        Diagonal([1j]).check_state((2,), False, argument="y0")


@pytest.mark.parametrize("wrong", [None, "fast", ["a"], [[1.0], [1.0, 2.0]], [None]], ids=repr)
def test_what_is_no_array_of_numbers_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^eigenvalues must be an array of numbers"):
        Diagonal(wrong)


def test_functions_of_time_are_refused_with_what_to_do() -> None:
    by_entry = r"must be an array of numbers; L\(t\) by entry .* put L\(t\) - L0 into N.*Scalar"
    with pytest.raises(InvalidArgument, match=f"^eigenvalues {by_entry}"):
        Diagonal(lambda t: [t])
    with pytest.raises(InvalidArgument, match=f"^matrix {by_entry}"):
        Dense(lambda t: [[t]])
    with pytest.raises(InvalidArgument, match=r"^weight must .* B\(t\) by entry .* into N"):
        Diagonal([-1.0], weight=lambda t: t)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, complex(0, np.inf)])
def test_what_is_not_finite_is_refused(wrong: complex) -> None:
    with pytest.raises(InvalidArgument, match=r"^eigenvalues has NaN or infinite entries"):
        Diagonal([-1.0, wrong])


def test_repr() -> None:
    assert repr(Diagonal([[1j, 2]])) == "Diagonal(shape=(1, 2), dtype=complex128)"


# --- the weight B -------------------------------------------------------------------------------


WEIGHTS = [2.5, [0.5, -2.0, 0.0], 1j, [1j, -2.0, 0.5 - 1j], [[1.0], [3.0]]]


@pytest.mark.parametrize("weight", WEIGHTS, ids=str)
def test_a_weight_multiplies_the_integrals(weight: object) -> None:
    rates = np.array([-1.0, -1e3, 0.0])
    plain, weighted = Diagonal(rates), Diagonal(rates, weight=weight)
    for nodes in NODES.values():
        pairs = zip(
            plain.integrals(0.25, 0.75, nodes, SCALE),
            weighted.integrals(0.25, 0.75, nodes, SCALE),
            strict=True,
        )
        for bare, found in pairs:
            assert_close(found, np.asarray(weight) * bare, operations=4)
    assert np.array_equal(plain.flow(0.0, 1.0), weighted.flow(0.0, 1.0))
    assert np.array_equal(weighted.input_weight(0.3), weight)
    assert plain.input_weight(0.3) == 1.0


@pytest.mark.parametrize("size", [3, 300])
@pytest.mark.parametrize("name", methods.names())
def test_a_weight_may_stand_in_n_as_well(name: str, size: int) -> None:
    """The same problem written twice, complex weight and a batch of states."""
    rates = -np.geomspace(1.0, 50.0, size) + 3j
    weight = np.linspace(-1.0, 1.0, size) * (0.5 + 1j)
    y0 = np.stack([np.linspace(0.2, 1.0, size), np.linspace(0.5, 0.1, size)]) + 0j

    def bare(t: float, y: np.ndarray) -> np.ndarray:
        return y * y - t * y.conj()

    on_grid = {"steps": 12} if isinstance(methods.get(name), ON_GRIDS) else {"rtol": 1e-7}
    outside, inside = (
        solve(linear, nonlinear, (0.0, 1.0), y0, method=name, **on_grid).y[..., -1]
        for linear, nonlinear in (
            (Diagonal(rates, weight=weight), bare),
            (Diagonal(rates), lambda t, y: weight * bare(t, y)),
        )
    )
    if "rtol" in on_grid:
        assert np.abs(outside - inside).max() <= 1e-6
    else:
        assert_close(outside, inside, operations=500)


def test_a_number_is_the_weight_of_a_scalar() -> None:
    def run(linear: Diagonal | Scalar) -> np.ndarray:
        return solve(linear, lambda t, y: y * y, (0.0, 1.0), [1.0, 0.5], steps=8).y

    assert_close(run(Diagonal(-2.0, weight=0.7)), run(Scalar(-2.0, weight=0.7)), operations=100)


def test_burgers_saves_a_product() -> None:
    """As -ik/2 the weight takes the derivative over: N is the transform of the square alone."""
    n = 32
    k = np.fft.rfftfreq(n, 1.0 / n)
    k[-1] = 0.0
    y0 = np.fft.rfft(np.sin(2 * np.pi * np.arange(n) / n))

    def square(t: float, y: np.ndarray) -> np.ndarray:
        return np.fft.rfft(np.fft.irfft(y, n) ** 2)

    outside = solve(Diagonal(-0.1 * k**2, weight=-0.5j * k), square, (0.0, 1.0), y0, steps=50)
    inside = solve(
        Diagonal(-0.1 * k**2), lambda t, y: -0.5j * k * square(t, y), (0.0, 1.0), y0, steps=50
    )
    assert_close(outside.y, inside.y, operations=500)


@pytest.mark.parametrize(
    ("weight", "state", "message"),
    [
        (1j, (2,), r"^y0 is real"),
        ([1.0, 2.0, 3.0], (2,), r"^y0 has shape \(2,\), to which the weight of Diagonal"),
        (np.ones((2, 2)), (2,), r"^y0 has shape \(2,\), to which the weight of Diagonal"),
    ],
)
def test_weights_that_do_not_fit(weight: object, state: tuple[int, ...], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        Diagonal([-1.0, -2.0], weight=weight).check_state(state, False, argument="y0")


@pytest.mark.parametrize("wrong", [None, "x", [[1.0], [1.0, 2.0]], np.nan, [1.0, np.inf]], ids=repr)
def test_what_is_no_weight_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^weight (must be an array|has NaN)"):
        Diagonal([-1.0, -2.0], weight=wrong)


def test_repr_with_a_weight() -> None:
    assert repr(Diagonal(-1.0, weight=2.0)) == "Diagonal(-1.0, weight=2.0)"
    assert "weight=1j" in repr(Diagonal([1.0], weight=1j))
    assert "weight" not in repr(Diagonal([1.0], weight=1.0))
