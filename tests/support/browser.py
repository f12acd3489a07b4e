"""A Chromium for the tests that open a page: the machine's own, else one that is downloaded once into .venv."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PACKAGE = "@sparticuz/chromium@153.0.0"
"""A headless Chromium as an npm package, with the libraries that a bare machine lacks."""
HOME = Path(__file__).resolve().parents[2] / ".venv" / "browser"
UNPACK = "import('@sparticuz/chromium').then(module => module.default.executablePath())"
LIBRARIES = {"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x"}
"""Makes the package unpack the libraries that it ships for AWS Lambda, too."""


@dataclass(frozen=True)
class Browser:
    """An executable, and the environment that it needs besides the usual one."""

    executable: str
    environment: dict[str, str]


def find_browser() -> tuple[Browser | None, str]:
    """A browser and an empty string, or None and the reason why there is none."""
    for name in EXECUTABLES:
        if path := shutil.which(name):
            return Browser(path, {}), ""
    if path := playwright_chromium():
        return Browser(path, {}), ""
    return downloaded_chromium()


def playwright_chromium() -> str | None:
    """Path of the Chromium that `playwright install chromium` installed; None if it did not."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        path = play.chromium.executable_path
    return path if os.path.exists(path) else None


def downloaded_chromium() -> tuple[Browser | None, str]:
    """The Chromium of the npm package, downloaded at the first call."""
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
