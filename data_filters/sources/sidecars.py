"""What lies beside a video: its caption (.txt) and its facts (.json)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from framemill.platform import storage

Provenance = dict[str, Any]
"""What `provenance` gives."""


class SidecarError(ValueError):
    """What lies beside a video is not what its name says. The message names it."""


def provenance(tags: Sequence[str] = (), licence: str | None = None) -> Provenance:
    """Tags and licence of a source; `external`: JSON text where others' scores or captions came along, else None."""
    return {"tags": list(tags), "licence": licence, "external": None}


def sidecar_names(name: str) -> tuple[str, str]:
    """Where the caption (.txt) and the facts (.json) of a video would lie."""
    stem = os.path.splitext(name)[0]
    return stem + ".txt", stem + ".json"


def read_beside(uri: str) -> tuple[str | None, Provenance]:
    """The caption beside a video, and its provenance.

    Raises:
        SidecarError: a sidecar that is no text or no JSON object; the message names it.
    """
    text, facts = (read_or_none(name) for name in sidecar_names(uri))
    return parse_sidecars(uri, text, facts)


def read_or_none(uri: str) -> bytes | None:
    try:
        return storage.read_bytes(uri)
    except FileNotFoundError:
        return None


def parse_sidecars(name: str, text: bytes | None, facts: bytes | None) -> tuple[str | None, Provenance]:
    """Caption and provenance from the bytes of both sidecars, None where there is none.

    A .txt is the caption. A .json may hold `caption` (or `prompt`), `tags` and `licence` (or `license`).

    Raises:
        SidecarError: one that is no text or no JSON object; the message names it.
    """
    text_name, facts_name = (os.path.basename(beside) for beside in sidecar_names(name))
    said = parse_object(facts_name, facts) if facts is not None else {}
    caption = said.get("caption") or said.get("prompt")
    if text is not None:
        try:
            caption = text.decode().strip() or caption
        except UnicodeDecodeError as error:
            raise SidecarError(f"{text_name} beside it is not UTF-8 text") from error
    tags = said.get("tags") or []
    tags = [str(tag) for tag in (tags if isinstance(tags, list) else [tags])]
    licence = said.get("licence") or said.get("license")
    return (str(caption) if caption else None), provenance(tags, str(licence) if licence else None)


def parse_object(name: str, data: bytes) -> dict[str, Any]:
    """A JSON object; a NaN in it, which JSON does not know, is null."""
    try:
        value = json.loads(data, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise SidecarError(f"{name} beside it is not JSON") from error
    if not isinstance(value, dict):
        raise SidecarError(f"{name} beside it is not a JSON object")
    return value
