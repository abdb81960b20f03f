"""Periodic problems of reaction and diffusion: phases, patterns of two concentrations, spirals.

States are spectra, `Problem.view` returns to the grid; nothing is dealiased.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from semilinear.errors import InvalidArgument, shown
from semilinear.given import number
from semilinear.problems import spectral
from semilinear.problems.known import KNOWN
from semilinear.problems.problem import Problem
from semilinear.propagators import Diagonal


def allen_cahn(*, points: int = 256) -> Problem:
    """The Allen-Cahn equation on a circle: phases that vanish one by one after long rests.

    ``u_t = 0.005 u_xx + u - u^3``, 0 <= x < 2 pi, periodic, t in [0, 500],
    ``u(0) = tanh(2 sin x)/3 - exp(-23.5 (x - pi/2)^2) + exp(-27 (x - 4.2)^2)
    + exp(-38 (x - 5.4)^2)``. In modes ``L = -0.005 k^2`` and ``N = y - rfft(u^3)``.

    Parameters
    ----------
    points
        Grid points, even.

    Raises
    ------
    InvalidArgument
        If the number of points cannot be used.

    References
    ----------
    chebfun's ``spinop('AC')``.
    """
    n = spectral.checked_points(points)
    x = spectral.grid(n, 0.0, 2 * np.pi)
    bumps = np.exp(-27 * (x - 4.2) ** 2) + np.exp(-38 * (x - 5.4) ** 2)
    u = np.tanh(2 * np.sin(x)) / 3 - np.exp(-23.5 * (x - np.pi / 2) ** 2) + bumps
    view = partial(spectral.line, points=n)
    return Problem(
        name="allen_cahn",
        linear=Diagonal(-5e-3 * spectral.wavenumbers(n, 2 * np.pi) ** 2),
        nonlinear=partial(spectral.bistable, points=n),
        t_span=(0.0, 500.0),
        y0=np.fft.rfft(u),
        exact=None,
        reference="chebfun spinop('AC')",
        quantities=spectral.line_quantities(view, {"u(pi)": n // 2}),
        known=KNOWN["allen_cahn"] if n == 256 else (),
        view=view,
        axes=(x,),
        compiled=partial(spectral.compiled_term, "bistable", n),
    )


def gray_scott(*, points: int = 64, feed: float = 0.030, kill: float = 0.057) -> Problem:
    """The Gray-Scott equations on a square: stripes that grow out of one spot.

    ``u_t = 2e-5 Lap u + F (1 - u) - u v^2``, ``v_t = 1e-5 Lap v - (F + K) v + u v^2`` on [0, 1)^2,
    periodic, t in [0, 5000], ``u(0) = 1 - exp(-100 ((x - 1/2.05)^2 + (y - 1/2.05)^2))``,
    ``v(0) = exp(-100 ((x - 1/2)^2 + 2 (y - 1/2)^2))``.

    Parameters
    ----------
    points
        Grid points along each side, even; the state has shape (2, points, points / 2 + 1).
    feed, kill
        F and K: 0.026 and 0.059 make spots.

    Raises
    ------
    InvalidArgument
        If points, feed or kill cannot be used.

    References
    ----------
    chebfun's ``spinop2('GS')``; Pearson (1993), Science 261.
    """
    n = spectral.checked_points(points)
    f, k = spectral.checked_positive(feed, "feed"), spectral.checked_positive(kill, "kill")
    x = spectral.grid(n, 0.0, 1.0)
    along, across = (x - 1 / 2.05)[:, None], (x - 1 / 2.05)
    u = 1 - np.exp(-100 * (along**2 + across**2))
    v = np.exp(-100 * ((x[:, None] - 0.5) ** 2 + 2 * (x - 0.5) ** 2))
    return _two_concentrations(
        "gray_scott",
        x,
        (u, v),
        (2e-5, 1e-5),
        spectral.Autocatalysis(n, (f, 0.0), (f, f + k), (-1.0, 1.0), 1),
        t_span=(0.0, 5000.0),
        known=KNOWN["gray_scott"] if (n, f, k) == (64, 0.030, 0.057) else (),
        reference="chebfun spinop2('GS'); Pearson (1993)",
    )


def schnakenberg(*, points: int = 64) -> Problem:
    """The Schnakenberg equations on a square: a Turing pattern of spots.

    ``u_t = Lap u + 3 (0.1 - u + u^2 v)``, ``v_t = 10 Lap v + 3 (0.9 - u^2 v)`` on [0, 50)^2,
    periodic, t in [0, 500], ``u(0) = 1 - exp(-2 ((x - 50/2.15)^2 + (y - 50/2.15)^2))``,
    ``v(0) = 0.9 + exp(-2 ((x - 25)^2 + 2 (y - 25)^2))``.

    Parameters
    ----------
    points
        Grid points along each side, even; the state has shape (2, points, points / 2 + 1).

    Raises
    ------
    InvalidArgument
        If the number of points cannot be used.

    References
    ----------
    chebfun's ``spinop2('SCHNAK')``; Schnakenberg (1979), J. Theor. Biol. 81.
    """
    n = spectral.checked_points(points)
    x = spectral.grid(n, 0.0, 50.0)
    along, across = (x - 50 / 2.15)[:, None], x - 50 / 2.15
    u = 1 - np.exp(-2 * (along**2 + across**2))
    v = 0.9 + np.exp(-2 * ((x[:, None] - 25) ** 2 + 2 * (x - 25) ** 2))
    return _two_concentrations(
        "schnakenberg",
        x,
        (u, v),
        (1.0, 10.0),
        spectral.Autocatalysis(n, (0.3, 2.7), (3.0, 0.0), (3.0, -3.0), 0),
        t_span=(0.0, 500.0),
        known=KNOWN["schnakenberg"] if n == 64 else (),
        reference="chebfun spinop2('SCHNAK'); Schnakenberg (1979)",
    )


def ginzburg_landau(*, points: int = 128, shear: float = 1.5) -> Problem:
    """The complex Ginzburg-Landau equation on a square: spiral waves.

    ``u_t = Lap u + u - (1 + beta i) |u|^2 u`` on [0, 100)^2, periodic, t in [0, 100]. In modes
    ``L = -|k|^2`` and ``N = y - (1 + beta i) fft2(|u|^2 u)``. u(0) is real, smooth on the length 4
    and at most 1 in size: a sum of waves with irregular phases, given by a formula, where published
    runs begin at random.

    Parameters
    ----------
    points
        Grid points along each side, even; the state has shape (points, points).
    shear
        beta; 1.3 in EXPINT.

    Raises
    ------
    InvalidArgument
        If the number of points or the shear cannot be used.

    References
    ----------
    chebfun's ``spinop2('GL')``; Aranson and Kramer (2002), Rev. Mod. Phys. 74.
    """
    n = spectral.checked_points(points)
    twist = number(shear)
    if not np.isfinite(twist):
        raise InvalidArgument(f"shear={shown(shear)} must be finite")
    x = spectral.grid(n, 0.0, 100.0)
    factor = 1 + 1j * twist
    return Problem(
        name="ginzburg_landau",
        linear=Diagonal(spectral.laplacian(n, 100.0, half=False)),
        nonlinear=partial(spectral.cubic_reaction, factor=factor),
        t_span=(0.0, 100.0),
        y0=np.fft.fft2(_irregular(x)),
        exact=None,
        reference="chebfun spinop2('GL'); Aranson and Kramer (2002)",
        quantities={
            "mean |u|^2": spectral.mean_power,
            "max Re u": partial(spectral.largest, view=spectral.real_plane),
            "Re u(50, 50)": partial(
                spectral.value_at, view=spectral.real_plane, place=(n // 2, n // 2)
            ),
        },
        known=KNOWN["ginzburg_landau"] if (n, shear) == (128, 1.5) else (),
        view=spectral.real_plane,
        axes=(x, x),
        components=("Re u",),
        compiled=partial(spectral.compiled_term, "cubic_reaction", n, factor),
    )


def _irregular(x: np.ndarray) -> np.ndarray:
    """Return a sum of the waves of length at least 4, their phases from irrational numbers."""
    length, longest = 100.0, 25
    p = np.arange(-longest, longest + 1)
    q = p[:, None]
    phase = (
        2 * np.pi * (np.sqrt(2) * p**2 + np.sqrt(3) * q**2 + np.sqrt(5) * p * q + np.sqrt(7) * q)
    )
    coefficients = np.where(p**2 + q**2 <= longest**2, np.exp(1j * phase), 0)
    waves = np.exp(2j * np.pi / length * np.outer(x, p))
    u = np.real(waves @ coefficients @ waves.T)
    return np.asarray(u / np.max(np.abs(u)))


def _two_concentrations(
    name: str,
    x: np.ndarray,
    initial: tuple[np.ndarray, np.ndarray],
    diffusion: tuple[float, float],
    reaction: spectral.Autocatalysis,
    **described: Any,
) -> Problem:
    n = len(x)
    length = float(n * x[1])
    view = partial(spectral.plane, points=n)
    mean = partial(spectral.mean, view=view)
    centre = partial(spectral.value_at, view=view, place=(0, n // 2, n // 2))
    symbols = spectral.laplacian(n, length, half=True)
    return Problem(
        name=name,
        linear=Diagonal(np.reshape(diffusion, (2, 1, 1)) * symbols),
        nonlinear=reaction,
        y0=np.fft.rfft2(np.stack(initial)),
        exact=None,
        quantities={
            "mean u": partial(mean, place=(0,)),
            "mean v": partial(mean, place=(1,)),
            "u(centre)": centre,
        },
        view=view,
        axes=(x, x),
        compiled=partial(
            spectral.compiled_term,
            "autocatalysis",
            n,
            reaction.source,
            reaction.decay,
            reaction.gain,
            reaction.doubled,
        ),
        **described,
    )
