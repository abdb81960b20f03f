"""`sample` and `encode`: the loop around a plan, for those who have none of their own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from semilinear.answers import checked_samples
from semilinear.course import Noise, State
from semilinear.diffusion import grids
from semilinear.diffusion.catalogue import Sampler
from semilinear.diffusion.fitting import choose
from semilinear.diffusion.following import follow
from semilinear.diffusion.models import Model
from semilinear.diffusion.noise import Seed
from semilinear.diffusion.plan import plan
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.stacked import Ends
from semilinear.errors import InvalidArgument

AUTO = "auto"
PILOT = (
    'raised while method="auto" tried the model on 4, 16 or 64 samples of its own; for a model '
    "that is bound to the batch of x_T take choose(..., fixed_batch=True).plan() and follow that"
)
"""Said of errors of a model there."""
log = logging.getLogger("semilinear")


def sample(
    model: Model,
    x_T: Any,
    schedule: NoiseSchedule,
    *,
    method: str | Sampler = "tab3",
    steps: int | None = None,
    nfe: int | None = None,
    grid: str | grids.Grid | Sequence[float] | np.ndarray | None = None,
    prediction: str = "eps",
    t_start: Ends | None = None,
    t_end: Ends | None = None,
    final: str = "t_end",
    start: str = "ramp",
    noise: Any = None,
    exact: bool = False,
    lower_end: bool | str = False,
    estimate: bool = False,
    seed: Seed | Noise = None,
    callback: Callable[[State], None] | None = None,
    progress: bool = False,
    trajectory: bool = False,
    check_finite: bool = True,
) -> Any:
    """Sample from a diffusion model.

    Parameters
    ----------
    model
        ``model(x, t)``: the prediction at state x and time t, a float; an array like x. It may
        write into x and return one buffer again and again. Where samples have times of their own
        (arrays as t_start, t_end or grid), t is an array of shape (samples,), of x's library and
        device, in x's real precision or single.
    x_T
        Noise at t_start: standard normal times sigma(t_start), any shape, any array library.
    schedule, method, steps, nfe, grid, prediction, t_start, t_end, final, start
        As in `diffusion.plan`. ``method="auto"`` has sampler, grid, ending and noise chosen by
        `diffusion.choose` for `nfe` evaluations on a pilot of its own, so that the result does not
        depend on x_T's neighbours; it costs what many images cost (see `choose`) and logs what it
        chose and why (logger "semilinear", level INFO; `progress` prints it). To choose once for
        many calls, use `choose`; a model that is bound to the labels or the mask of x_T needs
        ``choose(..., fixed_batch=True).plan()``.
    noise, exact, lower_end, estimate
        As in `diffusion.plan`; `trajectory`, or a callback, shows the estimates.
    seed
        Of the noise of stochastic samplers: an integer, a NumPy or torch generator, one of these
        for each sample, or a `SeededNoise`; see there. By default one that nobody knows. The first
        axis of x_T counts the samples.
    callback
        Called with the `State` after every evaluation; an exception it raises ends the run.
    progress
        Whether to draw a progress bar on standard error.
    trajectory
        Whether to return all grid points instead of the last; with `estimate` also the size of the
        error estimate of each step and sample.
    check_finite
        As in `Plan.start`.

    Returns
    -------
    array or Trajectory
        The sample, like x_T in library, shape and dtype.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used, as in `diffusion.plan`; if x_T is no array of floating
        numbers, or the model was made for another schedule or prediction.
    UnknownName
        If a name is not known, as in `diffusion.plan`.
    ModelOutputError
        If the model, or a `seed` that is a function, returns another shape or dtype than x_T's.
    NonFiniteError
        If x_T or an answer has NaN or infinite entries, or a state overflows; with `check_finite`
        only, but for the pilot of ``method="auto"``, which always checks.

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
    if isinstance(method, str) and method == AUTO:
        _refuse_beside_auto(
            steps=steps, t_end=t_end, noise=noise, grid=grid,
            final=None if final == "t_end" else final,
            start=None if start == "ramp" else start,
            exact=exact or None, lower_end=lower_end or None, estimate=estimate or None,
        )  # fmt: skip
        checked_samples(x_T, "x_T")
        begin: Any = t_start  # one for all: arrays are refused
        try:
            chosen = choose(
                model, x_T, schedule, nfe=10 if nfe is None else nfe, prediction=prediction,
                t_start=begin, progress=progress,
            )  # fmt: skip
        except Exception as error:
            if not isinstance(error, InvalidArgument):
                error.add_note(PILOT)
            raise
        log.info("%s", chosen.reason)
        if progress:
            sys.stderr.write(f"{chosen.reason}\n")
        made = chosen.plan()
    else:
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
            noise=noise,
            exact=exact,
            lower_end=lower_end,
            estimate=estimate,
        )
    return follow(
        made,
        model,
        x_T,
        seed=seed,
        callback=callback,
        progress=progress,
        trajectory=trajectory,
        check_finite=check_finite,
        argument="x_T",
    )


def encode(
    model: Model,
    x_0: Any,
    schedule: NoiseSchedule,
    *,
    method: str | Sampler = "tab3",
    steps: int | None = None,
    nfe: int | None = None,
    grid: str | grids.Grid | Sequence[float] | np.ndarray | None = None,
    prediction: str = "eps",
    t_start: Ends | None = None,
    t_end: Ends | None = None,
    start: str = "ramp",
    noise: Any = None,
    exact: bool = False,
    lower_end: bool | str = False,
    callback: Callable[[State], None] | None = None,
    progress: bool = False,
    trajectory: bool = False,
    check_finite: bool = True,
) -> Any:
    """Turn data into noise: the same ODE from t_end up to t_start, on the reversed grid.

    Sampling from the result with the same arguments gives x_0 back up to the error of the two runs.

    Parameters
    ----------
    model
        As in `sample`.
    x_0
        The state at t_end, any shape, any array library.
    schedule, method, steps, nfe, grid, prediction, t_start, t_end, start, exact
        As in `diffusion.plan`.
    noise
        0 for a sampler that draws noise by itself, such as ``"sa_solver"``: its form for the ODE.
        Any other is refused.
    lower_end
        As in `diffusion.plan`; the end is t_start here.
    callback, progress, check_finite
        As in `sample`.
    trajectory
        Whether to return all grid points instead of the last.

    Returns
    -------
    array or Trajectory
        The state at t_start, like x_0 in library, shape and dtype.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used, as in `sample`; among others, for samplers that draw noise,
        unless ``noise=0`` is given, and for most at ends where sigma or alpha is 0.
    UnknownName
        If a name is not known, as in `diffusion.plan`.
    ModelOutputError, NonFiniteError
        As in `sample`.
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
        noise=noise,
        exact=exact,
        lower_end=lower_end,
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
        argument="x_0",
    )


def _refuse_beside_auto(**arguments: Any) -> None:
    extra = [name for name, value in arguments.items() if value is not None]
    if extra:
        raise InvalidArgument(
            f'{" and ".join(extra)}: method="auto" chooses sampler, grid, ending and noise for '
            "nfe evaluations; leave it out, or name a method"
        )
