"""The directive `job-keys`: the table of `framemill JOB --help`, made from the config when a page is built."""

from __future__ import annotations

import importlib
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from framemill.platform.config_help import describe_keys


class JobKeys(Directive):
    """A table of a job's keys with their defaults and meanings."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Returns the table for the job that the directive names."""
        job = self.arguments[0]
        lines = describe_keys(job, importlib.import_module(f"framemill.jobs.{job}").CONFIG)
        table = nodes.table(classes=["job-keys"])
        group = nodes.tgroup(cols=3)
        table += group
        for width in (30, 20, 50):
            group += nodes.colspec(colwidth=width)
        head, body = nodes.thead(), nodes.tbody()
        group += head
        group += body
        head += _row(nodes.Text(text) for text in ("key", "default", "meaning"))
        for line in lines:
            body += _row((_code(line.key), _code(line.default.replace("|", " | ")), nodes.Text(line.help)))
        return [table]


def _code(text: str) -> nodes.Node:
    return nodes.literal(text, text) if text else nodes.Text("")


def _row(cells: Any) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        row += nodes.entry("", nodes.paragraph("", "", cell))
    return row


def setup(app: Any) -> dict[str, bool]:
    """Makes the directive known to Sphinx."""
    app.add_directive("job-keys", JobKeys)
    return {"parallel_read_safe": True}
