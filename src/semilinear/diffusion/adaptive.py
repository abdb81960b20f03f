"""Sampling with steps and orders that follow an estimate of the local error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from semilinear import methods
from semilinear.answers import checked_array, copied
from semilinear.diffusion import catalogue
from semilinear.diffusion.adaptive_steps import AdaptiveSteps
from semilinear.diffusion.arrays import on_host
from semilinear.diffusion.endings import denoise_coefficients
from semilinear.diffusion.inner_ends import inner_ends
from semilinear.diffusion.model_calls import asked
from semilinear.diffusion.models import Model, check_made_for, checked_model
from semilinear.diffusion.parameterisations import Parameterisation
from semilinear.diffusion.plan import checked_time
from semilinear.diffusion.quantities import QUANTITIES, Quantity
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.variables import VARIABLES, Variable
from semilinear.errors import (
    EvaluationLimitError,
    InvalidArgument,
    NonFiniteError,
    UnknownName,
)
from semilinear.given import whole_number
from semilinear.methods import Method

ENDINGS = ("t_end", "denoise")
ADAPTIVE = tuple(name for name, quantity in QUANTITIES.items() if quantity.peak < np.inf)
"""Quantities whose error estimates can be trusted."""


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
    orders
        Order of each step, shape (len(t) - 1,): of ``"etdpec"`` and ``"etdpece"`` that of the
        corrected value, of embedded pairs always the same.
    estimates
        Root mean square of the error estimate of each step and sample, shape (len(t) - 1, samples).
    """

    x: Any
    t: np.ndarray
    nfe: int
    rejected: int
    orders: np.ndarray
    estimates: np.ndarray


def sample_adaptive(
    model: Model,
    x_T: Any,
    schedule: NoiseSchedule,
    *,
    rtol: float = 1e-2,
    atol: Any = 1e-2,
    method: str | Method = "etdpec",
    quantity: str | Quantity = "eps",
    variable: str = "lambda",
    prediction: str = "eps",
    t_start: float | None = None,
    t_end: float | None = None,
    final: str = "denoise",
    max_nfe: int | None = None,
    first_step: float | None = None,
    controller: str | tuple[float, float, float] | None = None,
    callback: Callable[[float, Any], None] | None = None,
    progress: bool = False,
) -> AdaptiveSample:
    """Sample with adaptive steps (and order), those of `semilinear.solve`.

    The local error of an entry x is kept below ``atol + rtol abs(x)`` in the root mean square over
    each sample: none is worse for its neighbours. All share the steps, which the sample that needs
    the shortest decides; for samples that do not depend on the batch at all, take the grid that was
    found for a plan.

    Parameters
    ----------
    model, x_T, schedule, prediction, t_start, t_end, progress
        As in `diffusion.sample`. Where alpha or sigma is 0 at the schedule's own ends, as for
        `Flow`, the times at which lambda is -7 and 7 are the defaults.
    rtol, atol
        Tolerances.
    method
        A method of the core with an estimate of its error: ``"etdpec"`` (orders 2 to 6, one
        evaluation a step), ``"etdpece"``, or an embedded pair.
    quantity, variable
        The parameterisation: what is N (not x_0: near sigma = 0 its estimate sees nothing), and in
        which variable it is a polynomial.
    final
        ``"t_end"`` or ``"denoise"``, as in `diffusion.plan`.
    max_nfe
        Most evaluations of the model, that of ``"denoise"`` among them; no limit by default.
    first_step
        Length of the first step in the variable; chosen by a trial step if None.
    controller
        Of embedded pairs, as in `semilinear.solve`.
    callback
        ``callback(t, x)`` after every step.

    Returns
    -------
    AdaptiveSample
        The sample, like x_T in library, shape and dtype, with its grid times, evaluations, orders
        and error estimates.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used, or the model was made for another schedule or prediction.
    NonFiniteError
        If the tolerances are out of reach.
    EvaluationLimitError
        If `max_nfe` evaluations do not lead to the end. A state on the way is no sample; the error
        says how far it came.

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
    check_made_for(checked_model(model, "model"), schedule, prediction)
    UnknownName.check("final", final, ENDINGS)
    if callback is not None and not callable(callback):
        raise InvalidArgument(f"callback={callback!r} must be a function callback(t, x)")
    cell, first, last = _checked(schedule, x_T, quantity, variable, t_start, t_end)
    _refuse_sampler(method)
    budget = None
    if max_nfe is not None:
        budget = _Budget(whole_number("max_nfe", max_nfe), first, last, final)
    clock = _Clock(schedule, VARIABLES[variable], first, last)
    cell.check_formulas(schedule, prediction)
    tell = cell.tell(schedule, prediction)

    def nonlinear(u: float, x: Any) -> Any:
        if budget is not None:
            budget.spend()
        answer = asked(model, x, clock.time(u), "model")
        if tell is None:
            return copied(answer)
        p, q = (float(value) for value in tell(np.asarray(u)))
        return p * x + q * answer

    def after_step(u: float, x: Any) -> None:
        if budget is not None:
            budget.reached(clock.time(u))
        if callback is not None:
            callback(clock.time(u), x)

    found = AdaptiveSteps(
        cell.propagator(schedule), nonlinear, clock.span, x_T, method=method, rtol=rtol,
        atol=atol, first_step=first_step, controller=controller, time_of=clock.time,
    )  # fmt: skip
    found.run(after_step, progress=progress)
    if found.failure:
        raise NonFiniteError(f"rtol={rtol}, atol={atol}, steps in {variable}: {found.failure}")
    times = np.array([clock.time(u) for u in found.u])
    x, nfe = found.x, found.nfe
    if final == "denoise":
        p, q = denoise_coefficients(schedule, prediction, last)
        x, nfe = p * x + q * asked(model, x, last, "model"), nfe + 1
        if not np.isfinite(on_host(x)).all():
            raise NonFiniteError(f"the last evaluation (t = {last:.9g}) returned NaN or infinity")
    return AdaptiveSample(
        x, times, nfe, found.rejected, np.array(found.orders), np.array(found.estimates)
    )


class _Budget:
    """Evaluations that a run may make, and how far they have led."""

    def __init__(self, most: int, first: float, last: float, final: str) -> None:
        self.most, self.t, self.last = most, first, last
        # One is kept for the end.
        self.left = most - (final == "denoise")
        self.steps = self.made = 0

    def spend(self) -> None:
        """Count an evaluation, or end the run."""
        if not self.left:
            raise EvaluationLimitError(
                f"max_nfe={self.most}: evaluations ran out at t={self.t:.6g} after {self.steps} "
                f"steps, before t_end={self.last:.6g}; give larger rtol and atol, or a larger "
                "max_nfe",
                t=self.t, steps=self.steps, nfe=self.made,
            )  # fmt: skip
        self.left -= 1
        self.made += 1

    def reached(self, t: float) -> None:
        """Note the end of a step."""
        self.t, self.steps = t, self.steps + 1


class _Clock(NamedTuple):
    """The variable of a run, and its ends in time."""

    schedule: NoiseSchedule
    variable: Variable
    first: float
    last: float

    @property
    def span(self) -> tuple[float, float]:
        """The ends in the variable."""
        of_t = self.variable.of_t
        return float(of_t(self.schedule, self.first)), float(of_t(self.schedule, self.last))

    def time(self, u: float) -> float:
        """Return the time of a value of the variable; the ends exactly."""
        begin, end = self.span
        if u in (begin, end):
            return self.first if u == begin else self.last
        return float(self.variable.to_t(self.schedule, u))


def _checked(
    schedule: NoiseSchedule,
    x_T: Any,
    quantity: str | Quantity,
    variable: str,
    t_start: float | None,
    t_end: float | None,
) -> tuple[Parameterisation, float, float]:
    """Return parameterisation and ends, or refuse them."""
    cell = Parameterisation(quantity, variable)
    if cell.formulas is None or cell.formulas.peak == np.inf:
        raise InvalidArgument(
            f"quantity={quantity!r} must be one of {ADAPTIVE}, or a Quantity with a peak below "
            "infinity: near sigma = 0 the estimate does not see an error of x0, the velocity "
            "leaves nothing linear, and a table is made for a grid"
        )
    dtype = str(checked_array(x_T, "x_T").dtype)
    if dtype.endswith("float16"):
        raise InvalidArgument(
            f"x_T has dtype {dtype}, too coarse for an error estimate: use float32"
        )
    t_start, t_end = inner_ends(schedule, t_start, t_end)
    first = checked_time(schedule, "t_start", t_start)
    last = checked_time(schedule, "t_end", t_end)
    if not first > last:
        raise InvalidArgument(f"t_start={first:.6g} must be greater than t_end={last:.6g}")
    if schedule.alpha(first) == 0 or schedule.sigma(last) == 0:
        raise InvalidArgument(
            f"t_start={first:.6g}, t_end={last:.6g}: alpha or sigma is 0 there, where no step can "
            "be measured; choose ends inside the path"
        )
    return cell, first, last


def _refuse_sampler(method: Any) -> None:
    core = isinstance(method, str) and method in methods.names()
    if core or not (isinstance(method, catalogue.Sampler) or method in catalogue.names()):
        return
    raise InvalidArgument(
        f"method={getattr(method, 'name', method)!r} is a sampler for given steps; adaptive steps "
        "take a method of the core with an estimate of its error, such as 'etdpec', beside "
        "quantity= and variable="
    )
