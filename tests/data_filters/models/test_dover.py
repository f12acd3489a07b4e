"""DOVER's two branches see and score what upstream's do."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from framemill.data_filters.models.base import ScorableClip
from framemill.data_filters.models.config import DoverConfig
from framemill.data_filters.models.dover import fragments, read_views
from framemill.data_filters.models.registry import load_scorer, model_spec
from framemill.platform.vision.reel import Scene, render_scene
from framemill.platform.vision.video import encode_mp4, read_video
from tests.support.footage import SHOT_FPS as FPS
from tests.support.footage import shot
from tests.support.image_networks import (
    dover,
    dover_kernels,
)


def upstream_numbers(frames: int, cells: int, length: int) -> np.ndarray:
    """UnifiedFrameSampler of DOVER with the middle for the random number: 2 is its frame_interval."""
    starts = np.array([frames // cells * i for i in range(cells)])
    spare = frames // cells - length * 2
    starts = starts + (spare // 2 if spare > 0 else 0)
    return np.mod((np.arange(length)[None, :] * 2 + starts[:, None]).ravel(), frames)


def upstream_fragments(video: torch.Tensor) -> torch.Tensor:
    """get_spatial_fragments of DOVER, (C, T, H, W), with the middle for the random numbers."""
    height, width = video.shape[-2:]
    target = torch.zeros(*video.shape[:2], 224, 224)
    for i in range(7):
        for j in range(7):
            top = min(height // 7 * i, height - 32) + max(0, height // 7 - 32) // 2
            left = min(width // 7 * j, width - 32) + max(0, width // 7 - 32) // 2
            target[:, :, 32 * i : 32 * i + 32, 32 * j : 32 * j + 32] = video[:, :, top : top + 32, left : left + 32]
    return target


def upstream_views(video: np.ndarray, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What DOVER feeds its two branches of a video uint8 (T, H, W, 3): (1, 3, 32, 224, 224), (count, ...)."""
    frames = torch.from_numpy(video).permute(3, 0, 1, 2)
    seen = frames[:, upstream_numbers(len(video), 32, 1)].permute(1, 0, 2, 3).float()
    resized = torch.nn.functional.interpolate(seen, (224, 224), mode="bilinear", align_corners=False)
    aesthetic = resized.round().permute(1, 0, 2, 3)
    technical = upstream_fragments(frames[:, upstream_numbers(len(video), count, 32)].float())
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])

    def branch(view: torch.Tensor, clips: int) -> torch.Tensor:
        view = ((view.permute(1, 2, 3, 0) - mean) / std).permute(3, 0, 1, 2)
        return view.reshape(3, clips, 32, 224, 224).transpose(0, 1)

    return branch(aesthetic, 1), branch(technical, count)


def upstream_scores(video: np.ndarray, count: int) -> dict[str, float]:
    kernels = {name: torch.from_numpy(kernel) for name, kernel in dover_kernels().items()}
    views = dict(zip(("aesthetic", "technical"), upstream_views(video, count), strict=True))
    raw = {
        name: torch.nn.functional.conv3d(view, kernels[name], stride=(8, 32, 32)).tanh().mean((1, 2, 3, 4)).mean()
        for name, view in views.items()
    }
    technical, aesthetic = (raw["technical"] - 0.1107) / 0.07355, (raw["aesthetic"] + 0.08285) / 0.03774
    fused = technical * 0.6104 + aesthetic * 0.3896
    values = {"dover_technical": technical, "dover_aesthetic": aesthetic, "dover": fused}
    return {name: (1 / (1 + torch.exp(-value))).item() for name, value in values.items()}


@pytest.mark.parametrize(("frames", "size", "count"), [(40, (240, 426), 4), (230, (480, 270), None)])
def test_dover_sees_and_scores_as_upstream(
    tmp_path: Path, frames: int, size: tuple[int, int], count: int | None
) -> None:
    """A clip shorter than a view is, which goes round, and one whose views lie apart."""
    scene = Scene("red", "blue")
    drawn = (cv2.resize(frame, size[::-1]) for frame in render_scene(scene, 3, 20.0))
    (tmp_path / "clip.mp4").write_bytes(
        encode_mp4((frame for frame, _ in zip(drawn, range(frames), strict=False)), FPS)
    )
    video = read_video(str(tmp_path / "clip.mp4"))
    assert video.shape == (frames, *size, 3)
    spec = model_spec("dover", DoverConfig(str(dover(tmp_path / "dover.onnx", count))), "cpu", 8)
    scorer = load_scorer(spec)
    request = scorer.frame_request(ScorableClip("clip", 0.0, frames, size[1], size[0]))
    views = read_views(str(tmp_path / "clip.mp4"), *request.arguments)
    wanted = torch.cat(upstream_views(video, count or 3)).permute(0, 2, 3, 4, 1).reshape(-1, 224, 224, 3).numpy()
    pixels = (views.frames - np.float32([123.675, 116.28, 103.53])) / np.float32([58.395, 57.12, 57.375])
    # The bilinear sums of two libraries may fall on either side of a half.
    assert np.abs(pixels - wanted).max() < 1.01 / 57.12 and np.mean(np.abs(pixels - wanted) > 1e-4) < 1e-3
    scores = scorer.score(views).numbers
    assert scores == {
        name: pytest.approx(value, abs=1e-4) for name, value in upstream_scores(video, count or 3).items()
    }
    assert all(0.001 < value < 0.999 for value in scores.values()), "saturated, a score would hide an error"


def test_fragments_are_the_middles_of_their_cells() -> None:
    picture = np.arange(700 * 350, dtype=np.float64).reshape(700, 350)[..., None].repeat(3, -1)
    made = fragments(picture)
    assert made.shape == (224, 224, 3)
    np.testing.assert_array_equal(made[32:64, 64:96], picture[100 + 34 : 100 + 66, 100 + 9 : 100 + 41])


def test_a_small_picture_is_enlarged_for_dover(tmp_path: Path) -> None:
    (tmp_path / "small.mp4").write_bytes(shot(Scene("red", "blue")))
    video = read_video(str(tmp_path / "small.mp4"))
    assert min(video.shape[1:3]) < 224
    views = read_views(str(tmp_path / "small.mp4"), 0.0, len(video), 3)
    assert views.frames.shape == (32 * 4, 224, 224, 3)
    np.testing.assert_allclose(views.frames[0].mean((0, 1)), video[0].mean((0, 1)), atol=2)
