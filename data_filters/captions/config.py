"""The keys `caption.*` of `framemill curate`: what a model is asked, which answers count, how it is treated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List

from framemill.data_filters.captions.registry import CAPTIONERS
from framemill.platform.config import key
from framemill.platform.errors import RequestError

PROMPT = (
    "These pictures are frames of one short video, in order and evenly spread over it. Describe the video in one "
    "paragraph of 80 to 100 English words. Say who or what the main subject is and how it looks: kind, colours, "
    "clothing or surface, expression. Say what it does and how that unfolds from the first picture to the last, with "
    "plain verbs of movement. Say where it happens: place, light, weather, what is behind it. End with the camera: "
    "angle, distance, and how it moves or that it stands still. Tell only what can be seen. Do not mention pictures, "
    "frames or this task, and add no title, list or opening phrase: begin with the subject."
)
"""After SANA-Video's style of caption (arXiv 2509.24695): 80 to 100 words on subject, looks, action, place, camera."""
WEIGHTS = {"endpoint": 95.0, "vlm": 95.0, "joined": 95.0, "sidecar": 5.0, "descriptor": 0.0}
"""SANA-Video trains on the original text 5 times in 100, on the model's the other 95."""


@dataclass
class CaptionConfig:
    url: str = key("", "endpoint: base URL of an OpenAI-compatible server, such as http://host:8000/v1", result=False)
    served_model: str = key("", "endpoint: the model's name on that server")
    api_key_env: str = key(
        "", "endpoint: environment variable, where the workers run, that holds the server's key", result=False
    )
    vlm: str = key("", "vlm: folder with a transformers image-text-to-text model and its processor", result=False)
    prompt: str = key(PROMPT, "what a model is asked about a clip's frames")
    frames: int = key(8, "frames of a clip that a model is shown, evenly spread")
    max_side: int = key(448, "their longer side at most, pixels")
    max_tokens: int = key(320, "an answer that reaches this length is cut off, and counts as none")
    seed: int = key(0, "sent with each request; a second answer is asked for with the next one")
    min_words: int = key(30, "a model's answer with fewer words is too short")
    max_words: int = key(160, "and one with more is too long")
    check_sidecars: bool = key(False, "sidecar texts must pass the checks on captions too")
    answers: int = key(3, "answers of a model that may fail the checks before a clip does without it")
    rejected: str = key(
        "next",
        "a clip none of whose answers passes takes its next captioner's text (and is filtered where none is left), "
        "or is filtered at once",
        choices=("next", "filter"),
    )
    weights: Dict[str, float] = key(
        lambda: dict(WEIGHTS),
        "how often training picks each captioner's text where a clip has several; a model of weight 0 is asked only "
        "where those before it gave nothing",
    )
    concurrency: int = key(16, "endpoint: requests under way at once, of all workers together", result=False)
    attempts: int = key(6, "endpoint: times a request is made before its clip is left pending", result=False)
    backoff_s: float = key(
        1.0, "endpoint: wait after a failed request, seconds; each further one doubles it", result=False
    )
    timeout_s: float = key(120.0, "endpoint: a whole answer takes no longer than this, seconds", result=False)

    def validate(self) -> None:
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
        for name, weight in self.weights.items():
            if name not in CAPTIONERS or not 0 <= weight < float("inf"):
                raise RequestError(f"caption.weights.{name}={weight}: 0 or more, for one of {', '.join(CAPTIONERS)}")

    def validate_for(self, captioners: List[str]) -> None:
        """Raises RequestError where one of the captioners asked for lacks a key."""
        if len(set(captioners)) < len(captioners):
            raise RequestError(f"captions={captioners}: one is named twice")
        if "endpoint" in captioners:
            if not self.url.startswith(("http://", "https://")):
                raise RequestError(f"caption.url={self.url}: captions=[endpoint] needs http://HOST:PORT/v1")
            if not self.served_model:
                raise RequestError("caption.served_model=: captions=[endpoint] needs the model's name on the server")
        if "vlm" in captioners and not self.vlm:
            raise RequestError("caption.vlm=: captions=[vlm] needs the folder of a transformers model")
