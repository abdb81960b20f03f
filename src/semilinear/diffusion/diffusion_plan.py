"""The plan of a sampler: what it holds beside that of any method."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from semilinear.diffusion.catalogue import Sampler
from semilinear.diffusion.endings import (
    DENOISE,
)
from semilinear.diffusion.not_finite import not_finite
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.variables import VARIABLES
from semilinear.errors import InvalidArgument, NonFiniteError
from semilinear.methods import Multistep
from semilinear.methods.rows import ERROR, NEW, UNIT, Draw
from semilinear.plan import Plan
from semilinear.program import Program


class Recipe(NamedTuple):
    """How a plan was asked for, beside its sampler: what another grid for it has in common."""

    t_start: Any
    t_end: Any
    """Numbers; of a plan for samples of their own times arrays of shape (samples,)."""

    final: str
    start: str
    lower_end: bool | str
    direction: str
    estimate: bool


class DiffusionPlan(Plan):
    """A sampler on a grid; made by `semilinear.diffusion.plan`.

    Attributes
    ----------
    t
        Grid times, shape (steps + 1,), read-only; the last is -inf where sigma = 0 lies outside the
        time domain (final="zero" on `VE` and `Discrete`).
    schedule, sampler, prediction
        What the plan was made for.
    recipe
        Its ends, and how it was asked for.
    main
        Numbers of the steps of the program that are steps of the method.
    path_times
        Times at which the steps of the program end: those of `t`, NaN between the parts of steps
        that noise splits, and the time of a denoising evaluation once more.
    """

    asks = "the model"

    def __init__(
        self,
        program: Program,
        *,
        times: Sequence[float],
        t: np.ndarray,
        schedule: NoiseSchedule,
        sampler: Sampler,
        prediction: str,
        path_times: np.ndarray,
        recipe: Recipe,
    ) -> None:
        self.schedule = schedule
        self.sampler = sampler
        self.prediction = prediction
        self.recipe = recipe
        self.main = tuple(
            n for n, step in enumerate(program.steps) if not step.passive and step is not DENOISE
        )
        self.t = t
        self.t.flags.writeable = False
        self.path_times = path_times
        self.path_times.flags.writeable = False
        try:
            super().__init__(
                program, times=times, end=float(t[-1]), name=sampler.name, steps=len(t) - 1
            )
        except NonFiniteError:
            said = not_finite(program, sampler, path_times, prediction)
            raise NonFiniteError(said) from None

    def _numbers(self) -> Any:
        table = self.sampler.parameterisation.table
        if table is None:
            return super()._numbers()
        made_for = repr((table.digest, self.schedule, self.prediction))
        return made_for, self.program.structure

    @cached_property
    def stochastic(self) -> bool:
        """Whether noise is drawn on the way."""
        rows = (row for step in self.program.steps for row in step.instructions)
        return any(isinstance(row, Draw) for row in rows)

    @cached_property
    def estimates(self) -> bool:
        """Whether steps give estimates of their error."""
        return any(ERROR in step.shown for step in self.program.steps)

    @cached_property
    def t_formed(self) -> np.ndarray:
        """Times of the states that a run forms: those of `t`.

        Where a step begins with noise (`Churn`) the state after it is formed, and not the one
        before; a final denoising evaluation repeats the last time.
        """
        steps = self.program.steps
        formed = [0]
        for n, step in enumerate(steps, start=1):
            if step.evaluations or not step.passive:
                formed.append(n)
            elif formed[-1] == n - 1 and n > 1:
                formed[-1] = n
        times = self.path_times[formed]
        inside = np.isnan(times)
        if inside.any():
            variable = VARIABLES[self.sampler.parameterisation.variable]
            times[inside] = variable.to_t(self.schedule, self.grid[formed][inside])
        times.flags.writeable = False
        return times

    @cached_property
    def transfer(self) -> np.ndarray:
        """Psi of each step, shape (steps,): what multiplies x.

        For a first step from alpha = 0, where Psi is infinite, the coefficient of x beside the
        answer. Of a `Tabulated` quantity one for each of its entries, on further axes.
        """
        return self._table[0]

    @cached_property
    def weights(self) -> np.ndarray:
        """C_ij of each step, newest evaluation first, shape (steps, values of N).

        Of a `Tabulated` quantity one for each of its entries, on further axes.

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
            width = method.history + 1 + (method.mode != "P")
        table = self.sampler.parameterisation.table
        shape = () if table is None else table.shape
        transfer = np.empty((self.steps, *shape))
        weights = np.zeros((self.steps, width, *shape))
        numbers = {n: i for i, n in enumerate(self.main)}
        for row in self.rows:
            if row.dst == NEW and row.step in numbers:
                n = numbers[row.step]
                transfer[n] = row.coefficients[0]
                step = self.program.steps[row.step]
                drawn = {each.slot for each in step.instructions if isinstance(each, Draw)}
                inputs = zip(row.sources[1:], row.coefficients[1:], strict=True)
                values = [value for name, value in inputs if name not in (UNIT, *drawn)]
                weights[n, : min(width, len(values))] = values[:width]
        for array in (transfer, weights):
            array.flags.writeable = False
        return transfer, weights
