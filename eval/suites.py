"""Suites: which videos are scored for which prompt in which dimensions, and which expected files are missing.

Planning is pure: it makes a plan from the file names in a folder. Every video that the suite expects or the folder
has is accounted for: it is in the plan, or counted as missing, or counted as unmatched.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from framemill.eval.dimensions.registry import DIMENSIONS, VBENCH_DIMENSIONS
from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.platform.text import file_lines

_PROMPT_LIST = "videos.jsonl"
"""File in which `framemill generate` lists its videos with their prompts."""
_VIDEO_ENDINGS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts")
"""File name extensions of videos, compared in lower case."""
_SAMPLE_NUMBER = re.compile(r"-\d+$")
"""Number of the sample at the end of a file's stem, as in "a cat-3"."""


@dataclass(frozen=True)
class PlannedVideo:
    """One file to score."""

    name: str
    """File name, relative to the folder of videos; also the key of the video's records."""
    prompt: str
    dimensions: tuple[str, ...]
    """Names of the dimensions that the suite scores on this video."""


@dataclass(frozen=True)
class EvaluationPlan:
    """Videos of an evaluation."""

    videos: tuple[PlannedVideo, ...]
    """Videos to score, in the order in which scores are summed."""
    missing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Expected files that are not in the folder, each with the dimensions that need it."""
    unmatched: tuple[str, ...] = ()
    """Videos in the folder that belong to no prompt."""


@dataclass(frozen=True)
class VBenchPrompt:
    """One entry of the official VBench_full_info.json."""

    text: str
    dimensions: tuple[str, ...]
    """Names of the dimensions that are scored on the prompt's videos."""


def plan_evaluation(suite: str, videos: str, prompts_json: str, samples: int) -> EvaluationPlan:
    """Returns the plan of a suite over a folder of videos.

    Args:
        suite: "custom" or "vbench".
        videos: folder of the videos, as a path or URI.
        prompts_json: path of VBench_full_info.json; read if the suite is vbench.
        samples: number of videos that the suite vbench expects for each prompt.

    Raises:
        RequestError: the folder or the prompts are absent, cannot be read, or contain nothing to score.
    """
    names = storage.list_dir(videos)
    if not names:
        raise RequestError(f"videos={videos}: must be a folder with videos; it is absent or empty")
    if suite == "vbench":
        listed = plan_video_list(names, _read_prompt_list(videos)).videos if _PROMPT_LIST in names else ()
        plan = plan_vbench(names, read_vbench_prompts(prompts_json), samples, listed)
    elif _PROMPT_LIST in names:
        plan = plan_video_list(names, _read_prompt_list(videos))
    else:
        plan = plan_folder(names)
    if not plan.videos:
        raise RequestError(f"videos={videos}: none of its {len(names)} files is a video of suite={suite}")
    return plan


def _read_prompt_list(videos: str) -> str:
    return storage.read_bytes(storage.join(videos, _PROMPT_LIST)).decode("utf-8")


def plan_folder(names: Sequence[str]) -> EvaluationPlan:
    """Returns the plan of a plain folder: the prompt of a file is its stem without the sample number.

    Args:
        names: names of all files in the folder.
    """
    videos = [
        PlannedVideo(name, _SAMPLE_NUMBER.sub("", os.path.splitext(name)[0]), DIMENSIONS.names)
        for name in sorted(filter(_is_video, names))
    ]
    return EvaluationPlan(tuple(videos))


def plan_video_list(names: Sequence[str], text: str) -> EvaluationPlan:
    """Returns the plan of a folder made by `framemill generate`, which lists its videos.

    Args:
        names: names of all files in the folder.
        text: content of videos.jsonl, one object {"video", "prompt", ...} per line.

    Raises:
        RequestError: a line is not an object with "video" and "prompt", or a video is listed twice.
    """
    present, videos, missing = set(names), {}, {}
    for number, line in enumerate(file_lines(text), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            name, prompt = str(entry["video"]), str(entry["prompt"])
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(f'{_PROMPT_LIST} line {number}: must be {{"video": ..., "prompt": ...}}') from error
        if name in videos or name in missing:
            raise RequestError(f"{_PROMPT_LIST} line {number}: {name} is listed twice")
        if name in present:
            videos[name] = PlannedVideo(name, prompt, DIMENSIONS.names)
        else:
            missing[name] = DIMENSIONS.names
    unmatched = sorted(filter(_is_video, present - set(videos)))
    return EvaluationPlan(tuple(videos.values()), missing, tuple(unmatched))


def plan_vbench(
    names: Sequence[str], prompts: Sequence[VBenchPrompt], samples: int, listed: Sequence[PlannedVideo] = ()
) -> EvaluationPlan:
    """Returns the plan of the official suite: the files `$prompt-0.mp4` to `$prompt-<samples-1>.mp4` for each prompt.

    Names are compared in Unicode NFC, since some file systems decompose accents. Two prompts of the official list
    have two entries each; their files are scored in the dimensions of both entries.

    Args:
        names: names of all files in the folder.
        prompts: entries of VBench_full_info.json.
        samples: number of videos expected for each prompt.
        listed: videos with their prompts as `framemill generate` lists them. It numbers a file whose name differs from
            another only in letter case, as for two prompts of the official list.

    Raises:
        RequestError: two files have the same name in NFC.
    """
    present: dict[str, str] = {}
    for name in sorted(names):
        other = present.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise RequestError(f"videos: {name!r} and {other!r} are the same name in Unicode NFC; keep one of the two")
    for video in listed:
        if number := _SAMPLE_NUMBER.search(os.path.splitext(video.name)[0]):
            official = unicodedata.normalize("NFC", f"{video.prompt}{number[0]}.mp4")
            if official not in present:
                present[official] = present.pop(unicodedata.normalize("NFC", video.name))
    expected: dict[str, VBenchPrompt] = {}
    for entry in prompts:
        for index in range(samples):
            # Concatenated, since many prompts end with a full stop, which path functions take for an extension.
            name = unicodedata.normalize("NFC", f"{entry.text}-{index}.mp4")
            earlier = expected[name].dimensions if name in expected else ()
            expected[name] = VBenchPrompt(entry.text, tuple(dict.fromkeys((*earlier, *entry.dimensions))))
    videos = [
        PlannedVideo(present[name], entry.text, entry.dimensions) for name, entry in expected.items() if name in present
    ]
    missing = {name: entry.dimensions for name, entry in expected.items() if name not in present}
    unmatched = [name for nfc_name, name in present.items() if nfc_name not in expected and _is_video(name)]
    return EvaluationPlan(tuple(videos), missing, tuple(unmatched))


def suite_dimensions(suite: str) -> tuple[str, ...]:
    """Returns the names of a suite's dimensions: the 16 of VBench, or all of the registry."""
    return VBENCH_DIMENSIONS if suite == "vbench" else DIMENSIONS.names


def read_vbench_prompts(path: str) -> list[VBenchPrompt]:
    """Returns the entries of the official VBench_full_info.json at a path or URI.

    Raises:
        RequestError: the file is absent, is not JSON, or has an entry without a prompt and dimensions of VBench.
    """
    try:
        entries = json.loads(storage.read_bytes(path))
    except FileNotFoundError as error:
        raise RequestError(f"prompts_json={path}: no such file") from error
    except ValueError as error:
        raise RequestError(f"prompts_json={path}: must be a JSON file") from error
    prompts = []
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        fields = entry if isinstance(entry, dict) else {}
        text, dimensions = fields.get("prompt_en"), fields.get("dimension")
        if not (isinstance(text, str) and isinstance(dimensions, list) and set(dimensions) <= set(VBENCH_DIMENSIONS)):
            raise RequestError(
                f"prompts_json={path}: entry {number} must be {{prompt_en, dimension: [...]}} with dimensions of VBench"
            )
        prompts.append(VBenchPrompt(text, tuple(dimensions)))
    return prompts


def _is_video(name: str) -> bool:
    return name.lower().endswith(_VIDEO_ENDINGS)
