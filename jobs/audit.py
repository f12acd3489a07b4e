"""framemill audit: hash and count a dataset or a run again, or explain one clip."""

from dataclasses import dataclass

from framemill.platform.config import key
from framemill.platform.progress import say


@dataclass
class AuditConfig:
    """Keys of `audit`."""

    path: str = key(help="dataset or run directory, as a path or URI", result=False)
    key_: str = key(
        "",
        "key of a clip whose state is explained instead of checking the dataset; empty: check the dataset",
        result=False,
    )


CONFIG = AuditConfig


def run(config: AuditConfig) -> int:
    """Prints the problems, or the clip's explanation; 1 if there are problems."""
    if config.key_:
        from framemill.data_filters.explain import explain

        print("\n".join(explain(config.path, config.key_)))
        return 0
    from framemill.platform.audit import audit

    result = audit(config.path)
    for line in result.lines():
        say(line)
    return 1 if result.problems else 0
