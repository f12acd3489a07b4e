"""Text encoders: the same on every machine, one token at least, and captions that differ stay apart."""

import numpy as np
import pytest

from framemill.platform.errors import RequestError
from framemill.training.text import TEXT_ENCODERS, get_text_encoder
from framemill.training.text.hashed import pieces


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
    assert pieces("A dog's  INCOMPREHENSIBLE run, twice.") == [
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
    with pytest.raises(RequestError, match="text=gemini: may be hashed, gemma"):
        get_text_encoder("gemini")
    with pytest.raises(RequestError, match="text_path=x: hashed has no weights"):
        get_text_encoder("hashed", "x")
