"""Batches as tensors: what a rank trains on at a step, as a pure function of (seed, stage, step).

All chance (noise, timestep, dropped captions, which of several) is drawn for each sample from a generator keyed by
seed, stage, step and the sample's position in the global batch: neither threads, nor workers, nor a restart can change
it.

Shapes: B batch, C channels, T latent frames, H and W latent rows and columns, L text tokens, D text width.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from framemill.training import flow
from framemill.training.captions import pick
from framemill.training.curriculum import StageConfig
from framemill.training.latents import LatentDataset
from framemill.training.planner import StagePlan, key64
from framemill.training.text.base import pad


@dataclass(frozen=True)
class Clips:
    """Clips of one bucket, with the noise and the place on the flow that they are seen at."""

    x0: Tensor  # (B, C, T, H, W)
    noise: Tensor  # (B, C, T, H, W)
    sigma: Tensor  # (B,)
    text: Tensor  # (B, L, D)
    text_mask: Tensor  # (B, L), bool

    def to(self, device: torch.device) -> Clips:
        return replace(self, **{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})

    def split(self, parts: int) -> list[Clips]:
        """Equal slices along B."""
        chunks = {name: value.chunk(parts) for name, value in vars(self).items()}
        return [Clips(**{name: values[part] for name, values in chunks.items()}) for part in range(parts)]


def generator(*key: object) -> torch.Generator:
    """A generator that is keyed by plain values."""
    return torch.Generator().manual_seed(key64(*key) >> 1)


def text_batch(texts: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Captions (L_i, D) as (B, L, D), padded to the longest, and the mask (B, L) of what is there."""
    text, mask = pad(texts)
    return torch.from_numpy(text), torch.from_numpy(mask)


class Loader:
    """One rank's batches of one stage."""

    def __init__(
        self,
        dataset: LatentDataset,
        plan: StagePlan,
        stage: StageConfig,
        *,
        seed: int,
        caption_dropout: float,
        rank: int,
        workers: int,
    ) -> None:
        self.dataset, self.plan, self.stage = dataset, plan, stage
        self.seed, self.caption_dropout = seed, caption_dropout
        self.rank, self.workers = rank, workers
        self._null = dataset.null_text

    def load(self, step: int) -> Clips:
        """This rank's share of the global batch of the stage's step, counted from 0."""
        batch = self.plan.batch(step)
        latents, noises, sigmas, texts = [], [], [], []
        for position in batch.share(self.rank, self.workers):
            chance = generator(self.seed, self.plan.stage, step, position)
            latent = torch.from_numpy(self.dataset.latent(batch.rows[position], batch.bucket))
            dropped = torch.rand((), generator=chance) < self.caption_dropout
            sigmas.append(flow.logit_normal_timesteps(chance, 1))
            noises.append(torch.randn(latent.shape, generator=chance))
            latents.append(latent)
            # Drawn last: a clip's noise is the same however many captions it has.
            number = pick(self.dataset.text_weights[batch.rows[position]], float(torch.rand((), generator=chance)))
            texts.append(self._null if dropped else self.dataset.text(batch.rows[position], number))
        sigma = flow.shift_sigma(torch.cat(sigmas), self.stage.flow_shift)
        return Clips(torch.stack(latents), torch.stack(noises), sigma, *text_batch(texts))

    def batches(self, first: int) -> Iterator[tuple[int, Clips]]:
        """(step, clips) from step `first` to the stage's last, each read while the one before it is trained on."""
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as reader:
            following = reader.submit(self.load, first)
            for step in range(first, self.stage.steps):
                clips = following.result()
                if step + 1 < self.stage.steps:
                    following = reader.submit(self.load, step + 1)
                yield step, clips
