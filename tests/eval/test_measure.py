"""Measuring a video whose decoder process dies: only a crash that the file may have caused is final."""

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from framemill.eval.measure import VideoItem, measure_item
from framemill.eval.suites import PlannedVideo
from framemill.platform.retry import ATTEMPTS, RetryLater
from tests.support.process_tree import decoders, descendants

FLICKER = "temporal_flickering"
CONTENT = b"content of the file that crashes the decoder"


@pytest.fixture
def item(tmp_path: Path) -> VideoItem:
    """A named pipe: the decoder waits for its first byte until it is killed."""
    os.mkfifo(tmp_path / "a.mp4")
    return VideoItem(str(tmp_path / "a.mp4"), PlannedVideo("a.mp4", "a cat", (FLICKER,)), timeout_s=120.0)


@contextmanager
def killed_decoders(item: VideoItem, number: signal.Signals) -> Iterator[None]:
    """Sends a signal to the decoder process of each attempt; before the last, puts a plain file at the item's path.

    Child processes that are there before, such as MLflow's of another test, are left alone.
    """
    others = {process.pid for process in decoders(descendants(os.getpid()))}

    def kill() -> None:
        pids: set[int] = set()
        while len(pids) < ATTEMPTS:
            for process in decoders(descendants(os.getpid())):
                if process.pid not in pids | others:
                    pids.add(process.pid)
                    if len(pids) == ATTEMPTS:
                        Path(item.uri).unlink()
                        Path(item.uri).write_bytes(CONTENT)
                    process.send(number)
            time.sleep(0.05)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    yield
    thread.join(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_from_outside_leaves_the_video_pending(item: VideoItem, number: signal.Signals) -> None:
    with killed_decoders(item, number), pytest.raises(RetryLater, match=f"killed by {number.name}"):
        measure_item(item)


def test_a_crash_in_every_attempt_is_a_failed_record(item: VideoItem) -> None:
    with killed_decoders(item, signal.SIGSEGV):
        (record,) = measure_item(item)
    assert (record.video, record.prompt, record.dimension, record.state) == ("a.mp4", "a cat", FLICKER, "failed")
    assert record.reason == "the decoder crashed: killed by SIGSEGV" and record.result is None
    assert record.sha256 == hashlib.sha256(CONTENT).hexdigest()
