"""The rules of DESIGN.md's section Language that a parser can check: help lines, identifiers, docstrings, comments.

Each rule yields its violations as lines `file:line: what`. NOT_YET lists, by rule, the folders that do not keep it yet.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import source_tree
from tests.support.source_tree import ROOT

NOT_YET: dict[str, tuple[str, ...]] = {}
"""Folders, as `data_filters/dedup`, whose files are still to be rewritten. Files in their subfolders are not meant."""

REFERS_BACK = re.compile(r"(and|where|of that|their|its|such|the same)\b", re.IGNORECASE)
"""Words at the beginning of a help line that refer to the line before, which the reader of one key does not see."""
EMPTY_NAMES = {"told", "held", "found", "said", "its"}
"""Identifiers that do not say what the value is."""
RULER = re.compile(r"#\s*-{5,}")
"""A comment that divides a file, where two files are wanted."""
ABOUT_TOOLS = re.compile(r"#\s*(type:|noqa|pragma|fmt:)")

PACKAGE = sorted(source_tree.module_files().values())
TESTS = source_tree.test_files()


def help_lines(path: Path) -> Iterator[str]:
    """Help texts of config fields that refer to another line, or end as if one followed."""
    for node in ast.walk(source_tree.parse(path)):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) != "key":
            continue
        texts = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "help")]
        for text in texts:
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                sentence = text.value.strip()
                if REFERS_BACK.match(sentence) or sentence.endswith(","):
                    yield f"{shown(path)}:{text.lineno}: help {sentence!r}"


def identifiers(path: Path) -> Iterator[str]:
    """Assignment targets, parameters, attributes and functions with a name of EMPTY_NAMES."""
    for node in ast.walk(source_tree.parse(path)):
        name = ""
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = node.attr
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, source_tree.Definition):
            name = node.name
        if name.strip("_") in EMPTY_NAMES:
            yield f"{shown(path)}:{node.lineno}: {name}"


def docstrings(path: Path) -> Iterator[str]:
    """Public functions, methods and classes without a docstring, or whose first sentence has no full stop."""
    for definition in source_tree.public_names(path):
        paragraph = definition.docstring.partition("\n\n")[0].strip()
        if not paragraph:
            yield f"{shown(path)}:{definition.node.lineno}: {definition.name} has no docstring"
        elif not paragraph.endswith(".") and not paragraph.splitlines()[0].endswith("."):
            yield f"{shown(path)}:{definition.node.lineno}: {definition.name}: {paragraph!r} has no full stop"


def raises_blocks(path: Path) -> Iterator[str]:
    """Docstrings that name an exception in a sentence, not in the block of its own that Google style has for them."""
    for node in ast.walk(source_tree.parse(path)):
        if isinstance(node, source_tree.Definition):
            text = ast.get_docstring(node) or ""
            blocks = re.findall(r"^ *Raises:$", text, re.MULTILINE)
            if len(re.findall(r"\bRaises\b", text)) > len(blocks):
                yield f"{shown(path)}:{node.lineno}: {node.name}"


def rulers(path: Path) -> Iterator[str]:
    """Comments that draw a line across the file."""
    for token in comments(path):
        if RULER.match(token.string):
            yield f"{shown(path)}:{token.start[0]}: {token.string[:30]}"


def trailing_comments(path: Path) -> Iterator[str]:
    """Constants and fields that are explained by a comment behind them, not by a string below."""
    tree = source_tree.parse(path)
    bodies = [tree.body, *(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
    lines = {
        node.end_lineno: node
        for body in bodies
        for node in body
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.lineno == node.end_lineno
    }
    for token in comments(path):
        if token.start[0] in lines and not ABOUT_TOOLS.match(token.string):
            yield f"{shown(path)}:{token.start[0]}: {token.line.strip()}"


def comments(path: Path) -> list[tokenize.TokenInfo]:
    """The comments of a file."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    return [token for token in tokens if token.type == tokenize.COMMENT]


def shown(path: Path) -> str:
    """A file as it is named in a message."""
    return path.relative_to(ROOT).as_posix()


RULES: dict[str, tuple[Callable[[Path], Iterator[str]], list[Path]]] = {
    "help lines": (help_lines, PACKAGE),
    "identifiers": (identifiers, PACKAGE + TESTS),
    "docstrings": (docstrings, PACKAGE),
    "raises blocks": (raises_blocks, PACKAGE + TESTS),
    "rulers": (rulers, PACKAGE + TESTS),
    "trailing comments": (trailing_comments, PACKAGE + TESTS),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_is_kept(rule: str) -> None:
    find, files = RULES[rule]
    exempt = NOT_YET.get(rule, ())
    checked = [path for path in files if shown(path.parent) not in exempt]
    assert not [violation for path in checked for violation in find(path)]


WRONG = '''
"""A module."""
# ------------------------------------------------ part two
LIMIT = 3  # how many
width: int = key(3, "and their width,")
depth: int = key(3, "depth of the model, layers")
name: str = key(help="where it is written")


class Held:
    """A class"""

    def method(self, its: int) -> None:
        """Reads a file. Raises OSError where there is none."""
        told = its


def good(path: str) -> int:
    """The number of lines of a file.

    Raises:
        OSError: the file cannot be read.
    """
    count: int = 0  # a comment on a line of code is fine
    return count
'''


def test_each_rule_sees_what_breaks_it(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("wrong")
    monkeypatch.setitem(globals(), "ROOT", folder)
    (folder / "wrong.py").write_text(WRONG.lstrip())
    lines = {rule: [text.split(":")[1] for text in find(folder / "wrong.py")] for rule, (find, _) in RULES.items()}
    assert lines == {
        "help lines": ["4", "6"],
        "identifiers": ["12", "14"],
        "docstrings": ["9"],
        "raises blocks": ["12"],
        "rulers": ["2"],
        "trailing comments": ["3"],
    }
