"""Loads a rank's training batch of a step as tensors, a pure function of (seed, stage, step).

All randomness (noise, timesteps, caption dropout, choice of caption, conditioning frames) is drawn for each sample from
a generator that is keyed by seed, stage, step and the sample's position in the global batch: threads, workers and
restarts cannot change it.

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
from framemill.training.data.captions import pick_caption
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.data.planner import StagePlan, key64
from framemill.training.model import rectified_flow
from framemill.training.text.base import pad


@dataclass(frozen=True)
class TrainBatch:
    """Clips of one bucket, with the noise and the noise level of each frame."""

    x0: Tensor
    """(B, C, T, H, W): latents."""
    noise: Tensor
    """(B, C, T, H, W): standard normal noise."""
    sigma: Tensor
    """(B, T): share of noise; 0 at a conditioning frame."""
    text: Tensor
    """(B, L, D): text embeddings, padded with zeros."""
    text_mask: Tensor
    """(B, L), bool: true at tokens."""
    drop_caption: Tensor
    """(B,), bool: true where the empty caption replaces the clip's caption."""

    def to(self, device: torch.device) -> TrainBatch:
        """Returns the batch on another device."""
        return replace(self, **{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})

    def split(self, parts: int) -> list[TrainBatch]:
        """Returns the batch as `parts` equal batches, split along B."""
        chunks = {name: value.chunk(parts) for name, value in vars(self).items()}
        return [TrainBatch(**{name: values[part] for name, values in chunks.items()}) for part in range(parts)]


def keyed_generator(*key: object) -> torch.Generator:
    """Returns a random generator whose seed is a hash of plain values."""
    return torch.Generator().manual_seed(key64(*key) >> 1)


def text_tensors(texts: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Returns text embeddings (L_i, D) as (B, L, D), padded to the longest, and a bool mask (B, L), true at tokens."""
    text, mask = pad(texts)
    return torch.from_numpy(text), torch.from_numpy(mask)


class Loader:
    """Loads the batches of one rank in one stage."""

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
        """Makes the loader.

        Args:
            dataset: the encoded dataset.
            plan: batch plan of the stage.
            stage: config of the stage.
            seed: seed of the run.
            caption_dropout: share of captions replaced by the empty caption.
            rank: index of this rank.
            workers: number of ranks.
        """
        self.dataset, self.plan, self.stage = dataset, plan, stage
        self.seed, self.caption_dropout = seed, caption_dropout
        self.rank, self.workers = rank, workers

    def load(self, step: int) -> TrainBatch:
        """Returns this rank's share of the global batch of the stage's step, counted from 0."""
        batch = self.plan.batch(step)
        latents, noises, sigmas, texts, drop_caption = [], [], [], [], []
        for position in batch.positions(self.rank, self.workers):
            random = keyed_generator(self.seed, self.plan.stage, step, position)
            latent = torch.from_numpy(self.dataset.latent(batch.rows[position], batch.bucket))
            if batch.images:  # codecs are causal: the first latent frame encodes the first frame alone
                latent = latent[:, :1]
            drop_caption.append(bool(torch.rand((), generator=random) < self.caption_dropout))
            sigma = self._sample_sigma(random, latent.shape[1])
            noises.append(torch.randn(latent.shape, generator=random))
            sigmas.append(self._condition_first_frame(random, sigma))
            latents.append(latent)
            # Drawn last, so that a clip's noise does not depend on its number of captions.
            chance = float(torch.rand((), generator=random))
            number = pick_caption(self.dataset.caption_weights[batch.rows[position]], chance)
            drops = drop_caption[-1]
            texts.append(self.dataset.null_text if drops else self.dataset.text(batch.rows[position], number))
        return TrainBatch(
            torch.stack(latents),
            torch.stack(noises),
            torch.stack(sigmas),
            *text_tensors(texts),
            torch.tensor(drop_caption),
        )

    def _sample_sigma(self, random: torch.Generator, frames: int) -> Tensor:
        """Returns sigmas (T,): one value for all frames, or one for each block."""
        starts = self.stage.blocks(frames)
        if starts is None:
            sigma = rectified_flow.logit_normal_timesteps(random, 1).expand(frames)
        else:
            lengths = torch.tensor([*starts[1:], frames]) - torch.tensor(starts)
            sigma = rectified_flow.block_sigmas(random, len(starts)).repeat_interleave(lengths)
        return rectified_flow.shift_sigma(sigma, self.stage.flow_shift)

    def _condition_first_frame(self, random: torch.Generator, sigma: Tensor) -> Tensor:
        """Returns sigmas (T,), with 0 for the first frame if the clip is drawn for image to video."""
        is_clean = torch.rand((), generator=random) < self.stage.image_to_video
        return torch.cat((torch.zeros(1), sigma[1:])) if is_clean and len(sigma) > 1 else sigma

    def batches(self, first: int) -> Iterator[tuple[int, TrainBatch]]:
        """Yields (step, batch) from step `first` to the stage's last; the next batch is read in a thread meanwhile."""
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as reader:
            following = reader.submit(self.load, first)
            for step in range(first, self.stage.steps):
                batch = following.result()
                if step + 1 < self.stage.steps:
                    following = reader.submit(self.load, step + 1)
                yield step, batch
