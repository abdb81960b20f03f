"""Many samples: the same bits for any batch, range and executor; what fails says where."""

from __future__ import annotations

import copy
import functools
import pickle
from concurrent.futures import Executor
from concurrent.futures import ThreadPoolExecutor as Threads
from io import StringIO
from typing import Any

import numpy as np
import pytest

import many_models
from many_models import COUNT, SCHEDULE, SHAPE, TAB3, alone, batches, many, plan_of
from semilinear import InvalidArgument, diffusion
from semilinear.diffusion import Batches
from semilinear.diffusion.many import sample_many

# From the ODE, Eta, Ancestral (split steps), Tau with two evaluations a step.
METHODS = ("tab3", "ddpm", "euler_ancestral", "dpmpp_2s_sde")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("batch_size", [1, 7, 16, COUNT, 64])
def test_bits_depend_on_no_batch(method: str, pad: bool, batch_size: int) -> None:
    found = many(plan_of(method), batch_size=batch_size, pad=pad)
    np.testing.assert_array_equal(found, alone(method))
    assert found.dtype == np.float32


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("first", [0, 5, 8, 17])
def test_bits_depend_on_no_range(method: str, first: int) -> None:
    found = many(plan_of(method), 11, first=first)
    np.testing.assert_array_equal(found, alone(method)[first : first + 11])


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("first", [2**53, 2**53 + 1, 2**63, 2**64 - 8])
def test_samples_far_out(first: int, pad: bool) -> None:
    found = many(count=7, first=first, batch_size=4, pad=pad)
    noise = diffusion.SeededNoise(3, found, first=first)
    x = noise.initial() * TAB3.schedule.sigma(TAB3.t[0])
    np.testing.assert_array_equal(found, diffusion.follow(TAB3, many_models.rational(), x))


@pytest.mark.parametrize("method", METHODS)
def test_bits_depend_on_no_executor(method: str, executor: Executor) -> None:
    for window in (None, 1, 3, 100):
        found = many(plan_of(method), executor=executor, window=window)
        np.testing.assert_array_equal(found, alone(method))


def test_seeds_and_samples_differ() -> None:
    assert len(np.unique(alone("tab3").round(6), axis=0)) == COUNT
    assert np.abs(many(seed=4) - alone("tab3")).max() > 0.1


# --- Batches --------------------------------------------------------------------------------------


def test_a_sample_always_meets_the_model_in_the_same_batch() -> None:
    """Also one that lets the samples of a batch know of each other."""

    def coupled(x: np.ndarray, t: float) -> np.ndarray:
        return x - x.mean(axis=0, dtype=np.float64).astype(x.dtype) * np.arange(
            1, len(x) + 1, dtype=x.dtype
        ).reshape(-1, 1, 1)

    whole = many(factory=lambda: coupled)
    assert not np.array_equal(whole, many(factory=lambda: coupled, batch_size=16))
    for first, count in ((0, 3), (3, 7), (8, 8), (13, 30)):
        found = many(factory=lambda: coupled, first=first, count=count)
        np.testing.assert_array_equal(found, whole[first : first + count])


def test_the_model_sees_one_shape_with_padding_and_no_more_than_needed_without() -> None:
    seen: list[int] = []

    def model(x: np.ndarray, t: float) -> np.ndarray:
        seen.append(len(x))
        return x

    many(count=11, first=5, factory=lambda: model)
    assert set(seen) == {8}
    assert len(seen) == 2 * TAB3.nfe
    seen.clear()
    many(count=11, first=5, factory=lambda: model, pad=False)
    assert seen == [3] * TAB3.nfe + [8] * TAB3.nfe


def test_ranges_are_cut_where_batches_end() -> None:
    assert batches().pieces(6, 19) == [(6, 8), (8, 16), (16, 19)]
    assert batches().pieces(8, 16) == [(8, 16)]
    assert batches().pieces(9, 10) == [(9, 10)]
    assert batches().pieces(9, 9) == []


def test_samples_arrive_in_order_and_one_by_one(executor: Executor) -> None:
    run = batches().run(batches().pieces(0, COUNT), executor=executor)
    arrived = [(piece, samples) for piece, samples in run]
    assert [piece.first for piece, _ in arrived] == list(range(0, COUNT, 8))
    np.testing.assert_array_equal(np.concatenate([x for _, x in arrived]), alone("tab3"))


@pytest.mark.parametrize(("method", "final"), [("tab3", "zero"), ("rho_heun2", "denoise")])
def test_a_plan_keeps_its_bits_where_it_is_sent(method: str, final: str) -> None:
    for schedule in (SCHEDULE, diffusion.Discrete.linear(), diffusion.EDM()):
        if final == "zero" and not isinstance(schedule, diffusion.VPLinear):
            continue
        plan = diffusion.plan(schedule, method=method, nfe=6, final=final, prediction="v")
        sent = pickle.loads(pickle.dumps(plan))
        np.testing.assert_array_equal(many(sent), many(plan))
        assert sent.times == plan.times


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_noise_is_scaled_before_it_is_rounded(dtype: Any) -> None:
    plan = diffusion.plan(diffusion.EDM(), nfe=2)
    seen: list[np.ndarray] = []

    def model(x: np.ndarray, t: float) -> np.ndarray:
        seen.append(x.copy())
        return x / x.dtype.type(100)

    found = many(plan, 8, like=np.empty(0, dtype), factory=lambda: model)
    exact = np.float64 if dtype == np.float64 else np.float32
    start = 80.0 * diffusion.SeededNoise(3, np.empty((8, *SHAPE), exact)).initial()
    np.testing.assert_array_equal(seen[0], start.astype(dtype))
    assert found.dtype == dtype


@pytest.mark.parametrize("name", ["float32", "float64", "bfloat16"])
def test_tensors_come_back_as_arrays(name: str) -> None:
    torch = pytest.importorskip("torch")
    like = torch.empty(0, dtype=getattr(torch, name))
    kinds: set[Any] = set()

    @torch.no_grad()
    def model(x: Any, t: float) -> Any:
        kinds.add((type(x), x.dtype))
        return x / (1 + x * x)

    found = many(plan_of("ddpm"), like=like, factory=lambda: model)
    assert kinds == {(torch.Tensor, like.dtype)}
    assert isinstance(found, np.ndarray)
    exact = many(
        plan_of("ddpm"), like=np.empty(0, "f8" if name == "float64" else "f4"),
        factory=lambda: lambda x, t: x / (1 + x * x),
    )  # fmt: skip
    eps = torch.finfo(like.dtype).eps
    np.testing.assert_allclose(found, exact, atol=20 * eps * np.abs(exact).max())


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"factory": lambda x, t: x}, "give lambda: model"),
        ({"factory": many_models.fails_beyond}, "missing a required argument: 'limit'"),
        ({"factory": lambda: 3}, "made 3, which is no model"),
        ({"plan": "tab3"}, "plan='tab3' must be made by semilinear.diffusion.plan"),
        ({"plan": diffusion.plan(SCHEDULE, direction="encode")}, "plan encodes"),
        ({"count": 0}, "count=0 must be a whole number of at least 1"),
        ({"first": -1}, "first=-1 must be a whole number of at least 0"),
        ({"batch_size": 0}, "batch_size=0 must be a whole number of at least 1"),
        ({"window": 0, "executor": Threads(1)}, "window=0 must be a whole number of at least 1"),
        ({"seed": None}, "seed=None must be an integer"),
        ({"seed": np.random.default_rng(0)}, "which all batches share"),
        ({"seed": -1}, "seed=-1 must be an integer from 0"),
        ({"like": 3}, "like must be an array, got int"),
        ({"like": np.empty(0, np.complex64)}, "like has dtype complex64; noise is for real states"),
        ({"pad": "no"}, "pad='no' must be True or False"),
        ({"model_per": "worker"}, "model_per='worker' must be 'process' or 'thread'"),
        ({"executor": 3}, "executor=3 must be an object of type concurrent.futures.Executor"),
    ],
)
def test_misuse(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        many(**options)
    assert complaint in str(raised.value)


def test_batches_are_immutable() -> None:
    made = Batches(many_models.rational, TAB3, (3,), seed=0)
    for name, value in (("seed", 1), ("plan", plan_of("ddpm")), ("pad", False)):
        with pytest.raises(AttributeError, match=f"{name}: Batches is immutable; make another"):
            setattr(made, name, value)
    assert made.seed == 0
    assert copy.copy(made) is copy.deepcopy(made) is made


def test_a_copy_takes_no_place_of_what_was_received() -> None:
    """A process keeps what it has received from another last, with its model."""
    sent = pickle.dumps(Batches(many_models.rational, TAB3, (3,), seed=0))
    received = pickle.loads(sent)
    copy.copy(Batches(many_models.rational, TAB3, (3,), seed=0))
    assert pickle.loads(sent) is received


@pytest.mark.parametrize("shape", [3, "33", (0,), (2.5,)])
def test_misuse_of_shapes(shape: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^shape="):
        sample_many(many_models.rational, TAB3, shape, 3, seed=0)


@pytest.mark.parametrize("workers", [None, 2])
def test_the_progress_bar_counts_to_the_end(
    workers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    executor = None if workers is None else Threads(workers)
    many(executor=executor, progress=True)
    total = 7 if workers else 7 * TAB3.nfe
    assert f"sampling [############################] {total}/{total}" in terminal.getvalue()
    terminal.truncate(0)
    many(executor=executor)
    assert terminal.getvalue() == ""
    if executor is not None:
        executor.shutdown()


# --- A real network -------------------------------------------------------------------------------


def test_digits_have_the_same_bits_in_batches_of_one_size() -> None:
    pytest.importorskip("onnxruntime")
    from semilinear.adapters.onnx import mnist_eps

    factory = functools.partial(mnist_eps, threads=1)
    plan = diffusion.plan(SCHEDULE, nfe=3, grid="uniform", t_end=0.1, final="denoise")

    def digits(count: int, first: int = 0, batch_size: int = 4, **options: Any) -> np.ndarray:
        return sample_many(
            factory, plan, (1, 28, 28), count, seed=0, first=first, batch_size=batch_size, **options
        )

    whole = digits(10)
    np.testing.assert_array_equal(digits(3, first=6), whole[6:9])
    with Threads(2) as threads:
        np.testing.assert_array_equal(digits(10, executor=threads), whole)
    for batch_size in (1, 3, 16):
        np.testing.assert_allclose(digits(10, batch_size=batch_size), whole, atol=1e-5)
