"""The plan of a sampler: schedule, parameterisation, method, grid and ending, made once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from semilinear.diffusion import catalogue, grids
from semilinear.diffusion.catalogue import FLOW_T, Sampler
from semilinear.diffusion.diffusion_plan import DiffusionPlan, Recipe
from semilinear.diffusion.endings import (
    DENOISE,
    FINALS,
    denoise_coefficients,
    pure_noise_coefficients,
)
from semilinear.diffusion.layout import ZERO, Layout
from semilinear.diffusion.noise_levels import noise_level
from semilinear.diffusion.noise_splits import MOST_GAMMA, Churn
from semilinear.diffusion.noise_text import written_noise
from semilinear.diffusion.noisy_samplers import with_noise
from semilinear.diffusion.predictions import check_prediction
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.schedules_base import checked_schedule
from semilinear.diffusion.stacked import Ends, of_samples, stacked
from semilinear.errors import InvalidArgument, UnknownName, shown
from semilinear.given import finite_number, flag, whole_number
from semilinear.methods import STARTS, etdab
from semilinear.methods.estimates import has_estimate
from semilinear.program import Program


def plan(
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
        ``"uniform"`` or ``"quadratic"`` in t, ``"lambda"``, ``"karras"``, ``"mixed"``; a rule of
        `diffusion.grids`; or decreasing times. Times of shape (steps + 1, samples) give each sample
        of a batch its own. By default the `default_grid` of the schedule: ``"quadratic"``, and
        ``"karras"`` for `EDM`.
    prediction
        What the model returns: ``"eps"``, ``"x0"``, ``"score"``, ``"v"`` or ``"flow"``.
    t_start, t_end
        Ends of the grid; the schedule's own by default. Arrays of shape (samples,) give each sample
        of a batch its own, and the grid that it would have alone.
    final
        ``"t_end"``: stop at t_end. ``"zero"``: the last step goes on from t_end to sigma = 0, in
        the limit; `steps` counts it. ``"denoise"``: one more evaluation at t_end returns x_0.
    start
        For multistep methods, ``"ramp"`` (published: growing order) or ``"rk"`` (keeps the order).
    noise
        How much noise enters: ``Tau``, ``Eta``, ``RhoPower``, ``Ancestral``, ``Churn``, or these in
        writing, such as ``"eta=0.5"``; or a number or a function of t, the noise level tau (0: the
        ODE, 1: the reverse SDE). By default what the sampler's name says, none for most.
    exact
        Whether weights that are simplified where a sampler was published (DPM-Solver, UniPC,
        SA-Solver, iPNDM) are replaced by the exact ones; others are exact anyway.
    lower_end
        Whether the order of a multistep method falls to one towards the end, as DPM-Solver++ and
        UniPC do on few steps. ``"zero"``: only of a last step to sigma = 0, which then is x_0 of
        its evaluation. One-step methods stay as they are.
    estimate
        Whether every step also gives an estimate of its local error, `State.estimate`: the
        difference from the result of one order less. It costs no evaluation. Of multistep samplers
        of order two and more, but for those of fixed weights (iPNDM, unless ``exact=True``), of
        predictor-corrector pairs, and of embedded pairs that need no N at the end of the step.
    direction
        ``"sample"``: noise to data; ``"encode"``: data to noise on the reversed grid.

    Returns
    -------
    DiffusionPlan
        Immutable; with `t`, `times`, `nfe`, `transfer`, `weights`, `rows`, `start` and `advance`.
        With times by sample a `StackedPlan`, for batches of that many samples: the model is asked
        with an array of times, one for each.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used, or some do not go together: the method with the noise, the
        ends with the grid, the prediction or the direction.
    UnknownName
        If `method`, `grid`, `prediction`, `final`, `start` or `direction` is no known name.

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
    samples = of_samples(grid, t_start, t_end)
    if samples is not None:
        make = partial(
            plan, schedule, method=method, steps=steps, nfe=nfe, prediction=prediction,
            final=final, start=start, noise=noise, exact=exact, lower_end=lower_end,
            estimate=estimate, direction=direction,
        )  # fmt: skip
        return stacked(samples, make)
    sampler = catalogue.get(method)
    if flag("exact", exact) and sampler.exact is not None:
        sampler = sampler._replace(method=sampler.exact, exact=None)
    given = sampler.noise if noise is None else noise
    if isinstance(given, str):
        given = written_noise(given)
    sampler, level = with_noise(sampler, None if given is None else noise_level(given))
    _check_words(schedule, prediction, final, start, direction)
    if direction == "encode":
        sampler = _encoder(sampler, schedule)
    if not (isinstance(lower_end, str) and lower_end == ZERO):
        flag("lower_end", lower_end, f"True, False or {ZERO!r}")
    points: np.ndarray | None = None
    if grid is None:
        grid = schedule.default_grid
    if not grids.is_rule(grid):
        _refuse_beside_grid(steps=steps, nfe=nfe, t_start=t_start, t_end=t_end)
        grid = points = grids.explicit(grid)
        t_start, t_end = float(points[0]), float(points[-1])
        checked_time(schedule, "grid[0]", t_start)
        checked_time(schedule, "grid[-1]", t_end)
    first = schedule.t_start if t_start is None else checked_time(schedule, "t_start", t_start)
    last = schedule.t_end if t_end is None else checked_time(schedule, "t_end", t_end)
    if flag("estimate", estimate) and not has_estimate(sampler.method):
        raise InvalidArgument(_without_estimate(sampler))
    layout = Layout(
        schedule, sampler, first, last, final=final, start=start, direction=direction,
        noise=level, lower_end=lower_end, estimate=estimate,
    )  # fmt: skip
    if points is None:
        count = _count(layout, steps, nfe)
    else:
        count = len(points) - 1 + layout.adds_step_to_data
    times = layout.times(grid, count)
    if direction == "encode":
        times = times[::-1].copy()
    layout.check(times, prediction)
    recipe = Recipe(first, last, final, start, lower_end, direction, estimate)
    return _assemble(layout, times, prediction, recipe)


def _assemble(layout: Layout, times: np.ndarray, prediction: str, recipe: Recipe) -> DiffusionPlan:
    schedule = layout.schedule
    steps, ends, u, tau_squared = layout.path(times)
    parameterisation = layout.sampler.parameterisation
    parameterisation.check_formulas(schedule, prediction, tau_squared)
    given: dict[int, Sequence[float]] = {}
    if layout.begins_apart:
        assert layout.quantity is not None
        quantity = layout.quantity
        given[0] = pure_noise_coefficients(schedule, prediction, quantity, times[0], times[1])
    if steps[-1] is DENOISE:
        given[len(steps) - 1] = denoise_coefficients(schedule, prediction, times[-1])
    scale = 1.0 if layout.noise is None else layout.noise.scale
    program = Program(
        tuple(steps),
        parameterisation.propagator(schedule, tau_squared=tau_squared, noise_scale=scale),
        u,
        tell=parameterisation.tell(schedule, prediction),
        given=given,
    )
    # Grid times as they were given: a round trip through rho or lambda would round them.
    asked = program.at_grid_points(ends)
    between = np.isnan(asked)
    if between.any():
        asked[between] = _times(layout, program.evaluation_points()[between])
    return DiffusionPlan(
        program,
        times=asked.tolist(),
        t=times,
        schedule=schedule,
        sampler=layout.sampler,
        prediction=prediction,
        path_times=ends,
        recipe=recipe,
    )


def _encoder(sampler: Sampler, schedule: NoiseSchedule) -> Sampler:
    """Return the sampler in a cell in which its path may be followed to both ends, if there is."""
    cell = sampler.parameterisation
    same = sampler.method == etdab(1) and cell.quantity in ("eps", "x0")
    # A step that holds eps holds x_0, and so eps - x_0.
    if same and FLOW_T.is_straight(schedule):
        return sampler._replace(parameterisation=FLOW_T)
    return sampler


def _without_estimate(sampler: Sampler) -> str:
    """Say that a sampler has no estimate, and which have one."""
    says = f"estimate: {sampler.name} has no estimate of its error"
    if sampler.exact is not None and has_estimate(sampler.exact):
        return f"{says}, since its weights are fixed; with exact=True it has one"
    return (
        f"{says}; multistep samplers of order two and more without fixed weights, "
        "predictor-corrector pairs and embedded pairs that need no N at the end of a step have one"
    )


def _times(layout: Layout, u: np.ndarray) -> np.ndarray:
    """Return the times of evaluations that do not lie at grid points."""
    try:
        return np.asarray(layout.variable.to_t(layout.schedule, u))
    except InvalidArgument as error:
        if layout.noise is None:
            raise
        remedy = "move t_start or t_end inside"
        if isinstance(layout.noise, Churn):
            most = 0.99 * layout.schedule.rho(layout.schedule.t_max) / (1 + MOST_GAMMA)
            remedy += f", or keep its noise below by Churn(..., high={most:.3g})"
        raise InvalidArgument(
            f"noise={layout.noise!r}: {layout.sampler.name} would ask the model outside the times "
            f"of {layout.schedule!r} ({error}); {remedy}"
        ) from None


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


def checked_time(schedule: NoiseSchedule, argument: str, value: Any) -> float:
    """Return a time inside of the domain of a schedule, or refuse it."""
    time = finite_number(argument, value)
    low, high = schedule.t_min, schedule.t_max
    if not low <= time <= high:
        raise InvalidArgument(
            f"{argument}={shown(value)} lies outside the domain [{low}, {high}] of the times of "
            f"{schedule!r}"
        )
    return time


def _refuse_beside_grid(**arguments: Any) -> None:
    extra = [name for name, value in arguments.items() if value is not None]
    if extra:
        raise InvalidArgument(f"grid gives the times itself; leave out {', '.join(extra)}")


def _check_words(schedule: Any, prediction: str, final: str, start: str, direction: str) -> None:
    checked_schedule(schedule)
    check_prediction(prediction)
    known = (
        ("final", final, FINALS),
        ("start", start, STARTS),
        ("direction", direction, ("sample", "encode")),
    )
    for argument, value, names in known:
        UnknownName.check(argument, value, names)
