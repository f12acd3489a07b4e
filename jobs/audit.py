"""framemill audit: verify the hashes and counts of a dataset or a run, or explain the state of one clip."""

from dataclasses import dataclass

from framemill.platform.config import key
from framemill.platform.progress import say


@dataclass
class AuditConfig:
    """The keys of `audit`."""

    path: str = key(help="dataset or run directory, as a path or URI", result=False)
    key_: str = key(
        "",
        "key of a clip whose state is explained instead of checking the dataset; empty: check the dataset",
        result=False,
    )


CONFIG = AuditConfig


def run(config: AuditConfig) -> int:
    """Prints the problems of the output and returns 1 if there are any, else 0; or prints the explanation of a clip."""
    if config.key_:
        from framemill.data_filters.explain import explain

        print("\n".join(explain(config.path, config.key_)))
        return 0
    from framemill.platform.audit import audit

    result = audit(config.path)
    for line in result.lines():
        say(line)
    return 1 if result.problems else 0
