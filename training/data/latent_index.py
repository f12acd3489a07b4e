"""Entries of an encoded dataset's `index.json` about latents and text embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class LatentIndex:
    """Codec, text encoder and shapes of an encoded dataset. Shapes: L tokens, D text width."""

    codec: str
    """Name of the codec."""
    latent_channels: int
    """Channels of a latent."""
    latent_stride: list[int]
    """Frames, rows and columns of pixels per latent frame, row and column."""
    text: str
    """Name of the text encoder."""
    text_width: int
    """Width of a text embedding, D."""
    text_max_tokens: int
    """Maximum number of tokens of a text."""
    null_text: list[list[float]]
    """(L, D): embedding of the empty caption."""
    codec_weights: str = ""
    """Digest of the codec's weights; "" for a codec without weights."""
    text_weights: str = ""
    """Digest of the text encoder's weights; "" for an encoder without weights."""
    source: str = ""
    """Digest of the dataset of video that was encoded."""
    stages: list[list[float]] = field(default_factory=list)
    """Distinct [resolution, frames, fps, side] of the stages that the latents were encoded for."""

    @classmethod
    def parse(cls, index: Mapping[str, Any]) -> LatentIndex | None:
        """Returns the latent index in a dataset's `index.json`; None if the dataset has no latents."""
        values = {entry.name: index[entry.name] for entry in fields(cls) if entry.name in index}
        try:
            return cls(**values)
        except TypeError:  # a value without a default is missing
            return None

    def values(self) -> dict[str, Any]:
        """Returns the values as entries of a dataset's index."""
        return asdict(self)
