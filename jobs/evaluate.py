"""framemill evaluate: mp4s -> VBench result."""

from framemill.eval.config import EvaluateConfig
from framemill.platform.progress import say

CONFIG = EvaluateConfig


def run(config: EvaluateConfig) -> int:
    """Runs the job and prints its result as a line."""
    from framemill.eval.pipeline import evaluate

    say(evaluate(config).line())
    return 0
