"""Footage of every awkward kind in one folder: nothing is lost, each state is right, and good sources are kept."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from framemill.data_filters.measure.decode_pass import measure_source
from framemill.data_filters.measure.messages import Ended, MeasuredClip, MeasureSettings
from framemill.data_filters.pipeline import curate
from framemill.platform.audit import audit
from framemill.platform.child_process import ChildProcess
from framemill.platform.dataset import Dataset, read_ledger
from framemill.platform.errors import PendingError
from framemill.platform.vision.video import VideoError, probe
from tests.support.console import JOB_S
from tests.support.curation_output import Configure
from tests.support.footage import again_and_again, moving, restamp, sound, words, write

LENGTHS = (1, 8, 40, 0.1, 0.25, 0.5, 0.75, 0.9, -100, -1)
"""Where the truncated files end: bytes, a share of the file, or bytes from its end."""
TWO_HOURS_S, LONG_FRAME_S = 7200.0, 5.0
NAMES = ("with space.mp4", "line\nbreak.mp4", "a.b..c.mp4", 'it\'s "so".mp4', "caf\u00e9 \u6620\u50cf.mp4", "a::b.mp4")
UNREADABLE = "caf\ufffd.mp4"
TWO_AT_A_TIME = [(125 * i, 125 * (i + 1 - 2 * (i % 2)) + 125) for i in range(20)]
"""Decoding and showing times in ms: each two frames change places."""


@dataclass
class Run:
    footage: Path
    output: Path
    waited: str
    """What the first run said it waits for."""

    @property
    def sources(self) -> dict[str, tuple[str, str | None]]:
        return {
            row["path"]: (row["state"], row["reason"]) for row in read_ledger(str(self.output), "sources").to_pylist()
        }

    @property
    def clips(self) -> list[dict]:
        return read_ledger(str(self.output), "clips").to_pylist()


def fill(folder: Path) -> None:
    """Writes one source of every kind to a folder."""
    seeds = iter(range(100))
    write(folder / "av1.mp4", moving(next(seeds)), codec="libsvtav1")
    write(folder / "vp9.webm", moving(next(seeds)), codec="libvpx-vp9")
    write(folder / "hevc10.mp4", moving(next(seeds)), codec="libx265", pixel_format="yuv420p10le")
    write(folder / "444.mp4", moving(next(seeds)), pixel_format="yuv444p")
    write(folder / "odd.mkv", moving(next(seeds), size=(127, 71)), codec="ffv1", pixel_format="bgr0")
    write(folder / "1x1.mkv", moving(next(seeds), size=(1, 1)), codec="ffv1", pixel_format="bgr0")
    for degrees in (90, 180, 270):
        write(folder / f"rotated {degrees}.mp4", moving(next(seeds)), rotation=degrees)
    write(folder / "varying.mp4", moving(next(seeds)), times_ms=[i * 125 + (i % 3) * 40 for i in range(20)])
    write(folder / "one frame.mp4", moving(next(seeds))[:1])
    write(folder / "3 fps.mp4", moving(next(seeds), fps=3), rate=3)
    before_zero = [(125 * i - 250,) * 2 for i in range(20)]
    pictures = write(folder / "pictures.mkv", moving(next(seeds), seconds=2.5), codec="mjpeg", pixel_format="yuvj420p")
    restamp(pictures, folder / "negative.mp4", before_zero, {"avoid_negative_ts": "disabled"})
    restamp(pictures, folder / "unordered.mp4", TWO_AT_A_TIME)
    pictures.unlink()
    whole = write(folder / "whole.mp4", moving(next(seeds), seconds=4), faststart=True).read_bytes()
    for index, length in enumerate(LENGTHS):
        end = round(length * len(whole)) if isinstance(length, float) else length
        (folder / f"truncated {index}.mp4").write_bytes(whole[:end])
    (folder / "zero.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("Nothing to see.\n" * 50)
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile whole.mp4\n")
    sound(folder / "sound.mp4")
    words(folder / "subtitles.mkv")
    gop = write(folder / "gop.mp4", moving(next(seeds))[[0] * 5], rate=1 / LONG_FRAME_S, options={"bf": "0"})
    again_and_again(gop, folder / "two hours.mp4", LONG_FRAME_S, TWO_HOURS_S)
    gop.unlink()
    for name in NAMES:
        write(folder / "x.mp4", moving(next(seeds))).rename(folder / name)
    write(folder / "x.mp4", moving(next(seeds))).rename(folder / os.fsdecode(b"caf\xe9.mp4"))
    (folder / "loop").symlink_to(folder)
    (folder / "itself.mp4").symlink_to(folder / "itself.mp4")
    long = np.concatenate([moving(next(seeds), fps=24)] * 8)
    write(folder / "vanishes.mp4", long, rate=24)
    write(folder / "changes.mp4", long[::-1], rate=24)
    write(folder.parent / "changed.mp4", moving(next(seeds)))


class Meddler(threading.Thread):
    """Removes one file and rewrites another as soon as the event log shows that they are being read."""

    def __init__(self, footage: Path, journal: Path) -> None:
        super().__init__(daemon=True)
        self.footage, self.journal = footage, journal
        self.over = threading.Event()

    def run(self) -> None:
        meddled: set[str] = set()
        while len(meddled) < 2 and not self.over.is_set():
            lines = self.journal.read_text().splitlines() if self.journal.exists() else []
            for path in {json.loads(line)["path"] for line in lines} & {"vanishes.mp4", "changes.mp4"} - meddled:
                meddled.add(path)
                if path == "vanishes.mp4":
                    (self.footage / path).unlink()
                else:
                    shutil.copyfile(self.footage.parent / "changed.mp4", self.footage / path)
            time.sleep(0.002)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, configure: Configure, ray_session: None) -> Run:
    """The folder curated while a meddler changes it, and then a second time without changes."""
    base = tmp_path_factory.mktemp("hostile")
    footage, output = base / "in", base / "out"
    footage.mkdir()
    fill(footage)
    # Many of the sources show the same pictures.
    config = configure(footage, output, "workers=2", "dedup.near=null")
    meddler = Meddler(footage, output / "work" / "journal.jsonl")
    meddler.start()
    try:
        with pytest.raises(PendingError) as waited:
            curate(config)
    finally:
        meddler.over.set()
        meddler.join()
    curate(config)
    return Run(footage, output, str(waited.value))


def test_the_law_of_conservation_holds(run: Run) -> None:
    """Every source has a row, every clip has one state, and the dataset has exactly the kept clips."""
    there = sum(file.suffix in (".mp4", ".mkv", ".webm") and file.is_file() for file in run.footage.iterdir())
    rows = read_ledger(str(run.output), "sources").to_pylist()
    assert len(rows) == len(run.sources) == there
    states = Counter(clip["state"] for clip in run.clips)
    assert sum(row["clips"] for row in rows) == sum(states.values()) == len({clip["key"] for clip in run.clips})
    assert set(states) <= {"kept", "filtered", "failed", "duplicate"}
    assert len(Dataset.open(str(run.output))) == states["kept"]
    assert all((clip["reason"] is None) == (clip["state"] == "kept") for clip in run.clips)
    assert audit(str(run.output)).problems == []


def test_the_good_ones_are_not_failed(run: Run) -> None:
    good = ["444.mp4", "3 fps.mp4", "av1.mp4", "hevc10.mp4", "odd.mkv", "vp9.webm", "varying.mp4", "whole.mp4"]
    good += [f"rotated {degrees}.mp4" for degrees in (90, 180, 270)]
    good += ["negative.mp4", "unordered.mp4", "changes.mp4", "caf\\xe9.mp4", *NAMES]
    assert {name: run.sources[name] for name in good} == dict.fromkeys(good, ("ok", None))


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [
        ("zero.mp4", "failed", "not a readable media file"),
        ("text.mp4", "failed", "not a readable media file"),
        ("list.mp4", "failed", "a list of other files"),
        ("sound.mp4", "failed", "no video stream, audio only"),
        ("subtitles.mkv", "failed", "no video stream"),
        ("1x1.mkv", "filtered", "below"),
        ("one frame.mp4", "filtered", "shorter than 2 s"),
        ("two hours.mp4", "filtered", "a still picture"),
        *((f"truncated {index}.mp4", "failed", "") for index in range(len(LENGTHS))),
    ],
)
def test_each_of_the_others_has_a_true_reason(run: Run, name: str, state: str, reason: str) -> None:
    assert run.sources[name][0] == state and reason in run.sources[name][1]


def test_what_vanished_or_changed_is_waited_for(run: Run) -> None:
    """Neither is recorded as final: the next run measures the changed file, and the removed file is no source."""
    assert "changes.mp4: it changed after it was listed (and 1 more); the same command tries again" in run.waited
    assert "vanishes.mp4" not in run.sources and run.sources["changes.mp4"] == ("ok", None)
    lines = [json.loads(line) for line in (run.output / "work" / "journal.jsonl").read_text().splitlines()]
    again = {line["path"] for line in lines if line["attempt"] == 2 and "path" in line}
    assert again == {"changes.mp4"}, "nothing else is read twice"


def test_a_broken_file_says_where(run: Run) -> None:
    reasons = [run.sources[f"truncated {index}.mp4"][1] for index in range(len(LENGTHS))]
    assert all(reasons) and any("damaged at" in reason for reason in reasons)
    assert "breaks off 100 bytes before its end" in reasons


def test_two_hours_are_measured_whole_without_a_screen(run: Run) -> None:
    *_, ended = items = list(
        measure_source(str(run.footage / "two hours.mp4"), MeasureSettings(2.0, 10.0, ("motion",)))
    )
    clips = [item for item in items if isinstance(item, MeasuredClip)]
    assert ended == Ended(None, fps_varies=False)
    assert sum(clip.frames for clip in clips) == TWO_HOURS_S / LONG_FRAME_S
    assert max(clip.end_s for clip in clips) == TWO_HOURS_S


def peak_kib(path: Path) -> int:
    with ChildProcess() as child:
        return child.call("tests.support.measured_peak:peak_kib", str(path), timeout=JOB_S)


def test_memory_is_flat_however_long_the_video(run: Run, tmp_path: Path) -> None:
    short = again_and_again(run.footage / "two hours.mp4", tmp_path / "short.mp4", LONG_FRAME_S, TWO_HOURS_S / 20)
    assert peak_kib(run.footage / "two hours.mp4") < 1.1 * peak_kib(short) + 10_000


@pytest.mark.parametrize("name", ["concat:one.mp4", "http:two.mp4"])
def test_a_name_is_never_taken_for_a_protocol(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copyfile(run.footage / "whole.mp4", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert probe(name).width == 128


def test_a_list_of_files_is_refused_though_they_exist(run: Run) -> None:
    with pytest.raises(VideoError, match="a list of other files"):
        probe(str(run.footage / "list.mp4"))
