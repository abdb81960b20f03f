"""Sampling with steps and orders that follow an estimate of the local error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from semilinear.diffusion.endings import denoise_coefficients
from semilinear.diffusion.following import Model
from semilinear.diffusion.model_calls import checked_schedule
from semilinear.diffusion.parameterisations import VELOCITY, Parameterisation
from semilinear.diffusion.plan import checked_time
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.variables import VARIABLES
from semilinear.errors import InvalidArgument, NonFiniteError, UnknownName
from semilinear.methods import Method
from semilinear.solve import solve

ENDINGS = ("t_end", "denoise")


class AdaptiveSample(NamedTuple):
    """A sample, and how it was reached.

    Parameters
    ----------
    x
        The sample, like x_T.
    t
        Grid times, for ``diffusion.plan(grid=...)``: what suits one batch suits the next.
    nfe
        Evaluations of the model.
    rejected
        Steps that were refused.
    """

    x: Any
    t: np.ndarray
    nfe: int
    rejected: int


def sample_adaptive(
    model: Model,
    x_T: Any,
    schedule: NoiseSchedule,
    *,
    rtol: float = 1e-2,
    atol: Any = 1e-2,
    method: str | Method = "etdpec",
    quantity: str = "eps",
    variable: str = "lambda",
    prediction: str = "eps",
    t_start: float | None = None,
    t_end: float | None = None,
    final: str = "denoise",
    callback: Callable[[float, Any], None] | None = None,
    progress: bool = False,
) -> AdaptiveSample:
    """Sample with adaptive steps (and order), by `semilinear.solve`.

    The local error of an entry x is kept below ``atol + rtol abs(x)`` in the root mean square over
    the whole batch: so a sample depends on its neighbours. For samples that do not, take the grid
    that was found for a plan.

    Parameters
    ----------
    model, x_T, schedule, prediction, t_start, t_end, progress
        As in `diffusion.sample`.
    rtol, atol
        Tolerances.
    method
        A method of the core with an estimate of its error: ``"etdpec"`` (orders 2 to 6, one
        evaluation a step), ``"etdpece"``, or an embedded pair.
    quantity, variable
        The parameterisation: what is N, and in which variable it is a polynomial.
    final
        ``"t_end"`` or ``"denoise"``, as in `diffusion.plan`.
    callback
        ``callback(t, x)`` after every step.

    Raises
    ------
    NonFiniteError
        If the tolerances are out of reach.

    Examples
    --------
    >>> import numpy as np
    >>> from semilinear import diffusion
    >>> s = diffusion.VPLinear()
    >>> x = np.random.default_rng(0).standard_normal((4, 2))
    >>> found = diffusion.sample_adaptive(lambda x, t: s.sigma(t) * x, x, s, rtol=1e-3, atol=1e-4)
    >>> bool(np.abs(found.x - x).max() < 1e-2)
    True
    """
    if final not in ENDINGS:
        raise UnknownName.among("final", final, ENDINGS)
    cell = Parameterisation(quantity, variable)
    if quantity == VELOCITY:
        raise InvalidArgument("quantity='velocity' leaves nothing linear; use scipy's solve_ivp")
    checked_schedule(schedule)
    first = schedule.t_start if t_start is None else checked_time(schedule, "t_start", t_start)
    last = schedule.t_end if t_end is None else checked_time(schedule, "t_end", t_end)
    clock = VARIABLES[variable]
    span = float(clock.of_t(schedule, first)), float(clock.of_t(schedule, last))
    if not np.isfinite(span).all():
        raise InvalidArgument(
            f"t_start={first:.6g}, t_end={last:.6g}: {variable} runs from {span[0]} to {span[1]}; "
            "choose ends inside the path, or variable='t'"
        )
    tell = cell.tell(schedule, prediction)

    def nonlinear(u: float, x: Any) -> Any:
        answer = model(x, float(clock.to_t(schedule, u)))
        if tell is None:
            return answer
        p, q = (float(value) for value in tell(np.asarray(u)))
        return p * x + q * answer

    after = None if callback is None else _in_time(callback, schedule, variable)
    found = solve(
        cell.propagator(schedule), nonlinear, span, x_T, method=method, rtol=rtol, atol=atol,
        callback=after, progress=progress,
    )  # fmt: skip
    if not found.success:
        raise NonFiniteError(f"sampling with rtol={rtol}, atol={atol}: {found.message}")
    times = np.asarray(clock.to_t(schedule, found.t))
    times[0], times[-1] = first, last
    x, nfe = found.y_last, found.nfev
    if final == "denoise":
        p, q = denoise_coefficients(schedule, prediction, last)
        x, nfe = p * x + q * model(x, last), nfe + 1
    return AdaptiveSample(x, times, nfe, found.stats["rejected"])


def _in_time(
    callback: Callable[[float, Any], None], schedule: NoiseSchedule, variable: str
) -> Callable[[float, Any], None]:
    clock = VARIABLES[variable]
    return lambda u, x: callback(float(clock.to_t(schedule, u)), x)
