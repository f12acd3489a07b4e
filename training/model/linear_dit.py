"""The Linear DiT of SANA-Video (arXiv 2509.24695), with the tensor names of diffusers' SanaVideoTransformer3DModel.

Shapes: B batch, C latent channels, T latent frames, H and W latent rows and columns, D width, L text tokens,
S tokens of a frame (H*W over the patch's area), F timesteps of a sample (1 or T).
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import cast

import torch
from torch import Tensor, nn

from framemill.platform.network_folder import check_tensors
from framemill.training.model.activation_checkpointing import POLICIES, recompute_in_backward
from framemill.training.model.block import Block, BlockState, modulate
from framemill.training.model.caption import Caption, NullCaption, trim_padding
from framemill.training.model.config import LinearDiTConfig
from framemill.training.model.diffusers_format import (
    read_transformer_config,
    read_transformer_tensors,
    save_transformer,
)
from framemill.training.model.embeddings import TimeEmbedding, TwoLinears
from framemill.training.model.stream_state import StreamState
from framemill.training.model.token_grid import TokenGrid

_CAPTION_NORM_EPS = 1e-5
_OUT_NORM_EPS = 1e-6
_ZERO_INITIALISED = ("ff.conv_temp.weight", "attn2.to_out.0.weight", "proj_out.weight")
"""Name endings of the parameters that `LinearDiT.init_weights` sets to zero."""


class LinearDiT(nn.Module):
    """Predicts the flow velocity noise - x0 of video latents."""

    def __init__(self, config: LinearDiTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch_embedding = nn.Conv3d(config.in_channels, width, config.patch_size, stride=config.patch_size)
        self.time_embed = TimeEmbedding(width)
        self.caption_projection = TwoLinears(config.caption_channels, width, nn.GELU(approximate="tanh"))
        self.caption_norm = nn.RMSNorm(width, eps=_CAPTION_NORM_EPS)
        if config.null_caption_tokens:
            self.null_caption = NullCaption(config.null_caption_tokens, config.caption_channels)
        self.transformer_blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.scale_shift_table = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.norm_out = nn.LayerNorm(width, eps=_OUT_NORM_EPS, elementwise_affine=False)
        _, rows, columns = config.patch_size
        self.proj_out = nn.Linear(width, rows * columns * config.out_channels)
        self.checkpointing = "none"
        self.init_weights()

    @property
    def checkpointing(self) -> str:
        """Activation checkpointing, one of `activation_checkpointing.POLICIES`: "none", "selective" or "full"."""
        return self._checkpointing

    @checkpointing.setter
    def checkpointing(self, policy: str) -> None:
        if policy not in POLICIES:
            raise ValueError(f"checkpointing={policy}: must be one of {', '.join(POLICIES)}")
        self._checkpointing = policy
        for block in self.transformer_blocks:
            cast(Block, block).ff.recompute = policy == "selective"

    @torch.no_grad()
    def init_weights(self) -> None:
        """Initialises all parameters: Xavier projections, N(0, 0.02) conditioning (SANA), and zeros for some branches.

        These branches begin as zero: the temporal convolutions (SANA-Video: each frame is first processed as an image),
        the cross-attentions' output (PixArt: the text gains influence during training) and the last projection. So the
        first velocity is 0 for any input, and the first loss is the target's mean square.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
                if getattr(module, "groups", 1) == 1:  # depthwise convolutions keep torch's default
                    nn.init.xavier_uniform_(module.weight.flatten(1))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for conditioning in (self.time_embed, self.caption_projection):
            for module in conditioning.modules():
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=0.02)
        for name, parameter in self.named_parameters():
            if name.endswith(_ZERO_INITIALISED):
                nn.init.zeros_(parameter)

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        text: Tensor | Caption,
        text_mask: Tensor | None = None,
        blocks: Sequence[int] | None = None,
        drop_caption: Tensor | None = None,
    ) -> Tensor:
        """Returns the velocity (B, C, T, H, W) at noisy latents.

        Args:
            latents: (B, C, T, H, W); H and W are multiples of the patch.
            timestep: (B,), or (B, T) with one timestep per latent frame; float, from 0 (clean) to 1000 (noise).
            text: (B, L, caption_channels), or a Caption from `read_caption`.
            text_mask: (B, L), true or 1 at tokens, false or 0 at padding; None if `text` is a Caption.
            blocks: first frame of each block, rising from 0: a frame attends to frames of the same and earlier blocks.
                None: all frames attend to each other.
            drop_caption: (B,), true where the learned null caption replaces the text.

        Raises:
            ValueError: a shape is not as described, or an axis has more than rope_max_seq_len tokens.
        """
        if drop_caption is not None:
            text, text_mask = self.null_caption(text, text_mask, drop_caption)
        return self._run(latents, timestep, self._read_once(text, text_mask), blocks)[0]

    def new_state(self, batch: int, height: int, width: int) -> StreamState:
        """Returns the state before the first block of `batch` videos, for latents of `height` x `width`."""
        _, rows, columns = self.token_grid((1, height, width))
        return StreamState.empty(self.config, batch, (rows, columns), self.proj_out.weight)

    def step(
        self,
        block: Tensor,
        timestep: Tensor,
        text: Tensor | Caption,
        text_mask: Tensor | None,
        state: StreamState,
        commit: bool,
    ) -> tuple[Tensor, StreamState]:
        """Returns the velocity of a video's next block (B, C, frames, H, W), and the state after the block.

        `forward` with `blocks` returns an equal velocity for these frames. A sampler calls `step` with `commit` false
        until the block is clean, and once more with `commit` true at timestep 0.

        Args:
            block: (B, C, frames, H, W): latents of the next block.
            timestep: (B,), or (B, frames), as in `forward`.
            text: caption, as in `forward`.
            text_mask: mask of the caption, as in `forward`.
            state: state after all earlier blocks.
            commit: true: the returned state includes the block, without gradient; false: `state` is returned.

        Raises:
            ValueError: a shape is not as described, an axis has more than rope_max_seq_len tokens, or the state is of
                another model, batch size, frame size or precision.
        """
        _, rows, columns = self.token_grid(block.shape[2:])
        state.check(StreamState.empty(self.config, len(block), (rows, columns), self.proj_out.weight.to("meta")))
        velocity, states = self._run(block, timestep, self._read_once(text, text_mask), None, state, commit)
        return velocity, StreamState(state.frame + block.shape[2], state.grid, tuple(states)) if commit else state

    def read_caption(self, text: Tensor, text_mask: Tensor) -> Caption:
        """Returns the keys and values of a caption (B, L, caption_channels), for `forward` and `step` as `text`."""
        text, mask = trim_padding(text.to(self.proj_out.weight.dtype), text_mask)
        text = self.caption_norm(self.caption_projection(text))
        pairs = [cast(Block, block).attn2.keys_and_values(text) for block in self.transformer_blocks]
        return Caption(tuple(k for k, _ in pairs), tuple(v for _, v in pairs), mask)

    def _read_once(self, text: Tensor | Caption, text_mask: Tensor | None) -> Caption:
        if isinstance(text, Caption):
            return text
        if text_mask is None:
            raise ValueError("text_mask: must be given with text")
        return self.read_caption(text, text_mask)

    def _run(
        self,
        latents: Tensor,
        timestep: Tensor,
        caption: Caption,
        blocks: Sequence[int] | None,
        state: StreamState | None = None,
        commit: bool = False,
    ) -> tuple[Tensor, list[BlockState]]:
        """Returns the velocity and, with `commit`, the state of each transformer block."""
        frames, rows, columns = grid = self.token_grid(latents.shape[2:])
        timestep = timestep.reshape(len(latents), -1)
        if timestep.shape[1] not in (1, frames):
            raise ValueError(f"timestep {tuple(timestep.shape)}: must be (B,) or (B, {frames}), one per latent frame")
        x = self.patch_embedding(latents.to(self.proj_out.weight.dtype)).flatten(3)
        # (B, T, S, D). Contiguous, since elementwise results inherit strides: a permuted view would stay channels-first
        # in memory through all blocks.
        x = x.permute(0, 2, 3, 1).contiguous()
        time, modulation = self.time_embed(timestep)
        config = self.config
        first_frame = state.frame if state else 0
        tokens = TokenGrid.build(
            grid, blocks, config.attention_head_dim, config.rope_max_seq_len, x.device, first_frame
        )
        states: list[BlockState] = []
        for number, block in enumerate(self.transformer_blocks):
            past = state.blocks[number] if state else None
            inputs = (x, modulation, caption.keys[number], caption.values[number], caption.mask, tokens, past)
            x, block_state = recompute_in_backward(block, *inputs) if self.checkpointing == "full" else block(*inputs)
            if commit:
                states.append(block_state.detached_copy(self.proj_out.weight.dtype))
            del block_state  # a view of an activation, which would stay in memory
        shift, scale = (self.scale_shift_table + time.unsqueeze(2)).unsqueeze(2).unbind(3)
        patches = self.proj_out(modulate(self.norm_out, x, shift, scale))
        return self._unpatchify(patches, rows, columns).to(latents.dtype), states

    def token_grid(self, size: Sequence[int]) -> tuple[int, int, int]:
        """Returns the frames, rows and columns of tokens for latents of `size` (frames, rows, columns).

        Raises:
            ValueError: rows or columns are not multiples of the patch.
        """
        frames, height, width = size
        _, patch_height, patch_width = self.config.patch_size
        if height % patch_height or width % patch_width:
            raise ValueError(f"latents of {height}x{width}: sides must be multiples of {patch_height}x{patch_width}")
        return frames, height // patch_height, width // patch_width

    def _unpatchify(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        """Returns (B, C, T, H, W) for patches (B, T, S, patch rows * patch columns * C)."""
        _, height, width = self.config.patch_size
        x = patches.unflatten(-1, (height, width, -1)).unflatten(2, (rows, columns))
        return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)

    def save_diffusers(self, folder: str | PathLike[str]) -> None:
        """Writes a transformer folder that diffusers and `from_diffusers` read."""
        save_transformer(folder, self.config, self.state_dict())

    @classmethod
    def from_diffusers(cls, folder: str | PathLike[str]) -> LinearDiT:
        """Returns the model in a transformer folder, sharded or not, in the stored precision.

        Raises:
            RequestError: the folder is missing, the config is of another model, or a tensor is missing, extra or of the
                wrong shape.
        """
        config = read_transformer_config(folder)
        with torch.device("meta"):
            model = cls(config)
        tensors = read_transformer_tensors(folder)
        check_tensors(model.state_dict(), tensors, folder)
        model.load_state_dict(tensors, strict=True, assign=True)
        return model.eval()
