"""How much of a clip's frames text covers: subtitles, captions, logos, credits."""

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
"""Larger frames are scaled down to this longer side, pixels: PaddleOCR's own limit for detection."""
_MIN_CONFIDENCE = 0.8
"""Least confidence of the text reader. Most of what the detector takes for text is none: without the reader half of a
street, a hillside or a test pattern counts; what the reader read there it was no surer of than 0.62."""


class TextOverlay:
    """`text_overlay`: share of the frame inside boxes around text, 0..1, the mean over frames 1 s apart.

    Text is what rapidocr's networks (PaddleOCR's, which come in its package) find and can read. Overlapping boxes count
    once. The networks run on the CPU, a frame at a time.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Loads rapidocr's networks.

        Raises:
            RequestError: they are not those of `text_overlay.sha256`.
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
        """Returns how to read the frames of a clip."""
        scale = min(1.0, _LONG_SIDE / max(clip.width, clip.height))
        size = max(1, round(clip.width * scale)), max(1, round(clip.height * scale))
        return frame_request_every(clip, SAMPLE_S, size)

    def score(self, sampled: SampledFrames) -> Scores:
        """Returns the score of a clip's frames."""
        return Scores({"text_overlay": float(np.mean([self._covered_share(frame) for frame in sampled.frames]))})

    def _covered_share(self, rgb: np.ndarray) -> float:
        """Returns the share of a frame, uint8 (H, W, 3), that text covers."""
        # PaddleOCR's networks take BGR.
        result = self.reader(np.ascontiguousarray(rgb[..., ::-1]), use_det=True, use_cls=False, use_rec=True)
        boxes = getattr(result, "boxes", None)
        mask = np.zeros(rgb.shape[:2], np.uint8)
        for box in [] if boxes is None else boxes:
            cv2.fillPoly(mask, [np.asarray(box, np.int32)], 1)
        return float(mask.mean())


def networks_sha256() -> str:
    """Returns the sha256 over the networks in rapidocr's package, which another version of it may change."""
    import rapidocr

    files = sorted((Path(rapidocr.__file__).parent / "models").glob("*.onnx"))
    return hashlib.sha256("".join(storage.sha256_file(str(file)) for file in files).encode()).hexdigest()
