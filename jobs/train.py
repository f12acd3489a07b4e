"""framemill train: dataset -> run directory."""

from framemill.platform.progress import say
from framemill.training.config import TrainConfig

CONFIG = TrainConfig


def run(config: TrainConfig) -> int:
    from framemill.training.trainer import train

    say(train(config).line())
    return 0
