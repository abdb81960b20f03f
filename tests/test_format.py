"""The format proof: what is not a method of this package yet runs through the same `advance`.

A predictor-corrector pair in x0 over lambda (UniPC-3), stochastic rows that share one noise
(SA-Solver), an embedded pair with forced rejections (ETD34), and Krogstad's method on L(t), B(t).
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import exp, expm1, factorial, sqrt
from typing import Any

import numpy as np
import pytest

import semilinear as sl
from semilinear.coefficients import step_coefficients
from semilinear.course import Course, Next
from semilinear.diffusion import VPLinear
from semilinear.lazy_segments import Operators
from semilinear.lowering import lower
from semilinear.methods import etdab, etdpec
from semilinear.methods.rows import BASE, Combine, Draw, Evaluate, Lagrange, Step
from semilinear.phi import phi
from semilinear.plan import Plan
from semilinear.program import Program
from semilinear.segments import Segment, between, closing, numbers, opening

SCHEDULE = VPLinear()
KEEP = phi(0, 0, 0)


def x0_of(y: np.ndarray, lam: float) -> np.ndarray:
    """A smooth nonlinear denoiser of y = x / alpha that couples the entries."""
    rho = exp(-lam)
    return np.tanh(y / (1 + rho**2)) + 0.3 * np.sin(y[::-1] / sqrt(1 + rho**2))


# --- UniPC-3: predictor-corrector in x0 over lambda -----------------------------------------------


def test_a_pec_pair_in_x0_over_lambda_is_unipc() -> None:
    lam = SCHEDULE.lam(np.linspace(1.0, 1e-2, 13))
    y = np.linspace(-2.0, 3.0, 7) / SCHEDULE.alpha(1.0)
    plan = sl.make_plan(sl.Scalar(-1.0), lam, method=etdpec(4))
    state = plan.start(y)
    while not state.done:
        state = plan.advance(state, x0_of(state.x, state.t))
    np.testing.assert_allclose(state.x, unipc(y, lam, order=3), rtol=1e-12)


def unipc(y: np.ndarray, lam: np.ndarray, *, order: int) -> np.ndarray:
    """UniPC-p as its authors write it (Zhao et al. 2023, algorithms 1 and 2), in VE coordinates."""
    values, places = [x0_of(y, lam[0])], [lam[0]]
    for i in range(1, len(lam)):
        h = lam[i] - places[-1]
        p = min(order, i)
        ratios = [(places[-1 - m] - places[-1]) / h for m in range(1, p)]
        differences = [values[-1 - m] - values[-1] for m in range(1, p)]
        base = exp(-h) * y - expm1(-h) * values[-1]
        predicted = base - update(h, ratios, differences)
        new = x0_of(predicted, lam[i])
        y = base - update(h, [*ratios, 1.0], [*differences, new - values[-1]])
        values.append(new)
        places.append(lam[i])
    return y


def update(h: float, ratios: list[float], differences: list[np.ndarray]) -> np.ndarray | float:
    """B(h) sum_m a_m D_m / r_m with B(h) = -h ("bh1"), f = x0."""
    if not ratios:
        return 0.0
    z = -h
    phis = [float(x) for x in sl.phi_functions(np.array(z), len(ratios) + 1)]
    matrix = np.array([[r**i for r in ratios] for i in range(len(ratios))])
    right = [factorial(i + 1) * z * phis[i + 2] / z for i in range(len(ratios))]
    weights = np.linalg.solve(matrix, right)
    pairs = zip(weights, ratios, differences, strict=True)
    return z * sum(a / r * d for a, r, d in pairs)


# --- SA-Solver: one noise shared by predictor and corrector ---------------------------------------


def noisy_step() -> Step:
    return Step(
        (
            Draw("Z"),
            Combine("P", ((BASE, KEEP),), (("N[0]", KEEP), ("Z", KEEP))),
            Evaluate("P", Fraction(1), "N[1]"),
            Combine("y+", ((BASE, KEEP),), (("N[1]", KEEP), ("N[0]", KEEP), ("Z", KEEP))),
        ),
        carry=((BASE, "y+"), ("N[0]", "N[1]")),
    )


def first_noisy_step() -> Step:
    later = noisy_step()
    return Step((Evaluate(BASE, Fraction(0), "N[0]"), *later.instructions), later.carry)


def sa_coefficients(h: float, rho: float, tau: float) -> tuple[float, list[float], float]:
    """Flow, weights of the (predictor, corrector) and the standard deviation of the noise."""
    linear = sl.Scalar(-(1 + tau**2), weight=1 + tau**2)
    lower_step, pair = etdab(1).step(0, evaluated=True), etdpec(2).step(0, evaluated=True)
    points = {0: 0.0, 1: h}
    flow, predictor = (float(x) for x in step_coefficients(lower_step, linear, points))
    corrector = [float(x) for x in step_coefficients(pair, linear, points)[-2:]]
    return flow, [predictor, *corrector], rho * sqrt(-expm1(-2 * tau**2 * h))


def sa_plan(lam: np.ndarray, tau: float) -> Plan:
    steps = [first_noisy_step(), *[noisy_step()] * (len(lam) - 2)]
    given = {}
    for n, (a, b) in enumerate(pairwise(lam)):
        flow, (p, c1, c0), noise = sa_coefficients(b - a, exp(-b), tau)
        given[n] = [flow, p, noise, flow, c1, c0, noise]
    program = Program(tuple(steps), sl.Scalar(-1.0), lam.copy(), given=given)
    times = program.evaluation_points().tolist()
    return Plan(program, times=times, end=float(lam[-1]), name="sa_solver")


def test_predictor_and_corrector_share_one_noise() -> None:
    lam, tau = np.linspace(-2.0, 2.0, 9), 0.7
    rng = np.random.default_rng(1)
    draws = rng.standard_normal((8, 5))
    asked: list[int] = []

    def noise(k: int, i: int) -> np.ndarray:
        asked.append(k)
        return draws[len(asked) - 1]

    plan = sa_plan(lam, tau)
    y = rng.standard_normal(5) * exp(2.0)
    state = plan.start(y, noise=noise)
    while not state.done:
        state = plan.advance(state, x0_of(state.x, state.t))

    known = x0_of(y, lam[0])
    for n in range(8):
        flow, (p, c1, c0), s = sa_coefficients(lam[n + 1] - lam[n], exp(-lam[n + 1]), tau)
        predicted = flow * y + p * known + s * draws[n]
        new = x0_of(predicted, lam[n + 1])
        y = flow * y + c1 * new + c0 * known + s * draws[n]
        known = new
    np.testing.assert_allclose(state.x, y, rtol=1e-13)
    assert len(asked) == 8


def test_the_noise_has_the_variance_of_the_process() -> None:
    """With x0 = 0 the state has the variance rho^2 that the noise level of the process demands."""
    lam, rng = np.linspace(-1.0, 1.0, 6), np.random.default_rng(2)
    plan = sa_plan(lam, 1.0)
    y = exp(1.0) * rng.standard_normal(200_000)
    state = plan.start(y, noise=lambda k, i: rng.standard_normal(200_000))
    while not state.done:
        state = plan.advance(state, np.zeros_like(state.x))
    assert float(np.var(state.x)) == pytest.approx(exp(-2.0), rel=0.02)


def test_missing_noise_is_named() -> None:
    plan = sa_plan(np.linspace(-1.0, 1.0, 4), 1.0)
    state = plan.start(np.ones(3))
    with pytest.raises(sl.InvalidArgument, match="noise is missing"):
        plan.advance(state, np.ones(3))


# --- ETD34: an embedded pair, first same as last, with rejected steps -----------------------------


KEPT = ("y", "N1", "y+", "N+", "E")


class Etd34(Course):
    """Krogstad's method with the embedded third-order value and a list of step attempts.

    `attempts` are lengths and whether the error estimate is to accept them.
    """

    nfe = None
    identity = "etd34"

    def __init__(self, linear: sl.Diagonal, attempts: list[tuple[float, bool]]) -> None:
        self.linear, self.attempts, self.form = linear, attempts, linear.form
        tableau = sl.methods.get("krogstad4")
        stages = tableau.step().instructions[1:]
        estimate = (("N4", tableau.b[3]), ("N+", -tableau.b[3]))
        instructions = (*stages, Evaluate("y+", Fraction(1), "N+"), Combine("E", (), estimate))
        self.rows = Step(instructions, carry=tuple((name, name) for name in KEPT))
        self.step = lower(self.rows, told=False)
        self.before = lower(Step((Evaluate(BASE, Fraction(0), "N1"),), carry=()), told=False)
        self.codes = self._codes()
        self.estimates: list[float] = []

    def _codes(self) -> list[Any]:
        """first evaluation | stages 2 to 4 | y+ | decision; accepted and rejected openings."""
        begin = opening(self.before)
        start = closing(self.before, begin.slots, ("y", "N1"))
        accept = opening(self.step, KEPT, (("y", "y+"), ("N1", "N+")))
        reject = opening(self.step, KEPT, (("y", "y"), ("N1", "N1")))
        first = opening(self.step, ("y", "N1"), (("y", "y"), ("N1", "N1")))
        codes = [begin, start, first, accept, reject]
        slots = first.slots
        for ask in range(3):
            codes.append(between(self.step, ask, slots))
            slots = codes[-1].slots
        return [*codes, closing(self.step, slots, KEPT)]

    def _segment(self, code: Any, h: float) -> Segment:
        coefficients = step_coefficients(self.rows, self.linear, {0: 0.0, 1: h})
        rows = numbers(code, coefficients, coefficients, matrix=False)
        return Segment(code, Operators(rows, self.form))

    def first(self) -> tuple[Segment, Next]:
        return Segment(self.codes[0], None), Next((0, 0.0, 1), 0.0)

    def segment(self, cursor: Any) -> Segment:
        attempt, _, place = cursor
        return self._segment(self.codes[place], self.attempts[attempt][0])

    def follow(self, cursor: Any, run: Any, code: Any, slots: tuple[Any, ...]) -> Next:
        attempt, t, place = cursor
        h, accept = self.attempts[attempt]
        if place == 1:
            return Next((0, t, 2), t, at_once=True)
        if place in (2, 3, 4):
            return Next((attempt, t, 5), t + h / 2)
        if place < 8:
            return Next((attempt, t, place + 1), t + (h / 2 if place == 5 else h))
        error = run.backend.give(slots[code.slots.index("E")])
        self.estimates.append(float(np.max(np.abs(error))))
        if attempt + 1 == len(self.attempts):
            return Next((attempt, t + h, place), t + h, done=True)
        after = t + h if accept else t
        return Next((attempt + 1, after, 3 if accept else 4), after, at_once=True)

    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        self.linear.check_state(shape, complex_state, argument=argument)


def oscillator(t: float, y: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(y[1]) * np.cos(3 * t), y[0] * np.cos(y[1] + 2 * t)])


def run_etd34(attempts: list[tuple[float, bool]]) -> tuple[np.ndarray, Etd34, int]:
    course = Etd34(sl.Diagonal([-2.0, -30.0]), attempts)
    state = course.start(np.array([0.7, 0.4]))
    while not state.done:
        state = course.advance(state, oscillator(state.t, state.x))
    y = state.run.backend.give(state.slots[state.code.slots.index("y+")])
    return y, course, state.evaluation


def test_rejected_attempts_lose_nothing_and_cost_no_first_evaluation() -> None:
    plain, _, count = run_etd34([(0.1, True), (0.05, True), (0.05, True)])
    tried = [(0.1, True), (0.2, False), (0.1, False), (0.05, True), (0.3, False), (0.05, True)]
    retried, _, more = run_etd34(tried)
    np.testing.assert_array_equal(plain, retried)
    assert count == 1 + 3 * 4
    assert more == 1 + 6 * 4


def test_accepted_attempts_are_krogstads_method() -> None:
    mine, _, _ = run_etd34([(0.1, True), (0.05, True), (0.05, True)])
    s = sl.solve(
        sl.Diagonal([-2.0, -30.0]),
        oscillator,
        (0.0, 0.2),
        [0.7, 0.4],
        method="krogstad4",
        grid=[0.0, 0.1, 0.15000000000000002, 0.2],
    )
    np.testing.assert_allclose(mine, s.y[:, -1], rtol=1e-14)


def test_the_estimate_has_the_order_of_the_embedded_method_plus_one() -> None:
    sizes = [0.04, 0.02, 0.01]
    estimates = [run_etd34([(h, True)])[1].estimates[0] for h in sizes]
    slopes = np.log2(np.array(estimates[:-1]) / estimates[1:])
    assert 3.6 < slopes[-1] < 4.4


# --- Krogstad's method on L(t) with a weight B(t) -------------------------------------------------


def test_krogstad_on_time_dependent_linear_part_and_weight() -> None:
    """Exact solution sin(t) + 2 through a forcing; order four."""
    rate, weight = (lambda t: -2 - 3 * np.sin(4 * t)), (lambda t: 1 + 0.5 * np.cos(3 * t))

    def nonlinear(t: float, y: np.ndarray) -> np.ndarray:
        exact = np.sin(t) + np.array([2.0, 1.0])
        forced = (np.cos(t) - rate(t) * exact) / weight(t)
        return forced + np.sin(y[::-1]) - np.sin(exact[::-1])

    errors = []
    for steps in (40, 80, 160):
        s = sl.solve(
            sl.Scalar(rate, weight=weight),
            nonlinear,
            (0.0, 1.0),
            [2.0, 1.0],
            method="krogstad4",
            steps=steps,
        )
        errors.append(np.abs(s.y[:, -1] - np.sin(1.0) - np.array([2.0, 1.0])).max())
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (np.abs(slopes - 4) < 0.3).all()


# --- weights of any nodes, on tables and on operators alike ---------------------------------------


PURE = etdab(1).step(0, evaluated=False)


def embedded(*several: tuple[int, ...]) -> Step:
    """A step with one row for each set of nodes; the last is the new state."""
    rows = []
    for number, nodes in enumerate(several):
        dst = "y+" if number == len(several) - 1 else f"E{number}"
        inputs = tuple((f"N[{q}]", Lagrange(j, nodes)) for j, q in enumerate(nodes))
        rows.append(Combine(dst, ((BASE, phi(0)),), inputs))
    oldest = -min(min(nodes) for nodes in several)
    return Step(tuple(rows), carry=((BASE, "y+"),), history=oldest)


@pytest.mark.parametrize(
    "several", [((0, -2),), ((0, -1), (0, -1, -2)), ((0, -1, -2), (0,), (0, -1)), ((-1, -2),)]
)
def test_weights_of_gaps_and_of_rows_of_several_degrees(
    several: tuple[tuple[int, ...], ...],
) -> None:
    step, grid = embedded(*several), np.array([0.0, 0.1, 0.25, 0.3, 0.55])
    program = Program((PURE, PURE, step, step), sl.Scalar(-3.0), grid)
    scalar = program.coefficients(step, np.array([2, 3]))
    for place, n in enumerate((2, 3)):
        points = {q: float(grid[n + q]) for q in range(-2, 2)}
        diagonal = step_coefficients(step, sl.Diagonal([-3.0]), points)
        for mine, theirs in zip(scalar, diagonal, strict=True):
            np.testing.assert_allclose(np.ravel(mine)[place], np.ravel(theirs)[0], rtol=1e-12)
