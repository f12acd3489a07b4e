"""A clip's quality by DOVER (Wu et al. 2023, arXiv 2211.04894), through the ONNX file that its own script exports.

The two views are those of DOVER's dover.yml and datasets: the aesthetic view is 32 frames spread over the clip, at
224x224; the technical view is K times 32 frames, every second one, each made of the clip's 7x7 fragments of 32x32
pixels. Upstream puts each run of frames and each fragment at random within its cell of time or space, so that its
scores differ from run to run; here they are in the middle of their cells.
"""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np

from framemill.data_filters.models.base import FrameRequest, ModelSpec, SampledFrames, ScorableClip, Scores
from framemill.data_filters.models.sampled_frames import require_count
from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.vision.onnx_file import OnnxNetwork
from framemill.platform.vision.read import iter_decoded_frames, to_rgb

_FRAMES, _INTERVAL, _SIDE = 32, 2, 224
"""Of a view: `clip_len`, `frame_interval`, and `size_h` = `size_w` in dover.yml."""
_GRID, _FRAGMENT = 7, 32
"""Fragments across and down, and their side in pixels."""
_TECHNICAL_VIEWS = 3
"""K where the file leaves it open: `num_clips` in dover.yml. The script that exports writes 4 into the file."""
_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
"""Input normalisation: mean of R, G, B."""
_STD = np.array([58.395, 57.12, 57.375], np.float32)
"""Input normalisation: standard deviation of R, G, B."""
_TECHNICAL_SCALE, _AESTHETIC_SCALE = (0.1107, 0.07355), (-0.08285, 0.03774)
"""Mean and standard deviation of each branch's output: `fuse_results` in DOVER's evaluate_a_set_of_videos.py. (Its
onnx_inference.py takes the two outputs in the wrong order.)"""
_TECHNICAL_WEIGHT, _AESTHETIC_WEIGHT = 0.6104, 0.3896
"""Weights of the branches in the overall score, from `fuse_results`."""


class Dover:
    """`dover_technical`, `dover_aesthetic`, `dover` (both together): 0..1, 0.5 being DOVER's average video.

    The network takes `aes_view` (1, 3, 32, 224, 224) and `tech_view` (K, 3, 32, 224, 224), and returns a score for each
    in that order.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Loads the network.

        Raises:
            RequestError: the file is not what it should be, or no export of DOVER.
        """
        self.network = OnnxNetwork(spec.section.weights, spec.section.sha256, spec.device)
        self.network.require(2, 5, "DOVER takes two float (N, 3, 32, 224, 224)")
        if self.network.names != ["aes_view", "tech_view"]:
            raise RequestError(
                f"{spec.section.weights}: must take aes_view and tech_view, as DOVER's export does; "
                f"it takes {self.network.names}",
                file=spec.section.weights,
            )
        self.technical_views = self.network.shapes[1][0] or _TECHNICAL_VIEWS

    def frame_request(self, clip: ScorableClip) -> FrameRequest:
        """Returns how to read the frames of a clip."""
        return FrameRequest(f"{__name__}:read_views", (clip.start_s, clip.frames, self.technical_views))

    def score(self, sampled: SampledFrames) -> Scores:
        """Returns the scores of a clip's views.

        Raises:
            FramemillError: the network does not return two outputs.
        """
        batch = ((sampled.frames - _MEAN) / _STD).reshape(-1, _FRAMES, _SIDE, _SIDE, 3).transpose(0, 4, 1, 2, 3)
        outputs = self.network(np.ascontiguousarray(batch[:1]), np.ascontiguousarray(batch[1:]))
        if len(outputs) != 2:
            raise FramemillError(
                f"{self.network.weights}: must return two outputs, as DOVER's export does; it returns {len(outputs)}",
                file=self.network.weights,
            )
        raw_aesthetic, raw_technical = (float(np.mean(output, dtype=np.float64)) for output in outputs)
        technical = _standardised(raw_technical, _TECHNICAL_SCALE)
        aesthetic = _standardised(raw_aesthetic, _AESTHETIC_SCALE)
        return Scores(
            {
                "dover_technical": _sigmoid(technical),
                "dover_aesthetic": _sigmoid(aesthetic),
                "dover": _sigmoid(technical * _TECHNICAL_WEIGHT + aesthetic * _AESTHETIC_WEIGHT),
            }
        )


def read_views(path: str, start_s: float, frames: int, technical_views: int) -> SampledFrames:
    """Reads the aesthetic view of a clip, then the technical views, 32 frames of 224x224 each.

    Runs in a decoder process: only there are frames of the source's full size.

    Args:
        path: local file of the source.
        start_s: time of the clip's first frame.
        frames: number of frames of the clip.
        technical_views: number of technical views.

    Raises:
        VideoError: the clip cannot be decoded again as it was measured.
    """
    cv2.setNumThreads(1)
    indices = [*_frame_indices(frames, _FRAMES, 1), *_frame_indices(frames, technical_views, _FRAMES)]
    views = np.empty((len(indices), _SIDE, _SIDE, 3), np.uint8)
    times = np.empty(len(indices))
    rows_by_index: dict[int, list[int]] = {}
    for row, index in enumerate(indices):
        rows_by_index.setdefault(index, []).append(row)
    clip = require_count(itertools.islice(iter_decoded_frames(path, start_s=start_s), frames), frames)
    for index, decoded in enumerate(clip):
        if index not in rows_by_index:
            continue
        rgb = to_rgb(decoded.frame, *_size_for_fragments(*decoded.upright))
        for row in rows_by_index[index]:
            views[row] = _resized(rgb) if row < _FRAMES else fragments(rgb)
            times[row] = decoded.time_s
    return SampledFrames(times, views)


def fragments(rgb: np.ndarray) -> np.ndarray:
    """Returns the middles, 32x32, of a frame's 7x7 cells, put together: uint8 (224, 224, 3)."""
    rows, columns = (_fragment_pixels(side) for side in rgb.shape[:2])
    return rgb[rows[:, None], columns[None, :]]


def _standardised(raw: float, scale: tuple[float, float]) -> float:
    return (raw - scale[0]) / scale[1]


def _sigmoid(value: float) -> float:
    return (1 + math.tanh(value / 2)) / 2


def _frame_indices(frames: int, cells: int, length: int) -> list[int]:
    """Returns the indices of a run of `length` frames, every second one, in the middle of each of `cells` equal cells.

    A run that is longer than its cell starts with the cell, and continues at the clip's start where the clip ends.
    """
    cell = frames // cells
    shift = max(0, cell - length * _INTERVAL) // 2
    return [(i * cell + shift + j * _INTERVAL) % frames for i in range(cells) for j in range(length)]


def _size_for_fragments(width: int, height: int) -> tuple[int, int]:
    """Returns the size of a frame, enlarged where it is too small for fragments that do not overlap."""
    scale = max(1.0, _GRID * _FRAGMENT / min(width, height))
    return round(width * scale), round(height * scale)


def _resized(rgb: np.ndarray) -> np.ndarray:
    """Returns a frame at 224x224, by bilinear interpolation without antialiasing, as DOVER was trained."""
    small = cv2.resize(rgb.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
    return np.rint(small).astype(np.uint8)


def _fragment_pixels(side: int) -> np.ndarray:
    """Returns the pixels along one side that the fragments take, int (224,)."""
    cell = side // _GRID
    first = np.minimum(np.arange(_GRID) * cell, side - _FRAGMENT) + max(0, cell - _FRAGMENT) // 2
    return (first[:, None] + np.arange(_FRAGMENT)[None, :]).ravel()
