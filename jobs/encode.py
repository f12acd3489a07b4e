"""framemill encode: dataset -> a dataset of latents and text embeddings."""

from framemill.platform.progress import say
from framemill.training.encoding.config import EncodeConfig

CONFIG = EncodeConfig


def run(config: EncodeConfig) -> int:
    """Runs the job, prints a line with its result, and returns exit status 0."""
    from framemill.training.encoding.encode import encode

    say(encode(config).line())
    return 0
