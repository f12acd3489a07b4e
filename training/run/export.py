"""What a finished run leaves for others: a diffusers folder of its model, and a picture of its losses.

The folder is a pipeline's but for codec and text encoder, which are large and not ours. With those handed over it runs:

    SanaVideoPipeline.from_pretrained(export, vae=..., text_encoder=..., tokenizer=...)
    SanaImageToVideoPipeline.from_pretrained(export, ..., scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(
        export, subfolder="scheduler_i2v"))

diffusers has the bidirectional model only: one trained in causal blocks loads there, and gives another video.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

from framemill.platform import storage
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.data.planner import StagePlan
from framemill.training.run.checkpoints import Checkpoint, verify
from framemill.training.run.config import TrainConfig
from framemill.training.run.metrics_file import Line

INFO = "framemill.json"
PIPELINE_VAES = {"wan": "AutoencoderKLWan", "ltx2": "AutoencoderKLLTX2Video"}
"""diffusers' classes of the codecs that its SANA-Video pipelines run; DC-AE is none, nor is `dct`."""


def export_model(config: TrainConfig, checkpoint: Checkpoint, dataset: LatentDataset, plan: StagePlan) -> Path:
    """Writes `<output>/export/`: a diffusers pipeline's folder, and `framemill.json` with what generation has to know.

    `plan` is the last stage's: the bucket most of its clips have is the default size of a generated video.
    """
    from safetensors.torch import load_file

    from framemill.training.model import LinearDiTConfig
    from framemill.training.model.diffusers_format import save_transformer

    verify(checkpoint)
    target = Path(config.output) / "export"
    folder = target.with_name(".tmp-export")
    shutil.rmtree(folder, ignore_errors=True)
    shape = LinearDiTConfig.from_diffusers(json.loads((checkpoint.folder / "model.json").read_text()))
    save_transformer(folder / "transformer", shape, load_file(checkpoint.folder / "model.safetensors"))
    save_pipeline(folder, config.curriculum.sampling_flow_shift, dataset.index["codec"], dataset.index["text"])
    counts = Counter({bucket: len(rows) for bucket, rows in plan.rows.items()})
    info = {
        "codec": dataset.index["codec"],
        "text": dataset.index["text"],
        "codec_weights": dataset.index.get("codec_weights", ""),
        "text_weights": dataset.index.get("text_weights", ""),
        "fps": config.curriculum.final.fps,
        "bucket": counts.most_common(1)[0][0],
        "block_frames": config.curriculum.final.block_frames,
        "dataset": dataset.digest,
        "step": checkpoint.step,
    }
    storage.write_atomic(str(folder / INFO), (json.dumps(info, indent=1, sort_keys=True) + "\n").encode())
    shutil.rmtree(target, ignore_errors=True)
    os.rename(folder, target)
    return target


def save_pipeline(folder: Path, flow_shift: float, codec: str, text: str) -> None:
    """Writes what makes a folder with a transformer/ a diffusers pipeline: `model_index.json`, and two schedulers.

    The same shift has another name in each: `flow_shift` in text-to-video's, `shift` in image-to-video's.
    """
    from framemill.training.generation.sampling import save_scheduler
    from framemill.training.model.config import DIFFUSERS_CLASS, DIFFUSERS_VERSION

    save_scheduler(folder / "scheduler", flow_shift)
    save_scheduler(folder / "scheduler_i2v", flow_shift, "euler")
    gemma = text == "gemma"
    index = {
        "_class_name": "SanaVideoPipeline",
        "_diffusers_version": DIFFUSERS_VERSION,
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "text_encoder": ["transformers", "Gemma2Model"] if gemma else [None, None],
        "tokenizer": ["transformers", "GemmaTokenizer"] if gemma else [None, None],
        "transformer": ["diffusers", DIFFUSERS_CLASS],
        "vae": ["diffusers", PIPELINE_VAES[codec]] if codec in PIPELINE_VAES else [None, None],
    }
    storage.write_atomic(str(folder / "model_index.json"), (json.dumps(index, indent=2) + "\n").encode())


def is_exported(output: str) -> bool:
    return (Path(output) / "export" / INFO).exists()


def draw_losses(lines: list[Line], path: Path) -> None:
    """The training loss, and the held-out losses beside the best linear predictor's, over the steps of all stages."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    # A still picture's loss is another number than a video's: the two would zigzag.
    train = [line for line in lines if line["kind"] == "train" and line["task"] == "video"]
    held = [line for line in lines if line["kind"] == "eval"]
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    axes.plot([line["step"] for line in train], [line["loss"] for line in train], color="0.8", lw=0.8, label="training")
    steps = [line["step"] for line in held]
    axes.plot(steps, [line["loss"] for line in held], "o-", ms=3, label="held out")
    axes.plot(steps, [line["loss_other_captions"] for line in held], "--", label="held out, captions exchanged")
    for line in (line for line in lines if line["kind"] == "baseline"):
        axes.axhline(line["linear_loss"], color="k", ls=":", lw=1, label="best linear predictor")
    for before, after in pairwise(train):
        if before["stage"] != after["stage"]:
            axes.axvline(before["step"], color="0.6", lw=0.8)
            axes.annotate(after["stage"], (before["step"], axes.get_ylim()[1]), fontsize=8, va="top")
    axes.set(xlabel="step", ylabel="flow matching loss", ylim=(0, None))
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
