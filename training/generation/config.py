"""Keys of `framemill generate`. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from framemill.platform.config import ClusterConfig, key
from framemill.platform.errors import RequestError


@dataclass
class GenerateConfig:
    """Config of `framemill generate`."""

    model: str = key(
        help="run directory, export folder of a run, or diffusers pipeline of a published SANA-Video model",
        result=False,
    )
    prompts: str = key(
        help="text file with one prompt per line; a line `text<image>path` makes a video that begins with the image",
        result=False,
    )
    output: str = key(help="output folder of the mp4 files", result=False)
    codec_path: str = key(
        "",
        "folder of the weights of the codec that encoded the training data; empty: vae/ in the model's folder, or no "
        "weights for dct",
        result=False,
    )
    text_path: str = key(
        "",
        "folder of the weights of the text encoder that embedded the training captions; empty: text_encoder/ in the "
        "model's folder, or no weights for hashed",
        result=False,
    )
    samples_per_prompt: int = key(1, "number of videos per prompt")
    steps: int = key(50, "solver steps per video, or per block of a block-causal model")
    cfg: float = key(6.0, "classifier-free guidance (CFG) scale; 1 or less: no guidance")
    negative_prompt: str = key("", "negative prompt: text that guidance moves away from; empty: the null caption")
    motion_score: int = key(10, "motion score appended to each prompt, e.g. ` motion score: 10.`; -1: none")
    frames: int = key(
        0,
        "frames per video, 4k + 1 (ltx2: 8k + 1); 0: the model's default; a block-causal model uses the same memory "
        "for any length",
    )
    block_frames: int = key(0, "latent frames per block of a block-causal model; 0: as in training")
    height: int = key(0, "height of the videos in pixels; 0: the model's default")
    width: int = key(0, "width of the videos in pixels; 0: the model's default")
    seed: int = key(
        0, "random seed; it determines a video's noise together with the prompt's index and the sample's number"
    )
    workers: int = key(0, "number of videos generated in parallel; 0: one per CPU core", result=False)
    cluster: ClusterConfig = key(ClusterConfig, "Ray cluster", result=False)

    def validate(self) -> None:
        """Checks the ranges of the numbers.

        Raises:
            RequestError: a number is out of range.
        """
        minimums = {
            "samples_per_prompt": 1,
            "steps": 1,
            "motion_score": -1,
            "seed": 0,
            "frames": 0,
            "block_frames": 0,
            "height": 0,
            "width": 0,
        }
        for name, minimum in minimums.items():
            if getattr(self, name) < minimum:
                raise RequestError(f"{name}={getattr(self, name)}: must be at least {minimum}")
        if not 0 <= self.cfg < math.inf:
            raise RequestError(f"cfg={self.cfg}: must be a finite number of at least 0")
