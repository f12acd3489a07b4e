"""Gemma-2-2b-it as SANA reads captions with it: the last hidden states, behind an instruction to enhance the prompt.

The instruction goes before the caption, and of all tokens the first (<bos>) and the last 299 places are kept, counted
as if the caption were padded to its full length: <bos>, the instruction's last token, and up to 298 of the caption.
The model sees only what comes before a token, so the padding itself need not be computed. What guidance moves away
from is encoded without the instruction. Captions are in small letters, as in diffusers' pipelines.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from framemill.platform.errors import RequestError
from framemill.platform.network_folder import CONFIG, component_folder, read_json_object
from framemill.training.text.base import TextEncoder

MODEL_TYPE = "gemma2"

# Verbatim from SANA-Video's pipeline in diffusers (Apache-2.0): the released models were trained behind this text.
INSTRUCTION = "\n".join(
    (
        "Given a user prompt, generate an 'Enhanced prompt' that provides detailed visual descriptions suitable for "
        "video generation. Evaluate the level of detail in the user prompt:",
        "- If the prompt is simple, focus on adding specifics about colors, shapes, sizes, textures, motion, and "
        "temporal relationships to create vivid and dynamic scenes.",
        "- If the prompt is already detailed, refine and enhance the existing details slightly without "
        "overcomplicating.",
        "Here are examples of how to transform or refine prompts:",
        "- User Prompt: A cat sleeping -> Enhanced: A small, fluffy white cat slowly settling into a curled position, "
        "peacefully falling asleep on a warm sunny windowsill, with gentle sunlight filtering through surrounding pots "
        "of blooming red flowers.",
        "- User Prompt: A busy city street -> Enhanced: A bustling city street scene at dusk, featuring glowing street "
        "lamps gradually lighting up, a diverse crowd of people in colorful clothing walking past, and a double-decker "
        "bus smoothly passing by towering glass skyscrapers.",
        "Please generate only the enhanced description for the prompt below and avoid including any additional "
        "commentary or evaluations:",
        "User Prompt: ",
    )
)


class GemmaTextEncoder(TextEncoder):
    name = "gemma"
    max_tokens = 300

    def __init__(self, path: str = "") -> None:
        """`path`: a folder with model and tokenizer, or a pipeline's with text_encoder/ and tokenizer/ in it.

        The weights are read when first used.

        Raises:
            RequestError: there is none there, or one of another kind.
        """
        folder = component_folder(path, "text_encoder", "text_path")
        tokenizer = folder if folder.name != "text_encoder" else folder.with_name("tokenizer")
        if not (tokenizer / "tokenizer_config.json").exists():
            raise RequestError(f"text_path={path}: {tokenizer} holds no tokenizer_config.json")
        self.folders = (folder,) if tokenizer == folder else (folder, tokenizer)
        values = read_json_object(folder / CONFIG)
        if values.get("model_type") != MODEL_TYPE:
            raise RequestError(f"text_path={path}: is a {values.get('model_type')}, text={self.name} is a {MODEL_TYPE}")
        if not isinstance(values.get("hidden_size"), int):
            raise RequestError(f"{folder / CONFIG}: hidden_size={values.get('hidden_size')}: is a whole number")
        self.width = values["hidden_size"]

    @functools.cached_property
    def tokenizer(self) -> Any:
        """Gemma's tokenizer.

        Raises:
            RequestError: it cannot be read, or begins no text with <bos>.
        """
        from transformers import AutoTokenizer

        folder = self.folders[-1]
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:  # whatever damaged files make transformers raise
            raise RequestError(f"{folder}: holds no tokenizer ({first_line(error)})") from error
        if tokenizer("").input_ids != [tokenizer.bos_token_id]:
            raise RequestError(f"{folder}: is not Gemma's tokenizer: the empty text is not <bos> alone")
        return tokenizer

    @functools.cached_property
    def model(self) -> Any:
        """The decoder with its weights, bfloat16 on a GPU as SANA runs it, else float32.

        Raises:
            RequestError: weights are missing or cannot be read.
        """
        from transformers import Gemma2Model
        from transformers.utils import logging

        logging.disable_progress_bar()
        logging.set_verbosity_error()  # what is amiss is said in one line below, not in a table
        folder, gpu = self.folders[0], torch.cuda.is_available()
        network: Any = Gemma2Model
        try:
            model, report = network.from_pretrained(
                str(folder),
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                dtype=torch.bfloat16 if gpu else torch.float32,
            )
        except Exception as error:  # whatever damaged files make transformers raise
            raise RequestError(f"{folder}: cannot be read as Gemma-2 ({first_line(error)})") from error
        if lost := sorted(map(str, report["missing_keys"])):
            raise RequestError(f"{folder}: has no tensor {lost[0]}")
        return model.eval().to("cuda" if gpu else "cpu")

    def encode_one(self, text: str) -> np.ndarray:
        before = len(self.tokenizer(INSTRUCTION).input_ids)
        tokens = self.tokenizer(INSTRUCTION + clean(text)).input_ids[: before + self.max_tokens - 2]
        hidden = self._hidden(tokens)
        return np.concatenate([hidden[:1], hidden[before - 1 :]])

    def encode_null(self, text: str = "") -> np.ndarray:
        return self._hidden(self.tokenizer(clean(text)).input_ids[: self.max_tokens])

    @torch.inference_mode()
    def _hidden(self, tokens: list[int]) -> np.ndarray:
        """The last hidden state of each token, float32 (L, D)."""
        ids = torch.tensor([tokens], device=self.model.device)
        return self.model(ids, use_cache=False).last_hidden_state[0].float().cpu().numpy()


def clean(text: str) -> str:
    return text.lower().strip()


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
