"""Preparation of network scorers on the driver: checks of weights and GPUs, and the number of processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from framemill.data_filters.models.base import ModelSpec
from framemill.data_filters.models.config import ModelsConfig, TextOverlayConfig
from framemill.data_filters.models.registry import load_scorer
from framemill.data_filters.models.sampled_frames import black_frames
from framemill.platform import storage
from framemill.platform.errors import FramemillError, RequestError

_DIGEST_KEYS = {"weights": "sha256", "head": "head_sha256"}
"""Keys of a section that name weight files, with the key of the expected sha256 of each."""


def try_networks(specs: Sequence[ModelSpec]) -> None:
    """Checks each network by loading it on the CPU of this machine and scoring black frames.

    Raises:
        RequestError: a weight file is missing, has another sha256, or does not fit the scorer. The message names the
            config key.
    """
    for spec in specs:
        try:
            scorer = load_scorer(replace(spec, device="cpu"))
            scorer.score(black_frames(scorer))
        except FramemillError as error:
            raise RequestError(f"{spec.scorer}.{_key_at_fault(spec.section, error.file)}={error}") from error


def check_gpus(gpus: float) -> None:
    """Checks that this machine has the GPUs of one scoring process, which would wait forever without them.

    Raises:
        RequestError: this machine has fewer than `gpus` GPUs.
    """
    import torch

    if (count := torch.cuda.device_count()) < gpus:
        raise RequestError(
            f"models.gpus={gpus:g}: must be at most {count}, the GPUs of this machine; 0 runs on the CPU"
        )


def with_digests(section: Any) -> Any:
    """Returns a scorer's config section with the sha256 of each weight file filled in where it is empty.

    The config's digest then depends on the content of the weight files, whose paths are not part of the digest.
    """
    if isinstance(section, TextOverlayConfig):
        from framemill.data_filters.models.text_overlay import networks_sha256

        return replace(section, sha256=networks_sha256())
    for name, digest in _DIGEST_KEYS.items():
        if hasattr(section, name) and not getattr(section, digest):
            section = replace(section, **{digest: storage.sha256_file(getattr(section, name))})
    return section


def actor_count(spec: ModelSpec, models: ModelsConfig, workers: int) -> int:
    """Returns the number of scoring processes of a scorer.

    Args:
        spec: the scorer.
        models: `actors` is the number if it is not 0; otherwise as many processes as fit on the cluster's GPUs.
        workers: number of processes on the CPU if `actors` is 0.
    """
    import ray

    if models.actors or spec.device == "cpu":
        return models.actors or workers
    return max(1, int(ray.cluster_resources().get("GPU", 0.0) / models.gpus))


def _key_at_fault(section: Any, file: str) -> str:
    """Returns the key whose value is `file`; if no key has that value, the key of the section's weights.

    Args:
        section: a scorer's section of the config.
        file: `FramemillError.file`.
    """
    for entry in fields(section):
        if file and getattr(section, entry.name) == file:
            return entry.name
    # The weights of text_overlay are those of the rapidocr package, of which the config names only the sha256.
    return "weights" if hasattr(section, "weights") else "sha256"
