"""Setting values of a composed config by dotted name, from text that is parsed by the type of the key."""

from __future__ import annotations

import dataclasses
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from framemill.platform.errors import RequestError


def set_value(config: DictConfig, name: str, value: str) -> bool:
    """Sets a key of a composed config and returns True, or returns False if the config has no such key.

    Args:
        config: composed config, which is modified.
        name: dotted name of the key. Unknown entries of a mapping of dataclasses are created with their defaults.
        value: text of the value.

    Raises:
        RequestError: the text cannot be parsed as the type of the key.
    """
    parent, _, leaf = name.rpartition(".")
    try:
        _add_entry(config, parent)
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
        return False
    try:
        parsed = _parse_value(node, leaf, value)
        kind = node._metadata.element_type
        if isinstance(parsed, dict) and dataclasses.is_dataclass(kind):
            parsed = OmegaConf.merge(OmegaConf.structured(kind), parsed)
        OmegaConf.update(config, name, parsed, merge=False, force_add=True)
    except (OmegaConfBaseException, ValueError) as error:
        raise RequestError(f"{name}={value}: {error_line(error)}") from error
    return True


def escape_interpolations(value: Any) -> Any:
    """Returns values with `${` escaped, so that OmegaConf does not interpolate a user's `${x}`."""
    if isinstance(value, str):
        return value.replace("${", "\\${")
    if isinstance(value, dict):
        return {name: escape_interpolations(item) for name, item in value.items()}
    return [escape_interpolations(item) for item in value] if isinstance(value, list) else value


def flatten_values(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Returns (dotted name, value) for each leaf of nested mappings; an empty mapping is a leaf."""
    if isinstance(values, dict) and values:
        return [pair for name, item in values.items() for pair in flatten_values(item, f"{prefix}{name}.")]
    return [(prefix.rstrip("."), values)]


def error_line(error: BaseException) -> str:
    """Returns an error as one line: the first line of its message, or the first two if the first ends in a colon."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def _add_entry(config: DictConfig, name: str) -> None:
    """Adds the entry `name` with default values to a mapping of dataclasses, unless the mapping has the entry."""
    parent, _, leaf = name.rpartition(".")
    mapping: Any = OmegaConf.select(config, parent, default=None) if parent else None
    entry = mapping._metadata.element_type if isinstance(mapping, DictConfig) else None
    if dataclasses.is_dataclass(entry) and leaf not in mapping:
        OmegaConf.update(config, name, OmegaConf.structured(entry), force_add=True)


def _parse_value(node: Any, leaf: str, value: str) -> Any:
    """Returns the text unchanged for a key of type str, else parsed as YAML (numbers, true, null, [a, b], {a: 1}).

    Raises:
        ValueError: the text is not YAML.
    """
    import yaml

    exists = isinstance(node, ListConfig) or leaf in node.keys()  # noqa: SIM118 (`in` does not see missing keys)
    child = node._get_node(int(leaf) if isinstance(node, ListConfig) else leaf) if exists else None
    if child is not None and child._metadata.ref_type is str:
        return escape_interpolations(value)
    try:
        return escape_interpolations(yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise ValueError("must be a number, a truth value, a [list] or a {mapping}") from error
