"""Batches as tensors: what a rank trains on at a step, as a pure function of (seed, stage, step).

All chance (noise, timesteps, dropped captions, which of several, given frames) is drawn for each sample from a
generator keyed by seed, stage, step and the sample's position in the global batch: neither threads, nor workers, nor a
restart can change it.

Shapes: B batch, C channels, T latent frames, H and W latent rows and columns, L text tokens, D text width.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from framemill.training.curriculum import StageConfig
from framemill.training.data.captions import pick
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.data.planner import StagePlan, key64
from framemill.training.model import rectified_flow
from framemill.training.text.base import pad


@dataclass(frozen=True)
class TrainBatch:
    """Clips of one bucket, with the noise and the place on the flow that each of their frames is seen at."""

    x0: Tensor  # (B, C, T, H, W)
    noise: Tensor  # (B, C, T, H, W)
    sigma: Tensor  # (B, T); 0 at a frame that is given
    text: Tensor  # (B, L, D)
    text_mask: Tensor  # (B, L), bool
    dropped: Tensor  # (B,), bool: the text is the empty caption, in place of the clip's own

    def to(self, device: torch.device) -> TrainBatch:
        return replace(self, **{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})

    def split(self, parts: int) -> list[TrainBatch]:
        """Equal slices along B."""
        chunks = {name: value.chunk(parts) for name, value in vars(self).items()}
        return [TrainBatch(**{name: values[part] for name, values in chunks.items()}) for part in range(parts)]


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

    def load(self, step: int) -> TrainBatch:
        """This rank's share of the global batch of the stage's step, counted from 0."""
        batch = self.plan.batch(step)
        latents, noises, sigmas, texts, dropped = [], [], [], [], []
        for position in batch.share(self.rank, self.workers):
            chance = generator(self.seed, self.plan.stage, step, position)
            latent = torch.from_numpy(self.dataset.latent(batch.rows[position], batch.bucket))
            if batch.images:  # codecs are causal: the first latent frame is that of the first picture alone
                latent = latent[:, :1]
            dropped.append(bool(torch.rand((), generator=chance) < self.caption_dropout))
            sigma = self._sigma(chance, latent.shape[1])
            noises.append(torch.randn(latent.shape, generator=chance))
            sigmas.append(self._give_first(chance, sigma))
            latents.append(latent)
            # Drawn last: a clip's noise is the same however many captions it has.
            number = pick(self.dataset.text_weights[batch.rows[position]], float(torch.rand((), generator=chance)))
            texts.append(self._null if dropped[-1] else self.dataset.text(batch.rows[position], number))
        return TrainBatch(
            torch.stack(latents),
            torch.stack(noises),
            torch.stack(sigmas),
            *text_batch(texts),
            torch.tensor(dropped),
        )

    def _sigma(self, chance: torch.Generator, frames: int) -> Tensor:
        """(T,): one sigma for all frames, or one for each block."""
        starts = self.stage.blocks(frames)
        if starts is None:
            sigma = rectified_flow.logit_normal_timesteps(chance, 1).expand(frames)
        else:
            lengths = torch.tensor([*starts[1:], frames]) - torch.tensor(starts)
            sigma = rectified_flow.block_sigmas(chance, len(starts)).repeat_interleave(lengths)
        return rectified_flow.shift_sigma(sigma, self.stage.flow_shift)

    def _give_first(self, chance: torch.Generator, sigma: Tensor) -> Tensor:
        """The sigmas (T,) of the task that the clip falls to: image to video has the first frame as it is."""
        given = torch.rand((), generator=chance) < self.stage.image_to_video
        return torch.cat((torch.zeros(1), sigma[1:])) if given and len(sigma) > 1 else sigma

    def batches(self, first: int) -> Iterator[tuple[int, TrainBatch]]:
        """(step, clips) from step `first` to the stage's last, each read while the one before it is trained on."""
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as reader:
            following = reader.submit(self.load, first)
            for step in range(first, self.stage.steps):
                clips = following.result()
                if step + 1 < self.stage.steps:
                    following = reader.submit(self.load, step + 1)
                yield step, clips
