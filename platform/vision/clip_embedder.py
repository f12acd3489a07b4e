"""CLIP image embeddings and LAION's aesthetic heads, with weights from files."""

from __future__ import annotations

from typing import Any

import numpy as np

from framemill.platform.errors import RequestError
from framemill.platform.weights import read_state_dict

_LINEAR_LAYERS, _RELU_LAYERS = [0, 2, 4, 6, 7], [0, 3, 6, 9, 11]
"""Indices of the linear layers in improved-aesthetic-predictor, without ReLUs (linearMSE) and with ReLUs (reluMSE)."""


class ClipEmbedder:
    """The image encoder of an open_clip network, in float32, with OpenAI's normalisation (open_clip's default).

    A call takes images, uint8 (N, H, W, 3) RGB, whose shorter side is `side` pixels, crops the centre square, and
    returns embeddings, float32 (N, D), of unit length.

    Args:
        network: open_clip name of the architecture; OpenAI's weights need a name that ends in -quickgelu.
        weights: path or URI of a CLIP state dict (safetensors or torch), of which only the image encoder is used.
        sha256: sha256 of the file; empty: not checked.
        device: "cpu" or "cuda".
        threads: number of threads on the CPU; torch has one setting for the whole process.

    Raises:
        RequestError: open_clip has no such network, or the file is missing, has another sha256 or other tensors.
    """

    def __init__(self, network: str, weights: str, sha256: str = "", device: str = "cpu", threads: int = 1) -> None:
        import open_clip
        import torch

        if network not in open_clip.list_models():
            raise RequestError(f"{network}: open_clip has no such network", file=network)
        state = read_state_dict(weights, sha256)
        model: Any = open_clip.create_model(network, load_weights=False, pretrained_text=False)
        visual = {name.removeprefix("visual."): value for name, value in state.items() if name.startswith("visual.")}
        try:
            model.visual.load_state_dict(visual)
        except RuntimeError as error:
            message = f"{weights}: does not hold the weights of open_clip's {network}"
            raise RequestError(message, file=weights) from error
        torch.set_num_threads(threads)
        self.model, self.device = model.eval(), device
        self.model.visual.to(device)
        self.side = int(model.visual.image_size[0])
        self.width = int(open_clip.get_model_config(network)["embed_dim"])
        """D, the size of an embedding."""
        self.mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN, device=device)
        self.std = torch.tensor(open_clip.OPENAI_DATASET_STD, device=device)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Returns (width, height) scaled so that the shorter side is `side`, the size that a call expects."""
        shorter = min(width, height)
        return self.side * width // shorter, self.side * height // shorter

    def __call__(self, images: np.ndarray) -> np.ndarray:
        import torch

        top, left = (round((side - self.side) / 2) for side in images.shape[1:3])
        centre = images[:, top : top + self.side, left : left + self.side]
        batch = torch.from_numpy(np.ascontiguousarray(centre)).to(self.device).float() / 255
        batch = ((batch - self.mean) / self.std).permute(0, 3, 1, 2)
        # Deterministic algorithms without TF32, so that results are reproducible to the last digit.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            return self.model.encode_image(batch, normalize=True).cpu().numpy()


class AestheticHead:
    """LAION's aesthetic score of CLIP embeddings of unit length, computed in float64.

    The head is one linear layer, or the five linear layers of the improved predictor (D-1024-128-64-16-1; dropout is
    inactive at inference).

    Args:
        weights: path or URI of the head's state dict.
        sha256: sha256 of the file; empty: not checked.

    Raises:
        RequestError: the file is missing, has another sha256, or is not one of these heads.
    """

    def __init__(self, weights: str, sha256: str = "") -> None:
        state = {name: value.double().numpy() for name, value in read_state_dict(weights, sha256).items()}
        numbers = sorted({int(name.split(".")[1]) for name in state if name.startswith("layers.")})
        layers = [f"layers.{number}." for number in numbers] or [""]
        wanted = {layer + part for layer in layers for part in ("weight", "bias")}
        if numbers not in ([], _LINEAR_LAYERS, _RELU_LAYERS) or set(state) != wanted:
            raise RequestError(f"{weights}: is no aesthetic head of LAION's, of one layer or of five", file=weights)
        self.layers = [(state[f"{layer}weight"], state[f"{layer}bias"]) for layer in layers]
        self.relu = numbers == _RELU_LAYERS
        self.width = self.layers[0][0].shape[1]
        """D, the size of an embedding."""

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """Returns the aesthetic scores, float64 (N,), of embeddings (N, D)."""
        values = embeddings.astype(np.float64)
        for number, (weight, bias) in enumerate(self.layers):
            values = values @ weight.T + bias
            if self.relu and number < len(self.layers) - 1:
                values = np.maximum(values, 0)
        return values[:, 0]
