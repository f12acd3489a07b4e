"""What became of one clip, and why: everything that a dataset has recorded of it, in the order in which it happened."""

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
from framemill.data_filters.captions.registry import CAPTIONERS
from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger.clip_table import ClipRow, ClipTable
from framemill.data_filters.ledger.reasons import OF_ONE_SCORE, Cause
from framemill.data_filters.ledger.source_row import SourceRow
from framemill.data_filters.ledger.tables import read_clips, read_sources
from framemill.data_filters.report.figures import band_limits, score_names
from framemill.data_filters.select.checks import SLACK_S
from framemill.platform import storage
from framemill.platform.dataset_format import read_index
from framemill.platform.errors import RequestError
from framemill.platform.frozen_config import load_frozen
from framemill.platform.tables import read_table
from framemill.platform.text import display_text

NEAR = 5
"""Keys that are offered in place of one that is none."""
LONGEST_LINE = 4000
"""Letters. Captions are shown whole."""
NEIGHBOURS = 200
"""Keys on either side of where an unknown one would stand, among which near ones are sought."""
Row = dict[str, Any]


def explain(path: str, key: str) -> list[str]:
    """Lines about one clip of a dataset.

    Raises:
        RequestError: there is no dataset, it was not made by curate, or it has no such clip; then near keys are named.
    """
    index = read_index(path)
    if index["kind"] != "curate":
        raise RequestError(f"key={key}: {path} was made by {index['kind']}; name the dataset that it was made from")
    config = load_frozen(CurateConfig, storage.join(path, "config.yaml"))
    clips = read_clips(path)
    matches = ClipTable.of_ledger(clips.filter(pc.equal(clips["key"], key)))
    if not len(matches):
        raise RequestError(f"key={display_text(key)}: {path} has no such clip; {advice(clips, key)}")
    clip = matches[0]
    sources = read_sources(path)
    source = next(row for row in sources if row.path == clip.path)
    sample = row_of(read_table(storage.join(path, "samples.parquet")), "key", key)
    sections = [
        ("clip", [key, ended(clip)]),
        ("source", list(source_lines(source, sources))),
        ("cut", list(cut_lines(clip, config))),
        ("scores", list(score_lines(config, clip))),
        ("repeated by", list(repeats(clips, key))),
        ("captions", list(caption_lines(path, config, clip, sample))),
        ("packed", list(packed_lines(path, sample))),
    ]
    return [
        f"{title if i == 0 else '':<13}{display_text(line, LONGEST_LINE)}"
        for title, lines in sections
        for i, line in enumerate(lines)
    ]


def row_of(table: pa.Table, column: str, value: str) -> Row | None:
    found = table.filter(pc.equal(table[column], value)).to_pylist()
    return found[0] if found else None


def ended(clip: ClipRow) -> str:
    return f"{clip.state}: {clip.reason}" if clip.reason else clip.state


def source_lines(source: SourceRow, sources: list[SourceRow]) -> Iterator[str]:
    """What the source is, what became of it, and the other sources with the same content."""
    yield f"{source.path}: {source.state}" + (f", {source.reason}" if source.reason else "")
    yield f"sha256 {source.source_id}"
    if facts := source.facts:
        turned = f", turned by {facts.rotation} degrees" if facts.rotation else ""
        rate = f"{facts.fps:g} frames a second" + (", which varies" if facts.fps_varies else "")
        length = f", {facts.duration:g} s" if facts.duration is not None else ""
        yield f"{facts.codec} {facts.width}x{facts.height}{turned}, {facts.pixel_format}, {rate}{length}"
    if source.provenance.get("tags"):
        yield "tags " + ", ".join(source.provenance["tags"])
    if source.provenance.get("licence"):
        yield f"licence {source.provenance['licence']}"
    for other in sources:
        if other.reason and other.reason.cause is Cause.SAME_CONTENT and other.reason.other == source.path:
            yield f"also at {other.path}"


def cut_lines(clip: ClipRow, config: CurateConfig) -> Iterator[str]:
    """Where the clip lies in its source, and the first test: its length."""
    last = clip.first_frame + clip.frames - 1
    yield f"{clip.start_s:g} to {clip.end_s:g} s, frames {clip.first_frame} to {last}"
    yield f"{clip.width}x{clip.height}, {clip.fps:g} frames a second"
    seconds, least = clip.seconds, config.clip.min_seconds
    passes = seconds >= least - SLACK_S
    yield f"{seconds:.3f} s long, at least {least:g}: {'passes' if passes else 'REJECTED'}"


def score_lines(config: CurateConfig, clip: ClipRow) -> Iterator[str]:
    """Each score, those with a band first and in the order in which they are asked, and what came of its band.

    Which test decided is what the ledger says: the first that the clip did not pass.
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
        said = ", ".join(f"{'at least' if end == 'min' else 'at most'} {limit:g}" for end, limit in limits.items())
        text += said or "no band"
        if decisive == name:
            text += f": {'REJECTED' if clip.state == 'filtered' else 'FAILED'}, {clip.reason}"
        elif limits and value is None:
            text += ": not asked, it was dropped before"
        elif value is not None and limits:
            inside = limits.get("min", value) <= value <= limits.get("max", value)
            text += ": passes" if inside else ": outside too, but it was dropped before"
        yield text


def repeats(clips: pa.Table, key: str) -> Iterator[str]:
    """The clips that were dropped because they repeat this one."""
    for row in clips.filter(pc.equal(clips["duplicate_of"], key)).select(["key", "path", "reason"]).to_pylist():
        yield f"{row['key']} of {row['path']}: {row['reason']}"


def caption_lines(path: str, config: CurateConfig, clip: ClipRow, sample: Row | None) -> Iterator[str]:
    """What each captioner said, what was thought of it, and which captions the sample has."""
    if sample is None and not (clip.reason and clip.reason.cause is Cause.CAPTION):
        yield "none: it was dropped before"
        return
    answers: dict[str, dict[str, list[Any]]] = {}
    for name in config.captions:
        if CAPTIONERS[name].model:
            try:
                folders = [answers_folder(place, name, config.caption) for place in (config.from_, path) if place]
            except RequestError as error:
                yield f"{name}: its answers cannot be told from others' ({error})"
                continue
            given = [answer for folder in folders for answer in read_answers(folder).get(clip.key, [])]
            answers[name] = {clip.key: given}
            for number, answer in enumerate(given, 1):
                settings = config.caption
                wrong = caption_problem(answer.text, answer.finish, settings.min_words, settings.max_words)
                yield f"{name} answer {number}, {f'rejected ({wrong})' if wrong else 'good'}: {answer.text}"
            if not given:
                yield f"{name}: was not asked"
        else:
            text, wrong = caption_choice(clip, name, answers, config.caption)
            yield f"{name}: {text or (f'rejected ({wrong})' if wrong else 'says nothing')}"
    for place, one in enumerate(sample["captions"] if sample else []):
        chosen = "the caption" if place == 0 else "beside it"
        yield f"{chosen} ({one['source']}, weight {one['weight']:g}): {one['text']}"


def packed_lines(path: str, sample: Row | None) -> Iterator[str]:
    """Where the sample lies, and how it was made."""
    if sample is None:
        yield "no"
        return
    shard = f"shards/{sample['shard']}"
    members = {one["ext"]: one for one in sample["members"]}
    facts = json.loads(
        storage.read_range(storage.join(path, shard), members["json"]["offset"], members["json"]["size"])
    )
    yield shard
    for name, one in sorted(members.items()):
        yield f".{name}: {one['size']} bytes from {one['offset']}"
    size = f"{sample['width']}x{sample['height']}, {sample['frames']} frames, {sample['fps']:g} a second"
    yield f"{facts['packed']}, {size}, {sample['duration']:g} s, bucket {sample['bucket']}"


def advice(clips: pa.Table, key: str) -> str:
    """What may have been meant."""
    keys = clips["key"].to_pylist()
    of_path = clips.filter(pc.equal(clips["path"], key))["key"].to_pylist()
    if of_path:
        return f"that is a source, its clips are {some(of_path)}"
    within = [one for one in keys if key and key in one]
    if within:
        return f"it may be {some(within)}"
    place = bisect(keys, key)
    around = keys[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]
    near = difflib.get_close_matches(key, around, n=NEAR) or keys[max(0, place - 2) : place + 2]
    return f"the nearest of its {len(keys)} are {some(near)}" if near else "it has none"


def some(keys: list[str]) -> str:
    more = f" and {len(keys) - NEAR} more" if len(keys) > NEAR else ""
    return ", ".join(keys[:NEAR]) + more
