"""A job's config from the command line's words or a Python call's keywords, composed with Hydra.

Hydra composes `conf/<job>.yaml` and its groups. The `key=value` words of the command line are applied afterwards by
the type of the field, so that a value may have spaces, commas and equals signs in it.
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
    """Returns the config of `job` with the command line's `key=value` words applied.

    A word whose key is a config group chooses a file of that group; any other word sets a value.

    Raises:
        RequestError: an unknown key, a value of the wrong kind, a required key left out.
    """
    attributes = {user_key(name): name for name, _, _ in walk_schema(schema)}
    pairs = [(attributes.get(name, name), value) for name, value in map(_split_word, words)]
    # Before composing: afterwards a default and a word look alike.
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
    """Returns the validated config of a job that is called from Python, as a config or by its keys.

    Args:
        job: name of the job.
        schema: config class of the job.
        config: the whole config, or None.
        keys: the command's keys as keyword arguments: values, paths, config sections, or nested dicts of them. A key
            that is a Python keyword has a `_` at its end: `from_`.

    Raises:
        RequestError: a key or value that the command would refuse too.
        TypeError: both a config and keys were given.
    """
    if config is None:
        return compose(job, schema, overrides(keys))
    if keys:
        raise TypeError(f"{job}() takes a config or keys, not both")
    validate(config)
    return config


def overrides(keys: dict[str, Any], prefix: str = "") -> list[str]:
    """Returns keyword arguments as `key=value` words of the command line."""
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
    """Returns the dotted keys that are config groups, with the choices of each.

    A group is a key that is a dataclass and has a folder of its name in conf/.
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
    """Returns Hydra's word for choosing a group's file; a nested group names the package that it goes to."""
    return f"{name.rpartition('.')[2]}@{name}={value}" if "." in name else f"{name}={value}"


def compose_defaults(job: str, schema: type, choices: list[str]) -> DictConfig:
    """Returns `conf/<job>.yaml` over its schema, with the given group choices; required keys stay missing.

    Raises:
        RequestError: Hydra cannot compose it.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    # TrainConfig is `train_schema` in a defaults list; a job made of jobs names their schemas too.
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
    """Returns the dataclass tree of a composed config, complete and validated.

    Raises:
        RequestError: a required key is missing, or a value does not fit.
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
    """Returns `key=value` as a pair, divided at the first equals sign."""
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise RequestError(f"{word!r}: must be key=value")
    return name, value


def _unknown_key(config: DictConfig, job: str, name: str) -> str:
    """Returns one line that names the key and the nearest ones that exist."""
    known = [user_key(key) for key, _ in flatten_values(OmegaConf.to_container(config))]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else f"must be one of {', '.join(known)}"
    return f"{name}: {job} has no such key; {advice}"
