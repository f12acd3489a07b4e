"""The driver's side of captioning: which clips are asked about, in which batches, and what becomes of the rest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from framemill.data_filters.captions import MODELS
from framemill.data_filters.captions.answer_store import answers_folder, read_answers
from framemill.data_filters.captions.base import Answer
from framemill.data_filters.captions.choose import Answers, settle_captions, to_ask
from framemill.platform import storage
from framemill.platform.errors import PendingError, RequestError
from framemill.platform.progress import progress, say

if TYPE_CHECKING:
    from framemill.data_filters.config import CurateConfig
    from framemill.data_filters.sources.source import Source
    from framemill.platform.writer_lock import LockToken

Row = MutableMapping[str, Any]
BATCH = 32
"""Clips. A batch ends when its last clip does, so it is many times what a worker asks about at once."""
NAMED = 10
"""Clips that a line names."""
ASKED_OF = ("key", "path", "start_s", "frames")


def check_captioners(config: CurateConfig) -> None:
    """Raises RequestError where a captioner's model is not there: hours of measuring come before it is asked."""
    for name in config.captions:
        if name in MODELS:
            answers_folder(config.output, name, config.caption)


def write_captions(config: CurateConfig, sources: list[Source], clips: Sequence[Row], token: LockToken) -> None:
    """Gives each kept clip its captions, or filters it by what they are; the others have none.

    Raises:
        RequestError: a model answers no such request.
        PendingError: a model did not answer about some clips; the others' answers are recorded.
    """
    answers: Answers = {}
    kept = [clip for clip in clips if clip["state"] == "kept"]
    for name in config.captions:
        if name in MODELS:
            answers[name] = ask_model(config, name, answers, sources, kept, token)
    rejected: Counter[str] = Counter()
    for clip in clips:
        clip.update(caption=None, captions=[])
        if clip["state"] == "kept":
            rejected.update(settle_captions(clip, config.captions, answers, config.caption)[:1])
    if rejected:
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(rejected.items()))
        without = sum((clip["reason"] or "").startswith("caption: ") for clip in kept)
        say(
            f"curate: the preferred caption of {rejected.total()} of {len(kept)} clips was rejected ({told}); "
            f"{without} were filtered for it, the others took their next one"
        )


def ask_model(
    config: CurateConfig, name: str, answers: Answers, sources: list[Source], kept: Sequence[Row], token: LockToken
) -> dict[str, list[Answer]]:
    """All that a model answers about the kept clips, by key; a clip that cannot be read becomes a failed one.

    Raises:
        RequestError, PendingError: as write_captions.
    """
    folder = answers_folder(config.output, name, config.caption)
    storage.make_dirs(folder)

    def waiting(given: dict[str, list[Answer]]) -> list[Row]:
        said = {**answers, name: given}
        return [
            clip
            for clip in kept
            if clip["state"] == "kept" and to_ask(clip, config.captions, name, said, config.caption)
        ]

    given = recorded(config, name)
    todo = waiting(given)
    if not todo:
        return given
    where = {source.path: source for source in sources}
    asked: list[Row] = [
        {
            **{field: clip[field] for field in ASKED_OF},
            "uri": where[clip["path"]].uri,
            "stamp": where[clip["path"]].stamp,
            "answers": [[one.text, one.finish] for one in given.get(clip["key"], [])],
        }
        for clip in todo
    ]
    failed, reasons = ask_pool(config, name, folder, asked, token)
    for clip in todo:
        if clip["key"] in failed:
            clip.update(state="failed", reason=failed[clip["key"]])
    given = recorded(config, name)
    # What counts is what is recorded, not what the workers said of it.
    if left := waiting(given):
        named = "; ".join(
            f"{clip['key']} of {clip['path']} ({reasons.get(clip['key'], 'not asked')})" for clip in left[:NAMED]
        )
        more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
        raise PendingError(
            f"curate: {name} gave no caption for {len(left)} of {len(asked)} clips: {named}{more}; "
            "the same command tries again"
        )
    return given


def recorded(config: CurateConfig, name: str) -> dict[str, list[Answer]]:
    """All that a model has answered, here and in the dataset that this one is selected from."""
    given: dict[str, list[Answer]] = {}
    for output in filter(None, (config.from_, config.output)):
        for key, answers in read_answers(answers_folder(output, name, config.caption)).items():
            given.setdefault(key, []).extend(answers)
    return given


def ask_pool(
    config: CurateConfig, name: str, folder: str, asked: list[Row], token: LockToken
) -> tuple[dict[str, str], dict[str, str]]:
    """Has the workers ask about all clips; by key, why some cannot be read, and why some got no answer.

    Raises:
        RequestError: the model answers no such request.
    """
    from framemill.data_filters.captions.worker import CaptionWorker
    from framemill.platform.pools import map_actors

    workers, slots, gpus = shares(config, name)
    size = max(1, min(max(BATCH, 8 * slots), -(-len(asked) // workers)))
    batches = [asked[start : start + size] for start in range(0, len(asked), size)]
    # The attempt is in the name: no two drivers' workers ever write the same file.
    work = [
        json.dumps({"name": f"{token.attempt:06d}-{number:06d}.jsonl", "clips": batch})
        for number, batch in enumerate(batches)
    ]
    arguments = {
        "folder": folder,
        "token": token,
        "captioner": name,
        "settings": config.caption,
        "slots": slots,
        "timeout_s": config.source_timeout_s,
    }
    failed: dict[str, str] = {}
    pending: dict[str, str] = {}
    with progress(f"curate: captioning ({name})", len(asked), "clips") as bar:
        for outcome in map_actors(CaptionWorker, arguments, work, workers, gpus):
            if outcome.value is None:
                say(f"curate: captions of batch {outcome.name} are pending: {outcome.pending}")
                continue
            result = json.loads(outcome.value)
            if result["wrong"]:
                raise RequestError(result["wrong"])
            failed |= result["failed"]
            pending |= result["pending"]
            bar.advance(result["asked"])
            if result["gone"]:
                break
    return failed, pending


def shares(config: CurateConfig, name: str) -> tuple[int, int, float]:
    """(workers, clips that each asks about at once, GPUs of each). Together they never exceed `concurrency`."""
    import ray

    from framemill.platform.cluster import worker_count

    workers = worker_count(config.workers)
    if name == "endpoint":
        workers = min(workers, config.caption.concurrency)
        return workers, config.caption.concurrency // workers, 0.0
    gpus = int(ray.cluster_resources().get("GPU", 0))
    return (gpus, 1, 1.0) if gpus else (workers, 1, 0.0)
