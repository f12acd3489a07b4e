"""Captioning on the driver: selects the clips to ask a model about, batches them, and assigns the captions."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

from framemill.data_filters.captions.answer_store import answers_folder, read_answers
from framemill.data_filters.captions.base import Answer
from framemill.data_filters.captions.choose import Answers, assign_captions, needs_answer
from framemill.data_filters.captions.messages import CaptionBatch, CaptionClip, CaptionResult, SourceClips
from framemill.data_filters.captions.registry import CAPTIONERS
from framemill.data_filters.captions.worker import CaptionWorker
from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger.clip_table import ClipRow
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.sources.source import Source
from framemill.platform import storage
from framemill.platform.cluster import worker_count
from framemill.platform.errors import PendingError
from framemill.platform.pools import map_actors
from framemill.platform.progress import progress, say
from framemill.platform.writer_lock import LockToken

_BATCH = 32
"""Clips per batch, many times the requests in parallel: a worker idles while the last clips of a batch are answered."""
_NAMED = 10
"""Number of pending clips that an error names."""


def check_captioners(config: CurateConfig) -> None:
    """Checks that the model of each captioner exists, since hours of measuring come before captioning.

    Raises:
        RequestError: the model of a captioner does not exist.
    """
    for name in _model_captioners(config):
        answers_folder(config.output, name, config.caption)


def write_captions(config: CurateConfig, sources: Sequence[Source], clips: Sequence[ClipRow], token: LockToken) -> None:
    """Gives each kept clip its captions, or filters the clip if all its captions are rejected.

    Clips that are not kept get no captions.

    Raises:
        RequestError: a model does not accept the requests.
        PendingError: a model gave no answer for some clips; the answers for all others are recorded.
    """
    answers: dict[str, dict[str, list[Answer]]] = {}
    kept = [clip for clip in clips if clip.state == "kept"]
    for name in _model_captioners(config):
        answers[name] = _ask_model(config, name, answers, sources, kept, token)
    rejected: Counter[str] = Counter()
    for clip in clips:
        clip.caption, clip.captions = None, []
        if clip.state == "kept":
            rejected.update(assign_captions(clip, config.captions, answers, config.caption)[:1])
    if rejected:
        counts = ", ".join(f"{count} {problem}" for problem, count in sorted(rejected.items()))
        without = sum(clip.reason is not None and clip.reason.cause is Cause.CAPTION for clip in kept)
        say(
            f"curate: the preferred caption of {rejected.total()} of {len(kept)} clips was rejected ({counts}); "
            f"{without} were filtered, the others use their next caption"
        )


def _model_captioners(config: CurateConfig) -> list[str]:
    return [name for name in config.captions if CAPTIONERS[name].model]


def _ask_model(
    config: CurateConfig,
    name: str,
    answers: Answers,
    sources: Sequence[Source],
    kept: Sequence[ClipRow],
    token: LockToken,
) -> dict[str, list[Answer]]:
    """Returns all answers of a model about the kept clips, by key; a clip that cannot be decoded becomes failed.

    Raises:
        RequestError: the model does not accept the requests.
        PendingError: the model gave no answer for some clips.
    """
    folder = answers_folder(config.output, name, config.caption)
    storage.make_dirs(folder)

    def unanswered(recorded: dict[str, list[Answer]]) -> list[ClipRow]:
        known = {**answers, name: recorded}
        return [
            clip
            for clip in kept
            if clip.state == "kept" and needs_answer(clip, config.captions, name, known, config.caption)
        ]

    recorded = _recorded_answers(config, name)
    todo = unanswered(recorded)
    if not todo:
        return recorded
    failed, reasons = _ask_pool(config, name, folder, _clips_by_source(todo, sources, recorded), token)
    for clip in todo:
        if clip.key in failed:
            clip.reject("failed", Reason(Cause.UNREADABLE_FOR_CAPTION, detail=failed[clip.key]))
    recorded = _recorded_answers(config, name)
    # Only recorded answers count, not the reports of the workers.
    if pending := unanswered(recorded):
        names = "; ".join(
            f"{clip.key} of {clip.path} ({reasons.get(clip.key, 'not asked')})" for clip in pending[:_NAMED]
        )
        more = f" and {len(pending) - _NAMED} more" if len(pending) > _NAMED else ""
        raise PendingError(
            f"curate: {name} gave no caption for {len(pending)} of {len(todo)} clips: {names}{more}; "
            "the same command tries again"
        )
    return recorded


def _recorded_answers(config: CurateConfig, name: str) -> dict[str, list[Answer]]:
    """Returns the recorded answers of a model by clip key, of this output and of the dataset `from`."""
    recorded: dict[str, list[Answer]] = {}
    for output in filter(None, (config.from_, config.output)):
        for key, answers in read_answers(answers_folder(output, name, config.caption)).items():
            recorded.setdefault(key, []).extend(answers)
    return recorded


def _clips_by_source(
    clips: Sequence[ClipRow], sources: Iterable[Source], recorded: dict[str, list[Answer]]
) -> list[tuple[Source, CaptionClip]]:
    by_path = {source.path: source for source in sources}
    return [
        (
            by_path[clip.path],
            CaptionClip(clip.key, clip.start_s, clip.frames, recorded.get(clip.key, [])),
        )
        for clip in clips
    ]


def _ask_pool(
    config: CurateConfig, name: str, folder: str, clips: Sequence[tuple[Source, CaptionClip]], token: LockToken
) -> tuple[dict[str, str], dict[str, str]]:
    """Has the workers ask about clips; returns two dicts by key: why clips failed, and why clips are pending.

    Raises:
        RequestError: the model does not accept the requests.
    """
    workers, slots, gpus = _pool_shape(config, name)
    size = max(1, min(max(_BATCH, 8 * slots), -(-len(clips) // workers)))
    batches = [
        # The name contains the attempt, so that the workers of two drivers never write the same file.
        CaptionBatch(f"{token.attempt:06d}-{number:06d}.jsonl", _grouped(clips[start : start + size]))
        for number, start in enumerate(range(0, len(clips), size))
    ]
    arguments = {
        "folder": folder,
        "token": token,
        "captioner": name,
        "settings": config.caption,
        "slots": slots,
        "timeout_s": config.source_timeout_s,
    }
    keys = {batch.name: [clip.key for one in batch.sources for clip in one.clips] for batch in batches}
    failed: dict[str, str] = {}
    pending: dict[str, str] = {}
    with progress(f"curate: captioning ({name})", len(clips), "clips") as bar:
        for outcome in map_actors(CaptionWorker, arguments, [batch.to_json() for batch in batches], workers, gpus):
            if outcome.value is None:
                pending |= dict.fromkeys(keys[outcome.name], outcome.pending)
                continue
            result = CaptionResult.from_json(outcome.value)
            failed |= result.failed
            pending |= result.pending
            bar.advance(result.clips)
            if result.gone:
                break
    return failed, pending


def _grouped(clips: Sequence[tuple[Source, CaptionClip]]) -> list[SourceClips]:
    """Returns the clips grouped by source, in their order."""
    groups = itertools.groupby(clips, key=lambda pair: pair[0])
    return [SourceClips(source, [clip for _, clip in group]) for source, group in groups]


def _pool_shape(config: CurateConfig, name: str) -> tuple[int, int, float]:
    """Returns the number of workers, the requests in parallel per worker, and the GPUs per worker.

    For captioner `endpoint` the product of the first two is at most `caption.concurrency`.
    """
    import ray

    workers = worker_count(config.workers)
    if name == "endpoint":
        workers = min(workers, config.caption.concurrency)
        return workers, config.caption.concurrency // workers, 0.0
    gpus = int(ray.cluster_resources().get("GPU", 0))
    return (gpus, 1, 1.0) if gpus else (workers, 1, 0.0)
