"""DPM-Solver of k-diffusion between two values of sigma: fast, and with adaptive steps."""

from __future__ import annotations

from math import isfinite, log
from typing import Any, NamedTuple

import numpy as np

from semilinear.adapters.k_diffusion_plan import number
from semilinear.adapters.k_diffusion_run import (
    Arguments,
    Callback,
    Model,
    NoiseSampler,
    levels,
    progress_bar,
    sample,
    state_dtype,
    torch_module,
)
from semilinear.adapters.torch_samples import is_untouched, like_state, precise, version
from semilinear.diffusion import EDM, Ancestral, sample_adaptive
from semilinear.errors import InvalidArgument
from semilinear.given import whole_number
from semilinear.methods import dpm12, dpm23

PAIRS = {2: dpm12, 3: dpm23}
SAFETY = 0.81


def sample_dpm_fast(
    model: Model,
    x: Any,
    sigma_min: float,
    sigma_max: float,
    n: int,
    extra_args: Arguments = None,
    callback: Callback = None,
    disable: bool | None = None,
    eta: float = 0.0,
    s_noise: float = 1.0,
    noise_sampler: NoiseSampler = None,
) -> Any:
    """Run DPM-Solver-fast: n evaluations, in equal steps of lambda = -ln sigma.

    The steps are those of `semilinear.methods.dpm_fast`, of orders 3, ..., 3 and what is left.

    Parameters
    ----------
    model, x, extra_args, callback, disable, noise_sampler
        As in `sample`; `callback` gets ``t`` and ``t_up``, lambda of the step, too.
    sigma_min, sigma_max
        Where the run ends, and where it begins; positive.
    n
        Number of evaluations, at least 1.
    eta
        From 0, the ODE, to 1: as of the ancestral samplers, but no step goes below sigma_min.
    s_noise
        Factor of the noise.
    """
    low, high = _ends(sigma_min, sigma_max)
    n = whole_number("n", n)
    eta, s_noise = number("eta", eta), number("s_noise", s_noise)
    kept = state_dtype(torch_module(), x)
    count = n // 3 + 1
    sigmas = np.exp(np.linspace(log(high), log(low), count + 1))
    sigmas[0], sigmas[-1] = high, low
    method = "dpm_solver_fast" + (str(n % 3) if n % 3 else "")
    return sample(
        model, x, sigmas, extra_args, _with_lambda(callback, kept), disable, method=method,
        noise=Ancestral(eta, s_noise, low) if eta else None, noise_sampler=noise_sampler,
    )  # fmt: skip


def sample_dpm_adaptive(
    model: Model,
    x: Any,
    sigma_min: float,
    sigma_max: float,
    extra_args: Arguments = None,
    callback: Callback = None,
    disable: bool | None = None,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = SAFETY,
    eta: float = 0.0,
    s_noise: float = 1.0,
    noise_sampler: NoiseSampler = None,
    return_info: bool = False,
) -> Any:
    """Run DPM-Solver-12 or -23 with adaptive steps, by `semilinear.diffusion.sample_adaptive`.

    The pair and the gains are those of k-diffusion, the steps are not: here a step is taken if its
    error is below ``atol + rtol |x|`` in the root mean square of each sample, and the next one aims
    at 0.9 of what that allows; there at up to 1.9 times ``max(atol, rtol |x|)``, for order 3. The
    first evaluation of a rejected step is not made again; one is made at the end.

    Parameters
    ----------
    model, x, extra_args, disable
        As in `sample`; with adaptive steps a batch shares them.
    sigma_min, sigma_max
        Where the run ends, and where it begins; positive.
    callback
        Called after each accepted step with the new ``x``, ``sigma`` and ``sigma_hat`` where it
        lies, ``t`` and ``t_up``, its lambda, ``denoised`` of the start of the step, and ``i``.
    order
        2 or 3, the order of the higher method of the pair.
    rtol, atol
        Tolerances.
    h_init
        Length of the first step in lambda.
    pcoeff, icoeff, dcoeff
        Of a PID controller: gains (p + i + d, -p - 2 d, d) of `semilinear.solve`.
    accept_safety
        Of another rule to accept steps: 0.81 only.
    eta
        Noise: 0 only.
    s_noise, noise_sampler
        Without meaning where eta is 0.
    return_info
        Whether to return (x, info) with the numbers ``steps``, ``nfe``, ``n_accept``, ``n_reject``.

    Raises
    ------
    InvalidArgument
        For what is not here: noise, and another `accept_safety`.
    """
    low, high = _ends(sigma_min, sigma_max)
    _check_adaptive(order, eta, accept_safety, h_init)
    torch = torch_module()
    kept = state_dtype(torch, x)
    with torch.no_grad(), progress_bar(None, disable) as bar:
        watched = _Watched(model, extra_args or {}, x, callback, bar, [], {})
        found = sample_adaptive(
            watched.ask, x.detach().to(kept), EDM(), rtol=rtol, atol=atol, method=PAIRS[order](),
            prediction="x0", t_start=high, t_end=low, final="t_end",
            first_step=min(abs(h_init), log(high / low)), callback=watched.after,
            controller=(pcoeff + icoeff + dcoeff, -pcoeff - 2 * dcoeff, dcoeff),
        )  # fmt: skip
    accepted = len(found.t) - 1
    info = {
        "steps": accepted + found.rejected,
        "nfe": found.nfe,
        "n_accept": accepted,
        "n_reject": found.rejected,
    }
    result = found.x.to(x.dtype)
    return (result, info) if return_info else result


class _Watched(NamedTuple):
    """The model of an adaptive run, and who is told of its steps."""

    model: Model
    arguments: Any
    like: Any
    callback: Callback
    bar: Any
    ends: list[float]
    """Where the steps so far have ended."""
    denoised: dict[float, Any]
    """Answers since the start of the step that was taken last, by sigma."""

    def ask(self, x: Any, t: float) -> Any:
        torch = torch_module()
        seen = x.to(self.like.dtype)
        answer = self.model(seen, levels(torch, seen, t), **self.arguments)
        if self.bar is not None:
            self.bar.update()
        told = like_state(answer, x)
        if self.callback is not None and isinstance(told, torch.Tensor):
            self.denoised.setdefault(t, answer.clone())  # the model may write there again
        return told

    def after(self, t: float, x: Any) -> None:
        if self.callback is None:
            return
        start = max(self.denoised)
        sigma = x.new_tensor(t)
        at = -sigma.log()
        shown = x.to(self.like.dtype)
        before = None if shown is x else version(shown)
        self.callback(
            {
                "x": shown, "i": len(self.ends), "sigma": sigma, "sigma_hat": sigma,
                "t": at, "t_up": at, "denoised": self.denoised[start],
            }
        )  # fmt: skip
        if not is_untouched(shown, before):
            x.copy_(precise(shown, x))  # in the memory of the state, which goes on from there
        self.ends.append(t)
        for sigma_of in [s for s in self.denoised if s > t]:
            del self.denoised[sigma_of]


def _ends(sigma_min: Any, sigma_max: Any) -> tuple[float, float]:
    low, high = float(sigma_min), float(sigma_max)
    if not (0 < low < high and isfinite(high)):
        raise InvalidArgument(
            f"sigma_min={low:.6g}, sigma_max={high:.6g}: need 0 < sigma_min < sigma_max, finite; "
            "a step to sigma = 0 is the denoised x at sigma_min"
        )
    return low, high


def _check_adaptive(order: Any, eta: float, accept_safety: float, h_init: float) -> None:
    if order not in PAIRS:
        raise InvalidArgument(f"order={order!r} must be 2 or 3")
    if eta:
        raise InvalidArgument(
            f"eta={eta!r}: adaptive steps follow the ODE, without noise; give eta=0, or take "
            "sample_dpm_fast or sample_dpmpp_2s_ancestral, which add noise"
        )
    if accept_safety != SAFETY:
        raise InvalidArgument(
            f"accept_safety={accept_safety!r}: steps are accepted by rtol and atol alone; leave it "
            "at 0.81 and choose these"
        )
    if not 0 < abs(h_init) < np.inf:
        raise InvalidArgument(f"h_init={h_init!r} must be the length of a step in -ln sigma")


def _with_lambda(callback: Callback, dtype: Any) -> Callback:
    if callback is None:
        return None

    def shown(found: dict[str, Any]) -> None:
        ends = {name: found[name].to(dtype) for name in ("sigma", "sigma_hat")}
        at = -ends["sigma"].log()
        callback({**found, **ends, "t": at, "t_up": at})

    return shown
