"""Weights of optical flow networks: an ONNX file with a flow in closed form, and RAFT with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torchvision.models.optical_flow import raft_small


def closed_form(path: Path, *, size: tuple[int | None, int | None] = (None, None), batch: int | None = None) -> Path:
    """Writes an ONNX network whose flow has a closed form.

    At each pixel x is 0.1 times the change of the channels' mean from the earlier frame to the later; y is 0.05 times
    the mean of the whole earlier frame. `size` (H, W) and `batch` fix the shape of its inputs.
    """
    shape = [batch, 3, *size]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image1", "image2")]
    output = helper.make_tensor_value_info("flow", TensorProto.FLOAT, [batch, 2, *size])
    numbers = {"tenth": 0.1, "twentieth": 0.05, "zero": 0.0}
    nodes = [
        helper.make_node("Sub", ["image2", "image1"], ["change"]),
        helper.make_node("ReduceMean", ["change"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["grey", "tenth"], ["x"]),
        helper.make_node("ReduceMean", ["image1"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "twentieth"], ["level"]),
        helper.make_node("Mul", ["grey", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "level"], ["y"]),
        helper.make_node("Concat", ["x", "y"], ["flow"], axis=1),
    ]
    constants = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in numbers.items()]
    graph = helper.make_graph(nodes, "closed_form", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def closed_form_flow(earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """The flow of `closed_form` in numpy, from two batches of frames (N, H, W, 3): (N, H, W, 2)."""
    x = 0.1 * (later.astype(np.float64) - earlier).mean(-1)
    y = np.broadcast_to(0.05 * earlier.astype(np.float64).mean((1, 2, 3))[:, None, None], x.shape)
    return np.stack([x, y], -1)


def random_raft(path: Path) -> Path:
    """Writes a state dict of torchvision's small RAFT with seeded random weights."""
    torch.manual_seed(0)
    torch.save(raft_small(weights=None).state_dict(), path)
    return path
