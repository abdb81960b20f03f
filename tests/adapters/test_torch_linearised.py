"""Torch models with their derivative, as likelihoods need them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from semilinear import InvalidArgument, ModelOutputError
from semilinear.adapters.torch import eps_model
from semilinear.diffusion import VPCosine, VPLinear, clipped
from semilinear.diffusion.likelihood import log_likelihood

torch = pytest.importorskip("torch")
linearised = pytest.importorskip("semilinear.adapters.torch_linearised").linearised

VP = VPLinear()
MATRIX = np.random.default_rng(1).standard_normal((4, 4)) / 4


def network(x, t):
    return torch.tanh(x @ torch.from_numpy(MATRIX).to(x.dtype)) * t[:, None]


def by_hand(x, t):
    answer = np.tanh(x @ MATRIX)
    return answer * t, lambda v: ((1 - answer**2) * t * v) @ MATRIX.T


def states(dtype=torch.float64):
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_products_are_those_of_the_jacobian(mode):
    with mode():
        x, v = states(), states() ** 2
        answer, product = linearised(eps_model(network))(x, 0.3)
        expected, by = by_hand(x.numpy(), 0.3)
        np.testing.assert_allclose(answer.numpy(), expected, rtol=1e-12, atol=1e-15)
        for probe in (v, 2 * v):
            np.testing.assert_allclose(product(probe).numpy(), by(probe.numpy()), rtol=1e-10)
        assert not answer.requires_grad
        assert not product(v).requires_grad


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_products_have_the_precision_of_the_states(dtype, rtol):
    x = states(dtype)
    v = x**2
    _, product = linearised(lambda x, t: torch.sin(x) * t)(x, 0.5)
    expected = (torch.cos(x.double()) * v.double() / 2).numpy()
    found = product(v)
    assert found.dtype == dtype
    np.testing.assert_allclose(found.numpy(), expected, rtol=rtol)


def test_arrays_come_back_as_arrays():
    x = states().numpy()
    answer, product = linearised(lambda x, t: torch.sin(x) * t)(x, 0.3)
    assert isinstance(answer, np.ndarray)
    np.testing.assert_allclose(product(np.ones_like(x)), np.cos(x) * 0.3, rtol=1e-12)


def test_a_model_that_depends_on_its_weights_alone_is_refused():
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    _, product = linearised(lambda x, t: x.detach() * weight)(states(), 0.3)
    with pytest.raises(ModelOutputError, match=r"at t=0.3 .* depends on x .* detach\(\)"):
        product(states())


@pytest.mark.parametrize("divergence", ["exact", "hutchinson"])
def test_a_likelihood_is_that_of_the_model_by_hand(divergence):
    options = {"steps": 6, "divergence": divergence, "seed": 3}
    found = log_likelihood(linearised(eps_model(network)), states(), VP, **options)
    expected = log_likelihood(by_hand, states().numpy(), VP, **options)
    assert isinstance(found.log_p, torch.Tensor)
    np.testing.assert_allclose(found.log_p.numpy(), expected.log_p, rtol=1e-10)


def test_single_precision_keeps_double_densities():
    x, options = states(torch.float32), {"steps": 6, "divergence": "exact"}
    found = log_likelihood(linearised(eps_model(network)), x, VP, **options)
    expected = log_likelihood(by_hand, x.double().numpy(), VP, **options)
    assert found.log_p.dtype == torch.float64
    assert found.latent.dtype == torch.float32
    np.testing.assert_allclose(found.log_p.numpy(), expected.log_p, rtol=1e-5)
    np.testing.assert_allclose(found.latent.numpy(), expected.latent, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "model", [lambda x, t: x.detach() * t, lambda x, t: x.detach().numpy(), lambda x, t: None]
)
def test_models_that_hide_the_derivative_are_refused(model):
    with pytest.raises(ModelOutputError, match=r"model at t=0\.3 returned no tensor that depends"):
        linearised(model)(states(), 0.3)


def test_answers_inside_of_something_else_are_refused_with_what_to_return():
    def output(x, t):
        return SimpleNamespace(sample=x * t)

    with pytest.raises(ModelOutputError, match=r"t=0\.3 returned SimpleN.*torch\.eps_model"):
        linearised(output)(states(), 0.3)
    with pytest.raises(ModelOutputError, match=r"t=0\.3 returned tuple, .*such as output\[0\]"):
        linearised(lambda x, t: (x * t,))(states(), 0.3)


def test_what_a_model_was_made_for_is_compared_with_the_likelihood():
    model = linearised(clipped(eps_model(network), VP, low=-9.0, high=9.0))
    assert log_likelihood(model, states(), VP, steps=3, seed=0).log_p.shape == (3,)
    with pytest.raises(InvalidArgument, match=r"made for schedule=VPLinear.*has schedule=VPCosine"):
        log_likelihood(model, states(), VPCosine(), steps=3, seed=0)


def test_what_is_not_callable_is_refused():
    with pytest.raises(InvalidArgument, match="model=3 must be callable"):
        linearised(3)
