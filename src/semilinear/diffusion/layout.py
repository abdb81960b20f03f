"""The sequence of steps of a sampler between the two ends of a path, for any number of steps."""

from __future__ import annotations

from functools import cached_property
from math import inf
from typing import Any, NamedTuple

import numpy as np

from semilinear.diffusion import grids
from semilinear.diffusion.catalogue import FLOW_T, Sampler
from semilinear.diffusion.endings import DENOISE, PURE_NOISE
from semilinear.diffusion.inner_ends import inner_ends
from semilinear.diffusion.noise_legs import checked_legs
from semilinear.diffusion.noise_levels import FORWARD, Leg, NoiseLevel
from semilinear.diffusion.parameterisations import VELOCITY
from semilinear.diffusion.predictions import FINITE_AT_PURE_NOISE, readout
from semilinear.diffusion.probability_flow import ODE
from semilinear.diffusion.quantities import Quantity
from semilinear.diffusion.quantity_checks import check_end, check_start
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.variables import VARIABLES
from semilinear.errors import InvalidArgument
from semilinear.methods import GridMethod, Multistep, Tapered, etdab, sequence
from semilinear.methods.estimates import with_estimate
from semilinear.methods.known import with_known_part
from semilinear.methods.noise import TRANSITION, TRANSITION_SHOWN, with_noise
from semilinear.methods.rows import ERROR, Step
from semilinear.methods.sequence import showing_its_start

ZERO = "zero"
"""As `lower_end`: of a last step to sigma = 0 alone."""


class Path(NamedTuple):
    """The steps of a run.

    Parameters
    ----------
    steps
        With the noise they draw.
    times
        Where they end, one more than steps; NaN inside of a step that noise splits.
    u
        The same in the variable.
    tau_squared
        Noise level of each step, or one for all.
    """

    steps: list[Step]
    times: np.ndarray
    u: np.ndarray
    tau_squared: np.ndarray


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
        noise: NoiseLevel | None = None,
        lower_end: bool | str = False,
        estimate: bool = False,
    ) -> None:
        self.schedule, self.sampler, self.final, self.start = schedule, sampler, final, start
        self.t_start, self.t_end = t_start, t_end
        self.encoding = direction == "encode"
        if self.encoding and final != "t_end":
            raise InvalidArgument(f"final={final!r} belongs to sampling; encode with final='t_end'")
        self.variable = VARIABLES[sampler.parameterisation.variable]
        self.quantity = sampler.parameterisation.formulas
        self.table = sampler.parameterisation.table
        self.noise, self.estimate = noise, estimate
        self.lower_zero = lower_end == ZERO
        self.lower_end = bool(lower_end) and not self.lower_zero
        if noise is not None and self.encoding:
            said = f"noise={noise!r}"
            if noise == sampler.noise:
                said = f"method={sampler.name!r} draws noise by itself, {said}"
            raise InvalidArgument(f"{said}: encoding follows the ODE, without noise; give noise=0")

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
        if self.variable.is_time and not np.isfinite(zero):
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

    @cached_property
    def begins_apart(self) -> bool:
        """Whether that step has coefficients of its own.

        In rho and lambda it begins at infinity; with eps or the score as N its flow is infinite.
        """
        return self.begins_in_noise and not self.sampler.parameterisation.is_regular_at_noise

    def sequence(self, count: int) -> list[Step]:
        """Return the steps of a run, the ones at the two ends included."""
        method = self.sampler.method
        if self.begins_apart:
            # In rho and lambda the first point lies at infinity: no polynomial goes through it.
            known = int(self.variable.is_time or _is_fixed(method))
            steps = [PURE_NOISE, *self._inner(method, count - 1, known=known)]
        else:
            most = count - 1 if self.reaches_data else count
            steps = self._inner(method, count, start=self.start, most=most)
        if self.reaches_data and not self._steps_into_data(method) and steps[-1] is not PURE_NOISE:
            asks = steps[-1].evaluations > 0
            last = etdab(1).step(0, evaluated=not asks)
            last = last if asks else showing_its_start(last)
            steps[-1] = with_estimate(last, etdab(1)) if self.estimate else last
        if self.final == "denoise" and not self.reaches_data:
            steps.append(DENOISE)
        return steps

    def _inner(
        self,
        method: GridMethod,
        count: int,
        *,
        start: str = "ramp",
        most: int | None = None,
        known: int = 0,
    ) -> list[Step]:
        steps = sequence(
            method, count, start=start, most=most, known=known,
            lower_end=self.lower_end, correct_end=False,
        )  # fmt: skip
        return [with_estimate(step, method) for step in steps] if self.estimate else steps

    def _steps_into_data(self, method: GridMethod) -> bool:
        """Tell whether the method itself makes a last step to sigma = 0, in its limit.

        Stages must lie at times that the model knows; in lambda the end is infinitely far, and x_0,
        whose weight lies there alone, cannot be extrapolated to it.
        """
        in_lambda = self.variable.at_data == np.inf
        if isinstance(method, Multistep):
            # Past values saw other noise, and their weights grow with the number of steps.
            if method.history and (self.noise is not None or self.lower_zero):
                return False
            weighs_end = self.quantity is not None and self.quantity.peak == np.inf
            return not (in_lambda and (weighs_end or method.simplified))
        tableau = method.last[-1] if isinstance(method, Tapered) else method
        return not in_lambda and 1 not in tableau.c and np.isfinite(self._data_time)

    def path(self, times: np.ndarray) -> Path:
        """Return the steps between grid times, with their noise."""
        steps = self.sequence(len(times) - 1)
        if self.table is not None and self.table.drifts:
            steps = [with_known_part(step) for step in steps]
        if self.noise is None:
            ends = times if len(steps) < len(times) else np.append(times, times[-1])
            return Path(steps, ends, self._u(ends), ODE)
        lams = self._lams(times)
        legs = [
            (step, leg) for n, step in enumerate(steps) for leg in self._legs(times, lams, n, step)
        ]
        made: list[Step] = []
        for step, leg in legs:
            made.append(_noisy(step, leg, made[-1] if made else None))
        ends = np.array([times[0], *(np.nan if leg.t is None else leg.t for _, leg in legs)])
        u = np.empty(len(ends))
        known = np.isfinite(ends) | (ends == -np.inf)
        u[known] = self._u(ends[known])
        lam = np.array([np.nan, *(leg.lam for _, leg in legs)])
        u[~known] = self.variable.of_lam(self.schedule, lam[~known])
        return Path(made, ends, u, np.array([leg.tau_squared for _, leg in legs]))

    def _u(self, times: np.ndarray) -> np.ndarray:
        """Return the variable at grid times, the last of which may lie at sigma = 0."""
        if not self.reaches_data:
            return np.array(self.variable.of_t(self.schedule, times), dtype=float)
        at_data = self.variable.at_data
        end = times[-1] if at_data is None else at_data
        inner = np.array(self.variable.of_t(self.schedule, times[:-1]), dtype=float)
        return np.append(inner, end)

    def _lams(self, times: np.ndarray) -> list[float]:
        """Return lambda at grid times, the last of which may lie at sigma = 0."""
        known = times[:-1] if self.reaches_data else times
        found: list[float] = self.schedule.lam(known).tolist()
        return [*found, inf] if self.reaches_data else found

    def _legs(self, times: np.ndarray, lams: list[float], n: int, step: Step) -> list[Leg]:
        """Return the parts of step n."""
        count = len(times) - 1
        assert self.noise is not None
        if step is DENOISE:
            return [Leg(np.nan, 0.0, float(times[-1]))]
        if step is PURE_NOISE:
            return [Leg(np.nan, 0.0, float(times[n + 1]))]
        last = n == count - 1 and self.reaches_data
        t, t_next = float(times[n]), float(times[n + 1])
        rule = self.noise.last_legs if last else self.noise.legs
        return checked_legs(
            self.noise, rule(self.schedule, t, t_next, count), lams[n], lams[n + 1], t_next,
            evaluations=step.evaluations,
        )  # fmt: skip

    def check(self, times: np.ndarray, prediction: str) -> None:
        """Refuse what has no limit at the ends, or lies outside of a table."""
        if self.table is not None:
            end = np.inf if self.reaches_data else self.schedule.lam(times[-1])
            name = f"method={self.sampler.name!r}"
            self.table.check_covers(self.schedule.lam(times[0]), end, argument=name)
        if self.encoding:
            self._check_encoding(times, prediction)
        own = self.sampler.parameterisation.quantity
        if isinstance(own, Quantity) and self.reaches_data and len(times) > 1 + self.begins_apart:
            check_end(own, float(self.schedule.alpha_of_lam(inf)))
        if not self.begins_in_noise:
            return
        name, t = self.sampler.name, self.t_start
        if isinstance(own, Quantity) and not self.begins_apart:
            check_start(own, self.schedule.alpha(t), self.schedule.sigma(t), t)
        if prediction not in FINITE_AT_PURE_NOISE:
            raise InvalidArgument(
                f"t_start={t:.6g}: alpha is 0 there, where prediction={prediction!r} tells nothing "
                f"of the data; choose a smaller t_start or one of {FINITE_AT_PURE_NOISE}"
            )
        if self.sampler.parameterisation.quantity == VELOCITY:
            raise InvalidArgument(
                f"t_start={t:.6g}: alpha is 0 there, which {name} cannot step from; choose a "
                "smaller t_start"
            )
        if self.begins_apart and self.start == "rk" and self.sampler.method.history:
            raise InvalidArgument(
                f"t_start={t:.6g}: alpha is 0 there, which {name} with start='rk' cannot step "
                "from; choose a smaller t_start, start='ramp', or a sampler in x0, v or flow over "
                "t, such as 'flow_ab4', which keeps its order from there"
            )

    def _check_encoding(self, times: np.ndarray, prediction: str) -> None:
        """Refuse ends at sigma = 0 or alpha = 0, unless N is finite there and dx/dt."""
        alpha, sigma = self.schedule.alpha(times[[0, -1]]), self.schedule.sigma(times[[0, -1]])
        if sigma[0] > 0 and alpha[-1] > 0:
            return
        cell = self.sampler.parameterisation
        if cell.is_straight(self.schedule) and self.quantity is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                read = self.quantity.read(readout(prediction, alpha, sigma), alpha, sigma)
            if np.isfinite(read).all():
                return
        first, last = inner_ends(self.schedule, None, None)
        straight = FLOW_T.is_straight(self.schedule)
        other = ", or 'ddim' or a flow_ method with prediction='flow' or 'v'" if straight else ""
        raise InvalidArgument(
            f"t_start={times[-1]:.6g}, t_end={times[0]:.6g}: encoding by {self.sampler.name} from "
            f"{prediction} cannot begin at sigma = 0 nor end at alpha = 0; choose ends inside the "
            f"path, such as t_start={first:.4g}, t_end={last:.4g}{other}"
        )


def _noisy(step: Step, leg: Leg, before: Step | None) -> Step:
    """Return what runs on a part of a step after what ran `before`."""
    if leg.tau_squared == 0:
        return step
    if leg.tau_squared != FORWARD:
        return with_noise(step)
    return TRANSITION_SHOWN if before is not None and ERROR in before.shown else TRANSITION


def _is_fixed(method: GridMethod) -> bool:
    """Tell whether the weights of past values do not depend on where they were taken."""
    return isinstance(method, Multistep) and method.ignores_grid
