"""framemill evaluate: mp4s -> VBench result."""

from framemill.eval.config import EvaluateConfig
from framemill.platform.progress import say

CONFIG = EvaluateConfig


def run(config: EvaluateConfig) -> int:
    """Runs the job, prints a line with its result, and returns exit status 0."""
    from framemill.eval.pipeline import evaluate

    say(evaluate(config).line())
    return 0
