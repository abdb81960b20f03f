"""`sample` and `encode`: the loop around a plan, for those who have none of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from semilinear.course import State
from semilinear.diffusion import grids
from semilinear.diffusion.catalogue import Sampler
from semilinear.diffusion.plan import DiffusionPlan, plan
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.progress import Progress
from semilinear.stepping import run

Model = Callable[[Any, float], Any]


class Trajectory(NamedTuple):
    """The states at all grid points.

    Parameters
    ----------
    t
        Grid times, shape (steps + 1,); one more, repeated, after a final denoising evaluation.
    x
        States, one array for each time.
    """

    t: np.ndarray
    x: tuple[Any, ...]


def sample(
    model: Model,
    x_T: Any,
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
    callback: Callable[[State], None] | None = None,
    progress: bool = False,
    trajectory: bool = False,
    check_finite: bool = True,
) -> Any:
    """Sample from a diffusion model.

    Parameters
    ----------
    model
        ``model(x, t)``: the prediction at state x and time t, a float; an array like x. The output
        is kept by reference for some steps: return a new array each time.
    x_T
        Noise at t_start: standard normal times sigma(t_start), any shape, any array library.
    schedule, method, steps, nfe, grid, prediction, t_start, t_end, final, start
        As in `diffusion.plan`.
    callback
        Called with the `State` after every evaluation; an exception it raises ends the run.
    progress
        Whether to draw a progress bar on standard error.
    trajectory
        Whether to return all grid points instead of the last.
    check_finite
        As in `Plan.start`.

    Returns
    -------
    array or Trajectory
        The sample, like x_T in library, shape and dtype.

    Examples
    --------
    Data that are standard normal have the model eps(x, t) = sigma x / (alpha^2 + sigma^2):

    >>> import numpy as np
    >>> from semilinear import diffusion
    >>> s = diffusion.VPLinear()
    >>> x = np.random.default_rng(0).standard_normal((4, 2))
    >>> y = diffusion.sample(lambda x, t: s.sigma(t) * x, x, s, method="tab3", steps=10)
    >>> bool(np.abs(y - x).max() < 1e-2)
    True
    """
    made = plan(
        schedule,
        method=method,
        steps=steps,
        nfe=nfe,
        grid=grid,
        prediction=prediction,
        t_start=t_start,
        t_end=t_end,
        final=final,
        start=start,
    )
    return follow(
        made,
        model,
        x_T,
        callback=callback,
        progress=progress,
        trajectory=trajectory,
        check_finite=check_finite,
    )


def encode(
    model: Model,
    x_0: Any,
    schedule: NoiseSchedule,
    *,
    method: str | Sampler = "tab3",
    steps: int | None = None,
    nfe: int | None = None,
    grid: str | grids.Grid | Sequence[float] | np.ndarray = "quadratic",
    prediction: str = "eps",
    t_start: float | None = None,
    t_end: float | None = None,
    start: str = "ramp",
    callback: Callable[[State], None] | None = None,
    progress: bool = False,
    trajectory: bool = False,
    check_finite: bool = True,
) -> Any:
    """Turn data into noise: the same ODE from t_end up to t_start, on the reversed grid.

    Parameters are those of `sample`; `x_0` is the state at t_end. Sampling from the result gives
    x_0 back up to the error of the two runs.
    """
    made = plan(
        schedule,
        method=method,
        steps=steps,
        nfe=nfe,
        grid=grid,
        prediction=prediction,
        t_start=t_start,
        t_end=t_end,
        start=start,
        direction="encode",
    )
    return follow(
        made,
        model,
        x_0,
        callback=callback,
        progress=progress,
        trajectory=trajectory,
        check_finite=check_finite,
    )


def follow(
    made: DiffusionPlan,
    model: Model,
    x: Any,
    *,
    callback: Callable[[State], None] | None = None,
    progress: bool = False,
    trajectory: bool = False,
    check_finite: bool = True,
) -> Any:
    """Run a model through a plan that is made already; parameters as in `sample`."""
    states = [x]

    def after_step(state: State) -> None:
        if trajectory:
            states.append(state.y)

    with Progress(made.nfe, label=made.name, show=progress) as bar:

        def after_evaluation(state: State) -> None:
            bar.update(state.evaluation)
            if callback is not None:
                callback(state)

        last = run(
            made,
            model,
            x,
            after_step=after_step,
            after_evaluation=after_evaluation,
            check_finite=check_finite,
        )
    if not trajectory:
        return last.x
    extra = len(states) - len(made.t)
    return Trajectory(np.append(made.t, made.t[-1:].repeat(extra)), tuple(states))
