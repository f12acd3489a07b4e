"""What `framemill encode`, `generate` and `convert` take. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from framemill.platform.config import ClusterConfig, key
from framemill.platform.errors import RequestError
from framemill.training.codecs import CODECS
from framemill.training.curriculum import CurriculumConfig, stage_buckets
from framemill.training.buckets import Bucket
from framemill.training.text import TEXT_ENCODERS


@dataclass
class EncodeConfig:
    input: str = key(help="dataset of video, made by curate", result=False)
    output: str = key(help="folder for the dataset of latents", result=False)
    # Out of the digest: rates and steps of training change no latent. `encode` compares what does.
    curriculum: CurriculumConfig = key(
        CurriculumConfig, "each stage's size, length and rate gives a clip one latent", result=False
    )
    codec: str = key("dct", "video codec", choices=tuple(CODECS))
    codec_path: str = key(
        "", "folder of the codec's weights (diffusers), or a pipeline's with vae/ in it; dct has none", result=False
    )
    text: str = key("hashed", "text encoder", choices=tuple(TEXT_ENCODERS))
    text_path: str = key(
        "", "folder of Gemma and its tokenizer, or a pipeline's with text_encoder/ in it; hashed has none", result=False
    )
    motion: str = key("motion", "score told to the model behind each caption, as ` motion score: 4.`; empty: none")
    keep_video: bool = key(False, "carry the mp4s over into the new dataset")
    workers: int = key(0, "shards encoded at once; 0: one a core", result=False)
    cluster: ClusterConfig = key(ClusterConfig, "Ray", result=False)

    def validate(self) -> None:
        rates: dict[Bucket, tuple[str, float]] = {}
        for name, stage in self.curriculum.stages.items():
            for bucket in stage_buckets(stage):
                other, fps = rates.setdefault(bucket, (name, stage.fps))
                if fps != stage.fps:
                    raise RequestError(
                        f"curriculum.stages.{name}.fps={stage.fps}: stage {other} has the same {bucket.name} at "
                        f"{fps}; one dataset holds a size and length at one rate"
                    )


@dataclass
class GenerateConfig:
    model: str = key(
        help="run directory, its export folder, or a diffusers pipeline of a published SANA-Video", result=False
    )
    prompts: str = key(
        help="text file, one prompt a line; a line `text<image>path` begins from that picture", result=False
    )
    output: str = key(help="folder for the mp4s", result=False)
    codec_path: str = key(
        "",
        "folder of the codec that the model's data was encoded with; empty: vae/ in the model's; dct has none",
        result=False,
    )
    text_path: str = key(
        "",
        "folder of the text encoder of the model's data; empty: text_encoder/ in the model's; hashed has none",
        result=False,
    )
    samples_per_prompt: int = key(1, "videos of each prompt")
    steps: int = key(50, "solver steps")
    cfg: float = key(6.0, "classifier-free guidance; 1 is none")
    negative_prompt: str = key("", "what guidance moves away from")
    motion_score: int = key(10, "told to the model as ` motion score: 10.`; -1: nothing is said")
    frames: int = key(
        0,
        "length, 4k + 1 (ltx2: 8k + 1); 0: the model's own; a block-causal model goes on as long as asked, from a "
        "state that does not grow",
    )
    block_frames: int = key(0, "latent frames made at once by a block-causal model; 0: as many as it was trained on")
    height: int = key(0, "pixels; 0: the model's own")
    width: int = key(0, "pixels; 0: the model's own")
    seed: int = key(0, "each video's noise follows from it, the prompt's line and the sample's number")
    workers: int = key(0, "videos made at once; 0: one a core", result=False)
    cluster: ClusterConfig = key(ClusterConfig, "Ray", result=False)

    def validate(self) -> None:
        for name, least in (
            ("samples_per_prompt", 1),
            ("steps", 1),
            ("motion_score", -1),
            ("seed", 0),
            ("frames", 0),
            ("block_frames", 0),
            ("height", 0),
            ("width", 0),
        ):
            if getattr(self, name) < least:
                raise RequestError(f"{name}={getattr(self, name)}: is at least {least}")
        if not 0 <= self.cfg < math.inf:
            raise RequestError(f"cfg={self.cfg}: is a number, 0 or more")


@dataclass
class ConvertConfig:
    input: str = key(help="run directory, checkpoint, diffusers folder, or an original .pth of SANA-Video")
    output: str = key(help="folder to write, or a file named .pth")
    to: str = key(
        "auto",
        "what to write; auto: an original to a .pth, else a checkpoint from diffusers and diffusers from the others",
        choices=("auto", "checkpoint", "diffusers", "original"),
    )
    heads: int = key(0, "attention heads of an original .pth that does not say; 0: SANA-Video's at its width")

    def validate(self) -> None:
        if self.heads < 0:
            raise RequestError(f"heads={self.heads}: is at least 0")
