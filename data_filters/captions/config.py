"""The keys `caption.*` of `framemill curate`: the caption model, its prompt, and the checks on its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Dict, List

from framemill.platform.config import key
from framemill.platform.errors import RequestError

_PROMPT = (
    "These pictures are frames of one short video, in order and evenly spread over it. Describe the video in one "
    "paragraph of 80 to 100 English words. Say who or what the main subject is and how it looks: kind, colours, "
    "clothing or surface, expression. Say what it does and how that unfolds from the first picture to the last, with "
    "plain verbs of movement. Say where it happens: place, light, weather, what is behind it. End with the camera: "
    "angle, distance, and how it moves or that it stands still. Tell only what can be seen. Do not mention pictures, "
    "frames or this task, and add no title, list or opening phrase: begin with the subject."
)
"""In the style of SANA-Video's captions (arXiv 2509.24695): 80 to 100 words on subject, appearance, action, place and
camera."""
_WEIGHTS = {"endpoint": 95.0, "vlm": 95.0, "joined": 95.0, "sidecar": 5.0, "descriptor": 0.0}
"""SANA-Video trains on the original text with probability 0.05, and on a model's answer with probability 0.95."""


@dataclass
class CaptionConfig:
    """The keys `caption.*`: caption models, requests to them, and checks on their answers."""

    url: str = key(
        "", "captioner endpoint: base URL of an OpenAI-compatible server, such as http://host:8000/v1", result=False
    )
    served_model: str = key("", "captioner endpoint: name of the model on the server")
    api_key_env: str = key(
        "",
        "captioner endpoint: name of the workers' environment variable with the API key; empty: no key",
        result=False,
    )
    vlm: str = key(
        "", "captioner vlm: folder with a transformers image-text-to-text model and its processor", result=False
    )
    prompt: str = key(_PROMPT, "prompt that is sent to the model with the frames of a clip")
    frames: int = key(8, "number of frames sampled evenly from a clip for the model")
    max_side: int = key(
        448, "maximum longer side of the frames sent to the model, pixels; larger frames are scaled down"
    )
    max_tokens: int = key(320, "maximum length of an answer, tokens; an answer cut off at this length is rejected")
    seed: int = key(0, "random seed of the first answer about a clip; each further answer about the clip adds 1")
    min_words: int = key(30, "minimum number of words in a model's answer; shorter answers are rejected")
    max_words: int = key(160, "maximum number of words in a model's answer; longer answers are rejected")
    check_sidecars: bool = key(False, "apply the caption checks, except the minimum length, to sidecar texts too")
    answers: int = key(
        3,
        "maximum number of answers that a model is asked for per clip; the first answer that passes the checks is used",
    )
    rejected: str = key(
        "next",
        "how to treat a clip if all texts of a captioner were rejected: next uses the text of the next captioner, and "
        "filters the clip if no captioner is left; filter filters the clip at once",
        choices=("next", "filter"),
    )
    weights: Dict[str, float] = key(
        lambda: dict(_WEIGHTS),
        "relative probability with which training samples each captioner's text of a clip; a model of weight 0 is "
        "asked only if the captioners before the model gave no text",
    )
    concurrency: int = key(
        16, "captioner endpoint: maximum number of concurrent requests, summed over all workers", result=False
    )
    attempts: int = key(
        6,
        "captioner endpoint: maximum attempts per request; after the last failed attempt the clip stays pending",
        result=False,
    )
    backoff_s: float = key(
        1.0,
        "captioner endpoint: delay after a request's first failed attempt, seconds; doubled after each further failure",
        result=False,
    )
    timeout_s: float = key(120.0, "captioner endpoint: timeout of one attempt at a request, seconds", result=False)

    def validate(self) -> None:
        """Checks the values.

        Raises:
            RequestError: a value is out of range.
        """
        for name, value, lowest, highest in (
            ("frames", self.frames, 1, 256),
            ("max_side", self.max_side, 32, 4096),
            ("max_tokens", self.max_tokens, 1, 100_000),
            ("seed", self.seed, 0, 2**31),
            ("min_words", self.min_words, 0, self.max_words),
            ("answers", self.answers, 1, 100),
            ("concurrency", self.concurrency, 1, 100_000),
            ("attempts", self.attempts, 1, 1000),
        ):
            if not lowest <= value <= highest:
                raise RequestError(f"caption.{name}={value}: must be from {lowest} to {highest}")
        if self.timeout_s <= 0:
            raise RequestError(f"caption.timeout_s={self.timeout_s}: must be more than 0")
        if self.backoff_s < 0:
            raise RequestError(f"caption.backoff_s={self.backoff_s}: must be 0 or more")

    def validate_for(self, captioners: List[str], known: Sequence[str]) -> None:
        """Checks that the keys that each configured captioner needs are set.

        Args:
            captioners: names of captioners in order of preference.
            known: the names of all captioners.

        Raises:
            RequestError: a key is missing, a captioner is named twice, or a weight is negative or names an
                unknown captioner.
        """
        for name, weight in self.weights.items():
            if name not in known or not 0 <= weight < float("inf"):
                raise RequestError(f"caption.weights.{name}={weight}: must be 0 or more, for one of {', '.join(known)}")
        if len(set(captioners)) < len(captioners):
            raise RequestError(f"captions={captioners}: must name each captioner once")
        if "endpoint" in captioners:
            if not self.url.startswith(("http://", "https://")):
                raise RequestError(f"caption.url={self.url}: must be http://HOST:PORT/v1 for captions=[endpoint]")
            if not self.served_model:
                raise RequestError(
                    "caption.served_model=: must be the model's name on the server for captions=[endpoint]"
                )
        if "vlm" in captioners and not self.vlm:
            raise RequestError("caption.vlm=: must be the folder of a transformers model for captions=[vlm]")
