"""Every filter of the registry fills the columns that it names, also for a single frame."""

from framemill.data_filters.filters.registry import FILTERS, load_filter, score_columns
from tests.support.drawn_clips import moving_scene, pan, score


def test_every_filter_fills_the_columns_it_names() -> None:
    clip = pan(1, 0, frames=8)
    for name, entry in FILTERS.items():
        assert set(load_filter(name).score(clip)) == set(entry.columns) == set(score_columns([name]))


def test_a_single_frame_has_every_score() -> None:
    for name, entry in FILTERS.items():
        assert set(score(name, moving_scene()[:1])) == set(entry.columns)
