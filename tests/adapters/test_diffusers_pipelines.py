"""The scheduler in real pipelines of diffusers, with small random networks made on the spot."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
stock = pytest.importorskip("diffusers")

from semilinear.adapters.diffusers import SemilinearScheduler  # noqa: E402

# The stock scheduler's own, from its arithmetic of tensors by NumPy.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")

METHODS = (None, "tab3", "unipc2", "rho_heun2", "dpmpp_2m_sde", "euler_ancestral")


@pytest.fixture(autouse=True)
def one_thread():
    """Networks of this size take far longer on several threads of a busy machine."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


def generator():
    return torch.Generator().manual_seed(1)


@pytest.fixture(scope="module")
def pixels():
    torch.manual_seed(0)
    network = stock.UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    pipe = stock.DDPMPipeline(network, stock.DDPMScheduler())
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def latents():
    """Class-conditional, with guidance; it hands a new tensor to every step."""
    torch.manual_seed(0)
    network = stock.DiTTransformer2DModel(
        sample_size=8,
        num_layers=1,
        patch_size=4,
        attention_head_dim=4,
        num_attention_heads=2,
        in_channels=4,
        out_channels=8,
        num_embeds_ada_norm=1000,  # the pipeline takes 1000 for no class
        norm_num_groups=4,
    )
    autoencoder = stock.AutoencoderKL(
        latent_channels=4, block_out_channels=(8,), norm_num_groups=4, sample_size=8
    )
    pipe = stock.DiTPipeline(network.eval(), autoencoder.eval(), stock.DDIMScheduler())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sample(pipe, steps=6):
    arguments = {"num_inference_steps": steps, "generator": generator(), "output_type": "np"}
    if isinstance(pipe, stock.DiTPipeline):
        torch.manual_seed(2)  # it keeps its generator from the scheduler
        return pipe(class_labels=[1, 2], guidance_scale=3.0, **arguments).images
    return pipe(batch_size=2, **arguments).images


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["pixels", "latents"])
def test_pipelines_run_and_can_be_repeated(name: str, method: str | None, request) -> None:
    pipe = request.getfixturevalue(name)
    pipe.scheduler = SemilinearScheduler.from_config(pipe.scheduler.config, method=method)
    first = sample(pipe)
    assert first.shape[0] == 2
    assert first.std() > 0
    assert (first == sample(pipe)).all()


def test_a_latent_pipeline_gives_the_image_of_the_stock_scheduler(latents) -> None:
    config = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    latents.scheduler = stock.DEISMultistepScheduler(solver_order=3, **config)
    expected = sample(latents, 10)
    latents.scheduler = SemilinearScheduler.from_config(
        latents.scheduler.config, final_sigmas_type="sigma_min"
    )
    found = sample(latents, 10)
    assert abs(found - expected).max() < 1e-3
    latents.scheduler = SemilinearScheduler.from_config(latents.scheduler.config, method="ddim")
    assert abs(sample(latents, 10) - expected).max() > 1e-3


def test_a_latent_pipeline_runs_in_half_precision(latents) -> None:
    latents.scheduler = SemilinearScheduler(solver_order=3)
    single = sample(latents)
    latents.transformer.to(torch.bfloat16)
    latents.vae.to(torch.bfloat16)
    try:
        half = sample(latents)
    finally:
        latents.transformer.to(torch.float32)
        latents.vae.to(torch.float32)
    assert abs(half - single).mean() < 0.05


def test_a_pipeline_is_saved_and_loaded_with_its_scheduler(pixels, tmp_path: Path, caplog) -> None:
    pixels.scheduler = SemilinearScheduler(method="dpmpp_2m_sde", eta=0.5, use_karras_sigmas=True)
    expected = sample(pixels)
    with caplog.at_level(logging.WARNING):
        pixels.save_pretrained(tmp_path)
        loaded = stock.DDPMPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    # That a library for large networks is missing says nothing of the scheduler.
    assert not [r for r in caplog.records if "accelerate" not in r.getMessage()]
    assert type(loaded.scheduler) is SemilinearScheduler
    own = {k: v for k, v in pixels.scheduler.config.items() if k[0] != "_"}
    assert {k: loaded.scheduler.config[k] for k in own} == own
    assert (sample(loaded) == expected).all()
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["scheduler"][1] == "SemilinearScheduler"


def test_img2img_and_inpainting_loops(pixels) -> None:
    """What the pipelines of that name do, whose text encoders need another library."""
    network = pixels.unet
    scheduler = SemilinearScheduler(solver_order=3, timestep_spacing="leading", steps_offset=1)
    image = torch.full((1, 1, 8, 8), 0.3)
    noise = torch.randn(image.shape, generator=generator())
    mask = torch.zeros_like(image)
    mask[..., 4:] = 1
    scheduler.set_timesteps(10)
    first = 4 * scheduler.order
    timesteps = scheduler.timesteps[first:]
    scheduler.set_begin_index(first)
    x = scheduler.add_noise(image, noise, timesteps[:1].repeat(1))
    with torch.no_grad():
        for i, t in enumerate(timesteps):
            x = scheduler.step(network(x, t).sample, t, x, return_dict=False)[0]
            known = image
            if i < len(timesteps) - 1:
                known = scheduler.add_noise(image, noise, torch.tensor([timesteps[i + 1]]))
                level = scheduler.sigmas[first + i + 1]
                alpha = 1 / (1 + level**2).sqrt()
                assert torch.allclose(known, alpha * (image + level * noise), atol=1e-6)
            x = (1 - mask) * known + mask * x
    assert torch.equal(x[..., :4], image[..., :4])
    assert torch.isfinite(x).all()
    assert scheduler.step_index == 10


def test_pipelines_that_pass_noise_levels_get_what_they_ask() -> None:
    """The loop of flow pipelines: their noise levels, mu, begin index 0."""
    theirs = stock.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    levels = torch.linspace(1.0, 1 / 6, 6).tolist()
    x = torch.randn(1, 16, 4, generator=generator(), dtype=torch.float32)
    ends = []
    for scheduler in (theirs, SemilinearScheduler.from_config(theirs.config, solver_order=1)):
        assert not getattr(scheduler.config, "use_flow_sigmas", False)
        scheduler.set_timesteps(sigmas=levels, device="cpu", mu=0.9)
        scheduler.set_begin_index(0)
        y = x
        for t in scheduler.timesteps:
            velocity = torch.tanh(y + t.expand(y.shape[0])[:, None, None] / 1000)
            y = scheduler.step(velocity, t, y, return_dict=False)[0]
        ends.append(y)
    assert torch.allclose(*ends, atol=1e-5)
