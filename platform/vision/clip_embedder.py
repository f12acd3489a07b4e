"""CLIP's embeddings of pictures, and LAION's aesthetic heads on them, from weights given as files."""

from __future__ import annotations

from typing import Any

import numpy as np

from framemill.platform.errors import RequestError
from framemill.platform.weights import read_state_dict

PLAIN, WITH_RELU = [0, 2, 4, 6, 7], [0, 3, 6, 9, 11]
"""Where improved-aesthetic-predictor's linear layers lie among its dropouts (linearMSE), and its ReLUs (reluMSE)."""


class ClipEmbedder:
    """The picture side of a CLIP that open_clip builds, in float32, normalised as OpenAI's (open_clip's default).

    Called with uint8 (N, H, W, 3) RGB, whose shorter side is `side`, it sees the middle square and gives float32 (N, D)
    of unit length.

    Args:
        network: open_clip's name. OpenAI's own weights are of the names that end in -quickgelu.
        weights: path or URI of a CLIP's state dict, safetensors or torch's; only its picture side is read.
        sha256: of that file; not checked where empty.
        device: "cpu" or "cuda".
        threads: on the CPU; torch has one number for the whole process.

    Raises:
        RequestError: there is no such network, or the file does not hold its weights.
    """

    def __init__(self, network: str, weights: str, sha256: str = "", device: str = "cpu", threads: int = 1) -> None:
        import open_clip
        import torch

        if network not in open_clip.list_models():
            raise RequestError(f"{network}: open_clip has no such network")
        state = read_state_dict(weights, sha256)
        model: Any = open_clip.create_model(network, load_weights=False, pretrained_text=False)
        seen = {name.removeprefix("visual."): value for name, value in state.items() if name.startswith("visual.")}
        try:
            model.visual.load_state_dict(seen)
        except RuntimeError as error:
            raise RequestError(f"{weights}: does not hold the weights of open_clip's {network}") from error
        torch.set_num_threads(threads)
        self.model, self.device = model.eval(), device
        self.model.visual.to(device)
        self.side = int(model.visual.image_size[0])
        self.width = int(open_clip.get_model_config(network)["embed_dim"])
        """D"""
        self.mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN, device=device)
        self.std = torch.tensor(open_clip.OPENAI_DATASET_STD, device=device)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The size at which it wants a picture: as large as it sees, the rest of the longer side beyond."""
        shorter = min(width, height)
        return self.side * width // shorter, self.side * height // shorter

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        import torch

        top, left = (round((side - self.side) / 2) for side in pictures.shape[1:3])
        middle = pictures[:, top : top + self.side, left : left + self.side]
        batch = torch.from_numpy(np.ascontiguousarray(middle)).to(self.device).float() / 255
        batch = ((batch - self.mean) / self.std).permute(0, 3, 1, 2)
        # Without the fixed algorithms and whole float32 the last decimals would depend on the day.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            return self.model.encode_image(batch, normalize=True).cpu().numpy()


class AestheticHead:
    """LAION's aesthetic score of an embedding of unit length: its linear layer, or the five of its improved predictor
    (D-1024-128-64-16-1; dropout does nothing at inference). Computed in float64.

    Raises:
        RequestError: the file holds none of these.
    """

    def __init__(self, weights: str, sha256: str = "") -> None:
        state = {name: value.double().numpy() for name, value in read_state_dict(weights, sha256).items()}
        numbers = sorted({int(name.split(".")[1]) for name in state if name.startswith("layers.")})
        layers = [f"layers.{number}." for number in numbers] or [""]
        wanted = {layer + part for layer in layers for part in ("weight", "bias")}
        if numbers not in ([], PLAIN, WITH_RELU) or set(state) != wanted:
            raise RequestError(f"{weights}: is no aesthetic head of LAION's, of one layer or of five")
        self.layers = [(state[f"{layer}weight"], state[f"{layer}bias"]) for layer in layers]
        self.relu = numbers == WITH_RELU
        self.width = self.layers[0][0].shape[1]
        """D"""

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """Scores float64 (N) of embeddings (N, D)."""
        values = embeddings.astype(np.float64)
        for number, (weight, bias) in enumerate(self.layers):
            values = values @ weight.T + bias
            if self.relu and number < len(self.layers) - 1:
                values = np.maximum(values, 0)
        return values[:, 0]
