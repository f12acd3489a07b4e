"""The command line's words become a typed config, or one clear line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from framemill.jobs.audit import AuditConfig
from framemill.platform.compose import compose
from framemill.platform.config import ClusterConfig, key, validate
from framemill.platform.errors import RequestError
from framemill.platform.frozen_config import claim_output, digest, freeze, load_frozen


@dataclass
class Inner:
    rate: float = key(1.5, "a number")
    names: list[str] = key(list, "a list")


@dataclass
class Outer:
    output: str = key(help="where to", result=False)
    workers: int = key(0, "how many", result=False)
    mode: str = key("exact", "how", choices=("exact", "copy"))
    inner: Inner = key(Inner)


def outer(**values: object) -> Outer:
    config = Outer(output="/tmp/x")
    for name, value in values.items():
        setattr(config, name, value)
    return config


@pytest.mark.parametrize("path", ["/a b/c", "a=b", "a,b", "it's", '"quoted"', "${x}", "[1]", "x: y", "#no", "é"])
def test_text_values_are_taken_as_they_stand(tmp_path: Path, path: str) -> None:
    config = compose("audit", AuditConfig, [f"path={path}"])
    assert config.path == path
    assert load_frozen(AuditConfig, freeze(config, str(tmp_path))) == config


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["pth=x"], "path"),
        ([], "path"),
        (["path"], "path"),
        (["path=x", "path.deeper=1"], "path.deeper"),
        (["=x"], "=x"),
    ],
)
def test_a_wrong_word_is_one_line_that_names_it(words: list[str], named: str) -> None:
    with pytest.raises(RequestError) as caught:
        compose("audit", AuditConfig, words)
    assert named in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


def test_a_value_outside_the_choices_is_refused_with_the_choices() -> None:
    with pytest.raises(RequestError, match="mode=fast: must be one of exact, copy"):
        validate(outer(mode="fast"))


def test_the_digest_covers_the_keys_that_determine_the_result_and_no_other() -> None:
    same = [outer(), outer(workers=7), outer(output="/elsewhere")]
    assert len({digest(config) for config in same}) == 1
    assert digest(outer(mode="copy")) != digest(outer())
    assert digest(outer(inner=Inner(rate=2.0))) != digest(outer())


def test_an_output_belongs_to_one_config(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    config = outer(output=output)
    assert claim_output(config, output) is False
    assert claim_output(outer(output=output, workers=3), output) is True
    assert load_frozen(Outer, output + "/config.yaml") == config
    with pytest.raises(RequestError, match=r"inner\.rate was 1\.5, is 2\.0"):
        claim_output(outer(output=output, inner=Inner(rate=2.0)), output)


def test_a_folder_with_other_things_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RequestError, match="not empty"):
        claim_output(outer(), str(tmp_path))


def test_schemas_have_defaults_that_are_not_shared() -> None:
    assert ClusterConfig().address == ""
    first, second = Inner(), Inner()
    first.names.append("x")
    assert second.names == []
