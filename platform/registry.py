"""Registries of components by name: filters, scorers, captioners, codecs, text encoders, dimensions.

A registry names the module of each component without importing it, so that configs and `--help` can list the names in a
process that loads neither torch nor OpenCV.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from framemill.platform.errors import RequestError


@dataclass(frozen=True)
class Entry:
    """Registry entry of a component, available without importing its module; subclasses add further properties."""

    target: str
    """"module:name" of the class or function."""

    def load(self) -> Any:
        """Imports the component's module and returns the class or function."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)


E = TypeVar("E", bound=Entry)


class Registry(Mapping[str, E], Generic[E]):
    """A read-only mapping of names to entries, in the given order.

    Args:
        key: config key whose values are names of this registry; errors name it.
        entries: entries by name.
    """

    def __init__(self, key: str, entries: Mapping[str, E]) -> None:
        self.key = key
        self._entries = dict(entries)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all components, for the `choices` of a config key."""
        return tuple(self._entries)

    def load(self, name: str) -> Any:
        """Returns the class or function registered as `name`.

        Raises:
            RequestError: no component of that name is registered.
        """
        if name not in self._entries:
            raise RequestError(f"{self.key}={name}: must be one of {', '.join(self._entries)}")
        return self._entries[name].load()

    def __getitem__(self, name: str) -> E:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
