"""framemill curate: video -> dataset."""

from framemill.data_filters.config import CurateConfig
from framemill.platform.progress import say

CONFIG = CurateConfig


def run(config: CurateConfig) -> int:
    """Runs the job, prints a line with its result, and returns exit status 0."""
    from framemill.data_filters.pipeline import curate

    say(curate(config).line())
    return 0
