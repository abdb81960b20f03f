"""Time of one step of order 4 on the Kuramoto-Sivashinsky equation, against peers.

float64, one thread, steps of a fixed length; Cox and Matthews's method (etd4rk) unless Krogstad's
is named. `semilinear` runs with N compiled, by three FFTs, and with N in Python; the floor is eight
real transforms of FFTW, executed from a compiled loop, and nothing else. What comes before the
first step is not in the time of a step but has its own table. All results are compared first.

exponax dealiases by the 2/3 rule, as is its default, and runs in one jitted loop on spectra.
rkstiff's ETD4 is Krogstad's method with `modecutoff=1`. Peers that are not installed are left out.

    python benchmarks/kuramoto_sivashinsky.py --rounds 9
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded
if hasattr(os, "sched_setaffinity"):  # before JAX is, which takes a thread for every core
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numba
import numpy as np
from _timing import (
    Measure,
    Rounds,
    header,
    interleaved,
    machine,
    parser,
    table,
    verdict,
    write_json,
)

import semilinear as sl
from semilinear.kernels.fft import real_fft
from semilinear.problems import Problem, kuramoto_sivashinsky

SIZES = (256, 1024, 8192)
H = 0.01
CHECKED = 100
"""Steps after which results are compared."""
AGREEMENT = 1e-10

OWN, KROGSTAD = "semilinear, own FFT", "semilinear, own FFT, Krogstad"
ROCKET, WITH_FFTW = "semilinear, rocket-fft", "semilinear, FFTW"
PYTHON, BY_HAND = "semilinear, N in Python", "NumPy by hand"
EXPONAX, RKSTIFF = "exponax, jit", "rkstiff ETD4"
FLOOR, OWN_EIGHT, ROCKET_EIGHT = "8 FFTs, FFTW", "8 FFTs, own", "8 FFTs, rocket-fft"
NEEDS = {
    ROCKET: "rocket_fft", ROCKET_EIGHT: "rocket_fft", WITH_FFTW: "pyfftw", FLOOR: "pyfftw",
    EXPONAX: "exponax", RKSTIFF: "rkstiff",
}  # fmt: skip
TO_FLOOR = {256: 2.6, 1024: 2.4, 8192: 2.0}
TO_FLOOR_BY_FFTW = {1024: 1.9, 8192: 1.5}

Run = Callable[[int], np.ndarray]
"""From y0, the state after so many steps of length H."""


def installed(name: str) -> bool:
    """Tell whether what a task needs is there."""
    return name not in NEEDS or find_spec(NEEDS[name]) is not None


def rocket_transforms(n: int) -> tuple[Any, Any]:
    """Return rocket-fft's transforms in the form of `real_fft`."""
    import rocket_fft

    r2c, c2r, axes, factor = rocket_fft.r2c, rocket_fft.c2r, np.arange(1), 1.0 / n

    @numba.njit(nogil=True)
    def rfft(x, out):
        r2c(x, out, axes, True, 1.0, 1)

    @numba.njit(nogil=True)
    def irfft(u, out):
        c2r(u, out, axes, False, factor, 1)

    return rfft, irfft


def square(n: int, transforms: tuple[Any, Any]) -> Any:
    """Return the jitted term ``N = rfft(irfft(u)^2)``, as a user writes it."""
    rfft, irfft = transforms

    @numba.njit(nogil=True)
    def term(t, u, out):
        v = np.empty(n)
        irfft(u, v)
        for i in range(n):
            v[i] *= v[i]
        rfft(v, out)

    return term


def fftw_square(n: int) -> Any:
    """Return the same term by FFTW, and its plans, which must live as long."""
    import _fftw

    plans = _fftw.plans(n)
    return _fftw.square(plans), plans


def solving(problem: Problem, term: Any, method: str, _alive: Any = None) -> Run:
    """Return runs of `solve`."""

    def run(steps: int) -> np.ndarray:
        end = steps * H
        found = sl.solve(
            problem.linear, term, (0.0, end), problem.y0, method=method, steps=steps, t_eval=[end]
        )
        return found.y[..., -1]

    return run


def by_hand(problem: Problem) -> Run:
    """Return runs of etd4rk as one writes it in NumPy with care: nothing is allocated in a step.

    The weight -ik/2 is within the coefficients, and a common term is made once.
    """
    n, h, weight = len(problem.axes[0]), H, problem.linear.weight
    z = h * problem.linear.eigenvalues
    phi1, phi2, phi3 = (sl.phi.phi(k, z) for k in (1, 2, 3))
    half, whole = np.exp(z / 2).astype(complex), np.exp(z).astype(complex)
    q = 0.5 * h * weight * sl.phi.phi(1, z / 2)
    f1, f2, f3 = (
        h * weight * f
        for f in (phi1 - 3 * phi2 + 4 * phi3, 2 * phi2 - 4 * phi3, 4 * phi3 - phi2)
    )
    v = np.empty(n)
    n1, n2, n3, a, b, own, work = (np.empty(n // 2 + 1, complex) for _ in range(7))
    rfft, irfft, multiply, add = np.fft.rfft, np.fft.irfft, np.multiply, np.add

    def nonlinear(u: np.ndarray, out: np.ndarray) -> None:
        irfft(u, n, out=v)
        multiply(v, v, out=v)
        rfft(v, out=out)

    def run(steps: int) -> np.ndarray:
        y = problem.y0.copy()
        for _ in range(steps):
            nonlinear(y, n1)
            multiply(half, y, out=own)
            multiply(q, n1, out=a)
            add(a, own, out=a)
            nonlinear(a, n2)
            multiply(q, n2, out=b)
            add(b, own, out=b)
            nonlinear(b, n3)
            add(n2, n3, out=n2)
            multiply(half, a, out=b)
            add(n3, n3, out=n3)
            np.subtract(n3, n1, out=n3)
            multiply(q, n3, out=n3)
            add(b, n3, out=b)
            nonlinear(b, n3)
            multiply(whole, y, out=y)
            for factor, value in ((f1, n1), (f2, n2), (f3, n3)):
                multiply(factor, value, out=work)
                add(y, work, out=y)
        return y

    return run


def exponax(problem: Problem) -> Run:
    """Return runs of exponax: one compilation for any number of steps."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import exponax as ex

    stepper = ex.stepper.KuramotoSivashinskyConservative(
        1, 32 * np.pi, len(problem.axes[0]), H, order=4
    )
    loop = jax.jit(lambda u, k: jax.lax.fori_loop(0, k, lambda _, u: stepper.step_fourier(u), u))
    y0 = jax.numpy.asarray(problem.y0[None])
    return lambda steps: np.asarray(loop(y0, steps))[0]


def rkstiff(problem: Problem) -> Run:
    """Return runs of rkstiff, whose solver keeps its coefficients."""
    from rkstiff.etd import ETDConfig
    from rkstiff.etd4 import ETD4

    n, weight = len(problem.axes[0]), problem.linear.weight
    solver = ETD4(
        problem.linear.eigenvalues,
        lambda u: weight * np.fft.rfft(np.fft.irfft(u, n) ** 2),
        ETDConfig(modecutoff=1.0),
    )

    def run(steps: int) -> np.ndarray:
        solver.reset()
        y = problem.y0
        for _ in range(steps):
            y = solver.step(y, H)
        return y

    return run


def eight(n: int, transforms: tuple[Any, Any]) -> Callable[[int], None]:
    """Return a jitted loop of four pairs of transforms and nothing else."""
    rfft, irfft = transforms
    x, u = np.zeros(n), np.zeros(n // 2 + 1, complex)

    @numba.njit
    def loop(count, x, u):
        for _ in range(4 * count):
            irfft(u, x)
            rfft(x, u)

    return partial(loop, x=x, u=u)


def eight_fftw(n: int) -> Callable[[int], None]:
    """Return the floor, which keeps its plans alive."""
    import _fftw

    plans = _fftw.plans(n)
    loop = _fftw.eight_transforms(plans)
    return lambda count, _alive=plans: loop(count)


def makers(problem: Problem) -> dict[str, Callable[[], Any]]:
    """Return what makes each run, or each loop of transforms, for a number of points."""
    n = len(problem.axes[0])
    found = {
        OWN: lambda: solving(problem, problem.compiled(), "etd4rk"),
        KROGSTAD: lambda: solving(problem, problem.compiled(), "krogstad4"),
        ROCKET: lambda: solving(problem, square(n, rocket_transforms(n)), "etd4rk"),
        WITH_FFTW: lambda: solving(problem, (made := fftw_square(n))[0], "etd4rk", made),
        PYTHON: lambda: solving(problem, problem.nonlinear, "etd4rk"),
        BY_HAND: lambda: by_hand(problem),
        EXPONAX: lambda: exponax(problem),
        RKSTIFF: lambda: rkstiff(problem),
        FLOOR: lambda: eight_fftw(n),
        OWN_EIGHT: lambda: eight(n, real_fft(n)),
        ROCKET_EIGHT: lambda: eight(n, rocket_transforms(n)),
    }
    return {name: make for name, make in found.items() if installed(name)}


def per_step(run: Callable[[int], Any], steps: int) -> Measure:
    """Measure a step by the difference between many steps and one, so that nothing else counts."""

    def measure() -> float:
        begun = perf_counter()
        run(1)
        between = perf_counter()
        run(steps)
        return (perf_counter() - between - (between - begun)) / (steps - 1)

    return measure


def difference(run: Run, problem: Problem, expected: np.ndarray) -> float:
    """Return the largest difference on the grid, relative to the largest value."""
    u, reference = problem.view(run(CHECKED)), problem.view(expected)
    return float(np.abs(u - reference).max() / np.abs(reference).max())


def prepare(problem: Problem) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Make all runs; return them, and what the first and the second one step took, and the check.

    Krogstad's method is another one: its runs are compared with each other.
    """
    runs, rows = {}, []
    expected = {
        name: solving(problem, problem.nonlinear, name)(CHECKED) for name in ("etd4rk", "krogstad4")
    }
    for name, make in makers(problem).items():
        begun = perf_counter()
        runs[name] = run = make()
        run(1)
        between = perf_counter()
        run(1)
        end = perf_counter()
        if "FFTs" not in name:
            method = "krogstad4" if name in (KROGSTAD, RKSTIFF) else "etd4rk"
            off = difference(run, problem, expected[method])
            if not off < AGREEMENT:
                raise SystemExit(f"{name}, {len(problem.axes[0])} points: off by {off:.1e}")
            rows.append({
                "points": len(problem.axes[0]), "run": name, "first_ms": 1e3 * (between - begun),
                "second_ms": 1e3 * (end - between), "difference": off,
            })  # fmt: skip
    return runs, rows


def targets(n: int, name: str, found: Rounds) -> str:
    """Return the verdicts for one line."""
    said = []

    def judge(other: str, *, at_most: float | None = None, at_least: float | None = None) -> None:
        if other in found.samples and at_most is not None:
            said.append("floor " * (other == FLOOR) + verdict(found.ratio(name, other),
                                                              at_most=at_most))
        elif other in found.samples:
            said.append(f"{other} " + verdict(found.ratio(other, name), at_least=at_least))

    if name in (OWN, KROGSTAD):
        judge(FLOOR, at_most=TO_FLOOR[n])
        if n == SIZES[0]:
            judge(EXPONAX, at_least=3)
            judge(RKSTIFF, at_least=9)
    if name == WITH_FFTW and n in TO_FLOOR_BY_FFTW:
        judge(FLOOR, at_most=TO_FLOOR_BY_FFTW[n])
    if name == PYTHON:
        judge(BY_HAND, at_most=1.0)
    return "; ".join(said)


def line(n: int, name: str, found: Rounds) -> dict[str, Any]:
    """Return one line of the report."""

    def ratio(a: str, b: str) -> float | None:
        return found.ratio(a, b) if {a, b} <= found.samples.keys() else None

    return {
        "points": n, "task": name, "median_us": 1e6 * found.median(name),
        "minimum_us": 1e6 * found.minimum(name), "floors": ratio(name, FLOOR),
        "exponax": ratio(EXPONAX, name), "rkstiff": ratio(RKSTIFF, name),
        "by_hand": ratio(BY_HAND, name), "target": targets(n, name, found),
    }  # fmt: skip


def main() -> None:
    """Check, measure and report."""
    options = parser(__doc__.split("\n", 1)[0])
    options.add_argument("--rounds", type=int, default=9)
    given = options.parse_args()
    where = machine("numba", "rocket-fft", "pyfftw", "jax", "exponax", "rkstiff")
    print(header("Kuramoto-Sivashinsky: time of a step", where))
    for package in sorted({p for name, p in NEEDS.items() if not installed(name)}):
        print(f"{package} is not installed: its rows are left out")
    preparing, rows = [], []
    for n in SIZES:
        runs, prepared = prepare(kuramoto_sivashinsky(points=n))
        preparing += prepared
        slow = (PYTHON, BY_HAND, RKSTIFF)
        counts = {name: max(60, 512_000 // n // (4 if name in slow else 1)) for name in runs}
        tasks = {name: per_step(run, counts[name]) for name, run in runs.items()}
        found = interleaved(tasks, rounds=given.rounds, label=str(n))
        rows += [line(n, name, found) for name in runs]
    columns = ("N", "task", "median us", "minimum us", "x floor", "exponax /", "rkstiff /", "hand /",
               "target")  # fmt: skip
    print(table(columns, [tuple(r.values()) for r in rows]))
    print(
        "\nratios: medians over rounds, pair by pair; '/' says how many times faster than that\n\n"
        "One step with all that comes before it, ms: the first time (compilation, or what Numba "
        "keeps of it on disk), and again;\nand the relative difference on the grid after "
        f"{CHECKED} steps from semilinear's run of the same method with N in Python\n"
    )
    columns = ("N", "run", "first ms", "second ms", "difference")
    print(table(columns, [tuple(r.values()) for r in preparing]))
    write_json(given.json, where, {"steps": rows, "preparation": preparing})


if __name__ == "__main__":
    main()
