"""The shape of a Linear DiT, under the names that a diffusers `config.json` uses. Imports no torch."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from framemill.platform.errors import RequestError

DIFFUSERS_CLASS = "SanaVideoTransformer3DModel"
"""Class name of the model in diffusers."""
DIFFUSERS_VERSION = "0.42.1"
"""Version of diffusers whose format is written."""
_NOT_IN_DIFFUSERS = {"linear_attention_eps": 1e-15, "null_caption_tokens": 0}
"""Fields that diffusers does not know, with their defaults. diffusers warns of unknown fields, so a config.json
contains these fields only if they differ from the default."""
_ONLY_VALUES = {
    "dropout": 0.0,
    "interpolation_scale": None,
    "guidance_embeds": False,
    "guidance_embeds_scale": 0.1,
    "qk_norm": "rms_norm_across_heads",
}
"""Fields of the diffusers config that no released SANA-Video model uses, with the only value that is implemented. They
are fields so that a config.json is read and written completely; any other value is an error."""


@dataclass(frozen=True)
class LinearDiTConfig:
    """Shape of a Linear DiT.

    Defaults are diffusers' defaults, so that a config.json without a field describes the model that diffusers builds.

    Raises:
        RequestError: a value that the model does not implement.
    """

    in_channels: int = 16
    """Channels of the latents."""
    out_channels: int = 16
    """Channels of the velocity."""
    num_attention_heads: int = 20
    """Heads of the linear self-attention."""
    attention_head_dim: int = 112
    """Width of a self-attention head."""
    num_layers: int = 20
    """Transformer blocks."""
    num_cross_attention_heads: int = 20
    """Heads of the cross-attention to the text."""
    cross_attention_head_dim: int = 112
    """Width of a cross-attention head."""
    cross_attention_dim: int | None = None
    """Width of the cross-attention's text input; must be None or the model's width, which are equivalent."""
    caption_channels: int = 2304
    """Width of the text embeddings."""
    mlp_ratio: float = 2.5
    """Hidden width of the feed-forward over the model's width."""
    dropout: float = 0.0
    """Not implemented; must be 0."""
    attention_bias: bool = False
    """Whether the self-attention's projections to q, k and v have a bias."""
    sample_size: int = 30
    """Selects the table of sizes in diffusers' pipeline: 30 is 480p, 22 is 720p."""
    patch_size: tuple[int, int, int] = (1, 2, 2)
    """Latent frames, rows and columns per token."""
    norm_elementwise_affine: bool = False
    """Whether the norm before the feed-forward has weights."""
    norm_eps: float = 1e-6
    """Epsilon of the blocks' layer norms."""
    interpolation_scale: int | None = None
    """Not implemented; must be None."""
    guidance_embeds: bool = False
    """Not implemented; must be false."""
    guidance_embeds_scale: float = 0.1
    """Not implemented; must be 0.1."""
    qk_norm: str = "rms_norm_across_heads"
    """Norm of queries and keys; no other is implemented."""
    rope_max_seq_len: int = 1024
    """Maximum number of tokens along an axis of the token grid."""
    linear_attention_eps: float = 1e-15
    """Added to the linear attention's denominator: 1e-15 in diffusers, 1e-8 in the code that trained SANA."""
    null_caption_tokens: int = 0
    """Tokens of a learned null caption for guidance; 0: the text encoder's output for the empty caption."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "patch_size", tuple(self.patch_size))
        for name, only in _ONLY_VALUES.items():
            if getattr(self, name) != only:
                raise RequestError(f"{name}={getattr(self, name)}: must be {only}")
        if self.cross_attention_dim not in (None, self.width):
            raise RequestError(f"cross_attention_dim={self.cross_attention_dim}: must be the width, {self.width}")
        if len(self.patch_size) != 3 or self.patch_size[0] != 1:
            raise RequestError(
                f"patch_size={self.patch_size}: must be (1, rows, columns), since each frame has its own timestep"
            )
        if self.attention_head_dim % 2:
            raise RequestError(
                f"attention_head_dim={self.attention_head_dim}: must be even, since RoPE rotates pairs of channels"
            )

    @property
    def width(self) -> int:
        """Width of the model: heads times width of a head."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def cross_width(self) -> int:
        """Inner width of the cross-attention."""
        return self.num_cross_attention_heads * self.cross_attention_head_dim

    @classmethod
    def sana_video_2b(cls) -> LinearDiTConfig:
        """Returns SANA-Video 2B at 480p on the Wan-VAE: 2,056,862,144 parameters."""
        return cls(mlp_ratio=3.0)

    @classmethod
    def sana_video_2b_720p(cls, channels: int = 32) -> LinearDiTConfig:
        """Returns SANA-Video 2B at 720p, with one token per latent.

        Args:
            channels: 32 for the paper's DC-AE-V, 128 for LTX-2's VAE.
        """
        return cls(in_channels=channels, out_channels=channels, mlp_ratio=3.0, sample_size=22, patch_size=(1, 1, 1))

    @classmethod
    def sana_video_4800m(cls) -> LinearDiTConfig:
        """Returns SANA-Video 2B with three times the depth, as SANA-1.5's 4.8B image model."""
        return cls(num_layers=60, mlp_ratio=3.0)

    @classmethod
    def sana_video_600m(cls) -> LinearDiTConfig:
        """Returns SANA-Video at the width and depth of SANA's 600M image model: width 1152, 28 blocks, 16 heads."""
        return cls(
            num_attention_heads=16,
            attention_head_dim=72,
            num_layers=28,
            num_cross_attention_heads=16,
            cross_attention_head_dim=72,
            mlp_ratio=3.0,
        )

    @classmethod
    def tiny(cls) -> LinearDiTConfig:
        """Returns a model that learns within minutes on two CPU cores, for the `hashed` text encoder's 64 channels."""
        return cls(
            num_attention_heads=4,
            attention_head_dim=32,
            num_layers=4,
            num_cross_attention_heads=4,
            cross_attention_head_dim=32,
            caption_channels=64,
            mlp_ratio=3.0,
        )

    def to_diffusers(self) -> dict[str, Any]:
        """Returns the content of a diffusers config.json."""
        values = {name: value for name, value in vars(self).items() if _NOT_IN_DIFFUSERS.get(name, ...) != value}
        return {
            "_class_name": DIFFUSERS_CLASS,
            "_diffusers_version": DIFFUSERS_VERSION,
            **values,
            "cross_attention_dim": self.width,
            "patch_size": list(self.patch_size),
        }

    @classmethod
    def from_diffusers(cls, values: dict[str, Any]) -> LinearDiTConfig:
        """Returns the config that the content of a diffusers config.json describes.

        Raises:
            RequestError: the config is of another model, or has an unknown key or a value that is not implemented.
        """
        name = values.get("_class_name", DIFFUSERS_CLASS)
        if name != DIFFUSERS_CLASS:
            raise RequestError(f"_class_name={name}: must be {DIFFUSERS_CLASS}")
        values = {key: value for key, value in values.items() if not key.startswith("_")}
        if values.get("out_channels", 0) is None:
            values["out_channels"] = values.get("in_channels", cls.in_channels)
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        for key, value in values.items():
            if key not in defaults:
                raise RequestError(f"{key}={value}: the Linear DiT has no such key")
            if kind := _required_kind(value, defaults[key]):
                raise RequestError(f"{key}={value}: must be {kind}")
        return cls(**values)


def _required_kind(value: Any, default: Any) -> str:
    """Returns what a config.json's value must be; "" if the value is of the kind of the field's default."""

    def is_whole(number: Any) -> bool:
        return type(number) is int and number >= (1 if default else 0)

    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        return "" if is_whole(value) else "a whole number" + (" above 0" if default else "")
    if isinstance(default, float):
        return "" if type(value) in (int, float) and 0 <= value < math.inf else "a number"
    if isinstance(default, tuple):
        is_list = isinstance(value, list | tuple) and all(map(is_whole, value))
        return "" if is_list else "a list of whole numbers above 0"
    return ""  # fields with only one value, and cross_attention_dim: __post_init__ checks them
