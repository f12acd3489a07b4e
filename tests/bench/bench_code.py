"""Counts of the package's own code: lengths, imports, names and docstrings, each with its limit where it has one.

usage: python tests/bench/bench_code.py [--list]

`--list` prints what exceeds each limit, and the modules without a test file of their name. Needs only the standard
library. Exit status 1: a limit is exceeded.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.support import source_tree
from tests.support.source_tree import ROOT

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_ARROWS = 90
MAX_ENTRIES = 22
MAX_NAMES_TWICE = 5
EVERY_JOB_HAS = {"run", "configure"}
"""Functions that a module of jobs/ defines by contract; several modules there may."""


@dataclass(frozen=True)
class Count:
    """One figure, and what makes it up."""

    title: str
    value: float
    limit: float | None = None
    items: list[str] = field(default_factory=list)
    """What `--list` prints: the offenders, or the parts of the figure."""
    least: bool = False
    """The limit is the smallest allowed value, not the largest."""
    unit: str = ""

    @property
    def kept(self) -> bool:
        """Whether the figure is within its limit."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.least else self.value <= self.limit


def all_counts() -> list[Count]:
    """Every figure, in the order in which it is printed."""
    return [*length_counts(), *import_counts(), names_defined_twice(), docstring_share(), modules_without_test()]


def length_counts() -> list[Count]:
    """Files and functions by number of lines."""
    package = {_shown(path): source_tree.line_count(path) for path in source_tree.module_files().values()}
    tests = {_shown(path): source_tree.line_count(path) for path in source_tree.test_files()}
    every = package | tests
    functions = {
        f"{_shown(path)}:{line} {name}": length
        for path in source_tree.module_files().values()
        for name, line, length in source_tree.functions(path)
    }
    long = {name: length for name, length in functions.items() if length > MAX_FUNCTION_LINES}
    return [
        Count("files of the package", len(package)),
        Count("lines of the package", sum(package.values())),
        Count("files of the tests", len(tests)),
        Count("lines of the tests", sum(tests.values())),
        Count("longest file, lines", max(every.values()), MAX_FILE_LINES, _longest(every)),
        Count("functions of the package", len(functions)),
        Count("longest function, lines", max(functions.values()), None, _longest(functions)),
        Count(f"functions over {MAX_FUNCTION_LINES} lines", len(long), None, _longest(long, len(long))),
    ]


def import_counts() -> list[Count]:
    """Import cycles, and the arrows between the entries at the top of data_filters/."""
    graph = source_tree.import_graph()
    loops = [" <-> ".join(_short(name) for name in group) for group in source_tree.cycles(graph)]
    arrows = filter_arrows(graph)
    entries: dict[str, set[str]] = {name: set() for name in filter_entries()}
    for begin, end in arrows:
        entries[begin].add(end)
    entry_loops = [" <-> ".join(group) for group in source_tree.cycles(entries)]
    return [
        Count("import cycles between modules", len(loops), 0, loops),
        Count("entries at the top of data_filters/", len(entries), MAX_ENTRIES, sorted(entries)),
        Count("arrows between those entries", len(arrows), MAX_ARROWS, [f"{a} -> {b}" for a, b in sorted(arrows)]),
        Count("import cycles between those entries", len(entry_loops), 0, entry_loops),
    ]


def filter_entries() -> set[str]:
    """Modules and folders at the top of data_filters/; `__init__` is one of them."""
    return {_filter_entry(name) for name in source_tree.module_files() if _in_filters(name)}


def filter_arrows(graph: dict[str, set[str]]) -> set[tuple[str, str]]:
    """Distinct pairs of entries of data_filters/ of which the first imports the second."""
    pairs = {
        (_filter_entry(begin), _filter_entry(end))
        for begin, ends in graph.items()
        for end in ends
        if _in_filters(begin) and _in_filters(end)
    }
    return {(begin, end) for begin, end in pairs if begin != end}


def _in_filters(module: str) -> bool:
    return module.split(".")[1:2] == ["data_filters"]


def _filter_entry(module: str) -> str:
    return [*module.split("."), "__init__"][2]


def names_defined_twice() -> Count:
    """Public functions and classes at the top of a module whose name another module of the package defines too."""
    places = defaultdict(list)
    for module, path in source_tree.module_files().items():
        for definition in source_tree.public_names(path):
            by_contract = module.startswith("framemill.jobs.") and definition.name in EVERY_JOB_HAS
            if "." not in definition.name and not by_contract:
                places[definition.name].append(_short(module))
    twice = [f"{name}: {', '.join(modules)}" for name, modules in sorted(places.items()) if len(modules) > 1]
    return Count("names defined in two files or more", len(twice), MAX_NAMES_TWICE, twice)


def docstring_share() -> Count:
    """Share of the public functions, methods and classes that have a docstring, per cent."""
    total, without = 0, []
    for path in source_tree.module_files().values():
        for definition in source_tree.public_names(path):
            total += 1
            if not definition.docstring:
                kind = "class" if isinstance(definition.node, ast.ClassDef) else "def"
                without.append(f"{_shown(path)}:{definition.node.lineno} {kind} {definition.name}")
    share = 100 * (1 - len(without) / total)
    return Count(f"docstrings of {total} public definitions", round(share, 1), 100, without, least=True, unit=" %")


def modules_without_test() -> Count:
    """Modules, other than `__init__`, without a tests/<folder>/test_<module>[_<aspect>].py."""
    without = []
    for path in source_tree.module_files().values():
        folder = ROOT / "tests" / path.relative_to(ROOT).parent
        named = [*folder.glob(f"test_{path.stem}.py"), *folder.glob(f"test_{path.stem}_*.py")]
        if path.stem != "__init__" and not named:
            without.append(_shown(path))
    return Count("modules without a test of their name", len(without), None, without)


def _shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _short(module: str) -> str:
    return module.removeprefix("framemill.")


def _longest(lengths: dict[str, int], count: int = 10) -> list[str]:
    ranked = sorted(lengths.items(), key=lambda item: (-item[1], item[0]))[:count]
    return [f"{length:4d}  {name}" for name, length in ranked]


def main() -> int:
    """Prints the table; returns the exit status."""
    counts = all_counts()
    for count in counts:
        sign = ">=" if count.least else "<="
        limit = "" if count.limit is None else f"{sign} {count.limit:g}{count.unit}" + ("" if count.kept else "  OVER")
        print(f"{count.title:<44} {count.value:>8g}{count.unit:<2}  {limit}".rstrip())
        if "--list" in sys.argv[1:]:
            for item in count.items:
                print(f"    {item}")
    return 0 if all(count.kept for count in counts) else 1


if __name__ == "__main__":
    sys.exit(main())
