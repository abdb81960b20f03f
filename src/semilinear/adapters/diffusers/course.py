"""A plan for a pipeline: what set_timesteps makes, immutable."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from semilinear import diffusion
from semilinear.adapters.diffusers.churn import later_churn
from semilinear.adapters.diffusers.ladder import Ladder
from semilinear.adapters.diffusers.settings import Settings
from semilinear.diffusion.parameterisations import VELOCITY
from semilinear.diffusion.predictions import FINITE_AT_PURE_NOISE, readout
from semilinear.errors import InvalidArgument
from semilinear.methods import Multistep


class PipelineCourse:
    """The plan of a ladder, the same from any of its steps on, and what pipelines ask of it.

    Parameters
    ----------
    settings
        What the configuration says.
    ladder
        Where the steps lie.
    """

    def __init__(self, settings: Settings, ladder: Ladder) -> None:
        self.settings, self.ladder = settings, ladder
        self._refuse_noise_without_data()
        self.plan = self._plan_from(0)

    def __deepcopy__(self, memo: dict[int, Any]) -> PipelineCourse:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return PipelineCourse, (self.settings, self.ladder)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.ladder.times)

    @cached_property
    def told(self) -> np.ndarray:
        """What the network is told, for each evaluation."""
        times = np.array(self.plan.times)
        if self.ladder.told is None:
            return told_at(self.settings, times)
        # Evaluations inside a step lie between two of the timesteps that were given.
        told: np.ndarray = np.interp(times, *self._correspondence)
        return told

    @cached_property
    def scales(self) -> tuple[np.ndarray, np.ndarray]:
        """(alpha, sigma) at each evaluation and at the end."""
        path, end = self.settings.path, self.ladder.end
        times = np.array(self.plan.times)
        if end is not None:
            times = np.append(times, end)
        alpha, sigma = np.asarray(path.alpha(times)), np.asarray(path.sigma(times))
        if end is None:
            alpha, sigma = np.append(alpha, 1.0), np.append(sigma, 0.0)
        return alpha, sigma

    @cached_property
    def levels(self) -> np.ndarray:
        """The noise levels by which diffusers knows them: sigma / alpha, or sigma of a flow."""
        alpha, sigma = self.scales
        return sigma if self.settings.is_flow else sigma / alpha

    def time_of(self, told: np.ndarray) -> np.ndarray:
        """Return the times of the path at which the network is told these timesteps."""
        if self.ladder.told is None:
            return time_of(self.settings, told)
        times: np.ndarray = np.interp(told, *reversed(self._correspondence))
        return times

    @cached_property
    def _correspondence(self) -> tuple[np.ndarray, np.ndarray]:
        """Rising times and the timesteps that were given for them; at the ends of the path its own.

        An end is left out where the given ones have reached it.
        """
        assert self.ladder.told is not None
        times, told = self.ladder.times[::-1], self.ladder.told[::-1]
        path = self.settings.path
        ends = np.array([path.t_min, path.t_max])
        first, last = np.stack([ends, told_at(self.settings, ends)], axis=1)
        pairs = np.stack([times, told], axis=1)
        if (first < pairs[0]).all():
            pairs = np.vstack([first, pairs])
        if (last > pairs[-1]).all():
            pairs = np.vstack([pairs, last])
        return pairs[:, 0], pairs[:, 1]

    @cached_property
    def readouts(self) -> list[tuple[float, float]]:
        """(p, q) with x_0 = p x + q answer, for each evaluation."""
        alpha, sigma = (scale[:-1] for scale in self.scales)
        read = readout(self.settings.prediction, alpha, sigma)
        ones = np.ones_like(alpha)
        return list(zip((read.p_x0 * ones).tolist(), (read.q_x0 * ones).tolist(), strict=True))

    def check_start(self, evaluation: int) -> None:
        """Refuse to begin with another evaluation than the first where starting steps come first.

        Their evaluations stand in front of the others, so that those who count timesteps, as
        pipelines do for a strength, would begin with another noise than they mean.
        """
        if evaluation and self.settings.start == "rk" and self.plan.sampler.method.history:
            raise InvalidArgument(
                f"a run with start='rk' cannot begin with timestep number {evaluation}, counted "
                "from 0: starting steps take timesteps of their own, so that a strength would be "
                "counted wrongly; take start='ramp'"
            )

    @cached_property
    def starts(self) -> list[int]:
        """Number of the first evaluation of each step, with which a run can begin."""
        if isinstance(self.settings.sampler.noise, diffusion.Churn):
            # Steps begin with noise, and so at other times than those of the ladder.
            steps = self.plan.program.steps
            before = np.cumsum([0, *(step.evaluations for step in steps)])
            return [int(before[n]) for n, step in enumerate(steps) if step.evaluations]
        # At the end of a step its last stage is evaluated, then the first stage of the next one.
        last = {t: i for i, t in enumerate(self.plan.times)}
        return [last[t] for t in self.ladder.times.tolist()]

    def plan_from(self, evaluation: int) -> diffusion.DiffusionPlan:
        """Return the plan of a run that begins at an evaluation of the whole one, a start."""
        if evaluation == self.starts[0]:
            return self.plan
        first = self.starts.index(evaluation)
        return self._plan_from(first, begin=self.plan.times[evaluation])

    def _plan_from(self, first: int, *, begin: float | None = None) -> diffusion.DiffusionPlan:
        times, end = self.ladder.times[first:], self.ladder.end
        if begin is not None:
            times = np.array([begin, *times[1:]])
        s = self.settings
        prediction = "x0" if s.threshold is not None else s.prediction
        if end is None and len(times) == 1:
            return diffusion.plan(
                s.path, method="ddim", steps=1, t_start=float(times[0]), final="zero",
                prediction=prediction,
            )  # fmt: skip
        grid, final, lower_end = times, "denoise", False
        if end is not None:
            grid, final, lower_end = np.append(times, end), "t_end", s.lower_end
        elif self._goes_to_zero:
            final, lower_end = "zero", s.lower_end
        sampler = s.sampler
        if isinstance(sampler.noise, diffusion.Churn):
            count = len(grid) - (final != "zero")
            noise = later_churn(s, sampler.noise, self.ladder, times, count)
            sampler = sampler._replace(noise=noise)
        return diffusion.plan(
            s.path, method=sampler, grid=grid, final=final, prediction=prediction,
            exact=s.exact, lower_end=lower_end, start=s.start,
        )  # fmt: skip

    @property
    def _goes_to_zero(self) -> bool:
        """Whether the plan's own step to sigma = 0 is of first order, as the last one is here.

        Else it is written as what it is, an evaluation for x_0.
        """
        sampler = self.settings.sampler
        if sampler.parameterisation.variable == "t" and not self.settings.is_flow:
            return False
        if isinstance(sampler.noise, diffusion.Churn):
            return True  # noise may come before it
        if not isinstance(sampler.method, Multistep):
            return False
        return self.settings.lower_end or self.settings.corrects

    def _refuse_noise_without_data(self) -> None:
        s = self.settings
        at_noise = (s.zero_snr or s.is_flow) and self.ladder.times[0] == s.path.t_max
        if at_noise and s.is_flow and s.sampler.parameterisation.quantity == VELOCITY:
            raise InvalidArgument(
                f"method={s.sampler.name!r} cannot step from pure noise, where a flow begins; take "
                "method='ddim', whose steps on a flow are Euler's, or begin later by timesteps= or "
                "sigmas="
            )
        regular = s.sampler.parameterisation.is_regular_at_noise
        if at_noise and s.is_flow and s.start == "rk" and s.sampler.method.history and not regular:
            raise InvalidArgument(
                f"start='rk': method={s.sampler.name!r} cannot keep its order from pure noise, "
                "where a flow begins; take method='flow_ab4', which does, or start='ramp', or "
                "begin later by timesteps= or sigmas="
            )
        if at_noise and s.prediction not in FINITE_AT_PURE_NOISE:
            whose, types = "rescale_betas_zero_snr=True", "'v_prediction' or 'sample'"
            if s.is_flow:
                whose, types = "the path is a flow", "'flow_prediction', as flows have, " + types
            raise InvalidArgument(
                f"prediction_type='epsilon', and {whose}: the run begins at pure noise, where a "
                "prediction of the noise tells nothing of the data; begin later, or use a network "
                f"with prediction_type {types}"
            )


def told_at(settings: Settings, times: np.ndarray) -> np.ndarray:
    """Return what a network is told at times of the path."""
    return times * settings.training_steps if settings.is_flow else times


def time_of(settings: Settings, told: np.ndarray) -> np.ndarray:
    """Return the times of the path at which a network is told these timesteps."""
    return told / settings.training_steps if settings.is_flow else told
