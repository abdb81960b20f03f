"""Largest relative errors of phi_1 .. phi_6 against mpmath, by implementation, dtype and domain.

The exact values come from phi_k(z) = (e^z - sum_{j<k} z^j / j!) / z^k in 150 digits or more: enough
for the cancellation at the smallest z.

    python benchmarks/phi_accuracy.py --points 4000
"""

from __future__ import annotations

import mpmath
import numpy as np
from _timing import header, machine, parser, table, verdict, write_json

from semilinear.kernels import phi_numba, phi_reference
from semilinear.progress import Progress

COUNT = 6
LARGEST = 1e4
SMALLEST = 1e-12
DIGITS = 150
IMPLEMENTATIONS = {
    "reference": phi_reference.phi_functions,
    "numba": phi_numba.phi_functions,
}
REAL_TARGET_EPS = 4.0
COMPLEX_TARGET = 1e-14


def magnitudes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return magnitudes: logarithmic over the whole range, and uniform where the forms change."""
    exponents = rng.uniform(np.log10(SMALLEST), np.log10(LARGEST), count)
    return np.where(rng.random(count) < 0.5, 10.0**exponents, rng.uniform(0.0, 12.0, count))


def real_line(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return points of [-1e4, 3]."""
    positive = rng.random(count) < 0.25
    return np.where(positive, rng.uniform(0.0, 3.0, count), -magnitudes(rng, count))


def imaginary_axis(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return points of the imaginary axis, a quarter of them near zeros 2 pi i m of phi_1."""
    zeros = 2.0 * np.pi * rng.integers(1, int(LARGEST / (2.0 * np.pi)), count)
    distance = rng.choice([-1.0, 1.0], count) * 10.0 ** rng.uniform(-6.0, 0.0, count)
    y = np.where(rng.random(count) < 0.25, zeros + distance, magnitudes(rng, count))
    points: np.ndarray = 1j * rng.choice([-1.0, 1.0], count) * y
    return points


def left_half_plane(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return points with negative real part, real and imaginary part drawn on their own."""
    points: np.ndarray = imaginary_axis(rng, count) - magnitudes(rng, count)
    return points


DOMAINS = {
    "[-1e4, 3]": (real_line, ("float32", "float64")),
    "imaginary axis to 1e4": (imaginary_axis, ("complex64", "complex128")),
    "left half plane to 1e4": (left_half_plane, ("complex64", "complex128")),
}


def exact(z: complex) -> list[mpmath.mpc]:
    """Return phi_1(z) .. phi_6(z) to at least 60 digits."""
    with mpmath.workdps(DIGITS):
        w = mpmath.mpmathify(z)
        value = mpmath.exp(w)
        found = []
        for k in range(1, COUNT + 1):
            value = (value - mpmath.mpf(1) / mpmath.factorial(k - 1)) / w
            found.append(value)
        return found


def errors(z: np.ndarray, truth: list[list[mpmath.mpc]]) -> dict[str, list[float]]:
    """Return the largest relative error of each phi_k for each implementation, in units of eps."""
    eps = float(np.finfo(z.dtype).eps)
    worst: dict[str, list[float]] = {}
    for name, phi_functions in IMPLEMENTATIONS.items():
        worst[name] = []
        for k, values in enumerate(phi_functions(z, COUNT)[1:]):
            pairs = zip(values.tolist(), truth, strict=True)
            largest = max(abs(mpmath.mpmathify(v) - t[k]) / abs(t[k]) for v, t in pairs)
            worst[name].append(float(largest) / eps)
    return worst


def main() -> None:
    """Measure and report."""
    options = parser(__doc__.split("\n", 1)[0])
    options.add_argument("--points", type=int, default=4000, help="points in each domain")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    where = machine("numba", "mpmath")
    print(header(f"Accuracy of phi: {given.points} points a domain, seed {given.seed}", where))
    rows = []
    rng = np.random.default_rng(given.seed)
    cases = [(d, draw, t) for d, (draw, types) in DOMAINS.items() for t in types]
    with Progress(len(cases), label="phi") as bar, mpmath.workdps(60):
        for number, (domain, draw, dtype) in enumerate(cases):
            z = draw(rng, given.points).astype(dtype)
            z = z[z != 0]
            for name, worst in errors(z, [exact(w) for w in z.tolist()]).items():
                target = REAL_TARGET_EPS
                if z.dtype.kind == "c":
                    target = COMPLEX_TARGET / float(np.finfo(np.float64).eps)
                rows.append((domain, dtype, name, *worst, verdict(max(worst), at_most=target)))
            bar.update(number + 1)
    columns = ("domain", "dtype", "kernel", *(f"phi_{k}" for k in range(1, COUNT + 1)), "target")
    print(table(columns, rows))
    print("\nrelative errors in units of the dtype's eps; 1e-14 is 45 eps of complex128")
    write_json(given.json, where, [dict(zip(columns, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
