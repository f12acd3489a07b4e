"""Scores by networks for pictures: the reference computation's values, for small networks with random weights."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.models.base import ModelSpec, SampledFrames, ScorableClip
from framemill.data_filters.models.config import AestheticConfig, ClassifierConfig, DoverConfig, TextOverlayConfig
from framemill.data_filters.models.dover import fragments, read_views
from framemill.data_filters.models.registry import load_scorer, model_spec
from framemill.data_filters.models.score_parts import ScoreWork, read_scores
from framemill.data_filters.models.worker import ModelWorker
from framemill.data_filters.pipeline import curate
from framemill.data_filters.sources.source import Source, source_stamp
from framemill.jobs.cli import main
from framemill.platform.audit import audit
from framemill.platform.compose import compose
from framemill.platform.dataset import read_ledger
from framemill.platform.vision.reel import Scene, render_scene
from framemill.platform.vision.video import encode_mp4, read_video
from framemill.platform.writer_lock import WriterLock
from tests.support.curation_output import Configure
from tests.support.footage import SHOT_FPS as FPS
from tests.support.footage import shot
from tests.support.image_networks import (
    classifier,
    classifier_logits,
    dover,
    dover_kernels,
    head,
    saved_clip,
    tiny_clip,
)
from tests.support.pool_items import do_item

BATCHES = (1, 2, 8)


def sampled_frames(pictures: np.ndarray) -> SampledFrames:
    return SampledFrames(np.arange(len(pictures), dtype=float), pictures)


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Pictures with large shapes, uint8 (N, H, W, 3)."""
    random = np.random.default_rng(seed)
    rough = random.integers(0, 256, (count, 4, 4, 3), np.uint8)
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC) for one in rough])


# ------------------------------------------------------------------------------------------------------- aesthetic


@pytest.fixture(scope="module")
def clip_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, torch.nn.Module]:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


def aesthetic_spec(clip_files: tuple[str, Path, torch.nn.Module], head_file: Path, batch: int = 8) -> ModelSpec:
    keys = AestheticConfig(clip_files[0], str(clip_files[1]), head=str(head_file))
    return model_spec("aesthetic", keys, "cpu", batch)


@pytest.mark.parametrize("kind", ["linear", "mse", "relu"])
@pytest.mark.parametrize("size", [(32, 57), (57, 32), (32, 32)])
def test_aesthetic_is_open_clips_and_laions(
    clip_files: tuple[str, Path, torch.nn.Module], tmp_path: Path, kind: str, size: tuple[int, int]
) -> None:
    pictures = noise(5, *size)
    reference = head(kind, 24, tmp_path / ("head.safetensors" if kind == "mse" else "head.pth"))
    transform = open_clip.image_transform(32, is_train=False)
    with torch.inference_mode():
        seen = torch.stack([transform(Image.fromarray(picture)) for picture in pictures])
        embeddings = clip_files[2].encode_image(seen)
        embeddings = embeddings / embeddings.norm(dim=-1, keepdim=True)
        wanted = reference(embeddings).mean().item()
        middle = embeddings.mean(0)
        middle = (middle / middle.norm()).numpy()
    for batch in BATCHES:
        scorer = load_scorer(
            aesthetic_spec(clip_files, next(tmp_path.glob("head.*")), batch),
        )
        scores = scorer.score(sampled_frames(pictures))
        assert scores.numbers == {"aesthetic": pytest.approx(wanted, abs=1e-5)}
        np.testing.assert_allclose(scores.vectors["embedding"], middle, atol=1e-5)
    assert np.linalg.norm(scores.vectors["embedding"]) == pytest.approx(1)


def test_clip_sees_a_picture_at_its_own_size(clip_files: tuple[str, Path, torch.nn.Module], tmp_path: Path) -> None:
    head("linear", 24, tmp_path / "head.pth")
    scorer = load_scorer(aesthetic_spec(clip_files, tmp_path / "head.pth"))
    for width, height in [(1920, 1080), (1080, 1920), (640, 640)]:
        request = scorer.frame_request(ScorableClip("clip", 1.0, 9, width, height))
        # torchvision's Resize, with which open_clip begins
        wide, high = (32 * width // min(width, height), 32 * height // min(width, height))
        assert request.arguments == (1.0, 9, 1.0, (wide, high))


# ----------------------------------------------------------------------------------------------------- classifiers


@pytest.mark.parametrize("name", ["watermark", "unsafe"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize(("last", "fixed"), [(False, None), (True, None), (False, 1)])
def test_a_classifier_gives_the_probability_of_its_class(
    tmp_path: Path, name: str, activation: str, last: bool, fixed: int | None
) -> None:
    file = classifier(tmp_path / "net.onnx", batch=fixed, last=last)
    pictures, mean, std = noise(5, 16, 16), [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]
    logits = torch.from_numpy(classifier_logits(pictures, mean, std))
    wanted = {"softmax": logits.softmax(1), "sigmoid": logits.sigmoid(), "none": logits}[activation][:, 2]
    keys = ClassifierConfig(str(file), side=16, mean=mean, std=std, index=2, activation=activation)
    for batch in BATCHES:
        scorer = load_scorer(model_spec(name, keys, "cpu", batch))
        found = scorer.score(sampled_frames(pictures)).numbers
        assert found == {name: pytest.approx((wanted.mean() if name == "watermark" else wanted.max()).item(), abs=1e-5)}


def test_a_classifier_sees_the_corners(tmp_path: Path) -> None:
    keys = ClassifierConfig(str(classifier(tmp_path / "net.onnx")), side=16)
    scorer = load_scorer(model_spec("watermark", keys))
    request = scorer.frame_request(ScorableClip("clip", 0.0, 9, 1920, 1080))
    assert request.arguments[-1] == (16, 16)


# ----------------------------------------------------------------------------------------------------------- DOVER


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
    found = (views.frames - np.float32([123.675, 116.28, 103.53])) / np.float32([58.395, 57.12, 57.375])
    # The bilinear sums of two libraries may fall on either side of a half.
    assert np.abs(found - wanted).max() < 1.01 / 57.12 and np.mean(np.abs(found - wanted) > 1e-4) < 1e-3
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


# ------------------------------------------------------------------------------------------------------------ text


def subtitled(pictures: np.ndarray, words: str = "and then it began to rain") -> tuple[np.ndarray, float]:
    """The pictures with words low in the middle, and the share of the picture that the words' box takes."""
    height, width = pictures.shape[1:3]
    face, scale, thick = cv2.FONT_HERSHEY_SIMPLEX, width / 640, max(1, width // 320)
    (wide, high), below = cv2.getTextSize(words, face, scale, thick)
    written = [
        cv2.putText(one.copy(), words, ((width - wide) // 2, int(height * 0.9)), face, scale, (255, 255, 255), thick)
        for one in pictures
    ]
    return np.stack(written), wide * (high + below) / (width * height)


@pytest.fixture(scope="module")
def text_overlay() -> Any:
    return load_scorer(model_spec("text_overlay", TextOverlayConfig(True), "cpu", 8))


@pytest.mark.parametrize(("height", "width"), [(544, 960), (352, 640)])
def test_text_is_measured_and_nothing_else_is(text_overlay: Any, height: int, width: int) -> None:
    plain = noise(3, height, width) // 2
    written, share = subtitled(plain)
    assert text_overlay.score(sampled_frames(plain)).numbers == {"text_overlay": 0.0}
    found = text_overlay.score(sampled_frames(written)).numbers["text_overlay"]
    assert share / 2 < found < 2 * share
    half = text_overlay.score(sampled_frames(np.concatenate([written[:2], plain[:2]]))).numbers["text_overlay"]
    two = text_overlay.score(sampled_frames(written[:2])).numbers["text_overlay"]
    assert half == pytest.approx(two / 2), "the mean over frames"
    assert text_overlay.score(sampled_frames(written)).numbers["text_overlay"] == found


# -------------------------------------------------------------------------------------------- one worker, whole job


def test_a_clips_scores_are_the_same_alone_and_among_others(
    clip_files: tuple[str, Path, torch.nn.Module], tmp_path: Path
) -> None:
    head("mse", 24, tmp_path / "head.pth")
    (tmp_path / "scenes.mp4").write_bytes(shot(Scene("red", "blue"), Scene("green", "grey")))
    (tmp_path / "out" / "work").mkdir(parents=True)
    output = str(tmp_path / "out")
    spec = aesthetic_spec(clip_files, tmp_path / "head.pth", batch=2)
    source = Source("scenes.mp4", str(tmp_path / "scenes.mp4"), source_stamp(str(tmp_path / "scenes.mp4")))
    clips = [ScorableClip(key, start_s, 40, 320, 180) for key, start_s in (("a", 0.0), ("b", 2.5))]
    with WriterLock(output) as lock:
        worker = ModelWorker(output, lock.token(), spec, 60.0)
    both = {row.key: row for row in worker.score(ScoreWork(source, clips))}
    for clip in clips:
        assert worker.score(ScoreWork(source, [clip])) == [both[clip.key]]
    assert both["a"].scores.numbers != both["b"].scores.numbers
    assert do_item(worker, ScoreWork(source, clips).to_json()).pending == ""
    read = read_scores(output, spec, ScoreWork(source, clips))
    for key, row in both.items():
        aesthetic, embedding = row.scores.numbers["aesthetic"], row.scores.vectors["embedding"]
        assert read[key].scores.numbers["aesthetic"] == aesthetic == round(aesthetic, 6)
        assert read[key].scores.vectors["embedding"].dtype == np.float32
        np.testing.assert_array_equal(read[key].scores.vectors["embedding"], np.float32(embedding))
        assert embedding == [round(value, 6) for value in embedding]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    wide = noise(1, 352, 720)[0] // 2
    pan = np.stack([wide[:, 2 * i : 2 * i + 640] for i in range(40)])
    (folder / "plain.mp4").write_bytes(encode_mp4(pan, FPS))
    (folder / "subtitles.mp4").write_bytes(encode_mp4(subtitled(pan[::-1])[0], FPS))
    return folder


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The keys that turn every scorer on but DOVER's, whose file is tried below."""
    folder = tmp_path_factory.mktemp("weights")
    saved_clip("ViT-S-32-alt", folder / "clip.pt")
    head("mse", 256, folder / "head.pth")
    net = classifier(folder / "net.onnx")
    return [
        *("aesthetic.network=ViT-S-32-alt", f"aesthetic.weights={folder / 'clip.pt'}"),
        *(f"aesthetic.head={folder / 'head.pth'}", "text_overlay.enabled=true", "select.bands.text_overlay.max=0.01"),
        *(f"watermark.weights={net}", "watermark.side=16", "select.bands.watermark.max=1"),
        *(f"unsafe.weights={net}", "unsafe.side=16", "unsafe.index=0", "workers=1", "select=all"),
    ]


@pytest.fixture(scope="module")
def made(
    films: Path, words: list[str], configure: Configure, tmp_path_factory: pytest.TempPathFactory, ray_session: None
) -> Path:
    output = tmp_path_factory.mktemp("scored") / "out"
    curate(configure(films, output, *words))
    return output


COLUMNS = ("aesthetic", "text_overlay", "watermark", "unsafe")


def clips_of(output: Path) -> dict[str, dict]:
    return {row["path"]: row for row in read_ledger(str(output), "clips").to_pylist()}


def test_the_ledger_has_the_scores_and_the_embeddings(made: Path) -> None:
    clips = clips_of(made)
    assert clips["plain.mp4"]["state"] == "kept" and clips["plain.mp4"]["text_overlay"] == 0.0
    assert clips["subtitles.mp4"]["reason"] == "text_overlay above 0.01"
    for row in clips.values():
        assert all(isinstance(row[name], float) for name in COLUMNS)
        assert len(row["embedding"]) == 256 and np.linalg.norm(row["embedding"]) == pytest.approx(1, abs=1e-5)
    assert "dover" not in clips["plain.mp4"], "what has no weights is off"
    assert audit(str(made)).problems == []


def test_nothing_is_scored_twice_and_other_bands_select_anew(
    made: Path, films: Path, words: list[str], configure: Configure
) -> None:
    lines = (made / "work" / "journal.jsonl").read_text()
    assert sum("scored" in json.loads(line) for line in lines.splitlines()) == 2 * 2 * 4, "start and done"
    index = (made / "index.json").read_bytes()
    curate(configure(films, made, *words))
    assert (made / "index.json").read_bytes() == index
    assert (made / "work" / "journal.jsonl").read_text() == lines
    anew = made.parent / "anew"
    keys = [f"from={made}", f"output={anew}", "select.bands.text_overlay.max=0.5", "workers=1", "select=all"]
    keys.append("dedup.near=null")
    curate(compose("curate", CurateConfig, [*keys, f"tracking.uri=sqlite:///{made.parent / 'mlflow.db'}"]))
    before, after = clips_of(made), clips_of(anew)
    assert {row["state"] for row in after.values()} == {"kept"}
    for path, row in after.items():
        assert [row[name] for name in (*COLUMNS, "embedding")] == [
            before[path][name] for name in (*COLUMNS, "embedding")
        ]


def test_wrong_requests_are_one_line_and_status_2(
    films: Path, clip_files: tuple[str, Path, torch.nn.Module], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, film = classifier(tmp_path / "net.onnx"), dover(tmp_path / "dover.onnx")
    wide = tmp_path / "wide.pth"
    head("mse", 32, wide)
    narrow = tmp_path / "narrow.pth"
    head("linear", 24, narrow)
    torch.save({"layers.0.weight": torch.ones(2, 24)}, tmp_path / "half.pth")
    clip = [f"aesthetic.network={clip_files[0]}", f"aesthetic.weights={clip_files[1]}"]
    digest = hashlib.sha256(net.read_bytes()).hexdigest()
    wrong = [
        (
            ["select.bands.aesthetic.min=5"],
            r"select\.bands\.aesthetic: nothing measures aesthetic; aesthetic\.weights turns",
        ),
        (["select.bands.text_overlay.max=1"], r"nothing measures text_overlay; text_overlay\.enabled turns it on"),
        (["select.bands.nonsense.max=1"], r"nothing measures nonsense; must be one of motion"),
        (["select.bands.embedding.max=1"], r"nothing measures embedding; must be one of motion"),
        ([clip[1]], r"aesthetic\.head=: "),
        ([*clip, f"aesthetic.head={wide}"], r"aesthetic\.head=.*framemill-tiny, 24 numbers; it takes 32"),
        ([*clip, f"aesthetic.head={tmp_path / 'half.pth'}"], r"aesthetic\.head=.*no aesthetic head"),
        ([clip[1], "aesthetic.network=ViT-X", f"aesthetic.head={narrow}"], r"aesthetic\.network=ViT-X: "),
        ([clip[0], f"aesthetic.weights={wide}", f"aesthetic.head={narrow}"], r"does not hold the weights"),
        ([f"watermark.weights={net}", "watermark.side=16", "watermark.index=3"], r"watermark\.weights=.*its index 3"),
        ([f"watermark.weights={net}"], r"watermark\.weights=.*does not take pictures \(2, 3, 224, 224\)"),
        ([f"unsafe.weights={net}", f"unsafe.sha256={digest[::-1]}"], r"unsafe\.weights=.*its sha256 is"),
        ([f"unsafe.weights={net}", "unsafe.std=[1,1,0]"], r"unsafe\.std=.*above 0"),
        ([f"unsafe.weights={film}"], r"unsafe\.weights=.*a classifier takes"),
        ([f"dover.weights={net}"], r"dover\.weights=.*DOVER takes two"),
        (["text_overlay.enabled=true", f"text_overlay.sha256={digest}"], r"text_overlay\.sha256=.*networks here is"),
        (["unsafe.activation=argmax"], r"unsafe\.activation"),
    ]
    for extra, said in wrong:
        assert main(["curate", f"input={films}", f"output={tmp_path / 'out'}", *extra]) == 2, extra
        told = capsys.readouterr().err
        assert len(told.splitlines()) == 1, told
        assert re.search(said, told), told
    assert not (tmp_path / "out").exists()
