"""How beautiful a clip is, as LAION counts it, and its CLIP embedding."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.models.base import FrameRequest, ModelSpec, ScorableClip, Scores
from framemill.data_filters.models.views import LOOK_S, Views, sampled
from framemill.platform.errors import RequestError
from framemill.platform.vision.clip_embedder import AestheticHead, ClipEmbedder


class Aesthetic:
    """`aesthetic`: the mean over frames of LAION's score, 1..10 as people gave it; and `embedding`: the mean of the
    frames' CLIP embeddings, of unit length again.

    A batch holds frames of one clip only, so that a score depends on nothing but its clip.
    """

    def __init__(self, spec: ModelSpec) -> None:
        keys = spec.section
        self.clip = ClipEmbedder(keys.network, keys.weights, keys.sha256, spec.device)
        self.head = AestheticHead(keys.head, keys.head_sha256)
        self.batch = spec.batch
        if self.head.width != self.clip.width:
            raise RequestError(
                f"{keys.head}: takes embeddings of {self.head.width} numbers; {keys.network} gives {self.clip.width}"
            )

    def frame_request(self, clip: ScorableClip) -> FrameRequest:
        return sampled(clip, LOOK_S, self.clip.size(clip.width, clip.height))

    def score(self, views: Views) -> Scores:
        batches = [self.clip(views.pictures[i : i + self.batch]) for i in range(0, len(views.pictures), self.batch)]
        embeddings = np.concatenate(batches).astype(np.float64)
        middle = embeddings.mean(axis=0)
        unit = middle / np.linalg.norm(middle)
        return Scores({"aesthetic": float(self.head(embeddings).mean())}, {"embedding": unit.tolist()})
