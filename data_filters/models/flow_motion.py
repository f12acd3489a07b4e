"""How much a clip moves, by a flow network: RAFT, or an ONNX file such as UniMatch's."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.filters.motion_units import PAIR_S, motion_scores, pair_motion, unit_size
from framemill.data_filters.models.base import FrameRequest, ModelSpec, ScorableClip, Scores
from framemill.data_filters.models.views import Views, sampled
from framemill.platform.vision.optical_flow import FLOW_NETWORKS


class FlowMotion:
    """`motion`, `motion_x`, `motion_y`: as the filter `motion` counts them, from the flow of a network.

    The network always sees pictures of 320x576 (H x W), as SANA-Video runs UniMatch: a portrait clip's are transposed
    for it, and their flow back. A batch holds pairs of one clip only, so that a score depends on nothing but its clip.
    """

    def __init__(self, spec: ModelSpec) -> None:
        keys = spec.section
        self.network = FLOW_NETWORKS[keys.backend](keys.weights, keys.sha256, spec.device)
        self.batch = spec.batch

    def frame_request(self, clip: ScorableClip) -> FrameRequest:
        return sampled(clip, PAIR_S, unit_size(clip.width, clip.height))

    def score(self, views: Views) -> Scores:
        seconds = np.diff(views.times)
        pictures = views.pictures
        portrait = pictures.shape[1] > pictures.shape[2]
        if portrait:
            pictures = pictures.transpose(0, 2, 1, 3)
        pairs = []
        for start in range(0, len(seconds), self.batch):
            end = min(start + self.batch, len(seconds))
            flows = self.network(pictures[start:end], pictures[start + 1 : end + 1])
            if portrait:
                flows = flows.transpose(0, 2, 1, 3)[..., ::-1]
            pairs += [pair_motion(flow, float(gap)) for flow, gap in zip(flows, seconds[start:end], strict=True)]
        return Scores(motion_scores(pairs))
