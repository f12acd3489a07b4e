"""The held-out loss: one number that can be compared between any two steps of a run.

The loss is taken on clips that training never uses, at fixed quantiles of the last stage's training timesteps, with
fixed noise for each clip, and in the last stage's buckets, whichever stage is training. Also reported: the loss with
captions exchanged among the clips (higher for a model that uses its captions), the loss of the best linear predictor
(higher than that of a model that uses context) and, if the last stage trains on these tasks, the losses of image to
video and of images. A block-causal stage is evaluated with block-causal attention, with one sigma for all blocks.

Shapes: B batch (here the quantiles of one clip), Q quantiles, C channels, T, H, W latent frames, rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from framemill.training.curriculum import StageConfig
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.data.loader import TrainBatch, keyed_generator, text_tensors
from framemill.training.model import rectified_flow
from framemill.training.run.metrics_file import HeldOutLosses

_TEXT_TO_VIDEO, _OTHER_CAPTIONS = "text_to_video", "other_captions"
_IMAGE_TO_VIDEO, _IMAGES = "image_to_video", "images"

VelocityModel = Callable[[Tensor, Tensor, Tensor, Tensor, list[int] | None], Tensor]
"""(latents, timestep, text, text_mask, blocks) -> velocity, as LinearDiT."""


@dataclass(frozen=True)
class HeldOutBaseline:
    """Statistics of the held-out clips, which do not depend on the model."""

    linear_loss: float
    """Loss of the best predictor a x + b, with separate a and b for each channel and timestep."""
    variance: list[float]
    """Variance of each latent channel."""


class HeldOutEvaluation:
    """Evaluates the loss on held-out clips, which are distributed over the ranks."""

    def __init__(
        self, dataset: LatentDataset, rows: list[int], stage: StageConfig, quantiles: list[float], seed: int
    ) -> None:
        """Creates the evaluation.

        Args:
            dataset: the encoded dataset.
            rows: held-out clips; each has a latent of `stage`.
            stage: last stage of the curriculum.
            quantiles: quantiles of the training timesteps, in (0, 1).
            seed: seed of the noise.
        """
        self.dataset, self.rows, self.stage, self.seed = dataset, rows, stage, seed
        normal = torch.special.ndtri(torch.tensor(quantiles, dtype=torch.float64))
        self.sigma = rectified_flow.shift_sigma(torch.sigmoid(normal), stage.flow_shift).float()
        self._other_captions = other_captions([dataset.text(row) for row in rows])
        further = {_IMAGE_TO_VIDEO: stage.image_to_video, _IMAGES: stage.images}
        self.tasks = [_TEXT_TO_VIDEO, _OTHER_CAPTIONS, *(name for name, share in further.items() if share)]

    def clip(self, number: int) -> TrainBatch:
        """Returns a held-out clip and its caption as a batch with one sample per quantile.

        Args:
            number: index of the clip in `rows`.
        """
        row = self.rows[number]
        bucket = self.dataset.bucket_name(row, self.stage)
        assert bucket is not None
        count = len(self.sigma)
        x0 = torch.from_numpy(self.dataset.latent(row, bucket)).expand(count, -1, -1, -1, -1)
        noise = torch.randn(x0.shape, generator=keyed_generator(self.seed, "evaluation", self.dataset.keys[row]))
        sigma = self.sigma[:, None].expand(-1, x0.shape[2])
        return TrainBatch(x0, noise, sigma, *self._text(row), torch.zeros(count, dtype=torch.bool))

    def losses(self, model: VelocityModel, device: torch.device, rank: int, workers: int) -> Tensor:
        """Returns the sum over a rank's clips of the loss of each task at each quantile, float64 (tasks, Q).

        Every rank calls the model equally often, since ZeRO stage 3 gathers weights in each call; the losses of surplus
        calls are not added.

        Args:
            model: predicts the velocity.
            device: device of the model.
            rank: index of this rank.
            workers: number of ranks.
        """
        total = torch.zeros(len(self.tasks), len(self.sigma), dtype=torch.float64)
        for first in range(0, len(self.rows), workers):
            number = first + rank
            counts = number < len(self.rows)
            for index, task in enumerate(self.tasks):
                clip = self._task_clip(number if counts else first, task).to(device)
                x = rectified_flow.interpolate(clip.x0, clip.noise, clip.sigma)
                target = rectified_flow.velocity(clip.x0, clip.noise)
                with torch.no_grad():
                    blocks = self.stage.blocks(x.shape[2])
                    velocity = model(x, rectified_flow.timestep(clip.sigma), clip.text, clip.text_mask, blocks)
                loss = rectified_flow.sample_losses(velocity.double(), target.double(), clip.sigma)
                total[index] += loss.cpu() * counts
        return total

    def mean_losses(self, total: Tensor) -> HeldOutLosses:
        """Returns the mean losses over the held-out clips.

        Args:
            total: sum over all ranks of what `losses` returned, float64 (tasks, Q).
        """
        means = total / len(self.rows)
        by_task = {task: float(loss.mean()) for task, loss in zip(self.tasks, means, strict=True)}
        return HeldOutLosses(
            loss=by_task.pop(_TEXT_TO_VIDEO),
            other_captions=by_task.pop(_OTHER_CAPTIONS),
            by_task=by_task,
            by_sigma={f"{sigma:.2f}": float(loss) for sigma, loss in zip(self.sigma, means[0], strict=True)},
        )

    def baseline(self) -> HeldOutBaseline:
        """Returns the loss of the best linear predictor, and the variance of each latent channel.

        The loss has the closed form Var(v) - Cov(x, v)^2 / Var(x) in each channel and timestep.
        """
        moments = torch.stack([_clip_moments(clip) for clip in self._clips()]).mean(0)  # (6, Q, C)
        x, v, xx, xv, vv, power = moments
        residual = vv - v * v - (xv - x * v).square() / (xx - x * x)
        mean = torch.stack([clip.x0[0].double().mean(dim=(1, 2, 3)) for clip in self._clips()]).mean(0)
        return HeldOutBaseline(float(residual.mean()), [round(float(value), 4) for value in power[0] - mean * mean])

    def _clips(self) -> Iterator[TrainBatch]:
        return (self.clip(number) for number in range(len(self.rows)))

    def _text(self, row: int) -> tuple[Tensor, Tensor]:
        """Returns a clip's caption and mask, repeated for each quantile."""
        text, mask = text_tensors([self.dataset.text(row)])
        return text.expand(len(self.sigma), -1, -1), mask.expand(len(self.sigma), -1)

    def _task_clip(self, number: int, task: str) -> TrainBatch:
        """Returns a held-out clip as the batch of one evaluation task."""
        clip = self.clip(number)
        if task == _OTHER_CAPTIONS:
            text, mask = self._text(self.rows[self._other_captions[number]])
            return replace(clip, text=text, text_mask=mask)
        if task == _IMAGE_TO_VIDEO:
            return replace(clip, sigma=torch.cat((torch.zeros_like(clip.sigma[:, :1]), clip.sigma[:, 1:]), dim=1))
        if task == _IMAGES:
            return replace(clip, x0=clip.x0[:, :, :1], noise=clip.noise[:, :, :1], sigma=clip.sigma[:, :1])
        return clip


def _clip_moments(clip: TrainBatch) -> Tensor:
    """Returns means over a clip's frames, rows and columns of x, v, x^2, x v, v^2 and x0^2: float64 (6, Q, C)."""
    x0, noise, sigma = clip.x0.double(), clip.noise.double(), clip.sigma.double()
    x, v = rectified_flow.interpolate(x0, noise, sigma), rectified_flow.velocity(x0, noise)
    return torch.stack([value.mean(dim=(2, 3, 4)) for value in (x, v, x * x, x * v, v * v, x0 * x0)])


def other_captions(texts: list[np.ndarray]) -> list[int]:
    """Returns for each caption the index of the next caption that differs; the caption's index if all are equal.

    Args:
        texts: embeddings (L_i, D).
    """
    others = []
    for number, text in enumerate(texts):
        following = [(number + step) % len(texts) for step in range(1, len(texts))]
        others.append(next((other for other in following if not np.array_equal(texts[other], text)), number))
    return others
