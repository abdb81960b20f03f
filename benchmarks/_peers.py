"""Samplers of diffusers and k-diffusion on any grid, in double precision where they allow it.

diffusers' schedulers are given the grid's own noise levels in the place of their table, so that
neither timesteps nor tables are rounded; with `single` the levels are float32, as the schedulers
make them. k-diffusion takes levels as they are. A multistep sampler starts by itself with low
orders; if states are given, its first ones are replaced by these.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import torch

from semilinear.diffusion import NoiseSchedule

Model = Callable[[np.ndarray, float], np.ndarray]
Array = np.ndarray


@dataclass(frozen=True)
class Peer:
    """A sampler of another package.

    Parameters
    ----------
    package, kind
        Where it is, and its name there.
    label
        How a table calls it.
    order
        What its name or its authors say.
    history
        Values that it keeps.
    evaluations
        Of the model, each step.
    options
        What it is made with.
    """

    package: str
    kind: str
    label: str
    order: int
    history: int = 0
    evaluations: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def run(
        self,
        model: Model,
        x: Array,
        schedule: NoiseSchedule,
        t: Array,
        *,
        known: Sequence[Array] = (),
        single: bool = False,
    ) -> Array:
        """Return the state at t[-1], from x at t[0]; `known` are states at the first times."""
        kind = torch.float32 if single else torch.float64
        rho = np.array([schedule.rho(float(each)) for each in t])
        if self.package == "k-diffusion":
            return self._k_diffusion(model, x, schedule, t, torch.tensor(rho, dtype=kind), known)
        made = self._scheduler(schedule, t, torch.tensor(rho, dtype=kind), kind)
        state = torch.tensor(x)
        for n, when in enumerate(made.timesteps):
            if n < len(known):
                state = torch.tensor(known[n])
                if n and hasattr(made, "last_sample"):
                    made.last_sample = torch.tensor(known[n - 1])
            answer = torch.tensor(model(state.numpy(), float(t[n])))
            if self.kind == "IPNDMScheduler":  # it takes the velocity alpha eps - sigma x_0
                alpha, sigma = schedule.alpha(float(t[n])), schedule.sigma(float(t[n]))
                answer = (answer - sigma * state) / alpha
            state = made.step(answer, when, state, return_dict=False)[0]
            if n < len(known) and hasattr(made, "last_sample"):
                made.last_sample = torch.tensor(known[n])
        return state.numpy()

    def _scheduler(self, schedule: NoiseSchedule, t: Array, rho: Any, kind: torch.dtype) -> Any:
        import diffusers

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = getattr(diffusers, self.kind)(**self.options)
        made.set_timesteps(len(t) - 1)
        made.timesteps = torch.arange(len(t) - 1, 0, -1)
        if self.kind == "IPNDMScheduler":
            made.alphas = torch.tensor([schedule.alpha(float(each)) for each in t], dtype=kind)
            made.betas = torch.tensor([schedule.sigma(float(each)) for each in t], dtype=kind)
        else:
            made.sigmas = rho
        made.set_begin_index(0)
        return made

    def _k_diffusion(
        self,
        model: Model,
        x: Array,
        schedule: NoiseSchedule,
        t: Array,
        rho: Any,
        known: Sequence[Array],
    ) -> Array:
        """Its states are y = x / alpha, its model gives x_0 of y and rho."""
        asked = 0
        ends = schedule.rho(float(t[0])), schedule.rho(float(t[-1]))

        def denoised(y: Any, level: Any, **_: Any) -> Any:
            nonlocal asked
            if self.evaluations == 1 and asked < len(known):
                y.copy_(torch.tensor(known[asked]) / schedule.alpha(float(t[asked])))
            level = float(level[0])
            # Levels of single precision may lie outside of the ends.
            inside = min(max(level, ends[1]), ends[0])
            when = float(schedule.t_of_rho(inside)) if self.evaluations > 1 else float(t[asked])
            asked += 1
            alpha = schedule.alpha(when)
            return y - level * torch.tensor(model(alpha * y.numpy(), when))

        options = dict(self.options)
        if "eta" in options:
            options["noise_sampler"] = lambda *_: torch.zeros(x.shape, dtype=torch.float64)
        run = getattr(k_diffusion(), self.kind)
        start = torch.tensor(x / schedule.alpha(float(t[0])))
        y = run(denoised, start, rho, disable=True, **options)
        return y.numpy() * schedule.alpha(float(t[-1]))


def k_diffusion() -> ModuleType:
    """Return k-diffusion's module `sampling` alone: its package needs more than that does."""
    name = "k_diffusion_alone"
    if f"{name}.sampling" in sys.modules:
        return sys.modules[f"{name}.sampling"]
    found = importlib.util.find_spec("k_diffusion")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("k_diffusion is not installed", name="k_diffusion")
    package, helpers = ModuleType(name), ModuleType(f"{name}.utils")
    package.__path__ = []
    package.utils = helpers
    helpers.append_dims = lambda x, n: x[(..., *[None] * (n - x.ndim))]
    sys.modules |= {name: package, f"{name}.utils": helpers}
    path = f"{found.submodule_search_locations[0]}/sampling.py"
    spec = importlib.util.spec_from_file_location(f"{name}.sampling", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[f"{name}.sampling"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _diffusers() -> list[Peer]:
    found = []
    for k in range(1, 4):
        options = {"solver_order": k, "lower_order_final": False}
        found.append(
            Peer("diffusers", "DEISMultistepScheduler", f"DEIS {k}", k, k - 1, options=options)
        )
    for k in (2, 3):
        options = {
            "solver_order": k, "lower_order_final": False, "final_sigmas_type": "sigma_min",
            "algorithm_type": "dpmsolver++",
        }  # fmt: skip
        kind, label = "DPMSolverMultistepScheduler", f"DPM-Solver++ {k}M"
        found.append(Peer("diffusers", kind, label, k, k - 1, options=options))
    for k in (2, 3):
        for solver in ("bh1", "bh2"):
            options = {
                "solver_order": k, "lower_order_final": False, "solver_type": solver,
                "final_sigmas_type": "sigma_min",
            }  # fmt: skip
            kind, label = "UniPCMultistepScheduler", f"UniPC {k}, {solver}"
            found.append(Peer("diffusers", kind, label, k + 1, k, options=options))
    for predictor, corrector in ((2, 2), (3, 4)):
        options = {
            "predictor_order": predictor, "corrector_order": corrector,
            "lower_order_final": False,
            "tau_func": lambda t: torch.tensor(0.0, dtype=torch.float64),
        }  # fmt: skip
        label = f"SA-Solver {predictor}, {corrector}, tau 0"
        # The corrector's values of N include the new one: so many are its order.
        found.append(
            Peer("diffusers", "SASolverScheduler", label, corrector, predictor, options=options)
        )
    found.append(Peer("diffusers", "IPNDMScheduler", "IPNDM", 4, 3))
    return found


def _k_diffusion() -> list[Peer]:
    still = {"eta": 0.0}
    rows: list[tuple[str, str, int, int, int, dict[str, Any]]] = [
        ("sample_euler", "Euler", 1, 0, 1, {}),
        ("sample_heun", "Heun", 2, 0, 2, {}),
        ("sample_dpm_2", "DPM-2", 2, 0, 2, {}),
        *(("sample_lms", f"LMS {k}", k, k - 1, 1, {"order": k}) for k in range(1, 5)),
        ("sample_dpmpp_2s_ancestral", "DPM++ 2S, eta 0", 2, 0, 2, still),
        ("sample_dpmpp_sde", "DPM++ SDE, eta 0", 2, 0, 2, still),
        ("sample_dpmpp_2m", "DPM++ 2M", 2, 1, 1, {}),
        ("sample_dpmpp_2m_sde", "DPM++ 2M SDE, eta 0", 2, 1, 1, still),
        ("sample_dpmpp_2m_sde", "DPM++ 2M SDE Heun, eta 0", 2, 1, 1,
         still | {"solver_type": "heun"}),
        ("sample_dpmpp_3m_sde", "DPM++ 3M SDE, eta 0", 3, 2, 1, still),
    ]  # fmt: skip
    return [
        Peer("k-diffusion", kind, label, order, history, evaluations, options)
        for kind, label, order, history, evaluations, options in rows
    ]


def peers() -> list[Peer]:
    """Return all that are compared."""
    return _diffusers() + _k_diffusion()
