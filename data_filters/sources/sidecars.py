"""Sidecars: files with the name of a video next to it, for its caption (.txt) and its facts (.json)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from framemill.platform import storage
from framemill.platform.text import clean_text, decode_text, valid_text

Provenance = dict[str, Any]
"""The `tags`, `licence` and `external` of a source, see `provenance`."""


CAPTION_SEPARATOR = "\x1e"
"""Character between several captions of one sidecar: the record separator, which no cleaned caption contains."""


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
        SidecarError: a sidecar is not a JSON object.
    """
    text, facts = (_read_or_none(name) for name in sidecar_names(uri))
    return parse_sidecars(uri, text, facts)


def parse_sidecars(name: str, text: bytes | None, facts: bytes | None) -> tuple[str | None, Provenance]:
    """Returns the caption and the provenance from the two sidecars of a video.

    The caption is the text of the .txt, or else the `caption` or `prompt` of the .json. A list of captions gives all
    of them, joined by CAPTION_SEPARATOR; a caption of any other type is ignored. The keys `tags` and `licence` (or
    `license`) of the .json are read too. All texts are cleaned by `clean_text`.

    Args:
        name: name or path of the video, for the names of sidecars in messages.
        text: content of the .txt; None if there is no .txt.
        facts: content of the .json; None if there is no .json.

    Raises:
        SidecarError: `facts` is not a JSON object.
    """
    facts_name = os.path.basename(sidecar_names(name)[1])
    values = parse_object(facts_name, facts) if facts is not None else {}
    caption = _captions(values.get("caption")) or _captions(values.get("prompt"))
    if text is not None:
        caption = clean_text(decode_text(text)) or caption
    tags = values.get("tags") or []
    tags = [clean_text(str(tag)) for tag in (tags if isinstance(tags, list) else [tags])]
    licence = values.get("licence") or values.get("license")
    return caption or None, provenance(tags, clean_text(str(licence)) if licence else None)


def _captions(value: Any) -> str:
    """Returns the caption or captions in a value of a .json; empty if the value is neither text nor a list of texts."""
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        return ""
    return CAPTION_SEPARATOR.join(dict.fromkeys(filter(None, map(clean_text, texts))))


def parse_object(name: str, data: bytes) -> dict[str, Any]:
    """Returns the JSON object in a sidecar.

    NaN and infinities, which JSON does not have, become None, and lone surrogates are removed.

    Raises:
        SidecarError: `data` is not a JSON object.
    """
    try:
        value = _valid(json.loads(decode_text(data), parse_constant=lambda _: None))
    except (ValueError, RecursionError) as error:
        raise SidecarError(f"{name} beside it is not JSON") from error
    if not isinstance(value, dict):
        raise SidecarError(f"{name} beside it is not a JSON object")
    return value


def _valid(value: Any) -> Any:
    """Returns a JSON value whose strings can be encoded as UTF-8."""
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, list):
        return [_valid(item) for item in value]
    return {valid_text(key): _valid(item) for key, item in value.items()} if isinstance(value, dict) else value


def _read_or_none(uri: str) -> bytes | None:
    try:
        return storage.read_bytes(uri)
    except FileNotFoundError:
        return None
