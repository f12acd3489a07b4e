"""framemill loop: curate -> encode -> train -> generate -> evaluate in one go."""

from __future__ import annotations

from framemill.jobs.loop_config import LoopConfig
from framemill.platform import storage
from framemill.platform.frozen_config import claim_output
from framemill.platform.progress import say

CONFIG = LoopConfig


def run(config: LoopConfig) -> int:
    """Runs the five jobs and returns exit status 0; each job resumes, so the same command finishes a stopped loop."""
    from framemill.data_filters.pipeline import curate
    from framemill.eval.pipeline import evaluate
    from framemill.jobs.loop_report import LoopResult, log_samples, report
    from framemill.platform.cluster import session
    from framemill.platform.tracking import prepare_tracking, tracking_uri
    from framemill.training.encoding.encode import encode
    from framemill.training.generation.generate import generate
    from framemill.training.run.train import train

    claim_output(config, config.output)
    config = config.with_tracking(tracking_uri(config.tracking, config.output))
    prepare_tracking(config.tracking, config.output)
    with session(config.cluster, config.workers):
        curated = curate(config.curate)
        say(curated.line())
        say(encode(config.encode).line())
        trained = train(config.train)
        say(trained.line())
        _write_prompts(config)
        say(generate(config.generate).line())
        log_samples(config)
        evaluated = evaluate(config.evaluate)
        say(evaluated.line())
    report(config, LoopResult(curated, trained, evaluated))
    return 0


def _write_prompts(config: LoopConfig) -> None:
    """Writes the prompt file of `generate`: distinct captions, evenly spread over the sorted captions."""
    from framemill.platform.dataset import Dataset

    captions = sorted(set(Dataset.open(config.curate.output).samples["caption"].to_pylist()))
    chosen = captions[:: max(1, len(captions) // max(1, config.prompts))][: config.prompts]
    lines = "".join(" ".join(caption.split()) + "\n" for caption in chosen)
    storage.write_atomic(config.generate.prompts, lines.encode())
