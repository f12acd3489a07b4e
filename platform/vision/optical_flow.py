"""Optical flow networks with weights from files.

A network takes two batches of frames, uint8 (N, H, W, 3) RGB, and returns the flow from the first to the second batch,
float32 (N, H, W, 2): the displacement of each pixel to the right and down, in pixels.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.vision.onnx_file import OnnxNetwork
from framemill.platform.weights import read_state_dict

_RAFT_STEP = 8
"""RAFT needs sides that are multiples of this number of pixels; other frames are padded by repeating their edges."""
_STEM = "feature_encoder.convnormrelu.0.weight"
"""Name of the weights of RAFT's first convolution, which has 64 filters in raft_large and 32 in raft_small."""


class FlowNetwork(Protocol):
    """Interface of a network that returns the optical flow between pairs of frames."""

    def __call__(self, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        """Returns the flow, float32 (N, H, W, 2), from `earlier` to `later`, uint8 (N, H, W, 3)."""


class RaftFlow:
    """torchvision's RAFT (Teed and Deng 2020, arXiv:2003.12039), large or small depending on the weights.

    Args:
        weights: path or URI of a state dict of torchvision's `raft_large` or `raft_small`.
        sha256: sha256 of the file; empty: not checked.
        device: "cpu" or "cuda".
        threads: number of threads on the CPU; torch has one setting for the whole process.

    Raises:
        RequestError: the file is missing, has another sha256, or has other tensors.
    """

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu", threads: int = 1) -> None:
        import torch
        from torchvision.models.optical_flow import raft_large, raft_small

        state = read_state_dict(weights, sha256)
        large = _STEM in state and state[_STEM].shape[0] == 64
        network = (raft_large if large else raft_small)(weights=None)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            message = f"{weights}: does not hold the weights of torchvision's raft_large or _small"
            raise RequestError(message, file=weights) from error
        torch.set_num_threads(threads)
        self.network, self.device = network.eval().to(device), device

    def __call__(self, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        import torch

        height, width = earlier.shape[1:3]
        # Deterministic algorithms without TF32, so that results are reproducible to the last digit.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            flow = self.network(self._batch(earlier), self._batch(later))[-1].cpu().numpy()
        top, left = ((-side % _RAFT_STEP) // 2 for side in (height, width))
        return np.ascontiguousarray(flow[:, :, top : top + height, left : left + width].transpose(0, 2, 3, 1))

    def _batch(self, rgb: np.ndarray) -> Any:
        """Returns frames as RAFT's input: float32 (N, 3, H, W), -1..1, padded to multiples of `_RAFT_STEP`."""
        import torch

        batch = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        down, right = (-side % _RAFT_STEP for side in rgb.shape[1:3])
        edges = (right // 2, right - right // 2, down // 2, down - down // 2)
        return torch.nn.functional.pad(batch, edges, mode="replicate")


class OnnxFlow:
    """A flow network in an ONNX file, such as an export of UniMatch.

    The network takes two inputs, float32 (N, 3, H, W) RGB, 0..255. Its last output is the flow (N, 2, H, W); previous
    outputs are coarser refinements. A network with a fixed batch size of 1 is called once per pair.

    Args:
        weights: path or URI of the file.
        sha256: sha256 of the file; empty: not checked.
        device: "cpu" or "cuda".
        threads: number of threads on the CPU.

    Raises:
        RequestError: the file is missing, has another sha256, or does not take two batches of frames.
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
            message = f"{self.network.weights}: must give a flow {wanted}, gives {flow.shape}"
            raise FramemillError(message, file=self.network.weights)
        return np.ascontiguousarray(flow.transpose(0, 2, 3, 1), dtype=np.float32)


FLOW_NETWORKS: dict[str, Any] = {"raft": RaftFlow, "onnx": OnnxFlow}
"""Classes of flow networks by value of `motion.backend`."""
