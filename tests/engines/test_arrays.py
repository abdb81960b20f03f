"""The arrays that N gets and returns: reused, returned again, written to, left unwritten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

from semilinear import (
    Dense,
    Diagonal,
    InvalidArgument,
    ModelOutputError,
    NonFiniteError,
    Propagator,
    Scalar,
    solve,
)

WAYS: dict[str, dict[str, Any]] = {
    "one-step": {"steps": 12, "method": "krogstad4"},
    "multistep": {"steps": 12, "method": "etdab3"},
    "corrected": {"steps": 12, "method": "etdpece3", "start": "rk"},
    "pair": {"rtol": 1e-5, "method": "zoto_bowman43"},
    "pair without N at the end": {"rtol": 1e-5, "method": "etd35"},
    "variable order": {"rtol": 1e-5, "method": "etdpec"},
    "variable order, twice": {"rtol": 1e-5, "method": "etdpece"},
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
each_size = pytest.mark.parametrize("size", [3, 200])


def reusing(size: int) -> Callable[..., Any]:
    buffer = np.empty(size)

    def n(t: float, y: Any) -> Any:
        return np.cos(t * y, out=buffer)

    return n


def constant(size: int) -> Callable[..., Any]:
    """An array that is never written to: nobody else may write to it either."""
    forcing = np.linspace(1.0, 2.0, size)
    return lambda t, y: forcing


def changing(size: int) -> Callable[..., Any]:
    forcing = np.empty(size)

    def n(t: float, y: Any) -> Any:
        forcing[:] = 1.0
        forcing[::2] *= np.sin(t)
        return forcing

    return n


def in_place(size: int) -> Callable[..., Any]:
    def n(t: float, y: Any) -> Any:
        y *= np.cos(t)
        return y

    return n


CASES: dict[str, tuple[Callable[[int], Callable[..., Any]], Callable[..., Any]]] = {
    "a buffer": (reusing, lambda t, y: np.cos(t * y)),
    "a constant": (constant, lambda t, y: np.linspace(1.0, 2.0, len(y))),
    "a changing constant": (changing, lambda t, y: np.where(np.arange(len(y)) % 2, 1.0, np.sin(t))),
    "y itself": (lambda size: lambda t, y: y, lambda t, y: y.copy()),
    "a view of y": (lambda size: lambda t, y: y[::-1], lambda t, y: y[::-1].copy()),
    "y, written to": (in_place, lambda t, y: y * np.cos(t)),
}


@each_way
@each_size
@pytest.mark.parametrize(("make", "plain"), CASES.values(), ids=CASES)
def test_whatever_array_comes_back(
    make: Callable[[int], Callable[..., Any]],
    plain: Callable[..., Any],
    size: int,
    way: dict[str, Any],
) -> None:
    linear = Diagonal(-np.geomspace(1.0, 50.0, size), weight=np.linspace(0.5, 1.5, size))
    y0, seen = np.linspace(1.0, 0.5, size), np.linspace(0.0, 1.0, 7)
    for options in ({}, {"dense_output": True, "events": lambda t, y: y[0] - 0.9}):
        mine, theirs = (
            solve(linear, n, (0.0, 1.0), y0, **way, **options) for n in (make(size), plain)
        )
        assert mine.nfev == theirs.nfev
        assert np.array_equal(mine.y, theirs.y)
        if options:
            assert np.array_equal(mine.sol(seen), theirs.sol(seen))
            assert np.array_equal(mine.t_events[0], theirs.t_events[0])
    assert np.array_equal(y0, np.linspace(1.0, 0.5, size))


@pytest.mark.parametrize(
    ("linear", "size"), [(Dense(-np.eye(3)), 3), (Scalar(lambda t: -1.0), 300)], ids=["3", "300"]
)
@pytest.mark.parametrize("make", [reusing, in_place])
def test_variable_order_without_rates(
    make: Callable[..., Any], linear: Propagator, size: int
) -> None:
    """No loop serves these."""
    plain = CASES["a buffer" if make is reusing else "y, written to"][1]
    mine, theirs = (
        solve(linear, n, (0.0, 1.0), np.ones(size), method="etdpec", dense_output=True)
        for n in (make(size), plain)
    )
    assert np.array_equal(mine.y, theirs.y)
    assert np.array_equal(mine.sol(0.3), theirs.sol(0.3))


def test_a_number_as_state() -> None:
    buffer = np.empty(())
    mine = solve(Diagonal(-1.0), lambda t, y: np.cos(t * y, out=buffer), (0.0, 1.0), 1.0, steps=5)
    theirs = solve(Diagonal(-1.0), lambda t, y: np.cos(t * y), (0.0, 1.0), 1.0, steps=5)
    assert np.array_equal(mine.y, theirs.y)


# --- tensors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 300])
@each_way
def test_a_tensor_that_is_overwritten_is_refused(way: dict[str, Any], size: int) -> None:
    torch = pytest.importorskip("torch")
    buffer = torch.empty(size, dtype=torch.float64)
    y0, linear = torch.ones(size, dtype=torch.float64), Diagonal(-np.ones(size))
    with pytest.raises(ModelOutputError, match=r"^evaluation 2 overwrote the tensor"):
        solve(linear, lambda t, y: torch.cos(t * y, out=buffer), (0.0, 1.0), y0, **way)
    for fine in (lambda t, y: y, lambda t, y: torch.cos(t * y), lambda t, y: y0):
        assert solve(linear, fine, (0.0, 1.0), y0, **way).success
    with torch.inference_mode():
        s = solve(linear, lambda t, y: torch.cos(t * y), (0.0, 1.0), y0.clone(), **way)
    assert s.success


# --- N(t, u, out) -------------------------------------------------------------------------------


@numba.njit  # type: ignore[misc]
def leaves_one_out(t: float, u: Any, out: Any) -> None:
    out[1:] = u[1:]


@each_way
@each_size
def test_entries_that_are_left_unwritten_are_noticed(way: dict[str, Any], size: int) -> None:
    for options in ({}, {"dense_output": True}):
        with pytest.raises(NonFiniteError, match=rf"t = 0\)? returned NaN .* 1 of {size}") as error:
            solve(Diagonal(-np.ones(size)), leaves_one_out, (0.0, 1.0), np.ones(size), **way,
                  **options)  # fmt: skip
        assert "writes every entry of out" in str(error.value)
        assert error.value.solution.t_last == 0.0


@pytest.mark.parametrize("options", [{}, {"steps": 3}])
def test_a_state_without_an_axis_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=r"^y0 has no axis.* shape \(1,\)"):
        solve(Diagonal(-1.0), leaves_one_out, (0.0, 1.0), 1.0, **options)


@numba.njit  # type: ignore[misc]
def helper(u: Any) -> Any:
    return u.no_such_thing


@numba.njit  # type: ignore[misc]
def calls_helper(t: float, u: Any, out: Any) -> None:
    out[...] = helper(u)


@numba.njit  # type: ignore[misc]
def wrong_product(t: float, u: Any, out: Any) -> None:
    out[...] = u @ "text"


@numba.njit  # type: ignore[misc]
def unknown_name(t: float, u: Any, out: Any) -> None:
    out[...] = nowhere * u  # type: ignore[name-defined]  # noqa: F821


@numba.njit  # type: ignore[misc]
def wants_more(t: float, u: Any, out: Any, more: float) -> None:
    out[...] = u


@numba.njit("void(float64, float32[:], float32[:])")  # type: ignore[misc]
def of_one_kind(t: float, u: Any, out: Any) -> None:
    out[...] = u


@pytest.mark.parametrize("shape", [(3,), (1, 3)])
@pytest.mark.parametrize(
    ("nonlinear", "message"),
    [
        (calls_helper, r"Unknown attribute 'no_such_thing' .*\n  File .*test_arrays.py\", line \d+:"
                       r" return u.no_such_thing$"),
        (wrong_product, r"signature: matmul\(.*\n  File .*test_arrays.py\", line .* u @ \"text\"$"),
        (unknown_name, r"'nowhere' is not defined$"),
        (wants_more, r"give numba.njit no signature, and further arguments by args=$"),
        (of_one_kind, r"give numba.njit no signature, and further arguments by args=$"),
    ],
)  # fmt: skip
def test_what_does_not_compile_is_named(
    nonlinear: Any, message: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        solve(Diagonal(-np.ones(3)), nonlinear, (0.0, 1.0), np.ones(shape), steps=3)
    assert str(caught.value).startswith("nonlinear does not compile as N(t, u, out)")
    assert caught.value.__cause__ is not None
    assert len(str(caught.value).splitlines()) <= 2
