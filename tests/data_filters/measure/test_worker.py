"""A source that hangs, crashes the decoder or changes costs itself only, and its state says what happened."""

import os
import signal
from pathlib import Path

import pytest

from framemill.data_filters.ledger.parts import read_part
from framemill.data_filters.measure.messages import MeasureSettings
from framemill.data_filters.measure.worker import RetryLater, SourceWorker, call_with_retry
from framemill.data_filters.sources.listing import list_sources
from framemill.data_filters.sources.source import Source, source_stamp
from framemill.platform.child_process import ChildCrashed, ChildProcess
from framemill.platform.errors import FramemillError
from framemill.platform.writer_lock import WriterLock
from tests.support.console import START_S

SETTINGS = MeasureSettings(2.0, 10.0, ("motion",))


class DeadlySettings(MeasureSettings):
    """Settings that crash the process which unpickles them: the decoder child."""

    def __reduce__(self):
        return signal.raise_signal, (signal.SIGSEGV,)


@pytest.fixture
def output(tmp_path: Path) -> str:
    folder = tmp_path / "out"
    (folder / "work" / "parts").mkdir(parents=True)
    return str(folder)


def worker(output: str, settings: MeasureSettings = SETTINGS, timeout_s: float = 60.0) -> SourceWorker:
    with WriterLock(output) as lock:
        return SourceWorker(output, lock.token(), settings, timeout_s)


def test_a_part_is_what_was_measured_and_is_read_back(footage, output):
    source = list_sources(str(footage / "shot 0 \u00e9.mp4"))[0]
    one = worker(output)
    assert one({"work": source.to_json()}) == {"name": source.path, "waits": ""}
    part = read_part(output, source)
    assert part is not None and part.reason is None and len(part.clips) == 1
    clip = part.clips[0]
    assert (clip["start_s"], clip["end_s"], clip["frames"], clip["width"]) == (0.0, 2.5, 40, 320)
    assert clip["motion"] == pytest.approx(14.4, rel=0.15)
    assert clip["sidecar_caption"] == "A grey disc on red."
    changed = Source(source.path, source.uri, "another")
    assert read_part(output, changed) is None, "a file that changed is measured again"


def test_a_hang_is_tried_again_and_then_waits(output, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    source = Source("pipe.mp4", str(tmp_path / "pipe.mp4"), source_stamp(str(tmp_path / "pipe.mp4")))
    one = worker(output, timeout_s=2.0)
    assert "time limit" in one({"work": source.to_json()})["waits"]
    assert read_part(output, source) is None, "what may succeed later is not written down"


def test_a_crash_of_the_decoder_is_a_failed_source(footage, output):
    source = list_sources(str(footage / "static.mp4"))[0]
    settings = DeadlySettings(2.0, 10.0, ("motion",))
    assert worker(output, settings)({"work": source.to_json()})["waits"] == ""
    part = read_part(output, source)
    assert part is not None and part.reason == "the decoder crashed twice: killed by SIGSEGV" and part.clips == []


def test_a_signal_from_outside_is_not_the_files_fault():
    with ChildProcess() as child:
        with pytest.raises(RetryLater, match="SIGKILL"):
            call_with_retry(child, "signal:raise_signal", signal.SIGKILL, timeout=START_S)
        with pytest.raises(ChildCrashed, match="SIGSEGV"):
            call_with_retry(child, "ctypes:string_at", 0, timeout=START_S)


def test_a_file_that_vanished_or_changed_waits(footage, output, tmp_path):
    gone = Source("gone.mp4", str(tmp_path / "gone.mp4"), "1:1")
    one = worker(output)
    assert "no longer there" in one({"work": gone.to_json()})["waits"]
    changed = Source("static.mp4", str(footage / "static.mp4"), "1:1")
    assert "changed" in one({"work": changed.to_json()})["waits"]


def test_a_worker_that_outlives_its_driver_cannot_write(footage, output):
    source = list_sources(str(footage / "static.mp4"))[0]
    orphan = worker(output)
    successor = worker(output)
    with pytest.raises(FramemillError, match="replaced"):
        orphan({"work": source.to_json()})
    assert read_part(output, source) is None
    assert successor({"work": source.to_json()})["waits"] == ""
