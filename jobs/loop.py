"""framemill loop: curate -> encode -> train -> generate -> evaluate in one go."""

from __future__ import annotations

from dataclasses import dataclass

from framemill.data_filters.config import CurateConfig
from framemill.eval.config import EvaluateConfig
from framemill.platform import storage
from framemill.platform.config import ClusterConfig, TrackingConfig, key
from framemill.platform.frozen_config import claim_output
from framemill.platform.progress import say
from framemill.training.encoding.config import EncodeConfig
from framemill.training.generation.config import GenerateConfig
from framemill.training.run.config import TrainConfig


@dataclass
class LoopConfig:
    input: str = key(help="dir, glob, file list or URI of video", result=False)
    output: str = key(help="folder for everything: dataset, latents, run, videos, scores", result=False)
    prompts: int = key(4, "how many videos to generate, from captions of the dataset evenly spread")
    workers: int = key(0, "workers of every job; 0: one a core", result=False)
    curate: CurateConfig = key(CurateConfig)
    encode: EncodeConfig = key(EncodeConfig)
    train: TrainConfig = key(TrainConfig)
    generate: GenerateConfig = key(GenerateConfig)
    evaluate: EvaluateConfig = key(EvaluateConfig)
    tracking: TrackingConfig = key(TrackingConfig, result=False)
    cluster: ClusterConfig = key(ClusterConfig, result=False)


CONFIG = LoopConfig


def run(config: LoopConfig) -> int:
    """Each job goes on from what its output holds, so the same command finishes a loop that was stopped anywhere."""
    from framemill.data_filters.pipeline import curate
    from framemill.eval.pipeline import evaluate
    from framemill.jobs.loop_report import Result, log_samples, report
    from framemill.platform.cluster import session
    from framemill.platform.tracking import ensure_schema, tracking_uri
    from framemill.training.encoding.encode import encode
    from framemill.training.generation.generate import generate
    from framemill.training.run.train import train

    claim_output(config, config.output)
    uri = tracking_uri(config.tracking, config.output)
    config.curate.tracking.uri = config.train.tracking.uri = config.evaluate.tracking.uri = uri
    ensure_schema(uri)
    with session(config.cluster, config.workers):
        curated = curate(config.curate)
        say(curated.line())
        say(encode(config.encode).line())
        trained = train(config.train)
        say(trained.line())
        write_prompts(config)
        say(generate(config.generate).line())
        log_samples(config)
        evaluated = evaluate(config.evaluate)
        say(evaluated.line())
    report(config, Result(curated, trained, evaluated))
    return 0


def write_prompts(config: LoopConfig) -> None:
    """The prompt file of `generate`: captions of the dataset, evenly spread over its keys, each once."""
    from framemill.platform.dataset import Dataset

    captions = sorted(set(Dataset.open(config.curate.output).samples["caption"].to_pylist()))
    chosen = captions[:: max(1, len(captions) // max(1, config.prompts))][: config.prompts]
    lines = "".join(" ".join(caption.split()) + "\n" for caption in chosen)
    storage.write_atomic(config.generate.prompts, lines.encode())
