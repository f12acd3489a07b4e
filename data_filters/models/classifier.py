"""What an image classifier in an ONNX file makes of a clip's frames."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from framemill.data_filters.models.base import FrameRequest, ModelSpec, ScorableClip, Scores
from framemill.data_filters.models.views import LOOK_S, Views, sampled
from framemill.platform.errors import FramemillError
from framemill.platform.vision.onnx_file import OnnxNetwork


class Classifier:
    """The probability of one of a network's classes, over frames.

    The file takes float32 (N, 3, side, side) or, where it says so, (N, side, side, 3), RGB; its first output is (N,
    classes) or (N). It sees the picture whole, squeezed to a square: what it looks for may lie in a corner. A batch
    holds frames of one clip only, so that a score depends on nothing but its clip.
    """

    column: ClassVar[str]

    def __init__(self, spec: ModelSpec) -> None:
        self.keys = spec.section
        self.network = OnnxNetwork(self.keys.weights, self.keys.sha256, spec.device)
        self.network.require(1, 4, "a classifier takes one float (N, 3, H, W) or (N, H, W, 3)")
        self.mean, self.std = (np.array(values, np.float32) for values in (self.keys.mean, self.keys.std))
        shape = self.network.shapes[0]
        self.channels_last = shape[3] == 3 and shape[1] != 3
        self.batch = 1 if shape[0] == 1 else spec.batch

    def frame_request(self, clip: ScorableClip) -> FrameRequest:
        return sampled(clip, LOOK_S, (self.keys.side, self.keys.side))

    def score(self, views: Views) -> Scores:
        given = [self.outputs(views.pictures[i : i + self.batch]) for i in range(0, len(views.pictures), self.batch)]
        return Scores({self.column: self.over(self.probabilities(np.concatenate(given)))})

    def over(self, frames: np.ndarray) -> float:
        """One number of the frames'."""
        raise NotImplementedError

    def outputs(self, pictures: np.ndarray) -> np.ndarray:
        """What the network gives for pictures, float64 (N, classes)."""
        batch = (pictures.astype(np.float32) / 255 - self.mean) / self.std
        batch = batch if self.channels_last else batch.transpose(0, 3, 1, 2)
        found = self.network(np.ascontiguousarray(batch))[0]
        if found.shape[:1] != pictures.shape[:1] or found.size // len(found) <= self.keys.index:
            raise FramemillError(
                f"{self.keys.weights}: gives {found.shape} for {len(pictures)} pictures; "
                f"its index {self.keys.index} is asked for"
            )
        return found.reshape(len(found), -1).astype(np.float64)

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Of the class that is asked for, (N)."""
        if self.keys.activation == "softmax":
            powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            return (powers / powers.sum(axis=1, keepdims=True))[:, self.keys.index]
        asked = outputs[:, self.keys.index]
        return (1 + np.tanh(asked / 2)) / 2 if self.keys.activation == "sigmoid" else asked


class Watermark(Classifier):
    """`watermark`: the mean over frames. A watermark stays; what flashes up in one frame is none."""

    column = "watermark"

    def over(self, frames: np.ndarray) -> float:
        return float(frames.mean())


class Unsafe(Classifier):
    """`unsafe`: the highest of the frames. One unsafe frame makes an unsafe clip."""

    column = "unsafe"

    def over(self, frames: np.ndarray) -> float:
        return float(frames.max())
