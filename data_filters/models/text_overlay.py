"""How much of a clip's picture text covers: subtitles, captions, logos, credits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from framemill.data_filters.models.base import FrameRequest, ModelSpec, ScorableClip, Scores
from framemill.data_filters.models.views import LOOK_S, Views, sampled
from framemill.platform import storage
from framemill.platform.errors import RequestError

LONG_SIDE = 960
"""Larger pictures are scaled down so that their longer side has so many pixels: PaddleOCR's own limit for detection."""
LEAST_CONFIDENCE = 0.8
"""Of the reader in what it read. What the detector alone takes for text is mostly none: without a reader half of a
street, a hillside or a test pattern is text to it; what it read there it was no surer of than 0.62."""


class TextOverlay:
    """`text_overlay`: the share of the picture inside boxes around text, 0..1, the mean over frames.

    Text is what rapidocr's networks (PaddleOCR's, which come in its package) find and can read. Boxes that overlap
    count once. It runs on the CPU, a frame at a time.
    """

    def __init__(self, spec: ModelSpec) -> None:
        from rapidocr import RapidOCR

        found = networks_sha256()
        if spec.section.sha256 not in ("", found):
            raise RequestError(f"{spec.section.sha256}: the sha256 of rapidocr's networks here is {found}")
        threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
        settings = {"Global.log_level": "error", "Global.text_score": LEAST_CONFIDENCE, **threads}
        self.reader = RapidOCR(params={**settings, "Det.limit_type": "max", "Det.limit_side_len": LONG_SIDE})
        cv2.setNumThreads(1)

    def frame_request(self, clip: ScorableClip) -> FrameRequest:
        width, height = clip.width, clip.height
        scale = min(1.0, LONG_SIDE / max(width, height))
        return sampled(clip, LOOK_S, (max(1, round(width * scale)), max(1, round(height * scale))))

    def score(self, views: Views) -> Scores:
        return Scores({"text_overlay": float(np.mean([self.covered(picture) for picture in views.pictures]))})

    def covered(self, picture: np.ndarray) -> float:
        """The share of a picture, uint8 (H, W, 3) RGB, that text covers."""
        # PaddleOCR's networks take BGR.
        found = self.reader(np.ascontiguousarray(picture[..., ::-1]), use_det=True, use_cls=False, use_rec=True)
        boxes = getattr(found, "boxes", None)
        mask = np.zeros(picture.shape[:2], np.uint8)
        for box in [] if boxes is None else boxes:
            cv2.fillPoly(mask, [np.asarray(box, np.int32)], 1)
        return float(mask.mean())


def networks_sha256() -> str:
    """sha256 over the networks that rapidocr brings along, which another version of it may change."""
    import rapidocr

    files = sorted((Path(rapidocr.__file__).parent / "models").glob("*.onnx"))
    return hashlib.sha256("".join(storage.sha256_file(str(file)) for file in files).encode()).hexdigest()
