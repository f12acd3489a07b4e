"""The documentation site builds without a warning, has no dead link, and needs no network to be read."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from framemill.jobs.cli import JOBS

ROOT = Path(__file__).resolve().parents[2]
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""By element, the attribute whose file a browser loads to show the page."""


class Page(HTMLParser):
    """The links, the loaded files and the anchors of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects what one element refers to."""
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        # A canonical or alternate <link> is not loaded.
        if tag in LOADS and LOADS[tag] in values and values.get("rel") not in ("canonical", "alternate", "search"):
            self.loads.append(values[LOADS[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as by `make docs`."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--fail-on-warning", "--keep-going", "--doctree-dir", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(folder / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page of the site, parsed."""
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


@pytest.mark.slow
def test_every_link_inside_the_site_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    dead = []
    for path, page in pages.items():
        for link in page.links + page.loads:
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            anchor = unquote(target.fragment)
            if not file.is_file() or (anchor and file in pages and anchor not in pages[file].anchors):
                dead.append(f"{path.relative_to(site)}: {link}")
    assert not dead
    assert sum(len(page.links) for page in pages.values()) > 500


@pytest.mark.slow
def test_no_page_loads_anything_from_the_network(site: Path, pages: dict[Path, Page]) -> None:
    remote = [f"{path.name}: {url}" for path, page in pages.items() for url in page.loads if urlsplit(url).netloc]
    styles = [path.name for path in site.rglob("*.css") if "url(http" in path.read_text("utf-8")]
    assert not remote and not styles


@pytest.mark.slow
def test_the_pages_are_there(site: Path, pages: dict[Path, Page]) -> None:
    sources = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert sources <= {path.relative_to(site) for path in pages}


@pytest.mark.slow
def test_every_job_has_its_keys_on_a_page(site: Path) -> None:
    text = "".join(path.read_text("utf-8") for path in (ROOT / "docs" / "jobs").glob("*.md"))
    # demo has the keys of loop.
    assert set(re.findall(r"{job-keys} (\w+)", text)) == JOBS.keys() - {"demo"}
    assert "select.bands.motion.min" in (site / "jobs" / "curate.html").read_text("utf-8")


@pytest.mark.slow
def test_the_reference_is_made_from_docstrings(pages: dict[Path, Page]) -> None:
    anchors = set().union(*(page.anchors for page in pages.values()))
    assert {
        "framemill.open_dataset",
        "framemill.eval.scoring.vbench_totals",
        "framemill.platform.dataset.Dataset.to_pandas",
        "framemill.training.model.linear_dit.LinearDiT.step",
        "framemill.data_filters.filters.clip_frames.ClipFrames.luma",
    } <= anchors
