"""The layout of NVlabs/Sana's own checkpoints (SANA-Video and SANA's image models), mapped to and from diffusers'.

The layouts differ in the names of the tensors. In addition, the original layout concatenates the self-attention's q, k
and v, and the cross-attention's k and v, into one tensor each.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from os import PathLike

import torch
from torch import Tensor

from framemill.platform.errors import RequestError
from framemill.training.model.config import LinearDiTConfig
from framemill.training.model.diffusers_format import parse_config

_OUTER_MODULES = {
    "": "final_layer",
    "patch_embedding": "x_embedder.proj",
    "caption_projection.linear_1": "y_embedder.y_proj.fc1",
    "caption_projection.linear_2": "y_embedder.y_proj.fc2",
    "caption_norm": "attention_y_norm",
    "time_embed.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_embed.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_embed.linear": "t_block.1",
    "proj_out": "final_layer.linear",
}
"""Original name of each module outside the blocks, by the name in diffusers. "" is the module of the model's
scale_shift_table."""
_BLOCK_MODULES = {
    "": "",
    "attn1.norm_q": "attn.q_norm",
    "attn1.norm_k": "attn.k_norm",
    "attn1.to_out.0": "attn.proj",
    "attn2.to_q": "cross_attn.q_linear",
    "attn2.norm_q": "cross_attn.q_norm",
    "attn2.norm_k": "cross_attn.k_norm",
    "attn2.to_out.0": "cross_attn.proj",
    "ff.conv_inverted": "mlp.inverted_conv.conv",
    "ff.conv_depth": "mlp.depth_conv.conv",
    "ff.conv_point": "mlp.point_conv.conv",
    "ff.conv_temp": "mlp.t_conv",
}
"""Original name of each module inside a block, by the name in diffusers. "" is the module of the block's
scale_shift_table."""
_FUSED_MODULES = {
    "attn.qkv": ("attn1.to_q", "attn1.to_k", "attn1.to_v"),
    "cross_attn.kv_linear": ("attn2.to_k", "attn2.to_v"),
}
"""Modules of diffusers whose tensors are concatenated along the rows, by the name of the original module."""
_UNUSED = ("y_embedder.y_embedding", "pos_embed", "logvar_linear.weight", "logvar_linear.bias")
"""Tensors without a counterpart: the null caption's embedding (the text encoder's output for the empty text), a table
of positions, and a head that is never trained."""
_BLOCK = re.compile(r"(?:transformer_)?blocks\.(\d+)\.")
HEADS = {1152: 16, 2240: 20, 2560: 20}
"""Number of attention heads of the published models by width; the checkpoints do not record the number."""
_HEAD_WIDTH = 112
"""Channels per head of SANA-Video's linear attention; a width that is not in HEADS is divided by this number."""


def to_diffusers(tensors: Mapping[str, Tensor], source: str | PathLike[str]) -> dict[str, Tensor]:
    """Returns the tensors of an original checkpoint under diffusers' names, with fused tensors split.

    Args:
        tensors: state dict of the original checkpoint.
        source: file named in error messages.

    Raises:
        RequestError: the checkpoint has a tensor that no SANA model has, or a fused tensor that cannot be split.
    """
    outer = {original: diffusers for diffusers, original in _OUTER_MODULES.items()}
    inner = {original: diffusers for diffusers, original in _BLOCK_MODULES.items()}
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        block = _BLOCK.match(name)
        prefix = f"transformer_blocks.{block[1]}." if block else ""
        module, _, leaf = name[block.end() if block else 0 :].rpartition(".")
        if block and module in _FUSED_MODULES:
            parts = _FUSED_MODULES[module]
            rows = tensor.shape[0] if tensor.ndim else 0
            if not rows or rows % len(parts):
                raise RequestError(f"{source}: {name} has {rows} rows, which are not {len(parts)} equal parts")
            pieces = zip(parts, tensor.chunk(len(parts)), strict=True)
            renamed |= {f"{prefix}{part}.{leaf}": piece for part, piece in pieces}
        elif module in (inner if block else outer):
            renamed[prefix + _join((inner if block else outer)[module], leaf)] = tensor
        elif name not in _UNUSED:
            raise RequestError(f"{source}: has a tensor {name}, which no SANA model has")
    return renamed


def to_original(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors of a Linear DiT under their names in an original checkpoint, q, k and v fused.

    Raises:
        RequestError: the original layout has no place for a tensor.
    """
    fused = {part: (whole, index) for whole, parts in _FUSED_MODULES.items() for index, part in enumerate(parts)}
    renamed: dict[str, Tensor] = {}
    pieces: dict[str, dict[int, Tensor]] = {}
    for name, tensor in tensors.items():
        block = _BLOCK.match(name)
        prefix = f"blocks.{block[1]}." if block else ""
        module, _, leaf = name[block.end() if block else 0 :].rpartition(".")
        if block and module in fused:
            whole, index = fused[module]
            pieces.setdefault(f"{prefix}{whole}.{leaf}", {})[index] = tensor
        elif module in (_BLOCK_MODULES if block else _OUTER_MODULES):
            renamed[prefix + _join((_BLOCK_MODULES if block else _OUTER_MODULES)[module], leaf)] = tensor
        else:
            raise RequestError(f"{name}: the original checkpoint format cannot hold this tensor")
    return renamed | {name: torch.cat([parts[index] for index in sorted(parts)]) for name, parts in pieces.items()}


def _join(module: str, leaf: str) -> str:
    return f"{module}.{leaf}" if module else leaf


def config_from_tensors(tensors: Mapping[str, Tensor], heads: int, source: str | PathLike[str]) -> LinearDiTConfig:
    """Returns the config of a model, from the shapes of its tensors under diffusers' names.

    Args:
        tensors: state dict of the model.
        heads: number of heads of self- and cross-attention; 0: SANA-Video's number for the model's width.
        source: file named in error messages.

    Raises:
        RequestError: a tensor is missing or of the wrong shape, or the number of heads is not known.
    """
    try:
        width, channels, *patch = tensors["patch_embedding.weight"].shape
        frames, rows, columns = patch
        _, hidden, *_ = tensors["transformer_blocks.0.ff.conv_point.weight"].shape
        outputs, _ = tensors["proj_out.weight"].shape
        _, caption_channels = tensors["caption_projection.linear_1.weight"].shape
    except KeyError as error:
        raise RequestError(f"{source}: has no tensor for {error.args[0]}; it is not a SANA model") from error
    except ValueError as error:
        raise RequestError(f"{source}: the projections must have a SANA model's number of dimensions") from error
    heads = heads or HEADS.get(width, 0) or (0 if width % _HEAD_WIDTH else width // _HEAD_WIDTH)
    if not heads or width % heads:
        raise RequestError(
            f"heads={heads}: must be the number of attention heads of {source}, which divides its width of {width}"
        )
    values = {
        "in_channels": channels,
        "out_channels": outputs // max(1, math.prod(patch)),
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "num_layers": len({block[1] for block in map(_BLOCK.match, tensors) if block}),
        "num_cross_attention_heads": heads,
        "cross_attention_head_dim": width // heads,
        "caption_channels": caption_channels,
        "mlp_ratio": mlp_ratio(hidden, width),
        "attention_bias": "transformer_blocks.0.attn1.to_q.bias" in tensors,
        "sample_size": 30 if math.prod(patch) > 1 else 22,  # 480p uses the Wan-VAE, 720p codecs of stride 32
        "patch_size": (frames, rows, columns),
        "linear_attention_eps": 1e-8,  # as in Sana's code; diffusers has 1e-15
    }
    return parse_config(values, source)


def mlp_ratio(hidden: int, width: int) -> float:
    """Returns the smallest ratio for which int(ratio * width) is `hidden`."""
    ratio = hidden / width
    return ratio if int(ratio * width) == hidden else math.nextafter(ratio, math.inf)
