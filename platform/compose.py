"""Composing a job's config with Hydra, from the words of a command line or the keywords of a Python call.

Hydra composes `conf/<job>.yaml` and its config groups. The `key=value` words are applied afterwards and parsed by the
type of the field, so values may contain spaces, commas and equals signs.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
from collections.abc import Callable
from typing import Any, TypeVar, cast, get_type_hints

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from framemill.platform.config import require_choice, user_key, validate, walk_schema
from framemill.platform.config_values import error_line, flatten_values, set_value
from framemill.platform.errors import RequestError

C = TypeVar("C")


def compose(job: str, schema: type[C], words: list[str]) -> C:
    """Returns the config of `job` with `key=value` words applied.

    A word whose key is a config group selects a file of the group; any other word sets a value.

    Raises:
        RequestError: a key is unknown, a value has the wrong type, or a required key is missing.
    """
    attributes = {user_key(name): name for name, _, _ in walk_schema(schema)}
    pairs = [(attributes.get(name, name), value) for name, value in map(_split_word, words)]
    # Before composing, since afterwards defaults and given values cannot be distinguished.
    check_words: Callable[[list[str]], None] = getattr(schema, "check_words", lambda names: None)
    check_words([name for name, _ in pairs])
    groups = config_groups(schema)
    for name, value in pairs:
        if name in groups:
            require_choice(name, value, groups[name])
    config = compose_defaults(job, schema, [group_choice(name, value) for name, value in pairs if name in groups])
    for name, value in pairs:
        if name not in groups and not set_value(config, name, value):
            raise RequestError(_unknown_key(config, job, name))
    return to_dataclass(config, job, schema)


def resolve(job: str, schema: type[C], config: C | None, keys: dict[str, Any]) -> C:
    """Returns the validated config of a job that is called from Python, with a config object or with keys.

    Args:
        job: name of the job.
        schema: config class of the job.
        config: complete config, or None.
        keys: keys of the job as keyword arguments, with values, paths, config sections or nested dicts. A key that is a
            Python keyword has a `_` at its end: `from_`.

    Raises:
        RequestError: a key or value is wrong, as in `compose`.
        TypeError: both a config and keys are given.
    """
    if config is None:
        return compose(job, schema, overrides(keys))
    if keys:
        raise TypeError(f"{job}() takes a config or keys, not both")
    validate(config)
    return config


def overrides(keys: dict[str, Any], prefix: str = "") -> list[str]:
    """Returns nested keyword arguments as flat `key=value` words."""
    words: list[str] = []
    for name, value in keys.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if isinstance(value, dict) and value:
            words.extend(overrides(value, f"{prefix}{name}."))
        else:
            words.append(f"{prefix}{name.removesuffix('_')}={value if isinstance(value, str) else json.dumps(value)}")
    return words


def config_groups(schema: type) -> dict[str, list[str]]:
    """Returns the choices of each config group by dotted key.

    A config group is a key whose value is a dataclass and that has a folder of its name in conf/.
    """
    from importlib.resources import files

    folders = {entry.name: entry for entry in files("framemill.conf").iterdir() if entry.is_dir()}
    groups: dict[str, list[str]] = {}
    for name, hint, _ in walk_schema(schema):
        folder = folders.get(name.rpartition(".")[2])
        if folder is not None and dataclasses.is_dataclass(hint):
            groups[name] = sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))
    return groups


def group_choice(name: str, value: str) -> str:
    """Returns the Hydra override that selects a file of a config group, `group@package=file` for a nested group."""
    return f"{name.rpartition('.')[2]}@{name}={value}" if "." in name else f"{name}={value}"


def compose_defaults(job: str, schema: type, choices: list[str]) -> DictConfig:
    """Returns `conf/<job>.yaml` merged into its schema, with the given group choices; required keys stay MISSING.

    Raises:
        RequestError: Hydra cannot compose the config.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    # Defaults lists name schemas, such as `train_schema` for TrainConfig; `loop` also names the schemas of its jobs.
    parts: list[Any] = [schema, *(hint for hint in get_type_hints(schema).values() if dataclasses.is_dataclass(hint))]
    for part in parts:
        ConfigStore.instance().store(name=f"{part.__name__.removesuffix('Config').lower()}_schema", node=part)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("framemill.conf", version_base="1.3", job_name=job):
            return hydra_compose(job, overrides=choices)
    except HydraException as error:
        raise RequestError(f"{job}: {error_line(error)}") from error


def to_dataclass(config: DictConfig, job: str, schema: type[C]) -> C:
    """Returns the validated config object of a composed config.

    Raises:
        RequestError: a required key is missing, or a value has the wrong type or is not allowed.
    """
    missing = [name for name, value in flatten_values(OmegaConf.to_container(config)) if value == MISSING]
    if missing:
        raise RequestError(f"{missing[0]}: {job} needs {', '.join(f'{k}=...' for k in missing)}")
    try:
        typed = OmegaConf.merge(OmegaConf.structured(schema), config)
        result = OmegaConf.to_object(typed)
    except OmegaConfBaseException as error:
        raise RequestError(f"{job}: {error_line(error)}") from error
    validate(result)
    return cast(C, result)


def _split_word(word: str) -> tuple[str, str]:
    """Returns (key, value) of a word `key=value`, split at the first equals sign."""
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise RequestError(f"{word!r}: must be key=value")
    return name, value


def _unknown_key(config: DictConfig, job: str, name: str) -> str:
    """Returns the error line for an unknown key, with the most similar known keys."""
    known = [user_key(key) for key, _ in flatten_values(OmegaConf.to_container(config))]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else f"must be one of {', '.join(known)}"
    return f"{name}: {job} has no such key; {advice}"
