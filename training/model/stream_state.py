"""What a block-causal model remembers of the video so far: as much after one block as after a thousand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from os import PathLike

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from framemill.platform.errors import RequestError
from framemill.training.model.attention import Sums
from framemill.training.model.block import BlockMemory
from framemill.training.model.config import LinearDiTConfig


@dataclass(frozen=True)
class StreamState:
    """The state between two calls of `LinearDiT.step`; a step returns a new one and leaves this as it is."""

    frame: int  # latent frames folded in: where the next block stands
    grid: tuple[int, int]  # rows and columns of tokens in a frame
    memories: tuple[BlockMemory, ...]  # one for each transformer block

    @classmethod
    def empty(cls, config: LinearDiTConfig, batch: int, grid: tuple[int, int], like: Tensor) -> StreamState:
        """Before the first block of videos with that many rows and columns, in the type and place of `like`."""
        sums = (batch, config.num_attention_heads, config.attention_head_dim)
        memories = (
            BlockMemory(
                Sums(
                    like.new_zeros(*sums, config.attention_head_dim, dtype=torch.float32),
                    like.new_zeros(*sums, dtype=torch.float32),
                ),
                like.new_zeros(batch, 1, math.prod(grid), config.width),
            )
            for _ in range(config.num_layers)
        )
        return cls(0, grid, tuple(memories))

    def tensors(self) -> dict[str, Tensor]:
        """By the names they have in a file."""
        return {
            f"{number}.{name}": tensor
            for number, (sums, last) in enumerate(self.memories)
            for name, tensor in (("kv", sums.kv), ("k", sums.k), ("last", last))
        }

    def check(self, fresh: StreamState) -> None:
        """Raises ValueError where a model that begins with `fresh` cannot go on from this state."""
        found, expected = self._shapes(), fresh._shapes()
        for name in expected | found:
            mine, wanted = found.get(name), expected.get(name)
            if mine != wanted:
                raise ValueError(f"state: its {name} is {mine}, of this model and block {wanted}")

    def _shapes(self) -> dict[str, tuple[object, ...]]:
        tensors = {name: (*tensor.shape, tensor.dtype) for name, tensor in self.tensors().items()}
        return {"grid": self.grid, **tensors}

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def to(self, device: torch.device | str) -> StreamState:
        memories = (
            BlockMemory(Sums(m.sums.kv.to(device), m.sums.k.to(device)), m.last.to(device)) for m in self.memories
        )
        return StreamState(self.frame, self.grid, tuple(memories))

    def save(self, path: str | PathLike[str]) -> None:
        """Writes a safetensors file, from which another process goes on with the video."""
        rows, columns = self.grid
        save_file(self.tensors(), path, metadata={"frame": str(self.frame), "grid": f"{rows}x{columns}"})

    @classmethod
    def load(cls, path: str | PathLike[str]) -> StreamState:
        """Reads what `save` wrote.

        Raises:
            RequestError: no such file, or not the state of a stream.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata()
                rows, columns = map(int, metadata["grid"].split("x"))
                names = file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
            frame = int(metadata["frame"])
            memories = tuple(
                BlockMemory(Sums(tensors[f"{number}.kv"], tensors[f"{number}.k"]), tensors[f"{number}.last"])
                for number in range(len(tensors) // 3)
            )
        except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
            raise RequestError(f"{path}: is not the state of a stream ({error})") from error
        return cls(frame, (rows, columns), memories)
