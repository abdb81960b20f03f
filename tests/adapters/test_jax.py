"""Plans inside JAX: one scan equals the run by ask and tell, and is a function like any other."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

import semilinear as sl
from semilinear import InvalidArgument, ModelOutputError, Table, diffusion
from semilinear.methods import singlestep

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

from semilinear.adapters.jax import KeyNoise, register, sample  # noqa: E402
from semilinear.diffusion.guidance import guided  # noqa: E402
from semilinear.diffusion.inpainting import inpainted  # noqa: E402
from semilinear.diffusion.thresholding import clipped  # noqa: E402

SCHEDULE = diffusion.VPLinear()
NAMES = list(diffusion.names())
EPS = float(np.finfo(np.float64).eps)
SLOTS, NFE, DRAWS = 8, 36, 2
"""No plan here is larger: tables of one size are compiled once."""


@pytest.fixture(autouse=True, scope="module")
def _double() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def model(x, t):
    return 0.5 * jnp.sin(x) + 0.1 * t * x


def plain_model(x, t):
    return 0.5 * np.sin(x) + 0.1 * t * x


def start(shape=(3, 5)) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


def keys() -> jax.Array:
    return jax.random.split(jax.random.key(1), 3)


@jax.jit
def scanned(program: Table, x):
    return sample(model, x, program, key=keys())


def padded(program: Table) -> Table:
    """Pad a table with slots and draws that are not used, and with evaluations without effect."""
    s, d, n = program.slots, program.draws, len(program.times)
    draws = DRAWS if d else 0
    opening = np.zeros((SLOTS, 1 + draws))
    opening[:s, : 1 + d] = program.opening
    matrices = np.zeros((NFE, SLOTS, SLOTS + 1 + draws))
    matrices[n:, :, :SLOTS] = np.eye(SLOTS)
    matrices[:n, :s, :s] = program.matrices[:, :, :s]
    matrices[:n, :s, SLOTS : SLOTS + 1 + d] = program.matrices[:, :, s:]
    return Table(opening, matrices, np.append(program.times, np.ones(NFE - n)))


def check(plan: diffusion.DiffusionPlan) -> None:
    x = start()
    drawn = KeyNoise(keys(), x)
    noise = (lambda k, i: np.asarray(drawn(k, i))) if plan.stochastic else None
    expected = diffusion.follow(plan, plain_model, x, seed=noise)
    program = plan.table()
    assert (program.draws > 0) == plan.stochastic
    # Terms of a sum may be larger than the sum.
    terms = np.abs(program.matrices).sum(axis=2).max() * np.abs(expected).max()
    found = scanned(padded(program), jnp.asarray(x))
    np.testing.assert_allclose(found, expected, rtol=0, atol=8 * EPS * terms * plan.nfe)


@pytest.mark.parametrize("name", NAMES)
def test_one_scan_equals_the_run_by_ask_and_tell(name: str) -> None:
    check(diffusion.plan(SCHEDULE, method=name, steps=6))


@pytest.mark.parametrize("final", ["zero", "denoise"])
@pytest.mark.parametrize("name", ["rhoab3", "rho_heun2", "unipc3", "sa_solver_pece"])
def test_it_does_so_at_both_ends(name: str, final: str) -> None:
    check(diffusion.plan(SCHEDULE, method=name, steps=6, final=final))
    check(diffusion.plan(diffusion.Flow(), method=name, steps=6, prediction="v", grid="uniform"))


@pytest.mark.parametrize("noise", [diffusion.Ancestral(), diffusion.Churn(2.0), 0.5])
def test_it_does_so_with_noise_before_and_after_the_model(noise) -> None:
    grid = [0.9, 0.6, 0.3, 0.1]
    check(diffusion.plan(SCHEDULE, method="rho_kutta3", grid=grid, noise=noise))


def test_evaluations_may_be_followed_by_different_numbers_of_draws() -> None:
    """Stages at 3/4 and 1/4: two increments enter before the first of them, one after the other."""
    cell = diffusion.Parameterisation("x0", "lambda")
    method = singlestep.res3(Fraction(3, 4), Fraction(1, 4))
    own = diffusion.Sampler("own", cell, method, "here")
    check(diffusion.plan(SCHEDULE, method=own, steps=6, noise=1.0))


@pytest.mark.parametrize("linear", [sl.Scalar(-2.0), sl.Scalar(3.0j)], ids=["real", "complex"])
def test_plans_of_the_core_run_too(linear: sl.Scalar) -> None:
    plan = sl.make_plan(linear, np.linspace(0, 1, 9), method="etd4rk")
    y = start().astype(complex)
    state = plan.start(y)
    while not state.done:
        state = plan.advance(state, plain_model(state.x, state.t))
    found = sample(model, jnp.asarray(y), plan)
    assert found.dtype == jnp.complex128
    np.testing.assert_allclose(found, state.x, rtol=1e3 * EPS)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_result_is_like_x(dtype: str) -> None:
    plan = diffusion.plan(SCHEDULE, method="tab2", steps=4, grid="uniform", t_end=0.1)
    x = jnp.asarray(start(), dtype)

    def own(x, t):
        assert (x.dtype, t.dtype) == (dtype, "float32")
        return 0.5 * x

    found = sample(own, x, plan)
    assert found.dtype == dtype
    expected = diffusion.follow(plan, lambda x, t: 0.5 * x, start())
    worst = np.abs(np.asarray(found, float) - expected).max() / np.abs(expected).max()
    assert 0 < worst < 50 * float(jnp.finfo(dtype).eps)


def test_gradients_are_those_of_the_unrolled_run() -> None:
    plan = diffusion.plan(SCHEDULE, method="tab3", steps=5)
    x = jnp.asarray(start())

    def scanned_loss(a, x):
        return jnp.sum(sample(lambda x, t: jnp.sin(a * x), x, plan) ** 2)

    def unrolled_loss(a, x):
        end = diffusion.follow(plan, lambda x, t: jnp.sin(a * x), x, check_finite=False)
        return jnp.sum(end**2)

    found = jax.grad(scanned_loss, argnums=(0, 1))(0.5, x)
    expected = jax.grad(unrolled_loss, argnums=(0, 1))(0.5, x)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11)


def test_weights_and_times_can_be_differentiated() -> None:
    program, x = diffusion.plan(SCHEDULE, method="ddim", steps=3).table(), jnp.asarray(start())

    def loss(program):
        return jnp.sum(sample(model, x, program))

    slope = jax.grad(loss)(jax.tree.map(jnp.asarray, program)).times[1]
    h = 1e-4
    moved = [program._replace(times=program.times + np.array([0, d, 0])) for d in (h, -h)]
    np.testing.assert_allclose(slope, (loss(moved[0]) - loss(moved[1])) / (2 * h), rtol=1e-7)


@pytest.mark.parametrize("method", ["tab3", "ddpm"])
def test_samples_can_be_mapped_and_depend_on_their_own_key_alone(method: str) -> None:
    plan = diffusion.plan(SCHEDULE, method=method, steps=3)
    x = jnp.asarray(start())
    together = sample(model, x, plan, key=keys())
    mapped = jax.vmap(lambda x, key: sample(model, x, plan, key=key))(x, keys())
    np.testing.assert_allclose(mapped, together, rtol=100 * EPS, atol=100 * EPS)
    two = sample(model, x[1:], plan, key=keys()[1:])
    np.testing.assert_allclose(two, together[1:], rtol=100 * EPS, atol=100 * EPS)


def test_one_key_serves_a_whole_array_and_old_keys_do_too() -> None:
    plan = diffusion.plan(SCHEDULE, method="ddpm", steps=2)
    x = jnp.asarray(start())
    a = sample(model, x, plan, key=jax.random.key(3))
    b = sample(model, x, plan, key=jax.random.PRNGKey(3))
    np.testing.assert_array_equal(a, b)
    assert not (a == sample(model, x, plan, key=jax.random.key(4))).any()
    drawn = KeyNoise(jax.random.key(3), x)
    seen = np.stack([drawn(k, i) for k in range(3) for i in range(2)])
    assert len(np.unique(seen)) == seen.size


def test_the_model_is_traced_once() -> None:
    traced = []

    def own(x, t):
        traced.append(t)
        return x * t

    jax.jit(lambda x: sample(own, x, diffusion.plan(SCHEDULE, steps=20)))(jnp.ones(3))
    assert len(traced) == 1


def test_a_state_passes_through_jit_and_compiles_once_for_all_runs() -> None:
    plan = diffusion.plan(SCHEDULE, method="rho_heun2", steps=2)
    traced = []

    @jax.jit
    def advance(state):
        traced.append(state.t)
        return plan.advance(state, model(state.x, state.t))

    for scale in (1.0, 2.0):
        x = jnp.asarray(scale * start())
        state = plan.start(x, check_finite=False)
        while not state.done:
            state = advance(state)
        expected = diffusion.follow(plan, plain_model, scale * start())
        np.testing.assert_allclose(state.x, expected, rtol=1e-12)
        assert state.evaluation == plan.nfe
    assert tuple(traced) == plan.times


def test_states_with_a_key_do_so_whatever_the_key() -> None:
    plan = diffusion.plan(SCHEDULE, method="dpmpp_2m_sde", steps=4)
    x = jnp.asarray(start())

    @jax.jit
    def advance(state):
        return plan.advance(state, model(state.x, state.t))

    for key in (jax.random.key(0), jax.random.key(1), jax.random.key(0)):
        state = plan.start(x, check_finite=False, noise=KeyNoise(key, x))
        while not state.done:
            state = advance(state)
        expected = sample(model, x, plan, key=key)
        np.testing.assert_allclose(state.x, expected, rtol=1e-9)
    assert advance._cache_size() == plan.nfe


def test_runs_with_a_key_begin_inside_of_transforms_and_go_on_outside() -> None:
    plan = diffusion.plan(SCHEDULE, method="ddpm", steps=4)
    x = jnp.asarray(start())

    def begun(x, key):
        return plan.start(x, check_finite=False, noise=KeyNoise(key, x))

    def advance(state):
        return plan.advance(state, model(state.x, state.t))

    state = jax.jit(begun)(x, keys())
    mapped = jax.vmap(begun)(x, keys())
    while not state.done:
        state, mapped = advance(state), jax.vmap(advance)(mapped)
    expected = sample(model, x, plan, key=keys())
    np.testing.assert_allclose(state.x, expected, rtol=1e-9)
    np.testing.assert_allclose(mapped.x, expected, rtol=1e-9)


@pytest.mark.parametrize("key", [0, "0", None, np.arange(3)])
def test_what_is_no_key_is_refused_with_how_to_make_one(key) -> None:
    with pytest.raises(InvalidArgument, match=r"^key=.* is no key; .* jax.random.key\(0\)"):
        KeyNoise(key, jnp.asarray(start()))


def test_a_state_is_a_pytree_of_what_it_keeps() -> None:
    plan = diffusion.plan(SCHEDULE, steps=4)
    state = plan.start(jnp.asarray(start()))
    for _ in range(2):
        state = plan.advance(state, model(state.x, state.t))
    doubled = jax.tree.map(lambda leaf: 2 * leaf, state)
    assert (doubled.t, doubled.step) == (state.t, state.step)
    assert len(jax.tree.leaves(state)) == len(state.slots) == 3
    np.testing.assert_array_equal(doubled.x, 2 * state.x)
    np.testing.assert_array_equal(doubled.y, 2 * state.y)
    leaves, structure = jax.tree.flatten(state)
    assert structure == jax.tree.structure(doubled)
    assert structure != jax.tree.structure(plan.start(jnp.asarray(start())))
    jax.tree.unflatten(structure, [object()] * len(leaves))


def test_registering_again_changes_nothing() -> None:
    register()
    state = diffusion.plan(SCHEDULE, steps=2).start(jnp.ones(3))
    assert len(jax.tree.leaves(state)) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"x": jnp.arange(3)}, InvalidArgument, "x has dtype int"),
        ({"plan": "tab3"}, InvalidArgument, "plan='tab3' must be a plan"),
        ({"model": lambda x, t: x[:1]}, ModelOutputError, r"shape \(1,\).* like x, shape \(3,\)"),
        ({"model": lambda x, t: x.astype(jnp.float16)}, ModelOutputError, "dtype float16"),
        ({"model": lambda x, t: None}, ModelOutputError, "NoneType"),
        ({"method": "ddpm"}, InvalidArgument, "key is missing"),
        ({"method": "ddpm", "key": "two"}, InvalidArgument, r"key has shape \(2,\)"),
    ],
)
def test_misuse_is_refused(arguments, error: type[Exception], words: str) -> None:
    plan = diffusion.plan(SCHEDULE, method=arguments.get("method", "tab3"), steps=2)
    key = jax.random.split(jax.random.key(0), 2) if "key" in arguments else None
    x = arguments.get("x", jnp.ones(3, jnp.float32))
    with pytest.raises(error, match=words):
        sample(arguments.get("model", model), x, arguments.get("plan", plan), key=key)


def test_complex_plans_and_noise_need_states_of_their_kind() -> None:
    rotating = sl.make_plan(sl.Scalar(1.0j), [0.0, 0.5, 1.0], method="etdab2")
    with pytest.raises(InvalidArgument, match="x is real"):
        sample(model, jnp.ones(3), rotating)
    with pytest.raises(InvalidArgument, match="noise is for real states"):
        KeyNoise(jax.random.key(0), jnp.ones(3, jnp.complex64))


def test_times_are_not_rounded_to_half_precision() -> None:
    """In bfloat16 999 is 1000, outside of what a network knows."""
    plan = diffusion.plan(diffusion.Discrete.linear(), steps=4, t_end=100.5)
    seen = []

    def own(x, t):
        jax.debug.callback(lambda t: seen.append(float(t)), t, ordered=True)
        return x

    sample(own, jnp.ones(3, jnp.bfloat16), plan)
    jax.effects_barrier()
    assert seen == [float(np.float32(t)) for t in plan.times]
    assert seen[0] == 999.0


def test_the_dtype_of_the_time_is_named_where_it_spoils_the_answer() -> None:
    plan = diffusion.plan(SCHEDULE, steps=2)
    with pytest.raises(ModelOutputError, match=r"float32 \(t is float32: .*astype\(x.dtype\)\)"):
        sample(lambda x, t: t * x, jnp.ones(3, jnp.bfloat16), plan)


@pytest.mark.parametrize(
    "make",
    [
        lambda own: clipped(own, SCHEDULE),
        lambda own: inpainted(own, SCHEDULE, jnp.zeros((2, 3)), jnp.ones((2, 3)), seed=1),
        lambda own: lambda x, t: SCHEDULE.sigma(t) * x,
    ],
    ids=["clipped", "inpainted", "schedule"],
)
def test_models_that_read_the_time_are_refused_here_and_run_by_follow(make) -> None:
    plan, x = diffusion.plan(SCHEDULE, steps=2), jnp.ones((2, 3))
    own = make(lambda x, t: 0.5 * x)
    with pytest.raises(InvalidArgument, match=r"traced by JAX.*diffusion\.follow"):
        sample(own, x, plan)
    expected = diffusion.follow(plan, own, x)
    found = jax.jit(lambda x: diffusion.follow(plan, own, x, check_finite=False))(x)
    # Terms of order one may cancel.
    np.testing.assert_allclose(found, expected, rtol=0, atol=100 * EPS)


@pytest.mark.parametrize("scale", [lambda w: w, lambda w: lambda t: w * t], ids=["number", "of t"])
def test_guidance_scales_may_be_traced_and_differentiated(scale) -> None:
    plan, x = diffusion.plan(SCHEDULE, steps=3), jnp.asarray(start())

    def run(w):
        model = guided(lambda x, t: jnp.sin(x), lambda x, t: 0.3 * x, scale(w))
        return sample(model, x, plan).sum()

    found = jax.jit(jax.grad(run))(2.0)
    np.testing.assert_allclose(found, (run(2.0 + 1e-6) - run(2.0 - 1e-6)) / 2e-6, rtol=1e-6)
    by_turns = guided(lambda x, t: jnp.sin(x), lambda x, t: 0.3 * x, scale(2.0))
    expected = diffusion.follow(plan, by_turns, x).sum()
    np.testing.assert_allclose(run(2.0), expected, rtol=1e-12)


@pytest.mark.parametrize("size", [3, 3000])
def test_states_of_other_libraries_are_no_pytrees(size: int) -> None:
    state = diffusion.plan(SCHEDULE, steps=2).start(np.ones(size))
    with pytest.raises(InvalidArgument, match="start the run from an array of jax"):
        jax.tree.leaves(state)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("t_start", "t_start=<traced by JAX> must be a finite number"),
        ("seed", "seed=<traced by JAX> must be an integer"),
        ("noise", "<traced by JAX>"),
    ],
)
def test_what_makes_a_plan_is_not_traced(argument: str, message: str) -> None:
    def run(value):
        own = {argument: value, "method": "dpmpp_2m_sde" if argument == "seed" else "dpmpp_2m"}
        x = jnp.ones((2, 3))
        return diffusion.sample(model, x, SCHEDULE, steps=2, check_finite=False, **own)

    with pytest.raises(InvalidArgument, match=message):
        jax.jit(run)(1)


def test_linear_parts_are_not_traced() -> None:
    of_number = {
        sl.Scalar: lambda a: a,
        sl.Diagonal: lambda a: jnp.stack([a, a]),
        sl.Dense: lambda a: a[None, None],
    }
    for linear, given in of_number.items():
        with pytest.raises(InvalidArgument, match=r"followed by PyTorch or JAX.*into N"):
            jax.jit(lambda a, linear=linear, given=given: linear(given(a)).flow(0.0, 1.0))(-1.0)


def test_runs_inside_of_jit_are_told_how_they_can_be_made() -> None:
    x = jnp.ones((2, 3))
    for traced in (
        lambda x: diffusion.sample(lambda x, t: x, x, diffusion.VPLinear(), steps=2),
        lambda a: diffusion.sample(lambda y, t: a * y, x, diffusion.VPLinear(), steps=2),
    ):
        with pytest.raises(
            InvalidArgument, match=r"jax\.jit .* give check_finite=False to the run"
        ):
            jax.jit(traced)(x)
