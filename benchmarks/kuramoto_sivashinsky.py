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
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np
from _ks_runs import (
    Run,
    by_hand,
    by_hand_plainly,
    eight,
    eight_fftw,
    exponax,
    fftw_square,
    rkstiff,
    rocket_transforms,
    solving,
    square,
)
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

from semilinear.kernels.fft import real_fft
from semilinear.problems import Problem, kuramoto_sivashinsky

SIZES = (256, 1024, 8192)
CHECKED = 100
"""Steps after which results are compared."""
AGREEMENT = 1e-10

OWN, KROGSTAD = "semilinear, own FFT", "semilinear, own FFT, Krogstad"
ROCKET, WITH_FFTW = "semilinear, rocket-fft", "semilinear, FFTW"
PYTHON, BY_HAND, PLAIN = "semilinear, N in Python", "NumPy by hand, tuned", "NumPy by hand, plain"
EXPONAX, RKSTIFF = "exponax, jit", "rkstiff ETD4"
FLOOR, OWN_EIGHT, ROCKET_EIGHT = "8 FFTs, FFTW", "8 FFTs, own", "8 FFTs, rocket-fft"
NEEDS = {
    ROCKET: "rocket_fft", ROCKET_EIGHT: "rocket_fft", WITH_FFTW: "pyfftw", FLOOR: "pyfftw",
    EXPONAX: "exponax", RKSTIFF: "rkstiff",
}  # fmt: skip
TO_FLOOR = {256: 2.6, 1024: 2.4, 8192: 2.0}
TO_FLOOR_BY_FFTW = {1024: 1.9, 8192: 1.5}


def installed(name: str) -> bool:
    """Tell whether what a task needs is there."""
    return name not in NEEDS or find_spec(NEEDS[name]) is not None


def makers(problem: Problem) -> dict[str, Callable[[], Any]]:
    """Return what makes each run, or each loop of transforms, for a number of points."""
    n = len(problem.axes[0])
    found = {
        OWN: lambda: solving(problem, problem.compiled(), "etd4rk"),
        KROGSTAD: lambda: solving(problem, problem.compiled(), "krogstad4"),
        ROCKET: lambda: solving(problem, square(n, rocket_transforms(n)), "etd4rk"),
        WITH_FFTW: lambda: solving(problem, (made := fftw_square(n))[0], "etd4rk", made),
        PYTHON: lambda: solving(problem, in_numpy(n), "etd4rk"),
        BY_HAND: lambda: by_hand(problem),
        PLAIN: lambda: by_hand_plainly(problem),
        EXPONAX: lambda: exponax(problem),
        RKSTIFF: lambda: rkstiff(problem),
        FLOOR: lambda: eight_fftw(n),
        OWN_EIGHT: lambda: eight(n, real_fft(n)),
        ROCKET_EIGHT: lambda: eight(n, rocket_transforms(n)),
    }
    return {name: make for name, make in found.items() if installed(name)}


def in_numpy(n: int) -> Callable[[float, np.ndarray], np.ndarray]:
    """Return N as a user writes it, the same as in the runs by hand."""
    return lambda t, u: np.fft.rfft(np.fft.irfft(u, n) ** 2)


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
        if other in found.samples:
            pair = (name, other) if at_least is None else (other, name)
            value = found.ratio(*pair)
            said.append(f"{other} {verdict(value, at_most=at_most, at_least=at_least)}")

    if name in (OWN, KROGSTAD):
        judge(FLOOR, at_most=TO_FLOOR[n])
        if n in TO_FLOOR_BY_FFTW:
            judge(FLOOR, at_most=TO_FLOOR_BY_FFTW[n])
        if n == SIZES[0]:
            judge(EXPONAX, at_least=3)
            judge(RKSTIFF, at_least=9)
    if name == WITH_FFTW and n in TO_FLOOR_BY_FFTW:
        judge(FLOOR, at_most=TO_FLOOR_BY_FFTW[n])
    if name == PYTHON:
        judge(BY_HAND, at_most=1.0)
        judge(PLAIN, at_most=1.0)
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
        print(f"{package} is not installed: its rows are left out\n")
    preparing, rows = [], []
    for n in SIZES:
        runs, prepared = prepare(kuramoto_sivashinsky(points=n))
        preparing += prepared
        slow = (PYTHON, BY_HAND, PLAIN, RKSTIFF)
        most = max(500, 1_024_000 // n)
        counts = {name: most // 4 if name in slow else most for name in runs}
        tasks = {name: per_step(run, counts[name]) for name, run in runs.items()}
        found = interleaved(tasks, rounds=given.rounds, label=str(n))
        rows += [line(n, name, found) for name in runs]
    columns = ("N", "task", "median us", "minimum us", "x floor", "exponax /", "rkstiff /")
    columns += ("tuned /", "target")
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
