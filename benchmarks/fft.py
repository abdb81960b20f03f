"""Time of a forward and an inverse transform of real numbers, within a compiled loop.

float64, one thread; the inverse undoes the forward transform, pair after pair. `semilinear`'s and
rocket-fft's functions are called from a loop compiled by Numba, from which FFTW cannot be called:
its plans are executed from a Python loop, and what executing a plan of two numbers takes is told
in its own column. rocket-fft is called in two ways: as np.fft (it allocates the result) and by its
own functions, which write into given arrays. Peers that are not installed are left out.

    python benchmarks/fft.py --rounds 9
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded

from collections.abc import Callable
from math import prod
from time import perf_counter
from typing import Any

import numba
import numpy as np
from _timing import Measure, Rounds, header, interleaved, machine, parser, table, write_json

from semilinear.kernels.fft import real_fft, real_fft2

SHAPES = ((64,), (128,), (256,), (512,), (1024,), (4096,), (8192,), (65536,), (64, 64), (256, 256))

OURS, ROCKET, ROCKET_OUT = "semilinear", "rocket-fft, np.fft", "rocket-fft, r2c"
FFTW, EMPTY, NUMPY = "FFTW", "FFTW of 2", "numpy.fft"


def measured(loop: Callable[..., Any], count: int, *arrays: np.ndarray) -> Measure:
    """Measure the mean time of a pair where ``loop(count, *arrays)`` runs `count` of them."""

    def measure() -> float:
        begun = perf_counter()
        loop(count, *arrays)
        return (perf_counter() - begun) / count

    return measure


def ours(shape: tuple[int, ...]) -> Callable[..., None]:
    """Return the loop with this package's transforms."""
    forward, inverse = real_fft(shape[0]) if len(shape) == 1 else real_fft2(shape)

    @numba.njit
    def loop(count, x, u):
        for _ in range(count):
            forward(x, u)
            inverse(u, x)

    return loop


def rocket(shape: tuple[int, ...]) -> dict[str, Callable[..., None]]:
    """Return the loops with rocket-fft's transforms."""
    import rocket_fft

    n, r2c, c2r = shape[-1], rocket_fft.r2c, rocket_fft.c2r
    axes, factor = np.arange(len(shape)), 1.0 / prod(shape)

    @numba.njit
    def in_rows(count, x, u):
        for _ in range(count):
            u = np.fft.rfft(x)
            x = np.fft.irfft(u, n)

    @numba.njit
    def in_planes(count, x, u):
        for _ in range(count):
            u = np.fft.rfft2(x)
            x = np.fft.irfft2(u)

    @numba.njit
    def with_out(count, x, u):
        for _ in range(count):
            r2c(x, u, axes, True, 1.0, 1)
            c2r(u, x, axes, False, factor, 1)

    return {ROCKET: in_rows if len(shape) == 1 else in_planes, ROCKET_OUT: with_out}


def fftw(shape: tuple[int, ...]) -> Callable[..., None]:
    """Return the loop that executes FFTW's plans; its inverse lacks the factor 1/n."""
    import pyfftw

    x = pyfftw.zeros_aligned(shape)
    u = pyfftw.zeros_aligned((*shape[:-1], shape[-1] // 2 + 1), dtype=complex)
    flags = ("FFTW_PATIENT" if x.size <= 8192 else "FFTW_MEASURE",)
    axes = tuple(range(len(shape)))
    forward = pyfftw.FFTW(x, u, axes=axes, flags=flags).execute
    # FFTW destroys the input of inverse transforms in several dimensions: all zeros stay zeros.
    flags = (*flags, "FFTW_DESTROY_INPUT")
    inverse = pyfftw.FFTW(u, x, axes=axes, direction="FFTW_BACKWARD", flags=flags).execute
    x[...] = 0.0

    def loop(count: int) -> None:
        for _ in range(count):
            forward()
            inverse()

    return loop


def with_numpy(shape: tuple[int, ...]) -> Callable[..., None]:
    """Return the loop that calls numpy.fft."""
    axes = tuple(range(-len(shape), 0))

    def loop(count: int, x: np.ndarray, u: np.ndarray) -> None:
        for _ in range(count):
            np.fft.irfftn(np.fft.rfftn(x, axes=axes, out=u), s=shape, axes=axes, out=x)

    def loop_1d(count: int, x: np.ndarray, u: np.ndarray) -> None:
        for _ in range(count):
            np.fft.irfft(np.fft.rfft(x, out=u), shape[0], out=x)

    return loop_1d if len(shape) == 1 else loop


def tasks(shape: tuple[int, ...]) -> dict[str, Measure]:
    """Return what can be measured here."""
    count = max(2, 300_000 // prod(shape))
    x = np.random.default_rng(0).standard_normal(shape)
    u = np.empty((*shape[:-1], shape[-1] // 2 + 1), complex)
    found = {OURS: measured(ours(shape), count, x.copy(), u.copy())}
    try:
        for name, loop in rocket(shape).items():
            found[name] = measured(loop, count, x.copy(), u.copy())
    except ImportError:
        if shape == SHAPES[0]:
            print("rocket-fft is not installed: its columns are left out\n")
    try:
        found[FFTW] = measured(fftw(shape), count)
        found[EMPTY] = measured(fftw((2,)), 1000)
    except ImportError:
        if shape == SHAPES[0]:
            print("pyfftw is not installed: its columns are left out\n")
    found[NUMPY] = measured(with_numpy(shape), max(2, count // 10), x.copy(), u.copy())
    return found


def row(shape: tuple[int, ...], found: Rounds) -> dict[str, Any]:
    """Return one line of the report: microseconds, and how many times faster this package is."""

    def times(name: str) -> float | None:
        return 1e6 * found.minimum(name) if name in found.samples else None

    def faster(name: str) -> float | None:
        return found.ratio(name, OURS) if name in found.samples else None

    return {
        "shape": "x".join(map(str, shape)),
        "median": 1e6 * found.median(OURS),
        **{name: times(name) for name in (OURS, ROCKET, ROCKET_OUT, FFTW, EMPTY, NUMPY)},
        "rocket ratio": faster(ROCKET_OUT),
        "FFTW ratio": faster(FFTW),
    }


def main() -> None:
    """Measure and report."""
    options = parser(__doc__.split("\n", 1)[0])
    options.add_argument("--rounds", type=int, default=9)
    given = options.parse_args()
    where = machine("numba", "rocket-fft", "pyfftw")
    print(header("Transforms within compiled functions", where))
    rows = []
    for shape in SHAPES:
        label = "x".join(map(str, shape))
        rows.append(row(shape, interleaved(tasks(shape), rounds=given.rounds, label=label)))
    columns = ("shape", f"{OURS}, median", *list(rows[0])[2:-2], "r2c /", "FFTW /")
    print(table(columns, [tuple(r.values()) for r in rows]))
    print(
        "\nmicroseconds for a forward and an inverse transform, minima over the rounds where not "
        "said otherwise;\n'r2c /' and 'FFTW /' are medians over rounds of the peer's time by "
        "semilinear's, FFTW's with its call"
    )
    write_json(given.json, where, rows)


if __name__ == "__main__":
    main()
