"""Runs of the Kuramoto-Sivashinsky equation by steps of a fixed length: semilinear and its peers.

Each maker returns a function of a number of steps that begins at y0 and returns the last state.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np

import semilinear as sl
from semilinear.problems import Problem

H = 0.01
"""Length of a step."""

Run = Callable[[int], np.ndarray]
"""From y0, the state after so many steps of length H."""


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


def etd4rk_factors(problem: Problem) -> list[np.ndarray]:
    """Return e^{z/2}, e^z, and h B times q, f1, f2, f3 of Cox and Matthews, all complex.

    Means over a circle around each z (Kassam and Trefethen 2005). f2 has the factor 2.
    """
    z, weight = H * problem.linear.eigenvalues, problem.linear.weight
    w = z[:, None] + np.exp(1j * np.pi * (np.arange(32) + 0.5) / 32)
    e = np.exp(w)
    means = (
        np.expm1(w / 2) / w,
        (-4 - w + e * (4 - 3 * w + w**2)) / w**3,
        2 * (2 + w + e * (w - 2)) / w**3,
        (-4 - 3 * w - w**2 + e * (4 - w)) / w**3,
    )
    exponentials = [np.exp(z / 2).astype(complex), np.exp(z).astype(complex)]
    return exponentials + [H * weight * values.mean(axis=1).real for values in means]


def by_hand_plainly(problem: Problem) -> Run:
    """Return runs of etd4rk in NumPy as its formulas stand."""
    n = len(problem.axes[0])
    half, whole, q, f1, f2, f3 = etd4rk_factors(problem)

    def nonlinear(u: np.ndarray) -> np.ndarray:
        return np.fft.rfft(np.fft.irfft(u, n) ** 2)

    def run(steps: int) -> np.ndarray:
        y = problem.y0
        for _ in range(steps):
            n1 = nonlinear(y)
            a = half * y + q * n1
            n2 = nonlinear(a)
            n3 = nonlinear(half * y + q * n2)
            n4 = nonlinear(half * a + q * (2 * n3 - n1))
            y = whole * y + f1 * n1 + f2 * (n2 + n3) + f3 * n4
        return y

    return run


def by_hand(problem: Problem) -> Run:
    """Return runs of etd4rk as one writes it in NumPy with care: nothing is allocated in a step.

    The weight -ik/2 is within the coefficients, and a common term is made once.
    """
    n = len(problem.axes[0])
    half, whole, q, f1, f2, f3 = etd4rk_factors(problem)
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
