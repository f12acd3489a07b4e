"""Gemma-2-2b-it as SANA's text encoder: last hidden states of a caption that follows an instruction.

The instruction, to enhance the prompt, precedes the caption. Of all tokens the first (<bos>) and the last 299 positions
are kept, counted as if the caption were padded to full length: <bos>, the instruction's last token, and up to 298
tokens of the caption.
The model is causal, so the padding itself is not computed. The text that guidance moves away from has no instruction.
Captions are lower-cased, as in diffusers' pipelines.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from framemill.platform.errors import RequestError
from framemill.platform.network_folder import CONFIG, component_folder, read_json_object
from framemill.training.text.base import TextEncoder

_MODEL_TYPE = "gemma2"
"""`model_type` in the config.json of Gemma-2."""
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
"""Text before every caption, verbatim from SANA-Video's pipeline in diffusers (Apache-2.0): the released models were
trained with it."""


class GemmaTextEncoder(TextEncoder):
    """Text encoder that returns Gemma-2's last hidden states, with SANA's instruction before each caption."""

    name = "gemma"
    max_tokens = 300

    def __init__(self, path: str = "") -> None:
        """Reads the model's config; the weights are read when first used.

        Args:
            path: folder of model and tokenizer, or of a pipeline with text_encoder/ and tokenizer/ in it.

        Raises:
            RequestError: the folder does not contain Gemma-2 and a tokenizer.
        """
        folder = component_folder(path, "text_encoder", "text_path")
        tokenizer = folder if folder.name != "text_encoder" else folder.with_name("tokenizer")
        if not (tokenizer / "tokenizer_config.json").exists():
            raise RequestError(f"text_path={path}: {tokenizer} must hold tokenizer_config.json")
        self.folders = (folder,) if tokenizer == folder else (folder, tokenizer)
        values = read_json_object(folder / CONFIG)
        if (kind := values.get("model_type")) != _MODEL_TYPE:
            raise RequestError(f"text_path={path}: must be a {_MODEL_TYPE} for text={self.name}, is a {kind}")
        if not isinstance(values.get("hidden_size"), int):
            raise RequestError(f"{folder / CONFIG}: hidden_size={values.get('hidden_size')}: must be a whole number")
        self.width = values["hidden_size"]

    @functools.cached_property
    def tokenizer(self) -> Any:
        """Gemma's tokenizer.

        Raises:
            RequestError: the tokenizer cannot be read, or does not begin texts with <bos>.
        """
        from transformers import AutoTokenizer

        folder = self.folders[-1]
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:  # damaged files make transformers raise errors of many types
            raise RequestError(f"{folder}: must hold a tokenizer ({_first_line(error)})") from error
        if tokenizer("").input_ids != [tokenizer.bos_token_id]:
            raise RequestError(f"{folder}: must be Gemma's tokenizer, for which the empty text is <bos> alone")
        return tokenizer

    @functools.cached_property
    def model(self) -> Any:
        """The decoder with its weights: bfloat16 on a GPU, as SANA runs it, and float32 on a CPU.

        Raises:
            RequestError: weights are missing or cannot be read.
        """
        from transformers import Gemma2Model
        from transformers.utils import logging

        logging.disable_progress_bar()
        logging.set_verbosity_error()  # missing tensors are reported below in one line, not in a table
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
        except Exception as error:  # damaged files make transformers raise errors of many types
            raise RequestError(f"{folder}: cannot be read as Gemma-2 ({_first_line(error)})") from error
        if missing := sorted(map(str, report["missing_keys"])):
            raise RequestError(f"{folder}: has no tensor {missing[0]}")
        return model.eval().to("cuda" if gpu else "cpu")

    def encode_one(self, text: str) -> np.ndarray:
        """Returns float32 embeddings (L, D) of <bos>, the instruction's last token and the caption."""
        instruction_length = len(self.tokenizer(INSTRUCTION).input_ids)
        tokens = self.tokenizer(INSTRUCTION + _normalised(text)).input_ids[: instruction_length + self.max_tokens - 2]
        hidden = self._hidden_states(tokens)
        return np.concatenate([hidden[:1], hidden[instruction_length - 1 :]])

    def encode_null(self, text: str = "") -> np.ndarray:
        """Returns float32 embeddings (L, D) of a text without the instruction."""
        return self._hidden_states(self.tokenizer(_normalised(text)).input_ids[: self.max_tokens])

    @torch.inference_mode()
    def _hidden_states(self, tokens: list[int]) -> np.ndarray:
        """Returns the last hidden state of each token, float32 (L, D)."""
        ids = torch.tensor([tokens], device=self.model.device)
        return self.model(ids, use_cache=False).last_hidden_state[0].float().cpu().numpy()


def _normalised(text: str) -> str:
    return text.lower().strip()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
