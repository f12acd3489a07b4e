"""The identity of a run: the config, data, batch order and number of workers that must not change on resume."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from framemill.platform import storage
from framemill.platform.errors import RequestError

_IDENTITY_FILE = "run.json"


@dataclass(frozen=True)
class RunIdentity:
    """Everything that must not change on resume, so that a resumed run gives identical losses."""

    config: str
    """Digest of the config's keys that determine the result."""
    data: str
    """Digest of the dataset."""
    workers: int
    """Number of ranks."""
    order: dict[str, str]
    """Fingerprint of each stage's batch plan."""
    init: str = ""
    """Digest of the initial weights; "" for a new model."""

    def values(self) -> dict[str, Any]:
        """Returns the identity as a JSON object; `init` only if there are initial weights."""
        return {name: value for name, value in asdict(self).items() if name != "init" or value}

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> RunIdentity:
        """Returns the identity of a JSON object that `values` returned."""
        return cls(values["config"], values["data"], values["workers"], values["order"], values.get("init", ""))


def claim_identity(output: str, identity: RunIdentity, resumed: RunIdentity | None) -> None:
    """Checks that a run directory has no other identity, and writes the identity to it.

    Args:
        output: run directory.
        identity: identity of this start.
        resumed: identity in the checkpoint to resume from; None if there is no checkpoint.

    Raises:
        RequestError: an earlier start, or the checkpoint, has another identity.
    """
    uri = storage.join(output, _IDENTITY_FILE)
    earlier = [RunIdentity.parse(json.loads(storage.read_bytes(uri)))] if storage.exists(uri) else []
    for other in [*earlier, *([resumed] if resumed else [])]:
        recorded = asdict(other)
        for name, value in identity.values().items():
            if recorded[name] != value:
                raise RequestError(
                    f"output={output}: this run has {name} {recorded[name]}, which must not change on resume, is "
                    f"{value}; choose another output"
                )
    storage.write_atomic(uri, (json.dumps(identity.values(), indent=1, sort_keys=True) + "\n").encode())
