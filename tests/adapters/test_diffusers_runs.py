"""The state of a run: precision, what pipelines do to samples, noise, copies, threads."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from semilinear import InvalidArgument, ModelOutputError, NonFiniteError, diffusion

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import DDPMScheduler  # noqa: E402

from k_diffusion_runs import Image  # noqa: E402
from semilinear.adapters.diffusers import SemilinearScheduler  # noqa: E402

# PyTorch's own, when it loads the rules of forward-mode derivatives.
script_is_deprecated = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

LATENT = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
METHODS = (
    "ddim",
    "logrhoab2",
    "tab3",
    "unipc2",
    "rho_heun2",
    "rho_rk4",
    "sa_solver_pece",
    "dpmpp_3s",
)
STOCHASTIC = ("ddpm", "dpmpp_2m_sde", "euler_ancestral", "dpm2_ancestral", "seeds3", "sa_solver")
SHAPE = (3, 2, 16, 16)


def made(method, **config):
    """A scheduler for a method without noise."""
    return SemilinearScheduler(method=method, tau=0.0 if "sa_" in method else None, **config)


def noise(dtype=torch.float32, seed=0):
    numbers = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return numbers.to(dtype)


def network(x, t):
    return torch.tanh(1.3 * x) + 0.1 * float(t) / 1000


def run(scheduler, x, steps=8, *, between=None, generator=None, model=network):
    scheduler.set_timesteps(steps)
    for n, t in enumerate(scheduler.timesteps):
        x = scheduler.step(model(x, t), t, x, generator=generator).prev_sample
        if between is not None:
            x = between(n, x)
    return x


@pytest.mark.parametrize("method", METHODS)
def test_runs_are_those_of_the_plan(method: str) -> None:
    scheduler = made(method, lower_order_final=False, **LATENT)
    scheduler.set_timesteps(timesteps=[900, 600, 300, 50])
    x = noise(torch.float64)
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t), t, x, return_dict=False)[0]
    expected = diffusion.sample(
        network,
        noise(torch.float64),
        diffusion.Discrete.scaled_linear(),
        method=method,
        grid=[900, 600, 300, 50],
        final="zero" if method in ("unipc2", "sa_solver_pece") else "denoise",
        noise=0.0,
    )
    assert torch.allclose(x, expected, rtol=1e-6)  # timesteps inside steps are told in float32


@pytest.mark.parametrize("method", METHODS)
def test_a_copy_of_the_sample_changes_nothing(method: str) -> None:
    scheduler = made(method)
    own = run(scheduler, noise())
    copied = run(scheduler, noise(), between=lambda n, x: x.clone())
    assert torch.equal(own, copied)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("in_place", [False, True])
def test_what_a_pipeline_writes_into_the_sample_counts(method, dtype, in_place) -> None:
    scheduler = made(method, **LATENT)
    evaluations = scheduler.order

    def written(n, x, *, until=0):
        left = len(scheduler.timesteps) - 1 - n
        if left < until or (left and (n + 1) % evaluations):  # the latter is inside a step
            return x
        if in_place:
            x[..., :8] = 0.25
            return x
        return torch.cat([torch.full_like(x[..., :8], 0.25), x[..., 8:]], dim=-1)

    left_alone = run(scheduler, noise(dtype))
    changed = run(scheduler, noise(dtype), between=written)
    assert torch.equal(left_alone[..., 8:], changed[..., 8:])
    assert (changed[..., :8] == 0.25).all()
    # A network that is told the same at all entries, of a state that is the same, says the same.
    free = run(scheduler, noise(dtype), between=lambda n, x: written(n, x, until=1))[..., :8]
    assert float((free - free.flatten()[0]).abs().max()) < 1e-6
    assert float((free - left_alone[..., :8]).abs().max()) > 0.1


def test_the_history_is_kept_when_the_sample_is_replaced() -> None:
    scheduler = SemilinearScheduler(solver_order=3, lower_order_final=False)
    other = noise(torch.float64, seed=5)
    x = run(scheduler, noise(torch.float64), between=lambda n, x: other if n == 4 else x, steps=8)
    plan = diffusion.plan(
        diffusion.Discrete.linear(),
        method="logrhoab2",
        grid=np.linspace(999, 0, 9).round()[:-1],
        final="denoise",
    )
    y, past = noise(torch.float64), []
    for n, (transfer, weights) in enumerate(zip(plan.transfer, plan.weights, strict=True)):
        past = [network(y, plan.t[n]), *past][:3]
        y = transfer * y + sum(w * e for w, e in zip(weights, past, strict=False))
        y = other if n == 4 else y
    state = scheduler.add_noise(
        torch.zeros_like(y), network(y, plan.t[-1]), torch.tensor([200] * 3)
    )
    alpha = scheduler.alphas_cumprod[int(plan.t[-1])].double().sqrt()
    sigma = (1 - alpha**2).sqrt()
    assert state.shape == x.shape
    assert torch.allclose(x, (y - sigma * network(y, plan.t[-1])) / alpha, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("pass_on", [lambda x: x, lambda x: x.clone()], ids=["same", "copy"])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_state_of_half_precision_is_kept_in_single(dtype, pass_on, mode) -> None:
    scheduler = SemilinearScheduler(solver_order=2, **LATENT)

    def model(x, t):  # sees the rounded state, so it must not look at it
        return noise(seed=int(t)).to(x.dtype)

    with mode():
        found = run(scheduler, noise(dtype), 50, between=lambda n, x: pass_on(x), model=model)
        exact = run(
            scheduler,
            noise(dtype).double(),
            50,
            model=lambda x, t: model(noise(dtype), t).double(),
        )
    assert found.dtype == dtype
    one_rounding = torch.finfo(dtype).eps / 2 * exact.abs() + 1e-4
    assert ((found.double() - exact).abs() <= one_rounding).all()


def test_answers_of_another_precision_are_taken() -> None:
    scheduler = SemilinearScheduler(solver_order=2)
    found = run(scheduler, noise(), model=lambda x, t: network(x, t).bfloat16())
    assert found.dtype == torch.float32
    exact = run(scheduler, noise())
    assert float((found - exact).abs().max()) < 0.01 * float(exact.abs().max())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lower", [False, True])
def test_networks_may_write_into_their_last_answer(method: str, lower: bool) -> None:
    buffer = torch.empty(SHAPE)
    scheduler = made(method, lower_order_final=lower)
    found = run(scheduler, noise(), model=lambda x, t: buffer.copy_(network(x, t)))
    assert torch.equal(found, run(scheduler, noise()))


@pytest.mark.parametrize("solver_order", [2, 3, 5])
@pytest.mark.parametrize("spoil", ["data", "numpy", "inference"])
def test_answers_may_be_overwritten_where_no_version_counts_it(solver_order, spoil) -> None:
    scheduler = SemilinearScheduler(solver_order=solver_order)
    expected = run(scheduler, noise())
    kept = []

    def between(n, x):
        for answer in kept:
            if spoil == "data":
                answer.data.fill_(torch.nan)
            elif spoil == "numpy":
                answer.numpy()[...] = np.nan
            else:
                answer.fill_(torch.nan)
        return x

    def model(x, t):
        kept.append(network(x, t))
        return kept[-1]

    with torch.inference_mode(spoil == "inference"):
        assert torch.equal(run(scheduler, noise(), between=between, model=model), expected)


def test_a_bad_answer_leaves_the_history_as_it_was() -> None:
    scheduler = SemilinearScheduler(solver_order=3)
    expected = run(scheduler, noise())
    scheduler.set_timesteps(8)
    x = noise()
    for n, t in enumerate(scheduler.timesteps):
        answer = network(x, t)
        if n in (2, 5):
            bad = answer.clone()
            bad[0, 0, 0, 0] = torch.nan
            with pytest.raises(NonFiniteError, match=rf"evaluation {n + 1} of 8 .* 1 of 1536"):
                scheduler.step(bad, t, x)
            with pytest.raises(ModelOutputError):
                scheduler.step(answer[:2], t, x)
        x = scheduler.step(answer, t, x).prev_sample
    assert torch.equal(x, expected)


@pytest.mark.parametrize("method", [None, "tab3", "unipc2", "rho_heun2"])
def test_any_number_of_bad_answers_leaves_it_so(method: str | None) -> None:
    asks = "sample" if method == "unipc2" else "epsilon"  # what the method keeps
    scheduler = SemilinearScheduler(method=method, prediction_type=asks)
    for size in (SHAPE, (1, 1, 2, 2)):  # compiled kernels, and plain ones
        begin = noise()[tuple(slice(n) for n in size)]
        expected = run(scheduler, begin)
        scheduler.set_timesteps(8)
        x = begin
        for n, t in enumerate(scheduler.timesteps):
            answer = network(x, t)
            for _ in range(n):
                with pytest.raises(NonFiniteError):
                    scheduler.step(torch.full_like(answer, torch.nan), t, x)
            x = scheduler.step(answer, t, x).prev_sample
        assert torch.equal(x, expected)


def test_gradients_that_begin_in_the_middle_of_a_run() -> None:
    scheduler = SemilinearScheduler(solver_order=3)
    factor = torch.tensor(1.3, requires_grad=True)
    buffer = torch.empty(SHAPE)

    def model(x, t):
        if t > 400:
            return buffer.copy_(network(x, t))
        return torch.tanh(factor * x) + 0.1 * float(t) / 1000

    found = run(scheduler, noise(), model=model)
    assert torch.allclose(found, run(scheduler, noise()), atol=1e-5)
    found.sum().backward()
    assert torch.isfinite(factor.grad)


def test_the_sample_that_a_run_begins_with_is_left_alone() -> None:
    for method in METHODS:
        x = noise()
        run(made(method), x)
        assert torch.equal(x, noise())


@pytest.mark.parametrize("method", STOCHASTIC)
def test_noise_comes_from_the_generators(method: str) -> None:
    scheduler = SemilinearScheduler(method=method)

    def generators(seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    one = run(scheduler, noise(), generator=generators([7])[0])
    again = run(scheduler, noise(), generator=generators([7])[0])
    other = run(scheduler, noise(), generator=generators([8])[0])
    assert torch.equal(one, again)
    assert not torch.allclose(one, other, atol=1e-3)
    together = run(scheduler, noise(), generator=generators([1, 2, 3]))
    alone = run(scheduler, noise()[1:2], generator=generators([2]))
    assert torch.allclose(together[1:2], alone, atol=1e-5)
    with pytest.raises(InvalidArgument, match="generator has 2 entries for 3 samples"):
        run(scheduler, noise(), generator=generators([1, 2]))
    for wrong in (5, [5, 6, 7]):
        with pytest.raises(InvalidArgument, match=r"generator=.*must be a torch.Generator, or a"):
            run(scheduler, noise(), generator=wrong)


@pytest.mark.parametrize(
    ("config", "same"),
    [
        ({"method": "ddim", "eta": 1.0}, {"method": "ddpm"}),
        ({"method": "dpmpp_2m", "tau": 1.0}, {"method": "dpmpp_2m_sde"}),
        ({"method": "euler_ancestral", "eta": 0.0}, {"method": "ddim"}),
        ({"method": "ddpm", "tau": 0.0}, {"method": "ddim"}),
        ({"eta": 0.0, "solver_order": 1}, {"solver_order": 1}),
        ({"method": "dpmpp_2m", "eta": 0.0}, {"method": "dpmpp_2m"}),
    ],
)
def test_eta_and_tau_are_noise_levels(config: dict, same: dict) -> None:
    def sampled(keys):
        generator = torch.Generator().manual_seed(3)
        return run(SemilinearScheduler(**keys), noise(torch.float64), generator=generator)

    assert torch.allclose(sampled(config), sampled(same), rtol=1e-9)


def test_exact_weights_are_those_of_the_plan() -> None:
    published = run(SemilinearScheduler(method="dpmpp_3m"), noise())
    exact = run(SemilinearScheduler(method="dpmpp_3m", exact=True), noise())
    assert not torch.allclose(published, exact, atol=1e-4)


def test_set_timesteps_forgets_everything() -> None:
    fresh = run(SemilinearScheduler(solver_order=3), noise())
    scheduler = SemilinearScheduler(solver_order=3)
    scheduler.set_timesteps(5)
    scheduler.set_begin_index(1)
    scheduler.step(noise(seed=9), scheduler.timesteps[1], noise(seed=8))
    assert scheduler.step_index == 2
    assert torch.equal(run(scheduler, noise()), fresh)
    scheduler.set_timesteps(5)
    assert scheduler.step_index is None
    assert scheduler.begin_index is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_copies_in_the_middle_of_a_run_go_on_alone(method: str, dtype) -> None:
    scheduler = made(method)
    expected = run(scheduler, noise(dtype))
    scheduler.set_timesteps(8)
    x = noise(dtype)
    for n, t in enumerate(scheduler.timesteps):
        if n == 4:
            copied, y = copy.deepcopy(scheduler), x.clone()
        x = scheduler.step(network(x, t), t, x).prev_sample
    assert copied.step_index == 4
    for t in copied.timesteps[4:]:
        y = copied.step(network(y, t), t, y).prev_sample
    assert torch.equal(x, expected)
    assert torch.equal(y, expected)


@pytest.mark.parametrize("method", [None, "unipc2", "rho_heun2"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_samples_copied_beside_their_run_can_be_written_into(method, copied) -> None:
    scheduler = SemilinearScheduler(method=method)

    expected = run(scheduler, noise(), between=lambda n, x: x.mul_(2.0) if n == 3 else x)
    scheduler.set_timesteps(8)
    x = noise()
    for n in range(len(scheduler.timesteps)):
        t = scheduler.timesteps[n]
        x = scheduler.step(network(x, t), t, x).prev_sample
        if n == 3:
            scheduler, x = copied((scheduler, x))
            x.mul_(2.0)
    assert torch.equal(x, expected)


def test_schedulers_at_rest_can_be_pickled() -> None:
    scheduler = SemilinearScheduler(solver_order=3)
    scheduler.set_timesteps(5)
    restored = pickle.loads(pickle.dumps(scheduler))
    assert torch.equal(run(restored, noise()), run(scheduler, noise()))


def test_threads_with_their_own_schedulers_do_not_meet() -> None:
    config = SemilinearScheduler(solver_order=3).config

    def sampled(seed):
        return run(SemilinearScheduler.from_config(config), noise(seed=seed), 20)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(sampled, range(8)))
    for seed, x in enumerate(found):
        assert torch.equal(x, sampled(seed))


def stepped(scheduler, x, timesteps):
    for t in timesteps:
        x = scheduler.step(network(x, t), t, x).prev_sample
    return x


def test_threads_that_share_a_scheduler_never_mix_their_runs() -> None:
    scheduler, x = SemilinearScheduler(solver_order=3), noise()
    with ThreadPoolExecutor(1) as pool:

        def elsewhere(function, *arguments):
            return pool.submit(function, *arguments).result()

        scheduler.set_timesteps(10)
        timesteps = scheduler.timesteps
        middle = stepped(scheduler, x, timesteps[:3])
        # Another thread begins a run: that goes on, and this one does not.
        elsewhere(scheduler.set_timesteps, 10)
        for _ in range(2):
            with pytest.raises(InvalidArgument, match=r"another thread has begun.*copy\.deepcopy"):
                stepped(scheduler, middle, timesteps[3:])
        other = elsewhere(stepped, scheduler, noise(seed=1), timesteps[:5])
        with pytest.raises(InvalidArgument, match="another thread has begun"):
            stepped(scheduler, middle, timesteps[3:])
        other = elsewhere(stepped, scheduler, other, timesteps[5:])
        # Both at the same place: whoever comes second is out of turn.
        scheduler.set_timesteps(10)
        elsewhere(scheduler.set_timesteps, 10)
        first = stepped(scheduler, x, timesteps[:1])
        with pytest.raises(InvalidArgument, match="not the one whose turn it is"):
            elsewhere(stepped, scheduler, x, timesteps[:1])
        assert torch.equal(stepped(scheduler, first, timesteps[1:]), run(scheduler, x, 10))
        # As does what takes turns.
        assert torch.equal(other, run(scheduler, noise(seed=1), 10))
        assert torch.equal(elsewhere(run, scheduler, x, 10), run(scheduler, x, 10))
        # One loop may go from thread to thread, and be given up.
        for stop in (4, 10):
            scheduler.set_timesteps(10)
            found = x
            for n, t in enumerate(timesteps[:stop]):
                step = elsewhere if n % 2 else lambda function, *arguments: function(*arguments)
                found = step(stepped, scheduler, found, [t])
        assert torch.equal(found, run(scheduler, x, 10))


def test_a_copy_of_a_run_goes_on_in_another_thread() -> None:
    scheduler, x = SemilinearScheduler(solver_order=3), noise()
    expected = run(scheduler, x, 10)
    scheduler.set_timesteps(10)
    timesteps = scheduler.timesteps
    middle = stepped(scheduler, x, timesteps[:3])
    other = copy.deepcopy(scheduler)
    with ThreadPoolExecutor(1) as pool:
        assert torch.equal(pool.submit(stepped, other, middle, timesteps[3:]).result(), expected)
    assert torch.equal(stepped(scheduler, middle, timesteps[3:]), expected)


def test_a_configuration_replaced_after_construction_counts() -> None:
    scheduler = SemilinearScheduler(timestep_spacing="leading")
    scheduler.register_to_config(steps_offset=1, solver_order=1)
    scheduler.set_timesteps(10)
    assert scheduler.timesteps[-1] == 91
    x = noise()
    assert torch.equal(
        run(scheduler, x),
        run(SemilinearScheduler(timestep_spacing="leading", steps_offset=1, method="ddim"), x),
    )


def test_gradients_pass_through_a_run() -> None:
    factor = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    scheduler = SemilinearScheduler(solver_order=3)

    def loss(value):
        x = run(scheduler, noise(torch.float64), model=lambda x, t: torch.tanh(value * x))
        return x.square().sum()

    loss(factor).backward()
    step = 1e-6
    with torch.no_grad():
        difference = (loss(factor + step) - loss(factor - step)) / (2 * step)
    assert torch.isclose(factor.grad, difference, rtol=1e-6)


@script_is_deprecated
@pytest.mark.parametrize("method", [None, "rho_heun2"])
@pytest.mark.parametrize("count", [1, 3])  # of plain kernels, and of compiled ones
def test_transforms_of_functions_pass_through_a_run(method: str | None, count: int) -> None:
    scheduler = SemilinearScheduler(method=method)
    x = noise(torch.float64)[:count, :1, :8]
    along = torch.ones_like(x)

    def sampled(x):
        return run(scheduler, x, 4)

    difference = (sampled(x + 1e-6 * along) - sampled(x - 1e-6 * along)) / 2e-6
    assert torch.allclose(torch.func.jvp(sampled, (x,), (along,))[1], difference, rtol=1e-6)
    gradient = torch.func.grad(lambda x: sampled(x).sum())(x)
    assert torch.isclose((gradient * along).sum(), difference.sum(), rtol=1e-6)


@script_is_deprecated
def test_forward_derivatives_may_begin_in_the_middle_of_a_run() -> None:
    scheduler = SemilinearScheduler(solver_order=3)
    buffer = torch.empty(SHAPE, dtype=torch.float64)

    def sampled(factor):
        return run(
            scheduler,
            noise(torch.float64),
            model=lambda x, t: buffer.copy_(network(x, t)) if t > 400 else torch.tanh(factor * x),
        )

    difference = (sampled(1.3 + 1e-6) - sampled(1.3 - 1e-6)) / 2e-6
    with torch.autograd.forward_ad.dual_level():
        pair = torch.tensor([1.3, 1.0], dtype=torch.float64).unbind()
        factor = torch.autograd.forward_ad.make_dual(*pair)
        found = torch.autograd.forward_ad.unpack_dual(sampled(factor)).tangent
    assert torch.allclose(found, difference, rtol=1e-5, atol=1e-7)


def test_other_memory_layouts_and_small_samples_are_taken() -> None:
    scheduler = SemilinearScheduler(solver_order=3)
    expected = run(scheduler, noise())
    last = run(scheduler, noise().to(memory_format=torch.channels_last))
    assert torch.equal(last, expected)
    turned = run(scheduler, noise().transpose(0, 1)).transpose(0, 1)
    assert torch.equal(turned, expected)
    small = run(scheduler, noise()[:1, :1, :2, :2])
    assert torch.allclose(small, expected[:1, :1, :2, :2], atol=1e-5)


@pytest.mark.parametrize("method", [None, "unipc2", "rho_heun2", "dpmpp_2m"])
def test_tensors_of_derived_classes_are_taken(method: str | None) -> None:
    def plain(x, t):
        return network(x.as_subclass(torch.Tensor), t)

    scheduler = SemilinearScheduler(method=method)
    found = run(scheduler, noise().as_subclass(Image), model=plain).as_subclass(torch.Tensor)
    assert torch.allclose(found, run(scheduler, noise()), atol=1e-5)


def test_wrong_answers_and_samples_are_named() -> None:
    scheduler = SemilinearScheduler()
    scheduler.set_timesteps(5)
    x, t = noise(), scheduler.timesteps
    with pytest.raises(
        ModelOutputError, match=r"^the model at evaluation 1 of 5 .*shape \(3, 4, 16, 16\)"
    ):
        scheduler.step(torch.zeros(3, 4, 16, 16), t[0], x)
    with pytest.raises(NonFiniteError, match="evaluation 1 of 5"):
        scheduler.step(torch.full(SHAPE, torch.nan), t[0], x)
    assert scheduler.step_index is None
    y = scheduler.step(x / 2, t[0], x).prev_sample
    with pytest.raises(InvalidArgument, match=r"sample has shape \(2, 2, 16, 16\)"):
        scheduler.step(x[:2], t[1], y[:2])
    scheduler.step(y / 2, t[1], y)


@pytest.mark.parametrize("kind", ["learned", "learned_range"])
@pytest.mark.parametrize("keys", [{}, {"method": "rho_heun2"}, {"thresholding": True}])
def test_a_variance_beside_the_answer_is_left_out(kind: str, keys: dict, tmp_path) -> None:
    def both(x, t):
        answer = network(x, t)
        return torch.cat([answer, torch.full_like(answer, torch.nan)], dim=1)

    theirs = DDPMScheduler(variance_type=kind, timestep_spacing="linspace")
    expected = run(SemilinearScheduler(**keys), noise())
    live = SemilinearScheduler.from_config(theirs.config, **keys)
    theirs.save_pretrained(tmp_path)
    saved = SemilinearScheduler.from_pretrained(tmp_path, **keys)
    for scheduler in (live, saved, SemilinearScheduler(variance_type=kind, **keys)):
        assert torch.equal(run(scheduler, noise(), model=both), expected)
        # Pipelines may have taken it away themselves.
        assert torch.equal(run(scheduler, noise()), expected)
        assert scheduler.config.variance_type == kind
        with pytest.raises(ModelOutputError, match=r"shape \(3, 6, 16, 16\)"):
            run(scheduler, noise(), model=lambda x, t: torch.cat([x, x, x], dim=1))
    with pytest.raises(ModelOutputError, match=r"shape \(3, 4, 16, 16\)"):
        run(SemilinearScheduler(**keys), noise(), model=both)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.bool])
def test_whole_numbers_are_refused(dtype) -> None:
    scheduler = SemilinearScheduler()
    whole, at = torch.ones(SHAPE, dtype=dtype), torch.tensor([10, 20, 30])
    with pytest.raises(InvalidArgument, match=r"original_samples has dtype.* \[-1, 1\]"):
        scheduler.add_noise(whole, noise(), at)
    with pytest.raises(InvalidArgument, match="sample has dtype"):
        scheduler.scale_noise(whole, at, noise())
    with pytest.raises(InvalidArgument, match="sample has dtype"):
        scheduler.get_velocity(whole, noise(), at)
    for mix in (scheduler.add_noise, scheduler.get_velocity):
        with pytest.raises(InvalidArgument, match="noise has dtype"):
            mix(noise(), whole, at)
    scheduler.set_timesteps(5)
    t = scheduler.timesteps
    with pytest.raises(InvalidArgument, match="sample has dtype"):
        scheduler.step(noise(), t[0], whole)
    with pytest.raises(InvalidArgument, match="model_output has dtype"):
        scheduler.step(whole, t[0], noise())
    assert scheduler.step_index is None


def test_a_batch_of_no_samples_passes() -> None:
    for keys in ({}, {"thresholding": True}):
        x = run(SemilinearScheduler(**keys), noise()[:0])
        assert x.shape == (0, *SHAPE[1:])


def test_the_network_sees_the_sample_itself() -> None:
    x = noise()
    scheduler = SemilinearScheduler()
    assert scheduler.scale_model_input(x, 5) is x
    assert len(scheduler) == 1000
    assert scheduler.init_noise_sigma == 1.0
