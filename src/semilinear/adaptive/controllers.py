"""How the next step is chosen: tolerances, and gains of a step size controller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from semilinear.errors import InvalidArgument, UnknownName, shown
from semilinear.kernels import Backend, control

RTOL, ATOL = 1e-3, 1e-6
"""Default tolerances, those of SciPy."""

UNDERFLOW = (
    "at t = {t:.9g} the step size that the tolerances need is less than the spacing between "
    "numbers: the solution may have a singularity there"
)
NEAR_ZERO = (
    "; or an entry of y for which atol is 0 comes near 0, where no error is small beside it: give "
    "a positive atol"
)

FAR = (
    "; or t, which is known to {spacing:.1e} there, is too far from 0 for these tolerances: "
    "measure time from t0"
)

GAINS: dict[str, tuple[float, float, float]] = {
    "I": (1.0, 0.0, 0.0),
    "PI": (0.7, -0.4, 0.0),
    "PID": (0.49, -0.34, 0.10),
}
"""Gains (b1, b2, b3) of `control.step_factor`, k b in the notation of Soderlind (2003).

I: the elementary controller. PI: Gustafsson (1991). PID: Kennedy and Carpenter (2003).
"""


@dataclass(frozen=True)
class Controller:
    """A step size controller with its tolerances.

    Parameters
    ----------
    rtol, atol
        The local error estimate of an entry y is at most ``atol + rtol |y|``, in the root mean
        square over all entries. `atol` may be an array that broadcasts to the state.
    gains
        Of the controller, see `GAINS`.
    first_step, max_step
        Length of the first step, chosen by a trial step if None; longest permitted step.
    by_sample
        Whether every sample, which the first axis of the state counts, is to keep the tolerance by
        itself. The estimate of a step that was taken is then kept in `Place.estimate`.
    """

    rtol: float
    atol: Any
    gains: tuple[float, float, float]
    first_step: float | None
    max_step: float
    by_sample: bool = False

    def norm(self, backend: Backend, error: Any, y: Any, other: Any) -> float:
        """Return the norm of an error in units of the tolerance at states y and other."""
        return backend.error_norm(
            error, y, other, self.rtol, backend.tolerance(self.atol), by_sample=self.by_sample
        )

    def underflow(self, t: float, time_of: Callable[[float], float] = float) -> str:
        """Return why a run ends at t: the next step would make no difference to the time.

        Parameters
        ----------
        time_of
            What the message calls t, see `AdaptiveCourse`.
        """
        relative_alone = not np.all(np.asarray(self.atol) > 0)
        spacing = float(np.spacing(abs(t)))
        far = FAR.format(spacing=spacing) if spacing > 1e-10 * self.max_step else ""
        return UNDERFLOW.format(t=time_of(t)) + (NEAR_ZERO if relative_alone else "") + far

    def after(self, errors: tuple[float, float, float], exponent: float) -> float:
        """Return the factor of the next step after an accepted one."""
        return control.step_factor(*errors, exponent, *self.gains)


def make_controller(
    kind: str | tuple[float, float, float] | None,
    y0: Any,
    t_span: tuple[float, float],
    *,
    rtol: Any,
    atol: Any,
    first_step: float | None,
    max_step: float,
) -> Controller:
    """Return a controller from the arguments of `solve`, or refuse them by name.

    Parameters
    ----------
    kind
        A name of `GAINS`, or three gains; PI if None.
    first_step, max_step
        As `semilinear.time_grid.step_limits` returns them.
    """
    gains = _gains(kind)
    relative = _relative(RTOL if rtol is None else rtol, y0)
    absolute = _absolute(ATOL if atol is None else atol, tuple(y0.shape))
    if relative == 0:
        _check_absolute_alone(absolute, y0, given=atol is not None)
    longest = min(max_step, abs(t_span[1] - t_span[0]))
    return Controller(relative, absolute, gains, first_step, longest)


def _gains(kind: Any) -> tuple[float, float, float]:
    if isinstance(kind, tuple):
        if len(kind) != 3 or not all(isinstance(b, Real) and isfinite(b) for b in kind):
            raise InvalidArgument(
                f"controller={shown(kind)} must be a name or three finite gains (b1, b2, b3)"
            )
        return float(kind[0]), float(kind[1]), float(kind[2])
    name = "PI" if kind is None else str(kind).upper()
    if name not in GAINS:
        raise UnknownName.among("controller", kind, GAINS)
    return GAINS[name]


def _check_absolute_alone(atol: Any, y0: Any, *, given: bool) -> None:
    """Refuse absolute tolerances that cannot be kept, where there is no relative one."""
    if not np.all(np.asarray(atol) > 0):
        raise InvalidArgument(
            "rtol and atol are both 0 for some entries of the state; make one of them positive"
        )
    xp = array_namespace(y0)
    largest = 0.0 if 0 in y0.shape else float(xp.max(xp.abs(y0)))
    floor = 10 * float(xp.finfo(y0.dtype).eps) * largest
    if 0 < np.max(atol) < floor:
        source = f"atol={np.max(atol):.3g}" if given else f"the default atol={ATOL:g}"
        raise InvalidArgument(
            f"rtol=0 leaves {source}, which asks for more digits than the state has: its largest "
            f"entry is known to {floor:.1e}; give atol={floor:.1e} or more, or an rtol"
        )


def _relative(value: Any, y0: Any) -> float:
    rtol = _tolerance("rtol", value)
    if np.ndim(rtol):
        raise InvalidArgument(f"rtol={shown(value)} must be one number; atol may be an array")
    least = 10 * float(array_namespace(y0).finfo(y0.dtype).eps)
    if not (rtol == 0 or rtol >= least):
        raise InvalidArgument(
            f"rtol={shown(value)} must be a number of at least {least:.1e}, ten machine epsilons "
            f"of {y0.dtype}; give a larger one, or 0 to control by atol alone"
        )
    return float(rtol)


def _absolute(value: Any, shape: tuple[int, ...]) -> Any:
    atol = _tolerance("atol", value)
    try:
        fits = np.broadcast_shapes(np.shape(atol), shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise InvalidArgument(
            f"atol has shape {np.shape(atol)}, which does not broadcast to that of the state, "
            f"{shape}"
        )
    return atol


def _tolerance(argument: str, value: Any) -> Any:
    """Return a tolerance as a float or an array of floats that are finite and not negative."""
    what = "a number" if argument == "rtol" else "a number or an array of numbers"
    try:
        raw = np.asarray(value)
        found = np.asarray(raw, dtype=float) if raw.dtype.kind in "fiuO" else None
    except (TypeError, ValueError, OverflowError):
        found = None
    if found is None:
        raise InvalidArgument(f"{argument}={shown(value)} must be {what}")
    if not (np.isfinite(found).all() and (found >= 0).all()):
        raise InvalidArgument(f"{argument}={shown(value)} must be finite and not negative")
    return float(found) if found.ndim == 0 else found
