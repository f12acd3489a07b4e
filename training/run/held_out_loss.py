"""The loss on held-out clips: one number that can be compared between any two moments of a run.

It is taken at fixed quantiles of the last stage's training timesteps, with noise that is fixed for each clip, on the
last stage's buckets, whichever stage is training. Beside it stand the loss with captions exchanged among the clips (a
model that reads its captions does worse) and that of the best linear predictor (a model that sees more than single
values does better); and, where the last stage trains on them, the losses of image to video and of images. A
block-causal stage is evaluated in its blocks, all at one sigma.

Shapes: B batch (here the quantiles of one clip), C channels, T, H, W latent frames, rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from framemill.training.curriculum import StageConfig
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.data.loader import TrainBatch, generator, text_batch
from framemill.training.model import rectified_flow

Predictor = Callable[[Tensor, Tensor, Tensor, Tensor, list[int] | None], Tensor]
"""(latents, timestep, text, text_mask, blocks) -> velocity, as LinearDiT."""


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
        self.sigma = rectified_flow.shift_sigma(torch.sigmoid(normal), stage.flow_shift).float()
        self._captions = other_captions([dataset.text(row) for row in rows])
        more = {"image_to_video": stage.image_to_video, "images": stage.images}
        self.kinds = ["text_to_video", "other_captions", *(name for name, share in more.items() if share)]

    def clip(self, number: int) -> TrainBatch:
        """The held-out clip of that number, once for each quantile, with its own caption."""
        row = self.rows[number]
        bucket = self.dataset.bucket_of(row, self.stage)
        assert bucket is not None
        count = len(self.sigma)
        x0 = torch.from_numpy(self.dataset.latent(row, bucket)).expand(count, -1, -1, -1, -1)
        noise = torch.randn(x0.shape, generator=generator(self.seed, "evaluation", self.dataset.keys[row]))
        sigma = self.sigma[:, None].expand(-1, x0.shape[2])
        return TrainBatch(x0, noise, sigma, *self.text(row), torch.zeros(count, dtype=torch.bool))

    def text(self, row: int) -> tuple[Tensor, Tensor]:
        """The clip's caption and mask, repeated for each quantile."""
        text, mask = text_batch([self.dataset.text(row)])
        return text.expand(len(self.sigma), -1, -1), mask.expand(len(self.sigma), -1)

    def view(self, number: int, kind: str) -> TrainBatch:
        """The clip as one of `kinds` has it."""
        clip = self.clip(number)
        if kind == "other_captions":
            text, mask = self.text(self.rows[self._captions[number]])
            return replace(clip, text=text, text_mask=mask)
        if kind == "image_to_video":
            return replace(clip, sigma=torch.cat((torch.zeros_like(clip.sigma[:, :1]), clip.sigma[:, 1:]), dim=1))
        if kind == "images":
            return replace(clip, x0=clip.x0[:, :, :1], noise=clip.noise[:, :, :1], sigma=clip.sigma[:, :1])
        return clip

    def losses(self, predict: Predictor, device: torch.device, rank: int, workers: int) -> Tensor:
        """A rank's sums over its clips, float64 (kinds, Q): the loss of each kind at each quantile.

        Every rank calls the model equally often (ZeRO 3 gathers weights in each call); surplus calls count for nothing.
        """
        total = torch.zeros(len(self.kinds), len(self.sigma), dtype=torch.float64)
        for first in range(0, len(self.rows), workers):
            number = first + rank
            counts = number < len(self.rows)
            for row, kind in enumerate(self.kinds):
                clip = self.view(number if counts else first, kind).to(device)
                x = rectified_flow.interpolate(clip.x0, clip.noise, clip.sigma)
                target = rectified_flow.velocity(clip.x0, clip.noise)
                with torch.no_grad():
                    blocks = self.stage.blocks(x.shape[2])
                    found = predict(x, rectified_flow.timestep(clip.sigma), clip.text, clip.text_mask, blocks)
                total[row] += rectified_flow.losses(found.double(), target.double(), clip.sigma).cpu() * counts
        return total

    def summary(self, total: Tensor) -> dict[str, float]:
        """Mean losses from the sums of all ranks, (kinds, Q): `loss` is text to video's, `loss_<kind>` another's."""
        true, *others = total / len(self.rows)
        by_kind = {f"loss_{kind}": float(loss.mean()) for kind, loss in zip(self.kinds[1:], others, strict=True)}
        by_quantile = {f"loss_sigma_{sigma:.2f}": float(loss) for sigma, loss in zip(self.sigma, true, strict=True)}
        return {"loss": float(true.mean()), **by_kind, **by_quantile}

    def baseline(self) -> Baseline:
        """The best linear predictor's loss, in closed form: Var(v) - Cov(x, v)^2 / Var(x) in each channel."""
        moments = torch.stack([clip_moments(clip) for clip in self._clips()]).mean(0)  # (6, Q, C)
        x, v, xx, xv, vv, power = moments
        residual = vv - v * v - (xv - x * v).square() / (xx - x * x)
        mean = torch.stack([clip.x0[0].double().mean(dim=(1, 2, 3)) for clip in self._clips()]).mean(0)
        return Baseline(float(residual.mean()), [round(float(value), 4) for value in power[0] - mean * mean])

    def _clips(self) -> Iterator[TrainBatch]:
        return (self.clip(number) for number in range(len(self.rows)))


def clip_moments(clip: TrainBatch) -> Tensor:
    """Means over a clip's frames, rows and columns of x, v, x^2, x v, v^2 and x0^2: float64 (6, Q, C)."""
    x0, noise, sigma = clip.x0.double(), clip.noise.double(), clip.sigma.double()
    x, v = rectified_flow.interpolate(x0, noise, sigma), rectified_flow.velocity(x0, noise)
    return torch.stack([value.mean(dim=(2, 3, 4)) for value in (x, v, x * x, x * v, v * v, x0 * x0)])


def other_captions(texts: list[np.ndarray]) -> list[int]:
    """For each caption the number of the next one that says something else; its own where all are alike."""
    found = []
    for number, text in enumerate(texts):
        following = [(number + step) % len(texts) for step in range(1, len(texts))]
        found.append(next((other for other in following if not np.array_equal(texts[other], text)), number))
    return found
