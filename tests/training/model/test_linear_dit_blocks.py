"""The block-causal mode: the one-shot forward, the steps with a state, and what a frame may and may not see."""

import copy
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from framemill.platform.errors import RequestError
from framemill.training.model import LinearDiT, LinearDiTConfig
from framemill.training.model.stream_state import StreamState
from tests.support.console import START_S


def random_model(seed: int = 0, layers: int = 2, heads: int = 2) -> LinearDiT:
    """All weights random: as made, branches that begin as zero would hide what they see."""
    torch.manual_seed(seed)
    model = LinearDiT(
        LinearDiTConfig(
            num_attention_heads=heads,
            attention_head_dim=32 // heads,
            num_layers=layers,
            num_cross_attention_heads=2,
            cross_attention_head_dim=16,
            caption_channels=8,
            patch_size=(1, 1, 1),
        )
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(std=parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.2)
    return model.eval()


MODEL = random_model()


def inputs(frames: int, batch: int = 2, side: int = 8, seed: int = 1) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(batch, 16, frames, side, side, generator=generator)
    timestep = 1000 * torch.rand(batch, frames, generator=generator)
    text = torch.randn(batch, 5, 8, generator=generator)
    return latents, timestep, text, torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]])[:batch]


def stream(model: LinearDiT, starts: list[int], latents, timestep, text, mask) -> tuple[torch.Tensor, StreamState]:
    """The velocity of all frames, a block at a time, each looked at once before it is committed."""
    state = model.new_state(len(latents), *latents.shape[3:])
    parts = []
    for start, end in pairwise([*starts, latents.shape[2]]):
        block, t = latents[:, :, start:end], timestep[:, start:end]
        _, same = model.step(torch.randn_like(block), t, text, mask, state, commit=False)
        assert same is state
        velocity, state = model.step(block, t, text, mask, state, commit=True)
        parts.append(velocity)
    return torch.cat(parts, dim=2), state


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual - expected).abs().max() / expected.abs().max())


@settings(max_examples=20, deadline=None, derandomize=True)
@given(frames=st.integers(1, 9), cuts=st.sets(st.integers(1, 8)), seed=st.integers(0, 2**31))
@example(frames=120, cuts={1, 3, *range(10, 120, 11)}, seed=0)  # half a minute: sums over many blocks drift no more
@torch.no_grad()
def test_steps_equal_the_one_shot_forward(frames: int, cuts: set[int], seed: int) -> None:
    starts = [0, *sorted(cut for cut in cuts if cut < frames)]
    given = inputs(frames, seed=seed)
    streamed, state = stream(MODEL, starts, *given)
    assert relative_error(streamed, MODEL(*given, blocks=starts)) < 1e-5
    assert state.frame == frames


@torch.no_grad()
def test_one_block_is_the_bidirectional_model() -> None:
    given = inputs(4)
    assert torch.equal(MODEL(*given, blocks=[0]), MODEL(*given))
    assert relative_error(MODEL(*given, blocks=[0, 2]), MODEL(*given)) > 0.01


@torch.no_grad()
def test_an_output_depends_on_its_block_and_all_before_it() -> None:
    """Of three blocks one is changed at a time; blocks before it stay to the bit, its own and those after it change."""
    starts, (latents, *rest) = [0, 2, 5], inputs(7)
    before = MODEL(latents, *rest, blocks=starts)
    for number, (start, end) in enumerate(pairwise([*starts, 7])):
        changed = latents.clone()
        changed[:, :, end - 1] += 1.0  # its last frame: within a block the first frame sees it too
        after = MODEL(changed, *rest, blocks=starts)
        assert torch.equal(after[:, :, :start], before[:, :, :start])
        for other, begin in enumerate(starts):
            assert torch.equal(after[:, :, begin], before[:, :, begin]) == (other < number)


def test_gradients_flow_as_outputs_do() -> None:
    latents, *rest = inputs(6)
    latents.requires_grad_()
    model = random_model(3).train()
    model(latents, *rest, blocks=[0, 3])[:, :, :3].square().sum().backward()
    assert latents.grad[:, :, :3].abs().amin(dim=(0, 1, 3, 4)).min() > 0
    assert not latents.grad[:, :, 3:].any()


@torch.no_grad()
def test_linear_attention_is_attention_under_a_block_mask() -> None:
    """Against the definition: every token's weights over all tokens, in float64, under an N x N mask."""
    from framemill.training.model.attention import linear_attention
    from framemill.training.model.rope import rotate
    from framemill.training.model.token_grid import TokenGrid

    starts, grid, heads, width = (0, 1, 3), (4, 4, 5), 2, 12
    tokens = TokenGrid.build(grid, starts, width, 64, torch.device("cpu"))
    q, k, v = torch.randn(3, 2, 80, heads, width, dtype=torch.float64).float()
    attention, _ = linear_attention(q, k, v, tokens, 1e-15)
    block = torch.bucketize(torch.arange(80) // 20, torch.tensor(starts), right=True)
    seen = (block[:, None] >= block[None, :]).double()
    q, k = q.relu(), k.relu()
    rotated = torch.einsum("bnhd,bmhd->bhnm", rotate(q, tokens.rope).double(), rotate(k, tokens.rope).double())
    plain = torch.einsum("bnhd,bmhd->bhnm", q.double(), k.double())
    weights = rotated * seen / (plain * seen).sum(-1, keepdim=True)
    expected = torch.einsum("bhnm,bmhd->bnhd", weights, v.double())
    assert relative_error(attention.double(), expected) < 1e-5


@torch.no_grad()
def test_the_temporal_convolution_sees_one_frame_back_and_none_of_a_later_block() -> None:
    """Against its three taps, frame by frame, over what the feed-forward gives without them."""
    ff, starts, frames = MODEL.transformer_blocks[0].ff, (0, 2, 3), 6
    spatial = copy.deepcopy(ff)
    spatial.conv_temp.weight.zero_()
    x, before = torch.randn(2, frames, 4, 4, 32), torch.randn(2, 1, 16, 32)
    u = spatial(x, (0,), None)[0].flatten(2, 3)
    back, own, ahead = ff.conv_temp.weight[..., 0].unbind(-1)
    for previous in (None, before):
        expected = torch.empty_like(u)
        for start, end in pairwise([*starts, frames]):
            for frame in range(start, end):
                behind = u[:, frame - 1] if frame else torch.zeros_like(u[:, 0]) if previous is None else previous[:, 0]
                following = u[:, frame + 1] if frame + 1 < end else torch.zeros_like(behind)
                expected[:, frame] = u[:, frame] + behind @ back.T + u[:, frame] @ own.T + following @ ahead.T
        mixed, last = ff(x, starts, previous)
        assert relative_error(mixed.flatten(2, 3), expected) < 1e-5
        assert torch.equal(last, u[:, -1:])


@torch.no_grad()
def test_the_state_is_as_large_after_200_blocks_as_after_2() -> None:
    model, sizes = random_model(), []
    latents, timestep, text, mask = inputs(1, batch=1, side=2)
    state = model.new_state(1, 2, 2)
    for block in range(200):
        _, state = model.step(latents, timestep, text, mask, state, commit=True)
        if block in (1, 199):
            storages = [tensor.untyped_storage() for tensor in state.tensors().values()]
            sizes.append((state.nbytes, sum(storage.nbytes() for storage in storages)))
    assert sizes[0] == sizes[1]
    assert sizes[0][0] == sizes[0][1]  # no view keeps more alive than it shows


GO_ON = """
import sys, torch
from safetensors.torch import load_file, save_file
from framemill.training.model import LinearDiT
from framemill.training.model.stream_state import StreamState
folder = sys.argv[1]
given = load_file(f"{folder}/given.safetensors")
model, state = LinearDiT.from_diffusers(f"{folder}/model"), StreamState.load(f"{folder}/state.safetensors")
with torch.no_grad():
    out, _ = model.step(given["block"], given["timestep"], given["text"], given["mask"], state, commit=True)
save_file({"out": out.contiguous()}, f"{folder}/out.safetensors")
"""


@torch.no_grad()
def test_a_saved_state_goes_on_in_another_process(tmp_path) -> None:
    latents, timestep, text, mask = inputs(5)
    _, state = stream(MODEL, [0, 1], latents[:, :, :3], timestep[:, :3], text, mask)
    state.save(tmp_path / "state.safetensors")
    MODEL.save_diffusers(tmp_path / "model")
    given = {"block": latents[:, :, 3:], "timestep": timestep[:, 3:], "text": text, "mask": mask}
    save_file({name: tensor.contiguous() for name, tensor in given.items()}, tmp_path / "given.safetensors")
    subprocess.run([sys.executable, "-c", GO_ON, str(tmp_path)], check=True, timeout=START_S)
    expected = MODEL(latents, timestep, text, mask, blocks=[0, 1, 3])[:, :, 3:]
    assert relative_error(load_file(tmp_path / "out.safetensors")["out"], expected) < 1e-5


@torch.no_grad()
def test_a_caption_read_once_serves_every_step() -> None:
    latents, timestep, text, mask = inputs(4)
    caption = MODEL.read_caption(text, mask)
    assert torch.equal(MODEL(latents, timestep, caption), MODEL(latents, timestep, text, mask))
    state = MODEL.new_state(2, 8, 8)
    with_text, _ = MODEL.step(latents, timestep, text, mask, state, commit=False)
    assert torch.equal(MODEL.step(latents, timestep, caption, None, state, commit=False)[0], with_text)


def test_refuses_what_does_not_fit(tmp_path) -> None:
    given = inputs(4)
    for wrong in ([], [1, 2], [0, 2, 2], [0, 3, 1], [0, 4]):
        with pytest.raises(ValueError, match="rising from 0"):
            MODEL(*given, blocks=wrong)
    with pytest.raises(ValueError, match="text_mask"):
        MODEL(*given[:3])
    fits = MODEL.new_state(2, 8, 8)
    for state, message in (
        (MODEL.new_state(1, 8, 8), "0.kv is (1, 2, 16, 16,"),
        (MODEL.new_state(2, 8, 4), "grid is (8, 4), must be (8, 8)"),
        (MODEL.new_state(2, 4, 16), "grid is (4, 16), must be (8, 8)"),  # as many tokens a frame
        (random_model(heads=4).new_state(2, 8, 8), "0.kv is (2, 4, 8, 8,"),  # as wide
        (
            random_model(layers=3).new_state(2, 8, 8),
            "2.kv is (2, 2, 16, 16, torch.float32), must be None",
        ),
        (random_model().bfloat16().new_state(2, 8, 8), "0.last is (2, 1, 64, 32, torch.bfloat16)"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            MODEL.step(*given, state, commit=True)
    with pytest.raises(ValueError, match="longer than 1024"):
        MODEL.step(*given, replace(fits, frame=1022), commit=False)
    MODEL.save_diffusers(tmp_path)
    fits.save(tmp_path / "state.safetensors")
    whole = (tmp_path / "state.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    for wrong in ("nowhere.safetensors", "config.json", "diffusion_pytorch_model.safetensors", "half.safetensors"):
        with pytest.raises(RequestError, match="not a saved stream state"):
            StreamState.load(tmp_path / wrong)
