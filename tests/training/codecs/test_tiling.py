"""Tiles cover a frame evenly, and blend to what coding it whole gives where the code is local."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from framemill.training.codecs.tiling import tile_starts, tiled


@settings(max_examples=60, deadline=None, derandomize=True)
@given(length=st.integers(1, 90), tile=st.integers(5, 20), overlap=st.integers(1, 4), unit=st.sampled_from([1, 8, 32]))
def test_tiles_cover_a_length_evenly(length: int, tile: int, overlap: int, unit: int) -> None:
    starts = tile_starts(length * unit, tile * unit, overlap * unit, unit)
    assert starts[0] == 0 and (starts[-1] + tile * unit == length * unit or len(starts) == 1)
    assert all(start % unit == 0 for start in starts)
    steps = [after - before for before, after in pairwise(starts)]
    assert all(0 < step <= (tile - overlap + 1) * unit for step in steps)
    assert not steps or max(steps) - min(steps) <= unit


@settings(max_examples=20, deadline=None, derandomize=True)
@given(rows=st.integers(1, 9), columns=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_local_code_comes_out_as_if_it_were_whole(rows: int, columns: int, seed: int) -> None:
    torch.manual_seed(seed)
    sizes: list[tuple[int, ...]] = []

    def down(x: Tensor) -> Tensor:
        sizes.append(tuple(x.shape[-2:]))
        return F.avg_pool2d(x.float(), 8)

    def up(z: Tensor) -> Tensor:
        return z.repeat_interleave(8, -2).repeat_interleave(8, -1)

    x = torch.randint(0, 256, (2, 3, 8 * rows, 8 * columns), dtype=torch.uint8)
    small = tiled(down, x, 32, 16, (1, 8))
    assert torch.allclose(small, F.avg_pool2d(x.float(), 8), atol=1e-3)
    assert max(max(size) for size in sizes) <= 32
    assert torch.allclose(tiled(up, small, 4, 2, (8, 1)), up(small), atol=1e-3)


def test_a_seam_is_blended() -> None:
    """Two tiles that disagree meet in a ramp from the one to the other."""
    values = iter((0.0, 1.0))
    blended = tiled(lambda x: torch.full(x.shape, next(values)), torch.zeros(1, 8, 24), 16, 8, (1, 1))[0, 0]
    assert torch.allclose(blended, torch.cat([torch.zeros(8), (torch.arange(8) + 0.5) / 8, torch.ones(8)]))
