"""Every config of conf/ loads, and every job has one."""

import dataclasses
import importlib
import itertools
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from framemill.jobs.cli import JOBS
from framemill.platform.compose import compose_defaults, config_groups, group_choice
from framemill.platform.config import walk_schema
from framemill.platform.submit import PATH_KEYS

# Text keys that hold no path; those that do are in PATH_KEYS, and are made absolute when a job goes to a cluster.
NO_PATHS = {
    *("address", "backend", "codec", "experiment", "job", "mode", "negative_prompt", "precision", "sha256", "suite"),
    *("activation", "head_sha256", "network"),
    *("api_key_env", "by", "caption", "key_", "motion", "prompt", "rejected", "served_model", "text", "uri", "url"),
    *("to", "activation_checkpointing"),
}
CONF = Path(__file__).resolve().parents[2] / "conf"


def schema(job: str) -> type:
    return importlib.import_module(f"framemill.jobs.{job}").CONFIG


@pytest.mark.parametrize("job", JOBS)
def test_a_job_composes(job: str) -> None:
    """With its defaults, and with each choice of each of its groups: the n-th choices of all groups at once."""
    compose_defaults(job, schema(job), [])
    groups = config_groups(schema(job))
    for choices in itertools.zip_longest(*groups.values()):
        words = [group_choice(group, choice) for group, choice in zip(groups, choices, strict=True) if choice]
        compose_defaults(job, schema(job), words)


@pytest.mark.parametrize("job", JOBS)
def test_every_key_has_a_sentence(job: str) -> None:
    keys = [(name, field) for name, hint, field in walk_schema(schema(job)) if not dataclasses.is_dataclass(hint)]
    assert not [name for name, field in keys if not field.metadata.get("help")]


@pytest.mark.parametrize("job", JOBS)
def test_every_text_key_is_known_to_be_a_path_or_none(job: str) -> None:
    leaves = {name.rpartition(".")[2] for name, hint, _ in walk_schema(schema(job)) if hint is str}
    assert leaves <= NO_PATHS | set(PATH_KEYS)


def test_every_file_is_some_jobs() -> None:
    used = {f"{job}.yaml" for job in JOBS}
    for job in JOBS:
        for name, choices in config_groups(schema(job)).items():
            used |= {f"{name.rpartition('.')[2]}/{choice}.yaml" for choice in choices}
    assert {path.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml")} == used


@pytest.mark.parametrize("path", sorted(CONF.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_choice_fits_its_schema(path: Path) -> None:
    """Merged into every job that has the group, which refuses an unknown key or a value of the wrong kind."""
    group, fitted = path.parent.name, 0
    for job in JOBS:
        for name in config_groups(schema(job)):
            if name.rpartition(".")[2] == group:
                node = OmegaConf.create({})
                OmegaConf.update(node, name, OmegaConf.load(path))
                OmegaConf.merge(OmegaConf.structured(schema(job)), node)
                fitted += 1
    assert fitted
