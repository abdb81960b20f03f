"""Stochastic samplers by configuration: the stock schedulers' own, and every noise level."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest

from semilinear import InvalidArgument, UnknownName, diffusion

torch = pytest.importorskip("torch")
stock = pytest.importorskip("diffusers")

from semilinear.adapters.diffusers import SemilinearScheduler  # noqa: E402
from semilinear.adapters.diffusers.sampler import chosen  # noqa: E402

# The stock schedulers' own, from their arithmetic of tensors by NumPy.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers"),
    pytest.mark.filterwarnings("ignore:`algorithm_types dpmsolver:FutureWarning"),
]

EPS32 = float(np.finfo(np.float32).eps)
LATENT = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def start(dtype=torch.float32):
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=dtype)


def network(x, t):
    return torch.tanh(1.3 * x) + 0.1 * float(t) / 1000


def run(scheduler, x, *, model=network):
    generator = torch.Generator().manual_seed(100)
    for t in scheduler.timesteps:
        answer = model(scheduler.scale_model_input(x, t), t)
        x = scheduler.step(answer, t, x, generator=generator, return_dict=False)[0]
    return x


def distance(a, b):
    return float((a.double() - b.double()).abs().max() / b.double().abs().max())


def from_disk(scheduler, path, **keys):
    scheduler.save_pretrained(path)
    return SemilinearScheduler.from_pretrained(path, **keys)


@pytest.mark.parametrize("predictor", [1, 2, 3, 4])
@pytest.mark.parametrize("corrector", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"num_train_timesteps": 1500},
        {"num_train_timesteps": 150},  # all below the interval of noise
        {"lower_order_final": False, **LATENT},
        {"timestep_spacing": "leading", "prediction_type": "v_prediction"},
    ],
)
def test_sa_solver_of_any_orders_is_the_stock_one(predictor, corrector, config, tmp_path) -> None:
    orders = {"predictor_order": predictor, "corrector_order": corrector}
    theirs = stock.SASolverScheduler(**orders, **config)
    ours = SemilinearScheduler.from_config(theirs.config, final_sigmas_type="sigma_min")
    again = from_disk(ours, tmp_path)
    for scheduler in (theirs, ours, again):
        scheduler.set_timesteps(9)
    expected = run(theirs, start())
    assert torch.equal(ours.timesteps, theirs.timesteps)
    # Noise levels from a product of up to 1500 factors, and weights of four values that cancel.
    assert distance(run(ours, start()), expected) < 1500 * EPS32
    assert torch.equal(run(again, start()), run_of(ours, 9))


def test_every_order_of_sa_solver_is_another_sampler() -> None:
    found = {}
    for predictor, corrector in ((1, 1), (1, 3), (2, 2), (2, 4), (3, 2), (3, 3), (4, 3)):
        orders = {"predictor_order": predictor, "corrector_order": corrector}
        found[predictor, corrector] = run_of(SemilinearScheduler(**orders, **LATENT), 9)
    keys = list(found)
    for i, one in enumerate(keys):
        for other in keys[:i]:
            assert distance(found[one], found[other]) > 1e-3, (one, other)
    assert torch.equal(found[2, 2], run_of(SemilinearScheduler(method="sa_solver", **LATENT), 9))
    half = run_of(SemilinearScheduler(corrector_order=2, **LATENT), 9)
    assert torch.equal(found[2, 2], half)


def run_of(scheduler, steps):
    scheduler.set_timesteps(steps)
    return run(scheduler, start())


def test_the_configuration_of_sa_solver_is_told_live_and_from_disk(tmp_path) -> None:
    theirs = stock.SASolverScheduler(num_train_timesteps=1500, predictor_order=3)
    for ours in (SemilinearScheduler.from_config(theirs.config), from_disk(theirs, tmp_path)):
        assert (ours.config.predictor_order, ours.config.corrector_order) == (3, 2)
        level = chosen(ours.config).noise
        assert (level.tau, 1500 * level.low, 1500 * level.high) == (1.0, 200, 800)
    back = stock.SASolverScheduler.from_config(ours.config)
    assert (back.config.predictor_order, back.config.corrector_order) == (3, 2)
    # Another sampler, and another noise level, may be asked for beside it.
    for keys in ({"method": "tab3"}, {"solver_order": 3}):
        for config in (theirs.config, ours.config):
            other = SemilinearScheduler.from_config(config, **keys)
            assert other.config.predictor_order is None
            assert other.config.corrector_order is None
            assert "sa" not in chosen(other.config).name
    twice = SemilinearScheduler.from_config(theirs.config, method="sa_solver_pece")
    assert chosen(twice.config).method.mode == "PECE"
    assert SemilinearScheduler.from_config(ours.config, method="sa_solver").config.predictor_order
    quiet = SemilinearScheduler.from_config(theirs.config, tau=0.0)
    assert chosen(quiet.config).noise == diffusion.Tau(0.0)


def test_what_sa_solver_cannot_keep_or_do_is_refused() -> None:
    function = stock.SASolverScheduler(tau_func=lambda t: 0.5)
    with pytest.raises(InvalidArgument, match="tau_func is a function, which no configuration"):
        SemilinearScheduler.from_config(function.config)
    level = SemilinearScheduler.from_config(function.config, noise="within=0.5,low=0,high=1")
    assert chosen(level.config).noise == diffusion.TauWithin(0.5, 0.0, 1.0)
    noise = stock.SASolverScheduler(algorithm_type="noise_prediction")
    with pytest.raises(InvalidArgument, match="'noise_prediction' extrapolates the noise"):
        SemilinearScheduler.from_config(noise.config)
    assert SemilinearScheduler.from_config(noise.config, method="tab3").config.method == "tab3"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"timestep_spacing": "leading"},
        {"timestep_spacing": "trailing", "prediction_type": "v_prediction"},
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
    ],
)
@pytest.mark.parametrize("saved", [False, True])
def test_euler_ancestral_is_the_stock_one(config: dict, saved: bool, tmp_path) -> None:
    theirs = stock.EulerAncestralDiscreteScheduler(**config)
    theirs.set_timesteps(8)
    ours = SemilinearScheduler.from_config(theirs.config)
    if saved:
        ours = from_disk(theirs, tmp_path)
    assert ours.config.method == "euler_ancestral"
    ours.set_timesteps(timesteps=theirs.timesteps.tolist())
    # Its states are x / alpha.
    rho = float(theirs.sigmas[0])
    expected = run(theirs, start() * sqrt(1 + rho * rho))
    slack = 1000 * EPS32 * (1 if rho < 1000 else rho)
    assert distance(run(ours, start()), expected) < slack
    for keys in ({"method": "tab3"}, {"solver_order": 3}):
        other = SemilinearScheduler.from_config(theirs.config, **keys)
        assert chosen(other.config).noise is None


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_dpm2_ancestral_is_the_stock_one(prediction: str, tmp_path) -> None:
    theirs = stock.KDPM2AncestralDiscreteScheduler(
        timestep_spacing="leading", prediction_type=prediction
    )
    theirs.set_timesteps(8)
    ours = from_disk(theirs, tmp_path)
    assert ours.config.method == "dpm2_ancestral"
    ours.set_timesteps(8)
    # Between two timesteps it reads them off ln sigma, straight from one to the next.
    assert torch.allclose(ours.timesteps.double(), theirs.timesteps.double(), atol=1e-3)
    expected = run(theirs, start() * float(theirs.init_noise_sigma))
    # Which the network makes 1e-7 of.
    assert distance(run(ours, start()), expected) < 1000 * EPS32
    for keys in ({"method": "tab3"}, {"solver_order": 3}):
        config = SemilinearScheduler.load_config(tmp_path)
        assert chosen(SemilinearScheduler.from_config(config, **keys).config).noise is None


@pytest.mark.parametrize(
    ("kind", "order", "weights"),
    [
        ("sde-dpmsolver++", 1, "midpoint"),
        ("sde-dpmsolver++", 2, "midpoint"),
        ("sde-dpmsolver++", 2, "heun"),
        ("sde-dpmsolver", 1, "midpoint"),
    ],
)
@pytest.mark.parametrize("saved", [False, True])
def test_dpm_solver_for_the_sde_is_the_stock_one(kind, order, weights, saved, tmp_path) -> None:
    theirs = stock.DPMSolverMultistepScheduler(
        algorithm_type=kind,
        solver_order=order,
        solver_type=weights,
        final_sigmas_type="zero" if "++" in kind else "sigma_min",
        **LATENT,
    )
    ours = SemilinearScheduler.from_config(theirs.config)
    if saved:
        ours = from_disk(theirs, tmp_path)
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(12)
    assert distance(run(ours, start()), run(theirs, start())) < 1000 * EPS32
    back = stock.DPMSolverMultistepScheduler.from_config(ours.config)
    assert back.config.algorithm_type == kind
    for keys in ({"method": "tab3"}, {"solver_order": 3}):
        assert chosen(SemilinearScheduler.from_config(theirs.config, **keys).config).noise is None


def test_dpm_solver_of_three_values_for_the_sde_is_what_was_meant() -> None:
    """The stock one takes the second difference with the wrong sign, and beside it a half."""
    theirs = stock.DPMSolverMultistepScheduler(
        algorithm_type="sde-dpmsolver++",
        solver_order=3,
        prediction_type="sample",
        lower_order_final=False,
    )
    ours = SemilinearScheduler.from_config(theirs.config)
    assert ours.config.method == "dpmpp_3m_sde"
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(12)
    lam = -np.log(ours.sigmas.double().numpy()[:-1])
    place = {int(t): float(x) for t, x in zip(ours.timesteps, lam, strict=True)}

    def straight(x, t):  # without a second difference
        return torch.full_like(x, place[int(t)])

    def bent(x, t):
        return torch.full_like(x, place[int(t)] ** 2)

    same = run(ours, start(), model=straight), run(theirs, start(), model=straight)
    assert distance(*same) < 1000 * EPS32
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(12)
    # The last step takes the last answer as it is.
    x, y = start(), start()
    for n, (t, u) in enumerate(zip(ours.timesteps[:-1], theirs.timesteps[:-1], strict=True)):
        draws = [torch.Generator().manual_seed(n) for _ in range(2)]
        x = ours.step(bent(x, t), t, x, generator=draws[0]).prev_sample
        y = theirs.step(bent(y, u), u, y, generator=draws[1]).prev_sample
    assert distance(x, y) > 0.01


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (
            lambda: stock.DPMSolverMultistepScheduler(
                algorithm_type="sde-dpmsolver", final_sigmas_type="sigma_min"
            ),
            "extrapolates the noise of the past",
        ),
        (
            lambda: stock.DPMSolverMultistepScheduler(
                algorithm_type="sde-dpmsolver++", solver_order=3, solver_type="heun"
            ),
            "two kinds of weights",
        ),
        (
            lambda: stock.DPMSolverSinglestepScheduler(algorithm_type="sde-dpmsolver++"),
            "steps of its own; choose `method`, such as 'dpmpp_2s_sde'",
        ),
        (stock.DPMSolverSDEScheduler, "DPMSolverSDEScheduler .* such as 'dpmpp_2s_sde'"),
    ],
)
@pytest.mark.parametrize("saved", [False, True])
def test_other_stochastic_configurations_are_refused(scheduler, message, saved, tmp_path) -> None:
    config = scheduler().config
    if saved:
        scheduler().save_pretrained(tmp_path)
        config = SemilinearScheduler.load_config(tmp_path)
    with pytest.raises(InvalidArgument, match=message):
        SemilinearScheduler.from_config(config)


def test_keys_left_over_from_an_earlier_scheduler_choose_nothing(tmp_path) -> None:
    stock.DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++").save_pretrained(tmp_path)
    unipc = stock.UniPCMultistepScheduler.from_pretrained(tmp_path)
    assert unipc.config.algorithm_type == "sde-dpmsolver++"
    assert SemilinearScheduler.from_config(unipc.config).config.method is None
    stock.SASolverScheduler(predictor_order=3).save_pretrained(tmp_path)
    ddim = stock.DDIMScheduler.from_config(stock.SASolverScheduler.load_config(tmp_path))
    assert SemilinearScheduler.from_config(ddim.config).config.predictor_order is None


def test_keys_that_were_entered_into_the_configuration_of_another_class_count() -> None:
    for other in (stock.DDIMScheduler(), stock.SASolverScheduler(), stock.PNDMScheduler()):
        for keys in ({"method": "tab3"}, {"method": "dpmpp_2m", "tau": 0.5, "exact": True}):
            found = SemilinearScheduler.from_config({**other.config, **keys})
            beside = SemilinearScheduler.from_config(other.config, **keys)
            assert chosen(found.config) == chosen(beside.config)
            assert found.config.method == keys["method"]
    before = SemilinearScheduler(method="ddpm", eta=0.5)
    through = stock.DPMSolverMultistepScheduler.from_config(before.config)
    assert chosen(SemilinearScheduler.from_config(through.config).config) == chosen(before.config)
    found = SemilinearScheduler.from_config(through.config, method="dpmpp_2m", eta=0.2)
    assert chosen(found.config).noise == diffusion.Eta(0.2)


def test_a_sampler_beside_a_configuration_replaces_the_one_that_is_in_it() -> None:
    euler = SemilinearScheduler.from_config(stock.EulerAncestralDiscreteScheduler().config)
    for before in (
        euler,
        SemilinearScheduler(method="ddpm", eta=0.5),
        SemilinearScheduler(method="dpmpp_2m", tau=1.0),
        SemilinearScheduler(method="edm_heun", noise="churn=3,low=0.05,high=5"),
    ):
        adams = SemilinearScheduler.from_config(before.config, solver_order=3)
        assert chosen(adams.config) == chosen(SemilinearScheduler(solver_order=3).config)
        unipc = SemilinearScheduler.from_config(before.config, method="unipc2")
        assert chosen(unipc.config) == chosen(SemilinearScheduler(method="unipc2").config)
        with_noise = SemilinearScheduler.from_config(before.config, method="dpmpp_2m", tau=0.5)
        assert chosen(with_noise.config).noise == diffusion.Tau(0.5)
    less = SemilinearScheduler.from_config(
        SemilinearScheduler(method="ddim", tau=1.0).config, eta=0
    )
    assert chosen(less.config).noise == diffusion.Eta(0)


LEVELS = {
    "0.5": diffusion.Tau(0.5),
    "tau=1,scale=0.9": diffusion.Tau(1.0, 0.9),
    "within=0.8,low=0.1,high=0.7": diffusion.TauWithin(0.8, 0.1, 0.7),
    "eta=0.5": diffusion.Eta(0.5),
    "er_sde": diffusion.RhoPower(),
    "er_sde,scale=0.9": diffusion.RhoPower(scale=0.9),
    "ancestral=0.7": diffusion.Ancestral(0.7),
    "churn=4,low=0.05,high=5,scale=1.003": diffusion.Churn(4.0, 0.05, 5.0, 1.003),
}


@pytest.mark.parametrize(("text", "level"), LEVELS.items())
def test_every_noise_level_is_a_key_that_files_keep(text: str, level, tmp_path) -> None:
    method = "ddim" if "ancestral" in text or "churn" in text else "dpmpp_2m"
    scheduler = SemilinearScheduler(method=method, noise=text, use_karras_sigmas=True)
    assert chosen(scheduler.config).noise == level
    again = from_disk(scheduler, tmp_path)
    assert again.config.noise == text
    found = run_of(scheduler, 7)
    assert torch.equal(run_of(again, 7), found)
    silent = SemilinearScheduler(method=method, use_karras_sigmas=True)
    assert distance(run_of(silent, 7), found) > 1e-3
    if "churn" in text:
        return
    # The plan itself, with the same numbers.
    path = diffusion.Discrete.linear()
    scheduler.set_timesteps(7)
    plan = diffusion.plan(
        path,
        method=method,
        grid=path.t_of_rho(scheduler.sigmas[:-1].double().numpy().clip(*path.rho([0.0, 999.0]))),
        final="zero",
        lower_end=True,
        noise=level,
    )
    generator = torch.Generator().manual_seed(100)
    drawn = [torch.randn(2, 3, 8, 8, generator=generator) for _ in range(7)]
    state = plan.start(start(), noise=lambda k, i: drawn[state.step])
    while not state.done:
        state = plan.advance(state, network(state.x, state.t))
    assert distance(found, state.x) < 100 * EPS32


def churned(sigmas, x, model, *, churn, low, high, scale, heun):
    """Karras et al. (2022), algorithm 2, on x / alpha; the first step as it is handed in."""
    steps = len(sigmas) - 1
    generator = torch.Generator().manual_seed(3)
    x = x * sqrt(1 + sigmas[0] ** 2)
    for n in range(steps):
        sigma, after = sigmas[n], sigmas[n + 1]
        gamma = min(churn / steps, sqrt(2) - 1) if n and low <= sigma <= high else 0.0
        hat = sigma * (1 + gamma)
        if gamma:
            z = torch.randn(x.shape, generator=generator, dtype=x.dtype)
            x = x + sqrt(hat**2 - sigma**2) * scale * z
        slope = model(x / sqrt(1 + hat**2), hat)
        new = x + (after - hat) * slope
        if heun and after:
            new = x + (after - hat) * (slope + model(new / sqrt(1 + after**2), after)) / 2
        x = new
    return x / sqrt(1 + sigmas[-1] ** 2)


@pytest.mark.parametrize("method", ["ddim", "edm_heun"])
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
@pytest.mark.parametrize("low", [0.0, 0.1])
@pytest.mark.parametrize("first", [0, 2])
def test_churn_is_that_of_its_paper_from_the_second_step_on(method, final, low, first) -> None:
    keys = {"use_karras_sigmas": True, "final_sigmas_type": final, **LATENT}
    plain = SemilinearScheduler(**keys)
    plain.set_timesteps(8)
    path = diffusion.Discrete.scaled_linear()
    # The same levels, in double precision.
    ends = [r ** (1 / 7) for r in path.rho([path.t_max, path.t_min])]
    levels = np.linspace(*ends, 8 + (final == "sigma_min")) ** 7
    levels = np.append(levels, 0.0) if final == "zero" else levels
    assert np.allclose(levels, plain.sigmas, rtol=1e-5)

    def model(x, rho):
        return torch.tanh(1.3 * x) * (1 + rho) / (2 + rho)

    scheduler = SemilinearScheduler(
        method=method, noise=f"churn=3,low={low},high=5,scale=1.01", **keys
    )
    scheduler.set_timesteps(8)
    gamma = 3 / 8
    at = first * scheduler.order
    x = start(torch.float64)
    generator = torch.Generator().manual_seed(3)
    rho = np.asarray(path.rho(np.clip(scheduler._course.plan.times, 0.0, 999.0)))
    inside = (levels[1:-1] >= low) & (levels[1:-1] <= 5)
    begins = levels[1:-1] * np.where(inside[: len(levels) - 2], 1 + gamma, 1.0)
    assert np.allclose(rho[scheduler.order :: scheduler.order][: len(begins)], begins)
    if first:
        scheduler.set_begin_index(at)
        levels = np.append(rho[at], levels[first + 1 :])
    for k, t in enumerate(scheduler.timesteps[at:], start=at):
        x = scheduler.step(model(x, float(rho[k])), t, x, generator=generator).prev_sample
    given = {"low": low, "high": 5.0, "scale": 1.01}
    churn = 3 / 8 * (len(levels) - 1)  # gamma is that of the whole run
    expected = churned(
        levels, start(torch.float64), model, churn=churn, heun=method != "ddim", **given
    )
    assert distance(x, expected) < 1e-9


def test_churn_on_a_flow_and_beside_other_timesteps() -> None:
    flow = SemilinearScheduler(
        method="ddim", noise="churn=2", use_flow_sigmas=True, prediction_type="flow_prediction"
    )
    assert torch.isfinite(run_of(flow, 6)).all()
    levels = {"timesteps": [900, 600, 300], "sigmas": [10.0, 3.0, 0.5]}
    told = SemilinearScheduler(method="ddim", noise="churn=0.9", **LATENT)
    told.set_timesteps(**levels)
    assert torch.allclose(told.sigmas, torch.tensor([10.0, 3.9, 0.65, 0.0]))
    assert told.timesteps[0] == 900
    assert 600 < told.timesteps[1] < 900
    close = SemilinearScheduler(method="ddim", noise="churn=0.9", **LATENT)
    with pytest.raises(InvalidArgument, match=r"none above 10; say high=7\.69"):
        close.set_timesteps(timesteps=[900, 890, 300], sigmas=[10.0, 9.0, 0.5])
    # One step has none before which noise could come.
    close.set_timesteps(1)
    x = start()
    assert torch.isfinite(close.step(network(x, 999), 999, x).prev_sample).all()


def test_churn_that_leaves_the_noise_of_the_training_is_refused_with_the_remedy() -> None:
    scheduler = SemilinearScheduler(method="ddim", noise="churn=40", **LATENT)
    with pytest.raises(InvalidArgument, match=r"none above 14\.6146; say high=10\.334") as raised:
        scheduler.set_timesteps(20)
    high = str(raised.value).split("high=")[1].split()[0]
    scheduler.register_to_config(noise=f"churn=40,high={high}")
    scheduler.set_timesteps(20)
    assert inf > run(scheduler, start()).abs().max()


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"noise": 0.5}, InvalidArgument, "noise=0.5 must be text .*noise='tau=0.5'"),
        ({"noise": diffusion.Tau(1.0)}, InvalidArgument, "must be text"),
        ({"noise": "much"}, InvalidArgument, "noise=much must be a number or such as eta=0.5"),
        ({"noise": "withn=1"}, UnknownName, "noise='withn' is not known; did you mean within"),
        ({"noise": "churn"}, InvalidArgument, "noise=churn needs a number, such as churn=40"),
        ({"noise": "er_sde=2"}, InvalidArgument, "er_sde takes no number"),
        ({"noise": "churn=1,s_tmin=2"}, InvalidArgument, "parameters low, high, scale, and not"),
        ({"noise": "eta=2"}, InvalidArgument, "eta=2.0 must lie between 0 and 1"),
        ({"noise": "1", "eta": 0.5, "tau": 1.0}, InvalidArgument, "noise and eta and tau all say"),
        ({"noise": "1", "tau": 1.0}, InvalidArgument, "noise and tau both say how much"),
        (
            {"predictor_order": 0},
            InvalidArgument,
            "predictor_order=0 must be a whole number from 1",
        ),
        ({"corrector_order": 5}, InvalidArgument, "corrector_order=5 must be .* to 4"),
        ({"corrector_order": 2.5}, InvalidArgument, "corrector_order=2.5"),
        (
            {"predictor_order": 3, "method": "tab3"},
            InvalidArgument,
            "predictor_order=3 is of SA-Solver, and method='tab3' is not",
        ),
    ],
)
def test_noise_without_a_meaning_is_refused(config, error, message: str) -> None:
    with pytest.raises(error, match=message):
        SemilinearScheduler(**config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"method": "tab3", "noise": "1"}, "tab3 extrapolates eps"),
        ({"method": "tab3", "tau": 0.5}, "tab3 extrapolates eps"),
        ({"tau": 0.5}, "logrhoab1 extrapolates eps"),
        ({"method": "dpmpp_2m", "noise": "ancestral=1"}, "splits steps"),
        ({"predictor_order": 3, "noise": "churn=1,high=3"}, "splits steps"),
        ({"method": "tab3", "noise": "er_sde"}, "is defined with x0 as N"),
        ({"method": "euler", "noise": "1"}, "integrates dx/dt of the ODE and takes none"),
    ],
)
def test_noise_that_a_sampler_does_not_bear_is_refused_before_a_run(config, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        SemilinearScheduler(**config)


def test_keys_without_a_value_choose_nothing(tmp_path) -> None:
    SemilinearScheduler().save_pretrained(tmp_path)
    config = SemilinearScheduler.load_config(tmp_path)
    for kind, keys in (
        (stock.EulerAncestralDiscreteScheduler, {}),
        (stock.DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    ):
        other = kind.from_config(config, **keys)
        found = SemilinearScheduler.from_config(other.config)
        assert chosen(found.config).noise is not None


def test_noise_beside_an_sde_of_order_one_replaces_its_own() -> None:
    config = stock.DPMSolverMultistepScheduler(
        algorithm_type="sde-dpmsolver", solver_order=1, final_sigmas_type="sigma_min"
    ).config
    assert chosen(SemilinearScheduler.from_config(config).config).noise == diffusion.Tau(1.0)
    found = SemilinearScheduler.from_config(config, eta=0.5)
    assert chosen(found.config).noise == diffusion.Eta(0.5)
    found = SemilinearScheduler.from_config({**config, "tau": 0.5})
    assert chosen(found.config).noise == diffusion.Tau(0.5)
