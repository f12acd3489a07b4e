"""The loss on held-out clips: one number that can be compared between any two moments of a run.

It is taken at fixed quantiles of the last stage's training timesteps, with noise that is fixed for each clip, on the
last stage's buckets, whichever stage is training. Beside it stand the loss with captions exchanged among the clips (a
model that reads its captions does worse) and that of the best linear predictor (a model that sees more than single
values does better).

Shapes: B batch (here the quantiles of one clip), C channels, T, H, W latent frames, rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from framemill.training import flow
from framemill.training.curriculum import StageConfig
from framemill.training.latents import LatentDataset
from framemill.training.loader import Clips, generator, text_batch

Predictor = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(latents, timestep, text, text_mask) -> velocity, as LinearDiT."""


@dataclass(frozen=True)
class Baseline:
    """What the held-out clips are like before any training."""

    linear_loss: float  # of the best predictor a x + b, one for each channel and timestep
    variance: list[float]  # of each channel


class Evaluation:
    """Held-out clips of a dataset, shared out over the ranks."""

    def __init__(
        self, dataset: LatentDataset, rows: list[int], stage: StageConfig, quantiles: list[float], seed: int
    ) -> None:
        """`rows`: held-out clips that have a latent of `stage`, the last of the curriculum."""
        self.dataset, self.rows, self.stage, self.seed = dataset, rows, stage, seed
        normal = torch.special.ndtri(torch.tensor(quantiles, dtype=torch.float64))
        self.sigma = flow.shift_sigma(torch.sigmoid(normal), stage.flow_shift).float()
        self._captions = other_captions([dataset.text(row) for row in rows])

    def clip(self, number: int) -> Clips:
        """The held-out clip of that number, once for each quantile, with its own caption."""
        row = self.rows[number]
        bucket = self.dataset.bucket_of(row, self.stage)
        assert bucket is not None
        x0 = torch.from_numpy(self.dataset.latent(row, bucket)).expand(len(self.sigma), -1, -1, -1, -1)
        noise = torch.randn(x0.shape, generator=generator(self.seed, "evaluation", self.dataset.keys[row]))
        return Clips(x0, noise, self.sigma, *self.text(row))

    def text(self, row: int) -> tuple[Tensor, Tensor]:
        """The clip's caption and mask, repeated for each quantile."""
        text, mask = text_batch([self.dataset.text(row)])
        return text.expand(len(self.sigma), -1, -1), mask.expand(len(self.sigma), -1)

    def losses(self, predict: Predictor, device: torch.device, rank: int, workers: int) -> Tensor:
        """A rank's sums over its clips, float64 (2, Q): with true and with exchanged captions, at each quantile.

        Every rank calls the model equally often (ZeRO 3 gathers weights in each call); surplus calls count for nothing.
        """
        total = torch.zeros(2, len(self.sigma), dtype=torch.float64)
        for first in range(0, len(self.rows), workers):
            number = first + rank
            counts = number < len(self.rows)
            number = number if counts else first
            clip = self.clip(number).to(device)
            x = flow.interpolate(clip.x0, clip.noise, clip.sigma)
            target = flow.velocity(clip.x0, clip.noise)
            other = tuple(part.to(device) for part in self.text(self.rows[self._captions[number]]))
            for kind, (text, mask) in enumerate(((clip.text, clip.text_mask), other)):
                with torch.no_grad():
                    error = predict(x, flow.timestep(clip.sigma), text, mask) - target
                total[kind] += error.double().square().mean(dim=(1, 2, 3, 4)).cpu() * counts
        return total

    def summary(self, total: Tensor) -> dict[str, float]:
        """Mean losses from the sums of all ranks, (2, Q)."""
        true, exchanged = total / len(self.rows)
        by_quantile = {f"loss_sigma_{sigma:.2f}": float(loss) for sigma, loss in zip(self.sigma, true, strict=True)}
        return {"loss": float(true.mean()), "loss_other_captions": float(exchanged.mean()), **by_quantile}

    def baseline(self) -> Baseline:
        """The best linear predictor's loss, in closed form: Var(v) - Cov(x, v)^2 / Var(x) in each channel."""
        moments = torch.stack([clip_moments(clip) for clip in self._clips()]).mean(0)  # (6, Q, C)
        x, v, xx, xv, vv, power = moments
        residual = vv - v * v - (xv - x * v).square() / (xx - x * x)
        mean = torch.stack([clip.x0[0].double().mean(dim=(1, 2, 3)) for clip in self._clips()]).mean(0)
        return Baseline(float(residual.mean()), [round(float(value), 4) for value in power[0] - mean * mean])

    def _clips(self) -> Iterator[Clips]:
        return (self.clip(number) for number in range(len(self.rows)))


def clip_moments(clip: Clips) -> Tensor:
    """Means over a clip's frames, rows and columns of x, v, x^2, x v, v^2 and x0^2: float64 (6, Q, C)."""
    x0, noise, sigma = clip.x0.double(), clip.noise.double(), clip.sigma.double()
    x, v = flow.interpolate(x0, noise, sigma), flow.velocity(x0, noise)
    return torch.stack([value.mean(dim=(2, 3, 4)) for value in (x, v, x * x, x * v, v * v, x0 * x0)])


def other_captions(texts: list[np.ndarray]) -> list[int]:
    """For each caption the number of the next one that says something else; its own where all are alike."""
    found = []
    for number, text in enumerate(texts):
        following = [(number + step) % len(texts) for step in range(1, len(texts))]
        found.append(next((other for other in following if not np.array_equal(texts[other], text)), number))
    return found
