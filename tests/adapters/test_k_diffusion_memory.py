"""What callbacks write into x, and models that write over their last answer."""

from __future__ import annotations

from types import ModuleType

import pytest

torch = pytest.importorskip("torch")

from k_diffusion_runs import (  # noqa: E402
    CHURN,
    EPS,
    SHAPE,
    Image,
    Recorded,
    function,
    karras,
    model,
    noise,
    options,
    their_sampling,
)
from semilinear import diffusion  # noqa: E402
from semilinear.adapters import k_diffusion  # noqa: E402
from semilinear.adapters.k_diffusion import NAMES, sample  # noqa: E402

MASK = torch.zeros(SHAPE, dtype=torch.bool)
MASK[:, 1:3, ::2] = True
KNOWN = torch.randn(SHAPE, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    return their_sampling()


def inpaint(found) -> None:
    """Put known data with noise into x, as programs do: in place."""
    x = found["x"]
    sigma = float(found["sigma"])
    known = 2 * torch.cos(KNOWN) + sigma * KNOWN
    x[MASK] = known.to(x.dtype)[MASK]


SAME = [
    ("euler", {}),
    ("euler", CHURN),
    ("heun", {}),
    ("heun", CHURN),
    ("dpm_2", {}),
    ("dpm_2", CHURN),
    ("lms", {}),
    ("dpmpp_2m", {}),
    ("euler_ancestral", {}),
    ("dpm_2_ancestral", {}),
    ("dpmpp_2s_ancestral", {}),
    ("dpmpp_2m_sde", {}),
    ("dpmpp_2m_sde", {"solver_type": "heun"}),
    ("dpmpp_3m_sde", {}),
]


@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float64, 2e3 * EPS), (torch.float32, 1e-5)], ids=["double", "float"]
)
@pytest.mark.parametrize(("name", "given"), SAME)
def test_a_callback_that_writes_into_x_has_the_effect_it_has_in_k_diffusion(
    theirs: ModuleType, name: str, given: dict[str, object], dtype, bound: float
) -> None:
    results = []
    for module in (theirs, k_diffusion):
        torch.manual_seed(5)
        called = getattr(module, f"sample_{name}")
        results.append(
            called(
                model, noise(dtype), karras().to(dtype), callback=inpaint, disable=True,
                **given, **options(name),
            )
        )  # fmt: skip
    torch.testing.assert_close(results[1], results[0].to(dtype), rtol=0, atol=bound)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("n", [5, 10, 12])
def test_so_it_has_in_dpm_fast(theirs: ModuleType, n: int, eta: float) -> None:
    def write(found) -> None:
        found["x"][MASK] = (2 * torch.cos(KNOWN) + torch.exp(-found["t"]) * KNOWN)[MASK]

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # of the steps of k-diffusion
    try:
        x, own = (
            called(model, noise(), 0.03, 14.6, n, None, write, True, eta, 1.0, Recorded())
            for called in (theirs.sample_dpm_fast, k_diffusion.sample_dpm_fast)
        )
    finally:
        torch.set_default_dtype(before)
    torch.testing.assert_close(own, x, rtol=1e4 * EPS, atol=1e4 * EPS)


def in_precision(name: str, dtype, callback):
    def rounded(x, sigma):
        assert x.dtype == dtype
        return model(x.double(), sigma.double()).to(dtype)

    torch.manual_seed(2)
    x = noise(torch.float16).to(dtype)
    made = options(name)
    return function(name)(rounded, x, karras(), callback=callback, disable=True, **made).double()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_callback_writes_counts_in_every_precision(name: str) -> None:
    exact = in_precision(name, torch.float64, inpaint)
    single = in_precision(name, torch.float32, inpaint)
    half = in_precision(name, torch.float16, inpaint)
    effect = (exact - in_precision(name, torch.float64, None)).abs().max()
    assert effect > 0.2
    # Extrapolation multiplies roundings: they are up to 65 eps of the effect, which would be lost
    # as a whole.
    assert (single - exact).abs().max() < 1e3 * torch.finfo(torch.float32).eps * effect
    assert (half - exact).abs().max() < 0.1 * effect


def test_so_it_does_between_adaptive_steps() -> None:
    def run(dtype, callback=None):
        def rounded(x, sigma):
            return model(x.double(), sigma.double()).to(dtype)

        x = noise(torch.float16).to(dtype)
        return k_diffusion.sample_dpm_adaptive(
            rounded, x, 0.03, 14.6, callback=callback, disable=True
        ).double()

    def write(found) -> None:
        found["x"][MASK] = 5.0

    for dtype in (torch.float64, torch.float32, torch.float16):
        assert (run(dtype, write)[MASK] == 5.0).all()
        assert (run(dtype)[MASK] != 5.0).all()
        assert run(dtype, lambda found: found["x"].mul_(1.0)).equal(run(dtype))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bfloat16", "float32"])
@pytest.mark.parametrize("name", ["tab3", "heun", "unipc2", "sa_solver_pece", "dpmpp_2m"])
def test_what_is_written_again_as_it_was_changes_nothing(name: str, dtype) -> None:
    shown = []

    def same(found) -> None:
        found["x"].copy_(found["x"].clone())
        shown.append(found["i"])

    found = in_precision(name, dtype, same)
    assert len(shown) == 8
    assert found.equal(in_precision(name, dtype, None))
    with torch.inference_mode():  # where tensors do not count what is written
        assert in_precision(name, dtype, same).equal(found)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bfloat16", "float32"])
def test_what_is_written_counts_in_inference_mode_as_elsewhere(dtype) -> None:
    found = in_precision("tab3", dtype, inpaint)
    with torch.inference_mode():
        assert in_precision("tab3", dtype, inpaint).equal(found)
    assert not found.equal(in_precision("tab3", dtype, None))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_a_model_may_return_the_same_memory_each_time(name: str, dtype) -> None:
    buffer = torch.empty(SHAPE, dtype=dtype)

    def run(wrapped):
        torch.manual_seed(3)
        return function(name)(wrapped, noise(dtype), karras(), disable=True)

    def fresh(x, sigma):
        return model(x.double(), sigma.double()).to(dtype)

    found = run(lambda x, sigma: buffer.copy_(fresh(x, sigma)))
    assert found.equal(run(fresh))


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 64, 64)])
@pytest.mark.parametrize("order", [2, 3])
def test_so_it_may_with_adaptive_steps(order: int, shape) -> None:
    x = 14.6 * torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    buffer = torch.empty(shape, dtype=torch.float64)
    runs = []
    for wrapped in (model, lambda x, sigma: buffer.copy_(model(x, sigma))):
        shown = []
        result = k_diffusion.sample_dpm_adaptive(
            wrapped, x, 0.03, 14.6, None, shown.append, True, order, 1e-3, 1e-3, 5.0
        )
        runs.append((result, [found["denoised"] for found in shown]))
    (found, denoised), (again, others) = runs
    assert again.equal(found)
    assert all(a.equal(b) for a, b in zip(denoised, others, strict=True))


def test_and_on_larger_samples_with_any_layout() -> None:
    x = 14.6 * torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    x = x.to(memory_format=torch.channels_last)
    buffer = torch.empty_like(x)
    for name in ("dpmpp_3m", "unipc3", "res_3s", "tab3"):
        found = sample(model, x, karras(), method=name, disable=True)
        again = sample(
            lambda y, s: buffer.copy_(model(y, s)), x, karras(), method=name, disable=True
        )
        assert again.equal(found)


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 64, 64)])
@pytest.mark.parametrize("name", ["euler", "heun", "tab3", "lms", "dpmpp_2m", "unipc2"])
def test_tensors_of_derived_classes_are_sampled_as_plain_ones(name: str, shape) -> None:
    x = 14.6 * torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    buffer = torch.empty(shape, dtype=torch.float64)

    def run(x, kind):
        def again(y, sigma):
            return buffer.copy_(model(y.as_subclass(torch.Tensor), sigma)).as_subclass(kind)

        found = function(name)(again, x, karras(), disable=True)
        return found.as_subclass(torch.Tensor)

    expected = run(x, torch.Tensor)
    for own, kind in ((Image, torch.Tensor), (torch.Tensor, Image), (Image, Image)):
        found = run(x.as_subclass(own), kind)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e3 * EPS)


def test_answers_outlive_the_evaluations_of_starting_steps():
    """A multistep method needs the first answer again after some ten others."""
    plan = diffusion.plan(
        diffusion.EDM(), method="res_3m", grid=karras().tolist(), prediction="x0",
        lower_end="zero", start="rk",
    )  # fmt: skip

    def asked(x, t):
        return model(x, torch.tensor([t], dtype=torch.float64))

    expected = diffusion.follow(plan, asked, noise())
    found = sample(model, noise(), karras(), method="res_3m", start="rk", disable=True)
    assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()
