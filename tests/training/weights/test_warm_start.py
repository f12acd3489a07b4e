"""Warm starts: the function stays, new channels learn, an image model computes what it did, and misfits are refused."""

import dataclasses
from pathlib import Path

import pytest
import torch
from diffusers import SanaTransformer2DModel
from safetensors.torch import load_file, save_file

from framemill.platform.errors import RequestError
from framemill.training.model import LinearDiT, LinearDiTConfig
from framemill.training.weights.convert import save_checkpoint
from framemill.training.weights.original import to_original
from framemill.training.weights.source import image_to_video_tensors, start_from
from framemill.training.weights.warm_start import warm_start

CONFIG = LinearDiTConfig(
    in_channels=4,
    out_channels=4,
    num_attention_heads=2,
    attention_head_dim=12,
    num_layers=2,
    num_cross_attention_heads=2,
    cross_attention_head_dim=12,
    caption_channels=10,
    mlp_ratio=2.5,
)
WIDER = dataclasses.replace(CONFIG, mlp_ratio=3.0)
IMAGE = dataclasses.replace(WIDER, patch_size=(1, 1, 1))
OLD = int(2.5 * 24)


def random_model(config: LinearDiTConfig, seed: int = 0) -> LinearDiT:
    torch.manual_seed(seed)
    model = LinearDiT(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    return model


def run(model: LinearDiT, seed: int = 1, size: tuple[int, ...] = (3, 8, 12)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(2, model.config.in_channels, *size, generator=generator)
    text = torch.randn(2, 5, 10, generator=generator)
    return model(latents, torch.tensor([300.0, 900.0]), text, torch.ones(2, 5))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "saved", CONFIG, random_model(CONFIG).state_dict())
    return tmp_path / "saved"


def test_a_wider_feed_forward_computes_the_same_and_learns(saved: Path) -> None:
    torch.manual_seed(7)
    model = LinearDiT(WIDER)
    assert start_from(model, str(saved)) == []
    before = run(random_model(CONFIG))
    assert (run(model) - before).abs().max() < 1e-5 * before.abs().max()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        (run(model) - 1).square().mean().backward()
        for block in model.transformer_blocks:
            out, into = block.ff.conv_point.weight.grad, block.ff.conv_inverted.weight.grad
            assert (out[:, OLD:].abs().amax(dim=(0, 2, 3)) > 0).all()
            # The way in learns as soon as there is a way out.
            for half in into.chunk(2):
                assert ((half[OLD:].abs().amax(dim=(1, 2, 3)) > 0) == (step > 0)).all()
        optimizer.step()


def test_a_learned_null_caption_begins_anew_where_the_source_has_none(saved: Path) -> None:
    model = LinearDiT(dataclasses.replace(CONFIG, null_caption_tokens=5))
    own = model.null_caption.embedding.detach().clone()
    assert start_from(model, str(saved)) == ["null_caption.embedding"]
    assert torch.equal(model.null_caption.embedding, own) and torch.equal(run(model), run(random_model(CONFIG)))


def test_other_latents_bring_their_own_first_and_last_projection(saved: Path) -> None:
    config = dataclasses.replace(CONFIG, in_channels=6, out_channels=6, patch_size=(1, 1, 1))
    model = LinearDiT(config)
    made = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    new = start_from(model, str(saved))
    assert new == ["patch_embedding.weight", "patch_embedding.bias", "proj_out.weight", "proj_out.bias"]
    theirs = load_file(saved / "model.safetensors")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, made[name] if name in new else theirs[name]), name


@pytest.fixture
def image_model(tmp_path: Path) -> SanaTransformer2DModel:
    torch.manual_seed(3)
    model = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=3,  # SANA's images have more and narrower heads; the tensors are the same
        attention_head_dim=8,
        num_layers=2,
        num_cross_attention_heads=2,
        cross_attention_head_dim=12,
        cross_attention_dim=24,
        caption_channels=10,
        mlp_ratio=2.5,
        patch_size=1,
        qk_norm="rms_norm_across_heads",
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    model.save_pretrained(tmp_path / "image")
    return model


def test_an_image_model_computes_what_it_did(image_model: SanaTransformer2DModel, tmp_path: Path) -> None:
    """On one token: with more, positions and wider heads come in, which image models have not."""
    model = LinearDiT(IMAGE)
    new = start_from(model, str(tmp_path / "image"))
    assert new == [f"transformer_blocks.{block}.ff.conv_temp.weight" for block in range(2)]
    assert not any(model.state_dict()[name].any() for name in new)
    latents, text, t = torch.randn(2, 4, 1, 1), torch.randn(2, 5, 10), torch.tensor([300.0, 900.0])
    with torch.no_grad():
        expected = image_model(latents, text, t, encoder_attention_mask=torch.ones(2, 5)).sample
        velocity = model(latents.unsqueeze(2), t, text, torch.ones(2, 5)).squeeze(2)
    assert (velocity - expected).abs().max() < 2e-5 * expected.abs().max()


def test_sana_15_is_a_beginning_of_the_2b() -> None:
    """As SANA-Video was trained: from the 1.6B of images, of 32 channels, without patches, and narrower inside."""
    with torch.device("meta"):
        image = SanaTransformer2DModel(mlp_ratio=2.5, patch_size=1, qk_norm="rms_norm_across_heads")
        model = LinearDiT(LinearDiTConfig.sana_video_2b())
    assert image.state_dict()["transformer_blocks.0.ff.conv_point.weight"].shape[:2] == (2240, 5600)
    new = warm_start(model, image_to_video_tensors(image.state_dict()), "sana-1.5")
    ends = ["patch_embedding.weight", "patch_embedding.bias", "proj_out.weight", "proj_out.bias"]
    assert set(new) == {f"transformer_blocks.{block}.ff.conv_temp.weight" for block in range(20)} | set(ends)


def test_an_original_image_checkpoint_is_the_same_start(image_model: SanaTransformer2DModel, tmp_path: Path) -> None:
    tensors = {
        name.replace("patch_embed.proj", "patch_embedding"): tensor for name, tensor in image_model.state_dict().items()
    }
    torch.save({"state_dict": {**to_original(tensors), "pos_embed": torch.ones(1)}}, tmp_path / "image.pth")
    models = []
    for path in (tmp_path / "image", tmp_path / "image.pth"):
        torch.manual_seed(0)
        models.append(LinearDiT(IMAGE))
        start_from(models[-1], str(path))
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_what_does_not_fit_is_refused(saved: Path, tmp_path: Path) -> None:
    def refused(message: str, **changes: object) -> None:
        with pytest.raises(RequestError, match=message):
            start_from(LinearDiT(dataclasses.replace(CONFIG, **changes)), str(saved))

    refused(r"has no tensor transformer_blocks\.2\.", num_layers=3)
    refused(r"has a tensor transformer_blocks\.1\.", num_layers=1)
    refused("num_attention_heads=4: must be 2, as the weights", num_attention_heads=4, attention_head_dim=6)
    refused(r"caption_projection.* is \(24, 10\), the config asks for \(24, 11\)", caption_channels=11)
    refused(r"conv_depth\.bias is \(120,\), the config asks for \(96,\)", mlp_ratio=2.0)
    refused(r"is \(24, 24\)|is \(24,\)", attention_head_dim=16)
    tensors = load_file(saved / "model.safetensors")
    for name in (f"transformer_blocks.0.ff.conv_{part}" for part in ("point.weight", "inverted.bias", "depth.weight")):
        for wrong in (torch.ones(()), torch.ones(1), torch.ones(1, *tensors[name].shape[1:])):
            save_file({**tensors, name: wrong}, saved / "model.safetensors")
            refused(rf"{name} is .*, the config asks for", mlp_ratio=3.0)
    save_file(tensors, saved / "model.safetensors")
    with pytest.raises(RequestError, match=r"init=.*/nothing: must be a run directory"):
        start_from(LinearDiT(CONFIG), str(tmp_path / "nothing"))


def test_checked_without_weights_in_memory(saved: Path) -> None:
    with torch.device("meta"):
        model = LinearDiT(WIDER)
    assert start_from(model, str(saved)) == []
