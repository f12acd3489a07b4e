"""A tiny model learns four clips by heart: all at once, in blocks, and as text to video, image to video and images.

The clips are real ones where those lie beside the checkout, and drawn ones elsewhere. What is tested is the objective
as training has it (Loader, flow, HeldOutEvaluation) and the samplers on what came of it, without Ray and DeepSpeed.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from framemill.platform.vision.reel import FPS, random_scenes, render_scene
from framemill.platform.vision.video import encode_mp4, probe
from framemill.training.buckets import Bucket
from framemill.training.codecs import get_codec
from framemill.training.curriculum import StageConfig
from framemill.training.data.clip_reader import LatentTarget, read_clip
from framemill.training.data.loader import Loader
from framemill.training.data.planner import StagePlan
from framemill.training.generation.sampling import SamplingRequest, sample, stream
from framemill.training.generation.scheduler import flow_scheduler
from framemill.training.model import LinearDiT, LinearDiTConfig, rectified_flow
from framemill.training.run.held_out_loss import HeldOutEvaluation
from framemill.training.text import get_text_encoder

REAL = {"bikes.mp4": "two bikes", "hiker.mp4": "a hiker", "nasa.mp4": "a rocket", "pancake.mkv": "a pancake"}
BUCKET = Bucket(17, 48, 64)
STAGE = StageConfig(
    resolution=48, frames=17, steps=400, batch_size=16, lr=4e-3, warmup=10, cooldown=100, flow_shift=5.0
)
QUANTILES = [0.2, 0.5, 0.8]
CPU = torch.device("cpu")


class FourClips:
    """What Loader and HeldOutEvaluation ask of a dataset, in memory."""

    def __init__(self, latents: list[np.ndarray], captions: list[str]) -> None:
        encoder = get_text_encoder("hashed")
        self.keys, self.latents, self.caption_weights = captions, latents, [[1.0]] * len(captions)
        self.texts, self.null_text = [encoder.encode_one(caption) for caption in captions], encoder.encode_one("")

    def bucket_name(self, row: int, stage: StageConfig) -> str:
        return BUCKET.name

    def latent(self, row: int, bucket: str) -> np.ndarray:
        return self.latents[row]

    def text(self, row: int, number: int = 0) -> np.ndarray:
        return self.texts[row]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> FourClips:
    folder = Path(__file__).resolve().parents[3] / "shared" / "videos"
    paths = {folder / name: caption for name, caption in REAL.items()}
    if not all(path.exists() for path in paths):
        folder = tmp_path_factory.mktemp("drawn")
        shots = random_scenes(4, seed=1)
        paths = {folder / f"{number}.mp4": shot.caption() for number, shot in enumerate(shots)}
        for number, (path, shot) in enumerate(zip(paths, shots, strict=True)):
            path.write_bytes(encode_mp4(render_scene(shot, seed=number), FPS))
    latents = []
    for path in paths:
        info = probe(str(path))
        video = read_clip(str(path), LatentTarget(BUCKET, 8.0), info.width, info.height)
        assert len(video) == BUCKET.frames
        latents.append(get_codec("dct").encode(video))
    return FourClips(latents, list(paths.values()))


def fit(clips: FourClips, **changes: object) -> tuple[LinearDiT, dict[str, float], dict[str, float]]:
    """A tiny model trained on the clips, and their losses before and after, by the stage's own evaluation."""
    stage = replace(STAGE, **changes)
    torch.manual_seed(0)
    model = LinearDiT(
        LinearDiTConfig(
            num_attention_heads=2,
            attention_head_dim=32,
            num_layers=3,
            num_cross_attention_heads=2,
            cross_attention_head_dim=32,
            caption_channels=64,
            mlp_ratio=3.0,
        )
    )
    plan = StagePlan("only", {BUCKET.name: [0, 1, 2, 3]}, stage.batch_size, 0, stage.images, stage.image_batch_size)
    loader = Loader(clips, plan, stage, seed=0, caption_dropout=0.1, rank=0, workers=1)  # type: ignore[arg-type]
    evaluation = HeldOutEvaluation(clips, [0, 1, 2, 3], stage, QUANTILES, seed=0)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)
    before = evaluation.mean_losses(evaluation.losses(model, CPU, 0, 1))
    for step, batch in loader.batches(0):
        x = rectified_flow.interpolate(batch.x0, batch.noise, batch.sigma)
        velocity = model(x, rectified_flow.timestep(batch.sigma), batch.text, batch.text_mask, stage.blocks(x.shape[2]))
        optimizer.zero_grad()
        rectified_flow.sample_losses(
            velocity, rectified_flow.velocity(batch.x0, batch.noise), batch.sigma
        ).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = stage.learning_rate(step)
        optimizer.step()
    return model.eval(), before, evaluation.mean_losses(evaluation.losses(model, CPU, 0, 1))


def shares_kept(clips: FourClips, samples: list[torch.Tensor]) -> list[float]:
    """For each clip, the share of its difference from the clips' mean that its sampled latents have; 1 is all."""
    true = torch.from_numpy(np.stack(clips.latents))
    apart = (true - true.mean(0)).square().sum(dim=(1, 2, 3, 4))
    wrong = (torch.cat(samples) - true).square().sum(dim=(1, 2, 3, 4))
    return (1 - wrong / apart).tolist()


def texts(clips: FourClips, row: int) -> tuple[torch.Tensor, ...]:
    parts = [torch.from_numpy(text)[None] for text in (clips.texts[row], clips.null_text)]
    return tuple(itertools.chain.from_iterable((part, torch.ones(part.shape[:2])) for part in parts))


@pytest.mark.slow
@pytest.mark.parametrize("block_frames", [0, 2], ids=["bidirectional", "block-causal"])
def test_four_clips_are_learnt_by_heart(clips: FourClips, block_frames: int) -> None:
    """The loss nearly goes, with the right caption alone, and from fresh noise each caption brings back its clip."""
    model, before, after = fit(clips, block_frames=block_frames)
    assert after.loss < 0.2 * before.loss and after.loss < 0.2 * after.other_captions
    samples = []
    for row in range(4):
        request = SamplingRequest(
            *texts(clips, row),
            shape=(1, *clips.latents[row].shape),
            steps=12,
            cfg=1.0,
            scheduler=flow_scheduler(STAGE.flow_shift),
            generator=torch.Generator().manual_seed(row),
        )
        if block_frames:
            samples.append(torch.cat(list(stream(model, request, [0, 3])), dim=2))
        else:
            samples.append(sample(model, request))
    assert min(shares_kept(clips, samples)) > 0.5


def test_one_run_learns_text_to_video_image_to_video_and_images(clips: FourClips) -> None:
    _, before, after = fit(clips, steps=120, cooldown=40, image_to_video=0.4, images=0.3)
    assert after.loss < 0.5 * before.loss
    for task in ("image_to_video", "images"):
        assert after.by_task[task] < 0.5 * before.by_task[task], task
