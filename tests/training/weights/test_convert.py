"""Conversion between checkpoints and diffusers folders: there and back the same, and nothing amiss let through."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import SanaVideoTransformer3DModel
from safetensors.torch import load_file, save_file

from framemill.platform.errors import RequestError
from framemill.training.model import LinearDiT, LinearDiTConfig
from framemill.training.weights.config import ConvertConfig
from framemill.training.weights.convert import convert, save_checkpoint

SHAPE = LinearDiTConfig(
    num_attention_heads=2,
    attention_head_dim=12,
    num_layers=1,
    num_cross_attention_heads=2,
    cross_attention_head_dim=12,
    caption_channels=8,
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory with two checkpoints, the later one `latest`."""
    folder = tmp_path / "run"
    for step in (10, 20):
        torch.manual_seed(step)
        save_checkpoint(folder / "checkpoints" / f"low-{step:06d}", SHAPE, LinearDiT(SHAPE).state_dict())
    (folder / "latest").write_text("low-000020\n")
    return folder


def test_there_and_back(run: Path, tmp_path: Path) -> None:
    result = convert(ConvertConfig(str(run), str(tmp_path / "transformer")))
    assert "-> diffusers " in result.line()
    first = load_file(run / "checkpoints" / "low-000020" / "model.safetensors")
    theirs, report = SanaVideoTransformer3DModel.from_pretrained(tmp_path / "transformer", output_loading_info=True)
    assert not any(report.values())
    assert all(torch.equal(tensor, first[name]) for name, tensor in theirs.state_dict().items())
    theirs.save_pretrained(tmp_path / "pipeline" / "transformer", max_shard_size="50KB")
    assert (tmp_path / "pipeline" / "transformer" / "diffusion_pytorch_model.safetensors.index.json").exists()
    assert convert(ConvertConfig(str(tmp_path / "pipeline"), str(tmp_path / "back"))).kind == "checkpoint"
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "back" / name).read_bytes() == (run / "checkpoints" / "low-000020" / name).read_bytes()


def test_one_checkpoint_by_name(run: Path, tmp_path: Path) -> None:
    convert(ConvertConfig(str(run / "checkpoints" / "low-000010"), str(tmp_path / "transformer")))
    torch.manual_seed(10)
    expected = LinearDiT(SHAPE).state_dict()
    written = LinearDiT.from_diffusers(tmp_path / "transformer").state_dict()
    assert all(torch.equal(written[name], tensor) for name, tensor in expected.items())


def test_wrong_requests(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="must be a run directory"):
        convert(ConvertConfig(str(tmp_path / "nothing"), str(tmp_path / "out")))
    with pytest.raises(RequestError, match="must be empty"):
        convert(ConvertConfig(str(run), str(run)))
    path = run / "checkpoints" / "low-000020" / "model.safetensors"
    tensors = load_file(path)
    tensors.pop("caption_norm.weight")
    save_file(tensors, path)
    with pytest.raises(RequestError, match=r"no tensor caption_norm\.weight"):
        convert(ConvertConfig(str(run), str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_a_damaged_folder_is_refused_in_one_line(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "transformer"
    convert(ConvertConfig(str(run), str(folder)))
    config, tensors = folder / "config.json", folder / "diffusion_pytorch_model.safetensors"
    index = folder / "diffusion_pytorch_model.safetensors.index.json"

    def refused(message: str, file: Path, content: bytes) -> None:
        before = file.read_bytes() if file.exists() else None
        file.write_bytes(content)
        with pytest.raises(RequestError, match=message) as error:
            convert(ConvertConfig(str(folder), str(tmp_path / "out")))
        assert str(file) in str(error.value) and "\n" not in str(error.value)
        file.unlink() if before is None else file.write_bytes(before)
        assert not (tmp_path / "out").exists()

    values = json.loads(config.read_text())
    for key, value, message in (
        ("num_layers", "1", "num_layers=1: must be a whole number above 0"),
        ("num_layers", 0, "num_layers=0: must be a whole number above 0"),
        ("patch_size", 2, "patch_size=2: must be a list of whole numbers above 0"),
        ("mlp_ratio", None, "mlp_ratio=None: must be a number"),
        ("attention_bias", "no", "attention_bias=no: must be true or false"),
        ("qk_norm", "layer_norm", "qk_norm=layer_norm: must be"),
        ("_class_name", "WanTransformer3DModel", "_class_name=WanTransformer3DModel: must be"),
        ("motion", 3, "motion=3: the Linear DiT has no such key"),
    ):
        refused(message, config, json.dumps({**values, key: value}).encode())
    refused("must be a JSON object, is a list", config, b"[1]")
    refused("is not JSON", config, b"\xff{")
    refused("must hold a weight_map", index, b'{"weight_map": ["a"]}')
    whole = tensors.read_bytes()
    for size in (0, 20, len(whole) - 1):
        refused("is not a whole safetensors file", tensors, whole[:size])
