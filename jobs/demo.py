"""framemill demo: render a small sample reel, then run the loop on it (or on `input=`)."""

from framemill.jobs.loop_config import LoopConfig
from framemill.platform import storage
from framemill.platform.frozen_config import claim_output
from framemill.platform.progress import say

CONFIG = LoopConfig


def run(config: LoopConfig) -> int:
    """Renders the sample reel unless `input=` is given or the reel exists, runs the loop, and returns exit status 0."""
    from framemill.jobs import loop

    claim_output(config, config.output)
    reel = storage.join(config.output, "reel")
    if config.input == reel and not storage.exists(storage.join(reel, "truth.json")):
        from framemill.platform.vision.reel import render_reel

        say(f"demo: rendering a sample reel into {reel}")
        render_reel(reel)
    return loop.run(config)
