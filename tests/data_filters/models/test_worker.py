"""Scores by networks: the true values, of the clips that need them, once each, whatever happens on the way."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.models.base import ModelSpec, SampledFrames, ScorableClip
from framemill.data_filters.models.config import MotionConfig
from framemill.data_filters.models.registry import load_scorer, model_spec
from framemill.data_filters.models.sampled_frames import frames_every, read_frames_every
from framemill.data_filters.models.score_parts import ScoreWork, read_scores
from framemill.data_filters.models.worker import ModelWorker
from framemill.data_filters.pipeline import curate
from framemill.data_filters.sources.listing import list_sources
from framemill.data_filters.sources.source import Source, source_stamp
from framemill.jobs.cli import main
from framemill.jobs.status import status
from framemill.platform.audit import audit
from framemill.platform.dataset import read_ledger
from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.pools import ItemResult
from framemill.platform.vision.read import DecodedFrame
from framemill.platform.vision.reel import Scene
from framemill.platform.vision.video import VideoError, encode_mp4, iter_frames, read_video
from framemill.platform.writer_lock import WriterLock
from tests.support.console import kill_job_when
from tests.support.curation_output import Configure, read_journal, shard_bytes
from tests.support.flow_files import closed_form, closed_form_flow, random_raft
from tests.support.footage import shot
from tests.support.pool_items import do_item

UNITS = {True: (320, 576), False: (576, 320)}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return closed_form(tmp_path_factory.mktemp("network") / "flow.onnx", size=(320, 576))


def rows_of(output: Path, name: str = "clips") -> list[dict]:
    return read_ledger(str(output), name).to_pylist()


def journal(output: Path) -> list[dict]:
    return [entry for entry in read_journal(output) if "scored" in entry]


def true_motion(path: Path, clip: dict) -> np.ndarray:
    """What the closed form gives for a clip, from every frame of the file read at once."""
    portrait = clip["height"] > clip["width"]
    start, end = clip["first_frame"], clip["first_frame"] + clip["frames"]
    frames = []
    with contextlib.suppress(VideoError):  # one of the files breaks off after the clip
        for frame in iter_frames(str(path), size=UNITS[portrait]):
            frames.append(frame.rgb)
    pictures = np.stack(frames[start:end:8])
    if portrait:
        pictures = pictures.transpose(0, 2, 1, 3)
    flow = closed_form_flow(pictures[:-1], pictures[1:])
    if portrait:
        flow = flow[..., ::-1]
    return np.array([np.hypot(*np.moveaxis(flow, -1, 0)).mean(), flow[..., 0].mean(), flow[..., 1].mean()])


@pytest.fixture(scope="module")
def made(
    footage: Path, configure: Configure, network: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: None
) -> Path:
    output = tmp_path_factory.mktemp("scored") / "out"
    words = ("motion.backend=onnx", f"motion.weights={network}", "workers=2", "select.bands.motion.min=6.4")
    curate(configure(footage, output, *words))
    return output


def test_the_columns_are_the_networks(made: Path, footage: Path) -> None:
    scored = [row for row in rows_of(made) if row["motion"] is not None]
    assert len(scored) >= 6
    for row in scored:
        motion = np.array([row["motion"], row["motion_x"], row["motion_y"]])
        np.testing.assert_allclose(motion, true_motion(footage / row["path"], row), atol=2e-4)
    assert {row["state"] for row in scored} == {"kept", "filtered"}
    assert all((row["state"] == "kept") == (6.4 <= row["motion"] <= 200) for row in scored)
    assert audit(str(made)).problems == []


def test_only_what_the_pass_left_is_scored(made: Path) -> None:
    by_path = {row["path"]: row for row in rows_of(made)}
    assert by_path["dark.mp4"]["reason"] == "technical below 0.25" and by_path["dark.mp4"]["motion"] is None
    assert by_path["vivid.mp4"]["reason"] == "saturation above 248" and by_path["vivid.mp4"]["motion"] is None
    assert by_path["short.mp4"]["reason"] == "shorter than 2 s" and by_path["short.mp4"]["motion"] is None
    assert {line["scored"] for line in journal(made)}.isdisjoint({"dark.mp4", "short.mp4", "deep/two-scenes.mp4"})
    assert Counter(line["event"] for line in journal(made)) == {"start": 7, "done": 7}


def test_a_description_ends_with_the_networks_movement(made: Path) -> None:
    described = [row for row in rows_of(made) if row["motion"] is not None]
    assert all("; it moves" in row["description"] or "; it stays" in row["description"] for row in described)
    kept = [row for row in described if row["state"] == "kept" and row["sidecar_caption"] is None]
    assert kept and all(row["caption"] == row["description"] for row in kept)


def test_one_process_gives_the_bytes_of_two_and_done_work_is_not_done_again(
    made: Path, footage: Path, configure: Configure, network: Path
) -> None:
    before, lines = shard_bytes(made), len(journal(made))
    words = ("motion.backend=onnx", f"motion.weights={network}", "select.bands.motion.min=6.4")
    curate(configure(footage, made, *words, "workers=1"))
    assert shard_bytes(made) == before and len(journal(made)) == lines
    one = made.parent / "one"
    curate(configure(footage, one, *words, "workers=1", "models.actors=1"))
    assert shard_bytes(one) == before


@pytest.mark.slow
def test_killed_half_way_nothing_is_scored_twice(
    made: Path, footage: Path, configure: Configure, network: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    words = ["motion.backend=onnx", f"motion.weights={network}", "workers=1", "select.bands.motion.min=6.4"]
    job = ["curate", f"input={footage}", f"output={output}", *words]
    kill_job_when(job, lambda: sum(line["event"] == "done" for line in journal(output)) >= 2)
    assert not (output / "index.json").exists()
    assert any(line.startswith("scored by motion-") for line in status(str(output)))
    curate(configure(footage, output, *words))
    assert shard_bytes(output) == shard_bytes(made)
    done = [line["scored"] for line in journal(output) if line["event"] == "done"]
    assert len(done) == len(set(done)) == 7
    assert {line["attempt"] for line in journal(output)} == {1, 2}


def test_the_output_is_the_weights(
    made: Path, footage: Path, configure: Configure, network: Path, tmp_path: Path
) -> None:
    """Other weights than those it was made with are refused, and the same ones elsewhere are not."""
    bands = "select.bands.motion.min=6.4"
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(network.read_bytes())
    curate(configure(footage, made, "motion.backend=onnx", f"motion.weights={moved}", bands, "workers=2"))
    other = closed_form(tmp_path / "other.onnx")
    with pytest.raises(RequestError, match=r"motion\.sha256 was"):
        curate(configure(footage, made, "motion.backend=onnx", f"motion.weights={other}", bands, "workers=2"))


def test_wrong_requests_are_one_line_and_status_2(
    footage: Path, network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (tmp_path / "words.onnx").write_text("no network\n") and str(tmp_path / "words.onnx")
    narrow = closed_form(tmp_path / "narrow.onnx", size=(64, 96))
    wrong = [
        (["motion.backend=onnx", f"motion.weights={tmp_path / 'absent'}"], "motion.weights=.*no such file"),
        (["motion.backend=onnx", f"motion.weights={network}", f"motion.sha256={'0' * 64}"], "its sha256 is"),
        (["motion.backend=onnx", f"motion.weights={words}"], "is no ONNX model"),
        (["motion.backend=raft", f"motion.weights={network}"], "must be a state dict"),
        (["motion.backend=onnx", f"motion.weights={narrow}"], r"does not take pictures \(1, 3, 320, 576\)"),
        (["motion.backend=onnx"], "needs a file"),
        (["motion.backend=dis", f"motion.weights={network}"], "takes none"),
        (["motion.backend=onnx", f"motion.weights={network}", "motion.sha256=12"], "64 hex digits"),
        (["motion.backend=onnx", f"motion.weights={network}", "filters=[technical]", "select=all"], "filters"),
        (["models.gpus=1.5"], "models.gpus"),
        (["models.batch=0"], "models.batch"),
    ]
    for extra, pattern in wrong:
        assert main(["curate", f"input={footage}", f"output={tmp_path / 'out'}", *extra]) == 2
        message = capsys.readouterr().err
        assert len(message.splitlines()) == 1
        assert re.search(pattern, message)
    assert not (tmp_path / "out").exists()


def test_gpus_that_are_not_there_are_refused(
    footage: Path, network: Path, configure: Configure, tmp_path: Path, ray_session: None
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    words = ("motion.backend=onnx", f"motion.weights={network}", "models.gpus=0.25", "workers=2")
    with pytest.raises(RequestError, match=r"models\.gpus=0\.25: must be at most 0"):
        curate(configure(footage / "static.mp4", tmp_path / "out", *words))
    assert not (tmp_path / "out").exists()


def spec_of(file: Path, backend: str = "onnx", batch: int = 8) -> ModelSpec:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return model_spec("motion", MotionConfig(backend, str(file), digest), "cpu", batch)


@pytest.fixture
def output(tmp_path: Path) -> str:
    (tmp_path / "out" / "work").mkdir(parents=True)
    return str(tmp_path / "out")


def worker(output: str, spec: ModelSpec, timeout_s: float = 60.0) -> ModelWorker:
    with WriterLock(output) as lock:
        return ModelWorker(output, lock.token(), spec, timeout_s)


def work_on(path: Path, frames: int = 40, width: int = 320, height: int = 180) -> ScoreWork:
    clip = ScorableClip("clip", 0.0, frames, width, height)
    return ScoreWork(Source(path.name, str(path), source_stamp(str(path))), [clip])


def pan(width: int, height: int, frames: int = 12, fps: int = 4) -> bytes:
    picture = np.random.default_rng(3).integers(0, 256, (height, width + 8 * frames, 3), np.uint8)
    return encode_mp4((picture[:, 8 * i : 8 * i + width] for i in range(frames)), fps, crf=10)


@pytest.mark.parametrize(("width", "height"), [(192, 108), (108, 192)])
def test_raft_scores_as_torch_run_by_hand_upright_or_turned(
    tmp_path: Path, output: str, width: int, height: int
) -> None:
    import torch
    from torchvision.models.optical_flow import raft_small

    (tmp_path / "pan.mp4").write_bytes(pan(width, height, frames=5))
    file = random_raft(tmp_path / "raft.pth")
    spec = spec_of(file, "raft")
    work = work_on(tmp_path / "pan.mp4", frames=5, width=width, height=height)
    assert do_item(worker(output, spec), work.to_json()) == ItemResult("pan.mp4", "")
    row = read_scores(output, spec, work)["clip"].scores.numbers

    views = read_frames_every(str(tmp_path / "pan.mp4"), 0.0, 5, 0.5, UNITS[height > width])
    assert views.frames.shape == (3, *UNITS[height > width][::-1], 3) and list(views.times) == [0.0, 0.5, 1.0]
    network = raft_small(weights=None).eval()
    network.load_state_dict(torch.load(file, weights_only=True))
    batch = torch.from_numpy(views.frames).permute(0, 3, 1, 2).float() / 255 * 2 - 1
    turned = batch.transpose(2, 3) if height > width else batch
    with torch.inference_mode():
        flow = network(turned[:-1].contiguous(), turned[1:].contiguous())[-1].numpy()
    x, y = (flow[:, 1], flow[:, 0]) if height > width else (flow[:, 0], flow[:, 1])
    assert row["motion"] == pytest.approx(np.hypot(x, y).mean(), abs=1e-3)
    assert (row["motion_x"], row["motion_y"]) == pytest.approx((x.mean(), y.mean()), abs=1e-3)


def test_batches_of_one_and_of_many_agree(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (4, 320, 576, 3), np.uint8)
    views = SampledFrames(np.array([0, 0.5, 1.0, 1.6]), pictures)
    file = random_raft(tmp_path / "raft.pth")
    one, many = (load_scorer(spec_of(file, "raft", batch)).score(views).numbers for batch in (1, 3))
    assert one == pytest.approx(many, abs=1e-4)


def test_a_gap_other_than_half_a_second_is_scaled(network: Path) -> None:
    """A quarter of a second between the same pictures is twice the speed."""
    pictures = np.random.default_rng(0).integers(0, 256, (2, 576, 320, 3), np.uint8)
    scorer = load_scorer(spec_of(network))
    slow, fast = (scorer.score(SampledFrames(np.array([0.0, gap]), pictures)).numbers for gap in (0.5, 0.25))
    assert fast == pytest.approx({name: 2 * value for name, value in slow.items()})
    assert scorer.score(SampledFrames(np.array([0.0]), pictures[:1])).numbers == dict.fromkeys(slow, 0.0)


@pytest.mark.parametrize("seed", range(20))
def test_a_network_sees_the_frames_that_the_filters_see(seed: int) -> None:
    random = np.random.default_rng(seed)
    times = 7.0 + np.cumsum(random.choice([1 / 60, 1 / 24, 0.25, 0.5, 1.3], size=random.integers(1, 40)))
    clip = ClipFrames(times, [np.zeros((2, 2, 3), np.uint8)] * len(times), float(times[-1]) + 0.1, 0, 2, 2)
    chosen = clip.every(0.5)
    if len(chosen) < 2 and len(times) > 1:
        chosen = [0, len(times) - 1]
    pictures = [DecodedFrame(i, float(time_s), None, (2, 2)) for i, time_s in enumerate(times)]
    assert [one.index for one in frames_every(pictures, 0.5)] == chosen


def test_a_clip_in_the_middle_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "scenes.mp4").write_bytes(shot(Scene("red", "blue"), Scene("green", "grey"), Scene("blue", "red")))
    views = read_frames_every(str(tmp_path / "scenes.mp4"), 5.0, 40, 0.5, (320, 180))
    assert list(views.times) == [5.0, 5.5, 6.0, 6.5, 7.0]
    whole = read_video(str(tmp_path / "scenes.mp4"))
    assert np.abs(views.frames.astype(int) - whole[80:120:8]).max() <= 1


def test_a_clip_that_cannot_be_read_again_failed_and_the_others_stand(
    tmp_path: Path, output: str, network: Path
) -> None:
    (tmp_path / "one.mp4").write_bytes(shot(Scene("red", "blue")))
    work = work_on(tmp_path / "one.mp4")
    beyond = dataclasses.replace(work.clips[0], key="beyond", start_s=1.25)
    work = ScoreWork(work.source, [beyond, *work.clips])
    spec = spec_of(network)
    assert do_item(worker(output, spec), work.to_json()).pending == ""
    rows = read_scores(output, spec, work)
    assert str(rows["beyond"].unscored) == "could not be read again: only 20 of its 40 frames are there"
    assert rows["beyond"].scores is None and rows["clip"].unscored is None
    assert rows["clip"].scores.numbers["motion"] > 0


def test_a_hang_a_change_and_a_loss_wait(tmp_path: Path, output: str, network: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    spec = spec_of(network)
    assert "time limit" in do_item(worker(output, spec, 2.0), work_on(tmp_path / "pipe.mp4").to_json()).pending
    (tmp_path / "one.mp4").write_bytes(shot(Scene("red", "blue")))
    work = work_on(tmp_path / "one.mp4")
    os.utime(tmp_path / "one.mp4", (1, 1))
    assert "changed" in do_item(worker(output, spec), work.to_json()).pending
    (tmp_path / "one.mp4").unlink()
    assert "no longer there" in do_item(worker(output, spec), work.to_json()).pending
    assert read_scores(output, spec, work) is None, "what may succeed later is not written down"


def test_scores_of_a_changed_source_or_of_fewer_clips_are_none(tmp_path: Path, output: str, network: Path) -> None:
    (tmp_path / "one.mp4").write_bytes(shot(Scene("red", "blue")))
    work, spec = work_on(tmp_path / "one.mp4"), spec_of(network)
    assert do_item(worker(output, spec), work.to_json()).pending == ""
    assert read_scores(output, spec, work) is not None
    assert read_scores(output, spec, ScoreWork(Source("one.mp4", work.source.uri, "other"), work.clips)) is None
    more = [*work.clips, dataclasses.replace(work.clips[0], key="new")]
    assert read_scores(output, spec, ScoreWork(work.source, more)) is None
    assert read_scores(output, spec_of(network, batch=2), work) is None, "another setting, another folder"


def test_a_worker_that_outlives_its_driver_cannot_write(footage: Path, output: str, network: Path) -> None:
    source = list_sources(str(footage / "static.mp4"))[0]
    work, spec = ScoreWork(source, work_on(footage / "static.mp4").clips), spec_of(network)
    orphan, successor = worker(output, spec), worker(output, spec)
    with pytest.raises(FramemillError, match="replaced"):
        do_item(orphan, work.to_json())
    assert read_scores(output, spec, work) is None
    assert do_item(successor, work.to_json()).pending == ""
