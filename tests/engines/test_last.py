"""The last point that a run reached: there on every engine, whatever was wanted, and in trouble."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from semilinear import Dense, Diagonal, NonFiniteError, Propagator, solve

FIXED: dict[str, dict[str, Any]] = {
    "one-step": {"method": "krogstad4", "steps": 16},
    "multistep": {"method": "etdab3", "steps": 16},
    "corrected": {"method": "etdpece3", "steps": 16},
}
ADAPTIVE: dict[str, dict[str, Any]] = {
    "pair": {"method": "zoto_bowman43"},
    "pair without N at the end": {"method": "etd35"},
    "variable order": {"method": "etdpec"},
    "variable order, twice": {"method": "etdpece"},
}
LOOKS: dict[str, dict[str, Any]] = {
    "every point": {},
    "t0 alone": {"t_eval": [0.0]},
    "between points": {"t_eval": [0.01]},
    "dense output": {"dense_output": True, "t_eval": [0.0]},
    "callback": {"callback": lambda t, y: None, "t_eval": [0.0]},
}
each_fixed = pytest.mark.parametrize("way", FIXED.values(), ids=FIXED)
each_adaptive = pytest.mark.parametrize("way", ADAPTIVE.values(), ids=ADAPTIVE)
each_way = pytest.mark.parametrize("way", {**FIXED, **ADAPTIVE}.values(), ids=FIXED | ADAPTIVE)
each_look = pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
each_size = pytest.mark.parametrize("size", [2, 100])
"""Interpreted, and in the loops."""


def linear(size: int) -> Propagator:
    return Diagonal(-np.linspace(0.5, 2.0, size))


@each_size
@each_look
@each_way
def test_a_run_to_the_end(way: dict[str, Any], look: dict[str, Any], size: int) -> None:
    y0 = np.ones(size)
    s = solve(linear(size), lambda t, y: np.sin(y), (0.0, 1.0), y0, **way, **look)
    whole = solve(linear(size), lambda t, y: np.sin(y), (0.0, 1.0), y0, **way)
    assert (s.t_last, whole.t_last) == (1.0, 1.0)
    assert type(s.t_last) is float
    assert np.array_equal(s.y_last, whole.y[:, -1])
    assert np.array_equal(whole.y_last, whole.y[:, -1])
    if s.sol is not None:
        s.y_last[:] = 0.0
        assert np.array_equal(s.sol(1.0), whole.y[:, -1])


@each_size
@each_way
def test_a_terminal_event(way: dict[str, Any], size: int) -> None:
    def half(t: float, y: Any) -> float:
        return float(y[0]) - 0.75

    half.terminal = True  # type: ignore[attr-defined]
    y0 = np.ones(size)
    s = solve(
        linear(size), lambda t, y: 0 * y, (0.0, 1.0), y0, events=half, t_eval=[0.0], **way
    )  # fmt: skip
    assert s.t_last == s.t_events[0][0]
    assert np.array_equal(s.y_last, s.y_events[0][0])


@each_size
@each_look
@each_adaptive
def test_a_solution_that_ends(way: dict[str, Any], look: dict[str, Any], size: int) -> None:
    s = solve(
        Diagonal(np.zeros(size)), lambda t, y: y * y, (0.0, 2.0), np.ones(size), rtol=1e-5, **way,
        **look,
    )  # fmt: skip
    assert s.status == -1
    assert abs(s.t_last - 1.0) < 1e-3
    assert s.y_last[0] > 1e6
    if not look:
        assert s.t[-1] == s.t_last
        assert np.array_equal(s.y[:, -1], s.y_last)


@numba.njit  # type: ignore[misc]
def jitted(t: float, u: Any, out: Any) -> None:
    out[...] = u
    if t >= 0.5:
        out[...] = np.nan


def python(t: float, y: Any) -> Any:
    return y if t < 0.5 else np.nan * y


@pytest.mark.parametrize(("nonlinear", "size"), [(jitted, 2), (python, 2), (python, 100)])
@each_look
@each_way
def test_values_that_are_not_finite(
    way: dict[str, Any], look: dict[str, Any], nonlinear: Any, size: int
) -> None:
    y0 = np.ones(size)
    if "steps" not in way:
        s = solve(linear(size), nonlinear, (0.0, 1.0), y0, **way, **look)
        assert s.status == -1
        assert 0.5 - 1e-6 < s.t_last <= 0.5
    else:
        with pytest.raises(NonFiniteError) as caught:
            solve(linear(size), nonlinear, (0.0, 1.0), y0, **way, **look)
        s = caught.value.solution
        # Stages and predictions at the end of a step are met one step earlier.
        assert s.t_last == (0.5 if way["method"] == "etdab3" else 0.4375)
    exact = np.exp(s.t_last * (1 - np.linspace(0.5, 2.0, size)))
    assert s.y_last == pytest.approx(exact, rel=1e-2)


@each_size
@each_way
def test_a_run_that_does_not_begin(way: dict[str, Any], size: int) -> None:
    y0 = np.linspace(1.0, 2.0, size)
    with pytest.raises(NonFiniteError) as caught:
        solve(linear(size), lambda t, y: np.nan * y, (0.25, 1.0), y0, t_eval=[1.0], **way)
    s = caught.value.solution
    assert s.t_last == 0.25
    assert np.array_equal(s.y_last, y0)
    assert s.t.shape == (0,)


@each_way
def test_shapes_and_libraries(way: dict[str, Any]) -> None:
    for y0 in (np.ones((2, 3), np.float32), np.ones(())):
        s = solve(Diagonal(-1.0), lambda t, y: 0 * y, (0.0, 1.0), y0, t_eval=[0.0], **way)
        assert (s.y_last.shape, s.y_last.dtype) == (y0.shape, y0.dtype)
        assert s.y_last == pytest.approx(np.exp(-1.0) * y0, rel=1e-6)
    torch = pytest.importorskip("torch")
    s = solve(Diagonal(-1.0), lambda t, y: 0 * y, (0.0, 1.0), torch.ones(2), t_eval=[0.0], **way)
    assert isinstance(s.y_last, torch.Tensor)
    assert s.y_last.dtype == torch.float32


def test_variable_order_with_a_matrix() -> None:
    s = solve(Dense(-np.eye(2)), python, (0.0, 1.0), np.ones(2), method="etdpec", t_eval=[0.1])
    assert 0.5 - 1e-6 < s.t_last <= 0.5
    assert s.y_last == pytest.approx([1.0, 1.0], rel=1e-2)
