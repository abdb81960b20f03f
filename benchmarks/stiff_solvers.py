"""Seconds to a given accuracy on the Kuramoto-Sivashinsky equation, against stiff solvers.

1024 points, t = 0 to 10, float64, one thread. The steps or the tolerance of every solver are the
loosest on a ladder whose result is within the error that is asked for (largest difference on the
grid from a reference, relative to its largest value). Times are those of whole runs from y0, with
coefficients; compilation is before them.

SciPy's solvers run in two forms: on grid values, with the dense Jacobian that they take by finite
differences, as one first writes it; and on real and imaginary parts of the modes, where a diagonal
Jacobian (that of the linear part for BDF; a band of width 1 by differences for LSODA) does nearly
as well in Newton's iteration and costs next to nothing. rkstiff's ETD35 has `modecutoff=1`.

    python benchmarks/stiff_solvers.py --rounds 3
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from _timing import header, interleaved, machine, parser, per_call, table, verdict, write_json
from scipy.integrate import solve_ivp
from scipy.sparse import diags_array

import semilinear as sl
from semilinear.problems import Problem, kuramoto_sivashinsky

POINTS, END = 1024, 10.0
ERRORS = (1e-6, 1e-8)
FIXED = ("krogstad4", "hochbruck_ostermann4", "luan_ostermann5", "etdab4", "etdpec5")
ADAPTIVE = ("krogstad4", "zoto_bowman43", "etd35", "lawson54", "etdpec", "etdpece")
IN_PYTHON = (("luan_ostermann5", True), ("krogstad4", True), ("etd35", False))
"""Methods that also run with N in Python, and whether by fixed steps."""


class Solver(NamedTuple):
    """A solver and its ladder.

    Parameters
    ----------
    run
        From a setting, number of steps or tolerance, to u on the grid at the end.
    begin, factor
        Setting to begin with, and what the next tighter one is multiplied by.
    errors
        Which errors are asked of it.
    """

    run: Callable[[float], np.ndarray]
    begin: float
    factor: float
    errors: tuple[float, ...] = ERRORS


def ours(problem: Problem, term: Any, method: str, fixed: bool) -> Solver:
    """Return a solver of this package, with N compiled or not."""
    scale = np.abs(problem.y0).max()

    def run(setting: float) -> np.ndarray:
        how: dict[str, Any] = (
            {"steps": round(setting)} if fixed else {"rtol": setting, "atol": setting * scale}
        )
        found = sl.solve(
            problem.linear, term, problem.t_span, problem.y0, method=method, t_eval=[END], **how
        )
        return problem.view(found.y[..., -1])

    return Solver(run, 100.0, 2**0.25) if fixed else Solver(run, 1e-6, 10**-0.25)


def on_grid(problem: Problem, method: str) -> Solver:
    """Return a solver of SciPy on grid values, with its own dense Jacobian."""
    rates, weight = problem.linear.eigenvalues, problem.linear.weight

    def slope(t: float, u: np.ndarray) -> np.ndarray:
        return np.fft.irfft(rates * np.fft.rfft(u) + weight * np.fft.rfft(u * u), POINTS)

    def run(tolerance: float) -> np.ndarray:
        found = solve_ivp(
            slope, problem.t_span, problem.view(problem.y0), method=method, t_eval=[END],
            rtol=tolerance, atol=tolerance,
        )  # fmt: skip
        return found.y[:, -1]

    return Solver(run, 1e-7, 10**-0.5, ERRORS[:1])


def on_modes(problem: Problem, method: str, **jacobian: Any) -> Solver:
    """Return a solver of SciPy on real and imaginary parts, with a diagonal Jacobian."""
    rates, weight, m = problem.linear.eigenvalues, problem.linear.weight, problem.y0.size
    scale = np.abs(problem.y0).max()

    def slope(t: float, parts: np.ndarray) -> np.ndarray:
        y = parts[:m] + 1j * parts[m:]
        u = np.fft.irfft(y, POINTS)
        f = rates * y + weight * np.fft.rfft(u * u)
        return np.concatenate((f.real, f.imag))

    def run(tolerance: float) -> np.ndarray:
        parts = np.concatenate((problem.y0.real, problem.y0.imag))
        found = solve_ivp(
            slope, problem.t_span, parts, method=method, t_eval=[END],
            rtol=tolerance, atol=tolerance * scale, **jacobian,
        )  # fmt: skip
        return problem.view(found.y[:m, -1] + 1j * found.y[m:, -1])

    return Solver(run, 1e-7, 10**-0.25, ERRORS[:1])


def rkstiff(problem: Problem) -> Solver:
    """Return rkstiff's adaptive ETD35."""
    from rkstiff.etd import ETDConfig
    from rkstiff.etd35 import ETD35
    from rkstiff.solveras import SolverConfig

    def nonlinear(u: np.ndarray) -> np.ndarray:
        return problem.linear.weight * np.fft.rfft(np.fft.irfft(u, POINTS) ** 2)

    def run(tolerance: float) -> np.ndarray:
        solver = ETD35(
            problem.linear.eigenvalues, nonlinear, SolverConfig(epsilon=tolerance),
            ETDConfig(modecutoff=1.0),
        )  # fmt: skip
        return problem.view(solver.evolve(problem.y0, *problem.t_span, store_data=False))

    return Solver(run, 1e-6, 10**-0.25)


def solvers(problem: Problem) -> dict[str, Solver]:
    """Return all solvers that are there, by name."""
    term, rates = problem.compiled(), problem.linear.eigenvalues
    found = {f"compiled, {m}, fixed": ours(problem, term, m, True) for m in FIXED}
    found |= {f"compiled, {m}, adaptive": ours(problem, term, m, False) for m in ADAPTIVE}
    for method, fixed in IN_PYTHON:
        name = f"N in Python, {method}, {'fixed' if fixed else 'adaptive'}"
        found[name] = ours(problem, problem.nonlinear, method, fixed)
    found["BDF, dense"] = on_grid(problem, "BDF")
    found["LSODA, dense"] = on_grid(problem, "LSODA")
    diagonal = diags_array(np.concatenate((rates, rates)), format="csc")
    found["BDF, diagonal"] = on_modes(problem, "BDF", jac=diagonal)
    found["LSODA, diagonal"] = on_modes(problem, "LSODA", lband=0, uband=0)
    try:
        found["rkstiff ETD35"] = rkstiff(problem)
    except ImportError:
        print("rkstiff is not installed: its row is left out\n")
    return found


def reference(problem: Problem) -> tuple[np.ndarray, float]:
    """Return u at the end, and its relative difference from that of another method."""
    term = problem.compiled()
    u = ours(problem, term, "luan_ostermann5", True).run(4000)
    other = ours(problem, term, "etd35", False).run(1e-12)
    return u, float(np.abs(u - other).max() / np.abs(u).max())


def search(solver: Solver, wanted: float, expected: np.ndarray) -> tuple[float, float] | None:
    """Return the loosest setting found whose error is at most `wanted`, and its error."""

    def error(place: int) -> float:
        with np.errstate(all="ignore"):
            try:
                u = solver.run(solver.begin * solver.factor**place)
            except sl.NonFiniteError:
                return np.inf
        off = float(np.abs(u - expected).max() / np.abs(expected).max())
        return off if np.isfinite(off) else np.inf

    place = 0
    value = best = error(place)
    while value > wanted and place < 40:  # tighter by what is missing, in strides
        place += max(1, min(8, int(np.log10(value / wanted) * 2)) if np.isfinite(value) else 8)
        value = best = error(place)
    if value > wanted:
        return None
    while place > -20 and (value := error(place - 1)) <= wanted:
        place, best = place - 1, value
    return solver.begin * solver.factor**place, best


def compare(
    problem: Problem, expected: np.ndarray, wanted: float, rounds: int
) -> list[dict[str, Any]]:
    """Search the settings for one error, measure all solvers, and return the lines."""
    rows, tasks = {}, {}
    for name, solver in solvers(problem).items():
        found = search(solver, wanted, expected) if wanted in solver.errors else None
        if found is None:
            if wanted in solver.errors:
                print(f"{name} does not reach {wanted:g}")
            continue
        run = partial(solver.run, found[0])
        begun = perf_counter()
        run()
        tasks[name] = per_call(run, number=max(1, int(0.1 / (perf_counter() - begun))))
        rows[name] = {"error": wanted, "solver": name, "setting": found[0], "reached": found[1]}
    measured = interleaved(tasks, rounds=rounds, label=f"{wanted:g}")
    peers = [name for name in rows if name.startswith(("BDF", "LSODA", "rkstiff"))]
    for name, row in rows.items():
        row["ms"] = 1e3 * measured.median(name)
        row |= {peer: measured.ratio(peer, name) for peer in peers}
    return list(rows.values())


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """Judge the fastest compiled run by fixed and by adaptive steps."""
    said = []
    for kind in ("fixed", "adaptive"):
        own = [row for row in rows if row["solver"].startswith("compiled")]
        best = min((row for row in own if row["solver"].endswith(kind)), key=lambda row: row["ms"])
        for peer in (name for name in best if name.startswith(("BDF", "LSODA", "rkstiff"))):
            limit = 1 if peer.startswith("rkstiff") else 100
            faster = f"{best[peer]:.1f} times faster than {peer}"
            said.append(f"{best['solver']}: {faster}, {verdict(best[peer], at_least=limit)}")
    return said


def main() -> None:
    """Measure and report."""
    options = parser(__doc__.split("\n", 1)[0])
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    where = machine("numba", "scipy", "rkstiff")
    print(header("Kuramoto-Sivashinsky: time to an accuracy", where))
    problem = kuramoto_sivashinsky(points=POINTS).until(END)
    expected, agreement = reference(problem)
    print(f"the reference agrees with another method to {agreement:.1e}\n")
    results = []
    for wanted in ERRORS:
        rows = compare(problem, expected, wanted, given.rounds)
        results += rows
        columns = ["error", "solver", "setting", "reached", "ms"]
        columns += [f"{name} /" for name in list(rows[0])[5:]]
        print(table(columns, [tuple(r.values()) for r in rows]), end="\n\n")
        print("\n".join([f"at {wanted:g}, the fastest by kind of steps:", *verdicts(rows)]), "\n")
    print(
        "setting: number of steps, or tolerance; ms: median over rounds; '/' says how many times "
        "faster than that, pair by pair"
    )
    write_json(given.json, where, results)


if __name__ == "__main__":
    main()
