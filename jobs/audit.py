"""framemill audit: re-hash and re-count a dataset or a run, or tell one clip's story."""

from dataclasses import dataclass

from framemill.platform.config import key
from framemill.platform.progress import say


@dataclass
class AuditConfig:
    path: str = key(help="a dataset or a run directory", result=False)
    key_: str = key(
        "", "a clip of a curated dataset: tells what became of it and why, and checks nothing", result=False
    )


CONFIG = AuditConfig


def run(config: AuditConfig) -> int:
    if config.key_:
        from framemill.data_filters.explain import explain

        print("\n".join(explain(config.path, config.key_)))
        return 0
    from framemill.platform.audit import audit

    problems = audit(config.path)
    for problem in problems:
        say(f"audit: {problem}")
    say(f"audit: {config.path}: {'whole' if not problems else f'{len(problems)} problems'}")
    return 1 if problems else 0
