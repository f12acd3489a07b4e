"""A dataset of latents as training sees it: which clips have which bucket, which are held out, and their tensors."""

from __future__ import annotations

import io
from functools import cached_property
from typing import Any

import numpy as np

from framemill.platform.dataset import Dataset
from framemill.platform.errors import RequestError
from framemill.training.curriculum import CurriculumConfig, StageConfig, stage_buckets
from framemill.training.data.captions import text_member, texts_of
from framemill.training.data.planner import StagePlan, key64


def latent_extension(bucket: str) -> str:
    return f"{bucket}.latent.npy"


class LatentDataset:
    """Reads latents (C, T, H, W) and text embeddings (L, D) of an encoded dataset by row number."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.keys: list[str] = dataset.samples["key"].to_pylist()
        self._extensions = [set(dataset.extensions(row)) for row in range(len(dataset))]

    @staticmethod
    def open(path: str) -> LatentDataset:
        """Opens the dataset that `encode` wrote.

        Raises:
            RequestError: no dataset there, or one without latents.
        """
        dataset = Dataset.open(path)
        for name in ("codec", "text", "null_text"):
            if name not in dataset.index:
                raise RequestError(f"data={path}: holds video, not latents; run `framemill encode` on it first")
        return LatentDataset(dataset)

    @property
    def index(self) -> dict[str, Any]:
        return self.dataset.index

    @property
    def digest(self) -> str:
        return self.dataset.digest

    def bucket_of(self, row: int, stage: StageConfig) -> str | None:
        """The stage's bucket that a clip has a latent of; None where it was too short for the stage."""
        names = (bucket.name for bucket in stage_buckets(stage))
        return next((name for name in names if latent_extension(name) in self._extensions[row]), None)

    def latent_frames(self, stage: StageConfig) -> int:
        """T of a stage's latents."""
        return 1 + (stage.frames - 1) // int(self.index["latent_stride"][0])

    def latent(self, row: int, bucket: str) -> np.ndarray:
        """Float32 (C, T, H, W), about unit variance in each channel."""
        return np.load(io.BytesIO(self.dataset.read(row, latent_extension(bucket)))).astype(np.float32)

    def text(self, row: int, number: int = 0) -> np.ndarray:
        """Float32 (L, D): a caption's tokens, without padding; 0 is the main one."""
        return np.load(io.BytesIO(self.dataset.read(row, text_member(number)))).astype(np.float32)

    @cached_property
    def text_weights(self) -> list[list[float]]:
        """For each row, how often each of its captions is to be seen."""
        held = [name for name in ("caption", "captions") if name in self.dataset.samples.column_names]
        return [[weight for _, weight in texts_of(row)] for row in self.dataset.samples.select(held).to_pylist()]

    @property
    def null_text(self) -> np.ndarray:
        """Float32 (L, D): the empty caption's tokens."""
        return np.asarray(self.index["null_text"], np.float32)

    def held_out(self, curriculum: CurriculumConfig, seed: int, fraction: float, minimum: int) -> list[int]:
        """Rows that training never sees, by a hash of their keys, so that a clip stays where it is as data grows.

        They are of the clips that have a latent of the last stage: those whose hash falls into `fraction`, and at
        least `minimum` (or half of them all, if that is less), the lowest hashes first. Rows come in the order of
        their hashes.

        Raises:
            RequestError: there are not two such clips, one to train on and one to hold out.
        """
        rows = [row for row in range(len(self.keys)) if self.bucket_of(row, curriculum.final)]
        ranked = sorted((key64(seed, "held out", self.keys[row]), row) for row in rows)
        if len(rows) < 2:
            stage = curriculum.final
            raise RequestError(
                f"data={self.dataset.path}: {len(rows)} clips have a latent of the last stage ({stage.frames} frames "
                f"at resolution {stage.resolution}), and training takes two at least; give more, or a shorter stage"
            )
        least, most = min(minimum, len(rows) // 2), len(rows) - 1
        return [
            row
            for place, (value, row) in enumerate(ranked)
            if place < least or (value < fraction * 2**64 and place < most)
        ]

    def plans(self, curriculum: CurriculumConfig, held_out: list[int], seed: int) -> dict[str, StagePlan]:
        """The batch plan of each stage over the rows that are not held out.

        Raises:
            RequestError: no clip has a latent of some stage.
        """
        plans = {}
        hidden = set(held_out)
        for name, stage in curriculum.stages.items():
            rows: dict[str, list[int]] = {}
            for row in range(len(self.keys)):
                bucket = self.bucket_of(row, stage)
                if bucket and row not in hidden:
                    rows.setdefault(bucket, []).append(row)
            if not rows:
                wanted = f"{stage.frames} frames at resolution {stage.resolution}"
                raise RequestError(
                    f"curriculum.stages.{name}: no clip of the data has a latent of {wanted}; "
                    "encode it with this curriculum"
                )
            plans[name] = StagePlan(name, rows, stage.batch_size, seed, stage.images, stage.image_batch_size)
        return plans
