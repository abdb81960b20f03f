"""Periodic problems by Fourier modes: grids, symbols, nonlinear terms, views and functionals.

A real u on a periodic grid is held as its half spectrum ``rfft(u)``, a complex one as ``fft(u)``,
without normalisation, as NumPy has them. What problems are made of stands here as functions of
modules, bound by `functools.partial`, so that they can be sent to other processes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from semilinear.errors import InvalidArgument, shown
from semilinear.given import number
from semilinear.problems.problem import Functional, like

View = Callable[[np.ndarray], np.ndarray]
PLANE = (-2, -1)


def checked_points(points: Any, argument: str = "points") -> int:
    """Return a number of grid points, or refuse one that is not an even number of at least 8."""
    whole = number(points)
    if not whole >= 8 or whole % 2 != 0:
        raise InvalidArgument(
            f"{argument}={shown(points)} must be an even whole number of at least 8"
        )
    return int(whole)


def checked_positive(value: Any, argument: str) -> float:
    """Return a finite number above 0, or refuse it."""
    found = number(value)
    if not 0 < found < np.inf:
        raise InvalidArgument(f"{argument}={shown(value)} must be finite and positive")
    return found


def checked_initial(initial: Any, known: Any) -> Any:
    """Return what is known of initial data of that name, or refuse the name."""
    if not (isinstance(initial, str) and initial in known):
        raise InvalidArgument(
            f"initial={shown(initial)} is not known; it must be one of {(*known,)}"
        )
    return known[initial]


def grid(points: int, left: float, length: float) -> np.ndarray:
    """Return the periodic grid ``left + length j / points``, j = 0 .. points - 1."""
    return left + length * np.arange(points) / points


def wavenumbers(points: int, length: float) -> np.ndarray:
    """Return ``k = 2 pi j / length`` of a half spectrum, j = 0 .. points / 2."""
    return 2 * np.pi / length * np.arange(points // 2 + 1)


def odd_wavenumbers(points: int, length: float) -> np.ndarray:
    """Return `wavenumbers` for odd derivatives: 0 at the Nyquist mode.

    On the grid this mode is a cosine, and the sine that is its derivative vanishes at every point.
    """
    k = wavenumbers(points, length)
    k[-1] = 0.0
    return k


def laplacian(points: int, length: float, *, half: bool) -> np.ndarray:
    """Return ``-|k|^2`` of the modes of a square with points^2 grid points.

    Parameters
    ----------
    half
        Half spectrum of real values, shape (points, points / 2 + 1), or the whole of complex ones,
        shape (points, points).
    """
    whole = 2 * np.pi * np.fft.fftfreq(points, length / points)
    last = wavenumbers(points, length) if half else whole
    return np.asarray(-(whole[:, None] ** 2) - last**2)


def _namespace(y: Any) -> Any:
    """Return the array namespace of y; looking it up takes a third as long as a short transform."""
    return np if isinstance(y, np.ndarray) else array_namespace(y)


def square(t: float, y: Any, *, points: int) -> Any:
    """Return ``rfft(u^2)``, u = irfft(y): with the weight -ik/2 this is -(u^2)_x / 2."""
    fft = _namespace(y).fft
    u = fft.irfft(y, n=points)
    return fft.rfft(u * u)


def bistable(t: float, y: Any, *, points: int) -> Any:
    """Return ``y - rfft(u^3)``, u = irfft(y)."""
    fft = _namespace(y).fft
    u = fft.irfft(y, n=points)
    return y - fft.rfft(u * u * u)


def cubic(t: float, y: Any) -> Any:
    """Return ``fft(|u|^2 u)``, u = ifft(y)."""
    xp = _namespace(y)
    u = xp.fft.ifft(y)
    return xp.fft.fft(u * xp.conj(u) * u)


def cubic_reaction(t: float, y: Any, *, factor: complex) -> Any:
    """Return ``y - factor * fft2(|u|^2 u)``, u = ifft2(y)."""
    xp = _namespace(y)
    u = xp.fft.ifftn(y, axes=PLANE)
    return y - factor * xp.fft.fftn(u * xp.conj(u) * u, axes=PLANE)


@dataclass(frozen=True)
class Autocatalysis:
    """``N_i = source_i - decay_i w_i + gain_i p``, ``p = w_d^2 w_o``, of two concentrations w.

    Parameters
    ----------
    points
        Grid points along each side of the square; states have shape (2, points, points / 2 + 1).
    source, decay, gain
        A number for each concentration.
    doubled
        d, 0 or 1: the one that enters squared; o is the other one.
    """

    points: int
    source: tuple[float, float]
    decay: tuple[float, float]
    gain: tuple[float, float]
    doubled: int

    def __call__(self, t: float, y: Any) -> Any:
        """Return N in Fourier space; leading axes of y are a batch."""
        xp = _namespace(y)
        w = xp.fft.irfftn(y, s=(self.points, self.points), axes=PLANE)
        twice, once = w[..., self.doubled, :, :], w[..., 1 - self.doubled, :, :]
        product = xp.fft.rfftn(twice * twice * once, axes=PLANE)
        one = like(self._one, y)
        rates = [
            gain * product - decay * y[..., i, :, :] + source * one
            for i, (source, decay, gain) in enumerate(
                zip(self.source, self.decay, self.gain, strict=True)
            )
        ]
        return xp.stack(rates, axis=-3)

    @cached_property
    def _one(self) -> np.ndarray:
        """The transform of 1, complex so that NumPy need not convert it at every call."""
        transform = np.zeros((self.points, self.points // 2 + 1), complex)
        transform[0, 0] = self.points**2
        return transform


def compiled_term(name: str, *arguments: Any) -> Callable[..., None]:
    """Return the nonlinear term of that name, compiled; Numba is loaded no earlier."""
    from semilinear.kernels import spectral_terms

    factory: Callable[..., Callable[..., None]] = getattr(spectral_terms, name)
    return factory(*arguments)


def line(y: np.ndarray, *, points: int) -> np.ndarray:
    """Return u on the grid from its half spectrum."""
    return np.fft.irfft(y, n=points)


def plane(y: np.ndarray, *, points: int) -> np.ndarray:
    """Return u on the square grid from its half spectrum."""
    return np.fft.irfftn(y, s=(points, points), axes=PLANE)


def modulus(y: np.ndarray) -> np.ndarray:
    """Return |u| on the grid from the spectrum of a complex u."""
    return np.abs(np.fft.ifft(y))


def real_plane(y: np.ndarray) -> np.ndarray:
    """Return Re u on the square grid from the spectrum of a complex u."""
    return np.real(np.fft.ifftn(y, axes=PLANE))


def value_at(y: np.ndarray, *, view: View, place: tuple[int, ...]) -> float:
    """Return the value at one place of a view."""
    return float(view(y)[place])


def largest(y: np.ndarray, *, view: View) -> float:
    """Return the largest value of a view."""
    return float(np.max(view(y)))


def mean(y: np.ndarray, *, view: View, place: tuple[int, ...] = ()) -> float:
    """Return the mean of a view, or of the component at `place`."""
    return float(np.mean(view(y)[place]))


def mean_power(y: np.ndarray) -> float:
    """Return the mean of |u|^2 on the grid, from the spectrum of a complex u."""
    return float(np.sum(np.abs(y) ** 2)) / y.size**2


def root_mean_square(y: np.ndarray, *, view: View) -> float:
    """Return the root of the mean of the squares of a view."""
    return float(np.sqrt(np.mean(view(y) ** 2)))


def line_quantities(view: View, places: dict[str, int]) -> dict[str, Functional]:
    """Return mean, max, rms, and the values at named places, of a view along a line."""
    return {
        "mean": partial(mean, view=view),
        "max": partial(largest, view=view),
        "rms": partial(root_mean_square, view=view),
        **{name: partial(value_at, view=view, place=(at,)) for name, at in places.items()},
    }
