"""Recorded answers of caption models: each is on disk before it counts, and is never asked for again.

`work/captions/<captioner>-<digest8>/<attempt>-<batch>.jsonl`, one line an answer; the digest is over all that an answer
depends on. The file of a batch has one writer, so that neither a torn line nor an object store without appending can
lose more than the answer that was being written.
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
"""Folder of the answers in an output."""
_SMALL_FILE = 1 << 20
"""Files of a model up to this many bytes are hashed; of larger ones only the size is compared."""


def answers_folder(output: str, captioner: str, settings: CaptionConfig) -> str:
    """Returns the folder of the answers of a captioner with these settings.

    Raises:
        RequestError: captioner `vlm` has no model.
    """
    request = [settings.prompt, settings.frames, settings.max_side, settings.max_tokens, settings.seed]
    model = settings.served_model if captioner == "endpoint" else _model_identity(settings.vlm)
    digest = hashlib.sha256(json.dumps([model, *request]).encode()).hexdigest()[:8]
    return storage.join(output, ANSWERS, f"{captioner}-{digest}")


def read_answers(folder: str) -> dict[str, list[Answer]]:
    """Returns all answers in a folder by clip, in the order of the files and of the lines in them."""
    answers: dict[str, list[Answer]] = {}
    for name in storage.list_dir(folder):
        if name.endswith(".jsonl"):
            for answer in _parse(storage.read_bytes(storage.join(folder, name))):
                answers.setdefault(answer.key, []).append(answer)
    return answers


class AnswerFile:
    """The answers of one batch."""

    def __init__(self, uri: str) -> None:
        """Opens the file, or begins a new one."""
        self.uri = uri
        self.answers = _parse(storage.read_bytes(uri)) if storage.exists(uri) else []

    def add(self, answer: Answer) -> None:
        """Appends an answer, which is on disk or in the object store when this returns."""
        self.answers.append(answer)
        if not storage.is_local(self.uri):
            storage.write_atomic(self.uri, b"".join(map(_line, self.answers)))
            return
        path = storage.local_path(self.uri)
        fresh = not os.path.exists(path)
        with open(path, "ab") as file:
            # A torn line of an earlier worker ends here.
            file.write(_line(answer) if fresh or _ends_with_newline(path) else b"\n" + _line(answer))
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            storage.sync_dir(os.path.dirname(path))


def _model_identity(folder: str) -> str:
    """Returns a digest of a model's folder, the same wherever the folder is: names and sizes, and small files' content.

    Raises:
        RequestError: the folder has no model.
    """
    if not os.path.isfile(os.path.join(folder, "config.json")):
        raise RequestError(f"caption.vlm={folder}: must be the folder of a transformers model (no config.json there)")
    total = hashlib.sha256()
    for name in sorted(entry.name for entry in os.scandir(folder) if entry.is_file()):
        size = os.path.getsize(os.path.join(folder, name))
        content = storage.sha256_file(os.path.join(folder, name)) if size <= _SMALL_FILE else ""
        total.update(f"{name} {size} {content}\n".encode())
    return total.hexdigest()


def _parse(data: bytes) -> list[Answer]:
    """Returns the answers of whole lines; a line that a kill tore is none."""
    answers = []
    for line in data.split(b"\n")[:-1]:
        try:
            answers.append(Answer(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return answers


def _line(answer: Answer) -> bytes:
    return json.dumps(asdict(answer), sort_keys=True).encode() + b"\n"


def _ends_with_newline(path: str) -> bool:
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        if file.tell() == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
