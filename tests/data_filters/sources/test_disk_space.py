"""A disk that is far too small is refused before the work begins."""

from pathlib import Path

import pytest

from framemill.data_filters.pipeline import check_space
from framemill.data_filters.sources.disk_space import bytes_free, bytes_needed, check_disk
from framemill.data_filters.sources.listing import list_sources
from framemill.platform.errors import RequestError
from tests.support.curation_output import Configure


def test_what_is_needed_goes_by_the_sources(tmp_path: Path) -> None:
    for name, size in (("a.mp4", 1000), ("b.mp4", 500)):
        (tmp_path / name).write_bytes(bytes(size))
    sources = list_sources(str(tmp_path))
    assert bytes_needed(sources, "copy") == bytes_needed(sources, "auto") == 1500
    assert bytes_needed(sources, "exact") > 1500


def test_only_a_disk_that_clearly_will_not_do_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(tmp_path / "out")
    check_disk(output, 10**9, 2 * 10**9)
    check_disk(output, 10**15, None)
    assert "free" not in "".join(capsys.readouterr())
    check_disk(output, 5 * 10**9, 10**9)
    assert "may need 5.0 GB, 1.0 GB are free" in "".join(capsys.readouterr())
    with pytest.raises(RequestError, match=r"may need 20\.0 GB, 1\.0 GB are free.*check_disk=false"):
        check_disk(output, 20 * 10**9, 10**9)


def test_shards_that_lie_there_need_no_more(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "train-000000-00000000.tar").write_bytes(bytes(5000))
    check_disk(str(tmp_path), 5100, 10)
    with pytest.raises(RequestError):
        check_disk(str(tmp_path), 5101, 10)


def test_free_bytes_are_those_of_the_disk_the_output_will_lie_on(tmp_path: Path) -> None:
    assert bytes_free(str(tmp_path / "not" / "yet")) > 0
    assert bytes_free("memory://bucket/out") is None


def test_a_video_larger_than_the_disk_is_refused_unless_told_otherwise(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with open(tmp_path / "in" / "huge.mp4", "wb") as file:
        file.truncate(16 * 10**12)  # a hole: it takes no room
    config = configure(tmp_path / "in", tmp_path / "out")
    sources = list_sources(config.input)
    if bytes_needed(sources, "auto") <= 10 * bytes_free(str(tmp_path)):
        pytest.skip("this disk could hold a tenth of the largest file it can name")
    with pytest.raises(RequestError, match="check_disk=false"):
        check_space(config, sources)
    config.check_disk = False
    check_space(config, sources)
