"""The captioner `vlm`: a Qwen2.5-VL of transformers, of a size that a test can draw, read from its folder."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from framemill.data_filters.captions.answer_store import answers_folder
from framemill.data_filters.captions.base import Answer
from framemill.data_filters.captions.config import CaptionConfig
from framemill.data_filters.captions.vlm import TransformersVlm
from framemill.platform.errors import RequestError

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{% if c['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROMPT = "What is it?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights, and a tokenizer that knows bytes alone."""
    vocabulary = {
        piece: number for number, piece in enumerate([*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())])
    }
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=SPECIAL[2], pad_token=SPECIAL[0], additional_special_tokens=SPECIAL
    )
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=4 * 56 * 56),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=TEMPLATE,
    )
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
    text = {"vocab_size": len(vocabulary), "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, **ids}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096}
    rope = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}}
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32}
    pictures = {"image_token_id": 5, "video_token_id": 6, "vision_start_token_id": 3, "vision_end_token_id": 4}
    config = Qwen2_5_VLConfig(
        text_config={**text, **heads, **rope}, vision_config={**vision, "fullatt_block_indexes": [1]}, **pictures
    )
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vlm")
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(path)
    processor.save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    pictures = [np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8) for seed in range(3)]
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]


def ask(folder: str, frames: list[bytes], *nths: int, max_tokens: int = 12) -> list[Answer]:
    async def all_of_them() -> list[Answer]:
        async with TransformersVlm(CaptionConfig(vlm=folder, prompt=PROMPT, max_tokens=max_tokens)) as model:
            return [await model.ask("k", frames, nth) for nth in nths]

    return asyncio.run(all_of_them())


def test_the_first_answer_is_the_likeliest_token_after_token(folder: str, frames: list[bytes]) -> None:
    """Against logits taken one step at a time, without the library's own generation."""
    processor = Qwen2_5_VLProcessor.from_pretrained(folder)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    picture = "<|vision_start|><|image_pad|><|vision_end|>"
    prompt = f"<|im_start|>user\n{picture * 3}{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
    images = [Image.open(io.BytesIO(jpeg)) for jpeg in frames]
    inputs = processor(text=[prompt], images=images, return_tensors="pt")
    tokens: list[int] = []
    while len(tokens) < 12 and SPECIAL.index("<|im_end|>") not in tokens:
        grown = torch.cat([inputs["input_ids"], torch.tensor([tokens], dtype=torch.long)], 1)
        kinds = torch.zeros_like(grown)
        kinds[grown == SPECIAL.index("<|image_pad|>")] = 1
        with torch.inference_mode():
            logits = model(
                input_ids=grown,
                attention_mask=torch.ones_like(grown),
                pixel_values=inputs["pixel_values"],
                image_grid_thw=inputs["image_grid_thw"],
                mm_token_type_ids=kinds,
            ).logits
        tokens.append(int(logits[0, -1].argmax()))
    (answer,) = ask(folder, frames, 0)
    assert answer.text == processor.tokenizer.decode(tokens, skip_special_tokens=True)
    assert answer.finish == ("stop" if tokens[-1] == SPECIAL.index("<|im_end|>") else "length")


def test_answers_depend_on_the_pictures_in_order_and_on_the_turn(folder: str, frames: list[bytes]) -> None:
    first, again, other, other_again, third = ask(folder, frames, 0, 0, 1, 1, 2)
    assert first == again and other == other_again
    assert len({first.text, other.text, third.text}) == 3
    assert ask(folder, frames[::-1], 0)[0].text != first.text


def test_an_answer_that_ends_by_itself_is_not_cut_off(folder: str, frames: list[bytes], tmp_path: Path) -> None:
    """The same model with every token but one made impossible."""
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model.lm_head.weight.data.zero_()
    model.generation_config.eos_token_id = [0, 2]
    model.save_pretrained(tmp_path)
    Qwen2_5_VLProcessor.from_pretrained(folder).save_pretrained(tmp_path)
    assert ask(str(tmp_path), frames, 0) == [Answer("k", "", "stop")]


def test_a_folder_without_a_model_is_refused(tmp_path: Path, frames: list[bytes], folder: str) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no such thing"}')
    with pytest.raises(RequestError, match=r"^caption\.vlm="):
        ask(str(tmp_path), frames, 0)
    with pytest.raises(RequestError, match=r"no config\.json"):
        answers_folder("out", "vlm", CaptionConfig(vlm=str(tmp_path / "nowhere")))


def test_answers_are_of_the_model_not_of_its_place(folder: str, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in Path(folder).iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    home = answers_folder("out", "vlm", CaptionConfig(vlm=folder))
    assert home == answers_folder("out", "vlm", CaptionConfig(vlm=str(moved)))
    assert home != answers_folder("out", "vlm", CaptionConfig(vlm=folder, prompt="another"))
    (moved / "generation_config.json").write_text("{}")
    assert home != answers_folder("out", "vlm", CaptionConfig(vlm=str(moved)))
