"""Tabulated quantities: against x0 and eps, the published step, exact flows, declared orders."""

from __future__ import annotations

import copy
from itertools import pairwise
from math import factorial

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from diffusion_problems import EPS, Gaussian, Mixture, noise_at, slopes
from semilinear import diffusion, methods
from semilinear.diffusion import (
    Parameterisation,
    Sampler,
    Tabulated,
    VPLinear,
    dpm_solver_v3,
    piecewise,
)
from semilinear.diffusion.tabulated_flow import TabulatedFlow
from semilinear.diffusion.variables import VARIABLES
from semilinear.lazy_segments import Operators

VP = VPLinear()
DATA = Mixture()
T_START, T_END = 0.9, 0.1
X = noise_at(VP, T_START, (4, 2), seed=1)
LAM = np.array([VP.lam(T_START), VP.lam(T_END)])
UNEVEN = np.array([0.0, 0.17, 0.24, 0.41, 0.55, 0.8, 1.0])
GRID = np.array([T_START, *VP.t_of_lam(LAM[0] + UNEVEN[1:-1] * (LAM[1] - LAM[0])), T_END])


def wild(shape=(2,), *, nodes=24, seed=5, ends=LAM) -> Tabulated:
    """A table that jumps from node to node, on nodes that are not even."""
    rng = np.random.default_rng(seed)
    lam = np.sort(rng.uniform(*ends, nodes))
    lam[0], lam[-1] = ends
    values = (rng.uniform(-1.0, 1.0, (nodes, *shape)) for _ in range(3))
    l, s, b = values  # noqa: E741
    return Tabulated(lam, 0.5 + l, -0.5 + s, b)


def smooth(shape=(2,), *, seed=3) -> Tabulated:
    """A table without kinks: l, s and b are linear functions of lambda."""
    rng = np.random.default_rng(seed)
    l, s, b = (rng.uniform(-1.0, 1.0, (2, *shape)) for _ in range(3))  # noqa: E741
    return Tabulated(LAM, 0.5 + l / 2, -0.5 + s / 2, b)


def sampler(quantity, method, variable="lambda") -> Sampler:
    return Sampler("own", Parameterisation(quantity, variable), method, "this test")


def sample(own, *, model=None, x=X, prediction="eps", **options):
    options.setdefault("grid", GRID)
    model = DATA.model(VP, prediction) if model is None else model
    return diffusion.sample(model, x, VP, method=own, prediction=prediction, **options)


METHODS = ("etdab1", "etdab2", "etdab3", "etdpec3", "etdpece4", "krogstad4", "lawson4")
TOLERANCE = 200 * EPS
"""Some tens of roundings of weights e^S, S up to 4 in modulus, in a run of six steps."""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(("quantity", "values"), [("x0", (1, 0, 0)), ("eps", (0, -1, 0))])
def test_tables_of_published_quantities_are_these(quantity, values, variable, method):
    nodes = wild().lam
    found = methods.get(method)
    for lam, prediction, final in ((LAM, "eps", "t_end"), (nodes, "v", "denoise")):
        options = {"prediction": prediction, "final": final, "start": "rk"}
        one = sample(sampler(quantity, found, variable), **options)
        other = sample(sampler(Tabulated(lam, *values), found, variable), **options)
        np.testing.assert_allclose(other, one, rtol=0, atol=TOLERANCE)


def test_what_the_table_knows_of_f_costs_no_order():
    """With l = 1 is f = -x0; b takes its drift out of g, which is constant then."""
    table = Tabulated(LAM, 1.0, 0.0, np.array([[0.7, -2.0], [0.7, -2.0]]))
    drift = np.array([0.7, -2.0])

    def model(x, t):  # f = drift * lambda: beyond a method of order one, unless it is in B
        return -drift * VP.lam(t) * np.ones_like(x)

    second = sampler("x0", methods.get("etdab2"))
    exact = sample(second, model=model, prediction="x0", start="rk")
    for method in METHODS[:2]:
        found = sample(sampler(table, methods.get(method)), model=model, prediction="x0")
        np.testing.assert_allclose(found, exact, rtol=0, atol=TOLERANCE)


class Published:
    """One step of DPM-Solver-v3 with the integrals begun at its start, by SciPy's DOP853."""

    def __init__(self, table: Tabulated, model) -> None:
        self.table, self.model = table, model
        self.f: list[tuple[float, np.ndarray]] = []

    def integrals(self, start: float, end: float, count: int):
        """int l, S, B, then int E (lambda - start)^k for k < count, and int E B."""
        lam = self.table.lam
        shape = self.table.shape

        columns = np.stack([self.table.l, self.table.s, self.table.b], axis=1)

        def right(at, state, piece):
            parts = state.reshape(4 + count, *shape)
            theta = (at - lam[piece]) / (lam[piece + 1] - lam[piece])
            l, s, b = (1 - theta) * columns[piece] + theta * columns[piece + 1]  # noqa: E741
            kernel = np.exp(parts[0] + parts[1])
            powers = [kernel * (at - start) ** k for k in range(count)]
            return np.stack([l, s, b * np.exp(-parts[1]), *powers, kernel * parts[2]]).ravel()

        state = np.zeros((4 + count) * np.prod(shape, dtype=int))
        inner = lam[(lam > min(start, end)) & (lam < max(start, end))]
        stops = [start, *(inner if end > start else inner[::-1]), end]
        for one, other in pairwise(stops):
            piece = int(np.searchsorted(lam, (one + other) / 2)) - 1
            found = solve_ivp(
                right, (one, other), state, method="DOP853", rtol=1e-12, atol=1e-14, args=(piece,)
            )
            state = found.y[:, -1]
        return state.reshape(4 + count, *shape)

    def slope(self, x, t: float):
        """f of the model's answer."""
        alpha, sigma, lam = VP.alpha(t), VP.sigma(t), VP.lam(t)
        l = np.array([np.interp(lam, self.table.lam, column) for column in self.table.l.T])  # noqa: E741
        return lam, (sigma * self.model(x, t) - l * x) / alpha

    def step(self, x, t: float, t_next: float, known):
        """The step from t with f at some lambdas, that of its start first."""
        start, end = VP.lam(t), VP.lam(t_next)
        count = len(known)
        g = []
        for lam, f in known:
            _, scale, drift, *_ = self.integrals(start, lam, 0)
            g.append(np.exp(-scale) * f - drift)
        powers = np.array([[(lam - start) ** k for k in range(count)] for lam, _ in known])
        derivatives = np.linalg.solve(powers, np.stack(g).reshape(count, -1))
        derivatives *= np.array([factorial(k) for k in range(count)])[:, None]
        linear, _, _, *moments, forcing = self.integrals(start, end, count)
        y = x / VP.alpha(t) - forcing
        for k, moment in enumerate(moments):
            y = y - moment / factorial(k) * derivatives[k].reshape(x.shape)
        return VP.alpha(t_next) * np.exp(-linear) * y

    def run(self, x, times, order: int, *, corrector: bool = False):
        f = [self.slope(x, times[0])]
        for n in range(len(times) - 1):
            predicted = self.step(x, times[n], times[n + 1], f[:order])
            last = n == len(times) - 2
            if not corrector:
                x = predicted
                if not last:
                    f.insert(0, self.slope(x, times[n + 1]))
            elif last:
                x = predicted
            else:
                newest = self.slope(predicted, times[n + 1])
                used = [f[0], newest, *f[1:]][: max(2, order)]
                x = self.step(x, times[n], times[n + 1], used)
                f.insert(0, newest)
        return x


@pytest.mark.parametrize("corrector", [False, True])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_published_steps_which_begin_their_integrals_anew(order, corrector):
    if order < 2 and corrector:
        return
    table = wild()
    expected = Published(table, DATA.model(VP)).run(X, GRID, order, corrector=corrector)
    found = sample(dpm_solver_v3(table, order=order, corrector=corrector))
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    # The test sees the drift, and the way in which it is taken out of g.
    blind = Tabulated(table.lam, table.l, table.s, 0.0)
    plain = sample(dpm_solver_v3(blind, order=order, corrector=corrector))
    assert np.abs(plain - expected).max() > 1e-3


def test_where_the_integrals_begin_does_not_matter():
    table = wild()
    longer = np.concatenate([np.linspace(-40.0, LAM[0], 7)[:-1], table.lam])
    more = [np.concatenate([np.zeros((6, 2)), a]) for a in (table.l, table.s, table.b)]
    for corrector in (False, True):
        one = sample(dpm_solver_v3(table, corrector=corrector))
        other = sample(dpm_solver_v3(Tabulated(longer, *more), corrector=corrector))
        np.testing.assert_allclose(other, one, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("method", "variable"),
    [
        *((name, "lambda") for name in ("etdab1", "etdab2", "etdab3", "etdpec3", "krogstad4")),
        ("etdab3", "rho"),
        ("etdpece4", "rho"),
    ],
)
def test_order_on_uneven_grids(method, variable):
    exact = DATA.flow(VP, X, T_START, T_END)
    own = sampler(smooth(), methods.get(method), variable)

    def error(n):
        spacing = np.append(0.0, np.cumsum(np.resize([1.7, 0.6, 1.0], n)))
        t = np.array(VP.t_of_lam(LAM[0] + spacing / spacing[-1] * (LAM[1] - LAM[0])))
        t[0], t[-1] = T_START, T_END
        return float(np.abs(sample(own, grid=t, start="rk") - exact).max())

    order = own.order
    observed = slopes([error(n) for n in (96, 192)])[0]
    assert order - 0.35 <= observed <= order + 0.5


@pytest.mark.parametrize("order", [2, 3])
def test_the_corrector_keeps_the_order(order):
    exact = DATA.flow(VP, X, T_START, T_END)
    own = dpm_solver_v3(smooth(), order=order, corrector=True)

    def error(n):
        grid = VP.t_of_lam(np.linspace(*LAM, n + 1))
        grid[0], grid[-1] = T_START, T_END
        return float(np.abs(sample(own, grid=grid, start="rk") - exact).max())

    assert order - 0.35 <= slopes([error(n) for n in (96, 192)])[0] <= order + 0.6


def gaussian_table(data: Gaussian, nodes: int, *, drift: bool = True) -> Tabulated:
    """rho eps = l (y - mean) with l = 1 / (1 + variance e^(2 lambda)), so f = -l mean."""
    lam = np.linspace(*LAM, nodes)[:, None]
    variance, mean = np.array(data.variance), np.array(data.mean)
    l = 1 / (1 + variance * np.exp(2 * lam))  # noqa: E741
    b = 2 * variance * np.exp(2 * lam) * l**2 * mean  # df/dlambda
    return Tabulated(lam[:, 0], l, 0.0, b if drift else 0.0)


def test_one_step_is_exact_where_the_table_is_that_of_the_data():
    data = Gaussian()
    x = noise_at(VP, T_START, (5, 3))
    exact = data.flow(VP, x, T_START, T_END)
    ends = np.array([T_START, T_END])

    def error(own):
        return np.abs(sample(own, model=data.model(VP), x=x, grid=ends) - exact).max()

    errors = [error(dpm_solver_v3(gaussian_table(data, n), order=1)) for n in (201, 401, 801)]
    assert errors[-1] < 1e-5
    np.testing.assert_allclose(slopes(errors), 2.0, atol=0.05)  # of the piecewise linear table
    assert error(dpm_solver_v3(gaussian_table(data, 801, drift=False), order=1)) > 1e-2
    assert error(sampler("x0", methods.get("etdab1"))) > 1e-2


def test_integrals_do_not_depend_on_the_steps():
    table = wild()
    flow = TabulatedFlow(VP, VARIABLES["lambda"], table)
    oracle = Published(table, None)
    a, b = LAM
    linear, scale, drift, *moments, forcing = oracle.integrals(a, b, 3)
    base = np.exp(table.grown(a))
    alpha = VP.alpha_of_lam(b)
    psi = flow.flow(a, b)
    expected = alpha / VP.alpha_of_lam(a) * np.exp(-linear)
    np.testing.assert_allclose(psi, expected, rtol=1e-11)
    np.testing.assert_allclose(np.exp(table.grown(b) - table.grown(a)), np.exp(scale), rtol=1e-11)
    np.testing.assert_allclose(table.drifted(b) - table.drifted(a), drift / base, rtol=1e-10)
    found = flow.integrals(a, b, [a, a], 1.0)
    for one, moment in zip(found, moments, strict=True):
        np.testing.assert_allclose(one, -alpha * base * np.exp(-linear) * moment, rtol=1e-11)
    rest = flow.remainder(a, b, [], [])
    np.testing.assert_allclose(rest, -alpha * np.exp(-linear) * forcing, rtol=1e-10)
    # In parts, and there and back.
    for m in (a + 0.3 * (b - a), table.lam[7], a, b):
        later, back = flow.flow(m, b), flow.flow(b, a)
        parts = zip(
            flow.integrals(a, m, [a, a], 1.0), flow.integrals(m, b, [a, a], 1.0), strict=True
        )
        for whole, (one, other) in zip(found, parts, strict=True):
            np.testing.assert_allclose(later * one + other, whole, rtol=1e-13)
        np.testing.assert_allclose(back * psi, 1.0, rtol=1e-13)
        turned = flow.integrals(b, a, [a, a], 1.0)
        for whole, one in zip(found, turned, strict=True):
            np.testing.assert_allclose(psi * one, -whole, rtol=1e-13)
        # B begins anew at m: its constant is taken through the first integral.
        shift = (table.drifted(m) - table.drifted(a)) * flow.integrals(m, b, [], 1.0)[0]
        two = later * flow.remainder(a, m, [], []) + flow.remainder(m, b, [], []) + shift
        np.testing.assert_allclose(two, rest, rtol=0, atol=1e-13 * np.abs(rest).max())


def test_integrals_of_a_steep_table_are_those_in_closed_form():
    steep = 40.0
    table = Tabulated(np.array([-1.0, 1.0]), 0.0, steep, 1.0)
    found = (table.drifted(1.0) - table.drifted(-1.0)) * np.exp(table.grown(-1.0))
    assert found == pytest.approx((1 - np.exp(-2 * steep)) / steep, rel=1e-10)


def test_panels_cover_an_interval_however_few_are_held_at_a_time(monkeypatch):
    nodes = np.linspace(0.0, 1.0, 9)
    for held in (piecewise.AT_ONCE, 3 * len(piecewise.NODES), 1):
        monkeypatch.setattr(piecewise, "AT_ONCE", held)
        parts = list(piecewise.panels(0.0, 1.0, nodes, nodes[:0], 1))
        assert len(parts) == (1 if held > 100 else np.ceil(8 / max(1, held // 6)))
        widths = np.concatenate([part.width for part in parts])
        assert widths == pytest.approx(np.full(8, 1 / 8))
        assert np.concatenate([part.piece for part in parts]).tolist() == list(range(8))


@pytest.mark.parametrize("part", ["flow", "integrals", "remainder"])
def test_a_slip_in_an_answer_of_the_linear_part_shows(monkeypatch, part):
    table = wild()
    right = sample(dpm_solver_v3(table))
    answers = getattr(TabulatedFlow, part)

    def wrong(self, *arguments):
        answer = answers(self, *arguments)
        return [1.001 * x for x in answer] if part == "integrals" else 1.001 * answer

    monkeypatch.setattr(TabulatedFlow, part, wrong)
    assert np.abs(sample(dpm_solver_v3(table)) - right).max() > 1e-6


def test_a_slip_in_any_coefficient_shows():
    """The published steps are met to 1e-10; a slip of one per cent leaves them far behind."""
    right = sample(dpm_solver_v3(wild(), corrector=True))
    plan = diffusion.plan(VP, method=dpm_solver_v3(wild(), corrector=True), grid=GRID)
    segment = plan.segment(3)
    rows = segment.coefficients.rows
    for o, row in enumerate(rows):
        for j, c in enumerate(row):
            if not np.any(c):
                continue
            changed = [list(r) for r in rows]
            changed[o][j] = 1.01 * c
            assert np.abs(run(plan, 3, changed) - right).max() > 1e-6, (o, j)
    np.testing.assert_array_equal(run(plan, 3, rows), right)


def run(plan, number, rows):
    """Run a plan whose segment of this number has other coefficients."""
    other = copy.copy(plan)
    segments = list(plan._segments)
    segments[number] = segments[number]._replace(coefficients=Operators(rows, "elementwise"))
    vars(other)["_segments"] = segments
    return diffusion.follow(other, DATA.model(VP), X)
