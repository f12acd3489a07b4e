"""Reads prompt files and plans the videos to generate.

A line is a prompt, or `text<image>path` for a video that begins with an image; a relative path is relative to the
folder of the prompt file. Videos are named as VBench names them, `<prompt>-<sample>.mp4`.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass

from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.platform.text import file_lines, name_identity

_MAX_NAME_BYTES = 240
"""Longest prompt, in bytes, that is used as a file name. VBench's longest has 210; file systems allow 255."""
_IMAGE_MARK = "<image>"


@dataclass(frozen=True)
class Prompt:
    """One line of a prompt file."""

    text: str
    """Description of the video."""
    image: str = ""
    """Path or URI of the image that the video begins with; "" for none."""


@dataclass(frozen=True)
class PromptVideo:
    """One video to generate."""

    name: str
    """File name in the output."""
    prompt: Prompt
    """Text and image."""
    index: int
    """Index of the sample among the samples of the prompt, from 0."""
    seed: int
    """Seed of the noise."""


def read_prompts(path: str) -> list[Prompt]:
    """Returns the prompts of a text file, one per line; blank lines are ignored.

    Raises:
        RequestError: the file is absent or has no prompt, or a line does not have exactly one path after `<image>`.
    """
    try:
        text = storage.read_bytes(path).decode("utf-8-sig")  # some editors write a byte order mark
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise RequestError(
            f"prompts={path}: must be a text file with one prompt per line ({type(error).__name__})"
        ) from error
    prompts = []
    for line in filter(None, map(str.strip, file_lines(text))):
        words, *images = (part.strip() for part in line.split(_IMAGE_MARK))
        if len(images) > 1 or images == [""]:
            raise RequestError(f"prompts={path}: {line!r} must be written text{_IMAGE_MARK}path")
        prompts.append(Prompt(words, _resolve(path, images[0]) if images else ""))
    if not prompts:
        raise RequestError(f"prompts={path}: must have at least one prompt")
    return prompts


def _resolve(path: str, other: str) -> str:
    """Returns `other`, with the folder of the file `path` prepended if `other` is a relative path."""
    if os.path.isabs(other) or not storage.is_local(other):
        return other
    folder, slash, _ = path.rpartition("/")
    return folder + slash + other


def plan_videos(prompts: list[Prompt], samples: int, seed: int) -> list[PromptVideo]:
    """Returns the videos to generate, in the order of the prompts.

    The file name begins with the prompt, or with the prompt's index if the prompt is no valid file name or a file
    system may take its name for that of an earlier prompt (letter case, Unicode normal form).

    Args:
        prompts: the prompts.
        samples: videos per prompt.
        seed: seed of the job, from which the seed of each video is computed.
    """
    videos: list[PromptVideo] = []
    used: set[str] = set()
    for index, prompt in enumerate(prompts):
        stem = prompt.text
        if not _is_file_name(stem) or name_identity(stem) in used:
            stem = next(name for name in _numbered_names(index) if name not in used)
        used.add(name_identity(stem))
        videos.extend(
            PromptVideo(f"{stem}-{sample}.mp4", prompt, sample, _noise_seed(seed, index, sample))
            for sample in range(samples)
        )
    return videos


def _numbered_names(index: int) -> Iterator[str]:
    """Yields names for the prompt with an index, since another prompt may be the first of them."""
    yield f"{index:06d}"
    yield from (f"{index:06d}-{number}" for number in itertools.count(2))


def _is_file_name(text: str) -> bool:
    """Returns whether a prompt is a valid file name on common file systems.

    The prompt must be printable and at most _MAX_NAME_BYTES long, without reserved characters and leading dot.
    """
    printable = text.isprintable() and not set(text) & set('/\\<>:"|?*')
    return printable and text[:1] not in ("", ".") and len(text.encode()) <= _MAX_NAME_BYTES


def _noise_seed(seed: int, prompt: int, sample: int) -> int:
    """Returns a 63-bit hash of the job's seed, the prompt's index and the sample's number."""
    text = f"{seed} {prompt} {sample}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
