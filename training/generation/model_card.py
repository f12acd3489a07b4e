"""The model card that generation needs, read from an export's `framemill.json` or derived from a published pipeline."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.platform.network_folder import CONFIG, component_folder, files_digest, read_json_object
from framemill.training.codecs import get_codec
from framemill.training.text import get_text_encoder

CARD_FILE = "framemill.json"
"""File of an export with the model card."""
PIPELINE_VAES = {"wan": "AutoencoderKLWan", "ltx2": "AutoencoderKLLTX2Video"}
"""diffusers' classes of the codecs that its SANA-Video pipelines can run; neither DC-AE nor `dct` is among them."""
_CODECS = {network: codec for codec, network in PIPELINE_VAES.items()} | {"AutoencoderDC": "dcae"}
"""Codecs by the diffusers class of their network."""
_DEFAULT_BUCKETS = {30: "81x480x832", 22: "81x704x1280"}
"""Default size of a published SANA-Video pipeline, by the `sample_size` of its transformer."""
_FPS = 16.0
"""Frame rate of published SANA-Video pipelines."""


@dataclass(frozen=True)
class ModelCard:
    """Codec, text encoder, frame rate and default size of a model."""

    codec: str
    """Name of the codec."""
    text: str
    """Name of the text encoder."""
    fps: float
    """Frame rate of the videos, frames per second."""
    bucket: str
    """Default frames, height and width of a video, e.g. 17x64x112."""
    codec_weights: str | None = ""
    """Digest of the codec's weights; "" for a codec without weights, None if unknown."""
    text_weights: str | None = ""
    """Digest of the text encoder's weights; "" for an encoder without weights, None if unknown."""
    block_frames: int = 0
    """Latent frames per block of a block-causal model; 0: the model is bidirectional."""

    def to_json(self, **more: str | int) -> bytes:
        """Returns the content of an export's `framemill.json`.

        Args:
            more: further entries, which generation ignores.
        """
        return (json.dumps(asdict(self) | more, indent=1, sort_keys=True) + "\n").encode()


def find_export(model: str) -> str:
    """Returns the folder that contains a model's `transformer/`.

    Args:
        model: an export folder, a run directory with an export, or a diffusers pipeline.

    Raises:
        RequestError: `model` is none of these.
    """
    for folder in (model, storage.join(model, "export")):
        if storage.exists(storage.join(folder, CARD_FILE)):
            return folder
    if storage.exists(storage.join(model, "transformer", CONFIG)):
        return model
    raise RequestError(
        f"model={model}: must be an export folder (with {CARD_FILE}), a run directory with an export, or a diffusers "
        f"pipeline (with transformer/{CONFIG})"
    )


def network_path(given: str, export: str, name: str) -> str:
    """Returns the path of a network: the given path, else the model's folder if the network is in it, else "".

    Args:
        given: value of `codec_path` or `text_path`.
        export: folder of the model.
        name: subfolder of the network: "vae" or "text_encoder".
    """
    return given or (export if storage.exists(storage.join(export, name, CONFIG)) else "")


def read_card(export: str, codec_path: str = "") -> ModelCard:
    """Returns the card of a model.

    Args:
        export: export folder or diffusers pipeline.
        codec_path: folder of a pipeline's autoencoder.

    Raises:
        RequestError: the card is damaged, or the pipeline's autoencoder is not a known codec.
    """
    path = storage.join(export, CARD_FILE)
    if not storage.exists(path):
        return _pipeline_card(export, codec_path)
    try:
        values = json.loads(storage.read_bytes(path))
        # Older cards lack some fields; the defaults of the fields apply to them.
        return ModelCard(**{field.name: values[field.name] for field in fields(ModelCard) if field.name in values})
    except (ValueError, TypeError, KeyError) as error:
        raise RequestError(f"{path}: is damaged ({type(error).__name__}: {error})") from error


def _pipeline_card(pipeline: str, codec_path: str) -> ModelCard:
    """Returns a card for a published pipeline, which has no `framemill.json`."""
    from framemill.training.model.diffusers_format import read_transformer_config

    network = read_json_object(component_folder(codec_path, "vae", "codec_path") / CONFIG).get("_class_name")
    if network not in _CODECS:
        raise RequestError(f"codec_path={codec_path}: _class_name={network}: must be one of {', '.join(_CODECS)}")
    size = read_transformer_config(storage.join(pipeline, "transformer")).sample_size
    if size not in _DEFAULT_BUCKETS:
        sizes = ", ".join(map(str, _DEFAULT_BUCKETS))
        raise RequestError(f"{pipeline}: sample_size={size}: must be one of {sizes}")
    return ModelCard(_CODECS[network], "gemma", _FPS, _DEFAULT_BUCKETS[size], codec_weights=None, text_weights=None)


def check_networks(card: ModelCard, codec_path: str, text_path: str) -> dict[str, str]:
    """Checks that codec and text encoder are the networks that the card describes.

    Args:
        card: card of the model.
        codec_path: folder of the codec.
        text_path: folder of the text encoder.

    Returns:
        Digests of the networks that the card does not identify, by config key.

    Raises:
        RequestError: a network is missing, or the weights differ from those of the card.
    """
    unidentified = {}
    codec, encoder = get_codec(card.codec, codec_path), get_text_encoder(card.text, text_path)
    for key, path, folders, expected in (
        ("codec_path", codec_path, codec.folders, card.codec_weights),
        ("text_path", text_path, encoder.folders, card.text_weights),
    ):
        weights = files_digest(folders)
        if expected is None:
            unidentified[key] = weights
        elif weights != expected:
            raise RequestError(
                f"{key}={path}: must hold the weights that the model was trained with ({expected}), holds {weights}"
            )
    return unidentified
