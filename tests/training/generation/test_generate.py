"""Generation: names, seeds, videos that depend on neither workers nor stops, pictures to begin from, and blocks."""

import codecs
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from framemill.platform.errors import PendingError, RequestError
from framemill.platform.vision.video import probe, read_video
from framemill.training.buckets import Bucket
from framemill.training.codecs import get_codec
from framemill.training.data.clip_reader import read_image
from framemill.training.generation.config import GenerateConfig
from framemill.training.generation.generate import generate
from framemill.training.generation.prompts import Prompt, plan_videos, read_prompts
from framemill.training.generation.scheduler import save_scheduler
from framemill.training.generation.worker import VideoRequest, sampling_request, video_parts
from framemill.training.model import LinearDiT, LinearDiTConfig
from framemill.training.text import get_text_encoder

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
def streaming_run(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, as one that was trained in blocks of two latent frames."""
    folder = tmp_path_factory.mktemp("streaming")
    shutil.copytree(run / "export", folder / "export")
    card = json.loads((folder / "export" / "framemill.json").read_text())
    (folder / "export" / "framemill.json").write_text(json.dumps(card | {"block_frames": 2}))
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smooth picture, wider than the model's videos."""
    path = tmp_path_factory.mktemp("picture") / "hills.png"
    rows, columns = np.mgrid[:96, :200]
    waves = [128 + 90 * np.sin(rows / 20 + columns / 30 + phase) for phase in (0, 1, 2)]
    cv2.imwrite(str(path), np.stack(waves, -1).astype(np.uint8))
    return path


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


def drawn(config: GenerateConfig, prompt: Prompt, frames: int) -> list[np.ndarray]:
    """The parts of one video of 32x48 pixels, made in this process."""
    return list(video_parts(video_request(config, prompt, Bucket(frames, 32, 48))))


def video_request(config: GenerateConfig, prompt: Prompt, bucket: Bucket) -> VideoRequest:
    return VideoRequest(config, str(Path(config.model) / "export"), bucket, plan_videos([prompt], 1, seed=0)[0])


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


def test_two_workers_change_nothing(run: Path, prompts: Path, made: Path, tmp_path: Path, ray_session: None) -> None:
    generate(settings(run, prompts, tmp_path / "two", workers=2))
    assert videos(tmp_path / "two") == videos(made)


def test_a_stopped_job_resumes_with_the_missing_videos(
    run: Path, prompts: Path, made: Path, tmp_path: Path, ray_session: None
) -> None:
    stopped = tmp_path / "stopped"
    shutil.copytree(made, stopped)
    (stopped / "videos.jsonl").unlink()
    for name in NAMES[1:]:
        (stopped / name).unlink()
    first = (stopped / NAMES[0]).stat()
    result = generate(settings(run, prompts, stopped, workers=1))
    assert (stopped / NAMES[0]).stat().st_mtime_ns == first.st_mtime_ns
    assert videos(stopped) == videos(made)
    assert (stopped / "videos.jsonl").read_bytes() == (made / "videos.jsonl").read_bytes()
    assert result.line().startswith("generate: 3 videos of 9x32x48 at 8 fps")


def test_an_unexpected_error_leaves_its_videos_pending(
    run: Path, prompts: Path, tmp_path: Path, ray_session: None
) -> None:
    """A frame rate of 0 is no rate that a video can be written at."""
    shutil.copytree(run / "export", tmp_path / "export")
    card = json.loads((tmp_path / "export" / "framemill.json").read_text())
    (tmp_path / "export" / "framemill.json").write_text(json.dumps(card | {"fps": 0.0}))
    with pytest.raises(PendingError, match=r"^generate: 000001-0\.mp4: .* \(and 2 more\); the same command"):
        generate(settings(tmp_path / "export", prompts, tmp_path / "out", workers=1))
    assert not (tmp_path / "out" / "videos.jsonl").exists()


def test_a_request_error_in_a_worker_ends_the_job(run: Path, prompts: Path, tmp_path: Path, ray_session: None) -> None:
    """Half of a weight file: the config, which the driver reads, is whole."""
    shutil.copytree(run / "export", tmp_path / "export")
    weights = tmp_path / "export" / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(RequestError, match="is not a whole safetensors file"):
        generate(settings(tmp_path / "export", prompts, tmp_path / "out", workers=1))


def test_keys_are_validated_as_the_commands_are(run: Path, prompts: Path, tmp_path: Path) -> None:
    paths = {"model": str(run), "prompts": str(prompts), "output": str(tmp_path / "out")}
    with pytest.raises(RequestError, match="steps=0: must be at least 1"):
        generate(**paths, steps=0)
    with pytest.raises(RequestError, match="stepz: generate has no such key"):
        generate(**paths, stepz=3)
    with pytest.raises(RequestError, match="steps=0: must be at least 1"):
        generate(GenerateConfig(**paths, steps=0))
    assert not (tmp_path / "out").exists()


def test_size_and_words_are_heard(run: Path, prompts: Path, made: Path, ray_session: None, tmp_path: Path) -> None:
    generate(settings(run, prompts, tmp_path / "still", frames=1, height=16, width=32, workers=1))
    assert read_video(str(tmp_path / "still" / NAMES[0])).shape == (1, 16, 32, 3)


def test_motion_score_changes_the_text_alone(run: Path, prompts: Path) -> None:
    model, encoder = LinearDiT.from_diffusers(run / "export" / "transformer"), get_text_encoder("hashed")
    requests = []
    for score in (10, -1):
        request = video_request(settings(run, prompts, run, motion_score=score), Prompt("a dog"), Bucket(9, 32, 48))
        requests.append(sampling_request(request, request.card(), model))
    scored, plain = requests
    assert np.array_equal(scored.text[0], encoder.encode_one("a dog motion score: 10."))
    assert np.array_equal(plain.text[0], encoder.encode_one("a dog"))
    assert np.array_equal(scored.null_text, plain.null_text) and scored.shape == plain.shape == (1, 16, 3, 4, 6)


def named(*texts: str) -> list[Prompt]:
    return [Prompt(text) for text in texts]


def test_seeds_follow_from_place_alone() -> None:
    videos = plan_videos(named("a", "b"), samples=2, seed=5)
    assert [(video.name, video.index) for video in videos] == [
        ("a-0.mp4", 0),
        ("a-1.mp4", 1),
        ("b-0.mp4", 0),
        ("b-1.mp4", 1),
    ]
    others = plan_videos(named("x", "y"), samples=3, seed=5)
    assert [video.seed for video in others][::3] == [video.seed for video in videos][::2]
    again = plan_videos(named("a", "b"), samples=2, seed=6)
    assert {video.seed for video in videos}.isdisjoint(video.seed for video in again)
    assert plan_videos(named("x" * 241, "é" * 121, ".hidden", ""), 1, 0)[0].name == "000000-0.mp4"
    assert plan_videos(named("x" * 241, "é" * 121, ".hidden", ""), 1, 0)[3].name == "000003-0.mp4"


def test_a_line_may_name_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text(
        "a dog<image>dog.png\na dog <image> /pictures/cat.png\nwaves<image>s3://bucket/sea.png\n<image>x.png\n"
    )
    lines = read_prompts(str(path))
    assert lines == [
        Prompt("a dog", str(tmp_path / "dog.png")),
        Prompt("a dog", "/pictures/cat.png"),
        Prompt("waves", "s3://bucket/sea.png"),
        Prompt("", str(tmp_path / "x.png")),
    ]
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_prompts(str(path)) == lines
    assert [video.name for video in plan_videos(lines, 1, 0)] == [
        "a dog-0.mp4",
        "000001-0.mp4",
        "waves-0.mp4",
        "000003-0.mp4",
    ]


def test_a_video_begins_from_its_picture(run: Path, picture: Path, ray_session: None, tmp_path: Path) -> None:
    listing = picture.parent / "begin.txt"
    listing.write_text(f"hills<image>{picture.name}\nhills\n")
    generate(settings(run, listing, tmp_path / "out", workers=1))
    lines = [json.loads(line) for line in (tmp_path / "out" / "videos.jsonl").read_text().splitlines()]
    assert [line.get("image") for line in lines] == [str(picture), None]
    codec = get_codec("dct")
    framed = read_image(picture.read_bytes(), Bucket(9, 32, 48))
    wanted = codec.decode(codec.encode(framed))[0].astype(float)
    begun, free = (read_video(str(tmp_path / "out" / line["video"]))[0].astype(float) for line in lines)
    assert np.square(wanted - framed[0]).mean() < 100, "the picture is one that the codec can keep"
    assert np.square(begun - wanted).mean() < 30 < np.square(free - wanted).mean()
    # finished videos are not taken for those of another picture of that name
    cv2.imwrite(str(picture.parent / "other.png"), 255 - framed[0])
    listing.write_text("hills<image>other.png\nhills\n")
    with pytest.raises(RequestError, match=r"prompts=.*holds videos of other prompts"):
        generate(settings(run, listing, tmp_path / "out", workers=1))


def test_a_picture_is_scaled_to_cover_and_cropped_to_its_middle() -> None:
    columns = np.tile(np.arange(200, dtype=np.uint8), (96, 1))
    data = cv2.imencode(".png", np.stack([columns] * 3, -1))[1].tobytes()
    framed = read_image(data, Bucket(9, 32, 48))
    assert framed.shape == (1, 32, 48, 3)
    # 200x96 becomes 67x32, of which columns 9 to 56 stay: one is 2.985 columns of the picture
    expected = (np.arange(9, 57) + 0.5) * 200 / 67 - 0.5
    assert np.abs(framed[0, 16, :, 0] - expected).max() <= 1
    for data in (b"", b"no picture"):
        with pytest.raises(ValueError, match="not an image"):
            read_image(data, Bucket(9, 32, 48))


def test_a_block_causal_model_streams(streaming_run: Path, prompts: Path, picture: Path) -> None:
    config = settings(streaming_run, prompts, streaming_run)
    parts = drawn(config, Prompt("waves"), 21)
    assert [len(part) for part in parts] == [5, 8, 8], "six latent frames, two a block, of which the first is one frame"
    assert all(np.array_equal(*pair) for pair in zip(parts, drawn(config, Prompt("waves"), 21), strict=True))
    longer = drawn(config, Prompt("waves"), 29)
    assert all(np.array_equal(*pair) for pair in zip(parts, longer[:3], strict=True)), "it only goes on"
    in_threes = drawn(settings(streaming_run, prompts, streaming_run, block_frames=3), Prompt("waves"), 21)
    assert [len(part) for part in in_threes] == [9, 12]
    begun = drawn(config, Prompt("waves", str(picture)), 21)
    codec = get_codec("dct")
    wanted = codec.decode(codec.encode(read_image(picture.read_bytes(), Bucket(21, 32, 48))))
    assert np.array_equal(begun[0][:1], wanted) and not np.array_equal(parts[0][:1], wanted)


def test_a_minute_comes_block_by_block(streaming_run: Path, prompts: Path) -> None:
    config = settings(streaming_run, prompts, streaming_run, steps=1, cfg=1.0)
    parts = video_parts(video_request(config, Prompt("waves"), Bucket(481, 16, 32)))
    start = next(parts)
    assert len(start) == 9, "121 latent frames: three for the first block"
    assert len(start) + sum(len(part) for part in parts) == 481


def test_wrong_pictures_and_blocks_are_refused(
    run: Path, streaming_run: Path, prompts: Path, picture: Path, tmp_path: Path
) -> None:
    listing = tmp_path / "prompts.txt"
    (tmp_path / "text.png").write_text("no picture")
    for line, message, changes in (
        ("a<image>none.png", r"none\.png: no such image", {}),
        ("a<image>text.png", r"text\.png: is not an image that can be read", {}),
        ("a<image>b<image>c", "must be written text<image>path", {}),
        ("a<image>", "must be written text<image>path", {}),
        (f"a<image>{picture}", "frames=1: must be more than 1, since videos of prompts=", {"frames": 1}),
        ("a", "block_frames=2: must be 0, since the model is bidirectional", {"block_frames": 2}),
        (
            "a",
            "block_frames=4: must be at most 3, the latent frames of frames=9",
            {"block_frames": 4, "model": str(streaming_run)},
        ),
        ("a", "height=24: must be a multiple of 16 for this model", {"height": 24}),
        ("a", "frames=4097: must be at most 4093 for this model", {"frames": 4097}),
    ):
        listing.write_text(line + "\n")
        with pytest.raises(RequestError, match=message):
            generate(replace(settings(run, listing, tmp_path / "out"), **changes))
    assert not (tmp_path / "out").exists()


def test_wrong_numbers_are_refused(run: Path, prompts: Path) -> None:
    for name, value in (("cfg", float("nan")), ("cfg", float("inf")), ("cfg", -1.0), ("steps", 0), ("seed", -1)):
        with pytest.raises(RequestError, match=f"^{name}={value}: must be "):
            settings(run, prompts, run, **{name: value}).validate()


def test_wrong_requests(run: Path, prompts: Path, made: Path, tmp_path: Path, ray_session: None) -> None:
    with pytest.raises(RequestError, match="or a diffusers pipeline"):
        generate(settings(tmp_path, prompts, tmp_path / "out"))
    with pytest.raises(RequestError, match="prompts="):
        generate(settings(run, tmp_path / "none.txt", tmp_path / "out"))
    with pytest.raises(RequestError, match="needs 1 \\+ 4k frames"):
        generate(settings(run, prompts, tmp_path / "out", frames=8))
    with pytest.raises(RequestError, match="steps was 2, is 3"):
        generate(settings(run, prompts, made, steps=3))
    with pytest.raises(RequestError, match=r"prompts=.*holds videos of other prompts"):
        other = tmp_path / "other.txt"
        other.write_text("another\n")
        generate(settings(run, other, made))
