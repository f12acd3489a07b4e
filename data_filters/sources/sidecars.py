"""Sidecars: files with the name of a video next to it, for its caption (.txt) and its facts (.json)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from framemill.platform import storage

Provenance = dict[str, Any]
"""The `tags`, `licence` and `external` of a source, see `provenance`."""


class SidecarError(ValueError):
    """A sidecar does not have the format of its suffix. The message begins with the name of the sidecar."""


def provenance(tags: Sequence[str] = (), licence: str | None = None) -> Provenance:
    """Returns the provenance of a source: its tags, its licence, and no `external` metadata.

    `external` is JSON text with scores and captions that another program wrote about the source, or None.
    """
    return {"tags": list(tags), "licence": licence, "external": None}


def sidecar_names(name: str) -> tuple[str, str]:
    """Returns the names of a video's sidecars: the caption (.txt) and the facts (.json)."""
    stem = os.path.splitext(name)[0]
    return stem + ".txt", stem + ".json"


def read_file_sidecars(uri: str) -> tuple[str | None, Provenance]:
    """Returns the caption of a video file and its provenance, from the sidecars in its folder.

    Raises:
        SidecarError: a sidecar is not UTF-8 text, or not a JSON object.
    """
    text, facts = (_read_or_none(name) for name in sidecar_names(uri))
    return parse_sidecars(uri, text, facts)


def parse_sidecars(name: str, text: bytes | None, facts: bytes | None) -> tuple[str | None, Provenance]:
    """Returns the caption and the provenance from the two sidecars of a video.

    The caption is the text of the .txt, or else the `caption` or `prompt` of the .json. The keys `tags` and `licence`
    (or `license`) of the .json are read too.

    Args:
        name: name or path of the video, for the names of sidecars in messages.
        text: content of the .txt; None if there is no .txt.
        facts: content of the .json; None if there is no .json.

    Raises:
        SidecarError: `text` is not UTF-8, or `facts` is not a JSON object.
    """
    text_name, facts_name = (os.path.basename(sidecar) for sidecar in sidecar_names(name))
    values = parse_object(facts_name, facts) if facts is not None else {}
    caption = values.get("caption") or values.get("prompt")
    if text is not None:
        try:
            caption = text.decode().strip() or caption
        except UnicodeDecodeError as error:
            raise SidecarError(f"{text_name} beside it is not UTF-8 text") from error
    tags = values.get("tags") or []
    tags = [str(tag) for tag in (tags if isinstance(tags, list) else [tags])]
    licence = values.get("licence") or values.get("license")
    return (str(caption) if caption else None), provenance(tags, str(licence) if licence else None)


def parse_object(name: str, data: bytes) -> dict[str, Any]:
    """Returns the JSON object in a sidecar. NaN and infinities, which JSON does not have, become None.

    Raises:
        SidecarError: `data` is not a JSON object.
    """
    try:
        value = json.loads(data, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise SidecarError(f"{name} beside it is not JSON") from error
    if not isinstance(value, dict):
        raise SidecarError(f"{name} beside it is not a JSON object")
    return value


def _read_or_none(uri: str) -> bytes | None:
    try:
        return storage.read_bytes(uri)
    except FileNotFoundError:
        return None
