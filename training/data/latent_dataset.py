"""Reads a dataset of latents for training: buckets of clips, held-out clips, batch plans, and arrays.

Shapes: C channels, T latent frames, H and W latent rows and columns, L text tokens, D text width.
"""

from __future__ import annotations

import io
from functools import cached_property

import numpy as np

from framemill.platform.dataset import Dataset
from framemill.platform.errors import RequestError
from framemill.training.curriculum import CurriculumConfig, StageConfig, stage_buckets
from framemill.training.data.captions import text_extension, weighted_captions
from framemill.training.data.latent_index import LatentIndex
from framemill.training.data.planner import StagePlan, key64


def latent_extension(bucket: str) -> str:
    """Returns the extension of the shard member with the latent of a bucket."""
    return f"{bucket}.latent.npy"


class LatentDataset:
    """Reads latents and text embeddings of an encoded dataset by row number."""

    def __init__(self, dataset: Dataset, index: LatentIndex) -> None:
        self.dataset, self.index = dataset, index
        self.keys: list[str] = dataset.samples["key"].to_pylist()
        self._extensions = [set(dataset.extensions(row)) for row in range(len(dataset))]

    @staticmethod
    def open(path: str) -> LatentDataset:
        """Opens a dataset that `encode` wrote.

        Raises:
            RequestError: there is no dataset, or the dataset has no latents.
        """
        dataset = Dataset.open(path)
        index = LatentIndex.parse(dataset.index)
        if index is None:
            raise RequestError(f"data={path}: must hold latents, holds video; run `framemill encode` on it first")
        return LatentDataset(dataset, index)

    @property
    def digest(self) -> str:
        """Digest of the dataset, 16 hex digits."""
        return self.dataset.digest

    def bucket_name(self, row: int, stage: StageConfig) -> str | None:
        """Returns the stage's bucket in which a clip has a latent; None if the clip is too short for the stage."""
        names = (bucket.name for bucket in stage_buckets(stage))
        return next((name for name in names if latent_extension(name) in self._extensions[row]), None)

    def latent_frames(self, stage: StageConfig) -> int:
        """Returns the number of latent frames of a stage's clips, T."""
        return 1 + (stage.frames - 1) // int(self.index.latent_stride[0])

    def latent(self, row: int, bucket: str) -> np.ndarray:
        """Returns a clip's latent in a bucket, float32 (C, T, H, W), of about unit variance in each channel."""
        return np.load(io.BytesIO(self.dataset.read(row, latent_extension(bucket)))).astype(np.float32)

    def text(self, row: int, number: int = 0) -> np.ndarray:
        """Returns the embedding of a clip's caption, float32 (L, D), without padding; caption 0 is the main caption."""
        return np.load(io.BytesIO(self.dataset.read(row, text_extension(number)))).astype(np.float32)

    @cached_property
    def caption_weights(self) -> list[list[float]]:
        """For each row, the weights of its captions."""
        present = set(self.dataset.samples.column_names)
        rows = self.dataset.samples.select([name for name in ("caption", "captions") if name in present]).to_pylist()
        return [
            [caption.weight for caption in weighted_captions(row.get("caption"), row.get("captions"))] for row in rows
        ]

    @cached_property
    def null_text(self) -> np.ndarray:
        """Float32 (L, D): embedding of the empty caption."""
        return np.asarray(self.index.null_text, np.float32)

    def held_out(self, curriculum: CurriculumConfig, seed: int, fraction: float, minimum: int) -> list[int]:
        """Returns the held-out rows, which training never uses, selected and ordered by a hash of the clip's key.

        Only clips with a latent of the last stage are chosen. Clips whose hash is in the lowest `fraction` of the hash
        range are held out, also when clips are added to the dataset. If these are fewer than `minimum`, the clips with
        the lowest hashes are held out, up to `minimum` clips or half of the clips, whichever is less.

        Args:
            curriculum: the stages.
            seed: seed of the hash.
            fraction: share of the clips to hold out.
            minimum: minimum number of clips to hold out.

        Raises:
            RequestError: fewer than two clips have a latent of the last stage.
        """
        rows = [row for row in range(len(self.keys)) if self.bucket_name(row, curriculum.final)]
        ranked = sorted((key64(seed, "held out", self.keys[row]), row) for row in rows)
        if len(rows) < 2:
            stage = curriculum.final
            raise RequestError(
                f"data={self.dataset.path}: must have two clips or more with a latent of the last stage "
                f"({stage.frames} frames at resolution {stage.resolution}), has {len(rows)}; add clips, or shorten the "
                "stage"
            )
        least, most = min(minimum, len(rows) // 2), len(rows) - 1
        return [
            row
            for rank, (value, row) in enumerate(ranked)
            if rank < least or (value < fraction * 2**64 and rank < most)
        ]

    def plans(self, curriculum: CurriculumConfig, held_out: list[int], seed: int) -> dict[str, StagePlan]:
        """Returns the batch plan of each stage, by the stage's name, over the rows that are not held out.

        Args:
            curriculum: the stages.
            held_out: rows to leave out.
            seed: seed of the batch order.

        Raises:
            RequestError: a stage has no clip with a latent besides the held-out ones.
        """
        plans = {}
        excluded = set(held_out)
        for name, stage in curriculum.stages.items():
            rows: dict[str, list[int]] = {}
            for row in range(len(self.keys)):
                bucket = self.bucket_name(row, stage)
                if bucket and row not in excluded:
                    rows.setdefault(bucket, []).append(row)
            if not rows:
                raise RequestError(
                    f"curriculum.stages.{name}: no clip of the data has a latent of {stage.frames} frames at "
                    f"resolution {stage.resolution}; encode the data with this curriculum"
                )
            plans[name] = StagePlan(name, rows, stage.batch_size, seed, stage.images, stage.image_batch_size)
        return plans
