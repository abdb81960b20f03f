"""Torch modules as models: shapes of time, zero copy, gradients, half precision."""

from __future__ import annotations

import numpy as np
import pytest

from semilinear import Dense, Diagonal, InvalidArgument, ModelOutputError, Scalar, diffusion, solve
from semilinear.adapters.torch import eps_model

torch = pytest.importorskip("torch")
forward_ad = pytest.importorskip("torch.autograd.forward_ad")

# PyTorch's own, when it loads the rules of forward-mode derivatives.
script_is_deprecated = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

SCHEDULE = diffusion.VPLinear()


class Network(torch.nn.Module):
    """eps of normal data of variance c, with a parameter to differentiate by."""

    def __init__(self) -> None:
        super().__init__()
        self.variance = torch.nn.Parameter(torch.tensor(0.25))

    def forward(self, x, t):
        assert t.shape == x.shape[:1]
        assert t.dtype == x.dtype
        t = t.reshape(-1, *[1] * (x.ndim - 1))
        log_alpha = -0.25 * 19.9 * t**2 - 0.05 * t
        alpha2 = torch.exp(2 * log_alpha)
        return x * torch.sqrt(1 - alpha2) / (alpha2 * self.variance + 1 - alpha2)


def noise(dtype=torch.float32):
    return torch.randn(5, 3, 11, 11, generator=torch.Generator().manual_seed(0), dtype=dtype)


def test_a_network_is_called_with_one_time_per_sample_and_matches_numpy() -> None:
    x = noise(torch.float64)
    model = eps_model(Network())
    with torch.no_grad():
        tensor = diffusion.sample(model, x, SCHEDULE, steps=8)
    array = diffusion.sample(model, x.numpy(), SCHEDULE, steps=8)
    assert isinstance(tensor, torch.Tensor)
    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(tensor.numpy(), array)


def test_the_state_shares_memory_with_what_the_network_sees() -> None:
    seen = []

    def record(x, t):
        seen.append(x.data_ptr())
        return torch.zeros_like(x)

    plan = diffusion.plan(SCHEDULE, steps=3)
    state = plan.start(noise())
    with torch.no_grad():
        state = plan.advance(state, eps_model(record)(state.x, state.t))
        eps_model(record)(state.x, state.t)
    assert seen[1] == state.x.data_ptr()


def test_gradients_reach_the_parameters() -> None:
    network, x = Network(), noise(torch.float64)
    network.double()

    def loss():
        return diffusion.sample(eps_model(network), x, SCHEDULE, steps=6).square().sum()

    value = loss()
    value.backward()
    step = 1e-6
    with torch.no_grad():
        network.variance += step
        up = loss()
        network.variance -= 2 * step
        down = loss()
    difference = (up - down) / (2 * step)
    assert torch.isclose(network.variance.grad, difference, rtol=1e-6)


def test_gradients_reach_the_initial_state() -> None:
    x = noise(torch.float64)[:1].requires_grad_()
    with torch.enable_grad():
        y = diffusion.sample(eps_model(Network().double()), x, SCHEDULE, steps=4)
    y.sum().backward()
    # The map is linear in x: the derivative of the sum is the same factor everywhere.
    factor = (y / x).detach().mean()
    assert torch.allclose(x.grad, factor.expand_as(x))


@script_is_deprecated
@pytest.mark.parametrize("size", [8, 300])  # plain kernels, and compiled ones
def test_forward_derivatives_pass_through_runs(size: int) -> None:
    x = torch.randn(2, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    along = torch.ones_like(x)

    def sampled(x, weight=0.6):
        model = eps_model(lambda x, t: weight * torch.tanh(x))
        return diffusion.sample(model, x, SCHEDULE, method="tab3", steps=5)

    def solved(x):
        return solve(
            Scalar(-1.0), lambda t, y: torch.sin(y), (0.0, 1.0), x, method="etd4rk", steps=5
        ).y

    for run in (sampled, solved):
        difference = (run(x + 1e-6 * along) - run(x - 1e-6 * along)) / 2e-6
        with forward_ad.dual_level():
            found = forward_ad.unpack_dual(run(forward_ad.make_dual(x, along))).tangent
        assert torch.allclose(found, difference, rtol=1e-6)
        assert torch.allclose(torch.func.jvp(run, (x,), (along,))[1], difference, rtol=1e-6)
    difference = (sampled(x, 0.6 + 1e-6) - sampled(x, 0.6 - 1e-6)) / 2e-6
    with forward_ad.dual_level():
        weight = forward_ad.make_dual(*torch.tensor([0.6, 1.0], dtype=x.dtype).unbind())
        found = forward_ad.unpack_dual(sampled(x, weight)).tangent
    assert torch.allclose(found, difference, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_half(dtype: torch.dtype) -> None:
    x = noise(dtype)
    with torch.no_grad():
        y, exact = (
            diffusion.sample(lambda x, t: x / 2, x, SCHEDULE, steps=5) for x in (x, x.double())
        )
    assert y.dtype == dtype
    torch.testing.assert_close(y.double(), exact, rtol=8 * torch.finfo(dtype).eps, atol=1e-3)


def test_outputs_with_a_sample_attribute_are_unwrapped() -> None:
    class Output:
        def __init__(self, sample):
            self.sample = sample

    model = eps_model(lambda x, t: Output(x))
    assert model(noise(), 0.5) is not None
    assert isinstance(model(noise(), 0.5), torch.Tensor)


def test_arrays_that_torch_cannot_share_are_copied_or_refused() -> None:
    x = noise(torch.float64).numpy()[::-1]
    model = eps_model(lambda x, t: 0.7 * x)
    np.testing.assert_array_equal(model(x, 0.5), 0.7 * x)
    for other in (x.astype(">f8"), x.astype(object), [1.0]):
        with pytest.raises(
            InvalidArgument, match=r"^x, of type .* numpy.array\(x, dtype='float64'\)"
        ):
            model(other, 0.5)


def test_time_scale_reaches_the_network() -> None:
    times = []

    def network(x, t):
        times.append(t[0].item())
        return x

    eps_model(network, time_scale=1000.0)(noise(), 0.25)
    assert times == [250.0]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.complex64, torch.float32),
        (torch.complex128, torch.float64),
    ],
    ids=str,
)
def test_times_are_real_and_keep_the_digits_of_a_timestep(dtype, expected) -> None:
    seen = []
    model = eps_model(lambda x, t: seen.append(t) or x)
    model(torch.ones(2, 3, dtype=dtype), 999.0)
    assert seen[0].dtype == expected
    assert (seen[0] == 999.0).all()


def test_what_is_not_callable_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="module=3 must be callable"):
        eps_model(3)


def test_another_dtype_is_named() -> None:
    with pytest.raises(ModelOutputError, match=r"evaluation 1 of 5 .*float64.*float32"):
        diffusion.sample(lambda x, t: x.double(), noise(), SCHEDULE, steps=5)


@pytest.mark.parametrize(
    "linear",
    [lambda a: Scalar(a[0]), Diagonal, lambda a: Dense(a[:, None])],
    ids=["scalar", "diagonal", "dense"],
)
def test_linear_parts_that_record_gradients_are_refused(linear):
    """They would be lost: coefficients are computed on the host."""
    with pytest.raises(InvalidArgument, match=r"followed by PyTorch or JAX.*detach\(\)"):
        linear(torch.tensor([-1.0], requires_grad=True))
