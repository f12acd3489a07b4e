"""The list of a job's keys that `framemill JOB --help` prints."""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import dataclass
from typing import Any, get_args

from omegaconf import MISSING, OmegaConf

from framemill.platform.compose import compose_defaults, config_groups
from framemill.platform.config import user_key, walk_schema
from framemill.platform.config_values import flatten_values


@dataclass(frozen=True)
class KeyHelp:
    """One key in the help of a job."""

    key: str
    """The key as a user writes it."""
    default: str
    """The default value, the choices of a group, or "required"."""
    help: str
    """Help line of the key."""


def describe_keys(job: str, schema: type) -> list[KeyHelp]:
    """Returns the help of each key of a job; a config group has one additional line with its choices."""
    groups = config_groups(schema)
    defaults = OmegaConf.to_container(compose_defaults(job, schema, []))
    lines = []
    for name, hint, entry in walk_schema(schema):
        help_text = entry.metadata.get("help", "")
        value = functools.reduce(lambda node, part: node[part], name.split("."), defaults)
        if name in groups:
            lines.append(KeyHelp(name, "|".join(groups[name]), help_text or "name of a preset of the keys below"))
        elif isinstance(value, dict) and not dataclasses.is_dataclass(hint):
            lines.append(KeyHelp(name, "" if value else "{}", help_text))
            sentences = _item_help(hint)
            lines.extend(
                KeyHelp(key, _format_default(item), sentences.get(key.rpartition(".")[2], ""))
                for key, item in flatten_values(value, f"{name}.")
                if value
            )
        elif not dataclasses.is_dataclass(hint):
            choices = "|".join(entry.metadata.get("choices", ()))
            text = help_text + (f" ({choices})" if choices else "")
            lines.append(KeyHelp(user_key(name), _format_default(value), text))
    return lines


def _item_help(hint: Any) -> dict[str, str]:
    """Returns the help lines of the items of a mapping by field name, if the items are dataclasses."""
    kinds = [kind for kind in get_args(hint) if dataclasses.is_dataclass(kind)]
    return {entry.name: entry.metadata.get("help", "") for kind in kinds for entry in dataclasses.fields(kind)}


def _format_default(value: Any) -> str:
    """Returns a default as text for the help: JSON for lists, mappings and the empty string."""
    if value == MISSING:
        return "required"
    return json.dumps(value) if isinstance(value, list | dict) or value == "" else str(value)
