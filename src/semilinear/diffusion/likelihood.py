"""log p of a diffusion model: the change of variables along the probability-flow ODE.

With y = x / alpha and dy/drho = eps, the density changes by d log p / drho = -tr d eps / dy along a
path. That is one more equation of the same form for each sample: l = int tr(d eps / dy) drho, times
alpha, has the linear part and the weights of x, with tr(d eps / dy) as N. So the plan that encodes
x integrates l as well, with the same order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from math import exp, inf, log, pi, prod, sqrt
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device

from semilinear.answers import checked_samples, copied
from semilinear.diffusion import catalogue, grids
from semilinear.diffusion.arrays import accumulator
from semilinear.diffusion.catalogue import EPS_LAMBDA, Sampler
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.diffusion.divergence import Product, Trace
from semilinear.diffusion.inner_ends import inner_ends
from semilinear.diffusion.models import check_made_for, checked_model
from semilinear.diffusion.noise import Seed
from semilinear.diffusion.plan import plan
from semilinear.diffusion.predictions import readout
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.errors import InvalidArgument, ModelOutputError, NonFiniteError, shown
from semilinear.given import number
from semilinear.kernels import Backend
from semilinear.methods.adams import etdpec
from semilinear.progress import Progress

LinearisedModel = Callable[[Any, float], tuple[Any, Product]]
Prior = Callable[[Any], Any]

NFE = 72
"""Evaluations by default, whatever the method."""

PAIR = Sampler("logrho_pec4", EPS_LAMBDA, etdpec(4), etdpec(4).reference)
"""The default method: the exponential Adams pair of order four on eps over lambda, one evaluation a
step. Of those that were measured it errs least on the worst schedule, and on images."""


class LogLikelihood(NamedTuple):
    """The log-density of samples.

    Attributes
    ----------
    log_p
        In nats, shape (n,); float64 where the array library has it, on the device of x.
    latent
        The states at t_start to which the samples were carried.
    nfe
        Evaluations of the model that were made.
    standard_error
        Of `log_p`, by the choice of the probes: from the scatter between them, shape (n,); None
        where there is one, or where the trace is exact.
    error
        Of `log_p`, by the steps, shape (n,): its difference from a run with half of them; None if
        that was not asked for.
    """

    log_p: Any
    latent: Any
    nfe: int
    standard_error: Any
    error: Any

    def bits_per_dim(self, *, offset: float = 0.0) -> Any:
        """Return ``-log_p / (d ln 2) + offset``, shape (n,), d being the entries of a sample.

        Parameters
        ----------
        offset
            Bits by which the data were scaled up, for each entry: log2 of the levels per unit of x.
            Images of 256 levels on [-1, 1] have log2(256 / 2) = 7. Discrete data need uniform noise
            of one level's width first (Theis, van den Oord and Bethge 2016); the answer then is an
            upper bound of the bits that a code needs, and near to it only if sigma(t_end) is small
            beside that width: a sigma of a tenth of the width costs constant entries 0.2 bits, one
            as large as the width 1.3.
        """
        return self.log_p / (-log(2.0) * prod(self.latent.shape[1:])) + offset


def log_likelihood(
    model: LinearisedModel,
    x: Any,
    schedule: NoiseSchedule,
    *,
    method: str | Sampler = PAIR,
    steps: int | None = None,
    nfe: int | None = None,
    grid: str | grids.Grid | Sequence[float] | np.ndarray = "lambda",
    prediction: str = "eps",
    t_start: float | None = None,
    t_end: float | None = None,
    start: str = "ramp",
    divergence: str = "hutchinson",
    probes: int = 1,
    distribution: str = "rademacher",
    seed: Seed = None,
    prior: float | Prior | None = None,
    estimate_error: bool = False,
    progress: bool = False,
) -> LogLikelihood:
    """Return log p of samples under a diffusion model, at the time t_end.

    ``log p(x) = log prior(x_T) + d ln(alpha_T / alpha) + int tr(d eps / dy) drho``, from t_end up
    to t_start, x_T being where the probability-flow ODE carries x.

    Parameters
    ----------
    model
        ``model(x, t)`` returns the prediction and a function ``v -> J^T v``, J being the
        Jacobian of the prediction by x at (x, t); ``v -> J v`` will do as well, since only v^T J v
        counts. Both may write into what they are given, and return one buffer again and again.
        `semilinear.adapters.torch_linearised.linearised` makes it of a torch model;
        ``lambda x, t: jax.vjp(lambda x: network(x, t), x)`` is one. Samples must not depend on each
        other.
    x
        Samples at t_end, along the first axis; real, any array library.
    method
        A sampler with N = eps, without noise: by default `PAIR`, or a name such as
        ``"rho_kutta3"``, ``"logrhoab3"``.
    steps, nfe
        As in `diffusion.plan`, but 72 evaluations by default.
    schedule, grid, prediction, t_start, t_end, start
        As in `diffusion.plan`. Neither sigma at t_end nor alpha at t_start may be 0: where they are
        at the schedule's own ends, as for `Flow`, the times at which lambda is -7 and 7 are the
        defaults.
    divergence
        ``"hutchinson"``: unbiased estimates of the traces, by `probes` products for each
        evaluation. ``"exact"``: d products, for samples of few entries.
    probes, distribution, seed
        Vectors for each sample, the same all along; see `divergence.Trace`. Those of sample i
        depend on seed and i alone.
    prior
        The density at t_start: a standard deviation of centred normal data, by default
        sigma(t_start), or a function from states at t_start to logarithms of densities, shape
        (n,). With data of variance c, sqrt(alpha^2 c + sigma^2) is nearer to the truth where alpha
        at t_start is not small.
    estimate_error
        Whether to make a second run on every other grid time; half as many evaluations more.
    progress
        Whether to draw a progress bar on standard error.

    Returns
    -------
    LogLikelihood
        log p of each sample in nats, shape (n,), with the latents and the number of evaluations.

    Raises
    ------
    InvalidArgument
        If an argument cannot be used; among others, for methods with another N or with noise, and
        for a model that was made for another schedule or prediction.
    ModelOutputError, NonFiniteError
        If the model or its products return what they must not.

    References
    ----------
    Song et al. (2021), "Score-based generative modeling through SDEs", section 4.3; Zhang and Chen
    (2022), "Fast Sampling of Diffusion Models with Exponential Integrator".

    Examples
    --------
    Data that are normal of variance 1/4, eps = x sigma / (alpha^2 / 4 + sigma^2):

    >>> import numpy as np
    >>> from semilinear import diffusion
    >>> s = diffusion.VPLinear()
    >>> def model(x, t):
    ...     slope = s.sigma(t) / (s.alpha(t) ** 2 / 4 + s.sigma(t) ** 2)
    ...     return slope * x, lambda v: slope * v
    >>> found = log_likelihood(model, np.zeros((1, 2)), s)
    >>> bool(abs(found.log_p[0] + np.log(2 * np.pi / 4)) < 1e-2)
    True
    """
    if "complex" in str(checked_samples(x, "x").dtype):
        raise InvalidArgument(f"x has dtype {x.dtype}; densities are of real samples")
    check_made_for(checked_model(model, "model"), schedule, prediction)
    _check_method(method)
    if grids.is_rule(grid):
        t_start, t_end = inner_ends(schedule, t_start, t_end)
        if steps is None and nfe is None:
            nfe = NFE
    options: dict[str, Any] = {"method": method, "start": start, "direction": "encode"}
    made = plan(
        schedule, steps=steps, nfe=nfe, grid=grid, prediction=prediction, t_start=t_start,
        t_end=t_end, **options,
    )  # fmt: skip
    if made.t.ndim > 1:
        raise InvalidArgument(
            "t_start, t_end, grid: densities are at one time for all samples; give numbers, and "
            "call it for each time"
        )
    trace = Trace(x, divergence=divergence, probes=probes, distribution=distribution, seed=seed)
    log_prior = _checked_prior(prior, schedule.sigma(float(made.t[-1])))
    plans = [made]
    if estimate_error:
        plans.append(plan(schedule, grid=_halved(made), prediction=prediction, **options))
    total = sum(each.nfe for each in plans)
    with Progress(total, label=f"log p, {made.name}", show=progress) as bar:
        ticks = itertools.count(1)
        runs = []
        for each in plans:
            # Traces are N already, whatever the model predicts.
            aside = plan(schedule, grid=each.t[::-1], **options)
            runs.append(_run(each, aside, model, x, trace, lambda: bar.update(next(ticks))))
    estimates = [volume + log_prior(latent)[:, None] for latent, volume in runs]
    return _result(estimates, latent=runs[0][0], nfe=total)


def _run(
    made: DiffusionPlan,
    aside: DiffusionPlan,
    model: LinearisedModel,
    x: Any,
    trace: Trace,
    report: Callable[[], None],
) -> tuple[Any, Any]:
    """Return the states at t_start, and ln |det| of the way there, shape (n, estimates)."""
    xp, size = array_namespace(x), prod(x.shape[1:])
    state = made.start(x)
    zero = xp.zeros((x.shape[0], trace.width), dtype=trace.dtype, device=device(x))
    volume = aside.start(zero)
    while not state.done:
        t, where = state.t, f"evaluation {state.evaluation + 1} of {made.nfe} (t = {state.t:.9g})"
        answer, product = _both(model(copied(state.x), t), where)
        alpha = made.schedule.alpha(t)
        read = readout(made.prediction, alpha, made.schedule.sigma(t))
        state = made.advance(state, copied(answer))
        of_eps = float(read.p_eps) * size + float(read.q_eps) * trace(product, where)
        # In advance it is called N: here its name is what the caller knows.
        if not Backend(of_eps).is_finite(of_eps):
            raise NonFiniteError(
                f"the product with the Jacobian at {where} is NaN or infinite, where the "
                "prediction is finite; check the derivative of the model there"
            )
        volume = aside.advance(volume, alpha * of_eps)
        report()
    first, last = (made.schedule.log_alpha(float(made.t[end])) for end in (0, -1))
    return state.x, volume.x / exp(last) + size * (last - first)


def _result(estimates: list[Any], *, latent: Any, nfe: int) -> LogLikelihood:
    xp = array_namespace(estimates[0])
    means = [xp.mean(each, axis=1) for each in estimates]
    probes = estimates[0].shape[1]
    scatter = None
    if probes > 1:
        scatter = xp.std(estimates[0], axis=1, correction=1) / sqrt(probes)
    error = xp.abs(means[0] - means[1]) if len(means) > 1 else None
    return LogLikelihood(means[0], latent, nfe, scatter, error)


def _halved(made: DiffusionPlan) -> np.ndarray:
    """Return every other grid time, and both ends, from noise to data."""
    if made.steps < 2:
        raise InvalidArgument("estimate_error: one step cannot be halved; make it at least two")
    times = made.t[::2]
    if made.steps % 2:
        times = np.append(times, made.t[-1])
    return times[::-1]


def _checked_prior(prior: float | Prior | None, sigma: float) -> Prior:
    """Return the logarithm of the density at t_start as a function."""
    if callable(prior):
        return lambda latent: _of_samples(prior(latent), latent)
    deviation = sigma if prior is None else number(prior)
    if not 0 < deviation < inf:
        raise InvalidArgument(
            f"prior={shown(prior)} must be a positive standard deviation, or a function from "
            "states at t_start to logarithms of densities"
        )

    def normal(latent: Any) -> Any:
        xp, kind = array_namespace(latent), accumulator(latent)
        axes = tuple(range(1, len(latent.shape)))
        squares = xp.astype(latent / deviation, kind) ** 2
        total = xp.sum(squares, axis=axes) if axes else squares
        return -0.5 * total - prod(latent.shape[1:]) * (log(2 * pi) / 2 + log(deviation))

    return normal


def _of_samples(values: Any, latent: Any) -> Any:
    """Return what a prior gave, one number for each sample."""
    shape = getattr(values, "shape", None)
    if shape is None or tuple(shape) != tuple(latent.shape[:1]):
        found = type(values).__name__ if shape is None else f"shape {tuple(shape)}"
        raise ModelOutputError(
            f"prior returned {found}; it must return one number for each sample, an array of "
            f"shape {tuple(latent.shape[:1])}"
        )
    xp = array_namespace(latent)
    if bool(xp.any(xp.isnan(values))):  # a density of 0 is one
        raise NonFiniteError("prior returned NaN at finite states; check it there")
    return xp.astype(values, accumulator(latent))


def _both(output: Any, where: str) -> tuple[Any, Product]:
    """Return what a linearised model returned, or say what it should have been."""
    if isinstance(output, tuple) and len(output) == 2 and callable(output[1]):
        return output
    raise ModelOutputError(
        f"model at {where} returned {type(output).__name__}; for a likelihood it must return a "
        "pair: the prediction, and a function v -> J^T v"
    )


def _check_method(method: str | Sampler) -> None:
    sampler = catalogue.get(method)
    if sampler.noise is not None:
        raise InvalidArgument(
            f"method={sampler.name!r} adds noise, and a density follows the ODE; choose one "
            "without, such as 'rho_kutta3'"
        )
    quantity = sampler.parameterisation.quantity
    if quantity != "eps":
        raise InvalidArgument(
            f"method={sampler.name!r} has N = {quantity}, whose linear part is not that of the "
            "density; choose one with N = eps, such as 'rho_kutta3' or 'tab3'"
        )
