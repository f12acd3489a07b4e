"""The formula for floating-point operations against torch's own count of what was run."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from framemill.training.model import LinearDiT, LinearDiTConfig
from framemill.training.model.flops import forward_flops


@pytest.mark.parametrize("patch", [1, 2])
def test_the_formula_counts_what_runs(patch: int) -> None:
    config = LinearDiTConfig(
        num_attention_heads=3,
        attention_head_dim=16,
        num_layers=2,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        caption_channels=10,
        patch_size=(1, patch, patch),
    )
    text, mask = torch.randn(1, 9, 10), torch.ones(1, 9)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter, sdpa_kernel(SDPBackend.MATH):  # torch does not count into the fused kernels
        LinearDiT(config)(torch.randn(1, 16, 3, 8, 8), torch.rand(1, 3), text, mask)
    tokens = 3 * (8 // patch) ** 2
    assert counter.get_total_flops() == pytest.approx(forward_flops(config, tokens, 9, timesteps=3), rel=0.01)


def test_sana_video_2b_at_480p() -> None:
    """185 MFLOP for a token in a block, worked out by hand from the layers' widths."""
    config = LinearDiTConfig.sana_video_2b()
    per_token = (forward_flops(config, 2, 300) - forward_flops(config, 1, 300)) / config.num_layers
    assert per_token == pytest.approx(185e6, rel=0.01)
