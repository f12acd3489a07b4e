"""The shape of a Linear DiT, under the names that a diffusers `config.json` uses. Imports no torch."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from framemill.platform.errors import RequestError

DIFFUSERS_CLASS = "SanaVideoTransformer3DModel"
DIFFUSERS_VERSION = "0.42.1"

# Fields that diffusers does not have, and would warn of: a config.json holds them only where they differ from this.
OURS = {"linear_attention_eps": 1e-15, "null_caption_tokens": 0}

# Parts of the diffusers config that no released SANA-Video model uses. They are fields so that a config.json reads and
# writes whole, and any other value is refused rather than ignored.
ONLY = {
    "dropout": 0.0,
    "interpolation_scale": None,
    "guidance_embeds": False,
    "guidance_embeds_scale": 0.1,
    "qk_norm": "rms_norm_across_heads",
}


@dataclass(frozen=True)
class LinearDiTConfig:
    """Defaults are those of diffusers, so that a config.json that leaves a field out means the same in both.

    Raises:
        RequestError: a value that the model does not implement.
    """

    in_channels: int = 16
    out_channels: int = 16
    num_attention_heads: int = 20
    attention_head_dim: int = 112
    num_layers: int = 20
    num_cross_attention_heads: int = 20
    cross_attention_head_dim: int = 112
    cross_attention_dim: int | None = None  # always the width; None says so without repeating it
    caption_channels: int = 2304  # width of the text embeddings
    mlp_ratio: float = 2.5
    dropout: float = 0.0
    attention_bias: bool = False  # bias of the self-attention's q, k and v
    sample_size: int = 30  # diffusers' pipeline picks its table of sizes by it: 30 is 480p, 22 is 720p
    patch_size: tuple[int, int, int] = (1, 2, 2)
    norm_elementwise_affine: bool = False  # of the norm before the feed-forward only
    norm_eps: float = 1e-6
    interpolation_scale: int | None = None
    guidance_embeds: bool = False
    guidance_embeds_scale: float = 0.1
    qk_norm: str = "rms_norm_across_heads"
    rope_max_seq_len: int = 1024  # longest axis of the token grid
    linear_attention_eps: float = 1e-15  # added to the denominator; 1e-15 in diffusers, 1e-8 where SANA was trained
    null_caption_tokens: int = 0  # length of a learned caption for guidance; 0: that is the encoder's, of no text

    def __post_init__(self) -> None:
        object.__setattr__(self, "patch_size", tuple(self.patch_size))
        for name, only in ONLY.items():
            if getattr(self, name) != only:
                raise RequestError(f"{name}={getattr(self, name)}: may only be {only}")
        if self.cross_attention_dim not in (None, self.width):
            raise RequestError(f"cross_attention_dim={self.cross_attention_dim}: may only be the width, {self.width}")
        if len(self.patch_size) != 3 or self.patch_size[0] != 1:
            raise RequestError(f"patch_size={self.patch_size}: is (1, rows, columns): timesteps are one per frame")
        if self.attention_head_dim % 2:
            raise RequestError(f"attention_head_dim={self.attention_head_dim}: is even: positions rotate pairs")

    @property
    def width(self) -> int:
        return self.num_attention_heads * self.attention_head_dim

    @property
    def cross_width(self) -> int:
        return self.num_cross_attention_heads * self.cross_attention_head_dim

    @classmethod
    def sana_video_2b(cls) -> LinearDiTConfig:
        """SANA-Video 2B at 480p on the Wan-VAE: 2,056,862,144 parameters."""
        return cls(mlp_ratio=3.0)

    @classmethod
    def sana_video_2b_720p(cls, channels: int = 32) -> LinearDiTConfig:
        """SANA-Video 2B at 720p, a token for each latent: 32 channels of the paper's DC-AE-V, or 128 of LTX-2's VAE."""
        return cls(in_channels=channels, out_channels=channels, mlp_ratio=3.0, sample_size=22, patch_size=(1, 1, 1))

    @classmethod
    def sana_video_4800m(cls) -> LinearDiTConfig:
        """The width of the 2B and three times its depth, as SANA-1.5's 4.8B image model."""
        return cls(num_layers=60, mlp_ratio=3.0)

    @classmethod
    def sana_video_600m(cls) -> LinearDiTConfig:
        """The width and depth of SANA's 600M image model (1152 x 28, 16 heads) with the video blocks."""
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
        """Learns within minutes on two CPU cores; takes the `hashed` text encoder's 64 channels."""
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
        """The content of a diffusers config.json."""
        values = {name: value for name, value in vars(self).items() if OURS.get(name, ...) != value}
        return {
            "_class_name": DIFFUSERS_CLASS,
            "_diffusers_version": DIFFUSERS_VERSION,
            **values,
            "cross_attention_dim": self.width,
            "patch_size": list(self.patch_size),
        }

    @classmethod
    def from_diffusers(cls, values: dict[str, Any]) -> LinearDiTConfig:
        """Reads the content of a diffusers config.json.

        Raises:
            RequestError: another model's config, a key this model does not know, or a value it does not implement.
        """
        name = values.get("_class_name", DIFFUSERS_CLASS)
        if name != DIFFUSERS_CLASS:
            raise RequestError(f"_class_name={name}: may only be {DIFFUSERS_CLASS}")
        values = {key: value for key, value in values.items() if not key.startswith("_")}
        if values.get("out_channels", 0) is None:
            values["out_channels"] = values.get("in_channels", cls.in_channels)
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        for key, value in values.items():
            if key not in defaults:
                raise RequestError(f"{key}={value}: the Linear DiT has no such key")
            if wanted := misfit(value, defaults[key]):
                raise RequestError(f"{key}={value}: is {wanted}")
        return cls(**values)


def misfit(value: Any, default: Any) -> str:
    """What a config.json's value has to be in place of what it is; "" where it is of its default's kind."""

    def whole(number: Any) -> bool:
        return type(number) is int and number >= (1 if default else 0)

    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        return "" if whole(value) else "a whole number" + (" above 0" if default else "")
    if isinstance(default, float):
        return "" if type(value) in (int, float) and 0 <= value < math.inf else "a number"
    if isinstance(default, tuple):
        return "" if isinstance(value, list | tuple) and all(map(whole, value)) else "a list of whole numbers above 0"
    return ""  # the few that may be only one value, or the width, are told apart by it
