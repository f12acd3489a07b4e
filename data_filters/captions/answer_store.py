"""Recorded answers of caption models. An answer is used only once it is on disk, and is never requested again.

Answers are in `work/captions/<captioner>-<digest8>/<attempt>-<batch>.jsonl`, one JSON object per line. The digest
covers the model, the prompt and every setting that an answer depends on. Each file has one writer, so an interrupted
write loses only the answer that was being written, also on object stores, which cannot append to a file.
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
"""The digest of a model covers the content of files up to this many bytes, and only the size of larger files."""


def answers_folder(output: str, captioner: str, settings: CaptionConfig) -> str:
    """Returns the folder in which the answers of a captioner with these settings are recorded.

    Raises:
        RequestError: `settings.vlm` is not the folder of a model, for captioner `vlm`.
    """
    request = [settings.prompt, settings.frames, settings.max_side, settings.max_tokens, settings.seed]
    model = settings.served_model if captioner == "endpoint" else _model_identity(settings.vlm)
    digest = hashlib.sha256(json.dumps([model, *request]).encode()).hexdigest()[:8]
    return storage.join(output, ANSWERS, f"{captioner}-{digest}")


def read_answers(folder: str) -> dict[str, list[Answer]]:
    """Returns all answers in a folder by the clip's key, ordered by file name and line."""
    answers: dict[str, list[Answer]] = {}
    for name in storage.list_dir(folder):
        if name.endswith(".jsonl"):
            for answer in _parse(storage.read_bytes(storage.join(folder, name))):
                answers.setdefault(answer.key, []).append(answer)
    return answers


class AnswerFile:
    """The file with the recorded answers of one batch."""

    def __init__(self, uri: str) -> None:
        """Reads the answers of an existing file; a new file is created by the first `add`."""
        self.uri = uri
        self.answers = _parse(storage.read_bytes(uri)) if storage.exists(uri) else []

    def add(self, answer: Answer) -> None:
        """Appends an answer; returns once it is on disk or in the object store."""
        self.answers.append(answer)
        if not storage.is_local(self.uri):
            storage.write_atomic(self.uri, b"".join(map(_line, self.answers)))
            return
        path = storage.local_path(self.uri)
        fresh = not os.path.exists(path)
        with open(path, "ab") as file:
            # An earlier worker may have left an incomplete last line, which this newline ends.
            file.write(_line(answer) if fresh or _ends_with_newline(path) else b"\n" + _line(answer))
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            storage.sync_dir(os.path.dirname(path))


def _model_identity(folder: str) -> str:
    """Returns a digest of a model folder's file names, file sizes and small files' contents, but not of its path.

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
    """Returns the answers of all complete lines; a line cut off by a killed writer is skipped."""
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
