"""What generation has to know of an exported model, read from the `framemill.json` of its export folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.training.codecs import get_codec
from framemill.training.network_files import files_digest
from framemill.training.text import get_text_encoder

CARD = "framemill.json"


@dataclass(frozen=True)
class ModelCard:
    """What a model speaks and makes.

    Codec and text encoder are the ones whose weights have these digests; "" for one without.
    """

    codec: str
    text: str
    fps: float
    bucket: str  # its usual size, as 17x64x112
    codec_weights: str = ""
    text_weights: str = ""
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
        # A card from before there was a field is of a model that has what the default says.
        return ModelCard(**{field.name: values[field.name] for field in fields(ModelCard) if field.name in values})
    except (ValueError, TypeError, KeyError) as error:
        raise RequestError(f"{path}: is damaged ({type(error).__name__}: {error})") from error


def check_networks(card: ModelCard, codec_path: str, text_path: str) -> None:
    """Checks that codec and text encoder are there and the ones that the model was trained with.

    Raises:
        RequestError: one is not.
    """
    codec, encoder = get_codec(card.codec, codec_path), get_text_encoder(card.text, text_path)
    for key, path, folders, wanted in (
        ("codec_path", codec_path, codec.folders, card.codec_weights),
        ("text_path", text_path, encoder.folders, card.text_weights),
    ):
        if (found := files_digest(folders)) != wanted:
            raise RequestError(f"{key}={path}: holds weights {found}, the model was trained with {wanted}")
