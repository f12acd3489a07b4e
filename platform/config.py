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

    A field that is named as a Python keyword with a `_` at its end is written without it by users: `from_` is `from=`.

    Args:
        default: the default. A type or function is called for each config; MISSING makes the key required.
        help: a sentence for `--help` that stands alone: the thing, its unit and its effect.
        result: whether the key determines the result; False keeps it out of the config's digest. A function returns
            the part of the value that determines the result: `result=bool` if only zero or not zero does.
        choices: the values that the key, or each item of its list, may have.
        role: what the key decides, if a job tells such keys apart: "sources" which inputs take part, "selection" the
            states of what was measured.
        options: further arguments of `dataclasses.field`.
    """
    metadata = {"help": help, "result": result, "choices": choices, "role": role}
    if callable(default):
        return field(default_factory=default, metadata=metadata, **options)
    return field(default=default, metadata=metadata, **options)


@dataclass
class TrackingConfig:
    """Where a job records its parameters and metrics."""

    uri: str = key(
        "",
        "MLflow tracking URI; empty: an SQLite file in the output, or here if the output is a URI",
        result=False,
    )
    experiment: str = key("framemill", "name of the MLflow experiment", result=False)


@dataclass
class ClusterConfig:
    """Where a job's Ray workers run."""

    address: str = key(
        "",
        "Ray address; empty: Ray starts in this process; auto: the cluster this machine is in",
        result=False,
    )


def user_key(name: str) -> str:
    """Returns a dotted attribute as a user writes it: `from_` as `from`."""
    return ".".join(part.removesuffix("_") for part in name.split("."))


def walk_schema(schema: type, prefix: str = "") -> list[tuple[str, Any, dataclasses.Field]]:
    """Returns every key of a config class, depth first: its dotted name, its type, its field."""
    hints = get_type_hints(schema)
    keys: list[tuple[str, Any, dataclasses.Field]] = []
    for entry in dataclasses.fields(schema):
        name, hint = prefix + entry.name, hints[entry.name]
        keys.append((name, hint, entry))
        if dataclasses.is_dataclass(hint):
            keys.extend(walk_schema(cast(type, hint), name + "."))
    return keys


def validate(config: Any, prefix: str = "") -> None:
    """Checks every field's choices and calls each dataclass's own `validate`, innermost first.

    Raises:
        RequestError: a value that the key cannot have.
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
                    except RequestError as error:  # an item knows its keys, but not its own name in the mapping
                        raise RequestError(f"{prefix}{entry.name}.{name}.{error}") from error
        elif entry.metadata.get("choices"):
            for item in value if isinstance(value, list) else [value]:
                require_choice(prefix + entry.name, str(item), entry.metadata["choices"])
    if hasattr(config, "validate"):
        config.validate()


def require_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Checks that a key has one of its values.

    Raises:
        RequestError: `value` is none of `choices`.
    """
    if value not in choices:
        raise RequestError(f"{name}={value}: must be one of {', '.join(choices)}")
