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
    PURE_NOISE,
    denoise_coefficients,
    pure_noise_coefficients,
)
from semilinear.diffusion.parameterisations import VARIABLES
from semilinear.diffusion.predictions import FINITE_AT_PURE_NOISE, PREDICTIONS
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.errors import InvalidArgument, UnknownName
from semilinear.methods import STARTS, Multistep, Tableau, etdab, sequence
from semilinear.methods.rows import Step
from semilinear.plan import Plan
from semilinear.program import Program


class DiffusionPlan(Plan):
    """A sampler on a grid; made by `semilinear.diffusion.plan`.

    Attributes
    ----------
    t
        Grid times, shape (steps + 1,), read-only.
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
        super().__init__(program, times=times, name=sampler.name)
        self.t = t
        self.t.flags.writeable = False
        self.steps = len(t) - 1
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
        """
        if not isinstance(self.sampler.method, Multistep):
            raise InvalidArgument(
                f"weights: {self.name} is a one-step method; its coefficients are in plan.rows"
            )
        return self._table[1]

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        width = getattr(self.sampler.method, "past", 0)
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
    first = schedule.t_start if t_start is None else float(t_start)
    last = schedule.t_end if t_end is None else float(t_end)
    shape = _Shape(schedule, sampler, first, last, final=final, start=start, direction=direction)
    if not isinstance(grid, str) and not callable(grid):
        times = _explicit_times(shape, grid, steps, nfe, t_start, t_end)
    else:
        times = shape.times(grid, _count(shape, steps, nfe))
    if direction == "encode":
        times = times[::-1].copy()
    shape.check(times, prediction)
    return _assemble(shape, times, prediction)


class _Shape:
    """What decides the sequence of steps, apart from their number."""

    def __init__(
        self,
        schedule: NoiseSchedule,
        sampler: Sampler,
        t_start: float,
        t_end: float,
        *,
        final: str,
        start: str,
        direction: str,
    ) -> None:
        self.schedule, self.sampler, self.final, self.start = schedule, sampler, final, start
        self.t_start, self.t_end = t_start, t_end
        self.encoding = direction == "encode"
        if self.encoding and final != "t_end":
            raise InvalidArgument(f"final={final!r} belongs to sampling; encode with final='t_end'")
        self.variable = VARIABLES[sampler.parameterisation.variable]

    def times(self, grid: Any, count: int) -> np.ndarray:
        """Return the grid times of `count` steps, the step to sigma = 0 included."""
        if self.final != "zero" or self.schedule.sigma(self.t_end) == 0:
            return grids.times(grid, self.schedule, self.t_start, self.t_end, count)
        zero = self._t_of_data()
        if count == 1:
            return np.array([self.t_start, zero])
        inner = grids.times(grid, self.schedule, self.t_start, self.t_end, count - 1)
        return np.append(inner, zero)

    def _t_of_data(self) -> float:
        """Return the time of sigma = 0, the end of the domain where it is never reached."""
        try:
            return float(self.schedule.t_of_lam(np.inf))
        except InvalidArgument:
            if self.variable.name == "t":
                raise InvalidArgument(
                    f"final='zero': sigma = 0 lies outside the time domain of {self.schedule!r}, "
                    f"so {self.sampler.name} has no last step in t; use final='denoise', or a "
                    "method in rho or lambda"
                ) from None
            return float(np.nextafter(self.schedule.t_min, -np.inf))

    def lands_on_data(self, times: np.ndarray) -> bool:
        """Tell whether the last step ends at sigma = 0."""
        if self.encoding:
            return False
        return self.final == "zero" or self.schedule.sigma(times[-1]) == 0

    def from_pure_noise(self, t: float) -> bool:
        """Tell whether the run starts at alpha = 0."""
        return not self.encoding and self.schedule.alpha(t) == 0

    def sequence(self, count: int, *, pure_noise: bool, data: bool) -> list[Step]:
        """Return the steps of a run, the ones at the two ends included."""
        method = self.sampler.method
        if pure_noise:
            steps: list[Step] = [PURE_NOISE]
            past = 1 if self.variable.name == "t" else 0
            if isinstance(method, Multistep):
                steps += [method.step(past + n, evaluated=False) for n in range(count - 1)]
            else:
                steps += sequence(method, count - 1)
        else:
            steps = sequence(method, count, start=self.start)
        if data and isinstance(method, Tableau) and 1 in method.c and steps[-1] is not PURE_NOISE:
            steps[-1] = etdab(1).step(0, evaluated=False)
        if self.final == "denoise":
            steps.append(DENOISE)
        return steps

    def check(self, times: np.ndarray, prediction: str) -> None:
        """Refuse what has no limit at the ends."""
        t = float(times[0])
        if self.encoding and (self.schedule.sigma(t) == 0 or self.schedule.alpha(times[-1]) == 0):
            raise InvalidArgument(
                "t_start, t_end: encoding cannot begin at sigma = 0 nor end at alpha = 0; choose "
                "ends inside the path"
            )
        if not self.from_pure_noise(t):
            return
        name = self.sampler.name
        if prediction not in FINITE_AT_PURE_NOISE:
            raise InvalidArgument(
                f"t_start={t:.6g}: alpha is 0 there, where prediction={prediction!r} tells nothing "
                f"of the data; choose a smaller t_start or one of {FINITE_AT_PURE_NOISE}"
            )
        if self.sampler.parameterisation.quantity != "eps" or self.start == "rk":
            raise InvalidArgument(
                f"t_start={t:.6g}: alpha is 0 there, which {name} with start={self.start!r} cannot "
                "step from; choose a smaller t_start"
            )


def _assemble(shape: _Shape, times: np.ndarray, prediction: str) -> DiffusionPlan:
    schedule, variable = shape.schedule, shape.variable
    count = len(times) - 1
    pure_noise, data = shape.from_pure_noise(times[0]), shape.lands_on_data(times)
    steps = shape.sequence(count, pure_noise=pure_noise, data=data)
    u = np.array(variable.of_t(schedule, times[:-1] if data else times), dtype=float)
    if data:
        end = {"t": times[-1], "rho": 0.0, "lambda": np.inf}[variable.name]
        u = np.append(u, end)
    given: dict[int, Sequence[float]] = {}
    if pure_noise:
        given[0] = pure_noise_coefficients(schedule, prediction, times[0], times[1])
    if steps[-1] is DENOISE:
        given[count] = denoise_coefficients(schedule, prediction, times[-1])
        u = np.append(u, u[-1])
    parameterisation = shape.sampler.parameterisation
    program = Program(
        tuple(steps),
        parameterisation.propagator(schedule),
        u,
        tell=parameterisation.tell(schedule, prediction),
        given=given,
    )
    asked = np.asarray(variable.to_t(schedule, program.evaluation_points()))
    return DiffusionPlan(
        program,
        times=asked.tolist(),
        t=times,
        schedule=schedule,
        sampler=shape.sampler,
        prediction=prediction,
    )


def _count(shape: _Shape, steps: int | None, nfe: int | None) -> int:
    if steps is not None and nfe is not None:
        raise InvalidArgument("give steps or nfe, not both")
    if nfe is None:
        return _whole("steps", 10 if steps is None else steps)
    budget = _whole("nfe", nfe)
    pure_noise = shape.from_pure_noise(shape.t_start)
    data = shape.final == "zero" or shape.schedule.sigma(shape.t_end) == 0

    def cost(count: int) -> int:
        made = shape.sequence(count, pure_noise=pure_noise, data=data and not shape.encoding)
        return sum(step.evaluations for step in made)

    if cost(1) > budget:
        raise InvalidArgument(
            f"nfe={nfe} is less than the {cost(1)} evaluations that one step of "
            f"{shape.sampler.name} needs with final={shape.final!r}"
        )
    low, high = 1, budget + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= budget else (low, middle)
    return low


def _whole(argument: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InvalidArgument(f"{argument}={value!r} must be a whole number of at least 1")
    return int(value)


def _explicit_times(
    shape: _Shape, grid: Any, steps: Any, nfe: Any, t_start: Any, t_end: Any
) -> np.ndarray:
    taken = {"steps": steps, "nfe": nfe, "t_start": t_start, "t_end": t_end}
    extra = [name for name, value in taken.items() if value is not None]
    if extra:
        raise InvalidArgument(f"grid gives the times itself; leave out {', '.join(extra)}")
    times = grids.explicit(grid)
    shape.t_start, shape.t_end = float(times[0]), float(times[-1])
    for t in times:
        shape.schedule.lam(float(t))  # refuses times outside the domain
    return shape.times(times, len(times) - 1 + (shape.final == "zero"))


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
