"""Largest relative errors of the coefficients of tAB-DEIS against mpmath, by schedule and t_end.

    C_nj = alpha(t_{n+1}) int_{t_n}^{t_{n+1}} rho'(t) l_j(t) dt

with l_j the Lagrange polynomials of the last four grid times (Zhang and Chen 2022, eq. 15). The
exact values integrate by parts, so that only rho enters, with Gauss-Legendre nodes in sqrt(t) on
panels over which rho changes at most by a factor e, in 40 digits; schedules are written down once
more in mpmath. The panels' own error is measured with fewer nodes and printed.

    python benchmarks/coefficients.py
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded

from collections.abc import Callable, Iterator
from functools import cache
from math import log, sqrt
from typing import Any

import mpmath
import numpy as np
from _timing import header, machine, parser, table, write_json
from mpmath import mp, mpf

from semilinear import diffusion
from semilinear.progress import Progress

T_ENDS = (1e-3, 1e-4, 1e-5)
STEPS = (5, 10, 20, 1000)
METHOD, POINTS = "tab3", 4
DIGITS = 40
NODES, FEWER = 24, 20

AlphaSigma = Callable[[Any], tuple[Any, Any]]


def vp(b: Callable[[Any], Any]) -> AlphaSigma:
    """Return alpha and sigma of a variance-preserving path with integrated rate b."""
    return lambda t: (mp.exp(-b(t) / 2), mp.sqrt(-mp.expm1(-b(t))))


def cosine(s: diffusion.VPCosine) -> AlphaSigma:
    """Return alpha and sigma of the normalised cosine schedule."""

    def at(t: Any) -> tuple[Any, Any]:
        angle = mp.pi / 2 * (t + mpf(s.s)) / (1 + mpf(s.s))
        alpha = mp.cos(angle) / mp.cos(mp.pi / 2 * mpf(s.s) / (1 + mpf(s.s)))
        return alpha, mp.sqrt((1 - alpha) * (1 + alpha))

    return at


def alpha_sigma(s: Any) -> AlphaSigma:
    """Return alpha and sigma of a schedule in mpmath."""

    def linear(t: Any) -> Any:
        return t * (mpf(s.beta_min) + (mpf(s.beta_max) - mpf(s.beta_min)) * t / 2)

    def discrete(t: Any) -> Any:
        k = min(int(t), len(s.log_alphas) - 2)
        left, right = mpf(s.log_alphas[k]), mpf(s.log_alphas[k + 1])
        return -2 * (left + (t - k) * (right - left))

    if isinstance(s, diffusion.SubVP):
        return lambda t: (mp.exp(-linear(t) / 2), -mp.expm1(-linear(t)))
    if isinstance(s, diffusion.VPLinear):
        return vp(linear)
    if isinstance(s, diffusion.VPCosine):
        return cosine(s)
    if isinstance(s, diffusion.Discrete):
        return vp(discrete)
    if isinstance(s, diffusion.VE):
        return lambda t: (mpf(1), mpf(s.sigma_min) * (mpf(s.sigma_max) / mpf(s.sigma_min)) ** t)
    if isinstance(s, diffusion.EDM):
        return lambda t: (mpf(1), t)
    return lambda t: (1 - t, t)  # Flow


@cache
def gauss(count: int) -> list[tuple[Any, Any]]:
    """Return nodes and weights of Gauss-Legendre on [0, 1], by Newton's method from NumPy's."""
    found = []
    for start in np.polynomial.legendre.leggauss(count)[0].tolist():
        x = mpf(start)
        for _ in range(4):
            p, slope = _legendre(count, x)
            x -= p / slope
        found.append(((x + 1) / 2, 1 / ((1 - x * x) * _legendre(count, x)[1] ** 2)))
    return found


def _legendre(count: int, x: Any) -> tuple[Any, Any]:
    before, p = mpf(1), x
    for n in range(2, count + 1):
        before, p = p, ((2 * n - 1) * x * p - (n - 1) * before) / n
    return p, count * (x * p - before) / (x * x - 1)


def panels(schedule: Any, low: float, high: float) -> Iterator[tuple[float, float]]:
    """Split [low, high] at the kinks of a schedule and where rho has changed by a factor e."""
    kinks: list[float] = []
    if isinstance(schedule, diffusion.Discrete):
        kinks = np.arange(np.floor(low) + 1, np.ceil(high)).tolist()
    for a, b in zip([low, *kinks], [*kinks, high], strict=True):
        waiting = [(a, b)]
        while waiting:
            a, b = waiting.pop()
            if abs(log(schedule.rho(b) / schedule.rho(a))) <= 1:
                yield a, b
            else:
                middle = ((sqrt(a) + sqrt(b)) / 2) ** 2
                waiting += [(a, middle), (middle, b)]


def moments(schedule: Any, t: list[float], degree: int, nodes: int) -> list[Any]:
    """Return ``int rho'(s) tau^m ds``, tau = (s - t_n) / (t_{n+1} - t_n), m = 0 .. degree."""
    path = alpha_sigma(schedule)

    def rho(s: Any) -> Any:
        alpha, sigma = path(s)
        return sigma / alpha

    a, b = mpf(t[0]), mpf(t[1])
    inner = [mpf(0)] * degree
    for low, high in panels(schedule, t[1], t[0]):
        left, width = mp.sqrt(low), mp.sqrt(high) - mp.sqrt(low)
        for x, weight in gauss(nodes):
            root = left + width * x
            s = root * root
            value = -weight * width * 2 * root * rho(s)  # minus: from noise to data
            tau = (s - a) / (b - a)
            for m in range(degree):
                inner[m] += value * tau**m
    ends = [rho(b) - rho(a), *[rho(b)] * degree]
    return [end - m / (b - a) * inner[m - 1] if m else end for m, end in enumerate(ends)]


def exact(schedule: Any, t: np.ndarray, n: int, nodes: int) -> list[Any]:
    """Return the coefficients of step n, newest value first."""
    known = min(n, POINTS - 1)
    times = [float(t[n + 1]), *(float(t[n - q]) for q in range(known + 1))]
    integrals = moments(schedule, [times[1], times[0]], known, nodes)
    width = mpf(times[0]) - mpf(times[1])
    points = [(mpf(s) - mpf(times[1])) / width for s in times[1:]]
    alpha = alpha_sigma(schedule)(mpf(times[0]))[0]
    found = []
    for j, point in enumerate(points):
        polynomial, scale = [mpf(1)], mpf(1)
        for other in points[:j] + points[j + 1 :]:
            shifted = [mpf(0), *polynomial]
            polynomial = [
                s - other * p for s, p in zip(shifted, [*polynomial, mpf(0)], strict=True)
            ]
            scale *= point - other
        total = sum(c * m for c, m in zip(polynomial, integrals, strict=True))
        found.append(alpha * total / scale)
    return found


def errors(schedule: Any, t_end: float, steps: int, sample: int) -> dict[str, float]:
    """Return the largest errors of one coefficient, of a step, and of the exact values."""
    start = 0.999 if isinstance(schedule, diffusion.Flow) else None  # alpha is 0 at t = 1
    made = diffusion.plan(schedule, method=METHOD, steps=steps, t_start=start, t_end=t_end)
    chosen = np.unique(np.linspace(0, steps - 1, min(steps, sample)).round().astype(int)).tolist()
    one = step = 0.0
    for n in chosen:
        truth = exact(schedule, made.t, n, NODES)
        size = max(abs(c) for c in truth)
        for c, t in zip(made.weights[n].tolist(), truth, strict=False):
            one = max(one, float(abs(c - t) / abs(t)))
            step = max(step, float(abs(c - t) / size))
    # The last step is the hardest: rho changes most there.
    again = exact(schedule, made.t, n, FEWER)
    own = max(float(abs(a - b) / size) for a, b in zip(again, truth, strict=True))
    return {"t_end": t_end, "steps": steps, "coefficient": one, "step": step, "exact": own}


def main() -> None:
    """Measure and report."""
    options = parser(__doc__.split("\n", 1)[0])
    options.add_argument("--sample", type=int, default=20, help="steps looked at in a long plan")
    given = options.parse_args()
    where = machine("mpmath")
    print(header(f"Coefficients of {METHOD}, quadratic grid", where))
    results = []
    cases = [(name, t, n) for name in diffusion.SCHEDULES for t in T_ENDS for n in STEPS]
    with Progress(len(cases), label="coefficients") as bar, mpmath.workdps(DIGITS):
        for number, (name, t, steps) in enumerate(cases):
            schedule = diffusion.SCHEDULES[name]()
            # Discrete schedules count timesteps: the same part of the whole.
            t_end = t * schedule.t_max if isinstance(schedule, diffusion.Discrete) else t
            found = errors(schedule, t_end, steps, given.sample)
            results.append({"schedule": name} | found)
            bar.update(number + 1)
    width = len(STEPS)
    rows = [
        (r["schedule"], r["t_end"], *(x["coefficient"] for x in results[i : i + width]))
        for i, r in enumerate(results)
        if i % width == 0
    ]
    print(table(("schedule", "t_end", *(f"{n} steps" for n in STEPS)), rows))
    print("\nlargest relative error of a coefficient; t_end of a discrete schedule in timesteps")
    print(f"relative to the largest of its step: at most {max(r['step'] for r in results):.2g}")
    own = max(r["exact"] for r in results)
    print(f"exact values: {NODES} and {FEWER} nodes differ by at most {own:.1e}")
    write_json(given.json, where, results)


if __name__ == "__main__":
    main()
