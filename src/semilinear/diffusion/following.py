"""The loop around a plan that is made already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from semilinear.answers import checked_samples, copied
from semilinear.course import Noise, State
from semilinear.diffusion.arrays import on_host, rms_of_samples
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.diffusion.models import Model, check_made_for, checked_model
from semilinear.diffusion.noise import Seed, SeededNoise, check_seed
from semilinear.errors import InvalidArgument, shown
from semilinear.methods.rows import BEFORE
from semilinear.progress import Progress
from semilinear.stepping import run


class Trajectory(NamedTuple):
    """The states at all grid points.

    Parameters
    ----------
    t
        Their times, `DiffusionPlan.t_formed`: the grid times, with the last one repeated after a
        final denoising evaluation; a second axis counts samples that have times of their own.
    x
        States, one array for each time.
    """

    t: np.ndarray
    x: tuple[Any, ...]
    estimates: np.ndarray | None = None
    """Root mean square of the error estimate of each step and sample, shape (len(t) - 1, samples).

    Of plans made with ``estimate=True``. NaN where there is none: of steps of order one that have
    no corrector (the first step of a ramp, the last with ``lower_end``, one from alpha = 0 or to
    sigma = 0), of Runge-Kutta steps without embedded value (start="rk"), and of a denoising
    evaluation.
    """


def follow(
    plan: DiffusionPlan,
    model: Model,
    x: Any,
    *,
    seed: Seed | Noise = None,
    callback: Callable[[State], None] | None = None,
    progress: bool = False,
    trajectory: bool = False,
    check_finite: bool = True,
    argument: str = "x",
) -> Any:
    """Run a model through a plan that is made already; parameters as in `sample`.

    The model gets an array of its own and its answer is copied (but for libraries whose arrays
    never change): it may write into the one, and return the other again and again. `argument` is
    what messages call x.

    Returns
    -------
    array or Trajectory
        The last state, like x in library, shape and dtype. With `trajectory` the states at all grid
        points, x the first, and the sizes of the error estimates of a plan that makes them.

    Raises
    ------
    InvalidArgument
        If `plan` is no plan of `diffusion.plan`, or one with ``estimate=True`` that neither
        `trajectory` nor a `callback` looks at; another argument cannot be used, or the model was
        made for another schedule or prediction.
    ModelOutputError
        If the model, or a `seed` that is a function, returns another shape or dtype than x's.
    NonFiniteError
        If x, an answer or noise has NaN or infinite entries, or a state overflows; with
        `check_finite` only.
    """
    if not isinstance(plan, DiffusionPlan):
        raise InvalidArgument(f"plan={shown(plan)} must be a plan of semilinear.diffusion.plan")
    check_made_for(checked_model(model, "model"), plan.schedule, plan.prediction)
    if callback is not None and not callable(callback):
        raise InvalidArgument(f"callback={shown(callback)} must be a function callback(state)")
    if plan.estimates and not trajectory and callback is None:
        raise InvalidArgument(
            f"estimate=True, in the plan of {plan.name}: nothing would show the estimates; give "
            "trajectory=True, or a callback that reads state.estimate"
        )
    if not plan.stochastic and not callable(seed):
        check_seed(seed)
    states = [copied(x)] if trajectory else []
    estimates: list[np.ndarray] = []
    drawn = seed
    if plan.stochastic and not callable(seed):
        drawn = SeededNoise(seed, checked_samples(x, argument))

    def after_step(state: State) -> None:
        if trajectory:
            if state.step > len(states):  # two at once
                states.append(state.slot(BEFORE))
                estimates.append(sizes_of(state.estimate_before, x))
            states.append(state.y)
            estimates.append(sizes_of(state.estimate, x))

    with Progress(plan.nfe, label=plan.name, show=progress) as bar:

        def after_evaluation(state: State) -> None:
            bar.update(state.evaluation)
            if callback is not None:
                callback(state)

        last = run(
            plan,
            lambda x, t: copied(model(copied(x), t)),
            x,
            after_step=after_step,
            after_evaluation=after_evaluation,
            check_finite=check_finite,
            noise=drawn if plan.stochastic else None,
            argument=argument,
        )
    if not trajectory:
        return last.x
    sizes = np.array(estimates) if plan.estimates else None
    return Trajectory(plan.t_formed, tuple(states), sizes)


def sizes_of(estimate: Any, like: Any) -> np.ndarray:
    """Return the root mean square of each sample; NaN without an estimate."""
    count = like.shape[0] if like.ndim else 1
    if estimate is None or 0 in like.shape:
        return np.full(count, np.nan)
    return rms_of_samples(estimate) if like.ndim else np.abs(on_host(estimate)).astype(float)[None]
