"""The model in DeepSpeed's hands: forward, backward, a clipped AdamW step, and saving and loading of all of it.

DeepSpeed holds the optimiser (split over workers by ZeRO) and the gradients; how many passes make a step is ours, so
that each stage of a curriculum may have its own batch.
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

TAG = "engine"
"""DeepSpeed's folder in a checkpoint."""


def deepspeed_environment(device: torch.device) -> dict[str, str]:
    """What a training process has in its environment before it imports DeepSpeed.

    Checkpoints load as plain tensors and no other way: DeepSpeed asks torch to unpickle whatever a file holds, which
    could run code, and torch is told to refuse that.
    """
    return {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1", "DS_ACCELERATOR": device.type}


def import_deepspeed(device: torch.device) -> Any:
    """DeepSpeed for that kind of device, with little to say, and without the op that it would compile in each process.

    That op (shared-memory all-reduce for inference on CPUs) has no part in training. Building it needs a compiler, and
    a process killed while it holds torch's lock on the build folder leaves every later one waiting for ever.
    """
    os.environ.update(deepspeed_environment(device))
    warnings.filterwarnings("ignore", category=FutureWarning)
    import deepspeed
    from deepspeed.ops import __compatible_ops__

    deepspeed.utils.logger.setLevel(logging.ERROR)
    __compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


def deepspeed_config(config: TrainConfig) -> dict[str, Any]:
    """DeepSpeed's settings for a run."""
    return {
        "train_micro_batch_size_per_gpu": 1,  # asked for, and unused: what makes a step is decided by the caller
        "managed_gradient_accumulation": False,
        "gradient_clipping": 0.0 if clips_itself(config) else config.optimizer.grad_clip,
        "zero_optimization": {"stage": config.zero_stage},
        "zero_allow_untested_optimizer": True,
        "bf16": {"enabled": config.precision == "bf16"},
        "steps_per_print": None,
    }


def clips_itself(config: TrainConfig) -> bool:
    """DeepSpeed does not tell the gradient's norm where neither ZeRO nor bf16 wraps the optimiser."""
    return config.zero_stage == 0 and config.precision == "fp32"


class Engine:
    """One rank's part of the model in training. Every method is called by all ranks at the same point."""

    def __init__(self, model: torch.nn.Module, config: TrainConfig, device: torch.device) -> None:
        self.device = device
        deepspeed = import_deepspeed(device)
        if not deepspeed.comm.is_initialized():
            deepspeed.init_distributed(verbose=False)  # adopts the process group that Ray Train made
        settings = config.optimizer
        beta1, beta2 = settings.betas
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=0.0, betas=(beta1, beta2), eps=settings.eps, weight_decay=settings.weight_decay
        )
        self._norm: Tensor | None = None
        if clips_itself(config):
            parameters = list(model.parameters())

            def clip(*_: Any) -> None:
                self._norm = torch.nn.utils.clip_grad_norm_(parameters, settings.grad_clip)

            optimizer.register_step_pre_hook(clip)
        self._deepspeed = deepspeed
        self._engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=deepspeed_config(config))

    @property
    def zero_stage(self) -> int:
        return int(self._engine.zero_optimization_stage())

    def __call__(self, *inputs: Any) -> Tensor:
        return self._engine(*inputs)

    def train(self, mode: bool) -> None:
        self._engine.train(mode)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a share of the step's loss."""
        self._engine.backward(loss)

    def step(self, lr: float) -> float:
        """Reduces and clips the gradients, moves the weights; the gradients' norm before clipping."""
        for group in self._engine.optimizer.param_groups:
            group["lr"] = lr
        self._engine.step()
        norm = self._norm if self._norm is not None else self._engine.get_global_grad_norm()
        return float(norm)

    def save(self, folder: Path) -> None:
        """Writes this rank's part of weights and optimiser below `folder`."""
        self._engine.save_checkpoint(str(folder), tag=TAG, save_latest=False)
        torch.distributed.barrier()
        for script in folder.glob("zero_to_*.py"):  # DeepSpeed puts programs among the data
            script.unlink(missing_ok=True)

    def load(self, folder: Path) -> None:
        """Takes up what `save` wrote, in a run of the same configuration and number of workers."""
        with torch.serialization.safe_globals(checkpoint_classes()):
            self._engine.load_checkpoint(str(folder), tag=TAG)

    def weights(self) -> dict[str, Tensor]:
        """The whole weights on the CPU in rank 0, gathered from all ranks; nothing elsewhere."""
        module = self._engine.module
        parameters = list(module.parameters()) if self.zero_stage == 3 else []
        with self._deepspeed.zero.GatheredParameters(parameters, enabled=bool(parameters)):
            if torch.distributed.get_rank():
                return {}
            return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def checkpoint_classes() -> list[Any]:
    """The classes beside tensors that DeepSpeed writes into its files: plain records, harmless to make."""
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return [LossScaler, ZeroStageEnum, fragment_address]
