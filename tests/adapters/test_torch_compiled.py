"""Networks through torch.compile: the eager result, and one graph for all times of a run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from semilinear import diffusion
from semilinear.adapters.torch import eps_model

torch = pytest.importorskip("torch")
dynamo = pytest.importorskip("torch._dynamo")

SCHEDULE = diffusion.VPLinear()
COMPILERS = ("c++", "g++", "clang++", "cl")

has_compiler = pytest.mark.skipif(
    not any(map(shutil.which, COMPILERS)), reason=f"no C++ compiler among {', '.join(COMPILERS)}"
)


class Network(torch.nn.Module):
    """A small network of x and t."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.into = torch.nn.Parameter(torch.randn(8, 16, generator=generator) / 3)
        self.time = torch.nn.Parameter(torch.randn(16, generator=generator))
        self.out = torch.nn.Parameter(torch.randn(16, 8, generator=generator) / 4)

    def forward(self, x, t):
        return torch.tanh(x @ self.into + t[:, None] * self.time) @ self.out


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    dynamo.reset()
    yield
    dynamo.reset()


def counted(graphs: list):
    """A backend of torch.compile that compiles nothing, and counts the graphs."""

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    return backend


def noise(n: int = 4):
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", ["tab3", "unipc2", "rho_heun2", "dpmpp_2m_sde"])
def test_a_network_is_compiled_once_for_all_times(method: str) -> None:
    network, graphs = Network(), []
    compiled = torch.compile(network, backend=counted(graphs))

    def run(module, steps: int = 12):
        with torch.no_grad():
            return diffusion.sample(
                eps_model(module), noise(), SCHEDULE, method=method, steps=steps, seed=0
            )

    # Any further graph is an error: none for another time, step or run.
    with dynamo.config.patch(error_on_recompile=True):
        found = run(compiled)
        assert run(compiled).equal(found)
        run(compiled, steps=7)
    assert len(graphs) == 1
    torch.testing.assert_close(found, run(network), rtol=0, atol=0)


def test_times_as_numbers_would_be_compiled_anew() -> None:
    """The test of the test: this is what a tensor of times is for."""
    graphs: list = []
    compiled = torch.compile(lambda x, t: x * t, backend=counted(graphs))
    with (
        torch.no_grad(),
        dynamo.config.patch(error_on_recompile=True),
        pytest.raises(dynamo.exc.RecompileError),
    ):
        diffusion.sample(compiled, noise(), SCHEDULE, steps=4)


def test_denoisers_of_k_diffusion_are_compiled_once() -> None:
    from semilinear.adapters.k_diffusion import sample_dpmpp_2m

    def denoise(x, sigma):
        return torch.tanh(x) / (1 + sigma[:, None])

    graphs: list = []
    compiled = torch.compile(denoise, backend=counted(graphs))
    sigmas = torch.linspace(14.6, 0.1, 9, dtype=torch.float64)
    with dynamo.config.patch(error_on_recompile=True):
        found = sample_dpmpp_2m(compiled, 14.6 * noise(), sigmas, disable=True)
    assert len(graphs) == 1
    expected = sample_dpmpp_2m(denoise, 14.6 * noise(), sigmas, disable=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@has_compiler
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of torch by itself, on import
def test_compiled_kernels_give_the_eager_result() -> None:
    network = Network()
    results = []
    for module in (network, torch.compile(network)):
        with torch.no_grad():
            results.append(diffusion.sample(eps_model(module), noise(), SCHEDULE, steps=12))
    eager, compiled = results
    # Twelve evaluations, each a sum of some ten products, of a state as large as the result.
    bound = 12 * 16 * torch.finfo(torch.float32).eps * float(eager.abs().max())
    torch.testing.assert_close(compiled, eager, rtol=0, atol=bound)
