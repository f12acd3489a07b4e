"""Exports the model of a finished run as a diffusers folder.

The folder is a diffusers pipeline without codec and text encoder, which are large and published by others. diffusers
runs the pipeline if codec and text encoder are passed:

    SanaVideoPipeline.from_pretrained(export, vae=..., text_encoder=..., tokenizer=...)
    SanaImageToVideoPipeline.from_pretrained(export, ..., scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(
        export, subfolder="scheduler_i2v"))

diffusers implements the bidirectional model only: a block-causal model is loaded too, but generates another video.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path

from framemill.platform import storage
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.data.planner import StagePlan
from framemill.training.generation.model_card import CARD_FILE, PIPELINE_VAES, ModelCard
from framemill.training.run.checkpoints import Checkpoint, verify_checkpoint
from framemill.training.run.config import TrainConfig


def export_model(config: TrainConfig, checkpoint: Checkpoint, dataset: LatentDataset, plan: StagePlan) -> Path:
    """Writes a diffusers pipeline and a model card to `<output>/export/`, and returns this folder.

    Args:
        config: config of the run.
        checkpoint: checkpoint to export.
        dataset: training data.
        plan: batch plan of the last stage. The bucket with most clips is the default size of generated videos.
    """
    from safetensors.torch import load_file

    from framemill.training.model import LinearDiTConfig
    from framemill.training.model.diffusers_format import save_transformer

    verify_checkpoint(checkpoint)
    target = Path(config.output) / "export"
    folder = target.with_name(".tmp-export")
    shutil.rmtree(folder, ignore_errors=True)
    shape = LinearDiTConfig.from_diffusers(json.loads((checkpoint.folder / "model.json").read_text()))
    save_transformer(folder / "transformer", shape, load_file(checkpoint.folder / "model.safetensors"))
    _save_pipeline(folder, config.curriculum.sampling_flow_shift, dataset.index.codec, dataset.index.text)
    counts = Counter({bucket: len(rows) for bucket, rows in plan.rows.items()})
    card = ModelCard(
        codec=dataset.index.codec,
        text=dataset.index.text,
        fps=config.curriculum.final.fps,
        bucket=counts.most_common(1)[0][0],
        codec_weights=dataset.index.codec_weights,
        text_weights=dataset.index.text_weights,
        block_frames=config.curriculum.final.block_frames,
    )
    storage.write_atomic(str(folder / CARD_FILE), card.to_json(dataset=dataset.digest, step=checkpoint.step))
    shutil.rmtree(target, ignore_errors=True)
    os.rename(folder, target)
    return target


def _save_pipeline(folder: Path, flow_shift: float, codec: str, text: str) -> None:
    """Writes `model_index.json` and two schedulers, which make a folder with a transformer/ a diffusers pipeline.

    The flow shift is named `flow_shift` in the text-to-video scheduler and `shift` in the image-to-video scheduler.
    """
    from framemill.training.generation.scheduler import save_scheduler
    from framemill.training.model.config import DIFFUSERS_CLASS, DIFFUSERS_VERSION

    save_scheduler(folder / "scheduler", flow_shift)
    save_scheduler(folder / "scheduler_i2v", flow_shift, "euler")
    is_gemma = text == "gemma"
    index = {
        "_class_name": "SanaVideoPipeline",
        "_diffusers_version": DIFFUSERS_VERSION,
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "text_encoder": ["transformers", "Gemma2Model"] if is_gemma else [None, None],
        "tokenizer": ["transformers", "GemmaTokenizer"] if is_gemma else [None, None],
        "transformer": ["diffusers", DIFFUSERS_CLASS],
        "vae": ["diffusers", PIPELINE_VAES[codec]] if codec in PIPELINE_VAES else [None, None],
    }
    storage.write_atomic(str(folder / "model_index.json"), (json.dumps(index, indent=2) + "\n").encode())


def is_exported(output: str) -> bool:
    """Returns whether a run directory has an export."""
    return (Path(output) / "export" / CARD_FILE).exists()
