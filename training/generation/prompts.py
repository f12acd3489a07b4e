"""What to make: the lines of a prompt file, and the videos that come of them.

A line is a prompt, or `text<image>path` for a video that begins from a picture; a relative path is one from the prompt
file's folder. Videos are named as VBench names them, `<prompt>-<sample>.mp4`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from framemill.platform import storage
from framemill.platform.errors import RequestError

LONGEST_NAME = 240  # bytes of a prompt that names its video: VBench has one of 210, file systems end at 255
IMAGE = "<image>"


@dataclass(frozen=True)
class Prompt:
    """What a video shows; `image` is the path or URI of the picture that it begins from, empty where there is none."""

    text: str
    image: str = ""


@dataclass(frozen=True)
class Video:
    """One video to make. `name` is its file's; `seed` its noise's."""

    name: str
    prompt: Prompt
    index: int
    seed: int


def read_prompts(path: str) -> list[Prompt]:
    """The prompts of a text file, one a line; blank lines do not count.

    Raises:
        RequestError: no such file, no prompt in it, or a line with more or less than one picture behind `<image>`.
    """
    try:
        text = storage.read_bytes(path).decode("utf-8-sig")  # as some editors begin a file
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise RequestError(f"prompts={path}: a text file with one prompt a line ({type(error).__name__})") from error
    prompts = []
    for line in filter(None, map(str.strip, text.splitlines())):
        words, *images = (part.strip() for part in line.split(IMAGE))
        if len(images) > 1 or images == [""]:
            raise RequestError(f"prompts={path}: {line!r} is not written text{IMAGE}path")
        prompts.append(Prompt(words, beside(path, images[0]) if images else ""))
    if not prompts:
        raise RequestError(f"prompts={path}: holds no prompt")
    return prompts


def beside(path: str, other: str) -> str:
    """`other`, where it is relative, as a file of the folder that `path` is in."""
    if os.path.isabs(other) or not storage.is_local(other):
        return other
    folder, slash, _ = path.rpartition("/")
    return folder + slash + other


def plan(prompts: list[Prompt], samples: int, seed: int) -> list[Video]:
    """The videos of some prompts, in their order. A text that comes again is named by its place in the file."""
    videos: list[Video] = []
    taken: set[str] = set()
    for index, prompt in enumerate(prompts):
        stem = prompt.text if is_file_name(prompt.text) and prompt.text not in taken else f"{index:06d}"
        taken.add(prompt.text)
        videos.extend(Video(f"{stem}-{n}.mp4", prompt, n, noise_seed(seed, index, n)) for n in range(samples))
    return videos


def is_file_name(prompt: str) -> bool:
    """Whether a prompt can name a file on every common file system, and is none of this folder's own names."""
    printable = prompt.isprintable() and not set(prompt) & set('/\\<>:"|?*')
    return printable and prompt[:1] not in ("", ".") and len(prompt.encode()) <= LONGEST_NAME


def noise_seed(seed: int, prompt: int, sample: int) -> int:
    """63 bits from the run's seed, the prompt's place and the sample's number."""
    text = f"{seed} {prompt} {sample}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
