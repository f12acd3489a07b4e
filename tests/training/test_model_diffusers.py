"""The Linear DiT against diffusers' SanaVideoTransformer3DModel, an independent implementation of the same paper."""

import pytest
import torch
from diffusers import AutoencoderKLWan, SanaVideoPipeline, SanaVideoTransformer3DModel
from hypothesis import given, settings
from hypothesis import strategies as st

from framemill.training.model import LinearDiT, LinearDiTConfig
from framemill.training.sampling import load_scheduler, save_scheduler

TOKENS = 7  # of text


def pair(config: LinearDiTConfig, seed: int) -> tuple[LinearDiT, SanaVideoTransformer3DModel]:
    """Both models with the same weights, all of them random: as made, norms are ones and some branches zero."""
    torch.manual_seed(seed)
    ours = LinearDiT(config).eval()
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)
            elif parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            else:
                parameter.normal_(std=0.2)
    values = {name: value for name, value in config.to_diffusers().items() if not name.startswith("_")}
    theirs = SanaVideoTransformer3DModel(**values).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


def tiny(patch: int, head_dim: int = 12, **changes: object) -> LinearDiTConfig:
    return LinearDiTConfig(
        num_attention_heads=2,
        attention_head_dim=head_dim,
        num_layers=2,
        patch_size=(1, patch, patch),
        num_cross_attention_heads=3,
        cross_attention_head_dim=8,
        caption_channels=10,
        **changes,
    )


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    patch=st.sampled_from([1, 2]),
    grid=st.tuples(st.integers(1, 5), st.integers(4, 9), st.integers(4, 9)).filter(lambda g: g[0] * g[1] * g[2] >= 64),
    head_dim=st.sampled_from([12, 16, 20]),
    attention_bias=st.booleans(),
    affine=st.booleans(),
    per_frame=st.booleans(),
    lengths=st.tuples(st.integers(1, TOKENS), st.integers(1, TOKENS)),
    seed=st.integers(0, 2**31),
)
def test_velocity_is_the_same(patch, grid, head_dim, attention_bias, affine, per_frame, lengths, seed) -> None:
    ours, theirs = pair(
        tiny(patch, head_dim, attention_bias=attention_bias, norm_elementwise_affine=affine, out_channels=5), seed
    )
    frames, rows, columns = grid
    latents = torch.randn(2, 16, frames, rows * patch, columns * patch)
    text = torch.randn(2, TOKENS, 10)
    mask = (torch.arange(TOKENS) < torch.tensor(lengths)[:, None]).long()
    timestep = 1000 * torch.rand(2, frames) if per_frame else 1000 * torch.rand(2)
    # diffusers knows timesteps of samples and of tokens, not of frames.
    theirs_timestep = timestep[:, None, :, None, None].expand(2, 1, *grid) if per_frame else timestep
    with torch.no_grad():
        expected = theirs(latents, text, theirs_timestep, encoder_attention_mask=mask).sample
        assert relative_error(ours(latents, timestep, text, mask), expected) < 2e-5


def test_a_caption_of_padding_alone_is_finite_and_as_near_as_float32_allows() -> None:
    """Its scores lie at -10000, where float32 has steps of 0.001: a last bit of difference moves a weight by it."""
    ours, theirs = pair(tiny(1), seed=3)
    latents, text, timestep = torch.randn(2, 16, 2, 6, 8), torch.randn(2, TOKENS, 10), torch.tensor([500.0, 900.0])
    mask = torch.tensor([[0] * TOKENS, [1] * TOKENS])
    with torch.no_grad():
        expected = theirs(latents, text, timestep, encoder_attention_mask=mask).sample
        found = ours(latents, timestep, text, mask)
    assert found.isfinite().all()
    assert relative_error(found[:1], expected[:1]) < 1e-3
    assert relative_error(found[1:], expected[1:]) < 2e-5


@pytest.mark.parametrize("patch", [1, 2])
def test_gradients_are_the_same(patch: int) -> None:
    ours, theirs = pair(tiny(patch), seed=patch)
    latents = torch.randn(2, 16, 3, 6 * patch, 5 * patch)
    text, mask = torch.randn(2, TOKENS, 10), torch.ones(2, TOKENS)
    timestep = torch.tensor([250.5, 900.0])
    target = torch.randn(2, 16, 3, 6 * patch, 5 * patch)
    (ours(latents, timestep, text, mask) - target).square().mean().backward()
    (theirs(latents, text, timestep, encoder_attention_mask=mask).sample - target).square().mean().backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert relative_error(parameter.grad, expected[name].grad) < 1e-4, name


def test_export_runs_in_the_diffusers_pipeline(tmp_path) -> None:
    torch.manual_seed(0)
    ours, _ = pair(tiny(2), seed=3)
    ours.save_diffusers(tmp_path / "transformer")
    save_scheduler(tmp_path / "scheduler", flow_shift=8.0)
    vae = AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    transformer, report = SanaVideoTransformer3DModel.from_pretrained(
        tmp_path / "transformer", output_loading_info=True
    )
    assert not any(report.values())
    pipeline = SanaVideoPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae,
        transformer=transformer,
        scheduler=load_scheduler(tmp_path / "scheduler"),
    )
    pipeline.set_progress_bar_config(disable=True)
    text, mask = torch.randn(1, 16, 10), torch.ones(1, 16)
    video = pipeline(
        prompt_embeds=text,
        prompt_attention_mask=mask,
        negative_prompt=None,
        negative_prompt_embeds=torch.zeros_like(text),
        negative_prompt_attention_mask=mask,
        height=32,
        width=32,
        frames=9,
        num_inference_steps=2,
        use_resolution_binning=False,
        output_type="pt",
    ).frames
    assert video.shape == (1, 9, 3, 32, 32)
    assert video.isfinite().all()
