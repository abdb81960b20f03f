"""The loop of a k-diffusion sampler around a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from semilinear.adapters import k_diffusion_plan as made
from semilinear.adapters.k_diffusion_answers import Answers, prediction_for
from semilinear.adapters.torch_samples import handed_out, is_untouched, like_state, moved, precise
from semilinear.course import Noise, State
from semilinear.diffusion import (
    EDM,
    NoiseLevel,
    NoiseSchedule,
    Sampler,
    SeededNoise,
    TauWithin,
    plan,
)
from semilinear.errors import InvalidArgument, MissingDependency

Model = Callable[..., Any]
"""``model(x, sigma, **extra_args)``."""

Arguments = Mapping[str, Any] | None
Callback = Callable[[dict[str, Any]], None] | None

NoiseSampler = Callable[[Any, Any], Any] | None
"""From (sigma, sigma_next) to standard normal numbers like x; or a `SeededNoise`."""


def sample(
    model: Model,
    x: Any,
    sigmas: Any,
    extra_args: Arguments = None,
    callback: Callback = None,
    disable: bool | None = None,
    *,
    method: str | Sampler = "logrhoab2",
    noise: NoiseLevel | float | Callable[[float], float] | None = None,
    noise_sampler: NoiseSampler = None,
    exact: bool = False,
    lower_end: bool | str | None = None,
    start: str = "ramp",
    schedule: NoiseSchedule | None = None,
) -> Any:
    """Run any sampler, under `torch.no_grad`.

    Parameters
    ----------
    model
        ``model(x, sigma, **extra_args)`` with sigma of shape (n,): the denoised x_0, like x.
    x
        Tensor of shape (n, ...): noise, scaled by ``sigmas[0]``. If it is of half precision, so is
        what the model sees, but the run keeps single precision in between, and so is a sigma that
        is too large for half.
    sigmas
        Decreasing noise levels, one more than steps; the last may be 0. Copied to the host once.
        With fewer than two there is no step, and x is returned.
    extra_args
        Keyword arguments of the model.
    callback
        Called once for each step, after the first evaluation that belongs to it, with a dictionary:
        ``x`` and ``denoised`` of this evaluation, ``i`` of the step, ``sigma`` of the step
        (``sigmas[i]``), ``sigma_hat`` of the evaluation. What it writes into ``x`` counts.
    disable
        Whether to draw no progress bar; None: only on a terminal. Without tqdm there is none.
    method
        A name of `NAMES` or a `semilinear.diffusion.Sampler`. Since t is sigma and alpha is 1,
        ``tab`` is the same as ``rhoab``, and ``euler`` as ``ddim``.
    noise, exact, lower_end, start
        As in `semilinear.diffusion.plan`, but by default a last step to 0 is of order one and gives
        the denoised x (``lower_end="zero"``); only that of ``lms`` keeps its order, as in
        k-diffusion (``lower_end=False``).
    noise_sampler
        ``noise_sampler(sigma, sigma_next)``: standard normal numbers like x, asked once for each
        increment with the two ends between which it enters, tensors on the host; a method with
        stages has several in a step, of which each is part of all later states of it. Or a
        `semilinear.diffusion.SeededNoise`, of which a sample does not depend on the batch around
        it. By default ``torch.randn_like(x)``, of which it does.
    schedule
        What `sigmas` are times of; ``EDM()`` by default, with t = sigma. ``Flow()`` is for flow
        models, x = (1 - sigma) x_0 + sigma eps: methods without noise are right for these by
        default as well, methods with noise are not.

    Returns
    -------
    torch.Tensor
        x at ``sigmas[-1]``.

    Raises
    ------
    InvalidArgument
        If sigmas do not decrease, or the method cannot step between them.
    """
    torch = torch_module()
    kept = state_dtype(torch, x)
    found = made.sampler(method)
    own = found.noise
    if noise is None and isinstance(own, TauWithin):
        noise = made.noise_level(
            found, eta=own.tau, s_noise=own.scale, s_tmin=made.LOW, s_tmax=made.HIGH
        )
    if lower_end is None:
        lower_end = False if method == "lms" else "zero"
    sigmas, points = _points(torch, sigmas)
    if len(points) < 2:
        return x
    schedule = EDM() if schedule is None else schedule
    through = plan(
        schedule, method=found, grid=points, prediction=prediction_for(found, schedule, points[0]),
        noise=noise, exact=exact, lower_end=lower_end, start=start,
    )  # fmt: skip
    begins, increments = made.marks(through)
    given = x.detach().to(kept)
    drawn = _noise(torch, given, sigmas.dtype, increments, noise_sampler)
    with torch.no_grad(), progress_bar(through.steps, disable) as bar:
        report, answers = _Report(sigmas, points, begins, callback, bar), Answers(through, given)
        # Elsewhere a check would wait for the device once for each evaluation.
        state = through.start(given, check_finite=x.device.type == "cpu", noise=drawn)
        while not state.done:
            seen, version = handed_out(state, x.dtype)
            answer = model(seen, levels(torch, seen, state.t), **(extra_args or {}))
            told = answers.read(state, answer)
            report(seen, state, answer)
            if not is_untouched(seen, version):
                state = moved(through, state, precise(seen, state.x))
            state = through.advance(state, answers.kept(state, told))
    return state.x.to(x.dtype)


class _Report(NamedTuple):
    """What is shown of a run: the callback, and the progress bar."""

    sigmas: Any
    points: list[float]
    begins: tuple[int | None, ...]
    callback: Callback
    bar: Any

    def __call__(self, x: Any, state: State, denoised: Any) -> None:
        """Show an evaluation, if it begins a step."""
        i = self.begins[state.evaluation]
        if i is None:
            return
        if self.bar is not None:
            self.bar.update()
        if self.callback is None:
            return
        sigma = self.sigmas[i]
        same = state.t == self.points[i]
        hat = sigma if same else self.sigmas.new_tensor(state.t)
        self.callback({"x": x, "i": i, "sigma": sigma, "sigma_hat": hat, "denoised": denoised})


def _points(torch: Any, sigmas: Any) -> tuple[Any, list[float]]:
    """Return sigmas as a tensor, and on the host; or refuse them."""
    if not isinstance(sigmas, torch.Tensor):
        sigmas = torch.tensor(np.asarray(sigmas, dtype=np.float64))  # a plan's times are read-only
    if not (sigmas.is_floating_point() or sigmas.is_complex()):
        sigmas = sigmas.to(torch.get_default_dtype())  # in which a sigma with churn can be told
    if sigmas.ndim != 1:
        raise InvalidArgument(
            f"sigmas has shape {tuple(sigmas.shape)}; it must have one axis, of noise levels"
        )
    points: list[float] = sigmas.detach().cpu().double().tolist()
    if not all(0 <= sigma < np.inf for sigma in points):
        raise InvalidArgument("sigmas must be finite and at least 0")
    if len(points) > 1 and points[0] < points[-1]:
        raise InvalidArgument(
            f"sigmas increase, from {points[0]:.6g} to {points[-1]:.6g}: that turns data into "
            "noise; use semilinear.diffusion.encode(..., semilinear.diffusion.EDM(), grid=...)"
        )
    for i, (sigma, following) in enumerate(pairwise(points)):
        if not following < sigma:
            raise InvalidArgument(
                f"sigmas must decrease strictly, but sigmas[{i}] = {sigma:.9g} is followed by "
                f"{following:.9g}; leave one of them out"
            )
    return sigmas, points


def _noise(
    torch: Any,
    like: Any,
    kind: Any,
    increments: Mapping[tuple[int, int], tuple[float, float]],
    noise_sampler: NoiseSampler,
) -> Noise:
    """Return what a plan draws, each number once."""

    def drawn(k: int, i: int) -> Any:
        if noise_sampler is None:
            return torch.randn_like(like)
        asked: tuple[Any, ...] = (k, i)
        if not isinstance(noise_sampler, SeededNoise):
            # On the host, so that a noise sampler may look at them without waiting for the device.
            asked = tuple(torch.tensor(sigma, dtype=kind) for sigma in increments[k, i])
        found = like_state(noise_sampler(*asked), like)
        if not isinstance(found, torch.Tensor) or found.dtype != like.dtype:
            raise InvalidArgument(
                f"noise_sampler returned {type(found).__name__} {getattr(found, 'dtype', '')}: it "
                f"must return a torch tensor of normal numbers like x, of dtype {like.dtype}"
            )
        return found

    return drawn


def state_dtype(torch: Any, x: Any) -> Any:
    """Return the dtype in which the state of a run is kept; or refuse `x`."""
    if not isinstance(x, torch.Tensor):
        raise InvalidArgument(
            f"x is of type {type(x).__name__}; it must be a torch tensor: torch.as_tensor(x)"
        )
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype


def levels(torch: Any, x: Any, sigma: float) -> Any:
    """Return sigma for each sample, in the dtype of `x` or, where it overflows there, single."""
    fits = sigma <= torch.finfo(x.dtype).max
    return x.new_full(x.shape[:1], sigma, dtype=x.dtype if fits else torch.float32)


def progress_bar(total: int | None, disable: bool | None) -> Any:
    """Return tqdm's progress bar as a context manager; without one it gives None."""
    if disable:
        return nullcontext()
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return nullcontext()
    return tqdm(total=total, disable=disable)


def torch_module() -> Any:
    """Return the module torch, or say that it is missing."""
    try:
        import torch
    except ImportError:
        raise MissingDependency.of("torch", "torch") from None
    return torch
