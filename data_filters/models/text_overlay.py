"""The scorer `text_overlay`: the share of the frame covered by text such as subtitles, logos and credits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from framemill.data_filters.models.base import FrameRequest, ModelSpec, SampledFrames, ScorableClip, Scores
from framemill.data_filters.models.sampled_frames import SAMPLE_S, frame_request_every
from framemill.platform import storage
from framemill.platform.errors import RequestError

_LONG_SIDE = 960
"""Maximum longer side of frames, pixels; larger frames are scaled down. PaddleOCR's limit for detection."""
_MIN_CONFIDENCE = 0.8
"""Minimum confidence of the recognition network. The detection network alone reports text in streets, hillsides and
test patterns; the recognition network's confidence in these boxes was at most 0.62."""


class TextOverlay:
    """`text_overlay`: share of the frame covered by boxes around text, 0..1, mean over frames 1 s apart.

    Boxes are those that the detection and recognition networks of the rapidocr package (PaddleOCR's networks) agree on.
    Overlapping areas are counted once. The networks run on the CPU, one frame at a time.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Loads rapidocr's networks.

        Raises:
            RequestError: the networks in the package do not have the sha256 `text_overlay.sha256`.
        """
        from rapidocr import RapidOCR

        sha256 = networks_sha256()
        if spec.section.sha256 not in ("", sha256):
            raise RequestError(f"{spec.section.sha256}: must be the sha256 of rapidocr's networks, here {sha256}")
        threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
        settings = {"Global.log_level": "error", "Global.text_score": _MIN_CONFIDENCE, **threads}
        self.reader = RapidOCR(params={**settings, "Det.limit_type": "max", "Det.limit_side_len": _LONG_SIDE})
        cv2.setNumThreads(1)

    def frame_request(self, clip: ScorableClip) -> FrameRequest:
        """Returns the request for the frames of a clip that the networks need."""
        scale = min(1.0, _LONG_SIDE / max(clip.width, clip.height))
        size = max(1, round(clip.width * scale)), max(1, round(clip.height * scale))
        return frame_request_every(clip, SAMPLE_S, size)

    def score(self, sampled: SampledFrames) -> Scores:
        """Returns the score of a clip from its sampled frames."""
        return Scores({"text_overlay": float(np.mean([self._covered_share(frame) for frame in sampled.frames]))})

    def _covered_share(self, rgb: np.ndarray) -> float:
        """Returns the share of a frame, uint8 (H, W, 3) RGB, covered by text."""
        # PaddleOCR's networks take BGR.
        result = self.reader(np.ascontiguousarray(rgb[..., ::-1]), use_det=True, use_cls=False, use_rec=True)
        boxes = getattr(result, "boxes", None)
        mask = np.zeros(rgb.shape[:2], np.uint8)
        for box in [] if boxes is None else boxes:
            cv2.fillPoly(mask, [np.asarray(box, np.int32)], 1)
        return float(mask.mean())


def networks_sha256() -> str:
    """Returns the sha256 over the networks in the rapidocr package, which identifies their version."""
    import rapidocr

    files = sorted((Path(rapidocr.__file__).parent / "models").glob("*.onnx"))
    return hashlib.sha256("".join(storage.sha256_file(str(file)) for file in files).encode()).hexdigest()
