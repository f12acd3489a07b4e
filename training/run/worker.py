"""One rank of a training run, from the newest checkpoint to the end of the last stage.

Runs in every Ray Train worker; all ranks make the same calls in the same order. Rank 0 writes the metrics.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from framemill.platform.errors import FramemillError
from framemill.platform.writer_lock import LockToken
from framemill.training.curriculum import StageConfig
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.data.loader import Loader, TrainBatch
from framemill.training.model import LinearDiT, rectified_flow
from framemill.training.model.compilation import compile_blocks
from framemill.training.run.checkpoints import (
    CheckpointState,
    FileEntry,
    begin_checkpoint,
    checkpoint_name,
    commit_checkpoint,
    hash_files,
    latest_checkpoint,
    unfinished_folder,
    verify_checkpoint,
)
from framemill.training.run.config import TrainConfig
from framemill.training.run.deepspeed_engine import DeepSpeedEngine
from framemill.training.run.held_out_loss import HeldOutEvaluation
from framemill.training.run.identity import RunIdentity
from framemill.training.run.metrics_file import BaselineLine, EvalLine, MetricsFile, StartLine, TrainLine
from framemill.training.weights.source import start_from


@dataclass(frozen=True)
class RankArguments:
    """Arguments of one training rank (pickled by Ray Train)."""

    config: TrainConfig
    """Config of the run."""
    identity: RunIdentity
    """Identity of the run, stored in each checkpoint."""
    token: LockToken
    """Token of the driver's lock on the output."""


def train_rank(settings: dict[str, Any]) -> None:
    """Trains one rank to the end of the curriculum; Ray Train calls this in each worker.

    Args:
        settings: {"arguments": RankArguments}.
    """
    from ray.train import get_context
    from ray.train.torch import get_device

    arguments: RankArguments = settings["arguments"]
    context, device = get_context(), get_device()
    assert isinstance(device, torch.device)
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(arguments.config.cpus_per_worker)))
    _Rank(arguments, context.get_world_rank(), context.get_world_size(), device).run()


class _Rank:
    """One training rank: a DeepSpeed engine, a share of each batch, and the number of steps done."""

    def __init__(self, arguments: RankArguments, rank: int, workers: int, device: torch.device) -> None:
        self.config, self.arguments = arguments.config, arguments
        self.rank, self.workers, self.device = rank, workers, device
        config = arguments.config
        self.dataset = LatentDataset.open(config.data)
        held_out = self.dataset.held_out(config.curriculum, config.seed, config.eval.fraction, config.eval.minimum)
        self.plans = self.dataset.plans(config.curriculum, held_out, config.seed)
        self.evaluation = HeldOutEvaluation(
            self.dataset, held_out[: config.eval.maximum], config.curriculum.final, config.eval.quantiles, config.seed
        )
        self.shape = config.model.shape()
        torch.manual_seed(config.seed)
        model = LinearDiT(self.shape)
        if config.init and latest_checkpoint(config.output) is None:
            start_from(model, config.init)
        model.checkpointing = config.activation_checkpointing
        if config.compile:
            compile_blocks(model.transformer_blocks, device)
        self.engine = DeepSpeedEngine(model, config, device)
        self.step = self._resume()
        self.metrics = MetricsFile(config.output, self.step) if rank == 0 else None

    def _resume(self) -> int:
        """Loads the newest checkpoint, if there is one; returns the steps that the weights include."""
        newest = [latest_checkpoint(self.config.output)]
        dist.broadcast_object_list(newest, device=self.device)
        checkpoint = newest[0]
        if checkpoint is None:
            return 0
        verify_checkpoint(checkpoint, self.rank, self.workers)
        dist.barrier()
        self.engine.load(checkpoint.folder)
        return checkpoint.step

    def run(self) -> None:
        """Trains to the end of the curriculum."""
        self._start()
        earlier_steps = 0
        for name, stage in self.config.curriculum.stages.items():
            first = max(self.step - earlier_steps, 0)
            earlier_steps += stage.steps
            if first < stage.steps:
                self._train_stage(name, stage, first)
        if self.metrics:
            self.metrics.close()

    def _start(self) -> None:
        """Records the start and, in a new run, the held-out losses before the first step."""
        if self.metrics:
            attempt = self.arguments.token.attempt
            self.metrics.write(StartLine(self.step, self.workers, str(self.device), os.getpid(), attempt))
            if self.step == 0:
                baseline = self.evaluation.baseline()
                self.metrics.write(BaselineLine(0, baseline.linear_loss, baseline.variance))
        if self.step == 0:
            self._evaluate(next(iter(self.config.curriculum.stages)))

    def _train_stage(self, name: str, stage: StageConfig, first: int) -> None:
        """Trains a stage from its step `first`, counted from 0."""
        loader = Loader(
            self.dataset,
            self.plans[name],
            stage,
            seed=self.config.seed,
            rank=self.rank,
            workers=self.workers,
            caption_dropout=self.config.caption_dropout,
        )
        started = time.perf_counter()
        for stage_step, clips in loader.batches(first):
            loss, grad_norm = self._train_step(clips.to(self.device), stage, stage_step)
            self.step += 1
            if self.metrics:
                seconds, tokens = time.perf_counter() - started, self._token_count(clips) * self.workers
                batch = self.plans[name].batch(stage_step)
                self.metrics.write(
                    TrainLine(
                        step=self.step,
                        stage=name,
                        stage_step=stage_step + 1,
                        task="images" if batch.images else "video",
                        bucket=batch.bucket,
                        loss=loss,
                        grad_norm=grad_norm,
                        lr=stage.learning_rate(stage_step),
                        samples=len(batch.rows),
                        tokens=tokens,
                        step_s=round(seconds, 4),
                        tokens_per_s=round(tokens / seconds, 1),
                    )
                )
            is_last = stage_step + 1 == stage.steps
            if is_last or self.step % self.config.eval.every == 0:
                self._evaluate(name)
            if is_last or self.step % self.config.checkpoint_every == 0:
                self._save(name)
            started = time.perf_counter()

    def _train_step(self, clips: TrainBatch, stage: StageConfig, stage_step: int) -> tuple[float, float]:
        """Takes one optimiser step; returns the mean loss over the global batch, and the gradient's global L2 norm."""
        micro_batches = stage.micro_batches(self.workers)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for part in clips.split(micro_batches):
            x = rectified_flow.interpolate(part.x0, part.noise, part.sigma)
            timestep = rectified_flow.timestep(part.sigma)
            # Without a learned null caption the loader has already put the empty caption in.
            drop_caption = part.drop_caption if self.shape.null_caption_tokens else None
            velocity = self.engine(x, timestep, part.text, part.text_mask, stage.blocks(x.shape[2]), drop_caption)
            target = rectified_flow.velocity(part.x0, part.noise)
            loss = rectified_flow.sample_losses(velocity, target, part.sigma).mean() / micro_batches
            self.engine.backward(loss)
            total += loss.detach()
        grad_norm = self.engine.step(stage.learning_rate(stage_step))
        loss_mean = float(self._sum(total)) / self.workers
        if not math.isfinite(loss_mean):
            raise FramemillError(f"the loss is {loss_mean} at step {self.step + 1}; a lower lr or grad_clip may help")
        return loss_mean, grad_norm

    def _evaluate(self, stage: str) -> None:
        """Records the held-out losses, which up to rounding do not depend on the number of ranks."""
        self.engine.train(False)
        total = self._sum(self.evaluation.losses(self.engine, self.device, self.rank, self.workers).to(self.device))
        self.engine.train(True)
        if self.metrics:
            self.metrics.write(EvalLine(self.step, stage, self.evaluation.mean_losses(total.cpu())))

    def _save(self, stage: str) -> None:
        """Commits a checkpoint: all ranks write, each hashes a share of the files, rank 0 commits."""
        name, output = checkpoint_name(stage, self.step), self.config.output
        if self.rank == 0:
            self.arguments.token.check()
            begin_checkpoint(output, name)
        dist.barrier()
        folder = unfinished_folder(output, name)
        self.engine.save(folder)
        weights = self.engine.weights()
        if self.rank == 0:
            save_file(weights, folder / "model.safetensors")
            (folder / "model.json").write_text(json.dumps(self.shape.to_diffusers(), indent=1, sort_keys=True))
            CheckpointState(stage, self.step, self.arguments.identity).save(folder)
        dist.barrier()
        shares: list[Any] = [None] * self.workers
        dist.all_gather_object(shares, hash_files(folder, self.rank, self.workers))
        if self.metrics:
            self.metrics.sync()
            self.arguments.token.check()
            files: dict[str, FileEntry] = {path: entry for share in shares for path, entry in share.items()}
            commit_checkpoint(output, name, files, self.config.keep_checkpoints)
        dist.barrier()

    def _sum(self, values: Tensor) -> Tensor:
        """Returns the sum over all ranks, computed in place."""
        dist.all_reduce(values)
        return values

    def _token_count(self, clips: TrainBatch) -> int:
        """Returns the number of video tokens of a rank's clips."""
        batch, _, frames, rows, columns = clips.x0.shape
        _, patch_rows, patch_columns = self.shape.patch_size
        return batch * frames * (rows // patch_rows) * (columns // patch_columns)
