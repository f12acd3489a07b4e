"""What a rank trains on: a pure function of seed, stage and step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from framemill.platform.errors import RequestError
from framemill.training.curriculum import CurriculumConfig, StageConfig
from framemill.training.latents import LatentDataset
from framemill.training.loader import Clips, Loader

LOW = StageConfig(resolution=48, frames=9, steps=6, batch_size=6, lr=1e-3)
HIGH = StageConfig(resolution=64, frames=17, steps=4, batch_size=4, lr=1e-3)
CURRICULUM = CurriculumConfig({"low": LOW, "high": HIGH})


@pytest.fixture(scope="module")
def dataset(latent_dataset: Callable[..., Path]) -> LatentDataset:
    return LatentDataset.open(str(latent_dataset("loader", 40)))


def loader(dataset: LatentDataset, rank: int = 0, workers: int = 1, seed: int = 0, dropout: float = 0.1) -> Loader:
    plan = dataset.plans(CURRICULUM, dataset.held_out(CURRICULUM, 0, 0.1, 4), 0)["low"]
    return Loader(dataset, plan, LOW, seed=seed, caption_dropout=dropout, rank=rank, workers=workers)


def same(one: Clips, other: Clips) -> bool:
    return all(torch.equal(value, vars(other)[name]) for name, value in vars(one).items() if "text" not in name)


def test_ranks_hold_the_slices_of_the_same_global_batch(dataset: LatentDataset) -> None:
    whole = loader(dataset).load(3)
    parts = [loader(dataset, rank, 3).load(3) for rank in range(3)]
    for name in ("x0", "noise", "sigma"):
        assert torch.equal(vars(whole)[name], torch.cat([vars(part)[name] for part in parts]))
    assert not torch.equal(parts[0].noise, parts[1].noise)


def test_batches_from_anywhere_are_those_of_a_whole_run(dataset: LatentDataset) -> None:
    whole = dict(loader(dataset).batches(0))
    rest = dict(loader(dataset).batches(4))
    assert list(whole) == list(range(6)) and list(rest) == [4, 5]
    assert all(same(whole[step], rest[step]) for step in rest)
    assert not same(whole[0], loader(dataset, seed=1).load(0))


def test_captions_are_dropped_for_the_empty_one(dataset: LatentDataset) -> None:
    null = torch.from_numpy(dataset.null_text)
    kept, dropped = loader(dataset, dropout=0).load(0), loader(dataset, dropout=0.999999).load(0)
    assert kept.text.shape[1] > len(null) and kept.text_mask.any(1).all()
    assert dropped.text.shape[1] == len(null)
    assert torch.equal(dropped.text, null.expand(6, -1, -1))
    assert same(kept, dropped), "dropping a caption changes nothing else"


def test_clips_split_into_equal_parts(dataset: LatentDataset) -> None:
    clips = loader(dataset).load(0)
    parts = clips.split(3)
    assert [len(part.x0) for part in parts] == [2, 2, 2]
    assert torch.equal(torch.cat([part.text_mask for part in parts]), clips.text_mask)


def test_held_out_clips_stay_held_out_as_data_grows(
    dataset: LatentDataset, latent_dataset: Callable[..., Path]
) -> None:
    held = dataset.held_out(CURRICULUM, 0, 0.25, 2)
    more = LatentDataset.open(str(latent_dataset("loader", 90)))
    held_more = {more.keys[row] for row in more.held_out(CURRICULUM, 0, 0.25, 2)}
    assert {dataset.keys[row] for row in held} <= held_more
    for plan in dataset.plans(CURRICULUM, held, 0).values():
        assert not set(held) & {row for rows in plan.rows.values() for row in rows}
    assert all(dataset.bucket_of(row, HIGH) for row in held)


def test_too_little_data_is_refused_by_name(latent_dataset: Callable[..., Path]) -> None:
    tiny = LatentDataset.open(str(latent_dataset("two", 3)))
    assert len(tiny.held_out(CURRICULUM, 0, 0.1, 4)) == 1
    with pytest.raises(RequestError, match="training takes two at least"):
        LatentDataset.open(str(latent_dataset("one", 2))).held_out(CURRICULUM, 0, 0.1, 4)
    other = CurriculumConfig({"huge": StageConfig(resolution=96, frames=9, steps=1, batch_size=1, lr=1), "high": HIGH})
    with pytest.raises(RequestError, match=r"curriculum\.stages\.huge"):
        tiny.plans(other, [], 0)
