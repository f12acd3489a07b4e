"""What a rank trains on: a pure function of seed, stage and step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from framemill.platform.errors import RequestError
from framemill.training.curriculum import CurriculumConfig, StageConfig
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.data.loader import Loader, TrainBatch
from framemill.training.model import rectified_flow

LOW = StageConfig(resolution=48, frames=9, steps=6, batch_size=6, lr=1e-3)
HIGH = StageConfig(resolution=64, frames=17, steps=4, batch_size=4, lr=1e-3)
CURRICULUM = CurriculumConfig({"low": LOW, "high": HIGH})


@pytest.fixture(scope="module")
def dataset(latent_dataset: Callable[..., Path]) -> LatentDataset:
    return LatentDataset.open(str(latent_dataset("loader", 40)))


def loader(dataset: LatentDataset, rank: int = 0, workers: int = 1, seed: int = 0, dropout: float = 0.1) -> Loader:
    plan = dataset.plans(CURRICULUM, dataset.held_out(CURRICULUM, 0, 0.1, 4), 0)["low"]
    return Loader(dataset, plan, LOW, seed=seed, caption_dropout=dropout, rank=rank, workers=workers)


def mixed(dataset: LatentDataset, rank: int = 0, workers: int = 1, **changes: object) -> Loader:
    """A loader of the second stage, five latent frames long, with changes to that stage."""
    stage = replace(HIGH, batch_size=12, steps=16, **changes)
    plan = dataset.plans(CurriculumConfig({"high": stage}), [], 0)["high"]
    return Loader(dataset, plan, stage, seed=0, caption_dropout=0.1, rank=rank, workers=workers)


def same(one: TrainBatch, other: TrainBatch) -> bool:
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
    assert kept.drop_caption.tolist() == [False] * 6 and dropped.drop_caption.all()
    assert torch.equal(kept.sigma, dropped.sigma) and torch.equal(kept.noise, dropped.noise)
    assert torch.equal(kept.x0, dropped.x0), "dropping a caption changes nothing else"


def test_clips_split_into_equal_parts(dataset: LatentDataset) -> None:
    clips = loader(dataset).load(0)
    parts = clips.split(3)
    assert [len(part.x0) for part in parts] == [2, 2, 2]
    assert torch.equal(torch.cat([part.text_mask for part in parts]), clips.text_mask)


def test_held_out_clips_stay_held_out_as_data_grows(
    dataset: LatentDataset, latent_dataset: Callable[..., Path]
) -> None:
    held_out = dataset.held_out(CURRICULUM, 0, 0.25, 2)
    more = LatentDataset.open(str(latent_dataset("loader", 90)))
    held_out_later = {more.keys[row] for row in more.held_out(CURRICULUM, 0, 0.25, 2)}
    assert {dataset.keys[row] for row in held_out} <= held_out_later
    for plan in dataset.plans(CURRICULUM, held_out, 0).values():
        assert not set(held_out) & {row for rows in plan.rows.values() for row in rows}
    assert all(dataset.bucket_name(row, HIGH) for row in held_out)


def test_too_little_data_is_refused_by_name(latent_dataset: Callable[..., Path]) -> None:
    tiny = LatentDataset.open(str(latent_dataset("two", 3)))
    assert len(tiny.held_out(CURRICULUM, 0, 0.1, 4)) == 1
    with pytest.raises(RequestError, match="must have two clips or more"):
        LatentDataset.open(str(latent_dataset("one", 2))).held_out(CURRICULUM, 0, 0.1, 4)
    other = CurriculumConfig({"huge": StageConfig(resolution=96, frames=9, steps=1, batch_size=1, lr=1), "high": HIGH})
    with pytest.raises(RequestError, match=r"curriculum\.stages\.huge"):
        tiny.plans(other, [], 0)


def test_text_to_video_has_one_sigma_for_all_frames(dataset: LatentDataset) -> None:
    sigma = mixed(dataset).load(0).sigma
    assert sigma.shape == (12, 5) and (sigma == sigma[:, :1]).all() and sigma.min() > 0


def test_sigmas_are_logit_normal_or_of_the_grid_and_then_shifted(dataset: LatentDataset) -> None:
    """The shift undone: 192 logits of mean 0 and deviation 1, to 4 standard errors; in blocks, half thousandths."""
    plain, blocks = (
        torch.cat([loader.load(step).sigma for step in range(16)]).double()
        for loader in (mixed(dataset, flow_shift=3.0), mixed(dataset, flow_shift=3.0, block_frames=2))
    )
    unshifted = plain[:, 0] / (3 - 2 * plain[:, 0])
    logits = torch.logit(unshifted)
    assert abs(logits.mean()) < 4 / 192**0.5 and abs(logits.std() - 1) < 4 / (2 * 192) ** 0.5
    levels = 1000 * blocks / (3 - 2 * blocks) - 0.5
    assert (levels - levels.round()).abs().max() < 1e-2


def test_image_to_video_gives_the_first_frame_of_a_share_of_clips(dataset: LatentDataset) -> None:
    plain, some = mixed(dataset), mixed(dataset, image_to_video=0.25)
    given = 0
    for step in range(16):
        whole, clips = plain.load(step), some.load(step)
        first, rest = clips.sigma[:, 0], clips.sigma[:, 1:]
        given += int((first == 0).sum())
        assert torch.equal(rest, whole.sigma[:, 1:]) and torch.equal(clips.noise, whole.noise)
        assert torch.equal(first[first > 0], whole.sigma[first > 0, 0])
        noisy = rectified_flow.interpolate(clips.x0, clips.noise, clips.sigma)
        assert torch.equal(noisy[first == 0, :, 0], clips.x0[first == 0, :, 0])
    assert 0.25 * 192 - 4 * 6 < given < 0.25 * 192 + 4 * 6  # 4 standard deviations of 192 clips
    assert (mixed(dataset, image_to_video=1.0).load(0).sigma[:, 0] == 0).all()


def test_blocks_have_sigmas_that_rise(dataset: LatentDataset) -> None:
    loader = mixed(dataset, block_frames=2, image_to_video=0.5)
    starts = loader.stage.blocks(5)
    assert starts == [0, 3]
    sigma = torch.cat([loader.load(step).sigma for step in range(4)])
    assert (sigma[:, 1] == sigma[:, 2]).all() and (sigma[:, 3] == sigma[:, 4]).all()
    assert (sigma[:, 1] <= sigma[:, 3]).all() and not (sigma[:, 1] == sigma[:, 3]).all()
    assert ((sigma[:, 0] == 0) | (sigma[:, 0] == sigma[:, 1])).all()


def test_images_are_the_first_latent_frames(dataset: LatentDataset) -> None:
    changes = {"images": 0.5, "image_batch_size": 6, "block_frames": 2, "image_to_video": 1.0}
    loader = mixed(dataset, **changes)
    kinds = [loader.plan.batch(step).images for step in range(4)]
    assert kinds == [False, True, False, True]
    images, batch = loader.load(1), loader.plan.batch(1)
    assert images.x0.shape[:3] == (6, 16, 1) and images.sigma.shape == (6, 1)
    assert images.sigma.min() > 0, "an image is never given: there would be nothing to learn"
    whole = torch.from_numpy(dataset.latent(batch.rows[2], batch.bucket))
    assert torch.equal(images.x0[2], whole[:, :1])
    parts = [mixed(dataset, rank, 2, **changes).load(1) for rank in range(2)]
    assert torch.equal(torch.cat([part.noise for part in parts]), images.noise)
