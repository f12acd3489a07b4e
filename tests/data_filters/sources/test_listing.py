"""Listing an input: which files are sources, their paths, and their sidecars."""

import os
from pathlib import Path

import pytest

from framemill.data_filters.sources.listing import list_sources
from framemill.data_filters.sources.sidecars import provenance
from framemill.data_filters.sources.source import Source, read_sidecars, source_stamp
from framemill.platform.errors import RequestError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    seen = ("b.mp4", "a b.MKV", "deep/c.mov", "we\u00efrd\nname.webm")
    for name in (*seen, "deep/.d.mp4", ".hidden/e.mp4", "notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    os.mkfifo(root / "pipe.mp4")
    (root / "loop").symlink_to(root)
    (root / "link.mp4").symlink_to(root / "b.mp4")
    (root / "dangling.mp4").symlink_to(root / "nowhere.mp4")
    return root


def paths(sources: list[Source]) -> list[str]:
    return [source.path for source in sources]


def test_a_folder_is_searched_whole_and_sorted(folder: Path) -> None:
    every = ["a b.MKV", "b.mp4", "deep/c.mov", "link.mp4", "we\u00efrd\nname.webm"]
    assert paths(list_sources(str(folder))) == every
    assert paths(list_sources(str(folder), limit=2)) == every[:2]
    assert paths(list_sources(f"file://{folder}")) == every


def test_globs_lists_and_single_files(folder: Path) -> None:
    assert paths(list_sources(f"{folder}/*.mp4")) == ["b.mp4", "link.mp4"]
    assert paths(list_sources(f"{folder}/**/*.mov")) == ["deep/c.mov"]
    assert paths(list_sources(f"{folder}/b.mp4")) == ["b.mp4"]
    (folder / "list.txt").write_text(f"# two of them\ndeep/c.mov\n\n{folder}/b.mp4\n")
    assert paths(list_sources(f"{folder}/list.txt")) == ["b.mp4", "deep/c.mov"]
    (folder / "list.txt").write_text("absent.mp4\n")
    with pytest.raises(RequestError, match=r"absent\.mp4"):
        list_sources(f"{folder}/list.txt")


def test_an_object_store(folder: Path) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    for name in ("deep/x.mp4", "y.mp4", ".z.mp4", "y.txt"):
        store.pipe_file(f"/bucket/{name}", b"abc")
    assert paths(list_sources("memory://bucket")) == ["deep/x.mp4", "y.mp4"]
    assert paths(list_sources("memory://bucket/*.mp4")) == ["y.mp4"]
    assert read_sidecars("memory://bucket/y.mp4")[0] == "abc"


@pytest.mark.parametrize("name", ["absent", "absent/*.mp4", "notes.txt"])
def test_no_video_is_a_wrong_request_that_names_the_key(folder: Path, name: str) -> None:
    (folder / "notes.txt").write_text("")
    with pytest.raises(RequestError, match=r"^input="):
        list_sources(f"{folder}/{name}")


def test_a_source_is_the_same_until_it_or_its_sidecar_changes(folder: Path) -> None:
    uri = str(folder / "b.mp4")
    before = source_stamp(uri)
    assert source_stamp(uri) == before
    (folder / "b.txt").write_text("a caption")
    assert source_stamp(uri) != before


def test_sidecars(folder: Path) -> None:
    uri = str(folder / "b.mp4")
    assert read_sidecars(uri) == (None, provenance())
    (folder / "b.json").write_text('{"prompt": "from json", "tags": ["x", 2], "license": "CC0"}')
    assert read_sidecars(uri) == ("from json", provenance(["x", "2"], "CC0"))
    (folder / "b.txt").write_text("  from text\n")
    assert read_sidecars(uri)[0] == "from text"
    (folder / "b.json").write_text("{")
    with pytest.raises(ValueError, match=r"b\.json beside it is not JSON"):
        read_sidecars(uri)
