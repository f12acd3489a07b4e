"""Configuration of the documentation site: Markdown pages, and a reference made from the docstrings."""

import importlib.metadata
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "Framemill"
author = "the Framemill authors"
release = version = importlib.metadata.version("framemill")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "job_keys"]
exclude_patterns = ["extensions"]

myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3

# The type `bytes` of an annotation is looked up among our fields named `bytes`, of which there are several.
suppress_warnings = ["ref.python"]

autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
# In the docstrings `name` is code, as in Markdown.
default_role = "literal"

html_theme = "furo"
html_title = f"Framemill {version}"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}


def escape_markup(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Escapes what reStructuredText would read as markup in a docstring: `*`, `|` and a trailing `_` outside code."""
    for number, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`)", line)
        parts[::2] = [re.sub(r"([*|]|(?<=\w)_(?=\W|$))", r"\\\1", part) for part in parts[::2]]
        lines[number] = "".join(parts)


def setup(app: Any) -> None:
    """Runs the escaping before napoleon adds markup of its own."""
    app.connect("autodoc-process-docstring", escape_markup, priority=100)
