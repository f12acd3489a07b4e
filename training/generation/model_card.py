"""What generation has to know of a model: from the `framemill.json` of its export, or from a published pipeline."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.platform.network_folder import component_folder, files_digest, read_json_object
from framemill.training.codecs import get_codec
from framemill.training.model.diffusers_format import read_transformer_config
from framemill.training.run.export import INFO, PIPELINE_VAES
from framemill.training.text import get_text_encoder

# What a published SANA-Video pipeline does not say of itself, by what it does (reference: its diffusers pipeline).
NETWORKS = {network: codec for codec, network in PIPELINE_VAES.items()} | {"AutoencoderDC": "dcae"}
USUAL_SIZE = {30: "81x480x832", 22: "81x704x1280"}  # by sample_size
FPS = 16.0


@dataclass(frozen=True)
class ModelCard:
    """What a model speaks and makes.

    Codec and text encoder are the ones whose weights have these digests; "" for one without, None where nobody wrote
    down which they were.
    """

    codec: str
    text: str
    fps: float
    bucket: str  # its usual size, as 17x64x112
    codec_weights: str | None = ""
    text_weights: str | None = ""
    block_frames: int = 0  # latent frames of its blocks; 0: it is bidirectional


def find_export(model: str) -> str:
    """The folder of a model: `model` itself, the export in the run directory it is, or the pipeline it is.

    Raises:
        RequestError: it is neither.
    """
    for folder in (model, storage.join(model, "export")):
        if storage.exists(storage.join(folder, INFO)):
            return folder
    if storage.exists(storage.join(model, "transformer", "config.json")):
        return model
    raise RequestError(
        f"model={model}: is no export folder (with {INFO}), no run directory with one, and no diffusers pipeline (with "
        "transformer/config.json)"
    )


def network_path(given: str, folder: str, name: str) -> str:
    """Where the codec (`name` vae) or text encoder is: at the path given, else beside the model if it lies there."""
    return given or (folder if storage.exists(storage.join(folder, name, "config.json")) else "")


def read_card(folder: str, codec_path: str = "") -> ModelCard:
    """The card of an export folder, or of a pipeline whose autoencoder is at `codec_path`.

    Raises:
        RequestError: it is damaged, or the pipeline has no codec that is known here.
    """
    path = storage.join(folder, INFO)
    if not storage.exists(path):
        return pipeline_card(folder, codec_path)
    try:
        values = json.loads(storage.read_bytes(path))
        # A card from before there was a field is of a model that has what the default says.
        return ModelCard(**{field.name: values[field.name] for field in fields(ModelCard) if field.name in values})
    except (ValueError, TypeError, KeyError) as error:
        raise RequestError(f"{path}: is damaged ({type(error).__name__}: {error})") from error


def pipeline_card(folder: str, codec_path: str) -> ModelCard:
    network = read_json_object(component_folder(codec_path, "vae", "codec_path") / "config.json").get("_class_name")
    if network not in NETWORKS:
        raise RequestError(f"codec_path={codec_path}: _class_name={network}: may be {', '.join(NETWORKS)}")
    size = read_transformer_config(storage.join(folder, "transformer")).sample_size
    if size not in USUAL_SIZE:
        raise RequestError(f"{folder}: sample_size={size}: may be {', '.join(map(str, USUAL_SIZE))}")
    return ModelCard(NETWORKS[network], "gemma", FPS, USUAL_SIZE[size], codec_weights=None, text_weights=None)


def check_networks(card: ModelCard, codec_path: str, text_path: str) -> dict[str, str]:
    """Checks that codec and text encoder are there and, where the card says which, the ones it says.

    Returns the digests of the others' weights, by key.

    Raises:
        RequestError: one is not.
    """
    unknown = {}
    codec, encoder = get_codec(card.codec, codec_path), get_text_encoder(card.text, text_path)
    for key, path, folders, wanted in (
        ("codec_path", codec_path, codec.folders, card.codec_weights),
        ("text_path", text_path, encoder.folders, card.text_weights),
    ):
        found = files_digest(folders)
        if wanted is None:
            unknown[key] = found
        elif found != wanted:
            raise RequestError(f"{key}={path}: holds weights {found}, the model was trained with {wanted}")
    return unknown
