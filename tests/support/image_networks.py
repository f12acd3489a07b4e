"""Small image networks with seeded random weights, as files in the formats that users have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import open_clip
import torch
from onnx import TensorProto, helper, numpy_helper

Shape = list[int | None]
"""Dimensions of an ONNX tensor; None for one that is free."""
TINY_CLIP = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
}


def tiny_clip(folder: Path) -> tuple[str, Path, torch.nn.Module]:
    """Name of a small CLIP model that is registered with open_clip in this process, path of its weights, the model."""
    name = "framemill-tiny"
    (folder / f"{name}.json").write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(folder / f"{name}.json")
    return name, folder / "clip.pt", saved_clip(name, folder / "clip.pt")


def saved_clip(name: str, path: Path) -> torch.nn.Module:
    """A CLIP model of open_clip by name, with random weights whose state dict is written to `path`."""
    torch.manual_seed(1)
    model = open_clip.create_model(name, load_weights=False)
    for value in model.parameters():  # some begin as zeros, in which an error could hide
        torch.nn.init.normal_(value, std=0.2)
    torch.save(model.state_dict(), path)
    return model.eval()


class ImprovedPredictor(torch.nn.Module):
    """LAION's aesthetic head, as published: https://github.com/christophschuhmann/improved-aesthetic-predictor."""

    def __init__(self, width: int, relu: bool) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        for number, (wide, narrow) in enumerate([(width, 1024), (1024, 128), (128, 64), (64, 16)]):
            layers.append(torch.nn.Linear(wide, narrow))
            layers += [torch.nn.ReLU()] if relu else []
            layers += [torch.nn.Dropout(0.1 if number == 2 else 0.2)] if number < 3 else []
        self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(16, 1))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        return self.layers(embeddings)


def head(kind: str, width: int, path: Path) -> torch.nn.Module:
    """An aesthetic head of a kind (linear, mse or relu), whose state dict is written to `path`."""
    torch.manual_seed(2)
    made = torch.nn.Linear(width, 1) if kind == "linear" else ImprovedPredictor(width, kind == "relu")
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(made.state_dict(), path)
    else:
        torch.save(made.state_dict(), path)
    return made.eval()


def saved_graph(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, Shape],
    outputs: dict[str, Shape],
    constants: dict[str, np.ndarray],
) -> Path:
    """Writes an ONNX model of these nodes, inputs and outputs (shapes by name) and constants."""

    def values(shapes: dict[str, Shape]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "made_by_a_test", values(inputs), values(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def classifier(path: Path, *, side: int = 16, classes: int = 3, batch: int | None = None, last: bool = False) -> Path:
    """Writes an ONNX classifier: convolution, tanh, linear layer, with the weights of `classifier_weights`.

    `batch` fixes the batch size of its input; `last`: its input has the channels last.
    """
    kernel, weight, bias = classifier_weights(classes)
    turn = [helper.make_node("Transpose", ["given"], ["pictures"], perm=[0, 3, 1, 2])] if last else []
    nodes = [
        *turn,
        helper.make_node("Conv", ["pictures" if last else "given", "kernel"], ["features"], strides=[4, 4]),
        helper.make_node("Tanh", ["features"], ["bent"]),
        helper.make_node("Flatten", ["bent"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"]),
    ]
    shape = [batch, side, side, 3] if last else [batch, 3, side, side]
    constants = {"kernel": kernel, "weight": weight, "bias": bias}
    return saved_graph(path, nodes, {"given": shape}, {"logits": [batch, classes]}, constants)


def classifier_weights(classes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kernel of the convolution, weight and bias of the linear layer."""
    random = np.random.default_rng(5)
    shapes = [(4, 3, 4, 4), (4 * 16, classes), (classes,)]
    kernel, weight, bias = (random.normal(size=shape).astype(np.float32) for shape in shapes)
    return kernel / 2, weight, bias


def classifier_logits(pictures: np.ndarray, mean: list[float], std: list[float], classes: int = 3) -> np.ndarray:
    """Logits of `classifier` in torch, (N, classes), for images uint8 (N, 16, 16, 3)."""
    kernel, weight, bias = map(torch.from_numpy, classifier_weights(classes))
    batch = (torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(
        std
    )[:, None, None]
    features = torch.nn.functional.conv2d(batch, kernel, stride=4).tanh().flatten(1)
    return (features @ weight + bias).double().numpy()


def dover(path: Path, views: int | None = 4) -> Path:
    """Writes an ONNX model with the inputs and outputs of DOVER's own export: two views in, two scores out.

    Each branch is a convolution over time and space, a tanh and a mean, with the weights of `dover_kernels`.
    """
    kernels = dover_kernels()
    nodes = []
    for name, score in (("aes_view", "aesthetic"), ("tech_view", "technical")):
        nodes += [
            helper.make_node("Conv", [name, f"{score}_kernel"], [f"{score}_features"], strides=[8, 32, 32]),
            helper.make_node("Tanh", [f"{score}_features"], [f"{score}_bent"]),
            helper.make_node("ReduceMean", [f"{score}_bent"], [score], axes=[1, 2, 3, 4], keepdims=0),
        ]
    inputs = {"aes_view": [1, 3, 32, 224, 224], "tech_view": [views, 3, 32, 224, 224]}
    constants = {f"{name}_kernel": kernel for name, kernel in kernels.items()}
    return saved_graph(path, nodes, inputs, {"aesthetic": [1], "technical": [views]}, constants)


def dover_kernels() -> dict[str, np.ndarray]:
    """Kernel of the convolution of each branch of `dover`."""
    random = np.random.default_rng(6)
    names = ("aesthetic", "technical")
    return {name: random.normal(size=(2, 3, 8, 32, 32)).astype(np.float32) * 0.02 for name in names}
