"""The history of one clip: everything that a dataset records about the clip, in the order of the stages."""

from __future__ import annotations

import difflib
import json
from bisect import bisect
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.captions.answer_store import answers_folder, read_answers
from framemill.data_filters.captions.checks import caption_problem
from framemill.data_filters.captions.choose import caption_choice
from framemill.data_filters.captions.clean import clean_answer
from framemill.data_filters.captions.registry import CAPTIONERS
from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger.clip_table import ClipRow, ClipTable
from framemill.data_filters.ledger.reasons import OF_ONE_SCORE, Cause
from framemill.data_filters.ledger.source_row import SourceRow
from framemill.data_filters.ledger.tables import read_clips, read_sources
from framemill.data_filters.report.figures import band_limits, score_names
from framemill.data_filters.select.checks import SLACK_S
from framemill.data_filters.sources.sidecars import CAPTION_SEPARATOR
from framemill.platform import storage
from framemill.platform.dataset_format import read_index
from framemill.platform.errors import RequestError
from framemill.platform.frozen_config import load_frozen
from framemill.platform.tables import read_table
from framemill.platform.text import display_text

_SUGGESTIONS = 5
"""Number of keys that are suggested for an unknown key."""
_MAX_LINE = 4000
"""Maximum number of characters of a line, enough for whole captions."""
_NEIGHBOURS = 200
"""Number of keys before and after an unknown key, in sorted order, that are searched for similar keys."""


def explain(path: str, key: str) -> list[str]:
    """Returns the history of one clip of a dataset, as lines for people.

    Args:
        path: folder or URI of the dataset.
        key: key of the clip.

    Raises:
        RequestError: there is no dataset, it was not made by curate, or it has no clip of this key; the message then
            suggests similar keys.
    """
    index = read_index(path)
    if index["kind"] != "curate":
        raise RequestError(f"key={key}: {path} was made by {index['kind']}; name the dataset that it was made from")
    config = load_frozen(CurateConfig, storage.join(path, "config.yaml"))
    clips = read_clips(path)
    matches = ClipTable.of_ledger(clips.filter(pc.equal(clips["key"], key)))
    if not len(matches):
        raise RequestError(f"key={display_text(key)}: {path} has no such clip; {_suggestion(clips, key)}")
    clip = matches[0]
    sources = read_sources(path)
    source = next(row for row in sources if row.path == clip.path)
    samples = read_table(storage.join(path, "samples.parquet"))
    sample = next(iter(samples.filter(pc.equal(samples["key"], key)).to_pylist()), None)
    sections = [
        ("clip", [key, _state_line(clip)]),
        ("source", list(_source_lines(source, sources))),
        ("cut", list(_cut_lines(clip, config))),
        ("scores", list(_score_lines(config, clip))),
        ("repeated by", list(_duplicate_lines(clips, key))),
        ("captions", list(_caption_lines(path, config, clip, sample))),
        ("packed", list(_packed_lines(path, sample))),
    ]
    return [
        f"{title if i == 0 else '':<13}{display_text(line, _MAX_LINE)}"
        for title, lines in sections
        for i, line in enumerate(lines)
    ]


def _state_line(clip: ClipRow) -> str:
    """Returns the state of a clip with the reason, if there is one."""
    return f"{clip.state}: {clip.reason}" if clip.reason else clip.state


def _source_lines(source: SourceRow, sources: list[SourceRow]) -> Iterator[str]:
    """Yields the source's state, file and provenance, and the other sources with the same content."""
    yield f"{source.path}: {source.state}" + (f", {source.reason}" if source.reason else "")
    yield f"sha256 {source.source_id}"
    if facts := source.facts:
        turned = f", turned by {facts.rotation} degrees" if facts.rotation else ""
        rate = f"{facts.fps:g} frames a second" + (", which varies" if facts.fps_varies else "")
        fields = ", interlaced" if facts.interlaced else ""
        length = f", {facts.duration:g} s" if facts.duration is not None else ""
        yield f"{facts.codec} {facts.width}x{facts.height}{turned}, {facts.pixel_format}{fields}, {rate}{length}"
    if source.provenance.get("tags"):
        yield "tags " + ", ".join(source.provenance["tags"])
    if source.provenance.get("licence"):
        yield f"licence {source.provenance['licence']}"
    for other in sources:
        if other.reason and other.reason.cause is Cause.SAME_CONTENT and other.reason.other == source.path:
            yield f"also at {other.path}"


def _cut_lines(clip: ClipRow, config: CurateConfig) -> Iterator[str]:
    """Yields the clip's time range in its source, its size, and the check of its length."""
    last = clip.first_frame + clip.frames - 1
    yield f"{clip.start_s:g} to {clip.end_s:g} s, frames {clip.first_frame} to {last}"
    yield f"{clip.width}x{clip.height}, {clip.fps:g} frames a second"
    min_seconds = config.clip.min_seconds
    passes = clip.seconds >= min_seconds - SLACK_S
    yield f"{clip.seconds:.3f} s long, at least {min_seconds:g}: {'passes' if passes else 'REJECTED'}"


def _score_lines(config: CurateConfig, clip: ClipRow) -> Iterator[str]:
    """Yields each score with the result of its band; scores with a band come first, in the order of the checks.

    The deciding check is recorded in the ledger: the first check that the clip did not pass.
    """
    bands = config.select.bands
    decisive = clip.reason.score if clip.reason and clip.reason.cause in OF_ONE_SCORE else None
    names = score_names(config.scores, list(clip))
    for name in [*bands, *(name for name in names if name not in bands)]:
        value = clip.get(name)
        if isinstance(value, list | str):
            yield f"{name:<16} {value if isinstance(value, str) else f'{len(value)} numbers'}"
            continue
        text = f"{name:<16} {'not measured' if value is None else f'{value:.6g}':<14}"
        limits = band_limits(bands, name)
        bounds = (f"{'at least' if end == 'min' else 'at most'} {limit:g}" for end, limit in limits.items())
        text += ", ".join(bounds) or "no band"
        if decisive == name:
            text += f": {'REJECTED' if clip.state == 'filtered' else 'FAILED'}, {clip.reason}"
        elif limits and value is None:
            text += ": not asked, it was dropped before"
        elif value is not None and limits:
            inside = limits.get("min", value) <= value <= limits.get("max", value)
            text += ": passes" if inside else ": outside too, but it was dropped before"
        yield text


def _duplicate_lines(clips: pa.Table, key: str) -> Iterator[str]:
    """Yields the clips that were rejected as duplicates of this clip."""
    for row in clips.filter(pc.equal(clips["duplicate_of"], key)).select(["key", "path", "reason"]).to_pylist():
        yield f"{row['key']} of {row['path']}: {row['reason']}"


def _caption_lines(path: str, config: CurateConfig, clip: ClipRow, sample: dict[str, Any] | None) -> Iterator[str]:
    """Yields each captioner's answers with the result of their checks, and the captions of the sample."""
    if sample is None and not (clip.reason and clip.reason.cause is Cause.CAPTION):
        yield "none: it was dropped before"
        return
    answers: dict[str, dict[str, list[Any]]] = {}
    for name in config.captions:
        if CAPTIONERS[name].model:
            try:
                datasets = filter(None, (config.from_, path))
                folders = [answers_folder(dataset, name, config.caption) for dataset in datasets]
            except RequestError as error:
                yield f"{name}: the answers for this config cannot be found ({error})"
                continue
            recorded = [answer for folder in folders for answer in read_answers(folder).get(clip.key, [])]
            answers[name] = {clip.key: recorded}
            for number, answer in enumerate(recorded, 1):
                settings = config.caption
                fault = caption_problem(
                    clean_answer(answer.text), answer.finish, settings.min_words, settings.max_words
                )
                yield f"{name} answer {number}, {f'rejected ({fault})' if fault else 'good'}: {answer.text}"
            if not recorded:
                yield f"{name}: was not asked"
        else:
            text, fault = caption_choice(clip, name, answers, config.caption)
            text = text and text.replace(CAPTION_SEPARATOR, " / ")
            yield f"{name}: {text or (f'rejected ({fault})' if fault else 'no caption')}"
    for rank, caption in enumerate(sample["captions"] if sample else []):
        title = "the caption" if rank == 0 else "also"
        yield f"{title} ({caption['source']}, weight {caption['weight']:g}): {caption['text']}"


def _packed_lines(path: str, sample: dict[str, Any] | None) -> Iterator[str]:
    """Yields the shard, the members and the cut of the clip's sample."""
    if sample is None:
        yield "no"
        return
    shard = f"shards/{sample['shard']}"
    members = {member["ext"]: member for member in sample["members"]}
    facts = json.loads(
        storage.read_range(storage.join(path, shard), members["json"]["offset"], members["json"]["size"])
    )
    yield shard
    for name, member in sorted(members.items()):
        yield f".{name}: {member['size']} bytes from {member['offset']}"
    size = f"{sample['width']}x{sample['height']}, {sample['frames']} frames, {sample['fps']:g} a second"
    yield f"{facts['packed']}, {size}, {sample['duration']:g} s, bucket {sample['bucket']}"


def _suggestion(clips: pa.Table, key: str) -> str:
    """Returns a hint at keys that are similar to an unknown key."""
    keys = clips["key"].to_pylist()
    of_path = clips.filter(pc.equal(clips["path"], key))["key"].to_pylist()
    if of_path:
        return f"that is a source, its clips are {_first_keys(of_path)}"
    within = [known for known in keys if key and key in known]
    if within:
        return f"it may be {_first_keys(within)}"
    index = bisect(keys, key)
    around = keys[max(0, index - _NEIGHBOURS) : index + _NEIGHBOURS]
    near = difflib.get_close_matches(key, around, n=_SUGGESTIONS) or keys[max(0, index - 2) : index + 2]
    return f"the nearest of its {len(keys)} are {_first_keys(near)}" if near else "it has none"


def _first_keys(keys: list[str]) -> str:
    more = f" and {len(keys) - _SUGGESTIONS} more" if len(keys) > _SUGGESTIONS else ""
    return ", ".join(keys[:_SUGGESTIONS]) + more
