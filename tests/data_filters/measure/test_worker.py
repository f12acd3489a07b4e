"""A source that hangs, crashes the decoder or changes costs itself only, and its state says what happened."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from framemill.data_filters.ledger.parts import read_part
from framemill.data_filters.measure.messages import MeasureSettings
from framemill.data_filters.measure.worker import SourceWorker
from framemill.data_filters.sources.listing import list_sources
from framemill.data_filters.sources.source import Source, source_stamp
from framemill.platform.errors import FramemillError
from framemill.platform.pools import ItemResult
from framemill.platform.retry import ATTEMPTS
from framemill.platform.writer_lock import WriterLock
from tests.support.pool_items import do_item

SETTINGS = MeasureSettings(2.0, 10.0, ("motion",))


class DeadlySettings(MeasureSettings):
    """Settings that crash the process which unpickles them: the decoder child."""

    def __reduce__(self) -> tuple[object, ...]:
        return signal.raise_signal, (signal.SIGSEGV,)


@pytest.fixture
def output(tmp_path: Path) -> str:
    folder = tmp_path / "out"
    (folder / "work" / "parts").mkdir(parents=True)
    return str(folder)


def worker(output: str, settings: MeasureSettings = SETTINGS, timeout_s: float = 60.0) -> SourceWorker:
    with WriterLock(output) as lock:
        return SourceWorker(output, lock.token(), settings, timeout_s)


def test_a_part_is_what_was_measured_and_is_read_back(footage: Path, output: str) -> None:
    source = list_sources(str(footage / "shot 0 \u00e9.mp4"))[0]
    one = worker(output)
    assert do_item(one, source.to_json()) == ItemResult(source.path, "")
    part, clips = read_part(output, source)
    assert part.reason is None and clips.num_rows == 1
    clip = clips.to_pylist()[0]
    assert (clip["start_s"], clip["end_s"], clip["frames"], clip["width"]) == (0.0, 2.5, 40, 320)
    assert clip["motion"] == pytest.approx(14.4, rel=0.15)
    assert clip["sidecar_caption"] == "A grey disc on red."
    changed = Source(source.path, source.uri, "another")
    assert read_part(output, changed) is None, "a file that changed is measured again"


def test_a_hang_is_tried_again_and_then_waits(output: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    source = Source("pipe.mp4", str(tmp_path / "pipe.mp4"), source_stamp(str(tmp_path / "pipe.mp4")))
    one = worker(output, timeout_s=2.0)
    assert "time limit" in do_item(one, source.to_json()).pending
    assert read_part(output, source) is None, "what may succeed later is not written down"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_decoder_killed_by_the_system_leaves_its_source_pending(
    output: str, tmp_path: Path, number: signal.Signals
) -> None:
    """Shutdown and lack of memory say nothing about the file, however often they strike."""
    os.mkfifo(tmp_path / "pipe.mp4")
    source = Source("pipe.mp4", str(tmp_path / "pipe.mp4"), source_stamp(str(tmp_path / "pipe.mp4")))
    one = worker(output)

    def kill() -> None:
        pids: set[int] = set()
        while len(pids) < ATTEMPTS:
            if (pid := one.child.pid) and pid not in pids:
                pids.add(pid)
                os.kill(pid, number)
            time.sleep(0.01)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    result = do_item(one, source.to_json())
    thread.join(60)
    assert result == ItemResult("pipe.mp4", pending=f"killed by {number.name}")
    assert read_part(output, source) is None, "it is never recorded as failed"


def test_a_crash_of_the_decoder_is_a_failed_source(footage: Path, output: str) -> None:
    source = list_sources(str(footage / "static.mp4"))[0]
    settings = DeadlySettings(2.0, 10.0, ("motion",))
    assert do_item(worker(output, settings), source.to_json()).pending == ""
    part, clips = read_part(output, source)
    assert str(part.reason) == "the decoder crashed twice: killed by SIGSEGV" and clips.num_rows == 0


def test_a_file_that_vanished_or_changed_waits(footage: Path, output: str, tmp_path: Path) -> None:
    gone = Source("gone.mp4", str(tmp_path / "gone.mp4"), "1:1")
    one = worker(output)
    assert "no longer there" in do_item(one, gone.to_json()).pending
    changed = Source("static.mp4", str(footage / "static.mp4"), "1:1")
    assert "changed" in do_item(one, changed.to_json()).pending


def test_a_worker_that_outlives_its_driver_cannot_write(footage: Path, output: str) -> None:
    source = list_sources(str(footage / "static.mp4"))[0]
    orphan = worker(output)
    successor = worker(output)
    with pytest.raises(FramemillError, match="replaced"):
        do_item(orphan, source.to_json())
    assert read_part(output, source) is None
    assert do_item(successor, source.to_json()).pending == ""
