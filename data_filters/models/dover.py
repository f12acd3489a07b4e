"""A clip's quality by DOVER (Wu et al. 2023, arXiv 2211.04894), through the ONNX file that its own script exports.

The two views are those of DOVER's dover.yml and datasets: the aesthetic one is 32 frames spread over the clip, at
224x224; the technical one K times 32 frames, every second one, of which 7x7 fragments of 32x32 pixels are set together.
Upstream puts each run of frames and each fragment at random within its cell of time or space, so that its scores differ
from run to run; here they lie in the middle of their cells.
"""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np

from framemill.data_filters.models.base import FrameRequest, ModelSpec, ScorableClip, Scores
from framemill.data_filters.models.views import Views, counted
from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.vision.onnx_file import OnnxNetwork
from framemill.platform.vision.read import iter_decoded_frames, to_rgb

FRAMES, INTERVAL, SIDE = 32, 2, 224
"""Of a view: `clip_len`, `frame_interval`, `size_h` and `size_w` in dover.yml."""
GRID, FRAGMENT = 7, 32
TECHNICAL_VIEWS = 3
"""K where the file leaves it open: `num_clips` in dover.yml. The script that exports writes 4 into the file."""
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)
TECHNICAL_SCALE, AESTHETIC_SCALE = (0.1107, 0.07355), (-0.08285, 0.03774)
"""Mean and spread of what the two branches give, and below the weight of each: `fuse_results` in DOVER's
evaluate_a_set_of_videos.py. (Its onnx_inference.py takes the two outputs in the wrong order.)"""
TECHNICAL_WEIGHT, AESTHETIC_WEIGHT = 0.6104, 0.3896


class Dover:
    """`dover_technical`, `dover_aesthetic`, `dover` (both together): 0..1, 0.5 being DOVER's average video.

    The file takes `aes_view` (1, 3, 32, 224, 224) and `tech_view` (K, 3, 32, 224, 224), and gives a score for each in
    that order.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.network = OnnxNetwork(spec.section.weights, spec.section.sha256, spec.device)
        self.network.require(2, 5, "DOVER takes two float (N, 3, 32, 224, 224)")
        if self.network.names != ["aes_view", "tech_view"]:
            raise RequestError(
                f"{spec.section.weights}: takes {self.network.names}; DOVER's export takes aes_view and tech_view"
            )
        self.views = self.network.shapes[1][0] or TECHNICAL_VIEWS

    def frame_request(self, clip: ScorableClip) -> FrameRequest:
        return FrameRequest(f"{__name__}:dover_views", (clip.start_s, clip.frames, self.views))

    def score(self, views: Views) -> Scores:
        batch = ((views.pictures - MEAN) / STD).reshape(-1, FRAMES, SIDE, SIDE, 3).transpose(0, 4, 1, 2, 3)
        found = self.network(np.ascontiguousarray(batch[:1]), np.ascontiguousarray(batch[1:]))
        if len(found) != 2:
            raise FramemillError(f"{self.network.weights}: gives {len(found)} outputs; DOVER's export gives two")
        raw_aesthetic, raw_technical = (float(np.mean(one, dtype=np.float64)) for one in found)
        aesthetic, technical = scaled(raw_aesthetic, AESTHETIC_SCALE), scaled(raw_technical, TECHNICAL_SCALE)
        return Scores(
            {
                "dover_technical": sigmoid(technical),
                "dover_aesthetic": sigmoid(aesthetic),
                "dover": sigmoid(technical * TECHNICAL_WEIGHT + aesthetic * AESTHETIC_WEIGHT),
            }
        )


def scaled(raw: float, scale: tuple[float, float]) -> float:
    return (raw - scale[0]) / scale[1]


def sigmoid(value: float) -> float:
    return (1 + math.tanh(value / 2)) / 2


def dover_views(path: str, start_s: float, frames: int, views: int) -> Views:
    """The aesthetic view of a clip of `frames` frames, then so many technical ones, each 32 pictures of 224x224.

    Runs in a worker's expendable child, where alone the pictures are of their full size.

    Raises:
        VideoError: the clip cannot be read again as it was measured.
    """
    cv2.setNumThreads(1)
    wanted = [*frame_numbers(frames, FRAMES, 1), *frame_numbers(frames, views, FRAMES)]
    pictures = np.empty((len(wanted), SIDE, SIDE, 3), np.uint8)
    times = np.empty(len(wanted))
    places: dict[int, list[int]] = {}
    for place, number in enumerate(wanted):
        places.setdefault(number, []).append(place)
    clip = counted(itertools.islice(iter_decoded_frames(path, start_s=start_s), frames), frames)
    for number, picture in enumerate(clip):
        if number not in places:
            continue
        whole = to_rgb(picture.frame, *enlarged(*picture.upright))
        for place in places[number]:
            pictures[place] = squeezed(whole) if place < FRAMES else fragments(whole)
            times[place] = picture.time_s
    return Views(times, pictures)


def frame_numbers(frames: int, cells: int, length: int) -> list[int]:
    """A run of `length` frames, every second one, in the middle of each of so many equal cells of a clip; a run that is
    longer than its cell starts with it, and goes round where the clip ends."""
    cell = frames // cells
    shift = max(0, cell - length * INTERVAL) // 2
    return [(i * cell + shift + j * INTERVAL) % frames for i in range(cells) for j in range(length)]


def enlarged(width: int, height: int) -> tuple[int, int]:
    """The size of a picture; of a smaller one the size that holds all fragments apart."""
    scale = max(1.0, GRID * FRAGMENT / min(width, height))
    return round(width * scale), round(height * scale)


def squeezed(rgb: np.ndarray) -> np.ndarray:
    """The picture as 224x224, by bilinear interpolation without a filter before it, as DOVER was trained."""
    return np.rint(cv2.resize(rgb.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)).astype(np.uint8)


def fragments(rgb: np.ndarray) -> np.ndarray:
    """The middles, 32x32, of the picture's 7x7 cells, set together: uint8 (224, 224, 3)."""
    rows, columns = (starts(side) for side in rgb.shape[:2])
    return rgb[rows[:, None], columns[None, :]]


def starts(side: int) -> np.ndarray:
    """The pixels along one side that all fragments take."""
    cell = side // GRID
    first = np.minimum(np.arange(GRID) * cell, side - FRAGMENT) + max(0, cell - FRAGMENT) // 2
    return (first[:, None] + np.arange(FRAGMENT)[None, :]).ravel()
