"""Captions in a whole curation on Ray: the caption of each clip, and that no recorded answer is asked for again."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from framemill.data_filters.captions.answer_store import read_answers
from framemill.data_filters.captions.base import Answer
from framemill.data_filters.pipeline import curate
from framemill.platform.audit import audit
from framemill.platform.dataset import Dataset, read_ledger
from framemill.platform.errors import PendingError, RequestError
from tests.support.caption_server import MODEL, Server, caption_server
from tests.support.console import kill_job_when
from tests.support.curation_output import Configure

KILLS = int(os.environ.get("FRAMEMILL_TEST_KILLS", "2"))
REFUSED = "I'm sorry, but I can't describe that."
ORDER = ["endpoint", "sidecar", "descriptor"]


@pytest.fixture(scope="module")
def scenes(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of the footage, one of them with a caption sidecar."""
    folder = tmp_path_factory.mktemp("scenes")
    for name in ("shot 0 \u00e9.mp4", "shot 0 \u00e9.txt", "shot 1 \u00e9.mp4", "deep/copy.mp4"):
        (folder / Path(name).name).symlink_to(footage / name)
    return folder


def words(server: Server, *more: str) -> list[str]:
    """Returns the words for clips of half a second, captioned two at a time."""
    cut = ["clip.min_seconds=0.4", "clip.max_seconds=0.5", "workers=2", "pack.samples_per_shard=6"]
    model = [f"caption.url={server.url}", f"caption.served_model={MODEL}", "caption.frames=2", "caption.max_side=96"]
    return [*cut, *model, "caption.concurrency=2", "caption.backoff_s=0.01", "caption.attempts=2", *more]


def contents(output: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in [output / "index.json", *sorted((output / "shards").iterdir())]}


def answers_of(output: Path) -> dict[str, list[Answer]]:
    (folder,) = (output / "work" / "captions").iterdir()
    return read_answers(str(folder))


def test_wrong_keys_are_refused(scenes: Path, configure: Configure, tmp_path: Path) -> None:
    with caption_server() as server:
        for word, message in (
            ("caption.url=host:80", r"^caption\.url=host:80"),
            ("caption.served_model=", r"^caption\.served_model"),
            ("caption.weights.nobody=3", r"^caption\.weights\.nobody"),
            ("caption.min_words=500", r"^caption\.min_words"),
            ("captions=[endpoint,endpoint]", "each captioner once"),
            ("captions=[vlm]", r"^caption\.vlm"),
        ):
            with pytest.raises(RequestError, match=message):
                configure(scenes, tmp_path / "out", "captions=[endpoint]", *words(server), word)
    with pytest.raises(RequestError, match=r"^caption\.vlm=/nowhere"):
        curate(configure(scenes, tmp_path / "out", "captions=[vlm]", "caption.vlm=/nowhere"))
    assert not (tmp_path / "out").exists()


def test_captions_are_kept_with_their_weights(
    scenes: Path, configure: Configure, tmp_path: Path, ray_session: None
) -> None:
    """Some clips are refused once, some always; the other clips are not affected."""
    bad = {REFUSED: [0.0, 0.5, 1], "Tiny.": [0.5, 0.75, 9]}
    with caption_server(bad=bad, script=["500"]) as server:
        order = f"captions=[{','.join(ORDER)}]"
        curate(configure(scenes, tmp_path / "out", order, *words(server)))
        asked = server.stats()["asked"]
        assert audit(str(tmp_path / "out")).problems == []
        curate(configure(scenes, tmp_path / "out", order, *words(server)))
        assert server.stats()["asked"] == asked, "nothing is asked again"
        assert server.stats()["most"] <= 2
    dataset = Dataset.open(str(tmp_path / "out"))
    answers = answers_of(tmp_path / "out")
    rows = dataset.samples.to_pylist()
    assert len(rows) == len(answers) >= 15
    for number, row in enumerate(rows):
        facts = json.loads(dataset.read(number, "json"))
        assert facts["captions"] == row["captions"] and row["captions"][0]["text"] == row["caption"]
        assert dataset.read(number, "txt").decode() == row["caption"] == facts["caption"]
        answered = len(answers[row["key"]]) < 3
        has = {"endpoint": answered, "sidecar": facts["path"].startswith("shot 0"), "descriptor": True}
        assert [one["source"] for one in row["captions"]] == [name for name in ORDER if has[name]]
    assert {len(one) for one in answers.values()} == {1, 2, 3}, "every kind of clip was there"


def test_clips_that_are_never_answered_wait_by_name(
    scenes: Path, configure: Configure, tmp_path: Path, ray_session: None
) -> None:
    with caption_server(key="secret") as server, pytest.raises(RequestError, match=r"^caption\.url=.*401: wrong key"):
        curate(configure(scenes, tmp_path / "out", "captions=[endpoint]", *words(server)))
    with caption_server(never=0.3) as server:
        with pytest.raises(PendingError, match="gave no caption for") as error:
            curate(configure(scenes, tmp_path / "out", "captions=[endpoint]", *words(server)))
        first = server.stats()
    assert not (tmp_path / "out" / "index.json").exists()
    answered = answers_of(tmp_path / "out")
    with caption_server() as server:
        curate(configure(scenes, tmp_path / "out", "captions=[endpoint]", *words(server)))
        waited = server.stats()["asked"]
    assert set(waited) == set(first["asked"]) - set(first["answered"]) and set(waited.values()) == {1}
    named = set(answers_of(tmp_path / "out")) - set(answered)
    assert len(named) == len(waited) > 0 and all(f"{key} of " in str(error.value) for key in sorted(named)[:10])
    clips = read_ledger(str(tmp_path / "out"), "clips").to_pylist()
    assert {clip["state"] for clip in clips} == {"kept"}


@pytest.mark.slow
def test_killed_while_captioning_it_asks_for_no_recorded_answer_again(
    scenes: Path, configure: Configure, tmp_path: Path, ray_session: None
) -> None:
    with caption_server() as server:
        curate(configure(scenes, tmp_path / "whole", "captions=[endpoint,descriptor]", *words(server)))
        clips = len(server.stats()["asked"])
    chance = random.Random(0)
    output = tmp_path / "out"
    attempts: dict[str, int] = {}
    with caption_server(delay_s=0.5) as server:
        for kill in range(KILLS):
            # Anywhere within the share of the clips that this run may get to.
            target = max(sum(attempts.values()) + 1, (kill + chance.random()) / (KILLS + 1) * clips)
            kill_job_when(
                ["curate", f"input={scenes}", f"output={output}", "captions=[endpoint,descriptor]", *words(server)],
                lambda target=target: sum(server.stats()["asked"].values()) >= target,
                before_kill=lambda: time.sleep(chance.uniform(0, 0.5)),
            )
            assert not (output / "index.json").exists()
            asked = server.stats()["asked"]
            recorded = [one.text for answers in answers_of(output).values() for one in answers]
            new = [mark for mark in asked if any(mark in text for text in recorded) and mark not in attempts]
            attempts |= {mark: asked[mark] for mark in new}
        curate(configure(scenes, output, "captions=[endpoint,descriptor]", *words(server)))
        asked = server.stats()["asked"]
    assert attempts and {mark: asked[mark] for mark in attempts} == attempts, "no recorded answer was asked for again"
    assert contents(output) == contents(tmp_path / "whole")
