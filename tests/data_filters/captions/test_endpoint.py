"""The captioner `endpoint` and its worker against a real server that misbehaves: retries, and nothing else."""

from __future__ import annotations

import dataclasses
import io
import time
from pathlib import Path

import av
import pytest

from framemill.data_filters.captions import endpoint
from framemill.data_filters.captions.answer_store import AnswerFile, read_answers
from framemill.data_filters.captions.base import Answer
from framemill.data_filters.captions.config import CaptionConfig
from framemill.data_filters.captions.frames import clip_jpegs, spread_indices
from framemill.data_filters.captions.messages import CaptionBatch, CaptionClip, CaptionResult, SourceClips
from framemill.data_filters.captions.worker import CaptionWorker
from framemill.data_filters.sources.source import Source, source_stamp
from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.pools import ItemResult
from framemill.platform.vision.video import read_video
from framemill.platform.writer_lock import WriterLock
from tests.support.caption_server import MODEL, caption_server
from tests.support.pool_items import do_item

MISFORTUNES = ["429", "500", "hang", "no json", "no choice", "null", "drop", "endless", "drip"]


def settings(url: str, **keys: object) -> CaptionConfig:
    values = {"served_model": MODEL, "backoff_s": 0.01, "timeout_s": 1.0, "frames": 3, "max_side": 96, **keys}
    return CaptionConfig(url=url, **values)


class Bench:
    """A worker over the clips of a file, each a second of it."""

    def __init__(self, folder: Path, video: Path, clips: int = 2) -> None:
        self.output, self.folder, self.video = str(folder), str(folder / "answers"), video
        Path(self.folder).mkdir(parents=True)
        source = Source(video.name, str(video), source_stamp(str(video)))
        parts = [CaptionClip(f"clip-{number}", number / 4, 4, []) for number in range(clips)]
        self.batch = CaptionBatch("1.jsonl", [SourceClips(source, parts)])

    def ask(self, config: CaptionConfig, slots: int = 4) -> ItemResult[str]:
        with WriterLock(self.output) as lock:
            worker = CaptionWorker(self.folder, lock.token(), "endpoint", config, slots, 60.0)
            return do_item(worker, self.batch.to_json())

    def result(self, config: CaptionConfig, slots: int = 4) -> CaptionResult:
        return CaptionResult.from_json(self.ask(config, slots).value)

    def answers(self) -> dict[str, list[Answer]]:
        return read_answers(self.folder)


@pytest.fixture
def bench(footage: Path, tmp_path: Path) -> Bench:
    return Bench(tmp_path / "out", footage / "static.mp4")


def test_every_misfortune_costs_a_retry_and_nothing_else(bench: Bench) -> None:
    with caption_server(script=MISFORTUNES) as server:
        result = bench.result(settings(server.url, attempts=len(MISFORTUNES) + 1))
        stats = server.stats()
    assert result == CaptionResult(2, pending={}, failed={}, gone=False)
    assert set(stats["asked"].values()) == {len(MISFORTUNES) + 1} and set(stats["answered"].values()) == {1}
    assert [len(answers) for answers in bench.answers().values()] == [1, 1]


def test_a_clip_that_is_never_answered_waits_and_the_others_are_recorded(footage: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "out", footage / "shot 0 \u00e9.mp4", 6)
    with caption_server(never=0.5) as server:
        result = bench.result(settings(server.url, attempts=2))
        stats = server.stats()
    silent = {mark for mark, count in stats["asked"].items() if count == 2}
    assert silent and len(silent) == len(result.pending) == 6 - len(bench.answers())
    assert set(result.pending.values()) == {"status 503, 2 times"} and not result.gone
    assert not set(result.pending) & set(bench.answers())


def test_answers_that_fail_the_checks_are_recorded_and_asked_again_otherwise(bench: Bench) -> None:
    with caption_server(bad={"I'm sorry, but I can't describe that.": [0, 1, 2]}) as server:
        assert bench.result(settings(server.url)).pending == {}
        requests = server.stats()["requests"]
        assert sorted(seed for _, _, seed in requests) == [0, 0, 1, 1, 2, 2]
        assert all((temperature > 0) == (seed > 0) for _, temperature, seed in requests)
        for answers in bench.answers().values():
            assert [one.text.startswith("I'm sorry") for one in answers] == [True, True, False]
        bench.ask(settings(server.url))
        assert len(server.stats()["requests"]) == 6, "a worker that is given its batch again asks nothing again"


def test_a_wrong_request_ends_the_job_with_one_line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(config: CaptionConfig) -> str:
        with pytest.raises(RequestError) as error:
            bench.ask(config)
        return str(error.value)

    with caption_server(key="s3cret-word") as server:
        assert "401" in refused(settings(server.url))
        assert "caption.api_key_env=FM_KEY" in refused(settings(server.url, api_key_env="FM_KEY"))
        monkeypatch.setenv("FM_KEY", "another-word")
        text = refused(settings(server.url, api_key_env="FM_KEY"))
        assert "401: wrong key Bearer ***" in text and "another-word" not in text
        monkeypatch.setenv("FM_KEY", "s3cret-word")
        assert "does not exist" in refused(settings(server.url, api_key_env="FM_KEY", served_model="x"))
        assert bench.result(settings(server.url, api_key_env="FM_KEY")).pending == {}
    assert len(bench.answers()) == 2


def test_a_server_that_is_gone_is_given_up(footage: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "out", footage / "shot 0 \u00e9.mp4", 6)
    (one,) = bench.batch.sources
    clips = [dataclasses.replace(clip, key=f"{clip.key}-{turn}") for turn in range(5) for clip in one.clips]
    bench.batch = CaptionBatch("1.jsonl", [SourceClips(one.source, clips)])
    result = bench.result(settings("http://127.0.0.1:9/v1", attempts=2), slots=2)
    assert result.gone and len(result.pending) == 30
    assert sum("not asked" in why for why in result.pending.values()) >= 18


def test_no_more_requests_than_slots_are_under_way(footage: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "out", footage / "shot 0 \u00e9.mp4", 6)
    with caption_server(delay_s=0.2) as server:
        bench.ask(settings(server.url), slots=2)
        assert server.stats()["most"] == 2


def test_a_changed_or_broken_source_is_told_apart(bench: Bench, footage: Path) -> None:
    words = str(footage / "words.mp4")
    first, second = bench.batch.sources[0].clips
    changed = dataclasses.replace(bench.batch.sources[0].source, stamp="other")
    broken = Source("words.mp4", words, source_stamp(words))
    bench.batch = CaptionBatch("1.jsonl", [SourceClips(changed, [first]), SourceClips(broken, [second])])
    result = bench.result(settings("http://127.0.0.1:9/v1"))
    assert result.pending == {"clip-0": "it changed after it was listed"}
    assert "not a readable media file" in result.failed["clip-1"]


def test_a_worker_that_outlives_its_driver_records_nothing(bench: Bench) -> None:
    with WriterLock(bench.output) as lock:
        old = lock.token()
    with WriterLock(bench.output), caption_server() as server:
        worker = CaptionWorker(bench.folder, old, "endpoint", settings(server.url), 1, 60.0)
        with pytest.raises(FramemillError, match="replaced"):
            do_item(worker, bench.batch.to_json())
    assert bench.answers() == {}


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    uri = str(tmp_path / "1.jsonl")
    answers = [
        Answer(f"k{number}", "caf\u00e9 \u2028 \ud800".encode("utf-8", "replace").decode(), "stop")
        for number in range(3)
    ]
    for answer in answers[:2]:
        AnswerFile(uri).add(answer)
    Path(uri).write_bytes(Path(uri).read_bytes()[:-5])
    assert read_answers(str(tmp_path)) == {"k0": [answers[0]]}
    AnswerFile(uri).add(answers[2])
    assert read_answers(str(tmp_path)) == {"k0": [answers[0]], "k2": [answers[2]]}
    AnswerFile("memory://answers/1.jsonl").add(answers[0])
    AnswerFile("memory://answers/1.jsonl").add(answers[1])
    assert list(read_answers("memory://answers")) == ["k0", "k1"]


def test_frames_are_the_middles_of_equal_stretches(footage: Path) -> None:
    assert spread_indices(10, 2) == [2, 7] and spread_indices(8, 8) == list(range(8)) and spread_indices(2, 5) == [0, 1]
    path = str(footage / "shot 0 \u00e9.mp4")
    jpegs = clip_jpegs(path, 1.0, 20, 4, 160)
    whole = read_video(path)
    assert len(jpegs) == 4
    for number, jpeg in zip(spread_indices(20, 4), jpegs, strict=True):
        with av.open(io.BytesIO(jpeg)) as container:
            shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert shown.shape == (90, 160, 3)
        theirs = [abs(shown[::9, ::16].astype(int) - frame[::18, ::32]).mean() for frame in whole]
        assert theirs[16 + number] <= min(theirs) + 1


def test_waits_grow_and_are_the_servers_where_it_names_one() -> None:
    waits = [endpoint.backoff_s(1.0, "key", attempt) for attempt in range(1, 12)]
    assert waits == [endpoint.backoff_s(1.0, "key", attempt) for attempt in range(1, 12)]
    assert all(2 ** (n - 1) / 2 <= wait <= 2 ** (n - 1) for n, wait in enumerate(waits[:6], 1)) and max(waits) <= 60
    assert endpoint.backoff_s(1.0, "other", 3) != waits[2]
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    assert 25 < endpoint.retry_after_s(date) <= 30 and endpoint.retry_after_s("7") == 7
    assert endpoint.retry_after_s("soon") == endpoint.retry_after_s("nan") == endpoint.retry_after_s("-4") == 0
    assert endpoint.retry_after_s("1e9") == endpoint.MAX_RETRY_AFTER_S
