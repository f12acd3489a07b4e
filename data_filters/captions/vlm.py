"""The captioner `vlm`: an image-text-to-text model of transformers in the worker's own process, read from a folder."""

from __future__ import annotations

import asyncio
import io
from typing import Any

from framemill.data_filters.captions.base import Answer
from framemill.data_filters.captions.config import CaptionConfig
from framemill.platform.errors import RequestError
from framemill.platform.retry import RetryLater

ANOTHER = 0.7
"""Temperature of a second answer: the likeliest one was found wanting."""


class TransformersVlm:
    """On the GPU that Ray gave the worker, in the precision the weights are stored in; else on the CPU in float32."""

    def __init__(self, settings: CaptionConfig) -> None:
        self.settings = settings
        self.model: Any = None
        self.processor: Any = None

    async def __aenter__(self) -> TransformersVlm:
        if self.model is None:
            await asyncio.to_thread(self.load)
        return self

    async def __aexit__(self, *_: object) -> None:
        """The model stays for the next batch."""

    def load(self) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        folder = self.settings.vlm
        gpu = torch.cuda.is_available()
        try:
            self.processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
            self.model = AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype="auto" if gpu else torch.float32
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RequestError(f"caption.vlm={folder}: cannot be loaded ({said[:200]})") from error
        self.model = self.model.to("cuda" if gpu else "cpu").eval()

    async def ask(self, key: str, frames: list[bytes], nth: int) -> Answer:
        """See CaptionModel.ask."""
        text, finish = await asyncio.to_thread(self.generate, frames, nth)
        return Answer(key, text, finish)

    def generate(self, frames: list[bytes], nth: int) -> tuple[str, str]:
        import torch
        from PIL import Image

        pictures = [{"type": "image", "image": Image.open(io.BytesIO(jpeg)).convert("RGB")} for jpeg in frames]
        content = [*pictures, {"type": "text", "text": self.settings.prompt}]
        inputs = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self.model.device, dtype=self.model.dtype)
        chance: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if nth:
            torch.manual_seed(self.settings.seed + nth)
            chance = {"do_sample": True, "temperature": ANOTHER}
        try:
            with torch.inference_mode():
                tokens = self.model.generate(**inputs, max_new_tokens=self.settings.max_tokens, **chance)
        except torch.OutOfMemoryError as error:
            raise RetryLater("the GPU's memory ran out; lower caption.frames or caption.max_side") from error
        said = tokens[0, inputs["input_ids"].shape[1] :]
        text = self.processor.decode(said, skip_special_tokens=True)
        ended = said[-1:].tolist() in [[end] for end in self.end_tokens()]
        return text, "stop" if ended else "length"

    def end_tokens(self) -> list[int]:
        """The tokens that end an answer; a model may have several."""
        ends = self.model.generation_config.eos_token_id
        return ends if isinstance(ends, list) else [ends]
