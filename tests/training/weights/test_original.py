"""Original checkpoints: converted, they compute what the original computes; wrong ones are refused in one line.

What the original computes is written here from the paper over the original's own tensors, in float64. It shares nothing
with the code it is held against: no module, no reshaping, no name.
"""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from framemill.platform.errors import RequestError
from framemill.training.model import LinearDiT, LinearDiTConfig
from framemill.training.weights.config import ConvertConfig
from framemill.training.weights.convert import convert
from framemill.training.weights.original import config_from_tensors, mlp_ratio, to_diffusers, to_original
from framemill.training.weights.source import find_weights, start_from

HEADS, LAYERS, PATCH = 2, 2, 2


def original_tensors(width: int, layers: int, hidden: int, text: int, channels: int, patch: int) -> dict[str, Tensor]:
    """Random tensors by the names and shapes of NVlabs/Sana, with those that are of no use to us."""
    shapes: dict[str, tuple[int, ...]] = {
        "pos_embed": (1, 16, width),
        "x_embedder.proj.weight": (width, channels, 1, patch, patch),
        "x_embedder.proj.bias": (width,),
        "t_embedder.mlp.0.weight": (width, 256),
        "t_embedder.mlp.0.bias": (width,),
        "t_embedder.mlp.2.weight": (width, width),
        "t_embedder.mlp.2.bias": (width,),
        "t_block.1.weight": (6 * width, width),
        "t_block.1.bias": (6 * width,),
        "y_embedder.y_embedding": (300, text),
        "y_embedder.y_proj.fc1.weight": (width, text),
        "y_embedder.y_proj.fc1.bias": (width,),
        "y_embedder.y_proj.fc2.weight": (width, width),
        "y_embedder.y_proj.fc2.bias": (width,),
        "attention_y_norm.weight": (width,),
        "final_layer.linear.weight": (patch * patch * channels, width),
        "final_layer.linear.bias": (patch * patch * channels,),
        "final_layer.scale_shift_table": (2, width),
        "logvar_linear.weight": (1, width),
        "logvar_linear.bias": (1,),
    }
    for layer in range(layers):
        block = {
            "scale_shift_table": (6, width),
            "attn.qkv.weight": (3 * width, width),
            "attn.q_norm.weight": (width,),
            "attn.k_norm.weight": (width,),
            "attn.proj.weight": (width, width),
            "attn.proj.bias": (width,),
            "cross_attn.q_linear.weight": (width, width),
            "cross_attn.q_linear.bias": (width,),
            "cross_attn.kv_linear.weight": (2 * width, width),
            "cross_attn.kv_linear.bias": (2 * width,),
            "cross_attn.q_norm.weight": (width,),
            "cross_attn.k_norm.weight": (width,),
            "cross_attn.proj.weight": (width, width),
            "cross_attn.proj.bias": (width,),
            "mlp.inverted_conv.conv.weight": (2 * hidden, width, 1, 1),
            "mlp.inverted_conv.conv.bias": (2 * hidden,),
            "mlp.depth_conv.conv.weight": (2 * hidden, 1, 3, 3),
            "mlp.depth_conv.conv.bias": (2 * hidden,),
            "mlp.point_conv.conv.weight": (width, hidden, 1, 1),
            "mlp.t_conv.weight": (width, width, 3, 1),
        }
        shapes |= {f"blocks.{layer}.{name}": shape for name, shape in block.items()}
    return {name: tensor_of(name, shape) for name, shape in shapes.items()}


def tensor_of(name: str, shape: tuple[int, ...]) -> Tensor:
    if "norm" in name:
        return torch.empty(shape).uniform_(0.5, 1.5)
    return torch.randn(shape) * (0.2 if len(shape) == 1 else math.prod(shape[1:]) ** -0.5)


def forward(p: dict[str, Tensor], latents: Tensor, t: float, text: Tensor, heads: int, layers: int) -> Tensor:
    """The velocity (C, T, H, W) of one sample: latents (C, T, H, W), text (L, width of the text)."""
    p = {name: tensor.double() for name, tensor in p.items()}
    x = F.conv3d(latents.double()[None], p["x_embedder.proj.weight"], p["x_embedder.proj.bias"], stride=patch_of(p))[0]
    width, frames, rows, columns = x.shape
    x = x.reshape(width, -1).T  # tokens, width
    angle = t * torch.exp(-math.log(10000) * torch.arange(128, dtype=torch.float64) / 128)
    embedding = F.silu(linear(p, "t_embedder.mlp.0", torch.cat([angle.cos(), angle.sin()])))
    embedding = linear(p, "t_embedder.mlp.2", embedding)
    modulation = linear(p, "t_block.1", F.silu(embedding)).reshape(6, width)
    y = linear(p, "y_embedder.y_proj.fc1", text.double())
    y = linear(p, "y_embedder.y_proj.fc2", F.gelu(y, approximate="tanh"))
    y = norm(y) * p["attention_y_norm.weight"]
    grid = torch.stack(torch.meshgrid(*(torch.arange(n) for n in (frames, rows, columns)), indexing="ij"), -1)
    for layer in range(layers):
        own = {name.removeprefix(f"blocks.{layer}."): v for name, v in p.items() if name.startswith(f"blocks.{layer}.")}
        shift1, scale1, gate1, shift2, scale2, gate2 = own["scale_shift_table"] + modulation
        x = x + gate1 * self_attention(own, layer_norm(x) * (1 + scale1) + shift1, grid.reshape(-1, 3), heads)
        x = x + cross_attention(own, x, y, heads)
        h = (layer_norm(x) * (1 + scale2) + shift2).T.reshape(width, frames, rows, columns)
        x = x + gate2 * feed_forward(own, h).reshape(width, -1).T
    shift, scale = p["final_layer.scale_shift_table"] + embedding
    x = linear(p, "final_layer.linear", layer_norm(x) * (1 + scale) + shift)
    side = patch_of(p)[-1]
    x = x.reshape(frames, rows, columns, side, side, -1).permute(5, 0, 1, 3, 2, 4)
    return x.reshape(len(x), frames, rows * side, columns * side)


def patch_of(p: dict[str, Tensor]) -> tuple[int, ...]:
    return tuple(p["x_embedder.proj.weight"].shape[2:])


def linear(p: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0)


def norm(x: Tensor, eps: float = 1e-5) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def layer_norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def self_attention(p: dict[str, Tensor], x: Tensor, places: Tensor, heads: int) -> Tensor:
    q, k, v = linear(p, "attn.qkv", x).split(x.shape[1], dim=1)
    q, k = F.relu(norm(q) * p["attn.q_norm.weight"]), F.relu(norm(k) * p["attn.k_norm.weight"])
    out = []
    for q_h, k_h, v_h in zip(*(part.chunk(heads, dim=1) for part in (q, k, v)), strict=True):
        weight = turned(q_h, places) @ turned(k_h, places).T  # quadratic, as attention is written down
        out.append(weight @ v_h / (q_h @ k_h.T).sum(1, keepdim=True))
    return linear(p, "attn.proj", torch.cat(out, 1))


def turned(x: Tensor, places: Tensor) -> Tensor:
    side = 2 * (x.shape[1] // 6)
    parts = []
    for axis, part in enumerate(x.split([x.shape[1] - 2 * side, side, side], dim=1)):
        rate = 10000 ** (-2 * torch.arange(part.shape[1] // 2, dtype=torch.float64) / part.shape[1])
        turn = torch.polar(torch.ones((), dtype=torch.float64), places[:, axis, None] * rate)
        parts.append(torch.view_as_real(torch.view_as_complex(part.reshape(len(part), -1, 2)) * turn).flatten(1))
    return torch.cat(parts, 1)


def cross_attention(p: dict[str, Tensor], x: Tensor, y: Tensor, heads: int) -> Tensor:
    k, v = linear(p, "cross_attn.kv_linear", y).split(x.shape[1], dim=1)
    q = norm(linear(p, "cross_attn.q_linear", x)) * p["cross_attn.q_norm.weight"]
    k = norm(k) * p["cross_attn.k_norm.weight"]
    out = []
    for q_h, k_h, v_h in zip(*(part.chunk(heads, dim=1) for part in (q, k, v)), strict=True):
        out.append(torch.softmax(q_h @ k_h.T / math.sqrt(q_h.shape[1]), dim=1) @ v_h)
    return linear(p, "cross_attn.proj", torch.cat(out, 1))


def feed_forward(p: dict[str, Tensor], x: Tensor) -> Tensor:
    """(D, T, H, W) -> (D, T, H, W)."""
    u = F.silu(
        torch.einsum("oc,cthw->othw", p["mlp.inverted_conv.conv.weight"][:, :, 0, 0], x)
        + p["mlp.inverted_conv.conv.bias"][:, None, None, None]
    )
    weight, bias = p["mlp.depth_conv.conv.weight"], p["mlp.depth_conv.conv.bias"]
    value, gate = F.conv2d(u.transpose(0, 1), weight, bias, padding=1, groups=len(weight)).transpose(0, 1).chunk(2)
    u = torch.einsum("oc,cthw->othw", p["mlp.point_conv.conv.weight"][:, :, 0, 0], value * F.silu(gate))
    before, now, after = p["mlp.t_conv.weight"][..., 0].unbind(-1)
    padded = F.pad(u, (0, 0, 0, 0, 1, 1))
    mixed = torch.einsum("oc,cthw->othw", before, padded[:, :-2]) + torch.einsum("oc,cthw->othw", now, u)
    return u + mixed + torch.einsum("oc,cthw->othw", after, padded[:, 2:])


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return original_tensors(width=24, layers=LAYERS, hidden=65, text=10, channels=4, patch=PATCH)


@pytest.fixture
def pth(tensors: dict[str, Tensor], tmp_path: Path) -> Path:
    path = tmp_path / "sana.pth"
    torch.save({"state_dict": tensors, "epoch": 3}, path)
    return path


@pytest.mark.parametrize("to", ["diffusers", "checkpoint"])
def test_a_converted_checkpoint_computes_what_the_original_does(pth, tensors, tmp_path, to) -> None:
    result = convert(ConvertConfig(str(pth), str(tmp_path / "ours"), to=to, heads=HEADS))
    assert result.tensors == 16 + 24 * LAYERS
    if to == "checkpoint":
        convert(ConvertConfig(str(tmp_path / "ours"), str(tmp_path / "transformer")))
    model = LinearDiT.from_diffusers(tmp_path / ("ours" if to == "diffusers" else "transformer"))
    latents, text, t = torch.randn(4, 3, 8, 12), torch.randn(5, 10), 437.0
    expected = forward(tensors, latents, t, text, HEADS, LAYERS)
    with torch.no_grad():
        velocity = model(latents[None], torch.tensor([t]), text[None], torch.ones(1, 5))[0]
    assert (velocity - expected).abs().max() < 2e-5 * expected.abs().max()


def test_back_to_the_original(pth, tensors, tmp_path) -> None:
    convert(ConvertConfig(str(pth), str(tmp_path / "transformer"), heads=HEADS))
    convert(ConvertConfig(str(tmp_path / "transformer"), str(tmp_path / "back.pth")))
    back = torch.load(tmp_path / "back.pth", weights_only=True)["state_dict"]
    used = {name for name in tensors if not name.startswith(("pos_embed", "logvar", "y_embedder.y_embedding"))}
    assert back.keys() == used
    assert all(torch.equal(back[name], tensors[name]) for name in used)


def test_what_we_write_says_its_own_config(tmp_path) -> None:
    """Its heads and epsilon are in no tensor's shape."""
    config = LinearDiTConfig(
        num_attention_heads=3,
        attention_head_dim=16,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=24,
        linear_attention_eps=1e-7,
        norm_eps=1e-5,
    )
    LinearDiT(config).save_diffusers(tmp_path / "first")
    for source, output in (("first", "x.pth"), ("x.pth", "y.pth"), ("y.pth", "last")):
        convert(ConvertConfig(str(tmp_path / source), str(tmp_path / output)))
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        assert (tmp_path / "last" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()
    with pytest.raises(RequestError, match=r"heads=2: must be 3, the heads of .*y\.pth"):
        convert(ConvertConfig(str(tmp_path / "y.pth"), str(tmp_path / "other"), heads=2))
    with pytest.raises(RequestError, match=r"num_attention_heads=2: must be 3, as the weights"):
        start_from(
            LinearDiT(dataclasses.replace(config, num_attention_heads=2, attention_head_dim=24)),
            str(tmp_path / "y.pth"),
        )


def test_training_begins_where_the_original_ended(pth, tensors) -> None:
    shape = config_from_tensors(to_diffusers(tensors, "x.pth"), HEADS, "x.pth")
    model = LinearDiT(shape)
    assert start_from(model, str(pth)) == []
    latents, text, t = torch.randn(4, 3, 8, 12), torch.randn(5, 10), 210.0
    expected = forward(tensors, latents, t, text, HEADS, LAYERS)
    with torch.no_grad():
        velocity = model(latents[None], torch.tensor([t]), text[None], torch.ones(1, 5))[0]
    assert (velocity - expected).abs().max() < 2e-5 * expected.abs().max()


def test_a_file_in_torchs_older_format(pth, tensors) -> None:
    _, newer = find_weights(str(pth), "input").read_video_model(HEADS)
    other = pth.with_name("older.pth")
    torch.save({"state_dict": tensors}, other, _use_new_zipfile_serialization=False)
    _, older = find_weights(str(other), "input").read_video_model(HEADS)
    assert newer.keys() == older.keys() and all(torch.equal(newer[name], older[name]) for name in newer)


def test_what_originals_do_not_have_is_not_written(tmp_path) -> None:
    config = LinearDiTConfig(
        num_attention_heads=2,
        attention_head_dim=12,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=12,
        norm_elementwise_affine=True,
    )
    LinearDiT(config).save_diffusers(tmp_path / "affine")
    with pytest.raises(RequestError, match=r"norm2\.bias: the original checkpoint format cannot hold"):
        convert(ConvertConfig(str(tmp_path / "affine"), str(tmp_path / "out.pth")))
    assert not (tmp_path / "out.pth").exists()


def test_the_released_sizes_are_known_by_their_width() -> None:
    for config in (LinearDiTConfig.sana_video_2b(), LinearDiTConfig.sana_video_600m()):
        with torch.device("meta"):
            tensors = LinearDiT(config).state_dict()
        restored = to_diffusers(to_original(tensors), "x.pth")
        assert {name: tensor.shape for name, tensor in restored.items()} == {n: t.shape for n, t in tensors.items()}
        assert config_from_tensors(restored, 0, "x.pth") == dataclasses.replace(config, linear_attention_eps=1e-8)


def test_training_with_other_heads_than_the_released_is_refused(tmp_path) -> None:
    """No tensor's shape would tell."""
    config = dataclasses.replace(LinearDiTConfig.sana_video_600m(), num_layers=1)
    with torch.device("meta"):
        tensors = LinearDiT(config).state_dict()
        model = LinearDiT(dataclasses.replace(config, num_attention_heads=36, attention_head_dim=32))
    zeros = {name: torch.zeros(()).expand(tensor.shape) for name, tensor in to_original(tensors).items()}
    torch.save({"state_dict": zeros}, tmp_path / "sana.pth")
    with pytest.raises(RequestError, match=r"num_attention_heads=36: must be 16, as the weights"):
        start_from(model, str(tmp_path / "sana.pth"))


def test_another_width_has_heads_of_the_released_models_width() -> None:
    config = dataclasses.replace(
        LinearDiTConfig.sana_video_2b(), num_layers=1, num_attention_heads=8, num_cross_attention_heads=8
    )
    with torch.device("meta"):
        tensors = LinearDiT(config).state_dict()
    assert config_from_tensors(tensors, 0, "x.pth") == dataclasses.replace(config, linear_attention_eps=1e-8)
    assert config_from_tensors(tensors, 16, "x.pth").attention_head_dim == 56


def test_a_ratio_gives_its_width_back() -> None:
    for width in (24, 36, 128, 2240):
        for hidden in range(1, 5 * width, 7):
            assert int(mlp_ratio(hidden, width) * width) == hidden


def test_wrong_originals(pth, tensors, tmp_path) -> None:
    def refused(message: str, changed: object, heads: int = HEADS) -> None:
        torch.save(changed, pth)
        with pytest.raises(RequestError, match=message):
            convert(ConvertConfig(str(pth), str(tmp_path / "out"), heads=heads))
        assert not (tmp_path / "out").exists()

    refused("heads=0: .* width of 24", {"state_dict": tensors}, heads=0)
    refused("heads=7", {"state_dict": tensors}, heads=7)
    name = "blocks.1.cross_attn.q_norm.weight"
    refused(
        r"no tensor transformer_blocks\.1\.attn2\.norm_q\.weight",
        {"state_dict": {other: tensor for other, tensor in tensors.items() if other != name}},
    )
    refused(r"blocks\.0\.attn\.bias, which no SANA", {"state_dict": {**tensors, "blocks.0.attn.bias": torch.ones(1)}})
    refused(r"norm_q\.weight is \(7,\)", {"state_dict": {**tensors, name: torch.ones(7)}})
    refused("73 rows, which are not 3", {"state_dict": {**tensors, "blocks.0.attn.qkv.weight": torch.ones(73, 24)}})
    refused("must hold a state_dict", {"state_dict": [1, 2]})
    image = {other: tensor for other, tensor in tensors.items() if "t_conv" not in other}
    refused("must be a video model, is an image model", {"state_dict": image})
    refused(r"no tensor for patch_embedding\.weight", {"state_dict": {"blocks.0.mlp.t_conv.weight": torch.ones(1)}})
    refused("must hold a state_dict", {})


def test_every_tensor_is_asked_for_in_its_shape(pth, tensors) -> None:
    """Whichever is lost or misshapen, and however: one line that begins with the file."""
    unused = ("pos_embed", "logvar", "y_embedder.y_embedding")
    for name in (name for name in tensors if not name.startswith(unused)):
        for wrong in (None, torch.ones(()), torch.ones(0), torch.ones(1), torch.ones(2, 2, 2, 2, 2)):
            changed = {**tensors, name: wrong}
            if wrong is None:
                del changed[name]
            torch.save({"state_dict": changed}, pth)
            with pytest.raises(RequestError) as refused:
                find_weights(str(pth), "input").read_video_model(HEADS)
            assert str(refused.value).startswith(str(pth)) and "\n" not in str(refused.value), name


def test_a_file_that_is_cut_off(pth) -> None:
    whole = pth.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        pth.write_bytes(whole[:size])
        with pytest.raises(RequestError, match=r"sana\.pth: is not a whole file of tensors"):
            find_weights(str(pth), "input").read()
    other = pth.with_suffix(".safetensors")
    other.write_bytes(whole)
    with pytest.raises(RequestError, match=r"input=.*: must be a run directory, .* or an original \.pth"):
        find_weights(str(other), "input")


class Payload:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


def test_nothing_is_unpickled(tmp_path) -> None:
    torch.save({"state_dict": {"x": Payload(tmp_path / "made")}}, tmp_path / "evil.pth")
    (tmp_path / "noise.pth").write_bytes(b"not a checkpoint")
    for name in ("evil.pth", "noise.pth"):
        with pytest.raises(RequestError, match=r"not a whole file of tensors from torch\.save"):
            convert(ConvertConfig(str(tmp_path / name), str(tmp_path / "out")))
    assert not (tmp_path / "made").exists()
