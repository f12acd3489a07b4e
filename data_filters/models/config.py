"""The keys of the scorers that are off until they are given a network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import List

from framemill.platform.config import key
from framemill.platform.errors import RequestError

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
CHANNELS = 3


def check_sha256(name: str, value: str) -> None:
    if not re.fullmatch("([0-9a-f]{64})?", value):
        raise RequestError(f"{name}={value}: must be 64 hex digits, in small letters")


@dataclass
class AestheticConfig:
    network: str = key(
        "ViT-L-14-quickgelu", "open_clip's name of the CLIP; this one is OpenAI's, which LAION's heads fit"
    )
    weights: str = key("", "its state dict, safetensors or torch's; empty: neither score nor embedding", result=False)
    sha256: str = key("", "of that file, 64 hex digits; another file is refused")
    head: str = key("", "LAION's head on its embeddings: the linear one, or the improved predictor's", result=False)
    head_sha256: str = key("", "of that file, 64 hex digits; another file is refused")

    def validate(self) -> None:
        for name, other in (("weights", "head"), ("head", "weights")):
            if getattr(self, name) and not getattr(self, other):
                raise RequestError(f"aesthetic.{other}=: aesthetic.{name} needs it beside it")
        check_sha256("aesthetic.sha256", self.sha256)
        check_sha256("aesthetic.head_sha256", self.head_sha256)


@dataclass
class DoverConfig:
    weights: str = key("", "ONNX file that DOVER's convert_to_onnx.py wrote; empty: no such scores", result=False)
    sha256: str = key("", "of that file, 64 hex digits; another file is refused")

    def validate(self) -> None:
        check_sha256("dover.sha256", self.sha256)


@dataclass
class TextOverlayConfig:
    enabled: bool = key(False, "measure the share of the picture that text covers, by rapidocr's networks")
    sha256: str = key("", "of its networks together, 64 hex digits; other ones are refused")

    def validate(self) -> None:
        check_sha256("text_overlay.sha256", self.sha256)


@dataclass
class ClassifierConfig:
    weights: str = key("", "ONNX file of an image classifier; empty: no such score", result=False)
    sha256: str = key("", "of that file, 64 hex digits; another file is refused")
    side: int = key(224, "the whole picture is scaled to a square of this many pixels a side")
    mean: List[float] = key(lambda: list(IMAGENET_MEAN), "taken from its channels R, G, B, which are 0..1")
    std: List[float] = key(lambda: list(IMAGENET_STD), "what they are then divided by")
    index: int = key(1, "which of the network's outputs is the class that is asked for, from 0")
    activation: str = key(
        "softmax",
        "what makes a probability of its outputs: softmax over all, sigmoid of the one; none: they are some already",
        choices=("softmax", "sigmoid", "none"),
    )

    def validate_for(self, name: str) -> None:
        check_sha256(f"{name}.sha256", self.sha256)
        if not 1 <= self.side <= 4096:
            raise RequestError(f"{name}.side={self.side}: must be from 1 to 4096")
        if self.index < 0:
            raise RequestError(f"{name}.index={self.index}: must be 0 or more")
        for part, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != CHANNELS or (part == "std" and min(values) <= 0):
                raise RequestError(f"{name}.{part}={values}: must be {CHANNELS} numbers{', above 0' * (part == 'std')}")


@dataclass
class MotionConfig:
    backend: str = key(
        "dis",
        "where motion comes from: dis is OpenCV's flow, in the pass; raft is torchvision's; onnx is a flow network",
        choices=("dis", "raft", "onnx"),
    )
    weights: str = key("", "raft: a state dict of raft_large or raft_small; onnx: the ONNX file", result=False)
    sha256: str = key("", "of that file, 64 hex digits; another file is refused")

    def validate(self) -> None:
        if self.backend == "dis" and (self.weights or self.sha256):
            raise RequestError(f"motion.weights={self.weights}: motion.backend=dis takes none; it may be raft or onnx")
        if self.backend != "dis" and not self.weights:
            raise RequestError(f"motion.weights=: motion.backend={self.backend} needs a file")
        check_sha256("motion.sha256", self.sha256)


@dataclass
class ModelsConfig:
    gpus: float = key(
        0.0, "GPUs that each scoring process takes, which may be a share of one; 0: it runs on the CPU", result=bool
    )
    actors: int = key(0, "scoring processes; 0: as many as the GPUs hold, on the CPU one a worker", result=False)
    batch: int = key(8, "pictures or pairs of a clip that a network takes at a time")

    def validate(self) -> None:
        if not (0 <= self.gpus <= 1 or (self.gpus > 1 and self.gpus.is_integer())):
            raise RequestError(f"models.gpus={self.gpus}: must be from 0 to 1, or a whole number")
        if self.actors < 0:
            raise RequestError(f"models.actors={self.actors}: must be 0 or more")
        if self.batch < 1:
            raise RequestError(f"models.batch={self.batch}: must be 1 or more")
