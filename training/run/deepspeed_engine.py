"""The model in DeepSpeed: forward, backward, a clipped AdamW step, saving and loading.

DeepSpeed has the gradients and the optimiser, sharded over workers by ZeRO. The caller decides how many micro-batches
make a step, so that each stage of a curriculum may have its own batch size.
"""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from framemill.training.run.config import TrainConfig

_TAG = "engine"
"""Folder of DeepSpeed's files in a checkpoint."""


def _set_environment(device: torch.device) -> None:
    """Sets the environment variables that a training process needs before it imports DeepSpeed.

    Checkpoints load as plain tensors only: DeepSpeed asks torch to unpickle any object in a file, which could run code,
    and TORCH_FORCE_WEIGHTS_ONLY_LOAD makes torch refuse that.
    """
    os.environ.update({"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1", "DS_ACCELERATOR": device.type})


def _import_deepspeed(device: torch.device) -> Any:
    """Returns DeepSpeed for a kind of device, with errors only in its log, and without compiling its shared-memory op.

    The op (all-reduce for inference on CPUs) is not used in training. Building the op needs a compiler, and if a
    process is killed during the build, torch's lock on the build folder remains and later processes wait for ever.
    """
    _set_environment(device)
    warnings.filterwarnings("ignore", category=FutureWarning)
    import deepspeed
    from deepspeed.ops import __compatible_ops__

    deepspeed.utils.logger.setLevel(logging.ERROR)
    __compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


def _deepspeed_config(config: TrainConfig) -> dict[str, Any]:
    """Returns DeepSpeed's own config for a run."""
    return {
        "train_micro_batch_size_per_gpu": 1,  # required, but unused: the caller decides what makes a step
        "managed_gradient_accumulation": False,
        "gradient_clipping": 0.0 if _clips_itself(config) else config.optimizer.grad_clip,
        "zero_optimization": {"stage": config.zero_stage},
        "zero_allow_untested_optimizer": True,
        "bf16": {"enabled": config.precision == "bf16"},
        "steps_per_print": None,
    }


def _clips_itself(config: TrainConfig) -> bool:
    """Returns whether the engine clips gradients in place of DeepSpeed.

    DeepSpeed reports no gradient norm if neither ZeRO nor bf16 wraps the optimiser.
    """
    return config.zero_stage == 0 and config.precision == "fp32"


class DeepSpeedEngine:
    """One rank's DeepSpeed engine. All ranks must call every method at the same point of the program."""

    def __init__(self, model: torch.nn.Module, config: TrainConfig, device: torch.device) -> None:
        self.device = device
        deepspeed = _import_deepspeed(device)
        if not deepspeed.comm.is_initialized():
            deepspeed.init_distributed(verbose=False)  # uses the process group that Ray Train made
        settings = config.optimizer
        beta1, beta2 = settings.betas
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=0.0, betas=(beta1, beta2), eps=settings.eps, weight_decay=settings.weight_decay
        )
        self._norm: Tensor | None = None
        if _clips_itself(config):
            parameters = list(model.parameters())

            def clip(*_: Any) -> None:
                self._norm = torch.nn.utils.clip_grad_norm_(parameters, settings.grad_clip)

            optimizer.register_step_pre_hook(clip)
        self._deepspeed = deepspeed
        self._engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=_deepspeed_config(config))

    @property
    def zero_stage(self) -> int:
        """ZeRO stage in use."""
        return int(self._engine.zero_optimization_stage())

    def __call__(self, *inputs: Any) -> Tensor:
        return self._engine(*inputs)

    def train(self, mode: bool) -> None:
        """Switches between training and evaluation mode."""
        self._engine.train(mode)

    def backward(self, loss: Tensor) -> None:
        """Accumulates the gradients of a micro-batch's loss."""
        self._engine.backward(loss)

    def step(self, lr: float) -> float:
        """Reduces and clips the gradients and updates the weights; returns the global L2 norm before clipping."""
        for group in self._engine.optimizer.param_groups:
            group["lr"] = lr
        self._engine.step()
        norm = self._norm if self._norm is not None else self._engine.get_global_grad_norm()
        return float(norm)

    def save(self, folder: Path) -> None:
        """Writes this rank's share of weights and optimiser states to a folder."""
        self._engine.save_checkpoint(str(folder), tag=_TAG, save_latest=False)
        torch.distributed.barrier()
        for script in folder.glob("zero_to_*.py"):  # DeepSpeed adds conversion scripts to every checkpoint
            script.unlink(missing_ok=True)

    def load(self, folder: Path) -> None:
        """Loads what `save` wrote: weights and optimiser states of a run of equal config and number of workers."""
        with torch.serialization.safe_globals(checkpoint_classes()):
            self._engine.load_checkpoint(str(folder), tag=_TAG)

    def weights(self) -> dict[str, Tensor]:
        """Returns the full state dict on the CPU of rank 0, gathered from all ranks; empty on other ranks."""
        module = self._engine.module
        parameters = list(module.parameters()) if self.zero_stage == 3 else []
        with self._deepspeed.zero.GatheredParameters(parameters, enabled=bool(parameters)):
            if torch.distributed.get_rank():
                return {}
            return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def checkpoint_classes() -> list[Any]:
    """Returns the classes that torch may unpickle from DeepSpeed's files: plain records without code."""
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return [LossScaler, ZeroStageEnum, fragment_address]
