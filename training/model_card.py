"""What generation has to know of an exported model, read from the `framemill.json` of its export folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

from framemill.platform import storage
from framemill.platform.errors import RequestError

CARD = "framemill.json"


@dataclass(frozen=True)
class ModelCard:
    """What a model speaks and makes."""

    codec: str
    text: str
    fps: float
    bucket: str  # its usual size, as 17x64x112
    block_frames: int = 0  # latent frames of its blocks; 0: it is bidirectional


def find_export(model: str) -> str:
    """The export folder that `model` is, or that lies in the run directory it is.

    Raises:
        RequestError: it is neither.
    """
    for folder in (model, storage.join(model, "export")):
        if storage.exists(storage.join(folder, CARD)):
            return folder
    raise RequestError(f"model={model}: is neither an export folder (with {CARD}) nor a run directory with one")


def read_card(folder: str) -> ModelCard:
    """The card of an export folder.

    Raises:
        RequestError: it is damaged.
    """
    path = storage.join(folder, CARD)
    try:
        values = json.loads(storage.read_bytes(path))
        return ModelCard(**{field.name: values[field.name] for field in fields(ModelCard) if field.name in values})
    except (ValueError, TypeError, KeyError) as error:
        raise RequestError(f"{path}: is damaged ({type(error).__name__}: {error})") from error
