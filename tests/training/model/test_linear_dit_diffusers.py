"""The Linear DiT against diffusers' SanaVideoTransformer3DModel, an independent implementation of the same paper."""

import torch
from diffusers import AutoencoderKLWan, SanaVideoPipeline, SanaVideoTransformer3DModel
from hypothesis import given, settings
from hypothesis import strategies as st

from framemill.training.generation.scheduler import load_scheduler, save_scheduler
from framemill.training.model import LinearDiT, LinearDiTConfig

TOKENS = 7
"""Tokens of the text."""


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


def tiny(patch: tuple[int, int] = (1, 1), **changes: object) -> LinearDiTConfig:
    shape = {
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "num_layers": 2,
        "patch_size": (1, *patch),
        "num_cross_attention_heads": 3,
        "cross_attention_head_dim": 8,
        "caption_channels": 10,
    }
    return LinearDiTConfig(**{**shape, **changes})


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@st.composite
def cases(draw: st.DrawFn) -> tuple[LinearDiTConfig, dict[str, torch.Tensor], torch.Tensor, int]:
    """A config, our inputs, diffusers' timesteps, and the seed of the weights. At least 64 tokens: with fewer the
    denominator of the attention can vanish, and rounding then decides the rest."""
    config = tiny(
        draw(st.sampled_from([(1, 1), (2, 2), (1, 2), (3, 1)])),
        num_attention_heads=draw(st.integers(1, 3)),
        attention_head_dim=draw(st.sampled_from([12, 16, 20, 26])),
        cross_attention_head_dim=draw(st.sampled_from([4, 8, 12])),
        attention_bias=draw(st.booleans()),
        norm_elementwise_affine=draw(st.booleans()),
        mlp_ratio=draw(st.sampled_from([1.0, 2.5, 3.0])),
        out_channels=draw(st.sampled_from([5, 16])),
    )
    axes = st.tuples(st.integers(1, 5), st.integers(3, 11), st.integers(3, 11))
    grid = draw(axes.filter(lambda g: 64 <= g[0] * g[1] * g[2] <= 300))
    seed = draw(st.integers(0, 2**31))
    lengths = draw(st.tuples(st.integers(1, TOKENS), st.integers(1, TOKENS)))
    hole = draw(st.integers(0, TOKENS - 1))
    generator = torch.Generator().manual_seed(seed)
    frames, height, width = (side * patch for side, patch in zip(grid, config.patch_size, strict=True))
    mask = (torch.arange(TOKENS) < torch.tensor(lengths)[:, None]).long()
    if lengths[1] > 1:
        mask[1, hole] = 0
    timestep = 1000 * torch.rand((2, frames) if draw(st.booleans()) else (2,), generator=generator)
    given = {
        "latents": torch.randn(2, 16, frames, height, width, generator=generator),
        "timestep": timestep,
        "text": torch.randn(2, TOKENS, 10, generator=generator),
        "text_mask": mask,
    }
    # diffusers knows timesteps of samples and of tokens, not of frames.
    theirs = timestep[:, None, :, None, None].expand(2, 1, *grid) if timestep.ndim == 2 else timestep
    return config, given, theirs, seed


@settings(max_examples=25, deadline=None, derandomize=True)
@given(case=cases())
def test_velocity_is_the_same(case) -> None:
    config, given, timestep, seed = case
    ours, theirs = pair(config, seed)
    with torch.no_grad():
        expected = theirs(given["latents"], given["text"], timestep, encoder_attention_mask=given["text_mask"]).sample
        assert relative_error(ours(**given), expected) < 2e-5


@settings(max_examples=15, deadline=None, derandomize=True)
@given(case=cases())
def test_velocity_is_the_same_in_bfloat16(case) -> None:
    config, given, timestep, seed = case
    ours, theirs = (model.to(torch.bfloat16) for model in pair(config, seed))
    latents, text = given["latents"].bfloat16(), given["text"].bfloat16()
    with torch.no_grad():
        expected = theirs(latents, text, timestep, encoder_attention_mask=given["text_mask"]).sample
        velocity = ours(latents, given["timestep"], text, given["text_mask"])
        assert relative_error(velocity, expected) < 2e-2


@settings(max_examples=6, deadline=None, derandomize=True)
@given(case=cases())
def test_gradients_are_the_same(case) -> None:
    config, given, timestep, seed = case
    ours, theirs = pair(config, seed)
    ours.checkpointing = ("none", "selective", "full")[seed % 3]
    latents, mask = given["latents"], given["text_mask"]
    expected = theirs(latents, given["text"], timestep, encoder_attention_mask=mask).sample
    target = torch.randn(expected.shape, generator=torch.Generator().manual_seed(seed))
    (expected - target).square().mean().backward()
    (ours(**given) - target).square().mean().backward()
    expected_of = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert relative_error(parameter.grad, expected_of[name].grad) < 1e-4, name


def test_a_caption_of_padding_alone_is_finite_and_as_near_as_float32_allows() -> None:
    """Its scores lie at -10000, where float32 has steps of 0.001: a last bit of difference moves a weight by it."""
    ours, theirs = pair(tiny(), seed=3)
    latents, text, timestep = torch.randn(2, 16, 2, 6, 8), torch.randn(2, TOKENS, 10), torch.tensor([500.0, 900.0])
    mask = torch.tensor([[0] * TOKENS, [1] * TOKENS])
    with torch.no_grad():
        expected = theirs(latents, text, timestep, encoder_attention_mask=mask).sample
        velocity = ours(latents, timestep, text, mask)
    assert velocity.isfinite().all()
    assert relative_error(velocity[:1], expected[:1]) < 1e-3
    assert relative_error(velocity[1:], expected[1:]) < 2e-5


def test_export_runs_in_the_diffusers_pipeline(tmp_path) -> None:
    torch.manual_seed(0)
    ours, _ = pair(tiny((2, 2)), seed=3)
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
