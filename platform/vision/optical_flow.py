"""Optical flow by networks whose weights are given as files.

A network is called with two batches of pictures, uint8 (N, H, W, 3) RGB, the earlier and the later ones, and gives the
flow float32 (N, H, W, 2): how far each pixel of the earlier picture moves to the right and down, in pixels of H x W.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.vision.onnx_file import OnnxNetwork
from framemill.platform.weights import read_state_dict

RAFT_STEP = 8
"""RAFT takes pictures whose sides are multiples of this; others are padded with their edges."""
STEM = "feature_encoder.convnormrelu.0.weight"
"""The tensor by which RAFT's sizes are told apart: 64 filters in the large one, 32 in the small one."""


class FlowNetwork(Protocol):
    def __call__(self, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        """The flow between pairs of pictures."""


class RaftFlow:
    """RAFT (Teed and Deng 2020) as torchvision builds it, the large or the small one, whichever the weights are of.

    Args:
        weights: path or URI of a state dict of torchvision's `raft_large` or `raft_small`.
        sha256: of that file; not checked where empty.
        device: "cpu" or "cuda".
        threads: on the CPU; torch has one number for the whole process.
    """

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu", threads: int = 1) -> None:
        import torch
        from torchvision.models.optical_flow import raft_large, raft_small

        state = read_state_dict(weights, sha256)
        large = STEM in state and state[STEM].shape[0] == 64
        network = (raft_large if large else raft_small)(weights=None)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise RequestError(f"{weights}: does not hold the weights of torchvision's raft_large or _small") from error
        torch.set_num_threads(threads)
        self.network, self.device = network.eval().to(device), device

    def __call__(self, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        import torch

        height, width = earlier.shape[1:3]
        # Without the fixed algorithms and whole float32 the last decimals would depend on the day.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            flow = self.network(self.pictures(earlier), self.pictures(later))[-1].cpu().numpy()
        top, left = ((-side % RAFT_STEP) // 2 for side in (height, width))
        return np.ascontiguousarray(flow[:, :, top : top + height, left : left + width].transpose(0, 2, 3, 1))

    def pictures(self, rgb: np.ndarray) -> Any:
        """As RAFT was trained: float32 (N, 3, H, W), -1..1, with the sides it takes."""
        import torch

        batch = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        down, right = (-side % RAFT_STEP for side in rgb.shape[1:3])
        edges = (right // 2, right - right // 2, down // 2, down - down // 2)
        return torch.nn.functional.pad(batch, edges, mode="replicate")


class OnnxFlow:
    """Any flow network in an ONNX file with two pictures as inputs, such as an export of UniMatch.

    The inputs are float32 (N, 3, H, W) RGB, 0..255; the output, the last where there are several refinements, is the
    flow (N, 2, H, W). A file made for one pair at a time is given one at a time.

    Args:
        weights: path or URI of the file.
        sha256: of that file; not checked where empty.
        device: "cpu" or "cuda".
        threads: on the CPU.
    """

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu", threads: int = 1) -> None:
        self.network = OnnxNetwork(weights, sha256, device, threads)
        self.network.require(2, 4, "a flow network takes two float (N, 3, H, W)")
        self.one_by_one = self.network.shapes[0][0] == 1

    def __call__(self, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        pair = [np.ascontiguousarray(rgb.transpose(0, 3, 1, 2), dtype=np.float32) for rgb in (earlier, later)]
        step = 1 if self.one_by_one else len(earlier)
        flows = [self.network(*(batch[i : i + step] for batch in pair))[-1] for i in range(0, len(earlier), step)]
        flow = np.concatenate(flows)
        wanted = (len(earlier), 2, *earlier.shape[1:3])
        if flow.shape != wanted:
            raise FramemillError(f"{self.network.weights}: gives {flow.shape}, not a flow {wanted}")
        return np.ascontiguousarray(flow.transpose(0, 2, 3, 1), dtype=np.float32)


FLOW_NETWORKS: dict[str, Any] = {"raft": RaftFlow, "onnx": OnnxFlow}
"""By the names that a config calls them."""
