"""The scorer `motion`: motion scores from an optical flow network, RAFT or an ONNX file such as UniMatch's."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.filters.motion_units import PAIR_S, motion_scores, pair_motion, unit_size
from framemill.data_filters.models.base import FrameRequest, ModelSpec, SampledFrames, ScorableClip, Scores
from framemill.data_filters.models.sampled_frames import frame_request_every
from framemill.platform.vision.optical_flow import FLOW_NETWORKS


class FlowMotion:
    """`motion`, `motion_x`, `motion_y`: the scores of the filter `motion`, computed from the flow of a network.

    The network's input is always 320x576 (H x W), as in SANA-Video's use of UniMatch. Frames of a portrait clip are
    transposed before the network, and their flow is transposed back. A batch has frame pairs of one clip only, so that
    scores do not depend on other clips.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Loads the network of `motion.backend`.

        Raises:
            RequestError: the weight file is missing, has another sha256, or is not a network of `motion.backend`.
        """
        keys = spec.section
        self.network = FLOW_NETWORKS[keys.backend](keys.weights, keys.sha256, spec.device)
        self.batch = spec.batch

    def frame_request(self, clip: ScorableClip) -> FrameRequest:
        """Returns the request for the frames of a clip that the network needs."""
        return frame_request_every(clip, PAIR_S, unit_size(clip.width, clip.height))

    def score(self, sampled: SampledFrames) -> Scores:
        """Returns the motion scores of a clip from its sampled frames."""
        seconds = np.diff(sampled.times)
        frames = sampled.frames
        portrait = frames.shape[1] > frames.shape[2]
        if portrait:
            frames = frames.transpose(0, 2, 1, 3)
        pairs = []
        for start in range(0, len(seconds), self.batch):
            end = min(start + self.batch, len(seconds))
            flows = self.network(frames[start:end], frames[start + 1 : end + 1])
            if portrait:
                flows = flows.transpose(0, 2, 1, 3)[..., ::-1]
            pairs += [pair_motion(flow, float(gap)) for flow, gap in zip(flows, seconds[start:end], strict=True)]
        return Scores(motion_scores(pairs))
