"""A nonlinear term compiled by Numba: the same numbers as its twin in Python, whatever is asked."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest

from runs import LINEAR, METHODS, initial
from semilinear import Diagonal, NonFiniteError, Propagator, Scalar, Solution, methods, solve
from semilinear.adaptive.place import AT_END
from semilinear.engines import compiled as host
from semilinear.engines.tables import Marching, Tables, make_tables
from semilinear.kernels import layout, nonlinear
from semilinear.kernels.layout import ERROR
from semilinear.methods import Multistep, Tableau, rows
from semilinear.methods.tableau import FIRST

TIMES = np.linspace(0.0, 1.0, 9) ** 1.5
PAIRS = [n for n, m in METHODS.items() if isinstance(m, Tableau) and m.is_pair and n != "krogstad4"]
GRIDS = ["krogstad4", "hochbruck_ostermann4", "lawson4", "etdab4", "etdpec4", "etdpece3"]
LINEARS: dict[str, Propagator] = {
    **LINEAR,
    "weighted": Diagonal([-1.0, 0.0, -300.0], weight=[1.0, 2.0, -0.5]),
    "complex weight": Diagonal([-1.0, 0.0, -300.0], weight=[1j, 2.0, -0.5]),
}
each_linear = pytest.mark.parametrize("linear", LINEARS.values(), ids=LINEARS)


@numba.njit  # type: ignore[misc]
def compiled(t: float, u: Any, out: Any) -> None:
    out[...] = np.cos(3 * t) * u - 0.25 * u * u


def plain(t: float, y: Any) -> Any:
    return np.cos(3 * t) * y - 0.25 * y * y


@numba.njit  # type: ignore[misc]
def square(t: float, u: Any, out: Any) -> None:
    out[...] = u * u


@numba.njit  # type: ignore[misc]
def ends(t: float, u: Any, out: Any) -> None:
    out[...] = u
    if t >= 0.5:
        out[...] = np.nan


def both(linear: Propagator, shape: tuple[int, ...] = (3,), **options: Any) -> list[Solution]:
    y0 = initial(linear)
    if linear is LINEARS["complex weight"]:
        y0 = y0 + 0j
    y0 = np.broadcast_to(y0, shape).copy()
    return [solve(linear, n, (0.0, 1.0), y0, **options) for n in (compiled, plain)]


def assert_same(mine: Solution, theirs: Solution, *, within: float = 1e-9) -> None:
    for name in ("nfev", "status", "message"):
        assert getattr(mine, name) == getattr(theirs, name)
    for name in ("steps", "rejected"):
        assert mine.stats[name] == theirs.stats[name]
    assert mine.y.dtype == theirs.y.dtype
    # Lengths follow estimates, which are small differences: they keep half of the digits.
    assert mine.t == pytest.approx(theirs.t, rel=1e-8)
    assert np.abs(mine.y - theirs.y).max() <= within


@each_linear
@pytest.mark.parametrize("name", GRIDS)
def test_fixed_grids(name: str, linear: Propagator) -> None:
    for options in ({"steps": 9}, {"grid": TIMES}, {"steps": 9, "t_eval": [1.0]}):
        assert_same(*both(linear, method=name, start="rk", **options))


@each_linear
@pytest.mark.parametrize("name", PAIRS)
def test_adaptive_steps(name: str, linear: Propagator) -> None:
    for options in ({}, {"first_step": 1.0, "controller": "PID"}, {"max_step": 0.125}):
        mine, theirs = both(linear, method=name, rtol=1e-5, **options)
        assert_same(mine, theirs)
        assert mine.success


@each_linear
def test_batches_and_tolerances_by_entry(linear: Propagator) -> None:
    for shape in ((2, 3), (2, 1, 3)):
        assert_same(*both(linear, shape, rtol=1e-4, atol=[1e-6, 1e-7, 1e-5]))
        assert_same(*both(linear, shape, steps=5))


@each_linear
def test_all_that_lies_between_grid_points(linear: Propagator) -> None:
    for options in ({"steps": 12}, {"rtol": 1e-6}):
        mine, theirs = both(
            linear, dense_output=True, t_eval=[0.0, 0.33, 0.5, 1.0],
            events=[lambda t, y: y[0].real - 0.8, lambda t, y: t - 0.71], **options,
        )  # fmt: skip
        assert_same(mine, theirs)
        for at in range(2):
            assert mine.t_events[at] == pytest.approx(theirs.t_events[at], abs=1e-9)
        assert mine.t_events[1] == pytest.approx([0.71])
        times = np.linspace(0.0, 1.0, 7)
        assert np.abs(mine.sol(times) - theirs.sol(times)).max() <= 1e-9


@pytest.mark.parametrize("name", ["etdpec", "etdpece"])
def test_variable_order(name: str) -> None:
    for linear in LINEARS.values():
        # The choice of an order looks at three estimates, the smallest with the fewest digits.
        assert_same(*both(linear, method=name, rtol=1e-6), within=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.complex64, marks=pytest.mark.slow)])
def test_single_precision(dtype: type) -> None:
    y0 = np.linspace(0.1, 1.0, 300).astype(dtype)
    linear = Diagonal(-np.geomspace(1.0, 100.0, 300))
    for options in ({"steps": 20}, {"rtol": 1e-4}):
        mine = solve(linear, compiled, (0.0, 1.0), y0, **options)
        twin = solve(linear, plain, (0.0, 1.0), y0.astype(complex), method="etd35", rtol=1e-9)
        assert mine.y.dtype == dtype
        assert np.abs(mine.y[:, -1] - twin.y[:, -1]).max() <= 1e-4


def test_arguments() -> None:
    @numba.njit  # type: ignore[misc]
    def scaled(t: float, u: Any, out: Any, factor: float, shift: float) -> None:
        out[...] = factor * u + shift

    for options in ({"steps": 7}, {}):
        mine = solve(Scalar(-1.0), scaled, (0.0, 1.0), [1.0, 2.0], args=(0.5, 0.1), **options)
        twin = solve(Scalar(-1.0), lambda t, y: 0.5 * y + 0.1, (0.0, 1.0), [1.0, 2.0], **options)
        assert_same(mine, twin)


def test_arguments_that_are_equal_but_not_the_same() -> None:
    """Each is what it is, those within tuples as well, which are compiled in."""

    @numba.njit  # type: ignore[misc]
    def squared(t: float, u: Any, out: Any, p: Any) -> None:
        out[:] = p * p

    @numba.njit  # type: ignore[misc]
    def signs(t: float, u: Any, out: Any, p: Any) -> None:
        out[:] = np.copysign(1.0, p[0][0])

    def end(nonlinear: Any, argument: Any) -> float:
        s = solve(Scalar(0.0), nonlinear, (0, 1), [0.0], steps=2, args=(argument,), method="etd4rk")
        return float(s.y[0, -1])

    for power in (10**10, 1e10, np.float64(1e10)):
        # Integers of 64 bits wrap around.
        expected = (power**2 + 2**63) % 2**64 - 2**63 if isinstance(power, int) else 1e20
        assert end(squared, power) == pytest.approx(expected)
    for zero in (0.0, -0.0, np.float64(0.0), np.float64(-0.0)):
        assert end(signs, ((zero,), 1)) == pytest.approx(np.copysign(1.0, zero))


def test_values_of_arguments_compile_nothing() -> None:
    @numba.njit  # type: ignore[misc]
    def forced(t: float, u: Any, out: Any, a: Any, b: Any, sign: Any, c: float, n: int) -> None:
        out[:] = sign[0] * c * a * np.cos(t) + b[0, n].real

    def by_python(t: float, y: Any, a: Any, b: Any, sign: Any, c: float, n: int) -> Any:
        return sign[0] * c * a * np.cos(t) + b[0, n].real

    rng = np.random.default_rng(8)
    made = []
    for steps in (5, 5, None, None):
        a, b = rng.standard_normal(3), rng.standard_normal((2, 4)) * (1 + 2j)
        args = a, b, (-1.0,), float(rng.standard_normal()), int(rng.integers(4))
        mine, theirs = (
            solve(Scalar(-1.0), n, (0.0, 1.0), np.ones(3), steps=steps, args=args)
            for n in (forced, by_python)
        )
        assert_same(mine, theirs)
        made.append(nonlinear._forms.cache_info().misses)
    assert made == made[:1] * 4


def test_arrays_as_arguments_are_those_of_the_caller() -> None:
    """Whatever their layout; N may write to those that are contiguous."""

    @numba.njit  # type: ignore[misc]
    def counting(t: float, u: Any, out: Any, a: Any, count: Any) -> None:
        count[()] += 1.0
        out[:] = a

    a, fixed = np.arange(6.0), np.arange(3.0)
    fixed.flags.writeable = False
    for given in (a[:3], a[::2], a[2::-1], fixed, np.asfortranarray(np.ones((3, 3)))[1]):
        count = np.zeros(())
        s = solve(Scalar(0.0), counting, (0, 1), np.zeros(3), steps=2, method="etd1",
                  args=(given, count))  # fmt: skip
        np.testing.assert_allclose(s.y[:, -1], given, rtol=1e-14)
        assert count == s.nfev


def test_threads_with_arguments_of_their_own() -> None:
    @numba.njit(nogil=True)  # type: ignore[misc]
    def slow(t: float, u: Any, out: Any, k: float) -> None:
        out[:] = 0.0
        for _ in range(2000):
            out += k / 2000

    def end(k: float) -> float:
        y0 = np.zeros(300)
        s = solve(Scalar(0.0), slow, (0.0, 1.0), y0, steps=40, method="etd1", args=(k,))
        return float(s.y[7, -1])

    given = [0.25 * i for i in range(12)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(end, given)) == pytest.approx(given)


def test_the_callback_sees_every_step_as_it_is_made() -> None:
    seen: list[tuple[float, np.ndarray]] = []

    def stop(t: float, y: np.ndarray) -> None:
        seen.append((t, y.copy()))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve(Scalar(-1.0), compiled, (0.0, 1.0), [1.0, 2.0], callback=stop, max_step=0.01)
    whole = solve(Scalar(-1.0), compiled, (0.0, 1.0), [1.0, 2.0], max_step=0.01)
    assert [t for t, _ in seen] == whole.t[1:4].tolist()
    assert np.array_equal(np.stack([y for _, y in seen], axis=-1), whole.y[:, 1:4])


def test_long_runs_keep_every_point() -> None:
    """More points than the loop keeps at once."""
    mine, theirs = (
        solve(Scalar(-1.0), n, (0.0, 1.0), [1.0, 2.0], max_step=1e-3) for n in (compiled, plain)
    )
    assert len(mine.t) > 1000
    assert_same(mine, theirs)


@pytest.mark.parametrize("name", PAIRS)
def test_a_solution_that_blows_up(name: str) -> None:
    s = solve(Scalar(0.0), square, (0.0, 2.0), [1.0], method=name, rtol=1e-5)
    assert (s.status, s.success) == (-1, False)
    assert "step size" in s.message
    assert abs(s.t[-1] - 1.0) < 1e-3
    assert (np.diff(s.t) > 0).all()
    assert np.isfinite(s.y).all()
    before = s.t < 0.9
    assert s.y[0, before] == pytest.approx(1 / (1 - s.t[before]), rel=1e-3)


def test_values_that_are_not_finite() -> None:
    s = solve(Scalar(-1.0), ends, (0.0, 1.0), [1.0, 2.0], rtol=1e-5)
    assert s.status == -1
    assert "t = 0.5" in s.message
    assert "NaN or infinity in 2 of 2 entries" in s.message
    assert 0.49 < s.t[-1] <= 0.5
    with pytest.raises(NonFiniteError, match=r"t = 0\.5 returned NaN .* 2 of 2") as caught:
        solve(Scalar(-1.0), ends, (0.0, 1.0), [1.0, 2.0], steps=8, method="etd1")
    assert caught.value.solution.t.tolist()[:5] == [0.0, 0.125, 0.25, 0.375, 0.5]
    with pytest.raises(NonFiniteError):
        solve(Scalar(-1.0), ends, (0.5, 1.0), [1.0, 2.0])


def test_every_method_on_grids_runs() -> None:
    for method in METHODS.values():
        if isinstance(method, Tableau | Multistep):
            assert_same(*both(LINEARS["weighted"], method=method, steps=9))
    assert set(PAIRS) < set(methods.names())


def test_an_empty_state() -> None:
    for options in ({}, {"steps": 3}):
        s = solve(Scalar(-1.0), compiled, (0.0, 1.0), np.zeros(0), **options)
        assert s.success
        assert s.y.shape == (0, len(s.t))


class Own(Diagonal):
    """An operator of one's own, of which a loop does not know over which axes it varies."""


@pytest.mark.parametrize("shape", [(8, 300), (8, 1)])
@pytest.mark.parametrize(
    "options", [{"method": "etd4rk", "steps": 9}, {"rtol": 1e-5}, {"method": "etdpec"}]
)
def test_an_elementwise_operator_of_ones_own(
    shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    symbol, y0 = -np.linspace(0.0, 5.0, np.prod(shape)).reshape(shape), np.ones((8, 300))
    mine, known = (solve(kind(symbol), plain, (0, 1), y0, **options) for kind in (Own, Diagonal))
    np.testing.assert_allclose(mine.y, known.y, rtol=1e-9)  # lengths differ by rounding


def test_the_loop_knows_slots_by_their_names() -> None:
    assert layout.SLOTS == (rows.BASE, FIRST, rows.NEW, AT_END, rows.ERROR)


# --- tables with a wrong number -------------------------------------------------------------------


WAYS: dict[str, dict[str, Any]] = {
    "stages": {"method": "krogstad4", "steps": 3},
    "past values": {"method": "etdab3", "steps": 5},
    "pair": {"method": "zoto_bowman32", "rtol": 1e-3},
}


def end(way: str) -> np.ndarray:
    linear, y0 = Diagonal([-1.0, -4.0, -0.5]), np.array([1.0, 0.5, 2.0])
    return solve(linear, compiled, (0.0, 1.0), y0, **WAYS[way]).y[:, -1]


def slips(marching: Marching) -> Iterator[tuple[str, Tables]]:
    """Yield the tables with one number changed, and which it was."""
    tables, slots = marching.tables, len(marching.slots)
    for name in ("factors", "fractions"):
        for i in np.flatnonzero(getattr(tables, name)):
            wrong = getattr(tables, name).copy()
            wrong[i] *= 0.99
            yield f"{name}[{i}]", tables._replace(**{name: wrong})
    if tables.rows[-1, 1] == ERROR:
        return  # with a wrong estimate there is no end of short steps
    counts = {
        "sources": (slots, max(map(len, marching.chosen))),
        "carries": (None, slots),
        "terms": (None, int(sum(tables.highest + 1)), None),
    }
    for name, valid in counts.items():
        for i, column in np.ndindex(getattr(tables, name).shape):
            if (count := valid[column]) is not None:
                wrong = getattr(tables, name).copy()
                wrong[i, column] = (wrong[i, column] + 1) % count
                yield f"{name}[{i}, {column}]", tables._replace(**{name: wrong})


@pytest.mark.parametrize("way", WAYS)
def test_every_number_of_a_table_is_noticed(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of these tests: compiled and interpreted runs agree to 1e-9."""
    right, seen = end(way), []

    def kept(steps: Any) -> Marching:
        seen.append(make_tables(steps))
        return seen[-1]

    monkeypatch.setattr(host, "make_tables", kept)
    assert (end(way) == right).all()
    (marching,) = seen
    missed = []
    for name, tables in slips(marching):
        wrong = marching._replace(tables=tables)
        monkeypatch.setattr(host, "make_tables", lambda steps, wrong=wrong: wrong)
        try:
            found = end(way)
        except NonFiniteError:
            continue
        if not np.abs(found - right).max() > 1e-8:
            missed.append(name)
    assert not missed
