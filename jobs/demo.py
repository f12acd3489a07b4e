"""framemill demo: render a small sample reel, then run the loop on it (or on `input=`)."""

from framemill.jobs.loop import LoopConfig
from framemill.platform import storage
from framemill.platform.progress import say

CONFIG = LoopConfig


def run(config: LoopConfig) -> int:
    from framemill.jobs.loop_stages import run_loop

    reel = storage.join(config.output, "reel")
    if config.input == reel and not storage.exists(storage.join(reel, "truth.json")):
        from framemill.platform.vision.reel import render_reel

        say(f"demo: rendering a sample reel into {reel}")
        render_reel(reel)
    return run_loop(config)
