"""Progress is lines where there is no terminal."""

from __future__ import annotations

import pytest

from framemill.platform import progress as module
from framemill.platform.progress import progress


def test_lines_come_now_and_then_and_once_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress("measure", total=3, unit="videos") as bar:
        for _ in range(3):
            bar.advance()
    assert capsys.readouterr().out == "measure: 3/3 videos, 0 s\n"
    monkeypatch.setattr(module, "LINE_EVERY_S", 0.0)
    with progress("measure", total=2, unit="videos") as bar:
        bar.advance(note="a.mp4")
    assert capsys.readouterr().out.splitlines()[0] == "measure: 1/2 videos, 0 s (a.mp4)"
