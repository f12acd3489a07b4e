"""The captioner `vlm`: a transformers image-text-to-text model, loaded from a folder into the worker's process."""

from __future__ import annotations

import asyncio
import io
from typing import Any

from framemill.data_filters.captions.base import Answer
from framemill.data_filters.captions.config import CaptionConfig
from framemill.platform.errors import RequestError
from framemill.platform.retry import RetryLater

_RETRY_TEMPERATURE = 0.7
"""Sampling temperature of all answers after the first, which is decoded greedily."""


class TransformersVlm:
    """Runs the model on the worker's GPU in the dtype of the stored weights, or on the CPU in float32."""

    def __init__(self, settings: CaptionConfig) -> None:
        """Creates the captioner; the first `async with` loads the model."""
        self.settings = settings
        self._model: Any = None
        self._processor: Any = None

    async def __aenter__(self) -> TransformersVlm:
        if self._model is None:
            await asyncio.to_thread(self._load)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Keeps the model for the next batch."""

    async def ask(self, key: str, frames: list[bytes], nth: int) -> Answer:
        """Returns the model's answer about a clip. The arguments are those of `CaptionModel.ask`.

        Raises:
            RetryLater: the GPU ran out of memory.
        """
        text, finish = await asyncio.to_thread(self._generate, frames, nth)
        return Answer(key, text, finish)

    def _load(self) -> None:
        """Loads the model and its processor.

        Raises:
            RequestError: the folder has no image-text-to-text model that transformers can load.
        """
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        folder = self.settings.vlm
        gpu = torch.cuda.is_available()
        try:
            self._processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
            self._model = AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype="auto" if gpu else torch.float32
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RequestError(f"caption.vlm={folder}: cannot be loaded ({line[:200]})") from error
        self._model = self._model.to("cuda" if gpu else "cpu").eval()

    def _generate(self, frames: list[bytes], nth: int) -> tuple[str, str]:
        """Returns the generated text, and "stop" or "length" as its `finish_reason`."""
        import torch
        from PIL import Image

        images = [{"type": "image", "image": Image.open(io.BytesIO(jpeg)).convert("RGB")} for jpeg in frames]
        content = [*images, {"type": "text", "text": self.settings.prompt}]
        inputs = self._processor.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._model.device, dtype=self._model.dtype)
        sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if nth:
            torch.manual_seed(self.settings.seed + nth)
            sampling = {"do_sample": True, "temperature": _RETRY_TEMPERATURE}
        try:
            with torch.inference_mode():
                tokens = self._model.generate(**inputs, max_new_tokens=self.settings.max_tokens, **sampling)
        except torch.OutOfMemoryError as error:
            raise RetryLater("the GPU's memory ran out; lower caption.frames or caption.max_side") from error
        answer = tokens[0, inputs["input_ids"].shape[1] :]
        text = self._processor.decode(answer, skip_special_tokens=True)
        ended = answer[-1:].tolist() in [[end] for end in self._end_tokens()]
        return text, "stop" if ended else "length"

    def _end_tokens(self) -> list[int]:
        """Returns the ids of the end-of-sequence tokens; a model may have several."""
        ends = self._model.generation_config.eos_token_id
        return ends if isinstance(ends, list) else [ends]
