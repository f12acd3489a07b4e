"""Use the Linear DiT alone: velocities of a whole video at once, and block by block with a state of constant size.

python examples/use_model.py
"""

import torch

from framemill.training.model import LinearDiT, LinearDiTConfig


def main() -> None:
    """Compares a block-causal forward pass over the whole video with `step` calls block by block."""
    torch.manual_seed(0)
    model = LinearDiT(LinearDiTConfig.tiny()).eval()
    latents = torch.randn(1, 16, 6, 8, 12)  # batch, channels, latent frames, height, width
    text, mask = torch.randn(1, 20, 64), torch.ones(1, 20)
    noise_level = torch.tensor([500.0])  # 0 clean, 1000 noise

    with torch.no_grad():
        whole = model(latents, noise_level, text, mask, blocks=[0, 3])
        caption = model.read_caption(text, mask)
        state = model.new_state(1, 8, 12)
        parts = []
        for block in latents.split(3, dim=2):
            velocity, state = model.step(block, noise_level, caption, None, state, commit=True)
            parts.append(velocity)
    difference = (torch.cat(parts, dim=2) - whole).abs().max().item()
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, velocity {tuple(whole.shape)}")
    print(f"largest difference between whole and block by block: {difference:.1e}")
    assert difference < 1e-4


if __name__ == "__main__":
    main()
