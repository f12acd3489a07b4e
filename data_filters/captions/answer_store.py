"""Recorded answers: each is on disk before it counts, and is never asked for again.

`work/captions/<captioner>-<digest8>/<attempt>-<batch>.jsonl`, one line an answer; the digest is of all that the answer
depends on. A batch's file has one writer, so that neither a torn line nor an object store without appending can cost
more than the answer that was being written.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict

from framemill.data_filters.captions.base import Answer
from framemill.data_filters.captions.config import CaptionConfig
from framemill.platform import storage
from framemill.platform.errors import RequestError

ANSWERS = "work/captions"
SMALL = 1 << 20


def answers_folder(output: str, captioner: str, settings: CaptionConfig) -> str:
    """Where the answers of this captioner, asked this way, are."""
    asked = [settings.prompt, settings.frames, settings.max_side, settings.max_tokens, settings.seed]
    model = settings.served_model if captioner == "endpoint" else folder_identity(settings.vlm)
    digest = hashlib.sha256(json.dumps([model, *asked]).encode()).hexdigest()[:8]
    return storage.join(output, ANSWERS, f"{captioner}-{digest}")


def folder_identity(folder: str) -> str:
    """The same for the same model wherever it lies: sizes of its files, and what the small ones say.

    Raises:
        RequestError: there is no model.
    """
    if not os.path.isfile(os.path.join(folder, "config.json")):
        raise RequestError(f"caption.vlm={folder}: no transformers model there (no config.json)")
    total = hashlib.sha256()
    for name in sorted(entry.name for entry in os.scandir(folder) if entry.is_file()):
        size = os.path.getsize(os.path.join(folder, name))
        content = storage.sha256_file(os.path.join(folder, name)) if size <= SMALL else ""
        total.update(f"{name} {size} {content}\n".encode())
    return total.hexdigest()


def read_answers(folder: str) -> dict[str, list[Answer]]:
    """All answers in a folder by clip, in the order of the files and of the lines in them."""
    found: dict[str, list[Answer]] = {}
    for name in storage.list_dir(folder):
        if name.endswith(".jsonl"):
            for answer in parse(storage.read_bytes(storage.join(folder, name))):
                found.setdefault(answer.key, []).append(answer)
    return found


def parse(data: bytes) -> list[Answer]:
    """The whole lines; one that a kill tore is not an answer."""
    answers = []
    for line in data.split(b"\n")[:-1]:
        try:
            answers.append(Answer(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return answers


class AnswerFile:
    """The answers of one batch."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.answers = parse(storage.read_bytes(uri)) if storage.exists(uri) else []

    def add(self, answer: Answer) -> None:
        """On disk, or in the store, when this returns."""
        self.answers.append(answer)
        if not storage.is_local(self.uri):
            storage.write_atomic(self.uri, b"".join(map(line_of, self.answers)))
            return
        path = storage.local_path(self.uri)
        fresh = not os.path.exists(path)
        with open(path, "ab") as file:
            # A torn line of a worker before this one ends here.
            file.write(line_of(answer) if fresh or ends_whole(path) else b"\n" + line_of(answer))
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            storage.sync_dir(os.path.dirname(path))


def line_of(answer: Answer) -> bytes:
    return json.dumps(asdict(answer), sort_keys=True).encode() + b"\n"


def ends_whole(path: str) -> bool:
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        if file.tell() == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
