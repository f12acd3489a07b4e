"""The source files of the package, what each one imports, and which names each one makes public.

Needs only the standard library: the files are parsed, never imported.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def project() -> dict[str, Any]:
    """The content of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def package_folders() -> dict[str, str]:
    """Folder of each package below the repository root, by dotted name: `framemill.eval` is in `eval`."""
    return dict(project()["tool"]["setuptools"]["package-dir"])


@cache
def module_files() -> dict[str, Path]:
    """File of every module of the package, by dotted name; a folder with `__init__.py` is named as the folder."""
    files = {}
    for package, folder in package_folders().items():
        # The folder of `framemill` itself holds no subpackages: those are the other folders.
        pattern = "**/*.py" if "." in package else "*.py"
        for path in sorted((ROOT / folder).glob(pattern)):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            files[".".join((package, *parts)).removesuffix(".__init__")] = path
    return files


def test_files() -> list[Path]:
    """Every Python file below tests/."""
    return sorted((ROOT / "tests").rglob("*.py"))


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"), str(path))


def line_count(path: Path) -> int:
    """Number of lines of a file."""
    return len(path.read_text("utf-8").splitlines())


def imported_names(path: Path) -> Iterator[tuple[str, int]]:
    """Yields every dotted name that a file imports, at any depth of its code, with the line.

    `from framemill import x` yields `framemill.x`, which may be a module or a name in one. A string that is a module
    of the package, with or without `:name`, counts as an import: registries and child processes name modules so.
    """
    in_string = re.compile(rf"framemill\.({'|'.join(sorted(package_folders().values()))})[a-z_0-9.]*(:\w+)?")
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and in_string.fullmatch(node.value):
            yield node.value.replace(":", "."), node.lineno


def imported_modules(path: Path) -> set[str]:
    """The modules of the package that a file imports, by dotted name."""
    files, modules = module_files(), set()
    for name, _ in imported_names(path):
        if name in files:
            modules.add(name)
        elif name.rpartition(".")[0] in files:
            modules.add(name.rpartition(".")[0])
    return modules


def import_graph() -> dict[str, set[str]]:
    """For every module of the package the other modules of the package that it imports."""
    return {name: imported_modules(path) - {name} for name, path in module_files().items()}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of two nodes or more that reach each other (strongly connected components), each sorted."""
    reached = {node: _reachable(graph, node) for node in graph}
    groups = {frozenset(other for other in reached[node] if node in reached[other]) for node in graph}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for node in graph.get(waiting.pop(), ()):
            if node not in reached:
                reached.add(node)
                waiting.append(node)
    return reached


@dataclass(frozen=True)
class PublicName:
    """A function, method or class whose name and enclosing classes' names do not begin with an underscore."""

    name: str
    """Qualified inside its module: `Class.method`."""
    node: Definition

    @property
    def docstring(self) -> str:
        """The docstring, empty where there is none."""
        return ast.get_docstring(self.node) or ""


def public_names(path: Path) -> list[PublicName]:
    """The public functions, methods and classes of a file; not those defined inside a function.

    Left out are what `typing.overload` marks and the setters of properties: their documentation is elsewhere.
    """
    return list(_public_names(parse(path).body, ""))


def _public_names(body: list[ast.stmt], prefix: str) -> Iterator[PublicName]:
    for node in body:
        if isinstance(node, (ast.If, ast.Try)):
            yield from _public_names([*node.body, *node.orelse], prefix)
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        marks = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
        if marks & {"overload", "setter"}:
            continue
        yield PublicName(prefix + node.name, node)
        if isinstance(node, ast.ClassDef):
            yield from _public_names(node.body, f"{prefix}{node.name}.")


def functions(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yields every function and method of a file, nested ones too: name, first line, number of lines."""
    for node in ast.walk(parse(path)):
        if isinstance(node, FUNCTIONS):
            assert node.end_lineno
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1
