"""A job's resolved config, frozen to one YAML in its output: what a worker or a resume reads, and what an output is of.

Its digest covers only the keys that determine the result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from omegaconf import OmegaConf

from framemill.platform.compose import to_dataclass
from framemill.platform.config import user_key
from framemill.platform.config_values import error_line, escape_interpolations
from framemill.platform.errors import RequestError

C = TypeVar("C")


def result_values(config: Any, without: tuple[str, ...] = ()) -> Any:
    """The part of a config that determines the result, as plain values, without keys of the roles named."""
    if dataclasses.is_dataclass(config):
        return {
            entry.name: result_values(result_part(entry, getattr(config, entry.name)), without)
            for entry in dataclasses.fields(config)
            if entry.metadata.get("result", True)
            and entry.metadata.get("role", "") not in without
            and not isinstance(getattr(config, entry.name), type)
        }
    if isinstance(config, dict):
        return {str(name): result_values(value, without) for name, value in config.items()}
    if isinstance(config, list | tuple):
        return [result_values(value, without) for value in config]
    return config


def result_part(entry: dataclasses.Field, value: Any) -> Any:
    """What of a key's value determines the result."""
    part = entry.metadata.get("result", True)
    return part(value) if callable(part) else value


def digest(config: Any) -> str:
    """16 hex digits over the keys that determine the result."""
    text = json.dumps(result_values(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_yaml(config: Any) -> str:
    import yaml

    return yaml.safe_dump(rename_keys(type(config), dataclasses.asdict(config)), sort_keys=False, allow_unicode=True)


def rename_keys(schema: type, values: dict[str, Any], *, back: bool = False) -> dict[str, Any]:
    """A config's plain values under the names that users write; with `back`, under its attributes again."""
    values = dict(values)
    for name, hint in get_type_hints(schema).items():
        old, new = (user_key(name), name) if back else (name, user_key(name))
        if dataclasses.is_dataclass(hint) and isinstance(values.get(name), dict):
            values[name] = rename_keys(cast(type, hint), values[name], back=back)
        elif old != new and old in values:
            values = {new if key == old else key: value for key, value in values.items()}
    return values


def freeze(config: Any, output: str) -> str:
    """Writes the resolved config to `<output>/config.yaml`: what a worker or a resume reads."""
    from framemill.platform import storage

    target = storage.join(output, "config.yaml")
    storage.write_atomic(target, to_yaml(config).encode())
    return target


def load_frozen(schema: type[C], path: str | os.PathLike[str]) -> C:
    """A config frozen by `freeze`.

    Raises:
        RequestError: the file is not there or does not fit the schema.
    """
    import yaml

    from framemill.platform import storage

    try:
        values = yaml.safe_load(storage.read_bytes(str(path)))
    except FileNotFoundError as error:
        raise RequestError(f"{path}: no such config file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"{path}: is not a config: {error_line(error)}") from error
    if not isinstance(values, dict):
        raise RequestError(f"{path}: is not a config")
    values = rename_keys(schema, values, back=True)
    return to_dataclass(OmegaConf.create(escape_interpolations(values)), Path(path).name, schema)


def claim_output(config: Any, output: str, free: tuple[str, ...] = ()) -> bool:
    """Makes `output` this config's: True where it already was, False where it was free.

    Keys of the roles in `free` may differ from what the output was made with; its config.yaml stays as it is then,
    and the caller freezes the new one with the new result.

    Raises:
        RequestError: it holds another config's result; the line names the keys that differ.
    """
    from framemill.platform import storage

    target = storage.join(output, "config.yaml")
    if storage.exists(target):
        theirs = load_frozen(type(config), target)
        different = ", ".join(differences(result_values(theirs, free), result_values(config, free)))
        if not different:
            return True
        raise RequestError(f"output={output}: holds the result of another config ({different}); choose another output")
    if any(not name.startswith(storage.TEMPORARY) for name in storage.list_dir(output)):
        raise RequestError(f"output={output}: is not empty and not of this job (no config.yaml); choose another output")
    freeze(config, output)
    return False


def differences(theirs: Any, ours: Any, prefix: str = "") -> list[str]:
    """`key was A, is B` for each value in which two configs differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        lines: list[str] = []
        for name in sorted(theirs.keys() | ours.keys()):
            lines.extend(differences(theirs.get(name), ours.get(name), f"{prefix}{name}."))
        return lines
    return [] if theirs == ours else [f"{prefix.rstrip('.')} was {theirs}, is {ours}"]
