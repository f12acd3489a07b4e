"""The scorer `aesthetic`: LAION's aesthetic score and the CLIP embedding of a clip."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.models.base import FrameRequest, ModelSpec, SampledFrames, ScorableClip, Scores
from framemill.data_filters.models.sampled_frames import SAMPLE_S, frame_request_every
from framemill.platform.errors import RequestError
from framemill.platform.vision.clip_embedder import AestheticHead, ClipEmbedder


class Aesthetic:
    """`aesthetic`: LAION's aesthetic score, mean over frames 1 s apart, on the scale 1..10 of human ratings.

    `embedding`: mean of the frames' CLIP embeddings, scaled to unit length. A batch has frames of one clip only, so
    that scores do not depend on other clips."""

    def __init__(self, spec: ModelSpec) -> None:
        """Loads the CLIP network and LAION's head.

        Raises:
            RequestError: a weight file is missing, has another sha256 or other tensors, or the head does not fit the
                network.
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
        """Returns the request for the frames of a clip that the network needs."""
        return frame_request_every(clip, SAMPLE_S, self.clip.size(clip.width, clip.height))

    def score(self, sampled: SampledFrames) -> Scores:
        """Returns the score and the embedding of a clip from its sampled frames."""
        frames, batch = sampled.frames, self.batch
        batches = [self.clip(frames[i : i + batch]) for i in range(0, len(frames), batch)]
        embeddings = np.concatenate(batches).astype(np.float64)
        mean = embeddings.mean(axis=0)
        unit = mean / np.linalg.norm(mean)
        return Scores({"aesthetic": float(self.head(embeddings).mean())}, {"embedding": unit.tolist()})
