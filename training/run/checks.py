"""Checks before any worker starts that data, model, curriculum, initial weights and machine fit together."""

from __future__ import annotations

from framemill.platform import cluster
from framemill.platform.errors import RequestError
from framemill.platform.progress import say
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.run.config import TrainConfig


def check_data_fits(config: TrainConfig, dataset: LatentDataset) -> None:
    """Checks that the model's inputs and the stages' blocks fit the dataset.

    Raises:
        RequestError: channels of latents or text embeddings differ from the model's, or a causal stage has one block.
    """
    channels, width = dataset.index.latent_channels, dataset.index.text_width
    if channels != config.model.in_channels:
        raise RequestError(
            f"model.in_channels={config.model.in_channels}: must be {channels}, the channels of the latents of "
            f"data={config.data}"
        )
    if width != config.model.caption_channels:
        raise RequestError(
            f"model.caption_channels={config.model.caption_channels}: must be {width}, the width of the text "
            f"embeddings of data={config.data}"
        )
    for name, stage in config.curriculum.stages.items():
        frames = dataset.latent_frames(stage)
        blocks = stage.blocks(frames)
        if blocks and len(blocks) == 1:
            raise RequestError(
                f"curriculum.stages.{name}.block_frames={stage.block_frames}: must be at most {frames // 2}, half of "
                f"the stage's {frames} latent frames, so that there are two blocks or more"
            )


def check_initial_weights(config: TrainConfig) -> None:
    """Checks that the weights at `init` fit the model, and prints which modules of the model get no initial weights.

    Raises:
        RequestError: there are no weights at `init`, or the weights do not fit the model.
    """
    import torch

    from framemill.training.model import LinearDiT
    from framemill.training.weights.source import start_from

    with torch.device("meta"):
        model = LinearDiT(config.model.shape())
    modules = [name.removesuffix(".weight").removesuffix(".bias") for name in start_from(model, config.init)]
    kinds = sorted({module.rpartition(".")[2] for module in modules})
    say(f"train: begins with the weights of {config.init}; new: {', '.join(kinds) or 'nothing'}")


def check_batches_divide(config: TrainConfig, workers: int) -> None:
    """Checks that each stage's batch can be divided equally among the workers.

    Raises:
        RequestError: a batch cannot be divided equally.
    """
    for name, stage in config.curriculum.stages.items():
        try:
            stage.micro_batches(workers)
        except RequestError as error:
            raise RequestError(f"curriculum.stages.{name}.{error}") from error


def worker_resources(config: TrainConfig) -> tuple[int, bool]:
    """Returns the number of workers to start, and whether each worker gets a GPU.

    Workers get GPUs if the cluster has at least one GPU per worker.

    Raises:
        RequestError: this machine has too few CPUs. On a cluster, Ray waits for CPUs instead, since a cluster may grow.
    """
    import ray

    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), resources.get("CPU", 0)
    workers = config.workers or gpus or cluster.worker_count(0)
    if 0 < gpus < workers:
        say(f"training on CPUs: the cluster has {gpus} GPUs for workers={workers}")
    if not config.cluster.address and workers * config.cpus_per_worker > cpus:
        raise RequestError(
            f"cpus_per_worker={config.cpus_per_worker}: must be at most {cpus / workers:g}, for {workers} workers on "
            f"{cpus:g} CPUs"
        )
    return workers, gpus >= workers
