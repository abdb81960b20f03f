"""Whole runs beside diffusers' schedulers and k-diffusion's samplers, with the same noise.

Both compute their coefficients in the dtype of their table of sigmas, float32 as they come. They
are given a float64 table of the same levels, so that what differs is a formula and not a rounding;
where diffusers turns its states or its coefficients to float32 all the same, the bound says so.
"""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from diffusion_problems import Draws, Mixture, noise_at
from semilinear import diffusion
from semilinear.diffusion import EDM, Ancestral, Churn, Discrete, Tau
from semilinear.methods import Multistep
from semilinear.methods.simplified import HALF_SECOND, sa_solver

torch = pytest.importorskip("torch")

from k_diffusion_runs import their_sampling  # noqa: E402

# NumPy functions on tensors, and algorithm types that are to go.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
DATA = Mixture()
SHAPE = (3, 2)
SINGLE = 16 * float(np.finfo(np.float32).eps)
"""For schedulers that keep a state or a coefficient in float32."""
STEPS = 9


def agrees(found: np.ndarray, expected, *, bound: float) -> None:
    expected = expected.numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max()


class Diffusers:
    """A scheduler of diffusers on its own timesteps, its levels of noise in float64."""

    def __init__(self, name: str, **options) -> None:
        module = pytest.importorskip("diffusers", reason="diffusers is not installed")
        self.scheduler = getattr(module, name)(**options)
        self.scheduler.set_timesteps(STEPS)
        alphas_cumprod = self.scheduler.alphas_cumprod.numpy().astype(np.float64)
        self.schedule = Discrete.from_alphas_cumprod(alphas_cumprod)
        self.t = self.scheduler.timesteps.numpy().astype(float)
        rho = np.sqrt((1 - alphas_cumprod) / alphas_cumprod)
        last = {0.0: 0.0}.get(float(self.scheduler.sigmas[-1]), rho[0])
        self.scheduler.sigmas = torch.tensor([*rho[self.t.astype(int)], last], dtype=torch.float64)
        self.x = noise_at(self.schedule, self.t[0], SHAPE)

    def plan(self, method, *, zero: bool, **options):
        grid = self.t if zero else np.append(self.t, 0.0)
        final = "zero" if zero else "t_end"
        return diffusion.plan(self.schedule, method=method, grid=grid, final=final, **options)

    def ours(self, plan, draws=None) -> np.ndarray:
        return diffusion.follow(plan, DATA.model(self.schedule), self.x, seed=draws)

    def theirs(self, *, noise=None, steps: int = STEPS):
        model = DATA.model(self.schedule)
        x = torch.tensor(self.x)
        for n, t in enumerate(self.scheduler.timesteps[:steps]):
            eps = torch.tensor(model(x.numpy(), float(t)))
            own = {} if noise is None else {"variance_noise": torch.tensor(noise[n])}
            x = self.scheduler.step(eps, t, x, **own).prev_sample
        return x


FINALS = {"zero": True, "sigma_min": False}


@pytest.mark.parametrize("lower_end", [False, True])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "final"),
    [("dpmsolver++", "zero"), ("dpmsolver++", "sigma_min"), ("dpmsolver", "sigma_min")],
)
def test_dpm_solver_multistep(kind, order, lower_end, final):
    peer = Diffusers(
        "DPMSolverMultistepScheduler",
        algorithm_type=kind,
        solver_order=order,
        lower_order_final=lower_end,
        final_sigmas_type=final,
    )
    prefix = "dpmpp" if kind.endswith("++") else "dpm_solver"
    name = "ddim" if order == 1 else f"{prefix}_{order}m"
    plan = peer.plan(name, zero=FINALS[final], lower_end=lower_end)
    agrees(peer.ours(plan), peer.theirs(), bound=SINGLE)


@pytest.mark.parametrize("final", FINALS)
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("kind", ["midpoint", "heun"])
def test_sde_dpm_solver_multistep(order, kind, final):
    """Not in order 3, where diffusers 0.42.1 has -1/2 for +1/2 in the weight of its D2."""
    peer = Diffusers(
        "DPMSolverMultistepScheduler",
        algorithm_type="sde-dpmsolver++",
        solver_order=order,
        solver_type=kind,
        lower_order_final=True,
        final_sigmas_type=final,
    )
    name = "seeds1" if order == 1 else f"dpmpp_{order}m_sde"
    plan = peer.plan(name, zero=FINALS[final], lower_end=True, exact=kind == "heun", noise=1.0)
    draws = Draws(SHAPE)
    found = peer.ours(plan, draws)
    noise = [*draws.made, np.zeros(SHAPE)]
    agrees(found, peer.theirs(noise=noise), bound=SINGLE)


def three_after_exact_two() -> diffusion.Sampler:
    """3M whose second step has exact weights: half of the second moment alone is simplified."""
    method = Multistep("own", 3, "P", 2, "this test", simplified=((3, HALF_SECOND),))
    return diffusion.Sampler("own", diffusion.Parameterisation("x0", "lambda"), method, "this test")


# To sigma = 0 diffusers gives NaN with bh1, and without a lower order at the end.
UNIPC = [
    *((k, v, low, "sigma_min") for k in range(1, 5) for v in ("bh1", "bh2") for low in (0, 1)),
    *((k, "bh2", 1, "zero") for k in range(1, 5)),
]


@pytest.mark.parametrize(("order", "variant", "lower_end", "final"), UNIPC)
def test_unipc(order, variant, lower_end, final):
    peer = Diffusers(
        "UniPCMultistepScheduler",
        solver_order=order,
        solver_type=variant,
        lower_order_final=bool(lower_end),
        final_sigmas_type=final,
    )
    name = f"unipc{order}" + ("_bh1" if variant == "bh1" else "")
    plan = peer.plan(name, zero=FINALS[final], lower_end=bool(lower_end))
    # Its ratios of steps and its linear systems stay in float32.
    agrees(peer.ours(plan), peer.theirs(), bound=SINGLE)


@pytest.mark.parametrize(("predictor", "corrector"), [(1, 1), (2, 2), (3, 4), (2, 3)])
@pytest.mark.parametrize("tau", [None, 0.0, 0.7])
def test_sa_solver(monkeypatch, predictor, corrector, tau):
    options = {} if tau is None else {"tau_func": lambda t: torch.tensor(tau, dtype=torch.float64)}
    peer = Diffusers(
        "SASolverScheduler",
        predictor_order=predictor,
        corrector_order=corrector,
        lower_order_final=False,
        **options,
    )
    parameterisation = diffusion.Parameterisation("x0", "lambda")
    method = sa_solver(predictor, corrector)
    sampler = diffusion.Sampler("own", parameterisation, method, "this test")

    def middle(t):
        return 1.0 if 200 <= t <= 800 else 0.0

    # Its last level is there twice: what it gives before that step is what ours ends with.
    noise = Tau(middle if tau is None else tau)
    plan = diffusion.plan(peer.schedule, method=sampler, grid=peer.t, noise=noise)
    draws = Draws(SHAPE)
    found = peer.ours(plan, draws)
    made = iter(draws.made)
    level = [middle(t) if tau is None else tau for t in peer.t]
    given = iter([next(made) if own else np.zeros(SHAPE) for own in level[: STEPS - 1]])
    module = importlib.import_module("diffusers.schedulers.scheduling_sasolver")
    monkeypatch.setattr(module, "randn_tensor", lambda *a, **k: torch.tensor(next(given)))
    # Its weights are sums of powers of lambda, which cancel.
    agrees(found, peer.theirs(steps=STEPS - 1), bound=1e-8)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_deis(order):
    peer = Diffusers("DEISMultistepScheduler", solver_order=order, lower_order_final=False)
    name = "ddim" if order == 1 else f"logrhoab{order - 1}"
    plan = diffusion.plan(peer.schedule, method=name, grid=peer.t)
    agrees(peer.ours(plan), peer.theirs(steps=STEPS - 1), bound=1e-10)


@pytest.fixture(scope="module")
def kd():
    return their_sampling()


RHO = np.append(
    (80 ** (1 / 7) + np.linspace(0, 1, STEPS) * (0.02 ** (1 / 7) - 80 ** (1 / 7))) ** 7, 0
)
START = noise_at(EDM(), 80.0, SHAPE)


def by_k_diffusion(run, **options):
    """Its result on a state x = y in float64; `x0` of the mixture at sigma."""

    def model(x, sigma, **extra):
        return torch.tensor(DATA.denoised(x.numpy(), 1.0, float(sigma[0])))

    return run(model, torch.tensor(START), torch.tensor(RHO), disable=True, **options)


def by_us(method, **options):
    draws = Draws(SHAPE)
    plan = diffusion.plan(EDM(), method=method, grid=RHO, prediction="x0", **options)
    return diffusion.follow(plan, DATA.model(EDM(), "x0"), START, seed=draws), draws


def given_again(draws):
    left = iter(draws.made)
    return lambda sigma, sigma_next: torch.tensor(next(left))


@pytest.mark.parametrize(
    ("theirs", "ours", "options"),
    [
        ("sample_euler", "ddim", {}),
        ("sample_heun", "heun", {}),
        ("sample_dpm_2", "dpm2", {}),
        ("sample_dpmpp_2m", "dpmpp_2m", {}),
        *(("sample_lms", f"lms{k}" if k > 1 else "ddim", {"order": k}) for k in range(1, 5)),
    ],
)
def test_ode_samplers_of_k_diffusion(kd, theirs, ours, options):
    expected = by_k_diffusion(getattr(kd, theirs), **options)
    agrees(by_us(ours)[0], expected, bound=1e-12)


@pytest.mark.parametrize("method", ["euler_ancestral", "dpm2_ancestral", "dpmpp_2s_ancestral"])
@pytest.mark.parametrize(("eta", "scale"), [(1.0, 1.0), (0.6, 1.0), (1.0, 0.9)])
def test_ancestral_samplers_of_k_diffusion(kd, method, eta, scale):
    name = method.replace("dpm2", "dpm_2")
    found, draws = by_us(method, noise=Ancestral(eta, scale=scale))
    options = {"eta": eta, "s_noise": scale, "noise_sampler": given_again(draws)}
    agrees(found, by_k_diffusion(getattr(kd, f"sample_{name}"), **options), bound=1e-12)


@pytest.mark.parametrize("eta", [1.0, 0.5])
@pytest.mark.parametrize("kind", ["midpoint", "heun", "3m"])
def test_sde_samplers_of_k_diffusion(kd, kind, eta):
    """Its eta is tau^2; its 3M has exact weights in its second step."""
    name = three_after_exact_two() if kind == "3m" else "dpmpp_2m_sde"
    found, draws = by_us(name, noise=Tau(np.sqrt(eta), scale=0.95), exact=kind == "heun")
    options = {"eta": eta, "s_noise": 0.95, "noise_sampler": given_again(draws)}
    run = kd.sample_dpmpp_3m_sde if kind == "3m" else kd.sample_dpmpp_2m_sde
    if kind != "3m":
        options["solver_type"] = kind
    agrees(found, by_k_diffusion(run, **options), bound=1e-12)


@pytest.mark.parametrize(("churn", "low", "high"), [(40.0, 0.0, np.inf), (2.0, 0.05, 50.0)])
@pytest.mark.parametrize(
    ("theirs", "ours"), [("euler", "ddim"), ("heun", "heun"), ("dpm_2", "dpm2")]
)
def test_churn_of_k_diffusion(kd, monkeypatch, theirs, ours, churn, low, high):
    noise = Churn(churn, low=low, high=high, scale=1.003)
    found, draws = by_us(ours, noise=noise)
    left = iter(draws.made)
    churned = iter([low <= rho <= high for rho in RHO[:-1]])

    def drawn(x):
        return torch.tensor(next(left)) if next(churned) else torch.zeros_like(x)

    monkeypatch.setattr(kd.torch, "randn_like", drawn)
    options = {"s_churn": churn, "s_tmin": low, "s_tmax": high, "s_noise": 1.003}
    expected = by_k_diffusion(getattr(kd, f"sample_{theirs}"), **options)
    agrees(found, expected, bound=1e-12)
    assert not list(left)
