"""The Linear DiT of SANA-Video (arXiv 2509.24695), in tensors that diffusers' SanaVideoTransformer3DModel loads as is.

Shapes: B batch, C latent channels, T latent frames, H and W latent rows and columns, D width, L text tokens,
S tokens of a frame (H*W over the patch's area), F timesteps of a sample (1 or T).
"""

from __future__ import annotations

from os import PathLike

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from framemill.training.model import weights
from framemill.training.model.attention import LinearSelfAttention, TextCrossAttention
from framemill.training.model.config import LinearDiTConfig
from framemill.training.model.embeddings import TimeEmbedding, TwoLinears
from framemill.training.model.mix_ffn import MixFFN
from framemill.training.model.rope import rotation

CAPTION_NORM_EPS = 1e-5
OUT_NORM_EPS = 1e-6
ZERO_AT_START = ("ff.conv_temp.weight", "attn2.to_out.0.weight", "proj_out.weight")
MASKED = -10000.0  # finite: a caption of which every token is masked still gives numbers


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """x (B, T, S, D) under a shift and a scale (B, F, 1, D): one for a frame, never one for a token."""
    return x * (1 + scale) + shift


class Block(nn.Module):
    """Self-attention, cross-attention, feed-forward; the first and the last modulated and gated by the timestep."""

    def __init__(self, config: LinearDiTConfig) -> None:
        super().__init__()
        width = config.width
        self.norm1 = nn.LayerNorm(width, eps=config.norm_eps, elementwise_affine=False)
        self.attn1 = LinearSelfAttention(width, width, config.num_attention_heads, bias=config.attention_bias)
        self.attn2 = TextCrossAttention(width, config.cross_width, config.num_cross_attention_heads, bias=True)
        self.norm2 = nn.LayerNorm(width, eps=config.norm_eps, elementwise_affine=config.norm_elementwise_affine)
        self.ff = MixFFN(width, int(config.mlp_ratio * width))
        self.scale_shift_table = nn.Parameter(torch.randn(6, width) / width**0.5)

    def forward(
        self, x: Tensor, modulation: Tensor, text: Tensor, text_bias: Tensor, cos: Tensor, sin: Tensor, rows: int
    ) -> Tensor:
        """x (B, T, S, D), modulation (B, F, 6, D), text (B, L, D) -> (B, T, S, D)."""
        frame = x.shape[1:3]
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.scale_shift_table + modulation).unsqueeze(2).unbind(3)
        h = modulate(self.norm1(x), shift1, scale1).flatten(1, 2)
        x = x + gate1 * self.attn1(h, cos, sin).unflatten(1, frame)
        # The text is read by the stream itself: no norm, no modulation, no gate.
        x = x + self.attn2(x.flatten(1, 2), text, text_bias).unflatten(1, frame)
        h = modulate(self.norm2(x), shift2, scale2).unflatten(2, (rows, -1))
        return x + gate2 * self.ff(h).flatten(2, 3)


class LinearDiT(nn.Module):
    """Predicts the flow velocity noise - x0 of video latents. `checkpointing` trades compute for memory in training."""

    def __init__(self, config: LinearDiTConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpointing = False
        width = config.width
        self.patch_embedding = nn.Conv3d(config.in_channels, width, config.patch_size, stride=config.patch_size)
        self.time_embed = TimeEmbedding(width)
        self.caption_projection = TwoLinears(config.caption_channels, width, nn.GELU(approximate="tanh"))
        self.caption_norm = nn.RMSNorm(width, eps=CAPTION_NORM_EPS)
        self.transformer_blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.scale_shift_table = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.norm_out = nn.LayerNorm(width, eps=OUT_NORM_EPS, elementwise_affine=False)
        _, rows, columns = config.patch_size
        self.proj_out = nn.Linear(width, rows * columns * config.out_channels)
        self.init_weights()

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

    def forward(self, latents: Tensor, timestep: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
        """The velocity (B, C, T, H, W) at noisy latents.

        Args:
            latents: (B, C, T, H, W); H and W are multiples of the patch.
            timestep: (B,), or (B, T) with one for each latent frame; 0 (clean) to 1000 (noise), fractions and all.
            text: (B, L, caption_channels).
            text_mask: (B, L), true or 1 at tokens that are there.

        Raises:
            ValueError: shapes that do not fit, or an axis beyond rope_max_seq_len tokens.
        """
        frames, rows, columns = grid = self.token_grid(latents)
        timestep = timestep.reshape(len(latents), -1)
        if timestep.shape[1] not in (1, frames):
            raise ValueError(f"timestep {tuple(timestep.shape)}: is (B,) or (B, {frames}), one per latent frame")
        dtype = self.proj_out.weight.dtype
        x = self.patch_embedding(latents.to(dtype)).flatten(3).permute(0, 2, 3, 1)  # (B, T, S, D)
        time, modulation = self.time_embed(timestep)
        text = self.caption_norm(self.caption_projection(text.to(dtype)))
        text_bias = ((1 - text_mask.to(x.dtype)) * MASKED)[:, None, None, :]
        cos, sin = rotation(grid, self.config.attention_head_dim, x.device)
        for block in self.transformer_blocks:
            if self.checkpointing and self.training:
                x = checkpoint(block, x, modulation, text, text_bias, cos, sin, rows, use_reentrant=False)
            else:
                x = block(x, modulation, text, text_bias, cos, sin, rows)
        shift, scale = (self.scale_shift_table + time.unsqueeze(2)).unsqueeze(2).unbind(3)
        patches = self.proj_out(modulate(self.norm_out(x), shift, scale))
        return self.unpatchify(patches, rows, columns).to(latents.dtype)

    def token_grid(self, latents: Tensor) -> tuple[int, int, int]:
        """Frames, rows and columns of tokens for latents (B, C, T, H, W)."""
        frames, height, width = latents.shape[2:]
        _, patch_height, patch_width = self.config.patch_size
        if height % patch_height or width % patch_width:
            raise ValueError(f"latents of {height}x{width}: sides are multiples of {patch_height}x{patch_width}")
        grid = (frames, height // patch_height, width // patch_width)
        if max(grid) > self.config.rope_max_seq_len:
            raise ValueError(f"token grid {grid}: no axis may be longer than {self.config.rope_max_seq_len}")
        return grid

    def unpatchify(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        """(B, T, S, patch rows * patch columns * C) -> (B, C, T, H, W)."""
        _, height, width = self.config.patch_size
        x = patches.unflatten(-1, (height, width, -1)).unflatten(2, (rows, columns))
        return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)

    def save_diffusers(self, folder: str | PathLike[str]) -> None:
        """Writes a transformer folder that diffusers and `from_diffusers` read."""
        weights.save(folder, self.config, self.state_dict())

    @classmethod
    def from_diffusers(cls, folder: str | PathLike[str]) -> LinearDiT:
        """Reads a transformer folder, sharded or not, in the precision it was stored in.

        Raises:
            RequestError: no such folder, another model's config, or tensors that are missing, extra or misshapen.
        """
        config = weights.load_config(folder)
        with torch.device("meta"):
            model = cls(config)
        tensors = weights.load_tensors(folder)
        weights.check(model.state_dict(), tensors, folder)
        model.load_state_dict(tensors, strict=True, assign=True)
        return model.eval()
