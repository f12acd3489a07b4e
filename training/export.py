"""A trained model as a folder that `generate` runs whole and diffusers in parts.

    export/
      transformer/     SanaVideoTransformer3DModel: config.json and safetensors
      scheduler/       the flow DPM-Solver
      framemill.json   what diffusers has no place for: the codec and text encoder, and the size trained last
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.training.sampling import FLOW_SHIFT, save_scheduler

if TYPE_CHECKING:
    from framemill.training.model import LinearDiT

CARD = "framemill.json"


@dataclass(frozen=True)
class ModelCard:
    """What the model was trained on. `bucket` is its default size, as 17x64x112; `dataset` the data's digest."""

    codec: str
    text: str
    fps: float
    bucket: str
    dataset: str


def write_export(folder: str, model: LinearDiT, card: ModelCard, flow_shift: float = FLOW_SHIFT) -> None:
    """Writes the export of a model; the card comes last, so that a folder with one is whole."""
    model.save_diffusers(storage.join(folder, "transformer"))
    save_scheduler(storage.join(folder, "scheduler"), flow_shift)
    text = json.dumps(asdict(card), indent=2, sort_keys=True) + "\n"
    storage.write_atomic(storage.join(folder, CARD), text.encode())


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
    try:
        return ModelCard(**json.loads(storage.read_bytes(storage.join(folder, CARD))))
    except (ValueError, TypeError) as error:
        raise RequestError(f"{storage.join(folder, CARD)}: is damaged ({error})") from error
