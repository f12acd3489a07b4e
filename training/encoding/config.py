"""Keys of `framemill encode`. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from framemill.platform.config import ClusterConfig, key
from framemill.platform.errors import RequestError
from framemill.training.buckets import Bucket
from framemill.training.codecs import CODECS
from framemill.training.curriculum import CurriculumConfig, stage_buckets
from framemill.training.text import TEXT_ENCODERS


@dataclass
class EncodeConfig:
    """Config of `framemill encode`."""

    input: str = key(help="dataset of video, made by curate", result=False)
    output: str = key(help="folder for the dataset of latents", result=False)
    # Out of the digest: learning rates and steps change no latent. `encode` compares the stages' sizes itself.
    curriculum: CurriculumConfig = key(
        CurriculumConfig,
        "training stages; each clip gets one latent for each distinct resolution, length and rate",
        result=False,
    )
    codec: str = key("dct", "video codec that makes the latents", choices=CODECS.names)
    codec_path: str = key(
        "",
        "folder of the codec's weights (diffusers), or of a pipeline with vae/ in it; empty for dct, which has none",
        result=False,
    )
    text: str = key("hashed", "text encoder of the captions", choices=TEXT_ENCODERS.names)
    text_path: str = key(
        "",
        "folder of Gemma and its tokenizer, or of a pipeline with text_encoder/ in it; empty for hashed, which has no "
        "weights",
        result=False,
    )
    motion: str = key("motion", "score appended to each caption, as ` motion score: 4.`; empty: none")
    keep_video: bool = key(False, "copy the mp4s into the new dataset")
    workers: int = key(0, "shards encoded at a time; 0: one per core", result=False)
    cluster: ClusterConfig = key(ClusterConfig, "Ray cluster", result=False)

    def validate(self) -> None:
        """Checks that two stages of the same size and length have the same frame rate.

        Raises:
            RequestError: they differ.
        """
        rates: dict[Bucket, tuple[str, float]] = {}
        for name, stage in self.curriculum.stages.items():
            for bucket in stage_buckets(stage):
                other, fps = rates.setdefault(bucket, (name, stage.fps))
                if fps != stage.fps:
                    raise RequestError(
                        f"curriculum.stages.{name}.fps={stage.fps}: must be {fps}, as stage {other} has the same "
                        f"{bucket.name}; one dataset holds a size and length at one rate"
                    )
