"""The layout of NVlabs/Sana's own checkpoints, of SANA-Video and of SANA's image models, and diffusers' beside it.

The tensors are the same but for their names, and for the queries, keys and values of the self-attention and the keys
and values of the cross-attention, which lie one after the other in one tensor there.
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

# Modules by their name in diffusers, outside the blocks and in a block.
OUTSIDE = {
    "": "final_layer",  # of its scale_shift_table
    "patch_embedding": "x_embedder.proj",
    "caption_projection.linear_1": "y_embedder.y_proj.fc1",
    "caption_projection.linear_2": "y_embedder.y_proj.fc2",
    "caption_norm": "attention_y_norm",
    "time_embed.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_embed.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_embed.linear": "t_block.1",
    "proj_out": "final_layer.linear",
}
INSIDE = {
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
FUSED = {
    "attn.qkv": ("attn1.to_q", "attn1.to_k", "attn1.to_v"),
    "cross_attn.kv_linear": ("attn2.to_k", "attn2.to_v"),
}
# The null caption's embedding, which is the text encoder's output; a table of positions; a head that learns nothing.
UNUSED = ("y_embedder.y_embedding", "pos_embed", "logvar_linear.weight", "logvar_linear.bias")
BLOCK = re.compile(r"(?:transformer_)?blocks\.(\d+)\.")

# The checkpoints do not say how many heads they have; the models they are of do, by their width.
HEADS = {1152: 16, 2240: 20, 2560: 20}
HEAD_WIDTH = 112  # of SANA-Video's linear attention: what its code divides another width by


def to_diffusers(tensors: Mapping[str, Tensor], source: str | PathLike[str]) -> dict[str, Tensor]:
    """The tensors of an original checkpoint under diffusers' names, in pieces as diffusers has them.

    Raises:
        RequestError: a tensor that no SANA model has.
    """
    outside, inside = ({theirs: ours for ours, theirs in names.items()} for names in (OUTSIDE, INSIDE))
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        block = BLOCK.match(name)
        prefix = f"transformer_blocks.{block[1]}." if block else ""
        module, _, leaf = name[block.end() if block else 0 :].rpartition(".")
        if block and module in FUSED:
            parts = FUSED[module]
            rows = tensor.shape[0] if tensor.ndim else 0
            if not rows or rows % len(parts):
                raise RequestError(f"{source}: {name} has {rows} rows, which are not {len(parts)} equal parts")
            pieces = zip(parts, tensor.chunk(len(parts)), strict=True)
            found |= {f"{prefix}{part}.{leaf}": piece for part, piece in pieces}
        elif module in (inside if block else outside):
            found[prefix + joined((inside if block else outside)[module], leaf)] = tensor
        elif name not in UNUSED:
            raise RequestError(f"{source}: has a tensor {name}, which no SANA model has")
    return found


def to_original(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a Linear DiT as an original checkpoint has them: the other way round.

    Raises:
        RequestError: a tensor that originals have no place for.
    """
    fused = {part: (whole, place) for whole, parts in FUSED.items() for place, part in enumerate(parts)}
    found: dict[str, Tensor] = {}
    pieces: dict[str, dict[int, Tensor]] = {}
    for name, tensor in tensors.items():
        block = BLOCK.match(name)
        prefix = f"blocks.{block[1]}." if block else ""
        module, _, leaf = name[block.end() if block else 0 :].rpartition(".")
        if block and module in fused:
            whole, place = fused[module]
            pieces.setdefault(f"{prefix}{whole}.{leaf}", {})[place] = tensor
        elif module in (INSIDE if block else OUTSIDE):
            found[prefix + joined((INSIDE if block else OUTSIDE)[module], leaf)] = tensor
        else:
            raise RequestError(f"{name}: an original checkpoint has no place for this tensor")
    return found | {name: torch.cat([parts[place] for place in sorted(parts)]) for name, parts in pieces.items()}


def joined(module: str, leaf: str) -> str:
    return f"{module}.{leaf}" if module else leaf


def read_shape(tensors: Mapping[str, Tensor], heads: int, source: str | PathLike[str]) -> LinearDiTConfig:
    """The config of the model that tensors under diffusers' names are of, from their shapes.

    Args:
        heads: of both attentions; 0: as SANA-Video has at this width.

    Raises:
        RequestError: a tensor is missing or misshapen, or the heads are not known.
    """
    try:
        width, channels, *patch = tensors["patch_embedding.weight"].shape
        frames, rows, columns = patch
        _, hidden, *_ = tensors["transformer_blocks.0.ff.conv_point.weight"].shape
        outputs, _ = tensors["proj_out.weight"].shape
        _, caption_channels = tensors["caption_projection.linear_1.weight"].shape
    except KeyError as error:
        raise RequestError(f"{source}: has no tensor for {error.args[0]}; it is no SANA model") from error
    except ValueError as error:
        raise RequestError(f"{source}: its projections have not a SANA model's number of dimensions") from error
    heads = heads or HEADS.get(width, 0) or (0 if width % HEAD_WIDTH else width // HEAD_WIDTH)
    if not heads or width % heads:
        raise RequestError(f"heads={heads}: {source} is {width} wide; say how many heads share that")
    values = {
        "in_channels": channels,
        "out_channels": outputs // max(1, math.prod(patch)),
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "num_layers": len({block[1] for block in map(BLOCK.match, tensors) if block}),
        "num_cross_attention_heads": heads,
        "cross_attention_head_dim": width // heads,
        "caption_channels": caption_channels,
        "mlp_ratio": ratio_of(hidden, width),
        "attention_bias": "transformer_blocks.0.attn1.to_q.bias" in tensors,
        "sample_size": 30 if math.prod(patch) > 1 else 22,  # 480p is the Wan-VAE's, 720p that of codecs of stride 32
        "patch_size": (frames, rows, columns),
        "linear_attention_eps": 1e-8,  # as in their code; diffusers has 1e-15
    }
    return parse_config(values, source)


def ratio_of(hidden: int, width: int) -> float:
    """The smallest ratio that makes `width` at least `hidden` again, once cut to a whole number."""
    ratio = hidden / width
    return ratio if int(ratio * width) == hidden else math.nextafter(ratio, math.inf)
