"""The scorers `watermark` and `unsafe`: the probability of a class by an image classifier in an ONNX file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from framemill.data_filters.models.base import FrameRequest, ModelSpec, SampledFrames, ScorableClip, Scores
from framemill.data_filters.models.sampled_frames import SAMPLE_S, frame_request_every
from framemill.platform.errors import FramemillError
from framemill.platform.vision.onnx_file import OnnxNetwork


class Classifier(ABC):
    """Base class of scorers that reduce the probability of one class over frames 1 s apart to a score.

    The network takes float32 (N, 3, side, side) or (N, side, side, 3), RGB, as the file declares; its first output is
    (N, classes) or (N,). Each whole frame is scaled to a square without cropping, since watermarks are often in
    corners. A batch has frames of one clip only, so that scores do not depend on other clips."""

    column: ClassVar[str]
    """Column of the clips table that the score is written to."""

    def __init__(self, spec: ModelSpec) -> None:
        """Loads the network.

        Raises:
            RequestError: the file is missing, has another sha256, or is not an image classifier.
        """
        self.keys = spec.section
        self.network = OnnxNetwork(self.keys.weights, self.keys.sha256, spec.device)
        self.network.require(1, 4, "a classifier takes one float (N, 3, H, W) or (N, H, W, 3)")
        self._mean, self._std = (np.array(values, np.float32) for values in (self.keys.mean, self.keys.std))
        shape = self.network.shapes[0]
        self._channels_last = shape[3] == 3 and shape[1] != 3
        self._batch = 1 if shape[0] == 1 else spec.batch

    @abstractmethod
    def reduce(self, probabilities: np.ndarray) -> float:
        """Returns the clip's score from the probability of each frame, float64 (N,)."""

    def frame_request(self, clip: ScorableClip) -> FrameRequest:
        """Returns the request for the frames of a clip that the network needs."""
        return frame_request_every(clip, SAMPLE_S, (self.keys.side, self.keys.side))

    def score(self, sampled: SampledFrames) -> Scores:
        """Returns the score of a clip from its sampled frames.

        Raises:
            FramemillError: the network has no output with the configured index, or not one row of outputs per frame.
        """
        frames, batch = sampled.frames, self._batch
        outputs = np.concatenate([self._run(frames[i : i + batch]) for i in range(0, len(frames), batch)])
        return Scores({self.column: self.reduce(self._probabilities(outputs))})

    def _run(self, frames: np.ndarray) -> np.ndarray:
        """Returns the network's outputs for frames, float64 (N, classes)."""
        batch = (frames.astype(np.float32) / 255 - self._mean) / self._std
        batch = batch if self._channels_last else batch.transpose(0, 3, 1, 2)
        outputs = self.network(np.ascontiguousarray(batch))[0]
        if outputs.shape[:1] != frames.shape[:1] or outputs.size // len(outputs) <= self.keys.index:
            raise FramemillError(
                f"{self.keys.weights}: must return (N, classes) with index {self.keys.index}; "
                f"it returns {outputs.shape} for {len(frames)} frames",
                file=self.keys.weights,
            )
        return outputs.reshape(len(outputs), -1).astype(np.float64)

    def _probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the probability of the scored class from the outputs (N, classes), float64 (N,)."""
        if self.keys.activation == "softmax":
            powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            return (powers / powers.sum(axis=1, keepdims=True))[:, self.keys.index]
        output = outputs[:, self.keys.index]
        return (1 + np.tanh(output / 2)) / 2 if self.keys.activation == "sigmoid" else output


class Watermark(Classifier):
    """`watermark`: mean probability over frames, 0..1, since a watermark is in all frames and a passing logo in few."""

    column = "watermark"

    def reduce(self, probabilities: np.ndarray) -> float:
        """Returns the mean of the probabilities."""
        return float(probabilities.mean())


class Unsafe(Classifier):
    """`unsafe`: maximum probability over frames, 0..1, since one unsafe frame makes the clip unsafe."""

    column = "unsafe"

    def reduce(self, probabilities: np.ndarray) -> float:
        """Returns the maximum of the probabilities."""
        return float(probabilities.max())
