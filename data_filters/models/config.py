"""The config sections of the network scorers; a scorer is off until its section names a weight file or enables it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import List

from framemill.platform.config import key
from framemill.platform.errors import RequestError

_IMAGENET_MEAN, _IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
_CHANNELS = 3


def _check_sha256(name: str, value: str) -> None:
    if not re.fullmatch("([0-9a-f]{64})?", value):
        raise RequestError(f"{name}={value}: must be 64 hex digits in lower case")


@dataclass
class AestheticConfig:
    """The keys `aesthetic.*`: LAION's aesthetic score and CLIP embeddings."""

    network: str = key(
        "ViT-L-14-quickgelu",
        "open_clip name of the CLIP architecture; the default is OpenAI's ViT-L/14, for which LAION's heads exist",
    )
    weights: str = key(
        "",
        "state dict of the CLIP network (safetensors or torch); empty: no aesthetic score and no embedding",
        result=False,
    )
    sha256: str = key(
        "", "expected SHA-256 of aesthetic.weights, 64 hex digits; a file with another hash is refused; empty: any file"
    )
    head: str = key(
        "",
        "state dict of LAION's aesthetic head on CLIP embeddings: the linear head or the improved predictor's MLP",
        result=False,
    )
    head_sha256: str = key(
        "", "expected SHA-256 of aesthetic.head, 64 hex digits; a file with another hash is refused; empty: any file"
    )

    def validate(self) -> None:
        """Checks the values.

        Raises:
            RequestError: one of the two weight files is missing, or a digest is malformed.
        """
        for name, other in (("weights", "head"), ("head", "weights")):
            if getattr(self, name) and not getattr(self, other):
                raise RequestError(f"aesthetic.{other}=: aesthetic.{name} needs it too")
        _check_sha256("aesthetic.sha256", self.sha256)
        _check_sha256("aesthetic.head_sha256", self.head_sha256)


@dataclass
class DoverConfig:
    """The keys `dover.*`: video quality by DOVER."""

    weights: str = key("", "ONNX file written by DOVER's convert_to_onnx.py; empty: no DOVER scores", result=False)
    sha256: str = key(
        "", "expected SHA-256 of dover.weights, 64 hex digits; a file with another hash is refused; empty: any file"
    )

    def validate(self) -> None:
        """Checks the values.

        Raises:
            RequestError: the digest is malformed.
        """
        _check_sha256("dover.sha256", self.sha256)


@dataclass
class TextOverlayConfig:
    """The keys `text_overlay.*`: share of the frame covered by text."""

    enabled: bool = key(False, "measure the share of the frame covered by text, with rapidocr's networks")
    sha256: str = key(
        "",
        "expected SHA-256 over the networks in the rapidocr package, 64 hex digits; a package with other networks is "
        "refused; empty: any",
    )

    def validate(self) -> None:
        """Checks the values.

        Raises:
            RequestError: the digest is malformed.
        """
        _check_sha256("text_overlay.sha256", self.sha256)


@dataclass
class ClassifierConfig:
    """The keys `watermark.*` and `unsafe.*`: the probability of one class, estimated by an image classifier."""

    weights: str = key(
        "", "ONNX file of an image classifier; empty: the classifier's score is not measured", result=False
    )
    sha256: str = key(
        "", "expected SHA-256 of the ONNX file, 64 hex digits; a file with another hash is refused; empty: any file"
    )
    side: int = key(224, "side of the network's square input, pixels; whole frames are scaled to the square, uncropped")
    mean: List[float] = key(
        lambda: list(_IMAGENET_MEAN), "input normalisation: mean of the channels R, G, B, for pixel values 0..1"
    )
    std: List[float] = key(
        lambda: list(_IMAGENET_STD),
        "input normalisation: standard deviation of the channels R, G, B, for pixel values 0..1",
    )
    index: int = key(1, "index of the scored class among the network's outputs, from 0")
    activation: str = key(
        "softmax",
        "function that turns the network's outputs into a probability: softmax over all outputs, sigmoid of the scored "
        "class's output, none if the outputs are already probabilities",
        choices=("softmax", "sigmoid", "none"),
    )

    def validate_for(self, name: str) -> None:
        """Checks the values.

        Args:
            name: name of the section, "watermark" or "unsafe"; errors name it.

        Raises:
            RequestError: a value is out of range.
        """
        _check_sha256(f"{name}.sha256", self.sha256)
        if not 1 <= self.side <= 4096:
            raise RequestError(f"{name}.side={self.side}: must be from 1 to 4096")
        if self.index < 0:
            raise RequestError(f"{name}.index={self.index}: must be 0 or more")
        for part, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != _CHANNELS or (part == "std" and min(values) <= 0):
                raise RequestError(
                    f"{name}.{part}={values}: must be {_CHANNELS} numbers{', above 0' * (part == 'std')}"
                )


@dataclass
class MotionConfig:
    """The keys `motion.*`: the optical flow of the motion scores."""

    backend: str = key(
        "dis",
        "optical flow of the motion scores: dis (OpenCV, in the decode pass), raft (torchvision) or onnx (a flow "
        "network, such as UniMatch)",
        choices=("dis", "raft", "onnx"),
    )
    weights: str = key(
        "",
        "weight file of motion.backend: raft: a state dict of raft_large or raft_small; onnx: an ONNX file",
        result=False,
    )
    sha256: str = key(
        "", "expected SHA-256 of motion.weights, 64 hex digits; a file with another hash is refused; empty: any file"
    )

    def validate(self) -> None:
        """Checks the values.

        Raises:
            RequestError: a weight file is missing, or given to a backend without weights, or the digest is malformed.
        """
        if self.backend == "dis" and (self.weights or self.sha256):
            raise RequestError(
                f"motion.weights={self.weights}: must be empty with motion.backend=dis, which takes none; "
                "motion.backend may be raft or onnx"
            )
        if self.backend != "dis" and not self.weights:
            raise RequestError(f"motion.weights=: motion.backend={self.backend} needs a file")
        _check_sha256("motion.sha256", self.sha256)


@dataclass
class ModelsConfig:
    """The keys `models.*`: devices, processes and batch size of the network scorers."""

    gpus: float = key(
        0.0, "GPUs per scoring process, a fraction up to 1 or a whole number; 0: networks run on the CPU", result=bool
    )
    actors: int = key(
        0,
        "number of scoring processes of each network; 0: as many as fit on the GPUs, or workers= on the CPU",
        result=False,
    )
    batch: int = key(8, "batch size of networks, frames or frame pairs; a batch has frames of one clip only")

    def validate(self) -> None:
        """Checks the values.

        Raises:
            RequestError: a value is out of range.
        """
        if not (0 <= self.gpus <= 1 or (self.gpus > 1 and self.gpus.is_integer())):
            raise RequestError(f"models.gpus={self.gpus}: must be from 0 to 1, or a whole number")
        if self.actors < 0:
            raise RequestError(f"models.actors={self.actors}: must be 0 or more")
        if self.batch < 1:
            raise RequestError(f"models.batch={self.batch}: must be 1 or more")
