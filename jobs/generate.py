"""framemill generate: model + prompts -> mp4s."""

from framemill.platform.progress import say
from framemill.training.generation.config import GenerateConfig

CONFIG = GenerateConfig


def run(config: GenerateConfig) -> int:
    """Runs the job, prints a line with its result, and returns exit status 0."""
    from framemill.training.generation.generate import generate

    say(generate(config).line())
    return 0
