"""One rank of a training run, from the newest checkpoint to the end of the last stage.

Runs in every Ray Train worker; all ranks walk through the same calls in the same order. Rank 0 keeps the record.
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
from framemill.training.run import checkpoints
from framemill.training.run.config import TrainConfig
from framemill.training.run.deepspeed_engine import Engine
from framemill.training.run.held_out_loss import Evaluation
from framemill.training.run.metrics_file import MetricsFile
from framemill.training.weights.source import start_from


@dataclass(frozen=True)
class RankArguments:
    """What a worker is told."""

    config: TrainConfig
    identity: dict[str, Any]  # of the run and its data; kept with each checkpoint
    token: LockToken


def train_rank(settings: dict[str, Any]) -> None:
    """The function that Ray Train runs in each worker; `settings` holds the Task."""
    from ray.train import get_context
    from ray.train.torch import get_device

    task: RankArguments = settings["task"]
    context, device = get_context(), get_device()
    assert isinstance(device, torch.device)
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(task.config.cpus_per_worker)))
    Worker(task, context.get_world_rank(), context.get_world_size(), device).run()


class Worker:
    """A rank: its part of the model, its share of each batch, and the step it has come to."""

    def __init__(self, task: RankArguments, rank: int, workers: int, device: torch.device) -> None:
        self.config, self.task, self.rank, self.workers, self.device = task.config, task, rank, workers, device
        config = task.config
        self.dataset = LatentDataset.open(config.data)
        held_out = self.dataset.held_out(config.curriculum, config.seed, config.eval.fraction, config.eval.minimum)
        self.plans = self.dataset.plans(config.curriculum, held_out, config.seed)
        self.evaluation = Evaluation(
            self.dataset, held_out[: config.eval.maximum], config.curriculum.final, config.eval.quantiles, config.seed
        )
        self.shape = config.model.shape()
        torch.manual_seed(config.seed)
        model = LinearDiT(self.shape)
        if config.init and checkpoints.latest(config.output) is None:
            start_from(model, config.init)
        model.checkpointing = config.activation_checkpointing
        if config.compile:
            compile_blocks(model.transformer_blocks, device)
        self.engine = Engine(model, config, device)
        self.step = self._resume()
        self.record = MetricsFile(config.output, self.step) if rank == 0 else None

    def _resume(self) -> int:
        """Loads the newest checkpoint, if there is one; the steps that went into the weights."""
        found = [checkpoints.latest(self.config.output)]
        dist.broadcast_object_list(found, device=self.device)
        checkpoint = found[0]
        if checkpoint is None:
            return 0
        checkpoints.verify(checkpoint, self.rank, self.workers)
        dist.barrier()
        self.engine.load(checkpoint.folder)
        return checkpoint.step

    def run(self) -> None:
        """Trains to the end of the curriculum."""
        self._start()
        begun = 0
        for name, stage in self.config.curriculum.stages.items():
            first = max(self.step - begun, 0)
            begun += stage.steps
            if first < stage.steps:
                self._train_stage(name, stage, first)
        if self.record:
            self.record.close()

    def _start(self) -> None:
        if self.record:
            self.record.write(
                "start",
                self.step,
                workers=self.workers,
                device=str(self.device),
                pid=os.getpid(),
                attempt=self.task.token.attempt,
            )
            if self.step == 0:
                baseline = self.evaluation.baseline()
                self.record.write("baseline", 0, linear_loss=baseline.linear_loss, variance=baseline.variance)
        if self.step == 0:
            self._evaluate(next(iter(self.config.curriculum.stages)))

    def _train_stage(self, name: str, stage: StageConfig, first: int) -> None:
        loader = Loader(
            self.dataset,
            self.plans[name],
            stage,
            seed=self.config.seed,
            rank=self.rank,
            workers=self.workers,
            caption_dropout=self.config.caption_dropout,
        )
        began = time.perf_counter()
        for stage_step, clips in loader.batches(first):
            loss, grad_norm = self._train_step(clips.to(self.device), stage, stage_step)
            self.step += 1
            if self.record:
                seconds, tokens = time.perf_counter() - began, self._tokens(clips) * self.workers
                batch = self.plans[name].batch(stage_step)
                self.record.write(
                    "train",
                    self.step,
                    stage=name,
                    stage_step=stage_step + 1,
                    task="images" if batch.images else "video",
                    bucket=batch.bucket,
                    loss=loss,
                    grad_norm=grad_norm,
                    lr=stage.lr_at(stage_step),
                    samples=len(batch.rows),
                    tokens=tokens,
                    step_s=round(seconds, 4),
                    tokens_per_s=round(tokens / seconds, 1),
                )
            last = stage_step + 1 == stage.steps
            if last or self.step % self.config.eval.every == 0:
                self._evaluate(name)
            if last or self.step % self.config.checkpoint_every == 0:
                self._save(name)
            began = time.perf_counter()

    def _train_step(self, clips: TrainBatch, stage: StageConfig, stage_step: int) -> tuple[float, float]:
        """One optimiser step; the loss over the global batch, and the gradient's norm."""
        passes = stage.micro_batches(self.workers)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for part in clips.split(passes):
            x = rectified_flow.interpolate(part.x0, part.noise, part.sigma)
            dropped = part.dropped if self.shape.null_caption_tokens else None
            velocity = self.engine(
                x, rectified_flow.timestep(part.sigma), part.text, part.text_mask, stage.blocks(x.shape[2]), dropped
            )
            loss = (
                rectified_flow.losses(velocity, rectified_flow.velocity(part.x0, part.noise), part.sigma).mean()
                / passes
            )
            self.engine.backward(loss)
            total += loss.detach()
        grad_norm = self.engine.step(stage.lr_at(stage_step))
        loss_mean = float(self._sum(total)) / self.workers
        if not math.isfinite(loss_mean):
            raise FramemillError(f"the loss is {loss_mean} at step {self.step + 1}; a lower lr or grad_clip may help")
        return loss_mean, grad_norm

    def _evaluate(self, stage: str) -> None:
        """Writes the held-out losses; the same numbers whatever the number of ranks, up to rounding."""
        self.engine.train(False)
        total = self._sum(self.evaluation.losses(self.engine, self.device, self.rank, self.workers).to(self.device))
        self.engine.train(True)
        if self.record:
            self.record.write("eval", self.step, stage=stage, **self.evaluation.summary(total.cpu()))

    def _save(self, stage: str) -> None:
        """Commits a checkpoint: all ranks write, each hashes a share, rank 0 makes it valid."""
        name, output = checkpoints.checkpoint_name(stage, self.step), self.config.output
        if self.rank == 0:
            self.task.token.check()
            checkpoints.begin(output, name)
        dist.barrier()
        folder = checkpoints.unfinished(output, name)
        self.engine.save(folder)
        weights = self.engine.weights()
        if self.rank == 0:
            save_file(weights, folder / "model.safetensors")
            (folder / "model.json").write_text(json.dumps(self.shape.to_diffusers(), indent=1, sort_keys=True))
            state = {"stage": stage, "step": self.step, "identity": self.task.identity}
            (folder / checkpoints.STATE).write_text(json.dumps(state, indent=1, sort_keys=True))
        dist.barrier()
        shares: list[Any] = [None] * self.workers
        dist.all_gather_object(shares, checkpoints.hash_files(folder, self.rank, self.workers))
        if self.record:
            self.record.sync()
            self.task.token.check()
            files = {name: entry for share in shares for name, entry in share.items()}
            checkpoints.commit(output, name, folder, files, self.config.keep_checkpoints)
        dist.barrier()

    def _sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks, in place."""
        dist.all_reduce(values)
        return values

    def _tokens(self, clips: TrainBatch) -> int:
        """Tokens that a rank's clips are to the model."""
        batch, _, frames, rows, columns = clips.x0.shape
        _, patch_rows, patch_columns = self.shape.patch_size
        return batch * frames * (rows // patch_rows) * (columns // patch_columns)
