"""LAION's aesthetic score of a clip, and its CLIP embedding."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.models.base import FrameRequest, ModelSpec, SampledFrames, ScorableClip, Scores
from framemill.data_filters.models.sampled_frames import SAMPLE_S, frame_request_every
from framemill.platform.errors import RequestError
from framemill.platform.vision.clip_embedder import AestheticHead, ClipEmbedder


class Aesthetic:
    """`aesthetic`: LAION's score, 1..10 as people rated images, the mean over frames 1 s apart.

    `embedding`: the mean of the frames' CLIP embeddings, scaled to unit length. A batch has frames of one clip only, so
    that a score depends on nothing but its clip.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Loads the CLIP network and LAION's head.

        Raises:
            RequestError: a weight file is not what it should be, or the head does not fit the network.
        """
        keys = spec.section
        self.clip = ClipEmbedder(keys.network, keys.weights, keys.sha256, spec.device)
        self.head = AestheticHead(keys.head, keys.head_sha256)
        self.batch = spec.batch
        if self.head.width != self.clip.width:
            raise RequestError(
                f"{keys.head}: must be a head on the embeddings of {keys.network}, {self.clip.width} numbers; "
                f"it takes {self.head.width}",
                file=keys.head,
            )

    def frame_request(self, clip: ScorableClip) -> FrameRequest:
        """Returns how to read the frames of a clip."""
        return frame_request_every(clip, SAMPLE_S, self.clip.size(clip.width, clip.height))

    def score(self, sampled: SampledFrames) -> Scores:
        """Returns the scores of a clip's frames."""
        frames, batch = sampled.frames, self.batch
        batches = [self.clip(frames[i : i + batch]) for i in range(0, len(frames), batch)]
        embeddings = np.concatenate(batches).astype(np.float64)
        mean = embeddings.mean(axis=0)
        unit = mean / np.linalg.norm(mean)
        return Scores({"aesthetic": float(self.head(embeddings).mean())}, {"embedding": unit.tolist()})
