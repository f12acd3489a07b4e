"""Scores by networks for pictures: the reference computation's values, for small networks with random weights."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.models.base import ModelSpec, ScorableClip
from framemill.data_filters.models.config import AestheticConfig
from framemill.data_filters.models.registry import load_scorer, model_spec
from framemill.data_filters.models.score_parts import ScoreWork, read_scores
from framemill.data_filters.models.worker import ModelWorker
from framemill.data_filters.pipeline import curate
from framemill.data_filters.sources.source import Source, source_stamp
from framemill.jobs.cli import main
from framemill.platform.audit import audit
from framemill.platform.compose import compose
from framemill.platform.dataset import read_ledger
from framemill.platform.vision.reel import Scene
from framemill.platform.vision.video import encode_mp4
from framemill.platform.writer_lock import WriterLock
from tests.support.curation_output import Configure
from tests.support.footage import SHOT_FPS as FPS
from tests.support.footage import shot
from tests.support.image_frames import BATCHES, noise, sampled_frames, subtitled
from tests.support.image_networks import (
    classifier,
    dover,
    head,
    saved_clip,
    tiny_clip,
)
from tests.support.pool_items import do_item


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
        ([*clip, f"aesthetic.head={tmp_path / 'none.pth'}"], r"aesthetic\.head=.*there is no such file"),
        ([*clip, f"aesthetic.head={wide}"], r"aesthetic\.head=.*framemill-tiny, 24 numbers; it takes 32"),
        ([*clip, f"aesthetic.head={tmp_path / 'half.pth'}"], r"aesthetic\.head=.*no aesthetic head"),
        ([clip[1], "aesthetic.network=ViT-X", f"aesthetic.head={narrow}"], r"aesthetic\.network=ViT-X: "),
        ([clip[0], f"aesthetic.weights={wide}", f"aesthetic.head={narrow}"], r"does not hold the weights"),
        (
            [f"watermark.weights={net}", "watermark.side=16", "watermark.index=3"],
            r"watermark\.weights=.*with index 3; it returns",
        ),
        ([f"watermark.weights={net}"], r"watermark\.weights=.*does not take pictures \(2, 3, 224, 224\)"),
        ([f"unsafe.weights={net}", f"unsafe.sha256={digest[::-1]}"], r"unsafe\.weights=.*its sha256 is"),
        ([f"unsafe.weights={net}", "unsafe.std=[1,1,0]"], r"unsafe\.std=.*above 0"),
        ([f"unsafe.weights={film}"], r"unsafe\.weights=.*a classifier takes"),
        ([f"dover.weights={net}"], r"dover\.weights=.*DOVER takes two"),
        (
            ["text_overlay.enabled=true", f"text_overlay.sha256={digest}"],
            r"text_overlay\.sha256=.*rapidocr.s networks, here ",
        ),
        (["unsafe.activation=argmax"], r"unsafe\.activation"),
    ]
    for extra, pattern in wrong:
        assert main(["curate", f"input={films}", f"output={tmp_path / 'out'}", *extra]) == 2, extra
        message = capsys.readouterr().err
        assert len(message.splitlines()) == 1, message
        assert re.search(pattern, message), message
    assert not (tmp_path / "out").exists()
