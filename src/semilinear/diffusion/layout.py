"""The sequence of steps of a sampler between the two ends of a path, for any number of steps."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from semilinear.diffusion import grids
from semilinear.diffusion.catalogue import Sampler
from semilinear.diffusion.endings import DENOISE, PURE_NOISE
from semilinear.diffusion.parameterisations import VARIABLES
from semilinear.diffusion.predictions import FINITE_AT_PURE_NOISE
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.errors import InvalidArgument
from semilinear.methods import GridMethod, Multistep, etdab, sequence
from semilinear.methods.rows import Step


class Layout:
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

    @cached_property
    def reaches_data(self) -> bool:
        """Whether the last step ends at sigma = 0."""
        return not self.encoding and (self.final == "zero" or self.schedule.sigma(self.t_end) == 0)

    @cached_property
    def adds_step_to_data(self) -> bool:
        """Whether that step goes beyond t_end."""
        return self.final == "zero" and self.schedule.sigma(self.t_end) != 0

    def times(self, grid: Any, count: int) -> np.ndarray:
        """Return the grid times of `count` steps, the step to sigma = 0 included."""
        if not self.adds_step_to_data:
            return grids.times(grid, self.schedule, self.t_start, self.t_end, count)
        zero = self._data_time
        if self.variable.name == "t" and not np.isfinite(zero):
            raise InvalidArgument(
                f"final='zero': sigma = 0 lies outside the time domain of {self.schedule!r}, "
                f"so {self.sampler.name} has no last step in t; use final='denoise', or a "
                "method in rho or lambda"
            )
        if count == 1:
            return np.array([self.t_start, zero])
        inner = grids.times(grid, self.schedule, self.t_start, self.t_end, count - 1)
        return np.append(inner, zero)

    @cached_property
    def _data_time(self) -> float:
        """The time of sigma = 0; -inf where it lies outside the time domain."""
        try:
            return float(self.schedule.t_of_lam(np.inf))
        except InvalidArgument:
            return -np.inf

    @cached_property
    def begins_in_noise(self) -> bool:
        """Whether the first step begins at alpha = 0."""
        return not self.encoding and self.schedule.alpha(self.t_start) == 0

    def sequence(self, count: int) -> list[Step]:
        """Return the steps of a run, the ones at the two ends included."""
        method = self.sampler.method
        if self.begins_in_noise:
            # In rho and lambda the first point lies at infinity: no polynomial goes through it.
            known = int(self.variable.name == "t" or _is_fixed(method))
            steps = [PURE_NOISE, *sequence(method, count - 1, known=known)]
        else:
            most = count - 1 if self.reaches_data else count
            steps = sequence(method, count, start=self.start, most=most)
        if self.reaches_data and not self._steps_into_data(method) and steps[-1] is not PURE_NOISE:
            steps[-1] = etdab(1).step(0, evaluated=False)
        if self.final == "denoise" and not self.reaches_data:
            steps.append(DENOISE)
        return steps

    def _steps_into_data(self, method: GridMethod) -> bool:
        """Tell whether a last step to sigma = 0 asks the model at times that it knows only."""
        return isinstance(method, Multistep) or (1 not in method.c and np.isfinite(self._data_time))

    def check(self, times: np.ndarray, prediction: str) -> None:
        """Refuse what has no limit at the ends."""
        if self.encoding and (
            self.schedule.sigma(times[0]) == 0 or self.schedule.alpha(times[-1]) == 0
        ):
            raise InvalidArgument(
                "t_start, t_end: encoding cannot begin at sigma = 0 nor end at alpha = 0; choose "
                "ends inside the path"
            )
        if not self.begins_in_noise:
            return
        name, t = self.sampler.name, self.t_start
        if prediction not in FINITE_AT_PURE_NOISE:
            raise InvalidArgument(
                f"t_start={t:.6g}: alpha is 0 there, where prediction={prediction!r} tells nothing "
                f"of the data; choose a smaller t_start or one of {FINITE_AT_PURE_NOISE}"
            )
        rk_start = self.start == "rk" and isinstance(self.sampler.method, Multistep)
        if self.sampler.parameterisation.quantity != "eps" or rk_start:
            raise InvalidArgument(
                f"t_start={t:.6g}: alpha is 0 there, which {name} with start={self.start!r} cannot "
                "step from; choose a smaller t_start"
            )


def _is_fixed(method: GridMethod) -> bool:
    """Tell whether the weights of past values do not depend on where they were taken."""
    return isinstance(method, Multistep) and bool(method.fixed)
