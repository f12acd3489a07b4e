"""Which captions a clip gets from texts and answers, and whether a model is asked at all."""

from __future__ import annotations

from framemill.data_filters.captions.base import Answer
from framemill.data_filters.captions.choose import assign_captions, needs_answer
from framemill.data_filters.captions.config import CaptionConfig
from framemill.data_filters.ledger.clip_table import ClipRow, ClipTable

FINE = "The dog runs over the grass while the sun is low behind it."
REFUSED = "I'm sorry, but I can't describe that."
GERMAN = "Ein Hund l\u00e4uft \u00fcber die Wiese und bellt den Mond an."
ORDER = ["endpoint", "sidecar", "descriptor"]


def kept_clip(sidecar: str | None = None, description: str = "A red picture.") -> ClipRow:
    """A clip that selection kept."""
    row = {"key": "k", "state": "kept", "sidecar_caption": sidecar, "description": description}
    return ClipTable.of([{**row, "reason": None, "caption": None, "captions": []}])[0]


def answers(*texts: str) -> dict[str, dict[str, list[Answer]]]:
    """Answers of captioner `endpoint` about the clip."""
    return {"endpoint": {"k": [Answer("k", text, "stop") for text in texts]}}


def captioned(texts: list[str], sidecar: str | None = None, **keys: object) -> tuple[ClipRow, list[str]]:
    """The clip with its captions, and the problems of those that were rejected."""
    clip = kept_clip(sidecar)
    return clip, assign_captions(clip, ORDER, answers(*texts), CaptionConfig(min_words=5, **keys))


def test_the_first_captioner_that_has_one_gives_the_main_caption() -> None:
    clip, _ = captioned([REFUSED, FINE + " \n"], "By hand.")
    assert clip.caption == FINE and clip.state == "kept"
    assert [(one["source"], one["weight"]) for one in clip.captions] == [
        *(("endpoint", 95), ("sidecar", 5), ("descriptor", 0))
    ]
    assert captioned([], "By hand.")[0].caption == "By hand."
    assert captioned([])[0].caption == "A red picture."


def test_a_clip_without_a_good_answer_takes_its_next_caption_or_is_filtered() -> None:
    clip, problems = captioned([REFUSED] * 3, "By hand.")
    assert clip.caption == "By hand." and problems == ["refusal"]
    clip, _ = captioned([REFUSED] * 3, "By hand.", rejected="filter")
    assert (clip.state, str(clip.reason), clip.captions) == ("filtered", "caption: refusal", [])
    clip = kept_clip()
    assign_captions(clip, ["endpoint"], answers("Tiny."), CaptionConfig())
    assert (clip.state, str(clip.reason)) == ("filtered", "caption: too short"), "nothing is left to take"
    clip, problems = captioned([], GERMAN, check_sidecars=True)
    assert clip.caption == "A red picture." and problems == ["not English"]


def test_a_model_without_weight_is_asked_where_nothing_else_is_there() -> None:
    order = ["sidecar", "endpoint"]
    clip = kept_clip("By hand.", "")
    assert needs_answer(clip, order, "endpoint", {}, CaptionConfig())
    assert not needs_answer(clip, order, "endpoint", {}, CaptionConfig(weights={"endpoint": 0}))
    assert needs_answer(kept_clip(None, ""), order, "endpoint", {}, CaptionConfig(weights={}))
    refused = answers(*[REFUSED] * 3)
    assert not needs_answer(clip, order, "endpoint", refused, CaptionConfig()), "three refusals are an answer"
