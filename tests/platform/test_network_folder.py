"""Folders of networks: found by a config key, read whole or in shards, compared, and told apart by their content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from framemill.platform.errors import RequestError
from framemill.platform.network_folder import (
    CONFIG,
    SHARD_INDEX,
    WEIGHTS,
    check_tensors,
    component_folder,
    files_digest,
    read_json_object,
    read_tensors,
)

TENSORS = {"a": torch.zeros(2, 3), "b": torch.ones(4)}


def write_shards(folder: Path, names: dict[str, str]) -> None:
    for shard in set(names.values()):
        save_file({name: TENSORS[name] for name in names if names[name] == shard}, folder / shard)
    (folder / SHARD_INDEX).write_text(json.dumps({"weight_map": names}))


def test_a_network_is_found_in_its_folder_or_in_a_pipeline(tmp_path: Path) -> None:
    vae = tmp_path / "pipeline" / "vae"
    vae.mkdir(parents=True)
    (vae / CONFIG).write_text("{}")
    assert component_folder(str(vae), "vae", "codec_path") == vae
    assert component_folder(str(tmp_path / "pipeline"), "vae", "codec_path") == vae
    with pytest.raises(RequestError, match=r"^codec_path: must be the folder of the vae"):
        component_folder("", "vae", "codec_path")
    with pytest.raises(RequestError, match=r"^text_path=.*: must hold config\.json or text_encoder/config\.json"):
        component_folder(str(tmp_path), "text_encoder", "text_path")


def test_shards_are_read_as_one_file_is(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / WEIGHTS)
    whole = read_tensors(tmp_path)
    write_shards(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"})
    (tmp_path / WEIGHTS).unlink()
    shards = read_tensors(tmp_path)
    assert all(torch.equal(whole[name], shards[name]) for name in TENSORS)
    check_tensors(TENSORS, shards, tmp_path)
    (tmp_path / SHARD_INDEX).write_text(json.dumps({"weight_map": {"a": "one.safetensors", "c": "two.safetensors"}}))
    with pytest.raises(RequestError, match="2 tensors are not in both index and shards, as b"):
        read_tensors(tmp_path)


@pytest.mark.parametrize(
    ("actual", "message"),
    [
        ({"a": TENSORS["a"]}, "x: has no tensor b"),
        (TENSORS | {"c": torch.ones(1)}, "x: has a tensor c, which the config does not ask for"),
        (TENSORS | {"b": torch.ones(5)}, r"x: b is \(5,\), the config asks for \(4,\)"),
    ],
)
def test_a_missing_extra_or_misshapen_tensor_is_refused(actual: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        check_tensors(TENSORS, actual, "x")


def test_a_damaged_json_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / CONFIG
    with pytest.raises(RequestError, match="no such file"):
        read_json_object(path)
    for content, message in (("[1]", "must be a JSON object, is a list"), ("{", "is not JSON")):
        path.write_text(content)
        with pytest.raises(RequestError, match=message):
            read_json_object(path)


def test_the_digest_is_of_names_and_contents_wherever_they_are(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / CONFIG).write_text("{}")
        save_file(TENSORS, tmp_path / folder / WEIGHTS)
    (tmp_path / "two" / "README.md").write_text("about it")
    digest = files_digest([tmp_path / "one"])
    assert len(digest) == 16 and digest == files_digest([tmp_path / "two"])
    (tmp_path / "two" / CONFIG).write_text("{ }")
    assert digest != files_digest([tmp_path / "two"])
    assert files_digest([]) == ""
