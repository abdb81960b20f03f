"""The plan of a sampler: schedule, parameterisation, method, grid and ending, made once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from semilinear.diffusion import catalogue, grids
from semilinear.diffusion.catalogue import Sampler
from semilinear.diffusion.endings import (
    DENOISE,
    FINALS,
    denoise_coefficients,
    pure_noise_coefficients,
)
from semilinear.diffusion.layout import Layout
from semilinear.diffusion.predictions import PREDICTIONS
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.errors import InvalidArgument, UnknownName
from semilinear.methods import STARTS, Multistep
from semilinear.plan import Plan
from semilinear.program import Program
from semilinear.time_grid import whole_number


class DiffusionPlan(Plan):
    """A sampler on a grid; made by `semilinear.diffusion.plan`.

    Attributes
    ----------
    t
        Grid times, shape (steps + 1,), read-only; the last is -inf where sigma = 0 lies outside the
        time domain (final="zero" on `VE` and `Discrete`).
    schedule, sampler, prediction
        What the plan was made for.
    """

    def __init__(
        self,
        program: Program,
        *,
        times: Sequence[float],
        t: np.ndarray,
        schedule: NoiseSchedule,
        sampler: Sampler,
        prediction: str,
    ) -> None:
        super().__init__(
            program, times=times, end=float(t[-1]), name=sampler.name, steps=len(t) - 1
        )
        self.t = t
        self.t.flags.writeable = False
        self.schedule = schedule
        self.sampler = sampler
        self.prediction = prediction

    @cached_property
    def transfer(self) -> np.ndarray:
        """Psi of each step, shape (steps,): what multiplies x.

        For a first step from alpha = 0, where Psi is infinite, the coefficient of x beside the
        answer.
        """
        return self._table[0]

    @cached_property
    def weights(self) -> np.ndarray:
        """C_ij of each step, newest evaluation first, shape (steps, values of N).

        Weights of N (eps, for DEIS), zero where a value does not exist yet; multistep methods only.
        Of a predictor-corrector pair, the corrector's; of a starting step of start="rk", its
        Runge-Kutta weights b, first stage first.
        """
        if not isinstance(self.sampler.method, Multistep):
            raise InvalidArgument(
                f"weights: {self.name} is a one-step method; its coefficients are in plan.rows"
            )
        return self._table[1]

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        method = self.sampler.method
        width = 0
        if isinstance(method, Multistep):
            width = method.past + (method.mode != "P")
        transfer = np.empty(self.steps)
        weights = np.zeros((self.steps, width))
        for row in self.rows:
            if row.dst == "y+" and row.step < self.steps:
                transfer[row.step] = row.coefficients[0]
                if width:
                    values = row.coefficients[1 : 1 + width]
                    weights[row.step, : len(values)] = values
        for array in (transfer, weights):
            array.flags.writeable = False
        return transfer, weights


def plan(
    schedule: NoiseSchedule,
    *,
    method: str | Sampler = "tab3",
    steps: int | None = None,
    nfe: int | None = None,
    grid: str | grids.Grid | Sequence[float] | np.ndarray = "quadratic",
    prediction: str = "eps",
    t_start: float | None = None,
    t_end: float | None = None,
    final: str = "t_end",
    start: str = "ramp",
    direction: str = "sample",
) -> DiffusionPlan:
    """Return the plan of a sampler.

    Parameters
    ----------
    schedule
        alpha(t) and sigma(t), for example ``VPLinear()``.
    method
        A name of `semilinear.diffusion.names()`. ``"tab3"`` is the DEIS of the paper.
    steps, nfe
        The number of steps, or a budget of evaluations into which as many steps as possible are
        fitted; neither with explicit grid times, else one of them (10 steps by default).
    grid
        ``"uniform"`` or ``"quadratic"`` in t, ``"lambda"``, ``"karras"``; a rule of
        `diffusion.grids`; or decreasing times.
    prediction
        What the model returns: ``"eps"``, ``"x0"``, ``"score"``, ``"v"`` or ``"flow"``.
    t_start, t_end
        Ends of the grid; the schedule's own by default.
    final
        ``"t_end"``: stop at t_end. ``"zero"``: the last step goes on from t_end to sigma = 0, in
        the limit; `steps` counts it. ``"denoise"``: one more evaluation at t_end returns x_0.
    start
        For multistep methods, ``"ramp"`` (published: growing order) or ``"rk"`` (keeps the order).
    direction
        ``"sample"``: noise to data; ``"encode"``: data to noise on the reversed grid.

    Returns
    -------
    DiffusionPlan
        Immutable; with `t`, `times`, `nfe`, `transfer`, `weights`, `rows`, `start` and `advance`.

    References
    ----------
    Zhang and Chen (2022), "Fast Sampling of Diffusion Models with Exponential Integrator", section
    3.

    Examples
    --------
    >>> from semilinear import diffusion
    >>> p = diffusion.plan(diffusion.VPLinear(), method="tab3", steps=10)
    >>> p.nfe, p.weights.shape
    (10, (10, 4))
    """
    sampler = catalogue.get(method)
    _check_words(schedule, prediction, final, start, direction)
    points: np.ndarray | None = None
    if not isinstance(grid, str) and not callable(grid):
        _refuse_beside_grid(steps=steps, nfe=nfe, t_start=t_start, t_end=t_end)
        grid = points = grids.explicit(grid)
        t_start, t_end = float(points[0]), float(points[-1])
        _time(schedule, "grid[0]", t_start)
        _time(schedule, "grid[-1]", t_end)
    first = schedule.t_start if t_start is None else _time(schedule, "t_start", t_start)
    last = schedule.t_end if t_end is None else _time(schedule, "t_end", t_end)
    layout = Layout(schedule, sampler, first, last, final=final, start=start, direction=direction)
    if points is None:
        count = _count(layout, steps, nfe)
    else:
        count = len(points) - 1 + layout.adds_step_to_data
    times = layout.times(grid, count)
    if direction == "encode":
        times = times[::-1].copy()
    layout.check(times, prediction)
    return _assemble(layout, times, prediction)


def _assemble(layout: Layout, times: np.ndarray, prediction: str) -> DiffusionPlan:
    schedule, variable = layout.schedule, layout.variable
    count = len(times) - 1
    steps = layout.sequence(count)
    inner = times[:-1] if layout.reaches_data else times
    u = np.array(variable.of_t(schedule, inner), dtype=float)
    if layout.reaches_data:
        end = {"t": times[-1], "rho": 0.0, "lambda": np.inf}[variable.name]
        u = np.append(u, end)
    given: dict[int, Sequence[float]] = {}
    if layout.begins_in_noise:
        given[0] = pure_noise_coefficients(schedule, prediction, times[0], times[1])
    if steps[-1] is DENOISE:
        given[count] = denoise_coefficients(schedule, prediction, times[-1])
        u = np.append(u, u[-1])
    parameterisation = layout.sampler.parameterisation
    program = Program(
        tuple(steps),
        parameterisation.propagator(schedule),
        u,
        tell=parameterisation.tell(schedule, prediction),
        given=given,
    )
    # Grid times as they were given: a round trip through rho or lambda would round them.
    asked = program.at_grid_points(times if len(u) == len(times) else np.append(times, times[-1]))
    between = np.isnan(asked)
    if between.any():
        asked[between] = variable.to_t(schedule, program.evaluation_points()[between])
    return DiffusionPlan(
        program,
        times=asked.tolist(),
        t=times,
        schedule=schedule,
        sampler=layout.sampler,
        prediction=prediction,
    )


def _count(layout: Layout, steps: int | None, nfe: int | None) -> int:
    if steps is not None and nfe is not None:
        raise InvalidArgument("give steps or nfe, not both")
    if nfe is None:
        return whole_number("steps", 10 if steps is None else steps)
    budget = whole_number("nfe", nfe)

    def cost(count: int) -> int:
        return sum(step.evaluations for step in layout.sequence(count))

    if cost(1) > budget:
        raise InvalidArgument(
            f"nfe={nfe} is less than the {cost(1)} evaluations that one step of "
            f"{layout.sampler.name} needs with final={layout.final!r}"
        )
    low, high = 1, budget + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= budget else (low, middle)
    return low


def _time(schedule: NoiseSchedule, argument: str, value: Any) -> float:
    if not isinstance(value, int | float | np.integer | np.floating) or not np.isfinite(value):
        raise InvalidArgument(f"{argument}={value!r} must be one finite number")
    low, high = schedule.t_min, schedule.t_max
    if not low <= value <= high:
        raise InvalidArgument(
            f"{argument}={value!r} lies outside the domain [{low}, {high}] of the times of "
            f"{schedule!r}"
        )
    return float(value)


def _refuse_beside_grid(**arguments: Any) -> None:
    extra = [name for name, value in arguments.items() if value is not None]
    if extra:
        raise InvalidArgument(f"grid gives the times itself; leave out {', '.join(extra)}")


def _check_words(schedule: Any, prediction: str, final: str, start: str, direction: str) -> None:
    if not isinstance(schedule, NoiseSchedule):
        raise InvalidArgument(
            f"schedule={schedule!r} must be a NoiseSchedule such as diffusion.VPLinear()"
        )
    known = (
        ("prediction", prediction, tuple(PREDICTIONS)),
        ("final", final, FINALS),
        ("start", start, STARTS),
        ("direction", direction, ("sample", "encode")),
    )
    for argument, value, names in known:
        if value not in names:
            raise UnknownName.among(argument, value, names)
