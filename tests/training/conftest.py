"""A dataset of latents made by the tests: smooth moving fields, of which each caption has its own."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from framemill.platform.dataset_commit import commit_dataset
from framemill.platform.shard_writer import Sample, write_shard
from framemill.training.text import get_text_encoder

CAPTIONS = ("a red ball falls", "blue waves roll", "a green field", "clouds drift by", "a train passes")
BUCKETS = {"9x48x80": (3, 6, 10), "9x64x64": (3, 8, 8), "17x64x112": (5, 8, 14), "17x80x80": (5, 10, 10)}
WIDE, SQUARE = ("9x48x80", "17x64x112"), ("9x64x64", "17x80x80")


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array.astype(np.float16))
    return buffer.getvalue()


def field(caption: int, number: int, shape: tuple[int, int, int]) -> np.ndarray:
    """(16, T, H, W) of about unit variance: the caption fixes the waves, the clip their phase."""
    waves, clip = np.random.default_rng(caption), np.random.default_rng(1000 + number)
    axes = np.meshgrid(*(np.linspace(0, 1, size) for size in shape), indexing="ij")
    channels = []
    for _ in range(16):
        turns = sum(rate * axis for rate, axis in zip(waves.uniform(-4, 4, 3), axes, strict=True))
        channels.append(np.sqrt(2) * np.sin(turns + clip.uniform(0, 1)))
    return np.stack(channels)


@pytest.fixture(scope="session")
def latent_dataset(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a dataset of that many clips; two thirds are wide, and every ninth is too short for the second stage."""

    def write(name: str, clips: int = 40) -> Path:
        folder = tmp_path_factory.mktemp("data") / name
        text = get_text_encoder("hashed")
        samples, rows = [], []
        for number in range(clips):
            caption = number % len(CAPTIONS)
            names = (SQUARE if number % 3 == 0 else WIDE)[: 1 if number % 9 == 0 else 2]
            members = {f"{b}.latent.npy": npy(field(caption, number, BUCKETS[b])) for b in names}
            members["text.npy"] = npy(text.encode_one(CAPTIONS[caption]))
            samples.append(Sample(f"{name}-{number:04d}", members))
            rows.append({"key": samples[-1].key, "caption": CAPTIONS[caption], "buckets": list(names)})
        shards = [
            write_shard(str(folder / "shards"), "train", number, samples[number::2], "0" * 8) for number in range(2)
        ]
        commit_dataset(
            str(folder),
            kind="encode",
            config_digest="0" * 16,
            shards=shards,
            samples=pa.Table.from_pylist(rows),
            ledger={},
            totals={"samples": clips},
            extra={
                "codec": "dct",
                "latent_channels": 16,
                "latent_stride": [4, 8, 8],
                "text": "hashed",
                "text_width": text.width,
                "text_max_tokens": text.max_tokens,
                "null_text": text.encode_one("").tolist(),
            },
        )
        return folder

    return write


@pytest.fixture(scope="session")
def tiny_networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of small networks with random weights, by the config names of what runs them."""
    import torch
    from diffusers import AutoencoderDC, AutoencoderKLLTX2Video, AutoencoderKLWan
    from tokenizers.processors import TemplateProcessing
    from transformers import Gemma2Config, Gemma2Model, GemmaTokenizer

    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(0)
    wan = AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    ltx2 = AutoencoderKLLTX2Video(
        latent_channels=8,
        block_out_channels=(8, 8, 16, 16),
        decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        scaling_factor=1.5,
    )
    ltx2.latents_mean.normal_()
    ltx2.latents_std.uniform_(0.5, 2)
    blocks = ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3
    dcae = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=8,
        encoder_block_types=blocks,
        decoder_block_types=blocks,
        encoder_block_out_channels=(8,) * 6,
        decoder_block_out_channels=(8,) * 6,
        encoder_layers_per_block=(1,) * 6,
        decoder_layers_per_block=(1,) * 6,
        scaling_factor=0.41407,
    )
    wan.save_pretrained(folder / "wan" / "vae")
    ltx2.save_pretrained(folder / "ltx2")
    dcae.save_pretrained(folder / "dcae", max_shard_size="20KB")
    words = dict.fromkeys("▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'.,:->\n")
    vocab = {name: number for number, name in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *words])}
    tokenizer = GemmaTokenizer(vocab=vocab, merges=[])
    tokenizer._tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    tokenizer.save_pretrained(folder / "gemma" / "tokenizer")
    gemma = Gemma2Config(
        vocab_size=len(vocab),
        hidden_size=8,
        head_dim=16,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_hidden_layers=2,
        intermediate_size=16,
    )
    Gemma2Model(gemma).save_pretrained(folder / "gemma" / "text_encoder")
    return {"dct": "", "hashed": "", **{name: str(folder / name) for name in ("wan", "ltx2", "dcae", "gemma")}}
