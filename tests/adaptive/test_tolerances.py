"""Adaptive steps: the tolerance is kept, whatever the linear part and the arrays are."""

from __future__ import annotations

import importlib
from dataclasses import replace
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import semilinear as sl
from adaptive_runs import (
    ADAPTIVE,
    BLIND,
    EXPOSING,
    PAIRS,
    STIFF,
    adaptive,
    autonomous,
    each_method,
    each_that_sees,
    error,
)
from runs import LINEAR, each_linear, initial, is_complex, logistic
from semilinear import Diagonal, Scalar, Solution, problems, solve
from semilinear.phi import phi
from tolerances import assert_close, to_numpy

# --- tolerances ---------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [*EXPOSING, "autonomous"])
@each_method
def test_the_error_follows_the_tolerance(name: str, problem: str) -> None:
    if name in BLIND and problem != "autonomous":
        pytest.skip("the estimate is blind to time")
    p = autonomous() if problem == "autonomous" else problems.get(problem)
    low = ADAPTIVE[name].embedded_order
    tolerances = [1e-3, 1e-5, 1e-7, 1e-10] if low >= 3 else [1e-3, 1e-5, 1e-6]
    found = [adaptive(p, name, rtol) for rtol in tolerances]
    errors = [error(p, s) for s in found]
    for rtol, e, s in zip(tolerances, errors, found, strict=True):
        assert s.success
        assert e <= 0.6 * rtol
        # Smooth problems from a good first step: most attempts succeed.
        assert s.stats["rejected"] <= 3 + 0.35 * s.stats["steps"]
    assert sorted(errors, reverse=True) == errors
    assert errors[0] / errors[-1] >= (tolerances[0] / tolerances[-1]) ** 0.75
    for at in range(len(found) - 1 if name in PAIRS else 0):
        # The number of steps grows as the estimator's order says, and no faster.
        tighter = tolerances[at] / tolerances[at + 1]
        more = found[at + 1].stats["steps"] / found[at].stats["steps"]
        assert more <= 1.3 * tighter ** (1 / (low + 1))


@each_method
def test_an_estimate_sees_time_or_is_refused(name: str) -> None:
    """y' = -y + cos(t): the values of N at the end of a step, at two states, are the same."""

    def run() -> Solution:
        return solve(
            Scalar(-1.0), lambda t, y: 0 * y + np.cos(t), (0.0, 10.0), [1.0], method=name, rtol=1e-6
        )

    if name in BLIND:
        with pytest.raises(sl.InvalidArgument, match=rf"^method: .* of {name} does not see a chan"):
            run()
        return
    s = run()
    exact = 0.5 * (np.cos(s.t) + np.sin(s.t) + np.exp(-s.t))
    assert np.abs(s.y[0] - exact).max() <= 1e-5


@pytest.mark.parametrize("controller", ["I", "PI", "PID"])
def test_every_controller_keeps_the_tolerance(controller: str) -> None:
    for name in ("coupled", "dense"):
        p = problems.get(name)
        s = adaptive(p, "lawson54", 1e-8, controller=controller)
        assert s.success
        assert error(p, s) <= 1e-8


def test_the_controllers_take_different_steps() -> None:
    p = problems.coupled()
    runs = [adaptive(p, "zoto_bowman43", 1e-6, controller=c) for c in ("I", "PI", "pid")]
    assert len({s.t.tobytes() for s in runs}) == 3


@pytest.mark.parametrize("form", ["local", "integral"])
@pytest.mark.parametrize("name", STIFF)
def test_stiff_problems(name: str, form: str) -> None:
    """What L does costs no steps: its largest rate times the longest step is far above 1."""
    p = problems.hochbruck_ostermann(form=form, points=15)
    stiffness = 4 * 16**2
    for rtol in (1e-3, 1e-4):
        s = adaptive(p, name, rtol)
        assert s.success
        assert error(p, s) <= rtol
        assert np.diff(s.t).max() * stiffness > 3
    # Rates four times as large cost hardly more steps.
    finer = problems.hochbruck_ostermann(form=form, points=31)
    assert adaptive(finer, name, 1e-4).stats["steps"] <= 1.5 * s.stats["steps"] + 2


def test_a_lawson_method_needs_small_steps_there() -> None:
    """Its estimate sees the order reduction: many steps, and the tolerance is kept all the same."""
    p = problems.hochbruck_ostermann(points=15)
    lawson, other = (adaptive(p, m, 1e-3) for m in ("lawson54", "zoto_bowman43"))
    assert error(p, lawson) <= 1e-3
    assert lawson.stats["steps"] > 5 * other.stats["steps"]


@each_that_sees
def test_backwards(name: str) -> None:
    for problem in map(problems.get, EXPOSING):
        p = replace(problem, t_span=(1.0, 0.0), y0=problem.exact(1.0))
        s = adaptive(p, name, 1e-5)
        assert error(p, s) <= 1e-5
        assert (s.t[0], s.t[-1]) == (1.0, 0.0)
        assert (np.diff(s.t) < 0).all()


def test_absolute_tolerances_by_entry() -> None:
    """Entries do not couple here: each one keeps its own tolerance, the others play no part."""

    def nonlinear(t: float, y: Any) -> Any:
        return np.array([np.cos(30 * t), 1e-6 * np.cos(t)])

    def run(atol: Any) -> Solution:
        return solve(Scalar(-1.0), nonlinear, (0.0, 3.0), [1.0, 0.0], rtol=0, atol=atol)

    coarse, one_fine, fine = run([1e-3, 1e-3]), run([1e-7, 1e3]), run(1e-7)
    assert coarse.stats["steps"] < one_fine.stats["steps"] <= fine.stats["steps"]
    assert run([1e3, 1e-3]).stats["steps"] < coarse.stats["steps"]


def test_tolerance_zero() -> None:
    """rtol alone, from an initial state with an entry 0; atol alone."""
    p = problems.coupled()
    exact = p.exact(1.0)
    for rtol, atol in ((1e-7, 0.0), (0.0, 1e-7)):
        s = solve(p.linear, p.nonlinear, p.t_span, p.y0, rtol=rtol, atol=atol)
        assert s.success
        assert np.abs(s.y[:, -1] - exact).max() <= 1e-7
    s = solve(Diagonal([-1.0, -2.0]), lambda t, y: np.cos(y), (0, 1), [0.0, 1.0], rtol=1e-6, atol=0)
    assert s.success


@pytest.mark.parametrize("method", ["zoto_bowman43", "etdpec"])
@pytest.mark.parametrize("least", [1e-165, 1e-300])
def test_errors_of_tiny_entries_count_where_atol_is_zero(method: str, least: float) -> None:
    """Squares of these underflow; the large entries have no error beside theirs."""
    y0 = np.resize([1.0, least], 64)
    rates = np.resize([0.0, 5.0], 64)
    s = solve(
        Scalar(0.0), lambda t, y: rates * np.cos(5 * t) * y, (0.0, 2.0), y0,
        method=method, rtol=1e-6, atol=0.0,
    )  # fmt: skip
    exact = y0 * np.exp(rates * np.sin(10.0) / 5)
    np.testing.assert_allclose(s.y[:, -1], exact, rtol=1e-4)


def near_zero(atol: Any, size: int = 2) -> Solution:
    """y' = -sqrt|y| reaches 0 at t = 2 and stays there."""
    return solve(
        Scalar(0.0), lambda t, y: -np.sqrt(np.abs(y)), (0.0, 3.0), np.ones(size),
        method="zoto_bowman43", rtol=1e-6, atol=atol,
    )  # fmt: skip


@pytest.mark.parametrize("size", [2, 80])
@pytest.mark.parametrize("part", [False, True])
def test_without_atol_the_cause_of_short_steps_is_named(part: bool, size: int) -> None:
    s = near_zero(np.repeat([1e-6, 0.0], size // 2) if part else 0.0, size)
    assert s.status == -1
    assert s.t[-1] == pytest.approx(2.0, abs=1e-5)
    assert "for which atol is 0 comes near 0" in s.message
    assert s.message.endswith("give a positive atol")
    # The remedy helps.
    assert near_zero(1e-6).success


def test_with_atol_it_is_not_blamed() -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        s = solve(Scalar(-1.0), lambda t, y: y * y, (0.0, 1.0), [2.0], rtol=1e-6, atol=1e-9)
    assert s.status == -1
    assert "atol" not in s.message


@pytest.mark.parametrize("name", ["zoto_bowman43", "etdpece"])
@pytest.mark.parametrize("size", [2, 80])
def test_entries_that_stay_zero_need_no_atol(name: str, size: int) -> None:
    """An error of 0 beside a tolerance of 0 counts as 0, in all loops."""
    y0 = np.resize([0.0, 1.0], size)
    s = solve(Scalar(-1.0), lambda t, y: y * y, (0.0, 1.0), y0, method=name, rtol=1e-6, atol=0)
    assert s.success
    assert s.stats["steps"] < 20
    assert (s.y[::2] == 0).all()


# --- which arrays -------------------------------------------------------------------------------


def still(y: Any, t: float) -> Any:
    """An N without time."""
    return y * y - 0.5 * y


@each_linear
@pytest.mark.parametrize("name", PAIRS)
def test_every_linear_part_takes_the_steps_of_its_plan(name: str, linear: sl.Propagator) -> None:
    """The same numbers as on a fixed grid, whatever was tried and given up in between."""
    function = still if name in BLIND else logistic

    def run(**options: Any) -> Solution:
        return solve(
            linear, lambda t, y: function(y, t), (0.0, 0.7), initial(linear), method=name, **options
        )

    tried = run(rtol=1e-4, atol=1e-6, first_step=0.7)
    assert tried.success
    fixed = run(grid=tried.t)
    # A stiff linear part makes coefficients of large numbers: lengths differ in their last bit.
    assert_close(tried.y, fixed.y, operations=3e4 if linear is LINEAR["stiff"] else 3e3)
    assert is_complex(linear) == np.iscomplexobj(tried.y)


def test_attempts_were_given_up_in_that_comparison() -> None:
    refused = 0
    for linear in LINEAR.values():
        s = solve(
            linear, lambda t, y: logistic(y, t), (0.0, 0.7), initial(linear),
            rtol=1e-4, atol=1e-6, first_step=0.7,
        )  # fmt: skip
        refused += s.stats["rejected"] > 0
    assert refused >= 3


@each_linear
@pytest.mark.parametrize("name", ["etdpec", "etdpece"])
def test_every_linear_part_takes_steps_of_variable_order(name: str, linear: sl.Propagator) -> None:
    def run(**options: Any) -> np.ndarray:
        return solve(
            linear, lambda t, y: logistic(y, t), (0.0, 0.7), initial(linear), **options
        ).y[:, -1]  # fmt: skip

    found = run(method=name, rtol=1e-9, atol=1e-9, first_step=0.7)
    assert np.abs(found - run(method="luan_ostermann5", steps=300)).max() <= 1e-8


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("size", [3, 300])
def test_the_dtype_is_kept(dtype: type, size: int) -> None:
    y0 = np.linspace(0.5, 1.0, size).astype(dtype)
    rates = -np.geomspace(1.0, 1e3, size)
    single = np.finfo(dtype).eps > 1e-10
    rtol = 1e-5 if single else 1e-9
    s = solve(Diagonal(rates), lambda t, y: y - y * y * y, (0.0, 1.0), y0, rtol=rtol, atol=rtol)
    assert s.y.dtype == dtype
    exact = solve(
        Diagonal(rates), lambda t, y: y - y**3, (0.0, 1.0), y0.astype(complex),
        method="luan_ostermann5", steps=200,
    )  # fmt: skip
    assert np.abs(s.y[:, -1] - exact.y[:, -1]).max() <= 2 * rtol


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (1, 3, 2)], ids=str)
def test_any_shape(shape: tuple[int, ...]) -> None:
    y0 = np.linspace(0.1, 1.0, int(np.prod(shape))).reshape(shape)
    s = solve(Scalar(-2.0), lambda t, y: t * y, (0.0, 1.0), y0, rtol=1e-8)
    assert s.y.shape == (*shape, len(s.t))
    assert np.abs(s.y[..., -1] - y0 * np.exp(-1.5)).max() < 1e-7


def test_equal_members_of_a_batch_take_the_steps_of_one() -> None:
    """The norm, a mean, does not know of their number."""
    p = problems.coupled()
    batch = np.stack([p.y0, p.y0, p.y0])
    one, three = (
        solve(p.linear, p.nonlinear, p.t_span, y, method="zoto_bowman43", rtol=1e-6)
        for y in (p.y0, batch)
    )
    # Lengths follow estimates, which are small differences: they keep half of the digits.
    assert three.t == pytest.approx(one.t, rel=1e-8)
    assert np.abs(three.y - np.stack([one.y] * 3)).max() <= 1e-8


def test_every_array_library(xp: ModuleType) -> None:
    rates, y0 = -np.geomspace(1.0, 100.0, 5), np.linspace(0.2, 1.0, 5)

    def run(y: Any) -> Solution:
        return solve(
            Diagonal(rates), lambda t, y: y - y * y * y, (0, 1), y, rtol=1e-6,
            atol=np.full(5, 1e-8), t_eval=[0.3, 1.0], events=lambda t, y: float(y[4]) - 0.5,
        )  # fmt: skip

    mine, numpy = run(xp.asarray(y0)), run(y0)
    assert type(mine.y) is type(xp.asarray(y0))
    assert mine.stats["steps"] == numpy.stats["steps"]
    assert_close(to_numpy(mine.y), numpy.y, operations=500)
    assert_close(mine.t_events[0], numpy.t_events[0], operations=500)
    assert len(numpy.t_events[0]) == 1


def test_large_tensors() -> None:
    torch = pytest.importorskip("torch")
    y0 = np.linspace(0.0, 1.0, 400)
    linear = Diagonal(-np.geomspace(1.0, 100.0, 400))
    mine = solve(linear, lambda t, y: torch.cos(y), (0, 1), torch.as_tensor(y0), rtol=1e-6)
    theirs = solve(linear, lambda t, y: np.cos(y), (0, 1), y0, rtol=1e-6)
    assert isinstance(mine.y, torch.Tensor)
    assert np.abs(to_numpy(mine.y) - theirs.y).max() <= 1e-9


def test_jax_arrays() -> None:
    pytest.importorskip("jax")
    jnp = importlib.import_module("jax.numpy")
    y0 = np.linspace(0.0, 1.0, 5, dtype=np.float32)
    linear = Diagonal(-np.arange(5.0))
    mine = solve(linear, lambda t, y: jnp.cos(y), (0, 1), jnp.asarray(y0), dense_output=True)
    theirs = solve(linear, lambda t, y: np.cos(y), (0, 1), y0, dense_output=True)
    assert isinstance(mine.y, jnp.ndarray)
    assert mine.y.dtype == mine.sol(0.5).dtype == jnp.float32
    np.testing.assert_allclose(mine.y[:, -1], theirs.y[:, -1], rtol=1e-4)
    np.testing.assert_allclose(mine.sol(0.5), theirs.sol(0.5), rtol=1e-4)


# --- would these tests notice? ------------------------------------------------------------------


def test_an_estimate_that_is_too_small_breaks_the_tolerance() -> None:
    """The error of a pair whose estimate is a hundredth of itself is seen by the bounds above."""
    pair = PAIRS["zoto_bowman43"]
    shrunk = tuple(
        b - Fraction(1, 10**4) * (b - low) for b, low in zip(pair.b, pair.embedded, strict=True)
    )
    p = problems.coupled()
    assert error(p, adaptive(p, replace(pair, embedded=shrunk), 1e-6)) > 0.3e-6
    # An estimate of a lower order than it says: the number of steps grows too fast.
    first = (phi(1), *[phi(1) - phi(1)] * (len(pair.c) - 1))
    lower = replace(pair, embedded=first)
    steps = [adaptive(p, lower, rtol).stats["steps"] for rtol in (1e-3, 1e-5)]
    assert steps[1] / steps[0] > 1.3 * 100 ** (1 / 4)
