"""Several captions a clip: encoded side by side, and met in training as often as their weights say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from framemill.platform.dataset import Dataset
from framemill.platform.dataset_commit import commit_dataset
from framemill.platform.errors import RequestError
from framemill.platform.shard_writer import Sample, write_shard
from framemill.platform.vision.video import encode_mp4
from framemill.training.curriculum import CurriculumConfig, StageConfig
from framemill.training.data.captions import WeightedCaption, pick_caption, weighted_captions
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.data.loader import Loader
from framemill.training.encoding.config import EncodeConfig
from framemill.training.encoding.encode import encode
from framemill.training.text import get_text_encoder

STAGE = StageConfig(resolution=48, frames=5, steps=100, batch_size=4, lr=1e-3)
CURRICULUM = CurriculumConfig({"only": STAGE})
TEXTS = {"endpoint": ("a long caption", 3.0), "sidecar": ("by hand", 1.0), "descriptor": ("a red picture", 0.0)}
CAPTIONS = pa.list_(pa.struct([("source", pa.string()), ("text", pa.string()), ("weight", pa.float64())]))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Six clips as curation writes them: all but the first with three captions."""
    folder = str(tmp_path_factory.mktemp("dataset"))
    ramp = np.linspace(30, 180, 80)[None, None, :, None] * np.ones((9, 48, 1, 3))
    rows, samples = [], []
    for number in range(6):
        mp4 = encode_mp4((ramp + number).astype(np.uint8), 16.0)
        names = list(TEXTS)[:1] if number == 0 else list(TEXTS)
        captions = [{"source": name, "text": TEXTS[name][0], "weight": TEXTS[name][1]} for name in names]
        samples.append(Sample(f"clip{number}", {"mp4": mp4, "txt": b"a long caption"}))
        facts = {"width": 80, "height": 48, "duration": 9 / 16, "motion": 7.9, "other": 30.2}
        rows.append({"key": f"clip{number}", "caption": "a long caption", "captions": captions, **facts})
    shards = [write_shard(folder + "/shards", "train", 0, samples, "0" * 8)]
    schema = pa.Table.from_pylist([{k: v for k, v in row.items() if k != "captions"} for row in rows])
    table = schema.append_column("captions", pa.array([row["captions"] for row in rows], CAPTIONS))
    ledger = {"sources": pa.table({"path": []}), "clips": pa.table({"key": []})}
    commit_dataset(
        folder, kind="curate", config_digest="0" * 16, shards=shards, samples=table, ledger=ledger, totals={}
    )
    return folder


@pytest.fixture(scope="module")
def latents(video: str, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> LatentDataset:
    output = str(tmp_path_factory.mktemp("latents") / "out")
    encode(EncodeConfig(input=video, output=output, curriculum=CURRICULUM, workers=1))
    return LatentDataset.open(output)


def embedded(text: str) -> np.ndarray:
    return get_text_encoder("hashed").encode_one(text).astype(np.float16)


def test_each_caption_with_a_weight_is_embedded_with_the_motion_score(latents: LatentDataset) -> None:
    assert np.array_equal(latents.text(1), embedded("a long caption motion score: 7."))
    assert np.array_equal(latents.text(1, 1), embedded("by hand motion score: 7."))
    assert "text2.npy" not in latents.dataset.extensions(1), "one of weight 0 is never seen"
    assert "text1.npy" not in latents.dataset.extensions(0)


def test_the_score_that_is_told_is_a_key(video: str, tmp_path: Path, ray_session: None) -> None:
    def first_text(motion: str) -> np.ndarray:
        output = str(tmp_path / f"out-{motion}")
        encode(EncodeConfig(input=video, output=output, curriculum=CURRICULUM, motion=motion, workers=1))
        return LatentDataset.open(output).text(0)

    assert np.array_equal(first_text("other"), embedded("a long caption motion score: 30."))
    assert np.array_equal(first_text(""), embedded("a long caption"))
    with pytest.raises(RequestError, match=r"^motion=raft"):
        first_text("raft")


def test_training_meets_captions_as_often_as_they_weigh(latents: LatentDataset) -> None:
    plan = latents.plans(CURRICULUM, [], 0)["only"]
    hand, long = (embedded(f"{text} motion score: 7.") for text in ("by hand", "a long caption"))

    def seen(seed: int) -> list[bool]:
        """For each text of 100 steps, whether it is the sidecar's."""
        loader = Loader(latents, plan, STAGE, seed=seed, caption_dropout=0.0, rank=0, workers=1)
        is_sidecar = []
        for step in range(STAGE.steps):
            clips = loader.load(step)
            for text, mask in zip(clips.text, clips.text_mask, strict=True):
                tokens = text[mask].numpy()
                is_sidecar.append(tokens.shape == hand.shape and bool((tokens == hand).all()))
                assert is_sidecar[-1] or np.array_equal(tokens, long)
        return is_sidecar

    first = seen(0)
    assert first == seen(0) and first != seen(1)
    expected = 400 * 5 / 6 / 4  # five of six clips have it, a quarter of the times: 83, deviation 8
    assert abs(sum(first) - expected) < 32


def test_the_chance_falls_on_each_text_by_its_weight() -> None:
    counts = Counter(pick_caption([5, 0, 95], chance / 1000) for chance in range(1000))
    assert counts == {0: 50, 2: 950}
    assert pick_caption([0, 0], 0.9) == 0 and pick_caption([1.0], 0.999999) == 0
    assert weighted_captions(None, None) == [WeightedCaption("", 1.0)]


def test_the_dataset_that_encode_wrote_keeps_its_captions(latents: LatentDataset, video: str) -> None:
    assert latents.dataset.samples["captions"].to_pylist() == Dataset.open(video).samples["captions"].to_pylist()
