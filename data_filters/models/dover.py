"""The scorer `dover`: video quality by DOVER (Wu et al. 2023, arXiv 2211.04894), as exported to ONNX by its own script.

The two views follow DOVER's dover.yml and datasets. The aesthetic view is 32 frames spread over the clip, resized to
224x224. The technical view is K runs of 32 frames, every second frame of the clip, and each frame is composed of 7x7
fragments of 32x32 pixels. Upstream places each run and each fragment at random within its cell of time or space, so its
scores differ between calls; here runs and fragments are in the middle of their cells.
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
"""Frames per run, interval of the frames in a technical run, and side of a view: `clip_len`, `frame_interval` and
`size_h` = `size_w` in dover.yml."""
_GRID, _FRAGMENT = 7, 32
"""Number of fragments per side of a frame, and side of a fragment in pixels."""
_TECHNICAL_VIEWS = 3
"""K if the file does not fix it: `num_clips` in dover.yml. DOVER's export script fixes K = 4."""
_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
"""Input normalisation: mean of R, G, B."""
_STD = np.array([58.395, 57.12, 57.375], np.float32)
"""Input normalisation: standard deviation of R, G, B."""
_TECHNICAL_SCALE, _AESTHETIC_SCALE = (0.1107, 0.07355), (-0.08285, 0.03774)
"""Mean and standard deviation of each branch's output, from `fuse_results` in DOVER's evaluate_a_set_of_videos.py.
(DOVER's onnx_inference.py swaps the two outputs.)"""
_TECHNICAL_WEIGHT, _AESTHETIC_WEIGHT = 0.6104, 0.3896
"""Weights of the branches in the overall score, from `fuse_results`."""


class Dover:
    """`dover_technical`, `dover_aesthetic`, and `dover` from both: 0..1; DOVER's average video has 0.5.

    The network takes `aes_view` (1, 3, 32, 224, 224) and `tech_view` (K, 3, 32, 224, 224), and returns the aesthetic
    and the technical score.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Loads the network.

        Raises:
            RequestError: the file is missing, has another sha256, or is not an export of DOVER.
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
        """Returns the request for the views of a clip."""
        return FrameRequest(f"{__name__}:read_views", (clip.start_s, clip.frames, self.technical_views))

    def score(self, sampled: SampledFrames) -> Scores:
        """Returns the scores of a clip from its views, as `read_views` returns them.

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
    """Returns the aesthetic view of a clip followed by the technical views, 32 frames of 224x224 each.

    Runs in a decoder process, since fragments are cut from frames of full size.

    Args:
        path: local file of the source.
        start_s: time of the clip's first frame, seconds since the source's first frame.
        frames: number of frames of the clip.
        technical_views: number of technical views.

    Raises:
        VideoError: the frames that were measured cannot be decoded again.
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
    """Returns the 32x32 centres of a frame's 7x7 cells, joined to one image, uint8 (224, 224, 3)."""
    rows, columns = (_fragment_pixels(side) for side in rgb.shape[:2])
    return rgb[rows[:, None], columns[None, :]]


def _standardised(raw: float, scale: tuple[float, float]) -> float:
    return (raw - scale[0]) / scale[1]


def _sigmoid(value: float) -> float:
    return (1 + math.tanh(value / 2)) / 2


def _frame_indices(frames: int, cells: int, length: int) -> list[int]:
    """Returns the indices of one run of frames for each of `cells` equal parts of a clip.

    A run is every second frame, `length` in total, in the middle of its cell. A run longer than its cell starts with
    the cell; indices past the end of the clip wrap around to its start."""
    cell = frames // cells
    shift = max(0, cell - length * _INTERVAL) // 2
    return [(i * cell + shift + j * _INTERVAL) % frames for i in range(cells) for j in range(length)]


def _size_for_fragments(width: int, height: int) -> tuple[int, int]:
    """Returns (width, height), enlarged if the frame is too small for 7x7 fragments without overlap."""
    scale = max(1.0, _GRID * _FRAGMENT / min(width, height))
    return round(width * scale), round(height * scale)


def _resized(rgb: np.ndarray) -> np.ndarray:
    """Returns a frame at 224x224, by bilinear interpolation without antialiasing, as DOVER was trained."""
    small = cv2.resize(rgb.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
    return np.rint(small).astype(np.uint8)


def _fragment_pixels(side: int) -> np.ndarray:
    """Returns the indices of the pixels that the fragments take along one side of a frame, int (224,)."""
    cell = side // _GRID
    first = np.minimum(np.arange(_GRID) * cell, side - _FRAGMENT) + max(0, cell - _FRAGMENT) // 2
    return (first[:, None] + np.arange(_FRAGMENT)[None, :]).ravel()
