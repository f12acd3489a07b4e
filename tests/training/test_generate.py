"""Generation: names, seeds, and videos that depend on neither workers nor stops."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.vision.video import probe, read_video
from framemill.training import generate as generation
from framemill.training.generate import generate, plan
from framemill.training.job_configs import GenerateConfig
from framemill.training.model import LinearDiT, LinearDiTConfig
from framemill.training.sampling import save_scheduler

PROMPTS = "A red circle on blue.\n\n  A green square: 3/4 view\nA red circle on blue.\n"
NAMES = ["A red circle on blue.-0.mp4", "000001-0.mp4", "000002-0.mp4"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with the export of an untrained model."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    model = LinearDiT(
        LinearDiTConfig(
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=1,
            num_cross_attention_heads=2,
            cross_attention_head_dim=12,
            caption_channels=64,
        )
    )
    with torch.no_grad():
        model.proj_out.weight.normal_(std=0.1)
    model.save_diffusers(folder / "export" / "transformer")
    save_scheduler(folder / "export" / "scheduler", flow_shift=5.0)
    card = {"codec": "dct", "text": "hashed", "fps": 8.0, "bucket": "9x32x48", "dataset": "0" * 16}
    (folder / "export" / "framemill.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    path.write_text(PROMPTS)
    return path


def settings(run: Path, prompts: Path, output: Path, **changes: object) -> GenerateConfig:
    return GenerateConfig(**{"model": str(run), "prompts": str(prompts), "output": str(output), "steps": 2, **changes})


@pytest.fixture(scope="module")
def made(run: Path, prompts: Path, ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("made") / "videos"
    generate(settings(run, prompts, output, workers=1))
    return output


def videos(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.mp4")}


def test_one_playable_video_a_prompt(made: Path) -> None:
    assert sorted(videos(made)) == sorted(NAMES)
    for name in NAMES:
        info = probe(str(made / name))
        assert (info.width, info.height, info.fps) == (48, 32, 8.0)
        assert len(read_video(str(made / name))) == 9
    assert len(set(videos(made).values())) == 3
    lines = [json.loads(line) for line in (made / "videos.jsonl").read_text().splitlines()]
    assert [line["video"] for line in lines] == NAMES
    assert [line["prompt"] for line in lines] == [
        "A red circle on blue.",
        "A green square: 3/4 view",
        "A red circle on blue.",
    ]
    assert len({line["seed"] for line in lines}) == 3


def test_two_workers_and_a_stop_change_nothing(run: Path, prompts: Path, made: Path, tmp_path, monkeypatch) -> None:
    generate(settings(run, prompts, tmp_path / "two", workers=2))
    assert videos(tmp_path / "two") == videos(made)

    made_here: list[str] = []

    def stopped(function, jobs, workers, gpus):
        for job in jobs:
            if len(made_here) == 1:
                raise FramemillError("stopped")
            made_here.append(job.video.name)
            yield function(job)

    def plain(function, jobs, workers, gpus):
        for job in jobs:
            made_here.append(job.video.name)
            yield function(job)

    monkeypatch.setattr(generation, "in_parallel", stopped)
    with pytest.raises(FramemillError, match="stopped"):
        generate(settings(run, prompts, tmp_path / "stopped"))
    assert not (tmp_path / "stopped" / "videos.jsonl").exists()
    monkeypatch.setattr(generation, "in_parallel", plain)
    result = generate(settings(run, prompts, tmp_path / "stopped"))
    assert made_here == NAMES
    assert videos(tmp_path / "stopped") == videos(made)
    assert result.line().startswith("generate: 3 videos of 9x32x48 at 8 fps")


def test_size_and_words_are_heard(run: Path, prompts: Path, made: Path, ray_session: None, tmp_path: Path) -> None:
    generate(settings(run, prompts, tmp_path / "still", frames=1, height=16, width=32, workers=1))
    assert read_video(str(tmp_path / "still" / NAMES[0])).shape == (1, 16, 32, 3)


def test_motion_score_changes_the_text_alone(run: Path, prompts: Path, monkeypatch) -> None:
    heard: list[np.ndarray] = []

    def listen(model, text, mask, null_text, null_mask, **_):
        heard.append(text.numpy())
        return torch.zeros(1, 16, 3, 4, 6)

    monkeypatch.setattr(generation, "sample", listen)
    video = plan(["a dog"], 1, seed=0)[0]
    export = str(run / "export")
    for score in (10, -1):
        config = settings(run, prompts, run, motion_score=score)
        generation.draw(config, export, generation.read_card(export), generation.Bucket(9, 32, 48), video)
    encoder = generation.get_text_encoder("hashed")
    assert np.array_equal(heard[0][0], encoder.encode_one("a dog motion score: 10."))
    assert np.array_equal(heard[1][0], encoder.encode_one("a dog"))


def test_seeds_follow_from_place_alone() -> None:
    videos = plan(["a", "b"], samples=2, seed=5)
    assert [(video.name, video.index) for video in videos] == [
        ("a-0.mp4", 0),
        ("a-1.mp4", 1),
        ("b-0.mp4", 0),
        ("b-1.mp4", 1),
    ]
    assert [video.seed for video in plan(["x", "y"], samples=3, seed=5)][::3] == [video.seed for video in videos][::2]
    assert {video.seed for video in videos}.isdisjoint(video.seed for video in plan(["a", "b"], samples=2, seed=6))
    assert plan(["x" * 241, "é" * 121, ".hidden"], 1, 0)[0].name == "000000-0.mp4"


def test_wrong_requests(run: Path, prompts: Path, made: Path, tmp_path: Path, ray_session: None) -> None:
    with pytest.raises(RequestError, match="neither an export folder"):
        generate(settings(tmp_path, prompts, tmp_path / "out"))
    with pytest.raises(RequestError, match="prompts="):
        generate(settings(run, tmp_path / "none.txt", tmp_path / "out"))
    image = tmp_path / "image.txt"
    image.write_text("a dog<image>dog.png\n")
    with pytest.raises(RequestError, match="begins from an image"):
        generate(settings(run, image, tmp_path / "out"))
    with pytest.raises(RequestError, match="1 \\+ 4k frames"):
        generate(settings(run, prompts, tmp_path / "out", frames=8))
    with pytest.raises(RequestError, match="steps was 2, is 3"):
        generate(settings(run, prompts, made, steps=3))
    with pytest.raises(RequestError, match=r"prompts=.*holds videos of another"):
        other = tmp_path / "other.txt"
        other.write_text("another\n")
        generate(settings(run, other, made))
