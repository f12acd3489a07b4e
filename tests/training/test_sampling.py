"""Sampling: equal to diffusers' pipeline, exact for a known flow, and a function of its generator alone."""

import pytest
import torch
from diffusers import AutoencoderKLWan, SanaVideoPipeline, SanaVideoTransformer3DModel

from framemill.platform.errors import RequestError
from framemill.training.model import LinearDiT, LinearDiTConfig
from framemill.training.sampling import load_scheduler, sample, save_scheduler

SHAPE = (1, 16, 3, 4, 4)


class KnownFlow(torch.nn.Module):
    """The exact velocity towards one x0 from anywhere on its lines."""

    def __init__(self, x0: torch.Tensor) -> None:
        super().__init__()
        self.x0 = torch.nn.Parameter(x0)
        self.calls = 0

    def forward(self, x, timestep, text, mask):
        self.calls += 1
        return (x - self.x0) / (timestep.view(-1, 1, 1, 1, 1) / 1000)


def texts() -> tuple[torch.Tensor, ...]:
    return torch.ones(1, 4, 10), torch.ones(1, 4), torch.zeros(1, 1, 10), torch.ones(1, 1)


def test_reaches_the_data_of_a_known_flow() -> None:
    x0 = torch.randn(SHAPE)
    flow = KnownFlow(x0)
    found = sample(flow, *texts(), SHAPE, steps=20, generator=torch.Generator().manual_seed(0))
    assert (found - x0).abs().max() < 0.02  # the solver's timesteps are whole numbers, its sigmas are not
    assert flow.calls == 40
    sample(flow, *texts(), SHAPE, steps=3, cfg=1.0)
    assert flow.calls == 43


def test_equals_diffusers_pipeline(tmp_path) -> None:
    torch.manual_seed(0)
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
    model.save_diffusers(tmp_path / "transformer")
    save_scheduler(tmp_path / "scheduler", flow_shift=5.0)
    vae = AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    pipeline = SanaVideoPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae,
        scheduler=load_scheduler(tmp_path / "scheduler"),
        transformer=SanaVideoTransformer3DModel.from_pretrained(tmp_path / "transformer"),
    )
    pipeline.set_progress_bar_config(disable=True)
    text, null = torch.randn(1, 4, 10), torch.randn(1, 4, 10)
    mask = torch.tensor([[1, 1, 1, 0]])
    expected = pipeline(
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
    found = sample(
        model,
        text,
        mask,
        null,
        mask,
        SHAPE,
        steps=6,
        cfg=4.0,
        scheduler=load_scheduler(tmp_path / "scheduler"),
        generator=torch.Generator().manual_seed(7),
    )
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def test_scheduler_folder(tmp_path) -> None:
    save_scheduler(tmp_path, flow_shift=3.0)
    assert load_scheduler(tmp_path).config.flow_shift == 3.0
    with pytest.raises(RequestError, match=r"no scheduler_config\.json"):
        load_scheduler(tmp_path / "none")
    path = tmp_path / "scheduler_config.json"
    path.write_text(path.read_text().replace("flow_prediction", "epsilon"))
    with pytest.raises(RequestError, match="epsilon"):
        load_scheduler(tmp_path)
