"""Typed job configuration: how a job declares its keys, and how their values are checked.

A job's config is a dataclass whose fields are made with `key`: a default, a sentence of help, and whether the key
determines the result. The class may define two hooks: `validate(self)`, called once the config is complete, and the
class method `check_words(cls, names)`, called with the names of the keys that the user gave (`compose`). Both raise
`RequestError`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, get_type_hints

from omegaconf import MISSING

from framemill.platform.errors import RequestError


def key(
    default: Any = MISSING,
    help: str = "",
    *,
    result: bool | Callable[[Any], Any] = True,
    choices: tuple[str, ...] = (),
    role: str = "",
    **options: Any,
) -> Any:
    """Returns a dataclass field that is a key of a job.

    The field of a key that is a Python keyword has a `_` at its end, which users leave out: field `from_` is `from=`.

    Args:
        default: the default. A type or function is called for each config; MISSING makes the key required.
        help: one line for `--help` that can be read alone: the thing, its unit and its effect.
        result: whether the key determines the result; False keeps it out of the config's digest. A function returns
            the part of the value that determines the result: `result=bool` if only zero or not zero does.
        choices: the values that the key, or each item of its list, may have.
        role: group of keys that a job may treat separately: "sources" for keys that decide which inputs are read,
            "selection" for keys that decide the states of measured clips.
        options: further arguments of `dataclasses.field`.
    """
    metadata = {"help": help, "result": result, "choices": choices, "role": role}
    if callable(default):
        return field(default_factory=default, metadata=metadata, **options)
    return field(default=default, metadata=metadata, **options)


@dataclass
class TrackingConfig:
    """The keys `tracking.*`: the MLflow store in which a job records its parameters and metrics."""

    uri: str = key(
        "",
        "MLflow tracking URI; empty: an SQLite file in the output, or in the current folder if the output is a URI",
        result=False,
    )
    experiment: str = key("framemill", "name of the MLflow experiment", result=False)


@dataclass
class ClusterConfig:
    """The keys `cluster.*`: the Ray cluster that runs a job's workers."""

    address: str = key(
        "",
        "Ray address; empty: Ray starts in this process; auto: the running cluster that this machine is part of",
        result=False,
    )


def user_key(name: str) -> str:
    """Returns the key that a user writes for a dotted attribute name: `from` for `from_`."""
    return ".".join(part.removesuffix("_") for part in name.split("."))


def walk_schema(schema: type, prefix: str = "") -> list[tuple[str, Any, dataclasses.Field]]:
    """Returns (dotted name, type, field) of every key of a config class, depth first."""
    hints = get_type_hints(schema)
    keys: list[tuple[str, Any, dataclasses.Field]] = []
    for entry in dataclasses.fields(schema):
        name, hint = prefix + entry.name, hints[entry.name]
        keys.append((name, hint, entry))
        if dataclasses.is_dataclass(hint):
            keys.extend(walk_schema(cast(type, hint), name + "."))
    return keys


def validate(config: Any, prefix: str = "") -> None:
    """Checks the `choices` of every key and calls the `validate` of every nested dataclass, innermost first.

    Raises:
        RequestError: a value is not among the choices of its key, or a `validate` method refuses it.
    """
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if dataclasses.is_dataclass(value):
            validate(value, f"{prefix}{entry.name}.")
        elif isinstance(value, dict):
            for name, item in value.items():
                if dataclasses.is_dataclass(item):
                    try:
                        validate(item)
                    except RequestError as error:  # the item's error lacks its name in the mapping
                        raise RequestError(f"{prefix}{entry.name}.{name}.{error}") from error
        elif entry.metadata.get("choices"):
            for item in value if isinstance(value, list) else [value]:
                require_choice(prefix + entry.name, str(item), entry.metadata["choices"])
    if hasattr(config, "validate"):
        config.validate()


def require_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Checks that the value of a key is one of the key's choices.

    Raises:
        RequestError: `value` is none of `choices`.
    """
    if value not in choices:
        raise RequestError(f"{name}={value}: must be one of {', '.join(choices)}")
