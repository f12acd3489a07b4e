"""How much of a clip's picture text covers: subtitles, captions, logos, credits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from framemill.data_filters.models import Look, ModelSpec, Row, Scores
from framemill.data_filters.models.views import LOOK_S, Views, sampled
from framemill.platform.vision.onnx_file import OnnxNetwork

LONG_SIDE = 960
"""Larger pictures are scaled down so that their longer side has so many pixels: PaddleOCR's own limit for detection."""
STEP = 32
"""The network takes pictures whose sides are multiples of this."""


class TextOverlay:
    """`text_overlay`: the share of the picture inside boxes around text, 0..1, the mean over frames.

    Text is what PaddleOCR's detector (DB) finds, as rapidocr runs it, with rapidocr's thresholds; nothing is read.
    Boxes that overlap count once.
    """

    def __init__(self, spec: ModelSpec) -> None:
        from omegaconf import OmegaConf
        from rapidocr.ch_ppocr_det.utils import DBPostProcess

        settings = OmegaConf.load(package() / "config.yaml").Det
        self.network = OnnxNetwork(spec.section.weights or detector(), spec.section.sha256, spec.device)
        self.network.require(1, 4, "a text detector takes one float (N, 3, H, W)")
        self.mean, self.std = np.float32(settings.mean), np.float32(settings.std)
        names = ("thresh", "box_thresh", "max_candidates", "unclip_ratio", "use_dilation", "score_mode")
        self.boxes_of = DBPostProcess(**{name: settings[name] for name in names})
        cv2.setNumThreads(1)

    def look(self, clip: Row) -> Look:
        width, height = clip["width"], clip["height"]
        scale = min(1.0, LONG_SIDE / max(width, height))
        size = tuple(max(STEP, round(side * scale / STEP) * STEP) for side in (width, height))
        return sampled(clip, LOOK_S, (size[0], size[1]))

    def score(self, views: Views) -> Scores:
        return {"text_overlay": float(np.mean([self.covered(picture) for picture in views.pictures]))}

    def covered(self, picture: np.ndarray) -> float:
        """The share of a picture, uint8 (H, W, 3) RGB, that text covers."""
        # PaddleOCR's networks take BGR.
        batch = ((picture[..., ::-1].astype(np.float32) / 255 - self.mean) / self.std).transpose(2, 0, 1)[None]
        boxes, _ = self.boxes_of(self.network(np.ascontiguousarray(batch))[0], picture.shape[:2])
        mask = np.zeros(picture.shape[:2], np.uint8)
        for box in boxes:
            cv2.fillPoly(mask, [np.asarray(box, np.int32)], 1)
        return float(mask.mean())


def package() -> Path:
    """The folder that rapidocr is installed in."""
    import rapidocr

    return Path(rapidocr.__file__).parent


def detector() -> str:
    """The ONNX file of the text detector that rapidocr brings along."""
    return str(min((package() / "models").glob("*_det_*.onnx")))
