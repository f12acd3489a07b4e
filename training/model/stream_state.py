"""The state of a block-causal model after the frames so far, of constant size for any length of the video."""

from __future__ import annotations

import math
from dataclasses import dataclass
from os import PathLike

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from framemill.platform.errors import RequestError
from framemill.training.model.attention import AttentionSums
from framemill.training.model.block import BlockState
from framemill.training.model.config import LinearDiTConfig


@dataclass(frozen=True)
class StreamState:
    """State between two calls of `LinearDiT.step`; a step returns a new state and leaves the old state unchanged."""

    frame: int
    """Number of latent frames that the state includes, which is the position of the next block."""
    grid: tuple[int, int]
    """Rows and columns of tokens in a frame."""
    blocks: tuple[BlockState, ...]
    """State of each transformer block."""

    @classmethod
    def empty(cls, config: LinearDiTConfig, batch: int, grid: tuple[int, int], like: Tensor) -> StreamState:
        """Returns the state before the first frame: zeros, on the device of `like`.

        Args:
            config: config of the model.
            batch: number of videos.
            grid: rows and columns of tokens in a frame.
            like: tensor with the dtype of `BlockState.conv_frame`; the attention sums are always float32.
        """
        heads = (batch, config.num_attention_heads, config.attention_head_dim)
        blocks = (
            BlockState(
                AttentionSums(
                    like.new_zeros(*heads, config.attention_head_dim, dtype=torch.float32),
                    like.new_zeros(*heads, dtype=torch.float32),
                ),
                like.new_zeros(batch, 1, math.prod(grid), config.width),
            )
            for _ in range(config.num_layers)
        )
        return cls(0, grid, tuple(blocks))

    def tensors(self) -> dict[str, Tensor]:
        """Returns the tensors by their names in a file: `<block>.kv`, `<block>.k` and `<block>.last`."""
        return {
            f"{number}.{name}": tensor
            for number, block in enumerate(self.blocks)
            for name, tensor in (("kv", block.attention.kv), ("k", block.attention.k), ("last", block.conv_frame))
        }

    def check(self, expected: StreamState) -> None:
        """Checks that a model whose empty state is `expected` can continue from this state.

        Raises:
            ValueError: the grid, or the shape or dtype of a tensor, differs.
        """
        shapes, expected_shapes = self._shapes(), expected._shapes()
        for name in expected_shapes | shapes:
            if shapes.get(name) != expected_shapes.get(name):
                raise ValueError(f"state: {name} is {shapes.get(name)}, must be {expected_shapes.get(name)}")

    def _shapes(self) -> dict[str, tuple[object, ...]]:
        tensors = {name: (*tensor.shape, tensor.dtype) for name, tensor in self.tensors().items()}
        return {"grid": self.grid, **tensors}

    @property
    def nbytes(self) -> int:
        """Size of the tensors in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def to(self, device: torch.device | str) -> StreamState:
        """Returns the state on another device."""
        blocks = (
            BlockState(
                AttentionSums(block.attention.kv.to(device), block.attention.k.to(device)),
                block.conv_frame.to(device),
            )
            for block in self.blocks
        )
        return StreamState(self.frame, self.grid, tuple(blocks))

    def save(self, path: str | PathLike[str]) -> None:
        """Writes a safetensors file, from which another process can continue the video."""
        rows, columns = self.grid
        save_file(self.tensors(), path, metadata={"frame": str(self.frame), "grid": f"{rows}x{columns}"})

    @classmethod
    def load(cls, path: str | PathLike[str]) -> StreamState:
        """Returns the state that `save` wrote.

        Raises:
            RequestError: the file is absent, or is not a saved state.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata()
                rows, columns = map(int, metadata["grid"].split("x"))
                names = file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
            frame = int(metadata["frame"])
            blocks = tuple(
                BlockState(AttentionSums(tensors[f"{number}.kv"], tensors[f"{number}.k"]), tensors[f"{number}.last"])
                for number in range(len(tensors) // 3)
            )
        except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
            raise RequestError(f"{path}: is not a saved stream state ({error})") from error
        return cls(frame, (rows, columns), blocks)
