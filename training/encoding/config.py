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

    input: str = key(help="path or URI of the dataset of video clips that `framemill curate` wrote", result=False)
    output: str = key(help="output folder of the dataset of latents", result=False)
    # Not in the config digest: learning rates and steps change no latent. `encode` compares the stages' sizes itself.
    curriculum: CurriculumConfig = key(
        CurriculumConfig,
        "training stages; a clip is encoded once per distinct resolution, number of frames and frame rate",
        result=False,
    )
    codec: str = key("dct", "video codec that encodes frames as latents", choices=CODECS.names)
    codec_path: str = key(
        "",
        "folder of the codec's weights in diffusers' format, or of a diffusers pipeline with vae/; empty for dct, "
        "which has no weights",
        result=False,
    )
    text: str = key("hashed", "text encoder that embeds the captions", choices=TEXT_ENCODERS.names)
    text_path: str = key(
        "",
        "folder of Gemma-2 and the tokenizer, or of a diffusers pipeline with text_encoder/ and tokenizer/; empty for "
        "hashed, which has no weights",
        result=False,
    )
    motion: str = key("motion", "name of the score appended to each caption, e.g. ` motion score: 4.`; empty: none")
    keep_video: bool = key(False, "copy the mp4 files into the dataset of latents")
    workers: int = key(0, "number of shards encoded in parallel; 0: one per CPU core", result=False)
    cluster: ClusterConfig = key(ClusterConfig, "Ray cluster", result=False)

    def validate(self) -> None:
        """Checks that stages of equal size and length have equal frame rates.

        Raises:
            RequestError: two stages with a common bucket have different frame rates.
        """
        rates: dict[Bucket, tuple[str, float]] = {}
        for name, stage in self.curriculum.stages.items():
            for bucket in stage_buckets(stage):
                other, fps = rates.setdefault(bucket, (name, stage.fps))
                if fps != stage.fps:
                    raise RequestError(
                        f"curriculum.stages.{name}.fps={stage.fps}: must be {fps}, the frame rate of stage {other} for "
                        f"{bucket.name}; a dataset has one frame rate per size and length"
                    )
