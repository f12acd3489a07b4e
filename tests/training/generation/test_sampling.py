"""Sampling: equal to diffusers' pipelines, exact for a known flow, and block by block what the whole model says."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKLWan,
    SanaImageToVideoPipeline,
    SanaVideoPipeline,
    SanaVideoTransformer3DModel,
)
from PIL import Image

from framemill.platform.errors import RequestError
from framemill.training.curriculum import block_starts
from framemill.training.generation.sampling import SamplingRequest, sample, stream
from framemill.training.generation.scheduler import flow_scheduler, load_scheduler, save_scheduler
from framemill.training.model import LinearDiT, LinearDiTConfig

SHAPE = (1, 16, 3, 4, 4)


class KnownFlow(torch.nn.Module):
    """The exact velocity towards one x0 from anywhere on its lines."""

    def __init__(self, x0: torch.Tensor) -> None:
        super().__init__()
        self.x0 = torch.nn.Parameter(x0)
        self.calls = 0

    def read_caption(self, text, mask):
        return text

    def forward(self, x, timestep, caption):
        self.calls += 1
        sigma = timestep[:, None, :, None, None] / 1000
        return torch.where(sigma > 0, (x - self.x0) / sigma, 99.0)  # what it says of a clean frame is to be ignored


def request(**changes: Any) -> SamplingRequest:
    texts = torch.ones(1, 4, 10), torch.ones(1, 4), torch.zeros(1, 1, 10), torch.ones(1, 1)
    return SamplingRequest(*texts, shape=SHAPE, **changes)


def test_reaches_the_data_of_a_known_flow() -> None:
    x0 = torch.randn(SHAPE)
    flow = KnownFlow(x0)
    latents = sample(flow, request(steps=20, generator=torch.Generator().manual_seed(0)))
    assert (latents - x0).abs().max() < 0.02  # the solver's timesteps are whole numbers, its sigmas are not
    assert flow.calls == 40
    sample(flow, request(steps=3, cfg=1.0))
    assert flow.calls == 43


@pytest.mark.parametrize("solver", ["dpm", "euler"])
def test_a_first_frame_stays_as_it_is(solver) -> None:
    x0, first = torch.randn(SHAPE), torch.randn(1, 16, 1, 4, 4)
    flow = KnownFlow(x0)
    generator = torch.Generator().manual_seed(0)
    latents = sample(flow, request(steps=20, scheduler=flow_scheduler(8.0, solver), generator=generator, first=first))
    assert torch.equal(latents[:, :, :1], first)
    assert (latents[:, :, 1:] - x0[:, :, 1:]).abs().max() < 0.02


def tiny_model(seed: int = 0) -> LinearDiT:
    torch.manual_seed(seed)
    config = LinearDiTConfig(
        num_attention_heads=2,
        attention_head_dim=12,
        num_layers=2,
        num_cross_attention_heads=2,
        cross_attention_head_dim=12,
        caption_channels=10,
    )
    model = LinearDiT(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    return model


def pipeline_of(kind, model, folder, solver="dpm"):
    """A pipeline of diffusers around what we save."""
    model.save_diffusers(folder / "transformer")
    save_scheduler(folder / "scheduler", flow_shift=5.0, solver=solver)
    vae = AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    pipeline = kind(
        tokenizer=None,
        text_encoder=None,
        vae=vae,
        scheduler=load_scheduler(folder / "scheduler"),
        transformer=SanaVideoTransformer3DModel.from_pretrained(folder / "transformer"),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.mark.parametrize(
    ("kind", "solver"),
    [
        (SanaVideoPipeline, "dpm"),
        (SanaVideoPipeline, "euler"),
        (SanaImageToVideoPipeline, "dpm"),
        (SanaImageToVideoPipeline, "euler"),
    ],
)
def test_equals_diffusers_pipelines(kind, solver, tmp_path) -> None:
    model = tiny_model()
    pipeline = pipeline_of(kind, model, tmp_path, solver)
    text, null = torch.randn(1, 4, 10), torch.randn(1, 4, 10)
    mask = torch.tensor([[1, 1, 1, 0]])
    begins = kind is SanaImageToVideoPipeline
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    expected = pipeline(
        **({"image": picture} if begins else {}),
        prompt_embeds=text,
        prompt_attention_mask=mask,
        negative_prompt=None,
        negative_prompt_embeds=null,
        negative_prompt_attention_mask=mask,
        height=32,
        width=32,
        frames=9,
        num_inference_steps=6,
        guidance_scale=4.0,
        use_resolution_binning=False,
        output_type="latent",
        generator=torch.Generator().manual_seed(7),
    ).frames
    latents = sample(
        model,
        SamplingRequest(
            text,
            mask,
            null,
            mask,
            SHAPE,
            steps=6,
            cfg=4.0,
            scheduler=load_scheduler(tmp_path / "scheduler"),
            generator=torch.Generator().manual_seed(7),
            first=expected[:, :, :1] if begins else None,
        ),
    )
    assert (latents - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("begins", [False, True])
def test_a_stream_is_what_the_whole_model_says_of_each_block(begins) -> None:
    """Against the one-shot forward over everything so far, with all that is done at timestep 0: no state, no step."""
    model, shape = tiny_model(), (2, 16, 7, 4, 4)
    text, mask, null, null_mask = torch.randn(2, 4, 10), torch.ones(2, 4), torch.randn(2, 3, 10), torch.ones(2, 3)
    first = torch.randn(2, 16, 1, 4, 4) if begins else None
    blocks = block_starts(7, 2)
    asked = SamplingRequest(
        text,
        mask,
        null,
        null_mask,
        shape,
        steps=3,
        cfg=4.0,
        scheduler=flow_scheduler(5.0),
        generator=torch.Generator().manual_seed(3),
        first=first,
    )
    streamed = list(stream(model, asked, blocks))
    assert [block.shape[2] for block in streamed] == [3, 2, 2]

    generator = torch.Generator().manual_seed(3)
    done = torch.zeros(2, 16, 0, 4, 4)
    for start, end in pairwise([*blocks, 7]):
        x = torch.randn((2, 16, end - start, 4, 4), generator=generator)
        given = first if begins and start == 0 else x[:, :, :0]
        scheduler = flow_scheduler(5.0)
        scheduler.set_timesteps(3)
        x = x[:, :, given.shape[2] :]
        for t in scheduler.timesteps:
            clean = torch.cat((done, given), 2)
            seen = torch.cat((clean, x), 2)
            timestep = torch.cat((torch.zeros(2, clean.shape[2]), torch.full((2, x.shape[2]), float(t))), 1)
            with torch.no_grad():
                v, v_null = (
                    model(seen, timestep, *caption, [at for at in blocks if at < end])[:, :, clean.shape[2] :]
                    for caption in ((text, mask), (null, null_mask))
                )
            x = scheduler.step(v_null + 4.0 * (v - v_null), t, x, return_dict=False)[0]
        done = torch.cat((done, given, x), 2)
    assert (torch.cat(streamed, 2) - done).abs().max() < 1e-4 * done.abs().max()


def test_a_first_block_may_be_the_picture_alone() -> None:
    model, first = tiny_model(), torch.randn(1, 16, 1, 4, 4)
    blocks = list(stream(model, request(steps=2, first=first), [0, 1, 2]))
    assert torch.equal(blocks[0], first) and [block.shape[2] for block in blocks] == [1, 1, 1]
    others, again = (
        list(stream(model, request(steps=2, generator=torch.Generator().manual_seed(1), first=image), [0, 1, 2]))
        for image in (None, first)
    )
    assert not torch.equal(others[1], again[1]), "the blocks behind see it"


def test_a_stream_of_one_block_is_a_sample() -> None:
    model = tiny_model()
    whole = sample(model, request(steps=4, cfg=3.0, generator=torch.Generator().manual_seed(1)))
    (block,) = stream(model, request(steps=4, cfg=3.0, generator=torch.Generator().manual_seed(1)), [0])
    assert (block - whole).abs().max() < 1e-5 * whole.abs().max()


def test_scheduler_folder(tmp_path) -> None:
    save_scheduler(tmp_path, flow_shift=3.0)
    assert load_scheduler(tmp_path).config.flow_shift == 3.0
    with pytest.raises(RequestError, match=r"must hold scheduler_config\.json"):
        load_scheduler(tmp_path / "none")
    path = tmp_path / "scheduler_config.json"
    path.write_text(path.read_text().replace("flow_prediction", "epsilon"))
    with pytest.raises(RequestError, match="epsilon"):
        load_scheduler(tmp_path)
    path.write_text(path.read_text().replace("DPMSolverMultistepScheduler", "DDIMScheduler"))
    with pytest.raises(RequestError, match="_class_name=DDIMScheduler"):
        load_scheduler(tmp_path)
    save_scheduler(tmp_path, flow_shift=7.0, solver="euler")
    assert load_scheduler(tmp_path).config.shift == 7.0
