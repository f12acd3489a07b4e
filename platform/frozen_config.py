"""The frozen config: a job's resolved config, written to `config.yaml` in the job's output.

Workers and resumed jobs read this file. The digest of a config covers only the keys that determine the result.
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
    """Returns the part of a config that determines the result, as plain values.

    Args:
        config: a config, or a section or value of a config.
        without: roles (see `key`) whose keys are excluded.
    """
    if dataclasses.is_dataclass(config):
        return {
            entry.name: result_values(_result_part(entry, getattr(config, entry.name)), without)
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


def _result_part(entry: dataclasses.Field, value: Any) -> Any:
    """Returns the part of a key's value that determines the result, which `key(result=...)` defines."""
    part = entry.metadata.get("result", True)
    return part(value) if callable(part) else value


def digest(config: Any) -> str:
    """Returns the digest of a config, 16 hex digits, over the keys that determine the result."""
    text = json.dumps(result_values(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_yaml(config: Any) -> str:
    """Returns a config as YAML, with keys as users write them (`from`, not `from_`)."""
    import yaml

    return yaml.safe_dump(_rename_keys(type(config), dataclasses.asdict(config)), sort_keys=False, allow_unicode=True)


def _rename_keys(schema: type, values: dict[str, Any], *, back: bool = False) -> dict[str, Any]:
    """Returns a config's values with attribute names replaced by user keys; with `back`, the reverse."""
    values = dict(values)
    for name, hint in get_type_hints(schema).items():
        old, new = (user_key(name), name) if back else (name, user_key(name))
        if dataclasses.is_dataclass(hint) and isinstance(values.get(name), dict):
            values[name] = _rename_keys(cast(type, hint), values[name], back=back)
        elif old != new and old in values:
            values = {new if key == old else key: value for key, value in values.items()}
    return values


def freeze(config: Any, output: str) -> str:
    """Writes the resolved config to `<output>/config.yaml` and returns the file's URI."""
    from framemill.platform import storage

    target = storage.join(output, "config.yaml")
    storage.write_atomic(target, to_yaml(config).encode())
    return target


def load_frozen(schema: type[C], path: str | os.PathLike[str]) -> C:
    """Returns a config that `freeze` wrote.

    Raises:
        RequestError: there is no such file, or its content is not a config of this class.
    """
    import yaml

    from framemill.platform import storage

    try:
        values = yaml.safe_load(storage.read_bytes(str(path)))
    except FileNotFoundError as error:
        raise RequestError(f"{path}: no such config file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"{path}: must be a config in YAML: {error_line(error)}") from error
    if not isinstance(values, dict):
        raise RequestError(f"{path}: must be a config in YAML")
    values = _rename_keys(schema, values, back=True)
    return to_dataclass(OmegaConf.create(escape_interpolations(values)), Path(path).name, schema)


def claim_output(config: Any, output: str, free: tuple[str, ...] = ()) -> bool:
    """Assigns an output to a config; returns True if the output already belonged to this config, False if it was free.

    Args:
        config: config of the job.
        output: folder or URI.
        free: roles (see `key`) whose keys may differ from the config of the output. In this case config.yaml does not
        change, and the caller freezes the new config together with the new result.

    Raises:
        RequestError: the output has the result of another config (the message names the keys that differ), or files but
            no config.yaml."""
    from framemill.platform import storage

    target = storage.join(output, "config.yaml")
    if storage.exists(target):
        former = load_frozen(type(config), target)
        different = ", ".join(differences(result_values(former, free), result_values(config, free)))
        if not different:
            return True
        raise RequestError(f"output={output}: has the result of another config ({different}); choose another output")
    if any(not name.startswith(storage.TEMPORARY) for name in storage.list_dir(output)):
        raise RequestError(f"output={output}: is not empty and has no config.yaml of this job; choose another one")
    freeze(config, output)
    return False


def differences(before: Any, now: Any, prefix: str = "") -> list[str]:
    """Returns "key was A, is B" for each value in which two configs differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        lines: list[str] = []
        for name in sorted(before.keys() | now.keys()):
            lines.extend(differences(before.get(name), now.get(name), f"{prefix}{name}."))
        return lines
    return [] if before == now else [f"{prefix.rstrip('.')} was {before}, is {now}"]
