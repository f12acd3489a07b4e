"""Text encoders: the same on every machine, one token at least, and captions that differ stay apart."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from framemill.platform.errors import RequestError
from framemill.training.text import TEXT_ENCODERS, get_text_encoder
from framemill.training.text.hashed import word_pieces


@pytest.mark.parametrize("name", sorted(TEXT_ENCODERS))
def test_every_encoder_keeps_its_limits(name: str, tiny_networks: dict[str, str]) -> None:
    encoder = get_text_encoder(name, tiny_networks[name])
    text, mask = encoder.encode(["", "a red ball", "word " * 1000])
    assert text.shape == (3, encoder.max_tokens, encoder.width) and text.dtype == np.float32
    assert mask.sum(1)[0] >= 1 and mask.sum(1)[2] == encoder.max_tokens
    assert not text[~mask].any()
    assert np.array_equal(text[1][mask[1]], encoder.encode_one("a red ball"))
    assert 0.5 < np.sqrt(np.square(text[mask]).mean()) < 2
    assert 1 <= len(encoder.encode_null()) < encoder.max_tokens


def test_hashed_pieces() -> None:
    assert word_pieces("A dog's  INCOMPREHENSIBLE run, twice.") == [
        "a",
        "dog",
        "'",
        "s",
        "incompre",
        "##hensible",
        "run",
        ",",
        "twice",
        ".",
    ]
    assert len(get_text_encoder("hashed").encode_one("")) == 1


def test_hashed_vectors_are_the_same_everywhere() -> None:
    """Fixed by hand: a dataset encoded on one machine is read on another."""
    vector = get_text_encoder("hashed").encode_one("red")[1]
    assert np.packbits(vector > 0).tobytes().hex() == "0de917af2f0a48a3"
    encoder = get_text_encoder("hashed")
    assert np.array_equal(encoder.encode_one("Red")[1], vector)
    other = encoder.encode_one("blue")[1]
    assert abs(float(vector @ other)) / 64 < 0.5


def test_unknown_name() -> None:
    with pytest.raises(RequestError, match="text=gemini: must be one of hashed, gemma"):
        get_text_encoder("gemini")
    with pytest.raises(RequestError, match="text_path=x: must be empty for text=hashed"):
        get_text_encoder("hashed", "x")


def test_gemma_with_its_language_head(tiny_networks: dict[str, str], tmp_path: Path) -> None:
    """As Gemma-2-2b-it lies on disk: the decoder in a causal language model, and all in one folder."""
    from transformers import Gemma2ForCausalLM, Gemma2Model

    folder = Path(tiny_networks["gemma"])
    whole = Gemma2ForCausalLM(Gemma2Model.from_pretrained(folder / "text_encoder").config)
    whole.model.load_state_dict(load_file(folder / "text_encoder" / "model.safetensors"))
    shutil.copytree(folder / "tokenizer", tmp_path / "whole")
    whole.save_pretrained(tmp_path / "whole")
    expected = get_text_encoder("gemma", str(folder)).encode_one("a red ball")
    assert np.array_equal(get_text_encoder("gemma", str(tmp_path / "whole")).encode_one("a red ball"), expected)


def test_damaged_gemma_is_refused_in_one_line(tiny_networks: dict[str, str], tmp_path: Path) -> None:
    number = 0

    def copied() -> Path:
        nonlocal number
        number += 1
        return Path(shutil.copytree(tiny_networks["gemma"], tmp_path / str(number)))

    def refused(message: str, folder: Path) -> None:
        with pytest.raises(RequestError, match=message) as error:
            get_text_encoder("gemma", str(folder)).encode_one("a red ball")
        assert str(folder) in str(error.value) and "\n" not in str(error.value)

    for change, message in (({"hidden_size": None}, "hidden_size=None"), ({"model_type": "llama"}, "is a llama")):
        path = (folder := copied()) / "text_encoder" / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        refused(message, folder)
    path = (folder := copied()) / "text_encoder" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": 3}))
    refused("cannot be read as Gemma-2", folder)
    weights = (folder := copied()) / "text_encoder" / "model.safetensors"
    whole, tensors = weights.read_bytes(), load_file(weights)
    weights.write_bytes(whole[:-1])
    refused("cannot be read as Gemma-2", folder)
    lost = {name: tensor for name, tensor in tensors.items() if name != "norm.weight"}
    save_file(lost, weights, metadata={"format": "pt"})
    refused(r"has no tensor norm\.weight", folder)
    save_file({**tensors, "norm.weight": tensors["norm.weight"][:-1]}, weights, metadata={"format": "pt"})
    refused("cannot be read as Gemma-2", folder)
    weights.unlink()
    refused("cannot be read as Gemma-2", folder)
    for content in ("{", "[]"):
        folder = copied()
        (folder / "tokenizer" / "tokenizer.json").write_text(content)
        refused("must hold a tokenizer", folder)
    folder = copied()
    (folder / "tokenizer" / "tokenizer.json").unlink()
    refused("must be Gemma's tokenizer", folder)
