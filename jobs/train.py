"""framemill train: dataset -> run directory."""

from framemill.platform.progress import say
from framemill.training.run.config import TrainConfig

CONFIG = TrainConfig


def run(config: TrainConfig) -> int:
    """Runs the job and prints its result as a line."""
    from framemill.training.run.train import train

    say(train(config).line())
    return 0
