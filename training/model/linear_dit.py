"""The Linear DiT of SANA-Video (arXiv 2509.24695), in tensors that diffusers' SanaVideoTransformer3DModel loads as is.

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
from framemill.training.model import diffusers_format
from framemill.training.model.activation_checkpointing import POLICIES, recompute_forward
from framemill.training.model.block import Block, BlockMemory, modulate
from framemill.training.model.caption import Caption, NullCaption, trim
from framemill.training.model.config import LinearDiTConfig
from framemill.training.model.embeddings import TimeEmbedding, TwoLinears
from framemill.training.model.stream_state import StreamState
from framemill.training.model.token_grid import TokenGrid

CAPTION_NORM_EPS = 1e-5
OUT_NORM_EPS = 1e-6
ZERO_AT_START = ("ff.conv_temp.weight", "attn2.to_out.0.weight", "proj_out.weight")


class LinearDiT(nn.Module):
    """Predicts the flow velocity noise - x0 of video latents."""

    def __init__(self, config: LinearDiTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch_embedding = nn.Conv3d(config.in_channels, width, config.patch_size, stride=config.patch_size)
        self.time_embed = TimeEmbedding(width)
        self.caption_projection = TwoLinears(config.caption_channels, width, nn.GELU(approximate="tanh"))
        self.caption_norm = nn.RMSNorm(width, eps=CAPTION_NORM_EPS)
        if config.null_caption_tokens:
            self.null_caption = NullCaption(config.null_caption_tokens, config.caption_channels)
        self.transformer_blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.scale_shift_table = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.norm_out = nn.LayerNorm(width, eps=OUT_NORM_EPS, elementwise_affine=False)
        _, rows, columns = config.patch_size
        self.proj_out = nn.Linear(width, rows * columns * config.out_channels)
        self.checkpointing = "none"
        self.init_weights()

    @property
    def checkpointing(self) -> str:
        """What the backward pass computes again to save memory: "none", "selective" (the feed-forward) or "full"."""
        return self._checkpointing

    @checkpointing.setter
    def checkpointing(self, policy: str) -> None:
        if policy not in POLICIES:
            raise ValueError(f"checkpointing={policy}: is one of {', '.join(POLICIES)}")
        self._checkpointing = policy
        for block in self.transformer_blocks:
            cast(Block, block).ff.recomputes = policy == "selective"

    @torch.no_grad()
    def init_weights(self) -> None:
        """Xavier projections, N(0, 0.02) conditioning (SANA), and zeros where a branch should begin as absent.

        Zero are the temporal convolutions (SANA-Video: each frame starts as an image), the cross-attentions' output
        (PixArt: the text comes in as it proves useful) and the last projection: the first velocity is 0 whatever the
        input, so that the first loss is the target's power and not that of a random network.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
                if getattr(module, "groups", 1) == 1:  # torch's own scale suits the depthwise ones
                    nn.init.xavier_uniform_(module.weight.flatten(1))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for conditioning in (self.time_embed, self.caption_projection):
            for module in conditioning.modules():
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=0.02)
        for name, parameter in self.named_parameters():
            if name.endswith(ZERO_AT_START):
                nn.init.zeros_(parameter)

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        text: Tensor | Caption,
        text_mask: Tensor | None = None,
        blocks: Sequence[int] | None = None,
        dropped: Tensor | None = None,
    ) -> Tensor:
        """The velocity (B, C, T, H, W) at noisy latents.

        Args:
            latents: (B, C, T, H, W); H and W are multiples of the patch.
            timestep: (B,), or (B, T) with one for each latent frame; 0 (clean) to 1000 (noise), fractions and all.
            text: (B, L, caption_channels), or what `read_caption` made of it.
            text_mask: (B, L), true or 1 at tokens that are there; None with a Caption.
            blocks: the first frames of blocks, rising from 0: a frame sees its block and those before it. None: all
                frames see each other.
            dropped: (B,), true where the learned null caption takes the text's place; only where the config has one.

        Raises:
            ValueError: shapes that do not fit, or an axis beyond rope_max_seq_len tokens.
        """
        if dropped is not None:
            text, text_mask = self.null_caption(text, text_mask, dropped)
        return self._run(latents, timestep, self._caption(text, text_mask), blocks)[0]

    def new_state(self, batch: int, height: int, width: int) -> StreamState:
        """The state before the first block of videos with latents (batch, C, any, height, width)."""
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
        """The velocity of a video's next block (B, C, frames, H, W), given the state of all before it.

        Equals what `forward` with `blocks` gives for these frames. A sampler calls it with `commit` false until the
        block is clean, and once more with `commit` true at timestep 0: only then is the block folded into the state
        that is returned, which carries no gradient. Without `commit` that is the state that was given.

        Raises:
            ValueError: as `forward`, and a state of another model, batch, size or precision.
        """
        _, rows, columns = self.token_grid(block.shape[2:])
        fresh = StreamState.empty(self.config, len(block), (rows, columns), self.proj_out.weight.to("meta"))
        state.check(fresh)
        caption = self._caption(text, text_mask)
        velocity, memories = self._run(block, timestep, caption, None, state, commit)
        return velocity, StreamState(state.frame + block.shape[2], state.grid, tuple(memories)) if commit else state

    def read_caption(self, text: Tensor, text_mask: Tensor) -> Caption:
        """What every block takes of a caption (B, L, caption_channels); give it to `forward` in place of the text."""
        text, mask = trim(text.to(self.proj_out.weight.dtype), text_mask)
        text = self.caption_norm(self.caption_projection(text))
        pairs = [cast(Block, block).attn2.read(text) for block in self.transformer_blocks]
        return Caption(tuple(k for k, _ in pairs), tuple(v for _, v in pairs), mask)

    def _caption(self, text: Tensor | Caption, text_mask: Tensor | None) -> Caption:
        if isinstance(text, Caption):
            return text
        if text_mask is None:
            raise ValueError("text_mask: is needed beside text")
        return self.read_caption(text, text_mask)

    def _run(
        self,
        latents: Tensor,
        timestep: Tensor,
        caption: Caption,
        blocks: Sequence[int] | None,
        state: StreamState | None = None,
        commit: bool = False,
    ) -> tuple[Tensor, list[BlockMemory]]:
        """The velocity and, with `commit`, what each block is to remember."""
        frames, rows, columns = grid = self.token_grid(latents.shape[2:])
        timestep = timestep.reshape(len(latents), -1)
        if timestep.shape[1] not in (1, frames):
            raise ValueError(f"timestep {tuple(timestep.shape)}: is (B,) or (B, {frames}), one per latent frame")
        x = self.patch_embedding(latents.to(self.proj_out.weight.dtype)).flatten(3)
        x = x.permute(0, 2, 3, 1).contiguous()  # (B, T, S, D): every sum below would keep another order in memory
        time, modulation = self.time_embed(timestep)
        config = self.config
        layout = TokenGrid.of(
            grid, blocks, config.attention_head_dim, config.rope_max_seq_len, x.device, state.frame if state else 0
        )
        memories: list[BlockMemory] = []
        for number, block in enumerate(self.transformer_blocks):
            past = state.memories[number] if state else None
            inputs = (x, modulation, caption.keys[number], caption.values[number], caption.mask, layout, past)
            x, memory = recompute_forward(block, *inputs) if self.checkpointing == "full" else block(*inputs)
            if commit:
                memories.append(memory.kept(self.proj_out.weight.dtype))
            del memory  # a view of an activation
        shift, scale = (self.scale_shift_table + time.unsqueeze(2)).unsqueeze(2).unbind(3)
        patches = self.proj_out(modulate(self.norm_out, x, shift, scale))
        return self.unpatchify(patches, rows, columns).to(latents.dtype), memories

    def token_grid(self, size: Sequence[int]) -> tuple[int, int, int]:
        """Frames, rows and columns of tokens for latents of that many frames, rows and columns."""
        frames, height, width = size
        _, patch_height, patch_width = self.config.patch_size
        if height % patch_height or width % patch_width:
            raise ValueError(f"latents of {height}x{width}: sides are multiples of {patch_height}x{patch_width}")
        return frames, height // patch_height, width // patch_width

    def unpatchify(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        """(B, T, S, patch rows * patch columns * C) -> (B, C, T, H, W)."""
        _, height, width = self.config.patch_size
        x = patches.unflatten(-1, (height, width, -1)).unflatten(2, (rows, columns))
        return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)

    def save_diffusers(self, folder: str | PathLike[str]) -> None:
        """Writes a transformer folder that diffusers and `from_diffusers` read."""
        diffusers_format.save_transformer(folder, self.config, self.state_dict())

    @classmethod
    def from_diffusers(cls, folder: str | PathLike[str]) -> LinearDiT:
        """Reads a transformer folder, sharded or not, in the precision it was stored in.

        Raises:
            RequestError: no such folder, another model's config, or tensors that are missing, extra or misshapen.
        """
        config = diffusers_format.read_transformer_config(folder)
        with torch.device("meta"):
            model = cls(config)
        tensors = diffusers_format.read_transformer_tensors(folder)
        check_tensors(model.state_dict(), tensors, folder)
        model.load_state_dict(tensors, strict=True, assign=True)
        return model.eval()
