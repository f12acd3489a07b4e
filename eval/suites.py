"""Suites: which videos are scored for which prompt on which dimensions, and which are expected but not there.

Planning is pure: it takes the names found in a folder and gives a manifest. No video that was expected or
found drops out of sight: it is in the manifest, or counted as missing, or counted as unmatched.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from framemill.eval.dimensions.catalogue import CATALOGUE, VBENCH
from framemill.platform import storage
from framemill.platform.errors import RequestError

PROMPT_LIST = "videos.jsonl"
VIDEO_ENDINGS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts")
# The number of a sample at the end of a stem: "a cat-3".
SAMPLE_NUMBER = re.compile(r"-\d+$")


@dataclass(frozen=True)
class Video:
    """One file to score. `name` is relative to the folder of videos and is the key of its records."""

    name: str
    prompt: str
    dimensions: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """What is to be measured, in the order in which scores are summed."""

    videos: tuple[Video, ...]
    missing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Expected files that are not there, each with the dimensions that wanted it."""
    unmatched: tuple[str, ...] = ()
    """Videos in the folder that belong to no prompt."""


def plan(suite: str, videos: str, prompts_json: str, samples: int) -> Manifest:
    """The manifest of a suite over the folder `videos` (path or URI).

    Raises RequestError where the folder or the prompts are not there, not readable, or hold nothing to score.
    """
    names = storage.list_dir(videos)
    if not names:
        raise RequestError(f"videos={videos}: there is no such folder, or nothing in it")
    if suite == "vbench":
        manifest = plan_vbench(names, _read_prompts(prompts_json), samples)
    elif PROMPT_LIST in names:
        text = storage.read_bytes(storage.join(videos, PROMPT_LIST)).decode("utf-8")
        manifest = plan_listed(names, text)
    else:
        manifest = plan_folder(names)
    if not manifest.videos:
        raise RequestError(f"videos={videos}: none of its {len(names)} files is a video of suite={suite}")
    return manifest


def plan_folder(names: Sequence[str]) -> Manifest:
    """Any folder of videos; the prompt is the file's stem without its sample number."""
    found = sorted(filter(_is_video, names))
    videos = [Video(name, SAMPLE_NUMBER.sub("", os.path.splitext(name)[0]), tuple(CATALOGUE)) for name in found]
    return Manifest(tuple(videos))


def plan_listed(names: Sequence[str], text: str) -> Manifest:
    """A folder made by `generate`: `text` is its videos.jsonl, one {"video", "prompt", ...} a line."""
    present, videos, missing = set(names), {}, {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            name, prompt = str(entry["video"]), str(entry["prompt"])
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(f'{PROMPT_LIST} line {number} is not {{"video": ..., "prompt": ...}}') from error
        if name in videos or name in missing:
            raise RequestError(f"{PROMPT_LIST} line {number}: {name} is listed twice")
        if name in present:
            videos[name] = Video(name, prompt, tuple(CATALOGUE))
        else:
            missing[name] = tuple(CATALOGUE)
    return Manifest(tuple(videos.values()), missing, tuple(sorted(filter(_is_video, present - set(videos)))))


def plan_vbench(names: Sequence[str], prompts: Sequence[dict[str, Any]], samples: int) -> Manifest:
    """The official suite: for each prompt the files `$prompt-0.mp4` to `$prompt-<samples-1>.mp4` in one folder.

    `prompts` are the entries of VBench_full_info.json. Names are compared in Unicode NFC, since file systems
    decompose accents. Two prompts occur in two suites each and share their files, which then serve both.
    """
    present: dict[str, str] = {}
    for name in sorted(names):
        other = present.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise RequestError(f"{name!r} and {other!r} are one name in Unicode NFC: keep one of the two")
    wanted: dict[str, tuple[str, tuple[str, ...]]] = {}
    for entry in prompts:
        for index in range(samples):
            # Concatenated: many prompts end with a full stop, which path functions would take for an extension.
            expected = unicodedata.normalize("NFC", f"{entry['prompt_en']}-{index}.mp4")
            _, dimensions = wanted.get(expected, ("", ()))
            wanted[expected] = (entry["prompt_en"], tuple(dict.fromkeys((*dimensions, *entry["dimension"]))))
    videos = [Video(present[name], *facts) for name, facts in wanted.items() if name in present]
    missing = {name: dimensions for name, (_, dimensions) in wanted.items() if name not in present}
    unmatched = [name for nfc, name in present.items() if nfc not in wanted and _is_video(name)]
    return Manifest(tuple(videos), missing, tuple(unmatched))


def suite_dimensions(suite: str) -> tuple[str, ...]:
    """Dimensions that a suite speaks of."""
    return tuple(facts.name for facts in VBENCH) if suite == "vbench" else tuple(CATALOGUE)


def _is_video(name: str) -> bool:
    return name.lower().endswith(VIDEO_ENDINGS)


def _read_prompts(path: str) -> list[dict[str, Any]]:
    """The entries of an official full-info file, checked."""
    try:
        entries = json.loads(storage.read_bytes(path))
    except FileNotFoundError as error:
        raise RequestError(f"prompts_json={path}: there is no such file") from error
    except ValueError as error:
        raise RequestError(f"prompts_json={path}: not a JSON file") from error
    known = suite_dimensions("vbench")
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        sound = isinstance(entry, dict) and isinstance(entry.get("prompt_en"), str)
        if not sound or not isinstance(entry.get("dimension"), list) or not set(entry["dimension"]) <= set(known):
            raise RequestError(
                f"prompts_json={path}: entry {number} is not {{prompt_en, dimension: [...]}} with dimensions of VBench"
            )
    return list(entries)
