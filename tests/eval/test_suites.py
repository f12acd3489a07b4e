"""Plans account for every expected file and for every file in the folder."""

import json
import unicodedata
from pathlib import Path

import pytest

from framemill.eval.dimensions.registry import DIMENSIONS, VBENCH_DIMENSIONS
from framemill.eval.suites import (
    VBenchPrompt,
    plan_evaluation,
    plan_folder,
    plan_vbench,
    plan_video_list,
    read_vbench_prompts,
)
from framemill.platform.errors import RequestError

PROMPTS = [
    VBenchPrompt("a façade.", ("temporal_flickering",)),
    VBenchPrompt("The bund Shanghai, oil painting", ("appearance_style",)),
    VBenchPrompt("a cat", ("subject_consistency", "dynamic_degree")),
    VBenchPrompt("The bund Shanghai, oil painting", ("overall_consistency", "aesthetic_quality")),
]


def test_folder_takes_prompts_from_names() -> None:
    plan = plan_folder(["a cat-3.mp4", "b.MOV", "well-known dog-12.mp4", "notes.txt", "e.g. this.-0.mp4"])
    prompts = {v.name: v.prompt for v in plan.videos}
    assert prompts == {
        "a cat-3.mp4": "a cat",
        "b.MOV": "b",
        "e.g. this.-0.mp4": "e.g. this.",
        "well-known dog-12.mp4": "well-known dog",
    }
    assert not plan.missing and not plan.unmatched


def test_videos_of_a_list_keep_their_prompt_and_order() -> None:
    lines = [{"video": f"{n}.mp4", "prompt": f"prompt {n}", "index": 0, "seed": 1} for n in (2, 1, 3)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    plan = plan_video_list(["1.mp4", "2.mp4", "stray.mp4", "videos.jsonl"], text)
    assert [(v.name, v.prompt) for v in plan.videos] == [("2.mp4", "prompt 2"), ("1.mp4", "prompt 1")]
    assert list(plan.missing) == ["3.mp4"]
    assert plan.unmatched == ("stray.mp4",)


@pytest.mark.parametrize("text", ["{", '{"video": "1.mp4"}', "[]", '{"video":"1.mp4","prompt":""}\n' * 2])
def test_a_malformed_list_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"videos\.jsonl line"):
        plan_video_list(["1.mp4"], text)


def test_vbench_matches_in_nfc_and_counts_the_missing() -> None:
    decomposed = unicodedata.normalize("NFD", "a façade.-0.mp4")
    names = [decomposed, "The bund Shanghai, oil painting-0.mp4", "a cat-1.mp4", "a cat-2.mp4", "A cat-0.mp4", "x.json"]
    plan = plan_vbench(names, PROMPTS, samples=2)
    dimensions = {v.name: v.dimensions for v in plan.videos}
    assert dimensions == {
        decomposed: ("temporal_flickering",),
        "The bund Shanghai, oil painting-0.mp4": ("appearance_style", "overall_consistency", "aesthetic_quality"),
        "a cat-1.mp4": ("subject_consistency", "dynamic_degree"),
    }
    assert set(plan.missing) == {"a façade.-1.mp4", "The bund Shanghai, oil painting-1.mp4", "a cat-0.mp4"}
    assert set(plan.unmatched) == {"a cat-2.mp4", "A cat-0.mp4"}


def test_two_spellings_of_one_name_are_refused() -> None:
    names = [unicodedata.normalize(form, "a façade.-0.mp4") for form in ("NFC", "NFD")]
    with pytest.raises(RequestError, match="NFC"):
        plan_vbench(names, PROMPTS, samples=1)


def test_the_official_list() -> None:
    path = Path(__file__).parents[3] / "shared" / "data" / "VBench_full_info.json"
    if not path.exists():
        pytest.skip("VBench_full_info.json is not in ../shared")
    prompts = read_vbench_prompts(str(path))
    everything = plan_vbench([f"{entry.text}-{i}.mp4" for entry in prompts for i in range(5)], prompts, 5)
    # 946 entries, of which two prompts occur twice and share their files.
    assert len(everything.videos) == 944 * 5
    assert not everything.missing and not everything.unmatched
    wanted = {name: sum(name in v.dimensions for v in everything.videos) for name in DIMENSIONS}
    assert wanted["temporal_flickering"] == 75 * 5
    assert wanted["overall_consistency"] == wanted["aesthetic_quality"] == 93 * 5
    assert all(wanted[name] for name in VBENCH_DIMENSIONS)


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="videos="):
        plan_evaluation("custom", str(tmp_path / "absent"), "", 5)
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(RequestError, match="none of its 1 files"):
        plan_evaluation("custom", str(tmp_path), "", 5)
    for content in ("no json", '{"a": 1}', '[{"prompt_en": "a", "dimension": ["sharpness"]}]'):
        (tmp_path / "info.json").write_text(content)
        with pytest.raises(RequestError, match="prompts_json="):
            plan_evaluation("vbench", str(tmp_path), str(tmp_path / "info.json"), 5)
    with pytest.raises(RequestError, match="no such file"):
        plan_evaluation("vbench", str(tmp_path), str(tmp_path / "absent.json"), 5)


def test_a_numbered_file_is_found_by_the_prompt_that_generate_lists() -> None:
    prompts = [VBenchPrompt(text, ("scene",)) for text in ("a dog", "A dog")]
    names = ["a dog-0.mp4", "000001-0.mp4", "videos.jsonl"]
    listed = plan_video_list(
        names,
        '{"video": "a dog-0.mp4", "prompt": "a dog"}\n{"video": "000001-0.mp4", "prompt": "A dog"}\n',
    ).videos
    plan = plan_vbench(names, prompts, 1, listed)
    assert [(video.name, video.prompt) for video in plan.videos] == [
        ("a dog-0.mp4", "a dog"),
        ("000001-0.mp4", "A dog"),
    ]
    assert not plan.missing and not plan.unmatched
