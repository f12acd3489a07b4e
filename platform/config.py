"""Typed job configuration: composed with Hydra, validated once, frozen to one YAML.

A job's config is a dataclass whose fields are made with `key`: a default, a sentence of help, and whether the key
determines the result. Hydra composes `conf/<job>.yaml` and its groups; the `key=value` words of the command line are
applied afterwards by the type of the field, so that a value may hold spaces, commas and equals signs.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast, get_args, get_type_hints

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from framemill.platform.errors import RequestError

C = TypeVar("C")


def key(
    default: Any = MISSING,
    help: str = "",
    *,
    result: bool | Callable[[Any], Any] = True,
    choices: tuple[str, ...] = (),
    role: str = "",
    **options: Any,
) -> Any:
    """A config field. `result=False` marks a key that cannot change the result and stays out of the digest.

    A function as `result` gives what of the value changes it: `result=bool` where only 0 or not 0 does.

    A type or function as default is called for each config; MISSING makes the key required. `role` says what a key
    decides where a job tells such keys apart: "sources" which inputs take part, "selection" what becomes of what was
    measured. A field named as a Python keyword with a `_` behind it is written without it: `from_` is `from=`.
    """
    metadata = {"help": help, "result": result, "choices": choices, "role": role}
    if callable(default):
        return field(default_factory=default, metadata=metadata, **options)
    return field(default=default, metadata=metadata, **options)


@dataclass
class TrackingConfig:
    uri: str = key(
        "", "MLflow tracking URI; empty: a SQLite file in the output, or here if that is a URI", result=False
    )
    experiment: str = key("framemill", "MLflow experiment", result=False)


@dataclass
class ClusterConfig:
    address: str = key("", "Ray address; empty: Ray inside this process; auto: the cluster this runs on", result=False)


# ---------------------------------------------------------------------------------------------------- composing


def compose(job: str, schema: type[C], words: list[str]) -> C:
    """The config of `job` with the command line's `key=value` words applied.

    A word whose key is a config group chooses a file of that group; any other sets a value.

    Raises:
        RequestError: an unknown key, a value of the wrong kind, a required key left out.
    """
    attributes = {user_key(name): name for name, _, _ in walk_schema(schema)}
    pairs = [(attributes.get(name, name), value) for name, value in map(split_word, words)]
    # A schema may refuse words that do not go together: once composed, a default and a word look alike.
    check_words: Callable[[list[str]], None] = getattr(schema, "check_words", lambda names: None)
    check_words([name for name, _ in pairs])
    groups = config_groups(schema)
    for name, value in pairs:
        if name in groups:
            require_choice(name, value, groups[name])
    config = compose_defaults(job, schema, [group_choice(name, value) for name, value in pairs if name in groups])
    for name, value in pairs:
        if name not in groups:
            set_value(config, job, name, value)
    return to_object(config, job, schema)


def resolve(job: str, schema: type[C], config: C | None, keys: dict[str, Any]) -> C:
    """Returns the validated config of a job that is called from Python, as a config or by its keys.

    Args:
        job: name of the job.
        schema: config dataclass of the job.
        config: the whole config, or None.
        keys: the command's keys as keyword arguments: values, or nested dicts of them. A key that is a Python keyword
            has a `_` behind it: `from_`.

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
        if isinstance(value, dict) and value:
            words.extend(overrides(value, f"{prefix}{name}."))
        else:
            words.append(f"{prefix}{name.removesuffix('_')}={value if isinstance(value, str) else json.dumps(value)}")
    return words


def user_key(name: str) -> str:
    """A dotted attribute as a user writes it."""
    return ".".join(part.removesuffix("_") for part in name.split("."))


def group_choice(name: str, value: str) -> str:
    """Hydra's word for choosing a group's file; a nested group names the package it goes to."""
    return f"{name.rpartition('.')[2]}@{name}={value}" if "." in name else f"{name}={value}"


def compose_defaults(job: str, schema: type, choices: list[str]) -> DictConfig:
    """`conf/<job>.yaml` over its schema, with the given group choices; required keys stay missing."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    # TrainConfig is `train_schema` in a defaults list; a job made of jobs names theirs too.
    parts: list[Any] = [schema, *(hint for hint in get_type_hints(schema).values() if dataclasses.is_dataclass(hint))]
    for part in parts:
        ConfigStore.instance().store(name=f"{part.__name__.removesuffix('Config').lower()}_schema", node=part)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("framemill.conf", version_base="1.3", job_name=job):
            return hydra_compose(job, overrides=choices)
    except HydraException as error:
        raise RequestError(f"{job}: {first_line(error)}") from error


def split_word(word: str) -> tuple[str, str]:
    """`key=value` as a pair; only the first equals sign divides."""
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise RequestError(f"{word!r}: write key=value")
    return name, value


def config_groups(schema: type) -> dict[str, list[str]]:
    """The dotted keys that are config groups, with the choices of each: a folder of conf/ named as the key's end."""
    from importlib.resources import files

    folders = {entry.name: entry for entry in files("framemill.conf").iterdir() if entry.is_dir()}
    groups: dict[str, list[str]] = {}
    for name, hint, _ in walk_schema(schema):
        folder = folders.get(name.rpartition(".")[2])
        if folder is not None and dataclasses.is_dataclass(hint):
            groups[name] = sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))
    return groups


def walk_schema(schema: type, prefix: str = "") -> list[tuple[str, Any, dataclasses.Field]]:
    """Every key of a schema, depth first: its dotted name, its type, its field."""
    hints = get_type_hints(schema)
    found: list[tuple[str, Any, dataclasses.Field]] = []
    for entry in dataclasses.fields(schema):
        name, hint = prefix + entry.name, hints[entry.name]
        found.append((name, hint, entry))
        if dataclasses.is_dataclass(hint):
            found.extend(walk_schema(cast(type, hint), name + "."))
    return found


def set_value(config: DictConfig, job: str, name: str, value: str) -> None:
    """Sets one key of a composed config, reading the text as the key's type asks."""
    parent, _, leaf = name.rpartition(".")
    try:
        add_entry(config, parent)
        node: Any = OmegaConf.select(config, parent) if parent else config
    except OmegaConfBaseException:
        node = None
    if isinstance(node, ListConfig):
        known = leaf.isdigit() and int(leaf) < len(node)
    else:
        known = isinstance(node, DictConfig) and leaf in node.keys()  # noqa: SIM118 (`in` does not see missing keys)
        open_mapping = isinstance(node, DictConfig) and OmegaConf.get_type(node) is dict
        known = known or open_mapping
    if not known:
        raise RequestError(unknown_key(config, job, name))
    try:
        parsed = parse_value(node, leaf, value)
        kind = node._metadata.element_type
        if isinstance(parsed, dict) and dataclasses.is_dataclass(kind):
            parsed = OmegaConf.merge(OmegaConf.structured(kind), parsed)
        OmegaConf.update(config, name, parsed, merge=False, force_add=True)
    except (OmegaConfBaseException, ValueError) as error:
        raise RequestError(f"{name}={value}: {first_line(error)}") from error


def add_entry(config: DictConfig, name: str) -> None:
    """Gives a mapping of dataclasses the entry `name`, at its defaults, where it has none."""
    parent, _, leaf = name.rpartition(".")
    mapping: Any = OmegaConf.select(config, parent, default=None) if parent else None
    entry = mapping._metadata.element_type if isinstance(mapping, DictConfig) else None
    if dataclasses.is_dataclass(entry) and leaf not in mapping:
        OmegaConf.update(config, name, OmegaConf.structured(entry), force_add=True)


def parse_value(node: Any, leaf: str, value: str) -> Any:
    """Text for a string key as it stands; anything else as YAML (numbers, true, null, [a, b], {a: 1})."""
    import yaml

    there = isinstance(node, ListConfig) or leaf in node.keys()  # noqa: SIM118 (`in` does not see missing keys)
    child = node._get_node(int(leaf) if isinstance(node, ListConfig) else leaf) if there else None
    if child is not None and child._metadata.ref_type is str:
        return escape(value)
    try:
        return escape(yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise ValueError("cannot be read as a number, a truth value, a [list] or a {mapping}") from error


def escape(value: Any) -> Any:
    """Plain values in which OmegaConf finds no interpolation: text from outside means what it says."""
    if isinstance(value, str):
        return value.replace("${", "\\${")
    if isinstance(value, dict):
        return {name: escape(item) for name, item in value.items()}
    return [escape(item) for item in value] if isinstance(value, list) else value


def unknown_key(config: DictConfig, job: str, name: str) -> str:
    """One line that names the key and the nearest ones that exist."""
    known = [user_key(key) for key, _ in flat_values(OmegaConf.to_container(config))]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else f"it may be one of: {', '.join(known)}"
    return f"{name}: {job} has no such key; {advice}"


def require_choice(name: str, value: str, choices: list[str] | tuple[str, ...]) -> None:
    """Raises RequestError unless `value` is one of `choices`."""
    if value not in choices:
        raise RequestError(f"{name}={value}: may be {', '.join(choices)}")


def to_object(config: DictConfig, job: str, schema: type[C]) -> C:
    """The dataclass tree of a composed config, complete and validated."""
    missing = [name for name, value in flat_values(OmegaConf.to_container(config)) if value == MISSING]
    if missing:
        raise RequestError(f"{missing[0]}: {job} needs {', '.join(f'{k}=...' for k in missing)}")
    try:
        typed = OmegaConf.merge(OmegaConf.structured(schema), config)
        result = OmegaConf.to_object(typed)
    except OmegaConfBaseException as error:
        raise RequestError(f"{job}: {first_line(error)}") from error
    validate(result)
    return cast(C, result)


def validate(config: Any, prefix: str = "") -> None:
    """Checks every field's choices and calls each dataclass's own `validate`, innermost first."""
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if dataclasses.is_dataclass(value):
            validate(value, f"{prefix}{entry.name}.")
        elif isinstance(value, dict):
            for name, item in value.items():
                if dataclasses.is_dataclass(item):
                    try:
                        validate(item)
                    except RequestError as error:  # an item knows its keys, and not what it is called itself
                        raise RequestError(f"{prefix}{entry.name}.{name}.{error}") from error
        elif entry.metadata.get("choices"):
            for item in value if isinstance(value, list) else [value]:
                require_choice(prefix + entry.name, str(item), entry.metadata["choices"])
    if hasattr(config, "validate"):
        config.validate()


def flat_values(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """The dotted names and values of nested mappings; an empty mapping is a value of its own."""
    if isinstance(values, dict) and values:
        return [pair for name, item in values.items() for pair in flat_values(item, f"{prefix}{name}.")]
    return [(prefix.rstrip("."), values)]


def first_line(error: BaseException) -> str:
    """An error as one line; Hydra says what went wrong on its second."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


# ---------------------------------------------------------------------------------------------------- help


def describe(job: str, schema: type) -> list[tuple[str, str, str]]:
    """(key, default, help) for each value a job takes, groups named with their choices."""
    groups = config_groups(schema)
    defaults = OmegaConf.to_container(compose_defaults(job, schema, []))
    lines = []
    for name, hint, entry in walk_schema(schema):
        help_text = entry.metadata.get("help", "")
        value = functools.reduce(lambda node, part: node[part], name.split("."), defaults)
        if name in groups:
            lines.append((name, "|".join(groups[name]), help_text or "a choice of values, or its keys one by one"))
        elif isinstance(value, dict) and not dataclasses.is_dataclass(hint):
            lines.append((name, "" if value else "{}", help_text))
            sentences = item_help(hint)
            lines.extend(
                (key, plain(item), sentences.get(key.rpartition(".")[2], ""))
                for key, item in flat_values(value, f"{name}.")
                if value
            )
        elif not dataclasses.is_dataclass(hint):
            choices = "|".join(entry.metadata.get("choices", ()))
            lines.append((user_key(name), plain(value), help_text + (f" ({choices})" if choices else "")))
    return lines


def item_help(hint: Any) -> dict[str, str]:
    """The help of the fields of a mapping's items, by field, where they are dataclasses."""
    kinds = [kind for kind in get_args(hint) if dataclasses.is_dataclass(kind)]
    return {entry.name: entry.metadata.get("help", "") for kind in kinds for entry in dataclasses.fields(kind)}


def plain(value: Any) -> str:
    if value == MISSING:
        return "required"
    return json.dumps(value) if isinstance(value, list | dict) or value == "" else str(value)
