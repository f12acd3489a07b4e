"""framemill score: a VBench result file -> quality, semantic, total."""

from framemill.eval.config import ScoreConfig
from framemill.platform.progress import say

CONFIG = ScoreConfig


def run(config: ScoreConfig) -> int:
    """Runs the job, prints a line with its result, and returns exit status 0."""
    from framemill.eval.result_file import score

    say(score(config).line())
    return 0
