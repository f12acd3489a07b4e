"""The memory of a training step, counted tensor by tensor, against that of diffusers' model with the same weights."""

import weakref
from collections.abc import Callable

import pytest
import torch
from diffusers import SanaVideoTransformer3DModel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from framemill.training.model import LinearDiT, LinearDiTConfig

CONFIG = LinearDiTConfig(
    num_attention_heads=4,
    attention_head_dim=32,
    num_layers=4,
    num_cross_attention_heads=4,
    cross_attention_head_dim=32,
    caption_channels=16,
    patch_size=(1, 1, 1),
)
FRAMES, SIDE = 16, 16
"""4,096 tokens."""


class Peak(TorchDispatchMode):
    """The most bytes that tensors made under it held at once."""

    current = highest = 0

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and id(tensor.untyped_storage()) not in self.seen:
                self.count(tensor.untyped_storage())
        return made

    def count(self, storage: torch.UntypedStorage) -> None:
        number, size = id(storage), storage.nbytes()
        self.seen.add(number)
        self.current += size
        self.highest = max(self.highest, self.current)
        weakref.finalize(storage, self.freed, number, size)

    def freed(self, number: int, size: int) -> None:
        self.seen.discard(number)
        self.current -= size


def peak(forward: Callable[[torch.Tensor], torch.Tensor]) -> int:
    latents = torch.zeros(1, 16, FRAMES, SIDE, SIDE)
    with Peak() as peak:
        forward(latents).square().mean().backward()
    return peak.highest


def ours(policy: str, timestep: torch.Tensor) -> int:
    model, text = LinearDiT(CONFIG), torch.zeros(1, 8, 16)
    model.checkpointing = policy
    return peak(lambda latents: model(latents, timestep, text, torch.ones(1, 8)))


def theirs(policy: str) -> int:
    values = {name: value for name, value in CONFIG.to_diffusers().items() if not name.startswith("_")}
    model, text = SanaVideoTransformer3DModel(**values).train(), torch.zeros(1, 8, 16)
    if policy == "full":
        model.enable_gradient_checkpointing()
    timestep, mask = torch.tensor([500.0]), torch.ones(1, 8)
    return peak(lambda latents: model(latents, text, timestep, encoder_attention_mask=mask, return_dict=False)[0])


def test_the_count_is_right() -> None:
    with Peak() as peak:
        a = torch.zeros(1000)
        b = a + 1
        del a
        c = b.view(10, 100) * 2
        del b, c
        torch.zeros(500)
    assert (peak.highest, peak.current) == (8000, 0)


@pytest.mark.parametrize("policy", ["none", "full"])
def test_a_step_takes_seven_tenths_of_diffusers_at_most(policy: str) -> None:
    assert ours(policy, torch.tensor([500.0])) < 0.7 * theirs(policy)


def test_each_policy_takes_less_than_the_one_before_and_timesteps_of_frames_next_to_nothing() -> None:
    one, of_frames = torch.tensor([500.0]), torch.linspace(0, 1000, FRAMES)[None]
    scalars = {policy: ours(policy, one) for policy in ("none", "selective", "full")}
    assert scalars["none"] > 1.2 * scalars["selective"] > 1.2 * scalars["full"]
    for policy, scalar in scalars.items():
        assert ours(policy, of_frames) < 1.05 * scalar
