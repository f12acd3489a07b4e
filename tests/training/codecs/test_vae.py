"""Codecs that are networks: what diffusers' own classes give, normalised as models were trained; tiles; misfits."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderDC, AutoencoderKLLTX2Video, AutoencoderKLWan
from safetensors.torch import load_file, save_file

from framemill.platform.errors import RequestError
from framemill.training.codecs import get_codec
from framemill.training.codecs.dcae import DcaeCodec
from framemill.training.codecs.ltx2 import Ltx2Codec
from framemill.training.codecs.vae import VaeCodec
from framemill.training.codecs.wan import WanCodec

KINDS = {"wan": (WanCodec, (16, 4, 8)), "ltx2": (Ltx2Codec, (8, 8, 32)), "dcae": (DcaeCodec, (4, 1, 32))}


def drifting(frames: int = 9, height: int = 64, width: int = 96) -> np.ndarray:
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (height // 4, width // 2, 3)), np.ones((8, 8, 1)))
    return np.stack([image[t : t + height, 2 * t : 2 * t + width] for t in range(frames)]).astype(np.uint8)


@torch.no_grad()
def expected(name: str, path: str, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents and round trip of pixels (1, 3, T, H, W) in -1..1, as the networks' own users compute them."""
    if name == "wan":
        vae = AutoencoderKLWan.from_pretrained(path, subfolder="vae")
        moments = (vae.config.latents_mean, vae.config.latents_std)
        mean, std = (torch.tensor(values).view(1, -1, 1, 1, 1) for values in moments)
        z = vae.encode(pixels).latent_dist.mode()
        return (z - mean) / std, vae.decode(z).sample
    if name == "ltx2":
        vae = AutoencoderKLLTX2Video.from_pretrained(path)
        mean, std = (values.view(1, -1, 1, 1, 1) for values in (vae.latents_mean, vae.latents_std))
        z = vae.encode(pixels).latent_dist.mode()
        return (z - mean) * 1.5 / std, vae.decode(z).sample
    vae = AutoencoderDC.from_pretrained(path)
    z = torch.stack([vae.encode(frame).latent for frame in pixels.unbind(2)], 2)
    return z * 0.41407, torch.stack([vae.decode(frame).sample for frame in z.unbind(2)], 2)


@pytest.mark.parametrize("name", KINDS)
def test_latents_are_the_networks_normalised(name: str, tiny_networks: dict[str, str]) -> None:
    kind, (channels, time, side) = KINDS[name]
    codec, video = get_codec(name, tiny_networks[name]), drifting()
    assert isinstance(codec, kind)
    assert (codec.channels, codec.stride) == (channels, (time, side, side))
    pixels = torch.from_numpy(video / 255 * 2 - 1).permute(3, 0, 1, 2)[None].float()
    wanted, shown = expected(name, tiny_networks[name], pixels)
    latents = codec.encode(video)
    assert np.abs(latents - wanted[0].numpy()).max() < 1e-4 * wanted.abs().max()
    bytes_shown = (shown[0].permute(1, 2, 3, 0).numpy() / 2 + 0.5).clip(0, 1) * 255
    assert np.abs(codec.decode(latents) - bytes_shown).max() < 0.51


@pytest.mark.parametrize("name", KINDS)
def test_a_large_frame_goes_through_in_tiles(name: str, tiny_networks: dict[str, str]) -> None:
    kind, (_, _, side) = KINDS[name]
    codec, video = kind(tiny_networks[name]), drifting(frames=1, height=256, width=320)
    sizes: list[int] = []
    codec.vae.encoder.register_forward_pre_hook(lambda _, given: sizes.append(max(given[0].shape[-2:])))
    codec.vae.decoder.register_forward_pre_hook(lambda _, given: sizes.append(side * max(given[0].shape[-2:])))
    whole = codec.encode(video)
    shown = codec.decode(whole)
    assert max(sizes) == 320
    codec.tile = 224
    sizes.clear()
    tiled = codec.encode(video)
    assert tiled.shape == whole.shape and codec.decode(whole).shape == shown.shape
    assert len(sizes) == 8 and max(sizes) == 224
    # Far from the frame's middle both saw much the same.
    assert np.corrcoef(tiled.ravel(), whole.ravel())[0, 1] > 0.9
    assert np.corrcoef(codec.decode(whole).ravel(), shown.ravel())[0, 1] > 0.9


def test_blocks_are_decoded_as_the_whole_is(tiny_networks: dict[str, str]) -> None:
    codec = WanCodec(tiny_networks["wan"])
    latents = np.random.default_rng(0).normal(size=(16, 6, 4, 24)).astype(np.float32)
    whole = codec.decode(latents)
    blocks = [latents[:, :3], latents[:, 3:4], latents[:, 4:]]
    parts = list(codec.decode_blocks(iter(blocks)))
    assert [len(part) for part in parts] == [9, 4, 8]
    assert np.abs(np.concatenate(parts).astype(int) - whole).max() <= 1
    halfway = codec.decode_blocks(blocks)
    assert np.array_equal(next(halfway), parts[0])
    codec.encode(drifting())
    assert np.array_equal(next(halfway), parts[1]), "another use of the network between two blocks changes nothing"
    codec.tile = 160
    (tiled,) = codec.decode_blocks(iter(blocks))
    assert np.array_equal(tiled, codec.decode(latents))


def test_wan_22_with_its_patches(tmp_path: Path) -> None:
    """Its frames are folded in patches of 2x2 before and after; 16 pixels make a latent."""
    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        base_dim=4,
        z_dim=6,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.1] * 6,
        latents_std=[2.0] * 6,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
    )
    vae.save_pretrained(tmp_path)
    codec, video = WanCodec(str(tmp_path)), drifting()
    assert (codec.channels, codec.stride) == (6, (4, 16, 16))
    latents = codec.encode(video)
    assert latents.shape == codec.latent_shape(*video.shape[:3])
    pixels = torch.from_numpy(video / 255 * 2 - 1).permute(3, 0, 1, 2)[None].float()
    with torch.no_grad():
        z = vae.eval().encode(pixels).latent_dist.mode()[0]
    assert np.abs(latents - ((z - 0.1) / 2).numpy()).max() < 1e-4
    shown = codec.decode(latents)
    assert shown.shape == video.shape
    parts = np.concatenate(list(codec.decode_blocks([latents[:, :1], latents[:, 1:]])))
    assert np.abs(parts.astype(int) - shown).max() <= 1


@pytest.mark.parametrize(
    ("name", "kind", "channels", "stride"),
    [
        ("wan", AutoencoderKLWan, 16, (4, 8, 8)),
        ("ltx2", AutoencoderKLLTX2Video, 128, (8, 32, 32)),
        ("dcae", AutoencoderDC, 32, (1, 32, 32)),
    ],
)
def test_the_released_networks_latents(name: str, kind: Any, channels: int, stride: tuple, tmp_path: Path) -> None:
    """diffusers' defaults are the released networks' shapes; without their weights the config alone says enough."""
    with torch.device("meta"):
        kind().save_config(tmp_path)
    codec = get_codec(name, str(tmp_path))
    assert (codec.channels, codec.stride) == (channels, stride)
    with pytest.raises(RequestError, match=r"diffusion_pytorch_model\.safetensors: no such file"):
        codec.encode(drifting())


def test_wrong_folders(tiny_networks: dict[str, str], tmp_path: Path) -> None:
    def refused(message: str, name: str, path: object) -> None:
        with pytest.raises(RequestError, match=message):
            codec = get_codec(name, str(path))
            assert isinstance(codec, VaeCodec)
            codec.encode(drifting())

    refused("codec_path: must be the folder of", "wan", "")
    refused("codec_path=.*: must hold config.json or vae/config.json", "wan", tmp_path)
    refused("must be a AutoencoderKLWan for codec=wan, is a AutoencoderDC", "wan", tiny_networks["dcae"])
    broken = tmp_path / "vae"
    shutil.copytree(Path(tiny_networks["wan"]) / "vae", broken)
    tensors = load_file(broken / "diffusion_pytorch_model.safetensors")
    lost = tensors.pop("quant_conv.bias")
    save_file(tensors, broken / "diffusion_pytorch_model.safetensors")
    refused(r"has no tensor quant_conv\.bias", "wan", broken)
    save_file({**tensors, "quant_conv.bias": lost[:-1]}, broken / "diffusion_pytorch_model.safetensors")
    refused(r"quant_conv\.bias is \(31,\)", "wan", tmp_path)
    whole = (Path(tiny_networks["wan"]) / "vae" / "diffusion_pytorch_model.safetensors").read_bytes()
    (broken / "diffusion_pytorch_model.safetensors").write_bytes(whole[:-1])
    refused("is not a whole safetensors file", "wan", broken)
    values = json.loads((broken / "config.json").read_text())
    for key, value in (("z_dim", "16"), ("dim_mult", None), ("latents_mean", None), ("latents_std", [1.0])):
        (broken / "config.json").write_text(json.dumps({**values, key: value}))
        refused(r"vae/config\.json: is not the config of a AutoencoderKLWan", "wan", f"{broken}/")
    noisy = tmp_path / "noisy"
    shutil.copytree(tiny_networks["ltx2"], noisy)
    config = json.loads((noisy / "config.json").read_text()) | {"timestep_conditioning": True}
    (noisy / "config.json").write_text(json.dumps(config))
    refused("must have a decoder without timestep_conditioning", "ltx2", noisy)
