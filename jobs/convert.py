"""framemill convert: weights between run checkpoints, diffusers folders and original `.pth` files."""

from framemill.platform.progress import say
from framemill.training.weights.config import ConvertConfig

CONFIG = ConvertConfig


def run(config: ConvertConfig) -> int:
    """Runs the job, prints a line with its result, and returns exit status 0."""
    from framemill.training.weights.convert import convert

    say(convert(config).line())
    return 0
