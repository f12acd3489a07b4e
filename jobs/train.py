"""framemill train: dataset -> run directory."""

from framemill.platform.progress import say
from framemill.training.run.config import TrainConfig

CONFIG = TrainConfig


def run(config: TrainConfig) -> int:
    """Runs the job, prints a line with its result, and returns exit status 0."""
    from framemill.training.run.train import train

    say(train(config).line())
    return 0
