"""Plans: every expected and every present file is accounted for."""

import json
import unicodedata
from pathlib import Path

import pytest

from framemill.eval.dimensions.catalogue import CATALOGUE, VBENCH
from framemill.eval.suites import plan, plan_folder, plan_listed, plan_vbench
from framemill.platform.errors import RequestError

PROMPTS = [
    {"prompt_en": "a façade.", "dimension": ["temporal_flickering"]},
    {"prompt_en": "The bund Shanghai, oil painting", "dimension": ["appearance_style"]},
    {"prompt_en": "a cat", "dimension": ["subject_consistency", "dynamic_degree"]},
    {"prompt_en": "The bund Shanghai, oil painting", "dimension": ["overall_consistency", "aesthetic_quality"]},
]


def test_folder_takes_prompts_from_names() -> None:
    manifest = plan_folder(["a cat-3.mp4", "b.MOV", "well-known dog-12.mp4", "notes.txt", "e.g. this.-0.mp4"])
    prompts = {v.name: v.prompt for v in manifest.videos}
    assert prompts == {
        "a cat-3.mp4": "a cat",
        "b.MOV": "b",
        "e.g. this.-0.mp4": "e.g. this.",
        "well-known dog-12.mp4": "well-known dog",
    }
    assert not manifest.missing and not manifest.unmatched


def test_listed_videos_keep_their_prompt_and_order() -> None:
    lines = [{"video": f"{n}.mp4", "prompt": f"prompt {n}", "index": 0, "seed": 1} for n in (2, 1, 3)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    manifest = plan_listed(["1.mp4", "2.mp4", "stray.mp4", "videos.jsonl"], text)
    assert [(v.name, v.prompt) for v in manifest.videos] == [("2.mp4", "prompt 2"), ("1.mp4", "prompt 1")]
    assert list(manifest.missing) == ["3.mp4"]
    assert manifest.unmatched == ("stray.mp4",)


@pytest.mark.parametrize("text", ["{", '{"video": "1.mp4"}', "[]", '{"video":"1.mp4","prompt":""}\n' * 2])
def test_a_list_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"videos\.jsonl line"):
        plan_listed(["1.mp4"], text)


def test_vbench_matches_in_nfc_and_counts_the_missing() -> None:
    decomposed = unicodedata.normalize("NFD", "a façade.-0.mp4")
    names = [decomposed, "The bund Shanghai, oil painting-0.mp4", "a cat-1.mp4", "a cat-2.mp4", "A cat-0.mp4", "x.json"]
    manifest = plan_vbench(names, PROMPTS, samples=2)
    found = {v.name: v.dimensions for v in manifest.videos}
    assert found == {
        decomposed: ("temporal_flickering",),
        "The bund Shanghai, oil painting-0.mp4": ("appearance_style", "overall_consistency", "aesthetic_quality"),
        "a cat-1.mp4": ("subject_consistency", "dynamic_degree"),
    }
    assert set(manifest.missing) == {"a façade.-1.mp4", "The bund Shanghai, oil painting-1.mp4", "a cat-0.mp4"}
    assert set(manifest.unmatched) == {"a cat-2.mp4", "A cat-0.mp4"}


def test_two_spellings_of_one_name_are_refused() -> None:
    names = [unicodedata.normalize(form, "a façade.-0.mp4") for form in ("NFC", "NFD")]
    with pytest.raises(RequestError, match="NFC"):
        plan_vbench(names, PROMPTS, samples=1)


def test_the_official_list() -> None:
    path = Path(__file__).parents[3] / "shared" / "data" / "VBench_full_info.json"
    if not path.exists():
        pytest.skip("VBench_full_info.json is not beside this checkout")
    prompts = json.loads(path.read_text())
    everything = plan_vbench([f"{entry['prompt_en']}-{i}.mp4" for entry in prompts for i in range(5)], prompts, 5)
    # 946 entries, of which two prompts occur twice and share their files.
    assert len(everything.videos) == 944 * 5
    assert not everything.missing and not everything.unmatched
    wanted = {name: sum(name in v.dimensions for v in everything.videos) for name in CATALOGUE}
    assert wanted["temporal_flickering"] == 75 * 5
    assert wanted["overall_consistency"] == wanted["aesthetic_quality"] == 93 * 5
    assert all(wanted[facts.name] for facts in VBENCH)


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="videos="):
        plan("custom", str(tmp_path / "absent"), "", 5)
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(RequestError, match="none of its 1 files"):
        plan("custom", str(tmp_path), "", 5)
    for content in ("no json", '{"a": 1}', '[{"prompt_en": "a", "dimension": ["sharpness"]}]'):
        (tmp_path / "info.json").write_text(content)
        with pytest.raises(RequestError, match="prompts_json="):
            plan("vbench", str(tmp_path), str(tmp_path / "info.json"), 5)
    with pytest.raises(RequestError, match="no such file"):
        plan("vbench", str(tmp_path), str(tmp_path / "absent.json"), 5)
