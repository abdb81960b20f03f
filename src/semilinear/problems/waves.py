"""Periodic problems in one dimension: waves, shocks and chaos.

Each function returns a `Problem` whose state is a spectrum; `Problem.view` returns to the grid.
Nothing is dealiased, so that values belong to the number of points.
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

KURAMOTO_SIVASHINSKY = {"kassam_trefethen": (0.0, 128, 150.0), "chebfun": (1.0, 256, 200.0)}
"""Shift of the sine in the initial data, points, and end, by origin."""

BURGERS = {"expint": (0.03, 128, 1.0), "chebfun": (1e-3, 512, 20.0)}
"""Viscosity, points, and end, by origin."""


def kuramoto_sivashinsky(
    *, initial: str = "kassam_trefethen", points: int | None = None
) -> Problem:
    """The Kuramoto-Sivashinsky equation, which turns to chaos in space and time.

    ``u_t = -u u_x - u_xx - u_xxxx``, 0 <= x < 32 pi, periodic,
    ``u(0) = cos(x/16) (1 + sin((x - s)/16))``. In modes ``L = k^2 - k^4``, ``B = -ik/2`` and
    ``N = rfft(u^2)``.

    Parameters
    ----------
    initial
        ``"kassam_trefethen"``: s = 0, t in [0, 150]. ``"chebfun"``: s = 1, t in [0, 200].
    points
        Grid points, even; 128 and 256 if not given. The two differ at 1e-5 at t = 10.

    Raises
    ------
    InvalidArgument
        If the initial data are unknown or the number of points cannot be used.

    Notes
    -----
    Differences grow about as e^(t/11): from t = 150 no method keeps 1e-9 of its rounding errors.
    Compare at t <= 50, for instance by ``kuramoto_sivashinsky().until(50)``.

    References
    ----------
    Kassam and Trefethen (2005), SIAM J. Sci. Comput. 26; chebfun's ``spinop('KS')``.
    """
    shift, published, end = spectral.checked_initial(initial, KURAMOTO_SIVASHINSKY)
    n = spectral.checked_points(published if points is None else points)
    length = 32 * np.pi
    x = spectral.grid(n, 0.0, length)
    k = spectral.wavenumbers(n, length)
    view = partial(spectral.line, points=n)
    name = "kuramoto_sivashinsky" + ("_chebfun" if initial == "chebfun" else "")
    return Problem(
        name=name,
        linear=Diagonal(k**2 - k**4, weight=-0.5j * spectral.odd_wavenumbers(n, length)),
        nonlinear=partial(spectral.square, points=n),
        t_span=(0.0, end),
        y0=np.fft.rfft(np.cos(x / 16) * (1 + np.sin((x - shift) / 16))),
        exact=None,
        reference="Kassam and Trefethen (2005); chebfun spinop('KS')",
        quantities=spectral.line_quantities(view, {"u(16 pi)": n // 2}),
        known=KNOWN[name] if n == published else (),
        view=view,
        axes=(x,),
        compiled=partial(spectral.compiled_term, "square", n),
    )


def burgers(
    *, initial: str = "expint", points: int | None = None, viscosity: float | None = None
) -> Problem:
    """Burgers' equation with viscosity: a wave that steepens and fades.

    ``u_t = nu u_xx - (u^2 / 2)_x``, periodic. In modes ``L = -nu k^2``, ``B = -ik/2`` and
    ``N = rfft(u^2)``. The mean is conserved.

    Parameters
    ----------
    initial
        ``"expint"``: ``exp(-10 sin^2(x/2))`` on [-pi, pi), t in [0, 1]. ``"chebfun"``:
        ``(1 - x^2) exp(-30 (x + 1/2)^2)`` on [-1, 1), t in [0, 20].
    points
        Grid points, even; 128 and 512 if not given.
    viscosity
        nu; 0.03 and 0.001 if not given.

    Raises
    ------
    InvalidArgument
        If the initial data are unknown, or the points or the viscosity cannot be used.

    References
    ----------
    Berland, Skaflestad and Wright (2007), ACM TOMS 33 (EXPINT); chebfun's ``spinop('Burg')``.
    """
    published = spectral.checked_initial(initial, BURGERS)
    nu = spectral.checked_positive(published[0] if viscosity is None else viscosity, "viscosity")
    n = spectral.checked_points(published[1] if points is None else points)
    half = np.pi if initial == "expint" else 1.0
    x = spectral.grid(n, -half, 2 * half)
    if initial == "expint":
        u = np.exp(-10 * np.sin(x / 2) ** 2)
    else:
        u = (1 - x**2) * np.exp(-30 * (x + 0.5) ** 2)
    view = partial(spectral.line, points=n)
    name = "burgers" + ("_chebfun" if initial == "chebfun" else "")
    k = spectral.odd_wavenumbers(n, 2 * half)
    return Problem(
        name=name,
        linear=Diagonal(-nu * spectral.wavenumbers(n, 2 * half) ** 2, weight=-0.5j * k),
        nonlinear=partial(spectral.square, points=n),
        t_span=(0.0, published[2]),
        y0=np.fft.rfft(u),
        exact=None,
        reference="EXPINT (Berland, Skaflestad and Wright 2007); chebfun spinop('Burg')",
        quantities=spectral.line_quantities(view, {"u(0)": n // 2}),
        known=KNOWN[name] if (nu, n) == published[:2] else (),
        view=view,
        axes=(x,),
        compiled=partial(spectral.compiled_term, "square", n),
    )


def kdv(*, points: int = 256) -> Problem:
    """Two solitons of the Korteweg-de Vries equation, one about to overtake the other.

    ``u_t = -u u_x - u_xxx``, -pi <= x < pi, periodic, t in [0, 0.001],
    ``u(0) = 3 A^2 sech^2(A (x + 2)/2) + 3 B^2 sech^2(B (x + 1)/2)``, A = 25, B = 16. In modes
    ``L = i k^3``, ``B = -ik/2`` and ``N = rfft(u^2)``. The mean is conserved.

    Parameters
    ----------
    points
        Grid points, even. 256 leave a relative error of some 1e-6 in space; chebfun has 512 and
        goes to t = 0.03015.

    Raises
    ------
    InvalidArgument
        If the number of points cannot be used.

    References
    ----------
    Kassam and Trefethen (2005), SIAM J. Sci. Comput. 26; chebfun's ``spinop('KdV')``.
    """
    n = spectral.checked_points(points)
    x = spectral.grid(n, -np.pi, 2 * np.pi)
    y0 = np.fft.rfft(_sech_squared(x + 2, 25.0) + _sech_squared(x + 1, 16.0))
    return _korteweg_de_vries(
        "kdv",
        x,
        y0,
        exact=None,
        known=KNOWN["kdv"] if n == 256 else (),
        reference="Kassam and Trefethen (2005); chebfun spinop('KdV')",
    )


def soliton(*, points: int = 512, speed: float = 625.0) -> Problem:
    """One soliton of the Korteweg-de Vries equation, whose solution is known.

    ``u_t = -u u_x - u_xxx``, -pi <= x < pi, periodic, t in [0, 0.001],
    ``u = 3 c sech^2(sqrt(c) (x + 1 - c t) / 2)``.

    Parameters
    ----------
    points
        Grid points, even.
    speed
        c, at least 100 and at most ``(points / 20)^2``: within these bounds what the periodic
        boundary cuts off and what the grid does not resolve are both below 1e-11 of the wave.

    Raises
    ------
    InvalidArgument
        If the number of points or the speed cannot be used.

    References
    ----------
    EXPINT (Berland, Skaflestad and Wright 2007), with c = 625.
    """
    n = spectral.checked_points(points)
    c = number(speed)
    if not 100 <= c <= (n / 20) ** 2:
        raise InvalidArgument(
            f"speed={shown(speed)} must lie between 100 and (points / 20)^2 = {(n / 20) ** 2:g}; "
            "more points allow a greater speed"
        )
    x = spectral.grid(n, -np.pi, 2 * np.pi)
    exact = partial(_moving, x=x, speed=c)
    return _korteweg_de_vries(
        "soliton",
        x,
        exact(0.0),
        exact=exact,
        known=(),
        reference="EXPINT (Berland, Skaflestad and Wright 2007); Korteweg and de Vries (1895)",
    )


def nonlinear_schroedinger(*, points: int = 256) -> Problem:
    """A breather of the focusing nonlinear Schroedinger equation, whose solution is known.

    ``u_t = i u_xx + i |u|^2 u``, -pi <= x < pi, periodic, ``u(0) = 2 / (2 - sqrt(2) cos x) - 1``,
    t in [0, 20]. In modes ``L = -i k^2``, ``B = i`` and ``N = fft(|u|^2 u)``. The breather of
    Akhmediev, Eleonskii and Kulagin starts at its peak,

    ``u = e^{it} (cos x + i sqrt(2) sinh t) / (sqrt(2) cosh t - cos x)``,

    and fades into the wave e^{it}. The mass, the mean of |u|^2, is 1 throughout.

    Parameters
    ----------
    points
        Grid points, even, at least 64.

    Raises
    ------
    InvalidArgument
        If the number of points cannot be used.

    Notes
    -----
    The wave e^{it} is unstable: differences grow as e^t, rounding errors to 1e-7 at t = 20. Up to
    t = 8 they remain below 1e-11.

    References
    ----------
    chebfun's ``spinop('NLS')``; Akhmediev, Eleonskii and Kulagin (1987), Theor. Math. Phys. 72.
    """
    n = spectral.checked_points(points)
    if n < 64:
        raise InvalidArgument(f"points={points!r} must be at least 64 to resolve the breather")
    x = spectral.grid(n, -np.pi, 2 * np.pi)
    exact = partial(_breather, x=x)
    k = 2 * np.pi * np.fft.fftfreq(n, 2 * np.pi / n)
    return Problem(
        name="nonlinear_schroedinger",
        linear=Diagonal(-1j * k**2, weight=1j),
        nonlinear=spectral.cubic,
        t_span=(0.0, 20.0),
        y0=exact(0.0),
        exact=exact,
        reference="chebfun spinop('NLS'); Akhmediev, Eleonskii and Kulagin (1987)",
        quantities={
            "mass": spectral.mean_power,
            "max": partial(spectral.largest, view=spectral.modulus),
        },
        known=(),
        view=spectral.modulus,
        axes=(x,),
        components=("|u|",),
        compiled=partial(spectral.compiled_term, "cubic", n),
    )


def _sech_squared(x: np.ndarray, a: float) -> np.ndarray:
    return np.asarray(3 * a**2 / np.cosh(a * x / 2) ** 2)


def _moving(t: float, *, x: np.ndarray, speed: float) -> np.ndarray:
    """Return the spectrum of a soliton that left x = -1 at t = 0, once around the period."""
    place = np.remainder(x + 1 - speed * t + np.pi, 2 * np.pi) - np.pi
    return np.fft.rfft(_sech_squared(place, np.sqrt(speed)))


def _breather(t: float, *, x: np.ndarray) -> np.ndarray:
    root = np.sqrt(2)
    u = (np.cos(x) + 1j * root * np.sinh(t)) / (root * np.cosh(t) - np.cos(x))
    return np.asarray(np.fft.fft(np.exp(1j * t) * u))


def _korteweg_de_vries(name: str, x: np.ndarray, y0: np.ndarray, **described: Any) -> Problem:
    n = len(x)
    k = spectral.odd_wavenumbers(n, 2 * np.pi)
    view = partial(spectral.line, points=n)
    return Problem(
        name=name,
        linear=Diagonal(1j * k**3, weight=-0.5j * k),
        nonlinear=partial(spectral.square, points=n),
        t_span=(0.0, 1e-3),
        y0=y0,
        quantities=spectral.line_quantities(view, {"u(0)": n // 2}),
        view=view,
        axes=(x,),
        compiled=partial(spectral.compiled_term, "square", n),
        **described,
    )
