"""The Linear DiT by itself: shapes, sizes, checkpoints, and what its inputs may and may not change."""

import copy
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from framemill.platform.errors import RequestError
from framemill.training.model import LinearDiT, LinearDiTConfig, mix_ffn
from framemill.training.model.compilation import COMPILERS, compile_blocks


@pytest.fixture(scope="module")
def model() -> LinearDiT:
    torch.manual_seed(0)
    model = LinearDiT(
        LinearDiTConfig(
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=2,
            num_cross_attention_heads=2,
            cross_attention_head_dim=12,
            caption_channels=8,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


def inputs(batch: int = 2, frames: int = 3, side: int = 12) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(batch, 16, frames, side, side, generator=generator)
    timestep = 1000 * torch.rand(batch, generator=generator)
    text = torch.randn(batch, 5, 8, generator=generator)
    return latents, timestep, text, torch.tensor([[1, 1, 1, 0, 0]] * batch)


def count(config: LinearDiTConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in LinearDiT(config).parameters())


def test_published_sizes() -> None:
    assert count(LinearDiTConfig.sana_video_2b()) == 2_056_862_144
    assert count(LinearDiTConfig()) == 1_905_841_344
    assert count(LinearDiTConfig.sana_video_2b_720p(128)) == 2_057_148_928
    # 40 blocks more: self-attention, cross-attention, feed-forward, and a table of six rows each
    blocks = count(LinearDiTConfig.sana_video_4800m()) - count(LinearDiTConfig.sana_video_2b())
    assert blocks == 40 * (20_077_120 + 20_083_840 + 60_359_040 + 6 * 2240)
    with torch.device("meta"):
        assert len(LinearDiT(LinearDiTConfig.sana_video_2b()).state_dict()) == 496


def test_starts_with_zero_velocity_and_all_parameters_learn() -> None:
    torch.manual_seed(0)
    model = LinearDiT(LinearDiTConfig.tiny())
    latents, timestep, _, mask = inputs()
    text = torch.randn(2, 5, 64)
    assert not model(latents, timestep, text, mask).any()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(3):  # zeros let gradients through one layer at a time
        optimizer.zero_grad()
        (model(latents, timestep, text, mask) - latents).square().mean().backward()
        optimizer.step()
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_text_behind_the_mask_is_not_read(model: LinearDiT) -> None:
    latents, timestep, text, mask = inputs()
    changed = text.clone()
    changed[:, 3:] = 100.0
    with torch.no_grad():
        torch.testing.assert_close(model(latents, timestep, text, mask), model(latents, timestep, changed, mask))
        assert not torch.allclose(model(latents, timestep, text, mask), model(latents, timestep, changed, mask * 0 + 1))


def test_timesteps_of_frames(model: LinearDiT) -> None:
    # The denominator of linear attention is a sum over tokens: of few it may be next to nothing, and rounding large.
    latents, timestep, text, mask = inputs(side=24)
    repeated = timestep[:, None].expand(-1, 3)
    with torch.no_grad():
        expected = model(latents, timestep, text, mask)
        # One row and three rows of the same numbers go through a matrix product in different orders.
        atol = 1e-4 * float(expected.abs().max())
        torch.testing.assert_close(model(latents, repeated, text, mask), expected, rtol=0, atol=atol)
        other = repeated.clone()
        other[:, 0] = 0
        assert not torch.allclose(model(latents, repeated, text, mask), model(latents, other, text, mask))
    with pytest.raises(ValueError, match="one per latent frame"):
        model(latents, torch.zeros(2, 2), text, mask)


def test_saving_memory_changes_no_gradient(model: LinearDiT, monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients(policy: str) -> list[torch.Tensor]:
        model.checkpointing = policy
        model.zero_grad()
        model(*inputs(), blocks=[0, 2]).square().mean().backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    runs = [gradients("none")]
    monkeypatch.setitem(mix_ffn.TOKENS_AT_ONCE, "cpu", 1)  # a frame at a time
    runs += map(gradients, ("none", "selective", "full"))
    model.checkpointing = "none"
    for others in runs[1:]:
        for plain, recomputed in zip(runs[0], others, strict=True):
            torch.testing.assert_close(plain, recomputed)
    with pytest.raises(ValueError, match="one of none, selective, full"):
        model.checkpointing = "half"


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="torch compiles for a CPU with a C++ compiler")
def test_compiled_blocks_give_the_same(model: LinearDiT) -> None:
    compiled = copy.deepcopy(model)
    compiled.checkpointing = "selective"
    assert compile_blocks(compiled.transformer_blocks, torch.device("cpu"))
    results = []
    for each in (model, compiled):
        each.zero_grad()
        velocity = each(*inputs(), blocks=[0, 2])
        velocity.square().mean().backward()
        results.append((velocity.detach(), [parameter.grad for parameter in each.parameters()]))
    (expected, gradients), (velocity, others) = results
    torch.testing.assert_close(velocity, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    for plain, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(other, plain, rtol=0, atol=1e-3 * float(plain.abs().max()))
    assert [name for name, _ in compiled.named_parameters()] == [name for name, _ in model.named_parameters()]


def test_without_a_compiler_blocks_run_as_they_are(model: LinearDiT, monkeypatch, capsys) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert not compile_blocks(model.transformer_blocks, torch.device("cpu"))
    assert "needs g++ or clang++" in capsys.readouterr().out
    assert model.transformer_blocks[0]._compiled_call_impl is None


def test_a_learned_null_caption(tmp_path) -> None:
    torch.manual_seed(0)
    config = LinearDiTConfig(
        num_attention_heads=2,
        attention_head_dim=12,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=12,
        caption_channels=8,
        null_caption_tokens=7,
        linear_attention_eps=1e-8,
    )
    model = LinearDiT(config)
    _, _, text, mask = inputs()
    dropped_text, dropped_mask = model.null_caption(text, mask, torch.tensor([True, False]))
    assert torch.equal(dropped_text[0], model.null_caption.embedding)
    assert torch.equal(dropped_text[1, :5], text[1])
    assert dropped_mask.tolist() == [[True] * 7, [True] * 3 + [False] * 4]
    dropped_text.sum().backward()
    assert (model.null_caption.embedding.grad == 1).all()
    model.save_diffusers(tmp_path)
    again = LinearDiT.from_diffusers(tmp_path)
    assert (again.config.null_caption_tokens, again.config.linear_attention_eps) == (7, 1e-8)
    assert torch.equal(again.null_caption.embedding, model.null_caption.embedding)
    # diffusers is to find the names that it knows, and no other.
    assert not [name for name in load_file(tmp_path / "diffusion_pytorch_model.safetensors") if "null" in name]
    config = LinearDiTConfig(**{**vars(config), "null_caption_tokens": 0})
    LinearDiT(config).save_diffusers(tmp_path)
    assert not hasattr(LinearDiT.from_diffusers(tmp_path), "null_caption")


def test_bfloat16_stays_close(model: LinearDiT) -> None:
    latents, timestep, text, mask = inputs()
    with torch.no_grad():
        exact = model(latents, timestep, text, mask)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(latents, timestep, text, mask)
    assert rough.dtype == torch.float32
    assert (rough - exact).norm() < 0.03 * exact.norm()


def test_refuses_what_does_not_fit(model: LinearDiT) -> None:
    _, timestep, text, mask = inputs()
    with pytest.raises(ValueError, match="multiples of 2x2"):
        model(torch.zeros(2, 16, 1, 7, 8), timestep, text, mask)
    with pytest.raises(ValueError, match="longer than 1024"):
        model(torch.zeros(2, 16, 1025, 2, 2), timestep, text, mask)
    for wrong in ({"guidance_embeds": True}, {"patch_size": (2, 2, 2)}, {"cross_attention_dim": 7}, {"dropout": 0.1}):
        with pytest.raises(RequestError, match=next(iter(wrong))):
            LinearDiTConfig(**wrong)


def test_folder_round_trip(model: LinearDiT, tmp_path) -> None:
    model.save_diffusers(tmp_path)
    again = LinearDiT.from_diffusers(tmp_path)
    assert again.config == LinearDiTConfig(**{**vars(model.config), "cross_attention_dim": model.config.width})
    with torch.no_grad():
        assert torch.equal(model(*inputs()), again(*inputs()))


def test_sharded_folder(model: LinearDiT, tmp_path) -> None:
    model.save_diffusers(tmp_path)
    whole = tmp_path / "diffusion_pytorch_model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    names = sorted(tensors)
    shards = {"a.safetensors": names[:20], "b.safetensors": names[20:]}
    for shard, part in shards.items():
        save_file({name: tensors[name].clone() for name in part}, tmp_path / shard)
    index = {"metadata": {}, "weight_map": {name: shard for shard, part in shards.items() for name in part}}
    (tmp_path / f"{whole.name}.index.json").write_text(json.dumps(index))
    assert torch.equal(LinearDiT.from_diffusers(tmp_path)(*inputs()), model(*inputs()))
    index["weight_map"].pop(names[0])
    (tmp_path / f"{whole.name}.index.json").write_text(json.dumps(index))
    with pytest.raises(RequestError, match=names[0]):
        LinearDiT.from_diffusers(tmp_path)


def test_wrong_tensors_are_named(model: LinearDiT, tmp_path) -> None:
    model.save_diffusers(tmp_path)
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    kept = tensors.pop("proj_out.bias")
    save_file(tensors, path)
    with pytest.raises(RequestError, match=r"no tensor proj_out\.bias"):
        LinearDiT.from_diffusers(tmp_path)
    save_file({**tensors, "proj_out.bias": kept, "extra": kept.clone()}, path)
    with pytest.raises(RequestError, match="a tensor extra"):
        LinearDiT.from_diffusers(tmp_path)
    save_file({**tensors, "proj_out.bias": kept[:3].clone()}, path)
    with pytest.raises(RequestError, match=r"\(3,\)"):
        LinearDiT.from_diffusers(tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RequestError, match="not a whole safetensors"):
        LinearDiT.from_diffusers(tmp_path)
    with pytest.raises(RequestError, match="no such file"):
        LinearDiT.from_diffusers(tmp_path / "nowhere")
